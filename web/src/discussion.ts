// What happens in the discussion of a proposal, from events and from refreshes, brought to the list, the
// votes and the counts. An id counts once, however often it is heard.

import { call, problemFrom } from './api';
import type { Comment, List } from './data';
import { whenRunning } from './pause';
import type { Support } from './support';
import type { Thread } from './thread';
import type { CommentVotes, Votes } from './votes';

const MAX_PAGES = 3; // of missed comments that are fetched; after a longer gap the pill leads to a fresh page
const LIMIT = 50;

export class Discussion {
    private readonly counted = new Set<number>();

    constructor(
        private readonly proposalId: number,
        private readonly thread: Thread,
        private readonly votes: CommentVotes,
        private readonly support: Support,
    ) {}

    receive(comments: Comment[]): void {
        const news = comments.filter((comment) => {
            if (!this.thread.isKnown(comment.id)) this.count(comment);
            return this.thread.receive(comment);
        });
        if (news.length) this.thread.announceNew(news.length);
    }

    /** Counts a comment that is new to this page. */
    count(comment: Comment): void {
        if (this.counted.has(comment.id)) return;
        this.counted.add(comment.id);
        this.support.countComments(this.support.commentCount + 1);
    }

    showVotes(items: (Votes & { id: number })[]): void {
        for (const item of items) {
            whenRunning(`votes-${item.id}`, () => this.votes.show(item.id, item));
        }
    }

    /** Fetches what events may have been missed: numbers, new comments, votes of the newest. */
    async refresh(): Promise<void> {
        try {
            const proposal = await this.support.refresh();
            const hasNew = proposal.comment_count !== this.support.commentCount;
            if (hasNew) await this.fetchMissed();
            this.support.countComments(proposal.comment_count);
        } catch (error) {
            problemFrom(error); // the status in the header tells of the connection; the next refresh mends this
        }
    }

    private async fetchMissed(): Promise<void> {
        const since = this.thread.newestId;
        const missed: Comment[] = [];
        let query = `?sort=new&limit=${LIMIT}`;
        for (let page = 0; page < MAX_PAGES; page++) {
            const { items, next } = await call<List<Comment>>('GET', `/proposals/${this.proposalId}/comments${query}`);
            missed.push(...items.filter((comment) => comment.id > since));
            this.showVotes(items);
            if (!next || items.some((comment) => comment.id <= since)) break;
            query = `?sort=new&limit=${LIMIT}&cursor=${encodeURIComponent(next)}`;
        }
        this.receive(missed.reverse());
    }
}
