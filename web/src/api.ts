// Calls of the JSON API with the session cookie of this page.

const TIMEOUT_MS = 15_000;

export interface Problem {
    status: number; // 0: no answer came
    code: string;
    title: string;
    detail: string;
    errors: { pointer: string; code: string; detail: string }[];
    retryAfterSeconds: number;
}

/** Every way in which a call fails. */
export class Refused extends Error {
    constructor(readonly problem: Problem) {
        super(problem.code);
    }
}

const noAnswer: Problem = {
    status: 0,
    code: 'network',
    title: '',
    detail: '',
    errors: [],
    retryAfterSeconds: 0,
};

async function problemOf(response: Response): Promise<Problem> {
    const said = (await response.json().catch(() => ({}))) as Partial<Problem>;
    return {
        status: response.status,
        code: said.code ?? 'unknown',
        title: said.title ?? '',
        detail: said.detail ?? '',
        errors: said.errors ?? [],
        retryAfterSeconds: Number(response.headers.get('Retry-After')) || 0,
    };
}

let viewer: number | null = null;

/** Whose page this is. What it writes is refused when somebody else has logged in meanwhile (409 other-user). */
export function useViewer(userId: number | null): void {
    viewer = userId;
}

export interface CallOptions {
    body?: unknown;
    key?: string; // Idempotency-Key: the same key makes the thing once, however often it is sent
    isLeaving?: boolean; // the page may go away before the answer comes
}

/** Answers the parsed body (null when there is none) or throws Refused. */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
    try {
        const headers: Record<string, string> = { Accept: 'application/json' };
        if (options.body !== undefined) headers['Content-Type'] = 'application/json';
        if (options.key) headers['Idempotency-Key'] = options.key;
        if (viewer && method !== 'GET') headers['Viche-User'] = String(viewer);
        const response = await fetch(`/api/v1${path}`, {
            method,
            headers,
            body: options.body === undefined ? null : JSON.stringify(options.body),
            credentials: 'same-origin',
            keepalive: options.isLeaving ?? false,
            signal: abort.signal,
        });
        if (!response.ok) throw new Refused(await problemOf(response));
        const text = await response.text();
        return (text ? JSON.parse(text) : null) as T;
    } catch (error) {
        if (error instanceof Refused) throw error;
        throw new Refused(noAnswer);
    } finally {
        clearTimeout(timer);
    }
}

/** The problem of a caught error; what is not one of ours is our bug and goes on. */
export function problemFrom(error: unknown): Problem {
    if (error instanceof Refused) return error.problem;
    throw error;
}

/** A random UUID (RFC 9562 version 4). crypto.randomUUID is absent on plain HTTP outside localhost. */
export function uuid(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
