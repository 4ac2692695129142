// What a backend may ask: channels, users, connections; and the users it may throw out.
import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { app1, appWith, conform, startHub } from './lib.mjs';

// Each case has an app of its own, so that nobody else's channels are in its answers.
const apps = Array.from({ length: 20 }, (_, i) => appWith(`reading-${i}`));
let hub, app, used = 0;
before(async () => {
    hub = await startHub({ apps: [app1, ...apps] });
});
beforeEach(() => {
    app = apps[used++];
});
after(() => hub.stop());

const get = (path) => hub.get(path, { app });
async function answers(path, json, status = 200) {
    const answer = await get(path);
    assert.equal(answer.status, status, answer.text);
    assert.deepEqual(answer.json, json);
}
const member = (id) => ({ user_id: id, user_info: { name: `User ${id}` } });
async function joined(channel, ...members) {
    const clients = [];
    for (const m of members) {
        const c = await hub.connect(app);
        await c.join(channel, m);
        clients.push(c);
    }
    return clients;
}
const info = 'user_count,subscription_count,cache';

conform('C208', 'MUST', 'a channel of nobody is not occupied', () =>
    answers(`channels/test-channel-one?info=${info}`, { occupied: false }));

conform('C209', 'MUST', 'a presence channel counts its users, not its subscriptions', async () => {
    const channel = 'presence-test-channel-one';
    await joined(channel, member(1), member(1));
    await answers(`channels/${channel}?info=${info}`, { occupied: true, user_count: 1 });
});

conform('C210', 'COMPAT', 'a cache channel shows its event, as data and the seconds that it stays', async () => {
    const channel = 'cache-test-channel-one';
    await joined(channel, undefined);
    await hub.publish('e', channel, '{"some":"data"}', { app });
    const { json } = await get(`channels/${channel}?info=subscription_count,cache`);
    const { cache, ...rest } = json;
    assert.deepEqual(rest, { occupied: true, subscription_count: 1 });
    assert.equal(cache.data, '{"some":"data"}');
    assert.ok(cache.ttl > 0 && cache.ttl <= 1800, String(cache.ttl));
});

conform('C212', 'MUST', 'all channels are listed with what was asked for', async () => {
    await joined('test-channel-one', undefined);
    await joined('presence-test-channel-two', member(1));
    await answers('channels?info=user_count', {
        channels: { 'test-channel-one': {}, 'presence-test-channel-two': { user_count: 1 } },
    });
    await answers('channels?filter_by_prefix=presence-&info=user_count', {
        channels: { 'presence-test-channel-two': { user_count: 1 } },
    });
});

conform('C213', 'MUST', 'and with nothing when nothing was asked for', async () => {
    await joined('test-channel-one', undefined);
    await joined('test-channel-two', undefined);
    await answers('channels', { channels: { 'test-channel-one': {}, 'test-channel-two': {} } });
});

conform('C214', 'MUST', 'only occupied channels are listed', async () => {
    const [c] = await joined('test-channel-one', undefined);
    await joined('test-channel-two', undefined);
    c.say('pusher:unsubscribe', { channel: 'test-channel-one' });
    await c.expectQuiet();
    await answers('channels', { channels: { 'test-channel-two': {} } });
});

conform('C216', 'IMPROVE', 'no channels are an empty object, which the PHP SDK can read', async () => {
    assert.equal((await get('channels')).text, '{"channels":{}}');
});

conform('C217', 'MUST', 'the users of a presence channel are listed', async () => {
    await joined('presence-test-channel', member(1), member(2), member(3));
    await answers('channels/presence-test-channel/users', { users: [{ id: 1 }, { id: 2 }, { id: 3 }] });
});

conform('C218', 'MUST', 'each of them once', async () => {
    await joined('presence-test-channel', member(3), member(2), member(3));
    await answers('channels/presence-test-channel/users', { users: [{ id: 3 }, { id: 2 }] });
});

conform('C220', 'MUST', 'the users of an unoccupied channel are 404', () =>
    answers('channels/presence-test-channel/users', {}, 404));

conform('C221', 'MUST', 'connections are counted', async () => {
    await joined('test-channel-one', undefined);
    await joined('presence-test-channel-two', member(1));
    await answers('connections', { connections: 2 });
});

conform('C222', 'MUST', 'once, however many channels they have', async () => {
    const [c] = await joined('test-channel-one', undefined);
    await c.join('test-channel-two');
    await answers('connections', { connections: 1 });
});

conform('C254', 'MUST', 'the SDK reads the number of connections, as Laravel Pulse does', async () => {
    await joined('test-channel-one', undefined, undefined);
    const response = await hub.backend(app).get({ path: '/connections' });
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { connections: 2 });
});

const terminate = (user) => hub.post(`users/${user}/terminate_connections`, {}, { app });

conform('C224', 'IMPROVE', 'a user is thrown out, whoever else is there', async () => {
    const [bystander] = await joined('test-channel-one', undefined);
    const [victim, other] = await joined('presence-test-channel-two', { user_id: '456' }, { user_id: '987' });
    await victim.json(); // the other came
    const answer = await terminate('456');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
    assert.equal(await victim.closed(), 4009);
    assert.equal((await other.json()).event, 'pusher_internal:member_removed');
    for (const c of [bystander, other]) await c.expectQuiet();
});

conform('C225', 'MUST', 'throwing out an unknown user is no error', async () => {
    const answer = await terminate('nobody');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
});

conform('C226', 'COMPAT', 'a path that is nobody\'s gets 404', async () => {
    const answer = await hub.post('channels/users/not-a-user/terminate_connections', {}, { app });
    assert.equal(answer.status, 404);
});
