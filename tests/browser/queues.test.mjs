// /admin/queues in a browser: an operator sees a dead job, opens it, retries it and sees it go, without reloading; the
// same by plain forms; nothing for others. And the pages fit a phone and a screen reader.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { runViche, startServer } from '../integration/lib.mjs';
import { push, queue, sql } from '../integration/queue_client.mjs';
import { launch, live, reader, until } from './lib.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const password = 'correct horse battery';
let server, browser, dir;
const people = {};

before(async () => {
    server = await startServer({ args: ['--test-jobs'] });
    dir = server.dataDir;
    for (const role of ['member', 'moderator', 'admin']) {
        people[role] = { email: `${role}@example.org`, password };
        const args = ['user', 'add', '--data', dir, '--email', people[role].email, '--name', role, '--password-stdin', '--role', role];
        assert.equal(runViche(args, { input: password }).status, 0);
    }
    browser = await launch();
});
after(async () => {
    await browser?.close();
    await server?.stop();
});

const stateOf = (id) => sql(dir, `SELECT state FROM job WHERE id = ${id}`)[0]?.state;
async function deadJob() {
    const [id] = push(dir, 'test.fail', { times: 1 });
    await until(() => sql(dir, `SELECT 1 FROM job_error WHERE job_id = ${id}`).length === 1 || stateOf(id) === undefined, 'it to fail');
    const [dead] = push(dir, 'nobody.knows', { note: 'Увага' });
    await until(() => stateOf(dead) === 2, 'it to be dead');
    return dead;
}

for (const lang of ['uk', 'en']) {
    test(`an operator sees a dead job, opens it, retries it and sees it go, without a reload: ${lang}`, async () => {
        const { page, close } = await reader(browser, server, { user: people.admin, lang });
        await page.goto('/admin/queues');
        await live(page);
        await page.evaluate(() => (window.isSamePage = true));
        const id = await deadJob();
        const dead = page.locator('a[href="/admin/queues/jobs?queue=default&state=dead"]');
        await dead.waitFor();
        assert.ok(await page.evaluate(() => window.isSamePage), 'the number came by itself');
        await dead.click();
        await page.locator(`a[href="/admin/queues/jobs/${id}"]`).click();
        await live(page);
        assert.equal(await page.getAttribute('.queue-now', 'data-state'), 'dead');
        assert.match(await page.textContent('[data-region="job"]'), /Увага/);
        queue(dir, 'stats'); // another process looks on
        await Promise.all([page.waitForURL(/done=1/), page.click('button[value="retry"]')]);
        await live(page);
        await page.evaluate(() => (window.isSamePage = true));
        // nobody knows the kind: it is dead again, and has one error more
        await until(async () => (await page.locator('#errors + ol > li').count()) === 2, 'the second error to show');
        assert.ok(await page.evaluate(() => window.isSamePage));
        await close();
    });
}

test('without JavaScript the same is done by forms', async () => {
    const id = await deadJob();
    const { page, close } = await reader(browser, server, { user: people.admin, js: false });
    await page.goto(`/admin/queues/jobs/${id}`);
    await page.click('button[value="discard"]');
    await page.waitForSelector('main[data-page="queue-confirm"]');
    assert.equal(stateOf(id), 2);
    await page.click('main button[value="discard"]');
    await page.waitForSelector('main[data-page="queue-jobs"] .queue-notice');
    assert.equal(stateOf(id), undefined);
    await close();
});

test('an operator sets a limit, sees it, and clears it, without JavaScript too', async () => {
    const path = '/admin/queues/limits?queue=default';
    for (const js of [true, false]) {
        const { page, close } = await reader(browser, server, { user: people.admin, js, width: 320 });
        await page.goto('/admin/queues?queue=default');
        await page.click(`main p a[href="${path}"]`);
        await page.fill('#running', '4');
        await page.fill('#rate', '10/x');
        await page.click('button[value="set"]');
        await page.waitForSelector('#rate-error');
        assert.equal(await page.inputValue('#running'), '4', 'what was typed stays');
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(over <= 0, `${over} px stick out sideways`);
        await page.fill('#rate', '1000/h');
        await page.click('button[value="set"]');
        await page.locator('[data-region="limits"] dd', { hasText: '1000/h' }).waitFor();
        await page.click('button[value="clear"]');
        await page.locator('[data-region="limits"] dd', { hasText: '1000/h' }).waitFor({ state: 'detached' });
        await close();
    }
});

