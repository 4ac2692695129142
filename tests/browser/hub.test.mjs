// The operator's page of the hub in a browser: it follows what happens, keeps the reader's place, works without a script;
// axe-core finds nothing and nothing sticks out sideways.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import PusherServer from 'pusher';
import { app, startServer } from '../integration/lib.mjs';
import { TEXT, frame, rawSocket } from '../integration/ws_client.mjs';
import { launch, reader, shows, until } from './lib.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let server, admin, browser;

before(async () => {
    server = await startServer({ args: ['--roles', 'hub', '--loops', '2', '--admin', '127.0.0.1:0'] });
    admin = { url: `http://127.0.0.1:${server.log().match(/at=app\.admin port=(\d+)/)[1]}` };
    browser = await launch();
});

after(async () => {
    await browser?.close();
    await server?.stop();
});

const backend = () => new PusherServer({ appId: app.id, key: app.key, secret: app.secret, host: '127.0.0.1', port: server.port });

async function connect() {
    const c = await rawSocket(server.port, `/app/${app.key}`);
    c.id = JSON.parse((await c.json()).data).socket_id;
    c.join = async (channel, auth) => {
        c.send(frame(TEXT, JSON.stringify({ event: 'pusher:subscribe', data: { channel, auth } })));
        return c.json();
    };
    return c;
}

async function findings(page) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() =>
        window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
    );
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => ({ id, html, failureSummary })));
}

const combinations = process.env.EVERY
    ? ['uk', 'en'].flatMap((lang) => ['light', 'dark'].flatMap((scheme) => [360, 768, 1280].map((width) => [lang, scheme, width])))
    : [
          ['uk', 'light', 360],
          ['en', 'dark', 1280],
      ];
for (const [lang, scheme, width] of combinations) {
    test(`axe-core finds nothing: ${lang}, ${scheme}, ${width} px`, async () => {
        const c = await connect();
        await c.join('news');
        await c.join(`a-long-name-${'x'.repeat(120)}`);
        await c.join('private-orders', 'wrong');
        await backend().trigger('news', 'hello', { text: 'привіт '.repeat(40) });
        const { page, close } = await reader(browser, admin, { lang, scheme, width });
        const wrong = [];
        for (const path of ['/hub', `/hub?socket=${c.id}`, '/hub?socket=1.1', '/hub?app=none']) {
            await page.goto(path);
            for (const finding of await findings(page)) wrong.push({ path, ...finding });
            const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (over > 0) wrong.push(`${path}: ${over} px stick out sideways`);
            assert.equal(await page.getAttribute('html', 'lang'), lang);
            if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${lang}-${scheme}-${width}-${path.replace(/\W+/g, '_').slice(0, 20)}.png`, fullPage: true });
        }
        await close();
        c.destroy();
        assert.deepEqual(wrong, []);
    });
}

test('a connection’s page follows what happens without a reload, and says when it is gone', async () => {
    const c = await connect();
    const { page, close } = await reader(browser, admin);
    await page.goto(`/hub?socket=${c.id}`);
    await shows(page, '[data-hub-state]', /^Live, as of$/);
    await page.evaluate(() => (window.isSame = true));
    await shows(page, '.hub-advice', /subscribes to nothing/);
    await c.join('news');
    await shows(page, '[data-hub-region="facts"]', /news ?gets all that is published/);
    await backend().trigger('news', 'hello', {});
    await shows(page, '[data-hub-region="frames"]', /"event":"hello"/);
    c.destroy();
    await shows(page, '.hub-advice', /There is no such connection/);
    assert.ok(await page.evaluate(() => window.isSame), 'the page was loaded again');
    await close();
});

test('what has the focus keeps it, and a paused page stands still', async () => {
    const first = await connect();
    const { page, close } = await reader(browser, admin);
    await page.goto('/hub');
    const link = page.locator(`a[href="/hub?socket=${first.id}"]`);
    await link.focus();
    const second = await connect();
    await page.waitForSelector(`a[href="/hub?socket=${second.id}"]`);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('href')), `/hub?socket=${first.id}`);
    await page.check('[data-hub-pause] input');
    await shows(page, '[data-hub-state]', /^Paused, as of$/);
    const third = await connect();
    const asked = [];
    page.on('request', (r) => asked.push(r.url()));
    await page.uncheck('[data-hub-pause] input');
    await page.waitForSelector(`a[href="/hub?socket=${third.id}"]`);
    assert.ok(asked.length >= 1);
    for (const c of [first, second, third]) c.destroy();
    await close();
});

test('a server that does not answer is said, not hidden', async () => {
    const { page, context, close } = await reader(browser, admin);
    await page.goto('/hub');
    await context.setOffline(true);
    await shows(page, '[data-hub-state]', /^The server does not answer, as of$/);
    await context.setOffline(false);
    await shows(page, '[data-hub-state]', /^Live, as of$/);
    await close();
});

test('without JavaScript: search, lists and reload', async () => {
    const c = await connect();
    const { page, close } = await reader(browser, admin, { js: false });
    await page.goto('/hub');
    await page.fill('input[name="socket"]', c.id);
    await page.click('.hub-search button');
    await page.waitForURL(`**/hub?socket=${c.id}*`);
    assert.match(await page.textContent('h1'), new RegExp(c.id));
    await c.join('plain');
    await page.click('[data-hub-reload]');
    await until(async () => /plain/.test(await page.textContent('[data-hub-region="facts"]')), 'the channel');
    c.destroy();
    await close();
});
