// TLS on a listener of its own, beside the one in clear: pages, WebSocket, reload, and clients that misbehave.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import WebSocket from 'ws';
import { api, app, makeCertificate, newUser, runViche, startServer, until, within } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const PusherClient = PusherClientModule.default ?? PusherClientModule;
const HEAD_MS = 10000; // http_default_limits.head_ms, which bounds the handshake too
const sanitized = /asan|tsan/.test(process.env.VICHE ?? '');

let dir, files, first, second, server, backend, ca;
before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'viche-tls-'));
    first = makeCertificate(dir, 'first');
    second = makeCertificate(dir, 'second');
    files = { cert: join(dir, 'live.pem'), key: join(dir, 'live.key') };
    install(first);
    ca = [readFileSync(first.cert), readFileSync(second.cert)];
    server = await startServer({ seed: true, tls: files, args: ['--ws-echo', '/echo', '--loops', '2', '--log-level', 'debug'] });
    backend = new PusherServer({
        appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false,
    });
});
after(async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
});

function install({ cert, key }) {
    cpSync(cert, files.cert);
    cpSync(key, files.key);
}

/** A verified connection: {socket, cn} once the handshake is done. */
function open(options = {}) {
    return new Promise((done, fail) => {
        const socket = tls.connect({ port: server.tlsPort, host: '127.0.0.1', ca, ...options }, () =>
            done({ socket, cn: socket.getPeerCertificate().subject?.CN }));
        socket.on('error', fail);
    });
}

