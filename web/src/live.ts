// The connection to the hub (Laravel Echo over pusher-js) and what must be fetched again when it had a gap.
//
//     connecting --> live <--> reconnecting --> offline (the device has no network)
//
// A channel that was subscribed, for the first time or again, may have missed events before: its refresh
// runs then, unless the hub has sent them all (viche-echo). It also runs when the page was hidden for long, and with each attempt to connect once some
// have failed, so that a page whose sockets are blocked is only slower.
//
// pusher-js waits 15, 30 and 60 s for an attempt even when it was refused at once. So the attempts are
// started here: 2 s after the connection went, then less and less often, each at a random moment.

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

import { recover, type Recovery } from '../packages/viche-echo/index';
import type { PageData } from './data';

export type LiveState = 'connecting' | 'live' | 'reconnecting' | 'offline';
export type Handlers = Record<string, (data: never) => void>;
type Refresh = () => Promise<void>;

const RETRY_MIN_MS = 2_000;
const RETRY_MAX_MS = 15_000;
const PATIENCE = 3; // attempts
const HIDDEN_LONG_MS = 30_000;
const SPREAD_MS = 1_500; // after a restart of the server not all readers ask in the same moment

interface Followed {
    refresh: Refresh;
    isRunning: boolean;
    isWanted: boolean;
    wasSubscribed: boolean;
}

export class Live {
    private readonly echo: Echo<'reverb'>;
    private readonly recovery: Recovery;
    private readonly followed: Followed[] = [];
    private wasLive = false;
    private hiddenSince = 0;
    private isOffline = false; // navigator.onLine is wrong for servers on the same machine; its events are not
    private attempts = 0;
    private retry = 0;

    constructor(
        { key, path }: PageData['pusher'],
        private readonly onState: (state: LiveState) => void,
    ) {
        const isSecure = location.protocol === 'https:';
        const port = Number(location.port) || (isSecure ? 443 : 80);
        this.echo = new Echo({
            broadcaster: 'reverb',
            Pusher,
            key,
            wsHost: location.hostname,
            wsPath: path,
            wsPort: port,
            wssPort: port,
            forceTLS: isSecure,
            enabledTransports: [isSecure ? 'wss' : 'ws'], // the other can never work on this port
            authEndpoint: '/broadcasting/auth',
        });
        this.recovery = recover(this.echo.connector.pusher);
        this.watchConnection();
        this.watchPage();
    }

    /** Calls the handler of each event on the channel ("proposal.7", "private-user.3"); refresh fetches
     * what may have been missed. */
    follow(channel: string, handlers: Handlers, refresh: Refresh): void {
        const followed: Followed = { refresh, isRunning: false, isWanted: false, wasSubscribed: false };
        this.followed.push(followed);
        const prefix = 'private-';
        const subscribed = channel.startsWith(prefix)
            ? this.echo.private(channel.slice(prefix.length))
            : this.echo.channel(channel);
        for (const [event, handler] of Object.entries(handlers)) subscribed.listen(`.${event}`, handler);
        subscribed.listen('.recovery_lost', () => void this.refresh(followed));
        subscribed.subscribed(() => {
            if (followed.wasSubscribed && this.recovery.recovered(channel)) return;
            const wait = followed.wasSubscribed ? Math.random() * SPREAD_MS : 0;
            followed.wasSubscribed = true;
            setTimeout(() => this.refresh(followed), wait);
        });
    }

    // One at a time for each channel; what is wanted meanwhile runs once more afterwards.
    private async refresh(followed: Followed): Promise<void> {
        followed.isWanted = true;
        if (followed.isRunning) return;
        followed.isRunning = true;
        try {
            while (followed.isWanted) {
                followed.isWanted = false;
                await followed.refresh();
            }
        } finally {
            followed.isRunning = false;
        }
    }

    private refreshAll(): void {
        for (const followed of this.followed) void this.refresh(followed);
    }

    private watchConnection(): void {
        const { connection } = this.echo.connector.pusher;
        const tell = (): void => this.onState(this.stateOf(connection.state));
        connection.bind('state_change', () => {
            this.expectConnection(connection.state);
            tell();
        });
        for (const event of ['online', 'offline']) {
            addEventListener(event, () => {
                this.isOffline = event === 'offline';
                tell();
            });
        }
        this.expectConnection(connection.state);
        tell();
    }

    private expectConnection(connection: string): void {
        if (connection === 'connected') {
            clearTimeout(this.retry);
            this.retry = 0;
            this.attempts = 0;
        } else if (!this.retry) {
            const longest = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.attempts);
            this.retry = window.setTimeout(() => this.connectAgain(), longest * (0.5 + Math.random() / 2));
        }
    }

    private connectAgain(): void {
        const { pusher } = this.echo.connector;
        this.attempts++;
        pusher.disconnect();
        this.retry = 0;
        pusher.connect();
        if (this.attempts >= PATIENCE) this.refreshAll();
    }

    private stateOf(connection: string): LiveState {
        if (connection === 'connected') {
            this.wasLive = true;
            return this.isOffline ? 'offline' : 'live';
        }
        if (this.isOffline) return 'offline';
        const isFirst = !this.wasLive && (connection === 'initialized' || connection === 'connecting');
        return isFirst ? 'connecting' : 'reconnecting';
    }

    private watchPage(): void {
        document.addEventListener('visibilitychange', () => {
            if (document.hidden) this.hiddenSince = performance.now();
            else if (performance.now() - this.hiddenSince > HIDDEN_LONG_MS) this.refreshAll();
        });
        addEventListener('pageshow', (event) => {
            if (event.persisted) this.refreshAll();
        });
    }
}
