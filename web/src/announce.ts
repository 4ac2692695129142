// The one polite live region. What happens between two announcements is told together, and two are at
// least ten seconds apart, so that a busy discussion does not talk over the reader; what the reader did is told
// at once.

const GAP_MS = 10_000;

type Part = () => string;

const parts = new Map<string, Part>();
let last = -Infinity;
let timer = 0;

function say(): void {
    timer = 0;
    const region = document.querySelector('[data-announcer]');
    if (!region || parts.size === 0) return;
    last = performance.now();
    region.textContent = Array.from(parts.values(), (part) => part()).join(' ');
    parts.clear();
}

/** Says what the reader's own action came to: at once, with what waits. */
export function announceOwn(words: string): void {
    parts.set('own', () => words);
    clearTimeout(timer);
    timer = window.setTimeout(say);
}

/** Says part() soon; a later part of the same topic takes the place of one that waits. */
export function announce(topic: string, part: Part): void {
    parts.set(topic, part);
    if (timer) return;
    timer = window.setTimeout(say, Math.max(0, last + GAP_MS - performance.now()));
}
