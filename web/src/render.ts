// The templates that the browser draws too: the same files, the same views as on the server.

import Mustache from 'mustache';

import comment from '../templates/comment.mustache';
import follow from '../templates/follow.mustache';
import notification from '../templates/notification.mustache';
import problem from '../templates/problem.mustache';
import proposalRow from '../templates/proposal_row.mustache';
import support from '../templates/support.mustache';
import votingBallot from '../templates/voting_ballot.mustache';
import votingResults from '../templates/voting_results.mustache';
import votingRow from '../templates/voting_row.mustache';
import type { User } from './data';
import { texts } from './words';

const templates = { comment, follow, notification, problem, proposalRow, support, votingBallot, votingResults, votingRow };

let user: User | null = null;

/** Whose page this is. */
export function useReader(next: User | null): void {
    user = next;
}

export function render(name: keyof typeof templates, view: object): string {
    return Mustache.render(templates[name], { t: texts(), user, ...view });
}
