// The discussion of a proposal: which comments stand in the page, which wait, which are on their way.
//
//     event or refresh --> waiting --- the reader presses the pill, or reads at the end --> in the list
//     own, sent --> pending in the list --- 201 or the event, whichever is first --> the same node, real
//                        `-- refused --> failed in the list, with the text
//
// What others write never moves what the reader sees: it waits behind the pill, unless its place is below
// the view (where the pill is too, unseen), or at the end of the list while that end is in view. Nothing
// comes while the reader is typing.

import { announce } from './announce';
import type { Comment, PageData } from './data';
import { unsent, type Outgoing } from './draft';
import { dressComment, type CommentExtra } from './dress';
import { elementFrom, patch } from './patch';
import { isPaused } from './pause';
import { Pill } from './pill';
import { render } from './render';
import { plural } from './words';

const TOO_MANY = 50; // more than this and a fresh page is quicker to read than a filled one

export class Thread {
    private readonly list: HTMLElement;
    private readonly pill: Pill;
    private readonly waiting = new Map<number, Comment>();
    private readonly pending = new Map<string, Outgoing>();
    newestId = 0;

    constructor(
        readonly page: HTMLElement,
        private readonly data: PageData,
    ) {
        this.list = page.querySelector<HTMLElement>('[data-list="comments"]')!;
        this.pill = new Pill(this.list, page.querySelector('[data-pill]'), 'live.new_comments', () =>
            this.revealAll(),
        );
        for (const article of this.articles()) {
            this.newestId = Math.max(this.newestId, Number(article.dataset.comment) || 0);
        }
    }

    /** Who writes here; 0 for a visitor. */
    get userId(): number {
        return this.data.user?.id ?? 0;
    }

    articles(): HTMLElement[] {
        return Array.from(this.list.querySelectorAll<HTMLElement>('[data-comment]'));
    }

    find(id: number): HTMLElement | null {
        return this.list.querySelector(`[data-comment="${id}"]`);
    }

    isKnown(id: number): boolean {
        return this.waiting.has(id) || this.find(id) !== null;
    }

    /** A comment from an event or a refresh. Gives whether it is news. */
    receive(comment: Comment): boolean {
        if (this.isKnown(comment.id)) return false;
        this.newestId = Math.max(this.newestId, comment.id);
        if (comment.client_id && this.pending.has(comment.client_id)) {
            this.confirm(comment);
            return false;
        }
        if (this.isElsewhere(comment)) return false;
        if (this.mayInsert(comment)) {
            this.insert(comment);
        } else {
            this.waiting.set(comment.id, comment);
            this.pill.show(this.waiting.size);
        }
        return true;
    }

    // Among threads the place of a reply is below its parent, which may be on another page.
    private isElsewhere({ parent_id }: Comment): boolean {
        return this.list.dataset.sort === 'threads' && parent_id !== null && !this.isKnown(parent_id);
    }

    announceNew(count: number): void {
        announce('comments', () => plural('live.new_comments', Math.max(count, this.waiting.size)));
    }

    private html(comment: Comment, extra: CommentExtra = {}): string {
        return render('comment', dressComment(comment, this.data, extra));
    }

    private insert(comment: Comment): HTMLElement {
        const article = elementFrom(this.html(comment));
        article.classList.add('is-new');
        this.place(article, comment.parent_id);
        this.page.querySelector('[data-empty="comments"]')?.remove();
        return article;
    }

    // Newest first: at the top. Oldest first: at the end. Threads, newest first: an answer after the
    // last one of its parent.
    private place(article: HTMLElement, parentId: number | null): void {
        const sort = this.list.dataset.sort;
        const parent = parentId !== null && sort !== 'new' ? this.find(parentId) : null;
        if (sort === 'old') this.list.append(article);
        else if (parent) this.lastOfBranch(parent).after(article);
        else this.list.prepend(article);
    }

    private lastOfBranch(parent: HTMLElement): HTMLElement {
        const branch = new Set([parent.dataset.comment]);
        let last = parent;
        for (let at = parent.nextElementSibling; at instanceof HTMLElement; at = at.nextElementSibling) {
            if (!branch.has(at.dataset.parent)) break;
            branch.add(at.dataset.comment);
            last = at;
        }
        return last;
    }

    private mayInsert(comment: Comment): boolean {
        if (isPaused() || this.waiting.size > 0 || document.hidden) return false;
        if (document.activeElement?.matches('textarea, input, select')) return false;
        const end = this.list.getBoundingClientRect().bottom;
        const isEndInView = end >= 0 && end <= innerHeight;
        const isWhole = !this.page.querySelector('[data-more]');
        if (isEndInView) return isWhole && this.standsAtEnd(comment);
        if (this.list.dataset.sort === 'old' && !isWhole) return false; // its place is on a later page
        return this.placeTop(comment) >= innerHeight;
    }

