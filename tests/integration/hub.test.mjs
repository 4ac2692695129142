// The Pusher protocol as stock clients speak it, and as they must not.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import EchoModule from 'laravel-echo';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import { hmac, signedCall } from './hub_client.mjs';
import { app, startServer, until, within } from './lib.mjs';
import { BINARY, CLOSE, PING, PONG, TEXT, closeFrame, frame, handshake, rawSocket } from './ws_client.mjs';

const Echo = EchoModule.default ?? EchoModule;
const PusherClient = PusherClientModule.default ?? PusherClientModule;

let server, backend;
before(async () => {
    server = await startServer({ args: ['--loops', '2'] });
    backend = new PusherServer({
        appId: app.id,
        key: app.key,
        secret: app.secret,
        host: '127.0.0.1',
        port: String(server.port),
        useTLS: false,
    });
});
after(() => server.stop());

const sign = (socketId, channel, secret = app.secret) => `${app.key}:${hmac(secret, `${socketId}:${channel}`)}`;

/** A raw client that was greeted: adds id, say(event, data, channel), subscribe(channel, auth). */
async function greeted(query = '?protocol=7&client=js&version=8.6.0&flash=false', options) {
    const c = await rawSocket(server.port, `/app/${app.key}${query}`, options);
    const hello = await c.json();
    assert.equal(hello.event, 'pusher:connection_established');
    assert.equal(typeof hello.data, 'string');
    c.hello = JSON.parse(hello.data);
    c.id = c.hello.socket_id;
    c.say = (event, data, channel) => c.send(frame(TEXT, JSON.stringify({ event, data, channel })));
    c.subscribe = async (channel, auth = '') => {
        c.say('pusher:subscribe', { channel, auth });
        assert.deepEqual(await c.json(), {
            event: 'pusher_internal:subscription_succeeded',
            data: '{}',
            channel,
        });
    };
    /** Everything sent before has been answered, and nothing else came. */
    c.expectQuiet = async () => {
        c.say('pusher:ping', {});
        assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    };
    return c;
}

/** A signed publish; change: {params, secret, signedPath}. */
const rest = (path, body, change) => signedCall(server, 'POST', path, { body, ...change });
const events = (body, change) => rest(`/apps/${app.id}/events`, body, change);
const batch = (body, change) => rest(`/apps/${app.id}/batch_events`, body, change);

function error(code, message) {
    return { event: 'pusher:error', data: JSON.stringify({ code, message }) };
}
const BAD_MESSAGE = error(4200, 'Invalid message format');

function stockClient(options = {}) {
    return new PusherClient(app.key, {
        cluster: '',
        wsHost: '127.0.0.1',
        wsPort: server.port,
        forceTLS: false,
        enabledTransports: ['ws'],
        disableStats: true,
        channelAuthorization: {
            customHandler: ({ socketId, channelName }, done) =>
                done(null, backend.authorizeChannel(socketId, channelName)),
        },
        ...options,
    });
}
const bound = (target, event) => new Promise((done) => target.bind(event, done));

// ---- connecting ----

test('a client is greeted with a socket id and the activity timeout', async () => {
    const ids = new Set();
    for (let i = 0; i < 200; i++) {
        const c = await greeted();
        assert.match(c.id, /^[1-9]\d{0,9}\.[1-9]\d{0,9}$/);
        assert.equal(c.hello.activity_timeout, 30);
        ids.add(c.id);
        c.destroy();
    }
    assert.equal(ids.size, 200);
});

test('any query, or none, is accepted', async () => {
    for (const query of ['', '?protocol=99&client=x&version=1', '?client=java-client&protocol=5&version=2.4.0'])
        (await greeted(query)).destroy();
});

test('slashes at the beginning of a path are one, in what is signed too', async () => {
    const c = await rawSocket(server.port, `//app/${app.key}`);
    assert.equal((await c.json()).event, 'pusher:connection_established');
    c.destroy();
    const path = `/apps/${app.id}/channels`;
    const answer = await signedCall(server, 'GET', path, { prefix: '/' });
    assert.equal(answer.status, 200);
});

