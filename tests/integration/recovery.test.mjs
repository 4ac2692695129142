// Recovery of what a client missed (docs/recovery.md), over the real server with two loops.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startServer, until } from './lib.mjs';
import { Counter, publish } from './recovery_client.mjs';
import { TEXT, frame } from './ws_client.mjs';

const dir = mkdtempSync(join(tmpdir(), 'viche-recovery-'));
const app = { id: '1', key: 'k1', secret: 's1' };
const small = { id: '2', key: 'k2', secret: 's2' };
const kept = { id: '3', key: 'k3', secret: 's3' };
const off = { id: '4', key: 'k4', secret: 's4' };
const synced = { id: '5', key: 'k5', secret: 's5' };
const appsFile = join(dir, 'apps.json');
const entry = ({ id, ...rest }, more) => ({ app_id: id, ...rest, ...more });
writeFileSync(appsFile, JSON.stringify([
    entry(app, { accept_client_events_from: 'all', recovery: { max_bytes: 64 << 20 } }),
    entry(small, { recovery: { max_messages: 10, ttl: 2 } }),
    entry(kept, { recovery: { channels: ['news', 'orders.*'], store: 'memory' } }),
    entry(off, { recovery: false }),
    entry(synced, { recovery: { store: 'fsync' } }),
]));

const large = { max_request_size: 1 << 20 };
writeFileSync(join(dir, 'hanging.json'), JSON.stringify([
    entry(app, large),
    entry(synced, { ...large, recovery: { store: 'fsync', channels: ['large'] } }),
]));

const args = ['--roles', 'hub', '--loops', '2', '--apps', appsFile, '--log-level', 'debug'];
let server;
before(async () => {
    server = await startServer({ args });
});
after(async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
});

let channels = 0;
const fresh = (prefix = 'c') => `${prefix}${++channels}`;
const send = (channel, n, options, to = app) => publish(server, to, channel, 'event', n, options);
async function counter(channel, options, of = app) {
    const c = await new Counter(server, of, channel, options).connect();
    await c.subscribe();
    await c.acknowledged();
    return c;
}
const numbers = (c) => c.got.map((m) => m.data);
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);
async function back(c) {
    await c.connect();
    await c.subscribe();
    await c.acknowledged();
}

test('who comes back gets what it missed, then what is live', async () => {
    for (const channel of [fresh(), fresh('private-'), fresh('presence-'), fresh('private-cache-')]) {
        const c = await counter(channel);
        assert.match(c.ack.stream_id, /^[0-9a-f]{16}$/);
        assert.deepEqual({ ...c.ack, stream_id: '' }, { stream_id: '', serial: 0, ttl: 120, limit: 1000 });
        await send(channel, 1);
        await c.takeUntil((m) => m.event === 'event');
        c.drop();
        for (let n = 2; n <= 6; n++) await send(channel, n);
        await back(c);
        const { head } = c.ack; // some may be on their way to it
        assert.deepEqual(c.ack, { stream_id: c.position.stream_id, recovered: true, serial: 1, head, replay: head - 1 });
        assert.ok(head >= 1 && head <= 6);
        await send(channel, 7);
        await c.takeUntil(() => c.got.length === 7);
        assert.deepEqual(numbers(c), upTo(7));
        assert.deepEqual(c.got.map((m) => m.serial), upTo(7));
        c.drop();
    }
});

test('a stock socket gets the same bytes whether somebody counts beside it or not', async () => {
    for (const [prefix, ack] of [['s', '{}'], ['private-s', '{}'], ['cache-s', '{}']]) {
        const channel = fresh(prefix);
        const counting = await counter(channel);
        const stock = await counter(channel, { stock: true });
        for (let n = 1; n <= 200; n++) await send(channel, n);
        await stock.takeUntil(() => stock.got.length === 200);
        stock.socket.send(frame(TEXT, '{"event":"pusher:ping","data":{}}'));
        assert.deepEqual(await stock.take(), { event: 'pusher:pong' });
        const event = (n) => `{"event":"event","data":"${n}","channel":"${channel}"}`;
        const miss = prefix === 'cache-s' ? [`{"event":"pusher:cache_miss","channel":"${channel}"}`] : [];
        assert.deepEqual(stock.frames, [
            `{"event":"pusher_internal:subscription_succeeded","data":"${ack}","channel":"${channel}"}`,
            ...miss,
            ...upTo(200).map(event),
        ]);
        await counting.takeUntil(() => counting.got.length === 200);
        assert.ok(counting.positions >= 2, 'one every 64 messages');
        assert.deepEqual(counting.frames.filter((f) => !f.includes('pusher')), upTo(200).map(event));
        counting.drop();
        stock.drop();
    }
});

