// /admin/queues over HTTP, as a browser without JavaScript sees it: who may look, who may act, and what the forms do.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { api, runViche, startServer, until, viche } from './lib.mjs';
import { push, queueJson, sql, stats } from './queue_client.mjs';

let server, dir;
const people = {};
before(async () => {
    server = await startServer({ args: ['--test-jobs', '--redact', 'password,card.pin'] });
    dir = server.dataDir;
    for (const role of ['member', 'moderator', 'admin']) {
        const email = `${role}@example.org`, password = 'correct horse battery';
        const made = runViche(['user', 'add', '--data', dir, '--email', email, '--name', role, '--password-stdin', '--role', role], { input: password });
        assert.equal(made.status, 0, made.stderr);
        people[role] = (await api(server.url, 'POST', '/api/v1/session', { body: { email, password } })).json.token;
    }
});
after(() => server?.stop());

async function send(role, method, path, fields, headers = {}) {
    const response = await fetch(server.url + path, {
        method,
        redirect: 'manual',
        body: fields && new URLSearchParams(fields).toString(),
        headers: {
            'Accept-Language': 'en',
            ...(role ? { Cookie: `viche_session=${people[role]}` } : {}),
            ...(fields ? { 'Content-Type': 'application/x-www-form-urlencoded', Origin: server.url, 'Sec-Fetch-Site': 'same-origin' } : {}),
            ...headers,
        },
    });
    return { status: response.status, location: response.headers.get('location'), html: (await response.text()).replaceAll('&#x2F;', '/').replaceAll('&#x3D;', '=') };
}
const get = (path, role = 'admin') => send(role, 'GET', path);
const post = (path, fields, role = 'admin', headers) => send(role, 'POST', path, fields, headers);
function write(statements) {
    const r = spawnSync('sqlite3', ['-cmd', '.timeout 5000', join(dir, 'viche.db'), `BEGIN IMMEDIATE; ${statements}; COMMIT;`], { encoding: 'utf8' });
    assert.equal(r.status, 0, r.stderr);
}
/** What the shell cannot say of a job: its tag and its key. */
function mark(id, { tag, key }) {
    if (tag) write(`INSERT INTO job_tag (job_id, tag) VALUES (${id}, '${tag}'); UPDATE job SET options = options | 2 WHERE id = ${id}`);
    if (key)
        write(`INSERT INTO job_key (queue, name) SELECT queue, '${key}' FROM job WHERE id = ${id};
            INSERT INTO job_option (job_id, key_id) SELECT ${id}, max(id) FROM job_key; UPDATE job SET options = options | 1 WHERE id = ${id}`);
}
/** The value of id= that a page offers for a job: its id and the epoch that was seen. */
const seen = (html, id) => html.match(new RegExp(`name="id" value="(${id}\\.\\d+)"`))?.[1];
async function deadJob(payload = {}, marks = {}) {
    const [id] = push(dir, 'no.handler', payload);
    await until(() => sql(dir, `SELECT 1 FROM job WHERE id = ${id} AND state = 2`).length === 1, 'it to be dead');
    mark(id, marks);
    return id;
}

