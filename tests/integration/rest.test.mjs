// The signed REST calls: the SDK for Node, and calls as PHP and others make them, over three loops.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import PusherServer from 'pusher';
import { hmac, hubClient, signedCall, signedQuery } from './hub_client.mjs';
import { app, runViche, startServer, until } from './lib.mjs';

const others = {
    limited: { app_id: 'limited', key: 'limited-key', secret: 'limited-secret', max_request_size: 200000, max_event_name_length: 20,
        max_event_payload_size: 1000, max_event_channels: 3, max_batch_items: 2 },
    strict: { app_id: 'strict', key: 'strict-key', secret: 'strict-secret', strict: true },
    wide: { app_id: '40000', key: 'wide-key', secret: 'wide-secret', max_request_size: 200000 },
    off: { app_id: 'off', key: 'off-key', secret: 'off-secret', enabled: false },
    docs: { app_id: 3, key: '278d425bdf160c739803', secret: '7ad3773142a6692b25b8', timestamp_tolerance: 0 },
};

let server, backend, folder;
before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'viche-rest-'));
    const file = join(folder, 'apps.json');
    writeFileSync(file, JSON.stringify([{ app_id: app.id, key: app.key, secret: app.secret }, ...Object.values(others)]));
    server = await startServer({ args: ['--loops', '3', '--apps', file] });
    backend = new PusherServer({
        appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false,
    });
});
after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
});

const call = (method, path, change) => signedCall(server, method, `/apps/${app.id}${path}`, change);
const get = (path, params) => call('GET', path, { params });
const as = (other, method, path, body) =>
    signedCall(server, method, `/apps/${other.app_id}${path}`, { body, key: other.key, secret: other.secret });
const clients = (count) => Promise.all(Array.from({ length: count }, () => hubClient(server.port)));
async function joined(c, channel, data) {
    c.join(channel, data);
    for (;;) {
        const m = await c.json();
        if (m.event === 'pusher_internal:subscription_succeeded') return;
        assert.match(m.event, /^pusher_internal:member_/);
    }
}
/** Ends the clients and waits until no channel is left. */
async function end(...all) {
    for (const c of all) c.destroy();
    await until(async () => (await get('/channels')).text === '{"channels":{}}');
}

// ---- order ----

/** What each of the clients hears until it has heard count events: their data. */
const heard = (all, count) =>
    Promise.all(
        all.map(async (c) => {
            const data = [];
            while (data.length < count) data.push((await c.json()).data);
            return data;
        }),
    );
const MANY = 600;
const numbers = Array.from({ length: MANY }, (_, i) => String(i));
const manyChannels = numbers.slice(0, 9).map((n) => `ordered-${n}`);

test('calls that follow each other, on other channels and connections, are heard in their order', async () => {
    const all = await clients(6);
    for (const c of all) for (const channel of manyChannels) await joined(c, channel);
    const hearing = heard(all, MANY);
    for (const n of numbers) {
        const body = { name: 'n', channel: manyChannels[n % manyChannels.length], data: n };
        assert.equal((await call('POST', '/events', { body })).text, '{}');
    }
    for (const data of await hearing) assert.deepEqual(data, numbers);
    await end(...all);
});

test('the events of a batch are heard in their order, whatever their channels', async () => {
    const all = await clients(6);
    for (const c of all) for (const channel of manyChannels) await joined(c, channel);
    const hearing = heard(all, MANY);
    for (let at = 0; at < MANY; at += 60) {
        const batch = numbers.slice(at, at + 60).map((n) => ({ name: 'n', channel: manyChannels[n % manyChannels.length], data: n }));
        assert.equal((await call('POST', '/batch_events', { body: { batch } })).text, '{"batch":{}}');
    }
    for (const data of await hearing) assert.deepEqual(data, numbers);
    await end(...all);
});

// ---- reading ----

