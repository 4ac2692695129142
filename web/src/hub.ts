// The operator's pages of the hub, kept as they are on the server: the page itself is asked for again every two seconds
// and its regions are put in place of ours. Without this script the link "reload" does the same.

const EVERY_MS = 2000;

const bar = document.querySelector<HTMLElement>('[data-hub-live]');
let isPaused = false;

const regions = (root: ParentNode): Map<string, HTMLElement> =>
    new Map([...root.querySelectorAll<HTMLElement>('[data-hub-region]')].map((e) => [e.dataset.hubRegion!, e]));

const links = (root: ParentNode): HTMLElement[] => [...root.querySelectorAll<HTMLElement>('a[href], [tabindex]')];

/** What has the focus keeps it: the same link, or the same place. */
function replace(ours: HTMLElement, html: string): void {
    const active = document.activeElement instanceof HTMLElement && ours.contains(document.activeElement) ? document.activeElement : null;
    const href = active?.getAttribute('href');
    const place = active ? links(ours).indexOf(active) : -1;
    const scrolled = [...ours.querySelectorAll('.hub-table')].map((e) => e.scrollLeft);
    ours.innerHTML = html;
    ours.querySelectorAll('.hub-table').forEach((e, i) => (e.scrollLeft = scrolled[i] ?? 0));
    if (!active) return;
    const same = links(ours).find((e) => href && e.getAttribute('href') === href) ?? links(ours)[place];
    same?.focus({ preventScroll: true });
}

/** Text that is being selected is left alone until it is not. */
function isSelected(region: HTMLElement): boolean {
    const selection = getSelection();
    return !!selection && !selection.isCollapsed && selection.containsNode(region, true);
}

function show(text: string): void {
    const theirs = regions(new DOMParser().parseFromString(text, 'text/html'));
    for (const [name, ours] of regions(document)) {
        const html = theirs.get(name)?.innerHTML;
        if (html !== undefined && html !== ours.innerHTML && !isSelected(ours)) replace(ours, html);
    }
}

function say(state: 'live' | 'paused' | 'lost'): void {
    const words = bar?.querySelector('[data-hub-state]');
    if (!bar || !words || bar.dataset.state === state) return;
    bar.dataset.state = state;
    words.textContent = bar.dataset[state] ?? '';
}

async function refresh(): Promise<void> {
    if (isPaused || document.hidden) return;
    try {
        const response = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
        // 404 is a page too: that of a connection that is gone
        if (!response.ok && response.status !== 404) throw new Error(String(response.status));
        const text = await response.text();
        if (isPaused) return;
        show(text);
        say('live');
    } catch {
        if (!isPaused) say('lost');
    }
}

async function follow(): Promise<void> {
    await refresh();
    setTimeout(() => void follow(), EVERY_MS);
}

function start(): void {
    const pause = bar?.querySelector<HTMLElement>('[data-hub-pause]');
    const box = pause?.querySelector('input');
    if (!bar || !pause || !box) return;
    bar.querySelector('[data-hub-reload]')?.setAttribute('hidden', '');
    pause.hidden = false;
    isPaused = box.checked; // the browser may remember it over a reload
    box.addEventListener('change', () => {
        isPaused = box.checked;
        if (isPaused) say('paused');
        else void refresh();
    });
    document.addEventListener('visibilitychange', () => void refresh());
    say(isPaused ? 'paused' : 'live');
    setTimeout(() => void follow(), EVERY_MS);
}

start();

export {};
