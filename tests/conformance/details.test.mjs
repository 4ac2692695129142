// What stock clients may rely on beside the numbered cases.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { app1, collect, opened, sign, startHub, subscribed, succeeded, until } from './lib.mjs';

let hub;
before(async () => {
    hub = await startHub();
});
after(() => hub.stop());

test('the key in the path may be percent-encoded', async () => {
    const c = await hub.raw('/app/reverb%2Dkey');
    assert.equal(c.status, 101);
    assert.equal((await c.json()).event, 'pusher:connection_established');
});

test('data of a message may be a string that holds the JSON', async () => {
    const c = await hub.connect();
    c.say('pusher:subscribe', '{"channel":"opened"}');
    await c.expect(subscribed('opened'));
    c.say('pusher:unsubscribe', '{"channel":"opened"}');
    await c.expectQuiet();
    await hub.publish('e', 'opened', 'x');
    await c.expectQuiet();
});

test('a channel that is a number is the channel of that name', async () => {
    const c = await hub.connect();
    c.text('{"event":"pusher:subscribe","data":{"channel":77}}');
    await c.expect(subscribed('77'));
});

test('a private channel may have channel_data, which is signed too', async () => {
    const c = await hub.connect(), channel = 'private-with-data', data = '{"user_id":"1","user_info":true}';
    c.say('pusher:subscribe', { channel, auth: sign(app1, c.id, channel), channel_data: data });
    assert.equal(opened(await c.json()).data.string.code, 4009);
    assert.equal((await c.json()).event, 'pusher:subscription_error');
    c.say('pusher:subscribe', { channel, auth: sign(app1, c.id, channel, data), channel_data: data });
    await c.expect(subscribed(channel));
});

test('user_info may be what Laravel makes of a callback that said true', async () => {
    const c = await hub.connect();
    const { presence } = await c.join('presence-true', { user_id: '1', user_info: true });
    assert.deepEqual(presence, { count: 1, ids: ['1'], hash: { 1: true } });
});

test('subscribing to a presence channel again is answered, and no news for the others', async () => {
    const a = await hub.connect(), b = await hub.connect();
    await a.join('presence-again', { user_id: 'a' });
    await b.join('presence-again', { user_id: 'b' });
    await a.json();
    await b.join('presence-again', { user_id: 'b' });
    await hub.publish('fence', 'presence-again', 'x');
    await a.expect({ event: 'fence', data: 'x', channel: 'presence-again' });
});

test('client events pass on public channels too, between subscribers', async () => {
    const a = await hub.connect(), b = await hub.connect();
    await a.join('open-talk');
    await b.join('open-talk');
    a.say('client-hi', { n: 1 }, 'open-talk');
    await b.expect({ event: 'client-hi', channel: 'open-talk', data: { n: 1 } });
});

test('data of a client event that is a string with an object is forwarded as the object', async () => {
    const a = await hub.connect(), b = await hub.connect();
    await a.join('private-opened');
    await b.join('private-opened');
    a.say('client-hi', '{"n":1}', 'private-opened');
    await b.expect({ event: 'client-hi', channel: 'private-opened', data: { n: 1 } });
});

test('channels wins over channel', async () => {
    const c = await hub.connect();
    await c.join('one');
    await c.join('many');
    await hub.events({ name: 'e', data: 'x', channel: 'one', channels: ['many'] });
    await c.expect({ event: 'e', data: 'x', channel: 'many' });
    await hub.publish('fence', 'one', 'x');
    await c.expect({ event: 'fence', data: 'x', channel: 'one' });
});

test('data that is empty is missing', async () => {
    const answer = await hub.events({ name: 'e', data: '', channel: 'c' });
    assert.equal(answer.status, 422);
    assert.deepEqual(answer.json, { data: ['The data field is required.'] });
});

test('texts of any script and any sign arrive at pusher-js as they were sent', async () => {
    const client = hub.pusher();
    const channel = client.subscribe('scripts');
    await succeeded(channel);
    const texts = ['Їжак', '<b>&\'"', 'a/b\\c', '\u0001\u2028', '🎈', ''];
    const got = collect(channel, 'e');
    for (const text of texts) await hub.backend().trigger('scripts', 'e', { text });
    await until(() => got.length === texts.length);
    assert.deepEqual(got.map(({ data }) => data.text), texts);
});
