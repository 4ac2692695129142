// Handlers outside the server: programs that speak JSON lines, and URLs; with real processes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, runViche, startServer, until } from './lib.mjs';

const READY = 0, DEAD = 2, SCHEDULED = 3, DONE = 5, CANCELLED = 6;
const program = ['/usr/bin/python3', '-I', '-S', resolve(root, 'tests/integration/handlers/all.py')];

/** What the statement finds, as sqlite3 reads it. */
function sql(server, statement) {
    const r = spawnSync('sqlite3', ['-json', '-cmd', '.timeout 5000', join(server.dataDir, 'viche.db'), statement], { encoding: 'utf8' });
    assert.equal(r.status, 0, r.stderr);
    return r.stdout ? JSON.parse(r.stdout) : [];
}

/** Enqueues a job as another process would. */
function push(server, kind, payload, queue = 'default') {
    const now = Date.now(), text = JSON.stringify(payload).replaceAll("'", "''");
    const made = sql(server, `INSERT INTO job (kind, payload, queue, run_at_ms, created_at_ms)
        VALUES ('${kind}', '${text}', '${queue}', ${now}, ${now}) RETURNING id`);
    return made[0].id;
}

const find = (server, id) => sql(server, `SELECT * FROM job WHERE id = ${id}`)[0];
/** Asks the database until it says so; each time is a process, so not too often. */
const slowly = (fn, what) => until(async () => fn() || void (await sleep(150)), what, 60000);
const gone = (server, id) => slowly(() => !find(server, id), `job ${id} to be done`);
const dead = (server, id) => slowly(() => find(server, id)?.state === DEAD && find(server, id), `job ${id} to be dead`);
const cancelled = (server, id) => slowly(() => find(server, id)?.state === CANCELLED, `job ${id} to be cancelled`);
const lines = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []); // the whole ones
const isAlive = (pid) => existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');

/** A server with these handlers, and a folder. */
async function start(t, handlers, { args = [] } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'viche-runner-'));
    const file = join(folder, 'handlers.json');
    writeFileSync(file, JSON.stringify(handlers));
    const server = await startServer({ args: ['--loops', '1', '--handlers', file, ...args] });
    server.folder = folder;
    server.file = (name) => join(folder, name);
    let isStopped = false;
    server.end = async (options) => {
        isStopped = true;
        await server.stop(options);
    };
    t.after(async () => {
        if (!isStopped) await server.stop();
        rmSync(folder, { recursive: true });
    });
    return server;
}

let shared, endShared;
before(async () => {
    shared = await start({ after: (end) => (endShared = end) }, [
        { kind: ['a', 'b'], program },
        { kind: 'twice', program, max_attempts: 2 },
        { kind: 'once', program, max_attempts: 1, timeout: 5 },
        { kind: 'two', program, max_jobs: 2 },
        { kind: 'pair', program, concurrency: 2, grace: 1 },
        { kind: 'memory', program, memory: 128 },
        { kind: 'cpu', program, cpu: 1 },
        { kind: 'm', program, queue: 'media' },
    ]);
});

after(() => endShared?.());

/** A file of the test's own. */
const own = (t, name) => shared.file(`${t.name.replace(/\W+/g, '-')}-${name}`);

test('a program does many jobs in one process', async (t) => {
    const server = shared;
    const mark = own(t, 'mark');
    const ids = [push(server, 'a', { mark }), push(server, 'b', { mark }), push(server, 'a', { mark, log: ['x'] })];
    for (const id of ids) await gone(server, id);
    const rows = lines(mark).map((line) => line.split(' '));
    assert.deepEqual(rows.map((r) => Number(r[0])).sort(), ids);
    assert.equal(new Set(rows.map((r) => r[3])).size, 1, 'one process');
    assert.deepEqual(sql(server, `SELECT * FROM job_log WHERE job_id = ${ids[2]}`), [], 'a log goes with its job');
});

test('what a job says of itself can be read while it runs', async (t) => {
    const server = shared;
    const hold = own(t, 'hold');
    const id = push(server, 'a', { progress: 40, log: ['один', 'two\nlines'], stderr: 'to stderr', hold });
    await slowly(() => sql(server, `SELECT * FROM job_log WHERE job_id = ${id}`).length === 4, 'four lines');
    assert.deepEqual(sql(server, `SELECT progress, progress_text FROM job_run WHERE job_id = ${id}`), [{ progress: 40, progress_text: '40 % малюю' }]);
    assert.deepEqual(sql(server, `SELECT text FROM job_log WHERE job_id = ${id}`).map((r) => r.text).sort(),
        ['lines', 'to stderr', 'two', 'один'].sort());
    writeFileSync(hold, '');
    await gone(server, id);
});

