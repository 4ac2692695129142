// A path in front of every route, as REVERB_SERVER_PATH puts it.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { app1, app2, conform, startHub, succeeded } from './lib.mjs';

let hub;
before(async () => {
    hub = await startHub({ apps: [app1, { ...app2, max_connections: null }], env: { REVERB_SERVER_PATH: '/ws' } });
});
after(() => hub.stop());

const event = { name: 'NewEvent', channel: 'test-channel', data: '{"some":"data"}' };

conform('C018', 'MUST', 'the socket is found behind the prefix, and only there', async () => {
    const c = await hub.raw(`/ws/app/${app1.key}`);
    assert.equal(c.status, 101);
    assert.equal((await c.json()).event, 'pusher:connection_established');
    assert.equal((await hub.raw(`/app/${app1.key}`)).status, 404);

    const client = hub.pusher(app1, undefined, { wsPath: '/ws' });
    await succeeded(client.subscribe('c'));
    assert.equal((await fetch(`${hub.server.url}/ws/up`)).status, 200);
});

conform('C169', 'MUST', 'calls come with the prefix and are signed without it, as the SDKs do', async () => {
    const answer = await hub.events(event, { app: app2, prefix: '/ws' });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
    const wrong = await hub.post('/ws/apps/654321/events', event, { app: app2 });
    assert.equal(wrong.status, 401);
});

conform('C170', 'MUST', 'a call without the prefix gets 404', async () => {
    assert.equal((await hub.events(event, { app: app2 })).status, 404);
});
