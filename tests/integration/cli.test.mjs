// The command line: what scripts rely on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync, existsSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { api, runViche, startServer, viche } from './lib.mjs';

const dirs = [];
const newDir = () => {
    dirs.push(mkdtempSync(join(tmpdir(), 'viche-cli-')));
    return dirs.at(-1);
};
after(() => dirs.forEach((d) => rmSync(d, { recursive: true, force: true })));
const oneLine = (r) => assert.match(r.stderr, /^viche: [^\n]+\n$/);

test('help lists every command and exits with 0', () => {
    const r = runViche(['--help']);
    assert.equal(r.status, 0, r.stderr);
    for (const word of ['serve', 'user add', 'seed', 'migrate', 'check', 'version']) assert.match(r.stdout, new RegExp(word));
});

test('serve --help lists the options with their defaults', () => {
    const r = runViche(['serve', '--help']);
    assert.equal(r.status, 0, r.stderr);
    assert.match(r.stdout, /--listen/);
    assert.match(r.stdout, /127\.0\.0\.1:8080/);
    assert.match(r.stdout, /--ws-echo/);
});

test('wrong usage exits with 2 and one line that says what to do', () => {
    for (const args of [['fly'], ['serve', '--lisen', '1'], ['serve', '--loops', 'x'], ['user', 'add'], ['seed'], []]) {
        const r = runViche(args);
        assert.equal(r.status, 2, `${args}: ${r.stderr}`);
    }
    for (const args of [['user'], ['user', 'del'], ['hub', '--all']]) {
        const r = runViche(args);
        assert.equal(r.status, 2);
        assert.match(r.stderr, new RegExp(`^viche: .*'${args[0]}`));
        assert.match(r.stderr, args[0] === 'user' ? /\n {2}viche user add +make an account\n$/ : /\n {2}viche hub tail /);
    }
    const group = runViche(['user', '--help']);
    assert.equal(group.status, 0);
    assert.match(group.stdout, /^ {2}viche user add /);
    const names = (text) => text.match(/^ {2}viche queue \S+ \S+/gm);
    const limits = ['list', 'show', 'set', 'clear'].map((name) => `  viche queue limit ${name}`);
    const inner = runViche(['queue', 'limit', '--help']);
    assert.deepEqual([inner.status, names(inner.stdout)], [0, limits]);
    for (const [args, said] of [[['queue', 'limit'], /'queue limit' is the beginning of:/], [['queue', 'limit', 'off'], /there is no command 'queue limit off', but:/]]) {
        const wrong = runViche(args);
        assert.deepEqual([wrong.status, names(wrong.stderr)], [2, limits]);
        assert.match(wrong.stderr, said);
    }
    const r = runViche(['serve', '--loops', 'x']);
    oneLine(r);
    assert.match(r.stderr, /--loops/);
});

test('config prints a file that serve accepts', async () => {
    const r = runViche(['config']);
    assert.equal(r.status, 0);
    const file = join(newDir(), 'viche.conf');
    writeFileSync(file, r.stdout);
    const server = await startServer({ args: ['--config', file] });
    await server.stop();
});

test('version prints a version', () => {
    const r = runViche(['version']);
    assert.equal(r.status, 0);
    assert.match(r.stdout, /^viche \S+/);
});

test('user add makes an account that can log in', async () => {
    const data = newDir();
    const r = runViche(
        ['user', 'add', '--data', data, '--email', 'anna@example.org', '--name', 'Анна', '--password-stdin', '--role', 'member'],
        { input: 'a long password\n' },
    );
    assert.equal(r.status, 0, r.stderr);
    const again = runViche(['user', 'add', '--data', data, '--email', 'Anna@example.org', '--name', 'x', '--password-stdin'], { input: 'a long password' });
    assert.equal(again.status, 1);
    oneLine(again);
    const server = await startServer({ dataDir: data });
    const session = await api(server.url, 'POST', '/api/v1/session', { body: { email: 'anna@example.org', password: 'a long password' } });
    assert.equal(session.status, 201, session.text);
    assert.equal(session.json.user.role, 'member');
    await server.stop();
});

test('user add works while the server runs', async () => {
    const server = await startServer();
    const r = runViche(['user', 'add', '--data', server.dataDir, '--email', 'b@example.org', '--name', 'B', '--password-stdin'], { input: 'a long password' });
    assert.equal(r.status, 0, r.stderr);
    const session = await api(server.url, 'POST', '/api/v1/session', { body: { email: 'b@example.org', password: 'a long password' } });
    assert.equal(session.status, 201, session.text);
    await server.stop();
});

test('a bad e-mail, a short password and an unknown role are refused with a sentence', () => {
    const data = newDir();
    const add = (args, input) => runViche(['user', 'add', '--data', data, '--name', 'x', '--password-stdin', ...args], { input });
    for (const r of [
        add(['--email', 'not an address'], 'a long password'),
        add(['--email', 'a@example.org'], 'short'),
        add(['--email', 'a@example.org', '--role', 'king'], 'a long password'),
        add(['--email', 'a@example.org'], Buffer.from('a long pass\xff', 'latin1')), // nobody could log in with it
    ]) {
        assert.notEqual(r.status, 0);
        oneLine(r);
    }
});

