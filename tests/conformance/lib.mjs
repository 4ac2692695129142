// lib.mjs -- what the conformance cases share: a hub with several apps, raw and stock clients, signed calls.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import PusherClientModule from 'pusher-js';
import PusherServer from 'pusher';
import { hmac, signedQuery as signQuery } from '../integration/hub_client.mjs';
import { startServer } from '../integration/lib.mjs';
import { TEXT, frame, rawSocket } from '../integration/ws_client.mjs';

export { hmac } from '../integration/hub_client.mjs';
export { until, within } from '../integration/lib.mjs';
export * from '../integration/ws_client.mjs';

const PusherClient = PusherClientModule.default ?? PusherClientModule;

/** One case: its id, MUST, COMPAT or IMPROVE, what holds. docs/conformance.md lists them all (tools/conformance). */
export function conform(id, level, sentence, fn) {
    test(`${id} ${level}: ${sentence}`, { timeout: 600000 }, fn);
}

// The three apps of most cases.
export const app1 = {
    app_id: '123456',
    key: 'reverb-key',
    secret: 'reverb-secret',
    allowed_origins: ['*'],
    max_message_size: 10000,
    ping_interval: 3600,
    activity_timeout: 30,
    accept_client_events_from: 'members',
};
export const app2 = {
    ...app1,
    app_id: '654321',
    key: 'reverb-key-2',
    secret: 'reverb-secret-2',
    max_connections: 1,
    max_message_size: 1000000,
};
export const app3 = {
    ...app1,
    app_id: '987654',
    key: 'reverb-key-3',
    secret: 'reverb-secret-3',
    allowed_origins: ['laravel.com'],
    max_message_size: 1,
};

/** An app like the first with other limits, for a case that needs them or wants to be alone. */
export function appWith(name, change = {}) {
    return { ...app1, app_id: `id-${name}`, key: `key-${name}`, secret: `secret-${name}`, ...change };
}

/** The auth string of a subscription. */
export function sign(app, socketId, channel, channelData) {
    const text = [socketId, channel, ...(channelData === undefined ? [] : [channelData])].join(':');
    return `${app.key}:${hmac(app.secret, text)}`;
}

/** The query of an app's REST call, signed as the SDKs do it; params: more of it, or others in place of the usual. */
export function signedQuery(app, method, path, body = '', { secret = app.secret, ...params } = {}) {
    return signQuery(method, path, body, { key: app.key, secret, params });
}

// ---- frames ----

function parsed(text) {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}

/** A frame as it is compared: data that is a string of JSON is opened, and marked as a string. */
export function opened(message) {
    const m = typeof message === 'string' ? JSON.parse(message) : message;
    return m && typeof m.data === 'string' ? { ...m, data: { string: parsed(m.data) } } : m;
}

export const error = (code, message) => ({ event: 'pusher:error', data: JSON.stringify({ code, message }) });
export const BAD_MESSAGE = error(4200, 'Invalid message format');
export const UNAUTHORIZED = error(4009, 'Connection is unauthorized');
export const PONG_EVENT = { event: 'pusher:pong' };
export const subscribed = (channel, data = {}) => ({
    event: 'pusher_internal:subscription_succeeded',
    data: JSON.stringify(data),
    channel,
});
/** The answer to a presence subscription: members as [id, info] in order. */
export const roster = (channel, members) =>
    subscribed(channel, {
        presence: {
            count: members.length,
            ids: members.map(([id]) => id),
            hash: Object.fromEntries(members),
        },
    });
export const memberAdded = (channel, member) => ({
    event: 'pusher_internal:member_added',
    data: JSON.stringify(member),
    channel,
});
export const memberRemoved = (channel, id) => ({
    event: 'pusher_internal:member_removed',
    data: JSON.stringify({ user_id: id }),
    channel,
});
export const subscriptionError = (channel, error = 'The connection is unauthorized.') => ({
    event: 'pusher:subscription_error',
    channel,
    data: { type: 'AuthError', error, status: 401 },
});

// ---- the hub ----

/**
 * Starts the real binary as a hub with these apps. args, env: added to it.
 * Everything that was opened through it is closed by stop().
 */
