// The checker of the queue's chaos finds what is wrong: each case is a history that keeps the promises, but for one line.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { QueueHistory } from './queue_history.mjs';

const good = {
    producer: 'N 1 2\nE 1 11\nE 2 12\nP 3 1\n',
    worker: 'R 1 11 1 0\nA 1 11 1\nR 2 12 1 0\nF 2\nR 2 12 2 1\nA 2 12 2\n',
    other: '',
    effects: [
        { tag: 1, job_id: 11, epoch: 1 },
        { tag: 2, job_id: 12, epoch: 2 },
    ],
    jobs: [],
};

function faultsOf(t, change) {
    const state = { ...good, ...change };
    const dir = mkdtempSync(join(tmpdir(), 'viche-history-'));
    t.after(() => rmSync(dir, { recursive: true }));
    const history = new QueueHistory();
    for (const name of ['producer', 'worker', 'other']) {
        writeFileSync(join(dir, name), state[name]);
        history.add(join(dir, name));
    }
    return history.faults(state);
}

test('a history that keeps the promises has no faults', (t) => {
    assert.deepEqual(faultsOf(t, {}), []);
    assert.deepEqual(faultsOf(t, { producer: `${good.producer}N 4 5` }), [], 'a line that was cut off');
    assert.deepEqual(faultsOf(t, { producer: `${good.producer}N 4 5\n` }), [], 'a batch that nobody acknowledged');
});

const cases = [
    { why: 'a job is lost', change: { worker: 'R 2 12 2 0\n', effects: [good.effects[1]] }, finds: /^G1: 1 jobs of the batch 1 are lost/ },
    { why: 'a batch is torn', change: { producer: 'N 1 3\n' }, finds: /^G1: of the batch 1 only 2 of 3/ },
    { why: 'a job still waits', change: { jobs: [{ tag: 2, state: 0 }] }, finds: /^G1: tag 2 still waits/ },
    { why: 'a rolled back job ran', change: { producer: 'N 1 1\nE 1 11\nP 2 1\n' }, finds: /^G2: 1 jobs of the batch 2 ran/ },
    { why: 'an effect is there twice', change: { effects: [...good.effects, good.effects[0]] }, finds: /^G3: tag 1 has its effect 2 times/ },
    { why: 'a job is done twice', change: { other: 'A 1 11 1\n' }, finds: /^G3: tag 1 was done twice/ },
    { why: 'an epoch is given twice', change: { other: 'R 1 11 1 0\n' }, finds: /^G3: job 11 was given with epoch 1/ },
    { why: 'an effect is lost after the end', change: { producer: '', effects: [good.effects[1]] }, finds: /^G3: tag 1 was done and has no effect/ },
    { why: 'an effect is a stale worker\'s', change: { effects: [good.effects[0], { tag: 2, job_id: 12, epoch: 1 }] }, finds: /^G3: tag 2 was done by epoch 2, its effect is of 1/ },
    { why: 'an effect is nobody\'s', change: { effects: [good.effects[0], { tag: 2, job_id: 12, epoch: 9 }] }, finds: /^G3: tag 2 has an effect by epoch 9/ },
    { why: 'a crash is counted as a try', change: { other: 'R 1 11 2 1\n' }, finds: /^G5: tag 1 has 1 attempts and failed 0 times/ },
];
for (const { why, change, finds } of cases)
    test(`the checker finds that ${why}`, (t) => {
        const faults = faultsOf(t, change);
        assert.ok(faults.some((fault) => finds.test(fault)), faults.join('\n') || 'it found nothing');
    });
