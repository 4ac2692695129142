// The sign of the header that says whether the page is live: always in words, besides the bell.

import { announce } from './announce';
import type { LiveState } from './live';
import { isPaused } from './pause';
import { clockTime } from './times';
import { text } from './words';

const ARRIVED_MS = 2_000;
const BACK_MS = 5_000;

let state: LiveState = 'connecting';
let freshUntil = new Date();
let timer = 0;

function show(look: string, words: string): void {
    const status = document.querySelector<HTMLElement>('[data-live-status]');
    if (!status) return;
    status.hidden = false;
    status.dataset.state = look;
    const place = status.querySelector('[data-live-text]');
    if (place && place.textContent !== words) place.textContent = words;
}

function wordsOf(now: LiveState): string {
    if (now === 'live') return text(isPaused() ? 'live.paused' : 'live.live');
    return text(`live.${now}`, { time: clockTime(freshUntil) });
}

/** Shows the state again, for instance after the switch for pausing was used. */
export function showStatus(): void {
    clearTimeout(timer);
    show(state === 'live' && isPaused() ? 'paused' : state, wordsOf(state));
}

export function setStatus(next: LiveState): void {
    if (next === state) return showStatus();
    const previous = state;
    if (previous === 'live') freshUntil = new Date();
    state = next;
    showStatus();
    if (next === 'live' && previous !== 'connecting') {
        if (!isPaused()) show('live', text('live.back'));
        announce('status', () => text('live.back'));
        timer = window.setTimeout(showStatus, BACK_MS);
    } else if (next !== 'live' && previous === 'live') {
        announce('status', () => wordsOf(state));
    }
}

/** Something came: the bell swings once. */
export function signalArrival(): void {
    if (state !== 'live' || isPaused()) return;
    show('arrived', text('live.arrived'));
    clearTimeout(timer);
    timer = window.setTimeout(showStatus, ARRIVED_MS);
}
