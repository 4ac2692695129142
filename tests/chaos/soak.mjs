// Churn against one server for MINUTES (10): sockets come and go over WebSocket, compressed and not, and over HTTP; they
// subscribe to every kind of channel, recover, whisper, are published to. Between the rounds everybody leaves, and what the
// server holds then must be what it held before: descriptors, and memory flat after the first third, by when what recovery
// keeps (two minutes) goes as fast as it comes.
// Run alone: VICHE=build/release/viche node tests/chaos/soak.mjs
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { hubClient, signedCall } from '../integration/hub_client.mjs';
import { app, startServer, until } from '../integration/lib.mjs';
import { TEXT, closeFrame, frame, rawSocket } from '../integration/ws_client.mjs';

const MINUTES = Number(process.env.MINUTES ?? 10);
const CLIENTS = 60, SESSIONS = 10, STEPS = 30;
const MAX_GROWTH = 0.05; // of the resident memory, from the end of the first third to the end
const CHANNELS = ['plain', 'private-p', 'presence-r', 'cache-c', 'private-cache-pc', 'presence-cache-rc'];
const pick = (list) => list[Math.floor(Math.random() * list.length)];
const chance = (n) => Math.random() * n < 1;

const server = await startServer({ args: ['--loops', '2'], env: { ASAN_OPTIONS: 'exitcode=99:detect_leaks=1:quarantine_size_mb=4' } });
const rssKb = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]);
const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
const rest = (method, path, body) => signedCall(server, method, `/apps/${app.id}${path}`, { body });

async function publish() {
    const data = JSON.stringify({ text: 'x'.repeat(pick([10, 200, 3000])) });
    const call = await rest('POST', '/events', { name: 'e', channels: [pick(CHANNELS), `only-${Math.random()}`], data });
    assert.equal(call.status, 200);
}

async function open() {
    if (chance(2)) return hubClient(server.port);
    const c = await rawSocket(server.port, `/app/${app.key}`, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } });
    c.say = (event, data, channel) => c.send(frame(TEXT, JSON.stringify({ event, data, channel })));
    c.join = (channel) => c.say('pusher:subscribe', { channel, recover: {} });
    return c;
}

/** One connection after the other, each with a few steps and an end of some kind. */
async function live() {
    const c = await open();
    const drain = (async () => {
        while (await c.next(1e9));
    })();
    for (let i = 0; i < STEPS; i++) {
        const channel = pick(CHANNELS), user = `u${Math.floor(Math.random() * 20)}`;
        if (chance(2)) c.join(channel, channel.startsWith('presence') ? JSON.stringify({ user_id: user }) : undefined);
        else if (chance(3)) c.say('pusher:unsubscribe', { channel });
        else if (chance(2)) c.say('client-x', { n: i }, channel);
        else if (chance(2)) c.say('pusher:subscribe', { channel: `own-${Math.random()}`, recover: {} });
        else await publish();
        if (chance(4)) await new Promise(setImmediate);
    }
    if (chance(3)) c.socket.resetAndDestroy();
    else if (chance(2)) c.destroy();
    else c.send(closeFrame(1000));
    await until(() => c.ended, 'the end');
    c.destroy();
    await drain;
}

/** A session over HTTP that polls a few times, and is left alone. */
async function poll() {
    const base = `${server.url}/pusher/app/${app.key}/1/s${Math.random().toString(36).slice(2)}`;
    const post = async (what, body) => (await fetch(`${base}/${what}`, { method: 'POST', body })).text();
    await post('xhr');
    await post('xhr_send', JSON.stringify([JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'plain' } })]));
    await post('xhr');
}

async function round() {
    const all = [];
    for (let i = 0; i < CLIENTS; i++) all.push(live());
    for (let i = 0; i < SESSIONS; i++) all.push(poll());
    await Promise.all(all);
}

/** Nobody is there, and keep-alive connections of this process are closed. */
async function settle(start) {
    const empty = async () => {
        const call = await rest('GET', '/channels');
        return Object.keys(call.json.channels).length === 0;
    };
    await until(empty, 'all channels to be gone', 60000);
    if (start !== undefined) await until(() => descriptors() <= start + 2, `${descriptors()} descriptors to be ${start}`, 60000);
}

const end = Date.now() + MINUTES * 60000;
await round();
await settle();
const start = descriptors();
const samples = [];
while (Date.now() < end) {
    await round();
    await settle(start);
    samples.push(rssKb());
    console.log(`${Math.round((end - Date.now()) / 1000)} s left: ${samples.at(-1)} kB, ${descriptors()} descriptors`);
}
await server.stop();
assert.ok(samples.length >= 6, 'too short to see a trend');
const middle = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const third = Math.max(1, Math.floor(samples.length / 3));
const [early, late] = [middle(samples.slice(third, 2 * third)), middle(samples.slice(-third))];
console.log(`${samples.length} samples: ${early} kB in the middle third, ${late} kB in the last`);
assert.ok(late <= early * (1 + MAX_GROWTH), `memory grows: ${early} kB to ${late} kB (${samples.join(' ')})`);
