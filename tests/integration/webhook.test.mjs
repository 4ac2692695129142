// Webhooks: real clients on one side, a real receiver on the other.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import PusherServer from 'pusher';
import { api, app, newUser, startServer, until, within } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const backend = new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', useTLS: false });

/** A receiver: posts (each {at, headers, body, path}); answer(response, n) may be replaced; events(). */
async function startReceiver(port = 0) {
    const r = { posts: [], answer: (response) => response.end() };
    const server = createServer((request, response) => {
        const parts = [];
        request.on('data', (part) => parts.push(part));
        request.on('end', () => {
            r.posts.push({ at: Date.now(), headers: request.headers, path: request.url, body: Buffer.concat(parts).toString() });
            r.answer(response, r.posts.length);
        });
    });
    await new Promise((done, fail) => server.on('error', fail).listen(port, '127.0.0.1', done));
    r.port = server.address().port;
    r.url = `http://127.0.0.1:${r.port}/hooks?a=b`;
    r.events = () => r.posts.flatMap((p) => JSON.parse(p.body).events);
    r.until = (count) => until(() => r.events().length >= count && r.events(), `${count} events, not ${JSON.stringify(r.events())}`);
    r.close = () => {
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
    };
    return r;
}

/** A server whose app has these webhooks; keys: others of the app. */
async function startHooked(t, webhooks, { args = ['--webhook-private'], keys = {}, ...options } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'viche-hooks-'));
    const file = join(folder, 'apps.json');
    writeFileSync(file, JSON.stringify([{ app_id: app.id, key: app.key, secret: app.secret, webhooks, ...keys }]));
    const server = await startServer({ args: ['--loops', '3', '--apps', file, ...args], ...options });
    t.after(async () => {
        await server.stop();
        rmSync(folder, { recursive: true });
    });
    return server;
}

/** A raw client: id, join(channel, data), leave(channel), say(event, data, channel). */
async function client(server) {
    const c = await rawSocket(server.port, `/app/${app.key}`);
    c.id = JSON.parse((await c.json()).data).socket_id;
    c.say = (event, data, channel) => c.send(frame(TEXT, JSON.stringify({ event, data, channel })));
    c.join = async (channel, data) => {
        const text = data === undefined ? '' : `:${data}`;
        const hex = createHmac('sha256', app.secret).update(`${c.id}:${channel}${text}`).digest('hex');
        c.say('pusher:subscribe', { channel, auth: `${app.key}:${hex}`, channel_data: data });
        assert.equal((await c.json()).event, 'pusher_internal:subscription_succeeded');
    };
    c.leave = (channel) => c.say('pusher:unsubscribe', { channel });
    return c;
}

/** The rows of the queue, as sqlite3 reads them. */
function jobs(server) {
    const r = spawnSync('sqlite3', ['-json', join(server.dataDir, 'viche.db'),
        "SELECT state, attempt, last_error, payload FROM job WHERE queue = 'webhook'"], { encoding: 'utf8' });
    assert.equal(r.status, 0, r.stderr);
    return r.stdout ? JSON.parse(r.stdout) : [];
}
const READY = 0, DEAD = 2, SCHEDULED = 3;

const occupied = (channel) => ({ name: 'channel_occupied', channel });
const vacated = (channel) => ({ name: 'channel_vacated', channel });
const only = (url, ...event_types) => ({ url, event_types });