test('an error is tried again, and the last one is dead', async (t) => {
    const server = shared;
    const mark = own(t, 'mark');
    const failing = push(server, 'twice', { mark, end: { outcome: 'retry', error: 'не вийшло', delay_ms: 1 } });
    const job = await dead(server, failing);
    assert.equal(job.attempt, 2);
    assert.equal(job.last_error, 'не вийшло');
    assert.deepEqual(lines(mark).map((l) => l.split(' ')[1]), ['0', '1']);
    const buried = await dead(server, push(server, 'a', { end: { outcome: 'dead', error: 'never' } }));
    assert.deepEqual([buried.attempt, buried.last_error], [1, 'never']);
    await cancelled(server, push(server, 'a', { end: { outcome: 'discard' } }));
    const snoozed = push(server, 'a', { end: { outcome: 'snooze', delay_ms: 60000 } });
    await slowly(() => find(server, snoozed).run_at_ms > Date.now() + 30000, 'a snoozed job');
    assert.deepEqual([find(server, snoozed).attempt, find(server, snoozed).state], [0, SCHEDULED]);
});

test('a crash is no try; the third makes the job dead as poison, with the signal and where it was', async (t) => {
    const server = shared;
    const mark = own(t, 'mark');
    const job = await dead(server, push(server, 'a', { mark, progress: 70, signal: 11 }));
    assert.deepEqual([job.attempt, job.crash], [0, 3]);
    assert.equal(job.last_error, 'poison: killed by signal 11 (SIGSEGV), at 70 % малюю');
    assert.equal(new Set(lines(mark).map((l) => l.split(' ')[3])).size, 3, 'a new process each time');
    const left = await dead(server, push(server, 'a', { stderr: 'бо так', exit: 3 }));
    assert.equal(left.last_error, 'poison: ended with status 3 and no answer: бо так');
    await gone(server, push(server, 'a', {}));
});

test('a job that takes too long is killed with its children, and tried again', async (t) => {
    const server = shared;
    const child = own(t, 'child');
    const job = await dead(server, push(server, 'once', { progress: 5, child, sleep: 600 }));
    assert.deepEqual([job.attempt, job.crash, job.last_error], [1, 0, 'timed out after 5000 ms, at 5 % малюю']);
    await until(() => !isAlive(Number(readFileSync(child, 'utf8'))), 'the child of the handler to be dead');
    await gone(server, push(server, 'once', {}));
});

test('runaway memory and CPU time meet their limits, and the server does not notice', async (t) => {
    const server = shared;
    const memory = await dead(server, push(server, 'memory', { memory: 1024 }));
    assert.match(memory.last_error, /^poison: ended with status 1 and no answer: MemoryError/);
    const cpu = await dead(server, push(server, 'cpu', { burn: true }));
    assert.equal(cpu.last_error, 'poison: killed by signal 24 (SIGXCPU)');
    await gone(server, push(server, 'memory', { memory: 8 }));
});

