// Writing is never lost and never disturbed: failures, drafts, twenty events while someone types.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newUser, startServer } from '../integration/lib.mjs';
import { aProposal, api, launch, live, logIn, reader, shows, until, within } from './lib.mjs';

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

const AREA = 'form.composer textarea';
const FAILED = '.comment.is-failed';
const ANNOUNCED_EACH_MS = 10_000; // GAP_MS of web/src/announce.ts

const write = async (page, text) => {
    await page.fill(AREA, text);
    await page.click('form.composer button');
};

async function open(user, options = {}) {
    const proposal = await aProposal(server.url, anna);
    const one = await reader(browser, server, { user, ...options });
    await one.page.goto(proposal.path);
    await live(one.page);
    return { ...one, proposal };
}

const listOf = async (proposal) => (await api(server.url, 'GET', `/api/v1${proposal.path}/comments`)).json.items;
const isPost = (route) => route.request().method() === 'POST';
const COMMENTS = '**/api/v1/proposals/*/comments';

/** Lets no comment through until the returned function is called. */
async function cut(page) {
    const handler = (route) => (isPost(route) ? route.abort() : route.fallback());
    await page.route(COMMENTS, handler);
    return () => page.unroute(COMMENTS, handler);
}

test('a comment that cannot be sent keeps its text and is sent by Send again', async () => {
    const { page, close, proposal } = await open(anna);
    const mend = await cut(page);
    await write(page, 'Довгий текст, який шкода втратити.');
    await shows(page, FAILED, /Could not be sent.*did not answer/);
    await shows(page, FAILED, /Довгий текст, який шкода втратити\./);
    await mend();
    await page.click(`${FAILED} [data-retry]`);
    await page.waitForSelector('.comment:not(.is-pending):not(.is-failed) >> text=Довгий текст');
    assert.equal((await listOf(proposal)).length, 1);
    assert.equal(await page.inputValue(AREA), '');
    await close();
});

test('sending again after a lost answer makes no second comment', async () => {
    const { page, close, proposal } = await open(anna);
    await page.route('**/app/**', (route) => route.abort()); // no matter for the socket that is open
    let isFirst = true;
    await page.route(COMMENTS, async (route) => {
        if (!isPost(route) || !isFirst) return route.fallback();
        isFirst = false;
        await route.fetch(); // the server did it
        await route.abort(); // and the page never hears
    });
    await write(page, 'Один раз.');
    // by the event or by sending again: in either case it comes to stand there once
    await until(async () => {
        const retry = page.locator(`${FAILED} [data-retry]`);
        if (await retry.count()) await retry.click({ timeout: 1000 }).catch(() => undefined);
        return (await page.locator('.comment:not(.is-pending):not(.is-failed)').count()) === 1;
    }, 'the comment to be confirmed');
    assert.equal((await listOf(proposal)).length, 1);
    assert.equal(await page.locator('.comment').count(), 1);
    await close();
});

test('a failed comment can be edited or discarded', async () => {
    const { page, close, proposal } = await open(anna);
    const mend = await cut(page);
    await write(page, 'Перша спроба.');
    await page.click(`${FAILED} [data-edit]`);
    assert.equal(await page.inputValue(AREA), 'Перша спроба.');
    assert.equal(await page.locator('.comment').count(), 0);
    await page.click('form.composer button');
    await page.click(`${FAILED} [data-discard]`);
    assert.equal(await page.locator('.comment').count(), 0);
    assert.equal(await page.inputValue(AREA), '');
    await mend();
    await page.reload();
    await live(page);
    assert.equal(await page.locator('.comment').count(), 0, 'what was discarded does not come back');
    assert.equal((await listOf(proposal)).length, 0);
    await close();
});

test('a failed comment is still there after a reload and can be sent then', async () => {
    const { page, close, proposal } = await open(anna);
    const mend = await cut(page);
    await write(page, 'Переживе перезавантаження.');
    await page.waitForSelector(FAILED);
    await page.reload();
    await live(page);
    await shows(page, FAILED, /Переживе перезавантаження\./);
    await mend();
    await page.click(`${FAILED} [data-retry]`);
    await page.waitForSelector('.comment:not(.is-pending):not(.is-failed) >> text=Переживе');
    assert.equal((await listOf(proposal)).length, 1);
    await page.reload();
    await live(page);
    assert.equal(await page.locator('.comment').count(), 1);
    await close();
});

test('a session that has ended asks to log in, and the text is there afterwards', async () => {
    const { page, close, context, proposal } = await open(anna);
    await context.clearCookies();
    await write(page, 'Спершу увійти.');
    const link = page.locator(`${FAILED} a[href^="/login?next="]`);
    await link.waitFor();
    await link.click();
    await page.waitForSelector('form[data-form="login"]');
    await page.fill('input[name="email"]', anna.email);
    await page.fill('input[name="password"]', anna.password);
    await page.click('form[data-form="login"] button');
    await page.waitForURL((url) => url.pathname === proposal.path);
    await shows(page, FAILED, /Спершу увійти\./);
    await page.click(`${FAILED} [data-retry]`);
    await page.waitForSelector('.comment:not(.is-pending):not(.is-failed) >> text=Спершу увійти.');
    await close();
});

