// The transports of pusher-js for networks that break WebSocket: HTTP streaming and polling.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import { app, startServer, until } from './lib.mjs';

const PusherClient = PusherClientModule.default ?? PusherClientModule;
let server, backend;
before(async () => {
    server = await startServer({ args: ['--loops', '3'] });
    backend = new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false });
});
after(() => server.stop());

const client = (transport) =>
    new PusherClient(app.key, {
        cluster: '', wsHost: '127.0.0.1', wsPort: server.port, httpHost: '127.0.0.1', httpPort: server.port, forceTLS: false,
        enabledTransports: [transport], disableStats: true,
        channelAuthorization: {
            customHandler: ({ socketId, channelName }, done) =>
                done(null, backend.authorizeChannel(socketId, channelName, { user_id: socketId, user_info: {} })),
        },
    });

/** The body of a GET over a Unix socket. */
const viaSocket = (socketPath, path) =>
    new Promise((done, fail) => {
        request({ socketPath, path, headers: { Host: 'localhost' } }, (r) => {
            let text = '';
            r.on('data', (piece) => (text += piece));
            r.on('end', () => done(text));
        })
            .on('error', fail)
            .end();
    });

const base = (session) => `${server.url}/pusher/app/${app.key}/7/${session}`;
/** One request of a session; the answer's lines. */
async function post(session, what, body) {
    const r = await fetch(`${base(session)}/${what}?protocol=7&client=js`, { method: 'POST', body, headers: { Origin: 'http://elsewhere.test' } });
    return { status: r.status, headers: r.headers, lines: (await r.text()).split('\n').filter(Boolean) };
}
const texts = (lines) => lines.filter((l) => l[0] === 'a').flatMap((l) => JSON.parse(l.slice(1))).map((t) => JSON.parse(t));

describe('stock pusher-js', { concurrency: true }, () => {
    for (const transport of ['xhr_streaming', 'xhr_polling']) {
        test(`stock pusher-js subscribes, hears, whispers and is seen over ${transport}`, async () => {
            const [a, b] = [client(transport), client(transport)];
            const heard = [], whispers = [];
            const rooms = [a, b].map((p) => p.subscribe(`presence-${transport}`));
            rooms[0].bind('news', (data) => heard.push(data.n));
            rooms[1].bind('client-hi', (data) => whispers.push(data.n));
            await until(() => rooms.every((r) => r.members.count === 2));
            for (let n = 0; n < 30; n++) await backend.trigger(`presence-${transport}`, 'news', { n, text: 'Привіт "світе"\n' });
            await until(() => heard.length === 30);
            assert.deepEqual(heard, Array.from({ length: 30 }, (_, n) => n));
            rooms[0].trigger('client-hi', { n: 1 });
            await until(() => whispers.length === 1);
            const left = until(() => rooms[0].members.count === 1, 'the leave');
            b.disconnect();
            await left;
            a.disconnect();
        });
    }
});

test('what is published between two polls waits for the next', async () => {
    const first = await post('between', 'xhr');
    assert.equal(first.status, 200);
    assert.equal(first.headers.get('access-control-allow-origin'), 'http://elsewhere.test');
    assert.equal(first.lines[0], 'o');
    assert.equal(texts(first.lines)[0].event, 'pusher:connection_established');
    const sent = await post('between', 'xhr_send', JSON.stringify([JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'c' } })]));
    assert.equal(sent.status, 204);
    for (const n of [1, 2, 3]) await backend.trigger('c', 'e', { n });
    const seen = [];
    while (seen.length < 4) seen.push(...texts((await post('between', 'xhr')).lines));
    assert.deepEqual(seen.map((m) => m.event), ['pusher_internal:subscription_succeeded', 'e', 'e', 'e']);
});

