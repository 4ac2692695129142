// Signing a proposal, following it, and its numbers. A signature is a promise: it shows as "recording"
// until the server has it, and the public number is only ever the server's.

import { announce } from './announce';
import { call, problemFrom } from './api';
import type { PageData, Proposal, Supported } from './data';
import { dressProposal } from './dress';
import { busy, handleForm, isBusy, methodOf } from './forms';
import { patch } from './patch';
import { whenRunning } from './pause';
import { complain, settle } from './problem';
import { render } from './render';
import { number, plural, text } from './words';

export class Support {
    private proposal: Proposal;
    private readonly deadlineDate: string;

    constructor(
        private readonly page: HTMLElement,
        private readonly data: PageData & { proposal: Proposal },
    ) {
        this.proposal = data.proposal;
        this.deadlineDate = page.querySelector('[data-support] time')?.textContent ?? '';
        handleForm('support', (form, button) => this.press(form, button));
        handleForm('follow', (form, button) => this.follow(form, button));
    }

    get commentCount(): number {
        return this.proposal.comment_count;
    }

    /** New numbers from an event or a refresh. */
    show(change: Partial<Proposal> & Partial<Supported>): void {
        const isNews = change.support_count !== undefined && change.support_count !== this.proposal.support_count;
        this.proposal = { ...this.proposal, ...change };
        whenRunning('support', () => this.draw());
        if (isNews) announce('support', () => plural('proposal.signatures', this.proposal.support_count));
    }

    countComments(count: number): void {
        this.proposal = { ...this.proposal, comment_count: count };
        whenRunning('comment-count', () => {
            const put = (name: string, words: string): void => {
                const place = this.page.querySelector(`[data-count="${name}"]`);
                if (place) place.textContent = words;
            };
            put('comments', plural('proposal.comments', this.proposal.comment_count));
            put('comments-number', number(this.proposal.comment_count));
        });
    }

    private view(): object {
        return dressProposal(this.proposal, this.data, this.deadlineDate);
    }

    private draw(): void {
        const section = this.page.querySelector<HTMLElement>('[data-support]');
        const pressed = section?.querySelector<HTMLFormElement>('form');
        if (section && !(pressed && isBusy(pressed))) {
            patch(section, render('support', this.view()));
        }
        this.drawState();
    }

    private drawState(): void {
        const line = this.page.querySelector('.title-block .state');
        const { state } = this.proposal;
        if (!line || line.classList.contains(`state-${state}`)) return;
        const isPrivate = this.page.dataset.channel?.startsWith('private-');
        line.className = `state state-${state}`;
        line.textContent = text(`proposal.state.${state}`) + (isPrivate ? ` · ${text('proposals.members_only')}` : '');
    }

    private async press(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form)) return;
        const method = methodOf(form);
        const done = busy(button, text('form.recording'));
        try {
            const answer = await call<Supported | null>(method, `/proposals/${this.proposal.id}/support`);
            done();
            settle(form);
            this.setViewer({ has_supported: method === 'PUT' });
            if (answer) this.show({ support_count: answer.support_count, state: answer.state });
            this.draw();
        } catch (error) {
            done();
            complain(form, problemFrom(error));
        }
    }

    private async follow(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form)) return;
        const method = methodOf(form);
        const done = busy(button, text('form.recording'));
        try {
            await call(method, `/proposals/${this.proposal.id}/follow`);
            done();
            settle(form);
            this.setViewer({ is_following: method === 'PUT' });
            patch(form, render('follow', this.view()));
        } catch (error) {
            done();
            complain(form, problemFrom(error));
        }
    }

    private setViewer(change: Partial<NonNullable<Proposal['viewer']>>): void {
        const viewer = this.proposal.viewer ?? { has_supported: false, is_following: false };
        this.proposal = { ...this.proposal, viewer: { ...viewer, ...change } };
    }
}
