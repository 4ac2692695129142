// Signing a proposal, following it, and its numbers. A signature is a promise: it shows as "recording"
// until the server has it, and the public number is only ever the server's.

import { announce, announceOwn } from './announce';
import { call, problemFrom, type Problem } from './api';
import type { PageData, Proposal, Supported } from './data';
import { dressProposal } from './dress';
import { watchDeadline } from './deadline';
import { busy, handleForm, isBusy, isResting, methodOf, rest } from './forms';
import { patch } from './patch';
import { whenRunning } from './pause';
import { complain, settle } from './problem';
import { render } from './render';
import { number, plural, text } from './words';

const CONFLICT = 409;

export class Support {
    private proposal: Proposal;
    private readonly deadlineDate: string;

    constructor(
        private readonly page: HTMLElement,
        private readonly data: PageData & { proposal: Proposal },
        private readonly onClosed: () => void,
    ) {
        this.proposal = data.proposal;
        this.deadlineDate = page.querySelector('[data-support] time')?.textContent ?? '';
        handleForm('support', (form, button) => this.press(form, button));
        handleForm('follow', (form, button) => this.follow(form, button));
        this.watch();
    }

    get commentCount(): number {
        return this.proposal.comment_count;
    }

    /** New numbers from an event or a refresh. */
    show(change: Partial<Proposal> & Partial<Supported>): void {
        const isNews = change.support_count !== undefined && change.support_count !== this.proposal.support_count;
        const wasClosed = this.proposal.state === 'closed';
        this.proposal = { ...this.proposal, ...change };
        this.data.proposal.state = this.proposal.state; // comments that are drawn from now on go by it
        if (!wasClosed && this.proposal.state === 'closed') this.onClosed();
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

    /** Fetches the numbers and the state again; throws what the call throws. */
    async refresh(): Promise<Proposal> {
        const proposal = await call<Proposal>('GET', `/proposals/${this.proposal.id}`);
        this.show({ support_count: proposal.support_count, state: proposal.state });
        return proposal;
    }

    // Time is over: the server says so by an event, but the page may be the first to know.
    private watch(): void {
        const deadline = (): string | null => (this.proposal.state === 'closed' ? null : this.proposal.deadline_at);
        watchDeadline(deadline, async () => void (await this.refresh()));
    }

    private async press(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form) || isResting(form)) return;
        const method = methodOf(form);
        const section = form.closest('[data-support]') ?? form;
        const done = busy(button, text('form.recording'));
        try {
            const answer = await call<Supported | null>(method, `/proposals/${this.proposal.id}/support`);
            done();
            rest(form);
            settle(section);
            this.setViewer({ has_supported: method === 'PUT', support_number: answer?.number ?? null });
            if (answer) this.show({ support_count: answer.support_count, state: answer.state });
            this.draw();
            announceOwn(text(method === 'PUT' ? 'support.signed' : 'support.withdrawn'));
        } catch (error) {
            done();
            await this.refuse(section, problemFrom(error));
        }
    }

    // The refusal may mean that the page is behind the server (time is over): it is brought up to date, and the
    // reason stands beside what was drawn again.
    private async refuse(section: Element, problem: Problem): Promise<void> {
        if (problem.status === CONFLICT) {
            await this.refresh().catch(problemFrom); // the reason is told below in any case
            this.draw();
        }
        const isFocusLost = !document.activeElement || document.activeElement === document.body;
        const note = complain(section, problem);
        if (!isFocusLost) return;
        note.tabIndex = -1;
        note.focus();
    }

    private async follow(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (isBusy(form) || isResting(form)) return;
        const method = methodOf(form);
        const done = busy(button, text('form.recording'));
        try {
            await call(method, `/proposals/${this.proposal.id}/follow`);
            done();
            rest(form);
            settle(form);
            this.setViewer({ is_following: method === 'PUT' });
            patch(form, render('follow', this.view()));
        } catch (error) {
            done();
            complain(form, problemFrom(error));
        }
    }

    private setViewer(change: Partial<NonNullable<Proposal['viewer']>>): void {
        const viewer = this.proposal.viewer ?? { has_supported: false, support_number: null, is_following: false };
        this.proposal = { ...this.proposal, viewer: { ...viewer, ...change } };
    }
}
