// Writing comments: drafts are kept while typing, sent texts until they are confirmed.

import { call, problemFrom, uuid, type Problem } from './api';
import type { Comment } from './data';
import { forgetOutgoing, keepOutgoing, readDraft, saveDraft, type Outgoing } from './draft';
import { handleForm } from './forms';
import { elementFrom } from './patch';
import { loginUrl, OTHER_USER, problemText, UNAUTHORIZED } from './problem';
import type { Thread } from './thread';
import { text } from './words';

const FORM = 'form[data-form="comment"]';
const KEEP_MS = 300;

export class Composer {
    private readonly unsaved = new Map<string, string>();
    private readonly failed = new Map<string, { message: Outgoing; problem: Problem }>();
    private timer = 0;

    constructor(
        private readonly thread: Thread,
        private readonly onConfirmed: (comment: Comment) => void,
    ) {
        handleForm('comment', (form) => this.submit(form));
        thread.page.addEventListener('input', (event) => this.onInput(event));
        thread.page.addEventListener('click', (event) => this.onClick(event));
        thread.page.addEventListener('keydown', (event) => onKey(event));
        addEventListener('pagehide', () => this.save());
        document.addEventListener('toggle', (event) => this.onToggle(event), true);
        this.restore();
    }

    private placeOf(form: HTMLFormElement): string {
        const parent = parentOf(form);
        return parent === null ? `proposal.${this.thread.page.dataset.proposal}` : `comment.${parent}`;
    }

    private onInput(event: Event): void {
        const area = event.target;
        const form = area instanceof HTMLTextAreaElement ? area.closest<HTMLFormElement>(FORM) : null;
        if (!form) return;
        this.unsaved.set(this.placeOf(form), textarea(form).value);
        if (!this.timer) this.timer = window.setTimeout(() => this.save(), KEEP_MS);
    }

    private save(): void {
        clearTimeout(this.timer);
        this.timer = 0;
        for (const [place, words] of this.unsaved) saveDraft(place, words);
        this.unsaved.clear();
    }

    private forget(place: string): void {
        this.unsaved.delete(place);
        saveDraft(place, '');
    }

    // Drafts go back into their composers; what was sent and not confirmed is shown as such.
    private restore(): void {
        for (const form of this.thread.page.querySelectorAll<HTMLFormElement>(FORM)) this.fill(form);
        for (const message of this.thread.leftovers()) {
            if (this.thread.nodeOf(message.client_id)) forgetOutgoing(message);
            else this.showFailed(message, reasonAfterReload(message));
        }
    }

    // A text without a composer to go back to (the discussion is closed) can be read and copied, not edited.
    private showFailed(message: Outgoing, reason: string): void {
        this.thread.showFailed(message, reason);
        const edit = this.thread.nodeOf(message.client_id)?.querySelector<HTMLElement>('[data-edit]');
        if (edit) edit.hidden = this.formOf(message) === null;
    }

    private fill(form: HTMLFormElement): void {
        const area = textarea(form);
        const draft = readDraft(this.placeOf(form));
        if (!draft || area.value) return;
        area.value = draft;
        form.closest('details')?.setAttribute('open', '');
    }

    private onToggle(event: Event): void {
        const details = event.target;
        if (!(details instanceof HTMLDetailsElement) || !details.matches('.reply') || !details.open) return;
        const form = details.querySelector<HTMLFormElement>(FORM);
        if (!form) return;
        this.fill(form);
        textarea(form).focus();
    }

    private async submit(form: HTMLFormElement): Promise<void> {
        const area = textarea(form);
        const body = area.value.trim();
        if (!body) {
            area.focus();
            return;
        }
        const parent = parentOf(form);
        const message: Outgoing = {
            user_id: this.thread.userId,
            client_id: uuid(),
            proposal_id: Number(this.thread.page.dataset.proposal),
            parent_id: parent,
            depth: parent === null ? 1 : depthOf(this.thread.find(parent)) + 1,
            body,
        };
        keepOutgoing(message);
        this.forget(this.placeOf(form));
        area.value = '';
        form.closest('details')?.removeAttribute('open');
        await this.send(message);
    }

