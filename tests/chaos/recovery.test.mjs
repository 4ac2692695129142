// Recovery under fire: clients that drop between any two frames and come back to any loop, sockets that are excluded,
// authorisations that take their time, a server that is killed while it publishes.
//
// Whatever happens, on every channel each number of the stream stands for one message, the same for all clients; every
// client gets all of them in order, without a gap or a double; and nothing is refused, since the log keeps all.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startServer, until } from '../integration/lib.mjs';
import { Counter, publish } from '../integration/recovery_client.mjs';

const KILLS = Number(process.env.ROUNDS ?? 3);
const CLIENTS = 3; // a channel
const JUST_BEFORE_MS = 1000; // accepted so shortly before a kill, an event may never have been published
const dir = mkdtempSync(join(tmpdir(), 'viche-recovery-'));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// A generator of the usual kind, so that a failure can be looked at again.
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
let state = seed;
function random(n) {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return Math.floor((state / 4294967296) * n);
}

const app = { id: '1', key: 'k1', secret: 's1' };
const volatileApp = { id: '2', key: 'k2', secret: 's2' };
const appsFile = join(dir, 'apps.json');
writeFileSync(appsFile, JSON.stringify([
    { app_id: app.id, key: app.key, secret: app.secret, recovery: { ttl: 600, max_messages: 100000, max_bytes: 64 << 20 } },
    { app_id: volatileApp.id, key: volatileApp.key, secret: volatileApp.secret, recovery: { store: 'memory' } },
]));

const world = { server: null, clients: [], isOver: false, kills: [], failures: [] };

/** Takes some frames, is gone, comes back. */
async function comeAndGo(client) {
    while (!world.isOver) {
        try {
            await client.connect();
            await client.subscribe();
            for (let budget = 1 + random(60); budget > 0 && !world.isOver; budget--) {
                const m = await client.take(200).catch((error) => {
                    if (error.message === 'nothing came in time') return {};
                    throw error;
                });
                if (m === null) break;
            }
        } catch (error) {
            if (error.code === undefined && !/null/.test(error.message)) { // not the network's
                world.failures.push(error);
                return;
            }
            await pause(20);
        }
        client.socket?.destroy();
        await pause(random(4) === 0 ? random(300) : 0);
    }
}

/** Publishes 1, 2, 3, ... on the channel; what fails is not said again. */
async function speak(channel, accepted) {
    for (let n = 1; !world.isOver; n++) {
        const whom = random(3) === 0 ? world.clients[random(world.clients.length)].id : undefined;
        try {
            const status = await publish(world.server, app, channel, 'event', { n, pad: 'x'.repeat(random(300)) }, { socket_id: whom || undefined });
            if (status === 200) accepted.set(n, { at: Date.now(), whom });
        } catch {
            await pause(20);
        }
        if (random(10) === 0) await pause(random(20));
    }
}

function check(channel, accepted, told) {
    const truth = new Map();
    for (const c of told) {
        assert.deepEqual(c.refusals, [], `${channel}: nothing is refused`);
        assert.equal(c.got.length + c.skips, c.position.serial, `${channel}: no gap, no double`);
        let last = { serial: 0, data: { n: 0 } };
        for (const m of c.got) {
            assert.ok(m.serial > last.serial && m.data.n > last.data.n, `${channel}: in order: ${last.data.n}, ${m.data.n}`);
            const known = truth.get(m.serial) ?? m.data.n;
            assert.equal(m.data.n, known, `${channel}: number ${m.serial} is one message`);
            truth.set(m.serial, known);
            last = m;
        }
    }
    const published = new Set(truth.values());
    let lost = 0;
    for (const [n, { at }] of accepted) {
        if (published.has(n)) continue;
        lost++;
        assert.ok(world.kills.some((kill) => kill >= at && kill - at < JUST_BEFORE_MS), `${channel}: ${n} was accepted and never published`);
    }
    return { published: published.size, lost };
}

test(`clients that count get everything once, over ${KILLS} kills (seed ${seed})`, { timeout: 240000 }, async (t) => {
    world.server = await startServer({ args: ['--roles', 'hub', '--loops', '2', '--apps', appsFile] });
    const channels = ['open', 'private-slow', 'presence-room', 'private-cache-last'].map((name) => ({ name, accepted: new Map(), told: [] }));
    for (const c of channels) {
        for (let i = 0; i < CLIENTS; i++) {
            const authDelay = c.name === 'private-slow' ? () => random(2000) * (i > 0) : () => 0;
            const client = new Counter(world.server, app, c.name, { authDelay });
            await client.connect();
            await client.subscribe();
            await client.acknowledged();
            client.drop();
            c.told.push(client);
            world.clients.push(client);
        }
    }
    const forgetful = new Counter(world.server, volatileApp, 'c');
    await forgetful.connect();
    await forgetful.subscribe();
    await forgetful.acknowledged();

    const running = [...world.clients.map(comeAndGo), ...channels.map((c) => speak(c.name, c.accepted))];
    for (let kill = 0; kill < KILLS; kill++) {
        await pause(1500 + random(1500));
        await world.server.kill9();
        await pause(50); // what was answered before has been read
        world.kills.push(Date.now());
        await world.server.restart();
    }
    await pause(2000);
    world.isOver = true;
    await Promise.all(running);
    if (world.failures.length > 0) throw world.failures[0];

    // The last word on every channel: whoever heard it has heard all.
    for (const c of channels) {
        for (const client of c.told) {
            await client.connect();
            await client.subscribe();
            await client.acknowledged();
        }
        assert.equal(await publish(world.server, app, c.name, 'event', { n: 1e9 }), 200);
        for (const client of c.told) {
            await client.takeUntil(() => client.got.at(-1)?.data.n === 1e9);
            assert.equal(client.got.at(-1)?.data.n, 1e9);
            client.drop();
        }
        const { published, lost } = check(c.name, c.accepted, c.told);
        assert.ok(published > 50, `${c.name}: ${published} were published`);
        t.diagnostic(`${c.name}: ${published} published, ${lost} accepted within a second before a kill and not published`);
    }
    await forgetful.connect();
    await forgetful.subscribe();
    await forgetful.acknowledged();
    assert.deepEqual(forgetful.refusals, KILLS > 0 ? ['stream_reset'] : []);
    await world.server.stop();
    rmSync(dir, { recursive: true, force: true });
});
