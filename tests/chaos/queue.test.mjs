// The queue under chaos: producers and workers, each a process, on one file; they are killed with -9, stopped for
// longer than the lease, and their clocks jump (libfaketime). Then what they said they did is held against the
// database. JOBS: how many (3,000).
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { until } from '../integration/lib.mjs';
import { QueueHistory } from './queue_history.mjs';

const jobs = Number(process.env.JOBS ?? 3000);
const agent = process.env.AGENT ?? join(dirname(process.env.VICHE ?? 'build/release/viche'), 'queue_agent');
const faketime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
const LEASE_MS = 500;
const ROUNDS = Math.max(12, Math.ceil(jobs / 1000));
const WORKERS = 3;
const BATCH = 50;
const JUMPS = ['+0', '+5s', '-5s', '+0', '-2s'];

const random = (max) => Math.floor(Math.random() * max);

class Chaos {
    dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : '/tmp', 'viche-chaos-'));
    db = join(this.dir, 'queue.db');
    clock = join(this.dir, 'clock');
    histories = [];
    workers = [];
    pids = [];
    kills = 0;
    stops = 0;
    jumps = 0;

    constructor() {
        this.setClock('+0');
        assert.equal(spawnSync(agent, ['migrate', this.db], { stdio: 'inherit' }).status, 0);
    }

    setClock(offset) {
        writeFileSync(this.clock, offset);
    }

    start(role, args, hasClock) {
        const history = join(this.dir, `history-${this.histories.length}`);
        this.histories.push(history);
        const env = hasClock
            ? { ...process.env, LD_PRELOAD: faketime, FAKETIME_TIMESTAMP_FILE: this.clock, FAKETIME_NO_CACHE: '1', DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }
            : process.env;
        const child = spawn(agent, [role, this.db, history, ...args.map(String)], { stdio: ['ignore', 'ignore', 'inherit'], env });
        this.pids.push(child.pid);
        child.ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? code)));
        return child;
    }

    startWorker(hasClock) {
        const worker = this.start('worker', [2, LEASE_MS], hasClock);
        this.workers.push(worker);
        return worker;
    }

    async end(worker, signal) {
        worker.kill('SIGCONT');
        worker.kill(signal);
        this.workers.splice(this.workers.indexOf(worker), 1);
        return worker.ended;
    }

    /** One thing that goes wrong, while the round's jobs are run. */
    async harm(round) {
        await wait(random(60)); // the random moment, not a wait for anything
        const worker = this.workers[random(this.workers.length)];
        if (round % 4 === 1) {
            worker.kill('SIGSTOP'); // it wakes as a stale worker
            this.stops++;
            await wait(LEASE_MS * 1.5);
            worker.kill('SIGCONT');
        } else if (round % 4 === 3 && this.hasFaketime) {
            this.setClock(JUMPS[random(JUMPS.length)]);
            this.jumps++;
        } else {
            assert.equal(await this.end(worker, 'SIGKILL'), 'SIGKILL');
            this.kills++;
            this.startWorker(random(2) === 0 && this.hasFaketime);
        }
    }

    hasFaketime = existsSync(faketime);

    query(sql) {
        const out = spawnSync('sqlite3', ['-json', '-cmd', '.timeout 20000', this.db, sql], { encoding: 'utf8', maxBuffer: 1 << 30 });
        assert.equal(out.status, 0, out.stderr);
        return out.stdout.trim() ? JSON.parse(out.stdout) : [];
    }

    waiting() {
        return this.query('SELECT count(*) AS n FROM job WHERE state != 2')[0].n;
    }

    /** The tag behind the batch that the producer began last, or its first. */
    static behind(history, first) {
        const batches = existsSync(history) ? readFileSync(history, 'utf8').matchAll(/^[NP] (\d+) (\d+)\n/gm) : [];
        return [...batches].reduce((next, [, tag, count]) => Number(tag) + Number(count), first);
    }

    /** Enqueues the round's tags; every third producer is killed meanwhile, and another goes on behind the batch it was at. */
    async produce(round) {
        const part = Math.ceil(jobs / ROUNDS / BATCH) * BATCH;
        let first = 1 + round * part;
        const end = first + part;
        for (let mayBeKilled = round % 3 === 2; first < end; mayBeKilled = false) {
            const producer = this.start('producer', [first, end - first, BATCH], false);
            const history = this.histories.at(-1);
            if (mayBeKilled) {
                await Promise.race([wait(random(100)), producer.ended]);
                producer.kill('SIGKILL');
            }
            const how = await producer.ended;
            assert.ok(how === 0 || (mayBeKilled && how === 'SIGKILL'), `a producer ended with ${how}`);
            first = how === 0 ? end : Chaos.behind(history, first);
        }
    }

    cleanUp() {
        for (const worker of this.workers) worker.kill('SIGKILL');
        for (const pid of this.pids) // what libfaketime leaves of a killed process
            for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`]) rmSync(join('/dev/shm', name), { force: true });
        rmSync(this.dir, { recursive: true, force: true });
    }
}

test(`${jobs} jobs under kills, stops longer than the lease and clock jumps: none is lost, none has its effect twice`, async (t) => {
    const chaos = new Chaos();
    t.after(() => chaos.cleanUp());
    for (let i = 0; i < WORKERS; i++) chaos.startWorker(i === 0 && chaos.hasFaketime);
    for (let round = 0; round < ROUNDS; round++) await Promise.all([chaos.produce(round), chaos.harm(round)]);

    chaos.setClock('+0');
    for (const worker of [...chaos.workers])
        // 3: not drained in time; a signal: it had just begun
        assert.ok([0, 3, 'SIGTERM'].includes(await chaos.end(worker, 'SIGTERM')));
    const last = chaos.startWorker(false);
    await until(() => existsSync(chaos.histories.at(-1)), 'the last worker to begin');
    await until(async () => chaos.waiting() === 0, 'the queue to be empty', 600000);
    assert.equal(await chaos.end(last, 'SIGTERM'), 0);

    const history = new QueueHistory();
    for (const path of chaos.histories) if (existsSync(path)) history.add(path);
    const faults = history.faults({
        effects: chaos.query('SELECT tag, job_id, epoch FROM effect'),
        jobs: chaos.query('SELECT CAST(payload AS INTEGER) AS tag, state FROM job'),
    });
    t.diagnostic(
        `${history.enqueued.size} acknowledged, ${history.runs.size} runs, ${history.done.size} said to be done; ` +
            `${chaos.kills} kills, ${chaos.stops} stops, ${chaos.jumps} clock jumps, ${history.refused} stale acknowledgements refused`,
    );
    assert.deepEqual(faults.slice(0, 5), []);
    assert.equal(chaos.query('PRAGMA integrity_check')[0].integrity_check, 'ok');
    assert.ok(history.enqueued.size > jobs * 0.75, 'the load was real'); // a tenth is rolled back
    assert.ok(history.runs.size > history.done.size, 'some were run again');
    if (chaos.stops >= 5) assert.ok(history.refused > 0, 'some that were stopped came too late');
});