test('an unknown key gets 4001 and is closed with it', async () => {
    const c = await rawSocket(server.port, '/app/nobody');
    assert.equal(c.status, 101);
    assert.deepEqual(await c.json(), error(4001, 'Application does not exist'));
    c.send(frame(TEXT, '{"event":"pusher:subscribe","data":{"channel":"c"}}'));
    const close = await c.next();
    assert.equal(close.opcode, CLOSE);
    assert.equal(close.payload.readUInt16BE(0), 4001);
    c.send(closeFrame(4001));
    assert.equal(await c.next(), null);
    c.destroy();
});

test('a plain GET, a wrong version and a wrong path are told so', async () => {
    for (const [status, path, headers] of [
        [426, `/app/${app.key}`, { Upgrade: null, Connection: null }],
        [426, `/app/${app.key}`, { 'Sec-WebSocket-Version': '8' }],
        [404, `/app/${app.key}/`, {}],
    ]) {
        const c = await rawSocket(server.port, path, { headers });
        assert.equal(c.status, status, path);
        c.destroy();
    }
});

test('a frame in the packet of the handshake is answered after the greeting', async () => {
    const c = await greeted('', { early: frame(TEXT, '{"event":"pusher:ping"}') });
    assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    c.destroy();
});

// ---- messages ----

test('pings are answered in both forms, and binary is read as text', async () => {
    const c = await greeted();
    c.send(frame(PING, 'abc'), frame(TEXT, '{"event":"pusher:ping"}'));
    c.send(frame(BINARY, '{"event":"pusher:ping","data":{}}'));
    const pong = await c.next();
    assert.equal(pong.opcode, PONG);
    assert.equal(String(pong.payload), 'abc');
    assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    c.say('pusher:pong', {});
    await c.expectQuiet();
    c.destroy();
});

test('rubbish gets 4200 and the connection stays', async () => {
    const c = await greeted();
    const nested = '['.repeat(3000);
    for (const text of [
        'Hi', '[]', '5', '"x"', 'null', '{"event":[]}', '{"data":{}}', '{', `{"event":"x","data":${nested}`,
        `{"event":"x","channel":"c","data":${nested}${']'.repeat(3000)}}`,
        '{"event":"pusher:subscribe","data":""}', '{"event":"pusher:subscribe"}',
        '{"event":"pusher:subscribe","data":{"channel":[]}}', '{"event":"pusher:subscribe","data":{"channel":null}}',
        '{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":[]}}',
        '{"event":"pusher:subscribe","data":{"channel":"presence-x","channel_data":[]}}',
        '{"event":"pusher:subscribe","data":{"channel":"presence-x","channel_data":"Hello"}}',
        '{"event":"pusher:unsubscribe","data":{}}', '{"event":"pusher:nosuch","data":{}}',
        '{"event":"pusher:connection_established"}', '{"event":"pusher:signin","data":{}}',
        '{"event":"foo","data":{}}', '{"event":"foo","channel":"c","data":5}',
        '{"event":"client-x","channel":"private-x","data":"hello"}',
        '{"event":"\\ud800","data":{}}', '{"event":"x"}\0',
    ]) {
        c.send(frame(TEXT, text));
        assert.deepEqual(await c.json(), BAD_MESSAGE, text.slice(0, 80));
    }
    c.send(frame(BINARY, Buffer.from('7b226576656e74223a22ff227d', 'hex')));
    assert.deepEqual(await c.json(), BAD_MESSAGE);
    await c.expectQuiet();
    c.destroy();
});

test('events that are nobody\'s are ignored, forged internal ones too', async () => {
    const c = await greeted();
    c.say('foo', {}, 'c');
    c.say('pusher_internal:subscription_succeeded', {}, 'private-x');
    c.say('pusher:unsubscribe', { channel: 'never-subscribed' });
    await c.expectQuiet();
    c.destroy();
});