    private async send(message: Outgoing): Promise<void> {
        this.failed.delete(message.client_id);
        this.thread.showSending(message);
        try {
            const comment = await call<Comment>('POST', `/proposals/${message.proposal_id}/comments`, {
                body: { body: message.body, parent_id: message.parent_id, client_id: message.client_id },
                key: message.client_id,
            });
            forgetOutgoing(message);
            this.thread.confirm({ ...comment, client_id: message.client_id });
            this.onConfirmed(comment);
        } catch (error) {
            const problem = problemFrom(error);
            if (!this.thread.isPending(message.client_id)) return; // its event came: only the answer was lost
            keepOutgoing({ ...message, problem });
            this.failed.set(message.client_id, { message, problem });
            this.showFailed(message, problemText(problem));
            this.offerLogin(message, problem);
        }
    }

    private offerLogin(message: Outgoing, problem: Problem): void {
        const url = loginUrl(problem, '#discussion');
        const acts = this.thread.nodeOf(message.client_id)?.querySelector('[data-retry]')?.parentElement;
        if (!url || !acts) return;
        const link = elementFrom('<a class="button"></a>') as HTMLAnchorElement;
        link.href = url;
        link.textContent = text('comment.login');
        acts.prepend(link, ' ');
    }

    /** After the connection is back: what failed for want of an answer is sent again. Its key makes that
     * harmless when the answer alone was lost. */
    retryUnanswered(): void {
        for (const { message, problem } of Array.from(this.failed.values())) {
            if (problem.status === 0) void this.send(message);
        }
    }

    /** The event brought a comment of ours before the answer to its POST came. */
    confirmed(comment: Comment): void {
        const message = this.thread.leftovers().find((one) => one.client_id === comment.client_id);
        if (message) forgetOutgoing(message);
        if (comment.client_id) this.failed.delete(comment.client_id);
    }

    /** The discussion is closed: an empty composer goes; a text that is being written stays, to be copied. */
    close(): void {
        const form = this.thread.page.querySelector<HTMLFormElement>(`${FORM}.composer`);
        if (!form) return;
        const note = elementFrom('<p class="note"></p>');
        note.textContent = text('comment.closed');
        form.before(note);
        if (textarea(form).value.trim()) form.querySelector('button')!.disabled = true;
        else form.remove();
    }

    private onClick(event: Event): void {
        const button = event.target instanceof Element ? event.target.closest('button') : null;
        const message = button ? this.thread.pendingOf(button) : undefined;
        if (!button || !message) return;
        if (button.matches('[data-retry]')) void this.send(message);
        else if (button.matches('[data-edit]')) this.edit(message);
        else if (button.matches('[data-discard]')) this.discard(message);
    }

    private discard(message: Outgoing): void {
        this.failed.delete(message.client_id);
        this.thread.withdraw(message.client_id);
        forgetOutgoing(message);
        const form = this.formOf(message);
        if (form) textarea(form).focus();
    }

    // Back into the composer it came from, before what may be written there already.
    private edit(message: Outgoing): void {
        const form = this.formOf(message);
        if (!form) return;
        const area = textarea(form);
        area.value = area.value.trim() ? `${message.body}\n\n${area.value}` : message.body;
        saveDraft(this.placeOf(form), area.value);
        this.discard(message);
        form.closest('details')?.setAttribute('open', '');
        area.focus();
    }

    private formOf(message: Outgoing): HTMLFormElement | null {
        const parent = message.parent_id === null ? null : this.thread.find(message.parent_id);
        const near = parent?.querySelector<HTMLFormElement>(FORM);
        return near ?? this.thread.page.querySelector<HTMLFormElement>(`${FORM}.composer`);
    }
}

// A refusal holds after a reload; that there was no answer, no session or another's does not.
function reasonAfterReload({ problem }: Outgoing): string {
    const isOver = !problem || [0, UNAUTHORIZED].includes(problem.status) || problem.code === OTHER_USER;
    return isOver ? text('form.unconfirmed') : problemText(problem);
}

function textarea(form: HTMLFormElement): HTMLTextAreaElement {
    return form.querySelector<HTMLTextAreaElement>('textarea[name="body"]')!;
}

function parentOf(form: HTMLFormElement): number | null {
    const value = form.querySelector<HTMLInputElement>('input[name="parent_id"]')?.value;
    return value ? Number(value) : null;
}

function depthOf(article: HTMLElement | null): number {
    return Number(/\bdepth-(\d)/.exec(article?.className ?? '')?.[1] ?? 0);
}

function onKey(event: KeyboardEvent): void {
    const area = event.target;
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    if (area instanceof HTMLTextAreaElement) area.form?.requestSubmit();
}
