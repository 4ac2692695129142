// recovery_client.mjs -- a client that counts what it gets (docs/recovery.md), on bare frames, and a signed publisher.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { Agent, request } from 'node:http';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

const hmac = (secret, text) => createHmac('sha256', secret).update(text).digest('hex');
const agent = new Agent({ keepAlive: true, maxSockets: 4 });

/** Publishes one event; gives the status. A connection that breaks rejects. */
export function publish(server, app, channel, name, data, { socket_id } = {}) {
    const body = JSON.stringify({ name, channel, data: JSON.stringify(data), socket_id });
    const path = `/apps/${app.id}/events`;
    const query = `auth_key=${app.key}&auth_timestamp=${Math.floor(Date.now() / 1000)}&auth_version=1.0` +
        `&body_md5=${createHash('md5').update(body).digest('hex')}`;
    const signature = hmac(app.secret, `POST\n${path}\n${query}`);
    return new Promise((done, fail) => {
        const r = request({ port: server.port, host: '127.0.0.1', method: 'POST', agent, path: `${path}?${query}&auth_signature=${signature}`,
            headers: { 'Content-Type': 'application/json' } }, (response) => {
            response.resume();
            response.on('end', () => done(response.statusCode));
            response.on('error', fail);
        });
        r.on('error', fail);
        r.end(body);
    });
}

export const isCounted = (event) => !/^(pusher:|pusher_internal:|client-)/.test(event);

/**
 * One subscriber of one channel. It keeps its position {stream_id, serial} over connections, and everything it
 * was given, in order: got = [{serial, event, data}]; frames holds the raw text of all frames of the channel.
 */
export class Counter {
    constructor(server, app, channel, { stock = false, authDelay = () => 0 } = {}) {
        Object.assign(this, { server, app, channel, stock, authDelay, position: null, got: [], frames: [], refusals: [], skips: 0, positions: 0, socket: null, id: '', oldId: '' });
    }

    async connect() {
        const c = await rawSocket(this.server.port, `/app/${this.app.key}?protocol=7&client=js`);
        const hello = await c.json();
        assert.equal(hello.event, 'pusher:connection_established');
        this.socket = c;
        this.oldId = this.id;
        this.id = JSON.parse(hello.data).socket_id;
        return this;
    }

    async subscribe() {
        const data = { channel: this.channel, auth: '' };
        if (/^private|^presence/.test(this.channel)) {
            await new Promise((done) => setTimeout(done, this.authDelay()));
            const user = this.channel.startsWith('presence') ? JSON.stringify({ user_id: `u${this.id}` }) : '';
            data.auth = `${this.app.key}:${hmac(this.app.secret, `${this.id}:${this.channel}${user && `:${user}`}`)}`;
            if (user) data.channel_data = user;
        }
        if (!this.stock) data.recover = this.position ? { ...this.position, socket_id: this.oldId } : {};
        this.socket.send(frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data })));
        return this;
    }

    /** Takes one frame; gives the message, or null when the connection ended. */
    async take(ms) {
        const f = await this.socket.next(ms);
        if (!f) return null;
        if (f.opcode !== TEXT) return { event: `opcode ${f.opcode}`, payload: f.payload };
        const text = f.payload.toString();
        const m = JSON.parse(text);
        if (m.event === 'pusher:ping') this.socket.send(frame(TEXT, '{"event":"pusher:pong","data":{}}'));
        if (m.channel !== this.channel) return m;
        this.frames.push(text);
        if (m.event === 'pusher_internal:subscription_succeeded') this.onAck(JSON.parse(m.data).recovery);
        else if (m.event === 'pusher_internal:skip') this.onSkip(JSON.parse(m.data).serial);
        else if (m.event === 'pusher_internal:position') this.onPosition(JSON.parse(m.data));
        else if (isCounted(m.event)) this.onEvent(m);
        return m;
    }

    onAck(recovery) {
        if (this.stock) return assert.equal(recovery, undefined);
        assert.ok(recovery, 'an answer about recovery');
        this.ack = recovery;
        if (recovery.recovered === false) {
            this.refusals.push(recovery.code);
            this.lostAt = this.got.length;
        } else if (recovery.recovered) {
            assert.deepEqual({ stream_id: recovery.stream_id, serial: recovery.serial }, this.position);
            assert.equal(recovery.replay, recovery.head - recovery.serial);
        }
        this.position = recovery.stream_id ? { stream_id: recovery.stream_id, serial: recovery.serial } : null;
    }

    onEvent(m) {
        if (this.position) this.position.serial++;
        this.got.push({ serial: this.position?.serial, event: m.event, data: JSON.parse(m.data) });
    }

    onSkip(serial) {
        assert.equal(serial, this.position.serial + 1, 'a skip is the next of the count');
        this.position.serial = serial;
        this.skips++;
    }

    onPosition(position) {
        assert.deepEqual(position, this.position, 'the count is that of the server');
        this.positions++;
    }

    /** Takes frames until fn(message) is true; gives that message; null: the connection ended. */
    async takeUntil(fn, ms) {
        for (;;) {
            const m = await this.take(ms);
            if (!m || fn(m)) return m;
        }
    }

    acknowledged() {
        return this.takeUntil((m) => m.event === 'pusher_internal:subscription_succeeded');
    }

    /** As a lost network does it. */
    drop() {
        this.socket.destroy();
    }
}