test('channels: none is an object; occupied ones of all loops, with what applies to each', async () => {
    assert.equal((await get('/channels')).text, '{"channels":{}}');
    const all = await clients(6);
    await Promise.all(all.map((c, i) => joined(c, 'presence-list', `{"user_id":${i % 4}}`)));
    await Promise.all(all.slice(0, 5).map((c) => joined(c, 'list-one')));
    await joined(all[0], 'private-lïst/two');
    assert.deepEqual((await get('/channels')).json, { channels: { 'presence-list': {}, 'list-one': {}, 'private-lïst/two': {} } });
    assert.deepEqual((await get('/channels', { info: 'user_count, subscription_count,occupied,cache,nonsense' })).json, {
        channels: {
            'presence-list': { occupied: true, user_count: 4 },
            'list-one': { occupied: true, subscription_count: 5 },
            'private-lïst/two': { occupied: true, subscription_count: 1 },
        },
    });
    const sdk = await backend.get({ path: '/channels', params: { filter_by_prefix: 'presence-', info: 'user_count' } });
    assert.deepEqual(await sdk.json(), { channels: { 'presence-list': { user_count: 4 } } });
    all[0].say('pusher:unsubscribe', { channel: 'private-lïst/two' });
    await all[0].expectQuiet();
    assert.deepEqual((await get('/channels', { filter_by_prefix: 'private-' })).json, { channels: {} });
    await end(...all);
});

test('a channel: occupied always, counts and the cached event where there are', async () => {
    const [a, b] = await clients(2);
    const info = { info: 'user_count,subscription_count,cache' };
    assert.deepEqual((await get('/channels/nobody', info)).json, { occupied: false });
    await joined(a, 'presence-one', '{"user_id":"u"}');
    await joined(b, 'presence-one', '{"user_id":"u"}');
    assert.deepEqual((await get('/channels/presence-one', info)).json, { occupied: true, user_count: 1 });
    await joined(a, 'a@b=1,2;3.c/ї');
    const encoded = encodeURIComponent('a@b=1,2;3.c/ї');
    assert.deepEqual((await get(`/channels/${encoded}`, info)).json, { occupied: true, subscription_count: 1 });
    assert.deepEqual((await get(`/channels/${encoded}`)).json, { occupied: true });

    await call('POST', '/events', { body: { name: 'e', channel: 'cache-one', data: '{"n":"ї"}' } });
    const kept = (await get('/channels/cache-one', info)).json;
    assert.equal(kept.occupied, false);
    assert.ok(kept.cache.ttl > 1700 && kept.cache.ttl <= 1800);
    assert.deepEqual(kept.cache, { event: 'e', data: '{"n":"ї"}', channel: 'cache-one', ttl: kept.cache.ttl });
    assert.deepEqual((await get('/channels', info)).json.channels['cache-one'], undefined);
    a.join('cache-one');
    await a.json();
    const listed = (await get('/channels', { ...info, filter_by_prefix: 'cache-' })).json.channels['cache-one'];
    assert.equal(listed.subscription_count, 1);
    assert.equal(listed.cache.data, '{"n":"ї"}');
    await end(a, b);
});

test('users: each once, in the order of their coming, ids as they were signed', async () => {
    assert.equal((await get('/channels/presence-users/users')).status, 404);
    assert.equal((await get('/channels/presence-users/users')).text, '{}');
    const all = await clients(5);
    for (const [i, id] of ['3', '"ї/2"', '3', '"1"', undefined].entries())
        await joined(all[i], 'presence-users', `{"user_id":${id ?? 'null'}}`);
    assert.deepEqual((await get('/channels/presence-users/users')).json, { users: [{ id: 3 }, { id: 'ї/2' }, { id: '1' }] });
    await joined(all[0], 'plain-users');
    const plain = await get('/channels/plain-users/users');
    assert.equal(plain.status, 400);
    assert.equal(plain.text, '{}');
    await end(...all);
});

