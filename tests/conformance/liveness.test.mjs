// Who still lives, and how a server goes.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before } from 'node:test';
import {
    CLOSE, PING, PONG, TEXT, app1, appWith, closeFrame, conform, error, frame, startHub, subscribed, until, within,
} from './lib.mjs';

const brief = appWith('brief', { ping_interval: 1 });
const pinging = appWith('pinging', { ping_interval: 3, activity_timeout: 1 });

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, brief, pinging] });
});
after(() => hub.stop());

const PING_EVENT = { event: 'pusher:ping' };
const NO_PONG = error(4201, 'Pong reply not received in time');
const CLOSED_AFTER_MS = 2000; // of silence, where the ping interval is a second

/** A silent subscriber; it subscribed in the packet of its handshake: nothing comes between. */
async function silent(channel) {
    const c = await hub.connect(brief, { early: frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel } })) });
    await c.expect(subscribed(channel));
    return c;
}

conform('C156', 'MUST', 'a silent subscriber is sent pusher:ping', async () => {
    const c = await silent('test-channel');
    await c.expect('{"event":"pusher:ping"}');
});

conform('C157', 'MUST', 'one that does not answer gets 4201, leaves its channels and is closed', async () => {
    const c = await silent('abandoned');
    await c.expect(PING_EVENT);
    await c.expect(NO_PONG);
    const counted = await hub.publish('e', 'abandoned', 'x', { app: brief, info: 'subscription_count' });
    assert.deepEqual(counted.json, { channels: { abandoned: {} } }); // nobody is left to count
    await c.expectClose(4201);
});

conform('C158', 'MUST', 'a client of pusher-js that used no control frame is sent none', async () => {
    const c = await silent('test-channel');
    const f = await c.next();
    assert.equal(f.opcode, TEXT);
    assert.deepEqual(JSON.parse(f.payload), PING_EVENT);
});

conform('C160', 'MUST', 'pusher:pong, a protocol pong and any message show that a client lives', async () => {
    const signs = [
        frame(TEXT, '{"event":"pusher:pong","data":{}}'),
        frame(PONG, ''),
        frame(TEXT, '{"event":"client-x","channel":"x","data":{}}'),
    ];
    const lives = (sign) => async (clock) => {
        const c = await silent('x');
        for (let pings = 0; pings < 3; ) {
            const f = await c.next();
            assert.ok(f && f.opcode !== CLOSE, 'it is still there');
            if (f.opcode === PING || JSON.parse(f.payload).event === 'pusher:ping') {
                pings++;
                c.send(sign);
                clock.lap();
            }
        }
        c.destroy();
    };
    await Promise.all(signs.map((sign) => within(CLOSED_AFTER_MS, lives(sign))));
});

conform('C161', 'IMPROVE', 'a client that never subscribed is pinged and closed too', async () => {
    const c = await hub.connect(brief);
    await c.expect(PING_EVENT);
    await c.expect(NO_PONG);
    await c.expectClose(4201);
});

conform('C162', 'MUST', 'pusher-js that pings every second is answered and stays connected', async () => {
    const client = hub.pusher(app1, undefined, { activityTimeout: 1000, pongTimeout: 30000 });
    const states = [];
    client.connection.bind('state_change', ({ current }) => states.push(current));
    let pongs = 0;
    client.connection.bind('message', ({ event }) => (pongs += event === 'pusher:pong'));
    await until(() => pongs >= 3, 'three pongs');
    assert.deepEqual(states.filter((s) => s !== 'connecting'), ['connected']);
    client.disconnect();
});

conform('C253', 'MUST', 'a Java client, which knows protocol pings only, stays connected while idle', async () => {
    await within(CLOSED_AFTER_MS, async (clock) => {
        const early = frame(TEXT, '{"event":"pusher:subscribe","data":{"channel":"test-channel"}}');
        const c = await hub.connect(brief, { query: '?client=java-client&protocol=5&version=2.4.0', early });
        await c.expect(subscribed('test-channel'));
        for (let i = 0; i < 4; i++) {
            const f = await c.next();
            assert.equal(f?.opcode, PING);
            c.send(frame(PONG, f.payload));
            clock.lap();
        }
        c.destroy();
    });
});

conform('C164', 'IMPROVE', 'a stop closes the listener first, then every client with 4200, and ends in time', async () => {
    const own = await startHub({ args: ['--close-spread', '500ms'] });
    const clients = [];
    for (let i = 0; i < 10; i++) clients.push(await own.connect());
    const began = Date.now();
    const stopped = own.server.stop();
    let isListening = true;
    await Promise.all(
        clients.map(async (c) => {
            await c.expect(error(4200, 'Server is shutting down'));
            const close = await c.next();
            assert.equal(close.opcode, CLOSE);
            assert.equal(close.payload.readUInt16BE(0), 4200);
            isListening &&= await new Promise((done) => {
                const late = connect(own.server.port, '127.0.0.1');
                late.on('connect', () => done(true)).on('error', () => done(false));
            });
            assert.ok(!isListening);
            c.send(closeFrame(4200));
            assert.equal(await c.next(), null);
        }),
    );
    await stopped;
    assert.ok(Date.now() - began < 10000);
});
