// The pages as a browser without JavaScript sees them: links and plain forms over HTTP.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { request } from 'node:http';
import { api, newUser, startServer, until } from './lib.mjs';

let server;
before(async () => (server = await startServer({ seed: true })));
after(() => server.stop());

const decode = (text) =>
    text
        .replace(/&#x([0-9a-f]+);/gi, (_, hex) => String.fromCodePoint(parseInt(hex, 16)))
        .replace(/&#(\d+);/g, (_, n) => String.fromCodePoint(Number(n)))
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&');

/** A person with cookies and a language, but without JavaScript. */
class Visitor {
    cookies = new Map();
    constructor(lang = 'en', url = server.url) {
        this.lang = lang;
        this.url = url;
    }

    async send(method, path, { body, headers = {} } = {}) {
        const cookie = [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; ');
        const response = await fetch(this.url + path, {
            method,
            redirect: 'manual',
            body,
            headers: { 'Accept-Language': this.lang, ...(cookie ? { Cookie: cookie } : {}), ...headers },
        });
        for (const set of response.headers.getSetCookie()) {
            const [, name, value] = set.match(/^([^=]+)=([^;]*)/);
            if (value) this.cookies.set(name, value);
            else this.cookies.delete(name);
        }
        const html = await response.text();
        return { status: response.status, headers: response.headers, location: response.headers.get('location'), html };
    }

    get(path, headers) {
        return this.send('GET', path, { headers });
    }

    post(path, fields, headers = {}) {
        return this.send('POST', path, {
            body: new URLSearchParams(fields).toString(),
            headers: {
                'Content-Type': 'application/x-www-form-urlencoded',
                Origin: this.url,
                'Sec-Fetch-Site': 'same-origin',
                ...headers,
            },
        });
    }

    /** Fills in and sends the form with that action as it stands in the page. */
    submit(page, action, fields = {}) {
        const form = [...page.html.matchAll(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)].find(
            (m) => decode(m[1]) === action,
        );
        assert.ok(form, `the page has no form for ${action}`);
        const all = {};
        for (const [tag] of form[2].matchAll(/<input type="hidden"[^>]*>/g)) {
            all[tag.match(/name="([^"]*)"/)[1]] = decode(tag.match(/value="([^"]*)"/)[1]);
        }
        return this.post(action, { ...all, ...fields });
    }

    async login(user) {
        const page = await this.get('/login');
        const answer = await this.submit(page, '/login', { email: user.email, password: user.password });
        assert.equal(answer.status, 303);
        return this;
    }
}

const member = async (lang = 'en') => new Visitor(lang).login(await newUser(server.url));
const pathOf = (location) => location.replace(/[?#].*/, '');

async function openProposal(viewer) {
    const list = (await api(server.url, 'GET', '/api/v1/proposals?limit=50')).json.items;
    const found = list.find((p) => p.state === 'open' && !p.is_members_only);
    return viewer ? { ...found, path: `/proposals/${found.id}` } : `/proposals/${found.id}`;
}

async function closedProposal() {
    const list = (await api(server.url, 'GET', '/api/v1/proposals?limit=50')).json.items;
    return list.find((p) => p.state === 'closed');
}

test('every public page answers with HTML, a title, a description and one live region', async () => {
    const path = await openProposal();
    for (const page of ['/', '/proposals', '/proposals?sort=top', path, '/votings/1', '/login', '/register']) {
        const { status, html, headers } = await new Visitor().get(page);
        assert.equal(status, 200, page);
        assert.match(headers.get('content-type'), /^text\/html/);
        assert.match(html, /<title>[^<]+ — Viche<\/title>/, page);
        assert.match(html, /<meta name="description" content="[^"]+">/);
        assert.equal(html.match(/role="status"/g).length, 1, `${page} has one live region`);
        assert.equal(html.match(/<h1/g).length, 1, `${page} has one h1`);
        assert.doesNotMatch(html, /\{\{|\[object|undefined/, page);
    }
});

test('pages forbid inline script, frames and foreign forms', async () => {
    const { html, headers } = await new Visitor().get('/');
    const csp = headers.get('content-security-policy');
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
        assert.ok(csp.includes(rule), rule);
    }
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'same-origin');
    assert.doesNotMatch(html, / on[a-z]+="| style="/);
    for (const [, attributes] of html.matchAll(/<script([^>]*)>/g)) {
        assert.match(attributes, /src=|type="application\/json"/);
    }
});

test('the language follows Accept-Language, and the switch leads back to the same page', async () => {
    assert.match((await new Visitor('uk-UA,uk;q=0.9,en;q=0.5').get('/')).html, /<html lang="uk">[\s\S]*Що вирішує громада/);
    const visitor = new Visitor('en');
    const page = await visitor.get('/proposals?sort=top');
    assert.match(page.html, /<html lang="en">/);
    const link = decode(page.html.match(/href="(\/language[^"]*)"/)[1]);
    const answer = await visitor.get(link);
    assert.equal(answer.status, 303);
    assert.equal(answer.location, '/proposals?sort=top');
    assert.match((await visitor.get('/proposals')).html, /<html lang="uk">/);
    for (const back of ['//evil.example', 'https://evil.example', '/\\evil.example', '/a%0d%0aX: y', 'javascript:1']) {
        assert.equal((await visitor.get(`/language?to=en&back=${back}`)).location, '/', back);
    }
});

test('Ukrainian and English count with their own plural forms', async () => {
    const { token } = await newUser(server.url);
    const made = await api(server.url, 'POST', '/api/v1/proposals', { token, body: { title: 'Лава біля криниці', summary: '', body: 'Просимо лаву.' } });
    const path = `/proposals/${made.json.id}`;
    const wanted = [
        ['0 коментарів', '0 comments'],
        ['1 коментар', '1 comment'],
        ['2 коментарі', '2 comments'],
        ['3 коментарі', '3 comments'],
        ['4 коментарі', '4 comments'],
        ['5 коментарів', '5 comments'],
    ];
    for (const [uk, en] of wanted) {
        assert.ok((await new Visitor('uk').get(path)).html.includes(`>${uk}<`), uk);
        assert.ok((await new Visitor('en').get(path)).html.includes(`>${en}<`), en);
        await api(server.url, 'POST', `/api/v1${path}/comments`, { token, body: { body: 'ще один' } });
    }
});

test('someone registers, writes, signs, follows and logs out by forms alone', async () => {
    const visitor = new Visitor();
    const path = await openProposal();
    const page = await visitor.get(path);
    const toLogin = decode(page.html.match(/href="(\/login\?next=[^"]*%23sign)"/)[1]);
    const login = await visitor.get(toLogin);
    const toRegister = decode(login.html.match(/href="(\/register\?next=[^"]*)"/)[1]);
    const register = await visitor.get(toRegister);
    const account = { name: 'Ганна Тестова', email: `hanna${process.pid}@example.org`, password: 'довга фраза 12' };
    const registered = await visitor.submit(register, '/register', account);
    assert.equal(registered.status, 303);
    assert.equal(registered.location, `${path}#sign`, 'it leads back to the button that the visitor pressed');
    assert.match(registered.headers.get('set-cookie'), /HttpOnly; SameSite=Lax/);

    let inside = await visitor.get(path);
    assert.match(inside.html, /<button [^>]*id="sign">Sign</);
    assert.match(inside.html, /Ганна Тестова/);
    assert.match(inside.headers.get('cache-control'), /private/);
    const before = Number(inside.html.match(/data-count="support">([\d,]+)</)[1].replace(',', ''));
    assert.equal((await visitor.submit(inside, `${path}/support`)).location, `${path}#support`);
    inside = await visitor.get(path);
    assert.equal(Number(inside.html.match(/data-count="support">([\d,]+)</)[1].replace(',', '')), before + 1);
    assert.match(inside.html, /You signed, number [\d,]+</);
    assert.equal((await visitor.submit(inside, `${path}/support`)).status, 303, 'and withdraws');
    inside = await visitor.get(path);
    assert.equal(Number(inside.html.match(/data-count="support">([\d,]+)</)[1].replace(',', '')), before);

    assert.equal((await visitor.submit(inside, `${path}/follow`)).status, 303);
    assert.match((await visitor.get(path)).html, /aria-pressed="true"[^>]*><span aria-hidden="true">✓<\/span> You follow this/);

    const written = await visitor.submit(inside, `${path}/comments`, { body: 'Перший *мій* рядок' });
    assert.equal(written.status, 303);
    const id = written.location.match(/#comment-(\d+)$/)[1];
    const there = await visitor.get(written.location.replace(/#.*/, ''));
    assert.match(there.html, new RegExp(`id="comment-${id}"[\\s\\S]*?<em>мій</em>`));
    const reply = await visitor.submit({ html: there.html.slice(there.html.indexOf(`id="comment-${id}"`)) }, `${path}/comments`, { body: 'і відповідь' });
    assert.match(reply.location, /#comment-\d+$/);
    assert.match((await visitor.get(reply.location.replace(/#.*/, ''))).html, new RegExp(`data-parent="${id}"`));

    const out = await visitor.submit(await visitor.get(path), '/logout');
    assert.equal(out.location, '/');
    assert.ok(!visitor.cookies.has('viche_session'));
    const still = await member();
    assert.equal((await still.get('/logout')).location, '/', 'a link logs nobody out');
    assert.equal((await still.get('/notifications')).status, 200);

    // The button of a page that somebody else was shown, in the same browser, logs nobody out either.
    const others = await member();
    assert.equal((await still.submit(await others.get(path), '/logout')).status, 409);
    assert.equal((await still.get('/notifications')).status, 200);
    const own = await still.get(path);
    assert.equal((await still.submit(own, '/logout')).location, '/');
    assert.equal((await still.submit(own, '/logout')).location, '/', 'once more, without a session, is no error');
    assert.doesNotMatch((await visitor.get(path)).html, /Ганна Тестова<\/span>/);
});

test('a form that is sent twice writes one comment', async () => {
    const visitor = await member();
    const path = await openProposal();
    const page = await visitor.get(path);
    const first = await visitor.submit(page, `${path}/comments`, { body: 'двічі натиснуто' });
    const second = await visitor.submit(page, `${path}/comments`, { body: 'двічі натиснуто' });
    assert.equal(second.status, 303);
    assert.equal(second.location, first.location);
    const other = await visitor.submit(page, `${path}/comments`, { body: 'інший текст з тієї ж сторінки' });
    assert.notEqual(other.location, first.location);
});

test('no comment of a long conversation is out of reach', async () => {
    const people = [];
    for (let i = 0; i < 4; i++) people.push((await newUser(server.url)).token);
    const made = await api(server.url, 'POST', '/api/v1/proposals', { token: people[0], body: { title: 'Довга розмова', summary: '', body: 'текст' } });
    const path = `/proposals/${made.json.id}`;
    const say = async (token, body, parent_id) =>
        (await api(server.url, 'POST', `/api/v1${path}/comments`, { token, body: { body, parent_id } })).json.id;
    const first = await say(people[3], 'початок');
    const replies = [];
    for (let i = 0; i < 203; i++) replies.push(await say(people[i % 4], `відповідь ${i}`, first));
    await say(people[0], 'інша розмова');

    const visitor = new Visitor();
    const page = await visitor.get(`${path}?comment=${first}`);
    assert.ok(page.html.includes(`id="comment-${replies[199]}"`));
    assert.ok(!page.html.includes(`id="comment-${replies[200]}"`));
    const [, more] = page.html.match(/href="([^"]*sort[^"]*)"[^>]*>3 more replies in this conversation</);
    const rest = await visitor.get(decode(more).replace(/#.*/, ''));
    for (const id of replies.slice(200)) assert.ok(rest.html.includes(`id="comment-${id}"`));
    assert.doesNotMatch(rest.html, /інша розмова/, 'and nothing else');
    assert.match((await new Visitor('uk').get(`${path}?comment=${first}`)).html, />Ще 3 відповіді в цій розмові</);

    for (const id of [first, replies[0], replies[200], replies[202]]) {
        const { location } = await visitor.get(`/comments/${id}`);
        assert.ok((await visitor.get(location.replace(/#.*/, ''))).html.includes(`id="comment-${id}"`), location);
        for (const sort of ['new', 'old']) {
            assert.ok((await visitor.get(`${path}?sort=${sort}&comment=${id}`)).html.includes(`id="comment-${id}"`), sort);
        }
    }
});

test('someone votes on a comment and takes it back', async () => {
    const author = await member();
    const path = await openProposal();
    const written = await author.submit(await author.get(path), `${path}/comments`, { body: 'за це голосують' });
    const [, id] = written.location.match(/#comment-(\d+)/);
    const at = written.location.replace(/#.*/, '');
    const voter = await member();
    const voted = await voter.post(`/comments/${id}/vote`, { value: '1' });
    assert.equal(voted.status, 303);
    assert.ok(voted.location.endsWith(`#comment-${id}`));
    const comment = (html) => html.slice(html.indexOf(`id="comment-${id}"`)).split('</article>')[0];
    let mine = comment((await voter.get(at)).html);
    assert.match(mine, /value="0" aria-pressed="true" aria-label="For 1, vote for this comment"/);
    await voter.post(`/comments/${id}/vote`, { value: '0' });
    mine = comment((await voter.get(at)).html);
    assert.match(mine, /value="1" aria-pressed="false" aria-label="For 0, votes for this comment"/);
    assert.doesNotMatch(comment((await author.get(at)).html), /data-form="comment-vote"/, 'not on the own one');
    const own = await author.post(`/comments/${id}/vote`, { value: '1' });
    assert.equal(own.status, 403);
    assert.match(own.html, /Nobody votes on a comment of their own\./);
});

test('someone casts a ballot and changes it', async () => {
    const visitor = await member();
    const page = await visitor.get('/votings/1');
    const options = [...page.html.matchAll(/name="option_id" value="(\d+)"/g)].map((m) => m[1]);
    assert.equal((await visitor.submit(page, '/votings/1/ballot', { option_id: options[0] })).location, '/votings/1#ballot');
    const after = await visitor.get('/votings/1');
    assert.match(after.html, /Your vote is counted: /);
    assert.match(after.html, new RegExp(`value="${options[0]}" required checked`));
    assert.equal((await visitor.submit(after, '/votings/1/ballot', { option_id: options[1] })).status, 303);
    assert.match((await visitor.get('/votings/1')).html, new RegExp(`value="${options[1]}" required checked`));
});

test('the front page leads to the votings, those that are open first', async () => {
    const { html } = await new Visitor().get('/');
    const list = html.slice(html.indexOf('id="votings"')).split('</section>')[0];
    const links = [...list.matchAll(/href="([^"]+)"/g)].map((m) => decode(m[1]));
    assert.ok(links.length > 0);
    const states = [];
    for (const link of links) states.push((await api(server.url, 'GET', `/api/v1${link}`)).json.state);
    assert.equal(states[0], 'open');
    const order = { open: 0, scheduled: 1, closed: 2 };
    assert.deepEqual(states, [...states].sort((a, b) => order[a] - order[b]));
});

test('a refused form comes back with what was typed and a sentence', async () => {
    const visitor = await member('uk');
    const path = await openProposal();
    const page = await visitor.get(path);

    const empty = await visitor.submit(page, `${path}/comments`, { body: '   ' });
    assert.equal(empty.status, 422);
    assert.match(empty.html, /role="alert"[\s\S]*Ваш коментар/);
    assert.match(empty.html, /aria-invalid="true"/);

    const long = 'довго '.repeat(1000);
    const tooLong = await visitor.submit(page, `${path}/comments`, { body: long });
    assert.equal(tooLong.status, 422);
    assert.ok(tooLong.html.includes(long.trim().slice(0, 3000)), 'the text is not lost');
    assert.match(tooLong.html, /Забагато знаків: щонайбільше 4\u00a0000\./);

    const huge = await visitor.submit(page, `${path}/comments`, { body: 'довжелезно '.repeat(6000) });
    assert.equal(huge.status, 422, 'even far beyond the limit');

    const nobody = await visitor.submit(page, `${path}/comments`, { body: 'відповідь', parent_id: '999999' });
    assert.equal(nobody.status, 422);
    assert.match(nobody.html, />відповідь<\/textarea>/);
    assert.match(nobody.html, /<a href="#body">Коментар, на який ви відповідаєте<\/a>: Такого немає\./);
    assert.doesNotMatch(nobody.html, /name="parent_id" value="999999"/, 'sent again, it answers nobody');

    const ballot = await visitor.post('/votings/1/ballot', {});
    assert.equal(ballot.status, 422);
    const strange = await visitor.post('/votings/1/ballot', { option_id: '424242' });
    assert.equal(strange.status, 422);
});

test('a form that is refused as it is read still knows who sent it', async () => {
    const visitor = await member();
    const made = await visitor.post('/proposals', { title: 'A', summary: '', body: 'B' });
    for (const [path, fields] of [['/proposals', { title: '' }], [`${pathOf(made.location)}/comments`, { body: ' ' }]]) {
        const refused = await visitor.post(path, fields);
        assert.equal(refused.status, 422);
        assert.match(refused.html, /action="\/logout"/);
        assert.match(refused.html, /<textarea/);
    }
    const large = await visitor.post('/proposals', { title: 'A', body: 'x'.repeat(1200000) });
    assert.equal(large.status, 413);
    assert.match(large.html, /action="\/logout"/);
    const stale = new Visitor();
    stale.cookies.set('viche_session', 'ended');
    assert.equal((await stale.post('/proposals', { title: '' })).status, 401);
});

test('a wrong password and a taken e-mail are told without losing the rest', async () => {
    const user = await newUser(server.url);
    const visitor = new Visitor();
    const page = await visitor.get('/login?next=/proposals');
    const wrong = await visitor.submit(page, '/login', { email: user.email, password: 'not this one' });
    assert.equal(wrong.status, 401);
    assert.ok(decode(wrong.html).includes(`value="${user.email}"`));
    assert.match(wrong.html, /name="next" value="&#x2F;proposals"/);
    assert.doesNotMatch(wrong.html, /not this one/, 'a password is never written back');

    const taken = await visitor.submit(await visitor.get('/register'), '/register', { name: 'Хтось', email: user.email, password: 'довга фраза 12' });
    assert.equal(taken.status, 422);
    assert.match(taken.html, /id="email-error"/);
    assert.ok(taken.html.includes('value="Хтось"'));
    const short = await visitor.post('/register', { name: '', email: 'nonsense', password: 'x', next: '/' });
    assert.equal(short.status, 422);
    assert.equal(short.html.match(/class="field-error"/g).length, 3, 'all mistakes at once');
});

test('a stale page gets a clear message: closed, logged out, gone', async () => {
    const visitor = await member();
    const closed = await closedProposal();
    const late = await visitor.post(`/proposals/${closed.id}/comments`, { body: 'запізно' });
    assert.equal(late.status, 409);
    assert.match(late.html, /role="alert"/);
    assert.match(late.html, /<textarea id="body" rows="6" readonly>запізно<\/textarea>/, 'the text can be copied');
    assert.equal((await visitor.post(`/proposals/${closed.id}/support`, { _method: 'PUT' })).status, 409);

    const path = await openProposal();
    const user = await newUser(server.url);
    await visitor.login(user);
    const page = await visitor.get(path);
    const writer = await member();
    visitor.cookies.set('viche_session', 'x'.repeat(43)); // the session ended
    const ended = await visitor.submit(page, `${path}/comments`, { body: 'мій довгий текст' });
    assert.equal(ended.status, 401);
    assert.match(ended.html, />мій довгий текст<\/textarea>/);
    assert.match(decode(ended.html), /role="alert"[\s\S]*href="\/login\?next=[^"]*%23discussion" target="_blank" rel="noopener"/);
    const form = await visitor.submit({ html: (await writer.get('/proposals/new')).html }, '/proposals', { title: 'Назва', summary: '', body: 'моя довга пропозиція' });
    assert.equal(form.status, 401);
    assert.match(form.html, />моя довга пропозиція<\/textarea>/);
    assert.match(form.html, /target="_blank" rel="noopener">Log in in a new tab</);
    await visitor.login(await newUser(server.url)); // in the other tab, but somebody else
    assert.equal((await visitor.submit(ended, `${path}/comments`, { body: 'мій довгий текст' })).status, 409);
    await visitor.login(user);
    assert.equal((await visitor.submit(ended, `${path}/comments`, { body: 'мій довгий текст' })).status, 303);
    const button = await member();
    button.cookies.set('viche_session', 'x'.repeat(43));
    const unsigned = await button.post(`${path}/support`, { _method: 'PUT' });
    assert.equal(unsigned.status, 401);
    assert.doesNotMatch(unsigned.html, /_blank/, 'there is no text to lose');

    const other = await member();
    assert.equal((await other.post('/proposals/999999/support', { _method: 'PUT' })).status, 404);
    assert.equal((await other.post(`${path}/support`, { _method: 'PATCH' })).status, 400);
    assert.equal((await other.post('/comments/999999/vote', { value: '1' })).status, 404);
});

test('a page that somebody else opened in this browser writes nothing, and keeps the text', async () => {
    const path = await openProposal();
    const anna = await member();
    const said = await anna.submit(await anna.get(path), `${path}/comments`, { body: 'слово Анни' });
    const other = await member();
    const pages = [
        [path, `${path}/support`, {}],
        [path, `${path}/follow`, {}],
        [path, `${path}/comments`, { body: 'текст Бориса' }],
        [said.location.replace(/#.*/, ''), `/comments/${said.location.match(/#comment-(\d+)/)[1]}/vote`, { value: '1' }],
        ['/votings/1', '/votings/1/ballot', { option_id: '1' }],
        ['/notifications', '/notifications/read', {}],
        ['/proposals/new', '/proposals', { title: 'Назва Бориса', summary: '', body: 'текст' }],
    ];
    const opened = [];
    for (const [at, action, fields] of pages) opened.push([await other.get(at), action, fields]);
    await other.login(await newUser(server.url, 'Віра Інша'));
    for (const [page, action, fields] of opened) {
        const refused = await other.submit(page, action, fields);
        assert.equal(refused.status, 409, action);
        assert.match(refused.html, /role="alert"[\s\S]*Somebody else is logged in/, action);
        assert.ok(refused.html.includes('Віра Інша'), 'the page says who is logged in');
        for (const text of Object.values(fields).filter((value) => /Бориса/.test(value))) assert.ok(refused.html.includes(text), text);
    }
    assert.doesNotMatch((await anna.get(`${path}?sort=new`)).html, /<p>текст Бориса/);
    const uk = new Visitor('uk');
    uk.cookies = other.cookies;
    assert.match((await uk.submit(opened[2][0], `${path}/comments`, { body: 'x' })).html, /Зараз увійшла інша людина/);
});

test('pages that need an account lead to the log-in and back', async () => {
    const visitor = new Visitor();
    for (const path of ['/notifications', '/proposals/new']) {
        const answer = await visitor.get(path);
        assert.equal(answer.status, 303);
        assert.equal(answer.location, `/login?next=${path}`);
    }
    const user = await newUser(server.url);
    const back = await visitor.submit(await visitor.get('/login?next=/proposals/new'), '/login', user);
    assert.equal(back.location, '/proposals/new');
    for (const next of ['//evil.example/x', 'https://evil.example', '/\\evil.example']) {
        const evil = await visitor.submit(await visitor.get(`/login?next=${encodeURIComponent(next)}`), '/login', user);
        assert.equal(evil.location, '/', next);
    }
});

test('a proposal is written by the form, with all mistakes told at once', async () => {
    const visitor = await member();
    const page = await visitor.get('/proposals/new');
    const wrong = await visitor.submit(page, '/proposals', { title: '', summary: 'стисло', body: '' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.html, /id="title-error"[\s\S]*id="body-error"/);
    assert.match(wrong.html, />стисло<\/textarea>/);
    const made = await visitor.submit(page, '/proposals', { title: 'Лавка', summary: 'Одна лавка', body: 'Біля входу.' });
    assert.match(made.location, /^\/proposals\/\d+$/);
    assert.match((await visitor.get(made.location)).html, /<h1>Лавка<\/h1>/);
});

test('notifications are listed and marked read', async () => {
    const author = await member();
    const made = await author.submit(await author.get('/proposals/new'), '/proposals', { title: 'Про сповіщення', summary: 'с', body: 'т' });
    const other = await member();
    await other.submit(await other.get(made.location), `${made.location}/comments`, { body: 'новина' });
    const page = await until(async () => {
        const now = await author.get('/notifications');
        return now.html.includes('is-unread') && now;
    }, 'the notification');
    assert.match(page.html, /1 new notification</);
    assert.match(page.html, /data-bell-count>1</);
    const link = decode(page.html.match(/<li class="notification[^>]*><a href="([^"]*)"/)[1]);
    assert.match((await author.get(link.replace(/#.*/, ''))).html, /новина/);
    assert.equal((await author.submit(page, '/notifications/read')).location, '/notifications');
    assert.doesNotMatch((await author.get('/notifications')).html, /is-unread/);
});

test('hostile texts are shown as text', async () => {
    const evil = '<script>alert(1)</script><img src=x onerror=alert(1)>"\'`{{t.site.name}}</textarea></script>';
    const user = await newUser(server.url, evil.slice(0, 60));
    const visitor = await new Visitor().login(user);
    const made = await visitor.submit(await visitor.get('/proposals/new'), '/proposals', { title: evil, summary: evil, body: `${evil}\n\n[x](javascript:alert(1))` });
    assert.equal(made.status, 303);
    const written = await visitor.submit(await visitor.get(made.location), `${made.location}/comments`, { body: evil });
    assert.equal(written.status, 303);
    for (const page of [made.location, '/', '/proposals']) {
        for (const who of [visitor, new Visitor()]) {
            const { html } = await who.get(page);
            assert.doesNotMatch(html, /<script>alert|<img src=x|javascript:alert/, page);
            assert.equal(html.match(/<script/g).length, 2, 'only our own scripts');
            const data = html.match(/id="viche-data">([\s\S]*?)<\/script>/)[1];
            assert.ok(JSON.parse(data).lang);
        }
    }
    const again = await visitor.post(`${made.location}/comments`, { body: evil + 'x'.repeat(4000) });
    assert.equal(again.status, 422);
    assert.doesNotMatch(again.html, /<script>alert/);
    assert.ok(decode(again.html).includes(evil), 'and comes back as it was typed');
});

test('forms from other sites are refused and change nothing', async () => {
    const visitor = await member();
    const path = await openProposal();
    for (const headers of [
        { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' },
        { 'Sec-Fetch-Site': '', Origin: 'https://evil.example' },
        { 'Sec-Fetch-Site': '', Origin: 'null' },
    ]) {
        const answer = await visitor.post(`${path}/comments`, { body: 'чужий сайт' }, headers);
        assert.equal(answer.status, 403);
        assert.doesNotMatch(answer.html, /чужий сайт/, 'another site puts no words into our forms');
        assert.equal((await new Visitor().post('/login', { email: 'a@b.cd', password: 'x' }, headers)).status, 403);
    }
    assert.doesNotMatch((await visitor.get(`${path}?sort=new`)).html, /<p>чужий сайт/);
    const program = await visitor.post(`${path}/comments`, { body: 'від програми' }, { 'Sec-Fetch-Site': '', Origin: '', Referer: '' });
    assert.ok([200, 303].includes(program.status), 'who names no origin at all is no browser');
    const json = await visitor.send('POST', `${path}/comments`, { body: '{}', headers: { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin' } });
    assert.equal(json.status, 415);
});

test('what is missing or not allowed is a page in the language of the reader', async () => {
    const missing = await new Visitor('uk').get('/no/such/page');
    assert.equal(missing.status, 404);
    assert.match(missing.html, /<html lang="uk">[\s\S]*<h1>/);
    const opened = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
    const noFile = await new Visitor('uk').get('/static/no-such.css', opened);
    assert.deepEqual([noFile.status, noFile.headers.get('content-type')], [404, 'text/html; charset=utf-8']);
    assert.match(noFile.html, /<html lang="uk">[\s\S]*<h1>/);
    const loaded = await new Visitor('uk').get('/static/no-such.css', { Accept: 'text/css,*/*;q=0.1' });
    assert.deepEqual([loaded.status, loaded.headers.get('content-type')], [404, 'application/problem+json']);
    assert.match((await new Visitor().get('/static/site.webmanifest', opened)).headers.get('content-type'), /manifest/);
    assert.equal((await new Visitor().get('/proposals/999999')).status, 404);
    assert.equal((await new Visitor().get('/proposals/abc')).status, 404);
    assert.equal((await new Visitor().get('/proposals/-1')).status, 404);
    for (const [form, page] of [['/proposals/9/comments', '/proposals/9'], ['/votings/1/ballot', '/votings/1'], ['/notifications/read', '/notifications'], ['/logout', '/']]) {
        const reloaded = await new Visitor().get(form);
        assert.equal(reloaded.status, 303, form);
        assert.equal(reloaded.location, page);
    }
    const method = await new Visitor().send('DELETE', '/proposals');
    assert.equal(method.status, 405);
    assert.match(method.headers.get('allow'), /GET/);
    assert.match((await new Visitor().get('/api/v1/nothing')).headers.get('content-type'), /problem\+json/);
    assert.ok((await new Visitor().get('/proposals?cursor=rubbish')).status < 500);
    assert.ok((await new Visitor().get('/proposals?sort=%ff&cursor=%')).status < 500);
});

test('what is for members only is a page that says so, and is not in the lists', async () => {
    const closed = await new Visitor().get('/proposals');
    const all = [];
    for (let id = 1; id <= 30; id++) {
        const page = await new Visitor().get(`/proposals/${id}`);
        if (page.status === 403) all.push({ id, page });
    }
    assert.ok(all.length > 0, 'the demo town has one');
    for (const { id, page } of all) {
        assert.match(page.html, /href="[^"]*login/);
        assert.doesNotMatch(closed.html, new RegExp(`href="/proposals/${id}"`));
    }
});

const raw = (path, headers, url = server.url) =>
    new Promise((done, fail) => {
        request(url + path, { headers }, (response) => {
            const parts = [];
            response.on('data', (part) => parts.push(part));
            response.on('end', () => done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
        })
            .on('error', fail)
            .end();
    });

test('a page is kept for anonymous readers: the same bytes, compressed, 304 when they have it', async () => {
    const path = await openProposal();
    const asked = async (more, isIt) => {
        const page = await raw(path, { 'Accept-Language': 'en', 'Accept-Encoding': 'gzip', ...more });
        return isIt(page) && page;
    };
    const page = await until(() => asked({}, ({ headers }) => headers.etag), 'the page to be kept');
    assert.match(page.headers.etag, /^"[0-9a-f]{16}-gz"$/);
    assert.equal(page.headers['content-encoding'], 'gzip');
    assert.match(gunzipSync(page.body).toString(), /<html lang="en">/);
    assert.match(page.headers.vary, /Cookie/);
    const same = await until(() => asked({ 'If-None-Match': page.headers.etag }, ({ status }) => status === 304), 'a 304');
    assert.equal(same.body.length, 0);
    const uk = await raw(path, { 'Accept-Language': 'uk' });
    assert.match(uk.body.toString(), /<html lang="uk">/, 'each language has its own');
});

test('a kept page never hides what was just written', async () => {
    const { token } = await newUser(server.url);
    const path = await openProposal();
    for (let i = 0; i < 20; i++) {
        const text = `щойно ${i} ${Math.random()}`;
        await new Visitor().get(path);
        const made = await api(server.url, 'POST', `/api/v1${path}/comments`, { token, body: { body: text } });
        if (made.status === 429) break;
        assert.equal(made.status, 201);
        const { html } = await new Visitor().get(`${path}?sort=new`);
        assert.ok(html.includes(text), `comment ${i} is on the page`);
    }
});

test('a signature has its own page drawn again, and no other proposal’s', async () => {
    const one = await startServer({ args: ['--loops', '1'] });
    try {
        const { token } = await newUser(one.url);
        const make = async (title) =>
            (await api(one.url, 'POST', '/api/v1/proposals', { token, body: { title, summary: '', body: 'текст' } })).json.id;
        const [here, there] = [await make('Тут'), await make('Там')];
        const isKept = async (path) => Boolean((await raw(path, {}, one.url)).headers.etag);
        await until(async () => { // a page may grow old just between two requests: then the round is tried again
            for (const path of [`/proposals/${here}`, `/proposals/${there}`, '/proposals']) await until(() => isKept(path), `${path} to be kept`);
            await api(one.url, 'PUT', `/api/v1/proposals/${here}/support`, { token });
            await api(one.url, 'DELETE', `/api/v1/proposals/${here}/support`, { token });
            assert.equal(await isKept(`/proposals/${here}`), false);
            assert.equal(await isKept('/proposals'), false, 'the list counts signatures');
            return isKept(`/proposals/${there}`);
        }, 'the other page to stay');
    } finally {
        await one.stop();
    }
});

test('robots.txt, the favicon and the manifest are there', async () => {
    assert.match((await new Visitor().get('/robots.txt')).html, /User-agent/);
    assert.match((await new Visitor().get('/favicon.ico')).headers.get('content-type'), /svg/);
    assert.equal((await new Visitor().get('/static/site.webmanifest')).status, 200);
});
