// Voting: the ballot is recorded, not guessed, and the results are the server's.

import { announce, announceOwn } from './announce';
import { call, problemFrom } from './api';
import { watchDeadline } from './deadline';
import type { PageData, Tally, Voting } from './data';
import { dressVoting } from './dress';
import { busy, handleForm, isBusy } from './forms';
import { patch } from './patch';
import { whenRunning } from './pause';
import { complain, settle } from './problem';
import { render } from './render';
import { exact } from './times';
import { plural, text } from './words';

export class Ballot {
    private voting: Voting;

    constructor(
        private readonly page: HTMLElement,
        private readonly data: PageData & { voting: Voting },
    ) {
        this.voting = data.voting;
        handleForm('ballot', (form, button) => this.cast(form, button));
        watchDeadline(
            () => turnOf(this.voting),
            () => this.refresh(),
        );
    }

    /** New results from an event. */
    show(tally: Tally): void {
        const numbers = new Map(tally.options.map((option) => [option.id, option]));
        const options = this.voting.options.map((option) => ({ ...option, ...numbers.get(option.id) }));
        this.replace({ ...this.voting, state: tally.state, voters: tally.voters, options });
    }

    /** Fetches the voting again, for what events may have been missed. */
    async refresh(): Promise<void> {
        try {
            this.replace(await call<Voting>('GET', `/votings/${this.voting.id}`));
        } catch (error) {
            problemFrom(error); // the status in the header tells of the connection; the next refresh mends this
        }
    }

    private replace(next: Voting): void {
        const isNews = next.voters !== this.voting.voters;
        const hasTurned = next.state !== this.voting.state;
        this.voting = next;
        whenRunning('results', () => this.draw(hasTurned));
        if (isNews) announce('results', () => plural('voting.voters', this.voting.voters));
    }

    private draw(withBallot: boolean): void {
        const view = dressVoting(this.voting, this.data);
        const results = this.page.querySelector<HTMLElement>('[data-results]');
        if (results) patch(results, render('votingResults', view));
        const ballot = this.page.querySelector<HTMLElement>('[data-ballot]');
        if (ballot && withBallot) patch(ballot, render('votingBallot', view));
        if (withBallot) this.drawHead();
    }

    private drawHead(): void {
        const { state } = this.voting;
        const line = this.page.querySelector('.title-block .state');
        if (line) {
            line.className = `state state-${state}`;
            line.textContent = `${text('voting.title')} · ${text(`voting.state.${state}`)}`;
        }
        const when = this.page.querySelector<HTMLElement>('[data-when]');
        if (when) when.textContent = whenText(this.voting, when.dataset.closes ?? exact(this.voting.closes_at));
        const rest = this.page.querySelector<HTMLElement>('.byline [data-until]');
        if (rest) rest.parentElement!.hidden = state !== 'open';
    }

    private async cast(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form)) return;
        const section = form.closest('[data-ballot]') ?? form;
        const option = Number(new FormData(form).get('option_id'));
        const done = busy(button, text('form.recording'));
        try {
            await call('PUT', `/votings/${this.voting.id}/ballot`, { body: { option_id: option } });
            done();
            settle(section);
            this.voting = { ...this.voting, viewer: { option_id: option } };
            this.draw(true);
            const title = this.voting.options.find(({ id }) => id === option)?.title ?? '';
            announceOwn(text('voting.voted', { option: title }));
            await this.refresh();
        } catch (error) {
            done();
            const problem = problemFrom(error);
            if (problem.status !== 0) await this.refresh(); // first, since the page may be behind the server
            const note = complain(section, problem);
            note.tabIndex = -1;
            note.focus();
        }
    }
}

/** When the voting opens or closes next; null when it is over. */
export function turnOf(voting: Voting): string | null {
    if (voting.state === 'closed') return null;
    return voting.state === 'scheduled' ? voting.opens_at : voting.closes_at;
}

/** closes: the moment of closing, as the server wrote it in its own time zone. */
function whenText(voting: Voting, closes: string): string {
    if (voting.state === 'scheduled') return text('voting.opens', { date: exact(voting.opens_at) });
    return text(voting.state === 'open' ? 'voting.closes' : 'voting.closed_at', { date: closes });
}
