// permessage-deflate on the hub: compressed once for all who agreed to it; nothing changes for the others.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import PusherServer from 'pusher';
import WebSocket from 'ws';
import { app, startServer, until } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
const LONG = { comments: Array.from({ length: 40 }, (_, id) => ({ id, body: `Коментар ${id} про парк` })) };

let server, backend;
const backendOf = (port) =>
    new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(port), useTLS: false });
before(async () => {
    server = await startServer({ args: ['--loops', '2'] });
    backend = backendOf(server.port);
});
after(() => server.stop());

const plain = (f) =>
    f.compressed
        ? inflateRawSync(Buffer.concat([f.payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH })
        : f.payload;
const deflate = (data) => deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

/** A subscriber with that offer of extensions (null: none). */
async function subscriber(channel, offer, port = server.port) {
    const c = await rawSocket(port, `/app/${app.key}?protocol=7&client=js&version=8`, {
        headers: { 'Sec-WebSocket-Extensions': offer },
    });
    c.id = JSON.parse((await c.json()).data).socket_id;
    c.send(frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel } })));
    assert.equal((await c.json()).event, 'pusher_internal:subscription_succeeded');
    return c;
}

test('a long event is compressed, with the same bytes, for those who agreed, and for nobody else', async () => {
    const offers = [null, 'permessage-deflate', 'permessage-deflate; client_max_window_bits', 'permessage-deflate; server_max_window_bits=9', 'unknown'];
    const subscribers = await Promise.all([...offers, ...offers].map((offer) => subscriber('news', offer)));
    await backend.trigger('news', 'long', LONG);
    const frames = await Promise.all(subscribers.map((c) => c.next()));
    const [reference, shared] = frames;
    frames.forEach((f, i) => {
        const takes = i % offers.length === 1 || i % offers.length === 2;
        assert.equal(f.compressed, takes, `${i}`);
        assert.ok(f.payload.equals((takes ? shared : reference).payload), 'byte by byte');
        assert.deepEqual(JSON.parse(JSON.parse(plain(f)).data), LONG);
    });
    assert.ok(shared.payload.length < reference.payload.length / 3);
    subscribers.forEach((c) => c.destroy());
});

test('short events and the excluded: as without compression', async () => {
    const [a, b] = await Promise.all([subscriber('turn', 'permessage-deflate'), subscriber('turn', null)]);
    await backend.triggerBatch([
        { channel: 'turn', name: 'one', data: 'short' },
        { channel: 'turn', name: 'two', data: LONG, socket_id: a.id },
        { channel: 'turn', name: 'three', data: LONG },
        { channel: 'turn', name: 'four', data: 'short' },
    ]);
    const events = async (c, count) => {
        const names = [];
        while (names.length < count) {
            const f = await c.next();
            names.push(`${JSON.parse(plain(f)).event}${f.compressed ? ' compressed' : ''}`);
        }
        return names;
    };
    assert.deepEqual(await events(a, 3), ['one', 'three compressed', 'four']);
    assert.deepEqual(await events(b, 4), ['one', 'two', 'three', 'four']);
    a.destroy();
    b.destroy();
});

test('what a client sends may be compressed, and is bounded', async () => {
    const c = await subscriber('said', 'permessage-deflate');
    const compressed = (data) => frame(TEXT, deflate(Buffer.from(data)), { first: 0xc1 });
    c.send(compressed('{"event":"pusher:ping","data":{}}'));
    assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    c.send(compressed(`{"event":"pusher:ping","data":{}}${' '.repeat(1 << 20)}`));
    assert.equal(await c.closed(), 1009);
    c.destroy();
});

test('thousands of long messages in few bytes are all taken, in order, a part of them in each turn', async () => {
    const c = await subscriber('burst', 'permessage-deflate');
    const other = await subscriber('burst', null);
    const long = (event, data) => frame(TEXT, deflate(JSON.stringify({ event, data: { channel: 'x', auth: `${data}${'a'.repeat(9000)}` } })), { first: 0xc1 });
    const count = 1500; // 13 MB in 100 KB
    const all = Buffer.concat(Array.from({ length: count }, (_, i) => long(i % 3 ? 'pusher:ping' : `rubbish:${i}`, i)));
    assert.ok(all.length < 256 * 1024);
    c.send(Buffer.concat([all, frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'last' } }))]));
    other.send(frame(TEXT, JSON.stringify({ event: 'pusher:ping' })));
    assert.equal((await other.json()).event, 'pusher:pong');
    for (let i = 0; i < count; i++) assert.equal(JSON.parse(plain(await c.next())).event, i % 3 ? 'pusher:pong' : 'pusher:error', `${i}`);
    const last = JSON.parse(plain(await c.next()));
    assert.deepEqual([last.event, last.channel], ['pusher_internal:subscription_succeeded', 'last']);

    // Who goes, or is sent away, in the middle of them leaves nothing behind.
    const gone = await subscriber('burst', 'permessage-deflate');
    gone.send(all);
    gone.destroy();
    const broken = await subscriber('burst', 'permessage-deflate');
    broken.send(Buffer.concat([all, frame(TEXT, Buffer.from([0xff, 0xff]), { first: 0xc1 }), all]));
    assert.equal(await broken.closed(), 1007);
    for (const x of [c, other, broken]) x.destroy();
});

test('a refused client that agreed to compression gets its reason', async () => {
    const c = await rawSocket(server.port, '/app/unknown-key?protocol=7', {
        headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
    });
    assert.equal(JSON.parse((await c.json()).data).code, 4001);
    assert.equal(await c.closed(), 4001);
    c.destroy();
});

test('a stock WebSocket client (ws) reads compressed events', async () => {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}/app/${app.key}?protocol=7&client=js&version=8`);
    const events = [];
    ws.on('message', (data) => events.push(JSON.parse(data)));
    await until(() => events.length === 1);
    assert.match(ws.extensions, /permessage-deflate/);
    ws.send(JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'stock' } }));
    await until(() => events.length === 2);
    for (let i = 0; i < 20; i++) await backend.trigger('stock', `e${i}`, { i, ...LONG });
    await until(() => events.length === 22);
    events.slice(2).forEach((e, i) => assert.deepEqual(JSON.parse(e.data), { i, ...LONG }));
    ws.terminate();
});

test('--compression off: nothing is agreed to', async () => {
    const off = await startServer({ args: ['--compression', 'off'] });
    try {
        const c = await subscriber('news', 'permessage-deflate', off.port);
        assert.doesNotMatch(c.head, /Sec-WebSocket-Extensions/i);
        await backendOf(off.port).trigger('news', 'long', LONG);
        assert.equal((await c.next()).compressed, false);
        c.send(frame(TEXT, deflate(Buffer.from('{}')), { first: 0xc1 }));
        assert.equal(await c.closed(), 1002);
        c.destroy();
    } finally {
        await off.stop();
    }
});
