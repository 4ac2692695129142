// Client events ("whispers"): from one client to the others of a channel.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { BAD_MESSAGE, app1, appWith, conform, error, memberAdded, startHub, succeeded } from './lib.mjs';

const all = appWith('all', { accept_client_events_from: 'all' });
const none = appWith('none', { accept_client_events_from: 'none' });
const other = appWith('other');

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, all, none, other] });
});
after(() => hub.stop());

const NOT_A_MEMBER = error(4009, 'The client is not a member of the specified channel.');

/** Two members of the channel. */
async function pair(channel, memberOfFirst, memberOfSecond, app = app1) {
    const a = await hub.connect(app), b = await hub.connect(app);
    await a.join(channel, memberOfFirst);
    await b.join(channel, memberOfSecond);
    if (channel.startsWith('presence')) await a.expect(memberAdded(channel, memberOfSecond));
    return [a, b];
}

conform('C140', 'MUST', 'the others get it with the user_id of the sender, and the sender does not', async () => {
    const channel = 'private-test-channel';
    const [sender, receiver] = await pair(channel, { user_id: '1', user_info: { name: 'x' } });
    sender.text(`{"event":"client-test-message","channel":"${channel}","data":{"foo":"bar"}}`);
    await receiver.expect(`{"event":"client-test-message","channel":"${channel}","data":{"foo":"bar"},"user_id":"1"}`);
    await hub.publish('fence', channel, 'x');
    await sender.expect({ event: 'fence', data: 'x', channel });
});

conform('C141', 'MUST', 'nobody hears himself', async () => {
    const c = await hub.connect();
    await c.join('private-alone');
    c.say('client-test-message', { foo: 'bar' }, 'private-alone');
    await c.expectQuiet();
});

conform('C142', 'MUST', 'who is not subscribed gets 4009, and the members nothing', async () => {
    const channel = 'private-members-only';
    const member = await hub.connect(), outsider = await hub.connect();
    await member.join(channel);
    outsider.say('client-test-message', { foo: 'bar' }, channel);
    await outsider.expect(NOT_A_MEMBER);
    await hub.publish('fence', channel, 'x');
    await member.expect({ event: 'fence', data: 'x', channel });
});

conform('C144', 'COMPAT', 'unless the app takes them from all', async () => {
    const channel = 'private-open';
    const member = await hub.connect(all), outsider = await hub.connect(all);
    await member.join(channel);
    outsider.say('client-test-message', { foo: 'bar' }, channel);
    await member.expect({ event: 'client-test-message', channel, data: { foo: 'bar' } });

    const refused = await hub.connect(none);
    await refused.join(channel);
    refused.say('client-test-message', { foo: 'bar' }, channel);
    await refused.expect(error(4301, 'The app does not have client messaging enabled.'));
});

conform('C145', 'MUST', 'an event whose name does not start with client- goes nowhere', async () => {
    const [a, b] = await pair('private-names');
    a.say('test-message', { foo: 'bar' }, 'private-names');
    await a.expectQuiet();
    await hub.publish('fence', 'private-names', 'x');
    assert.equal((await b.json()).event, 'fence');
});

conform('C146', 'MUST', 'an event without data is one with null', async () => {
    const [a, b] = await pair('private-chat.1');
    a.text('{"event":"client-start-typing","channel":"private-chat.1"}');
    await b.expect('{"event":"client-start-typing","channel":"private-chat.1","data":null}');
    await a.expectQuiet();
});

conform('C148', 'COMPAT', 'data that is neither object, array nor null gets 4200', async () => {
    const [a] = await pair('private-scalars');
    for (const data of ['hello', 5, true]) {
        a.say('client-e', data, 'private-scalars');
        await a.expect(BAD_MESSAGE, String(data));
    }
});

conform('C149', 'IMPROVE', 'data is forwarded byte for byte', async () => {
    const channel = 'private-bytes';
    const [a, b] = await pair(channel);
    for (const data of ['{}', '{"x":{},"f":1.0}', '[ 12345678901234567890 ]', '{"u":"\\u0441\\/"}']) {
        a.text(`{"event":"client-e","channel":"${channel}","data":${data}}`);
        const text = String((await b.next()).payload);
        assert.ok(text.includes(`"data":${data}`), text);
    }
});

conform('C150', 'MUST', 'nothing else of the message is forwarded, and no user_id can be forged', async () => {
    const channel = 'presence-forged';
    const [a, b] = await pair(channel, { user_id: 'a', user_info: {} }, { user_id: 'b', user_info: {} });
    a.text(`{"event":"client-e","channel":"${channel}","data":{},"user_id":"spoof","zzz":1}`);
    await b.expect({ event: 'client-e', channel, data: {}, user_id: 'a' });
});

conform('C152', 'MUST', 'in a presence channel pusher-js learns from whom it comes', async () => {
    const channel = 'presence-whispers';
    const raw = await hub.connect();
    await raw.join(channel, { user_id: 9, user_info: {} });
    const one = hub.pusher(app1, { user_id: '1' }), two = hub.pusher(app1, { user_id: '2' });
    const theirs = one.subscribe(channel), ours = two.subscribe(channel);
    await Promise.all([succeeded(theirs), succeeded(ours)]);
    const heard = new Promise((done) => theirs.bind('client-hi', (data, metadata) => done({ data, metadata })));
    ours.trigger('client-hi', { text: 'hi' });
    assert.deepEqual(await heard, { data: { text: 'hi' }, metadata: { user_id: '2' } });
    for (let m; (m = await raw.json()).event !== 'client-hi' || assert.equal(m.user_id, '2'); );
});

conform('C153', 'IMPROVE', 'what happens in one app does not disturb another', async () => {
    const [a, b] = await pair('private-mine');
    const [c] = await pair('private-mine', undefined, undefined, other);
    c.say('client-theirs', {}, 'private-mine');
    await c.expectQuiet();
    a.say('client-mine', {}, 'private-mine');
    assert.equal((await b.json()).event, 'client-mine');
});

conform('C154', 'MUST', 'it arrives once at members on every loop, and not at the sender', async () => {
    const channel = 'private-spread';
    const clients = [];
    for (let i = 0; i < 8; i++) {
        clients.push(await hub.connect());
        await clients[i].join(channel);
    }
    clients[0].say('client-once', { n: 1 }, channel);
    for (const c of clients.slice(1)) await c.expect({ event: 'client-once', channel, data: { n: 1 } });
    await hub.publish('fence', channel, 'x');
    for (const c of clients) assert.equal((await c.json()).event, 'fence');
});
