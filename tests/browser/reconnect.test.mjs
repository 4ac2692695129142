// The server dies and comes back: the page says so, and catches up by itself.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newUser, startServer } from '../integration/lib.mjs';
import { aProposal, api, launch, live, reader, shows } from './lib.mjs';

let server, browser, anna, borys;

before(async () => {
    server = await startServer({ seed: true });
    browser = await launch();
    anna = await newUser(server.url, 'Анна Шевчук');
    borys = await newUser(server.url, 'Борис Гнатюк');
});

after(async () => {
    await browser?.close();
    await server?.stop();
});

const STATUS = '[data-live-status]';

test('after kill -9 the page says reconnecting, then live, and shows what it missed', async () => {
    const proposal = await aProposal(server.url, anna);
    const say = (body) =>
        api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body }, token: borys.token });
    await say('До.');
    const b = await reader(browser, server);
    await b.page.goto(proposal.path);
    await live(b.page);
    await b.context.route('**/api/v1/**', (route) => route.abort()); // the page learns nothing in the gap
    await server.kill9();
    await b.page.waitForSelector(`${STATUS}[data-state="reconnecting"]`);
    await shows(b.page, STATUS, /^Reconnecting… Data as of \d\d:\d\d$/);
    await b.context.unroute('**/api/v1/**');
    await server.restart();
    assert.equal((await say('Поки не чули.')).status, 201);
    await api(server.url, 'PUT', `/api/v1${proposal.path}/support`, { token: borys.token });
    await live(b.page);
    await shows(b.page, '[data-pill]', /^1 new comment$/, 30_000);
    await shows(b.page, '[data-count="support"]', /^1$/);
    await b.page.click('[data-pill]');
    await b.page.waitForSelector('.comment >> text=Поки не чули.');
    await shows(b.page, '[data-count="comments"]', /^2 comments$/);
    await b.close();
});

test('a comment written while the server is down is sent by itself when it is back', async () => {
    const proposal = await aProposal(server.url, anna);
    const a = await reader(browser, server, { user: anna });
    await a.page.goto(proposal.path);
    await live(a.page);
    await server.kill9();
    await a.page.waitForSelector(`${STATUS}[data-state="reconnecting"]`);
    await a.page.fill('form.composer textarea', 'Напишу все одно.');
    await a.page.click('form.composer button');
    await shows(a.page, '.comment.is-failed', /Напишу все одно\./);
    await server.restart();
    await a.page.waitForSelector('.comment:not(.is-pending):not(.is-failed) >> text=Напишу все одно.', { timeout: 30_000 });
    const { json } = await api(server.url, 'GET', `/api/v1${proposal.path}/comments`);
    assert.equal(json.items.length, 1);
    await a.close();
});

test('a device that loses its network says offline', async () => {
    const b = await reader(browser, server);
    await b.page.goto('/');
    await live(b.page);
    await b.context.setOffline(true);
    await shows(b.page, STATUS, /^Offline\. Data as of \d\d:\d\d$/);
    await b.context.setOffline(false);
    await live(b.page);
    await b.close();
});

test('what came between the drawing of the page and its subscription is not missed', async () => {
    const proposal = await aProposal(server.url, anna);
    const b = await reader(browser, server);
    let release;
    const held = new Promise((go) => (release = go));
    await b.page.route('**/static/app.*.js', async (route) => {
        await held;
        await route.fallback();
    });
    await b.page.goto(proposal.path, { waitUntil: 'commit' });
    await b.page.waitForSelector('[data-list="comments"]', { state: 'attached' });
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Саме тоді.' }, token: borys.token });
    release();
    await live(b.page);
    await b.page.waitForFunction(
        () => !document.querySelector('[data-pill]').hidden || document.querySelector('.comment'),
    );
    await shows(b.page, '[data-count="comments"]', /^1 comment$/);
    await b.close();
});
