// Presence channels: who is there, who comes, who goes.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import {
    PING, PONG, UNAUTHORIZED, app1, appWith, bound, conform, frame, memberAdded, memberRemoved, opened, roster,
    startHub, subscriptionError, succeeded, within,
} from './lib.mjs';

const small = appWith('small-members', { max_presence_member_size: 100 });
const pruned = appWith('pruned', { ping_interval: 1 });

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, small, pruned] });
});
after(() => hub.stop());

const user = (n) => ({ user_id: n, user_info: { name: `Test User ${n}` } });

/** Users who are on the channel, one connection each; everybody has read of everybody's coming. */
async function crowd(channel, ...members) {
    const clients = [];
    for (const member of members) {
        const c = await hub.connect();
        await c.join(channel, member);
        for (const other of clients) await other.expect(memberAdded(channel, member));
        clients.push(c);
    }
    return clients;
}

conform('C096', 'MUST', 'a wrong signature and none get 4009', async () => {
    const c = await hub.connect();
    for (const auth of ['invalid-signature', null]) {
        c.say('pusher:subscribe', { channel: 'presence-test-channel', auth, channel_data: JSON.stringify(user(1)) });
        await c.expect(UNAUTHORIZED, auth);
        await c.expect(subscriptionError('presence-test-channel'));
    }
});

conform('C097', 'MUST', 'the others are told who joins, and the joiner is not', async () => {
    const channel = 'presence-test-channel';
    const [one, two] = await crowd(channel, user(1), user(2));
    const three = await hub.connect();
    three.ask(channel, user(3));
    for (const c of [one, two])
        await c.expect(
            '{"event":"pusher_internal:member_added","data":"{\\"user_id\\":3,\\"user_info\\":{\\"name\\":\\"Test User 3\\"}}","channel":"presence-test-channel"}',
        );
    await three.expect(roster(channel, [1, 2, 3].map((n) => [n, user(n).user_info])));
    await three.expectQuiet();
});

conform('C098', 'MUST', 'the others are told who leaves', async () => {
    const channel = 'presence-leaving';
    const [one, two, three] = await crowd(channel, user(1), user(2), user(3));
    three.destroy();
    for (const c of [one, two])
        await c.expect(
            '{"event":"pusher_internal:member_removed","data":"{\\"user_id\\":3}","channel":"presence-leaving"}',
        );
});

conform('C100', 'MUST', 'a user with two connections leaves with the second', async () => {
    const channel = 'presence-twice';
    const [watcher, first] = await crowd(channel, user(1), user(2));
    const second = await hub.connect();
    await second.join(channel, user(2));
    await watcher.expectQuiet('the second connection of a user is no news');
    first.destroy();
    await hub.publish('fence', channel, 'x'); // the leave, if there were one, would come first
    await watcher.expect({ event: 'fence', data: 'x', channel });
    second.destroy();
    await watcher.expect(memberRemoved(channel, 2));
    await watcher.expectQuiet();
});

conform('C101', 'MUST', 'a user with two connections is listed once', async () => {
    const channel = 'presence-unique';
    await crowd(channel, user(1));
    const second = await hub.connect();
    second.ask(channel, user(1));
    await second.expect(roster(channel, [[1, user(1).user_info]]));
});

conform('C102', 'COMPAT', 'without channel_data the roster is empty, its hash an object', async () => {
    const c = await hub.connect();
    c.ask('presence-nobody');
    await c.expect(
        '{"event":"pusher_internal:subscription_succeeded","data":"{\\"presence\\":{\\"count\\":0,\\"ids\\":[],\\"hash\\":{}}}","channel":"presence-nobody"}',
    );
});

conform('C104', 'COMPAT', 'channel_data without a user_id is told to the others as it is', async () => {
    const channel = 'presence-odd';
    const [watcher] = await crowd(channel, user(1));
    const c = await hub.connect();
    c.ask(channel, { name: 'Joe' });
    assert.equal((await c.json()).event, 'pusher_internal:subscription_succeeded');
    await watcher.expect(memberAdded(channel, { name: 'Joe' }));
});

conform('C105', 'MUST', 'pusher-js keeps the members of a channel', async () => {
    const john = hub.pusher(app1, { user_id: '1', user_info: { name: 'John' } });
    const room = john.subscribe('presence-room');
    await succeeded(room);
    assert.equal(room.members.count, 1);
    const added = bound(room, 'pusher:member_added'), removed = bound(room, 'pusher:member_removed');

    const alice = hub.pusher(app1, { user_id: '2', user_info: { name: 'Alice' } });
    const hers = alice.subscribe('presence-room');
    await succeeded(hers);
    assert.equal(hers.members.me.id, '2');
    assert.equal(hers.members.count, 2);
    assert.deepEqual(await added, { id: '2', info: { name: 'Alice' } });
    alice.disconnect();
    assert.equal((await removed).id, '2');
    assert.equal(room.members.count, 1);
});