test('connections: those with a subscription, each once, of this app', async () => {
    assert.deepEqual((await get('/connections')).json, { connections: 0 });
    const all = await clients(7);
    const other = await hubClient(server.port, others.wide);
    for (const c of all.slice(0, 6)) await joined(c, 'connections');
    await joined(all[0], 'connections-2');
    await joined(all[0], 'presence-connections', '{"user_id":1}');
    await joined(other, 'connections');
    assert.deepEqual((await get('/connections')).json, { connections: 6 });
    assert.deepEqual((await as(others.wide, 'GET', '/connections')).json, { connections: 1 });
    for (const name of ['connections', 'connections-2', 'presence-connections']) all[0].say('pusher:unsubscribe', { channel: name });
    await all[0].expectQuiet();
    assert.deepEqual((await get('/connections')).json, { connections: 5 });
    other.destroy();
    await end(...all);
});

test('HEAD has the length and no body; signatures name the method', async () => {
    const head = await call('HEAD', '/connections');
    assert.equal(head.status, 200);
    assert.equal(head.text, '');
    assert.equal(head.headers.get('content-length'), String('{"connections":0}'.length));
    const path = `/apps/${app.id}/connections`;
    const forged = await fetch(`${server.url}${path}?${signedQuery('POST', path)}`);
    assert.equal(forged.status, 401);
});

test('thousands of channels are listed while they come and go', async () => {
    const sockets = await clients(7);
    const names = (i) => Array.from({ length: 1000 }, (_, n) => `many-${i}-${n}`);
    await Promise.all(sockets.map(async (c, i) => {
        for (const name of names(i)) c.say('pusher:subscribe', { channel: name });
        for (let n = 0; n < 1000; n++) await c.json();
    }));
    for (const name of names(6)) sockets[6].say('pusher:unsubscribe', { channel: name });
    for (const name of names(7)) sockets[6].say('pusher:subscribe', { channel: name });
    const lists = await Promise.all(Array.from({ length: 8 }, () => get('/channels', { info: 'subscription_count', filter_by_prefix: 'many-' })));
    for (const { json } of lists) {
        for (let i = 0; i < 6; i++)
            for (const name of names(i)) assert.deepEqual(json.channels[name], { subscription_count: 1 });
        const others = Object.keys(json.channels).length - 6000;
        assert.ok(others >= 0 && others <= 2000, `${others}`);
    }
    await end(...sockets);
});

test('an answer that would be too large is refused, and a part of it is not', async () => {
    const c = await hubClient(server.port, others.wide);
    for (let i = 0; i < 60; i++) {
        await joined(c, `cache-large-${i}`);
        assert.equal((await c.json()).event, 'pusher:cache_miss');
        const event = { name: 'e', channel: `cache-large-${i}`, data: 'x'.repeat(150000), info: 'cache,subscription_count' };
        const answer = await as(others.wide, 'POST', '/events', event);
        assert.deepEqual(answer.json, { channels: { [`cache-large-${i}`]: { subscription_count: 1 } } }); // it is the event itself
        assert.equal((await c.json()).event, 'e');
    }
    const list = (params) => signedCall(server, 'GET', '/apps/40000/channels', { params, key: others.wide.key, secret: others.wide.secret });
    const all = await list({ info: 'cache' });
    assert.equal(all.status, 400);
    assert.match(all.text, /larger than 7 MiB/);
    const some = await list({ info: 'cache', filter_by_prefix: 'cache-large-1' });
    assert.equal(Object.values(some.json.channels).length, 11);
    for (const { cache } of Object.values(some.json.channels)) assert.equal(cache.data.length, 150000);
    assert.equal(Object.keys((await list()).json.channels).length, 60);
    c.destroy();
});

// ---- terminating ----

