// What an operator sees: metrics that match what clients did, what the hub holds and refuses, what happens in it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import PusherServer from 'pusher';
import { runViche, startServer, until, viche } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const dir = mkdtempSync(join(tmpdir(), 'viche-watch-'));
const apps = {
    one: { max_presence_members: 1 },
    'odd"\\': {},
    two: { max_connections: 1, accept_client_events_from: 'all' },
    slow: { rate_limiting: { enabled: true, max_attempts: 1, decay_seconds: 60 } },
    origin: { allowed_origins: ['ok.test'] },
    tail: {},
    latency: {},
    recovery: {},
};
let server, admin;
before(async () => {
    const file = join(dir, 'apps.json');
    writeFileSync(file, JSON.stringify(Object.entries(apps).map(([id, more], i) => ({ app_id: id, key: `key${i}`, secret: `secret${i}`, ...more }))));
    server = await startServer({ args: ['--loops', '3', '--apps', file, '--admin', '127.0.0.1:0'] });
    admin = Number(server.log().match(/at=app\.admin port=(\d+)/)[1]);
});
after(async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
});

const index = (app) => Object.keys(apps).indexOf(app);
const sign = (app, text) => `key${index(app)}:${createHmac('sha256', `secret${index(app)}`).update(text).digest('hex')}`;
const backend = (app) => new PusherServer({ appId: app, key: `key${index(app)}`, secret: `secret${index(app)}`, host: '127.0.0.1', port: server.port });

async function connect(app, headers) {
    const c = await rawSocket(server.port, `/app/key${index(app)}`, { headers });
    c.received = 0;
    c.sent = { count: 0, bytes: 0 };
    c.read = async () => {
        const m = await c.json();
        c.received++;
        return m;
    };
    c.say = (event, data, channel) => {
        const text = JSON.stringify({ event, data, channel });
        c.sent.count++;
        c.sent.bytes += Buffer.byteLength(text);
        c.send(frame(TEXT, text));
    };
    c.hello = await c.read();
    c.id = JSON.parse(c.hello.data).socket_id;
    c.join = async (channel, data, auth = sign(app, `${c.id}:${channel}${data === undefined ? '' : `:${data}`}`)) => {
        c.say('pusher:subscribe', { channel, auth, channel_data: data });
        return c.read();
    };
    return c;
}

/** GET over the Unix socket, or over TCP with port. */
function get(path, { port, headers } = {}) {
    return new Promise((resolve, reject) => {
        const to = port ? { host: '127.0.0.1', port } : { socketPath: join(server.dataDir, 'admin.sock') };
        const r = request({ ...to, path, headers: { Host: 'localhost', ...headers } }, (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (piece) => (text += piece));
            response.on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'], text, json: () => JSON.parse(text) }));
        });
        r.on('error', reject);
        r.end();
    });
}

