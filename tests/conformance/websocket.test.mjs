// The frame layer by itself, on the echo path: the cases of the standard WebSocket test suite, by its numbers.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { startServer } from '../integration/lib.mjs';
import { BINARY, CLOSE, PING, PONG, TEXT, closeFrame, conform, frame, rawSocket } from './lib.mjs';

let server;
before(async () => {
    server = await startServer({ args: ['--ws-echo', '/echo'] });
});
after(() => server.stop());

const CONTINUATION = 0;
const hex = (text) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const text = (payload, options) => frame(TEXT, payload, options);
const more = { fin: false };
const code = (n, reason = '') => [CLOSE, Buffer.concat([Buffer.from([n >> 8, n & 255]), Buffer.from(reason)])];

/**
 * One case: frames sent on a fresh connection, whole or in pieces of chop bytes, and what comes back until the end.
 * want: [[opcode, payload], ...]; the last is a close when the server ends the connection, else the client closes.
 */
async function check(number, frames, want, { chop } = {}) {
    const c = await rawSocket(server.port, '/echo');
    const bytes = Buffer.concat(frames);
    if (chop) {
        for (let at = 0; at < bytes.length; at += chop) {
            c.socket.write(bytes.subarray(at, at + chop));
            if (bytes.length < 1000) await new Promise((done) => setImmediate(done)); // a segment of its own
        }
    } else c.send(bytes);
    const endsItself = want.at(-1)?.[0] === CLOSE;
    if (!endsItself) {
        c.send(closeFrame(1000));
        want = [...want, code(1000)];
    }
    for (const [opcode, payload] of want) {
        const m = await c.message();
        assert.equal(m?.opcode, opcode, `${number}: opcode`);
        const got = opcode === CLOSE ? m.payload.subarray(0, 2) : m.payload;
        const wanted = Buffer.from(payload);
        assert.ok(got.equals(opcode === CLOSE && wanted.length > 2 ? wanted.subarray(0, 2) : wanted), `${number}: payload`);
    }
    assert.equal(await c.next(), null, `${number}: the server ends the connection`);
    c.destroy();
}

/** The same bytes in one write, frame by frame as the kernel likes, and octet by octet. */
async function checkChopped(numbers, frames, want) {
    const [whole, ...chopped] = numbers;
    await check(whole, frames, want);
    for (const number of chopped) await check(number, frames, want, { chop: 1 });
}

const FAIL = code(1002), BAD_TEXT = code(1007);
const echo = (payload) => [TEXT, payload];

conform('C032', 'MUST', 'sections 1: texts and binaries of every length form are echoed', async () => {
    for (const [section, opcode, fill] of [['1.1', TEXT, '*'], ['1.2', BINARY, 0xfe]]) {
        for (const [i, size] of [0, 125, 126, 127, 128, 65535, 65536].entries()) {
            const payload = Buffer.alloc(size, fill);
            await check(`${section}.${i + 1}`, [frame(opcode, payload)], [[opcode, payload]]);
        }
        const payload = Buffer.alloc(65536, fill);
        await check(`${section}.8`, [frame(opcode, payload)], [[opcode, payload]], { chop: 997 });
    }
});

conform('C032', 'MUST', 'section 2: pings are answered with their payload, pongs with nothing', async () => {
    const long = Buffer.alloc(125, 0xfe), binary = hex('00 ff fe fd fc fb 00 ff');
    await check('2.1', [frame(PING)], [[PONG, '']]);
    await check('2.2', [frame(PING, 'Hello, world!')], [[PONG, 'Hello, world!']]);
    await check('2.3', [frame(PING, binary)], [[PONG, binary]]);
    await check('2.4', [frame(PING, long)], [[PONG, long]]);
    await check('2.5', [frame(PING, Buffer.alloc(126, 0xfe))], [FAIL]);
    await check('2.6', [frame(PING, long)], [[PONG, long]], { chop: 1 });
    await check('2.7', [frame(PONG)], []);
    await check('2.8', [frame(PONG, 'unsolicited pong payload')], []);
    await check('2.9', [frame(PONG, 'unsolicited'), frame(PING, 'ping payload')], [[PONG, 'ping payload']]);
    const pings = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
    const sent = pings.map((p) => frame(PING, p)), got = pings.map((p) => [PONG, p]);
    await check('2.10', sent, got);
    await check('2.11', sent, got, { chop: 1 });
});