test('visitors are asked to log in, members are refused, moderators look, admins act', async () => {
    const id = await deadJob();
    for (const path of ['/admin/queues', '/admin/queues/jobs', `/admin/queues/jobs/${id}`]) {
        const visitor = await get(path, null);
        assert.deepEqual([visitor.status, visitor.location], [303, `/login?next=${path}`]);
        assert.equal((await get(path, 'member')).status, 403, path);
        const [moderator, admin] = [await get(path, 'moderator'), await get(path)];
        assert.deepEqual([moderator.status, admin.status], [200, 200], path);
        assert.doesNotMatch(moderator.html, /value="(retry|pause|resume|discard)"/);
        assert.match(admin.html, /value="(retry|pause)"/);
        assert.match(admin.html, /href="\/admin\/queues" aria-current="page"/);
    }
    assert.doesNotMatch((await get('/', 'member')).html, /\/admin\/queues/);
    const id_ = seen((await get(`/admin/queues/jobs/${id}`)).html, id);
    for (const role of ['member', 'moderator']) {
        assert.equal((await post('/admin/queues/jobs', { action: 'discard', id: id_ }, role)).status, 403, role);
        assert.equal((await post('/admin/queues/jobs/apply', { action: 'discard', id: id_ }, role)).status, 403, role);
        assert.equal((await post('/admin/queues/pause', { action: 'pause', queue: 'default' }, role)).status, 403, role);
    }
    const foreign = await post('/admin/queues/jobs/apply', { action: 'discard', id: id_ }, 'admin', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' });
    assert.equal(foreign.status, 403);
    assert.deepEqual(sql(dir, `SELECT state FROM job WHERE id = ${id}`), [{ state: 2 }]);
    assert.deepEqual(sql(dir, 'SELECT * FROM job_queue WHERE paused_until_ms > 0'), []);
});

test('the channel of these pages is for those who may look', async () => {
    const auth = async (role) =>
        (await api(server.url, 'POST', '/broadcasting/auth', { token: people[role], body: { socket_id: '1.2', channel_name: 'private-admin.queues' } })).status;
    assert.deepEqual([await auth('member'), await auth('moderator'), await auth('admin')], [403, 200, 200]);
});

test('the overview counts each queue and names the kinds that fail', async () => {
    push(dir, 'x', {}, '--queue', 'mail', '--count', '1234');
    await deadJob();
    const { html } = await until(async () => {
        const page = await get('/admin/queues'); // counts may be a moment old
        return page.html.includes('<a href="/admin/queues/jobs?queue=mail&amp;state=ready">1,234</a>') && page;
    }, '1,234 to be ready');
    assert.match(html, /kinds without a handler/);
});

test('failures and charts are of all processes, or of the queue that is chosen', async (t) => {
    const worker = spawn(viche, ['worker', '--data', dir, '--test-jobs', '--queues', 'apart'], { stdio: 'ignore' });
    t.after(() => worker.kill('SIGKILL'));
    push(dir, 'test.fail', { times: 1 }, '--queue', 'apart');
    const failed = '<a href="/admin/queues/jobs?kind=test.fail&amp;state=dead">test.fail</a></th><td>apart</td><td class="is-number">1</td>';
    const html = await until(async () => {
        const page = (await get('/admin/queues?queue=apart')).html;
        return page.includes(failed) && page;
    }, 'what the worker has told');
    assert.match(html, /<option value="apart" selected>apart<\/option>/);
    assert.match(html, /Failures by kind: apart/);
    assert.match(html, /href="\/admin\/queues\?span=day&amp;queue=apart"/);
    assert.doesNotMatch(html, /kinds without a handler/, 'those of other queues');
    const all = (await get('/admin/queues')).html;
    assert.ok(all.includes(failed));
    assert.match(all, /<option value="apart">apart<\/option>/, 'also when it has no job');
    const other = (await get('/admin/queues?queue=nobody%20%3Cb%3E&span=day')).html;
    assert.match(other, /<option value="nobody &lt;b&gt;" selected>/);
    assert.match(other, /name="span" value="day"/);
    assert.match(other, /No run has failed/);
});

test('a job tells its story; what is secret in its payload is hidden', async () => {
    const id = await deadJob({ who: 'x<y', password: 'hunter2', card: { pin: 'pin-4711' }, token: 'shown' }, { tag: 'import', key: 'tenant & co' });
    const { html } = await get(`/admin/queues/jobs/${id}`);
    for (const part of ['Job ' + id, 'Dead', 'x&lt;y', 'no handler for jobs of kind no.handler', '?tag=import', 'tenant &amp; co', 'shown'])
        assert.ok(html.includes(part), part);
    assert.doesNotMatch(html, /hunter2|x<y|pin-4711/);
    const [keyed] = push(dir, 'later', {}, '--unique', 'uniq-9', '--idempotency-key', 'idem-9', '--delay-ms', '3600000');
    const story = (await get(`/admin/queues/jobs/${keyed}`)).html;
    assert.match(story, /Unique key<\/dt><dd>uniq-9<\/dd>/);
    assert.match(story, /Idempotency key<\/dt><dd>idem-9 <span[^>]*>\(free in 24 h\)|Idempotency key<\/dt><dd>idem-9 <span[^>]*>\(free in 23 h\)/);
    assert.equal((await get('/admin/queues/jobs/999999')).status, 404);
    assert.equal((await get('/admin/queues/jobs/0x1')).status, 404);
});

test('a sealed payload is shown by the id of its key', async () => {
    const keys = join(dir, 'keys');
    writeFileSync(keys, `k7=${'ab'.repeat(32)}\n`, { mode: 0o600 });
    const [id] = push(dir, 'pay', { name: 'Ada' }, '--seal', '--seal-keys', keys, '--delay-ms', '3600000');
    const { html } = await get(`/admin/queues/jobs/${id}`);
    assert.match(html, /sealed with key k7/);
    assert.doesNotMatch(html, /Ada/);
});

test('jobs are found by queue, state, kind, tag, key and a field of the payload', async () => {
    const [a] = push(dir, 'find.a', { user: { id: 7 } }, '--queue', 'find');
    mark(a, { tag: 'red', key: 'k1' });
    const [b] = push(dir, 'find.b', { user: { id: 8 } }, '--queue', 'find', '--delay-ms', '3600000');
    const found = async (query) => [...(await get(`/admin/queues/jobs?${query}`)).html.matchAll(/<a href="\/admin\/queues\/jobs\/(\d+)">/g)].map((m) => Number(m[1])).sort();
    for (const [query, ids] of [
        ['queue=find', [a, b]],
        ['queue=find&state=scheduled', [b]],
        ['kind=find.a', [a]],
        ['tag=red', [a]],
        ['queue=find&key=k1', [a]],
        ['queue=find&field=user.id&value=8', [b]],
        ['queue=find&kind=nothing', []],
    ])
        assert.deepEqual(await found(query), ids, query);
    assert.equal((await get('/admin/queues/jobs?state=odd')).status, 400);
    assert.equal((await get('/admin/queues/jobs?cursor=odd')).status, 400);
});

test('a long list goes on page by page', async () => {
    push(dir, 'long', {}, '--queue', 'long', '--count', '120');
    const ids = new Set();
    let path = '/admin/queues/jobs?queue=long&state=ready', pages = 0;
    while (path) {
        const { html } = await get(path);
        for (const [, id] of html.matchAll(/<a href="\/admin\/queues\/jobs\/(\d+)">/g)) ids.add(id);
        path = html.match(/href="([^"]+)" rel="next"/)?.[1].replaceAll('&amp;', '&');
        pages++;
    }
    assert.deepEqual([ids.size, pages], [120, 3]);
});

