// For and against a comment: a reversible toggle, so it shows at once and is taken back when refused.

import { call, problemFrom } from './api';
import { handleForm, isResting, rest } from './forms';
import { complain, settle } from './problem';
import type { Thread } from './thread';
import { number, plural } from './words';

export interface Votes {
    up: number;
    down: number;
}

interface Stand extends Votes {
    vote: number;
}

interface Answer extends Votes {
    id: number;
    viewer: { vote: number } | null;
}

const digits = (text: string | null | undefined): number => Number((text ?? '').replace(/\D/g, ''));

function read(article: HTMLElement): Stand {
    const [up, down] = Array.from(article.querySelectorAll('.votes .n'), (n) => digits(n.textContent));
    const [agree, disagree] = Array.from(article.querySelectorAll('.votes button'), isPressed);
    return { up: up ?? 0, down: down ?? 0, vote: agree ? 1 : disagree ? -1 : 0 };
}

function isPressed(button: Element): boolean {
    return button.getAttribute('aria-pressed') === 'true';
}

function write(article: HTMLElement, stand: Stand): void {
    const sides = [
        { n: stand.up, value: 1, label: 'comment.agree_label' },
        { n: stand.down, value: -1, label: 'comment.disagree_label' },
    ];
    const places = article.querySelectorAll('.votes .n');
    const buttons = article.querySelectorAll<HTMLButtonElement>('.votes button');
    sides.forEach(({ n, value, label }, i) => {
        const place = places[i];
        const button = buttons[i];
        if (place && place.textContent !== number(n)) place.textContent = number(n);
        if (!button) return;
        const isOn = stand.vote === value;
        button.setAttribute('aria-pressed', String(isOn));
        button.setAttribute('aria-label', plural(label, n));
        button.value = String(isOn ? 0 : value);
    });
}

function after(stand: Stand, vote: number): Stand {
    return {
        up: stand.up + Number(vote === 1) - Number(stand.vote === 1),
        down: stand.down + Number(vote === -1) - Number(stand.vote === -1),
        vote,
    };
}

export class CommentVotes {
    // What the reader wants while a request of theirs is under way, and what events said meanwhile.
    private readonly running = new Map<number, { wanted: number; heard: Votes | null }>();

    constructor(private readonly thread: Thread) {
        handleForm('comment-vote', (form, button) => this.press(form, button));
    }

    /** New counts from an event or a refresh. */
    show(id: number, votes: Votes): void {
        const article = this.thread.find(id);
        const running = this.running.get(id);
        if (running) running.heard = votes;
        else if (article) write(article, { ...read(article), up: votes.up, down: votes.down });
    }

    private async press(form: HTMLFormElement, button: HTMLButtonElement | null): Promise<void> {
        if (button && isResting(button)) return;
        const vote = Number(button?.value ?? 0);
        const article = form.closest<HTMLElement>('[data-comment]');
        const id = Number(article?.dataset.comment);
        if (!article || !id) throw new Error('a vote outside a comment');
        const before = read(article);
        write(article, after(before, vote));
        if (button) rest(button);
        const running = this.running.get(id);
        if (running) running.wanted = vote;
        else await this.send(article, form, id, before, vote);
    }

    private async send(article: HTMLElement, form: HTMLFormElement, id: number, before: Stand, vote: number): Promise<void> {
        const running = { wanted: vote, heard: null as Votes | null };
        this.running.set(id, running);
        let known = before;
        try {
            let sent: number | null = null;
            while (sent !== running.wanted) {
                sent = running.wanted;
                const answer = await call<Answer>('PUT', `/comments/${id}/vote`, { body: { value: sent } });
                known = { up: answer.up, down: answer.down, vote: sent };
            }
            settle(form);
        } catch (error) {
            complain(form, problemFrom(error));
        } finally {
            this.running.delete(id);
            write(article, { ...known, ...running.heard });
        }
    }
}