test('nonsense ends a process, and is an error of the job', async (t) => {
    const server = shared;
    for (const [garbage, expected, times] of [
        ['hello\n', /nonsense from the handler: it is not a JSON object: hello/],
        ['{"type":"end","id":999999,"outcome":"done"}\n', /the id is of another job/],
        ['{"type":"boo","id":1}\n', /type must be/],
        ['x', /an endless line/, 200000],
        ['\u0001\u001b[31m\n', /\?\?\[31m/],
    ]) {
        const job = await dead(server, push(server, 'once', { garbage, times }));
        assert.match(job.last_error, expected);
        assert.equal(job.crash, 0);
    }
    await gone(server, push(server, 'once', {}));
});

test('a process is replaced after max_jobs', async (t) => {
    const server = shared;
    const mark = own(t, 'mark');
    const ids = Array.from({ length: 5 }, () => push(server, 'two', { mark }));
    for (const id of ids) await gone(server, id);
    assert.equal(new Set(lines(mark).map((l) => l.split(' ')[3])).size, 3);
});

test('kill -9 of the server takes all processes along, and the jobs run again', async (t) => {
    const server = await start(t, [{ kind: 'a', program, concurrency: 2 }]);
    const mark = server.file('mark'), child = server.file('child');
    const ids = [push(server, 'a', { mark, sleep: 600 }), push(server, 'a', { mark, child, sleep: 600 })];
    await until(() => lines(mark).length === 2 && existsSync(child) && readFileSync(child, 'utf8'), 'two running jobs');
    const pids = [...lines(mark).map((l) => Number(l.split(' ')[3])), Number(readFileSync(child, 'utf8'))];
    assert.ok(pids.every(isAlive));
    await server.kill9();
    await until(() => !pids.some(isAlive), 'all of them to be dead');
    sql(server, `UPDATE job SET payload = '{}'`);
    await server.restart();
    for (const id of ids) await gone(server, id);
});

test('quick jobs do not wait for as long as the slow ones before them would have taken', async (t) => {
    const server = await start(t, [{ kind: 'lane', program }]);
    const pushAll = (payload, count) =>
        assert.equal(runViche(['queue', 'push', 'lane', JSON.stringify(payload), '--count', `${count}`, '--data', server.dataDir]).status, 0);
    pushAll({ sleep: 0.6 }, 3);
    pushAll({}, 500); // there is no place in line for most: they go back until their turn
    await slowly(() => sql(server, 'SELECT count(*) AS n FROM job')[0].n === 0, 'all to be done');
});

test('SIGTERM gives a job its time, then hands it back, not as a try', async (t) => {
    const server = await start(t, [{ kind: 'a', program, concurrency: 2, grace: 1 }], { args: ['--drain', '3s'] });
    const mark = server.file('mark');
    const quick = push(server, 'a', { mark, sleep: 0.5 }), long = push(server, 'a', { mark, sleep: 600 });
    await until(() => lines(mark).length === 2, 'two running jobs');
    const pids = lines(mark).map((l) => Number(l.split(' ')[3]));
    const begun = Date.now();
    await server.end({ keep: true });
    assert.ok(Date.now() - begun < 15000);
    assert.equal(find(server, quick), undefined, 'the quick one was done');
    const job = find(server, long);
    assert.deepEqual([job.state, job.attempt, job.crash], [READY, 0, 0]);
    await until(() => !pids.some(isAlive), 'its processes to be dead');
    server.cleanup();
});

test('a cancelled job is asked to give up, and then killed', async (t) => {
    const server = shared;
    const mark = own(t, 'mark'), told = own(t, 'told');
    const polite = push(server, 'pair', { mark, wait_cancel: told }), deaf = push(server, 'pair', { mark, sleep: 600 });
    await until(() => lines(mark).length === 2, 'two running jobs');
    sql(server, `INSERT INTO job_run (job_id, cancel_at_ms) VALUES (${polite}, 1), (${deaf}, 1)`);
    await cancelled(server, polite);
    await cancelled(server, deaf);
    assert.equal(readFileSync(told, 'utf8'), 'cancelled');
    const row = lines(mark).map((line) => line.split(' ')).find((r) => Number(r[0]) === deaf);
    assert.ok(!isAlive(Number(row[3])));
});

test('a run that lost its job is killed, and says nothing more', async (t) => {
    const server = shared;
    const mark = own(t, 'mark');
    const id = push(server, 'a', { mark, sleep: 600 });
    await until(() => lines(mark).length === 1, 'a running job');
    sql(server, `UPDATE job SET epoch = epoch + 1, payload = '{}' WHERE id = ${id}`);
    await until(() => !isAlive(Number(lines(mark)[0].split(' ')[3])), 'its process to be dead');
    await gone(server, id);
});

test('a program that cannot be started costs no try', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'viche-runner-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const own = join(folder, 'own.sh');
    const script = '#!/bin/sh\nwhile read -r line; do\n  id=${line#*\\"id\\":}; id=${id%%,*}\n' +
        '  printf \'{"type":"end","id":%s,"outcome":"done"}\\n\' "$id"\ndone\n';
    writeFileSync(own, script, { mode: 0o700 });
    const server = await start(t, [{ kind: 'a', program: [own] }]);
    rmSync(own);
    const id = push(server, 'a', {});
    await until(() => server.log().includes('at=runner_process.start kind=a why="No such file or directory"'), 'the log');
    writeFileSync(own, script, { mode: 0o700 });
    await gone(server, id);
});

