// HTTP over real sockets: framing, limits, times, smuggling rules (RFC 9110, RFC 9112).
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { MAX_STEP_MS, startServer, within } from './lib.mjs';

let server;
before(async () => (server = await startServer()));
after(() => server?.stop());

const HOST = 'Host: viche.test\r\n';
const UP = `GET /up HTTP/1.1\r\n${HOST}\r\n`;

/** A raw connection that collects what comes. */
class Wire {
    constructor() {
        this.bytes = Buffer.alloc(0);
        this.isEnded = false;
        this.waiters = [];
        this.socket = net.connect(server.port, '127.0.0.1');
        this.socket.setNoDelay(true);
        this.socket.on('data', (piece) => {
            this.bytes = Buffer.concat([this.bytes, piece]);
            this.wake();
        });
        const end = () => {
            this.isEnded = true;
            this.wake();
        };
        this.socket.on('end', end);
        this.socket.on('close', end);
        this.socket.on('error', end);
    }

    wake() {
        this.waiters.splice(0).forEach((waiter) => waiter());
    }

    write(data) {
        if (!this.socket.destroyed) this.socket.write(data);
    }

    /** Waits until done(this) is true; fails after ms. */
    async until(done, ms = 60000) {
        for (let left = ms; !done(this); ) {
            if (left <= 0) throw new Error(`timed out; got ${JSON.stringify(this.bytes.toString('latin1').slice(0, 500))}`);
            const began = performance.now(), step = Math.min(left, MAX_STEP_MS);
            await new Promise((resolve) => {
                const timer = setTimeout(resolve, step);
                this.waiters.push(() => {
                    clearTimeout(timer);
                    resolve();
                });
            });
            left -= Math.min(performance.now() - began, step); // as in until of lib.mjs
        }
    }

    /** The next response; without a body when isHead. */
    async response({ isHead = false, ms } = {}) {
        const headEnd = () => this.bytes.indexOf('\r\n\r\n');
        await this.until(() => headEnd() >= 0 || this.isEnded, ms);
        assert.ok(headEnd() >= 0, `no response, got ${JSON.stringify(this.bytes.toString('latin1'))}`);
        const [line, ...fields] = this.bytes.subarray(0, headEnd()).toString('latin1').split('\r\n');
        const headers = Object.fromEntries(
            fields.map((f) => [f.slice(0, f.indexOf(':')).toLowerCase(), f.slice(f.indexOf(':') + 1).trim()]),
        );
        const status = Number(line.split(' ')[1]);
        const bodyAt = headEnd() + 4;
        const length = isHead || status === 204 || status === 304 || status < 200 ? 0 : Number(headers['content-length']);
        await this.until(() => this.bytes.length >= bodyAt + length || this.isEnded, ms);
        const body = this.bytes.subarray(bodyAt, bodyAt + length).toString();
        this.bytes = this.bytes.subarray(bodyAt + length);
        return { line, status, headers, body };
    }

    close() {
        this.socket.destroy();
    }
}

async function withWire(fn) {
    const wire = new Wire();
    try {
        return await fn(wire);
    } finally {
        wire.close();
    }
}

const ask = (text, options) =>
    withWire(async (wire) => {
        wire.write(text);
        return wire.response(options);
    });

const post = (fields, body = '', path = '/api/v1/session') =>
    `POST ${path} HTTP/1.1\r\n${HOST}Content-Type: application/json\r\n${fields}\r\n${body}`;

test('GET /up answers 200 with the fields every response has', async () => {
    const began = Date.now(), r = await ask(UP);
    assert.equal(r.status, 200);
    assert.equal(r.headers['x-content-type-options'], 'nosniff');
    const date = new Date(r.headers.date);
    assert.ok(date > began - 5000 && date < Date.now() + 5000, r.headers.date);
    assert.equal(r.headers.connection, undefined);
});

test('HEAD has the fields of GET and no body', () =>
    withWire(async (wire) => {
        wire.write(`HEAD /up HTTP/1.1\r\n${HOST}\r\n${UP}`);
        const head = await wire.response({ isHead: true });
        const get = await wire.response();
        assert.equal(get.status, 200);
        assert.equal(head.headers['content-length'], get.headers['content-length']);
        assert.equal(head.headers['content-type'], get.headers['content-type']);
    }));

test('OPTIONS gives Allow, also for the whole server', async () => {
    const r = await ask(`OPTIONS /up HTTP/1.1\r\n${HOST}\r\n`);
    assert.equal(r.status, 204);
    assert.match(r.headers.allow, /GET, HEAD.*OPTIONS/);
    assert.equal((await ask(`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`)).status, 204);
});

