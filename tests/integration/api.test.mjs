// The JSON API over real HTTP: what each request gets, and that what is refused leaves nothing behind.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { api, newUser, runViche, startServer, until, within } from './lib.mjs';

let server, olena, petro, stranger;
let proposal; // a fresh public one of olena's

const call = (method, path, options) => api(server.url, method, path, options);
const get = (path, who) => call('GET', path, { token: who?.token });
const post = (path, body, who, headers) => call('POST', path, { body, token: who?.token, headers });
const put = (path, body, who, headers) => call('PUT', path, { body, token: who?.token, headers });
const del = (path, who) => call('DELETE', path, { token: who?.token });

async function login(email, password = 'viche-demo') {
    const r = await post('/api/v1/session', { email, password });
    assert.equal(r.status, 201, r.text);
    return r.json;
}

async function newProposal(who = olena, extra = {}) {
    const r = await post('/api/v1/proposals', { title: 'Назва', summary: 'Коротко', body: 'Текст', ...extra }, who);
    assert.equal(r.status, 201, r.text);
    return r.json;
}

async function newComment(id, body = 'думка', who = olena, extra = {}) {
    const r = await post(`/api/v1/proposals/${id}/comments`, { body, ...extra }, who);
    assert.equal(r.status, 201, r.text);
    return r.json;
}

/** A problem as RFC 9457 wants it, with that status and code. */
function assertProblem(r, status, code, pointer) {
    assert.equal(r.status, status, r.text);
    assert.equal(r.headers.get('content-type').split(';')[0], 'application/problem+json');
    assert.equal(r.json.status, status);
    assert.equal(r.json.code, code, r.text);
    assert.equal(r.json.type, `/problems/${code}`);
    for (const text of [r.json.title, r.json.detail, ...(r.json.errors ?? []).map((e) => e.detail)])
        assert.ok(text && !/^(problem|field)\./.test(text), `a sentence, not a key: ${text}`);
    if (pointer !== undefined) assert.ok(r.json.errors.some((e) => e.pointer === pointer), r.text);
}

before(async () => {
    server = await startServer({ seed: true, env: { VICHE_RATE_LIMITS: 'off' } });
    olena = await login('olena@example.org');
    petro = await login('petro@example.org'); // a registered user, no member
    stranger = await newUser(server.url, 'Незнайомка');
    proposal = await newProposal();
});
after(() => server?.stop());

// ---- sessions ----

test('a login gives a token and a cookie that scripts cannot read', async () => {
    const r = await post('/api/v1/session', { email: ' OLENA@example.org', password: 'viche-demo' });
    assert.equal(r.status, 201);
    assert.match(r.json.token, /^[\w-]{43}$/);
    assert.deepEqual(r.json.user, { id: olena.user.id, name: 'Олена Коваленко', email: 'olena@example.org', role: 'member' });
    const cookie = r.headers.get('set-cookie');
    assert.match(cookie, /^viche_session=[\w-]{43}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Lax$/);
    assert.equal(r.headers.get('cache-control'), 'no-store');
    assert.notEqual(r.json.token, olena.token, 'a new login is a new token');
});

test('a wrong password and an unknown address get the same answer', async () => {
    const wrong = await post('/api/v1/session', { email: 'olena@example.org', password: 'wrong-password' });
    const unknown = await post('/api/v1/session', { email: 'nobody@example.org', password: 'wrong-password' });
    assertProblem(wrong, 401, 'login-failed');
    assert.deepEqual(wrong.json, unknown.json);
    assert.equal(wrong.headers.get('set-cookie'), null);
});

test('a token works until logout and no longer', async () => {
    const session = await login('olena@example.org');
    assert.equal((await get('/api/v1/session', session)).json.user.id, olena.user.id);
    const r = await del('/api/v1/session', session);
    assert.equal(r.status, 204);
    assert.match(r.headers.get('set-cookie'), /^viche_session=; .*Max-Age=0/);
    assertProblem(await get('/api/v1/session', session), 401, 'unauthorized');
    assertProblem(await post(`/api/v1/proposals/${proposal.id}/comments`, { body: 'x' }, session), 401, 'unauthorized');
    assert.equal((await get('/api/v1/session', olena)).status, 200, 'other sessions stay');
});

test('without a session, or with a forged one, nothing is written', async () => {
    const forged = { token: (olena.token[0] === 'A' ? 'B' : 'A') + olena.token.slice(1) };
    for (const who of [undefined, forged, { token: 'x' }]) {
        assertProblem(await post('/api/v1/proposals', { title: 'т', body: 'б' }, who), 401, 'unauthorized');
        assertProblem(await post(`/api/v1/proposals/${proposal.id}/comments`, { body: 'x' }, who), 401, 'unauthorized');
        assertProblem(await put(`/api/v1/proposals/${proposal.id}/support`, undefined, who), 401, 'unauthorized');
        assertProblem(await put('/api/v1/comments/1/vote', { value: 1 }, who), 401, 'unauthorized');
        assertProblem(await put('/api/v1/votings/1/ballot', { option_id: 1 }, who), 401, 'unauthorized');
        assertProblem(await get('/api/v1/notifications', who), 401, 'unauthorized');
    }
    for (const who of [undefined, forged, { token: 'x' }]) { // who asks comes before what is wrong
        assertProblem(await post('/api/v1/proposals', {}, who), 401, 'unauthorized');
        assertProblem(await post('/api/v1/proposals', '{', who), 401, 'unauthorized');
        assertProblem(await post(`/api/v1/proposals/${proposal.id}/comments`, { body: '' }, who), 401, 'unauthorized');
        assertProblem(await put('/api/v1/comments/1/vote', { value: 7 }, who), 401, 'unauthorized');
        assertProblem(await put('/api/v1/votings/1/ballot', {}, who), 401, 'unauthorized');
    }
    const r = await post(`/api/v1/proposals/${proposal.id}/comments`, {}, undefined);
    assert.equal(r.headers.get('www-authenticate'), 'Bearer');
    assert.equal((await get(`/api/v1/proposals/${proposal.id}`)).json.comment_count, 0);
});

// ---- accounts ----