test('a position comes with the answer to a ping', async () => {
    const channel = fresh();
    const c = await counter(channel);
    await send(channel, 1);
    await c.takeUntil(() => c.got.length === 1);
    c.socket.send(frame(TEXT, '{"event":"pusher:ping","data":{}}'));
    await c.takeUntil(() => c.positions === 1);
    c.drop();
});

test('whoever pings fast is told a position once', async () => {
    const c = await counter(fresh());
    let pongs = 0, positions = 0;
    const pings = async (count) => {
        for (let i = 0; i < count; i++) c.socket.send(frame(TEXT, '{"event":"pusher:ping","data":{}}'));
        while (pongs < count) if ((await c.take()).event === 'pusher:pong') pongs++;
        pongs = 0;
        // The positions of a ping stand behind its pong; behind the answer to rubbish nothing is left.
        c.socket.send(frame(TEXT, 'rubbish'));
        while ((await c.take()).event !== 'pusher:error');
        positions = c.positions;
    };
    await pings(50);
    assert.equal(positions, 1);
    await send(c.channel, 1);
    await c.takeUntil(() => c.got.length === 1);
    await pings(50);
    assert.equal(positions, 2);
    assert.equal(c.position.serial, 1);
    c.drop();
});

test('an excluded socket counts what it does not get, live and when it comes back', async () => {
    const channel = fresh();
    const c = await counter(channel);
    const other = await counter(channel);
    await send(channel, 1);
    await send(channel, 2, { socket_id: c.id });
    await send(channel, 3);
    await c.takeUntil(() => c.got.length === 2);
    assert.deepEqual(numbers(c), [1, 3]);
    assert.deepEqual(c.position.serial, 3);
    await other.takeUntil(() => other.got.length === 3);
    c.drop();
    await send(channel, 4, { socket_id: c.id });
    await send(channel, 5);
    await back(c);
    await c.takeUntil(() => c.got.length === 3);
    assert.deepEqual(numbers(c), [1, 3, 5]);
    assert.equal(c.skips, 2);
    c.drop();
    other.drop();
});

test('events of clients and of members are not counted', async () => {
    const channel = fresh('presence-');
    const a = await counter(channel);
    const b = await counter(channel);
    await send(channel, 1);
    b.socket.send(frame(TEXT, JSON.stringify({ event: 'client-typing', channel, data: {} })));
    await publish(server, app, channel, 'client-made', 0);
    await publish(server, app, channel, 'pusher:made', 0);
    b.drop();
    await a.takeUntil((m) => m.event === 'pusher_internal:member_removed');
    await send(channel, 2);
    await a.takeUntil(() => a.got.length === 2);
    assert.equal(a.position.serial, 2);
    a.socket.send(frame(TEXT, '{"event":"pusher:ping","data":{}}'));
    await a.takeUntil(() => a.positions === 1);
    a.drop();
});

test('what cannot be recovered is refused, and the subscription goes on from the head', async () => {
    const channel = fresh();
    const c = await counter(channel, {}, small);
    const other = await counter(channel, {}, small); // sees when all are there
    await send(channel, 1, {}, small);
    await c.takeUntil(() => c.got.length === 1);
    const { stream_id } = c.position;
    c.drop();
    for (let n = 2; n <= 12; n++) await send(channel, n, {}, small);
    await other.takeUntil(() => other.got.length === 12);
    await back(c);
    assert.deepEqual(c.ack, { recovered: false, code: 'position_expired', stream_id, serial: 12, oldest: 3 });
    await send(channel, 13, {}, small);
    await c.takeUntil(() => c.got.length === 2);
    assert.deepEqual(c.got[1], { serial: 13, event: 'event', data: 13 });

    for (const [position, code] of [
        [{ stream_id, serial: 99 }, 'position_ahead'],
        [{ stream_id: '0123456789abcdef', serial: 1 }, 'stream_reset'],
        [{ stream_id: 'another server', serial: 1 }, 'stream_reset'],
    ]) {
        const d = new Counter(server, small, channel);
        d.position = position;
        await back(d);
        assert.equal(d.ack.code, code);
        assert.deepEqual(d.position, { stream_id, serial: 13 });
        d.drop();
    }
    c.drop();
    other.drop();
});