test('a known path with another method answers 405 with Allow, an unknown path 404', async () => {
    const wrong = await ask(`PATCH /up HTTP/1.1\r\n${HOST}\r\n`);
    assert.equal(wrong.status, 405);
    assert.match(wrong.headers.allow, /GET, HEAD/);
    assert.equal((await ask(`GET /api/v1/nothing HTTP/1.1\r\n${HOST}\r\n`)).status, 404);
    assert.equal((await ask(`GET /api/v1/proposals/%ff HTTP/1.1\r\n${HOST}\r\n`)).status, 404);
});

test('a connection is kept for the next request', () =>
    withWire(async (wire) => {
        for (let i = 0; i < 3; i++) {
            wire.write(UP);
            assert.equal((await wire.response()).status, 200);
        }
    }));

test('Connection: close and HTTP/1.0 close after the answer, keep-alive of HTTP/1.0 keeps', async () => {
    for (const text of [`GET /up HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`, 'GET /up HTTP/1.0\r\n\r\n']) {
        await withWire(async (wire) => {
            wire.write(text);
            const r = await wire.response();
            assert.equal(r.status, 200);
            assert.equal(r.headers.connection, 'close');
            await wire.until(() => wire.isEnded);
        });
    }
    await withWire(async (wire) => {
        const text = 'GET /up HTTP/1.0\r\nConnection: keep-alive\r\n\r\n';
        wire.write(text);
        const r = await wire.response();
        assert.equal(r.line, 'HTTP/1.1 200 OK');
        assert.equal(r.headers.connection, 'keep-alive');
        wire.write(text);
        assert.equal((await wire.response()).status, 200);
    });
});

test('fifty pipelined requests of several kinds are answered in order', () =>
    withWire(async (wire) => {
        const kinds = [
            [UP, 200],
            [`GET /api/v1/nothing HTTP/1.1\r\n${HOST}\r\n`, 404],
            [post('Content-Length: 2\r\n', '{]'), 400],
            [`PATCH /up HTTP/1.1\r\n${HOST}\r\n`, 405],
        ];
        const requests = Array.from({ length: 50 }, (_, i) => kinds[(i * 7) % kinds.length]);
        wire.write(requests.map(([text]) => text).join(''));
        for (const [text, status] of requests) assert.equal((await wire.response()).status, status, text);
    }));

test('a request split at every byte gives the same answer', async () => {
    const body = '{"email":"nobody@example.org"}';
    const text = post(`Content-Length: ${body.length}\r\n`, body);
    const whole = await ask(text);
    for (let at = 1; at < text.length; at++) {
        await withWire(async (wire) => {
            wire.write(text.slice(0, at));
            await new Promise((resolve) => setImmediate(resolve));
            wire.write(text.slice(at));
            const r = await wire.response();
            assert.equal(r.status, whole.status, `split at ${at}`);
            assert.equal(r.body, whole.body, `split at ${at}`);
        });
    }
});

test('a request byte by byte, and chunks in odd pieces, are the same as whole', async () => {
    const body = '{"email":"nobody@example.org"}';
    const whole = await ask(post(`Content-Length: ${body.length}\r\n`, body));
    const chunks = `5\r\n${body.slice(0, 5)}\r\n0001;note="x"\r\n${body[5]}\r\n${(body.length - 6).toString(16).toUpperCase()}\r\n${body.slice(6)}\r\n0\r\nX-Sum: 1\r\n\r\n`;
    const chunked = post('Transfer-Encoding: chunked\r\n', chunks);
    assert.equal((await ask(chunked)).body, whole.body);
    await withWire(async (wire) => {
        for (const c of chunked) {
            wire.write(c);
            await new Promise((resolve) => setImmediate(resolve));
        }
        assert.equal((await wire.response()).body, whole.body);
        wire.write(UP); // and the connection goes on
        assert.equal((await wire.response()).status, 200);
    });
});

