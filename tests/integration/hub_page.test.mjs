// The operator's page of the hub: what the server thinks of a connection, in words, without a script.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import PusherServer from 'pusher';
import { runViche, startServer, until } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const dir = mkdtempSync(join(tmpdir(), 'viche-hub-page-'));
const apps = [
    { app_id: 'one', key: 'key', secret: 'secret', accept_client_events_from: 'all' },
    { app_id: 'two', key: 'key2', secret: 'secret2', allowed_origins: ['ok.test'] },
];
let server, admin;
before(async () => {
    const file = join(dir, 'apps.json');
    writeFileSync(file, JSON.stringify(apps));
    server = await startServer({ args: ['--roles', 'hub', '--loops', '3', '--apps', file, '--admin', '127.0.0.1:0'] });
    admin = Number(server.log().match(/at=app\.admin port=(\d+)/)[1]);
});
after(async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
});

const backend = () => new PusherServer({ appId: 'one', key: 'key', secret: 'secret', host: '127.0.0.1', port: server.port });

async function connect() {
    const c = await rawSocket(server.port, '/app/key');
    c.id = JSON.parse((await c.json()).data).socket_id;
    c.say = (event, data, channel) => c.send(frame(TEXT, JSON.stringify({ event, data, channel })));
    c.join = async (channel, auth) => {
        c.say('pusher:subscribe', { channel, auth });
        return c.json();
    };
    return c;
}

/** GET on the operator's address. */
function get(path, { headers, port = admin } = {}) {
    return new Promise((resolve, reject) => {
        const r = request({ host: '127.0.0.1', port, path, headers: { Host: 'localhost', 'Accept-Language': 'en', ...headers } }, (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (piece) => (text += piece));
            // In an attribute these two stand as references, which says the same.
            const written = () => text.replace(/&#x2F;/g, '/').replace(/&#x3D;/g, '=');
            response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text: written(), json: () => JSON.parse(text) }));
        });
        r.on('error', reject);
        r.end();
    });
}