test('a client that does not read is let go, and keeps nothing', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'viche-fallback-'));
    writeFileSync(join(dir, 'apps.json'), JSON.stringify([{ app_id: app.id, key: app.key, secret: app.secret, max_request_size: 1 << 20 }]));
    const s = await startServer({ args: ['--roles', 'hub', '--loops', '2', '--apps', join(dir, 'apps.json')] });
    const total = async () => JSON.parse(await viaSocket(join(s.dataDir, 'admin.sock'), '/hub/connections?limit=1')).total;
    const sdk = new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(s.port), useTLS: false });
    const path = `/pusher/app/${app.key}/7/deaf`;
    const socket = connect(s.port, '127.0.0.1');
    socket.write(`POST ${path}/xhr_streaming?protocol=7 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
    const [hello] = await once(socket, 'data');
    assert.match(hello.toString(), /^HTTP\/1.1 200/);
    socket.pause();
    const asked = JSON.stringify([JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'c' } })]);
    await until(async () => (await fetch(`${s.url}${path}/xhr_send`, { method: 'POST', body: asked })).status === 204);
    assert.equal(await total(), 1);
    const text = 'x'.repeat(500000);
    const post = (body) => fetch(`${s.url}${path}/xhr_send`, { method: 'POST', body });
    await until(async () => {
        await sdk.trigger('c', 'e', text);
        return (await post('[]')).status === 404;
    }, 'the session to be closed', 60000);
    await until(async () => (await total()) === 0, 'nothing to be left of it');
    const closed = once(socket, 'close');
    socket.on('error', () => {}); // it was reset
    socket.resume();
    await closed;
    await s.stop();
    rmSync(dir, { recursive: true });
});

test('sessions that were opened and dropped take a bounded place; one that is used outlives them', async () => {
    const s = await startServer({ args: ['--loops', '1'] });
    const open = (name) =>
        new Promise((done, fail) => {
            const socket = connect(s.port, '127.0.0.1');
            socket.on('error', fail);
            socket.on('data', (bytes) => bytes.includes('connection_established') && done(socket));
            socket.write(`POST /pusher/app/${app.key}/7/${name}/xhr_streaming?protocol=7&client=js HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
        });
    const connections = async () => {
        const r = await viaSocket(join(s.dataDir, 'admin.sock'), '/hub/connections?limit=1');
        return JSON.parse(r).total;
    };
    const used = await open('used');
    for (let at = 0; at < 2200; at += 100) {
        const some = await Promise.all(Array.from({ length: 100 }, (_, i) => open(`dropped-${at + i}`)));
        for (const socket of some) socket.destroy();
    }
    await until(async () => (await connections()) <= 2049, 'the oldest to end');
    const sent = await fetch(`${s.url}/pusher/app/${app.key}/7/used/xhr_send`, { method: 'POST', body: '[]' });
    assert.equal(sent.status, 204);
    assert.equal((await fetch(`${s.url}/pusher/app/${app.key}/7/dropped-0/xhr_send`, { method: 'POST', body: '[]' })).status, 404);
    used.destroy();
    await s.stop();
});

test('rubbish is refused and costs nothing: unknown sessions, bad bodies, long names, unknown apps, refused origins', async () => {
    assert.equal((await post('nobody', 'xhr_send', '[]')).status, 404);
    await post('rubbish', 'xhr');
    for (const body of ['', '{', '{}', '[1]', '["a', 'null', `[${'"",'.repeat(300)}""]`])
        assert.equal((await post('rubbish', 'xhr_send', body)).status, 400, body);
    assert.equal((await post('rubbish', 'xhr_send', '["Hi"]')).status, 204);
    assert.equal(texts((await post('rubbish', 'xhr')).lines)[0].event, 'pusher:error');
    assert.equal((await post('rubbish', 'xhr_send', JSON.stringify(['x'.repeat(10001)]))).status, 204);
    const over = await post('rubbish', 'xhr');
    assert.equal(over.lines.at(-1), 'c[1009,"Maximum message size exceeded"]');
    assert.equal((await post('rubbish', 'xhr_send', '[]')).status, 404);
    assert.equal((await post('n'.repeat(65), 'xhr')).status, 404);
    const unknown = await fetch(`${server.url}/pusher/app/nokey/1/s/xhr`, { method: 'POST' });
    assert.match(await unknown.text(), /^o\na\[.*4001.*\]\nc\[4001,"Application does not exist"\]\n$/);
    const preflight = await fetch(`${base('x')}/xhr_send`, { method: 'OPTIONS', headers: { Origin: 'http://elsewhere.test' } });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('access-control-allow-headers'), 'Content-Type');
});

test('a server that stops tells clients of both transports to come back', async () => {
    const own = await startServer({ args: ['--loops', '1'] });
    const session = (what) => fetch(`${own.url}/pusher/app/${app.key}/1/${what}/${what}`, { method: 'POST' });
    const streaming = await session('xhr_streaming');
    const reader = streaming.body.getReader();
    let text = '';
    const more = async () => {
        const { done, value } = await reader.read();
        text += done ? '' : Buffer.from(value).toString();
        return !done;
    };
    while (!text.includes('connection_established')) assert.ok(await more());
    assert.equal((await (await session('xhr')).text()).slice(0, 2), 'o\n');
    const polling = connect(own.port, '127.0.0.1');
    let answer = '';
    polling.on('data', (data) => (answer += data));
    polling.write(`POST /pusher/app/${app.key}/1/xhr/xhr HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
    await once(polling, 'ready');
    for (let i = 0; i < 2; i++) await fetch(`${own.url}/up`); // one loop: the poll was read before these
    await own.stop();
    while (await more());
    assert.match(text, /c\[4200,"Server is shutting down"\]\n$/);
    await until(() => /^HTTP\/1.1 200 OK/.test(answer), 'the answer to the poll');
    assert.doesNotMatch(own.log(), /in time/, 'long polls must not hold the server');
    polling.destroy();
});
