// The connection to the hub (Laravel Echo over pusher-js) and what must be fetched again when it had a gap.
//
//     connecting --> live <--> reconnecting --> offline (the device has no network)
//
// A channel that was subscribed, for the first time or again, may have missed events before: its refresh
// runs then. It also runs when the page was hidden for long, and every 15 s while no socket can be had.

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';

export type LiveState = 'connecting' | 'live' | 'reconnecting' | 'offline';
export type Handlers = Record<string, (data: never) => void>;
type Refresh = () => Promise<void>;

const POLL_MS = 15_000;
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
    private readonly followed: Followed[] = [];
    private wasLive = false;
    private hiddenSince = 0;
    private isOffline = false; // navigator.onLine is wrong for servers on the same machine; its events are not
    private poll = 0;

    constructor(
        key: string,
        private readonly onState: (state: LiveState) => void,
    ) {
        const isSecure = location.protocol === 'https:';
        const port = Number(location.port) || (isSecure ? 443 : 80);
        this.echo = new Echo({
            broadcaster: 'reverb',
            Pusher,
            key,
            wsHost: location.hostname,
            wsPort: port,
            wssPort: port,
            forceTLS: isSecure,
            enabledTransports: ['ws', 'wss'],
            authEndpoint: '/broadcasting/auth',
        });
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
        subscribed.subscribed(() => {
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
        connection.bind('state_change', tell);
        for (const event of ['online', 'offline']) {
            addEventListener(event, () => {
                this.isOffline = event === 'offline';
                tell();
            });
        }
        tell();
    }

    private stateOf(connection: string): LiveState {
        clearInterval(this.poll);
        if (connection === 'connected') {
            this.wasLive = true;
            return this.isOffline ? 'offline' : 'live';
        }
        if (connection === 'unavailable' || connection === 'failed') {
            this.poll = window.setInterval(() => this.refreshAll(), POLL_MS);
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