test('every event arrives once, signed so that the SDK accepts it', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const server = await startHooked(t, [{ url: receiver.url, headers: { 'X-Team': 'red', Authorization: 'Bearer t' } }]);
    const a = await client(server), b = await client(server);
    await a.join('news');
    await a.join('presence-room', '{"user_id":7,"user_info":{"n":1}}');
    await b.join('presence-room', '{"user_id":"u"}');
    await b.join('cache-empty');
    assert.equal((await b.json()).event, 'pusher:cache_miss');
    a.say('client-typing', { text: 'їжак "1"' }, 'presence-room');
    await receiver.until(8);
    b.leave('cache-empty');
    a.destroy();
    b.destroy();
    const events = await receiver.until(15);
    const about = (channel) => events.filter((e) => e.channel === channel);
    assert.deepEqual(about('news'), [
        occupied('news'),
        { name: 'subscription_count', channel: 'news', subscription_count: 1 },
        { name: 'subscription_count', channel: 'news', subscription_count: 0 },
        vacated('news'),
    ]);
    assert.deepEqual(about('cache-empty').map((e) => [e.name, e.subscription_count]), [
        ['channel_occupied', undefined], ['subscription_count', 1], ['cache_miss', undefined], ['subscription_count', 0],
        ['channel_vacated', undefined],
    ]);
    const typing = { name: 'client_event', channel: 'presence-room', event: 'client-typing', data: '{"text":"їжак \\"1\\""}', socket_id: a.id, user_id: '7' };
    const room = about('presence-room');
    assert.deepEqual(room.filter((e) => e.name === 'client_event'), [typing]);
    assert.deepEqual(room.filter((e) => e !== room.find((x) => x.name === 'client_event')).map((e) => [e.name, e.user_id]).slice(0, 3), [
        ['channel_occupied', undefined], ['member_added', '7'], ['member_added', 'u'],
    ]);
    assert.deepEqual(room.slice(4, 6).map((e) => e.name), ['member_removed', 'member_removed']);
    assert.deepEqual(room.slice(6), [vacated('presence-room')]);
    for (const post of receiver.posts) {
        const webhook = backend.webhook({ headers: post.headers, rawBody: post.body });
        assert.ok(webhook.isValid(), 'the SDK accepts it');
        assert.ok(Math.abs(webhook.getTime().getTime() - post.at) < 10000);
        assert.equal(post.headers['content-type'], 'application/json');
        assert.equal(post.headers['x-pusher-key'], app.key);
        assert.equal(post.headers['x-team'], 'red');
        assert.equal(post.headers.authorization, 'Bearer t');
        assert.match(post.headers['user-agent'], /Viche/);
        assert.equal(post.path, '/hooks?a=b');
        assert.ok(!backend.webhook({ headers: post.headers, rawBody: `${post.body} ` }).isValid(), 'changed bodies are refused');
    }
    await until(() => jobs(server).length === 0, 'all jobs to be done');
});

test('a webhook gets what it filters for, in batches', async (t) => {
    const all = await startReceiver(), some = await startReceiver();
    t.after(all.close);
    t.after(some.close);
    const server = await startHooked(t, [
        only(all.url, 'channel_occupied'),
        { ...only(some.url, 'channel_occupied', 'channel_vacated'), filter: { channel_name_starts_with: 'a-' } },
    ]);
    const c = await client(server);
    for (let i = 0; i < 300; i++) c.say('pusher:subscribe', { channel: `${i % 3 ? 'a' : 'b'}-${i}` });
    await all.until(300);
    await some.until(200);
    assert.deepEqual(all.events().map((e) => e.channel).sort(), Array.from({ length: 300 }, (_, i) => `${i % 3 ? 'a' : 'b'}-${i}`).sort());
    const sizes = all.posts.map((p) => JSON.parse(p.body).events.length);
    assert.ok(Math.max(...sizes) >= 10 && Math.max(...sizes) <= 100, `300 events in posts of ${sizes}`);
    assert.ok(some.events().every((e) => e.channel.startsWith('a-') && e.name === 'channel_occupied'));
    assert.equal(some.events().length, 200);
});

test('who comes back within 3 s was never away, on any loop', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied', 'channel_vacated', 'member_added', 'member_removed')]);
    const join = async (channels) => {
        const c = await client(server);
        for (const channel of channels) await c.join(channel, channel.startsWith('presence') ? '{"user_id":"u"}' : undefined);
        return c;
    };
    const told = (channel) => receiver.events().filter((e) => e.channel === channel).map((e) => e.name);
    const { room, news, gone, other, again } = await within(3000, async (clock, i) => {
        const [room, news, gone] = [`presence-room-${i}`, `news-${i}`, `gone-${i}`];
        const first = await join([room, news, gone]);
        const other = await join([news]); // another subscriber, likely on another loop
        await until(() => told(room).length === 2 && told(news).length === 1 && told(gone).length === 1, 'all to be occupied');
        clock.start();
        first.destroy();
        const left = Date.now();
        await until(() => Date.now() - left > 1000, 'a second'); // how long one may be away is the matter here
        return { room, news, gone, other, again: await join([room]) };
    });
    await until(() => told(gone).length === 2, 'what nobody came back to');
    assert.deepEqual([told(room), told(news)], [['channel_occupied', 'member_added'], ['channel_occupied']]);
    again.destroy();
    other.destroy();
    await until(() => told(room).length === 4 && told(news).length === 2, 'all to be vacated');
    assert.deepEqual(told(room).slice(2), ['member_removed', 'channel_vacated']);
    assert.deepEqual([told(news), told(gone)], Array(2).fill(['channel_occupied', 'channel_vacated']));
});

