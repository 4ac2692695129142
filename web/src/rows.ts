// Lists of proposals follow the numbers of those they show: signatures, state, comments. Rows stay where they
// are; what is new or has risen shows with the next load.

import { call, problemFrom } from './api';
import type { Comment, List, PageData, Proposal, Supported } from './data';
import { dressRow } from './dress';
import type { Live } from './live';
import { patch } from './patch';
import { whenRunning } from './pause';
import { render } from './render';
import { signalArrival } from './status';

const MOST = 20; // channels that one page follows
const GATHER_MS = 200; // channels are subscribed one after the other; one request serves them all

export class Rows {
    private readonly places = new Map<number, HTMLElement[]>(); // one proposal may stand in two lists
    private readonly known = new Map<number, Proposal>();
    private readonly counted = new Set<number>(); // comments
    private batch: Promise<void> | null = null;

    constructor(
        page: HTMLElement,
        private readonly data: PageData,
    ) {
        for (const place of page.querySelectorAll<HTMLElement>('[data-proposal][data-channel]')) {
            const id = Number(place.dataset.proposal);
            const others = this.places.get(id);
            if (others) others.push(place);
            else if (this.places.size < MOST) this.places.set(id, [place]);
        }
    }

    get isEmpty(): boolean {
        return this.places.size === 0;
    }

    follow(live: Live): void {
        for (const [id, [place]] of this.places) {
            const onSupported = (numbers: Supported): void =>
                this.change(id, () => ({ support_count: numbers.support_count, state: numbers.state }));
            const onComment = (comment: Comment): void => {
                if (this.counted.has(comment.id)) return;
                this.counted.add(comment.id);
                this.change(id, (proposal) => ({ comment_count: proposal.comment_count + 1 }));
            };
            live.follow(
                place!.dataset.channel!,
                { 'proposal.supported': onSupported, 'comment.created': onComment },
                () => this.refresh(),
            );
        }
    }

    private change(id: number, changeOf: (proposal: Proposal) => Partial<Proposal>): void {
        const proposal = this.known.get(id);
        signalArrival();
        if (proposal) this.show({ ...proposal, ...changeOf(proposal) });
        else void this.refresh();
    }

    private show(proposal: Proposal): void {
        this.known.set(proposal.id, proposal);
        whenRunning(`row-${proposal.id}`, () => {
            const view = dressRow(proposal, this.data);
            for (const place of this.places.get(proposal.id) ?? []) {
                const signatures = place.querySelector('[data-count="signatures"]');
                if (signatures) signatures.textContent = view.signatures_text;
                else patch(place, render('proposalRow', view));
            }
        });
    }

    private refresh(): Promise<void> {
        this.batch ??= new Promise((done) => setTimeout(done, GATHER_MS)).then(() => {
            this.batch = null; // what is wanted from now on needs another look
            return this.fetch();
        });
        return this.batch;
    }

    private async fetch(): Promise<void> {
        const asked = new URLSearchParams(location.search);
        const query = new URLSearchParams({ limit: String(MOST) });
        for (const name of ['sort', 'cursor']) {
            const value = asked.get(name);
            if (value) query.set(name, value);
        }
        try {
            const { items } = await call<List<Proposal>>('GET', `/proposals?${query}`);
            const missing = new Set(this.places.keys());
            for (const proposal of items) {
                if (missing.delete(proposal.id)) this.show(proposal);
            }
            for (const id of missing) this.show(await call<Proposal>('GET', `/proposals/${id}`));
        } catch (error) {
            problemFrom(error); // the status in the header tells of the connection; the next refresh mends this
        }
    }
}