test('what an operator has ticked stays ticked while the list moves under it', async () => {
    const id = await deadJob();
    const { page, close } = await reader(browser, server, { user: people.admin });
    await page.goto('/admin/queues/jobs?state=dead');
    await live(page);
    const box = page.locator(`input[name="id"][value^="${id}."]`);
    await box.check();
    const other = await deadJob();
    await page.locator(`input[name="id"][value^="${other}."]`).waitFor();
    const ticked = await page.locator('input[name="id"]:checked').evaluateAll((boxes) => boxes.map((b) => b.value.split('.')[0]));
    assert.deepEqual(ticked, [String(id)]);
    await close();
});

test('the header is one row and a menu, with the words of the state below it, whole, and above the page', async () => {
    const LONGEST = 'З’єднуємося знову… Дані станом на 23:59';
    for (const width of [360, 768, 1024, 1280]) {
        const { page, close } = await reader(browser, server, { user: people.admin, lang: 'uk', width });
        await page.goto('/admin/queues');
        await live(page);
        const seen = await page.evaluate((longest) => {
            const count = document.querySelector('[data-bell-count]');
            count.hidden = false;
            count.textContent = '99';
            const words = document.querySelector('[data-live-status]');
            words.querySelector('[data-live-text]').textContent = longest;
            return {
                header: document.querySelector('header.site').offsetHeight,
                isCut: words.scrollWidth > words.clientWidth,
                free: document.querySelector('h1').getBoundingClientRect().top - words.getBoundingClientRect().bottom,
                out: document.documentElement.scrollWidth - innerWidth,
            };
        }, LONGEST);
        assert.ok(seen.header <= 100 && !seen.isCut && seen.free >= 0 && seen.out <= 0, `${width} px: ${JSON.stringify(seen)}`);
        await close();
    }
});

test('a moderator looks and has no buttons, a member is refused', async () => {
    const id = await deadJob();
    const one = await reader(browser, server, { user: people.moderator });
    await one.page.goto(`/admin/queues/jobs/${id}`);
    assert.equal(await one.page.locator('main form').count(), 0);
    await one.close();
    const other = await reader(browser, server, { user: people.member });
    assert.equal((await other.page.goto('/admin/queues')).status(), 403);
    assert.equal(await other.page.locator('a[href="/admin/queues"]').count(), 0);
    await other.close();
});

test('axe-core finds nothing, nothing sticks out sideways, and charts are drawn', async () => {
    const id = await deadJob();
    const made = spawnSync('sqlite3', ['-cmd', '.timeout 5000', `${dir}/viche.db`, "INSERT INTO job_batch (id, name, total, pending, created_at_ms) VALUES (9, 'import', 3, 2, 1000)"]);
    assert.equal(made.status, 0, `${made.stderr}`);
    queue(dir, 'limit', 'set', 'default', '--key', 'tenant', '--running', '2', '--rate', '100/5m');
    const wrong = [];
    const samples = async (page) => (await page.evaluate(() => JSON.parse(document.getElementById('viche-data').textContent).charts?.at.length ?? 0)) > 1;
    for (const [lang, scheme, width] of [['uk', 'light', 360], ['en', 'dark', 768], ['uk', 'dark', 1280]]) {
        const { page, close } = await reader(browser, server, { lang, scheme, width, user: people.admin });
        await page.goto('/admin/queues');
        await until(async () => (await page.reload()) && samples(page), 'two samples', 60_000);
        await page.waitForSelector('[data-charts] canvas');
        assert.equal(await page.locator('[data-charts] canvas').count(), 6);
        for (const path of ['/admin/queues', '/admin/queues/batches', '/admin/queues/batches/9/cancel', '/admin/queues/limits?queue=default', '/admin/queues/jobs', '/admin/queues/jobs?state=dead', '/admin/queues/jobs?kind=none', `/admin/queues/jobs/${id}`]) {
            await page.goto(path);
            await live(page);
            await page.evaluate(axe);
            const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
            for (const { id: rule, nodes } of violations) wrong.push({ path, lang, width, rule, html: nodes[0].html, why: nodes[0].failureSummary });
            const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (over > 0) wrong.push(`${path} ${width}: ${over} px stick out sideways`);
        }
        await close();
    }
    assert.deepEqual(wrong, []);
});