test('jobs of a queue of its own', async (t) => {
    const server = shared;
    await gone(server, push(server, 'm', {}, 'media'));
    const job = await dead(server, push(server, 'm', {}));
    assert.match(job.last_error, /no handler for jobs of kind m/);
});

test('a hundred slow jobs of one kind hold up no other', async (t) => {
    const server = await start(t, [{ kind: 'slow', program }, { kind: 'quick', program }]);
    sql(server, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
        INSERT INTO job (kind, payload, queue, run_at_ms, created_at_ms) SELECT 'slow', '{"sleep":0.5}', 'default', ${Date.now()}, ${Date.now()} FROM n`);
    await gone(server, push(server, 'quick', {}));
    assert.ok(sql(server, `SELECT count(*) AS n FROM job WHERE kind = 'slow'`)[0].n > 75);
});

/** A receiver whose answer(request, response, n) may be replaced. */
async function receiver(t, answer) {
    const r = { posts: [], answer };
    const http = createServer((request, response) => {
        let body = '';
        request.on('data', (part) => (body += part));
        request.on('end', () => {
            r.posts.push({ headers: request.headers, path: request.url, body });
            r.answer(request, response, r.posts.length);
        });
    });
    http.keepAliveTimeout = 0; // whether a connection is kept is the server's matter here
    await new Promise((done) => http.listen(0, '127.0.0.1', done));
    r.url = `http://127.0.0.1:${http.address().port}/jobs`;
    t.after(() => {
        http.closeAllConnections();
        return new Promise((done) => http.close(done));
    });
    return r;
}

test('a job is a POST whose answer says how it went', async (t) => {
    const r = await receiver(t, (request, response, n) => {
        if (n === 1) response.writeHead(503, { 'Retry-After': '1' });
        response.end('{"made":7}');
    });
    const server = await start(t, [{ kind: 'mail.send', url: r.url, private: true, headers: { Authorization: 'Bearer x' } }]);
    const id = push(server, 'mail.send', { to: 'їжак' });
    await gone(server, id);
    assert.equal(r.posts.length, 2);
    const [first, second] = r.posts.map((p) => p.headers);
    assert.deepEqual(JSON.parse(r.posts[0].body), { to: 'їжак' });
    assert.equal(first['content-type'], 'application/json');
    assert.equal(first.authorization, 'Bearer x');
    assert.equal(first['viche-job-id'], String(id));
    assert.equal(first['viche-job-kind'], 'mail.send');
    assert.deepEqual([first['viche-job-attempt'], second['viche-job-attempt']], ['0', '1']);
    assert.ok(Number(second['viche-job-epoch']) > Number(first['viche-job-epoch']));
    assert.match(first['idempotency-key'], new RegExp(`^"${id}-\\d+"$`));
    assert.equal(first['idempotency-key'], second['idempotency-key']);
    assert.match(first.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    const pushed = runViche(['queue', 'push', 'mail.send', '{}', '--trace', `00-${trace}-00f067aa0ba902b7-00`, '--data', server.dataDir]);
    await gone(server, Number(pushed.stdout));
    assert.match(r.posts[2].headers.traceparent, new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-00$`));
});

test('a receiver that is gone, broken, slow or private', async (t) => {
    const r = await receiver(t, (request, response) => {
        if (request.url === '/jobs/slow') return;
        const [status, body] = { '/jobs/gone': [410, 'бо так'], '/jobs/long': [200, `"${'x'.repeat(1e6)}"`], '/jobs/long.gone': [410, 'x'.repeat(1e6)] }[request.url] ?? [500, 'бо так'];
        response.writeHead(status, { 'Content-Type': 'application/json' });
        response.end(body);
    });
    const server = await start(t, [
        { kind: 'gone', url: `${r.url}/gone`, private: true },
        { kind: 'gone.dead', url: `${r.url}/gone`, private: true, gone: 'dead' },
        { kind: 'broken', url: r.url, private: true, max_attempts: 1 },
        { kind: 'slow', url: `${r.url}/slow`, private: true, max_attempts: 1, timeout: 1 },
        { kind: 'private', url: r.url, max_attempts: 1 },
        { kind: 'long', url: `${r.url}/long`, private: true, keep: 60 },
        { kind: 'long.gone', url: `${r.url}/long.gone`, private: true },
    ]);
    await cancelled(server, push(server, 'gone', {}));
    await cancelled(server, push(server, 'long.gone', {}));
    const long = push(server, 'long', {});
    await slowly(() => find(server, long).state === DONE, 'it to be done, however long the answer');
    assert.deepEqual(sql(server, `SELECT text FROM job_log WHERE job_id = ${long}`), [{ text: 'the answer is too long for a result' }]);
    assert.equal(r.posts.length, 3);
    assert.match((await dead(server, push(server, 'gone.dead', {}))).last_error, /answered 410/);
    assert.equal((await dead(server, push(server, 'broken', {}))).last_error, 'the receiver answered 500: бо так');
    assert.match((await dead(server, push(server, 'slow', {}))).last_error, /timed out/i);
    const before = r.posts.length;
    assert.match((await dead(server, push(server, 'private', {}))).last_error, /private network/);
    assert.equal(r.posts.length, before);
});

test('a connection of a handler that may post to a private network is not used by one that may not', async (t) => {
    const connections = new Set();
    const r = await receiver(t, (request, response) => {
        connections.add(request.socket);
        response.end();
    });
    const server = await start(t, [
        { kind: 'private', url: r.url, private: true },
        { kind: 'public', url: r.url, max_attempts: 1 },
    ]);
    await gone(server, push(server, 'private', {}));
    await gone(server, push(server, 'private', {}));
    assert.equal(connections.size, 1, 'connections are kept');
    assert.match((await dead(server, push(server, 'public', {}))).last_error, /private network/);
    assert.equal(r.posts.length, 2);
});

test('a POST that is on its way ends with the server, and is made again', async (t) => {
    const r = await receiver(t, () => {});
    const server = await start(t, [{ kind: 'a', url: r.url, private: true }], { args: ['--drain', '2s'] });
    const id = push(server, 'a', {});
    await until(() => r.posts.length === 1, 'a post');
    await server.end({ keep: true });
    assert.deepEqual([find(server, id).state, find(server, id).attempt], [READY, 0]);
    server.cleanup();
});

test('a file of handlers with a mistake is refused in a sentence', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'viche-runner-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'handlers.json');
    for (const [handlers, expected] of [
        ['{', 'it is not JSON'],
        ['{}', 'it must be a JSON array of 1 to 200 handlers'],
        [[{ kind: 'a' }], 'handler a: it needs a program or a url, and not both'],
        [[{ kind: 'a', program, url: 'http://x/' }], 'handler a: it needs a program or a url, and not both'],
        [[{ kind: 'a b', program }], 'kind must be a name'],
        [[{ kind: 'a', program, timeuot: 3 }], 'handler a: there is no setting timeuot'],
        [[{ kind: 'a', url: 'http://x/', memory: 3 }], 'handler a: memory is not for a url'],
        [[{ kind: 'a', program, timeout: 0 }], 'handler a: timeout must be a whole number from 1 to 86400'],
        [[{ kind: 'a', program: ['no-such-program'] }], 'handler a: there is no program no-such-program that can be run'],
        [[{ kind: 'a', program: 'python3' }], 'handler a: program must be a list'],
        [[{ kind: 'a', program, directory: '/no/such' }], 'handler a: directory must be one that is there'],
        [[{ kind: 'a', url: 'ftp://x/' }], 'handler a: url must be an http or https address'],
        [[{ kind: 'a', url: 'http://x/', headers: { 'A B': 'c' } }], 'handler a: headers must hold strings'],
        [[{ kind: 'a', url: 'http://x/', headers: { A: 'b\r\nC: d' } }], 'handler a: headers must hold strings'],
        [[{ kind: 'a', program }, { kind: ['b', 'a'], program }], 'a has a handler already'],
        [[{ kind: 'a', program, concurrency: 91 }], 'the programs together may have a concurrency of 90, and not 91'],
    ]) {
        writeFileSync(file, typeof handlers === 'string' ? handlers : JSON.stringify(handlers));
        const r = runViche(['serve', '--data', join(folder, 'data'), '--listen', '127.0.0.1:0', '--handlers', file]);
        assert.equal(r.status, 1, r.stderr);
        assert.ok(r.stderr.includes(`--handlers ${file}: `) && r.stderr.includes(expected), `${r.stderr} has ${expected}`);
    }
});
