// The browser's part of Viche. Pages work without it; with it forms answer in place and everything that
// happens elsewhere shows here.
//
//     event --> live --> thread, votes, support, ballot, bell --> patch (the page)
//     form --> forms --> composer, votes, support, ballot, bell --> api --> the same
//
// Each module says what it keeps to; here they are only wired.

import { useViewer } from './api';
import { Ballot } from './ballot';
import { Bell } from './bell';
import { Composer } from './composer';
import { pageData, type Comment, type Notification, type PageData, type Supported, type Tally } from './data';
import { forgetOwn, useOwner } from './draft';
import { startForms } from './forms';
import { Live, type LiveState } from './live';
import { startPause } from './pause';
import { Discussion } from './discussion';
import { settleUnanswered } from './problem';
import { startProposalDraft } from './proposal_draft';
import { followPage } from './refresh';
import { useReader } from './render';
import { Rows } from './rows';
import { setStatus, showStatus, signalArrival } from './status';
import { Support } from './support';
import { Thread } from './thread';
import { startTimes } from './times';
import { CommentVotes } from './votes';
import { VotingRows } from './voting_rows';
import { useLang } from './words';

type StateListener = (state: LiveState) => void;

function startProposal(page: HTMLElement, data: PageData, live: Live, listeners: StateListener[]): void {
    if (!data.proposal) return;
    const thread = new Thread(page, data);
    const votes = new CommentVotes(thread);
    const support = new Support(page, { ...data, proposal: data.proposal }, () => composer.close());
    const discussion = new Discussion(data.proposal.id, thread, votes, support);
    const composer = new Composer(thread, (comment) => discussion.count(comment));
    listeners.push((state) => state === 'live' && composer.retryUnanswered());
    live.follow(
        page.dataset.channel!,
        {
            'comment.created': (comment: Comment) => {
                signalArrival();
                composer.confirmed(comment);
                discussion.receive([comment]);
            },
            'comment.voted': ({ items }: { items: { id: number; up: number; down: number }[] }) => {
                signalArrival();
                discussion.showVotes(items);
            },
            'proposal.supported': (numbers: Supported) => {
                signalArrival();
                support.show(numbers);
            },
        },
        () => discussion.refresh(),
    );
}

function startVoting(page: HTMLElement, data: PageData, live: Live): void {
    if (!data.voting) return;
    const ballot = new Ballot(page, { ...data, voting: data.voting });
    const onTally = (tally: Tally): void => {
        signalArrival();
        ballot.show(tally);
    };
    live.follow(page.dataset.channel!, { 'voting.tally': onTally }, () => ballot.refresh());
}

function startBell(userId: number, live: Live): void {
    const bell = new Bell(userId);
    const onCreated = (event: { notification: Notification; unread_count: number }): void => {
        signalArrival();
        bell.receive(event.notification, event.unread_count);
    };
    live.follow(`private-user.${userId}`, { 'notification.created': onCreated }, () => bell.refresh());
}

function follow(data: PageData, page: HTMLElement | null, lists: (Rows | VotingRows)[]): void {
    startPause(showStatus);
    const listeners: StateListener[] = [setStatus, (state) => state === 'live' && settleUnanswered()];
    const live = new Live(data.pusher, (state) => listeners.forEach((listener) => listener(state)));
    if (page?.dataset.page === 'proposal') startProposal(page, data, live, listeners);
    if (page?.dataset.page === 'voting') startVoting(page, data, live);
    for (const list of lists) list.follow(live);
    const followed = document.querySelector<HTMLElement>('main[data-follow]');
    if (followed) followPage(followed, live);
    if (data.user) startBell(data.user.id, live);
}

function start(): void {
    const data = pageData();
    if (!data) return;
    useLang(data.lang);
    useOwner(data.user?.id ?? null);
    useViewer(data.user?.id ?? null);
    useReader(data.user);
    startTimes();
    startProposalDraft();
    const page = document.querySelector<HTMLElement>('main[data-channel]');
    const home = document.querySelector<HTMLElement>('main:is([data-page="home"], [data-page="proposals"])');
    const lists = home ? [new Rows(home, data), new VotingRows(home, data)].filter((list) => !list.isEmpty) : [];
    // A page that follows nothing does not say that it is live.
    if (page || data.user || lists.length > 0) follow(data, page, lists);
    startForms();
    document.addEventListener('submit', (event) => {
        if (event.target instanceof HTMLFormElement && event.target.dataset.form === 'logout') forgetOwn();
    });
}

start();
