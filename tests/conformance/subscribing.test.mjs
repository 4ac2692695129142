// Public and private channels.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import {
    UNAUTHORIZED, app1, appWith, bound, conform, sign, startHub, subscribed, subscriptionError,
} from './lib.mjs';

const counted = appWith('counted'), counted2 = appWith('counted2');
const named = appWith('named', { max_channel_name_length: 20 });
const strict = appWith('strict', { strict: true });

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, counted, counted2, named, strict] });
});
after(() => hub.stop());

const channelsOf = async (app) => (await hub.get('channels', { app })).json.channels;
async function countsOf(app) {
    const { json } = await hub.get('channels?info=subscription_count', { app });
    const presence = await hub.get('channels?info=user_count&filter_by_prefix=presence-', { app });
    return {
        ...Object.fromEntries(Object.entries(json.channels).map(([name, c]) => [name, c.subscription_count])),
        ...Object.fromEntries(Object.entries(presence.json.channels).map(([name, c]) => [name, c.user_count])),
    };
}

/** The auth is refused: with the connection's error and the channel's. */
async function refuses(c, channel, auth) {
    c.say('pusher:subscribe', { channel, auth });
    await c.expect(UNAUTHORIZED, auth);
    await c.expect(subscriptionError(channel));
}

conform('C073', 'MUST', 'a public channel is given for the asking', async () => {
    const c = await hub.connect();
    c.text('{"event":"pusher:subscribe","data":{"channel":"test-channel"}}');
    await c.expect('{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"test-channel"}');
});

conform('C074', 'MUST', 'so it is with the empty auth of pusher-js', async () => {
    const c = await hub.connect();
    c.text('{"event":"pusher:subscribe","data":{"auth":"","channel":"c1"}}');
    await c.expect('{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"c1"}');
});

conform('C076', 'COMPAT', 'asking twice is answered twice and delivers once', async () => {
    const c = await hub.connect();
    await c.join('test');
    await c.join('test');
    await hub.publish('e', 'test', 'x');
    await c.expect({ event: 'e', data: 'x', channel: 'test' });
    await hub.publish('fence', 'test', 'x');
    await c.expect({ event: 'fence', data: 'x', channel: 'test' });
});

conform('C077', 'MUST', 'a private channel is given for this socket\'s signature', async () => {
    const c = await hub.connect();
    c.say('pusher:subscribe', { channel: 'private-test-channel', auth: sign(app1, c.id, 'private-test-channel') });
    await c.expect('{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"private-test-channel"}');
});

conform('C078', 'MUST', 'a wrong signature gets 4009', async () => {
    const c = await hub.connect();
    c.say('pusher:subscribe', { channel: 'private-test-channel', auth: 'invalid-signature' });
    await c.expect('{"event":"pusher:error","data":"{\\"code\\":4009,\\"message\\":\\"Connection is unauthorized\\"}"}');
});

conform('C080', 'IMPROVE', 'and the error of the channel, so that pusher-js and Echo learn of it', async () => {
    const c = await hub.connect();
    await refuses(c, 'private-x', 'wrong');

    const auth = { customHandler: (_, done) => done(null, { auth: `${app1.key}:${'0'.repeat(64)}` }) };
    const client = hub.pusher(app1, undefined, { channelAuthorization: auth });
    const failed = await bound(client.subscribe('private-x'), 'pusher:subscription_error');
    assert.equal(failed.status, 401);
});

conform('C082', 'COMPAT', 'a signature with the key of another app in front is refused', async () => {
    const c = await hub.connect();
    await refuses(c, 'private-a', sign(app1, c.id, 'private-a').replace(app1.key, 'wrong-key'));
});

conform('C084', 'MUST', 'an encrypted channel is given for the signature of a private one', async () => {
    const c = await hub.connect();
    c.ask('private-encrypted-a');
    await c.expect('{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"private-encrypted-a"}');
});

conform('C085', 'MUST', 'and refused without it', async () => {
    const c = await hub.connect();
    await refuses(c, 'private-encrypted-a', sign(app1, c.id, 'private-encrypted-b'));
});

conform('C086', 'COMPAT', 'the kind of a channel is told from its first letters, without a dash', async () => {
    const c = await hub.connect();
    await refuses(c, 'privateer', '');
    await refuses(c, 'presencex', '');
    c.ask('cachefoo');
    await c.expect(subscribed('cachefoo'));
    await c.expect({ event: 'pusher:cache_miss', channel: 'cachefoo' });
});

conform('C088', 'MUST', 'a channel vanishes with its last subscriber', async () => {
    const c = await hub.connect(counted);
    await c.join('test-channel');
    assert.deepEqual(await channelsOf(counted), { 'test-channel': {} });
    c.say('pusher:unsubscribe', { channel: 'test-channel' });
    await c.expectQuiet();
    assert.deepEqual(await channelsOf(counted), {});
    c.destroy();
});

conform('C089', 'MUST', 'one connection may have channels of every kind', async () => {
    const c = await hub.connect(counted2);
    await c.join('test-channel');
    await c.join('test-channel-2');
    await c.join('private-test-channel-3', { foo: 'bar' });
    await c.join('presence-test-channel-4', { user_id: 1, user_info: { name: 'Test User 1' } });
    assert.deepEqual(await countsOf(counted2), {
        'test-channel': 1, 'test-channel-2': 1, 'private-test-channel-3': 1, 'presence-test-channel-4': 1,
    });
});

conform('C090', 'MUST', 'and several connections share some of them', async () => {
    const c = await hub.connect(counted2); // the connection of the case before is still there
    await c.join('test-channel');
    await c.join('private-test-channel-3', { foo: 'bar' });
    assert.deepEqual(await countsOf(counted2), {
        'test-channel': 2, 'test-channel-2': 1, 'private-test-channel-3': 2, 'presence-test-channel-4': 1,
    });
});

conform('C094', 'IMPROVE', 'a name longer than the limit, or illegal in strict mode, is refused with LimitReached', async () => {
    for (const [app, channel] of [[named, 'n'.repeat(21)], [strict, 'n'.repeat(165)], [strict, 'with space']]) {
        const c = await hub.connect(app);
        c.ask(channel);
        const { data, ...rest } = await c.json();
        assert.deepEqual(rest, { event: 'pusher:subscription_error', channel });
        assert.equal(data.type, 'LimitReached');
        assert.equal(data.status, 4009);
        assert.ok(data.error.length > 0);
        await c.expectQuiet();
    }
});
