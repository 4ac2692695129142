// lib.mjs -- Chromium for the tests: readers with a language and a colour scheme, who log in and wait for
// what they should see. Pages report their own errors; a test that leaves one fails.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { api, until, within } from '../integration/lib.mjs';

export { api, until, within };

const ARGS = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
];

// The same engine without the windows, bars and menus of a browser, which nobody sees here: half the work.
const SHELL = '/usr/bin/chromium-headless-shell';

export const launch = () =>
    chromium.launch({ executablePath: process.env.CHROMIUM ?? (existsSync(SHELL) ? SHELL : '/usr/bin/chromium'), args: ARGS });

const LOCALES = { uk: 'uk-UA', en: 'en-GB' };

/** Gives the browser the cookie of a new session; the forms of the login have tests of their own. */
async function giveSession(context, url, { email, password }) {
    const { status, text, json } = await api(url, 'POST', '/api/v1/session', { body: { email, password } });
    if (status !== 201) throw new Error(`login: ${status} ${text}`);
    await context.addCookies([{ name: 'viche_session', value: json.token, url, httpOnly: true, sameSite: 'Lax' }]);
}

/**
 * A reader with an own window. lang: Accept-Language; scheme: "light" or "dark"; user: {email, password} of
 * the one who is logged in. Gives {context, page, errors, close()}.
 */
export async function reader(browser, server, { lang = 'en', scheme = 'light', width = 1280, js = true, user } = {}) {
    const context = await browser.newContext({
        baseURL: server.url,
        locale: LOCALES[lang],
        colorScheme: scheme,
        javaScriptEnabled: js,
        viewport: { width, height: 800 },
    });
    context.setDefaultTimeout(60_000);
    if (user) await giveSession(context, server.url, user);
    const page = await context.newPage();
    const errors = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => {
        // a refused request is logged by the browser itself; tests look at what the page makes of it
        const isRefusal = message.text().startsWith('Failed to load resource');
        const isSocket = message.text().startsWith('WebSocket connection to');
        if (message.type() === 'error' && !isRefusal && !isSocket) errors.push(message.text());
    });
    const one = {
        context,
        page,
        errors,
        close: async () => {
            await context.close();
            assert.deepEqual(errors, [], 'the page had errors of its own');
        },
    };
    return one;
}

/** Logs in through the form. */
export async function logIn(page, { email, password }) {
    await page.goto('/login');
    await page.fill('input[name="email"]', email);
    await page.fill('input[name="password"]', password);
    await Promise.all([
        page.waitForURL((url) => !url.pathname.startsWith('/login')),
        page.click('form[data-form="login"] button'),
    ]);
}

/** Waits until the page says that it is live. */
export const live = (page) => page.waitForSelector('[data-live-status][data-state="live"]');

/** Waits until the page is live, or is one that follows nothing and does not claim to be. */
export const started = (page) =>
    page.waitForSelector('[data-live-status]:is([data-state="live"], [data-state="static"])', { state: 'attached' });

/** Waits until the text of selector, white space and no-break spaces made one, matches. */
export const shows = (page, selector, pattern, ms) =>
    until(
        async () => {
            const text = await page.locator(selector).first().textContent({ timeout: 2000 }).catch(() => '');
            return pattern.test(text.replace(/\s+/g, ' ').trim());
        },
        `${selector} to show ${pattern}`,
        ms,
    );

let made = 0;

/** A fresh proposal by user: {id, path}. */
export async function aProposal(url, user, fields = {}) {
    const { status, text, json } = await api(url, 'POST', '/api/v1/proposals', {
        token: user.token,
        body: {
            title: `Лавки в парку ${++made}`,
            summary: 'Поставити лавки.',
            body: 'Бракує **лавок**.',
            ...fields,
        },
        headers: { 'Idempotency-Key': `browser-test-${process.pid}-${made}` },
    });
    if (status !== 201) throw new Error(`proposal: ${status} ${text}`);
    return { id: json.id, path: `/proposals/${json.id}` };
}

/** The open voting of the demo: {id, path}. */
export async function aVoting(url) {
    const { json } = await api(url, 'GET', '/api/v1/proposals');
    for (const { voting_id: id } of json.items.filter((proposal) => proposal.voting_id)) {
        const { json: voting } = await api(url, 'GET', `/api/v1/votings/${id}`);
        if (voting.state === 'open') return { id, path: `/votings/${id}` };
    }
    throw new Error('the demo has no open voting');
}