/** Reads Prometheus' text format strictly: {families: Map(name -> type), samples: Map('name{labels}' -> number)}. */
function parseMetrics(text) {
    const families = new Map(), samples = new Map();
    let current = null;
    assert.ok(text.endsWith('\n'));
    for (const line of text.slice(0, -1).split('\n')) {
        const head = line.match(/^# (HELP|TYPE) ([a-z_:][a-z0-9_:]*) (.+)$/);
        if (head?.[1] === 'HELP') {
            assert.ok(!families.has(head[2]), `twice: ${line}`);
            current = head[2];
            continue;
        }
        if (head) {
            assert.equal(head[2], current, line);
            assert.match(head[3], /^(counter|gauge|histogram)$/);
            families.set(current, head[3]);
            continue;
        }
        const m = line.match(/^([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*")(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? (\d+(?:\.\d+)?)$/);
        assert.ok(m, `not a sample: ${line}`);
        const family = families.get(current) === 'histogram' ? m[1].replace(/_(bucket|sum|count)$/, '') : m[1];
        assert.equal(family, current, `outside its family: ${line}`);
        if (families.get(current) === 'counter') assert.match(family, /_total$/);
        assert.ok(!samples.has(m[1] + (m[2] ?? '')), `twice: ${line}`);
        samples.set(m[1] + (m[2] ?? ''), Number(m[3]));
    }
    return { families, samples };
}

async function metrics() {
    const { status, type, text } = await get('/metrics');
    assert.equal(status, 200);
    assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8');
    const { samples } = parseMetrics(text);
    const value = (name, app, more = '') => samples.get(`viche_hub_${name}{app="${app.replace(/["\\]/g, '\\$&')}"${more}}`);
    return { value, samples };
}

/** A tail: lines as they come. */
async function tail(query) {
    const socket = dial(join(server.dataDir, 'admin.sock'));
    const t = { lines: [], closed: false, socket };
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (piece) => {
        text += piece;
        if (!t.head) {
            const end = text.indexOf('\r\n\r\n');
            if (end < 0) return;
            t.head = text.slice(0, end);
            text = text.slice(end + 4);
        }
        const lines = text.split('\n');
        text = lines.pop();
        t.lines.push(...lines.map((line) => JSON.parse(line)));
    });
    socket.on('close', () => (t.closed = true));
    socket.write(`GET /hub/tail${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await until(() => t.head, 'the head of the tail');
    t.find = (what) => until(() => t.lines.find((line) => line.what === what), what);
    return t;
}

test('counts are what clients did', async () => {
    const app = 'two';
    const a = await connect(app);
    const zero = await metrics();
    assert.equal(zero.value('connections', app), 1);
    assert.equal(zero.value('subscriptions', app), 0);
    assert.equal((await rawSocket(server.port, `/app/key${index(app)}`).then((c) => c.json())).event, 'pusher:error');
    assert.equal((await a.join('news')).event, 'pusher_internal:subscription_succeeded');
    assert.equal((await a.join('cache-x')).event, 'pusher_internal:subscription_succeeded');
    assert.equal((await a.read()).event, 'pusher:cache_miss');
    assert.equal((await a.join('private-x', undefined, 'key2:bad')).event, 'pusher:error');
    assert.equal((await a.read()).event, 'pusher:subscription_error');
    for (let i = 0; i < 5; i++) await backend(app).trigger(['news', 'cache-x', 'nobody'], 'e', { i });
    for (let i = 0; i < 10; i++) await a.read();
    a.say('client-x', { hi: 1 }, 'news');
    a.say('pusher:ping');
    assert.equal((await a.read()).event, 'pusher:pong');

    const m = await until(async () => {
        const now = await metrics();
        return now.value('client_events_total', app) === 1 ? now : null;
    }, 'the client event to be counted');
    assert.equal(m.value('connections_opened_total', app), 1);
    assert.equal(m.value('connections_closed_total', app), 0);
    assert.equal(m.value('subscriptions', app), 2);
    assert.equal(m.value('subscriptions_total', app), 2);
    assert.equal(m.value('channels', app), 2);
    assert.equal(m.value('published_events_total', app), 15);
    assert.equal(m.value('received_messages_total', app), a.sent.count);
    assert.equal(m.value('received_bytes_total', app), a.sent.bytes);
    assert.equal(m.value('sent_messages_total', app), a.received);
    assert.ok(m.value('sent_bytes_total', app) > a.received * 30);
    assert.ok(m.value('cached_bytes', app) > 0);
    assert.equal(m.value('refusals_total', app, ',what="connection",code="4004"'), 1);
    assert.equal(m.value('refusals_total', app, ',what="subscription",code="401"'), 1);
    a.destroy();
    await until(async () => (await metrics()).value('connections', app) === 0, 'the connection to be gone');
    const end = await metrics();
    assert.equal(end.value('subscriptions', app), 0);
    assert.equal(end.value('connections_closed_total', app), 1);
});

test('an app that does not exist is counted without a label, an odd id is escaped; the process tells about itself', async () => {
    const c = await connect('odd"\\');
    assert.equal((await metrics()).value('connections', 'odd"\\'), 1);
    c.destroy();
    await rawSocket(server.port, '/app/nope').then((c) => c.json());
    const { samples } = await metrics();
    assert.ok(samples.get('viche_hub_refusals_total{app="",what="connection",code="4001"}') >= 1);
    for (const name of ['process_resident_memory_bytes', 'process_open_fds', 'process_max_fds', 'viche_loops', 'viche_queue_jobs{queue="default",state="ready"}', 'viche_queue_jobs{queue="default",state="dead"}', 'viche_queue_jobs_age_seconds'])
        assert.ok(samples.get(name) >= 0, name);
    assert.equal(samples.get('viche_loops'), 3);
});

test('what waits from publishing to sending is a histogram', async () => {
    const c = await connect('latency');
    await c.join('d');
    for (let i = 0; i < 3; i++) {
        await backend('latency').trigger('d', 'e', {});
        await c.read();
    }
    const { value, samples } = await metrics();
    const buckets = [...samples].filter(([name]) => name.startsWith('viche_hub_delivery_seconds_bucket{app="latency"')).map(([, n]) => n);
    assert.equal(buckets.length, 14);
    assert.deepEqual(buckets, [...buckets].sort((a, b) => a - b));
    assert.equal(buckets.at(-1), 3);
    assert.equal(value('delivery_seconds_count', 'latency'), 3);
    assert.ok(value('delivery_seconds_sum', 'latency') > 0);
    c.destroy();
});

test('a tail tells what happens on a channel, and why a subscription was refused', async () => {
    const t = await tail('?channel=presence-full&app=one');
    const other = await tail('?channel=else');
    const first = await connect('one');
    await until(async () => (await get('/hub/connections?app=one')).json().total === 1, 'the connection');
    // The tap reaches every loop before what follows: each of them has answered since.
    assert.equal((await first.join('presence-full', '{"user_id":1}')).event, 'pusher_internal:subscription_succeeded');
    const second = await connect('one');
    assert.equal((await second.join('presence-full', '{"user_id":2}')).event, 'pusher:subscription_error');
    const refused = await t.find('refused_subscription');
    assert.equal(refused.socket_id, second.id);
    assert.equal(refused.app, 'one');
    assert.equal(refused.code, 4100);
    assert.equal(refused.why, 'The channel has too many members.');
    assert.equal((await t.find('subscribed')).socket_id, first.id);
    await backend('one').trigger('presence-full', 'news', { a: 1 });
    const published = await t.find('published');
    assert.equal(published.event, 'news');
    assert.equal(published.subscribers, 1);
    assert.ok(published.bytes > 10);
    first.destroy();
    second.destroy();
    assert.equal((await t.find('unsubscribed')).socket_id, first.id);
    assert.deepEqual(other.lines, []);
    t.socket.destroy();
    other.socket.destroy();
});

test('a tail of one connection has what is delivered to it, and its end', async () => {
    const c = await connect('tail');
    const t = await tail(`?socket=${c.id}`);
    await until(async () => (await get(`/hub/connections/${c.id}`)).status === 200, 'every loop to have answered');
    await c.join('mine');
    await backend('tail').trigger(['mine', 'others'], 'hello', {});
    await c.read();
    const line = await t.find('delivered');
    assert.equal(line.channel, 'mine');
    assert.equal(line.event, 'hello');
    c.destroy();
    await t.find('closed');
    assert.ok(t.lines.every((l) => l.socket_id === c.id));
    assert.ok(!t.lines.some((l) => l.channel === 'others'));
    t.socket.destroy();
});

test('who tails and does not read loses lines, is told how many, and slows nobody', async () => {
    const t = await tail('?app=tail');
    t.socket.pause();
    const c = await connect('tail');
    const bad = frame(TEXT, 'rubbish');
    for (let i = 0; i < 60; i++) c.send(Buffer.concat(Array(200).fill(bad)));
    c.say('pusher:ping');
    for (let i = 0; i < 60 * 200; i++) assert.equal((await c.read()).event, 'pusher:error');
    assert.equal((await c.read()).event, 'pusher:pong');
    t.socket.resume();
    const dropped = await t.find('dropped');
    assert.ok(dropped.count > 0);
    t.socket.destroy();
    c.destroy();
});

test('only so many may tail; those who went make room', async () => {
    const open = [];
    for (let i = 0; i < 8; i++) open.push(await tail(''));
    assert.equal((await get('/hub/tail')).status, 503);
    open[0].socket.destroy();
    await until(async () => {
        const t = await tail('');
        t.socket.destroy();
        return t.head.startsWith('HTTP/1.1 200');
    }, 'room for one more');
    for (const t of open) t.socket.destroy();
});

test('channels, connections and refusals are listed with what was asked for', async () => {
    const c = await connect('one');
    const lonely = await connect('one');
    await c.join('list-a');
    await c.join('list-b');
    await lonely.join('list-a');
    const channels = (await get('/hub/channels?channel=list-')).json();
    assert.equal(channels.total, 2);
    assert.deepEqual(channels.rows.map((r) => [r.channel, r.subscribers]), [['list-a', 2], ['list-b', 1]]);
    assert.equal((await get('/hub/channels?channel=list-&limit=1')).json().rows.length, 1);
    assert.equal((await get('/hub/channels?channel=list-&limit=1')).json().total, 2);
    const on = (await get('/hub/connections?channel=list-b')).json();
    assert.deepEqual(on.rows.map((r) => [r.socket_id, r.app, r.address, r.subscriptions]), [[c.id, 'one', '127.0.0.1', 2]]);
    const one = (await get(`/hub/connections/${c.id}`)).json();
    assert.deepEqual(one.channels.map((r) => r.channel).sort(), ['list-a', 'list-b']);
    assert.equal((await get('/hub/connections/1.1')).status, 404);
    await rawSocket(server.port, `/app/key${index('origin')}`, { headers: { Origin: 'https://evil.test' } }).then((r) => r.json());
    const [last] = (await get('/hub/refusals?limit=1')).json().rows;
    assert.equal(last.what, 'refused_connection');
    assert.equal(last.app, 'origin');
    assert.equal(last.address, '127.0.0.1');
    assert.equal(last.code, 4009);
    assert.equal(last.why, 'Origin not allowed');
    for (const bad of ['limit=0', 'limit=1001', 'limit=x', 'channel=%ff']) assert.equal((await get(`/hub/channels?${bad}`)).status, 400, bad);
    c.destroy();
    lonely.destroy();
});

test('a message past the rate limit is counted and kept', async () => {
    const c = await connect('slow');
    await c.join('a');
    c.say('pusher:ping');
    assert.equal((await c.read()).event, 'pusher:error');
    const { value } = await metrics();
    assert.equal(value('rate_limited_messages_total', 'slow'), 1);
    assert.equal(value('refusals_total', 'slow', ',what="message",code="4301"'), 1);
    c.destroy();
});

test('whoever is several of one user is closed, told and counted once', async () => {
    const c = await connect('one');
    for (const channel of ['presence-once', 'private-once', 'private-twice']) await c.join(channel, '{"user_id":"many"}');
    await backend('one').terminateUserConnections('many');
    assert.equal((await c.read()).event, 'pusher:error');
    assert.equal(await c.closed(), 4009);
    assert.equal((await metrics()).value('closes_total', 'one', ',code="4009"'), 1);
    c.destroy();
});

test('recovery is counted: who asked, what was replayed, who was refused and why, and the memory of the log', async () => {
    const app = 'recovery';
    const recover = async (c, position) => {
        c.say('pusher:subscribe', { channel: 'kept', recover: position });
        const answer = await c.read();
        return JSON.parse(answer.data).recovery;
    };
    const first = await connect(app);
    const { stream_id } = await recover(first, {});
    for (let i = 0; i < 3; i++) {
        await backend(app).trigger('kept', 'e', { i });
        await first.read();
    }
    const second = await connect(app);
    assert.equal((await recover(second, { stream_id, serial: 1 })).recovered, true);
    const third = await connect(app);
    assert.equal((await recover(third, { stream_id, serial: 99 })).code, 'position_ahead');
    const fourth = await connect(app);
    assert.equal((await recover(fourth, { stream_id: '00000000000000ff', serial: 1 })).code, 'stream_reset');
    const m = await metrics();
    assert.equal(m.value('recoveries_asked_total', app), 3);
    assert.equal(m.value('recoveries_total', app), 1);
    assert.equal(m.value('replayed_messages_total', app), 2);
    assert.equal(m.value('recoveries_refused_total', app, ',reason="position_ahead"'), 1);
    assert.equal(m.value('recoveries_refused_total', app, ',reason="stream_reset"'), 1);
    assert.equal(m.value('recoveries_refused_total', app, ',reason="position_expired"'), 0);
    assert.ok(m.value('recovery_log_bytes', app) > 100);
    assert.equal(m.value('recovery_log_bytes', 'tail'), 0);
    for (const c of [first, second, third, fourth]) c.destroy();
});

test('questions that are under way when the server stops are answered or given up, and leave nothing', async () => {
    const s = await startServer({ args: ['--loops', '3'] });
    const asked = dial(join(s.dataDir, 'admin.sock'));
    asked.on('error', () => {});
    asked.write('GET /hub/channels HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(100));
    const others = Array.from({ length: 20 }, () => {
        const socket = dial(join(s.dataDir, 'admin.sock'));
        socket.on('error', () => {});
        socket.write('GET /hub HTTP/1.1\r\nHost: localhost\r\n\r\n');
        return socket;
    });
    await new Promise((done) => asked.once('data', done));
    await s.stop(); // fails when something leaks
    for (const socket of [asked, ...others]) socket.destroy();
});

test('the log has refusals by a limit at info, and not as many as clients like', async () => {
    const lines = () => server.log().match(/level=info at=hub\.refused_connection app=origin key=.* code=4009 why="Origin not allowed"/g)?.length ?? 0;
    const refuse = async () => {
        const c = await rawSocket(server.port, `/app/key${index('origin')}`);
        assert.equal(JSON.parse((await c.json()).data).code, 4009);
        c.destroy();
    };
    const before = lines();
    const began = Date.now();
    for (let burst = 0; burst < 4; burst++) await Promise.all(Array.from({ length: 100 }, refuse));
    const seconds = Math.ceil((Date.now() - began) / 1000) + 1; // of the clock, that it touched
    const most = 3 * 10 * seconds; // ten a second on each of the loops
    await until(() => lines() > before, 'a line');
    assert.ok(lines() - before <= most, `${lines() - before} lines in ${seconds} s`);
});

test('the address of the operator is not the public one, and a foreign name is no way in', async () => {
    assert.equal((await get('/metrics', { port: admin })).status, 200);
    assert.equal((await get('/hub/channels', { port: admin })).status, 200);
    assert.equal((await get('/hub/channels', { port: admin, headers: { Host: `[::1]:${admin}` } })).status, 200);
    assert.equal((await get('/hub/channels', { port: admin, headers: { Host: 'evil.test' } })).status, 403);
    assert.equal((await get('/hub/tail', { port: admin, headers: { Host: 'evil.test' } })).status, 403);
    for (const path of ['/metrics', '/hub/channels', '/hub/tail']) assert.equal((await get(path, { port: server.port })).status, 404, path);
});

test('the socket is for its user alone; one that a killed server left is replaced, and a stopped one leaves none', async () => {
    const s = await startServer({ args: ['--loops', '1'] });
    const path = join(s.dataDir, 'admin.sock');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await s.kill9();
    assert.ok(existsSync(path));
    await s.restart();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const t = dial(path);
    t.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const piece of t) text += piece;
    assert.match(text, /^HTTP\/1\.1 200 /);
    const following = dial(path);
    following.write('GET /hub/tail HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await new Promise((done) => following.once('data', done));
    await s.stop({ keep: true });
    assert.ok(!existsSync(path));
    s.cleanup();
});

test('an address that cannot be had is said at the start', () => {
    const r = runViche(['serve', '--listen', '127.0.0.1:0', '--data', join(dir, 'd'), '--admin', 'nowhere']);
    assert.equal(r.status, 1);
    assert.match(r.stderr, /--admin: cannot listen on nowhere/);
});

test('viche hub does not wait for a server that hangs', () => {
    server.child.kill('SIGSTOP');
    try {
        for (const what of ['channels', 'tail']) {
            const r = runViche(['hub', what, '--timeout', '100ms', '--data', server.dataDir]);
            assert.equal(r.status, 1, what);
            assert.match(r.stderr, /the server does not answer at .*admin\.sock within 100 ms; does it hang\?/);
        }
    } finally {
        server.child.kill('SIGCONT');
    }
});

test('viche hub says from the shell what the server does', async (test) => {
    const c = await connect('tail');
    await c.join('shell-room');
    await c.join('private-shell', undefined, 'key5:wrong');
    const hub = (...args) => runViche(['hub', ...args, '--timeout', '1m', '--data', server.dataDir]);
    const channels = hub('channels', '--channel', 'shell-');
    assert.equal(channels.status, 0, channels.stderr);
    assert.match(channels.stdout, /^app +channel +subscribers +users +cached_bytes *\ntail +shell-room +1 +0 +0 *\n$/);
    assert.match(hub('connections', '--channel', 'shell-room').stdout, new RegExp(`tail +${c.id} +127\\.0\\.0\\.1 +1 `));
    assert.deepEqual(JSON.parse(hub('connections', '--socket', c.id).stdout).channels.map((x) => x.channel), ['shell-room']);
    assert.match(hub('refusals').stdout, /private-shell +401/);
    assert.ok(JSON.parse(hub('channels', '--json').stdout).rows.length > 0);
    for (const id of ['1.1', 'a b', '../frames']) assert.match(hub('connections', '--socket', id).stderr, /no such connection/);
    assert.match(hub('channels', '--channel', 'ї'.repeat(10000)).stderr, /longer than any name/);

    let tail;
    const follow = () => {
        const t = spawn(viche, ['hub', 'tail', '--timeout', '1s', '--channel', 'shell-room', '--data', server.dataDir], { stdio: ['ignore', 'pipe', 'pipe'] });
        Object.assign(t, { began: Date.now(), lines: '' });
        t.stdout.on('data', (text) => (t.lines += text));
        t.on('exit', (status) => void (status === 1 && (tail = follow()))); // the machine stood still for a second
        return t;
    };
    tail = follow();
    test.after(() => tail.kill('SIGKILL'));
    const hears = async (event, printed) => {
        const t = tail;
        await backend('tail').trigger('shell-room', event, {});
        return printed.test(t.lines);
    };
    await until(() => hears('hello\u202e\u009b', /"what":"published".*hello\\u202e\\u009b"/)); // nothing that a terminal obeys
    await until(() => Date.now() - tail.began > 1000 && hears('later', /"what":"published".*later"/), 'an event past the time that its beginning has');
    c.destroy();

    const nobody = runViche(['hub', 'channels', '--data', join(dir, 'nowhere')]);
    assert.equal(nobody.status, 1);
    assert.match(nobody.stderr, /no server answers at .*admin\.sock; is it running/);
    assert.equal(runViche(['hub', 'tails']).status, 2);
});
