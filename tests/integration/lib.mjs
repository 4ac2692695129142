// lib.mjs -- starts the real server for tests, on a free loopback port and a folder of its own.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const viche = resolve(root, process.env.VICHE ?? 'build/debug/viche');
export const app = { id: '1001', key: 'test-key', secret: 'test-secret' };

// Reports of the sanitizers end up in stderr and make the exit status 99.
const sanitizer = {
    ASAN_OPTIONS: 'exitcode=99:detect_leaks=1',
    UBSAN_OPTIONS: 'halt_on_error=1:exitcode=99:print_stacktrace=1',
    TSAN_OPTIONS: 'exitcode=99:halt_on_error=0',
};

export const MAX_STEP_MS = 1000;

/**
 * Waits until fn() gives something true; fails after ms. Asks less often the longer it waits: to ask is often a process. Of a
 * time in which the whole machine stood still no more than a second counts: nobody could do anything in it.
 */
export async function until(fn, what = 'condition', ms = 60000) {
    for (let waited = 0; ; ) {
        const began = performance.now();
        const value = await fn();
        if (value) return value;
        if (waited > ms) throw new Error(`timed out waiting for ${what}`);
        await new Promise((done) => setTimeout(done, Math.min(20 + waited / 5, 250)));
        waited += Math.min(performance.now() - began, MAX_STEP_MS);
    }
}

/**
 * fn(clock, i) does what is promised to a client that is in time: it must take less than ms from its beginning, or from
 * clock.start() where it calls that, to its end, and with clock.lap() between from each to the next. Gives its value, or its
 * error. Where it took longer, this machine was too slow to show what is promised: it is done anew, i counts, for names of its own.
 */
export async function within(ms, fn) {
    let error;
    for (let i = 0; i < 10; i++) {
        let since = performance.now(), longest = 0;
        const clock = {
            start: () => void (since = performance.now()),
            lap: () => {
                longest = Math.max(longest, performance.now() - since);
                since = performance.now();
            },
        };
        error = undefined;
        const value = await fn(clock, i).catch((e) => void (error = e));
        clock.lap();
        if (longest >= ms) continue;
        if (error) throw error;
        return value;
    }
    throw new Error(`this machine does nothing within ${ms} ms`, { cause: error });
}

const looked = new Set();

/** Whether a command with these options runs for the first time here: leaks are looked for once, for it takes a third of a run. */
function isNew(args) {
    const shape = args.filter((word, i) => word.startsWith('--') || (i < 3 && /^[a-z-]+$/.test(word))).join(' ');
    return !looked.has(shape) && looked.add(shape);
}

/** Runs `viche ARGS` to its end: {status, stdout, stderr}. */
export function runViche(args, options = {}) {
    const leaks = isNew(args) ? {} : { ASAN_OPTIONS: 'exitcode=99:detect_leaks=0' };
    const r = spawnSync(viche, args, {
        encoding: 'utf8',
        ...options,
        env: { ...process.env, ...sanitizer, ...leaks, ...options.env },
    });
    return { status: r.status, signal: r.signal, stdout: r.stdout, stderr: r.stderr };
}

const left = new Set(); // servers that run
process.on('exit', () => {
    for (const child of left) child.kill('SIGKILL');
});

/**
 * Starts `viche serve` and waits until it serves.
 * seed: true runs `viche seed --demo` first. args, env: added. tls: {cert, key} files: serves TLS too.
 * Gives {url, host, port, tlsPort, dataDir, pid, child, log(), stop(), kill9(), restart()}; stop() fails when the
 * server did not end with status 0 (a sanitizer's finding, a crash).
 */
