// Stock clients from end to end: what an application of Laravel's does all day.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import EchoModule from 'laravel-echo';
import { app1, collect, conform, startHub, succeeded, until } from './lib.mjs';

const Echo = EchoModule.default ?? EchoModule;

let hub;
before(async () => {
    hub = await startHub();
});
after(() => hub.stop());

/** Laravel Echo around a stock pusher-js, as that user. */
function echo(user) {
    const client = hub.pusher(app1, user);
    return new Echo({ broadcaster: 'reverb', key: app1.key, client, ...hub.clientOptions(app1, user) });
}

conform('C249', 'MUST', 'Echo hears an event of Laravel by the name of its class', async () => {
    const heard = [];
    const channel = echo().private('orders.7');
    channel.listen('OrderShipped', (e) => heard.push(e)).listen('.order.paid', (e) => heard.push(e));
    await new Promise((done) => channel.subscribed(done));
    await hub.backend().trigger('private-orders.7', 'App\\Events\\OrderShipped', { id: 1 });
    await hub.backend().trigger('private-orders.7', 'order.paid', { id: 2 });
    await until(() => heard.length === 2);
    assert.deepEqual(heard, [{ id: 1 }, { id: 2 }]);
});

conform('C252', 'MUST', 'Echo\'s here, joining and leaving tell who is in a room', async () => {
    const log = [];
    const first = echo({ user_id: '1', user_info: { id: 1, name: 'Olha' } });
    first
        .join('room.1')
        .here((users) => log.push(['here', users]))
        .joining((user) => log.push(['joining', user]))
        .leaving((user) => log.push(['leaving', user]))
        .listenForWhisper('typing', (e) => log.push(['typing', e]));
    await until(() => log.length === 1);
    const second = echo({ user_id: '2', user_info: { id: 2, name: 'Taras' } });
    const theirs = second.join('room.1');
    const here = await new Promise((done) => theirs.here(done));
    assert.deepEqual(here, [{ id: 1, name: 'Olha' }, { id: 2, name: 'Taras' }]);
    theirs.whisper('typing', { name: 'Taras' });
    await until(() => log.length === 3);
    second.leave('room.1');
    await until(() => log.length === 4);
    assert.deepEqual(log, [
        ['here', [{ id: 1, name: 'Olha' }]],
        ['joining', { id: 2, name: 'Taras' }],
        ['typing', { name: 'Taras' }],
        ['leaving', { id: 2, name: 'Taras' }],
    ]);
});

conform('C248', 'MUST', 'pusher-js comes back after a restart and subscribes to everything again', async () => {
    const client = hub.pusher(app1, { user_id: '1', user_info: {} });
    const names = ['open', 'private-a', 'presence-b', 'cache-c'];
    const channels = names.map((name) => client.subscribe(name));
    await Promise.all(channels.map(succeeded));
    const firstId = client.connection.socket_id;
    const heard = collect(client, 'hello');

    const again = Promise.all(channels.map(succeeded));
    await hub.server.stop({ keep: true });
    await hub.server.restart();
    await again;
    assert.equal(client.connection.state, 'connected');
    assert.notEqual(client.connection.socket_id, firstId);
    await hub.backend().trigger(names, 'hello', { n: 1 });
    await until(() => heard.length === names.length);
});
