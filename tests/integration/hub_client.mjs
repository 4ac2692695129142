// hub_client.mjs -- the hub from both sides: a raw client that was greeted, and signed REST calls.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { app } from './lib.mjs';
import { TEXT, frame, rawSocket } from './ws_client.mjs';

export const hmac = (secret, text) => createHmac('sha256', secret).update(text).digest('hex');

/** A raw client: id, say(event, data, channel), join(channel, data) for any channel, expectQuiet(). */
export async function hubClient(port, { key = app.key, secret = app.secret, prefix = '' } = {}) {
    const c = await rawSocket(port, `${prefix}/app/${key}`);
    c.id = JSON.parse((await c.json()).data).socket_id;
    c.say = (event, data, channel) => c.send(frame(TEXT, JSON.stringify({ event, data, channel })));
    c.join = (channel, data) => {
        const auth = `${key}:${hmac(secret, `${c.id}:${channel}${data === undefined ? '' : `:${data}`}`)}`;
        c.say('pusher:subscribe', { channel, auth, channel_data: data });
    };
    /** Everything sent before has been answered, and nothing else came. */
    c.expectQuiet = async () => {
        c.say('pusher:ping', {});
        assert.deepEqual(await c.json(), { event: 'pusher:pong' });
    };
    return c;
}

/** The query that signs a call; params are added to it, arrays as PHP writes them. */
export function signedQuery(method, path, text = '', { key = app.key, secret = app.secret, params = {} } = {}) {
    const all = {
        auth_key: key,
        auth_timestamp: String(Math.floor(Date.now() / 1000)),
        auth_version: '1.0',
        ...(text && { body_md5: createHash('md5').update(text).digest('hex') }),
        ...params,
    };
    const names = Object.keys(all).sort();
    const query = names.map((k) => `${k}=${Array.isArray(all[k]) ? all[k].join(',') : all[k]}`).join('&');
    const sent = names.flatMap((k) =>
        Array.isArray(all[k])
            ? all[k].map((v, i) => `${encodeURIComponent(`${k}[${i}]`)}=${encodeURIComponent(v)}`)
            : `${k}=${encodeURIComponent(all[k])}`,
    );
    return `${sent.join('&')}&auth_signature=${hmac(secret, `${method}\n${path}\n${query}`)}`;
}

/**
 * A signed call: {status, text, json, headers}. body: text or a value; signedPath: what is signed in place
 * of path; prefix: in front of what is sent.
 */
export async function signedCall(server, method, path, { body, signedPath = path, prefix = '', ...change } = {}) {
    const text = body === undefined || typeof body === 'string' ? (body ?? '') : JSON.stringify(body);
    const query = signedQuery(method, signedPath, text, change);
    const response = await fetch(`${server.url}${prefix}${path}?${query}`, {
        method,
        body: method === 'POST' ? text : undefined,
        headers: method === 'POST' ? { 'Content-Type': 'application/json' } : {},
    });
    const answer = await response.text();
    const json = /json/.test(response.headers.get('content-type')) && answer ? JSON.parse(answer) : null;
    return { status: response.status, text: answer, json, headers: response.headers };
}