conform('C106', 'MUST', 'an id keeps its JSON type; keys of the hash are strings', async () => {
    const channel = 'presence-types';
    await crowd(channel, { user_id: 'u1', user_info: {} });
    const two = await hub.connect();
    two.ask(channel, { user_id: 2, user_info: {} });
    await two.expect(
        '{"event":"pusher_internal:subscription_succeeded","data":"{\\"presence\\":{\\"count\\":2,\\"ids\\":[\\"u1\\",2],\\"hash\\":{\\"u1\\":{},\\"2\\":{}}}}","channel":"presence-types"}',
    );
});

conform('C108', 'IMPROVE', 'a member without user_info harms nobody', async () => {
    const channel = 'presence-bare';
    const bare = await hub.connect(), next = await hub.connect();
    await bare.join(channel, { user_id: 'w' });
    const { presence } = await next.join(channel, { user_id: 'u', user_info: { name: 'U' } });
    assert.equal(presence.count, 2);
    assert.deepEqual(presence.ids, ['w', 'u']);
    assert.deepEqual(presence.hash.u, { name: 'U' });
    assert.ok('w' in presence.hash && [null, '{}'].includes(presence.hash.w && JSON.stringify(presence.hash.w)));
});

conform('C109', 'IMPROVE', 'ids are texts: 10, 1e1 and 010 are three members', async () => {
    const channel = 'presence-numeric';
    const clients = await crowd(channel, ...['10', '1e1', '010'].map((user_id) => ({ user_id, user_info: {} })));
    const { presence } = await clients[0].join(channel, { user_id: '10', user_info: {} });
    assert.equal(presence.count, 3);
    assert.deepEqual(presence.ids, ['10', '1e1', '010']);
});

conform('C110', 'IMPROVE', 'a connection that subscribes again as another user leaves as the first', async () => {
    const channel = 'presence-renamed';
    const [watcher, c] = await crowd(channel, user(9), user(1));
    c.ask(channel, user(2));
    await watcher.expectAll(memberRemoved(channel, 1), memberAdded(channel, user(2)));
    await watcher.expectQuiet();
    const { presence } = await watcher.join(channel, user(9));
    assert.deepEqual(presence.ids, [9, 2]);
});

conform('C112', 'IMPROVE', 'a member larger than the limit is refused with LimitReached', async () => {
    const c = await hub.connect(small);
    c.ask('presence-large', { user_id: 1, user_info: { name: 'x'.repeat(200) } });
    const { data, ...rest } = await c.json();
    assert.deepEqual(rest, { event: 'pusher:subscription_error', channel: 'presence-large' });
    assert.equal(data.type, 'LimitReached');
    assert.equal(data.status, 4301);
    await c.join('presence-large', { user_id: 1 });
});

conform('C113', 'MUST', 'a roster has its count, its ids as an array and its hash as an object, whatever the ids', async () => {
    const channel = 'presence-zero'; // ids 0 to n-1 are what Reverb makes an array of
    await crowd(channel, { user_id: '0', user_info: {} });
    const c = await hub.connect();
    const { presence } = await c.join(channel, { user_id: '1', user_info: {} });
    assert.equal(presence.count, 2);
    assert.ok(Array.isArray(presence.ids));
    assert.ok(!Array.isArray(presence.hash));
    assert.deepEqual(presence.hash, { 0: {}, 1: {} });
});

conform('C114', 'MUST', 'the others are told of a member that fell silent', async () => {
    await within(2000, async (clock, i) => { // after so long a silence it is closed
        const channel = `presence-silent-${i}`;
        const watcher = await hub.connect(pruned, { query: '?client=java-client' }), silent = await hub.connect(pruned);
        const hears = async (want) => {
            let f;
            while ((f = await watcher.next())?.opcode === PING) {
                watcher.send(frame(PONG, f.payload));
                clock.lap();
            }
            assert.deepEqual(opened(JSON.parse(f.payload)), opened(want));
        };
        watcher.ask(channel, user(1));
        await hears(roster(channel, [[1, user(1).user_info]]));
        silent.ask(channel, user(2));
        await hears(memberAdded(channel, user(2)));
        await hears(memberRemoved(channel, 2));
        watcher.destroy();
    });
});