test('a stream ends a ttl after its last subscriber, and the next one is another', async () => {
    const channel = fresh();
    const c = await counter(channel, {}, small);
    const before = { ...c.position };
    c.drop();
    await until(async () => {
        const d = new Counter(server, small, channel);
        d.position = { ...before };
        await d.connect();
        await d.subscribe();
        await d.acknowledged();
        d.drop();
        await new Promise((done) => setTimeout(done, 4000)); // longer than the ttl, with nobody there
        return d.ack.code === 'stream_reset';
    });
});

test('a channel of the configuration is kept before anybody asks', async () => {
    for (const [channel, serial] of [['orders.7', 1], ['news', 1], ['newspaper', 0], ['other', 0]]) {
        const seen = await counter(channel, { stock: true }, kept);
        await publish(server, kept, channel, 'event', 1);
        await seen.takeUntil(() => seen.got.length === 1);
        const c = await counter(channel, {}, kept);
        assert.equal(c.ack.serial, serial, channel);
        c.drop();
        seen.drop();
    }
});

test('an app may switch recovery off, and a malformed position is refused', async () => {
    const c = await counter(fresh(), {}, off);
    assert.deepEqual(c.ack, { recovered: false, code: 'store_unavailable' });
    c.socket.send(frame(TEXT, '{"event":"pusher:ping","data":{}}'));
    await c.takeUntil((m) => m.event === 'pusher:pong');
    await publish(server, off, c.channel, 'event', 1);
    await c.takeUntil(() => c.got.length === 1);
    c.drop();
    const d = await new Counter(server, app, fresh()).connect();
    for (const recover of [1, 'x', [], { stream_id: 7 }, { stream_id: 'x' }, { stream_id: 'x', serial: -1 }, { stream_id: 'x', serial: 'y' }]) {
        d.socket.send(frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel: d.channel, recover } })));
        assert.match((await d.take()).data, /Invalid message format/);
    }
    d.drop();
});

test('who subscribes again counts from its answer on', async () => {
    const channel = fresh();
    const c = await counter(channel);
    for (let n = 1; n <= 5; n++) await send(channel, n);
    await c.takeUntil(() => c.got.length === 5);
    c.oldId = c.id;
    c.position.serial = 2; // as after a gap
    c.got.length = 2;
    await c.subscribe();
    await c.acknowledged();
    await send(channel, 6);
    await c.takeUntil(() => c.got.length === 6);
    assert.deepEqual(numbers(c), upTo(6));
    c.stock = true; // and once more as one who does not count
    await c.subscribe();
    await c.acknowledged();
    c.socket.send(frame(TEXT, '{"event":"pusher:ping","data":{}}'));
    const before = c.positions;
    await c.takeUntil((m) => m.event === 'pusher:pong');
    await send(channel, 7);
    await c.takeUntil(() => c.got.length === 7);
    assert.equal(c.positions, before);
    c.drop();
});

test('a message of an app that syncs comes after its sync', async () => {
    const channel = fresh();
    const c = await counter(channel, {}, synced);
    for (let n = 1; n <= 20; n++) await publish(server, synced, channel, 'event', n);
    await c.takeUntil(() => c.got.length === 20);
    c.drop();
    for (let n = 21; n <= 30; n++) await publish(server, synced, channel, 'event', n);
    await until(async () => {
        await back(c);
        if (c.ack.head < 30) c.drop();
        return c.ack.head === 30;
    });
    await c.takeUntil(() => c.got.length === 30);
    assert.deepEqual(numbers(c), upTo(30));
    c.drop();
});

/** c stops reading while count events of size bytes are published; another reads them all. */
async function publishPast(c, of, count, size) {
    const quick = await counter(c.channel, {}, of);
    c.socket.socket.pause();
    const reading = quick.takeUntil(() => quick.got.length === count);
    for (let n = 1; n <= count; n++) await publish(server, of, c.channel, 'event', `${n}:${'x'.repeat(size)}`);
    await reading;
    c.socket.socket.resume();
    quick.drop();
}

