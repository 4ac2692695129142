// Rubbish on 200 connections while good clients go on.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import test from 'node:test';
import { app, until } from '../integration/lib.mjs';
import { checkPromises, rssMb, startClients, startTown } from './chaos.mjs';

const CONNECTIONS = 200;
const ROUNDS_EACH = 15;
const MAX_GROWTH_MB = 64; // 200 connections at their limits
// AddressSanitizer keeps freed memory to find late uses; too much of it would hide what is measured.
const sanitizer = { ASAN_OPTIONS: 'exitcode=99:detect_leaks=1:quarantine_size_mb=4' };

const upgrade =
    `GET /app/${app.key}?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
const frame = (opcode, payload, { fin = 0x80, mask = 0x80 } = {}) => {
    const bytes = Buffer.from(payload);
    const head = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 255];
    return Buffer.concat([Buffer.from([fin | opcode, mask | head[0], ...head.slice(1)]), mask ? Buffer.alloc(4) : Buffer.alloc(0), bytes]);
};
const post = (fields, body = '') => `POST /api/v1/proposals/1000001/comments HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${body}`;

const rubbish = [
    () => randomBytes(1 + Math.floor(Math.random() * 3000)),
    () => 'GET / HTTP/1.1\r\n\r\n',
    () => 'GET / HTTP/9.9\r\nHost: x\r\n\r\n',
    () => `GET /${'a'.repeat(40000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    () => `GET / HTTP/1.1\r\nHost: x\r\n${'X-A: b\r\n'.repeat(3000)}\r\n`,
    () => 'GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n folded\r\n\r\n',
    () => post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
    () => post('Content-Length: 99999999999999999999'),
    () => post('Content-Length: 1073741824', 'x'.repeat(1000)),
    () => post('Transfer-Encoding: chunked', 'ffffffffffffffff\r\nx'),
    () => post('Transfer-Encoding: chunked', '-1\r\nx'),
    () => post('Content-Type: application/json\r\nContent-Length: 6', '{"bod'),
    () => post('Content-Type: application/json\r\nContent-Length: 200', '['.repeat(200)),
    () => Buffer.concat([Buffer.from(upgrade), randomBytes(500)]),
    () => Buffer.concat([Buffer.from(upgrade), frame(1, '{"event":"pusher:subscribe"}', { mask: 0 })]),
    () => Buffer.concat([Buffer.from(upgrade), frame(1, Buffer.from([0xc3, 0x28]))]),
    () => Buffer.concat([Buffer.from(upgrade), frame(3, 'x'), frame(11, 'x')]),
    () => Buffer.concat([Buffer.from(upgrade), frame(9, 'x'.repeat(200))]),
    () => Buffer.concat([Buffer.from(upgrade), Buffer.from([0x81, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255])]),
    () => Buffer.concat([Buffer.from(upgrade), frame(1, '{"event":'.repeat(100))]),
    () => Buffer.concat([Buffer.from(upgrade), frame(1, `{"event":"pusher:subscribe","data":{"channel":"${'c'.repeat(5000)}"}}`)]),
    () => Buffer.concat([Buffer.from(upgrade), ...Array(300).fill(frame(0, '', { fin: 0 }))]),
    () => Buffer.concat([Buffer.from(upgrade), frame(8, Buffer.from([0x03]))]),
];

// Sends one piece, maybe in two parts, and hangs up in one of three ways once an answer came or 300 ms passed.
function throwOne(port, bytes) {
    return new Promise((done) => {
        const socket = net.connect(port, '127.0.0.1');
        const end = () => (Math.random() < 0.5 ? socket.resetAndDestroy() : socket.destroy());
        socket.setTimeout(300, end);
        socket.on('error', () => {});
        socket.on('close', done);
        socket.on('data', () => socket.end());
        const cut = Math.floor(Math.random() * bytes.length);
        socket.write(bytes.subarray(0, cut), () => socket.write(bytes.subarray(cut)));
    });
}

async function thrower(port, index) {
    for (let i = 0; i < ROUNDS_EACH; i++) await throwOne(port, Buffer.from(rubbish[(index + i) % rubbish.length]()));
}

test('rubbish on 200 connections costs good clients nothing and the server little memory', async (t) => {
    const world = await startTown({ env: sanitizer });
    t.after(() => world.cleanUp());
    const { server } = world;
    const clients = startClients(world, 1);
    await clients.areAtWork();
    const begun = clients.written();
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => throwOne(server.port, Buffer.from(rubbish[i % rubbish.length]()))));
    const before = rssMb(server.pid);
    let worst = before;
    const watch = setInterval(() => (worst = Math.max(worst, rssMb(server.pid))), 50);
    await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => thrower(server.port, i)));
    clearInterval(watch);
    assert.ok(clients.written() > begun, 'good clients went on');
    clients.stop();
    await clients.end();
    t.diagnostic(`RSS ${before.toFixed(1)} MB before, ${worst.toFixed(1)} MB at most; ${world.history.acknowledged} good writes`);
    assert.deepEqual(world.history.refusals.slice(0, 5), []);
    assert.equal(world.history.unanswered, 0);
    assert.ok(worst - before < MAX_GROWTH_MB, `grew by ${(worst - before).toFixed(1)} MB`);
    await checkPromises(world);
    await server.stop({ keep: true });
});
