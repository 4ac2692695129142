// Events that a backend publishes.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import nacl from 'tweetnacl';
import { app1, bound, conform, opened, startHub, succeeded } from './lib.mjs';

let hub;
before(async () => {
    hub = await startHub({ apps: [app1] });
});
after(() => hub.stop());

conform('C130', 'MUST', 'every subscriber gets the event', async () => {
    const clients = [await hub.connect(), await hub.connect(), await hub.connect()];
    for (const c of clients) await c.join('test-channel');
    await hub.publish('App\\Events\\TestEvent', 'test-channel', '{"foo":"bar"}');
    for (const c of clients)
        await c.expect('{"event":"App\\\\Events\\\\TestEvent","data":"{\\"foo\\":\\"bar\\"}","channel":"test-channel"}');
});

conform('C132', 'MUST', 'data that is not JSON arrives as the string it is', async () => {
    const c = await hub.connect();
    await c.join('c');
    await hub.publish('E', 'c', 'hello');
    await c.expect('{"event":"E","data":"hello","channel":"c"}');
});

conform('C133', 'MUST', 'the connection of socket_id does not get the event', async () => {
    const s = await hub.connect(), other = await hub.connect();
    await s.join('excluding');
    await other.join('excluding');
    await hub.publish('first', 'excluding', 'x');
    await hub.publish('second', 'excluding', 'x', { socket_id: s.id });
    await hub.publish('fence', 'excluding', 'x');
    for (const name of ['first', 'second', 'fence']) await other.expect({ event: name, data: 'x', channel: 'excluding' });
    for (const name of ['first', 'fence']) await s.expect({ event: name, data: 'x', channel: 'excluding' });
});

conform('C134', 'MUST', 'a socket_id of nobody excludes nobody', async () => {
    const c = await hub.connect();
    await c.join('all');
    const answer = await hub.publish('e', 'all', 'x', { socket_id: 'invalid-socket-id' });
    assert.equal(answer.text, '{}');
    await c.expect({ event: 'e', data: 'x', channel: 'all' });
});

conform('C136', 'COMPAT', 'a channel that is named twice in a call gets the event once', async () => {
    const c = await hub.connect();
    await c.join('c');
    assert.equal((await hub.events({ name: 'e', data: 'x', channels: ['c', 'c'] })).status, 200);
    await hub.publish('fence', 'c', 'x');
    for (const event of ['e', 'fence']) await c.expect({ event, data: 'x', channel: 'c' });
});

conform('C137', 'MUST', '1,000 events of one publisher arrive in their order at every subscriber', async () => {
    const clients = [];
    for (let i = 0; i < 6; i++) {
        clients.push(await hub.connect());
        await clients[i].join('ordered');
    }
    const backend = hub.backend();
    const publishing = (async () => {
        for (let i = 0; i < 1000; i++) await backend.trigger('ordered', 'n', i);
    })();
    for (const c of clients)
        for (let i = 0; i < 1000; i++) assert.equal((await c.json()).data, String(i));
    await publishing;
});

conform('C138', 'MUST', 'an encrypted event is relayed byte for byte, and pusher-js decrypts it', async () => {
    const channel = 'private-encrypted-channel-a';
    const masterKey = Buffer.from('a'.repeat(32)).toString('base64');
    const backend = hub.backend(app1, { encryptionMasterKeyBase64: masterKey });
    const secret = 'Rp+wpkNpL89qhqco1JkIG31AVXyU8PUVJBr1B2MvdoA=';
    const raw = await hub.connect();
    const client = hub.pusher(app1, undefined, {
        nacl,
        channelAuthorization: {
            customHandler: ({ socketId, channelName }, done) => {
                const answer = backend.authorizeChannel(socketId, channelName);
                assert.equal(answer.shared_secret, secret);
                done(null, answer);
            },
        },
    });
    const theirs = client.subscribe(channel);
    await succeeded(theirs);
    await raw.join(channel);
    const decrypted = bound(theirs, 'secret-event');
    await backend.trigger(channel, 'secret-event', { hidden: 'світ' });
    assert.deepEqual(await decrypted, { hidden: 'світ' });
    const { data } = opened(await raw.json());
    assert.deepEqual(Object.keys(data.string).sort(), ['ciphertext', 'nonce']);

    await raw.join('private-encrypted-exact');
    const exact = '{"nonce":"AAAA\\/+==", "ciphertext" : "б"}';
    await hub.publish('exact', 'private-encrypted-exact', exact);
    assert.equal((await raw.json()).data, exact);
});