test('a channel whose member is held back is not vacated; a stop ends that, the member first', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied', 'channel_vacated', 'member_added', 'member_removed')], { keys: { presence_leave_delay: 3600 } });
    const c = await client(server);
    await c.join('presence-room', '{"user_id":7}');
    await receiver.until(2);
    c.leave('presence-room');
    await c.join('next');
    await server.stop({ keep: true });
    await server.restart();
    await until(() => jobs(server).length === 0, 'all jobs to be done');
    const room = receiver.events().filter((e) => e.channel === 'presence-room');
    assert.deepEqual(room.map((e) => e.name), ['channel_occupied', 'member_added', 'member_removed', 'channel_vacated']);
});

test('a channel is vacated once, when the last subscriber of all loops has left', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied', 'channel_vacated')]);
    const many = await Promise.all(Array.from({ length: 12 }, () => client(server)));
    for (const c of many) await c.join('news');
    const last = many.pop();
    for (const c of many) {
        await c.join('marker');
        c.destroy();
    }
    const seen = await until(() => receiver.events().some((e) => e.name === 'channel_vacated') && receiver.events(), 'the marker to be vacated');
    assert.deepEqual(seen.filter((e) => e.channel === 'news'), [occupied('news')]);
    last.destroy();
    await until(() => receiver.events().filter((e) => e.name === 'channel_vacated').length === 2, 'the news to be vacated');
    await server.stop({ keep: true }); // tells what is still held back
    await server.restart();
    await until(() => jobs(server).length === 0, 'all jobs to be done');
    assert.deepEqual(receiver.events().filter((e) => e.channel === 'news'), [occupied('news'), vacated('news')]);
});

test('a failing receiver gets it again after growing delays, with the same signature', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied')]);
    receiver.answer = (response, n) => {
        response.statusCode = n <= 3 ? 500 : 204;
        response.end();
    };
    const c = await client(server);
    await c.join('news');
    await until(() => receiver.posts.length === 4, '4 tries');
    await until(() => jobs(server).length === 0, 'the job to be done');
    assert.equal(new Set(receiver.posts.map((p) => p.body + p.headers['x-pusher-signature'])).size, 1);
    const delays = receiver.posts.slice(1).map((p, i) => p.at - receiver.posts[i].at);
    // Of 1, 2 and 4 s at least the half; the clock of the receiver may be a little off.
    [500, 1000, 2000].forEach((least, i) => assert.ok(delays[i] >= least - 50 && delays[i] < 2 * least + 15000, `delays ${delays}`));
    await c.join('more');
    await until(() => receiver.posts.length === 5, 'the next one');
});

/** A number of /metrics; 0 when it is not there. */
const metric = (server, name) =>
    new Promise((done, fail) => {
        request({ socketPath: join(server.dataDir, 'admin.sock'), path: '/metrics', headers: { Host: 'localhost' } }, (r) => {
            let text = '';
            r.on('data', (piece) => (text += piece));
            r.on('end', () => done(Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0)));
        })
            .on('error', fail)
            .end();
    });