conform('C032', 'MUST', 'section 3: reserved bits end the connection, what came before them is answered', async () => {
    const reserved = (opcode, rsv, payload = 'Hello, world!') => frame(opcode, payload, { first: 0x80 | (rsv << 4) | opcode });
    const before = text('before');
    await check('3.1', [reserved(TEXT, 1)], [FAIL]);
    await checkChopped(['3.2', '3.3', '3.4'], [before, reserved(TEXT, 2), frame(PING)], [echo('before'), FAIL]);
    await checkChopped(['3.3', '3.4'], [before, reserved(TEXT, 3), frame(PING)], [echo('before'), FAIL]);
    await checkChopped(['3.4', '3.4'], [before, reserved(TEXT, 4), frame(PING)], [echo('before'), FAIL]);
    await check('3.5', [reserved(BINARY, 5, hex('00fffefdfcfb00ff'))], [FAIL]);
    await check('3.6', [reserved(PING, 6)], [FAIL]);
    await check('3.7', [reserved(CLOSE, 7, '')], [FAIL]);
});

conform('C032', 'MUST', 'section 4: reserved opcodes end the connection', async () => {
    for (const [section, first] of [['4.1', 3], ['4.2', 11]]) {
        await check(`${section}.1`, [frame(first)], [FAIL]);
        await check(`${section}.2`, [frame(first + 1, 'reserved opcode payload')], [FAIL]);
        for (let i = 2; i < 5; i++) {
            const frames = [text('before'), frame(first + i, i === 4 ? 'reserved opcode payload' : ''), frame(PING)];
            await checkChopped([`${section}.${i + 1}`, `${section}.${i + 1}`], frames, [echo('before'), FAIL]);
        }
    }
});

conform('C032', 'MUST', 'section 5: fragments become one message, control frames stand between them', async () => {
    await check('5.1', [frame(PING, 'frag1', more), frame(CONTINUATION, 'frag2')], [FAIL]);
    await check('5.2', [frame(PONG, 'frag1', more), frame(CONTINUATION, 'frag2')], [FAIL]);
    const two = [text('frag1', more), frame(CONTINUATION, 'frag2')];
    await checkChopped(['5.3', '5.4', '5.5'], two, [echo('frag1frag2')]);
    const between = [two[0], frame(PING, 'ping payload'), two[1]];
    await checkChopped(['5.6', '5.7', '5.8'], between, [[PONG, 'ping payload'], echo('frag1frag2')]);
    for (const [numbers, options] of [[['5.9', '5.10', '5.11'], undefined], [['5.12', '5.13', '5.14'], more]])
        await checkChopped(numbers, [frame(CONTINUATION, 'non-continuation payload', options), text('Hello')], [FAIL]);
    await check('5.15', [...two, frame(CONTINUATION, 'frag3', more), text('frag4')], [echo('frag1frag2'), FAIL]);
    const orphan = (options) => [frame(CONTINUATION, 'frag1', options), text('frag2', more), frame(CONTINUATION, 'frag3')];
    await check('5.16', [...orphan(more), ...orphan(more)], [FAIL]);
    await check('5.17', [...orphan(), ...orphan()], [FAIL]);
    await check('5.18', [text('frag1', more), text('frag2')], [FAIL]);
    const five = [
        text('frag1', more), frame(CONTINUATION, 'frag2', more), frame(PING, 'pongme 1!'),
        frame(CONTINUATION, 'frag3', more), frame(CONTINUATION, 'frag4', more), frame(PING, 'pongme 2!'), frame(CONTINUATION, 'frag5'),
    ];
    await checkChopped(['5.19', '5.20'], five, [[PONG, 'pongme 1!'], [PONG, 'pongme 2!'], echo('frag1frag2frag3frag4frag5')]);
});

/** bytes as a text in one frame and in a frame for each octet. */
async function checkText(number, bytes, isValid) {
    const want = isValid ? [[TEXT, bytes]] : [BAD_TEXT];
    await check(number, [text(bytes)], want);
    const octets = [...bytes].map((b, i) => frame(i === 0 ? TEXT : CONTINUATION, [b], { fin: i === bytes.length - 1 }));
    await check(`${number} by octets`, octets, want);
}