test('drafts of a comment and of a reply survive a reload', async () => {
    const proposal = await aProposal(server.url, anna);
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Думка.' }, token: borys.token });
    const { page, close } = await reader(browser, server, { user: anna });
    await page.goto(proposal.path);
    await live(page);
    await page.fill(AREA, 'Ще не дописано');
    await page.click('.comment summary');
    await page.fill('.comment .reply textarea', 'І відповідь теж');
    await page.reload();
    await live(page);
    assert.equal(await page.inputValue(AREA), 'Ще не дописано');
    assert.equal(await page.inputValue('.comment .reply textarea'), 'І відповідь теж');
    assert.equal(await page.locator('.comment .reply').getAttribute('open'), '', 'the reply is open');
    await close();
});

test('a reply stands under its comment and waits behind the pill elsewhere', async () => {
    const proposal = await aProposal(server.url, anna);
    for (const body of ['Перша.', 'Друга.']) {
        await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body }, token: borys.token });
    }
    const a = await reader(browser, server, { user: anna });
    const b = await reader(browser, server);
    for (const { page } of [a, b]) {
        await page.goto(proposal.path);
        await live(page);
    }
    await a.page.locator('.comment summary').first().click(); // newest first: the second
    await a.page.locator('.comment .reply textarea').first().fill('Відповідь другій.');
    await a.page.locator('.comment .reply button').first().click();
    await a.page.waitForSelector('.comment.depth-2:not(.is-pending)');
    await b.page.locator('[data-pill]').click();
    const order = (page) => page.locator('.comment .prose').allTextContents();
    const expected = ['Друга.', 'Відповідь другій.', 'Перша.'];
    for (const { page } of [a, b]) assert.deepEqual((await order(page)).map((text) => text.trim()), expected);
    await a.close();
    await b.close();
});

test('twenty events disturb neither what someone types nor their focus nor the place they read', async () => {
    const { page, close, proposal } = await open(anna);
    await page.click(AREA);
    await page.keyboard.type('Початок ');
    const place = () => page.evaluate(() => [document.querySelector('form.composer').getBoundingClientRect().top, scrollY]);
    const before = await place();
    const comments = Array.from({ length: 10 }, (_, i) =>
        api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: `Подія ${i}.` }, token: borys.token }),
    );
    for (let i = 0; i < 5; i++) {
        await api(server.url, 'PUT', `/api/v1${proposal.path}/support`, { token: borys.token });
        await page.keyboard.type('далі ');
        await api(server.url, 'DELETE', `/api/v1${proposal.path}/support`, { token: borys.token });
    }
    const made = (await Promise.all(comments)).filter(({ status }) => status === 201).length;
    assert.ok(made > 0);
    await shows(page, '[data-pill]', new RegExp(`^${made} new comment`));
    await page.keyboard.type('кінець');
    assert.equal(await page.inputValue(AREA), 'Початок далі далі далі далі далі кінець');
    assert.equal(await page.evaluate((area) => document.activeElement === document.querySelector(area), AREA), true);
    assert.deepEqual(await place(), before);
    assert.equal(await page.locator('.comment').count(), 0, 'nothing is inserted while typing');
    await close();
});

test('announcements to screen readers are summaries, not one for each event', async () => {
    const { page, close, proposal } = await open(borys);
    await page.evaluate(() => {
        window.said = [];
        const region = document.querySelector('[data-announcer]');
        new MutationObserver(() => window.said.push(region.textContent)).observe(region, { childList: true });
    });
    await page.focus(AREA);
    const began = performance.now();
    for (let i = 0; i < 6; i++) {
        await api(server.url, 'PUT', `/api/v1${proposal.path}/support`, { token: anna.token });
        await api(server.url, 'DELETE', `/api/v1${proposal.path}/support`, { token: anna.token });
    }
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Слово.' }, token: anna.token });
    await shows(page, '[data-pill]', /^1 new comment$/);
    await until(() => page.evaluate(() => window.said.length > 0), 'an announcement');
    const count = await page.evaluate(() => window.said.length);
    assert.ok(count <= 2 + (performance.now() - began) / ANNOUNCED_EACH_MS, `${count} of 13 events`);
    await close();
});

test('what the reader did is told to screen readers at once, not after the news', async () => {
    await within(ANNOUNCED_EACH_MS, async (clock) => {
        const { page, close, proposal } = await open(borys);
        const said = (pattern) => shows(page, '[data-announcer]', pattern);
        const say = (body) => api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body }, token: anna.token });
        await page.focus(AREA);
        clock.start();
        await say('Слово.');
        await said(/^1 new comment$/);
        await say('Ще.');
        await shows(page, '[data-pill]', /^2 new comments$/); // their announcement waits for its turn
        assert.match(await page.textContent('[data-announcer]'), /^1 new comment$/);
        await page.click('form[data-form="support"] button');
        await page.waitForSelector('[data-supported]');
        await said(/You signed/);
        assert.match(await page.textContent('[data-announcer]'), /2 new comments/, 'and what waited is told with it');
        await close();
    });
});

