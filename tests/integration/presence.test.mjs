// Presence channels, cache channels and client events, over several loops, by stock clients and raw ones.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import { hubClient } from './hub_client.mjs';
import { app, startServer, until } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const PusherClient = PusherClientModule.default ?? PusherClientModule;

let server, backend;
before(async () => {
    server = await startServer({ args: ['--loops', '4'] });
    backend = new PusherServer({
        appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false,
    });
});
after(() => server.stop());

const client = () => hubClient(server.port);

async function expectSuccess(c, channel, presence) {
    const { event, data, channel: of } = await c.json();
    assert.equal(event, 'pusher_internal:subscription_succeeded');
    assert.equal(of, channel);
    assert.deepEqual(JSON.parse(data), { presence });
}
const member = (what, data, channel) => ({ event: `pusher_internal:member_${what}`, data, channel });

test('joins and leaves reach everybody else in one order, on whichever loop', async () => {
    const channel = 'presence-order';
    const watchers = await Promise.all(Array.from({ length: 6 }, client));
    for (const [i, w] of watchers.entries()) {
        w.join(channel, `{"user_id":"w${i}"}`);
        assert.equal((await w.json()).event, 'pusher_internal:subscription_succeeded');
        for (const before of watchers.slice(0, i))
            assert.deepEqual(await before.json(), member('added', `{"user_id":"w${i}"}`, channel));
    }
    const people = await Promise.all(Array.from({ length: 20 }, client));
    people.forEach((p, i) => p.join(channel, `{"user_id":${i},"user_info":{"n":${i}}}`));
    for (const p of people) assert.equal((await p.json()).event, 'pusher_internal:subscription_succeeded');
    people.forEach((p) => p.destroy());
    const heard = await Promise.all(
        watchers.map(async (w) => {
            const seen = [];
            while (seen.length < 40) seen.push(JSON.stringify(await w.json()));
            return seen;
        }),
    );
    for (const seen of heard) assert.deepEqual(seen, heard[0]);
    assert.equal(new Set(heard[0]).size, 40);
    watchers.forEach((w) => w.destroy());
});

test('a user with several connections joins once and leaves once; 1 and "1" are one user', async () => {
    const channel = 'presence-tabs';
    const [a, b, c] = [await client(), await client(), await client()];
    a.join(channel, '{"user_id":"u1","user_info":{"name":"Ann"}}');
    await expectSuccess(a, channel, { count: 1, ids: ['u1'], hash: { u1: { name: 'Ann' } } });
    b.join(channel, '{"user_id":1,"user_info":true}');
    await expectSuccess(b, channel, { count: 2, ids: ['u1', 1], hash: { u1: { name: 'Ann' }, 1: true } });
    assert.deepEqual(await a.json(), member('added', '{"user_id":1,"user_info":true}', channel));
    c.join(channel, '{"user_id":"1","user_info":{"other":"info"}}');
    await expectSuccess(c, channel, { count: 2, ids: ['u1', 1], hash: { u1: { name: 'Ann' }, 1: true } });
    b.destroy();
    await a.expectQuiet();
    c.say('pusher:unsubscribe', { channel });
    assert.deepEqual(await a.json(), member('removed', '{"user_id":1}', channel));
    a.destroy();
    c.destroy();
});

test('the same connection as another user: the old one leaves, the new one joins', async () => {
    const channel = 'presence-switch';
    const [a, b] = [await client(), await client()];
    a.join(channel, '{"user_id":"a"}');
    await a.json();
    b.join(channel, '{"user_id":1}');
    await b.json();
    await a.json();
    b.join(channel, '{"user_id":2}');
    assert.equal((await b.json()).event, 'pusher_internal:member_removed');
    await expectSuccess(b, channel, { count: 2, ids: ['a', 2], hash: { a: {}, 2: {} } });
    assert.deepEqual(await a.json(), member('added', '{"user_id":2}', channel));
    assert.deepEqual(await a.json(), member('removed', '{"user_id":1}', channel));
    b.join(channel, '{"user_id":2}');
    assert.equal((await b.json()).event, 'pusher_internal:subscription_succeeded');
    await a.expectQuiet();
    a.destroy();
    b.destroy();
});

test('nobody is there without channel_data, and ids that look alike stay apart', async () => {
    const channel = 'presence-odd';
    const [a, b] = [await client(), await client()];
    a.join(channel);
    await expectSuccess(a, channel, { count: 0, ids: [], hash: {} });
    b.join(channel, '{"name":"Joe"}');
    await expectSuccess(b, channel, { count: 0, ids: [], hash: {} });
    assert.deepEqual(await a.json(), member('added', '{"name":"Joe"}', channel));
    for (const [i, id] of ['10', '1e1', '010'].entries()) {
        const c = await client();
        c.join(channel, JSON.stringify({ user_id: id }));
        assert.equal(JSON.parse((await c.json()).data).presence.count, i + 1);
    }
    a.destroy();
    b.destroy();
});

