// Who may connect and how much they may send: origins, quotas, rates, strict names; signing in and what follows from it.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import { startServer, until, within } from './lib.mjs';
import { CLOSE, TEXT, frame, rawSocket } from './ws_client.mjs';

const PusherClient = PusherClientModule.default ?? PusherClientModule;
const dir = mkdtempSync(join(tmpdir(), 'viche-admission-'));
const apps = {
    plain: {},
    origins: { allowed_origins: ['laravel.com', '*.ok.test'] },
    quota: { max_connections: 2 },
    address: { max_connections_per_address: 2 },
    rate: { rate_limiting: { enabled: true, max_attempts: 3, decay_seconds: 1 } },
    ends: { rate_limiting: { enabled: true, max_attempts: 1, decay_seconds: 60, terminate_on_limit: true } },
    strict: { strict: true },
    few: { max_presence_members: 2, max_presence_member_size: 60, presence_leave_delay: 1 },
    none: { accept_client_events_from: 'nobody' },
    all: { accept_client_events_from: 'all' },
    counting: { subscription_count: true },
    authorized: { require_authorized_connections: true, authorized_connection_timeout: 1 },
};
let server;
before(async () => {
    const file = join(dir, 'apps.json');
    writeFileSync(file, JSON.stringify(Object.entries(apps).map(([id, more]) => ({ app_id: id, key: `${id}-key`, secret: `${id}-secret`, ...more }))));
    server = await startServer({ args: ['--loops', '3', '--apps', file] });
});
after(async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
});

const sign = (app, text) => `${app}-key:${createHmac('sha256', `${app}-secret`).update(text).digest('hex')}`;

/** A raw client and its first frame, which may be a refusal. */
async function connect(app, headers, query = '?protocol=7') {
    const c = await rawSocket(server.port, `/app/${app}-key${query}`, { headers });
    c.hello = await c.json();
    c.first = JSON.parse(c.hello.data);
    c.id = c.first.socket_id;
    c.say = (event, data, channel) => c.send(frame(TEXT, JSON.stringify({ event, data, channel })));
    c.join = (channel, data) => {
        const auth = /^pr/.test(channel) ? sign(app, `${c.id}:${channel}${data === undefined ? '' : `:${data}`}`) : '';
        c.say('pusher:subscribe', { channel, auth, channel_data: data });
    };
    c.signIn = (user) => {
        const user_data = JSON.stringify(user);
        c.say('pusher:signin', { auth: sign(app, `${c.id}::user::${user_data}`), user_data });
    };
    return c;
}
const error = (code, message) => ({ event: 'pusher:error', data: JSON.stringify({ code, message }) });
const succeeded = 'pusher_internal:subscription_succeeded';

test('an origin that is not allowed gets 4009, the close code, and is never served', async () => {
    for (const origin of ['http://laravel.com', 'https://laravel.com:8443', 'http://a.ok.test', 'http://a.b.ok.test']) {
        const c = await connect('origins', { Origin: origin });
        assert.equal(c.hello.event, 'pusher:connection_established', origin);
        c.destroy();
    }
    // Side by side: each waits three seconds for an answer to its close.
    const refused = [undefined, 'null', 'laravel.com', 'http://sub.laravel.com', 'http://ok.test', 'http://LARAVEL.com', 'http://laravel.com.evil.test', '://laravel.com', 'http://'];
    await Promise.all(refused.map(async (origin) => {
        const c = await connect('origins', origin === undefined ? {} : { Origin: origin });
        assert.deepEqual(c.hello, error(4009, 'Origin not allowed'), String(origin));
        c.join('c');
        const close = await c.next();
        assert.equal(close.opcode, CLOSE);
        assert.equal(close.payload.readUInt16BE(0), 4009);
        assert.equal(await c.next(), null);
    }));
});