const REFUSED = [
    ['length and chunked', post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['two lengths', post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello')],
    ['same length twice', post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello')],
    ['list of lengths', post('Content-Length: 5, 5\r\n', 'hello')],
    ['negative length', post('Content-Length: -5\r\n')],
    ['plus length', post('Content-Length: +5\r\n', 'hello')],
    ['hex length', post('Content-Length: 0x5\r\n', 'hello')],
    ['huge length', post('Content-Length: 99999999999999999999\r\n')],
    ['gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['xchunked', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['two codings', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n')],
    ['coding with a vertical tab', post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n')],
    ['chunked in HTTP/1.0', 'POST /api/v1/session HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['bad chunk size', post('Transfer-Encoding: chunked\r\n', 'G\r\n')],
    ['negative chunk', post('Transfer-Encoding: chunked\r\n', '-1\r\n')],
    ['0x chunk', post('Transfer-Encoding: chunked\r\n', '0x1\r\na\r\n')],
    ['chunk overflow', post('Transfer-Encoding: chunked\r\n', 'fffffffffffffffff\r\n')],
    ['chunk longer than said', post('Transfer-Encoding: chunked\r\n', '1\r\nabc\r\n0\r\n\r\n')],
    ['chunk with bare LF', post('Transfer-Encoding: chunked\r\n', '1\na\n0\n\n')],
    ['space before the colon', `GET /up HTTP/1.1\r\n${HOST}X : y\r\n\r\n`],
    ['folded line', `GET /up HTTP/1.1\r\n${HOST}X: y\r\n z\r\n\r\n`],
    ['bare LF', `GET /up HTTP/1.1\nHost: a\n\n`],
    ['bare CR', `GET /up HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`],
    ['NUL', `GET /up HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`],
    ['control character', `GET /up HTTP/1.1\r\n${HOST}X: a\x08b\r\n\r\n`],
    ['bad name', `GET /up HTTP/1.1\r\n${HOST}X(): y\r\n\r\n`],
    ['no host', 'GET /up HTTP/1.1\r\n\r\n'],
    ['two hosts', `GET /up HTTP/1.1\r\n${HOST}${HOST}\r\n`],
    ['host with a path', 'GET /up HTTP/1.1\r\nHost: a/b\r\n\r\n'],
    ['absolute form of another host', `GET http://other.test/up HTTP/1.1\r\n${HOST}\r\n`],
    ['fragment', `GET /up#x HTTP/1.1\r\n${HOST}\r\n`],
    ['two spaces', `GET  /up HTTP/1.1\r\n${HOST}\r\n`],
    ['HTTP/0.9', 'GET /up\r\n\r\n'],
    ['rubbish', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ['HTTP/3.0', `GET /up HTTP/3.0\r\n${HOST}\r\n`, 505],
    ['unknown method', `BREW /up HTTP/1.1\r\n${HOST}\r\n`, 501],
    ['unknown expectation', post('Expect: a-miracle\r\nContent-Length: 1\r\n', 'a'), 417],
];

for (const [why, text, status = 400] of REFUSED) {
    test(`${why}: ${status} and the connection ends, so nothing smuggled behind it is answered`, () =>
        withWire(async (wire) => {
            wire.write(Buffer.concat([Buffer.from(text, 'latin1'), Buffer.from(UP)]));
            const r = await wire.response();
            assert.equal(r.status, status);
            assert.equal(r.headers.connection, 'close');
            assert.equal(r.headers['content-type'], 'application/problem+json');
            assert.equal(JSON.parse(r.body).status, status);
            await wire.until(() => wire.isEnded);
            assert.equal(wire.bytes.length, 0, wire.bytes.toString());
        }));
}

test('a body over the limit gets 413 before it is read', async () => {
    const limited = '/api/v1/nothing'; // 64 KiB, as for all that say no other
    const long = await ask(post('Content-Length: 65537\r\n', '', limited));
    assert.equal(long.status, 413);
    assert.equal(long.headers.connection, 'close');
    assert.equal((await ask(post('Content-Length: 1073741824\r\n'))).status, 413);
    assert.equal((await ask(post('Transfer-Encoding: chunked\r\n', 'fffffff\r\n'))).status, 413);
    await withWire(async (wire) => {
        wire.write(post('Transfer-Encoding: chunked\r\n', '', limited));
        const piece = `1000\r\n${'x'.repeat(4096)}\r\n`;
        for (let i = 0; i < 17 && !wire.isEnded; i++) wire.write(piece);
        assert.equal((await wire.response()).status, 413);
    });
});

test('a head over the limit gets 431, a long target 414, endless chunk extensions and trailers 431', async () => {
    const pad = 'a'.repeat(20000);
    const refused = await ask(`GET /up HTTP/1.1\r\n${HOST}X: ${pad}\r\n\r\n`);
    assert.equal(refused.status, 431);
    assert.equal(JSON.parse(refused.body).detail, 'The header fields are longer than the server takes.');
    assert.equal((await ask(`GET /up HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(100)}\r\n`)).status, 431);
    assert.equal((await ask(`GET /${pad} HTTP/1.1\r\n${HOST}\r\n`)).status, 414);
    const big = 'a'.repeat(200000);
    assert.equal((await ask(post('Transfer-Encoding: chunked\r\n', `1;${big}`))).status, 431);
    assert.equal((await ask(post('Transfer-Encoding: chunked\r\n', `0\r\nX: ${big}`))).status, 431);
});

test('Expect: 100-continue is answered before the body, or by the final status', async () => {
    await withWire(async (wire) => {
        wire.write(post('Content-Length: 2\r\nExpect: 100-continue\r\n'));
        assert.equal((await wire.response()).status, 100);
        wire.write('{}');
        assert.ok((await wire.response()).status >= 400);
    });
    const none = await ask(`POST /nothing HTTP/1.1\r\n${HOST}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n`);
    assert.equal(none.status, 404);
    assert.equal(none.headers.connection, 'close');
    assert.equal((await ask(post('Content-Length: 100000000\r\nExpect: 100-continue\r\n'))).status, 413);
});

describe('clients that take their time', { concurrency: true }, () => {
    test('a client that dribbles is dropped when its time is over, however busy it looks', () =>
        within(13000, () =>
            withWire(async (wire) => {
                const begin = Date.now();
                wire.write('GET /up HTTP/1.1\r\nX: ');
                const timer = setInterval(() => wire.write('a'), 300);
                try {
                    const r = await wire.response();
                    assert.equal(r.status, 408);
                    await wire.until(() => wire.isEnded);
                } finally {
                    clearInterval(timer);
                }
                assert.ok(Date.now() - begin > 9000, `${Date.now() - begin} ms`);
            })));

    test('a client that connects and says nothing is dropped', () =>
        within(13000, () =>
            withWire(async (wire) => {
                await wire.until(() => wire.isEnded);
                assert.equal(wire.bytes.length, 0);
            })));
});

test('a client that goes away in the middle of anything leaves the server well', async () => {
    const text = post('Content-Length: 20\r\n', '{"email":"a@example.org"}').slice(0, -5);
    for (let at = 1; at < text.length; at += 3) {
        const wire = new Wire();
        await new Promise((resolve) => wire.socket.once('connect', resolve));
        wire.write(text.slice(0, at));
        if (at % 2) wire.socket.resetAndDestroy?.() ?? wire.close();
        else wire.close();
    }
    assert.equal((await ask(UP)).status, 200);
});

test('a half-closed client still gets its answer', () =>
    withWire(async (wire) => {
        wire.socket.end(UP);
        assert.equal((await wire.response()).status, 200);
        await wire.until(() => wire.isEnded);
    }));

test('a client that pipelines without reading does not stop the others', async () => {
    const wire = new Wire();
    wire.socket.pause();
    for (let i = 0; i < 200; i++) wire.write(UP.repeat(100));
    for (let i = 0; i < 20; i++) assert.equal((await ask(UP)).status, 200);
    wire.socket.resume();
    let count = 0;
    await wire.until(() => {
        count = wire.bytes.toString('latin1').split('HTTP/1.1 200').length - 1;
        return count === 20000;
    }, 60000);
    wire.close();
});

test('three hundred idle connections do not slow a request', async () => {
    const wires = Array.from({ length: 300 }, () => new Wire());
    await Promise.all(wires.map((w) => new Promise((resolve) => w.socket.once('connect', resolve))));
    await within(1000, async () => assert.equal((await ask(UP)).status, 200));
    wires.forEach((w) => w.close());
});

test('static files: hashed names for ever, compressed forms, tags, nothing outside', async () => {
    const page = await fetch(`${server.url}/`);
    const html = await page.text();
    const name = html.replaceAll('&#x2F;', '/').match(/\/static\/[A-Za-z0-9_./-]+\.css/)?.[0];
    assert.ok(name, 'the page names a style sheet');
    const get = (path, fields = '') => ask(`GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`);

    const plain = await get(name);
    assert.equal(plain.status, 200);
    assert.match(plain.headers['cache-control'], /immutable/);
    assert.equal(plain.headers.vary, 'Accept-Encoding');
    const brotli = await get(name, 'Accept-Encoding: gzip, br\r\n');
    assert.equal(brotli.headers['content-encoding'], 'br');
    const gzip = await get(name, 'Accept-Encoding: gzip, br;q=0\r\n');
    assert.equal(gzip.headers['content-encoding'], 'gzip');
    const tags = [plain, brotli, gzip].map((r) => r.headers.etag);
    assert.equal(new Set(tags).size, 3);
    const known = await get(name, `Accept-Encoding: gzip, br\r\nIf-None-Match: "x", W/${tags[1]}\r\n`);
    assert.equal(known.status, 304);
    assert.equal(known.headers.etag, tags[1]);
    for (const path of ['/static/', '/static/nothing.css', '/static/../templates/home.mustache', '/static/%2e%2e/locales/uk.json', '/static/..%2flocales/uk.json']) {
        assert.equal((await get(path)).status, 404, path);
    }
});