const greek = 'ce ba e1 bd b9 cf 83 ce bc ce b5';
const invalid = {
    '6.3': [`${greek} ed a0 80 65 64 69 74 65 64`],
    '6.6': ['ce', 'ce ba e1', 'ce ba e1 bd', 'ce ba e1 bd b9 cf', 'ce ba e1 bd b9 cf 83 ce', 'ce ba e1 bd b9 cf 83 ce bc ce'],
    '6.8': ['f8 88 80 80 80', 'fc 84 80 80 80 80'],
    '6.10': ['f7 bf bf bf', 'fb bf bf bf bf', 'fd bf bf bf bf bf'],
    '6.11': ['f4 90 80 80'],
    '6.12': ['80', 'bf', '80 bf', '80 bf 80', '80 bf 80 bf', '80 bf 80 bf 80', '80 bf 80 bf 80 bf',
        '8081828384858687898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf'],
    '6.13': ['c020c120c220df20', 'e020e120ef20', 'f020f120f720', 'f820f920fb20', 'fc20fd20'],
    '6.14': ['c0', 'e0 80', 'f0 80 80', 'f8 80 80 80', 'fc 80 80 80 80', 'df', 'ef bf', 'f7 bf bf', 'fb bf bf bf', 'fd bf bf bf bf'],
    '6.15': ['c0 e0 80 f0 80 80 f8 80 80 80 fc 80 80 80 80 df ef bf f7 bf bf fb bf bf bf fd bf bf bf bf'],
    '6.16': ['fe', 'ff', 'fe fe ff ff'],
    '6.17': ['c0 af', 'e0 80 af', 'f0 80 80 af', 'f8 80 80 80 af', 'fc 80 80 80 80 af'],
    '6.18': ['c1 bf', 'e0 9f bf', 'f0 8f bf bf', 'f8 87 bf bf bf', 'fc 83 bf bf bf bf'],
    '6.19': ['c0 80', 'e0 80 80', 'f0 80 80 80', 'f8 80 80 80 80', 'fc 80 80 80 80 80'],
    '6.20': ['ed a0 80', 'ed ad bf', 'ed ae 80', 'ed af bf', 'ed b0 80', 'ed be 80', 'ed bf bf'],
    '6.21': ['ed a0 80 ed b0 80', 'ed a0 80 ed bf bf', 'ed ad bf ed b0 80', 'ed ad bf ed bf bf', 'ed ae 80 ed b0 80',
        'ed ae 80 ed bf bf', 'ed af bf ed b0 80', 'ed af bf ed bf bf'],
};
const valid = {
    '6.2': ['48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121', greek],
    '6.5': ['ce ba', 'ce ba e1 bd b9', 'ce ba e1 bd b9 cf 83', 'ce ba e1 bd b9 cf 83 ce bc', greek],
    '6.7': ['00', 'c2 80', 'e0 a0 80', 'f0 90 80 80'],
    '6.9': ['7f', 'df bf', 'ef bf bf', 'f4 8f bf bf'],
    '6.11': ['ed 9f bf', 'ee 80 80', 'ef bf bd', 'f4 8f bf bf'],
    '6.22': ['ef bf be', 'ef bf bf', ...Array.from({ length: 16 }, (_, i) => [0xfffe, 0xffff].map((n) =>
        Buffer.from(String.fromCodePoint(n + (i + 1) * 0x10000)).toString('hex'))).flat()],
    '6.23': Array.from({ length: 14 }, (_, i) => Buffer.from(String.fromCodePoint(0xfff0 + i)).toString('hex')),
};

conform('C032', 'MUST', 'section 6: texts are UTF-8, checked as they come', async () => {
    await check('6.1.1', [text('')], [echo('')]);
    const parts = (middle) => [text('', more), frame(CONTINUATION, middle, more), frame(CONTINUATION)];
    await check('6.1.2', parts(''), [echo('')]);
    await check('6.1.3', parts('middle frame payload'), [echo('middle frame payload')]);
    for (const [table, isValid] of [[valid, true], [invalid, false]])
        for (const [section, texts] of Object.entries(table))
            for (const [i, bytes] of texts.entries()) await checkText(`${section}.${i + 1}`, hex(bytes), isValid);
    const cut = hex('48656c6c6f2dc2b540c39fc3b6c3a4c3bcc3a0c3a12d5554462d382121');
    await check('6.2.2', [text(cut.subarray(0, 12), more), frame(CONTINUATION, cut.subarray(12))], [[TEXT, cut]]);
});

conform('C032', 'MUST', 'section 6.4: a text is refused at the first wrong octet, though more is to come', async () => {
    const start = hex(greek);
    for (const [number, wrong] of [['6.4.1', 'f4 90 80 80'], ['6.4.2', 'f4 90']]) {
        await check(number, [text(start, more), frame(CONTINUATION, hex(wrong), more)], [BAD_TEXT]);
    }
    for (const [number, wrong] of [['6.4.3', 'f4 90 80 80'], ['6.4.4', 'f4 90']]) {
        const bytes = Buffer.concat([start, hex(wrong)]);
        const whole = text(Buffer.concat([bytes, Buffer.from('edited')]));
        await check(number, [whole.subarray(0, whole.length - 6)], [BAD_TEXT]);
    }
});