test('an address is registered once, whatever its case', async () => {
    const made = await post('/api/v1/users', { email: 'Nova@Example.org', name: ' Нова ', password: 'long enough' });
    assert.equal(made.status, 201, made.text);
    assert.deepEqual(made.json, { id: made.json.id, name: 'Нова', email: 'nova@example.org', role: 'user' });
    const again = await post('/api/v1/users', { email: 'nova@example.ORG', name: 'x', password: 'long enough' });
    assertProblem(again, 422, 'invalid', '/email');
    assert.equal(again.json.errors[0].code, 'taken');
});

test('one answer names every field that is wrong', async () => {
    const r = await post('/api/v1/users', { email: 'no', name: ' ', password: 'qwe123' });
    assertProblem(r, 422, 'invalid', '/email');
    assert.deepEqual(r.json.errors.map((e) => [e.pointer, e.code]).sort(), [
        ['/email', 'not-email'],
        ['/name', 'required'],
        ['/password', 'too-short'],
    ]);
    assert.ok(!JSON.stringify(r.json).includes('qwe123'), 'the password is not repeated');
});

test('a password of a megabyte is told that it is too long, fast', async () => {
    const register = () => post('/api/v1/users', { email: 'mb@example.org', name: 'x', password: 'x'.repeat(1 << 20) });
    assertProblem(await within(2000, register), 422, 'invalid', '/password');
});

test('nobody registers with a role', async () => {
    const r = await post('/api/v1/users', { email: 'boss@example.org', name: 'x', password: 'long enough', role: 'admin', id: 1, is_admin: true });
    assert.equal(r.status, 201, r.text);
    assert.equal(r.json.role, 'user');
    assert.notEqual(r.json.id, 1);
});

// ---- proposals ----

