// Upgrade, greeting, admission: who gets in, and what the others are told.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { TEXT, app1, app2, app3, appWith, bound, conform, error, frame, startHub } from './lib.mjs';

const subdomains = appWith('subdomains', { allowed_origins: ['*.laravel.com'] });
const local = appWith('local', { allowed_origins: ['localhost'] });
const laravel = { ...appWith('laravel'), allowed_origins: ['laravel.com'] };
// One for each case: that a client has gone is known a moment later.
const full = ['a', 'b', 'c'].map((name) => appWith(`full-${name}`, { max_connections: 1 }));

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, app2, app3, subdomains, local, laravel, ...full] });
});
after(() => hub.stop());

const NOT_ALLOWED = error(4009, 'Origin not allowed');
const from = (Origin) => ({ headers: { Origin } });

conform('C001', 'MUST', 'clients of different apps are greeted, each by its own key', async () => {
    (await hub.connect(app2)).destroy();
    (await hub.connect(app3, from('http://laravel.com'))).destroy();
});

conform('C002', 'MUST', 'the greeting is a string with the socket id and the activity timeout', async () => {
    const c = await hub.raw(`/app/${app1.key}`);
    const hello = await c.json();
    assert.deepEqual(Object.keys(hello), ['event', 'data']);
    assert.equal(hello.event, 'pusher:connection_established');
    assert.equal(typeof hello.data, 'string');
    const { socket_id, ...rest } = JSON.parse(hello.data);
    assert.deepEqual(rest, { activity_timeout: 30 });
    assert.match(socket_id, /^\d+\.\d+$/);
    for (const part of socket_id.split('.').map(Number)) assert.ok(part >= 1 && part <= 1e9, socket_id);
});

conform('C004', 'MUST', 'no frame of any kind comes before the greeting or the error', async () => {
    for (const [path, event] of [
        [`/app/${app1.key}`, 'pusher:connection_established'],
        ['/app/invalid-key', 'pusher:error'],
    ]) {
        const first = await (await hub.raw(path, { early: frame(9, 'ping') })).next();
        assert.equal(first.opcode, TEXT);
        assert.equal(JSON.parse(first.payload).event, event);
    }
});

conform('C005', 'COMPAT', 'the head of the 101 says X-Powered-By: Laravel Reverb', async () => {
    assert.match((await hub.raw(`/app/${app1.key}`)).head, /^X-Powered-By: Laravel Reverb$/m);
});

conform('C006', 'MUST', 'an unknown key gets 101, the error 4001 and the end of the connection', async () => {
    const c = await hub.raw('/app/invalid-key');
    assert.equal(c.status, 101);
    await c.expect(error(4001, 'Application does not exist'));
    await c.expectClose(4001);
});

conform('C008', 'MUST', 'the query is not looked at: none and a strange one are accepted', async () => {
    await hub.connect(app1, { query: '' });
    await hub.connect(app1, { query: '?protocol=99&client=x&version=1' });
});

conform('C009', 'MUST', 'the query of pusher-js is accepted', async () => {
    await hub.connect(app1, { query: '?protocol=7&client=js&version=8.6.0&flash=false' });
});

conform('C010', 'MUST', 'the query of the Java client is accepted', async () => {
    await hub.connect(app1, { query: '?client=java-client&protocol=5&version=2.4.0' });
});

conform('C012', 'COMPAT', 'Upgrade may be written in capitals', async () => {
    await hub.connect(app1, { headers: { Upgrade: 'WebSocket' } });
});

conform('C013', 'COMPAT', 'another version of WebSocket gets 426 with version 13, and nothing behind it', async () => {
    const c = await hub.raw(`/app/${app1.key}`, { headers: { 'Sec-WebSocket-Version': '8' } });
    assert.equal(c.status, 426);
    assert.match(c.head, /^Sec-WebSocket-Version: 13$/m);
    const length = Number(c.head.match(/^Content-Length: (\d+)$/im)[1]);
    let behind = Buffer.alloc(0);
    c.socket.on('data', (more) => (behind = Buffer.concat([behind, more])));
    c.socket.end();
    if (!c.socket.closed) await new Promise((done) => c.socket.on('close', done));
    assert.ok(behind.length <= length, String(behind));
});

