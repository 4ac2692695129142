// queue_rows.mjs -- the measurements of the queue (bench_queue.c): what a disk and SQLite allow, beanstalkd
// on the same disk, and the same again beside a million waiting jobs, by turns.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { folder, generate, median, startBeanstalkd } from './rig.mjs';

const MILLION = 1000000;
const ROUNDS = 3;
const SLOWER = 1.2; // at most, beside a million waiting jobs
const n0 = (x) => Math.round(x).toLocaleString('en');
const n2 = (x) => x.toFixed(2);
const goal = (text, isMet) => ({ text, isMet });

async function queueDir(name, as) {
    const dir = join(folder, name);
    mkdirSync(dir, { mode: 0o700 });
    if (as) await generate('bench_queue', { mode: 'fill', dir, jobs: MILLION, as }, null);
    return dir;
}

const measure = (dir, mode, options = {}) => generate('bench_queue', { mode, dir, ...options }, null);
const beside = 'beside 1,000,000 that wait';

/** Rates of enqueueing and working, with nothing and with a million ready jobs in the queue. */
export async function queue({ seconds, facts }) {
    const empty = await queueDir('queue-empty');
    const full = await queueDir('queue-full', 'ready');
    const beanstalkd = await startBeanstalkd();
    const load = { seconds: Math.max(1, Math.round(seconds / 2)) };
    const rounds = [];
    for (let i = 0; i < ROUNDS; i++) {
        const round = { disk: await generate('bench_disk', { dir: folder, seconds: 1 }, null), empty: {}, full: {} };
        // What is compared runs side by side, now the one first and now the other: the disk feels for a while what came before.
        const whose = [['empty', empty], ['full', full]];
        if (i % 2 === 1) whose.reverse();
        for (const [key, mode, options] of [['single', 'enqueue', { ...load, 'under-way': 1 }], ['grouped', 'enqueue', load], ['work', 'work', {}]])
            for (const [who, dir] of whose) round[who][key] = await measure(dir, mode, options);
        round.beanstalkd = await generate('bench_beanstalk', { port: beanstalkd.port }, null);
        rounds.push(round);
    }
    await beanstalkd.stop();
    for (const dir of [empty, full]) rmSync(dir, { recursive: true });
    facts.queue = rounds;

    const of = (get) => median(rounds.map(get));
    const commits = of((r) => r.disk.commit_rate);
    const put = of((r) => r.beanstalkd.put_rate);
    const done = of((r) => r.beanstalkd.work_rate);
    const rowsOf = (what, key, target, baseline) => {
        const [rate, cpu, besideRate, besideCpu] = ['empty', 'full'].flatMap((who) => [of((r) => r[who][key].rate), of((r) => r[who][key].s_per_m)]);
        const slower = of((r) => r.empty[key].rate / r.full[key].rate);
        return [
            { what, figure: `${n0(rate)}/s, ${n2(cpu)} s/M`, goal: target(rate), baseline },
            { what: `${what}, ${beside}`, figure: `${n0(besideRate)}/s, ${n2(besideCpu)} s/M`, goal: goal('<= 20 % slower', slower <= SLOWER), baseline: `without them ${n0(rate)}/s` },
        ];
    };
    return [
        ...rowsOf('enqueue, durable, each a transaction, 256 under way', 'grouped', (rate) => goal('>= 40,000/s', rate >= 40000), `beanstalkd -f0, pipelined: ${n0(put)}/s`),
        ...rowsOf(
            'enqueue, durable, one caller that waits for each',
            'single',
            () => {
                const share = of((r) => r.empty.single.rate / r.disk.commit_rate);
                return goal(`>= 0.8 x one row a commit (${n2(share)})`, share >= 0.8);
            },
            `SQLite, one row a commit: ${n0(commits)}/s`,
        ),
        ...rowsOf(
            'claim + effect + acknowledgement, 2 workers',
            'work',
            (rate) => goal('>= 30,000/s and 5 x beanstalkd', rate >= 30000 && of((r) => r.empty.work.rate / r.beanstalkd.work_rate) >= 5),
            `beanstalkd -f0, reserve + delete, pipelined: ${n0(done)}/s`,
        ),
    ];
}

/** How soon a job starts that is enqueued while the system is idle. */
export async function jobstart({ facts }) {
    const empty = await queueDir('start-empty');
    const full = await queueDir('start-full', 'scheduled');
    const rows = [];
    for (const [remote, where] of [
        [0, 'in the same process'],
        [1, 'in another process'],
    ]) {
        const rounds = [];
        for (let i = 0; i < ROUNDS; i++) rounds.push({ alone: await measure(empty, 'start', { remote }), beside: await measure(full, 'start', { remote }) });
        facts[`start ${where}`] = rounds;
        const of = (who) => ({ p50_ms: median(rounds.map((r) => r[who].p50_ms)), p99_ms: median(rounds.map((r) => r[who].p99_ms)) });
        const [alone, r] = [of('alone'), of('beside')];
        rows.push(
            { what: `from the call to enqueue to the job's start ${where}, idle`, figure: `p50 ${n2(alone.p50_ms)}, p99 ${n2(alone.p99_ms)} ms`, goal: goal('p50 < 1 ms, p99 < 5 ms', alone.p50_ms < 1 && alone.p99_ms < 5) },
            {
                what: `the same, beside 1,000,000 scheduled for tomorrow`,
                figure: `p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)} ms`,
                goal: goal('p50 <= 20 % later', r.p50_ms <= SLOWER * alone.p50_ms),
                baseline: `without them p50 ${n2(alone.p50_ms)}, p99 ${n2(alone.p99_ms)} ms`,
            },
        );
    }
    for (const dir of [empty, full]) rmSync(dir, { recursive: true });
    return rows;
}

/** What a tenant with a million jobs costs another with one. */
export async function tenants({ facts }) {
    const dir = await queueDir('tenants', 'tenant');
    const r = await measure(dir, 'fair');
    facts.tenants = r;
    rmSync(dir, { recursive: true });
    return [
        {
            what: "wait of a tenant's single job, one worker, another tenant's 1,000,000 jobs before it",
            figure: `p50 ${n2(r.p50_ms / r.job_ms)}, p99 ${n2(r.p99_ms / r.job_ms)} job times; at most ${r.most_before} begin before it`,
            goal: goal('p99 < 2 job times', r.p99_ms < 2 * r.job_ms && r.most_before < 2),
            baseline: `a job takes ${n2(r.job_ms)} ms`,
        },
    ];
}
