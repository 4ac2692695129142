// The queue from the shell: what scripts and operators rely on.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { runViche, startServer, until } from './lib.mjs';
import { effects, effectsOf, push, queue, queueJson, sql, stats } from './queue_client.mjs';

const dirs = [];
const newDir = () => {
    dirs.push(mkdtempSync(join(tmpdir(), 'viche-queue-')));
    return dirs.at(-1);
};
after(() => dirs.forEach((d) => rmSync(d, { recursive: true, force: true })));
const refused = (args, status, pattern) => {
    const r = runViche(args);
    assert.equal(r.status, status, `${args}: ${r.stderr}`);
    assert.match(r.stderr, /^viche: [^\n]+\n$/);
    assert.match(r.stderr, pattern);
};

test('push makes rows and prints their ids, stats counts them', () => {
    const dir = newDir();
    assert.match(queue(dir, 'push', 'a.kind', '{"n":1}'), /^\d+\n$/);
    const ids = push(dir, 'a.kind', { n: 2 }, '--count', '1203', '--queue', 'mail');
    assert.equal(new Set(ids).size, 1203);
    push(dir, 'a.kind', [], '--queue', 'mail', '--delay-ms', '60000', '--durability', 'normal');
    const rows = sql(dir, "SELECT id, kind, payload FROM job WHERE queue = 'mail' ORDER BY id");
    assert.deepEqual(rows.slice(0, 1203).map((r) => r.id), ids);
    assert.deepEqual([rows[0].kind, rows[0].payload], ['a.kind', '{"n":2}']);
    const all = queueJson(dir, 'stats').queues;
    assert.deepEqual(all.map((q) => q.name), ['default', 'mail']);
    assert.deepEqual(Object.keys(all[1]), ['name', 'ready', 'scheduled', 'running', 'dead', 'oldest_ready_ms']);
    assert.deepEqual({ ...all[1], oldest_ready_ms: 0 }, { name: 'mail', ready: 1203, scheduled: 1, running: 0, dead: 0, oldest_ready_ms: 0 });
    assert.ok(all[1].oldest_ready_ms > 0 && all[1].oldest_ready_ms < 60000, `${all[1].oldest_ready_ms}`);
    assert.match(queue(dir, 'stats'), /name +ready +scheduled[^\n]*\n[^\n]+\nmail +1203 +1 /);
});

test('what push cannot take is wrong usage, and nothing is enqueued', () => {
    const dir = newDir();
    runViche(['migrate', '--data', dir]);
    refused(['queue', 'push', 'kind', '{"a":', '--data', dir], 2, /not JSON/);
    refused(['queue', 'push', '', '{}', '--data', dir], 2, /kind/);
    refused(['queue', 'push', 'kind', '{}', '--durability', 'fast', '--data', dir], 2, /full or normal/);
    refused(['queue', 'push', 'kind', JSON.stringify('x'.repeat(64 * 1024)), '--data', dir], 2, /65536 bytes/);
    refused(['queue', 'push', 'kind', '--data', dir], 2, /usage: viche queue push KIND JSON/);
    refused(['queue', 'push', 'kind', '{}', 'more', '--data', dir], 2, /usage/);
    refused(['queue', 'push', 'kind', '{}', '--count', '0', '--data', dir], 2, /--count/);
    refused(['queue', 'stats', 'x', '--data', dir], 2, /usage/);
    assert.equal(stats(dir).ready, 0);
    refused(['queue', 'stats', '--data', join(dir, 'none')], 1, /no database/);
});

test('a running server does what is pushed beside it, each effect once', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    const ids = push(dir, 'test.effect', { id: 'a', sleep_ms: 0 }, '--count', '50');
    const [number] = push(dir, 'test.effect', { id: 7 });
    const rows = await effectsOf(dir, 51);
    assert.deepEqual(rows.map((r) => r.job_id), [...ids, number]);
    assert.deepEqual([rows[0].id, rows[50].id], ['a', 7]);
    assert.ok(Math.abs(rows[0].at - Date.now()) < 60000);
    await until(() => sql(dir, "SELECT count(*) AS n FROM job WHERE kind LIKE 'test.%'")[0].n === 0, 'no job to be left');
    await server.stop();
});

test('a delayed job is scheduled, then runs', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    const before = stats(dir).scheduled; // the server's own
    push(dir, 'test.effect', { id: 'far' }, '--delay-ms', '3600000');
    assert.equal(stats(dir).scheduled, before + 1);
    const at = Date.now();
    push(dir, 'test.effect', { id: 'near' }, '--delay-ms', '700');
    const [effect] = await effectsOf(dir, 1);
    assert.equal(effect.id, 'near');
    assert.ok(effect.at >= at + 700, `${effect.at - at} ms`);
    assert.equal(stats(dir).scheduled, before + 1);
    await server.stop();
});

