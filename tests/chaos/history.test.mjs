// The checker itself is checked: a ruler that cannot show a fault proves nothing.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { History } from './history.mjs';

const ask = (n, more) => ({ t: 'ask', by: 'a', n, user: 1, ...more });
const comment = (n) => ask(n, { key: null, clientId: `a-${n}`, path: '/', body: JSON.stringify({ body: `text ${n}` }), idempotencyKey: `k${n}` });
const answer = (n, status, more = {}) => ({ t: 'answer', by: 'a', n, status, ...more });
const row = (n, id = 100 + n) => ({ id, client_id: `a-${n}`, author_id: 1, proposal_id: 7, body: `text ${n}` });

function historyOf(...lines) {
    const dir = mkdtempSync(join(tmpdir(), 'viche-history-'));
    writeFileSync(join(dir, 'log'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const history = new History();
    history.add(join(dir, 'log'));
    rmSync(dir, { recursive: true });
    return history;
}
const state = (more) => ({ comments: [], registers: new Map(), notifications: [], followers: new Map(), counters: [], jobs: [], ...more });

test('an acknowledged comment that is there once is right, one that is not is lost', () => {
    const history = historyOf(comment(1), answer(1, 201, { id: 101 }));
    assert.deepEqual(history.faults(state({ comments: [row(1)] })), []);
    assert.match(history.faults(state({}))[0], /lost/);
});

test('a comment that is there twice, has another text, id or author, or that nobody wrote is a fault', () => {
    const history = historyOf(comment(1), answer(1, 201, { id: 101 }));
    assert.match(history.faults(state({ comments: [row(1), row(1)] }))[0], /2 times/);
    assert.match(history.faults(state({ comments: [{ ...row(1), body: 'x' }] }))[0], /another text/);
    assert.match(history.faults(state({ comments: [{ ...row(1), author_id: 2 }] }))[0], /another author/);
    assert.match(history.faults(state({ comments: [row(1, 5)] }))[0], /another id/);
    assert.match(history.faults(state({ comments: [row(1), row(9)] }))[0], /nobody/);
});

test('a comment without an answer may be there or not, and can be repeated when it has a key', () => {
    const history = historyOf(comment(1));
    assert.deepEqual(history.faults(state({})), []);
    assert.deepEqual(history.faults(state({ comments: [row(1)] })), []);
    assert.equal(history.repeatable().length, 1);
    history.acknowledge('a-1', 101);
    assert.match(history.faults(state({}))[0], /lost/);
});

test('a refused comment must not be there', () => {
    const history = historyOf(comment(1), answer(1, 503));
    assert.deepEqual(history.faults(state({})), []);
    assert.match(history.faults(state({ comments: [row(1)] }))[0], /refused/);
});

test('a register holds its last acknowledged value or that of a later request without an answer', () => {
    const vote = (n, value) => ask(n, { key: 'vote/5/1', value });
    const history = historyOf(vote(1, 1), answer(1, 200), vote(2, -1), answer(2, 200), vote(3, 0));
    const of = (value) => history.faults(state({ registers: new Map(value === null ? [] : [['vote/5/1', value]]) }));
    assert.deepEqual(of(-1), []);
    assert.deepEqual(of(null), []);
    assert.match(of(1)[0], /is 1, may be -1 or 0/);
    assert.match(history.faults(state({ registers: new Map([['vote/5/1', -1], ['vote/6/1', 1]]) }))[0], /nobody/);
});

test('a lost ballot is a fault', () => {
    const history = historyOf(ask(1, { key: 'ballot/5/1', value: 9 }), answer(1, 201));
    assert.match(history.faults(state({}))[0], /is null, may be 9/);
});

test('counters, waiting jobs, missing and double notifications are faults', () => {
    const history = historyOf(comment(1), answer(1, 201, { id: 101 }));
    const whole = { comments: [row(1)], followers: new Map([[7, [1, 2]]]), notifications: [{ user_id: 2, comment_id: 101 }] };
    assert.deepEqual(history.faults(state(whole)), []);
    assert.match(history.faults(state({ ...whole, notifications: [] }))[0], /was not told/);
    assert.match(history.faults(state({ ...whole, notifications: [...whole.notifications, ...whole.notifications] }))[0], /2 times/);
    assert.match(history.faults(state({ ...whole, counters: [{ what: 'up', id: 1, counter: 2, rows: 1 }] }))[0], /is 2, but/);
    assert.match(history.faults(state({ ...whole, jobs: [{ id: 1, kind: 'x', state: 2 }] }))[0], /still there/);
});
