// Presence against a model: many connections at once join, leave, come back as somebody else, hang up and are reset, over
// several loops. What every one of them was told, applied in order, is at the end what all the others were told, and what
// the model says; nobody is added twice, or removed who was not there. ROUNDS and SEED (printed on failure) change the run.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hubClient, signedCall } from './hub_client.mjs';
import { startServer, until } from './lib.mjs';
import { TEXT, closeFrame } from './ws_client.mjs';

const ROUNDS = Number(process.env.ROUNDS ?? 1);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
const ACTORS = 12, STEPS = 25, MAX_MEMBERS = 3;
const CHANNELS = ['presence-1', 'presence-2', 'presence-cache-3'];
const USERS = ['a', 'b', 'c', 7, '7', 'Їжак'];

const kinds = [
    { name: 'at-once', settings: {} },
    { name: 'delayed', settings: { presence_leave_delay: 0.1 } },
    { name: 'full', settings: { max_presence_members: MAX_MEMBERS } },
];
const appOf = ({ name, settings }) => ({ app_id: name, key: `key-${name}`, secret: `secret-${name}`, ...settings });

const dir = mkdtempSync(join(tmpdir(), 'viche-presence-'));
let server;
before(async () => {
    const file = join(dir, 'apps.json');
    writeFileSync(file, JSON.stringify(kinds.map(appOf)));
    server = await startServer({ args: ['--loops', '4', '--apps', file] });
});
after(async () => {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
});

/** mulberry32: numbers from 0 to below n, the same for the same seed. */
function randomOf(seed) {
    let state = seed >>> 0;
    return (n) => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), state | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
    };
}

/**
 * One connection. wants: what it asked for last, by channel: {user, answer}; views: who is there, as it was told; marks: how many
 * marks came; fault: the first thing it was told that cannot be.
 */
class Actor {
    constructor(app, random) {
        Object.assign(this, { app, random, client: null, wants: new Map(), views: new Map(), marks: new Map(), fault: null });
    }

    async connect() {
        this.client = await hubClient(server.port, this.app);
        for (const map of [this.wants, this.views, this.marks]) map.clear();
        this.listen(this.client);
    }

    async listen(client) {
        for (let f; (f = await client.next(1e9)) && this.client === client; )
            if (f.opcode === TEXT) this.hear(JSON.parse(f.payload));
    }

    hear({ event, channel, data }) {
        const view = this.views.get(channel);
        const wrong = (why) => (this.fault ??= `${why}: ${event} ${channel} ${data} in ${[...(view ?? [])]}`);
        const id = () => String(JSON.parse(data).user_id);
        if (event === 'pusher_internal:subscription_succeeded') {
            const { count, ids, hash } = JSON.parse(data).presence;
            const names = new Set(ids.map(String));
            if (names.size !== count || ids.length !== count || Object.keys(hash).length !== count) wrong('not one roster');
            this.views.set(channel, names);
            this.answered(channel, 'yes');
        } else if (event === 'pusher:subscription_error') {
            this.views.delete(channel);
            this.answered(channel, 'no');
        } else if (event === 'pusher_internal:member_added') {
            if (!view || view.has(id())) wrong('added twice');
            view?.add(id());
        } else if (event === 'pusher_internal:member_removed') {
            if (!view?.delete(id())) wrong('removed who was not there');
        } else if (event === 'mark') {
            this.marks.set(channel, JSON.parse(data));
        } else if (event !== 'pusher:cache_miss') {
            wrong('unexpected');
        }
    }

    answered(channel, answer) {
        const want = this.wants.get(channel);
        if (want) want.answer = answer;
    }

    subscribe(channel, user) {
        this.wants.set(channel, { user, answer: null });
        this.client.join(channel, JSON.stringify({ user_id: user, user_info: { name: `N${user}` } }));
    }

    unsubscribe(channel) {
        this.wants.delete(channel);
        this.client.say('pusher:unsubscribe', { channel });
    }

    hangUp() {
        const { client } = this;
        this.client = null;
        if (this.random(2)) {
            client.socket.resetAndDestroy();
        } else {
            client.send(closeFrame(1000));
            client.socket.end();
        }
    }

    async step() {
        if (!this.client) return this.connect();
        const channel = CHANNELS[this.random(CHANNELS.length)];
        const what = this.random(12);
        if (what < 6) this.subscribe(channel, USERS[this.random(USERS.length)]);
        else if (what < 9) this.unsubscribe(channel);
        else if (what < 10) this.hangUp();
        else if (this.wants.has(channel)) await until(() => this.wants.get(channel).answer, 'an answer');
    }

    async run(steps) {
        for (let i = 0; i < steps; i++) {
            await this.step();
            if (this.random(3) === 0) await new Promise(setImmediate); // else what follows is in the same breath
        }
    }
}

const rest = async (app, path) => (await signedCall(server, 'GET', `/apps/${app.app_id}${path}`, app)).json;
const sorted = (ids) => [...ids].map(String).sort();

/** Who is there, by what was asked and answered; null: answers are owed. */
function model(actors, channel) {
    const wants = actors.filter((a) => a.client && a.wants.has(channel)).map((a) => a.wants.get(channel));
    if (wants.some((w) => !w.answer)) return null;
    return sorted(new Set(wants.filter((w) => w.answer === 'yes').map((w) => String(w.user))));
}

async function members(app, channel) {
    const call = await signedCall(server, 'GET', `/apps/${app.app_id}/channels/${channel}/users`, app);
    return call.status === 200 ? sorted(call.json.users.map((u) => u.id)) : [];
}

const isOn = (a, channel) => a.client && a.wants.get(channel)?.answer === 'yes';
let lastMark = 0;

/** An event passes the owner after all that happened before: whoever has it has all of that. */
async function passMark(app, actors, channel) {
    const mark = ++lastMark, body = { name: 'mark', channel, data: String(mark) };
    assert.equal((await signedCall(server, 'POST', `/apps/${app.app_id}/events`, { ...app, body })).status, 200);
    await until(() => actors.every((a) => !isOn(a, channel) || a.marks.get(channel) === mark), 'the mark');
}

async function compare(app, actors, channel) {
    const expected = await until(async () => {
        const now = model(actors, channel);
        return now && String(await members(app, channel)) === String(now) && [now];
    }, `the members of ${channel} to be ${model(actors, channel)}, not ${await members(app, channel)}`);
    await passMark(app, actors, channel);
    for (const a of actors.filter((a) => isOn(a, channel))) assert.deepEqual(sorted(a.views.get(channel)), expected[0]);
    assert.deepEqual(await members(app, channel), expected[0]);
    if (app.max_presence_members) assert.ok(expected[0].length <= app.max_presence_members);
}

for (const kind of kinds) {
    test(`rosters are the model's, and everybody's the same: ${kind.name}`, async () => {
        const app = appOf(kind), random = randomOf(SEED);
        const actors = Array.from({ length: ACTORS }, () => new Actor(app, randomOf(random(2 ** 32))));
        try {
            for (let round = 0; round < ROUNDS; round++) {
                await Promise.all(actors.map((a) => a.run(STEPS)));
                for (const channel of CHANNELS) await compare(app, actors, channel);
                assert.deepEqual(actors.map((a) => a.fault).filter(Boolean), []);
            }
            for (const a of actors) if (a.client) a.hangUp();
            await until(async () => Object.keys((await rest(app, '/channels')).channels).length === 0, 'all to be gone');
        } catch (err) {
            err.message = `SEED=${SEED} ROUNDS=${ROUNDS}: ${err.message}`;
            throw err;
        } finally {
            for (const a of actors) a.client?.destroy();
        }
    });
}
