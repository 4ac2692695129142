// Signed calls of a backend: the signature, the transport, events and batches.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { after, before } from 'node:test';
import { app1, app2, appWith, collect, conform, signedQuery, startHub, succeeded, until } from './lib.mjs';

const docs = appWith('docs', {
    app_id: '3',
    key: '278d425bdf160c739803',
    secret: '7ad3773142a6692b25b8',
    timestamp_tolerance: 0,
});
const numeric = appWith('numeric', { app_id: 40000 });
const roomy = appWith('roomy', { max_request_size: 20000 });
const large = appWith('large', { max_request_size: 200000 });
const tolerant = appWith('tolerant', { timestamp_tolerance: 7200 });
const strict = appWith('strict', { strict: true, max_request_size: 100000 });
const narrow = appWith('narrow', {
    max_request_size: 100000,
    max_event_channels: 100,
    max_event_name_length: 200,
    max_event_payload_size: 10240,
});
const counted = appWith('counted');

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, app2, docs, numeric, roomy, large, tolerant, strict, narrow, counted] });
});
after(() => hub.stop());

const event = (change) => ({ name: 'NewEvent', channel: 'test-channel', data: '{"some":"data"}', ...change });

conform('C165', 'MUST', 'the signature of Pusher\'s worked example is accepted', async () => {
    const body = '{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}';
    assert.equal(createHash('md5').update(body).digest('hex'), 'ec365a775a4cd0599faeb73354201b6f');
    const query =
        'auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f' +
        '&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c';
    const response = await fetch(`${hub.server.url}/apps/3/events?${query}`, { method: 'POST', body });
    assert.equal(response.status, 200);
    assert.equal(await response.text(), '{}');
    const forged = await fetch(`${hub.server.url}/apps/3/events?${query}`, { method: 'POST', body: `${body} ` });
    assert.equal(forged.status, 401);
    assert.equal(await forged.text(), 'Authentication signature invalid.');
});

conform('C168', 'MUST', 'an unknown app gets 404 in Reverb\'s words', async () => {
    const answer = await hub.post('/apps/invalid-app-id/events', event());
    assert.equal(answer.status, 404);
    assert.equal(answer.text, 'No matching application for ID [invalid-app-id].');
});

conform('C172', 'MUST', 'a channel name with signs may stand in the path', async () => {
    const answer = await hub.get('channels/a@b=1,2;3.c');
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, { occupied: false });
});

conform('C173', 'COMPAT', 'a call that names the key of another app is refused with 401', async () => {
    assert.equal((await hub.events(event(), { auth_key: app2.key })).status, 401);
});

conform('C174', 'IMPROVE', 'a call of an hour ago is refused with 401, unless the app tolerates it', async () => {
    const auth_timestamp = String(Math.floor(Date.now() / 1000) - 3600);
    assert.equal((await hub.events(event(), { auth_timestamp })).status, 401);
    assert.equal((await hub.events(event(), { auth_timestamp, app: tolerant })).status, 200);
});

conform('C176', 'MUST', 'a body over max_request_size gets 413', async () => {
    const answer = await hub.events(event({ data: 'x'.repeat(10100) }));
    assert.equal(answer.status, 413);
    assert.equal(answer.text, 'Payload too large.');
});

conform('C177', 'MUST', 'the same passes when the app allows more', async () => {
    const answer = await hub.events(event({ data: 'x'.repeat(10100) }), { app: roomy });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
});

