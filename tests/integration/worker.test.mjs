// viche worker: processes that run jobs on one file, beside a server or without one, and die when they like.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { root, runViche, startServer, until, viche } from './lib.mjs';
import { effects, effectsOf, push, sql, stats, stopBetweenWrites } from './queue_client.mjs';

const dirs = [], workers = new Set();
const newDir = () => {
    dirs.push(mkdtempSync(join(tmpdir(), 'viche-worker-')));
    return dirs.at(-1);
};
afterEach(() => workers.forEach((w) => w.child.kill('SIGKILL')));
after(() => dirs.forEach((d) => rmSync(d, { recursive: true, force: true })));

/** Starts `viche worker --data DIR --test-jobs ARGS`: {child, ended, log(), stop()}; stop() fails unless it ends with 0. */
async function startWorker(dir, ...args) {
    const child = spawn(viche, ['worker', '--data', dir, '--test-jobs', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '', end = null;
    const ended = new Promise((done) => child.on('exit', (code, signal) => done((end = { code, signal }))));
    child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
    const worker = { child, ended, log: () => log };
    worker.stop = async () => {
        child.kill('SIGTERM');
        assert.deepEqual(await ended, { code: 0, signal: null }, log);
    };
    workers.add(worker);
    ended.then(() => workers.delete(worker));
    await until(() => {
        assert.equal(end, null, log);
        return log.includes('at=app_worker.ready');
    }, 'the worker to be ready');
    return worker;
}
const ids = (rows) => rows.map((r) => r.job_id);
const running = (dir) => sql(dir, 'SELECT count(*) AS n FROM job WHERE state = 1')[0].n;
const left = (dir) => sql(dir, "SELECT count(*) AS n FROM job WHERE kind LIKE 'test.%' OR kind = 'prog'")[0].n;

/** Pushes jobs that take ms, and where they end before they are seen at work, others that take longer: the ids of the last. */
async function pushSeen(dir, isSeen, kind, ms, ...args) {
    for (; ; ms *= 2) {
        const ids = push(dir, kind, { id: 'slow', sleep_ms: ms, ms }, ...args);
        const isOver = () => sql(dir, `SELECT 1 FROM job WHERE id IN (${ids})`).length === 0;
        const how = await until(async () => ((await isSeen()) ? 'seen' : isOver() && 'over'), `jobs of ${ms} ms to be seen at work`);
        if (how === 'seen') return ids;
    }
}

test('a worker runs the jobs of its queues without a server, and ends with 0', async () => {
    const dir = newDir();
    const worker = await startWorker(dir, '--queues', 'a,b', '--concurrency', '3');
    const a = push(dir, 'test.effect', { id: 'a' }, '--count', '40', '--queue', 'a');
    const b = push(dir, 'test.effect', { id: 'b' }, '--count', '40', '--queue', 'b');
    push(dir, 'test.effect', { id: 'c' }, '--queue', 'c');
    assert.deepEqual(ids(await effectsOf(dir, 80)), [...a, ...b]);
    await until(() => left(dir) === 1, 'the one of the other queue to be left');
    await worker.stop();
    assert.equal(stats(dir, 'c').ready, 1);
});

test('what a worker counts is in its own metrics, and in those of the server, by a label', async () => {
    const server = await startServer({ args: ['--admin', '127.0.0.1:0'] });
    const dir = server.dataDir;
    const worker = await startWorker(dir, '--queues', 'mail', '--metrics', '0');
    const [admin, own] = [[server, 'app.admin'], [worker, 'app.metrics']].map(([of, at]) => of.log().match(new RegExp(`at=${at} port=(\\d+)`))[1]);
    const metrics = async (port) => {
        const response = await fetch(`http://127.0.0.1:${port}/metrics`);
        assert.equal(response.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
        return Object.fromEntries([...(await response.text()).matchAll(/^([^#\s]+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]));
    };
    push(dir, 'test.effect', { id: 'm' }, '--count', '3', '--queue', 'mail');
    push(dir, 'test.fail', { times: 1 }, '--queue', 'mail');
    const expected = (more) => ({
        [`viche_queue_done_total{queue="mail"${more}}`]: 4,
        [`viche_queue_retried_total{queue="mail"${more}}`]: 1,
        [`viche_queue_crashed_total{queue="mail"${more}}`]: 0,
        [`viche_queue_refused_total{queue="mail"${more}}`]: 0,
        [`viche_queue_failed_total{queue="mail",kind="test.fail"${more}}`]: 1,
        [`viche_queue_wait_seconds_count{queue="mail"${more}}`]: 5,
        [`viche_queue_run_seconds_bucket{queue="mail"${more},le="+Inf"}`]: 5,
    });
    const agree = (port, more) => until(async () => {
        const now = await metrics(port);
        return Object.entries(expected(more)).every(([name, value]) => (now[name] ?? 0) === value) && now;
    }, `the metrics of port ${port}`);
    const mine = await agree(own, '');
    assert.ok(mine.process_resident_memory_bytes > 1e6 && mine.process_cpu_seconds_total > 0);
    assert.ok(!Object.keys(mine).some((name) => /^viche_(hub|webhook|queue_jobs)/.test(name)), 'what it does not do');
    await agree(admin, ',process="workers"');
    assert.equal((await fetch(`http://127.0.0.1:${own}/hub`)).status, 404);
    const second = runViche(['worker', '--data', dir, '--metrics', `127.0.0.1:${own}`]);
    assert.equal(second.status, 1);
    assert.match(second.stderr, /--metrics: cannot listen on/);
    push(dir, 'test.effect', { id: 'n' }, '--queue', 'mail');
    await until(() => left(dir) === 0, 'the last job to end');
    await worker.stop();
    const done = 'viche_queue_done_total{queue="mail",process="workers"}';
    assert.equal((await metrics(admin))[done], 5, 'told at the end');
    await server.stop({ keep: true });
    const again = await startServer({ dataDir: dir, args: ['--admin', '127.0.0.1:0'] });
    assert.equal((await metrics(again.log().match(/at=app.admin port=(\d+)/)[1]))[done], undefined, 'counted since the start');
    await again.stop();
});

test('wrong options of worker are wrong usage', () => {
    for (const args of [['--queues', ','], ['--queues', 'a,two words'], ['--concurrency', '0'], ['--max-jobs', 'x'], ['extra'], ['--log-level', 'loud'], ['--handlers', '/nowhere'],
        ['--periodic', '/nowhere'], ['--test-jobs', '--queues', 'a,b,c,d,e,f,g,h,i,j,k']]) {
        const r = runViche(['worker', '--data', newDir(), ...args]);
        assert.ok(r.status > 0, `${args}`);
        assert.match(r.stderr, /viche: [^\n]+\n$/);
    }
});

test('a server that hangs loses its jobs to a worker after a lease, and does nothing twice when it goes on', async () => {
    const server = await startServer({ args: ['--test-jobs', '--lease', '1s'] });
    const dir = server.dataDir;
    const isStopped = async () => {
        if (running(dir) < 2) return false;
        await stopBetweenWrites(server.child, dir);
        return running(dir) === 2 || void server.child.kill('SIGCONT');
    };
    const slow = await pushSeen(dir, isStopped, 'test.effect', 2000, '--deadline', '+1h', '--count', '2');
    const before = effects(dir).length;
    const looked = runViche(['queue', 'stats', '--json', '--data', dir]);
    assert.match(looked.stderr, /the server does not answer/);
    assert.equal(JSON.parse(looked.stdout).queues[0].name, 'default', 'who looks does not hang too');
    const all = push(dir, 'test.effect', { id: 'h' }, '--count', '20');
    const worker = await startWorker(dir, '--lease', '1s');
    assert.deepEqual(ids(await effectsOf(dir, before + 22)).slice(before), [...slow, ...all]);
    assert.match(worker.log(), /at=queue_keeper\.impatient queue=default/);
    server.child.kill('SIGCONT');
    await until(() => server.log().includes('at=queue_keeper.share queue=default'), 'the server to share');
    const more = push(dir, 'test.effect', { id: 'm' }, '--count', '20');
    assert.deepEqual(ids(await effectsOf(dir, before + 42)).slice(before + 22), more);
    await until(() => left(dir) === 0, 'no job to be left');
    await worker.stop();
    await server.stop();
});

test('a worker takes no job of a kind whose name is only like one of its own', async () => {
    const dir = newDir();
    const worker = await startWorker(dir);
    for (const kind of ['TEST.EFFECT', 'test_effect', '%', 'x,test.effect']) push(dir, kind, { id: 'x' });
    const [id] = push(dir, 'test.effect', { id: 'a' });
    assert.deepEqual(ids(await effectsOf(dir, 1)), [id]);
    await worker.stop();
    assert.equal(stats(dir, 'default').ready, 4);
});

test('a worker that joins a running server shares its queue: each job once, also those in hand', async () => {
    const server = await startServer({ args: ['--test-jobs', '--workers', '2'] });
    const dir = server.dataDir;
    const all = push(dir, 'test.effect', { id: 's', sleep_ms: 30 }, '--count', '200');
    await until(() => effects(dir).length > 5, 'the server to be at work');
    const worker = await startWorker(dir, '--concurrency', '4');
    await until(() => server.log().includes('at=queue_keeper.share queue=default'), 'the server to share');
    assert.deepEqual(ids(await effectsOf(dir, 200)), all);
    await until(() => left(dir) === 0, 'no job to be left');
    assert.equal(server.log().match(/at=queue_worker.refused/), null, 'no job ran in both');
    assert.equal(worker.log().match(/at=queue_worker.refused/), null, 'no job ran in both');
    await worker.stop();
    await until(() => server.log().includes('at=queue_keeper.alone queue=default'), 'the server to be alone again');
    const more = push(dir, 'test.effect', { id: 't' }, '--count', '20');
    assert.deepEqual(ids(await effectsOf(dir, 220)).slice(200), more);
    await server.stop();
});

test('slow jobs are spread over processes: none claims ahead what others could begin', async () => {
    const dir = newDir();
    const first = await startWorker(dir, '--concurrency', '2'), second = await startWorker(dir, '--concurrency', '2');
    await until(() => second.log().includes('at=queue_keeper.join'), 'both to share');
    push(dir, 'test.sleep', { ms: 60000 }, '--count', '4');
    await until(() => running(dir) === 4, 'all four to run');
    first.child.kill('SIGKILL');
    second.child.kill('SIGKILL');
    await Promise.all([first.ended, second.ended]);
});

test('jobs of a killed worker run in the server that lives; a killed server leaves the queue to the worker', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    const worker = await startWorker(dir);
    await until(() => server.log().includes('at=queue_keeper.share'), 'the server to share');
    await server.kill9();
    const all = push(dir, 'test.effect', { id: 'w' }, '--count', '50');
    assert.deepEqual(ids(await effectsOf(dir, 50)), all, 'the worker goes on');
    await server.restart();
    await until(() => (server.log().match(/at=queue_keeper.join queue=default shared=1/g) ?? []).length >= 1, 'the server to join');
    const haveBoth = () => sql(dir, "SELECT 1 FROM job WHERE state = 1 AND kind = 'test.sleep'").length > 2;
    await pushSeen(dir, haveBoth, 'test.sleep', 2500, '--count', '4');
    worker.child.kill('SIGKILL');
    await worker.ended;
    await until(() => server.log().includes('at=queue_keeper.alone queue=default'), 'the server to be alone');
    await until(() => left(dir) === 0, "the worker's jobs to run, long before their leases end");
    const more = push(dir, 'test.effect', { id: 'x' }, '--count', '50');
    assert.deepEqual(ids(await effectsOf(dir, 100)).slice(50), more, 'the server goes on');
    await server.stop();
});

test('what a killed worker ran is ready again long before its lease ends, though two others live on', async () => {
    const dir = newDir(), args = ['--concurrency', '1', '--lease', '10m'];
    const fleet = await Promise.all([0, 1, 2].map(() => startWorker(dir, ...args)));
    push(dir, 'test.sleep', { ms: 600000 }, '--count', '3');
    await until(() => running(dir) === 3, 'each to run one');
    fleet[0].child.kill('SIGKILL');
    await until(() => sql(dir, 'SELECT count(*) AS n FROM job WHERE state = 0 AND crash = 1')[0].n === 1, 'its job to be ready');
    assert.equal(running(dir), 2, 'the others keep theirs');
    const next = await startWorker(dir, ...args);
    await until(() => running(dir) === 3, 'it to run elsewhere');
    for (const worker of [fleet[1], fleet[2], next]) worker.child.kill('SIGKILL');
});

/** A file of handlers: kind `prog` of that queue, done by a program that writes "id attempt epoch pid" to the payload's `mark`. */
function handlersFile(dir, queue = 'default') {
    const file = join(dir, 'handlers.json');
    const program = ['/usr/bin/python3', '-I', '-S', resolve(root, 'tests/integration/handlers/all.py')];
    writeFileSync(file, JSON.stringify([{ kind: 'prog', program, queue, concurrency: 2 }, { kind: 'elsewhere', program, queue: 'z' }]));
    return file;
}
const marks = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => Number(line.split(' ')[0])) : []);

test('a fleet of a server and two workers loses no job and doubles no effect, whoever is killed', async () => {
    const dir = newDir(), mark = join(dir, 'mark');
    const args = ['--lease', '2s', '--handlers', handlersFile(dir)];
    const server = await startServer({ args: ['--test-jobs', ...args], dataDir: dir });
    const fleet = await Promise.all([0, 1].map(() => startWorker(dir, '--concurrency', '2', ...args)));
    const all = push(dir, 'test.effect', { id: 'r', sleep_ms: 100 }, '--count', '240');
    const programs = push(dir, 'prog', { mark, sleep: 0.05 }, '--count', '40');
    for (let round = 0; round < 3; round++) {
        const enough = Math.min(effects(dir).length + 20, all.length); // a slow start here, and the others have done it all
        await until(() => effects(dir).length >= enough, 'progress');
        if (round === 0) {
            await server.kill9();
            await server.restart();
        } else {
            const worker = fleet[round - 1];
            worker.child.kill('SIGKILL');
            await worker.ended;
            fleet[round - 1] = await startWorker(dir, '--concurrency', '2', ...args);
        }
    }
    // What the dead ones had claimed comes back.
    await until(() => left(dir) === 0, 'no job to be left');
    assert.deepEqual(ids(effects(dir)), all);
    assert.deepEqual([...new Set(marks(mark))].sort((a, b) => a - b), programs);
    for (const worker of fleet) await worker.stop();
    await server.stop();
});

test('programs of several workers are not idle while there are jobs', async () => {
    const dir = newDir(), args = ['--handlers', handlersFile(dir)];
    push(dir, 'prog', { sleep: 0.6 }, '--count', '6');
    push(dir, 'prog', { sleep: 0.005 }, '--count', '250'); // most go back until their turn
    const fleet = [await startWorker(dir, ...args), await startWorker(dir, ...args)];
    await until(() => left(dir) === 0, 'no job to be left', 30000);
    for (const worker of fleet) await worker.stop();
});

test('a worker has programs do jobs of its queues; what kills its process is dead as poison', async () => {
    const dir = newDir(), mark = join(dir, 'mark');
    const worker = await startWorker(dir, '--queues', 'a,b', '--handlers', handlersFile(dir, 'a'));
    const programs = push(dir, 'prog', { mark }, '--count', '10', '--queue', 'a');
    push(dir, 'prog', { mark }, '--queue', 'b'); // nobody's
    const crashes = ['a', 'b'].flatMap((queue) => push(dir, 'test.crash', { signal: 'SEGV' }, '--queue', queue));
    await until(() => left(dir) === 3 && sql(dir, 'SELECT id FROM job WHERE state = 2').length === 2, 'all to end');
    assert.deepEqual(marks(mark).sort((a, b) => a - b), programs);
    for (const { id, last_error } of sql(dir, 'SELECT id, last_error FROM job WHERE state = 2')) {
        assert.ok(crashes.includes(id));
        assert.match(last_error, /^poison: .*SIGSEGV/);
    }
    await worker.stop();
    assert.equal(stats(dir, 'b').ready, 1);
});

test('--max-jobs lets what waits for a program be done', async () => {
    const dir = newDir(), mark = join(dir, 'mark');
    push(dir, 'prog', { mark, sleep: 0.5 }, '--count', '12'); // slow: where they are not counted, others may have them
    const worker = await startWorker(dir, '--handlers', handlersFile(dir), '--max-jobs', '8');
    assert.deepEqual(await worker.ended, { code: 0, signal: null }, worker.log());
    assert.equal(marks(mark).length, 8);
    assert.equal(left(dir), 4);
});

test('a file of periodic jobs with a mistake is refused with its line', () => {
    const dir = newDir(), file = join(dir, 'periodic.conf');
    const job = (name) => `[${name}]\ncron = @daily\nkind = k\n`;
    for (const [text, expected] of [
        ['cron = @daily\n', ':1: a [name] is missing'],
        [`${job('a')}${job('b')}${job('a')}`, ':8: this [name] is there twice'],
        [`${job('a')}${job('a')}`, ':5: it is there twice'],
        [`${job('a')}kin = k\n`, ':4: the names are cron'],
        [`${job('a')}payload = {\n`, ':4: the payload is not JSON'],
        ['[a]\nkind = k\n', ': [a]: not five fields'],
        [`[a]\n\n; all to come\n${job('b')}`, ':1: nothing stands in this [section]'],
        [`${job('a')}[b]\n`, ':4: nothing stands in this [section]'],
        [`${job('a')}payload = "${'x'.repeat(200)}"\n`, ':4: the line is too long'],
    ]) {
        writeFileSync(file, text);
        const r = runViche(['worker', '--data', dir, '--periodic', file]);
        assert.equal(r.status, 1, text);
        assert.ok(r.stderr.includes(file + expected), `${r.stderr} has ${expected}`);
    }
});

test('workers serve periodic jobs without a server: one job for each tick', async () => {
    const dir = newDir(), file = join(dir, 'periodic.conf');
    writeFileSync(file, '[tick]\ncron = * * * * * *\nkind = test.effect\npayload = {"id":"tick"}\nqueue = a\n');
    const fleet = await Promise.all([0, 1].map(() => startWorker(dir, '--queues', 'a', '--periodic', file)));
    await effectsOf(dir, 3);
    for (const worker of fleet) await worker.stop();
    const [ticks] = sql(dir, 'SELECT count(*) AS n, count(DISTINCT fire_at_ms) AS times, count(DISTINCT job_id) AS jobs FROM job_tick');
    assert.deepEqual({ times: ticks.times, jobs: ticks.jobs }, { times: ticks.n, jobs: ticks.n });
    assert.equal(new Set(ids(effects(dir))).size, effects(dir).length);
});

test('SIGTERM waits for what runs; past the bound it goes back, neither a try nor a crash', async () => {
    const dir = newDir();
    let worker = await startWorker(dir, '--drain', '30s', '--concurrency', '1');
    const isTold = () => running(dir) === 1 && worker.child.kill('SIGTERM');
    const [slow] = await pushSeen(dir, isTold, 'test.effect', 3000);
    push(dir, 'test.effect', { id: 'next' });
    assert.deepEqual(await worker.ended, { code: 0, signal: null }, worker.log()); // a second signal would end it at once
    assert.equal(effects(dir).at(-1).job_id, slow);
    worker = await startWorker(dir, '--drain', '200ms', '--concurrency', '1');
    await until(() => effects(dir).at(-1).id === 'next', 'what it left');
    const [endless] = push(dir, 'test.sleep', { ms: 60000 });
    await until(() => running(dir) === 1, 'it to run');
    worker.child.kill('SIGTERM');
    assert.equal((await worker.ended).code, 1, worker.log());
    assert.deepEqual(sql(dir, `SELECT state, attempt, crash FROM job WHERE id = ${endless}`), [{ state: 0, attempt: 0, crash: 0 }]);
});

test('--max-jobs ends after exactly so many; the others stay', async () => {
    const dir = newDir();
    push(dir, 'test.effect', { id: 'm', sleep_ms: 1 }, '--count', '30', '--queue', 'a');
    push(dir, 'test.effect', { id: 'm', sleep_ms: 1 }, '--count', '30', '--queue', 'b');
    const worker = await startWorker(dir, '--queues', 'a,b', '--concurrency', '3', '--max-jobs', '25');
    assert.deepEqual(await worker.ended, { code: 0, signal: null }, worker.log());
    assert.equal(effects(dir).length, 25);
    assert.equal(stats(dir, 'a').ready + stats(dir, 'b').ready, 35);
});

test('--max-memory ends a worker that takes more', async () => {
    const dir = newDir();
    const worker = await startWorker(dir, '--max-memory', '1');
    assert.deepEqual(await worker.ended, { code: 0, signal: null }, worker.log());
    assert.match(worker.log(), /at=app_worker.limit what=memory/);
});

test('SIGHUP lets jobs finish and starts the worker anew in the same process', async () => {
    const dir = newDir();
    const worker = await startWorker(dir, '--concurrency', '2');
    const isTold = () => running(dir) === 1 && worker.child.kill('SIGHUP');
    const [one] = await pushSeen(dir, isTold, 'test.effect', 2500);
    await until(() => worker.log().split('at=app_worker.ready').length === 3, 'it to be ready again');
    assert.equal(effects(dir).at(-1).job_id, one);
    push(dir, 'test.effect', { id: 2 });
    await until(() => effects(dir).at(-1).id === 2, 'the next one');
    await worker.stop();
});

/** Times that a thread of the process went to sleep, so far. */
const sleeps = (pid) =>
    readdirSync(`/proc/${pid}/task`)
        .map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').match(/^voluntary_ctxt_switches:\s*(\d+)/m))
        .reduce((sum, match) => sum + Number(match[1]), 0);

test('another process wakes an idle worker within milliseconds, without polling', async () => {
    const dir = newDir();
    const worker = await startWorker(dir, '--queues', 'a', '--concurrency', '1');
    const made = 'CREATE TABLE made (id, at); CREATE TRIGGER made AFTER INSERT ON job BEGIN INSERT INTO made VALUES (new.id, new.created_at_ms); END';
    assert.equal(spawnSync('sqlite3', [join(dir, 'viche.db'), made]).status, 0);
    const pushes = []; // ms that each took: so slow is this machine
    for (let i = 1; i <= 9; i++) {
        const began = performance.now();
        push(dir, 'test.effect', { id: i }, '--queue', 'a');
        pushes.push(performance.now() - began);
        await effectsOf(dir, i);
    }
    const waits = sql(dir, 'SELECT e.at - m.at AS ms FROM test_effect e JOIN made m ON m.id = e.job_id ORDER BY m.id').map((r) => r.ms);
    const over = waits.map((ms, i) => ms - pushes[i]).sort((a, b) => a - b);
    assert.ok(over[4] < 100, `ms from enqueue to effect: ${waits}; of the pushes: ${pushes}`); // a look once a second would take 500
    const before = sleeps(worker.child.pid), began = performance.now();
    await new Promise((done) => setTimeout(done, 2000)); // what is measured is how little happens meanwhile
    const each = (sleeps(worker.child.pid) - before) / ((performance.now() - began) / 1000);
    assert.ok(each < 20, `${each} wake-ups a second`);
    await worker.stop();
});