test('seed --demo may be run twice', () => {
    const data = newDir();
    for (const _ of [1, 2]) {
        const r = runViche(['seed', '--demo', '--data', data]);
        assert.equal(r.status, 0, r.stderr);
    }
});

test('migrate says how many it applied, check finds a sound database', () => {
    const data = newDir();
    assert.match(runViche(['migrate', '--data', data]).stdout, /applied/);
    const r = runViche(['check', '--data', data]);
    assert.equal(r.status, 0, r.stderr);
});

test('check of a folder without a database fails and makes nothing', () => {
    const data = join(newDir(), 'none');
    const r = runViche(['check', '--data', data]);
    assert.equal(r.status, 1);
    oneLine(r);
    assert.ok(!existsSync(data));
});

test('an --origin that no browser would send is wrong usage', () => {
    for (const origin of ['viche.example', 'ftp://viche.example', 'https://', 'https://viche.example/', 'https://a b']) {
        const r = runViche(['serve', '--origin', origin, '--data', newDir(), '--listen', '127.0.0.1:0'], { timeout: 120000 });
        assert.equal(r.status, 2, `${origin}: ${r.stderr}`);
        oneLine(r);
    }
});

test('roles that do not exist and addresses that are none are wrong usage', () => {
    const data = newDir();
    for (const args of [['--roles', 'web,hubs'], ['--roles', ','], ['--listen', '8080'], ['--listen', '127.0.0.1:70000'], ['--listen', '::1:8080'], ['--listen', 'x:y']]) {
        const r = runViche(['serve', '--data', join(data, 'none'), ...args], { timeout: 120000 });
        assert.equal(r.status, 2, `${args}: ${r.stderr}`);
        oneLine(r);
        assert.match(r.stderr, new RegExp(args[0]));
    }
    assert.ok(!existsSync(join(data, 'none')), 'nothing was made');
});

test('check says that it may not look, not that there is nothing', () => {
    const data = newDir();
    assert.equal(runViche(['migrate', '--data', data]).status, 0);
    chmodSync(data, 0);
    // To the superuser no directory is closed.
    const nobody = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {};
    const r = runViche(['check', '--data', data], { timeout: 120000, ...nobody });
    chmodSync(data, 0o700);
    assert.equal(r.status, 1, r.stderr);
    oneLine(r);
    assert.match(r.stderr, /cannot look into .*Permission denied/);
    assert.match(runViche(['check', '--data', join(data, 'none')]).stderr, /there is no database/);
});

test('a path for --ws-echo that no request could ask for is wrong usage', () => {
    for (const path of ['echo', '/', '/a//b', '/{x}', '/a b', '/e?x', '/e/']) {
        const r = runViche(['serve', '--ws-echo', path, '--data', newDir(), '--listen', '127.0.0.1:0'], { timeout: 120000 });
        assert.equal(r.status, 2, `${path}: ${r.stderr}`);
        oneLine(r);
    }
});

test('check of a damaged database says where and exits with 1', () => {
    const data = newDir();
    assert.equal(runViche(['seed', '--demo', '--data', data]).status, 0);
    const file = join(data, 'viche.db');
    const size = statSync(file).size;
    const dd = spawnSync('dd', ['if=/dev/urandom', `of=${file}`, 'bs=4096', 'seek=4', 'count=6', 'conv=notrunc']);
    assert.equal(dd.status, 0);
    assert.equal(statSync(file).size, size);
    const r = runViche(['check', '--data', data]);
    assert.equal(r.status, 1, r.stdout);
    assert.notEqual(r.stderr, '');
});

test('the data directory and its files are for the owner only', async () => {
    const data = join(newDir(), 'data');
    const server = await startServer({ dataDir: data });
    assert.equal(statSync(data).mode & 0o777, 0o700);
    for (const name of ['viche.db', 'viche.db-wal', 'app.json'])
        if (existsSync(join(data, name))) assert.equal(statSync(join(data, name)).mode & 0o077, 0, name);
    await server.stop();
});

test('a taken port is one clear sentence', async () => {
    const other = net.createServer().listen(0, '127.0.0.1');
    await new Promise((done) => other.on('listening', done));
    const r = runViche(['serve', '--data', newDir(), '--listen', `127.0.0.1:${other.address().port}`], { timeout: 120000 });
    assert.equal(r.status, 1, r.stderr);
    assert.match(r.stderr, /port \d+ is taken.*--listen/);
    other.close();
});

test('a second server on the same data directory is refused', async () => {
    const server = await startServer();
    const r = runViche(['serve', '--data', server.dataDir, '--listen', '127.0.0.1:0'], { timeout: 120000 });
    assert.equal(r.status, 1);
    oneLine(r);
    await server.stop();
});