test('a retry of what was seen happens once; of what has changed since, not at all', async () => {
    const id = await deadJob();
    const id_ = seen((await get(`/admin/queues/jobs/${id}`)).html, id);
    const fields = { action: 'retry', id: id_, back: `/admin/queues/jobs/${id}` };
    const first = await post('/admin/queues/jobs/apply', fields);
    assert.deepEqual([first.status, first.location], [303, `/admin/queues/jobs/${id}?done=1&refused=0`]);
    assert.match((await get(first.location)).html, /Done to 1 job\./);
    const second = await post('/admin/queues/jobs/apply', fields);
    assert.equal(second.location, `/admin/queues/jobs/${id}?done=0&refused=1`);
    assert.match((await get(second.location)).html, /1 job had changed/);
});

test('many are asked about once more, then done; a search stands for all that it finds', async () => {
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push(await deadJob({}, { tag: 'bulk' }));
    const list = (await get('/admin/queues/jobs?tag=bulk')).html;
    const body = `action=discard&tag=bulk&scope=picked&id=${seen(list, ids[0])}&id=${seen(list, ids[1])}`;
    const asked = await post('/admin/queues/jobs', body);
    assert.equal(asked.status, 200);
    assert.match(asked.html, /Discard: 2 jobs/);
    assert.equal(sql(dir, `SELECT count(*) AS n FROM job WHERE id IN (${ids})`)[0].n, 3, 'a question does nothing');
    const done = await post('/admin/queues/jobs/apply', body);
    assert.equal(done.location, '/admin/queues/jobs?tag=bulk&done=2&refused=0');
    assert.deepEqual(sql(dir, `SELECT id FROM job WHERE id IN (${ids})`), [{ id: ids[2] }]);
    await post('/admin/queues/jobs/apply', { action: 'discard', tag: 'bulk', scope: 'all' });
    assert.deepEqual(sql(dir, `SELECT id FROM job WHERE id IN (${ids})`), []);
    assert.match((await post('/admin/queues/jobs', { action: 'retry' })).html, /No job is chosen/);
    for (const bad of ['action=explode&id=1.0', 'action=retry&id=x', 'action=retry&id=1', 'action=retry&id=1.-1'])
        assert.equal((await post('/admin/queues/jobs/apply', bad)).status, 400, bad);
});

