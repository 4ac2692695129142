// queue_client.mjs -- the queue as an operator uses it: the shell, and sqlite3 for what must be true of the file.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runViche, until } from './lib.mjs';

/** Runs `viche queue ARGS --data DIR`; fails unless it ends with 0. Gives what it printed. */
export function queue(dir, ...args) {
    const r = runViche(['queue', ...args, '--data', dir]);
    assert.equal(r.status, 0, `queue ${args.join(' ')}: ${r.stderr}`);
    return r.stdout;
}

/** The same with --json, parsed. */
export const queueJson = (dir, ...args) => JSON.parse(queue(dir, ...args, '--json'));

/** Enqueues and gives the ids. */
export const push = (dir, kind, payload, ...args) => queueJson(dir, 'push', kind, JSON.stringify(payload), ...args).jobs;

/** The row of one queue in `queue stats --json`; undefined when it has no job. */
export const stats = (dir, name = 'default') => queueJson(dir, 'stats').queues.find((q) => q.name === name);

/** Rows that a statement gives. */
export function sql(dir, statement) {
    const r = spawnSync('sqlite3', ['-readonly', '-json', '-cmd', '.timeout 5000', join(dir, 'viche.db'), statement], { encoding: 'utf8' });
    assert.equal(r.status, 0, r.stderr);
    return r.stdout ? JSON.parse(r.stdout) : [];
}

export const effects = (dir) => sql(dir, 'SELECT job_id, id, at FROM test_effect ORDER BY job_id');

/** Stops the process by SIGSTOP while it does not write: who is stopped in the middle of a transaction stops everybody. */
export async function stopBetweenWrites(child, dir) {
    const tasks = `/proc/${child.pid}/task`;
    const isStopped = (task) => / T \d/.test(readFileSync(join(tasks, task, 'stat'), 'utf8'));
    await until(async () => {
        child.kill('SIGSTOP');
        await until(() => readdirSync(tasks).every(isStopped), 'all its threads to stop');
        const { status } = spawnSync('sqlite3', [join(dir, 'viche.db'), 'BEGIN IMMEDIATE; ROLLBACK']);
        return status === 0 || void child.kill('SIGCONT');
    }, 'a moment between two writes');
}

/** Waits for so many effects; gives them. */
export async function effectsOf(dir, count) {
    await until(() => effects(dir).length >= count, `${count} effects`);
    return effects(dir);
}
