// The main job: a write answers 201, a worker does the rest, everyone who watches gets the event.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { api, app, newUser, runViche, startServer, until } from './lib.mjs';

const require = createRequire(import.meta.url);
const Pusher = require('pusher-js');

let server, author, reader;
const clients = [];
before(async () => {
    server = await startServer({ env: { VICHE_RATE_LIMITS: 'off' } });
    author = await newUser(server.url, 'Авторка');
    reader = await newUser(server.url, 'Читач');
});
after(async () => {
    clients.forEach((c) => c.disconnect());
    await server?.stop();
});

function connect(token) {
    const client = new Pusher(app.key, {
        cluster: '',
        wsHost: server.host,
        wsPort: server.port,
        forceTLS: false,
        enabledTransports: ['ws'],
        authEndpoint: `${server.url}/broadcasting/auth`,
        auth: { headers: token ? { Authorization: `Bearer ${token}` } : {} },
    });
    clients.push(client);
    return client;
}

/** Subscribes and collects: {events: [{event, data, at}], error}. */
async function watch(client, name) {
    const channel = client.subscribe(name);
    const seen = { events: [], error: null };
    channel.bind_global((event, data) => {
        if (!event.startsWith('pusher:')) seen.events.push({ event, data, at: performance.now() });
    });
    channel.bind('pusher:subscription_error', (e) => (seen.error = e));
    await until(() => channel.subscribed || seen.error, `subscription to ${name}`);
    return seen;
}

const post = (who, path, body) => api(server.url, 'POST', path, { token: who.token, body });
const put = (who, path, body) => api(server.url, 'PUT', path, { token: who.token, body });

async function newProposal(extra = {}) {
    const made = await post(author, '/api/v1/proposals', { title: 'Велодоріжка', summary: 'Коротко', body: 'Довго', ...extra });
    assert.equal(made.status, 201, made.text);
    return made.json;
}

test('a comment is announced to everyone who watches the proposal, its author is notified', async () => {
    const proposal = await newProposal();
    const watching = await watch(connect(), `proposal.${proposal.id}`);
    const bell = await watch(connect(author.token), `private-user.${author.user.id}`);
    const made = await post(reader, `/api/v1/proposals/${proposal.id}/comments`, { body: 'Підтримую **це**' });
    assert.equal(made.status, 201, made.text);
    await until(() => watching.events.length > 0, 'comment.created');
    assert.equal(watching.events[0].event, 'comment.created');
    assert.equal(watching.events[0].data.id, made.json.id);
    assert.equal(watching.events[0].data.body, 'Підтримую **це**');
    await until(() => bell.events.length > 0, 'notification.created');
    assert.equal(bell.events[0].event, 'notification.created');
    assert.equal(bell.events[0].data.unread_count, 1);
    const list = await api(server.url, 'GET', '/api/v1/notifications', { token: author.token });
    assert.equal(list.json.items.length, 1);
    assert.equal(list.json.items[0].comment_id, made.json.id);
});

test('a private channel of another person is refused', async () => {
    const spy = await watch(connect(reader.token), `private-user.${author.user.id}`);
    assert.ok(spy.error, 'the subscription failed');
    const nobody = await watch(connect(), `private-user.${author.user.id}`);
    assert.ok(nobody.error);
});

