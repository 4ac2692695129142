// Texts that are written but not yet in the discussion, kept in localStorage so that a reload, a crash or
// a log-in does not lose them. Two kinds: the draft (what stands in a composer) and the outbox (what was
// sent and not confirmed; its client_id makes sending again harmless).
//
// A place is where a text belongs: "proposal.7", or "comment.12" for a reply.

const DRAFT = 'viche.draft.';
const OUTBOX = 'viche.outbox.';

export interface Outgoing {
    client_id: string;
    proposal_id: number;
    parent_id: number | null;
    depth: number;
    body: string;
}

// Storage may be full or forbidden (private windows); then texts live as long as the page does.
function write(key: string, value: string): void {
    try {
        localStorage.setItem(key, value);
    } catch {
        // the text is still in the page
    }
}

function read(key: string): string | null {
    try {
        return localStorage.getItem(key);
    } catch {
        return null;
    }
}

function remove(key: string): void {
    try {
        localStorage.removeItem(key);
    } catch {
        // nothing was kept, then
    }
}

function keys(): string[] {
    try {
        return Object.keys(localStorage);
    } catch {
        return [];
    }
}

export function readDraft(place: string): string {
    return read(DRAFT + place) ?? '';
}

export function saveDraft(place: string, text: string): void {
    if (text.trim()) write(DRAFT + place, text);
    else remove(DRAFT + place);
}

export function keepOutgoing(message: Outgoing): void {
    write(`${OUTBOX}${message.proposal_id}.${message.client_id}`, JSON.stringify(message));
}

export function forgetOutgoing(message: Outgoing): void {
    remove(`${OUTBOX}${message.proposal_id}.${message.client_id}`);
}

function isOutgoing(value: unknown): value is Outgoing {
    const message = value as Partial<Outgoing> | null;
    return typeof message?.client_id === 'string' && typeof message.body === 'string';
}

function parse(text: string | null): unknown {
    try {
        return JSON.parse(text ?? 'null');
    } catch {
        return null;
    }
}

/** What was sent to this proposal in earlier lives of the page and never confirmed. */
export function unsent(proposalId: number): Outgoing[] {
    return keys()
        .filter((key) => key.startsWith(`${OUTBOX}${proposalId}.`))
        .map((key) => parse(read(key)))
        .filter(isOutgoing);
}

/** After a log-out the next person at this machine finds nothing. */
export function forgetAll(): void {
    for (const key of keys()) {
        if (key.startsWith(DRAFT) || key.startsWith(OUTBOX)) remove(key);
    }
}
