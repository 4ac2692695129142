// Operators at work by the shell while processes are killed with -9 and stopped for longer than their lease: jobs of all
// kinds (sealed, softly enqueued, of keys, late, failing under a budget of retries) are pushed, cancelled, discarded,
// changed and retried. Then what each command said is held against the effects. ROUNDS: how many (1).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { startServer, until, viche } from '../integration/lib.mjs';
import { effects, queue, sql } from '../integration/queue_client.mjs';

const rounds = Number(process.env.ROUNDS ?? 1);
const LEASE_MS = 1000;
const random = (max) => Math.floor(Math.random() * max);

/** What is pushed, how many of each: options, kind. */
const GROUPS = [
    { count: 20 },
    { count: 6, args: ['--seal'] },
    { count: 6, args: ['--durability', 'normal'] },
    { count: 6, args: ['--key', 'a'] },
    { count: 6, args: ['--key', 'b', '--seal'] },
    { count: 6, args: ['--deadline', '+1h'] },
    { count: 12, args: ['--delay-ms', '700'] },
    { count: 6, args: ['--delay-ms', '700', '--unique-until', 'end'], isUnique: true },
    { count: 8, kind: 'test.fail' },
];

class Fleet {
    dir = mkdtempSync(join(tmpdir(), 'viche-operator-'));
    keys = join(this.dir, 'keys');
    jobs = new Map(); // id -> {tag, kind, isSealed, said: [[command, is done, is pending]]}
    rounds = 0;