test('a strict app wants protocol 5 to 7, another does not look', async () => {
    const refused = [
        ['', 4008, 'No protocol version supplied'],
        ['?protocol=', 4008, 'No protocol version supplied'],
        ['?client=js&version=8', 4008, 'No protocol version supplied'],
        ['?protocol=abc', 4006, 'Invalid version string format'],
        ['?protocol=7.0', 4006, 'Invalid version string format'],
        ['?protocol=99999999999999999999', 4006, 'Invalid version string format'],
        ['?protocol=2', 4007, 'Unsupported protocol version'],
        ['?protocol=4', 4007, 'Unsupported protocol version'],
        ['?protocol=8', 4007, 'Unsupported protocol version'],
        ['?protocol=-7', 4007, 'Unsupported protocol version'],
    ];
    await Promise.all(refused.map(async ([query, code, why]) => {
        const c = await connect('strict', {}, query);
        assert.deepEqual(c.hello, error(code, why), query);
        c.join('c');
        assert.equal(await c.closed(), code, query);
        const other = await connect('plain', {}, query);
        assert.equal(other.hello.event, 'pusher:connection_established', query);
        other.destroy();
    }));
    for (const query of ['?protocol=5', '?client=java-client&protocol=6&version=1', '?protocol=7']) {
        const c = await connect('strict', {}, query);
        assert.equal(c.hello.event, 'pusher:connection_established', query);
        c.destroy();
    }
    const stock = new PusherClient('strict-key', { cluster: '', wsHost: '127.0.0.1', wsPort: server.port, forceTLS: false, enabledTransports: ['ws'], disableStats: true });
    await until(() => stock.connection.state === 'connected');
    stock.disconnect();
});

test('connections are counted from the first to the last, over all loops; more get 4004', async () => {
    const open = [await connect('quota'), await connect('quota')];
    await Promise.all(Array.from({ length: 5 }, async () => {
        const c = await connect('quota');
        assert.deepEqual(c.hello, error(4004, 'Application is over connection quota'));
        c.join('c');
        assert.equal(await c.closed(), 4004);
    }));
    open[0].destroy();
    await until(async () => {
        const c = await connect('quota');
        if (c.hello.event === 'pusher:connection_established') return open.push(c);
        return c.destroy();
    });
    const stock = new PusherClient('quota-key', { cluster: '', wsHost: '127.0.0.1', wsPort: server.port, forceTLS: false, enabledTransports: ['ws'], disableStats: true });
    const codes = [];
    stock.connection.bind('error', (e) => codes.push(e.data?.code ?? e.error?.data?.code));
    await until(() => stock.connection.state === 'disconnected');
    assert.ok(codes.includes(4004), String(codes));
    open.forEach((c) => c.destroy());
});

test('one address has so many connections and no more', async () => {
    const open = [await connect('address'), await connect('address')];
    const third = await connect('address');
    assert.equal(third.first.code, 4100);
    assert.equal(await third.closed(), 4100);
    open[1].destroy();
    await until(async () => {
        const c = await connect('address');
        c.destroy();
        return c.hello.event === 'pusher:connection_established';
    });
    open[0].destroy();
});

test('messages over the rate are answered with 4301 and dropped, or end the connection', async () => {
    const c = await connect('rate');
    for (let i = 0; i < 5; i++) c.say('pusher:ping', {});
    for (let i = 0; i < 3; i++) assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    for (let i = 0; i < 2; i++) assert.deepEqual(await c.json(), error(4301, 'Rate limit exceeded'));
    await until(async () => {
        c.say('pusher:ping', {});
        return (await c.json()).event === 'pusher:pong';
    });
    c.destroy();
    const d = await connect('ends');
    d.say('pusher:ping', {});
    d.say('pusher:ping', {});
    assert.deepEqual(await d.json(), { event: 'pusher:pong' });
    assert.deepEqual(await d.json(), error(4301, 'Rate limit exceeded'));
    assert.equal(await d.closed(), 4301);
});

test('a strict app has Pusher\'s names and limits', async () => {
    const c = await connect('strict');
    for (const channel of ['n'.repeat(165), 'with space', '#hash', 'a/b', 'ї']) {
        c.join(channel);
        const { event, data } = await c.json();
        assert.equal(event, 'pusher:subscription_error');
        assert.deepEqual([data.type, data.status], ['LimitReached', 4009], channel);
    }
    for (const channel of ['n'.repeat(164), 'a-b_c=d@e,f.g;h', 'privateer', 'cachefoo']) {
        c.say('pusher:subscribe', { channel });
        assert.equal((await c.json()).event, succeeded, channel);
    }
    c.say('client-x', {}, 'a-b_c=d@e,f.g;h');
    assert.equal(JSON.parse((await c.json()).data).code, 4301);
    const d = await connect('strict');
    for (const x of [c, d]) {
        x.join('private-room');
        await x.json();
    }
    for (let i = 0; i < 12; i++) c.say('client-x', { i }, 'private-room');
    for (let i = 0; i < 10; i++) assert.deepEqual((await d.json()).data, { i });
    for (let i = 0; i < 2; i++) assert.deepEqual(await c.json(), error(4301, 'Rate limit exceeded'));
    const e = await connect('strict');
    e.join('private-room');
    await e.json();
    e.say(`client-${'n'.repeat(194)}`, {}, 'private-room');
    assert.equal(JSON.parse((await e.json()).data).code, 4301);
    for (const x of [c, d, e]) x.destroy();
});

