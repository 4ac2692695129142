// The main story: two people look at the same thing, one acts, the other sees it without a reload.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { newUser, startServer } from '../integration/lib.mjs';
import { aProposal, aVoting, api, launch, live, reader, shows, until, within } from './lib.mjs';

const REST_MS = 900; // a control that has just changed takes no press for a moment

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

/** Anna (logged in) and a visitor, both at path and live. */
async function twoWindows(path, options = {}) {
    const a = await reader(browser, server, { user: anna, ...options });
    const b = await reader(browser, server, options);
    for (const { page } of [a, b]) {
        await page.goto(path);
        await live(page);
    }
    return { a, b, close: async () => Promise.all([a.close(), b.close()]) };
}

/** Marks the document: the mark is gone after a load. */
const mark = (page) => page.evaluate(() => void (window.isTheSameDocument = true));
const isMarked = (page) => page.evaluate(() => window.isTheSameDocument === true);

const write = async (page, text) => {
    await page.fill('form.composer textarea', text);
    await page.click('form.composer button');
};

/** A proposal of Anna's on which Borys has spoken already. */
async function aDiscussion() {
    const proposal = await aProposal(server.url, anna);
    await say(proposal, 'Перше слово.');
    return proposal;
}

const say = (proposal, body) =>
    api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body }, token: borys.token });

test('a comment stands in the writer’s page at once and waits behind a pill in the other', async () => {
    const proposal = await aDiscussion();
    const { a, b, close } = await twoWindows(proposal.path);
    await mark(a.page);
    await mark(b.page);

    await write(a.page, 'Підтримую, давно пора.');
    await a.page.waitForSelector('.comment:not(.is-pending) >> text=Підтримую, давно пора.');
    await shows(b.page, '[data-pill]', /^1 new comment$/);
    assert.equal(await b.page.locator('text=Підтримую, давно пора.').count(), 0, 'nothing is inserted unasked');
    await b.page.click('[data-pill]');
    await b.page.waitForSelector('.comment >> text=Підтримую, давно пора.');
    assert.equal(await b.page.locator('.comment:focus').count(), 1, 'focus is at the first new comment');
    assert.equal(await b.page.locator('[data-pill]').isHidden(), true);
    await shows(b.page, '[data-count="comments"]', /^2 comments$/);
    assert.ok((await isMarked(a.page)) && (await isMarked(b.page)), 'no page was loaded again');
    await close();
});

test('a comment whose place is below the view stands there at once, unless the reader is typing', async () => {
    const body = Array.from({ length: 40 }, () => 'Довгий текст.').join('\n\n');
    const proposal = await aProposal(server.url, anna, { body });
    await say(proposal, 'Перше слово.');
    const { a, b, close } = await twoWindows(proposal.path);
    const listTop = (page) =>
        page.$eval('[data-list="comments"]', (list) => list.getBoundingClientRect().top - innerHeight);
    assert.ok((await listTop(b.page)) > 0, 'the discussion is below the view');

    await say(proposal, 'Бачу одразу.');
    await b.page.waitForSelector('.comment >> text=Бачу одразу.');
    assert.equal(await b.page.locator('[data-pill]').isHidden(), true);
    assert.equal(await b.page.evaluate(() => scrollY), 0, 'the reader was not moved');

    await a.page.focus('form.composer textarea');
    await say(proposal, 'Почекаю.');
    await shows(a.page, '[data-pill]', /^1 new comment$/);
    await close();
});

test('a reply to a comment on another page waits behind the pill where the list is flat, and is no news among threads', async () => {
    const proposal = await aDiscussion();
    const { json: old } = await say(proposal, 'Перший.');
    await Promise.all(Array.from({ length: 50 }, (_, i) => say(proposal, `Ще ${i}.`)));
    const { a, b, close } = await twoWindows(`${proposal.path}?sort=new`);
    await b.page.goto(`${proposal.path}?sort=threads`);
    await live(b.page);
    for (const { page } of [a, b]) assert.equal(await page.locator(`[data-comment="${old.id}"]`).count(), 0);
    const reply = { body: 'Відповідь.', parent_id: old.id };
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: reply, token: borys.token });
    await shows(a.page, '[data-pill]', /^1 new comment$/);
    await a.page.click('[data-pill]');
    await a.page.waitForSelector('.comment >> text=Відповідь.');
    await shows(b.page, '[data-count="comments"]', /^53 comments$/);
    assert.equal(await b.page.locator('[data-pill]').isHidden(), true);
    assert.equal(await b.page.textContent('[data-announcer]'), '');
    await close();
});