test('terminating a user closes each of its connections with 4009, and no other', async () => {
    const all = await clients(9);
    const user = '{"id":"456"}';
    all[8].say('pusher:signin', { auth: `${app.key}:${hmac(app.secret, `${all[8].id}::user::${user}`)}`, user_data: user });
    assert.equal((await all[8].json()).event, 'pusher:signin_success');
    await joined(all[0], 'presence-end', '{"user_id":456}');
    await joined(all[1], 'presence-end', '{"user_id":"456","user_info":{}}');
    await joined(all[2], 'terminate-plain');
    await joined(all[2], 'private-end', '{"user_id":"456"}');
    await joined(all[3], 'terminate-plain');
    await joined(all[3], 'presence-end', '{"user_id":987}');
    await joined(all[4], 'terminate-plain', '{"user_id":456}'); // not signed: a plain channel
    await joined(all[5], 'presence-end', '{"user_id":456}');
    await joined(all[5], 'presence-end', '{"user_id":987}'); // is another now
    await joined(all[6], 'presence-end', '{"user_id":456}');
    all[6].say('pusher:unsubscribe', { channel: 'presence-end' });
    await joined(all[7], 'presence-end', '{"user_id":456}');
    await joined(all[7], 'private-end', '{"user_id":987}'); // is both
    const other = await hubClient(server.port, others.wide);
    await joined(other, 'presence-end', '{"user_id":456}');

    assert.deepEqual((await call('POST', '/users/nobody/terminate_connections', { body: {} })).json, {});
    const answer = await backend.terminateUserConnections('456');
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), '{}');
    const said = { event: 'pusher:error', data: JSON.stringify({ code: 4009, message: 'You got disconnected by the app.' }) };
    for (const i of [0, 1, 2, 7, 8]) {
        let m;
        do m = await all[i].json();
        while (/member_/.test(m.event));
        assert.deepEqual(m, said);
        const close = await all[i].next();
        assert.equal(close.payload.readUInt16BE(0), 4009);
        assert.equal(String(close.payload.subarray(2)), 'You got disconnected by the app.');
    }
    await until(async () => {
        for (const i of [0, 1, 2, 7, 8]) all[i].destroy();
        return (await get('/channels/presence-end/users')).json.users.length === 1;
    });
    for (const i of [3, 4, 5, 6]) {
        all[i].say('pusher:ping', {});
        let m;
        do m = await all[i].json();
        while (/member_/.test(m.event));
        assert.deepEqual(m, { event: 'pusher:pong' });
    }
    await other.expectQuiet();
    assert.equal((await call('POST', '/channels/users/not-a-user/terminate_connections', { body: {} })).status, 404);
    other.destroy();
    await end(...all);
});

// ---- publishing ----

test('info tells counts of all loops, for channels and for batches', async () => {
    const all = await clients(4);
    await joined(all[0], 'presence-info', '{"user_id":1}');
    for (const c of all) await joined(c, 'info');
    const event = { name: 'e', data: 'x' };
    const both = ['presence-info', 'info'];
    const asked = async (channels, info) => (await call('POST', '/events', { body: { ...event, channels, info } })).json;
    assert.deepEqual(await asked(both, 'user_count'), { channels: { 'presence-info': { user_count: 1 }, info: {} } });
    assert.deepEqual(await asked(both, 'subscription_count'), { channels: { 'presence-info': {}, info: { subscription_count: 4 } } });
    assert.deepEqual(await asked(['no"body'], 'subscription_count,occupied'), { channels: { 'no"body': { occupied: false } } });
    const batch = async (items) => (await call('POST', '/batch_events', { body: { batch: items } })).json;
    assert.deepEqual(
        await batch([
            { ...event, channel: 'presence-info', info: 'user_count' },
            { ...event, channel: 'info', info: 'subscription_count' },
            { ...event, channel: 'info', info: 'subscription_count,user_count' },
            { ...event, channel: 'info' },
        ]),
        { batch: [{ user_count: 1 }, { subscription_count: 4 }, { subscription_count: 4 }, {}] },
    );
    const sdk = await backend.trigger(both, 'e', 'x', { info: 'user_count' });
    assert.deepEqual((await sdk.json()).channels['presence-info'], { user_count: 1 });
    await end(...all);
});

