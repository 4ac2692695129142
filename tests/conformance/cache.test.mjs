// Cache channels: whoever comes later gets the last event.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import {
    UNAUTHORIZED, app1, appWith, conform, memberAdded, memberRemoved, startHub, subscribed, subscriptionError, until,
} from './lib.mjs';

const brief = appWith('brief', { cache_ttl: 1 });

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, brief] });
});
after(() => hub.stop());

const NAME = 'App\\Events\\TestEvent', DATA = '{"foo":"bar"}';
const cached = (channel) => ({ event: NAME, data: DATA, channel });
const miss = (channel) => ({ event: 'pusher:cache_miss', channel });
const member = (n) => ({ user_id: n, user_info: {} });

/** Somebody subscribed, an event came, somebody else subscribes: gets the event behind the success and nothing else. */
async function keepsLast(channel, ...members) {
    const first = await hub.connect();
    await first.join(channel, members[0]);
    await first.expect(miss(channel));
    await hub.publish('earlier', channel, '{}');
    await hub.publish(NAME, channel, DATA);
    await first.expect({ event: 'earlier', data: '{}', channel });
    await first.expect(cached(channel));
    const second = await hub.connect();
    await second.join(channel, members[1]);
    await second.expect(cached(channel));
    await second.expectQuiet();
}

conform('C116', 'MUST', 'a subscriber of a cache channel gets the last event at once, and no cache_miss', () =>
    keepsLast('cache-test-channel'));

conform('C117', 'MUST', 'when there was none, it gets pusher:cache_miss behind the success', async () => {
    const c = await hub.connect();
    await c.join('private-cache-test-empty');
    await c.expect('{"event":"pusher:cache_miss","channel":"private-cache-test-empty"}');
});

conform('C118', 'MUST', 'private-cache- channels do the same', () => keepsLast('private-cache-test-channel'));
conform('C120', 'MUST', 'presence-cache- channels do the same', () =>
    keepsLast('presence-cache-test-channel', member(1), member(2)));

conform('C121', 'MUST', 'a subscription is answered with two frames: the success, and the event or the miss', async () => {
    for (const channel of ['cache-two', 'private-cache-two']) {
        const c = await hub.connect();
        c.ask(channel);
        await c.expect(subscribed(channel));
        await c.expect(miss(channel));
        await c.expectQuiet();
        await hub.publish(NAME, channel, DATA);
        await c.expect(cached(channel));
        c.ask(channel);
        await c.expect(subscribed(channel));
        await c.expect(cached(channel));
        await c.expectQuiet();
    }
});

conform('C122', 'MUST', 'a wrong signature gets 4009 and nothing from the cache', async () => {
    for (const channel of ['private-cache-test-channel', 'presence-cache-test-channel']) {
        await hub.publish(NAME, channel, DATA);
        const c = await hub.connect();
        c.say('pusher:subscribe', { channel, auth: 'invalid-signature', channel_data: '{"user_id":1}' });
        await c.expect(UNAUTHORIZED);
        await c.expect(subscriptionError(channel));
        await c.expectQuiet();
    }
});

conform('C124', 'IMPROVE', 'private-encrypted-cache- channels are cached too', () => keepsLast('private-encrypted-cache-a'));

conform('C125', 'IMPROVE', 'an event is kept though nobody was subscribed', async () => {
    await hub.publish(NAME, 'cache-1', DATA);
    const c = await hub.connect();
    await c.join('cache-1');
    await c.expect(cached('cache-1'));
});

conform('C126', 'IMPROVE', 'and though everybody left meanwhile', async () => {
    const c = await hub.connect();
    await c.join('cache-left');
    await c.expect(miss('cache-left'));
    await hub.publish(NAME, 'cache-left', DATA);
    await c.expect(cached('cache-left'));
    c.say('pusher:unsubscribe', { channel: 'cache-left' });
    await c.expectQuiet();
    await c.join('cache-left');
    await c.expect(cached('cache-left'));
});

conform('C128', 'IMPROVE', 'members that come and go do not replace it, nor do client events', async () => {
    const channel = 'presence-cache-stays';
    const [one, two, three] = [await hub.connect(), await hub.connect(), await hub.connect()];
    await one.join(channel, member(1));
    await one.expect(miss(channel));
    await hub.publish(NAME, channel, DATA);
    await one.expect(cached(channel));
    await two.join(channel, member(2));
    await two.expect(cached(channel));
    await one.expect(memberAdded(channel, member(2)));
    two.say('client-typing', { x: 1 }, channel);
    await one.expect({ event: 'client-typing', channel, data: { x: 1 }, user_id: 2 });
    two.destroy();
    await one.expect(memberRemoved(channel, 2));
    await three.join(channel, member(3));
    await three.expect(cached(channel));
});

conform('C129', 'IMPROVE', 'an event older than the cache_ttl is forgotten', async () => {
    await hub.publish(NAME, 'cache-old', DATA, { app: brief });
    await until(async () => {
        const c = await hub.connect(brief);
        await c.join('cache-old');
        const { event } = await c.json();
        c.destroy();
        assert.ok([NAME, 'pusher:cache_miss'].includes(event), event);
        return event === 'pusher:cache_miss';
    }, 'the event to be forgotten');
});
