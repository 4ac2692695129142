// Texts that are written but not yet in the discussion, kept in localStorage so that a reload, a crash or
// a log-in does not lose them. Two kinds: the draft (what stands in a composer) and the outbox (what was
// sent and not confirmed; its client_id makes sending again harmless).
//
// A place is where a text belongs: "proposal.7", or "comment.12" for a reply. Texts belong to the user who
// wrote them: several people may use one device, and none finds what another has not published.

import type { Problem } from './api';

const DRAFT = 'viche.draft.';
const OUTBOX = 'viche.outbox.';

let owner = 0; // 0: a visitor, who has no texts

/** Whose texts are read and kept from now on; null for a visitor. */
export function useOwner(userId: number | null): void {
    owner = userId ?? 0;
}

export interface Outgoing {
    user_id: number;
    client_id: string;
    proposal_id: number;
    parent_id: number | null;
    depth: number;
    body: string;
    problem?: Problem; // why it was not taken, when that is known
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

const draftKey = (place: string): string => `${DRAFT}${owner}.${place}`;
const outboxKey = (message: Outgoing): string =>
    `${OUTBOX}${message.user_id}.${message.proposal_id}.${message.client_id}`;

export function readDraft(place: string): string {
    return (owner && read(draftKey(place))) || '';
}

export function saveDraft(place: string, text: string): void {
    if (!owner) return;
    if (text.trim()) write(draftKey(place), text);
    else remove(draftKey(place));
}

export function keepOutgoing(message: Outgoing): void {
    write(outboxKey(message), JSON.stringify(message));
}

export function forgetOutgoing(message: Outgoing): void {
    remove(outboxKey(message));
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

/** What the user sent to this proposal in earlier lives of the page and was never confirmed. */
export function unsent(proposalId: number): Outgoing[] {
    if (!owner) return [];
    return keys()
        .filter((key) => key.startsWith(`${OUTBOX}${owner}.${proposalId}.`))
        .map((key) => parse(read(key)))
        .filter(isOutgoing)
        .filter((message) => message.user_id === owner);
}

/** After a log-out nothing of the user's is left at this machine. */
export function forgetOwn(): void {
    for (const key of keys()) {
        if (key.startsWith(`${DRAFT}${owner}.`) || key.startsWith(`${OUTBOX}${owner}.`)) remove(key);
    }
}
