// Payloads that are sealed in the file: who has the key runs their jobs, nobody else reads them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { root, runViche, startServer, until, viche } from './lib.mjs';
import { push, queue, queueJson, sql } from './queue_client.mjs';

const SECRET = 'number-4111-1111';
const folder = mkdtempSync(join(tmpdir(), 'viche-seal-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function keyFile(text, mode = 0o600) {
    const file = join(folder, `keys-${files++}`);
    writeFileSync(file, text);
    chmodSync(file, mode);
    return file;
}
const newKey = () => randomBytes(32).toString('hex');
const handlers = join(folder, 'handlers.json');
const program = ['/usr/bin/python3', '-I', '-S', resolve(root, 'tests/integration/handlers/all.py')];
writeFileSync(handlers, JSON.stringify([{ kind: 'pay', program }]));

/** Every byte of the data directory. */
const bytesOf = (dir) =>
    readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name), 'latin1'))
        .join('');
const marks = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1).map((line) => Number(line.split(' ')[0])) : []);

test('a sealed payload reaches its handler, and stands nowhere in clear', async () => {
    const key = newKey(), keys = keyFile(`k1=${key}\n`), mark = join(folder, 'mark');
    const server = await startServer({ args: ['--handlers', handlers, '--seal-keys', keys] });
    const dir = server.dataDir;
    const [later] = push(dir, 'pay', { card: SECRET }, '--seal', '--seal-keys', keys, '--delay-ms', '3600000');
    const done = push(dir, 'pay', { card: SECRET, mark }, '--seal', '--seal-keys', keys, '--count', '5');
    await until(() => marks(mark).length === 5, 'the program to have them');
    assert.deepEqual(marks(mark).sort((a, b) => a - b), done);
    assert.deepEqual(sql(dir, `SELECT seal FROM job_option WHERE job_id = ${later}`), [{ seal: 'k1' }]);
    await server.stop({ keep: true });
    assert.ok(!bytesOf(dir).includes(SECRET), 'the data directory');
    assert.ok(!server.log().includes(SECRET) && !server.log().includes(key), 'the log');
    rmSync(dir, { recursive: true });
});

test('a process without the key leaves the job to one that has it, also under a new first key', async (t) => {
    const k1 = newKey(), mark = join(folder, 'mark-2');
    const server = await startServer({ args: ['--handlers', handlers] });
    const dir = server.dataDir;
    const [id] = push(dir, 'pay', { card: SECRET, mark }, '--seal', '--seal-keys', keyFile(`k1=${k1}`));
    await until(() => server.log().includes('sealed with key k1'), 'the server to see that it has no key');
    await server.stop({ keep: true });
    assert.deepEqual(marks(mark), []);
    const rotated = keyFile(`# new\nk2=${newKey()}\nk1=${k1}\n`);
    const worker = spawn(viche, ['worker', '--data', dir, '--handlers', handlers, '--seal-keys', rotated], { stdio: 'ignore' });
    t.after(() => worker.kill('SIGKILL'));
    const ended = new Promise((done) => worker.on('exit', done));
    await until(() => marks(mark).includes(id), 'the worker to do it');
    worker.kill('SIGTERM');
    assert.equal(await ended, 0);
    rmSync(dir, { recursive: true });
});

test('SIGHUP reads the keys anew; a broken file leaves those that there are', async () => {
    const [k1, k2] = [newKey(), newKey()], mark = join(folder, 'mark-3');
    const file = keyFile(`k1=${k1}`);
    const server = await startServer({ args: ['--handlers', handlers, '--seal-keys', file] });
    const dir = server.dataDir;
    const pushed = (key) => push(dir, 'pay', { card: SECRET, mark }, '--seal', '--seal-keys', keyFile(key))[0];
    const done = [];
    const isDone = async (id) => {
        done.push(id);
        await until(() => marks(mark).includes(id), `job ${id} to run`);
    };
    writeFileSync(file, `k2=${k2}\nk1=${k1.slice(1)}`);
    server.child.kill('SIGHUP');
    await until(() => /at=app.reload what=seal-keys why=.*64 hex digits/.test(server.log()), 'the refusal');
    await isDone(pushed(`k1=${k1}`));
    writeFileSync(file, `k2=${k2}\nk1=${k1}`);
    server.child.kill('SIGHUP');
    await until(() => /at=app.reload what=seal-keys\n/.test(server.log()), 'the new keys');
    await isDone(pushed(`k2=${k2}`));
    await isDone(pushed(`k1=${k1}`));
    assert.deepEqual(marks(mark), done, 'each once');
    assert.ok(![k1, k2].some((key) => server.log().includes(key.slice(0, 8))), server.log());
    await server.stop();
});