test('a message of exactly the maximum passes, one byte more is closed with 1009', async () => {
    const c = await greeted();
    const start = '{"event":"pusher:ping","data":"', end = '"}';
    const text = (size) => start + 'x'.repeat(size - start.length - end.length) + end;
    c.send(frame(TEXT, text(10000)));
    assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    c.send(frame(TEXT, text(10001)).subarray(0, 20)); // judged before the payload is there
    const close = await c.next();
    assert.equal(close.payload.readUInt16BE(0), 1009);
    assert.equal(String(close.payload.subarray(2)), 'Maximum message size exceeded');
    c.destroy();

    const d = await greeted();
    for (let i = 0; i < 600; i++) d.send(frame(i === 0 ? TEXT : 0, 'x'.repeat(20), { fin: false }));
    assert.equal(await d.closed(), 1009);
    d.destroy();
});

// ---- subscribing ----

test('private channels need this socket\'s signature, key part included; refusals leak nothing', async () => {
    const channel = 'private-forged';
    const forged = await greeted();
    const other = await greeted();
    const bad = [
        undefined, '', 'invalid-signature', `${app.key}:`, `${app.key}:${'0'.repeat(64)}`,
        sign(other.id, channel), sign(forged.id, 'private-other'), sign(forged.id, channel, 'wrong'),
        sign(forged.id, channel).replace(app.key, 'wrong-key'), sign(forged.id, channel).toUpperCase(),
    ];
    for (const auth of bad) {
        forged.say('pusher:subscribe', { channel, auth });
        assert.deepEqual(await forged.json(), error(4009, 'Connection is unauthorized'), auth);
        assert.deepEqual(await forged.json(), {
            event: 'pusher:subscription_error',
            channel,
            data: { type: 'AuthError', error: 'The connection is unauthorized.', status: 401 },
        });
    }
    forged.say('pusher:subscribe', { channel: '#server-to-user-1', auth: '' });
    assert.deepEqual(await forged.json(), error(4009, 'Connection is unauthorized'));
    await forged.json();

    await other.subscribe(channel, sign(other.id, channel));
    assert.equal((await events({ name: 'secret', channel, data: 'x' })).status, 200);
    assert.equal((await other.json()).event, 'secret');
    await forged.expectQuiet();
    forged.destroy();
    other.destroy();
});

test('channel_data is part of what is signed', async () => {
    const c = await greeted();
    const channel = 'private-with-data', data = '{"user_id":1}';
    const auth = `${app.key}:${hmac(app.secret, `${c.id}:${channel}:${data}`)}`;
    c.say('pusher:subscribe', { channel, auth, channel_data: data });
    assert.equal((await c.json()).event, 'pusher_internal:subscription_succeeded');
    c.say('pusher:subscribe', { channel, auth, channel_data: '{"user_id":2}' });
    assert.deepEqual(await c.json(), error(4009, 'Connection is unauthorized'));
    c.destroy();
});

test('subscribing twice delivers once, unsubscribing ends it', async () => {
    const c = await greeted();
    await c.subscribe('twice');
    await c.subscribe('twice');
    await events({ name: 'one', channel: 'twice', data: 'x' });
    assert.deepEqual(await c.json(), { event: 'one', data: 'x', channel: 'twice' });
    await c.expectQuiet();
    c.say('pusher:unsubscribe', { channel: 'twice' });
    await c.expectQuiet();
    const answer = await events({ name: 'two', channel: 'twice', data: 'x', info: 'subscription_count' });
    assert.deepEqual(answer.json, { channels: { twice: {} } });
    await c.expectQuiet();
    c.destroy();
});

