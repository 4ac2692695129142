// The client package for recovery, with stock pusher-js and Echo on the real server.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { build } from 'esbuild';
import EchoModule from 'laravel-echo';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import { app, root, startServer, until } from './lib.mjs';

const Echo = EchoModule.default ?? EchoModule;
const PusherClient = PusherClientModule.default ?? PusherClientModule;
const dir = mkdtempSync(join(tmpdir(), 'viche-echo-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const file = join(dir, 'viche-echo.mjs');
await build({ entryPoints: [join(root, 'web/packages/viche-echo/index.ts')], outfile: file, format: 'esm', minify: true, logLevel: 'error' });
const { recover } = await import(file);

async function start(more, dataDir) {
    const apps = join(dir, 'apps.json');
    writeFileSync(apps, JSON.stringify([{ app_id: app.id, key: app.key, secret: app.secret, ...more }]));
    const server = await startServer({ args: ['--loops', '2', '--apps', apps, '--roles', 'hub'], dataDir });
    const backend = new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false });
    return { server, backend };
}

const options = (server) => ({
    cluster: '', wsHost: '127.0.0.1', wsPort: server.port, forceTLS: false, enabledTransports: ['ws'], disableStats: true,
});

/** A recoverable client on one channel: heard numbers, lost codes. */
async function listen(server, channel, authorizer) {
    const pusher = new PusherClient(app.key, { ...options(server), ...(authorizer && { channelAuthorization: authorizer }) });
    const c = { pusher, heard: [], lost: [], recovery: recover(pusher) };
    const room = pusher.subscribe(channel);
    room.bind('n', ({ n }) => c.heard.push(n));
    room.bind('recovery_lost', ({ code }) => c.lost.push(code));
    await until(() => room.subscribed);
    c.goAway = async () => {
        pusher.disconnect();
        await until(() => pusher.connection.state === 'disconnected');
    };
    c.comeBack = async () => {
        pusher.connect();
        await until(() => room.subscribed);
    };
    return c;
}
const upTo = (n) => Array.from({ length: n }, (_, i) => i);

test('the package is smaller than 2 KB', async () => {
    const { outputFiles } = await build({ entryPoints: [join(root, 'web/packages/viche-echo/index.ts')], write: false, minify: true, format: 'esm' });
    assert.ok(outputFiles[0].contents.length < 2048, `${outputFiles[0].contents.length} bytes`);
});

test('what was missed comes after the reconnect, in order, once; what the client sent itself does not', async () => {
    const { server, backend } = await start();
    const authorizer = { customHandler: ({ socketId, channelName }, done) => setTimeout(() => done(null, backend.authorizeChannel(socketId, channelName)), 200) };
    const c = await listen(server, 'private-orders', authorizer);
    const publish = (n, params) => backend.trigger('private-orders', 'n', { n }, params);
    for (const n of [0, 1]) await publish(n);
    await until(() => c.heard.length === 2);
    const own = c.pusher.connection.socket_id;
    await publish(99, { socket_id: own });
    await publish(2);
    await until(() => c.heard.length === 3);
    await c.goAway();
    for (const n of [3, 4]) await publish(n);
    await publish(99, { socket_id: own }); // arrived late: it is of the connection that went
    for (const n of [5, 6]) await publish(n);
    await c.comeBack();
    assert.ok(c.recovery.recovered('private-orders'));
    await until(() => c.heard.length >= 7);
    for (let n = 7; n < 200; n++) await publish(n); // several position frames among them
    await until(() => c.heard.length >= 200);
    assert.deepEqual(c.heard, upTo(200));
    assert.deepEqual(c.lost, []);
    c.pusher.disconnect();
    await server.stop();
});

test('what the server has no more is said to be lost, and the channel goes on', async () => {
    const { server, backend } = await start({ recovery: { max_messages: 5 } });
    const c = await listen(server, 'orders');
    await backend.trigger('orders', 'n', { n: 0 });
    await until(() => c.heard.length === 1);
    await c.goAway();
    for (const n of upTo(10)) await backend.trigger('orders', 'n', { n: 100 + n });
    await c.comeBack();
    await until(() => c.lost.length === 1);
    assert.deepEqual(c.lost, ['position_expired']);
    assert.equal(c.recovery.recovered('orders'), false);
    await backend.trigger('orders', 'n', { n: 1 });
    await until(() => c.heard.length === 2);
    await c.goAway();
    await backend.trigger('orders', 'n', { n: 2 });
    await c.comeBack();
    await until(() => c.heard.length === 3);
    assert.deepEqual(c.heard, upTo(3));
    c.pusher.disconnect();
    await server.stop();
});

test('the kept event of a cache channel is not counted, though the answer behind it never comes', async () => {
    const { server, backend } = await start({ recovery: { max_messages: 2 } });
    const c = await listen(server, 'cache-orders');
    await c.goAway();
    for (const n of upTo(3)) await backend.trigger('cache-orders', 'n', { n }); // the first is gone: position 0 is refused
    const { pusher } = c;
    let broken = 0;
    pusher.connection.bind('message', ({ event }) => {
        if (event === 'n' && broken++ === 0) pusher.connection.disconnect(); // between the two frames
    });
    pusher.connect();
    await until(() => broken === 1 && pusher.connection.state === 'disconnected');
    await c.comeBack();
    await until(() => c.lost.length > 0);
    assert.deepEqual(c.lost, ['position_expired'], 'not taken for a client that had the first');
    pusher.disconnect();
    await server.stop();
});

test('kill -9 in between loses nothing', async () => {
    const dataDir = join(dir, 'killed');
    const { server, backend } = await start({}, dataDir);
    const c = await listen(server, 'orders');
    for (const n of upTo(3)) await backend.trigger('orders', 'n', { n });
    await until(() => c.heard.length === 3);
    const watcher = await listen(server, 'orders'); // it hears what c does not
    await c.goAway();
    for (const n of [3, 4]) await backend.trigger('orders', 'n', { n });
    await until(() => watcher.heard.length === 2);
    await server.kill9();
    await server.restart();
    await c.comeBack();
    await until(() => c.heard.length === 5);
    assert.deepEqual(c.heard, upTo(5));
    await until(() => watcher.pusher.channel('orders').subscribed, 'the watcher to be back');
    await backend.trigger('orders', 'n', { n: 5 });
    await until(() => c.heard.length === 6 && watcher.heard.length === 3);
    assert.deepEqual(watcher.heard, [3, 4, 5]);
    for (const x of [c, watcher]) x.pusher.disconnect();
    await server.stop();
});

test('a server without recovery, and Echo, work as ever', async () => {
    const { server, backend } = await start({ recovery: false });
    const echo = new Echo({ broadcaster: 'reverb', key: app.key, Pusher: PusherClient, ...options(server) });
    const recovery = recover(echo.connector.pusher);
    const heard = [];
    echo.channel('news').listen('.n', ({ n }) => heard.push(n));
    await until(() => echo.connector.pusher.channel('news').subscribed);
    await backend.trigger('news', 'n', { n: 1 });
    await until(() => heard.length === 1);
    assert.equal(recovery.recovered('news'), false);
    echo.leave('news');
    echo.disconnect();
    await server.stop();
});