test('keys that others may read, broken keys and no keys are refused, and never shown', () => {
    const key = newKey(), dir = join(folder, 'data');
    const sealed = ['queue', 'push', 'pay', '{}', '--seal', '--data', dir];
    for (const [file, why] of [
        [keyFile(`k1=${key}`, 0o640), /chmod 600/],
        [keyFile(`k1=${key}`, 0o604), /chmod 600/],
        [keyFile(`k1=${key}0`), /64 hex digits/],
        [keyFile(`k1=${key}\nk1=${key}`), /two keys have one id/],
        [keyFile(''), /there is no key/],
        [folder, /others may read it|no file/],
        [join(folder, 'nowhere'), /No such file/],
    ])
        for (const args of [['worker', '--data', dir], sealed]) {
            const r = runViche([...args, '--seal-keys', file]);
            assert.ok(r.status > 0, file);
            assert.match(r.stderr, why);
            assert.ok(!r.stderr.includes(key.slice(0, 8)), r.stderr);
        }
    assert.match(runViche(sealed).stderr, /no --seal-keys FILE/);
    assert.deepEqual(sql(dir, 'SELECT count(*) AS n FROM job'), [{ n: 0 }]);
});

test('a payload may come from the standard input, and no error repeats it', () => {
    const dir = join(folder, 'stdin'), keys = keyFile(`k1=${newKey()}`);
    const pushed = (input, ...args) => spawnSync(viche, ['queue', 'push', 'pay', '-', '--data', dir, ...args], { input, encoding: 'utf8' });
    const sealed = pushed(`{"card":"${SECRET}"}\n`, '--seal', '--seal-keys', keys);
    assert.equal(sealed.status, 0, sealed.stderr);
    assert.ok(!bytesOf(dir).includes(SECRET));
    assert.equal(pushed(' [1,2]\n').status, 0);
    assert.deepEqual(sql(dir, 'SELECT payload FROM job WHERE id = 2'), [{ payload: '[1,2]' }]);
    assert.equal(pushed(`"${'x'.repeat(65534)}"\n`).status, 0);
    for (const [input, why] of [[`{"card":"${SECRET}}`, /not JSON/], ['', /not JSON/], [`"${'x'.repeat(65535)}"`, /more than 65536 bytes/]]) {
        const r = pushed(input, '--seal', '--seal-keys', keys);
        assert.equal(r.status, 2, r.stderr);
        assert.match(r.stderr, why);
        assert.ok(!r.stderr.includes(SECRET), r.stderr);
    }
    for (const args of [['queue', 'push', 'pay', `${SECRET}`], ['queue', 'periodic', 'add', 'p', '@daily', 'pay', SECRET]]) {
        const r = runViche([...args, '--data', dir]);
        assert.match(r.stderr, /not JSON/);
        assert.ok(!r.stderr.includes(SECRET), r.stderr);
    }
});

test('list and show hide named fields, and every sealed payload', () => {
    const dir = join(folder, 'shown'), keys = keyFile(`k9=${newKey()}`), later = ['--delay-ms', '3600000'];
    const payload = { user: { Password: SECRET, name: 'Ada' }, cards: [{ number: SECRET }], long: 'x'.repeat(3000), token: SECRET };
    const [plain] = push(dir, 'a', payload, ...later);
    const [sealed] = push(dir, 'a', { name: SECRET }, '--seal', '--seal-keys', keys, ...later);
    const rules = ['--redact', 'password,cards.number,token'];
    const shown = { ...payload, user: { Password: '…', name: 'Ada' }, cards: [{ number: '…' }], token: '…' };
    assert.deepEqual(queueJson(dir, 'show', `${plain}`, ...rules).payload, shown);
    assert.deepEqual(queueJson(dir, 'show', `${plain}`, '--redact', '').payload, payload);
    assert.equal(queueJson(dir, 'show', `${plain}`).payload.user.Password, '…', 'by default');
    for (const args of [rules, ['--redact', '']])
        assert.equal(queueJson(dir, 'show', `${sealed}`, ...args).payload, 'sealed with key k9');
    for (const text of [queue(dir, 'list', ...rules), queue(dir, 'list', '--json', ...rules), queue(dir, 'show', `${plain}`, ...rules)]) {
        assert.ok(!text.includes(SECRET), text);
        assert.ok(text.includes('Ada'), text);
    }
    assert.match(queue(dir, 'list'), /sealed with key k9/);
    assert.match(queue(dir, 'list', '--redact', ''), new RegExp(SECRET));
    const wrong = runViche(['queue', 'list', '--data', dir, '--redact', 'a..b']);
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /--redact: names of fields/);
});