function request(path, { method = 'GET', headers = {}, body, agent, ...options } = {}) {
    return new Promise((done, fail) => {
        const r = https.request(
            { host: '127.0.0.1', port: server.tlsPort, path, method, headers, ca, agent: agent ?? false, ...options },
            (response) => {
                const parts = [];
                response.on('data', (part) => parts.push(part));
                response.on('end', () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
                response.on('error', fail);
            },
        );
        r.on('error', fail);
        r.end(body);
    });
}

/** Everything that a socket gets until its end. */
async function drain(socket) {
    const parts = [];
    for await (const part of socket) parts.push(part);
    return Buffer.concat(parts);
}

const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
const residentKiB = () => Number(readFileSync(`/proc/${server.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);

// ---- HTTP ----

test('pages and the API come under TLS 1.2 and 1.3 as they do in clear', async () => {
    const plain = await fetch(`${server.url}/api/v1/proposals`);
    const text = await plain.text();
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
        const r = await request('/api/v1/proposals', { minVersion: version, maxVersion: version });
        assert.equal(r.status, 200);
        assert.equal(r.body.toString(), text);
        assert.equal((await request('/', { maxVersion: version })).status, 200);
    }
    const { socket, cn } = await open({ ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(socket.alpnProtocol, 'http/1.1');
    assert.equal(cn, 'first');
    socket.destroy();
});

test('cookies are Secure under TLS and not in clear; a foreign or a clear origin is refused', async () => {
    const { email, password } = await newUser(server.url);
    const body = JSON.stringify({ email, password });
    const login = await request('/api/v1/session', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
    assert.equal(login.status, 201, login.body.toString());
    assert.match(login.headers['set-cookie'].join(), /viche_session=[^;]+;.*; Secure/);
    const clear = await api(server.url, 'POST', '/api/v1/session', { body: { email, password } });
    assert.doesNotMatch(clear.headers.get('set-cookie'), /Secure/);

    const cookie = login.headers['set-cookie'].map((c) => c.split(';')[0]).join('; ');
    const host = `127.0.0.1:${server.tlsPort}`;
    const write = (origin) =>
        request('/api/v1/proposals/1/follow', { method: 'PUT', headers: { Cookie: cookie, Origin: origin } });
    assert.ok((await write(`https://${host}`)).status < 300);
    assert.equal((await write(`http://${host}`)).status, 403);
    assert.equal((await write('https://evil.example')).status, 403);
});

test('pipelined requests are answered in order, megabytes of them', async () => {
    const { socket } = await open();
    const count = 300;
    const answers = drain(socket);
    for (let i = 0; i < count; i++) {
        const path = i % 2 ? '/' : `/nothing/${i}`;
        socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${i === count - 1 ? 'Connection: close\r\n' : ''}\r\n`);
    }
    const text = (await answers).toString('latin1');
    const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map((m) => m[1]);
    assert.equal(statuses.length, count);
    statuses.forEach((status, i) => assert.equal(status, i % 2 ? '200' : '404'));
    assert.ok(text.length > 1 << 20);
});

test('a client that ends its half first still gets its answer', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
        const { socket } = await open({ allowHalfOpen: true, minVersion: version, maxVersion: version });
        const answer = drain(socket);
        socket.end('GET /api/v1/proposals HTTP/1.1\r\nHost: a\r\n\r\n'); // close_notify follows at once
        assert.match((await answer).toString(), /^HTTP\/1\.1 200 /);
    }
});

test('a body over the limit is refused, one within it is taken', async () => {
    const post = (size) =>
        request('/api/v1/session', { method: 'POST', body: `{"email":"${'x'.repeat(size)}"}`, headers: { 'Content-Type': 'application/json' } });
    assert.equal((await post(900000)).status, 422);
    const { socket } = await open();
    const answer = drain(socket);
    socket.write(`POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(50000)}`);
    assert.match((await answer).toString(), /^HTTP\/1\.1 413 /);
});

test('a session is resumed, on whichever loop', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
        const socket = tls.connect({ port: server.tlsPort, host: '127.0.0.1', ca, maxVersion: version });
        const ticket = await new Promise((done) => socket.resume().once('session', done));
        socket.destroy();
        for (let i = 0; i < 6; i++) {
            const again = await open({ maxVersion: version, session: ticket });
            assert.ok(again.socket.isSessionReused());
            again.socket.destroy();
        }
    }
});

// ---- WebSocket ----

test('npm ws talks wss: messages of a megabyte and more come back whole', async () => {
    const ws = new WebSocket(`wss://127.0.0.1:${server.tlsPort}/echo`, { ca, maxPayload: 1 << 25 });
    await new Promise((done, fail) => ws.on('open', done).on('error', fail));
    for (const size of [0, 1, 16384, 16385, 1 << 20, 5 << 20]) {
        const sent = randomBytes(size);
        const got = new Promise((done) => ws.once('message', done));
        ws.send(sent);
        assert.ok(sent.equals(await got), `${size} bytes`);
    }
    const closed = new Promise((done) => ws.on('close', done));
    ws.close(1000);
    assert.equal(await closed, 1000);
});

test('stock pusher-js with forceTLS gets what a stock server SDK publishes', async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // pusher-js takes no certificate of its own
    const client = new PusherClient(app.key, {
        cluster: '', wsHost: 'localhost', wssPort: server.tlsPort, forceTLS: true, enabledTransports: ['ws', 'wss'], disableStats: true,
    });
    try {
        const channel = client.subscribe('over-tls');
        await new Promise((done) => channel.bind('pusher:subscription_succeeded', done));
        const got = new Promise((done) => channel.bind('hello', done));
        await backend.trigger('over-tls', 'hello', { text: 'ї'.repeat(2000) });
        assert.deepEqual(await got, { text: 'ї'.repeat(2000) });
    } finally {
        client.disconnect();
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
});

async function subscriber(channel) {
    const c = await rawSocket(server.tlsPort, `/app/${app.key}?protocol=7`, { tls: { ca } });
    assert.equal((await c.json()).event, 'pusher:connection_established');
    c.send(frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel } })));
    assert.equal((await c.json()).event, 'pusher_internal:subscription_succeeded');
    return c;
}

test('readers that stopped are cut off, memory is bounded, others lose nothing', async () => {
    const before = residentKiB();
    const stopped = await Promise.all(Array.from({ length: 20 }, () => subscriber('flood')));
    for (const c of stopped) c.socket.pause();
    const reader = await subscriber('flood');
    const data = 'x'.repeat(9000);
    for (let i = 0; i < 2000; i += 16) {
        const names = Array.from({ length: 16 }, (_, k) => `f${i + k}`);
        const sent = names.map((name) => backend.trigger('flood', name, data)); // on several connections
        const got = [];
        while (got.length < names.length) got.push((await reader.json()).event);
        assert.deepEqual(got.sort(), names.sort());
        await Promise.all(sent);
    }
    // One that does not read has some seconds to hear of its close.
    await until(async () => {
        const answer = await backend.trigger('flood', 'count', '0', { info: 'subscription_count' });
        assert.equal((await reader.json()).event, 'count');
        return (await answer.json()).channels.flood.subscription_count === 1;
    }, 'the stopped ones to be cut off');
    assert.ok(residentKiB() - before < 64 * 1024 || sanitized, `${residentKiB() - before} KiB`);
    for (const c of stopped) c.destroy();
    reader.destroy();
});