    // Where the comment would begin, in pixels from the top of the view.
    private placeTop(comment: Comment): number {
        const list = this.list.getBoundingClientRect();
        const sort = this.list.dataset.sort;
        const parent = comment.parent_id !== null && sort !== 'new' ? this.find(comment.parent_id) : null;
        if (sort === 'old') return list.bottom;
        return parent ? this.lastOfBranch(parent).getBoundingClientRect().bottom : list.top;
    }

    private standsAtEnd(comment: Comment): boolean {
        const last = this.list.lastElementChild;
        if (!last || this.list.dataset.sort === 'old') return true;
        const parent = comment.parent_id === null ? null : this.find(comment.parent_id);
        return this.list.dataset.sort !== 'new' && parent !== null && this.lastOfBranch(parent) === last;
    }

    private revealAll(): void {
        if (this.waiting.size > TOO_MANY) {
            location.assign(`${location.pathname}?sort=new#discussion`);
            return;
        }
        const comments = Array.from(this.waiting.values()).sort((a, b) => a.id - b.id);
        this.waiting.clear();
        this.pill.hide();
        const articles = comments.map((comment) => this.insert(comment));
        const inOrder = this.articles().filter((article) => articles.includes(article));
        if (inOrder[0]) moveTo(inOrder[0]);
    }

    /** Shows an own comment that is being sent; takes the place of its failed self. */
    showSending(message: Outgoing): void {
        this.pending.set(message.client_id, message);
        this.showPending(message, { is_sending: true });
    }

    showFailed(message: Outgoing, failedText: string): void {
        this.pending.set(message.client_id, message);
        this.showPending(message, { failed_text: failedText });
    }

    private showPending(message: Outgoing, extra: CommentExtra): void {
        const html = this.html(pendingComment(message, this.data), extra);
        const old = this.nodeOf(message.client_id);
        if (old) {
            patch(old, html);
            return;
        }
        const article = elementFrom(html);
        this.page.querySelector('[data-empty="comments"]')?.remove();
        this.place(article, message.parent_id);
        if (extra.is_sending) moveTo(article);
    }

    /** The server has it: the node that was pending becomes the real one. */
    confirm(comment: Comment): void {
        const clientId = comment.client_id ?? '';
        this.pending.delete(clientId);
        this.waiting.delete(comment.id);
        this.pill.show(this.waiting.size);
        this.newestId = Math.max(this.newestId, comment.id);
        const node = this.nodeOf(clientId);
        const twin = this.find(comment.id);
        if (twin && node && twin !== node) node.remove();
        else if (node) patch(node, this.html({ ...comment, viewer: comment.viewer ?? { vote: 0 } }));
        else if (!twin) this.insert(comment);
    }

    /** Takes a pending comment away and gives its text. */
    withdraw(clientId: string): Outgoing | undefined {
        const message = this.pending.get(clientId);
        this.pending.delete(clientId);
        this.nodeOf(clientId)?.remove();
        return message;
    }

    isPending(clientId: string): boolean {
        return this.pending.has(clientId);
    }

    pendingOf(element: Element): Outgoing | undefined {
        const id = element.closest<HTMLElement>('[data-client-id]')?.dataset.clientId;
        return id ? this.pending.get(id) : undefined;
    }

    /** What earlier lives of the page sent and never saw confirmed, and is not in the page. */
    leftovers(): Outgoing[] {
        return unsent(Number(this.page.dataset.proposal));
    }

    /** The node of a comment that this page sent, pending or real. */
    nodeOf(clientId: string): HTMLElement | null {
        return this.list.querySelector(`[data-client-id="${CSS.escape(clientId)}"]`);
    }
}

function moveTo(article: HTMLElement): void {
    article.tabIndex = -1;
    article.focus({ preventScroll: true });
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    article.scrollIntoView({ block: 'nearest', behavior: isCalm ? 'auto' : 'smooth' });
}

function pendingComment(message: Outgoing, data: PageData): Comment {
    const paragraphs = message.body.split(/\n\s*\n/).map((part) => {
        const p = document.createElement('p');
        p.textContent = part;
        return p.outerHTML;
    });
    return {
        id: 0,
        proposal_id: message.proposal_id,
        parent_id: message.parent_id,
        depth: message.depth,
        author: data.user ?? { id: 0, name: '' },
        body: message.body,
        body_html: paragraphs.join(''),
        up: 0,
        down: 0,
        created_at: new Date().toISOString(),
        client_id: message.client_id,
        viewer: null,
    };
}