test('a socket has a limited number of channels with limited names', async () => {
    const c = await greeted();
    c.say('pusher:subscribe', { channel: 'n'.repeat(513) });
    assert.equal((await c.json()).data.type, 'LimitReached');
    for (let i = 0; i < 1000; i++) await c.subscribe(`many-${i}`);
    c.say('pusher:subscribe', { channel: 'one-too-many' });
    assert.equal((await c.json()).data.type, 'LimitReached');
    c.destroy();
});

// ---- delivery ----

test('1,000 events arrive in order at subscribers on every loop', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => greeted()));
    for (const c of clients) await c.subscribe('ordered');
    const publishing = (async () => {
        for (let i = 0; i < 1000; i++) await backend.trigger('ordered', 'n', { i });
    })();
    await Promise.all(
        clients.map(async (c) => {
            for (let i = 0; i < 1000; i++) assert.deepEqual(JSON.parse((await c.json()).data), { i });
        }),
    );
    await publishing;
    for (const c of clients) c.destroy();
});

test('the socket of socket_id is left out, in the middle of others, and order holds', async () => {
    const [a, b] = [await greeted(), await greeted()];
    await a.subscribe('excluding');
    await b.subscribe('excluding');
    const name = (i) => ({ name: `e${i}`, channel: 'excluding', data: 'x' });
    for (let i = 0; i < 30; i++)
        assert.equal((await batch({ batch: [name(3 * i), { ...name(3 * i + 1), socket_id: a.id }, name(3 * i + 2)] })).status, 200);
    for (let i = 0; i < 90; i++) {
        if (i % 3 !== 1) assert.equal((await a.json()).event, `e${i}`);
        assert.equal((await b.json()).event, `e${i}`);
    }
    assert.deepEqual((await events({ ...name(0), socket_id: 'invalid-socket-id' })).json, {});
    assert.equal((await a.json()).event, 'e0');
    await a.expectQuiet();
    a.destroy();
    b.destroy();
});

test('data goes through byte for byte', async () => {
    const c = await greeted();
    await c.subscribe('bytes');
    const data = '{"a":"б\\u0000</script>","f":1.0,"o":{},"n":12345678901234567890,"q":"\\"\\\\"}';
    await events({ name: 'App\\Events\\Тест', channel: 'bytes', data });
    assert.deepEqual(await c.json(), { event: 'App\\Events\\Тест', data, channel: 'bytes' });
    await events({ name: 'plain', channels: ['bytes', 'bytes'], data: 'hello' });
    assert.deepEqual(await c.json(), { event: 'plain', data: 'hello', channel: 'bytes' });
    await c.expectQuiet();
    c.destroy();
});

test('readers that stopped are cut off, memory is bounded, others lose nothing', async () => {
    const before = residentKiB();
    const stopped = [];
    for (let i = 0; i < 20; i++) {
        const c = await greeted();
        await c.subscribe('flood');
        c.socket.pause();
        stopped.push(c);
    }
    const reader = await greeted();
    await reader.subscribe('flood');
    const data = 'x'.repeat(9000);
    let slowest = 0;
    let left = stopped.length + 1;
    for (let i = 0; left > 1; i++) {
        assert.ok(i < 3000, 'the stopped ones are not cut off');
        const info = i % 50 === 0 ? 'subscription_count' : undefined;
        const sent = events({ name: `f${i}`, channel: 'flood', data, info });
        const start = Date.now();
        assert.equal((await reader.json()).event, `f${i}`);
        slowest = Math.max(slowest, Date.now() - start);
        left = (await sent).json.channels?.flood.subscription_count ?? left;
    }
    const sanitized = /asan|tsan/.test(process.env.VICHE ?? '');
    assert.ok(residentKiB() - before < 64 * 1024 || sanitized);
    assert.ok(slowest < 500 || sanitized, `${slowest} ms`);
    for (const c of stopped) c.destroy();
    reader.destroy();
});

