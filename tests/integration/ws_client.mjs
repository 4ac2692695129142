// ws_client.mjs -- a WebSocket client of bare bytes, which may break every rule.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { MAX_STEP_MS } from './lib.mjs';

export const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

/** One masked client frame. first overrides the first byte; mask: false leaves it unmasked. */
export function frame(opcode, payload = '', { fin = true, first, mask = randomBytes(4), length } = {}) {
    const body = Buffer.from(payload);
    const size = length ?? BigInt(body.length);
    const bit = mask ? 0x80 : 0;
    let head;
    if (size < 126n) {
        head = Buffer.from([0, bit | Number(size)]);
    } else if (size < 65536n) {
        head = Buffer.alloc(4);
        head[1] = bit | 126;
        head.writeUInt16BE(Number(size), 2);
    } else {
        head = Buffer.alloc(10);
        head[1] = bit | 127;
        head.writeBigUInt64BE(size, 2);
    }
    head[0] = first ?? (fin ? 0x80 : 0) | opcode;
    if (!mask) return Buffer.concat([head, body]);
    const masked = Buffer.from(body);
    for (let i = 0; i < masked.length; i++) masked[i] ^= mask[i & 3];
    return Buffer.concat([head, mask, masked]);
}

export function closeFrame(code, reason = '') {
    const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
    payload.writeUInt16BE(code, 0);
    return frame(CLOSE, payload);
}

export function handshake(path, headers = {}) {
    const fields = {
        Host: 'localhost',
        Upgrade: 'websocket',
        Connection: 'Upgrade',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
    };
    const lines = Object.entries(fields).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}\r\n`);
    return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/**
 * Opens a socket (tls: under TLS, with these options) and sends the handshake and, in the same write, early.
 * Gives {head, next(), send(bytes), socket, ended, destroy()}; next() resolves with
 * {opcode, fin, compressed, payload}, or null when the server ended the connection.
 */
export async function rawSocket(port, path, { headers, early = '', request, tls } = {}) {
    const socket = tls ? connectTls({ port, host: '127.0.0.1', ...tls }) : connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    const client = { socket, head: '', ended: false };
    let buffer = Buffer.alloc(0);
    let parts = [], partBytes = 0; // behind buffer, joined when a whole frame is there
    let wake = () => {};
    const changed = () => new Promise((done) => (wake = done));

    socket.on('data', (data) => {
        parts.push(data);
        partBytes += data.length;
        wake();
    });
    const over = () => {
        client.ended = true;
        wake();
    };
    socket.on('end', over);
    socket.on('close', over);
    socket.on('error', over);

    async function waitFor(what, ms = 60000) {
        for (let left = ms; ; ) {
            const value = what();
            if (value !== undefined) return value;
            if (client.ended) return null;
            if (left <= 0) throw new Error('nothing came in time');
            const began = performance.now(), step = Math.min(left, MAX_STEP_MS);
            let timer;
            await Promise.race([changed(), new Promise((done) => (timer = setTimeout(done, step)))]);
            clearTimeout(timer);
            left -= Math.min(performance.now() - began, step); // as in until: what stood still is not waited for
        }
    }
    function has(bytes) {
        if (buffer.length >= bytes) return true;
        if (buffer.length + partBytes < bytes) return false;
        buffer = Buffer.concat([buffer, ...parts]);
        parts = [];
        partBytes = 0;
        return true;
    }
    function takeFrame() {
        if (!has(2)) return undefined;
        let length = BigInt(buffer[1] & 0x7f), at = 2;
        if (length === 126n) {
            if (!has(4)) return undefined;
            length = BigInt(buffer.readUInt16BE(2));
            at = 4;
        } else if (length === 127n) {
            if (!has(10)) return undefined;
            length = buffer.readBigUInt64BE(2);
            at = 10;
        }
        const end = at + Number(length);
        if (!has(end)) return undefined;
        const result = {
            opcode: buffer[0] & 15,
            fin: buffer[0] >= 128,
            compressed: (buffer[0] & 0x40) !== 0,
            payload: buffer.subarray(at, end),
        };
        buffer = buffer.subarray(end);
        return result;
    }
    client.next = (ms) => waitFor(takeFrame, ms);
    /** The next whole message or control frame, fragments joined. */
    client.message = async () => {
        let first = null;
        const parts = [];
        for (;;) {
            const f = await client.next();
            if (!f || f.opcode >= CLOSE) return f;
            first ??= f;
            parts.push(f.payload);
            if (f.fin) return { opcode: first.opcode, compressed: first.compressed, payload: Buffer.concat(parts) };
        }
    };
    client.json = async (ms) => {
        const f = await client.next(ms);
        return f && f.opcode === TEXT ? JSON.parse(f.payload) : f;
    };
    client.send = (...frames) => socket.write(Buffer.concat(frames.map((f) => Buffer.from(f))));
    client.destroy = () => socket.destroy();
    /** Resolves when the server has ended the connection; gives the close code it sent before, or 0. */
    client.closed = async () => {
        let code = 0;
        for (;;) {
            const f = await client.next();
            if (!f) return code;
            if (f.opcode === CLOSE) code = f.payload.length >= 2 ? f.payload.readUInt16BE(0) : 1005;
        }
    };
    socket.write(Buffer.concat([Buffer.from(request ?? handshake(path, headers)), Buffer.from(early)]));
    client.head = await waitFor(() => {
        has(buffer.length + partBytes);
        const end = buffer.indexOf('\r\n\r\n');
        if (end < 0) return undefined;
        const head = buffer.subarray(0, end).toString('latin1');
        buffer = buffer.subarray(end + 4);
        return head;
    });
    client.status = Number(client.head?.split(' ')[1]);
    return client;
}