test('a socket that subscribes and leaves in one breath leaves nothing behind', async () => {
    const channel = 'presence-breath';
    const a = await client();
    for (let i = 0; i < 50; i++) {
        a.join(channel, `{"user_id":${i}}`);
        a.say('pusher:unsubscribe', { channel });
    }
    await until(async () => {
        const answer = await backend.get({ path: `/channels/${channel}`, params: {} }).catch(() => null);
        return answer === null || answer.status !== 200 || !(await answer.json()).occupied;
    });
    const b = await client();
    b.join(channel, '{"user_id":"last"}');
    await expectSuccess(b, channel, { count: 1, ids: ['last'], hash: { last: {} } });
    a.destroy();
    b.destroy();
});

test('a cache channel keeps its last event, without subscribers too, and neither whispers nor members', async () => {
    for (const channel of ['cache-x', 'private-cache-x', 'presence-cache-x', 'private-encrypted-cache-x']) {
        const [a, b, c] = [await client(), await client(), await client()];
        const data = channel.startsWith('presence') ? (id) => `{"user_id":"${id}"}` : () => undefined;
        const event = { event: 'E', data: '{"n":2}', channel };
        a.join(channel, data('a'));
        assert.equal((await a.json()).event, 'pusher_internal:subscription_succeeded');
        assert.deepEqual(await a.json(), { event: 'pusher:cache_miss', channel });
        a.say('pusher:unsubscribe', { channel });
        await a.expectQuiet();
        await backend.post({ path: '/events', body: { name: 'E', channel, data: '{"n":1}' } });
        await backend.post({ path: '/events', body: { name: 'E', channel, data: '{"n":2}' } });
        b.join(channel, data('b'));
        assert.equal((await b.json()).event, 'pusher_internal:subscription_succeeded');
        assert.deepEqual(await b.json(), event);
        b.say('client-x', {}, channel);
        a.join(channel, data('a'));
        assert.equal((await a.json()).event, 'pusher_internal:subscription_succeeded');
        assert.deepEqual(await a.json(), event);
        a.destroy();
        if (data('a')) {
            assert.match((await b.json()).event, /member_added/);
            assert.match((await b.json()).event, /member_removed/);
        }
        c.join(channel, data('c'));
        assert.equal((await c.json()).event, 'pusher_internal:subscription_succeeded');
        assert.deepEqual(await c.json(), event);
        b.destroy();
        c.destroy();
    }
});

test('whispers go to the other members, with the bytes they have and the user who was signed', async () => {
    const channel = 'presence-chat', plain = 'private-chat';
    const [a, b, stranger] = [await client(), await client(), await client()];
    a.join(channel, '{"user_id":7}');
    await a.json();
    b.join(channel, '{"user_id":8}');
    await b.json();
    await a.json();
    a.send(frame(TEXT, `{"event":"client-t","channel":"${channel}","data":{"x":{},"f":1.0},"user_id":"spoof","zzz":1}`));
    assert.equal(String((await b.next()).payload), `{"event":"client-t","channel":"${channel}","data":{"x":{},"f":1.0},"user_id":7}`);
    await a.expectQuiet();
    stranger.say('client-t', {}, channel);
    assert.deepEqual(JSON.parse((await stranger.json()).data), {
        code: 4009, message: 'The client is not a member of the specified channel.',
    });
    a.join(plain);
    b.join(plain);
    await a.json();
    await b.json();
    a.say('client-start-typing', undefined, plain);
    assert.deepEqual(await b.json(), { event: 'client-start-typing', channel: plain, data: null });
    for (const c of [a, b, stranger]) c.destroy();
});

test('stock pusher-js sees members come and go', async () => {
    const open = (id) =>
        new PusherClient(app.key, {
            cluster: '', wsHost: '127.0.0.1', wsPort: server.port, forceTLS: false, enabledTransports: ['ws'], disableStats: true,
            channelAuthorization: {
                customHandler: ({ socketId, channelName }, done) =>
                    done(null, backend.authorizeChannel(socketId, channelName, { user_id: id, user_info: { name: `N${id}` } })),
            },
        });
    const seen = [];
    const john = open('1'), room = john.subscribe('presence-stock');
    room.bind('pusher:member_added', (m) => seen.push(['added', m]));
    room.bind('pusher:member_removed', (m) => seen.push(['removed', m]));
    await until(() => room.members.count === 1);
    const alice = open('2'), hers = alice.subscribe('presence-stock');
    await until(() => hers.members.count === 2 && seen.length === 1);
    assert.equal(hers.members.me.id, '2');
    assert.deepEqual(seen[0], ['added', { id: '2', info: { name: 'N2' } }]);
    alice.disconnect();
    await until(() => seen.length === 2);
    assert.deepEqual(seen[1], ['removed', { id: '2', info: { name: 'N2' } }]);
    john.disconnect();
});
