// Many connections over all loops of a process are one hub: what Reverb does over several nodes.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { app1, appWith, conform, memberAdded, startHub } from './lib.mjs';

const counted = appWith('counted'), cleared = appWith('cleared');

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, counted, cleared], args: ['--loops', '4'] });
});
after(() => hub.stop());

/** So many that every loop has some. */
const many = (app) => Promise.all(Array.from({ length: 16 }, () => hub.connect(app)));

conform('C236', 'MUST', 'the connection of socket_id is left out on whatever loop it is', async () => {
    const clients = await many();
    for (const c of clients) await c.join('spread');
    for (const s of clients) await hub.publish(s.id, 'spread', 'x', { socket_id: s.id });
    for (const c of clients)
        for (const s of clients) if (s !== c) await c.expect({ event: s.id, data: 'x', channel: 'spread' });
    await hub.publish('fence', 'spread', 'x');
    for (const c of clients) await c.expect({ event: 'fence', data: 'x', channel: 'spread' });
});

conform('C237', 'MUST', 'whoever is asked, the answer is of all loops', async () => {
    const clients = await many(counted);
    for (const [i, c] of clients.entries()) {
        await c.join('open');
        await c.join('presence-open', { user_id: String(i % 8), user_info: {} });
    }
    const read = async (path) => (await hub.get(path, { app: counted })).json;
    for (let i = 0; i < 8; i++) {
        assert.deepEqual(await read('channels?info=subscription_count'), {
            channels: { open: { subscription_count: 16 }, 'presence-open': {} },
        });
        assert.deepEqual(await read('channels/presence-open?info=user_count'), { occupied: true, user_count: 8 });
        const { users } = await read('channels/presence-open/users');
        assert.deepEqual(users.map(({ id }) => id).sort(), ['0', '1', '2', '3', '4', '5', '6', '7']);
        assert.deepEqual(await read('connections'), { connections: 16 });
        const info = { channels: ['open', 'presence-open'], info: 'subscription_count,user_count' };
        const event = await hub.events({ name: 'e', data: 'x', ...info }, { app: counted });
        const counts = { open: { subscription_count: 16 }, 'presence-open': { user_count: 8 } };
        assert.deepEqual(event.json, { channels: counts });
        const batch = ['open', 'presence-open'].map((channel) => ({ name: 'e', data: 'x', channel, info: info.info }));
        assert.deepEqual((await hub.post('batch_events', { batch }, { app: counted })).json, { batch: Object.values(counts) });
    }
});

conform('C238', 'IMPROVE', 'members on all loops see each other come and are all in the list', async () => {
    const channel = 'presence-everywhere';
    const clients = await many();
    for (const [i, c] of clients.entries()) {
        const member = { user_id: `u${i}`, user_info: {} };
        const { presence } = await c.join(channel, member);
        assert.deepEqual(presence.ids, clients.slice(0, i + 1).map((_, n) => `u${n}`));
        for (const earlier of clients.slice(0, i)) await earlier.expect(memberAdded(channel, member));
    }
});

conform('C240', 'IMPROVE', 'the users of a channel are told, on whatever loop they are', async () => {
    const c = await hub.connect();
    await c.join('presence-single', { user_id: '7', user_info: {} });
    for (let i = 0; i < 16; i++) {
        const answer = await hub.get('channels/presence-single/users', { headers: { Connection: 'close' } });
        assert.equal(answer.status, 200);
        assert.deepEqual(answer.json, { users: [{ id: '7' }] });
    }
});

conform('C241', 'IMPROVE', 'a cached event is there for subscribers on every loop', async () => {
    await hub.publish('e', 'cache-x', 'x');
    for (const c of await many()) {
        await c.join('cache-x');
        await c.expect({ event: 'e', data: 'x', channel: 'cache-x' });
    }
});

conform('C245', 'MUST', 'a user is thrown out wherever the connections are, and nobody else', async () => {
    const clients = await many(cleared);
    for (const [i, c] of clients.entries()) {
        if (i % 2) c.ask('presence-room', { user_id: '987', user_info: {} });
        else await c.join('public');
    }
    for (const c of clients.filter((_, i) => i % 2)) await c.json(); // it is in
    assert.equal((await hub.post('users/987/terminate_connections', {}, { app: cleared })).status, 200);
    for (const [i, c] of clients.entries()) {
        if (i % 2) assert.equal(await c.closed(), 4009);
        else await c.expectQuiet();
    }
});