test('a text whose discussion has closed can be read and discarded, but not edited', async () => {
    const { page, close, proposal } = await open(anna);
    const mend = await cut(page);
    await write(page, 'Запізнілі слова.');
    await page.waitForSelector(`${FAILED} [data-edit]:visible`);
    await mend();
    const change = `PRAGMA busy_timeout = 5000; UPDATE proposal SET deadline_at_ms = 1 WHERE id = ${proposal.id}`;
    assert.equal(spawnSync('sqlite3', [join(server.dataDir, 'viche.db'), change]).status, 0);
    await page.reload();
    await shows(page, FAILED, /Запізнілі слова\./);
    assert.equal(await page.locator(`${FAILED} [data-edit]`).isVisible(), false, 'there is no composer to go back to');
    await page.click(`${FAILED} [data-retry]`);
    await shows(page, FAILED, /time is over/);
    assert.equal(await page.locator(`${FAILED} [data-edit]`).isVisible(), false);
    await page.click(`${FAILED} [data-discard]`);
    assert.equal(await page.locator(FAILED).count(), 0);
    await close();
});

test('a comment of another has nothing to edit or to send again', async () => {
    const { page, close, proposal } = await open(anna);
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Чуже.' }, token: borys.token });
    await page.reload();
    await page.waitForSelector('.comment >> text=Чуже.');
    assert.equal(await page.locator('.comment :is([data-edit], [data-retry], [data-discard])').count(), 0);
    await close();
});

test('logging out leaves no text behind on the device', async () => {
    const { page, close, proposal } = await open(anna);
    await page.fill(AREA, 'Моє');
    await until(() => page.evaluate(() => Object.keys(localStorage).some((key) => key.startsWith('viche.draft'))));
    await page.click('form[data-form="logout"] button');
    await page.waitForSelector('header a[href^="/login"]');
    await logIn(page, anna);
    await page.goto(proposal.path);
    assert.equal(await page.inputValue(AREA), '');
    await close();
});

test('a text that was not sent shows to the one who wrote it only, and says why it was refused', async () => {
    const { page, context, close, proposal } = await open(anna);
    const refusal = { code: 'discussion-closed', title: 'No', detail: 'The discussion is over.' };
    await page.route(COMMENTS, (route) =>
        isPost(route)
            ? route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify(refusal) })
            : route.fallback(),
    );
    await write(page, 'Таємне.');
    await shows(page, FAILED, /The discussion is over/);
    await page.fill(AREA, 'Чернетка.');
    await page.reload();
    await shows(page, FAILED, /The discussion is over/);
    await context.clearCookies(); // the session ends without a log-out
    await page.goto(proposal.path);
    await live(page);
    assert.equal(await page.locator(FAILED).count(), 0, 'a visitor sees nothing');
    await logIn(page, borys);
    await page.goto(proposal.path);
    await live(page);
    assert.equal(await page.locator(FAILED).count(), 0, 'nor does another person');
    assert.equal(await page.inputValue(AREA), '');
    await close();
});

test('the draft of a proposal survives leaving the page, and goes once it is published', async () => {
    const { page, close } = await reader(browser, server, { user: borys });
    const title = `Дерева вздовж вулиці ${process.pid}`;
    await page.goto('/proposals/new');
    await page.fill('input[name="title"]', title);
    await page.fill('textarea[name="body"]', 'Тіні немає.');
    await page.goto('/proposals');
    await page.goto('/proposals/new');
    assert.equal(await page.inputValue('input[name="title"]'), title);
    assert.equal(await page.inputValue('textarea[name="body"]'), 'Тіні немає.');
    await page.click('form[data-form="proposal"] button');
    await page.waitForURL(/\/proposals\/\d+$/);
    await page.goto('/proposals/new');
    assert.equal(await page.inputValue('input[name="title"]'), '');
    await close();
});

test('a page of one person sends nothing as another who logged in meanwhile, and the text is kept for its writer', async () => {
    const { page, context, close, proposal } = await open(anna);
    const mend = await cut(page);
    await write(page, 'Слова Анни.');
    await page.waitForSelector(FAILED);
    await mend();
    await context.clearCookies();
    const other = await context.newPage();
    await logIn(other, borys);
    await page.click(`${FAILED} [data-retry]`);
    await shows(page, FAILED, /belongs to another person than the one who is logged in now/);
    await page.click('form[data-form="support"] button');
    await shows(page, '[data-support] + .problem', /Somebody else is logged in/);
    assert.deepEqual(await listOf(proposal), []);
    assert.equal((await api(server.url, 'GET', `/api/v1${proposal.path}`)).json.support_count, 0);
    await other.goto(proposal.path);
    await live(other);
    assert.equal(await other.locator(FAILED).count(), 0, 'the other does not find it');
    await context.clearCookies();
    await logIn(page, anna);
    await page.goto(proposal.path);
    await live(page);
    await page.click(`${FAILED} [data-retry]`);
    await page.waitForSelector('.comment:not(.is-pending):not(.is-failed) >> text=Слова Анни.');
    assert.equal((await listOf(proposal))[0].author.id, anna.user.id);
    await close();
});