test('a data directory that cannot be made is one clear sentence', () => {
    const dir = newDir();
    writeFileSync(join(dir, 'file'), '');
    for (const data of [join(dir, 'file'), join(dir, 'none', 'deeper')]) {
        const r = runViche(['serve', '--data', data, '--listen', '127.0.0.1:0'], { timeout: 120000 });
        assert.equal(r.status, 1);
        oneLine(r);
        assert.match(r.stderr, /--data/);
    }
    if (process.getuid() !== 0) {
        chmodSync(dir, 0o500);
        assert.equal(runViche(['serve', '--data', dir], { timeout: 120000 }).status, 1);
    }
});

test('a database newer than the binary is refused', () => {
    const data = newDir();
    assert.equal(runViche(['migrate', '--data', data]).status, 0);
    const table = spawnSync('sqlite3', [join(data, 'viche.db'), "SELECT name FROM sqlite_master WHERE name LIKE '%migration%' AND type='table'"], { encoding: 'utf8' }).stdout.trim();
    const cols = spawnSync('sqlite3', [join(data, 'viche.db'), `SELECT group_concat(name) FROM pragma_table_info('${table}')`], { encoding: 'utf8' }).stdout.trim();
    assert.ok(table && cols.includes('number'), `${table}: ${cols}`);
    const change = spawnSync('sqlite3', [join(data, 'viche.db'), `UPDATE ${table} SET number = 9000 WHERE number = (SELECT max(number) FROM ${table})`], { encoding: 'utf8' });
    assert.equal(change.status, 0, change.stderr);
    const r = runViche(['serve', '--data', data, '--listen', '127.0.0.1:0'], { timeout: 120000 });
    assert.equal(r.status, 1, r.stderr);
    assert.match(r.stderr, /newer/);
});

test('options come from the file, the environment and the flags, the later wins', () => {
    const dir = newDir();
    const conf = join(dir, 'viche.conf');
    writeFileSync(conf, 'listen = 127.0.0.1:1\nloops = 99\n');
    let r = runViche(['serve', '--config', conf, '--data', dir], { timeout: 120000 });
    assert.notEqual(r.status, 0);
    assert.match(r.stderr, /loops/);
    r = runViche(['serve', '--config', conf, '--data', dir], { env: { VICHE_LOOPS: '-3' }, timeout: 120000 });
    assert.match(r.stderr, /loops/i);
    r = runViche(['serve', '--config', join(dir, 'none.conf'), '--data', dir], { timeout: 120000 });
    assert.notEqual(r.status, 0);
    assert.match(r.stderr, /none\.conf/);
});

test('a role alone answers /up and leaves the rest out', async () => {
    for (const [role, there, gone] of [
        ['web', '/api/v1/proposals', '/apps/1001/events'],
        ['hub', '/apps/1001/events', '/api/v1/proposals'],
        ['worker', '/up', '/proposals'],
    ]) {
        const server = await startServer({ args: ['--roles', role] });
        assert.equal((await api(server.url, 'GET', '/up')).status, 200, role);
        assert.notEqual((await api(server.url, 'GET', there)).status, 404, `${role} ${there}`);
        assert.equal((await api(server.url, 'GET', gone)).status, 404, `${role} ${gone}`);
        await server.stop();
    }
});

test('SIGTERM ends the server with 0', async () => {
    const server = await startServer();
    await server.stop();
});

test('an output that cannot be written is told, and a stream that is closed leads into no file of ours', () => {
    const dir = newDir();
    const sh = (command) => spawnSync('bash', ['-c', command, 'bash', viche, dir], { encoding: 'utf8', timeout: 60000 });
    const full = sh('"$1" queue push a {} --data "$2" >/dev/full');
    assert.equal(full.status, 1);
    assert.match(full.stderr, /viche: it is done, but the standard output cannot be written\n$/);
    // The descriptors of the server, which has closed ones below those of its files.
    const fds = sh('"$1" serve --listen 127.0.0.1:0 --data "$2" <&- >&- 2>&- & ' +
        'until [ -e "$2/app.json" ]; do sleep 0.1; done; readlink /proc/$!/fd/[012]; kill $!; wait $!');
    assert.deepEqual(fds.stdout.trim().split('\n'), ['/dev/null', '/dev/null', '/dev/null']);
    assert.equal(fds.status, 0, fds.stderr);
});

test('a file over ulimit -f is an error, and nothing is lost of what was there', () => {
    const dir = newDir();
    assert.equal(runViche(['queue', 'push', 'a', '{}', '--data', dir]).status, 0);
    const r = spawnSync('bash', ['-c', 'ulimit -f 2000; "$1" queue push a - --count 1000 --data "$2"', 'bash', viche, dir],
        { input: JSON.stringify('x'.repeat(20000)), encoding: 'utf8', timeout: 60000 });
    assert.equal(r.status, 1, r.stderr);
    assert.match(r.stderr, /viche: 0 of 1000 jobs are enqueued, then: the disk/);
    assert.equal(runViche(['check', '--data', dir]).status, 0);
});
