// Apps of the Pusher protocol: their file, Reverb's variables, and a reload while clients are connected.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hubClient, signedCall } from './hub_client.mjs';
import { runViche, startServer, until, viche } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const dir = mkdtempSync(join(tmpdir(), 'viche-apps-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const keys = (n) => ({ app_id: `id${n}`, key: `key${n}`, secret: `secret${n}` });
/** On an address that no other test uses: nobody takes it before the server does. */
async function freePort(host) {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    return port;
}
let files = 0;
function fileOf(apps) {
    const file = join(dir, `apps-${++files}.json`);
    writeFileSync(file, JSON.stringify(apps));
    return file;
}

async function greeting(server, key, headers, prefix = '') {
    const c = await rawSocket(server.port, `${prefix}/app/${key}`, { headers });
    const first = await c.json();
    return { c, event: first.event, data: JSON.parse(first.data) };
}

test('an app of a file has its own limits, and wrong ones are refused in one sentence', async () => {
    for (const [app, why] of [
        [{ key: 'k', secret: 's' }, /needs the strings app_id, key/],
        [{ ...keys(1), ping_interval: 0 }, /app id1: ping_interval must be a number from 1 to 86400/],
        [{ ...keys(1), ping_interval: '5' }, /app id1: ping_interval must be a number/],
        [{ ...keys(1), strict: 1 }, /app id1: strict must be true or false/],
        [{ ...keys(1), allowed_origins: 'x' }, /allowed_origins must be a list/],
        [{ ...keys(1), allowed_origins: [1] }, /allowed_origins must hold strings/],
        [{ ...keys(1), rate_limiting: [] }, /rate_limiting must be an object/],
        [{ ...keys(1), rate_limiting: { enabled: true, max_attempts: 0 } }, /max_attempts must be a number/],
    ]) {
        const { status, stderr } = runViche(['serve', '--listen', '127.0.0.1:0', '--data', join(dir, 'bad'), '--apps', fileOf([app])]);
        assert.equal(status, 1);
        assert.match(stderr, why);
    }
    const { stderr } = runViche(['serve', '--listen', '127.0.0.1:0', '--data', join(dir, 'bad'), '--apps', fileOf([keys(1), keys(1)])]);
    assert.match(stderr, /another app has its app_id or its key/);

    const server = await startServer({ args: ['--apps', fileOf([{ ...keys(1), app_id: 40000, activity_timeout: 7, max_conections: 5 }])] });
    const { c, data } = await greeting(server, 'key1');
    assert.equal(data.activity_timeout, 7);
    await until(() => /app="40000" key="max_conections" why="no such setting"/.test(server.log()));
    c.destroy();
    await server.stop();
});

test('Reverb\'s variables make one app, with its limits', async () => {
    const server = await startServer({
        env: {
            REVERB_APP_ID: '5', REVERB_APP_KEY: 'envkey', REVERB_APP_SECRET: 'envsecret', REVERB_APP_ACTIVITY_TIMEOUT: '11',
            REVERB_APP_MAX_MESSAGE_SIZE: '30', REVERB_APP_MAX_CONNECTIONS: 'null',
        },
    });
    const { c, data } = await greeting(server, 'envkey');
    assert.equal(data.activity_timeout, 11);
    c.send(frame(TEXT, 'x'.repeat(31)));
    assert.equal(await c.closed(), 1009);
    await server.stop();
    const { status, stderr } = runViche(['serve', '--listen', '127.0.0.1:0', '--data', join(dir, 'bad')], {
        env: { ...process.env, REVERB_APP_ID: '5' },
    });
    assert.equal(status, 1);
    assert.match(stderr, /must be set together/);
});

test('Reverb\'s variables are read as Laravel reads them: quotes, and words in any case', async () => {
    const server = await startServer({
        env: {
            REVERB_APP_ID: '"5"', REVERB_APP_KEY: "'quoted'", REVERB_APP_SECRET: '"envsecret"', REVERB_APP_ACTIVITY_TIMEOUT: '"12"',
            REVERB_APP_MAX_CONNECTIONS: '(NULL)', REVERB_APP_RATE_LIMITING_ENABLED: 'TRUE', REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS: ' 1 ',
            REVERB_APP_RATE_LIMIT_TERMINATE: '(True)', REVERB_SERVER_PATH: '"ws"', REVERB_MAX_REQUEST_SIZE: '5000000',
            REVERB_SCALING_ENABLED: 'true',
        },
    });
    const { c, data } = await greeting(server, 'quoted', undefined, '/ws');
    assert.equal(data.activity_timeout, 12);
    assert.match(server.log(), /key=REVERB_SCALING_ENABLED why="servers do not hear each other/);
    assert.match(server.log(), /key=max_request_size why="more than 1 MiB is not read"/);
    c.send(frame(TEXT, '{"event":"pusher:ping"}'), frame(TEXT, '{"event":"pusher:ping"}'));
    assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    assert.equal(await c.closed(), 4301);
    await server.stop();
    const { status, stderr } = runViche(['serve', '--listen', '127.0.0.1:0', '--data', join(dir, 'bad')], {
        env: { REVERB_APP_ID: '5', REVERB_APP_KEY: 'k', REVERB_APP_SECRET: 's', REVERB_APP_RATE_LIMITING_ENABLED: 'off' },
    });
    assert.equal(status, 1);
    assert.match(stderr, /rate_limiting\.enabled must be true or false/); // to PHP "off" is true
});

test('REVERB_SERVER_HOST and _PORT say where to listen', async () => {
    const host = `127.${1 + (process.pid >> 16 & 127)}.${process.pid >> 8 & 255}.${process.pid & 255}`, port = await freePort(host);
    const data = join(dir, 'address');
    const child = spawn(viche, ['serve', '--data', data], {
        env: { ...process.env, REVERB_SERVER_HOST: host, REVERB_SERVER_PORT: String(port) },
        stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    await until(async () => (await fetch(`http://${host}:${port}/up`).catch(() => null))?.ok);
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
});

test('SIGHUP loads the apps anew and drops nobody but those whose app is gone or disabled', async () => {
    const file = fileOf([keys(1), keys(2), keys(3)]);
    const server = await startServer({ args: ['--loops', '3', '--apps', file] });
    const open = async (n) => Promise.all(Array.from({ length: 6 }, async () => (await greeting(server, `key${n}`)).c));
    const [stay, gone, disabled] = [await open(1), await open(2), await open(3)];

    writeFileSync(file, JSON.stringify([{ ...keys(1), activity_timeout: 99 }, { ...keys(3), enabled: false }, keys(4)]));
    server.child.kill('SIGHUP');
    for (const c of gone) assert.equal(await c.closed(), 4001);
    for (const c of disabled) assert.equal(await c.closed(), 4003);
    for (const c of stay) {
        c.send(frame(TEXT, '{"event":"pusher:ping"}'));
        assert.deepEqual(await c.json(), { event: 'pusher:pong' });
        c.destroy();
    }
    // The loops take them one by one: until a dozen connections in a row have them.
    const says = (key, isIt) => until(async () => {
        for (let i = 0; i < 12; i++) {
            const { c, event, data } = await greeting(server, key);
            c.destroy();
            if (!isIt({ event, data })) return false;
        }
        return true;
    }, `the new apps: ${key}`);
    await says('key1', ({ data }) => data.activity_timeout === 99);
    await says('key4', ({ event }) => event === 'pusher:connection_established');
    await says('key2', ({ data }) => data.code === 4001);
    await says('key3', ({ data }) => data.code === 4003);

    writeFileSync(file, '[{');
    server.child.kill('SIGHUP');
    await until(() => /at=app.reload what=apps why=/.test(server.log()));
    assert.equal((await greeting(server, 'key4')).event, 'pusher:connection_established');
    writeFileSync(file, JSON.stringify([keys(4), keys(1)]));
    server.child.kill('SIGHUP');
    await until(() => /the first app is that of our own pages/.test(server.log()));
    writeFileSync(file, JSON.stringify([keys(1), keys(2)]));
    server.child.kill('SIGHUP');
    await until(async () => (await greeting(server, 'key2')).event === 'pusher:connection_established');
    await server.stop();
});

test('a shorter presence_leave_delay and cache_ttl hold for what is held back and cached already', async () => {
    const own = keys(1);
    const file = fileOf([{ ...own, presence_leave_delay: 3600 }]);
    const server = await startServer({ args: ['--loops', '2', '--apps', file] });
    const [stays, leaves] = [await hubClient(server.port, own), await hubClient(server.port, own)];
    stays.join('presence-a', '{"user_id":1}');
    assert.equal((await stays.json()).event, 'pusher_internal:subscription_succeeded');
    leaves.join('presence-a', '{"user_id":2}');
    assert.equal((await stays.json()).event, 'pusher_internal:member_added');
    leaves.destroy();
    const path = `/apps/${own.app_id}/events`;
    assert.equal((await signedCall(server, 'POST', path, { ...own, body: { name: 'e', channel: 'cache-a', data: 'x' } })).status, 200);
    const kept = async () => {
        const c = await hubClient(server.port, own);
        c.join('cache-a');
        await c.json();
        const { event } = await c.json();
        c.destroy();
        return event;
    };
    assert.equal(await kept(), 'e');

    writeFileSync(file, JSON.stringify([{ ...own, cache_ttl: 1 }]));
    server.child.kill('SIGHUP');
    assert.equal((await stays.json()).event, 'pusher_internal:member_removed');
    await until(async () => (await kept()) === 'pusher:cache_miss');
    stays.destroy();
    await server.stop();
});

test('a smaller max_message_size holds for connections from before the reload too', async () => {
    const file = fileOf([{ ...keys(1), max_message_size: 50000 }]);
    const server = await startServer({ args: ['--loops', '1', '--apps', file] });
    const subscribe = (bytes) =>
        frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'c'.repeat(bytes) } }));
    const { c } = await greeting(server, 'key1');
    c.send(subscribe(40000));
    assert.equal((await c.json()).data.type, 'LimitReached');
    writeFileSync(file, JSON.stringify([{ ...keys(1), max_message_size: 100, activity_timeout: 99 }]));
    server.child.kill('SIGHUP');
    await until(async () => (await greeting(server, 'key1')).data.activity_timeout === 99);
    c.send(subscribe(40000));
    assert.equal(await c.closed(), 1009);
    assert.equal((await greeting(server, 'key1')).event, 'pusher:connection_established');
    await server.stop();
});
