// Voting: the ballot is recorded, not guessed, and the results are the server's.

import { announce } from './announce';
import { call, problemFrom } from './api';
import type { PageData, Tally, Voting } from './data';
import { dressVoting } from './dress';
import { busy, handleForm, isBusy } from './forms';
import { patch } from './patch';
import { whenRunning } from './pause';
import { complain, settle } from './problem';
import { render } from './render';
import { plural, text } from './words';

export class Ballot {
    private voting: Voting;

    constructor(
        private readonly page: HTMLElement,
        private readonly data: PageData & { voting: Voting },
    ) {
        this.voting = data.voting;
        handleForm('ballot', (form, button) => this.cast(form, button));
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
        const line = this.page.querySelector('.title-block .state');
        if (line && withBallot) {
            line.className = `state state-${this.voting.state}`;
            line.textContent = `${text('voting.title')} · ${text(`voting.state.${this.voting.state}`)}`;
        }
    }

    private async cast(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form)) return;
        const option = Number(new FormData(form).get('option_id'));
        const done = busy(button, text('form.recording'));
        try {
            await call('PUT', `/votings/${this.voting.id}/ballot`, { body: { option_id: option } });
            done();
            settle(form);
            this.voting = { ...this.voting, viewer: { option_id: option } };
            this.draw(true);
            await this.refresh();
        } catch (error) {
            done();
            complain(form, problemFrom(error));
            await this.refresh();
        }
    }
}