test('what becomes of webhooks is counted for the operator', async (t) => {
    const receiver = await startReceiver();
    t.after(() => receiver.close());
    let first;
    receiver.answer = (response, n) => {
        if (n === 1) first = response;
        else response.end();
    };
    const server = await startHooked(t, [{ url: receiver.url, event_types: ['channel_occupied'] }]);
    const depth = () => metric(server, `viche_webhook_queue_depth{app="${app.id}"}`);
    const c = await client(server);
    await c.join('counted');
    await until(() => first, 'the first POST');
    assert.equal(await depth(), 1);
    assert.equal(await metric(server, 'viche_webhook_waiting'), 1);
    first.statusCode = 500;
    first.end();
    const of = (what) => metric(server, `viche_webhook_${what}_total{app="${app.id}"}`);
    await until(async () => (await of('sent')) === 1, 'the second POST to be counted');
    assert.equal(await of('failed'), 1);
    assert.equal(await of('retried'), 1);
    assert.equal(await of('dropped'), 0);
    await until(async () => (await metric(server, 'viche_webhook_waiting')) === 0, 'the queue to be empty');
    assert.equal(await depth(), 0);
    c.destroy();
});

test('a batch that the receiver cannot digest holds up no other', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied')]);
    receiver.answer = (response) => {
        response.statusCode = receiver.posts.at(-1).body.includes('poison') ? 422 : 200;
        response.end();
    };
    const c = await client(server);
    await c.join('poison');
    await until(() => receiver.posts.length === 1, 'the first try');
    await c.join('a');
    await until(() => receiver.events().some((e) => e.channel === 'a'), 'the other batch');
    await until(() => jobs(server).length === 1 && jobs(server)[0].attempt >= 2, 'the poison to be tried again');
});

test('a job that fails for too long is dead, with the error and without the secret; redirects are not followed', async (t) => {
    const receiver = await startReceiver(), target = await startReceiver();
    t.after(receiver.close);
    t.after(target.close);
    receiver.answer = (response) => {
        response.writeHead(302, { Location: target.url });
        response.end();
    };
    const server = await startHooked(t, [{ ...only(receiver.url, 'channel_occupied'), headers: { 'X-Token': 'hidden' } }], {
        args: ['--webhook-private', '--webhook-retry', '4s'],
    });
    const c = await client(server);
    await c.join('news');
    const dead = await until(() => jobs(server).find((j) => j.state === DEAD), 'the job to be dead');
    assert.match(dead.last_error, /answered 302/);
    assert.ok(dead.attempt >= 2);
    assert.equal(JSON.parse(dead.payload).url, receiver.url);
    assert.ok(!dead.payload.includes(app.secret) && !dead.payload.includes('hidden'));
    assert.equal(target.posts.length, 0);
});

test('addresses of private networks are refused unless they are allowed', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    const urls = [receiver.url, `http://localhost:${receiver.port}/`, `http://[::ffff:127.0.0.1]:${receiver.port}/`, `http://0.0.0.0:${receiver.port}/`, `http://2130706433:${receiver.port}/`];
    const env = { http_proxy: `http://127.0.0.1:${receiver.port}`, ALL_PROXY: `http://127.0.0.1:${receiver.port}` };
    const server = await startHooked(t, urls.map((url) => only(url, 'channel_occupied')), { args: ['--webhook-retry', '1s'], env });
    const c = await client(server);
    await c.join('news');
    const dead = await until(() => jobs(server).length === urls.length && jobs(server).every((j) => j.state === DEAD) && jobs(server), 'all to be dead');
    for (const job of dead) assert.match(job.last_error, /private network/);
    assert.equal(receiver.posts.length, 0);
});

test('a receiver whose certificate nobody vouches for is told nothing', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'viche-cert-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const key = join(folder, 'key.pem'), cert = join(folder, 'cert.pem');
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1',
        '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    let posts = 0;
    const receiver = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
        posts++;
        response.end();
    });
    await new Promise((done) => receiver.listen(0, '127.0.0.1', done));
    t.after(() => receiver.close());
    const server = await startHooked(t, [only(`https://localhost:${receiver.address().port}/`, 'channel_occupied')], {
        args: ['--webhook-private'],
    });
    const c = await client(server);
    await c.join('news');
    await until(() => jobs(server).some((j) => /certificate/i.test(j.last_error)), 'the certificate to be refused'); // the handshake may be late at first
    assert.equal(posts, 0);
});

test('an answer that is too long is a failure, and is not kept', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    receiver.answer = (response, n) => response.end(n === 1 ? Buffer.alloc(8e6, 'x') : 'ok');
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied')]);
    const c = await client(server);
    await c.join('news');
    await until(() => receiver.posts.length === 2, 'the second try');
    await until(() => jobs(server).length === 0, 'the job to be done');
    assert.match(server.log(), /the answer is longer/);
});