test('an event with an idempotency key is delivered once, on each of its channels', async () => {
    const [a, b] = await clients(2);
    await joined(a, 'once-a');
    await joined(b, 'once-b');
    const publish = async (name, channels, idempotency_key) =>
        assert.deepEqual((await call('POST', '/events', { body: { name, channels, data: 'x', idempotency_key } })).json, {});
    const hear = async (c, ...names) => {
        for (const name of names) assert.equal((await c.json()).event, name);
        await c.expectQuiet();
    };
    await publish('1', ['once-a'], 'k');
    await publish('2', ['once-a', 'once-b'], 'k'); // what was missing comes
    await publish('3', ['once-a', 'once-b'], 'k');
    await publish('4', ['once-a'], 'K');
    await publish('5', ['once-a'], '');
    await publish('5', ['once-a'], '');
    await publish('6', ['once-a']);
    await hear(a, '1', '4', '5', '5', '6');
    await hear(b, '2');
    const item = (name, idempotency_key) => ({ name, channel: 'once-b', data: 'x', idempotency_key });
    const batch = { batch: [item('7', 'b'), item('8', 'b'), item('9', 'k'), item('10')] };
    assert.deepEqual((await call('POST', '/batch_events', { body: batch })).json, { batch: {} });
    assert.deepEqual((await call('POST', '/batch_events', { body: batch })).json, { batch: {} });
    await hear(b, '7', '10', '10');

    const other = await hubClient(server.port, others.wide);
    await joined(other, 'once-a');
    await as(others.wide, 'POST', '/events', { name: '11', channel: 'once-a', data: 'x', idempotency_key: 'k' });
    await hear(other, '11');
    for (const [key, why] of [[5, 'must be a string.'], ['k'.repeat(129), 'must not be greater than 128 characters.']]) {
        const refused = await call('POST', '/events', { body: { name: 'e', channel: 'c', data: 'x', idempotency_key: key } });
        assert.equal(refused.status, 422);
        assert.deepEqual(refused.json, { idempotency_key: [`The idempotency key field ${why}`] });
    }
    other.destroy();
    await end(a, b);
});

test('an app\'s limits hold for events and batches, and nothing is delivered', async () => {
    const c = await hubClient(server.port, others.limited);
    await joined(c, 'c');
    const event = { name: 'e', channel: 'c', data: 'x' };
    const events = (change) => as(others.limited, 'POST', '/events', { ...event, ...change });
    const batch = (...items) => as(others.limited, 'POST', '/batch_events', { batch: items.map((i) => ({ ...event, ...i })) });
    assert.equal((await events({ name: 'ї'.repeat(10), data: '"'.repeat(1000), channels: ['c', 'd', 'd', 'e'] })).status, 200);
    assert.equal((await c.json()).event, 'ї'.repeat(10));
    for (const [status, text, answer] of [
        [400, 'The event name is longer than 20 bytes.', events({ name: 'ї'.repeat(11) })],
        [413, 'The event data is larger than 1000 bytes.', events({ data: 'x'.repeat(1001) })],
        [400, 'The event has more than 3 channels.', events({ channels: ['c', 'd', 'e', 'f'] })],
        [400, 'The batch has more than 2 events.', batch({}, {}, {})],
        [413, 'The event data is larger than 1000 bytes.', batch({}, { data: 'x'.repeat(1001) })],
    ]) {
        const got = await answer;
        assert.deepEqual([got.status, got.text], [status, text]);
        assert.match(got.headers.get('content-type'), /^text\/plain/);
    }
    await c.expectQuiet();
    c.destroy();
});

