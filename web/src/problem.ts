// Tells what went wrong with an action of the reader's own, beside the place where it was tried.

import type { Problem } from './api';
import { elementFrom } from './patch';
import { render } from './render';
import { text } from './words';

export const UNAUTHORIZED = 401;
export const OTHER_USER = 'other-user';

/** A sentence about it in the reader's language. */
export function problemText(problem: Problem): string {
    if (problem.status === 0) return text('form.no_answer');
    const fields = problem.errors.map((error) => error.detail);
    return (fields.length ? fields.join(' ') : problem.detail) || text('form.problem');
}

/** Where to log in, and to come back from to this place; null when that would not help. */
export function loginUrl(problem: Problem, hash = ''): string | null {
    if (problem.status !== UNAUTHORIZED) return null;
    return `/login?next=${encodeURIComponent(location.pathname + location.search + hash)}`;
}

/** Puts the problem after the element, in the place of an earlier one; gives the note. Beside what is drawn
 * again, not inside. */
export function complain(beside: Element, problem: Problem): HTMLElement {
    settle(beside);
    const view = {
        title: problem.title || text('form.problem'),
        detail: problemText(problem),
        login_url: loginUrl(problem, beside.closest('[id]') ? `#${beside.closest('[id]')!.id}` : ''),
    };
    const note = elementFrom(render('problem', { problem: view }));
    note.removeAttribute('id');
    if (problem.status === 0) note.dataset.unanswered = '';
    beside.after(note);
    return note;
}

/** After the connection is back: that the server did not answer is over. */
export function settleUnanswered(): void {
    for (const note of document.querySelectorAll('.problem[data-unanswered]')) note.remove();
}

/** Takes the problem after the element away. */
export function settle(beside: Element): void {
    const note = beside.nextElementSibling;
    if (note?.matches('.problem')) note.remove();
}
