// Stopping and pausing under load.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import WebSocket from 'ws';
import { app, until } from '../integration/lib.mjs';
import { checkPromises, startClients, startTown } from './chaos.mjs';

async function subscriber(server, channel) {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}/app/${app.key}?protocol=7&client=js&version=8.4.0`);
    const seen = { events: [], code: null, ws };
    ws.on('message', (text) => {
        const frame = JSON.parse(text);
        seen.events.push(frame.event);
        if (frame.event === 'pusher:connection_established')
            ws.send(JSON.stringify({ event: 'pusher:subscribe', data: { auth: '', channel } }));
        if (frame.event === 'pusher:ping') ws.send(JSON.stringify({ event: 'pusher:pong', data: {} }));
    });
    ws.on('close', (code) => (seen.code = code));
    await until(() => seen.events.includes('pusher_internal:subscription_succeeded'), `a subscription to ${channel}`);
    return seen;
}

test('SIGTERM under load keeps every acknowledged write, closes sockets with 4200 and ends with 0 within 10 s', async (t) => {
    const world = await startTown();
    t.after(() => world.cleanUp());
    const sockets = await Promise.all(world.town.proposals.slice(0, 20).map((id) => subscriber(world.server, `proposal.${id}`)));
    const clients = startClients(world, 1);
    await until(() => sockets.every((s) => s.events.includes('comment.created')), 'events at every socket');
    const began = Date.now();
    await world.server.stop({ keep: true });
    const tookMs = Date.now() - began;
    await clients.end();
    await until(() => sockets.every((s) => s.code !== null), 'every socket to be closed');
    assert.deepEqual([...new Set(sockets.map((s) => s.code))], [4200]);
    assert.ok(tookMs < 10000, `${tookMs} ms`);
    const odd = world.history.refusals.filter((r) => r.status !== 503);
    assert.deepEqual(odd.slice(0, 5), []);

    await world.server.restart();
    await checkPromises(world);
    await world.server.stop({ keep: true });
    t.diagnostic(`ended in ${tookMs} ms, ${world.history.acknowledged} writes acknowledged, ${world.history.unanswered} unanswered`);
});

test('a pause of two seconds by SIGSTOP loses nothing, repeats nothing and drops no socket', async (t) => {
    const world = await startTown();
    t.after(() => world.cleanUp());
    const sockets = await Promise.all(world.town.proposals.slice(0, 10).map((id) => subscriber(world.server, `proposal.${id}`)));
    const clients = startClients(world, 1);
    await until(() => sockets.every((s) => s.events.includes('comment.created')), 'events at every socket');
    process.kill(world.server.pid, 'SIGSTOP');
    await wait(2000); // the pause itself
    process.kill(world.server.pid, 'SIGCONT');
    const marks = sockets.map((s) => s.events.length);
    await until(() => sockets.every((s, i) => s.events.slice(marks[i]).includes('comment.created')), 'events after the pause');
    clients.stop();
    await clients.end();
    assert.deepEqual(world.history.refusals.slice(0, 5), []);
    assert.equal(world.history.unanswered, 0);
    assert.deepEqual(sockets.filter((s) => s.code !== null), []);
    await checkPromises(world);
    sockets.forEach((s) => s.ws.terminate());
    await world.server.stop({ keep: true });
});
