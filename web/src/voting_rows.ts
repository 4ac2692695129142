// The list of votings follows their tallies and notices when they open and close. Rows stay where they are; a
// voting that is new shows with the next load.

import { call, problemFrom } from './api';
import { turnOf } from './ballot';
import type { PageData, Tally, Voting } from './data';
import { watchDeadline } from './deadline';
import { dressVoting } from './dress';
import type { Live } from './live';
import { patch } from './patch';
import { whenRunning } from './pause';
import { render } from './render';
import { signalArrival } from './status';

export class VotingRows {
    private readonly places = new Map<number, HTMLElement>();
    private readonly known = new Map<number, Voting>();

    constructor(
        page: HTMLElement,
        private readonly data: PageData,
    ) {
        for (const place of page.querySelectorAll<HTMLElement>('[data-voting][data-channel]')) {
            this.places.set(Number(place.dataset.voting), place);
        }
    }

    get isEmpty(): boolean {
        return this.places.size === 0;
    }

    follow(live: Live): void {
        for (const [id, place] of this.places) {
            const onTally = (tally: Tally): void => this.hear(tally);
            live.follow(place.dataset.channel!, { 'voting.tally': onTally }, () => this.refresh(id));
        }
    }

    private hear({ id, state, voters }: Tally): void {
        const voting = this.known.get(id);
        signalArrival();
        if (voting) this.show({ ...voting, state, voters });
        else void this.refresh(id);
    }

    private show(voting: Voting): void {
        const { id } = voting;
        const isFirst = !this.known.has(id);
        this.known.set(id, voting);
        if (isFirst) {
            watchDeadline(
                () => turnOf(this.known.get(id)!),
                () => this.refresh(id),
            );
        }
        whenRunning(`voting-${id}`, () => patch(this.places.get(id)!, render('votingRow', dressVoting(voting, this.data))));
    }

    private async refresh(id: number): Promise<void> {
        try {
            this.show(await call<Voting>('GET', `/votings/${id}`));
        } catch (error) {
            problemFrom(error); // the status in the header tells of the connection; the next refresh mends this
        }
    }
}