test('a presence channel is full at its limit, a member has a size, a short absence is none', async () => {
    const channel = 'presence-few';
    const [a, b, late] = [await connect('few'), await connect('few'), await connect('few')];
    a.join(channel, '{"user_id":"a"}');
    await a.json();
    b.join(channel, JSON.stringify({ user_id: 'b', user_info: 'x'.repeat(60) }));
    assert.deepEqual((await b.json()).data.status, 4301);
    late.signIn({ id: 'd', user_info: 'x'.repeat(60) });
    assert.equal((await late.json()).event, 'pusher:signin_success');
    late.join(channel); // as who it signed in as
    assert.deepEqual((await late.json()).data.status, 4301);
    b.join(channel, '{"user_id":"b"}');
    await b.json();
    await a.json();
    late.join(channel, '{"user_id":"c"}');
    assert.deepEqual((await late.json()).data, { type: 'LimitReached', error: 'The channel has too many members.', status: 4100 });
    late.join(channel, '{"user_id":"b"}');
    assert.equal((await late.json()).event, succeeded);
    late.destroy();
    b.destroy();
    const removed = (of) => ({ event: 'pusher_internal:member_removed', data: '{"user_id":"b"}', channel: of });
    assert.deepEqual(await a.json(), removed(channel));
    const back = await within(apps.few.presence_leave_delay * 1000, async (clock, i) => {
        const room = `presence-back-${i}`;
        const [watcher, first, again] = [await connect('few'), await connect('few'), await connect('few')];
        for (const [c, who] of [[watcher, 'a'], [first, 'b']]) {
            c.join(room, `{"user_id":"${who}"}`);
            assert.equal((await c.json()).event, succeeded);
        }
        assert.match((await watcher.json()).event, /member_added/);
        clock.start();
        first.destroy();
        again.join(room, '{"user_id":"b"}');
        assert.equal(JSON.parse((await again.json()).data).presence.count, 2);
        return { room, watcher, again };
    });
    back.watcher.say('pusher:ping', {});
    assert.deepEqual(await back.watcher.json(), { event: 'pusher:pong' }, 'it was never away');
    back.again.destroy();
    assert.deepEqual(await back.watcher.json(), removed(back.room));
    back.watcher.destroy();
    a.destroy();
});

test('client events follow accept_client_events_from', async () => {
    const [a, b] = [await connect('none'), await connect('none')];
    a.join('private-x');
    await a.json();
    a.say('client-x', {}, 'private-x');
    assert.deepEqual(await a.json(), error(4301, 'The app does not have client messaging enabled.'));
    const [c, d] = [await connect('all'), await connect('all')];
    c.join('private-x');
    await c.json();
    d.send(frame(TEXT, '{"event":"client-x","channel":"private-x","data":{},"user_id":"spoof","channels":["private-x"]}'));
    assert.deepEqual(await c.json(), { event: 'client-x', channel: 'private-x', data: {} });
    for (const x of [a, b, c, d]) x.destroy();
});