// ---- clients that misbehave ----

test('HTTP in clear on the port of TLS gets a short answer', async () => {
    for (const method of ['GET', 'POST', 'HEAD', 'PUT']) {
        const socket = net.connect(server.tlsPort, '127.0.0.1');
        socket.write(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.match((await drain(socket)).toString(), /^HTTP\/1\.1 400 Bad Request\r\n[^]*Content-Length: 56\r\n[^]*\r\n\r\n.{55}\n$/);
    }
});

test('TLS 1.1 is refused, and a client that only speaks h2', async () => {
    await assert.rejects(open({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), /alert|version|unsupported/i);
    await assert.rejects(open({ ALPNProtocols: ['h2'] }), /alert|ALPN|protocol/i);
});

test('rubbish ends the connection at once, and what it was is in the debug log', async () => {
    for (const size of [5, 100, 5000, 200000]) {
        const socket = net.connect(server.tlsPort, '127.0.0.1');
        socket.on('error', () => {}); // a reset is an end too
        const ended = new Promise((done) => socket.on('close', done));
        const bytes = randomBytes(size);
        bytes[0] = 0x16 + (size % 2); // a record of the handshake, or of nothing
        bytes[1] = 9;
        socket.resume();
        socket.write(bytes);
        await ended;
    }
    await until(() => /level=debug at=io_conn\.tls peer=127\.0\.0\.1 why="/.test(server.log()), 'the log');
    assert.equal((await request('/up')).status, 200);
});

/** The first bytes that a client sends. */
async function clientHello() {
    const listener = net.createServer().listen(0, '127.0.0.1');
    await new Promise((done) => listener.on('listening', done));
    const hello = new Promise((done) => listener.on('connection', (s) => s.once('data', (bytes) => (s.destroy(), done(bytes)))));
    tls.connect({ port: listener.address().port, host: '127.0.0.1' }).on('error', () => {});
    const bytes = await hello;
    listener.close();
    return bytes;
}

test('a client that says nothing or dribbles its handshake is dropped in time', async () => {
    const hello = await clientHello();
    await within(HEAD_MS + 5000, async () => {
        const started = Date.now();
        const ends = [0, 1, 2].map(async (kind) => {
            const socket = net.connect(server.tlsPort, '127.0.0.1');
            socket.on('error', () => {});
            const ended = new Promise((done) => socket.on('close', done));
            socket.resume();
            let at = 0;
            const dribble = setInterval(() => kind > 0 && socket.write(hello.subarray(at, (at += kind))), 200);
            await ended;
            clearInterval(dribble);
            return Date.now() - started;
        });
        for (const took of await Promise.all(ends)) assert.ok(took > HEAD_MS - 1000, `${took} ms`);
    });
});

test('clients that die in the middle of a handshake leave nothing behind', async () => {
    const hello = await clientHello();
    assert.equal((await request('/up')).status, 200);
    const before = descriptors();
    for (let round = 0; round < 5; round++) {
        await Promise.all(Array.from({ length: 60 }, async (_, i) => {
            const socket = net.connect(server.tlsPort, '127.0.0.1');
            socket.on('error', () => {});
            await new Promise((done) => socket.on('connect', done));
            const part = hello.subarray(0, i % 3 ? (hello.length * i) / 60 : hello.length);
            if (part.length > 0) await new Promise((done) => socket.write(part, done));
            if (i % 2) socket.resetAndDestroy();
            else socket.destroy();
        }));
    }
    await until(() => descriptors() <= before, 'the descriptors to be closed');
    assert.equal((await request('/up')).status, 200);
});

// ---- reload ----

async function reload(pattern) {
    const seen = server.log().length;
    process.kill(server.pid, 'SIGHUP');
    await until(() => pattern.test(server.log().slice(seen)), `${pattern}`);
}
const DONE = /level=info at=app_listen\.reload/;

/** The loops take a new certificate one by one: until a dozen connections in a row have it. */
const isTaken = (name) =>
    until(async () => {
        for (let i = 0; i < 12; i++) {
            const { socket, cn } = await open({ rejectUnauthorized: false });
            socket.destroy();
            if (cn !== name) return false;
        }
        return true;
    }, `the certificate ${name}`);

test('SIGHUP takes a new certificate under load; nothing is dropped and both are seen', async () => {
    const ws = await subscriber('stays');
    const seen = new Map();
    let running = true, requests = 0;
    const load = Array.from({ length: 8 }, async () => {
        while (running) {
            const { socket, cn } = await open();
            seen.set(cn, (seen.get(cn) ?? 0) + 1);
            const answer = drain(socket);
            socket.write('GET /up HTTP/1.1\r\nHost: a\r\n\r\nGET /api/v1/proposals HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
            assert.equal((await answer).toString().match(/HTTP\/1\.1 200 /g)?.length, 2);
            requests += 2;
        }
    });
    const change = async () => {
        await until(() => (seen.get('first') ?? 0) >= 20, 'the first certificate');
        install(second);
        await reload(DONE);
        await until(() => (seen.get('second') ?? 0) >= 20, 'the second certificate');
        for (const next of [first, second, first]) {
            install(next);
            await reload(DONE);
        }
    };
    await Promise.race([change(), Promise.all(load)]).finally(() => (running = false));
    await Promise.all(load);
    await isTaken('first');
    await backend.trigger('stays', 'still', 'here');
    assert.equal((await ws.json()).event, 'still'); // opened before all that
    ws.destroy();
    assert.ok(requests >= 80);
});

test('a broken new file keeps the old certificate and says so', async () => {
    writeFileSync(files.cert, 'not a certificate');
    await reload(/level=error at=app_listen\.reload why="--tls-cert: .* holds no certificate/);
    await isTaken('first');
    install({ cert: second.cert, key: first.key });
    await reload(/level=error at=app_listen\.reload why="--tls-key: .* is not the key/);
    await isTaken('first');
    install(makeCertificate(dir, 'expired', { days: -1 }));
    await reload(DONE);
    assert.match(server.log(), /level=warn at=io_tls\.load .*the certificate has expired/);
    await isTaken('expired');
    install(first);
    await reload(DONE);
    await isTaken('first');
});

// ---- start and stop ----

test('what is wrong at the start is said in a sentence', () => {
    const cases = [
        [['--listen', 'tls://127.0.0.1:0'], 1, /needs --tls-cert FILE and --tls-key FILE/],
        [['--listen', 'tls://127.0.0.1:0', '--tls-cert', first.cert], 1, /needs --tls-cert FILE and --tls-key FILE/],
        [['--listen', '127.0.0.1:0', '--tls-cert', first.cert, '--tls-key', first.key], 1, /no address under TLS/],
        [['--listen', 'tls://127.0.0.1:0', '--tls-cert', '/nowhere', '--tls-key', first.key], 1, /--tls-cert: cannot read \/nowhere/],
        [['--listen', 'tls://127.0.0.1:0', '--tls-cert', first.cert, '--tls-key', second.key], 1, /is not the key of the certificate/],
        [['--listen', `127.0.0.1:0,127.0.0.1:${server.port}`], 1, /taken by another program/],
        [['--listen', `127.0.0.1:0,https://127.0.0.1:0`], 2, /is not an address/],
        [['--listen', Array(9).fill('127.0.0.1:0').join()], 2, /at most 8 addresses/],
    ];
    const data = join(dir, 'data');
    for (const [args, status, why] of cases) {
        const r = runViche(['serve', '--data', data, ...args]);
        assert.equal(r.status, status, r.stderr);
        assert.match(r.stderr, why);
    }
});

test('a server that stops says goodbye under TLS too', async () => {
    const own = await startServer({ tls: files });
    const ws = new WebSocket(`wss://127.0.0.1:${own.tlsPort}/app/${app.key}?protocol=7`, { ca });
    await new Promise((done) => ws.once('message', done));
    const closed = new Promise((done) => ws.on('close', done));
    await own.stop();
    assert.equal(await closed, 4200);
});