test('a slow reader that counts is behind, not cut off, and misses nothing', async () => {
    const c = await counter(fresh());
    const total = 1000; // 9 MB: more than may wait for one socket and in the system
    await publishPast(c, app, total, 9000);
    await c.takeUntil(() => c.got.length === total);
    assert.deepEqual(c.got.map((m) => m.serial), upTo(total));
    assert.ok(c.got.every((m, i) => m.data.startsWith(`${i + 1}:`)));
    await until(() => server.log().includes(`at=hub.catchup socket=${c.id} behind=`), 'the line of the log'); // it comes by a pipe
    await send(c.channel, 'live');
    await c.takeUntil(() => c.got.length === total + 1);
    c.drop();
});

test('a slow reader that falls out of the window is told to come back', async () => {
    const c = await counter(fresh(), {}, small);
    await publishPast(c, small, 1000, 9000);
    const end = await c.takeUntil((m) => m.event === 'opcode 8');
    assert.equal(end.payload.readUInt16BE(), 4200);
    assert.deepEqual(c.got.map((m) => m.serial), upTo(c.position.serial)); // as far as it came
    c.drop();
    await back(c);
    assert.equal(c.ack.code, 'position_expired');
    c.drop();
});

test('a stop and a start lose nothing, with another number of loops', async () => {
    const list = [];
    for (let i = 0; i < 12; i++) list.push(await counter(fresh('private-r')));
    for (const c of list) for (let n = 1; n <= 5; n++) await send(c.channel, n);
    for (const c of list) await c.takeUntil(() => c.got.length === 5);
    for (const c of list) c.drop();
    for (const c of list) for (let n = 6; n <= 9; n++) await send(c.channel, n);
    await server.stop({ keep: true });
    const { dataDir, port } = server;
    server = await startServer({ args: ['--roles', 'hub', '--loops', '3', '--apps', appsFile], dataDir, port });
    server.stop = ((stop) => async () => { await stop(); rmSync(dataDir, { recursive: true, force: true }); })(server.stop);
    for (const c of list) {
        c.server = server;
        await back(c);
        assert.equal(c.ack.recovered, true);
        await send(c.channel, 10);
        await c.takeUntil(() => c.got.length === 10);
        assert.deepEqual(numbers(c), upTo(10));
        c.drop();
    }
});

// fsync as a disk gives it that hangs: it comes back when the file is there no more.
const HANGING_FSYNC = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
int fsync(int fd)
{
    while (access(getenv("HANG"), F_OK) == 0)
        usleep(1000);
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
`;

test('while the disk hangs, what waits for it is bounded, and the rest is refused', async () => {
    const hang = join(dir, 'hang'), source = join(dir, 'fsync.c'), library = join(dir, 'fsync.so');
    writeFileSync(source, HANGING_FSYNC);
    assert.equal(spawnSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'], { stdio: 'inherit' }).status, 0);
    const slow = await startServer({
        args: ['--roles', 'hub', '--loops', '2', '--apps', join(dir, 'hanging.json'), '--admin', '127.0.0.1:0'],
        env: { LD_PRELOAD: library, HANG: hang, ASAN_OPTIONS: 'exitcode=99:verify_asan_link_order=0' },
    });
    const post = (of = synced, channel = 'large', bytes = 700000) => publish(slow, of, channel, 'event', 'x'.repeat(bytes));
    const metric = async (name) => {
        const [, port] = slow.log().match(/at=app\.admin port=(\d+)/);
        const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
        return Number(new RegExp(`^${name}{app="${synced.id}"} (\\d+)$`, 'm').exec(text)[1]);
    };
    try {
        const c = await new Counter(slow, synced, 'small').connect();
        await c.subscribe();
        await c.acknowledged();
        writeFileSync(hang, '');
        assert.equal(await post(synced, 'small', 1), 200);
        let accepted = 0;
        while (await post() === 200) accepted++;
        assert.ok(accepted >= 20 && accepted < 60, `${accepted} of 700 kB were taken`);
        assert.ok(await metric('viche_hub_unsynced_bytes') > 16 << 20);
        assert.equal(await metric('viche_hub_published_events_total'), 0);
        assert.equal(await metric('viche_hub_refused_publishes_total'), 1);
        assert.equal(await post(app), 200, 'an app that waits for no disk goes on');
        rmSync(hang);
        await c.takeUntil(() => c.got.length === 1);
        await until(async () => await metric('viche_hub_unsynced_bytes') === 0, 'the disk to take all');
        assert.equal(await metric('viche_hub_published_events_total'), accepted + 1);
        assert.equal(await post(), 200);
        c.drop();
    } finally {
        rmSync(hang, { force: true });
        await slow.stop();
    }
});