conform('C032', 'MUST', 'section 7: closing, with every code', async () => {
    await check('7.1.1', [text('Hello World!'), closeFrame(1000)], [echo('Hello World!'), code(1000)]);
    await check('7.1.2', [closeFrame(1000), closeFrame(1000)], [code(1000)]);
    await check('7.1.3', [closeFrame(1000), frame(PING)], [code(1000)]);
    await check('7.1.4', [closeFrame(1000), text('Hello World!')], [code(1000)]);
    await check('7.1.5', [text('fragment1', more), closeFrame(1000), frame(CONTINUATION, 'fragment2')], [code(1000)]);
    const long = 'BAsd7&jh23'.repeat(26215).slice(0, 262144);
    await check('7.1.6', [text(long), closeFrame(1000), frame(PING)], [echo(long), code(1000)]);
    await check('7.3.1', [frame(CLOSE)], [code(1000)]);
    await check('7.3.2', [frame(CLOSE, 'a')], [FAIL]);
    await check('7.3.3', [closeFrame(1000)], [code(1000)]);
    await check('7.3.4', [closeFrame(1000, 'Hello World!')], [code(1000)]);
    await check('7.3.5', [closeFrame(1000, '*'.repeat(123))], [code(1000)]);
    await check('7.3.6', [closeFrame(1000, '*'.repeat(124))], [FAIL]);
    await check('7.5.1', [frame(CLOSE, Buffer.concat([hex('03e8'), hex(`${greek} ed a0 80 65 64`)]))], [BAD_TEXT]);
    for (const [i, n] of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].entries())
        await check(`7.7.${i + 1}`, [closeFrame(n)], [code(n)]);
    for (const [i, n] of [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999].entries())
        await check(`7.9.${i + 1}`, [closeFrame(n)], [FAIL]);
    await check('7.13.1', [closeFrame(5000)], [FAIL]);
    await check('7.13.2', [closeFrame(65535)], [FAIL]);
});

const MiB = 1 << 20;
const KiB = 1024;

conform('C032', 'MUST', 'section 9: large messages, in one frame, in fragments and in pieces, and many small ones', async () => {
    for (const [section, opcode] of [['9.1', TEXT], ['9.2', BINARY]])
        for (const [i, size] of [64 * KiB, 256 * KiB, MiB, 4 * MiB, 8 * MiB, 16 * MiB].entries()) {
            const payload = Buffer.alloc(size, '*');
            await check(`${section}.${i + 1}`, [frame(opcode, payload)], [[opcode, payload]]);
        }
    const large = Buffer.alloc(4 * MiB, '*');
    for (const [section, opcode] of [['9.3', TEXT], ['9.4', BINARY]])
        for (const [i, size] of [64, 256, KiB, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB].entries()) {
            const frames = [];
            for (let at = 0; at < large.length; at += size)
                frames.push(frame(at === 0 ? opcode : CONTINUATION, large.subarray(at, at + size), { fin: at + size >= large.length, mask: Buffer.alloc(4, 1) }));
            await check(`${section}.${i + 1}`, frames, [[opcode, large]]);
        }
    const million = Buffer.alloc(MiB, '*');
    for (const [section, opcode] of [['9.5', TEXT], ['9.6', BINARY]])
        for (const [i, chop] of [64, 128, 256, 512, 1024, 2048].entries())
            await check(`${section}.${i + 1}`, [frame(opcode, million)], [[opcode, million]], { chop });
    for (const [section, opcode] of [['9.7', TEXT], ['9.8', BINARY]])
        for (const [i, size] of [0, 16, 64, 256, KiB, 4 * KiB].entries()) {
            const payload = Buffer.alloc(size, '*');
            const c = await rawSocket(server.port, '/echo');
            for (let n = 0; n < 1000; n++) {
                c.send(frame(opcode, payload));
                const m = await c.message();
                assert.ok(m.opcode === opcode && m.payload.equals(payload), `${section}.${i + 1}`);
            }
            c.destroy();
        }
});

conform('C032', 'MUST', 'section 10: a message in fragments of 1,300 octets', async () => {
    const payload = Buffer.alloc(65536, '*');
    const frames = [];
    for (let at = 0; at < payload.length; at += 1300)
        frames.push(frame(at === 0 ? TEXT : CONTINUATION, payload.subarray(at, at + 1300), { fin: at + 1300 >= payload.length }));
    await check('10.1.1', frames, [[TEXT, payload]]);
});
