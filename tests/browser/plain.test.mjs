// Without JavaScript everything that matters works by plain forms.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newUser, startServer } from '../integration/lib.mjs';
import { aProposal, aVoting, api, launch, reader, shows, until } from './lib.mjs';

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

const plain = (options = {}) => reader(browser, server, { js: false, ...options });

test('a visitor reads proposals and their discussion without JavaScript', async () => {
    const { page, close } = await plain({ lang: 'uk' });
    await page.goto('/proposals');
    const link = page.locator('.row-title a').first();
    const title = (await link.textContent()).trim();
    await link.click();
    await shows(page, 'h1', new RegExp(title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')));
    await page.waitForSelector('#discussion');
    assert.equal(await page.locator('[data-live-status]').isVisible(), false, 'nothing claims to be live');
    assert.equal(await page.locator('[data-pause]').isVisible(), false);
    await close();
});

test('a visitor is asked to log in to sign, and comes back to the proposal', async () => {
    const proposal = await aProposal(server.url, borys);
    const { page, close } = await plain();
    await page.goto(proposal.path);
    await page.click('[data-support] a[href^="/login"]');
    await page.fill('input[name="email"]', anna.email);
    await page.fill('input[name="password"]', anna.password);
    await page.click('form[data-form="login"] button');
    await page.waitForURL((url) => url.pathname === proposal.path);
    await shows(page, '[data-count="support"]', /^0$/); // a log-in alone signs nothing
    await page.locator('form[data-form="support"] button:focus').waitFor();
    assert.ok((await page.locator('[data-count="support"]').first().boundingBox()).y > 0, 'what is signed is in view');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-supported]');
    await shows(page, '[data-count="support"]', /^1$/);
    await page.click('form[data-form="support"] button');
    await shows(page, '[data-count="support"]', /^0$/);
    await close();
});

test('someone registers, comments, replies and votes on a comment without JavaScript', async () => {
    const proposal = await aProposal(server.url, borys);
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Думка.' }, token: borys.token });
    const { page, close } = await plain({ lang: 'uk' });
    await page.goto('/register');
    await page.fill('input[name="name"]', 'Віра Мельник');
    await page.fill('input[name="email"]', `vira${process.pid}@example.org`);
    await page.fill('input[name="password"]', 'довга фраза на пам’ять');
    await page.click('form[data-form="register"] button');
    await page.waitForSelector('form[data-form="logout"]');

    await page.goto(proposal.path);
    await page.fill('form.composer textarea', 'Пишу без скриптів.');
    await page.click('form.composer button');
    await page.waitForSelector('.comment >> text=Пишу без скриптів.');
    const first = page.locator('.comment', { hasText: 'Думка.' });
    await first.locator('summary').click();
    await first.locator('.reply textarea').fill('І відповідаю.');
    await first.locator('.reply button').click();
    await page.waitForSelector('.comment.depth-2 >> text=І відповідаю.');
    await first.locator('form.votes button').first().click();
    await shows(page, `.comment:has-text("Думка.") .votes .n`, /^1$/);
    await close();
});

test('a ballot is cast and changed without JavaScript', async () => {
    const voting = await aVoting(server.url);
    const { page, close } = await plain({ user: anna });
    await page.goto(voting.path);
    for (const nth of [0, 1]) {
        const title = (await page.locator('.choice').nth(nth).textContent()).replace(/\s+/g, ' ').trim();
        await page.locator('.choice input').nth(nth).check();
        await page.click('form[data-form="ballot"] button');
        await shows(page, '[data-voted]', new RegExp(title));
    }
    await close();
});

test('a refused form is shown again with what was typed and what is wrong', async () => {
    const { page, close } = await plain();
    await page.goto('/login');
    await page.fill('input[name="email"]', 'nobody@example.org');
    await page.fill('input[name="password"]', 'wrong password');
    await page.click('form[data-form="login"] button');
    await shows(page, '[role="alert"]', /does not match/);
    assert.equal(await page.inputValue('input[name="email"]'), 'nobody@example.org');
    await close();
});

test('notifications are read and marked as read without JavaScript', async () => {
    const proposal = await aProposal(server.url, anna);
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Вітаю.' }, token: borys.token });
    const { page, close } = await plain({ user: anna });
    await until(async () => {
        await page.goto('/notifications');
        return (await page.locator('.is-unread').count()) > 0;
    }, 'the worker to write the notification');
    await shows(page, '[data-list="notifications"] > li', /Борис Гнатюк/);
    await page.click('form[data-form="notifications-read"] button');
    await page.waitForSelector('[data-list="notifications"]');
    assert.equal(await page.locator('.is-unread').count(), 0);
    await close();
});
