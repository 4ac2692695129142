// The shapes that the API, the events and the pages share, and what this page says about itself.

export interface User {
    id: number;
    name: string;
}

export interface Comment {
    id: number;
    proposal_id: number;
    parent_id: number | null;
    depth: number;
    author: User;
    body: string;
    body_html: string;
    up: number;
    down: number;
    created_at: string;
    client_id: string | null;
    viewer?: { vote: number } | null;
}

export interface Proposal {
    id: number;
    state: string;
    support_count: number;
    threshold: number;
    comment_count: number;
    deadline_at: string;
    voting_id: number | null;
    viewer: { has_supported: boolean; support_number: number | null; is_following: boolean } | null;
}

export interface Supported {
    id: number;
    number?: number | null; // of the reader's signature; in answers, not in events
    support_count: number;
    threshold: number;
    state: string;
}

export interface Option {
    id: number;
    title: string;
    votes: number;
    percent: number;
}

export interface Voting {
    id: number;
    proposal_id: number;
    title: string;
    state: string;
    opens_at: string;
    closes_at: string;
    channel: string;
    voters: number;
    options: Option[];
    viewer: { option_id: number } | null;
}

export interface Tally {
    id: number;
    voters: number;
    state: string;
    options: { id: number; votes: number; percent: number }[];
}

export interface Notification {
    id: number;
    kind: string;
    actor: User;
    proposal: { id: number; title: string };
    comment_id: number | null;
    created_at: string;
    is_read: boolean;
}

export interface List<T> {
    items: T[];
    next: string | null;
}

export interface PageData {
    lang: 'uk' | 'en';
    user: User | null;
    pusher: { key: string; path: string };
    proposal?: Proposal;
    voting?: Voting;
}

export function pageData(): PageData | null {
    const element = document.getElementById('viche-data');
    return element ? (JSON.parse(element.textContent ?? '') as PageData) : null;
}