conform('C178', 'MUST', 'a body that arrives in many pieces is read whole', async () => {
    const body = JSON.stringify(event({ data: 'x'.repeat(150000) }));
    const path = `/apps/${large.app_id}/events`;
    const socket = connect(hub.server.port, '127.0.0.1');
    socket.setNoDelay(true);
    socket.write(
        `POST ${path}?${signedQuery(large, 'POST', path, body)} HTTP/1.1\r\nHost: localhost\r\n` +
            `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
    );
    for (let at = 0; at < body.length; at += 5000) {
        await new Promise((done) => socket.write(body.slice(at, at + 5000), done));
        await new Promise((done) => setImmediate(done));
    }
    let answer = '';
    for await (const part of socket) answer += part;
    assert.match(answer, /^HTTP\/1\.1 200 [\s\S]*\r\n\r\n\{\}$/);
});

conform('C180', 'COMPAT', 'a body that is no JSON object gets 400', async () => {
    for (const body of ['null', 'xyz', '[]', '5', '']) {
        assert.equal((await hub.events(body)).status, 400, body);
        assert.equal((await hub.post('batch_events', body)).status, 400, body);
    }
});

conform('C181', 'COMPAT', 'another method gets 405 with Allow, another path 404', async () => {
    const wrong = await hub.get('events');
    assert.equal(wrong.status, 405);
    assert.equal(wrong.text, 'Method not allowed.');
    assert.match(wrong.headers.get('allow'), /POST/);
    const nowhere = await hub.get('nothing');
    assert.equal(nowhere.status, 404);
    assert.equal(nowhere.text, 'Not found.');
});

conform('C182', 'IMPROVE', 'a kept-alive connection serves several calls', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set();
    for (let i = 0; i < 2; i++) {
        const path = `/apps/${app1.app_id}/events`, body = JSON.stringify(event());
        const answer = await new Promise((done, fail) => {
            const call = request(`${hub.server.url}${path}?${signedQuery(app1, 'POST', path, body)}`, {
                method: 'POST', agent, headers: { 'Content-Length': body.length },
            });
            call.on('response', (response) => {
                ports.add(response.socket.localPort);
                response.resume().on('end', () => done(response));
            });
            call.on('error', fail).end(body);
        });
        assert.equal(answer.statusCode, 200);
    }
    assert.equal(ports.size, 1);
    agent.destroy();
});

conform('C184', 'MUST', 'GET /up says that all is well, unsigned', async () => {
    const response = await fetch(`${hub.server.url}/up`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-length'), '15');
    assert.equal(await response.text(), '{"health":"OK"}');
});

conform('C185', 'MUST', 'the id of an app may be written as a number', async () => {
    assert.equal((await hub.events(event(), { app: numeric })).status, 200);
});

// ---- events ----

conform('C186', 'MUST', 'an event is accepted with {}', async () => {
    const answer = await hub.events(event());
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
    assert.match(answer.headers.get('content-type'), /^application\/json/);
});

/** An app with one member of presence-test-channel-one and one subscriber each of test-channel-two and -three. */
let audience;
async function occupied() {
    audience ??= (async () => {
        const c = await hub.connect(counted);
        await c.join('presence-test-channel-one', { user_id: 1, user_info: {} });
        await c.join('test-channel-two');
        await c.join('test-channel-three');
    })();
    await audience;
}
const both = ['presence-test-channel-one', 'test-channel-two'];

conform('C188', 'MUST', 'info=user_count counts the users of presence channels', async () => {
    await occupied();
    const answer = await hub.events(event({ channels: both, channel: undefined, info: 'user_count' }), { app: counted });
    assert.deepEqual(answer.json, { channels: { 'presence-test-channel-one': { user_count: 1 }, 'test-channel-two': {} } });
});

conform('C189', 'MUST', 'info=subscription_count counts the subscribers of the others', async () => {
    await occupied();
    const info = 'subscription_count';
    const answer = await hub.events(event({ channels: both, channel: undefined, info }), { app: counted });
    assert.deepEqual(answer.json, {
        channels: { 'presence-test-channel-one': {}, 'test-channel-two': { subscription_count: 1 } },
    });
});

async function complains(change, bag) {
    const answer = await hub.events(event(change));
    assert.equal(answer.status, 422);
    assert.deepEqual(answer.json, bag);
}

conform('C190', 'MUST', 'missing data is complained of as Laravel does', () =>
    complains({ data: undefined }, { data: ['The data field is required.'] }));
conform('C192', 'MUST', 'so is an info that is no string', () =>
    complains({ info: 1234 }, { info: ['The info field must be a string.'] }));
conform('C193', 'MUST', 'so is data that is an object', () =>
    complains({ data: { some: 'data' } }, { data: ['The data field must be a string.'] }));
conform('C194', 'MUST', 'so is a missing name', () =>
    complains({ name: undefined }, { name: ['The name field is required.'] }));

const names = (count) => Array.from({ length: count }, (_, i) => `c${i}`);

conform('C196', 'IMPROVE', 'more channels than the limit get 400', async () => {
    for (const app of [narrow, strict]) {
        assert.equal((await hub.events(event({ channels: names(100) }), { app })).status, 200);
        assert.equal((await hub.events(event({ channels: names(101) }), { app })).status, 400);
    }
    assert.equal((await hub.events(event({ channels: names(101) }))).status, 200);
});

conform('C197', 'IMPROVE', 'an event name longer than the limit gets 400', async () => {
    for (const app of [narrow, strict]) {
        assert.equal((await hub.events(event({ name: 'n'.repeat(200) }), { app })).status, 200);
        assert.equal((await hub.events(event({ name: 'n'.repeat(201) }), { app })).status, 400);
    }
});

conform('C198', 'IMPROVE', 'data larger than the limit gets 413', async () => {
    for (const app of [narrow, strict]) {
        assert.equal((await hub.events(event({ data: 'x'.repeat(10240) }), { app })).status, 200);
        assert.equal((await hub.events(event({ data: 'x'.repeat(10241) }), { app })).status, 413);
    }
});

conform('C250', 'MUST', 'a broadcast to 250 channels, in three calls as Laravel makes them, is accepted', async () => {
    const c = await hub.connect(counted);
    for (const name of ['c0', 'c99', 'c100', 'c249']) await c.join(name);
    const backend = hub.backend(counted), all = names(250);
    for (let at = 0; at < 250; at += 100) {
        const answer = await backend.trigger(all.slice(at, at + 100), 'broadcast', {});
        assert.equal(answer.status, 200);
    }
    const channels = [];
    for (let i = 0; i < 4; i++) channels.push((await c.json()).channel);
    // A call's channels have no order, calls have.
    assert.deepEqual([...channels.slice(0, 2).sort(), ...channels.slice(2)], ['c0', 'c99', 'c100', 'c249']);
    c.destroy();
});

// ---- batches ----

const batch = (items, app = app1) => hub.post('batch_events', { batch: items }, { app });

conform('C200', 'MUST', 'a batch is accepted with an object', async () => {
    for (const items of [[event()], [event(), event({ channel: 'test-channel-two' })]]) {
        const answer = await batch(items);
        assert.equal(answer.status, 200);
        assert.equal(answer.text, '{"batch":{}}');
    }
});

conform('C201', 'MUST', 'each item gets the info that it asked for', async () => {
    await occupied();
    const answer = await batch([
        event({ channel: 'presence-test-channel-one', info: 'user_count' }),
        event({ channel: 'test-channel-two', info: 'subscription_count' }),
        event({ channel: 'test-channel-three', info: 'subscription_count,user_count' }),
    ], counted);
    assert.deepEqual(answer.json, { batch: [{ user_count: 1 }, { subscription_count: 1 }, { subscription_count: 1 }] });
});

conform('C202', 'MUST', 'an item that asked for none gets an empty object between them', async () => {
    await occupied();
    const answer = await batch([
        event({ channel: 'presence-test-channel-one', info: 'user_count' }),
        event({ channel: 'test-channel-two' }),
    ], counted);
    assert.deepEqual(answer.json, { batch: [{ user_count: 1 }, {}] });
});

conform('C204', 'MUST', 'one bad item refuses the batch, and nothing of it is delivered', async () => {
    const c = await hub.connect();
    await c.join('whole');
    const answer = await batch([event({ channel: 'whole' }), event({ channel: 'whole', data: undefined })]);
    assert.equal(answer.status, 422);
    assert.deepEqual(answer.json, { 'batch.1.data': ['The batch.1.data field is required.'] });
    await hub.publish('fence', 'whole', 'x');
    await c.expect({ event: 'fence', data: 'x', channel: 'whole' });
});

conform('C205', 'COMPAT', 'a batch of 11 is accepted, in strict mode refused with 400', async () => {
    const items = Array.from({ length: 11 }, () => event());
    assert.equal((await batch(items)).status, 200);
    assert.equal((await batch(items, strict)).status, 400);
    assert.equal((await batch(items.slice(1), strict)).status, 200);
});

conform('C206', 'MUST', 'a batch of the SDK reaches pusher-js unchanged', async () => {
    const client = hub.pusher();
    const channel = client.subscribe('batched');
    await succeeded(channel);
    const got = collect(channel, 'e');
    const items = ['abc/d', 'x', '<&>'].map((v) => ({ channel: 'batched', name: 'e', data: { v } }));
    assert.equal((await hub.backend().triggerBatch(items)).status, 200);
    await until(() => got.length === 3);
    assert.deepEqual(got.map(({ data }) => data), [{ v: 'abc/d' }, { v: 'x' }, { v: '<&>' }]);
});