export async function startHub({ apps = [app1, app2, app3], args = [], env = {} } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'viche-apps-'));
    const file = join(folder, 'apps.json');
    writeFileSync(file, JSON.stringify(apps));
    const server = await startServer({ args: ['--roles', 'hub', '--loops', '2', '--apps', file, ...args], env });
    const open = new Set();
    const hub = { server };

    hub.stop = async () => {
        for (const close of open) close();
        await server.stop();
        rmSync(folder, { recursive: true });
    };

    /** A raw client before its first frame; path: behind the port. */
    hub.raw = async (path, options) => {
        const c = await rawSocket(server.port, path, options);
        open.add(c.destroy);
        decorate(c);
        return c;
    };

    /** A raw client that was greeted, with its id. */
    hub.connect = async (app = app1, { query = '?protocol=7&client=js&version=8.6.0&flash=false', ...options } = {}) => {
        const c = await hub.raw(`/app/${app.key}${query}`, options);
        assert.equal(c.status, 101, c.head);
        const hello = opened(await c.json());
        assert.equal(hello.event, 'pusher:connection_established');
        c.app = app;
        c.hello = hello.data.string;
        c.id = c.hello.socket_id;
        return c;
    };

    /** A signed call; path: behind /apps/{id}/, or whole. change: parameters of the query. */
    hub.call = async (method, path, body, { app = app1, prefix = '', headers = {}, ...change } = {}) => {
        const text = body === undefined || typeof body === 'string' ? (body ?? '') : JSON.stringify(body);
        const [bare, extra = ''] = path.split('?');
        const parameters = Object.fromEntries(extra.split('&').filter(Boolean).map((p) => p.split('=')));
        const whole = bare.startsWith('/') ? bare : `/apps/${app.app_id}/${bare}`;
        const query = signedQuery(app, method, whole, text, { ...parameters, ...change });
        const response = await fetch(`${server.url}${prefix}${whole}?${query}`, {
            method,
            body: text || undefined,
            headers: { 'Content-Type': 'application/json', ...headers },
        });
        const answer = await response.text();
        return { status: response.status, headers: response.headers, text: answer, json: parsed(answer) };
    };
    hub.get = (path, options) => hub.call('GET', path, undefined, options);
    hub.post = (path, body, options) => hub.call('POST', path, body, options);
    hub.events = (body, options) => hub.post('events', body, options);
    /** Publishes and expects success: name, channel, data (a string). */
    hub.publish = async (name, channel, data, { app, ...more } = {}) => {
        const answer = await hub.events({ name, channel, data, ...more }, { app });
        assert.equal(answer.status, 200, answer.text);
        return answer;
    };

    /** The stock SDK of a backend. */
    hub.backend = (app = app1, options = {}) =>
        new PusherServer({
            appId: app.app_id,
            key: app.key,
            secret: app.secret,
            host: '127.0.0.1',
            port: String(server.port),
            useTLS: false,
            ...options,
        });

    /** What a stock client is configured with; user: answers to channel and user authorization. */
    hub.clientOptions = (app = app1, user, options = {}) => {
        const backend = hub.backend(app);
        return {
            cluster: '',
            wsHost: '127.0.0.1',
            wsPort: server.port,
            forceTLS: false,
            enabledTransports: ['ws'],
            disableStats: true,
            channelAuthorization: {
                customHandler: ({ socketId, channelName }, done) =>
                    done(null, backend.authorizeChannel(socketId, channelName, user)),
            },
            userAuthentication: {
                customHandler: ({ socketId }, done) =>
                    done(null, backend.authenticateUser(socketId, { id: user?.user_id, ...user?.user_info })),
            },
            ...options,
        };
    };
    /** A stock pusher-js. */
    hub.pusher = (app = app1, user, options) => {
        const client = new PusherClient(app.key, hub.clientOptions(app, user, options));
        open.add(() => client.disconnect());
        return client;
    };
    return hub;
}

function decorate(c) {
    c.text = (text) => c.send(frame(TEXT, text));
    c.say = (event, data, channel) => c.text(JSON.stringify({ event, data, channel }));
    /** The next frame is this one. */
    c.expect = async (want, why) => assert.deepEqual(opened(await c.json()), opened(want), why);
    /** The next frames are these, in any order. */
    c.expectAll = async (...wanted) => {
        const got = [];
        for (let i = 0; i < wanted.length; i++) got.push(opened(await c.json()));
        const sorted = (list) => list.map((m) => JSON.stringify(opened(m))).sort();
        assert.deepEqual(sorted(got), sorted(wanted));
    };
    /** What was sent before has been answered, and nothing else came. */
    c.expectQuiet = async (why) => {
        c.say('pusher:ping', {});
        await c.expect(PONG_EVENT, why);
    };
    /** The next frame is a close with this code; the connection ends then. */
    c.expectClose = async (code, reason) => {
        const close = await c.next();
        assert.equal(close?.opcode, 8, 'a close frame');
        assert.equal(close.payload.readUInt16BE(0), code);
        if (reason !== undefined) assert.equal(String(close.payload.subarray(2)), reason);
        c.socket.end();
        assert.equal(await c.next(), null, 'nothing behind the close frame');
    };
    /** Asks for a channel, signed when its name says so. */
    c.ask = (channel, member) => {
        const data = member === undefined || typeof member === 'string' ? member : JSON.stringify(member);
        const isSigned = /^(private|presence)/.test(channel);
        c.say('pusher:subscribe', {
            auth: isSigned ? sign(c.app, c.id, channel, data) : '',
            ...(data !== undefined && { channel_data: data }),
            channel,
        });
    };
    /** Asks for it and is given it: returns the opened data. */
    c.join = async (channel, member) => {
        c.ask(channel, member);
        const answer = opened(await c.json());
        assert.equal(answer.event, 'pusher_internal:subscription_succeeded', JSON.stringify(answer));
        assert.equal(answer.channel, channel);
        return answer.data.string;
    };
}

/** Resolves with the first value of that event. */
export const bound = (target, event) => new Promise((done) => target.bind(event, done));
export const succeeded = (channel) => bound(channel, 'pusher:subscription_succeeded');
/** Collects what an event brings. */
export function collect(target, event) {
    const all = [];
    target.bind(event, (data, metadata) => all.push(metadata ? { data, metadata } : { data }));
    return all;
}
