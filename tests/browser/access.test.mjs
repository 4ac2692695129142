// Every page, in both languages, light and dark, on a phone and on a desk: axe-core finds nothing, nothing
// sticks out sideways, and the first load is small.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { newUser, startServer } from '../integration/lib.mjs';
import { aProposal, aVoting, api, launch, live, reader, started } from './lib.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const KB = 1024;
const MAX_TOTAL = 100 * KB;
const MAX_SCRIPT = 60 * KB;

let server, browser, anna, paths;

before(async () => {
    server = await startServer({ seed: true });
    browser = await launch();
    anna = await newUser(server.url, 'Анна Шевчук');
    const proposal = await aProposal(server.url, anna);
    const borys = await newUser(server.url, 'Борис Гнатюк');
    await api(server.url, 'POST', `/api/v1${proposal.path}/comments`, { body: { body: 'Думка.' }, token: borys.token });
    paths = {
        home: '/',
        list: '/proposals',
        proposal: proposal.path,
        'long proposal': await busiest(),
        voting: (await aVoting(server.url)).path,
        'new proposal': '/proposals/new',
        login: '/login',
        register: '/register',
        notifications: '/notifications',
        error: '/no/such/page',
    };
});

after(async () => {
    await browser?.close();
    await server?.stop();
});

async function busiest() {
    const { json } = await api(server.url, 'GET', '/api/v1/proposals');
    const [most] = json.items.sort((a, b) => b.comment_count - a.comment_count);
    return `/proposals/${most.id}`;
}

async function findings(page) {
    await page.evaluate(axe); // by the debugger's channel, which no policy of the page forbids
    const { violations } = await page.evaluate(() =>
        window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
    );
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => ({ id, html, failureSummary })));
}

// Both values of each in the short run; every combination with EVERY=1 (make test-all).
const combinations = process.env.EVERY
    ? ['uk', 'en'].flatMap((lang) => ['light', 'dark'].flatMap((scheme) => [360, 1280].map((width) => [lang, scheme, width])))
    : [
          ['uk', 'light', 360],
          ['en', 'dark', 1280],
      ];
for (const [lang, scheme, width] of combinations) {
    test(`axe-core finds nothing on any page: ${lang}, ${scheme}, ${width} px`, async () => {
        const wrong = [];
        for (const user of [undefined, anna]) {
            const { page, close } = await reader(browser, server, { lang, scheme, width, user });
            for (const [name, path] of Object.entries(paths)) {
                await page.goto(path);
                await started(page);
                const where = `${name}, ${user ? 'logged in' : 'visitor'}`;
                for (const finding of await findings(page)) wrong.push({ where, ...finding });
                const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                if (over > 0) wrong.push(`${where}: ${over} px stick out sideways`);
                assert.equal(await page.getAttribute('html', 'lang'), lang, where);
            }
            await close();
        }
        assert.deepEqual(wrong, []);
    });
}

test('axe-core finds nothing while things are pending, failed and waiting behind the pill', async () => {
    const { page, close } = await reader(browser, server, { user: anna });
    await page.goto(paths.proposal);
    await live(page);
    await page.route('**/api/v1/proposals/*/comments', (route) => route.abort());
    await page.fill('form.composer textarea', 'Не дійде.');
    await page.click('form.composer button');
    await page.waitForSelector('.comment.is-failed');
    await page.focus('form.composer textarea');
    const other = await newUser(server.url, 'Віра');
    await api(server.url, 'POST', `/api/v1${paths.proposal}/comments`, { body: { body: 'Ще.' }, token: other.token });
    await page.waitForSelector('[data-pill]:not([hidden])');
    await page.locator('.comment summary').first().click();
    assert.deepEqual(await findings(page), []);
    await close();
});

test('the first load is under 100 KB in all and 60 KB of script', async () => {
    for (const [name, path] of Object.entries(paths)) {
        const { page, context, close } = await reader(browser, server, { lang: 'uk' });
        const network = await context.newCDPSession(page);
        await network.send('Network.enable');
        const kinds = new Map();
        const bytes = { total: 0, script: 0 };
        network.on('Network.responseReceived', ({ requestId, type }) => kinds.set(requestId, type));
        network.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
            bytes.total += encodedDataLength;
            if (kinds.get(requestId) === 'Script') bytes.script += encodedDataLength;
        });
        await page.goto(path);
        await started(page);
        await page.waitForLoadState('networkidle');
        const kb = (n) => `${(n / KB).toFixed(1)} KB`;
        assert.ok(bytes.script > 0 && bytes.script < MAX_SCRIPT, `${name}: script ${kb(bytes.script)}`);
        assert.ok(bytes.total < MAX_TOTAL, `${name}: total ${kb(bytes.total)}`);
        if (process.env.VERBOSE) console.log(name, kb(bytes.total), kb(bytes.script));
        await close();
    }
});

test('pages follow the reader’s language and switch to the other', async () => {
    const { page, close } = await reader(browser, server, { lang: 'uk' });
    await page.goto('/proposals');
    assert.equal(await page.getAttribute('html', 'lang'), 'uk');
    await page.click('a[hreflang="en"]');
    await page.waitForSelector('html[lang="en"]');
    assert.equal(new URL(page.url()).pathname, '/proposals');
    await page.reload();
    assert.equal(await page.getAttribute('html', 'lang'), 'en', 'the choice is kept');
    await close();
});

test('pages allow no inline script and none from elsewhere', async () => {
    const { page, close } = await reader(browser, server);
    const response = await page.goto('/');
    const policy = response.headers()['content-security-policy'] ?? '';
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.doesNotMatch(policy, /unsafe/);
    await close();
});
