// A disk that fails under a running server, a worker and a command (bad_disk.c): what is acknowledged stays, every effect
// happens once, and who must mend the disk reads what is wrong with it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { root, runViche, startServer, until, viche } from '../integration/lib.mjs';
import { effects, push, queueJson, sql } from '../integration/queue_client.mjs';

const own = mkdtempSync(join(tmpdir(), 'viche-bad-disk-'));
after(() => rmSync(own, { recursive: true, force: true }));
const library = join(own, 'bad_disk.so');
const compiled = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-D_GNU_SOURCE', '-o', library, join(root, 'tests/chaos/bad_disk.c')], { encoding: 'utf8' });
assert.equal(compiled.status, 0, compiled.stderr);

/** A folder with a database, and its disk: env for who shall use it, fail('write ENOSPC'), heal(). */
function newDisk() {
    const dir = mkdtempSync(join(own, 'data-'));
    const order = join(own, `order-${dir.slice(-6)}`);
    writeFileSync(order, '');
    const disk = { dir, env: { LD_PRELOAD: library, BAD_DISK: order }, fail: (what) => writeFileSync(order, what) };
    disk.heal = () => disk.fail('');
    push(dir, 'test.effect', { id: 'first' }, '--queue', 'none'); // makes the database
    return disk;
}

const pushOn = (disk, ...args) => runViche(['queue', 'push', 'test.effect', '{"id":"x"}', '--data', disk.dir, ...args], { env: disk.env });
const waiting = (dir, queue) => queueJson(dir, 'list', '--queue', queue).jobs.length;

for (const [fault, sentence] of [
    ['write ENOSPC', /the disk is full/],
    ['write EIO', /the disk cannot be written: I\/O error/],
    ['read EIO', /the disk cannot be read: I\/O error|the database cannot be read: the disk fails/],
])
    test(`push says what is wrong with the disk, with status 1, and enqueues nothing: ${fault}`, () => {
        const disk = newDisk();
        disk.fail(fault);
        const { status, stdout, stderr } = pushOn(disk);
        assert.equal(status, 1, stderr);
        assert.equal(stdout, '');
        assert.match(stderr.trim().split('\n').at(-1), sentence);
        disk.heal();
        assert.equal(waiting(disk.dir, 'default'), 0);
        assert.equal(pushOn(disk).status, 0);
        assert.equal(waiting(disk.dir, 'default'), 1);
    });

test('push stops when its sync has failed: no id is printed, and the next one works', () => {
    const disk = newDisk();
    disk.fail('sync EIO');
    const { status, signal, stdout, stderr } = pushOn(disk);
    assert.ok(status !== 0 || signal, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /fsync failed: stopping/);
    disk.heal();
    const next = pushOn(disk); // what the kernel alone has of the log
    assert.equal(next.status, 0, next.stderr);
    assert.match(next.stderr, /why="a sync had failed: the log is written anew"/);
    assert.ok([1, 2].includes(waiting(disk.dir, 'default')), 'the one that was not acknowledged may be there');
    assert.doesNotMatch(pushOn(disk).stderr, /written anew/);
});

test('push says so also when the disk is full at the commit', async () => {
    const disk = newDisk();
    const worker = await startWorker({ ...disk, env: {} }); // has the database open, on a disk that works
    disk.fail('write ENOSPC');
    const { status, stdout, stderr } = pushOn(disk, '--queue', 'none');
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /0 of 1 jobs are enqueued, then: the disk is full$/m);
    disk.heal();
    assert.equal(waiting(disk.dir, 'none'), 1); // the first
    await worker.stop();
});

test('queue list says that the disk cannot be read', () => {
    const disk = newDisk();
    disk.fail('read EIO');
    const { status, stderr } = runViche(['queue', 'list', '--data', disk.dir], { env: disk.env });
    assert.equal(status, 1);
    assert.match(stderr, /(the disk|the database) cannot be read/);
});

/** viche worker on the disk: {child, ended, log()}. */
async function startWorker(disk) {
    const child = spawn(viche, ['worker', '--data', disk.dir, '--test-jobs', '--queues', 'q'], {
        stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...disk.env },
    });
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
    const ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
    await until(() => log.includes('at=app_worker.ready'), 'the worker to be ready');
    return { child, ended, log: () => log, stop: () => (child.kill('SIGTERM'), ended) };
}
const startOf = { worker: startWorker, serve: (disk) => startServer({ dataDir: disk.dir, env: disk.env, args: ['--test-jobs'] }) };
const endOf = { worker: (w) => w.stop(), serve: (s) => s.stop({ keep: true }) };
const queueOf = { worker: 'q', serve: 'default' };
const pushTo = (disk, who, ...args) => push(disk.dir, 'test.effect', { id: 'a', sleep_ms: 20 }, '--queue', queueOf[who], '--keep', '1h', ...args);
const left = (dir, queue) => sql(dir, `SELECT count(*) AS n FROM job WHERE queue = '${queue}' AND state <> 5`)[0].n;

/** Each of the jobs has its effect once, and was not tried again because of the disk. */
function checkOnce(dir, ids) {
    assert.equal(sql(dir, 'SELECT max(attempt) AS n FROM job')[0].n, 0);
    assert.deepEqual(effects(dir).map((row) => row.job_id), ids);
    assert.equal(sql(dir, 'PRAGMA integrity_check')[0].integrity_check, 'ok');
}

for (const who of ['worker', 'serve']) {
    for (const fault of ['write ENOSPC', 'write EIO', 'read EIO'])
        test(`${who}: each job has its effect once though the disk fails meanwhile: ${fault}`, async () => {
            const disk = newDisk();
            const process = await startOf[who](disk);
            const ids = pushTo(disk, who, '--count', '20');
            disk.fail(fault);
            await until(() => {
                ids.push(...pushTo(disk, who)); // its own disk works
                return /at=store_sqlite\.\w+ code=/.test(process.log());
            }, 'the disk to fail');
            disk.heal();
            await until(() => left(disk.dir, queueOf[who]) === 0, 'the jobs to be done', 60000);
            checkOnce(disk.dir, ids);
            await endOf[who](process);
        });

    test(`${who}: stops with a clear message when a sync has failed, and goes on after a restart`, async () => {
        const disk = newDisk();
        const process = await startOf[who](disk);
        disk.fail('sync EIO');
        const ids = pushTo(disk, who, '--count', '20'); // its own disk works
        await until(() => process.child.signalCode === 'SIGABRT', 'the process to stop');
        await until(() => /why="fsync failed: stopping, the next start reads the log on disk"/.test(process.log()), 'the message');
        disk.heal();
        const next = await startOf[who](disk);
        await until(() => left(disk.dir, queueOf[who]) === 0, 'the jobs to be done', 60000);
        checkOnce(disk.dir, ids);
        await endOf[who](next);
    });
}
