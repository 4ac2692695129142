// Deadlines that pass while a page is open.

const JITTER_MS = 2_000; // not all readers ask in the same moment
const AGAIN_MS = 5_000; // when the clock here is ahead of the server's
const AGAIN_MAX_MS = 60_000;
const LONGEST_MS = 60_000; // timers stand still while a device sleeps, so a long wait is made of short ones

/**
 * Calls onDue after the moment has passed, and again, less and less often, until deadline() is another
 * moment (the state has turned) or null (it will not turn any more). onDue may throw; the next call mends that.
 */
export function watchDeadline(deadline: () => string | null, onDue: () => Promise<void>): void {
    let seen = deadline();
    let again = AGAIN_MS;
    const wait = (ms: number): void => void setTimeout(look, ms);
    const look = (): void => {
        const at = deadline();
        if (at !== seen) again = AGAIN_MS;
        seen = at;
        if (at === null) return; // over for good
        const rest = Date.parse(at) - Date.now();
        if (rest > 0) return wait(Math.min(rest, LONGEST_MS) + (rest <= LONGEST_MS ? Math.random() * JITTER_MS : 0));
        const next = again;
        again = Math.min(again * 2, AGAIN_MAX_MS);
        onDue().then(
            () => wait(next),
            () => wait(next),
        );
    };
    look();
}
