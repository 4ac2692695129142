// chaos.mjs -- what the crash tests share: a town under load from two clients, and what must be true afterwards.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { api, startServer, until } from '../integration/lib.mjs';
import { History, openJobs, readFollowers, readState } from './history.mjs';
import { makeTown } from './town.mjs';

const here = dirname(fileURLToPath(import.meta.url));
export const unlimited = { VICHE_RATE_LIMITS: 'off' };
export const rounds = Number(process.env.ROUNDS ?? 3);
const RATE = 500; // writes per second of each client
const CLIENTS = 2;

export const rssMb = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;

/** A town in a folder of its own and a server on it: {server, town, dir, followers, history, cleanUp()}. */
export async function startTown({ dataDir, args = [], env = {} } = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'viche-chaos-'));
    const data = dataDir ?? join(dir, 'data');
    const town = makeTown(data, { users: 200, proposals: 60, votings: 20, comments: 4, followers: 4 });
    const server = await startServer({ dataDir: data, args, env: { ...unlimited, ...env } });
    const cleanUp = () => {
        server.child.kill('SIGKILL'); // of no effect on one that ended; a failed test must not leave it
        rmSync(dir, { recursive: true, force: true });
    };
    return { server, town, dir, data, followers: readFollowers(data), history: new History(), cleanUp };
}

const acknowledgements = (log) => (existsSync(log) ? (readFileSync(log, 'utf8').match(/"t":"answer".*"status":2/g)?.length ?? 0) : 0);

/**
 * Two clients that write 1,000 times a second between them. written(): how many writes were acknowledged so far;
 * areAtWork(): waits until the load is real; end(): waits until they stopped, reads their logs.
 */
export function startClients(world, round) {
    const share = world.town.users.length / CLIENTS;
    const clients = Array.from({ length: CLIENTS }, (_, i) => {
        const name = `r${round}c${i}`;
        const log = join(world.dir, `${name}.log`);
        const conf = {
            ...world.town,
            url: world.server.url,
            name,
            log,
            rate: RATE,
            users: world.town.users.slice(i * share, (i + 1) * share),
        };
        const child = spawn(process.execPath, [join(here, 'writer.mjs'), JSON.stringify(conf)], {
            stdio: ['ignore', 'inherit', 'inherit'],
        });
        return { child, log, ended: new Promise((done) => child.on('exit', (code, signal) => done(code ?? signal))) };
    });
    const written = () => clients.reduce((sum, { log }) => sum + acknowledgements(log), 0);
    return {
        written,
        areAtWork: () => until(() => written() > 100, 'a hundred writes'),
        stop: () => clients.forEach(({ child }) => child.kill('SIGTERM')),
        end: async () => {
            for (const { ended, log } of clients) {
                assert.equal(await ended, 0, 'a client failed');
                world.history.add(log);
            }
        },
    };
}

/** Repeats what got no answer and carried an Idempotency-Key: each must now be there once. */
export async function repeatUnanswered({ history, server, town }) {
    const tokens = new Map(town.users.map((u) => [u.id, u.token]));
    for (const c of history.repeatable()) {
        const { status, json, text } = await api(server.url, 'POST', c.path, {
            body: c.body,
            token: tokens.get(c.user),
            headers: { 'Idempotency-Key': c.idempotencyKey },
        });
        assert.equal(status, 201, text);
        history.acknowledge(c.clientId, json.id);
    }
}

/** Waits until every job has run, then compares the database and the API with what the clients know. */
export async function checkPromises(world) {
    const { history, data, server, followers } = world;
    await until(() => openJobs(data).length === 0, 'the queue to be empty', 60000).catch(() => {}); // faults() names the jobs
    const faults = [...history.faults(readState(data, followers))];
    assert.deepEqual(faults.slice(0, 20), [], `${faults.length} faults`);
    await checkApi(world);
    assert.equal(server.child.exitCode, null, 'the server is still there');
}

async function* commentsOf(url, proposal) {
    for (let cursor = ''; cursor !== null; ) {
        const page = await api(url, 'GET', `/api/v1/proposals/${proposal}/comments?limit=100${cursor && `&cursor=${cursor}`}`);
        assert.equal(page.status, 200, page.text);
        yield* page.json.items;
        cursor = page.json.next;
    }
}

// What the API shows must be the same: each acknowledged comment once, and the counters.
async function checkApi({ history, server, town }) {
    const times = new Map();
    for (const proposal of town.proposals) {
        let count = 0;
        for await (const c of commentsOf(server.url, proposal)) {
            count++;
            if (c.client_id) times.set(c.client_id, (times.get(c.client_id) ?? 0) + 1);
        }
        const { json } = await api(server.url, 'GET', `/api/v1/proposals/${proposal}`);
        assert.equal(json.comment_count, count, `comment_count of ${proposal} over the API`);
    }
    for (const [clientId, said] of history.comments)
        if (said.isAcknowledged) assert.equal(times.get(clientId), 1, `comment ${clientId} over the API`);
}