test('signing in opens the user\'s own channel, and nobody else\'s', async () => {
    const [c, d] = [await connect('plain'), await connect('plain')];
    const user_data = '{"id":"12345","name":"Ann \\"A\\""}';
    c.say('pusher:signin', { auth: sign('plain', `${c.id}::user::${user_data}`), user_data });
    const answer = await c.json();
    assert.equal(answer.event, 'pusher:signin_success');
    assert.deepEqual(JSON.parse(answer.data), { user_data });
    c.join('#server-to-user-12345');
    assert.equal((await c.json()).event, succeeded);
    for (const [x, channel] of [[c, '#server-to-user-1'], [c, '#server-to-user-'], [d, '#server-to-user-12345']]) {
        x.join(channel);
        assert.deepEqual(await x.json(), error(4009, 'Connection is unauthorized'));
        await x.json();
    }
    const backend = new PusherServer({ appId: 'plain', key: 'plain-key', secret: 'plain-secret', host: '127.0.0.1', port: String(server.port), useTLS: false });
    await backend.sendToUser('12345', 'hello', { n: 1 });
    assert.deepEqual(await c.json(), { event: 'hello', data: '{"n":1}', channel: '#server-to-user-12345' });
    for (const bad of [{}, { id: '' }, { id: 5 }, { id: '6' }]) {
        c.signIn(bad);
        assert.deepEqual(await c.json(), error(4009, 'Connection is unauthorized'), JSON.stringify(bad));
    }
    d.say('pusher:signin', { auth: sign('plain', `${c.id}::user::${user_data}`), user_data });
    assert.deepEqual(await d.json(), error(4009, 'Connection is unauthorized'));
    for (const rubbish of ['', {}, { auth: 1, user_data: 2 }, { auth: 'a', user_data: 'x' }, []]) {
        d.say('pusher:signin', rubbish);
        assert.deepEqual(await d.json(), error(4200, 'Invalid message format'));
    }
    // Presence without channel_data is joined as the signed-in user.
    c.join('presence-signed');
    assert.deepEqual(JSON.parse((await c.json()).data).presence.ids, ['12345']);
    c.destroy();
    d.destroy();
});

test('a watchlist says who is online, and who comes and goes', async () => {
    const watching = await connect('plain');
    const told = async () => {
        const { event, data } = await watching.json();
        assert.equal(event, 'pusher_internal:watchlist_events');
        return JSON.parse(data).events;
    };
    const one = await connect('plain');
    one.signIn({ id: 'W1' });
    await one.json();
    watching.signIn({ id: 'W0', watchlist: ['W1', 'W2'] });
    assert.equal((await watching.json()).event, 'pusher:signin_success');
    assert.deepEqual(await told(), [{ name: 'online', user_ids: ['W1'] }]);
    const tabs = [await connect('plain'), await connect('plain')];
    for (const tab of tabs) {
        tab.signIn({ id: 'W2' });
        await tab.json();
    }
    assert.deepEqual(await told(), [{ name: 'online', user_ids: ['W2'] }]);
    tabs[0].destroy();
    tabs[1].destroy();
    assert.deepEqual(await told(), [{ name: 'offline', user_ids: ['W2'] }]);
    const many = await connect('plain');
    many.signIn({ id: 'W3', watchlist: Array.from({ length: 101 }, (_, i) => `x${i}`) });
    assert.equal((await many.json()).event, 'pusher:signin_success');
    assert.equal(JSON.parse((await many.json()).data).code, 4302);
    for (const c of [watching, one, many]) c.destroy();
});

test('subscribers are told how many they are, where the app wants it', async () => {
    const count = (n, channel = 'c') => ({ event: 'pusher_internal:subscription_count', data: JSON.stringify({ subscription_count: n }), channel });
    const [a, b] = [await connect('counting'), await connect('counting')];
    a.join('c');
    assert.equal((await a.json()).event, succeeded);
    assert.deepEqual(await a.json(), count(1));
    b.join('c');
    assert.equal((await b.json()).event, succeeded);
    assert.deepEqual(await b.json(), count(2));
    assert.deepEqual(await a.json(), count(2));
    b.destroy();
    assert.deepEqual(await a.json(), count(1));
    a.join('presence-c', '{"user_id":"1"}');
    assert.equal((await a.json()).event, succeeded);
    a.say('pusher:ping', {});
    assert.deepEqual(await a.json(), { event: 'pusher:pong' });
    a.destroy();
});

test('where sockets must be authorised, one that is not in time is closed with 4009', async () => {
    const authorized = (show) =>
        within(apps.authorized.authorized_connection_timeout * 1000, async () => {
            const c = await connect('authorized');
            show(c);
            assert.match((await c.json()).event, /success|succeeded/);
            return c;
        });
    const signed = await authorized((c) => c.signIn({ id: '1' })), subscribed = await authorized((c) => c.join('private-x'));
    const [idle, open] = [await connect('authorized'), await connect('authorized')];
    open.join('public');
    assert.equal(await idle.closed(), 4009);
    assert.equal(await open.closed(), 4009);
    for (const c of [signed, subscribed]) {
        c.say('pusher:ping', {});
        assert.deepEqual(await c.json(), { event: 'pusher:pong' });
        c.destroy();
    }
});