test('a strict app keeps Pusher\'s rules', async () => {
    const event = { name: 'e', channel: 'c', data: 'x' };
    const events = (change) => as(others.strict, 'POST', '/events', { ...event, ...change });
    for (const channel of ['c', 'aZ0-_=@,.;', '#server-to-user-7', 'c'.repeat(164)])
        assert.equal((await events({ channel })).status, 200, channel);
    for (const channel of ['a b', 'a/b', 'ї', 'a#', '#', 'a:b', 'c'.repeat(165)]) {
        const refused = await events({ channel });
        assert.deepEqual([refused.status, refused.text], [400, `The channel name [${channel}] is not valid.`]);
    }
    for (const name of ['pusher:x', 'pusher_internal:member_added', 'p\u0075sher:y'])
        assert.equal((await events({ name })).status, 400, name);
    assert.equal((await events({ name: 'pusherx' })).status, 200);
    const many = (count) => Array.from({ length: count }, (_, i) => `c${i}`);
    assert.equal((await events({ channels: many(100) })).status, 200);
    assert.equal((await events({ channels: many(101) })).status, 400);
    assert.equal((await events({ name: 'n'.repeat(201) })).status, 400);
    const batch = (count) => as(others.strict, 'POST', '/batch_events', { batch: Array.from({ length: count }, () => event) });
    assert.equal((await batch(10)).status, 200);
    assert.equal((await batch(11)).status, 400);
    // and one that is not strict has none of them
    for (const change of [{ channel: 'a b/ї' }, { name: 'pusher:x' }, { channels: many(101) }])
        assert.equal((await call('POST', '/events', { body: { ...event, ...change } })).status, 200);
});

// ---- refusals ----

test('a disabled app, an unknown one, wrong methods and paths are told in plain text', async () => {
    for (const [status, text, answer] of [
        [403, 'Application is disabled.', as(others.off, 'GET', '/channels')],
        [403, 'Application is disabled.', as(others.off, 'POST', '/events', { name: 'e', channel: 'c', data: 'x' })],
        [401, 'Authentication signature invalid.', as({ ...others.off, secret: 'wrong' }, 'GET', '/channels')],
        [404, 'No matching application for ID [x].', signedCall(server, 'GET', '/apps/x/channels')],
        [404, 'No matching application for ID [x].', signedCall(server, 'POST', '/apps/x/users/1/terminate_connections')],
        [404, 'Not found.', get('/nothing')],
        [404, 'Not found.', call('POST', '/channels/c/events', { body: {} })],
        [405, 'Method not allowed.', get('/events')],
        [405, 'Method not allowed.', call('POST', '/channels', { body: {} })],
    ]) {
        const got = await answer;
        assert.deepEqual([got.status, got.text], [status, text]);
        assert.match(got.headers.get('content-type'), /^text\/plain/);
        if (status === 405) assert.match(got.headers.get('allow'), /GET|POST/);
    }
    assert.match((await get('/events')).headers.get('allow'), /^POST/);
    const page = await fetch(`${server.url}/nothing`);
    assert.equal(page.status, 404);
    assert.match(page.headers.get('content-type'), /html/);
});