test('the pill has the right plural forms in Ukrainian', async () => {
    const proposal = await aDiscussion();
    const b = await reader(browser, server, { lang: 'uk' });
    await b.page.goto(proposal.path);
    await live(b.page);
    for (const expected of [/^1 новий коментар$/, /^2 нові коментарі$/]) {
        await say(proposal, 'Так.');
        await shows(b.page, '[data-pill]', expected);
    }
    await b.close();
});

test('the first comment of an empty discussion in view is shown without a pill', async () => {
    const proposal = await aProposal(server.url, anna);
    const b = await reader(browser, server);
    await b.page.goto(proposal.path);
    await live(b.page);
    await b.page.locator('[data-empty="comments"]').scrollIntoViewIfNeeded();
    await say(proposal, 'Я перший.');
    await b.page.waitForSelector('.comment >> text=Я перший.');
    assert.equal(await b.page.locator('[data-pill]').isHidden(), true);
    assert.equal(await b.page.locator('[data-empty="comments"]').count(), 0);
    await b.close();
});

test('an own comment is one node from sending to sent, even when its event comes before the answer', async () => {
    const proposal = await aProposal(server.url, anna);
    const a = await reader(browser, server, { user: borys });
    await a.page.goto(proposal.path);
    await live(a.page);
    let answer;
    const held = new Promise((go) => (answer = go));
    await a.page.route('**/api/v1/proposals/*/comments', async (route) => {
        if (route.request().method() !== 'POST') return route.continue();
        const response = await route.fetch();
        await held; // the server has answered; the page does not know yet
        await route.fulfill({ response });
    });
    await write(a.page, 'Раз.');
    await shows(a.page, '.comment.is-pending, .comment[id^="comment-"]', /Раз\./);
    await a.page.evaluate(() => (document.querySelector('.comment').isSameNode_ = true));
    await a.page.waitForSelector('.comment:not(.is-pending)[data-comment]:has(form[data-form="comment"]) >> text=Раз.');
    answer();
    await until(() => a.page.evaluate(() => Object.keys(localStorage).every((key) => !key.startsWith('viche.outbox'))));
    assert.equal(await a.page.locator('.comment').count(), 1, 'it is there once');
    assert.equal(await a.page.evaluate(() => document.querySelector('.comment').isSameNode_), true, 'in the same node');
    assert.equal(await a.page.locator('.comment:focus').count(), 1, 'focus went to it and stayed');
    await a.close();
});

test('signatures count in the other window, and the signer’s button says recording, then done', async () => {
    const proposal = await aProposal(server.url, borys);
    const { a, b, close } = await twoWindows(proposal.path);
    await shows(b.page, '[data-count="support"]', /^0$/);
    await a.page.click('form[data-form="support"] button');
    await a.page.waitForSelector('[data-supported]');
    await shows(a.page, '[data-count="support"]', /^1$/);
    await shows(b.page, '[data-count="support"]', /^1$/);
    assert.ok(await a.page.evaluate(() => document.activeElement.closest('[data-form="support"]') !== null), 'focus stays on the button');
    await a.page.waitForTimeout(REST_MS);
    await a.page.click('form[data-form="support"] button');
    await shows(b.page, '[data-count="support"]', /^0$/);
    await close();
});

test('the second tap of a double tap and a held Enter take nothing back', async () => {
    const proposal = await aProposal(server.url, borys);
    await say(proposal, 'Думка.');
    const { page, close } = await reader(browser, server, { user: anna });
    await page.goto(proposal.path);
    await live(page);
    await page.focus('form[data-form="support"] button');
    await page.keyboard.down('Enter');
    await page.waitForSelector('[data-supported]');
    for (let i = 0; i < 3; i++) await page.keyboard.down('Enter'); // held
    await page.keyboard.up('Enter');
    await page.locator('.comment form.votes button').first().dblclick();
    const standing = async () => (await api(server.url, 'GET', `/api/v1${proposal.path}`)).json.support_count;
    await until(async () => {
        const { json } = await api(server.url, 'GET', `/api/v1${proposal.path}/comments`);
        return json.items[0].up === 1;
    }, 'the vote to be counted');
    assert.equal(await page.locator('.comment form.votes button').first().getAttribute('aria-pressed'), 'true');
    assert.equal(await standing(), 1);
    await page.reload();
    await page.waitForSelector('[data-supported]');
    await close();
});