test('stats shows what runs as running, though its claim is only in memory', async () => {
    const server = await startServer({ args: ['--test-jobs', '--workers', '2', '--drain', '100ms'] });
    const dir = server.dataDir;
    push(dir, 'test.sleep', { ms: 20000 }, '--count', '5');
    await until(() => stats(dir).running === 2, 'two to run');
    const now = stats(dir);
    assert.equal(now.ready, 3);
    assert.ok(now.oldest_ready_ms > 0);
    await server.kill9();
    assert.deepEqual([stats(dir).ready, stats(dir).running], [5, 0]);
    server.cleanup();
});

test('metrics tell of each queue what waits, what was done and what failed, by kind', async () => {
    const server = await startServer({ args: ['--test-jobs', '--admin', '127.0.0.1:0'] });
    const dir = server.dataDir;
    const port = server.log().match(/at=app\.admin port=(\d+)/)[1];
    const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const value = (text, name) => Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.slice(name.length + 1));
    push(dir, 'x', {}, '--queue', 'odd"name', '--count', '3');
    push(dir, 'test.effect', { id: 1 }, '--count', '20');
    push(dir, 'test.fail', { times: 2 });
    push(dir, 'unknown', {});
    const expected = {
        'viche_queue_jobs{queue="odd\\"name",state="ready"}': 3,
        'viche_queue_jobs{queue="default",state="dead"}': 1,
        'viche_queue_done_total{queue="default"}': 21,
        'viche_queue_failed_total{queue="default",kind="test.fail"}': 2,
        'viche_queue_failed_total{queue="default",kind=""}': 1,
        'viche_queue_retried_total{queue="default"}': 2,
        'viche_queue_buried_total{queue="default"}': 1,
        'viche_queue_run_seconds_count{queue="default"}': 24,
        'viche_queue_wait_seconds_bucket{queue="default",le="+Inf"}': 24,
        'viche_queue_done_total{queue="webhook"}': 0,
    };
    let text = '';
    const found = () => Object.fromEntries(Object.keys(expected).map((name) => [name, value(text, name)]));
    const agrees = async () => (text = await metrics()) && isDeepStrictEqual(found(), expected); // one number may be told before another
    await until(agrees, 'the numbers').catch(() => assert.deepEqual(found(), expected));
    assert.ok(value(text, 'viche_queue_oldest_ready_seconds{queue="odd\\"name"}') > 0);
    assert.ok(value(text, 'viche_queue_wait_seconds_sum{queue="default"}') > 0);
    await server.stop();
});

test('test.fail fails as often as it says, then succeeds; without end it is dead', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    const [id] = push(dir, 'test.fail', { times: 3 });
    await until(() => sql(dir, `SELECT 1 FROM job WHERE id = ${id}`).length === 0, 'it to succeed');
    const failed = () => server.log().match(new RegExp(`at=queue_worker.failed job=${id} `, 'g'))?.length;
    await until(() => failed() === 3, 'three lines of the log'); // they come by a pipe
    const [bad] = push(dir, 'test.fail', { times: 1000 });
    await until(() => stats(dir).dead === 1, 'it to be dead');
    const [row] = sql(dir, `SELECT attempt, last_error FROM job WHERE id = ${bad}`);
    assert.deepEqual([row.attempt, row.last_error], [20, 'failure 20 of 1000']);
    await server.stop();
});

test('test.crash ends its own process by the signal: no try, and poison after the third', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    for (const [signal, name] of [[9, '9 (SIGKILL)'], ['SIGSEGV', '11 (SIGSEGV)']]) {
        const [id] = push(server.dataDir, 'test.crash', { signal });
        const find = () => sql(server.dataDir, `SELECT * FROM job WHERE id = ${id} AND state = 2`)[0];
        const job = await until(find, 'it to be dead');
        assert.deepEqual([job.attempt, job.crash], [0, 3]);
        assert.equal(job.last_error, `poison: killed by signal ${name}, at 50 % about to crash`);
    }
    await server.stop();
});

test('without --test-jobs there is neither the table nor the kinds', async () => {
    const server = await startServer();
    push(server.dataDir, 'test.effect', { id: 1 });
    await until(() => stats(server.dataDir).dead === 1, 'it to be dead');
    assert.deepEqual(sql(server.dataDir, "SELECT name FROM sqlite_master WHERE name = 'test_effect'"), []);
    await server.stop();
});

test('an effect survives kill -9 between push and run, once', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    const ids = push(dir, 'test.effect', { id: 'k', sleep_ms: 5 }, '--count', '200');
    await until(() => effects(dir).length > 20, 'some effects');
    await server.kill9();
    await server.restart();
    const rows = await effectsOf(dir, 200);
    assert.deepEqual(rows.map((r) => r.job_id), ids);
    await server.stop();
});