test('a members-only proposal is announced on its private channel, to members only', async () => {
    const added = runViche(
        ['user', 'add', '--data', server.dataDir, '--email', 'member@example.org', '--name', 'M', '--password-stdin', '--role', 'member'],
        { input: 'a long password' },
    );
    assert.equal(added.status, 0, added.stderr);
    const session = await api(server.url, 'POST', '/api/v1/session', { body: { email: 'member@example.org', password: 'a long password' } });
    const member = session.json;
    const made = await api(server.url, 'POST', '/api/v1/proposals', {
        token: member.token,
        body: { title: 'Лише для своїх', summary: '', body: 'Текст', is_members_only: true },
    });
    assert.equal(made.status, 201, made.text);
    const id = made.json.id;
    assert.equal(made.json.channel, `private-proposal.${id}`);

    const inside = await watch(connect(member.token), `private-proposal.${id}`);
    assert.equal(inside.error, null);
    const outside = await watch(connect(reader.token), `private-proposal.${id}`);
    assert.ok(outside.error, 'who is no member is refused');
    const open = await watch(connect(), `proposal.${id}`); // anyone may listen there, nothing is said
    assert.equal((await api(server.url, 'GET', `/api/v1/proposals/${id}`, { token: reader.token })).status, 403);

    const comment = await api(server.url, 'POST', `/api/v1/proposals/${id}/comments`, { token: member.token, body: { body: 'тихо' } });
    assert.equal(comment.status, 201, comment.text);
    await until(() => inside.events.length > 0, 'the event inside');
    assert.equal(open.events.length, 0);
    assert.equal(outside.events.length, 0);
});

test('a storm of signatures makes at most two events a second, and the last value arrives', async () => {
    const proposal = await newProposal();
    const watching = await watch(connect(), `proposal.${proposal.id}`);
    const people = [];
    for (let i = 0; i < 12; i++) people.push(await newUser(server.url, `Людина ${i}`));
    const began = performance.now();
    for (const person of people) {
        const r = await put(person, `/api/v1/proposals/${proposal.id}/support`);
        assert.equal(r.status, 201, r.text);
        if (person === people[0]) await until(() => watching.events.length > 0, 'the first count');
        await new Promise((done) => setTimeout(done, 120)); // the storm itself takes time
    }
    const last = () => watching.events.filter((e) => e.event === 'proposal.supported').at(-1);
    await until(() => last()?.data.support_count === 12, 'the last count');
    const events = watching.events.filter((e) => e.event === 'proposal.supported');
    const seconds = (events.at(-1).at - began) / 1000;
    assert.ok(events.length >= 2, 'the count moved more than once');
    assert.ok(events.length <= 2 * seconds + 2, `${events.length} events in ${seconds.toFixed(2)} s`);
    const counts = events.map((e) => e.data.support_count);
    assert.deepEqual(counts, [...counts].sort((a, b) => a - b), 'counts only grow');
});

test('votes on comments are announced with their counts', async () => {
    const proposal = await newProposal();
    const comment = (await post(reader, `/api/v1/proposals/${proposal.id}/comments`, { body: 'раз' })).json;
    const watching = await watch(connect(), `proposal.${proposal.id}`);
    const r = await put(author, `/api/v1/comments/${comment.id}/vote`, { value: 1 });
    assert.equal(r.status, 200, r.text);
    const voted = await until(() => watching.events.find((e) => e.event === 'comment.voted'), 'comment.voted');
    assert.deepEqual(voted.data, { proposal_id: proposal.id, items: [{ id: comment.id, up: 1, down: 0 }] });
});

test('what waits in the queue when the process is killed runs after the restart', async () => {
    const own = await startServer({ args: ['--workers', '0'], env: { VICHE_RATE_LIMITS: 'off' } });
    const writer = await newUser(own.url);
    const other = await newUser(own.url);
    const made = await api(own.url, 'POST', '/api/v1/proposals', { token: writer.token, body: { title: 'т', summary: '', body: 'б' } });
    for (let i = 0; i < 5; i++) {
        const r = await api(own.url, 'POST', `/api/v1/proposals/${made.json.id}/comments`, { token: other.token, body: { body: `c${i}` } });
        assert.equal(r.status, 201);
    }
    await own.kill9();
    const again = await startServer({ dataDir: own.dataDir });
    await until(async () => {
        const list = await api(again.url, 'GET', '/api/v1/notifications', { token: writer.token });
        return list.json.items.length === 5;
    }, 'five notifications');
    await again.stop();
    own.cleanup();
});
