// Times in words: the browser's side of what page_dress does with times. Relative times are drawn again
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

export function date(at: Date): string {
    return text('time.date', {
        day: String(at.getDate()),
        month: text(`time.month.${at.getMonth() + 1}`),
        year: String(at.getFullYear()),
    });
}

/** "5 minutes ago"; a date when it is longer than a week ago. */
export function ago(iso: string, now = Date.now()): string {
    const at = Date.parse(iso);
    const age = now - at;
    if (age < MINUTE) return text('time.now');
    if (age < HOUR) return plural('time.minutes', Math.floor(age / MINUTE));
    if (age < DAY) return plural('time.hours', Math.floor(age / HOUR));
    if (age < 7 * DAY) return plural('time.days', Math.floor(age / DAY));
    return date(new Date(at));
}

/** "25 November 2026, 12:04" */
export function exact(iso: string): string {
    const at = new Date(iso);
    return text('time.date_time', {
        day: String(at.getDate()),
        month: text(`time.month.${at.getMonth() + 1}`),
        year: String(at.getFullYear()),
        time: clockTime(at),
    });
}

/** "12 days left" */
export function left(iso: string, now = Date.now()): string {
    const rest = Date.parse(iso) - now;
    if (rest <= 0) return text('time.over');
    if (rest >= DAY) return plural('time.left_days', Math.floor(rest / DAY));
    if (rest >= HOUR) return plural('time.left_hours', Math.floor(rest / HOUR));
    if (rest >= MINUTE) return plural('time.left_minutes', Math.floor(rest / MINUTE));
    return text('time.left_soon');
}

/** Draws the relative times of comments and notifications again, each minute. */
export function startTimes(): void {
    setInterval(() => {
        for (const time of document.querySelectorAll<HTMLTimeElement>('time[datetime][title]')) {
            const words = ago(time.dateTime);
            if (time.textContent !== words) time.textContent = words;
        }
    }, MINUTE);
}
