// The operator's commands of the queue: find, read, change, pause, follow; beside a running server and without one.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runViche, startServer, until, viche } from './lib.mjs';
import { effects, effectsOf, push, queue, queueJson, sql, stats } from './queue_client.mjs';

const dirs = [];
const newDir = () => {
    dirs.push(mkdtempSync(join(tmpdir(), 'viche-queue-')));
    return dirs.at(-1);
};
after(() => dirs.forEach((d) => rmSync(d, { recursive: true, force: true })));
const list = (dir, ...args) => queueJson(dir, 'list', ...args).jobs.map((j) => j.id);
const show = (dir, id) => queueJson(dir, 'show', `${id}`);
const refused = (dir, args, status, pattern) => {
    const r = runViche(['queue', ...args, '--data', dir]);
    assert.equal(r.status, status, `${args}: ${r.stderr}`);
    assert.match(r.stderr, /^viche: [^\n\x00-\x1f\x7f]+\n$/);
    assert.match(r.stderr, pattern);
    return r;
};

test('push takes all that a job can have, and show tells it', () => {
    const dir = newDir();
    const at = Date.now() + 3600000;
    const args = ['--key', 'acme', '--weight', '4', '--priority', '-3', '--unique', 'u', '--unique-until', 'end', '--tag', 'a,b', '--deadline', '+2h',
        '--timeout', '5s', '--max-attempts', '7', '--at', `${at}`, '--keep', '2d', '--trace', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'];
    const [id] = push(dir, 'mail.send', { to: [{ name: 'Олена' }] }, ...args);
    const job = show(dir, id);
    assert.deepEqual(
        [job.state, job.run_at_ms, job.key, job.weight, job.priority, job.unique_key, job.holds_unique_key, job.tags, job.timeout_ms, job.max_attempts, job.keep_ms],
        ['scheduled', at, 'acme', 4, -3, 'u', true, ['a', 'b'], 5000, 7, 2 * 86400000],
    );
    assert.ok(Math.abs(job.deadline_ms - (Date.now() + 7200000)) < 60000);
    assert.equal(job.trace.length, 55);
    assert.deepEqual(job.payload, { to: [{ name: 'Олена' }] });
    assert.deepEqual(push(dir, 'mail.send', {}, '--unique', 'u', '--unique-until', 'end'), [id]);
    const [first] = push(dir, 'a', {}, '--idempotency-key', 'i');
    assert.deepEqual(push(dir, 'a', {}, '--idempotency-key', 'i'), [first]);
    const keyed = show(dir, first);
    assert.equal(keyed.idempotency_key, 'i');
    assert.ok(keyed.idempotency_until_ms > Date.now());
    assert.ok(!('other_idempotency_keys' in keyed) && !('idempotency_key' in job));
    assert.match(queue(dir, 'show', `${first}`), /\nidempotency_key: i\nidempotency_until: 2/);
    push(dir, 'mail.send', {}, '--unique', 'u', '--unique-until', 'end', '--idempotency-key', 'j');
    push(dir, 'mail.send', {}, '--unique', 'u', '--unique-until', 'end', '--idempotency-key', 'k', '--idempotency-for', '2d');
    assert.deepEqual([show(dir, id).idempotency_key, show(dir, id).other_idempotency_keys.map((k) => k.key)], ['k', ['j']]);
    assert.match(queue(dir, 'show', `${id}`), /^id: \d+\nqueue: default\nkind: mail.send\nstate: scheduled\n/);
    refused(dir, ['push', 'a', '{}', '--priority', '101'], 2, /-100 to 100/);
    refused(dir, ['push', 'a', '{}', '--at', 'tomorrow'], 2, /--at: 'tomorrow' is not a time/);
    refused(dir, ['push', 'a', '{}', '--at', '2026-02-30'], 2, /is not a time/);
    refused(dir, ['push', 'a', '{}', '--at', '+1h', '--delay-ms', '5'], 2, /exclude each other/);
    refused(dir, ['push', 'a', '{}', '--unique-until', 'never'], 2, /start or end/);
    for (const [option, value, of] of [['weight', '2', 'key'], ['unique-until', 'start', 'unique'], ['unique-for', '1m', 'unique'], ['idempotency-for', '1d', 'idempotency-key']])
        refused(dir, ['push', 'a', '{}', `--${option}`, value], 2, new RegExp(`--${option} is of a key: say which with --${of}$`, 'm'));
    refused(dir, ['push', 'a', '{}', '--trace', 'xyz'], 2, /traceparent/);
    refused(dir, ['push', 'a', '{}', '--tag', 'two words'], 2, /tag/);
});

test('list finds by every filter, page by page', () => {
    const dir = newDir();
    const plain = push(dir, 'a.kind', { user: { id: 7 } }, '--count', '5');
    const [mail] = push(dir, 'b.kind', { user: { id: 'x=y' } }, '--queue', 'mail', '--tag', 'red', '--key', 'acme');
    const [far] = push(dir, 'a.kind', [1, { deep: null }], '--at', '+3h');
    const newest = [far, mail, ...[...plain].reverse()];
    assert.deepEqual(list(dir), newest);
    assert.deepEqual(list(dir, '--queue', 'mail'), [mail]);
    assert.deepEqual(list(dir, '--kind', 'b.kind'), [mail]);
    assert.deepEqual(list(dir, '--tag', 'red'), [mail]);
    assert.deepEqual(list(dir, '--queue', 'mail', '--key', 'acme'), [mail]);
    assert.deepEqual(list(dir, '--state', 'scheduled'), [far]);
    assert.deepEqual(list(dir, '--state', 'ready'), [...plain, mail]);
    assert.deepEqual(list(dir, '--where', 'user.id=7', '--limit', '2'), [plain[4], plain[3]]);
    assert.deepEqual(list(dir, '--where', 'user.id=x=y'), [mail]);
    assert.deepEqual(list(dir, '--where', '1.deep=null'), [far]);
    assert.deepEqual(list(dir, '--due-after', '+2h'), [far]);
    assert.deepEqual(list(dir, '--created-before', '-1h'), []);
    for (const filter of [[], ['--state', 'ready'], ['--kind', 'a.kind']]) {
        const found = [];
        let next = null;
        do {
            const page = queueJson(dir, 'list', ...filter, '--limit', '2', ...(next ? ['--after', next] : []));
            found.push(...page.jobs.map((j) => j.id));
            next = page.next;
        } while (next);
        assert.deepEqual(found, list(dir, ...filter));
    }
    assert.match(queue(dir, 'list', '--limit', '1'), /^id +state +queue[^\n]+\n[^\n]+\nmore: --after \S+\n$/);
    refused(dir, ['list', '--state', 'asleep'], 2, /--state/);
    refused(dir, ['list', '--key', 'acme'], 2, /--queue/);
    refused(dir, ['list', '--after', '1.2'], 2, /--after/);
    refused(dir, ['list', '--where', 'user'], 2, /--where/);
    refused(dir, ['list', '--batch', '-1'], 2, /--batch/);
    refused(dir, ['list', '--limit', '100000000000000000000'], 2, /--limit/);
});

test('what others wrote does not reach the terminal raw', () => {
    const dir = newDir();
    const nasty = '\u001b[2J\u009b31m\u202e\u007f';
    const [id] = push(dir, 'kind', { text: nasty }, '--unique', nasty);
    sql(dir, 'SELECT 1');
    for (const args of [['list'], ['show', `${id}`], ['list', '--json'], ['show', `${id}`, '--json']]) {
        const out = queue(dir, ...args);
        assert.doesNotMatch(out, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
        if (!args.includes('--json')) assert.doesNotMatch(out, /\u202e/);
    }
    assert.equal(show(dir, id).payload.text, nasty); // but JSON has it exactly
    assert.equal(show(dir, id).unique_key, nasty);
    for (const bad of ['100000000000000000000', '0', '-1', '1e3', '', nasty, '1 OR 1=1'])
        for (const command of ['show', 'retry', 'discard', 'cancel', 'edit'])
            refused(dir, [command, bad, ...(command === 'edit' ? ['--at', 'now'] : [])], 2, /is not the number of a job/);
    refused(dir, ['show', '99999'], 1, /no job 99999/);
});

test('retry, edit, discard and cancel change jobs, each by itself', () => {
    const dir = newDir();
    const ids = push(dir, 'a', { n: 1 }, '--count', '3');
    const r = refused(dir, ['discard', `${ids[0]}`, '12345', `${ids[1]}`, '--json'], 1, /job 12345: there is no such job/);
    assert.deepEqual(JSON.parse(r.stdout).jobs.map((j) => j.done), [true, false, true]);
    assert.equal(show(dir, ids[0]).state, 'cancelled');
    assert.equal(queue(dir, 'retry', `${ids[0]}`), `${ids[0]} is ready\n`);
    assert.equal(queue(dir, 'edit', `${ids[2]}`, '--payload', '{"n":2}', '--at', '2030-01-02T03:04:05+02:00', '--priority', '9'), `${ids[2]} is changed\n`);
    const job = show(dir, ids[2]);
    assert.deepEqual([job.payload, job.run_at_ms, job.priority, job.state], [{ n: 2 }, Date.parse('2030-01-02T01:04:05Z'), 9, 'scheduled']);
    refused(dir, ['edit', `${ids[2]}`], 2, /what to change/);
    refused(dir, ['edit', `${ids[2]}`, '--payload', '{'], 2, /not JSON/);
    refused(dir, ['edit', `${ids[1]}`, '--at', 'now'], 1, /it is over/);
    queue(dir, 'cancel', `${ids[2]}`);
    assert.match(show(dir, ids[2]).errors[0].text, /cancelled by an operator/);
    queue(dir, 'discard', `${ids[2]}`);
    refused(dir, ['show', `${ids[2]}`], 1, /no job/);
    refused(dir, ['retry'], 2, /usage: viche queue retry ID/);
});

test('changes of many say how many they would be, and are done with --yes', () => {
    const dir = newDir();
    push(dir, 'a', {}, '--count', '1203');
    push(dir, 'b', {}, '--count', '2');
    refused(dir, ['discard-all', '--yes'], 2, /say which/);
    refused(dir, ['discard-all', '--kind', 'a'], 1, /it would discard 1203 jobs; --yes does it/);
    assert.equal(stats(dir).ready, 1205);
    assert.equal(queue(dir, 'discard-all', '--kind', 'a', '--yes'), 'discarded 1203 jobs\n');
    assert.equal(stats(dir).ready, 2);
    refused(dir, ['retry-all', '--state', 'cancelled'], 1, /it would retry 1203 jobs/);
    assert.deepEqual(queueJson(dir, 'retry-all', '--state', 'cancelled', '--max', '700', '--yes'), { matched: 700, retried: 700, refused: 0 });
    assert.equal(queue(dir, 'retry-all', '--yes'), 'retried 0 jobs\n'); // none is dead
    assert.equal(queue(dir, 'prune'), 'pruned 0 jobs\n'); // all are kept for a day
    refused(dir, ['prune', '--older-than', '1ms'], 1, /it would prune 503 jobs/);
    assert.equal(queue(dir, 'prune', '--older-than', '1d', '--yes'), 'pruned 0 jobs\n');
    assert.equal(queue(dir, 'prune', '--older-than', '1ms', '--max', '3', '--yes'), 'pruned 3 jobs\n');
    assert.equal(queue(dir, 'prune', '--older-than', '1ms', '--yes'), 'pruned 500 jobs\n');
    assert.equal(sql(dir, 'SELECT count(*) AS n FROM job')[0].n, 702);
    refused(dir, ['prune', '--state', 'ready'], 2, /--state/);
});

test('beside a running server: a pause holds, and what is retried or resumed runs at once', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    queue(dir, 'pause', 'default');
    const [id] = push(dir, 'test.effect', { id: 'p' });
    const [dead] = push(dir, 'test.effect', { id: 'd' });
    queue(dir, 'edit', `${dead}`, '--payload', '{"id":"edited"}');
    queue(dir, 'discard', `${id}`);
    queue(dir, 'resume', 'default');
    assert.deepEqual((await effectsOf(dir, 1)).map((e) => [e.job_id, e.id]), [[dead, 'edited']]);
    queue(dir, 'retry', `${id}`);
    assert.deepEqual((await effectsOf(dir, 2)).map((e) => e.id).sort(), ['edited', 'p']);
    const [bad] = push(dir, 'test.effect', { wrong: 1 }, '--max-attempts', '1');
    await until(() => stats(dir).dead === 1, 'it to be dead');
    assert.equal(show(dir, bad).errors.length, 1);
    queue(dir, 'edit', `${bad}`, '--payload', '{"id":"mended"}');
    queue(dir, 'retry-all', '--yes');
    await effectsOf(dir, 3);
    refused(dir, ['pause', ''], 2, /empty/);
    refused(dir, ['pause', 'two words'], 2, /without spaces/);
    queue(dir, 'pause', 'default', '--for', '1ms');
    push(dir, 'test.effect', { id: 'after' });
    await effectsOf(dir, 4);
    await server.stop();
});

test('what is paused says so', () => {
    const dir = newDir();
    push(dir, 'a', {});
    assert.deepEqual({ ...stats(dir), oldest_ready_ms: 0 },
        { name: 'default', ready: 1, scheduled: 0, running: 0, dead: 0, oldest_ready_ms: 0 });
    queue(dir, 'pause', 'default');
    assert.equal(stats(dir).paused, true);
    assert.match(queue(dir, 'stats'), /^default .* yes *$/m);
    queue(dir, 'pause', 'default', '--until', '2100-01-02T03:04:05Z');
    assert.equal(stats(dir).paused, '2100-01-02T03:04:05Z');
    assert.match(queue(dir, 'stats'), /^default .* 2100-01-02T03:04:05Z *$/m);
    const inJson = (...args) => JSON.parse(queue(dir, ...args, '--json'));
    assert.deepEqual(inJson('pause', 'default', '--until', '2100-01-02'), { name: 'default', paused: '2100-01-02T00:00:00Z' });
    assert.deepEqual(inJson('pause', 'default'), { name: 'default', paused: true });
    assert.deepEqual(inJson('resume', 'default'), { name: 'default', paused: false });
    assert.equal('paused' in stats(dir), false);
    queue(dir, 'periodic', 'add', 'p', '@daily', 'a', '{}');
    queue(dir, 'periodic', 'add', 'q', '@daily', 'a', '{}');
    queue(dir, 'periodic', 'pause', 'p');
    assert.match(queue(dir, 'periodic', 'list'), /^p .* skip +yes/m);
    queue(dir, 'periodic', 'add', 'r', '@daily', 'a', '{"days":1,"key":"x"}');
    assert.deepEqual(queueJson(dir, 'periodic', 'list', '--redact', 'key').periodic.map((p) => p.payload), [{}, {}, { days: 1, key: '…' }]);
    assert.doesNotMatch(queue(dir, 'periodic', 'list'), /^q .* yes/m);
});

test('limits of a queue and of a key are shown, set and cleared', () => {
    const dir = newDir();
    push(dir, 'a', {});
    assert.deepEqual(queueJson(dir, 'limit', 'list'), { queues: [] });
    const none = { max_running: 0, rate: 0, rate_ms: 1000, burst: 1, key_max_running: 0, key_rate: 0, key_rate_ms: 1000, key_burst: 1, keep_done: 0, keep_dead: 0,
        keep_dead_ms: 90 * 86400000, retry_percent: 0 };
    assert.deepEqual(queueJson(dir, 'limit', 'show', 'mail'), { name: 'mail', ...none, keys: [] });
    const set = queueJson(dir, 'limit', 'set', 'mail', '--running', '3', '--rate', '100/5m', '--burst', '10', '--key-running', '1');
    assert.deepEqual(set, { name: 'mail', ...none, max_running: 3, rate: 100, rate_ms: 300000, burst: 10, key_max_running: 1, keys: [] });
    const more = queueJson(dir, 'limit', 'set', 'mail', '--rate', '7/s', '--keep-dead', '50', '--keep-dead-for', '30d', '--retry-percent', '20');
    assert.deepEqual(more, { ...set, rate: 7, rate_ms: 1000, keep_dead: 50, keep_dead_ms: 30 * 86400000, retry_percent: 20 }, 'the others stay');
    const key = { key: 'acme', max_running: null, rate: 2, rate_ms: 60000, burst: 1, running: 0, waiting: 0 };
    assert.deepEqual(queueJson(dir, 'limit', 'set', 'mail', '--key', 'acme', '--rate', '2/m'), key);
    assert.deepEqual(queueJson(dir, 'limit', 'list').queues, [{ ...more, keys: [key] }]);
    assert.match(queue(dir, 'limit', 'show', 'mail', '--key', 'acme'), /^key: acme\nmax_running: null\nrate: 2\n/);
    queue(dir, 'limit', 'clear', 'mail', '--key', 'acme');
    refused(dir, ['limit', 'show', 'mail', '--key', 'acme'], 1, /the key 'acme' of the queue 'mail' has no limits of its own/);
    queue(dir, 'limit', 'clear', 'mail');
    assert.deepEqual(queueJson(dir, 'limit', 'list'), { queues: [] });
    for (const [args, why] of [[[], /say what to set/], [['--running', '-1'], /--running: '-1' is not a number from 0/], [['--rate', '5/'], /not a rate like/],
        [['--rate', '5/0s'], /not a rate like/], [['--rate', 'x'], /not a rate like/], [['--retry-percent', '101'], /from 0 to 100/], [['--keep-dead-for', 'x'], /30d/],
        [['--key', 'k', '--keep-dead', '1'], /a key has --running, --rate and --burst alone/], [['--burst', '2'], /--burst is of a rate, and there is none: say which with --rate$/m],
        [['--rate', '1/s', '--key-burst', '2'], /--key-burst is of a rate, and there is none: say which with --key-rate$/m],
        [['--key', 'k', '--running', '1', '--burst', '2'], /say which with --rate$/m]])
        refused(dir, ['limit', 'set', 'mail', ...args], 2, why);
    refused(dir, ['limit', 'set', 'two words', '--running', '1'], 2, /without spaces/);
    assert.deepEqual(queueJson(dir, 'limit', 'list'), { queues: [] });
});

test('limits hold for a running server as soon as they are set, and no longer than that', async () => {
    const server = await startServer({ args: ['--test-jobs', '--workers', '4', '--drain', '100ms'] });
    const dir = server.dataDir;
    queue(dir, 'limit', 'set', 'default', '--running', '1');
    const [slow] = push(dir, 'test.sleep', { ms: 600000 });
    await until(() => show(dir, slow).state === 'running', 'it to run');
    const [next] = push(dir, 'test.effect', { id: 'next' });
    await until(() => show(dir, next).state === 'ready', 'it to be due');
    queue(dir, 'limit', 'clear', 'default');
    assert.deepEqual((await effectsOf(dir, 1)).map((e) => e.job_id), [next]);
    queue(dir, 'limit', 'set', 'default', '--key', 'acme', '--running', '1');
    const [held] = push(dir, 'test.sleep', { ms: 600000 }, '--key', 'acme');
    await until(() => show(dir, held).state === 'running', 'it to run');
    const [waits] = push(dir, 'test.effect', { id: 'waits' }, '--key', 'acme');
    assert.equal(show(dir, waits).state, 'waiting');
    const { running, waiting } = queueJson(dir, 'limit', 'show', 'default', '--key', 'acme');
    assert.deepEqual([running, waiting], [1, 1]);
    queue(dir, 'limit', 'clear', 'default', '--key', 'acme');
    assert.deepEqual((await effectsOf(dir, 2)).map((e) => e.job_id), [next, waits]);
    assert.deepEqual(list(dir, '--state', 'running'), [slow, held], 'what runs goes on');
    await server.kill9();
});

test('batches are listed, shown and cancelled', () => {
    const dir = newDir();
    const [a, b] = push(dir, 'member', {}, '--queue', 'graph', '--count', '2');
    const r = spawnSync('sqlite3', [join(dir, 'viche.db'), `INSERT INTO job_batch (id, name, total, pending, is_sealed, created_at_ms, finished_at_ms)
        VALUES (7, 'import', 2, 2, 1, 1000, NULL), (8, 'old', 1, 0, 1, 2000, 3000);
        INSERT INTO job_option (job_id, batch_id, needs, keep_ms) VALUES (${a}, 7, 0, 3600000), (${b}, 7, 1, 3600000);
        INSERT INTO job_need (job_id, needs_id) VALUES (${b}, ${a});
        UPDATE job SET options = options | 65 WHERE id IN (${a}, ${b});
        UPDATE job SET state = 4 WHERE id = ${b}`]);
    assert.equal(r.status, 0, `${r.stderr}`);
    const ids = (...args) => queueJson(dir, 'batch', 'list', ...args).batches.map((batch) => batch.id);
    assert.deepEqual([ids(), ids('--unfinished'), ids('--limit', '1'), ids('--after', '8')], [[8, 7], [7], [8], [7]]);
    assert.equal(queueJson(dir, 'batch', 'list', '--limit', '1').next, 8);
    const shown = queueJson(dir, 'batch', 'show', '7');
    assert.deepEqual([shown.name, shown.state, shown.total, shown.pending], ['import', 'running', 2, 2]);
    assert.deepEqual(shown.jobs.map((job) => [job.id, job.state, job.needs]), [[b, 'waiting', [a]], [a, 'ready', []]]);
    assert.match(queue(dir, 'batch', 'show', '7'), /^id: 7\nname: import\nstate: running\n[^]*jobs:\n/);
    assert.equal(queue(dir, 'batch', 'cancel', '7'), 'batch 7 is cancelled\n');
    const over = queueJson(dir, 'batch', 'show', '7');
    assert.deepEqual([over.state, over.pending, over.cancelled, over.jobs.map((job) => job.state)], ['cancelled', 0, 2, ['cancelled', 'cancelled']]);
    queue(dir, 'batch', 'cancel', '7'); // again is harmless
    refused(dir, ['batch', 'cancel', '8'], 1, /batch 8: it is finished/);
    refused(dir, ['batch', 'cancel', '9'], 1, /batch 9: there is none/);
    refused(dir, ['batch', 'show', '9'], 1, /there is no batch 9/);
    refused(dir, ['batch', 'show', 'x'], 2, /'x' is not the number of a batch/);
});

test('what runs is not changed but told; the rest of its queue is', async () => {
    const server = await startServer({ args: ['--test-jobs', '--workers', '1', '--drain', '100ms'] });
    const dir = server.dataDir;
    const ids = push(dir, 'test.sleep', { ms: 600000 }, '--count', '2');
    await until(() => show(dir, ids[0]).state === 'running', 'it to run');
    assert.deepEqual(list(dir, '--state', 'running'), [ids[0]]);
    refused(dir, ['discard', `${ids[0]}`], 1, /it runs; cancel it/);
    refused(dir, ['retry', `${ids[0]}`], 1, /it runs/);
    assert.equal(queue(dir, 'cancel', ...ids.map(String)), `${ids[0]} runs, and is told\n${ids[1]} is cancelled\n`);
    assert.ok(show(dir, ids[0]).cancel_at_ms > 0);
    await server.kill9();
    await server.restart(); // the job is given back, and not tried again
    await until(() => show(dir, ids[0]).state === 'cancelled', 'it to be cancelled');
    assert.deepEqual(effects(dir), []);
    await server.stop();
});

test('tail tells what becomes of jobs, and ends with Ctrl-C', async () => {
    const server = await startServer({ args: ['--test-jobs'] });
    const dir = server.dataDir;
    const child = spawn(viche, ['queue', 'tail', '--queue', 'default', '--json', '--data', dir], { stdio: ['ignore', 'pipe', 'pipe'] });
    after(() => child.kill('SIGKILL'));
    let out = '', told = '';
    child.stdout.on('data', (d) => (out += d));
    child.stderr.on('data', (d) => (told += d));
    const ended = new Promise((done) => child.on('exit', (code) => done(code)));
    await until(() => told.includes('following'), 'tail to follow');
    const [kept] = push(dir, 'test.sleep', { ms: 0 }, '--keep', '1h');
    const [bad] = push(dir, 'test.fail', { times: 1000 }, '--max-attempts', '2');
    const [long] = push(dir, 'test.sleep', { ms: 600000 });
    push(dir, 'test.sleep', { ms: 0 }, '--queue', 'other');
    const events = (id) => out.split('\n').slice(0, -1).map((line) => JSON.parse(line)).filter((e) => e.id === id);
    const until_ = (id, event) => until(() => events(id).find((e) => e.event === event), `${event} of ${id}: ${out}`);
    const [late] = push(dir, 'test.fail', { times: 1 }, '--keep', '1h');
    await until_(kept, 'done');
    assert.ok(!('error' in (await until_(late, 'done'))), 'that was of another run');
    assert.match((await until_(bad, 'dead')).error, /^failure \d of 1000$/);
    await until_(long, 'started');
    assert.equal(events(bad)[0].event, 'enqueued');
    assert.ok(out.split('\n').slice(0, -1).every((line) => JSON.parse(line).queue === 'default'));
    queue(dir, 'retry', `${bad}`);
    await until(() => events(bad).at(-1).event !== 'dead' || events(bad).filter((e) => e.event === 'dead').length > 1, 'its second death');
    child.kill('SIGINT');
    assert.equal(await ended, 0);
    await server.kill9();
    server.cleanup();
});
