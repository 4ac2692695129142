// kill -9 in a loop under 1,000 writes a second, with the machine to itself: a start is timed. ROUNDS: how often (3).
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { checkPromises, repeatUnanswered, rounds, startClients, startTown } from './chaos.mjs';

test(`after each of ${rounds} kills with -9 every acknowledged write is there once and every job has run once`, async (t) => {
    const world = await startTown();
    t.after(async () => {
        await world.server.stop({ keep: true });
        world.cleanUp();
    });
    for (let round = 1; round <= rounds; round++) {
        const before = world.history.acknowledged;
        const clients = startClients(world, round);
        await clients.areAtWork();
        const loadMs = Math.round(Math.random() * 1800);
        await wait(loadMs); // the random moment of the crash, not a wait for anything
        await world.server.kill9();
        await clients.end();
        const restarted = Date.now();
        await world.server.restart();
        const upMs = Date.now() - restarted;
        await repeatUnanswered(world);
        await checkPromises(world);
        const acknowledged = world.history.acknowledged - before;
        t.diagnostic(`round ${round}: killed after ${loadMs} ms, ${acknowledged} writes acknowledged, up again in ${upMs} ms`);
        assert.ok(upMs < 2000, `up again within 2 s, not ${upMs} ms`);
    }
    assert.deepEqual(world.history.refusals.slice(0, 5), []);
});