test('a proposal is made, found and shown safely', async () => {
    const r = await post('/api/v1/proposals', { title: ' Т ', body: '<script>alert(1)</script> **так** [x](javascript:1)' }, olena);
    assert.equal(r.status, 201, r.text);
    assert.equal(r.headers.get('location'), `/api/v1/proposals/${r.json.id}`);
    const p = (await get(r.headers.get('location'))).json;
    assert.equal(p.title, 'Т');
    assert.equal(p.summary, '');
    assert.equal(p.body, '<script>alert(1)</script> **так** [x](javascript:1)');
    assert.ok(!/<script|href="javascript/.test(p.body_html), p.body_html);
    assert.match(p.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual(
        { ...p, body: 0, body_html: 0, created_at: 0, deadline_at: 0 },
        {
            id: r.json.id,
            title: 'Т',
            summary: '',
            body: 0,
            body_html: 0,
            author: { id: olena.user.id, name: 'Олена Коваленко' },
            state: 'open',
            support_count: 0,
            threshold: 250,
            comment_count: 0,
            created_at: 0,
            deadline_at: 0,
            is_members_only: false,
            channel: `proposal.${r.json.id}`,
            voting_id: null,
            viewer: null,
        },
    );
    assert.deepEqual((await get(`/api/v1/proposals/${p.id}`, olena)).json.viewer, { has_supported: false, support_number: null, is_following: false });
});

test('texts are measured in characters and refused when too long', async () => {
    const fits = { title: '😀'.repeat(140), summary: 'є'.repeat(300), body: '😀'.repeat(20000) };
    assert.equal((await post('/api/v1/proposals', fits, olena)).status, 201);
    const r = await post('/api/v1/proposals', { title: 'x'.repeat(141), summary: 'x'.repeat(301), body: 'x'.repeat(20001) }, olena);
    assertProblem(r, 422, 'invalid', '/title');
    assert.equal(r.json.errors.length, 3);
    assert.ok(r.json.errors.every((e) => e.code === 'too-long'));
    assert.ok(/141|140/.test(r.json.errors[0].detail), 'the limit is told');
    assert.equal((await post('/api/v1/proposals', { title: 'x', body: 'x'.repeat(400000) }, olena)).status, 413);
});

test('what is not there, and what is no id, is not found', async () => {
    for (const id of ['0', '01', '0x1', '-1', '999999', '9223372036854775807', '9223372036854775808', 'abc', '1.0', '%31x', '+1', '1e3'])
        for (const path of [`/api/v1/proposals/${id}`, `/api/v1/proposals/${id}/comments`, `/api/v1/comments/${id}`, `/api/v1/votings/${id}`])
            assertProblem(await get(path), 404, 'not-found');
    assertProblem(await put('/api/v1/proposals/0/support', undefined, olena), 404, 'not-found');
    assertProblem(await put('/api/v1/proposals/999999/follow', undefined, olena), 404, 'not-found');
    assertProblem(await put('/api/v1/comments/999999/vote', { value: 1 }, olena), 404, 'not-found');
    assertProblem(await post('/api/v1/proposals/999999/comments', { body: 'x' }, olena), 404, 'not-found');
    assertProblem(await get('/api/v1/nothing'), 404, 'not-found');
});

test('a known address with another method is told so', async () => {
    const r = await call('PATCH', '/api/v1/proposals', { token: olena.token });
    assertProblem(r, 405, 'method-not-allowed');
    assert.match(r.headers.get('allow'), /GET/);
});

test('lists page by cursor, each item once, at most a hundred', async () => {
    for (const sort of ['new', 'top']) {
        const ids = [];
        let cursor = '';
        do {
            const page = (await get(`/api/v1/proposals?sort=${sort}&limit=5&cursor=${cursor}`)).json;
            assert.ok(page.items.length <= 5);
            assert.ok(page.items.every((p) => !('body' in p)), 'a list holds no long texts');
            ids.push(...page.items.map((p) => p.id));
            cursor = page.next;
        } while (cursor);
        assert.equal(new Set(ids).size, ids.length);
        assert.ok(ids.length >= 13);
    }
    assert.ok((await get('/api/v1/proposals?limit=1000')).json.items.length <= 100);
    for (const query of ['cursor=x', 'cursor=bi4wLjE', 'limit=0', 'limit=x', 'sort=old'])
        if (query !== 'cursor=bi4wLjE') assertProblem(await get(`/api/v1/proposals?${query}`), 422, 'invalid');
    assertProblem(await get('/api/v1/proposals?cursor=%ff'), 400, 'malformed');
    for (const [limit, code] of [['0', 'too-small'], ['-1', 'too-small'], ['x', 'not-number'], ['1e3', 'not-number'], ['99999999999999999999', 'not-number']]) {
        const { json } = await get(`/api/v1/proposals?limit=${limit}`);
        assert.deepEqual(json.errors.map((e) => [e.pointer, e.code]), [['/limit', code]], limit);
    }
});

test('a body that names a field twice is refused, whichever of the two would be taken', async () => {
    const path = `/api/v1/proposals/${proposal.id}/comments`;
    for (const body of ['{"body":"one","body":"two"}', '{"body":"one","b\\u006fdy":"two"}', '{"body":"one","x":1,"x":1}'])
        assertProblem(await post(path, body, olena), 400, 'malformed');
    assert.equal((await post(path, '{"body":"one","x":1,"X":1}', olena)).status, 201);
});

test('numbers of the demo town stay with their units', async () => {
    const { json } = await get('/api/v1/votings/1');
    const lengths = json.options.map((o) => o.title).filter((title) => title.endsWith('км'));
    assert.ok(lengths.length > 0);
    for (const title of lengths) assert.match(title, /\d\u00a0км$/);
});

// ---- signatures ----

test('a person signs once, withdraws, and signs again', async () => {
    const p = await newProposal();
    const path = `/api/v1/proposals/${p.id}/support`;
    const first = await put(path, undefined, petro);
    assert.equal(first.status, 201, first.text);
    assert.deepEqual(first.json, { number: 1, support_count: 1, threshold: 250, state: 'open' });
    const again = await put(path, undefined, petro);
    assert.equal(again.status, 200);
    assert.deepEqual(again.json, first.json);
    assert.equal((await get(`/api/v1/proposals/${p.id}`, petro)).json.viewer.has_supported, true);
    assert.ok((await get(`/api/v1/proposals/${p.id}`, petro)).json.viewer.support_number >= 1);
    const gone = await del(path, petro);
    assert.equal(gone.status, 200);
    assert.deepEqual(gone.json, { number: null, support_count: 0, threshold: 250, state: 'open' });
    assert.equal((await del(path, petro)).json.support_count, 0);
});

test('twenty signatures of one person at the same time are one', async () => {
    const p = await newProposal();
    const all = await Promise.all(Array.from({ length: 20 }, () => put(`/api/v1/proposals/${p.id}/support`, undefined, petro)));
    assert.deepEqual(all.map((r) => r.status).sort(), [...Array(19).fill(200), 201]);
    assert.equal((await get(`/api/v1/proposals/${p.id}`)).json.support_count, 1);
});

test('a closed proposal takes neither signatures nor comments', async () => {
    const closed = (await get('/api/v1/proposals?limit=100')).json.items.find((p) => p.state === 'closed');
    assertProblem(await put(`/api/v1/proposals/${closed.id}/support`, undefined, olena), 409, 'proposal-closed');
    assertProblem(await post(`/api/v1/proposals/${closed.id}/comments`, { body: 'x' }, olena), 409, 'proposal-closed');
    const comment = (await get(`/api/v1/proposals/${closed.id}/comments`)).json.items[0];
    assertProblem(await put(`/api/v1/comments/${comment.id}/vote`, { value: 1 }, olena), 409, 'proposal-closed');
    const after = (await get(`/api/v1/proposals/${closed.id}`)).json;
    assert.equal(after.support_count, closed.support_count);
    assert.equal(after.comment_count, closed.comment_count);
});

test('what is for members is for members', async () => {
    const secret = (await get('/api/v1/proposals?limit=100', olena)).json.items.find((p) => p.is_members_only);
    assert.equal(secret.channel, `private-proposal.${secret.id}`);
    for (const who of [undefined, petro])
        assert.ok(!(await get('/api/v1/proposals?limit=100', who)).json.items.some((p) => p.is_members_only));
    assertProblem(await get(`/api/v1/proposals/${secret.id}`, petro), 403, 'members-only');
    assertProblem(await get(`/api/v1/proposals/${secret.id}`), 403, 'members-only');
    assertProblem(await get(`/api/v1/proposals/${secret.id}/comments`, petro), 403, 'members-only');
    assertProblem(await put(`/api/v1/proposals/${secret.id}/support`, undefined, petro), 403, 'members-only');
    assertProblem(await put(`/api/v1/proposals/${secret.id}/follow`, undefined, petro), 403, 'members-only');
    assertProblem(await post(`/api/v1/proposals/${secret.id}/comments`, { body: 'x' }, petro), 403, 'members-only');
    const comment = (await get(`/api/v1/proposals/${secret.id}/comments`, olena)).json.items[0];
    assertProblem(await get(`/api/v1/comments/${comment.id}`, petro), 403, 'members-only');
    assertProblem(await put(`/api/v1/comments/${comment.id}/vote`, { value: 1 }, petro), 403, 'members-only');
    assertProblem(await post('/api/v1/proposals', { title: 'т', body: 'б', is_members_only: true }, petro), 403, 'members-only');
});

// ---- comments ----

test('a comment is answered whole, with its place and its client_id', async () => {
    const p = await newProposal();
    const r = await post(`/api/v1/proposals/${p.id}/comments`, { body: '  Так, **звісно**\r\n ', client_id: 'c-1' }, petro);
    assert.equal(r.status, 201, r.text);
    assert.equal(r.headers.get('location'), `/api/v1/comments/${r.json.id}`);
    assert.deepEqual(r.json, {
        id: r.json.id,
        proposal_id: p.id,
        parent_id: null,
        depth: 1,
        author: { id: petro.user.id, name: 'Петро Шевчук' },
        body: 'Так, **звісно**',
        body_html: '<p>Так, <strong>звісно</strong></p>\n',
        up: 0,
        down: 0,
        created_at: r.json.created_at,
        client_id: 'c-1',
        viewer: { vote: 0 },
    });
    assert.deepEqual((await get(r.headers.get('location'), petro)).json, r.json);
    assert.equal((await get(r.headers.get('location'))).json.viewer, null);
    assert.equal((await get(`/api/v1/proposals/${p.id}`)).json.comment_count, 1);
});

test('replies go three deep and stay within their proposal', async () => {
    const p = await newProposal();
    const one = await newComment(p.id);
    const two = await newComment(p.id, 'б', petro, { parent_id: one.id });
    const three = await newComment(p.id, 'в', olena, { parent_id: two.id });
    assert.deepEqual([one.depth, two.depth, three.depth, three.parent_id], [1, 2, 3, two.id]);
    const path = `/api/v1/proposals/${p.id}/comments`;
    assertProblem(await post(path, { body: 'г', parent_id: three.id }, olena), 422, 'too-deep');
    for (const parent_id of ['1', 1.5, 0]) {
        const { errors } = (await post(path, { body: 'г', parent_id }, olena)).json;
        assert.equal(errors.length, 1, JSON.stringify(errors));
    }
    for (const parent_id of [0, -1, 999999, proposal.id + 1e6])
        assertProblem(await post(path, { body: 'г', parent_id }, olena), 422, 'invalid', '/parent_id');
    const elsewhere = await newComment(proposal.id);
    assertProblem(await post(path, { body: 'г', parent_id: elsewhere.id }, olena), 422, 'invalid', '/parent_id');
    for (const parent_id of ['1', 1.5, true, [1], {}])
        assertProblem(await post(path, { body: 'г', parent_id }, olena), 422, 'invalid', '/parent_id');
});

test('comments come newest or oldest first, or in threads', async () => {
    const p = await newProposal();
    const a = await newComment(p.id, 'а');
    const b = await newComment(p.id, 'б');
    const reply = await newComment(p.id, 'в', petro, { parent_id: a.id });
    const ids = async (query) => (await get(`/api/v1/proposals/${p.id}/comments?${query}`)).json.items.map((c) => c.id);
    assert.deepEqual(await ids(''), [reply.id, b.id, a.id]);
    assert.deepEqual(await ids('sort=old'), [a.id, b.id, reply.id]);
    assert.deepEqual(await ids('sort=threads'), [b.id, a.id, reply.id]);
    const page = (await get(`/api/v1/proposals/${p.id}/comments?sort=old&limit=2`)).json;
    await newComment(p.id, 'г');
    const next = (await get(`/api/v1/proposals/${p.id}/comments?sort=old&limit=1&cursor=${page.next}`)).json;
    assert.equal(next.items[0].id, reply.id, 'what comes meanwhile does not move the next page');
});

test('a long thread says how many replies it leaves out and where they are', async () => {
    const { id } = await newProposal();
    const root = await newComment(id, 'початок');
    const replies = await Promise.all(Array.from({ length: 230 }, (_, i) => newComment(id, `${i}`, petro, { parent_id: root.id })));
    const other = await newComment(id, 'інша розмова');
    const list = async (query) => (await get(`/api/v1/proposals/${id}/comments?${query}`)).json;
    const { items, next } = await list('sort=threads');
    assert.deepEqual([items.length, items[0].id, next], [202, other.id, null]);
    assert.equal(items.filter((c) => c.more_replies).length, 1);
    const { count, cursor } = items.at(-1).more_replies;
    assert.equal(count, 30);
    const seen = items.slice(2).map((c) => c.id);
    for (let at = cursor; at; ) {
        const page = await list(`sort=threads&limit=20&cursor=${at}`);
        assert.ok(page.items.every((c) => c.parent_id === root.id && !c.more_replies));
        seen.push(...page.items.map((c) => c.id));
        at = page.next;
    }
    assert.deepEqual(seen, replies.map((c) => c.id).sort((a, b) => a - b));
    assert.equal((await get(`/api/v1/proposals/${id}/comments?sort=old&cursor=${cursor}`)).status, 422);
});

test('a discussion of very long comments comes whole, in answers of bounded size', async () => {
    const { id } = await newProposal();
    const root = await newComment(id, '😀'.repeat(4000));
    for (const body of ['>'.repeat(4000), `[a]: http://a.ua/${'x'.repeat(1000)}\n\n${'[a] '.repeat(700)}`]) {
        const c = await newComment(id, body);
        assert.ok(c.body_html.length <= 6 * body.length + 1024, `${c.body_html.length} bytes of HTML`);
    }
    await Promise.all(Array.from({ length: 130 }, (_, i) =>
        newComment(id, '"😀'.repeat(2000), petro, i % 2 ? { parent_id: root.id } : {})));
    for (const [sort, expected] of [['new', 133], ['old', 133], ['threads', 68]]) {
        const seen = new Set();
        let next = '', largest = 0;
        do {
            const r = await get(`/api/v1/proposals/${id}/comments?sort=${sort}&limit=100${next && `&cursor=${next}`}`);
            assert.equal(r.status, 200, r.text.slice(0, 200));
            for (const c of r.json.items) if (sort !== 'threads' || c.depth === 1) seen.add(c.id);
            largest = Math.max(largest, r.text.length);
            next = r.json.next;
        } while (next);
        assert.equal(seen.size, expected, `all in order ${sort}`);
        assert.ok(largest < 8 << 20, `${largest} characters`);
    }
});

test('bodies that are no comment are refused with the right status', async () => {
    const path = `/api/v1/proposals/${proposal.id}/comments`;
    const before = (await get(`/api/v1/proposals/${proposal.id}`)).json.comment_count;
    const raw = (body, type = 'application/json') => call('POST', path, { body, token: olena.token, headers: { 'Content-Type': type } });
    for (const body of ['{', '', '{"body":"x"', '{"body":"x"} x', "{'body':'x'}", '{"body":"\\ud800"', 'null x'])
        assertProblem(await raw(body), 400, 'malformed');
    for (const body of ['[]', '"x"', '1', 'null', '[{"body":"x"}]']) assertProblem(await raw(body), 422, 'invalid', '');
    for (const body of ['{}', '{"body":null}', '{"body":1}', '{"body":""}', '{"body":" \\n\\u200b"}', '{"body":["x"]}', '{"body":"a\\u0000b"}', '{"body":"a\\u0007"}', '{"body":"\\ud800"}'])
        assertProblem(await raw(body), 422, 'invalid', '/body');
    assertProblem(await raw(JSON.stringify({ body: 'x'.repeat(4001) })), 422, 'invalid', '/body');
    assertProblem(await raw(JSON.stringify({ body: 'x', client_id: 'x'.repeat(65) })), 422, 'invalid', '/client_id');
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/xml', 'application/json; charset=latin1'])
        assertProblem(await raw('{"body":"x"}', type), 415, 'unsupported-media-type');
    const gzip = await call('POST', path, { body: '{"body":"x"}', token: olena.token, headers: { 'Content-Encoding': 'gzip' } });
    assertProblem(gzip, 415, 'unsupported-media-type');
    assert.equal((await raw(JSON.stringify({ body: 'x'.repeat(70000) }))).status, 413);
    const bad = await fetch(server.url + path, {
        method: 'POST',
        headers: { Authorization: `Bearer ${olena.token}`, 'Content-Type': 'application/json' },
        body: Buffer.from('{"body":"\xff\xfe"}', 'latin1'),
    });
    assert.equal(bad.status, 400, 'bad UTF-8');
    assert.equal((await get(`/api/v1/proposals/${proposal.id}`)).json.comment_count, before, 'nothing half-written');
});

test('a comment may hold what looks like an attack, and it stays text', async () => {
    for (const body of ['<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '[x](javascript:alert(1))', "'; DROP TABLE comment; --", '{{{body}}}', '"><svg onload=alert(1)>']) {
        const c = await newComment(proposal.id, body);
        assert.equal(c.body, body);
        assert.ok(!/<(script|img|svg)|href="javascript/i.test(c.body_html), c.body_html);
    }
});

test('fields that are not asked for are not assigned', async () => {
    const p = await newProposal();
    const evil = { id: 1, author_id: petro.user.id, user_id: petro.user.id, up: 999, votes: 999, depth: 3, created_at: '2000-01-01T00:00:00Z', is_admin: true };
    const c = await newComment(p.id, 'x', olena, evil);
    assert.notEqual(c.id, 1);
    assert.equal(c.author.id, olena.user.id);
    assert.deepEqual([c.up, c.depth], [0, 1]);
    assert.ok(Date.parse(c.created_at) > Date.now() - 60000);
    const q = await newProposal(olena, { id: 1, support_count: 999, threshold: 1, state: 'reached', author: { id: petro.user.id }, deadline_at: '2000-01-01T00:00:00Z' });
    assert.deepEqual([q.support_count, q.threshold, q.state, q.author.id], [0, 250, 'open', olena.user.id]);
});

test('a vote on a comment counts once a person and can be taken back', async () => {
    const c = await newComment(proposal.id);
    const path = `/api/v1/comments/${c.id}/vote`;
    for (const [value, up, down] of [[1, 1, 0], [1, 1, 0], [-1, 0, 1], [0, 0, 0]]) {
        const r = await put(path, { value }, petro);
        assert.equal(r.status, 200, r.text);
        assert.deepEqual(r.json, { id: c.id, proposal_id: proposal.id, up, down, viewer: { vote: value } });
    }
    await Promise.all(Array.from({ length: 20 }, () => put(path, { value: 1 }, petro)));
    assert.equal((await get(`/api/v1/comments/${c.id}`)).json.up, 1);
    for (const value of [1, -1]) assertProblem(await put(path, { value }, olena), 403, 'own-comment');
    assert.equal((await put(path, { value: 0 }, olena)).status, 200);
    for (const value of [2, -2, 999]) assertProblem(await put(path, { value }, petro), 422, 'invalid', '/value');
    for (const body of [{}, { value: '1' }, { value: 0.5 }, { value: null }]) assertProblem(await put(path, body, petro), 422, 'invalid', '/value');
});

// ---- Idempotency-Key ----

test('a request with the same key is done once and answered again', async () => {
    const p = await newProposal();
    const path = `/api/v1/proposals/${p.id}/comments`;
    const send = (body, who = olena) => post(path, body, who, { 'Idempotency-Key': 'key-1' });
    const first = await send({ body: 'раз' });
    assert.equal(first.status, 201);
    assert.equal(first.headers.get('idempotent-replayed'), null);
    const again = await send({ body: 'раз' });
    assert.equal(again.status, 201);
    assert.equal(again.headers.get('idempotent-replayed'), 'true');
    assert.equal(again.text, first.text);
    assert.equal(again.headers.get('location'), first.headers.get('location'));
    assertProblem(await send({ body: 'два' }), 422, 'idempotency-mismatch');
    assert.equal((await send({ body: 'раз' }, petro)).headers.get('idempotent-replayed'), null, 'keys belong to a person');
    assert.equal((await get(`/api/v1/proposals/${p.id}`)).json.comment_count, 2);
});

test('ten requests with one key at the same time are one comment', async () => {
    const p = await newProposal();
    const all = await Promise.all(
        Array.from({ length: 10 }, () => post(`/api/v1/proposals/${p.id}/comments`, { body: 'x' }, olena, { 'Idempotency-Key': 'k2' })),
    );
    assert.equal(new Set(all.map((r) => r.json.id)).size, 1);
    assert.equal((await get(`/api/v1/proposals/${p.id}`)).json.comment_count, 1);
});

test('a key holds for proposals too, and a refused request leaves it free', async () => {
    const key = { 'Idempotency-Key': 'p-1' };
    assertProblem(await post('/api/v1/proposals', { title: '', body: 'б' }, olena, key), 422, 'invalid');
    const first = await post('/api/v1/proposals', { title: 'т', body: 'б' }, olena, key);
    const again = await post('/api/v1/proposals', { title: 'т', body: 'б' }, olena, key);
    assert.equal(first.status, 201);
    assert.equal(again.json.id, first.json.id);
    for (const bad of ['x'.repeat(256), 'two words', '']) {
        const r = await post('/api/v1/proposals', { title: 'т', body: 'б' }, olena, { 'Idempotency-Key': bad });
        assertProblem(r, 400, 'bad-idempotency-key');
        assert.match(r.json.detail, /Idempotency-Key .* 255/);
    }
});

// ---- votings ----

test('a ballot counts once, can be changed, and shows in the results', async () => {
    const before = (await get('/api/v1/votings/1', stranger)).json;
    assert.equal(before.state, 'open');
    assert.deepEqual(before.viewer, { option_id: null });
    assert.equal(before.voters, before.options.reduce((sum, o) => sum + o.votes, 0));
    const [a, b] = before.options;
    const first = await put('/api/v1/votings/1/ballot', { option_id: a.id }, stranger);
    assert.equal(first.status, 201, first.text);
    assert.equal(first.json.voters, before.voters + 1);
    assert.deepEqual(first.json.viewer, { option_id: a.id });
    const changed = await put('/api/v1/votings/1/ballot', { option_id: b.id }, stranger);
    assert.equal(changed.status, 200);
    assert.equal(changed.json.voters, before.voters + 1);
    assert.equal(changed.json.options[0].votes, a.votes);
    assert.equal(changed.json.options[1].votes, b.votes + 1);
    const chosen = await put('/api/v1/votings/1/ballot', { choices: [b.id] }, stranger);
    assert.equal(chosen.status, 200, chosen.text);
    assert.deepEqual(chosen.json.viewer, { option_id: b.id });
    await Promise.all(Array.from({ length: 20 }, () => put('/api/v1/votings/1/ballot', { option_id: b.id }, stranger)));
    assert.equal((await get('/api/v1/votings/1')).json.voters, before.voters + 1);
});

test('a ballot is refused when the voting is closed or the option is not its own', async () => {
    const closed = (await get('/api/v1/votings/2')).json;
    assert.equal(closed.state, 'closed');
    assertProblem(await put('/api/v1/votings/2/ballot', { option_id: closed.options[0].id }, petro), 409, 'voting-closed');
    for (const option_id of [0, -1, 999999, closed.options[0].id])
        assertProblem(await put('/api/v1/votings/1/ballot', { option_id }, petro), 422, 'invalid', '/option_id');
    for (const body of [{}, { option_id: '1' }, { option_id: null }])
        assertProblem(await put('/api/v1/votings/1/ballot', body, petro), 422, 'invalid', '/option_id');
    for (const choices of [[], [1, 2], 1, ['1'], [1.5], [[1]], { 0: 1 }])
        assertProblem(await put('/api/v1/votings/1/ballot', { choices }, petro), 422, 'invalid', '/choices');
    assertProblem(await put('/api/v1/votings/1/ballot', { choices: [999999] }, petro), 422, 'invalid', '/choices');
    assert.deepEqual((await get('/api/v1/votings/2')).json, closed);
});

// ---- follows and notifications ----

test('author, answered person and followers are told, each once, the actor never', async () => {
    const p = await newProposal();
    const followers = [petro, stranger];
    for (const who of [...followers, olena]) assert.equal((await put(`/api/v1/proposals/${p.id}/follow`, undefined, who)).status, 204);
    assert.equal((await get(`/api/v1/proposals/${p.id}`, petro)).json.viewer.is_following, true);
    const first = await newComment(p.id, 'перша', stranger);
    await newComment(p.id, 'відповідь', petro, { parent_id: first.id });
    const mine = async (who) => (await get('/api/v1/notifications?limit=100', who)).json.items.filter((n) => n.proposal.id === p.id);
    await until(async () => (await mine(olena)).length === 2 && (await mine(stranger)).length === 1, 'notifications');
    assert.deepEqual((await mine(olena)).map((n) => n.kind), ['comment', 'comment']);
    assert.deepEqual((await mine(stranger)).map((n) => [n.kind, n.actor.id]), [['reply', petro.user.id]]);
    assert.deepEqual((await mine(petro)).map((n) => [n.kind, n.actor.id]), [['comment', stranger.user.id]]);
    assert.equal((await del(`/api/v1/proposals/${p.id}/follow`, petro)).status, 204);
});

test('notifications are marked read by their owner, one or all', async () => {
    const list = (await get('/api/v1/notifications', olena)).json;
    assert.ok(list.unread_count > 0);
    const one = list.items.find((n) => !n.is_read);
    const foreign = await post('/api/v1/notifications/read', { id: one.id }, petro);
    assert.equal(foreign.status, 200);
    assert.equal((await get('/api/v1/notifications', olena)).json.unread_count, list.unread_count);
    for (const mark of [{ id: 0 }, { id: -1 }, { id: null }, { id: '1' }, { until_id: 0 }, { until_id: null }])
        assertProblem(await post('/api/v1/notifications/read', mark, olena), 422, 'invalid', `/${Object.keys(mark)[0]}`);
    assert.equal((await get('/api/v1/notifications', olena)).json.unread_count, list.unread_count, 'nothing was marked by these');
    const mine = await post('/api/v1/notifications/read', { id: one.id }, olena);
    assert.equal(mine.json.unread_count, list.unread_count - 1);
    assert.deepEqual((await post('/api/v1/notifications/read', {}, olena)).json, { unread_count: 0 });
    assert.ok((await get('/api/v1/notifications', olena)).json.items.every((n) => n.is_read));
});

// ---- cross-site ----

const cookieOf = (who) => ({ Cookie: `viche_session=${who.token}` });

test('with a cookie only our own pages may write', async () => {
    const p = await newProposal();
    const path = `/api/v1/proposals/${p.id}/comments`;
    const send = (headers) => call('POST', path, { body: { body: 'x' }, headers: { ...cookieOf(olena), ...headers } });
    const own = server.url;
    for (const headers of [{ Origin: own }, { 'Sec-Fetch-Site': 'same-origin' }, { Referer: `${own}/proposals/1` }, {}])
        assert.equal((await send(headers)).status, 201, JSON.stringify(headers));
    for (const headers of [
        { Origin: 'https://evil.example' },
        { Origin: 'null' },
        { Origin: `${own}.evil.example` },
        { Referer: 'https://evil.example/x' },
        { 'Sec-Fetch-Site': 'cross-site' },
        { 'Sec-Fetch-Site': 'same-site' },
        { 'Sec-Fetch-Site': 'cross-site', Origin: own },
    ])
        assertProblem(await send(headers), 403, 'cross-site');
    for (const type of ['text/plain', 'application/x-www-form-urlencoded'])
        assert.ok([403, 415].includes((await send({ 'Content-Type': type })).status));
    assert.equal((await get(`/api/v1/proposals/${p.id}`)).json.comment_count, 4);
    assertProblem(await call('PUT', `/api/v1/proposals/${p.id}/support`, { headers: { ...cookieOf(olena), Origin: 'https://evil.example' } }), 403, 'cross-site');
    assertProblem(await call('DELETE', '/api/v1/session', { headers: { ...cookieOf(olena), Origin: 'https://evil.example' } }), 403, 'cross-site');
    const bearer = await call('POST', path, { body: { body: 'x' }, token: olena.token, headers: { Origin: 'https://evil.example' } });
    assert.equal(bearer.status, 201, 'a token is not sent by a browser on its own');
});

test('answers to a person are not kept by caches', async () => {
    assert.equal((await get('/api/v1/proposals', olena)).headers.get('cache-control'), 'no-store');
    const open = await get('/api/v1/proposals');
    assert.match(open.headers.get('vary'), /Cookie/);
    assert.equal(open.headers.get('access-control-allow-origin'), null);
});

test('a body that is too large is refused in the language of the reader', async () => {
    const ask = (lang) => call('PUT', '/api/v1/comments/1/vote', { body: 'x'.repeat(70000), token: olena.token, headers: { 'Accept-Language': lang } });
    const uk = await ask('uk'), en = await ask('en');
    assertProblem(uk, 413, 'content-too-large');
    assertProblem(en, 413, 'content-too-large');
    assert.match(uk.json.title, /[а-яі]/i);
    assert.doesNotMatch(en.json.title, /[а-яі]/i);
});

test('problems speak the language of the reader', async () => {
    const say = async (language) => (await call('GET', '/api/v1/proposals/0', { headers: { 'Accept-Language': language } })).json.title;
    const [uk, en] = [await say('uk'), await say('en')];
    assert.match(uk, /[а-яіїє]/i);
    assert.match(en, /[a-z]/i);
    assert.notEqual(uk, en);
});

// ---- /broadcasting/auth ----

test('private channels are signed for those who may hear them', async () => {
    const secret = (await get('/api/v1/proposals?limit=100', olena)).json.items.find((p) => p.is_members_only);
    const ask = (channel, who, headers = {}) =>
        fetch(`${server.url}/broadcasting/auth`, {
            method: 'POST',
            headers: { ...(who ? { Authorization: `Bearer ${who.token}` } : {}), ...headers },
            body: new URLSearchParams({ socket_id: '123.456', channel_name: channel }),
        });
    const ok = await ask(`private-user.${olena.user.id}`, olena);
    assert.equal(ok.status, 200);
    assert.match((await ok.json()).auth, /^test-key:[0-9a-f]{64}$/);
    assert.equal((await ask(`private-proposal.${secret.id}`, olena)).status, 200);
    assert.equal((await ask(`private-user.${olena.user.id}`, null, cookieOf(olena))).status, 200);
    for (const [channel, who] of [
        [`private-user.${olena.user.id}`, petro],
        [`private-user.${olena.user.id}`, null],
        [`private-user.0${petro.user.id}`, petro],
        [`private-user.${petro.user.id}x`, petro],
        [`private-proposal.${secret.id}`, petro],
        [`private-proposal.${secret.id}`, null],
        ['private-proposal.999999', olena],
        ['private-voting.999999', olena],
        ['private-anything', olena],
        ['proposal.1', olena],
        ['presence-x', olena],
        ['', olena],
    ])
        assert.equal((await ask(channel, who)).status, 403, channel);
    const json = await post('/broadcasting/auth', { socket_id: '1.2', channel_name: `private-user.${petro.user.id}` }, petro);
    assert.equal(json.status, 200);
    const forged = await post('/broadcasting/auth', { socket_id: '1.2:private-user.1', channel_name: `private-user.${petro.user.id}` }, petro);
    assert.equal(forged.status, 403);
});

test('a cursor belongs to its list', async () => {
    const { id } = await newProposal();
    await newComment(id), await newComment(id);
    const { next } = (await get(`/api/v1/proposals/${id}/comments?limit=1`)).json;
    assert.equal((await get(`/api/v1/proposals/${id}/comments?limit=1&cursor=${next}`)).status, 200);
    assertProblem(await get(`/api/v1/proposals?cursor=${next}`), 422, 'invalid', '/cursor');
    assertProblem(await get(`/api/v1/notifications?cursor=${next}`, olena), 422, 'invalid', '/cursor');
});

// ---- limits and durability: servers of their own ----

/** The most that a limit lets through since then: burst at once, one more every ms. */
const mostOf = (burst, everyMs, began) => burst + Math.floor((performance.now() - began) / everyMs);
const FAILED_LOGINS = [10, 15000];

/** Asks, many at once, until an answer is 429, which must be before more were taken than that: that answer, how many were taken. */
async function refusedOf(ask, many, burst, everyMs) {
    const began = performance.now();
    for (let taken = 0; ; ) {
        const all = await Promise.all(Array.from({ length: many }, ask));
        const refused = all.find((r) => r.status === 429);
        taken += all.filter((r) => r.status !== 429).length;
        assert.ok(taken <= mostOf(burst, everyMs, began), `${taken} were taken`);
        if (refused) return [refused, taken];
    }
}

test('who writes too much waits, others do not', async () => {
    const limited = await startServer({});
    try {
        const eager = await newUser(limited.url);
        const calm = await newUser(limited.url);
        const p = (await api(limited.url, 'POST', '/api/v1/proposals', { token: eager.token, body: { title: 'т', body: 'б' } })).json;
        const path = `/api/v1/proposals/${p.id}/comments`;
        const write = () => api(limited.url, 'POST', path, { token: eager.token, body: { body: 'c' } });
        const [refused, count] = await refusedOf(write, 100, 60, 333);
        assertProblem(refused, 429, 'rate-limited');
        assert.ok(Number(refused.headers.get('retry-after')) >= 1);
        assert.equal((await api(limited.url, 'GET', `/api/v1/proposals/${p.id}`)).json.comment_count, count);
        assert.equal((await api(limited.url, 'POST', path, { token: calm.token, body: { body: 'x' } })).status, 201);

        const login = () => api(limited.url, 'POST', '/api/v1/session', { body: { email: calm.email, password: 'wrong-password' } });
        const [last] = await refusedOf(login, 1, ...FAILED_LOGINS);
        assertProblem(last, 429, 'rate-limited');
        assert.ok(Number(last.headers.get('retry-after')) >= 1);
        const right = await api(limited.url, 'POST', '/api/v1/session', { body: { email: eager.email, password: eager.password } });
        assert.equal(right.status, 201, 'another address is not held back');
    } finally {
        await limited.stop();
    }
});

/** A log-in whose connection comes from that address of this machine: the response without its body. */
function tryFrom(localAddress, url, email, password, headers = {}) {
    return new Promise((resolve, reject) => {
        const options = { method: 'POST', localAddress, headers: { 'Content-Type': 'application/json', ...headers } };
        const request = http.request(`${url}/api/v1/session`, options);
        request.on('response', (response) => {
            response.resume();
            response.on('end', () => resolve(response));
        });
        request.on('error', reject);
        request.end(JSON.stringify({ email, password }));
    });
}
const loginFrom = async (...all) => (await tryFrom(...all)).statusCode;

test('wrong passwords from one address lock nobody out elsewhere, and a right one costs nothing', async () => {
    const limited = await startServer({});
    try {
        const { email, password } = await newUser(limited.url);
        for (let i = 0; i < 12; i++) assert.equal(await loginFrom('127.0.0.1', limited.url, email, password), 201);
        const began = performance.now();
        const wrong = await Promise.all(Array.from({ length: 20 }, () => loginFrom('127.0.0.2', limited.url, email, 'wrong-password')));
        const tried = wrong.filter((status) => status === 401).length;
        assert.ok(tried >= 10 && tried <= mostOf(...FAILED_LOGINS, began), `${tried}: counted before they are tried`);
        assert.equal(wrong.filter((status) => status === 429).length, 20 - tried);
        assert.equal(await loginFrom('127.0.0.1', limited.url, email, password), 201);
    } finally {
        await limited.stop();
    }
});

test('behind a trusted proxy each client has its own limits, and nobody else may claim to be another', async () => {
    const behind = await startServer({ args: ['--trusted-proxies', '127.0.0.2, 10.0.0.0/8'] });
    const from = (peer, list) => loginFrom(peer, behind.url, email, 'wrong-password', { 'X-Forwarded-For': list });
    const { email, password } = await newUser(behind.url);
    try {
        /** One that has a limit of its own; it is spent when this is there. */
        const newClient = async (peer, list) => {
            const began = performance.now();
            const answers = await Promise.all(Array.from({ length: 15 }, () => from(peer, list)));
            const client = { began, tried: answers.filter((status) => status === 401).length };
            assert.ok(client.tried >= 10 && client.tried <= mostOf(...FAILED_LOGINS, began), `${list}: ${client.tried} tried`);
            return client;
        };
        const is = async (client, peer, list, why) => {
            for (let i = 0; i < 4 && (await from(peer, list)) === 401; i++) client.tried++;
            assert.ok(client.tried <= mostOf(...FAILED_LOGINS, client.began), why);
        };
        const one = await newClient('127.0.0.2', '203.0.113.7');
        const two = await newClient('127.0.0.2', '203.0.113.8'); // of the same proxy
        await is(one, '127.0.0.2', '198.51.100.1, 203.0.113.7', 'what the client itself claims does not count');
        await is(two, '127.0.0.2', '203.0.113.8, 10.1.2.3', 'behind two proxies');
        await is(one, '127.0.0.2', '203.0.113.7:1234', 'with a port');
        const three = await newClient('127.0.0.3', '203.0.113.9'); // who is no proxy
        await is(three, '127.0.0.3', '203.0.113.10', 'is itself, whatever it says');
        const cookie = async (peer) => {
            const forwarded = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.11' };
            return (await tryFrom(peer, behind.url, email, password, forwarded)).headers['set-cookie'][0];
        };
        assert.match(await cookie('127.0.0.2'), /; Secure$/);
        assert.doesNotMatch(await cookie('127.0.0.4'), /; Secure/);
    } finally {
        await behind.stop();
    }
});

test('a flood of logins delays no reader, and those who would wait too long are told', async () => {
    const { email, password } = await newUser(server.url);
    const answers = [];
    const logins = Array.from({ length: 200 }, async () => answers.push(await post('/api/v1/session', { email, password })));
    await until(() => answers.length > 0, 'an answer to a login');
    assert.equal((await get('/api/v1/proposals')).status, 200);
    const before = answers.length;
    await Promise.all(logins);
    const refused = answers.filter((r) => r.status === 503);
    assert.ok(refused.length > 0 && before < 200, `${refused.length} refused, ${before} answered before the reader`);
    assertProblem(refused[0], 503, 'unavailable');
    assert.ok(Number(refused[0].headers.get('retry-after')) >= 1);
    assert.equal(answers.filter((r) => r.status === 201).length, 200 - refused.length);
});

test('what was acknowledged is there after kill -9, once', async () => {
    const own = await startServer({ env: { VICHE_RATE_LIMITS: 'off' } });
    const who = await newUser(own.url);
    const p = (await api(own.url, 'POST', '/api/v1/proposals', { token: who.token, body: { title: 'т', body: 'б' } })).json;
    const acknowledged = [];
    let isKilled = false;
    const write = async (i) => {
        while (!isKilled) {
            const r = await api(own.url, 'POST', `/api/v1/proposals/${p.id}/comments`, { token: who.token, body: { body: `c${i}` } }).catch(() => null);
            if (r?.status === 201) acknowledged.push(r.json.id);
        }
    };
    const writers = [0, 1, 2, 3].map(write);
    await until(() => acknowledged.length > 100, 'a hundred comments');
    await own.kill9();
    isKilled = true;
    await Promise.all(writers);
    await own.restart();
    const kept = [];
    let cursor = '';
    do {
        const page = (await api(own.url, 'GET', `/api/v1/proposals/${p.id}/comments?limit=100&cursor=${cursor}`)).json;
        kept.push(...page.items.map((c) => c.id));
        cursor = page.next;
    } while (cursor);
    assert.equal(new Set(kept).size, kept.length);
    assert.deepEqual(acknowledged.filter((id) => !kept.includes(id)), []);
    assert.equal((await api(own.url, 'GET', `/api/v1/proposals/${p.id}`)).json.comment_count, kept.length);
    assert.equal((await api(own.url, 'GET', '/api/v1/session', { token: who.token })).status, 200, 'the session is there too');
    await own.stop();
});

test('an account made on the command line logs in with its role', async () => {
    const made = runViche(['user', 'add', '--data', server.dataDir, '--email', 'cli@example.org', '--name', 'К', '--password-stdin', '--role', 'moderator'], { input: 'a long password' });
    assert.equal(made.status, 0, made.stderr);
    assert.equal((await login('cli@example.org', 'a long password')).user.role, 'moderator');
});

test('tokens and passwords are in no log line and in no table', async () => {
    assert.ok(!server.log().includes(olena.token));
    assert.ok(!server.log().includes('viche-demo'));
});
