// rows.mjs -- the measurements. Each takes the context made by run.mjs and gives table rows:
// {what, figure, goal, baseline}. A goal is {text, isMet}.
import { spawn } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { readFileSync, mkdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { get } from 'node:http';
import { join } from 'node:path';
import { app, makeCertificate, startServer, until, viche } from '../tests/integration/lib.mjs';
import { addDiscussion, databaseOf, makeTown, query } from '../tests/chaos/town.mjs';
import { fileOf, folder, freePort, generate, median, pin, requestsFile, startFloor, startNginx, track } from './rig.mjs';

export { jobstart, queue, tenants } from './queue_rows.mjs';

const CONNECTIONS = 64;
const env = { VICHE_RATE_LIMITS: 'off' };
const n0 = (x) => Math.round(x).toLocaleString('en');
const n2 = (x) => x.toFixed(2);
const goal = (text, isMet) => ({ text, isMet });

const TOWN = { users: CONNECTIONS, proposals: 1000, followers: 1 };
const SMALL = 50; // comments of the ordinary page
const BIG = 10000;
let towns = 0;

/** A server without data; pinned to one core with one loop. */
async function startBare(options = {}) {
    const dataDir = join(folder, `bare-${++towns}`);
    const server = track(await startServer({ dataDir, env, args: ['--loops', '1'], ...options }));
    pin(server.pid);
    return { port: server.port, tlsPort: server.tlsPort, pids: server.pid, stop: () => server.stop({ keep: true }) };
}

/** A server on a fresh town; pinned to one core with one loop, or free with `loops`. */
async function startTown({ isPinned = true, loops = 1 } = {}) {
    const dataDir = join(folder, `town-${++towns}`);
    mkdirSync(dataDir, { mode: 0o700 });
    const town = makeTown(dataDir, TOWN);
    const [small, big] = town.proposals.slice(-2);
    addDiscussion(dataDir, small, SMALL, TOWN.users);
    addDiscussion(dataDir, big, BIG, TOWN.users);
    const server = track(await startServer({ dataDir, env, args: ['--loops', String(loops)] }));
    if (isPinned) pin(server.pid);
    return { ...server, server, town, small, big, pids: server.pid, stop: () => server.stop({ keep: true }) };
}

// Each person writes to many proposals; proposals are taken in turn, so that no row is hot.
const commentRequests = ({ users, proposals }) =>
    requestsFile(
        proposals.slice(0, -2).map((id, i) => ({
            method: 'POST',
            path: `/api/v1/proposals/${id}/comments`,
            token: users[(i * 31) % users.length].token,
            body: JSON.stringify({ body: 'viche-bench-############ Підтримую, бо це важливо для нашої вулиці.', parent_id: null }),
        })),
    );

const waitingJobs = (dataDir) => query(dataDir, "SELECT count(*) AS n FROM job WHERE kind != 'civic.prune' AND state != 2")[0].n;

async function drainedIn(dataDir) {
    const began = Date.now();
    const waiting = waitingJobs(dataDir);
    await until(() => waitingJobs(dataDir) === 0, 'the queue to be empty', 120000);
    return { waiting, seconds: (Date.now() - began) / 1000 };
}

export async function disk() {
    const r = await generate('bench_disk', { dir: folder });
    return [
        { what: 'disk: append 256 B + fdatasync', figure: `${n0(r.fsync_rate)}/s, p50 ${n2(r.fsync_p50_ms)}, p99 ${n2(r.fsync_p99_ms)} ms` },
        { what: `SQLite ${r.sqlite}: one row a commit, synchronous=FULL`, figure: `${n0(r.commit_rate)}/s, p50 ${n2(r.commit_p50_ms)}, p99 ${n2(r.commit_p99_ms)} ms` },
    ];
}

export async function comments({ seconds, facts }) {
    const rows = [];
    const nginx = await startNginx('x');
    for (const [name, options] of [
        ['pinned to one core', {}],
        ['free on all cores, 2 loops', { isPinned: false, loops: 2 }],
    ]) {
        const town = await startTown(options);
        const requests = commentRequests(town.town);
        const load = { requests, connections: CONNECTIONS, seconds };
        const base = options.loops ? null : await generate('bench_http', { ...load, port: nginx.port, pids: nginx.pid });
        // A server that is free on all cores is not free on the one that the generator alone may use.
        const r = await generate('bench_http', { ...load, port: town.port, pids: town.pids }, options.loops ? null : undefined);
        const left = await drainedIn(town.dataDir);
        facts[`comments, ${name}`] = { ...r, drain: left, nginx: base };
        rows.push({
            what: `POST comment, durable, ${CONNECTIONS} connections; server ${name}`,
            figure: `${n0(r.rate)}/s, p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)} ms; ${n2(r.server_s_per_m)} s/M with its jobs; ${n0(left.waiting)} jobs left, done in ${left.seconds.toFixed(1)} s; ${r.failed} failed`,
            // The goal is for two cores; the pinned server gives CPU seconds that can be compared.
            goal: options.loops ? goal('>= 20,000/s', r.rate >= 20000 && r.failed === 0) : null,
            baseline: base ? `nginx return 201: ${n0(base.rate)}/s, p50 ${n2(base.p50_ms)} ms, ${n2(base.server_s_per_m)} s/M` : '',
        });
        await town.stop();
    }
    const town = await startTown({ isPinned: false, loops: 2 });
    const load = { requests: commentRequests(town.town), connections: CONNECTIONS, seconds, rate: 1000 };
    const base = await generate('bench_http', { ...load, port: nginx.port, pids: nginx.pid }, null);
    const r = await generate('bench_http', { ...load, port: town.port, pids: town.pids }, null);
    facts['comments at 1000/s'] = { ...r, nginx: base };
    rows.push({
        what: 'POST comment, durable, 1,000/s open loop',
        figure: `p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)}, max ${n2(r.max_ms)} ms; ${r.failed} failed`,
        goal: goal('p99 < 5 ms', r.p99_ms < 5 && r.failed === 0),
        baseline: `nginx: p50 ${n2(base.p50_ms)}, p99 ${n2(base.p99_ms)} ms`,
    });
    await town.stop();
    await nginx.stop();
    return rows;
}

export async function pages({ seconds, facts }) {
    const town = await startTown();
    const fields = ['Accept: text/html', 'Accept-Language: uk'];
    const path = `/proposals/${town.small}`;
    const page = Buffer.from(await (await fetch(town.url + path, { headers: { 'Accept-Language': 'uk' } })).arrayBuffer());
    const nginx = await startNginx(page);
    const load = { connections: CONNECTIONS, seconds };
    const base = await generate('bench_http', { ...load, requests: requestsFile([{ method: 'GET', path: '/page' }]), port: nginx.port, pids: nginx.pid });
    const r = await generate('bench_http', { ...load, requests: requestsFile([{ method: 'GET', path, fields }]), port: town.port, pids: town.pids });
    const one = async (target) =>
        generate('bench_http', { connections: 1, seconds: 2, requests: requestsFile([{ method: 'GET', path: target, fields }]), port: town.port, pids: town.pids });
    const bigPage = await one(`/proposals/${town.big}`);
    const bigList = await one(`/api/v1/proposals/${town.big}/comments?limit=50`);
    facts.pages = { page: r, nginx: base, bigPage, bigList };
    await town.stop();
    await nginx.stop();
    return [
        {
            what: `GET proposal page with ${SMALL} comments (${n0(page.length)} B), anonymous, ${CONNECTIONS} connections, pinned`,
            figure: `${n0(r.rate)}/s, p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)} ms; ${n2(r.server_s_per_m)} s/M; ${r.failed} failed`,
            goal: goal('>= 20,000/s', r.rate >= 20000 && r.failed === 0),
            baseline: `nginx, static file of that size: ${n0(base.rate)}/s, ${n2(base.server_s_per_m)} s/M`,
        },
        {
            what: `page of a proposal with ${n0(BIG)} comments; its API list (50)`,
            figure: `p50 ${n2(bigPage.p50_ms)}, p99 ${n2(bigPage.p99_ms)} ms; list p50 ${n2(bigList.p50_ms)}, p99 ${n2(bigList.p99_ms)} ms; ${bigPage.failed + bigList.failed} failed`,
            goal: goal('< 20 ms', bigPage.p99_ms < 20 && bigPage.failed + bigList.failed === 0),
        },
    ];
}

export async function latency({ seconds, facts }) {
    const town = await startTown({ isPinned: false, loops: 2 });
    const proposals = town.town.proposals.slice(0, 20);
    const r = await generate(
        'bench_latency',
        {
            port: town.port,
            key: app.key,
            pids: town.pids,
            requests: commentRequests({ ...town.town, proposals: [...proposals, 0, 0] }),
            channels: fileOf(proposals.map((id) => `proposal.${id}\n`).join('')),
            rate: 100,
            seconds: seconds * 2,
        },
        null,
    );
    facts.latency = r;
    await town.stop();
    return [
        {
            what: 'POST comment to the frame at another client, 100 comments/s, through queue and worker',
            figure: `p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)}, max ${n2(r.max_ms)} ms (201: p50 ${n2(r.answer_p50_ms)}, p99 ${n2(r.answer_p99_ms)} ms); ${r.lost} lost, ${r.failed} failed`,
            goal: goal('p50 < 3 ms, p99 < 10 ms', r.p50_ms < 3 && r.p99_ms < 10 && r.lost + r.failed === 0),
        },
    ];
}

const ROUNDS = 3;
const hubOptions = { key: app.key, secret: app.secret, app: app.id };

// Server and floor take turns, so that what the machine does meanwhile meets both.
async function fanOut(connections, inFlight, seconds) {
    const load = { ...hubOptions, connections, 'in-flight': inFlight, seconds };
    const rounds = [];
    for (let i = 0; i < ROUNDS; i++) {
        const bare = await startBare();
        const server = await generate('bench_hub', { ...load, port: bare.port, pids: bare.pids });
        await bare.stop();
        const floors = [];
        for (const gather of [0, 1]) {
            const floor = await startFloor({ 'event-bytes': server.event_bytes, gather });
            floors.push(await generate('bench_hub', { ...load, port: floor.port, pids: floor.pid }));
            await floor.stop();
        }
        rounds.push({ server, floor: floors[0], gathered: floors[1] });
    }
    const of = (who, field) => median(rounds.map((r) => r[who][field]));
    return { rounds, of };
}

export async function fanout({ seconds, facts }) {
    const rows = [];
    for (const connections of [1000, 10000])
        for (const inFlight of [1, 16]) {
            const { rounds, of } = await fanOut(connections, inFlight, Math.max(2, Math.round(seconds / 2)));
            facts[`fan-out ${connections} x ${inFlight}`] = rounds;
            const own = of('server', 'server_s_per_m');
            const floor = of('floor', 'server_s_per_m');
            const ratio = own / floor;
            rows.push({
                what: `fan-out to ${n0(connections)}, ${inFlight === 1 ? 'one publish at a time' : `${inFlight} publishers, saturated`}`,
                figure: `${n2(own)} s/M, ${n0(of('server', 'rate'))}/s, to all p50 ${n2(of('server', 'to_all_p50_ms'))} ms${inFlight === 1 ? `; ${n2(ratio)} x the floor` : ''}`,
                goal: inFlight === 1 ? goal('<= 1.1 x the floor', ratio <= 1.1) : goal('<= 0.6 s/M', own <= 0.6),
                baseline: `floor: one send a socket ${n2(floor)} s/M, ${n0(of('floor', 'rate'))}/s; gathered ${n2(of('gathered', 'server_s_per_m'))} s/M, ${n0(of('gathered', 'rate'))}/s`,
            });
        }
    return rows;
}

/** The same load without and with more options, by turns; bare: of the server. */
async function compare(program, load, more, bare = {}) {
    const rounds = [];
    for (let i = 0; i < ROUNDS; i++) {
        const round = [];
        for (const isWith of [false, true]) {
            const server = await startBare(bare);
            round.push(await generate(program, { ...load, port: server.port, pids: server.pids, ...(isWith ? more(server) : {}) }));
            await server.stop();
        }
        rounds.push(round);
    }
    return { rounds, without: (field) => median(rounds.map((r) => r[0][field])), with: (field) => median(rounds.map((r) => r[1][field])) };
}

// Texts of 2 KB: once compressed for all, or sent as they are.
export async function deflate({ seconds, facts }) {
    const load = { ...hubOptions, connections: 1000, 'in-flight': 1, 'data-bytes': 2000, seconds: Math.max(2, Math.round(seconds / 2)) };
    const r = await compare('bench_hub', load, () => ({ deflate: 1 }));
    facts.deflate = r.rounds;
    const figure = (of) => `${n2(of('server_s_per_m'))} s/M, ${n0(of('event_bytes'))} B a delivery, to all p50 ${n2(of('to_all_p50_ms'))} ms`;
    return [{ what: 'fan-out of 2 KB texts to 1,000 with permessage-deflate, one publish at a time', figure: figure(r.with), baseline: `without: ${figure(r.without)}` }];
}

export async function tls({ seconds, facts }) {
    const files = makeCertificate(folder, 'bench');
    const overTls = (server) => ({ 'tls-port': server.tlsPort });
    const load = { ...hubOptions, connections: 1000, 'in-flight': 1, seconds: Math.max(2, Math.round(seconds / 2)) };
    const fan = await compare('bench_hub', load, overTls, { tls: files });
    const open = await compare('bench_connect', { ...hubOptions, mode: 'open', connections: 5000 }, overTls, { tls: files });
    facts.tls = { fanout: fan.rounds, connect: open.rounds };
    const figure = (of) => `${n2(of('server_s_per_m'))} s/M, ${n0(of('rate'))}/s`;
    const opened = (of) => `${n0(of('per_s'))}/s, ${n2(of('server_s_per_m'))} s/M`;
    return [
        { what: 'fan-out to 1,000 under TLS, one publish at a time', figure: figure(fan.with), baseline: `in clear: ${figure(fan.without)}` },
        { what: 'connect under TLS (a full handshake) and subscribe, 128 at a time', figure: opened(open.with), baseline: `in clear: ${opened(open.without)}` },
    ];
}

const idleWhat = (connections, own) => `idle connection with one subscription, ${n0(connections)} of them, ${own ? 'each on a channel of its own' : 'on one channel'}`;

export async function idle({ facts }) {
    const rows = [];
    for (const [connections, own] of [
        [10000, 0],
        [10000, 1],
        [19000, 0],
        [19000, 1],
    ]) {
        const bare = await startBare();
        const r = await generate('bench_connect', { ...hubOptions, mode: 'idle', port: bare.port, pids: bare.pids, connections, 'own-channels': own });
        facts[`idle ${connections} ${own}`] = r;
        await bare.stop();
        rows.push({
            what: idleWhat(connections, own),
            figure: `${n0(r.bytes_per_connection)} B`,
            goal: goal('<= 1,024 B', r.bytes_per_connection <= 1024),
        });
    }
    return rows;
}

const floorLoad = { 'warm-up': 0 }; // the floor ends when a connection does

// Connects and subscribes, by turns at the server and at the floor.
export async function connect({ facts }) {
    const rows = [];
    for (const [what, least, options] of [
        ['a public channel', 20000, { channel: 'bench' }],
        ['a private channel (the generator signs)', 15000, { channel: 'private-bench', signed: 1 }],
    ]) {
        const load = { ...hubOptions, ...options, mode: 'open', connections: 10000 };
        const rounds = [];
        for (let i = 0; i < ROUNDS; i++) {
            const bare = await startBare();
            const server = await generate('bench_connect', { ...load, port: bare.port, pids: bare.pids });
            await bare.stop();
            const floor = await startFloor({});
            rounds.push({ server, floor: await generate('bench_connect', { ...load, ...floorLoad, port: floor.port, pids: floor.pid }) });
            await floor.stop();
        }
        const of = (who, field) => median(rounds.map((r) => r[who][field]));
        facts[`connect, ${what}`] = rounds;
        rows.push({
            what: `connect and subscribe to ${what}, 128 at a time`,
            figure: `${n0(of('server', 'per_s'))}/s, ${n2(of('server', 'server_s_per_m'))} s/M`,
            goal: goal(`>= ${n0(least)}/s`, of('server', 'per_s') >= least),
            baseline: `floor: ${n0(of('floor', 'per_s'))}/s, ${n2(of('floor', 'server_s_per_m'))} s/M`,
        });
    }
    return rows;
}

// A signature is good for ten minutes.
function publishRequest() {
    const body = JSON.stringify({ name: 'bench.event', channel: 'bench', data: JSON.stringify({ text: 'x'.repeat(160) }) });
    const md5 = createHash('md5').update(body).digest('hex');
    const query = `auth_key=${app.key}&auth_timestamp=${Math.floor(Date.now() / 1000)}&auth_version=1.0&body_md5=${md5}`;
    const signature = createHmac('sha256', app.secret).update(`POST\n/apps/${app.id}/events\n${query}`).digest('hex');
    return requestsFile([{ method: 'POST', path: `/apps/${app.id}/events?${query}&auth_signature=${signature}`, body }]);
}

export async function publish({ seconds, facts }) {
    const nginx = await startNginx('x');
    const load = { connections: 32, seconds: Math.max(2, Math.round(seconds / 2)), requests: publishRequest() };
    const rounds = [];
    for (let i = 0; i < ROUNDS; i++) {
        const bare = await startBare();
        const server = await generate('bench_http', { ...load, port: bare.port, pids: bare.pids });
        await bare.stop();
        rounds.push({ server, nginx: await generate('bench_http', { ...load, port: nginx.port, pids: nginx.pid }) });
    }
    await nginx.stop();
    const of = (who, field) => median(rounds.map((r) => r[who][field]));
    const failed = rounds.reduce((sum, r) => sum + r.server.failed, 0);
    facts.publish = rounds;
    return [
        {
            what: 'signed publish of 160 B without subscribers, 32 keep-alive connections',
            figure: `${n0(of('server', 'rate'))}/s, p50 ${n2(of('server', 'p50_ms'))}, p99 ${n2(of('server', 'p99_ms'))} ms; ${n2(of('server', 'server_s_per_m'))} s/M; ${failed} failed`,
            goal: goal('>= 60,000/s', of('server', 'rate') >= 60000 && failed === 0),
            baseline: `nginx return 201: ${n0(of('nginx', 'rate'))}/s, ${n2(of('nginx', 'server_s_per_m'))} s/M`,
        },
    ];
}

export async function paced({ seconds, facts }) {
    const load = { ...hubOptions, mode: 'paced', connections: 1000, rate: 60, seconds };
    const bare = await startBare();
    const r = await generate('bench_hub', { ...load, port: bare.port, pids: bare.pids });
    await bare.stop();
    const floor = await startFloor({ 'event-bytes': r.event_bytes });
    const base = await generate('bench_hub', { ...load, port: floor.port, pids: floor.pid });
    await floor.stop();
    facts.paced = { server: r, floor: base };
    return [
        {
            what: '60 publishes/s to 1,000 subscribers, from when each was due to each delivery',
            figure: `p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)}, max ${n2(r.max_ms)} ms; ${n2(r.server_s_per_m)} s/M`,
            goal: goal('p50 <= 5 ms, p99 <= 12 ms', r.p50_ms <= 5 && r.p99_ms <= 12),
            baseline: `floor: p50 ${n2(base.p50_ms)}, p99 ${n2(base.p99_ms)} ms, ${n2(base.server_s_per_m)} s/M`,
        },
    ];
}

const STUCK = 20;
const STUCK_MAX_BYTES = (STUCK + 1) * 2 ** 20; // hub_app.max_out_bytes of each, and what is beside

export async function stuck({ facts }) {
    const load = { ...hubOptions, mode: 'paced', connections: 20, rate: 300, seconds: 5, 'data-bytes': 8000 }; // 12 MB each
    const measure = async (count) => {
        const bare = await startBare();
        const r = await generate('bench_hub', { ...load, stuck: count, port: bare.port, pids: bare.pids });
        await bare.stop();
        return r;
    };
    const without = await measure(0);
    const r = await measure(STUCK);
    const grown = r.grown_bytes - without.grown_bytes;
    facts.stuck = { stuck: r, without };
    return [
        {
            what: `12 MB to each of 20 subscribers in 5 s, beside ${STUCK} that stop reading`,
            figure: `memory grows by ${n2(grown / 2 ** 20)} MiB; the others p50 ${n2(r.p50_ms)}, p99 ${n2(r.p99_ms)} ms`,
            goal: goal('<= 21 MiB; p99 later by <= 5 ms', grown <= STUCK_MAX_BYTES && r.p99_ms - without.p99_ms <= 5),
            baseline: `without them p50 ${n2(without.p50_ms)}, p99 ${n2(without.p99_ms)} ms`,
        },
    ];
}

export async function back({ facts }) {
    const bare = await startBare();
    const r = await generate('bench_connect', { ...hubOptions, mode: 'back', connections: 15000, port: bare.port, pids: bare.pids });
    await bare.stop();
    const floor = await startFloor({});
    const base = await generate('bench_connect', { ...hubOptions, ...floorLoad, mode: 'open', connections: 15000, port: floor.port, pids: floor.pid });
    await floor.stop();
    facts.back = { server: r, floor: base };
    return [
        {
            what: '15,000 connections are reset at once: all are back and subscribed',
            figure: `in ${r.seconds.toFixed(1)} s; ${n2(r.server_s_per_m)} s/M`,
            goal: goal('<= 20 s', r.seconds <= 20),
            baseline: `floor, their coming alone: ${base.seconds.toFixed(1)} s, ${n2(base.server_s_per_m)} s/M`,
        },
    ];
}

const connects = (port) =>
    new Promise((done) => {
        const socket = createConnection(port, '127.0.0.1', () => socket.write('GET /up HTTP/1.1\r\nHost: x\r\n\r\n'));
        socket.on('data', (text) => {
            socket.destroy();
            done(text.toString().startsWith('HTTP/1.1 200'));
        });
        socket.on('error', () => done(false));
    });

async function startOnce(dataDir) {
    const port = await freePort();
    const began = process.hrtime.bigint();
    const child = spawn(viche, ['serve', '--listen', `127.0.0.1:${port}`, '--data', dataDir], { stdio: 'ignore' });
    const ended = new Promise((done) => child.on('exit', done));
    while (!(await connects(port))) if (child.exitCode !== null) throw new Error('the server ended');
    const ms = Number(process.hrtime.bigint() - began) / 1e6;
    await new Promise((done) => setTimeout(done, 1000)); // until it is idle
    const rss = Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;
    child.kill('SIGTERM');
    await ended;
    return { ms, rss };
}

export async function start({ facts }) {
    const dataDir = join(folder, 'start');
    mkdirSync(dataDir, { mode: 0o700 });
    makeTown(dataDir, TOWN);
    const runs = [];
    for (let i = 0; i < 5; i++) runs.push(await startOnce(dataDir));
    facts.start = { runs, database: databaseOf(dataDir) };
    const ms = median(runs.map((r) => r.ms));
    const rss = median(runs.map((r) => r.rss));
    return [
        { what: 'start to the first 200 of /up', figure: `${n0(ms)} ms`, goal: goal('< 100 ms', ms < 100) },
        { what: 'RSS idle', figure: `${rss.toFixed(1)} MB`, goal: goal('< 20 MB', rss < 20) },
    ];
}

const fetchBytes = (url) =>
    new Promise((done, fail) => {
        get(url, { headers: { 'Accept-Encoding': 'br, gzip', 'Accept-Language': 'uk', Accept: '*/*' } }, (res) => {
            const chunks = [];
            const head = res.rawHeaders.reduce((sum, text) => sum + text.length + 2, 20);
            res.on('data', (c) => chunks.push(c));
            res.on('end', () => done({ wire: head + Buffer.concat(chunks).length, encoding: res.headers['content-encoding'] ?? 'none' }));
        }).on('error', fail);
    });

// What a browser loads first: the page and what its head and body name.
export async function wire({ facts }) {
    const town = await startTown();
    const page = `/proposals/${town.small}`;
    const drawn = await (await fetch(town.url + page, { headers: { 'Accept-Language': 'uk' } })).text();
    const html = drawn.replaceAll('&#x2F;', '/');
    const named = [...html.matchAll(/<(?:script[^>]*\ssrc|link[^>]*rel="?(?:stylesheet|preload|modulepreload|icon)"?[^>]*\shref)="([^"]+)"/g)];
    const fonts = async (css) => [...(await (await fetch(town.url + css)).text()).matchAll(/url\("?([^")]+\.woff2)"?\)/g)].map((m) => new URL(m[1], town.url + css).pathname);
    const assets = new Set(named.map((m) => m[1]));
    for (const css of [...assets].filter((a) => a.includes('.css'))) for (const font of await fonts(css)) assets.add(font);
    const sizes = { [page]: await fetchBytes(town.url + page) };
    for (const path of assets) sizes[path] = await fetchBytes(new URL(path, town.url).href);
    await town.stop();
    const sum = (keep) => Object.entries(sizes).reduce((total, [path, s]) => total + (keep(path) ? s.wire : 0), 0) / 1000;
    const all = sum(() => true);
    const script = sum((path) => /\.m?js(\?|$)/.test(path));
    facts.wire = sizes;
    return [
        {
            what: `first load of the page with ${SMALL} comments over the wire (page, styles, scripts, fonts)`,
            figure: `${all.toFixed(1)} KB in ${Object.keys(sizes).length} requests; scripts ${script.toFixed(1)} KB`,
            goal: goal('< 100 KB; scripts < 60 KB', all < 100 && script < 60),
        },
    ];
}
