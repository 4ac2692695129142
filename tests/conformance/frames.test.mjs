// The frame layer under the protocol: sizes, control frames, violations, a reader that stops.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import {
    BINARY, CLOSE, PING, PONG, TEXT, app1, app2, app3, appWith, closeFrame, conform, frame, startHub, until, within,
} from './lib.mjs';

const lively = appWith('lively', { ping_interval: 1 });
const large = appWith('large', { max_request_size: 1048576 });
const vanishing = appWith('vanishing');

let hub;
before(async () => {
    hub = await startHub({
        apps: [app1, { ...app2, max_connections: null }, app3, lively, large, vanishing],
        env: { ASAN_OPTIONS: 'exitcode=99:detect_leaks=1:quarantine_size_mb=1' }, // memory is measured here
    });
});
after(() => hub.stop());

const residentKiB = () => Number(readFileSync(`/proc/${hub.server.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
const TOO_LARGE = 'Maximum message size exceeded';

conform('C033', 'MUST', 'a text longer than the app allows is closed with 1009', async () => {
    const c = await hub.connect(app3, { headers: { Origin: 'http://laravel.com' } });
    c.text('{"event":"pusher:ping"}');
    await c.expectClose(1009, TOO_LARGE);
});

conform('C034', 'MUST', 'so is a subscription with too much channel_data', async () => {
    const c = await hub.connect();
    c.ask('presence-test-channel', { user_id: 1, user_info: { name: 'x'.repeat(10100) } });
    await c.expectClose(1009, TOO_LARGE);
});

conform('C036', 'COMPAT', 'exactly max_message_size passes, one byte more is closed with 1009', async () => {
    const text = (size) => '{"event":"pusher:ping","data":"'.padEnd(size - 2, 'x') + '"}';
    const c = await hub.connect();
    c.text(text(10000));
    await c.expect('{"event":"pusher:pong"}');
    c.text(text(10001));
    await c.expectClose(1009, TOO_LARGE);
});

/** Sends a control frame now and then, longer than two ping intervals, and is never asked whether it lives. */
const keepsAlive = (opcode, answer) =>
    within(lively.ping_interval * 1000, async (clock) => {
        const c = await hub.connect(lively);
        await c.join('test-channel');
        for (const end = Date.now() + 2500; Date.now() < end; ) {
            c.send(frame(opcode, 'abc'));
            clock.lap();
            if (answer) {
                const f = await c.next();
                assert.equal(f.opcode, answer);
                assert.equal(String(f.payload), 'abc');
            }
            await new Promise((done) => setTimeout(done, 200));
        }
        await c.expectQuiet();
        c.destroy();
    });

conform('C037', 'MUST', 'a protocol ping is answered with its payload and counts as a sign of life', () =>
    keepsAlive(PING, PONG));

conform('C038', 'MUST', 'a protocol pong is answered with nothing and counts as a sign of life', () =>
    keepsAlive(PONG, 0));

conform('C040', 'COMPAT', 'a binary frame is read as if it were a text', async () => {
    const c = await hub.connect();
    c.send(frame(BINARY, '{"event":"pusher:ping"}'));
    await c.expect('{"event":"pusher:pong"}');
});

async function violates(...frames) {
    const c = await hub.connect();
    c.send(...frames);
    await c.expectClose(1002);
}

conform('C041', 'MUST', 'an unmasked frame is closed with 1002', () => violates(frame(TEXT, 'x', { mask: null })));
conform('C042', 'MUST', 'a frame with RSV1 is closed with 1002', () => violates(frame(TEXT, 'x', { first: 0xc1 })));
conform('C044', 'MUST', 'a ping of 126 bytes is closed with 1002', () => violates(frame(PING, Buffer.alloc(126))));
conform('C045', 'MUST', 'a continuation of nothing is closed with 1002', () => violates(frame(0, 'x')));
conform('C046', 'MUST', 'a close with the code 1005 is answered with 1002', () => violates(closeFrame(1005)));

conform('C048', 'MUST', 'a close is echoed with its code and reason; an empty one as 1000', async () => {
    for (const [sent, code, reason] of [
        [closeFrame(1000, 'bye'), 1000, 'bye'],
        [frame(CLOSE), 1000, ''],
        [closeFrame(4000), 4000, ''],
    ]) {
        const c = await hub.connect();
        c.send(sent);
        await c.expectClose(code, reason);
    }
});

conform('C049', 'IMPROVE', 'a subscriber that stops reading is cut off and holds no memory', async () => {
    const slow = await hub.connect(large), other = await hub.connect(large);
    await slow.join('firehose');
    await other.join('firehose');
    slow.socket.pause();
    const before = residentKiB();
    const data = 'x'.repeat(900000);
    const isCutOff = () => hub.server.log().includes(`at=hub.slow_reader app=${large.app_id}`);
    for (let i = 0; i < 30 && !isCutOff(); i++) { // 27 MB; the kernel takes some of it
        await hub.publish('drop', 'firehose', data, { app: large });
        assert.equal((await other.json()).event, 'drop');
    }
    await until(isCutOff, 'the slow reader to be cut off');
    const grown = residentKiB() - before;
    assert.ok(grown < 12 * 1024, `${grown} KiB`);
    slow.destroy();
    await other.expectQuiet();
});

conform('C092', 'MUST', 'clients that vanish without a close frame leave no channel and no memory behind', async () => {
    const wave = async () => {
        const clients = await Promise.all(Array.from({ length: 50 }, () => hub.connect(vanishing)));
        for (const c of clients) {
            await c.join('gone-public');
            await c.join('private-gone');
            await c.join('private-encrypted-gone');
            c.ask('presence-gone', { user_id: c.id, user_info: {} });
        }
        for (const c of clients) c.socket.resetAndDestroy();
        await until(async () => {
            const { json } = await hub.get('channels', { app: vanishing });
            return Object.keys(json.channels).length === 0;
        }, 'the channels to vanish');
    };
    for (let i = 0; i < 3; i++) await wave(); // sizes settle
    const before = residentKiB();
    for (let i = 0; i < 6; i++) await wave();
    const grown = residentKiB() - before;
    assert.ok(grown < 2048, `${grown} KiB`);
});

conform('C093', 'IMPROVE', 'refused subscriptions to ever new channels leave nothing behind', async () => {
    const c = await hub.connect(large);
    const refuse = async (from, count) => {
        for (let i = from; i < from + count; i += 500) {
            for (let j = i; j < i + 500; j++)
                c.say('pusher:subscribe', { channel: `private-${j}-${'x'.repeat(150)}`, auth: `${large.key}:0` });
            for (let j = 0; j < 1000; j++) await c.next(); // the error and the channel's own
        }
    };
    await refuse(0, 5000);
    const before = residentKiB();
    await refuse(5000, 15000);
    const grown = residentKiB() - before;
    assert.ok(grown < 1024, `${grown} KiB`);
});