/** Changes times in the data of the running server. */
const setTime = (table, column, id, ms) => {
    const change = `PRAGMA busy_timeout = 5000; UPDATE ${table} SET ${column} = ${ms} WHERE id = ${id}`;
    const { status, stderr } = spawnSync('sqlite3', [join(server.dataDir, 'viche.db'), change], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
};

test('a signature that comes too late says so, and the page shows that time is over', async () => {
    const proposal = await aProposal(server.url, borys);
    const { page, close } = await reader(browser, server, { user: anna });
    await page.goto(proposal.path);
    await live(page);
    await page.waitForLoadState('networkidle'); // what it asks for at its start would tell it
    setTime('proposal', 'deadline_at_ms', proposal.id, Date.now() - 1000);
    await page.click('form[data-form="support"] button');
    await shows(page, '[data-support] + .problem', /./);
    await shows(page, '[data-support]', /no longer collected/);
    await shows(page, '.title-block .state', /Collection ended/);
    assert.equal(await page.locator('form.composer').count(), 0);
    await close();
});

test('an open page notices its deadline by itself', async () => {
    const proposal = await aProposal(server.url, borys);
    const { page, close } = await reader(browser, server, { user: anna });
    await within(8000, async () => {
        setTime('proposal', 'deadline_at_ms', proposal.id, Date.now() + 8000);
        await page.goto(proposal.path);
        await live(page);
        assert.equal(await page.locator('form[data-form="support"]').count(), 1);
    });
    await shows(page, '[data-support]', /no longer collected/);
    await close();
});

test('votes on a comment show at once for the voter and soon for the other', async () => {
    const proposal = await aProposal(server.url, borys);
    await say(proposal, 'Думка.');
    const { a, b, close } = await twoWindows(proposal.path);
    const agree = a.page.locator('.comment form.votes button').first();
    await agree.click();
    assert.equal(await agree.getAttribute('aria-pressed'), 'true', 'without waiting for the server');
    await shows(b.page, '.comment .votes .n', /^1$/);
    await a.page.locator('.comment form.votes button').nth(1).click();
    await shows(b.page, '.comment .votes', /For 0 ?Against 1/);
    await close();
});

test('a refused vote on a comment is taken back and says why', async () => {
    const proposal = await aProposal(server.url, borys);
    await say(proposal, 'Думка.');
    const a = await reader(browser, server, { user: anna });
    await a.page.goto(proposal.path);
    await live(a.page);
    await a.page.route('**/api/v1/comments/*/vote', (route) => route.abort());
    const agree = a.page.locator('.comment form.votes button').first();
    await agree.click();
    await shows(a.page, '.comment .problem', /did not answer/);
    assert.equal(await agree.getAttribute('aria-pressed'), 'false');
    await shows(a.page, '.comment form.votes .n', /^0$/);
    await a.close();
});

test('results of a voting move in the other window', async () => {
    const voting = await aVoting(server.url);
    const { a, b, close } = await twoWindows(voting.path);
    const title = (await a.page.locator('.choice').first().textContent()).replace(/\s+/g, ' ').trim();
    const votes = (page) => page.locator('[data-results] .option').first().textContent();
    const before = await votes(b.page);
    await a.page.locator('.choice input').first().check();
    await a.page.click('form[data-form="ballot"] button');
    await shows(a.page, '[data-voted]', new RegExp(title));
    await shows(a.page, '[data-results] .option', /your vote/);
    await until(async () => (await votes(b.page)) !== before, 'the other window to show the vote');
    await close();
});

test('the author’s bell counts up and the list waits behind a pill', async () => {
    const proposal = await aProposal(server.url, anna);
    const a = await reader(browser, server, { user: anna });
    await a.page.goto('/notifications');
    await live(a.page);
    const before = await a.page.locator('[data-list="notifications"] > li').count();
    const count = async () => Number(await a.page.locator('[data-bell-count]').textContent());
    const unread = await count();
    await say(proposal, 'Привіт.');
    await until(async () => (await count()) === unread + 1, 'the bell to count up');
    await shows(a.page, '.pill', /^1 new notification$/);
    assert.equal(await a.page.locator('[data-list="notifications"] > li').count(), before);
    await a.page.click('.pill');
    await shows(a.page, '[data-list="notifications"] > li', /Борис Гнатюк/);
    await a.page.click('form[data-form="notifications-read"] button');
    await until(() => a.page.locator('[data-bell-count]').isHidden(), 'the bell to be silent');
    assert.equal(await a.page.locator('.is-unread').count(), 0);
    await a.close();
});

test('a notification that was opened is read, and other tabs hear of what is read', async () => {
    const proposal = await aProposal(server.url, anna);
    await say(proposal, 'Раз.');
    await say(proposal, 'Два.');
    const a = await reader(browser, server, { user: anna });
    const other = await a.context.newPage();
    await other.goto('/notifications');
    await live(other);
    const count = async () => Number(await other.locator('[data-bell-count]').textContent());
    await other.waitForSelector('.is-unread');
    const unread = await count();
    await a.page.goto('/notifications');
    await live(a.page);
    await a.page.click('.is-unread a');
    await a.page.waitForURL(/\/proposals\//);
    await until(async () => (await count()) === unread - 1, 'the other tab to count down');
    await a.page.goto('/notifications');
    await live(a.page);
    await a.page.click('form[data-form="notifications-read"] button');
    await until(() => other.locator('[data-bell-count]').isHidden(), 'the other tab’s bell to be silent');
    assert.equal(await other.locator('.is-unread').count(), 0);
    await a.close();
});

test('lists follow the numbers of their proposals', async () => {
    const proposal = await aProposal(server.url, anna);
    const list = await reader(browser, server);
    const home = await reader(browser, server, { lang: 'uk' });
    await list.page.goto('/proposals');
    await home.page.goto('/');
    for (const { page } of [list, home]) await live(page);
    await api(server.url, 'PUT', `/api/v1${proposal.path}/support`, { token: borys.token });
    await say(proposal, 'Раз.');
    const row = `.row[data-proposal="${proposal.id}"]`;
    await shows(list.page, row, /1 of [\d,]+ signatures needed.* 1 comment/);
    await shows(home.page, row, /1 з [\d ]+ .* 1 коментар/);
    const drawn = await html(list.page, row);
    await list.page.reload();
    assert.deepEqual(drawn, await html(list.page, row));
    for (const one of [list, home]) await one.close();
});

test('the votings of the home page follow their tallies', async () => {
    const voting = await aVoting(server.url);
    const { page, close } = await reader(browser, server, { lang: 'uk' });
    await page.goto('/');
    await live(page);
    await mark(page);
    const row = `[data-voting="${voting.id}"]`;
    const fresh = await newUser(server.url);
    const { json } = await api(server.url, 'GET', `/api/v1${voting.path}`);
    const option_id = json.options[0].id;
    await api(server.url, 'PUT', `/api/v1${voting.path}/ballot`, { token: fresh.token, body: { option_id } });
    await until(async () => {
        const text = (await page.locator(row).textContent()).replace(/\D/g, ' ').trim();
        return text.endsWith(String(json.voters + 1));
    }, 'the row to count the vote');
    assert.ok(await isMarked(page));
    const drawn = await html(page, row);
    await page.reload();
    assert.deepEqual(drawn, await html(page, row));
    await close();
});

test('a page that follows nothing does not say that it is live', async () => {
    const { page, close } = await reader(browser, server);
    await page.goto('/login');
    assert.equal(await page.locator('[data-live-status]').isVisible(), false);
    await close();
});

test('with updates paused numbers stand still until they go on', async () => {
    const proposal = await aProposal(server.url, borys);
    const b = await reader(browser, server);
    await b.page.goto(proposal.path);
    await live(b.page);
    await b.page.check('[data-pause]');
    await b.page.reload();
    await b.page.waitForSelector('[data-live-status][data-state="paused"]'); // and not as live
    assert.equal(await b.page.isChecked('[data-pause]'), true, 'the switch is remembered');
    await api(server.url, 'PUT', `/api/v1${proposal.path}/support`, { token: borys.token });
    await say(proposal, 'Тихо.');
    await shows(b.page, '[data-pill]', /^1 new comment$/);
    assert.equal(await b.page.locator('[data-count="support"]').first().textContent(), '0');
    await b.page.uncheck('[data-pause]');
    await shows(b.page, '[data-count="support"]', /^1$/);
    await b.close();
});

// The HTML of the elements, without what only one side knows: that a comment was just sent from this page, keys
// of forms, the reader's time zone, white space between elements.
const html = (page, ...selectors) =>
    page.evaluate(
        (all) =>
            all.map((selector) => {
                const copy = document.querySelector(selector).cloneNode(true);
                const drop = { '[tabindex]': 'tabindex', '[name="key"]': 'value', time: 'title' };
                for (const [where, name] of Object.entries(drop)) {
                    for (const one of [copy, ...copy.querySelectorAll(where)]) {
                        if (one.matches(where)) one.removeAttribute(name);
                    }
                }
                copy.removeAttribute('data-client-id');
                return copy.outerHTML.replace(/>\s+</g, '><');
            }),
        selectors,
    );

test('what the browser draws is what the server draws', async () => {
    const proposal = await aProposal(server.url, anna);
    const a = await reader(browser, server, { user: borys, lang: 'uk' });
    await a.page.goto(proposal.path);
    await live(a.page);
    await write(a.page, 'Перший **рядок**.');
    await a.page.waitForSelector('.comment:not(.is-pending) strong');
    await a.page.click('form[data-form="support"] button');
    await a.page.waitForSelector('[data-supported]');
    const drawn = () => html(a.page, '.comment', '[data-support]');
    const byBrowser = await drawn();
    await a.page.reload();
    assert.deepEqual(byBrowser, await drawn());

    const voting = await aVoting(server.url);
    await a.page.goto(voting.path);
    await live(a.page);
    const voters = () => a.page.locator('[data-count="voters"]').textContent();
    const before = await voters();
    await a.page.locator('.choice input').nth(1).check();
    await a.page.click('form[data-form="ballot"] button');
    await a.page.waitForSelector('[data-voted]');
    await shows(a.page, '[data-results] .option:nth-child(2)', /ваш голос/);
    await until(async () => (await voters()) !== before, 'the vote to be counted');
    const votingByBrowser = await html(a.page, '[data-ballot]', '[data-results]');
    await a.page.reload();
    assert.deepEqual(votingByBrowser, await html(a.page, '[data-ballot]', '[data-results]'));
    await a.close();
});

test('an open ballot and the front page notice by themselves that the voting closes', async () => {
    const voting = await aVoting(server.url);
    const { closes_at } = (await api(server.url, 'GET', `/api/v1${voting.path}`)).json;
    const one = await reader(browser, server, { user: borys });
    const home = await reader(browser, server);
    await within(15_000, async () => {
        setTime('voting', 'closes_at_ms', voting.id, Date.now() + 15_000);
        await one.page.goto(voting.path);
        await home.page.goto('/');
        for (const { page } of [one, home]) {
            await live(page);
            await mark(page);
        }
        assert.equal(await one.page.locator('form[data-form="ballot"]').count(), 1);
        assert.match(await home.page.textContent(`[data-voting="${voting.id}"]`), /Open[^]*left/);
    });
    await shows(one.page, '[data-ballot]', /The voting is closed/);
    assert.equal(await one.page.locator('form[data-form="ballot"]').count(), 0);
    await shows(one.page, '[data-results] h2', /^Final results$/);
    await shows(one.page, '.byline', /^Closed /);
    await shows(home.page, `[data-voting="${voting.id}"]`, /Closed(?!.*left)/);
    for (const { page, close } of [one, home]) {
        assert.ok(await isMarked(page), 'without a load');
        await close();
    }
    setTime('voting', 'closes_at_ms', voting.id, Date.parse(closes_at)); // for the tests that follow
});

test('a vote that comes too late says that it is not counted', async () => {
    const voting = await aVoting(server.url);
    const { page, close } = await reader(browser, server, { user: borys });
    await page.goto(voting.path);
    await live(page);
    await page.locator('.choice input').first().check();
    await page.waitForLoadState('networkidle'); // as above
    setTime('voting', 'closes_at_ms', voting.id, Date.now() - 1000);
    await page.click('form[data-form="ballot"] button');
    await shows(page, '[data-ballot] + .problem', /not counted/);
    assert.equal(await page.locator('.problem:focus').count(), 1, 'focus is at the reason');
    await shows(page, '[data-ballot]', /closed/);
    await shows(page, '.byline', /^Closed /);
    assert.equal(await page.locator('.byline .left').isVisible(), false);
    await close();
});