function residentKiB() {
    return Number(readFileSync(`/proc/${server.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
}

// ---- REST ----

test('calls that are not rightly signed are refused and deliver nothing', async () => {
    const c = await greeted();
    await c.subscribe('signed');
    const body = { name: 'e', channel: 'signed', data: 'x' };
    const now = Math.floor(Date.now() / 1000);
    for (const change of [
        { secret: 'wrong' },
        { signedPath: '/apps/2/events' },
        { params: { auth_timestamp: String(now - 1200) } },
        { params: { auth_timestamp: String(now + 1200) } },
        { params: { auth_timestamp: 'soon' } },
        { params: { auth_version: '2.0' } },
        { params: { auth_key: 'another' } },
        { params: { body_md5: '0'.repeat(32) } },
    ])
        assert.equal((await events(body, change)).status, 401, JSON.stringify(change));
    const unsigned = await fetch(`${server.url}/apps/${app.id}/events`, { method: 'POST', body: JSON.stringify(body) });
    assert.equal(unsigned.status, 401);
    assert.equal(await unsigned.text(), 'Authentication signature invalid.');
    const unknown = await rest('/apps/none/events', body);
    assert.equal(unknown.status, 404);
    assert.equal(unknown.text, 'No matching application for ID [none].');
    await c.expectQuiet();
    c.destroy();
});

test('fields are validated as Laravel validates them', async () => {
    const good = { name: 'e', channel: 'c', data: 'x' };
    for (const [change, complaints] of [
        [{ data: undefined }, { data: ['The data field is required.'] }],
        [{ data: '' }, { data: ['The data field is required.'] }],
        [{ data: {} }, { data: ['The data field is required.'] }],
        [{ data: { a: 1 } }, { data: ['The data field must be a string.'] }],
        [{ name: undefined }, { name: ['The name field is required.'] }],
        [{ name: 5 }, { name: ['The name field must be a string.'] }],
        [{ info: 1234 }, { info: ['The info field must be a string.'] }],
        [{ info: null }, { info: ['The info field must be a string.'] }],
        [{ socket_id: 12 }, { socket_id: ['The socket id field must be a string.'] }],
        [{ channel: 7 }, { channel: ['The channel field must be a string.'] }],
        [{ channels: 'c' }, { channels: ['The channels field must be an array.'] }],
        [{ channels: ['c', 5] }, { 'channels.1': ['The channels.1 field must be a string.'] }],
        [
            { channel: undefined },
            {
                channels: ['The channels field is required when channel is not present.'],
                channel: ['The channel field is required when channels is not present.'],
            },
        ],
    ]) {
        const answer = await events({ ...good, ...change });
        assert.equal(answer.status, 422, JSON.stringify(change));
        assert.deepEqual(answer.json, complaints);
    }
    for (const body of ['', 'null', 'xyz', '[]', '{"name":', `{"name":"a","data":"\xff"`])
        assert.equal((await events(body)).status, 400, body);
    const large = await events({ ...good, data: 'x'.repeat(10100) });
    assert.equal(large.status, 413);
    assert.equal(large.text, 'Payload too large.');
});

test('a batch is delivered whole or not at all', async () => {
    const c = await greeted();
    await c.subscribe('batched');
    const item = (name) => ({ name, channel: 'batched', data: 'abc/d' });
    const refused = await batch({ batch: [item('a'), { name: 'b', channel: 'batched' }] });
    assert.equal(refused.status, 422);
    assert.deepEqual(refused.json, { 'batch.1.data': ['The batch.1.data field is required.'] });
    await c.expectQuiet();

    assert.deepEqual((await batch({ batch: [item('a'), item('b'), item('c')] })).json, { batch: {} });
    for (const event of ['a', 'b', 'c'])
        assert.deepEqual(await c.json(), { event, data: 'abc/d', channel: 'batched' });
    const counted = await batch({ batch: [{ ...item('d'), info: 'subscription_count' }, item('e')] });
    assert.deepEqual(counted.json, { batch: [{ subscription_count: 1 }, {}] });
    for (const wrong of [{}, { batch: 5 }, { batch: [] }, { batch: {} }])
        assert.equal((await batch(wrong)).status, 422);
    const nowhere = await batch({ batch: [{ ...item('a'), channel: undefined, channels: ['batched'] }] });
    assert.deepEqual(nowhere.json, { 'batch.0.channel': ['The batch.0.channel field is required when channels is not present.'] });
    assert.equal((await batch({ batch: [5] })).status, 422);
    c.destroy();
});

test('info counts the subscribers of all loops', async () => {
    const clients = await Promise.all(Array.from({ length: 9 }, () => greeted()));
    for (const c of clients) await c.subscribe('counted');
    const answer = await events({
        name: 'e', data: 'x', channels: ['counted', 'empty'], info: 'subscription_count,user_count',
    });
    assert.deepEqual(answer.json, {
        channels: { counted: { subscription_count: 9 }, empty: {} },
    });
    for (const c of clients) c.destroy();
});

test('health needs no signature', async () => {
    const response = await fetch(`${server.url}/up`);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '{"health":"OK"}');
});

// ---- stock clients ----

test('pusher-js subscribes, receives, and unsubscribes', async () => {
    const client = stockClient();
    const channel = client.subscribe('stock'), secret = client.subscribe('private-stock');
    await Promise.all([channel, secret].map((c) => bound(c, 'pusher:subscription_succeeded')));
    const got = Promise.all([bound(channel, 'greet'), bound(secret, 'greet')]);
    assert.equal((await backend.trigger(['stock', 'private-stock'], 'greet', { hello: 'світе' })).status, 200);
    assert.deepEqual(await got, [{ hello: 'світе' }, { hello: 'світе' }]);

    const excluded = [];
    channel.bind('others', (data) => excluded.push(data));
    await backend.trigger('stock', 'others', 1, { socket_id: client.connection.socket_id });
    await backend.trigger('stock', 'others', 2);
    await until(() => excluded.length > 0);
    assert.deepEqual(excluded, [2]);
    client.disconnect();
});

test('pusher-js learns that it may not subscribe', async () => {
    const client = stockClient({
        channelAuthorization: { customHandler: (_, done) => done(null, { auth: `${app.key}:${'0'.repeat(64)}` }) },
    });
    const failed = bound(client.subscribe('private-not-mine'), 'pusher:subscription_error');
    assert.equal((await failed).status, 401);
    client.disconnect();
});

test('pusher-js with an unknown key is refused for good', async () => {
    const client = new PusherClient('nobody', {
        cluster: '', wsHost: '127.0.0.1', wsPort: server.port, forceTLS: false, enabledTransports: ['ws'],
    });
    const failed = bound(client.connection, 'error');
    await bound(client.connection, 'disconnected');
    assert.equal((await failed).error.data.code, 4001);
    client.disconnect();
});

test('Laravel Echo listens to events by class and by name', async () => {
    const echo = new Echo({
        broadcaster: 'reverb', client: stockClient(), key: app.key,
        wsHost: '127.0.0.1', wsPort: server.port, forceTLS: false, enabledTransports: ['ws'],
    });
    const heard = [];
    const channel = echo.private('orders.7').listen('OrderShipped', (e) => heard.push(e));
    channel.listen('.comment.created', (e) => heard.push(e));
    await new Promise((done) => channel.subscribed(done));
    await backend.trigger('private-orders.7', 'App\\Events\\OrderShipped', { id: 1 });
    await backend.trigger('private-orders.7', 'comment.created', { id: 2 });
    await until(() => heard.length === 2);
    assert.deepEqual(heard, [{ id: 1 }, { id: 2 }]);
    echo.disconnect();
});

test('the SDK publishes a batch', async () => {
    const client = stockClient();
    const channel = client.subscribe('sdk');
    await bound(channel, 'pusher:subscription_succeeded');
    const got = Promise.all([bound(channel, 'a'), bound(channel, 'b')]);
    await backend.triggerBatch([
        { channel: 'sdk', name: 'a', data: { v: 'abc/d' } },
        { channel: 'sdk', name: 'b', data: 'plain' },
    ]);
    assert.deepEqual(await got, [{ v: 'abc/d' }, 'plain']);
    client.disconnect();
});

// ---- liveness and the end ----

/** Runs fn with a server of its own that has these apps. */
async function withApps(apps, fn) {
    const folder = mkdtempSync(join(tmpdir(), 'viche-apps-'));
    const file = join(folder, 'apps.json');
    writeFileSync(file, JSON.stringify(apps));
    const own = await startServer({ args: ['--apps', file] });
    try {
        await fn(own, async (key, query = '') => {
            const c = await rawSocket(own.port, `/app/${key}${query}`);
            assert.equal((await c.json()).event, 'pusher:connection_established');
            return c;
        });
    } finally {
        await own.stop();
        rmSync(folder, { recursive: true });
    }
}

test('a silent socket is pinged, then closed with 4201; one that answers stays', async () => {
    const apps = [{ app_id: app.id, key: app.key, secret: app.secret, ping_interval: 1 }];
    await withApps(apps, async (own, connect) => {
        const silent = await connect(app.key), java = await connect(app.key, '?client=java-client');
        const alive = await within(2000, async (clock) => {
            const c = await connect(app.key);
            for (let i = 0; i < 3; i++) {
                assert.deepEqual(await c.json(), { event: 'pusher:ping' });
                c.send(frame(TEXT, '{"event":"pusher:pong","data":{}}'));
                clock.lap();
            }
            return c;
        });
        assert.equal((await java.next()).opcode, PING);
        assert.deepEqual(await silent.json(), { event: 'pusher:ping' });
        assert.deepEqual(await silent.json(), error(4201, 'Pong reply not received in time'));
        assert.equal(await silent.closed(), 4201);
        assert.deepEqual(await alive.json(), { event: 'pusher:ping' });
        for (const c of [silent, alive, java]) c.destroy();
    });
});

test('apps do not hear each other, and one may not sign for the other', async () => {
    const apps = ['1', '2'].map((id) => ({ app_id: id, key: `key-${id}`, secret: `secret-${id}` }));
    await withApps(apps, async (own, connect) => {
        const [one, two] = [await connect('key-1'), await connect('key-2')];
        for (const c of [one, two]) {
            c.send(frame(TEXT, '{"event":"pusher:subscribe","data":{"channel":"same"}}'));
            await c.json();
        }
        const publish = (appId, key, secret) =>
            new PusherServer({ appId, key, secret, host: '127.0.0.1', port: String(own.port), useTLS: false })
                .trigger('same', `from-${appId}`, {});
        await publish('1', 'key-1', 'secret-1');
        assert.equal((await one.json()).event, 'from-1');
        await assert.rejects(publish('2', 'key-1', 'secret-1'), { status: 401 });
        await assert.rejects(publish('2', 'key-1', 'secret-2'), { status: 401 });
        await publish('2', 'key-2', 'secret-2');
        assert.equal((await two.json()).event, 'from-2');
        for (const c of [one, two]) c.destroy();
    });
});

test('a stop closes every socket with 4200', async () => {
    const own = await startServer();
    const clients = [];
    for (let i = 0; i < 10; i++) clients.push(await rawSocket(own.port, `/app/${app.key}`));
    for (const c of clients) await c.json();
    const stopped = own.stop();
    own.child.kill('SIGTERM'); // as timeout(1) and npm do: it is the same wish
    await Promise.all(
        clients.map(async (c) => {
            assert.equal(JSON.parse((await c.json()).data).code, 4200);
            const close = await c.next();
            assert.equal(close.payload.readUInt16BE(0), 4200);
            c.send(closeFrame(4200));
            assert.equal(await c.next(), null);
        }),
    );
    await stopped;
});