export async function startServer({ seed = false, args = [], env = {}, dataDir, port = 0, tls } = {}) {
    const ownDir = dataDir === undefined;
    const dir = dataDir ?? mkdtempSync(join(tmpdir(), 'viche-test-'));
    const fullEnv = {
        ...process.env,
        ...sanitizer,
        REVERB_APP_ID: app.id,
        REVERB_APP_KEY: app.key,
        REVERB_APP_SECRET: app.secret,
        REVERB_APP_PING_INTERVAL: '3600', // clients that only read get nothing else, however long a slow machine takes
        ...env,
    };
    if (seed) {
        const r = runViche(['seed', '--demo', '--data', dir], { env: fullEnv });
        if (r.status !== 0) throw new Error(`seed failed (${r.status}): ${r.stderr}`);
    }
    const server = { dataDir: dir, host: '127.0.0.1', port, tlsPort: 0, url: '', pid: 0, child: null };
    let log = '';

    const start = async () => {
        const listen = `127.0.0.1:${server.port}` + (tls ? `,tls://127.0.0.1:${server.tlsPort}` : '');
        const own = ['--listen', listen, '--data', dir, ...(tls ? ['--tls-cert', tls.cert, '--tls-key', tls.key] : [])];
        const child = spawn(viche, ['serve', ...own, ...args], {
            env: fullEnv,
            stdio: ['ignore', 'ignore', 'pipe'],
        });
        left.add(child);
        child.unref(); // a test that failed leaves its server: node shall not wait for it
        child.stderr.unref();
        child.ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
        let ended = null;
        child.ended.then((r) => {
            ended = r;
            left.delete(child);
        });
        let ready = '';
        child.stderr.setEncoding('utf8');
        child.stderr.on('data', (text) => {
            log += text;
            if (log.length > 4e6) log = log.slice(-2e6);
            ready += ready.length < 1e5 ? text : '';
        });
        server.child = child;
        server.pid = child.pid;
        const match = await until(
            () => {
                if (ended) throw new Error(`the server ended (${JSON.stringify(ended)}): ${log}`);
                return ready.match(/at=app\.ready .*port=(\d+)(?:,(\d+))?/);
            },
            'the server to be ready',
        );
        server.port = Number(match[1]);
        server.tlsPort = Number(match[2] ?? 0);
        server.url = `http://127.0.0.1:${server.port}`;
    };
    const clean = () => {
        if (ownDir) rmSync(dir, { recursive: true, force: true });
    };

    server.log = () => log;
    /** SIGTERM; fails unless the server ends with status 0. */
    server.stop = async ({ keep = false } = {}) => {
        server.child.ref();
        if (server.child.exitCode === null && server.child.signalCode === null) server.child.kill('SIGTERM');
        const { code, signal } = await server.child.ended;
        if (!keep) clean();
        if (code !== 0) throw new Error(`the server ended with ${code ?? signal}:\n${log.slice(-20000)}`);
    };
    server.kill9 = async () => {
        server.child.ref();
        server.child.kill('SIGKILL');
        await server.child.ended;
    };
    server.restart = start;
    server.cleanup = clean;
    await start();
    return server;
}

/** A self-signed certificate for localhost in DIR/NAME.pem and its key: {cert, key} files. */
export function makeCertificate(dir, name, { days = 2, subject = name } = {}) {
    const cert = join(dir, `${name}.pem`), key = join(dir, `${name}.key`), request = join(dir, `${name}.csr`);
    const openssl = (...args) => {
        const r = spawnSync('openssl', args, { encoding: 'utf8' });
        if (r.status !== 0) throw new Error(`openssl ${args[0]}: ${r.error ?? r.stderr}`);
    };
    const extensions = join(dir, 'extensions');
    writeFileSync(extensions, 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', key);
    openssl('req', '-new', '-key', key, '-subj', `/CN=${subject}`, '-out', request);
    openssl('x509', '-req', '-in', request, '-signkey', key, '-days', String(days), '-extfile', extensions, '-out', cert);
    return { cert, key };
}

/** A tiny JSON client: api(url, 'POST', '/api/v1/session', {body, token, headers}). */
export async function api(url, method, path, { body, token, headers = {} } = {}) {
    const response = await fetch(url + path, {
        method,
        redirect: 'manual',
        headers: {
            ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
            ...(token ? { Authorization: `Bearer ${token}` } : {}),
            ...headers,
        },
        body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let json = null;
    try {
        json = JSON.parse(text);
    } catch {
        // not JSON: the caller looks at text
    }
    return { status: response.status, headers: response.headers, text, json };
}

let counter = 0;
/** Registers a fresh user and logs in: {token, user, email, password}. */
export async function newUser(url, name = 'Тест Тестенко') {
    const email = `user${process.pid}-${++counter}@example.org`;
    const password = 'correct horse battery';
    const made = await api(url, 'POST', '/api/v1/users', { body: { name, email, password } });
    if (made.status !== 201) throw new Error(`register: ${made.status} ${made.text}`);
    const session = await api(url, 'POST', '/api/v1/session', { body: { email, password } });
    if (session.status !== 201) throw new Error(`login: ${session.status} ${session.text}`);
    return { ...session.json, email, password };
}
