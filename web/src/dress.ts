// Views for the templates that the browser draws: the API's objects with the words and marks that the
// server adds in page_dress.c. Both must come to the same HTML.

import type { Comment, Notification, PageData, Proposal, Voting } from './data';
import { ago, exact, isUrgent, left } from './times';
import { number, plural, text } from './words';

const MAX_DEPTH = 3;
const PATTERNS = 6;
const LAST_MARK = 99.4; // of a mark that is 0.6 wide

export interface CommentExtra {
    is_sending?: boolean;
    failed_text?: string;
}

const times = (iso: string): object => ({ time_text: ago(iso), time_full: exact(iso) });
const percent = (part: number, whole: number): number => Math.floor((part * 100) / whole);
const withSign = (n: number): string => `${n}\u00a0%`;

export function dressComment(comment: Comment, data: PageData, extra: CommentExtra = {}): object {
    const isPending = comment.id === 0;
    const isOpen = data.proposal?.state !== 'closed';
    const vote = comment.viewer?.vote ?? 0;
    const isOwn = data.user !== null && comment.author.id === data.user.id;
    const canAct = !isPending && data.user !== null && isOpen;
    return {
        ...comment,
        ...times(comment.created_at),
        ...extra,
        id: isPending ? comment.client_id : comment.id,
        up_text: number(comment.up),
        down_text: number(comment.down),
        agree_label: plural('comment.agree_label', comment.up),
        disagree_label: plural('comment.disagree_label', comment.down),
        is_agreed: vote === 1,
        is_disagreed: vote === -1,
        agree_value: vote === 1 ? '0' : '1',
        disagree_value: vote === -1 ? '0' : '-1',
        is_own: isOwn,
        can_vote: canAct && !isOwn,
        can_reply: canAct && comment.depth < MAX_DEPTH,
        reply_label: text('comment.reply_to', { name: comment.author.name }),
    };
}

/** date: of the deadline, as the server wrote it in its own time zone. */
export function dressProposal(proposal: Proposal, data: PageData, date: string): object {
    const count = proposal.support_count;
    const threshold = Math.max(1, proposal.threshold);
    const whole = Math.max(count, threshold);
    const isClosed = proposal.state === 'closed';
    const signature = proposal.viewer?.support_number ?? null;
    return {
        ...proposal,
        is_anonymous: data.user === null,
        has_supported: proposal.viewer?.has_supported ?? false,
        is_following: proposal.viewer?.is_following ?? false,
        signed_text: signature ? text('support.signed_number', { number: number(signature) }) : '',
        count_text: number(count),
        of_text: plural('proposal.of_threshold', threshold),
        threshold_text: number(threshold),
        percent_text: withSign(percent(count, threshold)),
        bar: percent(count, whole),
        mark: Math.min(LAST_MARK, percent(threshold, whole)),
        missing_text: count < threshold ? plural('support.missing', threshold - count) : text('support.enough'),
        is_enough: count >= threshold,
        left_text: isClosed ? '' : left(proposal.deadline_at),
        is_urgent: !isClosed && isUrgent(proposal.deadline_at),
        deadline_date: date,
        can_sign: !isClosed,
        is_closed: isClosed,
    };
}

/** For a list of proposals. */
export function dressRow(proposal: Proposal, data: PageData): Record<string, unknown> & { signatures_text: string } {
    return {
        ...dressProposal(proposal, data, ''),
        url: `/proposals/${proposal.id}`,
        is_reached: proposal.state === 'reached',
        state_text: text(`proposal.state.${proposal.state}`),
        signatures_text: plural('proposal.signatures', proposal.support_count),
        comments_text: plural('proposal.comments', proposal.comment_count),
    };
}

export function dressVoting(voting: Voting, data: PageData): object {
    const mine = voting.viewer?.option_id ?? 0;
    const most = Math.max(...voting.options.map((option) => option.votes));
    const options = voting.options.map((option, i) => ({
        ...option,
        votes_text: plural('voting.votes', option.votes),
        votes_number: number(option.votes),
        percent_text: withSign(option.percent),
        bar: option.percent,
        is_mine: option.id === mine,
        is_leading: option.votes > 0 && option.votes === most,
        pattern: i % PATTERNS,
    }));
    const chosen = voting.options.find((option) => option.id === mine);
    const isOpen = voting.state === 'open';
    return {
        ...voting,
        url: `/votings/${voting.id}`,
        options,
        is_anonymous: data.user === null,
        is_open: isOpen,
        state_text: text(`voting.state.${voting.state}`),
        left_text: isOpen ? left(voting.closes_at) : '',
        is_urgent: isOpen && isUrgent(voting.closes_at),
        is_scheduled: voting.state === 'scheduled',
        is_closed: voting.state === 'closed',
        voters_text: plural('voting.voters', voting.voters),
        has_voted: chosen !== undefined,
        voted_text: chosen ? text('voting.voted', { option: chosen.title }) : '',
    };
}

export function dressNotification(notification: Notification): object {
    const id = notification.comment_id;
    const at = id === null ? '' : `?comment=${id}#comment-${id}`;
    return {
        ...notification,
        ...times(notification.created_at),
        kind_text: text(`notification.kind.${notification.kind}`),
        has_actor: notification.kind !== 'reached',
        url: `/proposals/${notification.proposal.id}${at}`,
    };
}
