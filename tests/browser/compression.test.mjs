// Stock pusher-js in Chromium, which always offers permessage-deflate: long events arrive compressed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import PusherServer from 'pusher';
import { app, startServer } from '../integration/lib.mjs';
import { launch, until } from './lib.mjs';

const source = readFileSync(createRequire(import.meta.url).resolve('pusher-js/dist/web/pusher.js'), 'utf8');

let server, browser;
before(async () => {
    server = await startServer();
    browser = await launch();
});
after(async () => {
    await browser?.close();
    await server?.stop();
});

test('stock pusher-js in a browser reads compressed events and sends to us', async () => {
    const page = await browser.newPage();
    const cdp = await page.context().newCDPSession(page);
    let handshake;
    cdp.on('Network.webSocketHandshakeResponseReceived', ({ response }) => (handshake = response.headers));
    await cdp.send('Network.enable');
    await page.goto(server.url); // an origin of its own may not reach loopback
    await page.evaluate(source);
    await page.evaluate(
        ([key, port]) => {
            const client = new window.Pusher(key, { cluster: '', wsHost: '127.0.0.1', wsPort: port, forceTLS: false, enabledTransports: ['ws'] });
            window.got = [];
            const channel = client.subscribe('compressed');
            channel.bind_global((event, data) => window.got.push([event, data]));
        },
        [app.key, server.port],
    );
    const got = () => page.evaluate(() => window.got);
    await until(async () => (await got()).length === 1, 'the subscription');
    assert.match(Object.entries(handshake).find(([k]) => /^sec-websocket-extensions$/i.test(k))[1], /^permessage-deflate/);

    const backend = new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: String(server.port), useTLS: false });
    const sent = [];
    for (const size of [10, 500, 1000, 5000, 9000]) {
        const data = { size, text: 'Громада вирішує '.repeat(size / 30).slice(0, size) };
        await backend.trigger('compressed', 'event', data);
        sent.push(['event', data]);
    }
    await until(async () => (await got()).length === 1 + sent.length, 'the events');
    assert.deepEqual((await got()).slice(1), sent);
    await page.close();
});