const plain = (html) =>
    html
        .replace(/<[^>]*>/g, ' ')
        .replace(/&quot;/g, '"')
        .replace(/&#39;/g, "'")
        .replace(/&lt;/g, '<')
        .replace(/&gt;/g, '>')
        .replace(/&amp;/g, '&')
        .replace(/\s+/g, ' ');
const page = async (id) => plain((await get(`/hub?socket=${id}`)).text);
const frames = async (id) => (await get(`/hub/frames?socket=${id}`)).json().rows;

test('it is on the operator’s address alone, and no foreign name leads to it', async () => {
    const { status, headers, text } = await get('/hub');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    assert.equal(headers['cache-control'], 'no-store');
    assert.match(headers['content-security-policy'], /default-src 'none'/);
    assert.match(text, /^<!doctype html>/);
    assert.equal((await get('/hub', { port: server.port })).status, 404);
    assert.equal((await get('/hub', { headers: { Host: 'evil.test' } })).status, 403);
    for (const [, file] of text.matchAll(/(?:href|src)="(\/static\/[^"]+)"/g)) assert.equal((await get(file)).status, 200, file);
    for (const bad of ['socket=%ff', 'limit=0', 'limit=1001', 'channel=%00']) assert.equal((await get(`/hub?${bad}`)).status, 400, bad);
});

test('a process without pages answers unknown paths for programs', async () => {
    for (const path of ['/', '/nowhere', '/proposals', '/app', '/static/app.css']) {
        const { status, headers, json } = await get(path, { port: server.port, headers: { Accept: 'text/html' } });
        assert.equal(status, 404, path);
        assert.equal(headers['content-type'].split(';')[0], 'application/problem+json', path);
        assert.equal(json().code, 'not-found');
    }
    assert.match((await get('/apps/one/nowhere', { port: server.port })).text, /^Not found/);
});

test('it speaks the reader’s language', async () => {
    assert.match((await get('/hub', { headers: { 'Accept-Language': 'uk' } })).text, /<html lang="uk">[^]*Чому нічого не надходить\?/);
    assert.match((await get('/hub')).text, /<html lang="en">[^]*Why does nothing arrive\?/);
});

test('lists lead to a connection, and are narrowed by app and channel', async () => {
    const a = await connect(), b = await connect();
    await a.join('lists-a');
    await b.join('lists-b');
    const everything = (await get('/hub')).text;
    for (const c of [a, b]) assert.match(everything, new RegExp(`href="/hub\\?socket=${c.id}"`));
    const narrow = (await get('/hub?channel=lists-a')).text;
    assert.ok(narrow.includes(a.id) && !narrow.includes(b.id));
    assert.ok(narrow.includes('href="/hub?channel=lists-a"') && !narrow.includes('lists-b'));
    assert.ok(!(await get('/hub?app=two')).text.includes(a.id));
    assert.match(plain((await get('/hub?limit=1')).text), /1 of \d+ are shown/);
    assert.equal((await get(`/hub?socket=%20${a.id}%20`)).status, 200);
    a.destroy();
    b.destroy();
});

test('a connection that subscribes to nothing is told so; then what it is on and what it got', async () => {
    const c = await connect();
    assert.match(await page(c.id), /subscribes to nothing, so nothing is sent to it/);
    await c.join('room');
    assert.match(await page(c.id), /nothing was published on its channels since it subscribed/);
    await backend().trigger(['room', 'elsewhere'], 'hello', { to: 'all' });
    await c.json();
    const text = await page(c.id);
    assert.match(text, /The server sends all that is published/);
    assert.match(text, /Subscriptions 1 room gets all that is published/);
    assert.match(text, /Waits for the client 0 bytes \/ [\d,]+ bytes/);
    assert.ok(!text.includes('elsewhere'));
    assert.deepEqual(
        (await frames(c.id)).map((f) => [f.way, JSON.parse(f.text).event]),
        [['out', 'hello'], ['out', 'pusher_internal:subscription_succeeded'], ['in', 'pusher:subscribe'], ['out', 'pusher:connection_established']],
    );
    c.destroy();
});

test('what was published before it subscribed, or after it left, is not said to have been sent', async () => {
    const other = await connect(), c = await connect();
    await other.join('since');
    const publish = async (event) => {
        await backend().trigger('since', event, {});
        await other.json();
    };
    const events = async () => (await frames(c.id)).filter((f) => f.is_published).map((f) => JSON.parse(f.text).event);
    await publish('before');
    await c.join('since');
    await publish('during');
    assert.equal((await c.json()).event, 'during');
    assert.deepEqual(await events(), ['during']);
    c.say('pusher:unsubscribe', { channel: 'since' });
    c.say('pusher:ping');
    assert.equal((await c.json()).event, 'pusher:pong');
    await publish('after');
    assert.deepEqual(await events(), []);
    await c.join('since');
    assert.deepEqual(await events(), []);
    other.destroy();
    c.destroy();
});

test('who is left out by socket_id learns why nothing came', async () => {
    const c = await connect();
    await c.join('others');
    await backend().trigger('others', 'mine', {}, { socket_id: c.id });
    const excluded = await until(async () => (await frames(c.id)).find((f) => f.is_excluded), 'the event');
    assert.equal(JSON.parse(excluded.text).event, 'mine');
    assert.match(await page(c.id), /names the client in socket_id .*not sent: the client is named in socket_id/);
    c.destroy();
});

test('a refusal has its reason and what to do, and stays when the connection is gone', async () => {
    const c = await connect();
    await c.join('private-x', 'key:wrong');
    await c.json();
    const refused = /Subscription refused · 401 The connection is unauthorized\. The signature does not match\. Compare the app’s secret/;
    assert.match(await page(c.id), refused);
    assert.match(await page(c.id), /Something was refused to the connection/);
    assert.equal((await get(`/hub/refusals?socket=${c.id}`)).json().total, 1);
    assert.equal((await get('/hub/refusals?channel=private-x&app=one')).json().rows[0].socket_id, c.id);
    assert.equal((await get('/hub/refusals?app=two')).json().total, 0);
    c.destroy();
    await until(async () => (await get(`/hub/connections/${c.id}`)).status === 404, 'the connection to be gone');
    const gone = await get(`/hub?socket=${c.id}`);
    assert.equal(gone.status, 404);
    assert.match(plain(gone.text), /There is no such connection\. It has closed/);
    assert.match(plain(gone.text), refused);
    assert.match(plain(gone.text), /from the client .*"pusher:subscribe"/);
});

test('a refused connection is on the list, with its key or app', async () => {
    await rawSocket(server.port, '/app/nokey').then((r) => r.json());
    await rawSocket(server.port, '/app/key2', { headers: { Origin: 'https://evil.test' } }).then((r) => r.json());
    const text = plain((await get('/hub')).text);
    assert.match(text, /Connection refused · 4001 Application does not exist There is no app with this key\..* key nokey/);
    assert.match(text, /Connection refused · 4009 Origin not allowed The page was opened from another address\. .*allowed_origins/);
});

test('whatever a client sends, the page is whole and is markup of ours alone', async () => {
    const c = await connect();
    const nasty = ['<script>alert(1)</script>', '\0null', '\u001b[2J', 'ї'.repeat(200), '{"event":"<b>\\u0000"}', ''];
    for (const text of nasty) c.send(frame(TEXT, text));
    c.send(frame(2, Buffer.from([0xff, 0xfe, 0x00, 0x22])));
    for (let i = 0; i < nasty.length + 1; i++) await c.json();
    await c.join('<i>"&\'room</i>');
    const { status, text } = await get(`/hub?socket=${c.id}`);
    assert.equal(status, 200);
    for (const markup of ['<script>alert', '<b>\\u', '<i>']) assert.ok(!text.includes(markup), markup);
    assert.ok(text.includes('&lt;script&gt;alert(1)'));
    assert.ok(text.endsWith('</html>\n'));
    assert.ok((await frames(c.id)).every((f) => f.bytes >= 0 && f.text.length <= 136));
    const [, link] = text.match(/href="(\/hub\?channel=[^"]*room[^"]*)"/);
    assert.match((await get(link.replace(/&amp;/g, '&'))).text, /&lt;i&gt;/);
    c.destroy();
});

test('memory of messages is bounded: the last are kept, heartbeats are not', async () => {
    const c = await connect();
    for (let i = 0; i < 700; i++) c.say('pusher:unsubscribe', { channel: `number-${i}` });
    c.say('pusher:ping');
    assert.equal((await c.json()).event, 'pusher:pong');
    const rows = (await get(`/hub/frames?socket=${c.id}&limit=1000`)).json();
    assert.equal(rows.total, 512);
    assert.match(rows.rows[0].text, /number-699/);
    assert.equal((await get('/hub/frames')).status, 400);
    c.destroy();
});

test('viche hub frames says the same from the shell', async () => {
    const c = await connect();
    const r = runViche(['hub', 'frames', '--socket', c.id, '--timeout', '1m', '--data', server.dataDir]);
    assert.equal(r.status, 0, r.stderr);
    assert.match(r.stdout, /^at_ms +way +bytes +text *\n\d+ +out +\d+ +\{"event":"pusher:connection_established"/);
    c.destroy();
});
