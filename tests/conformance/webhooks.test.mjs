// Webhooks, which Reverb does not have: what a backend is told of its channels.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before } from 'node:test';
import { app1, appWith, conform, hmac, startHub, until, within } from './lib.mjs';

/** A receiver of webhooks: posts [{at, headers, body}], events(). answer may be replaced. */
async function startReceiver() {
    const r = { posts: [], answer: (response) => response.end() };
    const server = createServer(async (request, response) => {
        let body = '';
        for await (const part of request) body += part;
        r.posts.push({ at: Date.now(), headers: request.headers, body });
        r.answer(response, r.posts.length);
    });
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    r.url = `http://127.0.0.1:${server.address().port}/hooks`;
    r.events = () => r.posts.flatMap(({ body }) => JSON.parse(body).events);
    r.until = (count) => until(() => r.events().length >= count, `${count} events, not ${JSON.stringify(r.events())}`);
    r.close = () => server.close() && server.closeAllConnections();
    return r;
}

const names = ['signed', 'filtered', 'quick', 'missing', 'retried', 'spread'];
const receivers = {}, apps = {};
let hub;
before(async () => {
    for (const name of names) {
        const r = (receivers[name] = await startReceiver());
        const webhook = { url: r.url };
        if (name === 'filtered') webhook.filter = { channel_name_starts_with: 'presence-a' };
        if (name === 'quick' || name === 'spread')
            webhook.event_types = ['channel_occupied', 'channel_vacated', 'member_added', 'member_removed'];
        apps[name] = appWith(name, { webhooks: [webhook] });
    }
    apps.signed.secret = '7ad3773142a6692b25b8';
    hub = await startHub({ apps: [app1, ...Object.values(apps)], args: ['--loops', '4', '--webhook-private'] });
});
after(async () => {
    await hub.stop();
    for (const r of Object.values(receivers)) r.close();
});

const member = (id) => ({ user_id: id, user_info: {} });

conform('C256', 'IMPROVE', 'a webhook is signed as Pusher signs it, and the SDK accepts it', async () => {
    const published = '{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"my-channel"}]}';
    assert.equal(hmac(apps.signed.secret, published), 'c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf');
    const c = await hub.connect(apps.signed);
    await c.join('my-channel');
    await receivers.signed.until(1);
    const [{ headers, body }] = receivers.signed.posts;
    assert.match(body, /^\{"time_ms":\d{13},"events":\[\{"name":"channel_occupied","channel":"my-channel"\}/);
    assert.equal(headers['x-pusher-key'], apps.signed.key);
    assert.equal(headers['x-pusher-signature'], hmac(apps.signed.secret, body));
    const webhook = hub.backend(apps.signed).webhook({ headers, rawBody: body });
    assert.ok(webhook.isValid());
    assert.deepEqual(webhook.getEvents()[0], { name: 'channel_occupied', channel: 'my-channel' });
});

conform('C257', 'IMPROVE', 'a client that is back within 3 s causes no channel_vacated and no member_removed', async () => {
    const told = (channel) => receivers.quick.events().filter((e) => e.channel === channel).map((e) => [e.name, e.user_id ?? '']);
    const join = async (channel) => {
        const c = await hub.connect(apps.quick);
        await c.join(channel, channel.startsWith('presence') ? member('u') : undefined);
        return c;
    };
    const { again, back, gone } = await within(3000, async (clock, i) => {
        const back = `presence-back-${i}`, gone = `gone-${i}`;
        const first = await join(back), other = await join(gone);
        await until(() => told(back).length === 2 && told(gone).length === 1, 'both to be told of');
        clock.start();
        first.destroy();
        other.destroy();
        return { again: await join(back), back, gone };
    });
    await until(() => told(gone).length === 2, 'the other to be vacated');
    assert.deepEqual(told(gone), [['channel_occupied', ''], ['channel_vacated', '']]);
    assert.deepEqual(told(back), [['channel_occupied', ''], ['member_added', 'u']]);
    again.destroy();
    await until(() => told(back).length === 4, 'it to be vacated at last');
    assert.deepEqual(told(back).slice(2), [['member_removed', 'u'], ['channel_vacated', '']]);
});

conform('C258', 'IMPROVE', 'only the channels of the filter are posted', async () => {
    const c = await hub.connect(apps.filtered);
    await c.join('presence-b', member('1'));
    await c.join('presence-a', member('1'));
    await receivers.filtered.until(2);
    assert.deepEqual(receivers.filtered.events(), [
        { name: 'channel_occupied', channel: 'presence-a' },
        { name: 'member_added', channel: 'presence-a', user_id: '1' },
    ]);
});

conform('C260', 'IMPROVE', 'cache_miss is posted', async () => {
    const c = await hub.connect(apps.missing);
    await c.join('cache-empty');
    await c.expect({ event: 'pusher:cache_miss', channel: 'cache-empty' });
    await until(() => receivers.missing.events().some(({ name }) => name === 'cache_miss'));
    assert.deepEqual(receivers.missing.events().find(({ name }) => name === 'cache_miss'), {
        name: 'cache_miss', channel: 'cache-empty',
    });
});

conform('C261', 'IMPROVE', 'a receiver that fails is tried again, later and later', async () => {
    const receiver = receivers.retried;
    receiver.answer = (response, n) => {
        response.statusCode = n <= 3 ? 500 : 200;
        response.end();
    };
    const c = await hub.connect(apps.retried);
    await c.join('news');
    await until(() => receiver.posts.length === 4, 'three more tries');
    assert.equal(new Set(receiver.posts.map(({ body }) => body)).size, 1);
    const waits = receiver.posts.slice(1).map(({ at }, i) => at - receiver.posts[i].at);
    assert.ok(waits[0] >= 400 && waits[1] >= 900 && waits[2] >= 1900, `${waits}`);
});

conform('C262', 'IMPROVE', 'a channel is vacated when the last subscriber of all loops left, and not before', async () => {
    const receiver = receivers.spread;
    const clients = await Promise.all(Array.from({ length: 12 }, () => hub.connect(apps.spread)));
    for (const c of clients) await c.join('everywhere');
    for (const c of clients.slice(1)) c.destroy();
    const other = await hub.connect(apps.spread);
    await other.join('later');
    other.destroy();
    await receiver.until(3);
    const of = (name) => receiver.events().filter(({ channel }) => channel === name).map((e) => e.name);
    assert.deepEqual(of('later'), ['channel_occupied', 'channel_vacated']);
    assert.deepEqual(of('everywhere'), ['channel_occupied']);
    clients[0].destroy();
    await receiver.until(4);
    assert.deepEqual(of('everywhere'), ['channel_occupied', 'channel_vacated']);
});
