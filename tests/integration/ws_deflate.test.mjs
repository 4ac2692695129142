// permessage-deflate (RFC 7692) over real sockets, on the echo path: what sections 12 and 13 of the usual
// WebSocket suites try, and what they leave out.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import WebSocket from 'ws';
import { startServer } from './lib.mjs';
import { BINARY, CLOSE, PING, PONG, TEXT, frame, rawSocket } from './ws_client.mjs';

const MIN_BYTES = 512; // shorter messages go as they are
const AGREED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);

let server;
before(async () => {
    server = await startServer({ args: ['--ws-echo', '/echo'] });
});
after(() => server.stop());

const open = (offer = 'permessage-deflate') =>
    rawSocket(server.port, '/echo', { headers: { 'Sec-WebSocket-Extensions': offer } });

const answerOf = (c) => c.head.match(/^Sec-WebSocket-Extensions: (.*)$/im)?.[1];

const deflate = (data, options) =>
    deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH, ...options }).subarray(0, -4);
const inflate = (payload, windowBits = 15) =>
    inflateRawSync(Buffer.concat([payload, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH, windowBits });

/** A masked frame with RSV1. */
const compressed = (opcode, payload, { fin = true, ...options } = {}) =>
    frame(opcode, payload, { ...options, first: (fin ? 0xc0 : 0x40) | opcode });

/** Text that compresses as chat does: words and numbers, some outside ASCII. */
function makeText(bytes, seed = 1) {
    const words = ['proposal', 'comment', 'громада', 'vote', 'parking', 'вулиця', '"id":', '},{', 'created_at'];
    let text = '';
    for (let x = seed; text.length < bytes; ) {
        x = (x * 1103515245 + 12345) % 2147483648;
        text += words[(x >> 8) % words.length] + ' ' + (x % 1000) + ' ';
    }
    let whole = Buffer.from(text).subarray(0, bytes);
    while (whole.length && !isUtf8(whole)) whole = whole.subarray(0, -1);
    return Buffer.concat([whole, Buffer.alloc(bytes - whole.length, '.')]);
}
function isUtf8(bytes) {
    try {
        new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        return true;
    } catch {
        return false;
    }
}

async function expectClose(code, frames, why) {
    const c = await open();
    c.send(...frames);
    assert.equal(await c.closed(), code, why);
    c.destroy();
}

async function expectEcho(c, opcode, data, windowBits) {
    const m = await c.message();
    assert.equal(m.opcode, opcode);
    assert.ok((m.compressed ? inflate(m.payload, windowBits) : m.payload).equals(Buffer.from(data)));
    return m;
}

function residentMiB() {
    return Number(readFileSync(`/proc/${server.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;
}

test('offers and answers', async () => {
    for (const [offer, answer] of [
        ['permessage-deflate', AGREED],
        ['permessage-deflate; client_max_window_bits', AGREED],
        ['permessage-deflate; client_max_window_bits=10', AGREED],
        ['permessage-deflate; server_max_window_bits=10', `${AGREED}; server_max_window_bits=10`],
        ['permessage-deflate; server_max_window_bits="15"', `${AGREED}; server_max_window_bits=15`],
        ['permessage-deflate; server_max_window_bits=16, permessage-deflate', AGREED],
        ['permessage-deflate; server_max_window_bits=16', undefined],
        ['permessage-deflate; server_max_window_bits', undefined],
        ['permessage-deflate; client_max_window_bits; client_max_window_bits', undefined],
        ['permessage-deflate; server_no_context_takeover=true', undefined],
        ['permessage-deflate; mux', undefined],
        ['x-webkit-deflate-frame', undefined],
    ]) {
        const c = await open(offer);
        assert.equal(c.status, 101, offer);
        assert.equal(answerOf(c), answer, offer);
        c.destroy();
    }
    for (const bad of ['permessage-deflate;', 'permessage-deflate; server_max_window_bits="9', '=']) {
        const c = await open(bad);
        assert.equal(c.status, 400, bad);
        c.destroy();
    }
});

test('the examples of the RFC come back', async () => {
    for (const hex of [
        'f248cdc9c90700',
        '000500faff48656c6c6f00',
        'f348cdc9c9070000',
        'f248050000 00ffffcac9c90700'.replace(' ', ''),
    ]) {
        const payload = Buffer.from(hex, 'hex');
        const c = await open();
        c.send(compressed(TEXT, payload));
        assert.equal((await expectEcho(c, TEXT, 'Hello')).compressed, false, 'short: sent as it is');
        for (let cut = 1; cut < payload.length; cut++) {
            c.send(
                compressed(TEXT, payload.subarray(0, cut), { fin: false }),
                frame(PING, 'between'),
                frame(0, payload.subarray(cut)),
            );
            assert.equal((await c.next()).opcode, PONG);
            await expectEcho(c, TEXT, 'Hello');
        }
        c.destroy();
    }
    const c = await open();
    c.send(compressed(TEXT, '\0'), compressed(BINARY, ''), frame(TEXT, 'plain'));
    await expectEcho(c, TEXT, '');
    await expectEcho(c, BINARY, '');
    await expectEcho(c, TEXT, 'plain');
    c.destroy();
});

test('messages are compressed from a size on, when it makes them smaller, and refer to none before', async () => {
    const c = await open();
    for (const size of [MIN_BYTES - 1, MIN_BYTES, 1024, 65536, 65537, 1 << 20]) {
        const text = makeText(size);
        for (let i = 0; i < 2; i++) {
            c.send(compressed(TEXT, deflate(text)));
            const m = await expectEcho(c, TEXT, text); // inflated alone
            assert.equal(m.compressed, size >= MIN_BYTES, `${size}`);
            if (m.compressed) assert.ok(m.payload.length < size * 0.75, `${size}: ${m.payload.length}`);
        }
    }
    const noise = randomBytes(5000);
    c.send(frame(BINARY, noise));
    assert.equal((await expectEcho(c, BINARY, noise)).compressed, false);
    c.destroy();
});

test('every window of the client is honoured', async () => {
    const text = Buffer.concat([makeText(700, 5), makeText(60000, 9), makeText(700, 5), makeText(9000, 2)]);
    for (let bits = 8; bits <= 15; bits++) {
        const c = await open(`permessage-deflate; server_max_window_bits=${bits}`);
        assert.equal(answerOf(c), `${AGREED}; server_max_window_bits=${bits}`);
        for (const data of [text.subarray(0, 1000), text]) {
            c.send(frame(BINARY, data));
            assert.ok((await expectEcho(c, BINARY, data, bits)).compressed);
        }
        c.destroy();
    }
});

/** Echoes data on a stock client, all at once. */
async function echoAll(client, messages) {
    const got = [];
    const done = new Promise((resolve, reject) => {
        client.on('close', (code) => reject(new Error(`closed ${code}`)));
        client.on('error', reject);
        client.on('message', (data, isBinary) => {
            got.push(isBinary ? data : data.toString());
            if (got.length === messages.length) resolve();
        });
    });
    for (const m of messages) client.send(m, { compress: true });
    await done;
    messages.forEach((m, i) => assert.ok(Buffer.isBuffer(m) ? m.equals(got[i]) : m === got[i], `message ${i}`));
}

test('a stock client (ws), all mixes of parameters, 16 bytes to 128 KiB', async () => {
    const sizes = [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072];
    const messages = sizes.flatMap((size) => [makeText(size).toString(), makeText(size, 7)]);
    for (const serverNoContextTakeover of [false, true])
        for (const clientNoContextTakeover of [undefined, true])
            for (const serverMaxWindowBits of [undefined, 8, 9, 12, 15])
                for (const clientMaxWindowBits of [undefined, 9, 15]) {
                    const perMessageDeflate = {
                        serverNoContextTakeover,
                        clientNoContextTakeover,
                        serverMaxWindowBits,
                        clientMaxWindowBits,
                        threshold: 0,
                    };
                    const client = new WebSocket(`ws://127.0.0.1:${server.port}/echo`, { perMessageDeflate });
                    await new Promise((done, fail) => client.on('open', done).on('error', fail));
                    assert.match(client.extensions, /permessage-deflate/);
                    await echoAll(client, messages);
                    client.terminate();
                }
});

test('many messages of each size, in frames of several sizes', async () => {
    for (const [size, fragment] of [
        [16, 0], [64, 0], [256, 0], [1024, 0], [4096, 0], [8192, 256], [16384, 1024], [32768, 4096],
        [65536, 8192], [131072, 32768], [131072, 100],
    ]) {
        const c = await open('permessage-deflate; client_max_window_bits');
        for (let i = 0; i < 30; i++) {
            const text = makeText(size, i + 1);
            const payload = deflate(text);
            const step = fragment || payload.length;
            const frames = [];
            for (let at = 0; at < payload.length; at += step) {
                const part = payload.subarray(at, at + step), fin = at + step >= payload.length;
                frames.push(at === 0 ? compressed(TEXT, part, { fin }) : frame(0, part, { fin }));
            }
            c.send(...frames);
            await expectEcho(c, TEXT, text);
        }
        c.destroy();
    }
});

test('the mark of compression where it may not be is closed with 1002', async () => {
    const hello = Buffer.from('f248cdc9c90700', 'hex');
    await expectClose(1002, [frame(TEXT, hello.subarray(0, 3), { first: 0x41 }), frame(0, hello.subarray(3), { first: 0xc0 })]);
    await expectClose(1002, [frame(TEXT, 'a', { fin: false }), frame(0, 'b', { first: 0xc0 })]);
    await expectClose(1002, [frame(PING, '', { first: 0xc9 })]);
    await expectClose(1002, [frame(CLOSE, '', { first: 0xc8 })]);
    await expectClose(1002, [frame(TEXT, hello, { first: 0xe1 })], 'RSV2 beside it');
    const c = await open('unknown');
    c.send(compressed(TEXT, hello));
    assert.equal(await c.closed(), 1002, 'not negotiated');
    c.destroy();
});

test('what is no DEFLATE stream, or no UTF-8 inside of it, is closed with 1007', async () => {
    await expectClose(1007, [compressed(BINARY, Buffer.from('06', 'hex'))], 'reserved block type');
    await expectClose(1007, [compressed(BINARY, Buffer.alloc(100, 0xff))], 'noise');
    await expectClose(1007, [compressed(BINARY, deflate(makeText(5000)).subarray(0, 1000))], 'cut off');
    await expectClose(1007, [compressed(TEXT, Buffer.from('f200110000', 'hex'))], 'context taken over');
    await expectClose(1007, [compressed(TEXT, deflate(Buffer.from('ced0', 'hex')))], 'not UTF-8');
    await expectClose(1007, [compressed(TEXT, deflate(Buffer.from('d0', 'hex')))], 'cut character');
});

test('a bomb is closed with 1009 and costs little', async () => {
    const zeros = Buffer.alloc(64 << 20);
    const bomb = deflate(zeros, { level: 9 });
    assert.ok(bomb.length < 70000);
    const before = residentMiB();
    for (let round = 0; round < 3; round++) {
        await expectClose(1009, [compressed(BINARY, bomb)], 'one frame');
        const frames = [];
        for (let at = 0; at < bomb.length; at += 5000)
            frames.push(frame(BINARY, bomb.subarray(at, at + 5000), {
                first: (at === 0 ? 0x42 : 0) | (at + 5000 >= bomb.length ? 0x80 : 0),
            }));
        await expectClose(1009, frames, 'in fragments');
    }
    await expectClose(1009, [compressed(BINARY, '', { length: 1n << 25n })], 'announced');
    const grown = residentMiB() - before;
    assert.ok(grown < 32 || /asan|tsan/.test(process.env.VICHE ?? ''), `${grown} MiB`);
});

test('16 MiB is no bomb', async () => {
    const c = await open();
    const zeros = Buffer.alloc(16 << 20);
    c.send(compressed(BINARY, deflate(zeros)));
    await expectEcho(c, BINARY, zeros);
    c.send(compressed(BINARY, deflate(Buffer.concat([zeros, Buffer.from('x')]))));
    assert.equal(await c.closed(), 1009);
    c.destroy();
});

test('a connection that was compressed keeps nothing', async () => {
    const text = makeText(2000);
    const clients = [];
    const before = residentMiB();
    for (let i = 0; i < 300; i++) {
        const c = await open();
        c.send(compressed(TEXT, deflate(text)));
        assert.ok((await expectEcho(c, TEXT, text)).compressed);
        clients.push(c);
    }
    const grown = residentMiB() - before; // a deflater and an inflater for each would be 90 MiB
    for (const c of clients) c.destroy();
    assert.ok(grown < 30, `${grown} MiB`);
});
