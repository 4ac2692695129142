// Times in words: the browser's side of src/page/page_time.h. Relative times are drawn again
// each minute.

import { plural, text } from './words';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const two = (n: number): string => String(n).padStart(2, '0');

/** "12:04", by the clock of the reader. */
export function clockTime(at: Date): string {
    return `${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** "EET", "GMT+2": the page was drawn by the clock of the server, which may be another. */
function zone(at: Date): string {
    const parts = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts(at);
    return parts.find((part) => part.type === 'timeZoneName')?.value ?? '';
}

function format(key: string, at: Date): string {
    return text(key, {
        day: String(at.getDate()),
        month: text(`time.month.${at.getMonth() + 1}`),
        year: String(at.getFullYear()),
        time: `${clockTime(at)} ${zone(at)}`,
    });
}

/** "5 minutes ago"; a date when it is longer ago than 30 days. */
export function ago(iso: string, now = Date.now()): string {
    const at = Date.parse(iso);
    const age = now - at;
    if (age < 45_000) return text('time.now');
    if (age < HOUR) return plural('time.minutes', Math.max(1, Math.floor(age / MINUTE)));
    if (age < DAY) return plural('time.hours', Math.floor(age / HOUR));
    if (age < 30 * DAY) return plural('time.days', Math.floor(age / DAY));
    return format('time.date', new Date(at));
}

/** "25 November 2026, 12:04 EET" */
export function exact(iso: string): string {
    return format('time.date_time', new Date(iso));
}

/** "12 days left" */
export function left(iso: string, now = Date.now()): string {
    const rest = Date.parse(iso) - now;
    if (rest <= 0) return text('time.over');
    if (rest < MINUTE) return text('time.left_soon');
    if (rest < HOUR) return plural('time.left_minutes', Math.floor(rest / MINUTE));
    if (rest < 2 * DAY) return plural('time.left_hours', Math.floor(rest / HOUR));
    return plural('time.left_days', Math.floor(rest / DAY));
}

const URGENT_MS = 48 * HOUR;

/** Whether so little time is left that the page says so. */
export function isUrgent(iso: string): boolean {
    return Date.parse(iso) - Date.now() < URGENT_MS;
}

function drawTimes(): void {
    const put = (place: HTMLElement, words: string): void => {
        if (place.textContent !== words) place.textContent = words;
    };
    for (const time of document.querySelectorAll<HTMLTimeElement>('time[datetime][title]')) put(time, ago(time.dateTime));
    for (const place of document.querySelectorAll<HTMLElement>('[data-until]')) {
        const until = place.dataset.until ?? '';
        put(place, left(until));
        place.classList.toggle('is-urgent', isUrgent(until));
    }
}

/** Draws the times of comments and notifications, and those that are left, again each minute. */
export function startTimes(): void {
    setInterval(drawTimes, MINUTE);
}
