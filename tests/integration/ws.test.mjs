// The WebSocket codec over real sockets, on the echo path: what RFC 6455 asks, section by section.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { startServer } from './lib.mjs';
import { BINARY, CLOSE, PING, PONG, TEXT, closeFrame, frame, handshake, rawSocket } from './ws_client.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--ws-echo', '/echo'] });
});
after(() => server.stop());

const open = (options) => rawSocket(server.port, '/echo', options);

/** Sends frames on a fresh connection and expects the close code, then the end of TCP by the server. */
async function expectClose(code, frames, why) {
    const c = await open();
    c.send(...frames);
    assert.equal(await c.closed(), code, why);
    c.destroy();
}

async function expectEcho(c, opcode, payload) {
    const m = await c.message();
    assert.equal(m.opcode, opcode);
    assert.ok(m.payload.equals(Buffer.from(payload)));
}

function residentKiB() {
    return Number(readFileSync(`/proc/${server.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]);
}

test('the handshake of the RFC gets its accept value', async () => {
    const c = await open();
    assert.equal(c.status, 101);
    assert.match(c.head, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=$/m);
    c.destroy();
});

test('no unknown extension and no subprotocol is agreed to', async () => {
    const c = await open({
        headers: { 'Sec-WebSocket-Extensions': 'x-webkit-deflate-frame', 'Sec-WebSocket-Protocol': 'foo' },
    });
    assert.equal(c.status, 101);
    assert.doesNotMatch(c.head, /Sec-WebSocket-(Extensions|Protocol)/i);
    c.destroy();
});

test('accepted forms of the handshake', async () => {
    for (const headers of [
        { Upgrade: 'WebSocket' },
        { Connection: 'keep-alive, Upgrade' },
        { Connection: 'UPGRADE' },
        { Origin: 'http://somewhere.example' },
    ]) {
        const c = await open({ headers });
        assert.equal(c.status, 101, JSON.stringify(headers));
        c.destroy();
    }
});

test('refused forms of the handshake', async () => {
    for (const [status, headers] of [
        [426, { Upgrade: null }],
        [426, { Upgrade: 'h2c' }],
        [426, { 'Sec-WebSocket-Version': '8' }],
        [426, { 'Sec-WebSocket-Version': null }],
        [400, { Connection: null }],
        [400, { Connection: 'keep-alive' }],
        [400, { 'Sec-WebSocket-Key': null }],
        [400, { 'Sec-WebSocket-Key': 'tooshort' }],
        [400, { Host: null }],
    ]) {
        const c = await open({ headers });
        assert.equal(c.status, status, JSON.stringify(headers));
        if (status === 426) assert.match(c.head, /^Sec-WebSocket-Version: 13$/m);
        c.destroy();
    }
    const post = await open({ request: handshake('/echo').replace('GET', 'POST') });
    assert.equal(post.status, 405);
    post.destroy();
});

test('a frame in the packet of the handshake is kept', async () => {
    const c = await open({ early: frame(TEXT, 'early') });
    await expectEcho(c, TEXT, 'early');
    c.destroy();
});

test('texts and binaries of every length form come back', async () => {
    const c = await open();
    for (const size of [0, 1, 125, 126, 127, 128, 65535, 65536, 131072]) {
        for (const opcode of [TEXT, BINARY]) {
            const payload = Buffer.alloc(size, opcode === TEXT ? '*' : 0xfe);
            c.send(frame(opcode, payload));
            await expectEcho(c, opcode, payload);
        }
    }
    c.destroy();
});

test('a frame written byte by byte comes back', async () => {
    const c = await open();
    for (const byte of frame(TEXT, 'Привіт, Viche')) c.send([byte]);
    await expectEcho(c, TEXT, 'Привіт, Viche');
    c.destroy();
});

test('pings are answered with their payload, pongs with nothing', async () => {
    const c = await open();
    for (const payload of ['', 'Hello', Buffer.from([0, 255, 254]), Buffer.alloc(125, 0xfe)]) {
        c.send(frame(PONG, 'unasked'), frame(PING, payload));
        await expectEcho(c, PONG, payload);
    }
    c.destroy();
});

test('50 pings in one segment get 50 pongs in order', async () => {
    const c = await open();
    c.send(...Array.from({ length: 50 }, (_, i) => frame(PING, `p${i}`)));
    for (let i = 0; i < 50; i++) await expectEcho(c, PONG, `p${i}`);
    c.destroy();
});

test('a ping inside a fragmented message is answered before the message', async () => {
    const c = await open();
    c.send(frame(TEXT, 'frag1', { fin: false }), frame(PING, 'between'), frame(0, 'frag2'));
    await expectEcho(c, PONG, 'between');
    await expectEcho(c, TEXT, 'frag1frag2');
    c.destroy();
});

test('what the RFC forbids is closed with 1002', async () => {
    for (const [why, ...frames] of [
        ['rsv1', frame(TEXT, 'x', { first: 0xc1 })],
        ['rsv2', frame(TEXT, 'x', { first: 0xa1 })],
        ['rsv3', frame(TEXT, 'x', { first: 0x91 })],
        ['reserved opcode 3', frame(3, 'x')],
        ['reserved opcode 7', frame(7, 'x')],
        ['reserved control 11', frame(11, 'x')],
        ['reserved control 15', frame(15, 'x')],
        ['unmasked', frame(TEXT, 'x', { mask: null })],
        ['fragmented ping', frame(PING, 'x', { fin: false })],
        ['long ping', frame(PING, Buffer.alloc(126))],
        ['long close', frame(CLOSE, Buffer.alloc(126))],
        ['continuation first', frame(0, 'x')],
        ['continuation first, not final', frame(0, 'x', { fin: false })],
        ['text inside a message', frame(TEXT, 'x', { fin: false }), frame(TEXT, 'y')],
        ['length with the top bit', frame(BINARY, '', { length: 1n << 63n })],
        ['close of one byte', frame(CLOSE, 'x')],
    ])
        await expectClose(1002, frames, why);
});

test('messages before a violation are still echoed', async () => {
    const c = await open();
    c.send(frame(TEXT, 'good'), frame(TEXT, 'bad', { first: 0xa1 }), frame(PING));
    await expectEcho(c, TEXT, 'good');
    const close = await c.next();
    assert.equal(close.opcode, CLOSE);
    assert.equal(close.payload.readUInt16BE(0), 1002);
    assert.equal(await c.next(), null);
    c.destroy();
});

test('close codes: legal ones are echoed, illegal ones answered with 1002', async () => {
    for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
        await expectClose(code, [closeFrame(code, 'bye')], String(code));
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
        await expectClose(1002, [closeFrame(code)], String(code));
    await expectClose(1000, [frame(CLOSE)], 'empty');
    await expectClose(1000, [closeFrame(1000, 'r'.repeat(123))], 'longest reason');
});

test('nothing is answered after a close', async () => {
    const c = await open();
    c.send(closeFrame(1000), frame(PING, 'late'), frame(TEXT, 'late'));
    assert.equal((await c.next()).opcode, CLOSE);
    assert.equal(await c.next(), null);
    c.destroy();
});

test('bad UTF-8 is closed with 1007, wherever the frames cut it', async () => {
    const bad = ['80', 'c0af', 'cebae1bdb9cf83cebcceb5eda080656469746564', 'f4908080', 'f8888080', 'fe', 'ce'];
    for (const hex of bad) {
        const bytes = Buffer.from(hex, 'hex');
        await expectClose(1007, [frame(TEXT, bytes)], hex);
        await expectClose(
            1007,
            [...bytes].map((b, i) => frame(i === 0 ? TEXT : 0, [b], { fin: i === bytes.length - 1 })),
            `${hex} in fragments`,
        );
    }
    await expectClose(1007, [frame(CLOSE, Buffer.from('03e8ce', 'hex'))], 'reason');
});

test('bad UTF-8 is found before its message ends', async () => {
    const c = await open();
    c.send(frame(TEXT, 'abc', { fin: false }), frame(0, Buffer.from('f490', 'hex'), { fin: false }));
    assert.equal(await c.closed(), 1007);
    c.destroy();
    const d = await open(); // and before its frame ends
    d.send(frame(TEXT, Buffer.concat([Buffer.from('f490', 'hex'), Buffer.alloc(1000)])).subarray(0, 20));
    assert.equal(await d.closed(), 1007);
    d.destroy();
});

test('good UTF-8 may be cut anywhere', async () => {
    const text = Buffer.from('κόσμε 𝒱𝒾𝒸𝒽ℯ Громада \u{10ffff}');
    const c = await open();
    c.send(...[...text].map((b, i) => frame(i === 0 ? TEXT : 0, [b], { fin: i === text.length - 1 })));
    await expectEcho(c, TEXT, text);
    c.destroy();
});

test('a message over 16 MiB is refused by its announcement', async () => {
    await expectClose(1009, [frame(BINARY, '', { length: (1n << 24n) + 1n })], 'one frame');
    await expectClose(1009, [frame(BINARY, '', { length: 1n << 40n })], 'one terabyte');
});

test('16 MiB in one frame and in many fragments pass, and leave no memory behind', async () => {
    const before = residentKiB();
    const payload = Buffer.alloc(1 << 24, 'v');
    for (const size of [1 << 24, 65536, 1000]) {
        const c = await open();
        const frames = [];
        for (let at = 0; at < payload.length; at += size)
            frames.push(frame(at === 0 ? TEXT : 0, payload.subarray(at, at + size), {
                fin: at + size >= payload.length,
            }));
        c.send(...frames);
        await expectEcho(c, TEXT, payload);
        c.destroy();
    }
    const grown = residentKiB() - before;
    assert.ok(grown < 20 * 1024 || /asan|tsan/.test(process.env.VICHE ?? ''), `${grown} KiB`);
});

test('a client may send 16 MiB before it reads a byte', async () => {
    const c = await open();
    c.socket.pause();
    const payload = Buffer.alloc(1 << 24, 'v');
    await new Promise((done, fail) => c.socket.write(frame(BINARY, payload), (e) => (e ? fail(e) : done()))); // all of it is in the kernel
    c.socket.resume();
    await expectEcho(c, BINARY, payload);
    c.destroy();
});

test('20,000 empty fragments and a one-byte end are one message', async () => {
    const c = await open();
    const empty = frame(0, '', { fin: false });
    c.send(frame(TEXT, '', { fin: false }), ...Array(20000).fill(empty), frame(0, 'x'));
    await expectEcho(c, TEXT, 'x');
    c.destroy();
});

test('a peer that sends pings and never reads is not served without bound', async () => {
    const pings = 50000;
    const before = residentKiB();
    const c = await open();
    c.socket.pause();
    c.socket.write(Buffer.concat(Array(pings).fill(frame(PING, Buffer.alloc(125)))));
    const other = await open();
    other.send(frame(TEXT, 'still here'));
    await expectEcho(other, TEXT, 'still here');
    other.destroy();
    assert.ok(residentKiB() - before < 32 * 1024 || /asan|tsan/.test(process.env.VICHE ?? ''));
    c.socket.resume();
    for (let i = 0; i < pings; i++) assert.equal((await c.next()).opcode, PONG);
    c.destroy();
});

test('an abrupt end leaves the server alive', async () => {
    for (let i = 0; i < 30; i++) {
        const c = await open();
        c.send(frame(TEXT, Buffer.alloc(1000)).subarray(0, 500));
        c.socket.resetAndDestroy();
    }
    const c = await open();
    c.send(frame(TEXT, 'alive'));
    await expectEcho(c, TEXT, 'alive');
    c.socket.end(); // a FIN without a close frame ends it
    assert.equal(await c.next(), null);
    c.destroy();
});

test('a stock client (ws) is echoed and closes cleanly', async () => {
    const client = new WebSocket(`ws://127.0.0.1:${server.port}/echo`);
    await new Promise((done) => client.on('open', done));
    const echoed = new Promise((done) => client.once('message', (data, isBinary) => done([data, isBinary])));
    client.send(Buffer.alloc(300000, 7));
    const [data, isBinary] = await echoed;
    assert.ok(isBinary && data.equals(Buffer.alloc(300000, 7)));
    const closed = new Promise((done) => client.on('close', (code, reason) => done(`${code} ${reason}`)));
    client.close(3001, 'done');
    assert.equal(await closed, '3001 done');
});
