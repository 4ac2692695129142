// What stock clients get, byte for byte as Reverb writes it: the order of keys, what is a string and what is not.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { app1, appWith, startHub } from './lib.mjs';

const brief = appWith('brief', { ping_interval: 1 });

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, brief] });
});
after(() => hub.stop());

const text = async (c) => String((await c.next()).payload);

test('the greeting, and what a silent client is told', async () => {
    const c = await hub.raw(`/app/${brief.key}`);
    assert.match(
        await text(c),
        /^\{"event":"pusher:connection_established","data":"\{\\"socket_id\\":\\"\d+\.\d+\\",\\"activity_timeout\\":30\}"\}$/,
    );
    assert.equal(await text(c), '{"event":"pusher:ping"}');
    assert.equal(
        await text(c),
        '{"event":"pusher:error","data":"{\\"code\\":4201,\\"message\\":\\"Pong reply not received in time\\"}"}',
    );
});

test('what is answered at once', async () => {
    const c = await hub.connect();
    c.text('{"event":"pusher:ping"}');
    assert.equal(await text(c), '{"event":"pusher:pong"}');
    c.text('Hi');
    assert.equal(await text(c), '{"event":"pusher:error","data":"{\\"code\\":4200,\\"message\\":\\"Invalid message format\\"}"}');
});

test('channels, their members, and events', async () => {
    const a = await hub.connect(), b = await hub.connect();
    a.ask('presence-cache-room', { user_id: 'a', user_info: { name: 'A' } });
    assert.equal(
        await text(a),
        '{"event":"pusher_internal:subscription_succeeded","data":"{\\"presence\\":{\\"count\\":1,\\"ids\\":[\\"a\\"],' +
            '\\"hash\\":{\\"a\\":{\\"name\\":\\"A\\"}}}}","channel":"presence-cache-room"}',
    );
    assert.equal(await text(a), '{"event":"pusher:cache_miss","channel":"presence-cache-room"}');

    await b.join('presence-cache-room', { user_id: 2, user_info: { name: 'B' } });
    await b.next(); // its cache_miss
    assert.equal(
        await text(a),
        '{"event":"pusher_internal:member_added","data":"{\\"user_id\\":2,\\"user_info\\":{\\"name\\":\\"B\\"}}","channel":"presence-cache-room"}',
    );
    b.text('{"event":"client-typing","data":{"on":true},"channel":"presence-cache-room"}');
    assert.equal(await text(a), '{"event":"client-typing","channel":"presence-cache-room","data":{"on":true},"user_id":2}');

    await hub.publish('App.E', 'presence-cache-room', '{"foo":"bar"}');
    assert.equal(await text(a), '{"event":"App.E","data":"{\\"foo\\":\\"bar\\"}","channel":"presence-cache-room"}');
    b.destroy();
    assert.equal(
        await text(a),
        '{"event":"pusher_internal:member_removed","data":"{\\"user_id\\":2}","channel":"presence-cache-room"}',
    );
    a.ask('test-channel');
    assert.equal(await text(a), '{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"test-channel"}');
});
