// A page that asks for itself anew when its channel says that something happened: every [data-region] becomes what
// the server draws now, by changing what differs. What [data-keep] marks is left alone, and told by an event.

import type { Live } from './live';
import { patch } from './patch';
import { whenRunning } from './pause';
import { signalArrival } from './status';

const TIMEOUT_MS = 10_000;

const regions = (root: ParentNode): Map<string, HTMLElement> =>
    new Map([...root.querySelectorAll<HTMLElement>('[data-region]')].map((e) => [e.dataset.region!, e]));

function show(html: string): void {
    const theirs = new DOMParser().parseFromString(html, 'text/html');
    const found = regions(theirs);
    for (const [name, ours] of regions(document)) {
        const next = found.get(name);
        if (next && !next.isEqualNode(ours)) patch(ours, next.outerHTML);
    }
    const data = document.getElementById('viche-data');
    const fresh = theirs.getElementById('viche-data');
    if (data && fresh) data.textContent = fresh.textContent;
    document.dispatchEvent(new Event('viche:refreshed'));
}

async function ask(): Promise<void> {
    if (document.hidden) return;
    try {
        const response = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
        if (response.ok) show(await response.text());
        else if (response.status === 404) location.reload(); // the page says it better: the job is gone
    } catch {
        // the connection's state is told by the header; the next event asks again
    }
}

async function refresh(): Promise<void> {
    whenRunning('page', () => void ask());
}

export function followPage(main: HTMLElement, live: Live): void {
    const onChanged = (): void => {
        signalArrival();
        void refresh();
    };
    live.follow(main.dataset.follow!, { 'queues.changed': onChanged }, refresh);
    document.addEventListener('visibilitychange', () => void refresh());
}