test('bodies up to the app\'s size pass, in many segments too, larger ones get 413', async () => {
    const event = (size) => ({ name: 'e', channel: 'c', data: 'x'.repeat(size) });
    for (const [other, size, status] of [[others.wide, 150000, 200], [others.wide, 210000, 413], [others.wide, 2000000, 413]]) {
        const got = await as(other, 'POST', '/events', event(size));
        assert.deepEqual([got.status, got.text], [status, status === 200 ? '{}' : 'Payload too large.']);
    }
    const text = JSON.stringify(event(150000)), path = '/apps/40000/events';
    const socket = connect(server.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => (answer += data));
    socket.write(`POST ${path}?${signedQuery('POST', path, text, others.wide)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n`);
    for (let i = 0; i < text.length; i += 1000) {
        socket.write(text.slice(i, i + 1000));
        await new Promise((done) => setImmediate(done));
    }
    await until(() => answer.endsWith('{}'));
    assert.match(answer, /^HTTP\/1.1 200 /);
    // kept alive: a second call on the same connection
    answer = '';
    const read = '/apps/40000/channels';
    socket.write(`GET ${read}?${signedQuery('GET', read, '', others.wide)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(() => answer.endsWith('{"channels":{}}'));
    socket.destroy();
});

test('what is not a JSON object is told so with 400', async () => {
    for (const path of ['/events', '/batch_events'])
        for (const body of ['null', 'xyz', '[]', '5', '{"name":']) {
            const got = await call('POST', path, { body });
            assert.deepEqual([got.status, got.text], [400, 'The body must be a JSON object.']);
        }
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`f${i}`, i]));
    assert.equal((await call('POST', '/events', { body: many })).text, 'The body has more than 64 fields.');
});

test('the example of Pusher\'s documentation is accepted', async () => {
    const body = '{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}';
    const query =
        'body_md5=ec365a775a4cd0599faeb73354201b6f&auth_version=1.0&auth_key=278d425bdf160c739803&auth_timestamp=1353088179' +
        '&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c';
    const response = await fetch(`${server.url}/apps/3/events?${query}`, { method: 'POST', body });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '{}');
});

test('arrays in a query are signed joined by commas, in any escape', async () => {
    const got = await get('/channels', { filter: ['b', 'a', 'ї&='], info: 'occupied' });
    assert.equal(got.status, 200);
    const path = `/apps/${app.id}/channels`;
    const query = signedQuery('GET', path, '', { params: { filter: ['a', 'b'] } });
    assert.equal((await fetch(`${server.url}${path}?${query.replace('=b', '=c')}`)).status, 401);
    assert.equal((await fetch(`${server.url}${path}?${query.replace('=b', '=%')}`)).status, 401);
});

// ---- below a path ----

test('a prefix stands before every path of the hub, and SDKs sign without it', async () => {
    const event = { name: 'e', channel: 'c', data: 'x' };
    const path = `/apps/${app.id}/events`;
    for (const options of [{ args: ['--path', '/ws'] }, { env: { REVERB_SERVER_PATH: 'ws/' } }, { env: { VICHE_PATH: '/ws' }, args: ['--roles', 'hub'] }]) {
        const own = await startServer(options);
        const c = await hubClient(own.port, { prefix: '/ws' });
        await joined(c, 'c');
        assert.equal((await signedCall(own, 'POST', path, { prefix: '/ws', body: event })).text, '{}');
        assert.equal((await c.json()).event, 'e');
        const read = await signedCall(own, 'GET', `/apps/${app.id}/channels`, { prefix: '/ws' });
        assert.deepEqual(read.json, { channels: { c: {} } });
        const withPrefix = await signedCall(own, 'POST', path, { prefix: '/ws', signedPath: `/ws${path}`, body: event });
        assert.equal(withPrefix.status, 401);
        assert.equal((await signedCall(own, 'POST', path, { body: event })).status, 404);
        assert.equal((await signedCall(own, 'GET', path, { prefix: '/ws' })).text, 'Method not allowed.');
        assert.equal(await (await fetch(`${own.url}/ws/up`)).text(), '{"health":"OK"}');
        const page = await (await fetch(`${own.url}/`)).text();
        const isHubOnly = options.args?.includes('hub') ?? false; // which has no pages
        assert.equal(page.includes('"pusher":{"key":"test-key","path":"/ws"}'), !isHubOnly);
        for (const gone of ['/up', `/app/${app.key}`]) assert.equal((await fetch(own.url + gone)).status, 404);
        c.destroy();
        await own.stop();
    }
    const { status, stderr } = runViche(['serve', '--listen', '127.0.0.1:0', '--data', join(folder, 'none'), '--path', '/a b']);
    assert.equal(status, 2);
    assert.match(stderr, /--path: '\/a b' is not a path like \/ws/);
});