test('what was gathered survives kill -9 and a receiver that is down meanwhile', async (t) => {
    const receiver = await startReceiver();
    await receiver.close();
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied')]);
    const c = await client(server);
    for (let i = 0; i < 20; i++) await c.join(`news-${i}`);
    const count = () => jobs(server).flatMap((j) => JSON.parse(j.payload).body.events).length;
    await until(() => count() === 20, 'all events to be durable');
    await server.kill9();
    await server.restart();
    const back = await startReceiver(receiver.port);
    t.after(back.close);
    await until(() => new Set(back.events().map((e) => e.channel)).size === 20, 'all of them');
    await until(() => jobs(server).length === 0, 'all jobs to be done');
    assert.deepEqual([...new Set(back.events().map((e) => e.channel))].sort(), Array.from({ length: 20 }, (_, i) => `news-${i}`).sort());
});

test('a stop hands over what is gathered and held back; it arrives after the start', async (t) => {
    const receiver = await startReceiver();
    t.after(receiver.close);
    receiver.answer = () => {}; // never
    const server = await startHooked(t, [only(receiver.url, 'channel_occupied', 'channel_vacated')], { args: ['--webhook-private', '--drain', '1s'] });
    const c = await client(server);
    await c.join('first');
    await until(() => receiver.posts.length === 1, 'the post that hangs');
    await c.join('second');
    await server.stop({ keep: true });
    const waiting = jobs(server);
    // SCHEDULED: it had no place in the receiver's line, and comes when it is its turn.
    assert.ok(waiting.every((j) => [READY, SCHEDULED].includes(j.state) && j.attempt === 0), JSON.stringify(waiting));
    receiver.posts.length = 0;
    receiver.answer = (response) => response.end();
    await server.restart();
    const events = await receiver.until(4);
    const names = (channel) => events.filter((e) => e.channel === channel).map((e) => e.name);
    assert.deepEqual(names('first').sort(), ['channel_occupied', 'channel_vacated']);
    assert.deepEqual(names('second').sort(), ['channel_occupied', 'channel_vacated']);
});

test('a receiver that never answers delays neither another one, nor comments, nor the hub', async (t) => {
    const hung = await startReceiver(), well = await startReceiver();
    t.after(hung.close);
    t.after(well.close);
    let open = 0, most = 0;
    hung.answer = (response) => {
        most = Math.max(most, ++open);
        response.on('close', () => open--);
    };
    const server = await startHooked(t, [only(hung.url, 'channel_occupied'), only(well.url, 'channel_occupied')], {
        seed: true,
        args: ['--webhook-private', '--workers', '1', '--drain', '1s', '--rate-limits', 'off'],
    });
    const c = await client(server);
    const sdk = new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false });
    await c.join('warm');
    await until(() => open === 1, 'the first post to hang');
    const author = await newUser(server.url), reader = await newUser(server.url);
    const proposals = await api(server.url, 'GET', '/api/v1/proposals');
    const id = proposals.json.items?.[0]?.id ?? proposals.json.proposals?.[0]?.id;
    const began = Date.now();
    for (let i = 0; i < 60; i++) {
        await c.join(`c-${i}`);
        await sdk.trigger(`c-${i}`, 'e', { i });
        assert.equal((await c.json()).event, 'e');
    }
    assert.ok(Date.now() - began < 60000, 'a hub that waited for each post would take ten minutes');
    const path = `/api/v1/proposals/${id}/comments`;
    const first = await api(server.url, 'POST', path, { token: reader.token, body: { body: 'Перший' } });
    assert.equal(first.status, 201, first.text);
    const reply = await api(server.url, 'POST', path, { token: author.token, body: { body: 'Відповідь', parent_id: first.json.id } });
    assert.equal(reply.status, 201, reply.text);
    await until(async () => (await api(server.url, 'GET', '/api/v1/notifications', { token: reader.token })).text.includes('reply'), 'the notification');
    await well.until(61);
    assert.equal(most, 1, 'one post at a time');
});