test('a batch tells how far it is, and which of its jobs need which', async () => {
    const [a, b] = push(dir, 'member', {}, '--queue', 'batch', '--count', '2');
    write(`INSERT INTO job_batch (id, name, total, pending, failed, created_at_ms) VALUES (71, 'import <1>', 4, 2, 1, 1000);
        INSERT INTO job_option (job_id, batch_id, needs) VALUES (${a}, 71, 0), (${b}, 71, 1);
        INSERT INTO job_need (job_id, needs_id) VALUES (${b}, ${a});
        UPDATE job SET options = options | 65 WHERE id IN (${a}, ${b})`);
    const { html } = await get('/admin/queues/batches/71');
    assert.match(html, /import &lt;1&gt;/);
    assert.match(html, /<progress max="100" value="50"/);
    assert.match(html, new RegExp(`<tr id="job-${b}">[^]*?<td><a href="/admin/queues/jobs/${a}">${a}</a> </td>`));
    const { html: job } = await get(`/admin/queues/jobs/${b}`);
    assert.match(job, /<a href="\/admin\/queues\/batches\/71">71<\/a>/);
    assert.match(job, /when it is done/);
    assert.equal((await get('/admin/queues/batches/72')).status, 404);
    assert.match(html, /href="\/admin\/queues\/batches\/71\/cancel"/);
    assert.doesNotMatch((await get('/admin/queues/batches/71', 'moderator')).html, /\/cancel"/);
    write(`INSERT INTO job_batch (id, name, total, is_sealed, created_at_ms, finished_at_ms)
        WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 199) SELECT i, 'done ' || i, 1, 1, 1000, 2000 FROM n`);
    const listed = (await get('/admin/queues/batches', 'moderator')).html;
    assert.deepEqual([...listed.matchAll(/batches\/(\d+)">/g)].length, 100);
    const older = (await get(listed.match(/href="([^"]+)" rel="next"/)[1])).html;
    assert.match(older, /batches\/71">71<\/a><\/th><td>import &lt;1&gt;<\/td>/);
    const unfinished = (await get('/admin/queues/batches?unfinished=1')).html;
    assert.deepEqual([...unfinished.matchAll(/batches\/(\d+)">/g)].map((m) => m[1]), ['71']);
    assert.equal((await get('/admin/queues/batches', 'member')).status, 403);
    const cancel = '/admin/queues/batches/71/cancel';
    const asked = (await get(cancel)).html;
    assert.match(asked, /Cancel batch 71\?[^]*import &lt;1&gt;[^]*2 jobs/);
    assert.equal(sql(dir, 'SELECT cancelled_at_ms FROM job_batch WHERE id = 71')[0].cancelled_at_ms, null, 'a question does nothing');
    assert.deepEqual([(await get(cancel, 'moderator')).status, (await post(cancel, {}, 'moderator')).status], [403, 403]);
    assert.equal((await post(cancel, {}, 'admin', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' })).status, 403);
    assert.equal((await post('/admin/queues/batches/72/cancel', {})).status, 404);
    const done = await post(cancel, {});
    assert.deepEqual([done.status, done.location], [303, '/admin/queues/batches/71']);
    assert.deepEqual(sql(dir, `SELECT state FROM job WHERE id IN (${a}, ${b})`), [], 'not kept');
    const over = (await get(done.location)).html;
    assert.match(over, /Cancelled/);
    assert.doesNotMatch(over, /\/cancel"/);
    assert.match((await get(cancel)).html, /nothing is left to cancel/);
    assert.equal((await post(cancel, {})).status, 303, 'again is harmless');
    assert.equal((await get('/admin/queues/batches/71', 'member')).status, 403);
});

test('a queue is paused and goes on', async () => {
    assert.equal((await post('/admin/queues/pause', { queue: 'default', action: 'pause' })).location, '/admin/queues');
    assert.match((await get('/admin/queues')).html, /paused[^]*value="resume"/);
    push(dir, 'test.effect', { id: 'paused' });
    assert.equal(stats(dir).ready >= 1, true);
    assert.equal((await post('/admin/queues/pause', { queue: 'default', action: 'resume' })).status, 303);
    await until(() => sql(dir, "SELECT 1 FROM test_effect WHERE id = 'paused'").length === 1, 'it to run');
    for (const bad of [{ queue: 'default' }, { action: 'pause' }, { queue: 'x'.repeat(101), action: 'pause' }])
        assert.equal((await post('/admin/queues/pause', bad)).status, 400);
});

test('limits of a queue and of its keys are seen by those who look, set and cleared by admins', async () => {
    const path = '/admin/queues/limits?queue=lim%26it';
    const queue = 'lim&it';
    const shown = (name = queue) => queueJson(dir, 'limit', 'show', name);
    assert.equal((await get(path, null)).location, '/login?next=/admin/queues/limits%3Fqueue%3Dlim%2526it');
    assert.equal((await get(path, 'member')).status, 403);
    assert.match((await get('/admin/queues?queue=lim%26it', 'moderator')).html, /href="\/admin\/queues\/limits\?queue=lim%26it"/);
    queueJson(dir, 'limit', 'set', queue, '--keep-dead', '7', '--retry-percent', '20');
    const fields = { queue, action: 'set', running: '3', rate: '100/5m', burst: '', key_running: '1', key_rate: ' 2 ', key_burst: '4' };
    assert.equal((await post('/admin/queues/limits', fields, 'moderator')).status, 403);
    assert.equal((await post('/admin/queues/limits', fields, 'admin', { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' })).status, 403);
    assert.equal(shown().max_running, 0, 'nothing was set');

    const done = await post('/admin/queues/limits', fields);
    assert.deepEqual([done.status, done.location], [303, path]);
    const { keys, burst, keep_done, keep_dead_ms, ...set } = shown();
    assert.deepEqual(set, {
        name: queue, max_running: 3, rate: 100, rate_ms: 300000, key_max_running: 1, key_rate: 2, key_rate_ms: 1000, key_burst: 4,
        keep_dead: 7, retry_percent: 20,
    });
    assert.deepEqual(keys, []);
    const moderator = (await get(path, 'moderator')).html;
    for (const part of ['Limits: lim&amp;it', '<dd>3</dd>', '<dd>100/5m</dd>', '<dd>2/s</dd>', 'No key has limits'])
        assert.ok(moderator.includes(part), part);
    assert.doesNotMatch(moderator, /<button[^>]*value="(set|clear)/);
    assert.match((await get(path)).html, /name="rate"[^>]* value="100\/5m"/);

    const key = 'tenant <1>';
    assert.equal((await post('/admin/queues/limits', { queue, action: 'set_key', key, own_running: '0', own_rate: '', own_burst: '' })).status, 303);
    assert.deepEqual(shown().keys.map((k) => [k.key, k.max_running, k.rate]), [[key, 0, null]]);
    const row = /<th scope="row">tenant &lt;1&gt;<\/th><td class="is-number">no limit<\/td><td class="is-number">as the queue<\/td>/;
    assert.match((await get(path, 'moderator')).html, row);
    assert.equal((await post('/admin/queues/limits', { queue, action: 'clear_key', key }, 'moderator')).status, 403);
    for (const cleared of [key, 'never set']) assert.equal((await post('/admin/queues/limits', { queue, action: 'clear_key', key: cleared })).status, 303);
    assert.deepEqual(shown().keys, []);
    assert.deepEqual(sql(dir, "SELECT 1 FROM job_key WHERE name = 'never set'"), [], 'to clear makes no key');
    assert.equal((await post('/admin/queues/limits', { queue, action: 'clear' })).status, 303);
    const cleared = shown();
    assert.deepEqual([cleared.max_running, cleared.rate, cleared.key_max_running, cleared.key_rate, cleared.keep_dead], [0, 0, 0, 0, 7]);
});

test('limits that are none are refused beside their fields, with what was typed, and nothing is set', async () => {
    const typed = { queue: 'odd', action: 'set', running: '-1', rate: '10/x', burst: 'many', key_running: '99999999999', key_rate: '', key_burst: '5' };
    const { status, html } = await post('/admin/queues/limits', typed);
    assert.equal(status, 422);
    for (const part of ['id="running-error">A whole number', 'id="rate-error">A rate is needed', 'id="burst-error">', 'id="key_running-error">Too large', 'value="10/x"', 'value="5"'])
        assert.ok(html.includes(part), part);
    const own = await post('/admin/queues/limits', { queue: 'odd', action: 'set_key', key: ' ', own_running: '1', own_rate: '/', own_burst: '' });
    assert.equal(own.status, 422);
    assert.match((await post('/admin/queues/limits', { queue: 'odd', action: 'set_key', key: 'x'.repeat(256) })).html, /id="key-error">Not an acceptable/);
    for (const part of ['id="key-error">', 'id="own_rate-error">']) assert.ok(own.html.includes(part), part);
    const bursts = await post('/admin/queues/limits', { queue: 'odd', action: 'set', burst: '5', key_burst: '2' });
    assert.equal(bursts.status, 422);
    for (const part of ['id="rate-error">', 'id="key_rate-error">', 'value="5"']) assert.ok(bursts.html.includes(part), part);
    assert.match((await post('/admin/queues/limits', { queue: 'odd', action: 'set_key', key: 'k', own_burst: '2' })).html, /id="own_rate-error">/);
    assert.equal(queueJson(dir, 'limit', 'show', 'odd').max_running, 0);
    assert.deepEqual(queueJson(dir, 'limit', 'show', 'odd').keys, []);
    for (const bad of [{ queue: 'odd' }, { queue: 'odd', action: 'x' }, { action: 'set' }, { queue: 'x'.repeat(101), action: 'set' }, { queue: 'a b', action: 'set' }])
        assert.equal((await post('/admin/queues/limits', bad)).status, 400, JSON.stringify(bad));
    for (const path of ['/admin/queues/limits', `/admin/queues/limits?queue=${'x'.repeat(101)}`]) assert.equal((await get(path)).status, 400);
});