    async start() {
        writeFileSync(this.keys, `k=${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
        this.args = ['--lease', `${LEASE_MS}ms`, '--seal-keys', this.keys];
        this.server = await startServer({ args: ['--test-jobs', ...this.args], dataDir: this.dir });
        queue(this.dir, 'limit', 'set', 'default', '--retry-percent', '20');
        this.startWorker();
    }

    startWorker() {
        const args = ['worker', '--data', this.dir, '--test-jobs', '--log-level', 'error', '--concurrency', '3', ...this.args];
        this.worker = spawn(viche, args, { stdio: ['ignore', 'ignore', 'inherit'] });
        this.worker.ended = new Promise((done) => this.worker.on('exit', (code, signal) => done(signal ?? code)));
    }

    /** Runs `viche queue ARGS --json`: its status, and what it printed when that is JSON. */
    command(...args) {
        const child = spawn(viche, ['queue', ...args, '--data', this.dir, '--json'], { stdio: ['ignore', 'pipe', 'ignore'] });
        let out = '';
        child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
        return new Promise((done) => child.on('close', (status) => done({ status, answer: out ? JSON.parse(out) : null })));
    }

    async push(group, round, place) {
        const { count, args = [], kind = 'test.effect', isUnique } = group;
        const tag = `${round}-${place}`, isSealed = args.includes('--seal');
        const payload = kind === 'test.fail' ? { times: 1 } : { id: tag, sleep_ms: random(3) * 20 };
        const keys = [...(isSealed ? ['--seal-keys', this.keys] : []), ...(isUnique ? ['--unique', tag] : [])];
        const { status, answer } = await this.command('push', kind, JSON.stringify(payload), '--count', `${count}`, ...args, ...keys);
        assert.equal(status, 0);
        assert.equal(new Set(answer.jobs).size, isUnique ? 1 : count);
        for (const id of answer.jobs) this.jobs.set(id, { tag, kind, isSealed, said: [] });
        return answer.jobs;
    }

    /** One job: something is done to it, and perhaps taken back. */
    async operate(id) {
        const job = this.jobs.get(id);
        const what = ['cancel', 'discard', 'edit', 'retry'][random(4)];
        const payload = job.kind === 'test.fail' ? { times: 0 } : { id: `${job.tag}!` };
        const change = what === 'edit' ? ['--payload', JSON.stringify(payload)] : [];
        const say = (command, { status, answer }) => {
            assert.ok(status === 0 || status === 1, `${command} of job ${id} ended with ${status}`);
            job.said.push({ command, isDone: status === 0, isPending: answer?.jobs?.[0].pending === true });
        };
        say(what, await this.command(what, `${id}`, ...change));
        if (what === 'cancel' && random(2) === 0) say('retry', await this.command('retry', `${id}`));
    }

    async harm(round) {
        await wait(random(400)); // the random moment, not a wait for anything
        if (round % 3 === 0) {
            await this.server.kill9();
            await this.server.restart();
        } else if (round % 3 === 1) {
            this.worker.kill('SIGKILL');
            assert.equal(await this.worker.ended, 'SIGKILL');
            this.startWorker();
        } else {
            this.server.child.kill('SIGSTOP'); // it wakes as a stale worker
            await wait(LEASE_MS * 1.5);
            this.server.child.kill('SIGCONT');
        }
    }

    async playRound(round) {
        const work = (async () => {
            if (round % 2 === 0) queue(this.dir, 'pause', 'default');
            for (const [place, group] of GROUPS.entries()) {
                const ids = [...new Set(await this.push(group, round, place))];
                await Promise.all(ids.slice(0, 2).map((id) => this.operate(id)));
            }
            queue(this.dir, 'resume', 'default');
        })();
        await Promise.all([work, this.harm(round)]);
    }

    left = () => sql(this.dir, "SELECT count(*) AS n FROM job WHERE kind LIKE 'test.%' AND state IN (0, 1, 3, 4)")[0].n;

    cleanUp() {
        this.worker?.kill('SIGKILL');
        this.server?.child.kill('SIGKILL');
        rmSync(this.dir, { recursive: true, force: true });
    }
}

/** What is wrong with what became of a job. had: the texts of its effects; state: of its row, undefined without one. */
function* faultsOf(id, { tag, kind, isSealed, said }, had, state) {
    const done = said.filter((s) => s.isDone);
    const last = done.at(-1)?.command, isPending = done.some((s) => s.isPending);
    const isEdited = last === 'edit';
    const isOver = ['cancel', 'discard'].includes(last) && !isPending;
    const story = `job ${id} (${kind} ${tag}): ${JSON.stringify(said)}, effects ${JSON.stringify(had)}, state ${state}`;
    if (had.length > 1) yield `G3: more than one effect: ${story}`;
    if (isEdited && isSealed) yield `a sealed payload was changed: ${story}`;
    if (state === 2) yield `G5: dead: ${story}`;
    if (isOver && had.length > 0) yield `an effect of what was given up: ${story}`;
    if (had.some((text) => text !== (isEdited ? `${tag}!` : tag))) yield `not the payload: ${story}`;
    if (kind === 'test.effect' && !isOver && !isPending && had.length === 0) yield `G1: lost: ${story}`;
    if (kind === 'test.fail' && !isOver && !isPending && state !== undefined) yield `G1: not done: ${story}`;
}

test(`what operators say in ${rounds} rounds of kills and stops is what becomes of the jobs`, async (t) => {
    const fleet = new Fleet();
    t.after(() => fleet.cleanUp());
    await fleet.start();
    for (let round = 0; round < rounds; round++) await fleet.playRound(round);
    await until(() => fleet.left() === 0, 'no job to be left', 60000);

    const states = new Map(sql(fleet.dir, 'SELECT id, state FROM job').map((row) => [row.id, row.state]));
    const had = new Map();
    for (const { job_id: id, id: text } of effects(fleet.dir)) had.set(id, [...(had.get(id) ?? []), text]);
    const faults = [...fleet.jobs].flatMap(([id, job]) => [...faultsOf(id, job, had.get(id) ?? [], states.get(id))]);
    assert.deepEqual(faults.slice(0, 5), []);
    assert.equal(sql(fleet.dir, 'PRAGMA integrity_check')[0].integrity_check, 'ok');
    const said = [...fleet.jobs.values()].flatMap((job) => job.said);
    t.diagnostic(`${fleet.jobs.size} jobs, ${said.filter((s) => s.isDone).length} of ${said.length} commands done, ${had.size} effects`);
    assert.ok(said.some((s) => s.isDone), 'some commands were done');
    assert.equal(await (fleet.worker.kill('SIGTERM'), fleet.worker.ended), 0);
    await fleet.server.stop({ keep: true });
});