conform('C014', 'IMPROVE', 'a plain GET of the socket\'s address is told to upgrade, with 426', async () => {
    const response = await fetch(`${hub.server.url}/app/${app1.key}`);
    assert.equal(response.status, 426);
});

conform('C016', 'COMPAT', 'no subprotocol is agreed to, and no extension that was not offered well', async () => {
    const c = await hub.raw(`/app/${app1.key}`, {
        headers: { 'Sec-WebSocket-Protocol': 'foo', 'Sec-WebSocket-Extensions': 'permessage-deflate; nonsense=1' },
    });
    assert.equal(c.status, 101);
    assert.doesNotMatch(c.head, /Sec-WebSocket-(Extensions|Protocol)/i);
});

conform('C017', 'IMPROVE', 'a frame in the packet of the request is answered after the greeting', async () => {
    const c = await hub.connect(app1, { early: frame(TEXT, '{"event":"pusher:ping"}') });
    await c.expect('{"event":"pusher:pong"}');
});

// ---- admission ----

conform('C020', 'MUST', 'a subdomain of an allowed origin is not allowed by it', async () => {
    const c = await hub.raw(`/app/${laravel.key}`, from('http://sub.laravel.com'));
    await c.expect(NOT_ALLOWED);
});

conform('C021', 'MUST', 'a pattern of subdomains does not allow the domain itself', async () => {
    const c = await hub.raw(`/app/${subdomains.key}`, from('http://laravel.com'));
    await c.expect(NOT_ALLOWED);
    await hub.connect(subdomains, from('http://sub.laravel.com'));
});

conform('C022', 'MUST', 'an allowed origin is let in', async () => {
    await hub.connect(local, from('http://localhost'));
});

conform('C024', 'MUST', 'no origin, the origin null and one without a scheme are not allowed', async () => {
    for (const Origin of [null, 'null', 'laravel.com']) {
        const c = await hub.raw(`/app/${laravel.key}`, from(Origin));
        await c.expect(NOT_ALLOWED, Origin);
    }
});

conform('C025', 'COMPAT', 'scheme and port of the origin do not matter', async () => {
    await hub.connect(laravel, from('https://laravel.com:8443'));
});

conform('C026', 'IMPROVE', 'a refused origin is closed with 4009 and nothing that it sends is served', async () => {
    const c = await hub.raw(`/app/${laravel.key}`, {
        ...from('http://sub.laravel.com'),
        early: frame(TEXT, '{"event":"pusher:subscribe","data":{"channel":"c"}}'),
    });
    await c.expect(NOT_ALLOWED);
    c.text('{"event":"pusher:subscribe","data":{"channel":"c"}}');
    await c.expectClose(4009);
});

const OVER_QUOTA = error(4004, 'Application is over connection quota');

conform('C028', 'COMPAT', 'open connections are counted, subscribed to something or not', async () => {
    await hub.connect(full[0]);
    const second = await hub.raw(`/app/${full[0].key}`);
    await second.expect(OVER_QUOTA);
});

conform('C029', 'IMPROVE', 'a client over the quota is closed with 4004 and nothing that it sends is served', async () => {
    await hub.connect(full[1]);
    const c = await hub.raw(`/app/${full[1].key}`, {
        early: frame(TEXT, '{"event":"pusher:subscribe","data":{"channel":"c"}}'),
    });
    await c.expect(OVER_QUOTA);
    await c.expectClose(4004);
});

conform('C030', 'MUST', 'pusher-js over the quota is disconnected and says 4004', async () => {
    await hub.connect(full[2]);
    const client = hub.pusher(full[2]);
    const failed = bound(client.connection, 'error');
    await bound(client.connection, 'disconnected');
    assert.equal((await failed).error.data.code, 4004);
});
