// writer.mjs -- one client of a crash test: writes at a steady rate and logs what it asked and what it was told.
//
// usage: node writer.mjs '{"url","log","name","users","proposals","comments","votings","rate"}'
//
// A line "ask" is in the log before the request leaves, a line "answer" before the next step (or "gone", with
// the reason), so the log never claims less than the server was asked, nor more than it acknowledged. It runs until the server
// goes away or SIGTERM comes (then it waits for the answers that are out), and exits with 0.
import { openSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:http';

const conf = JSON.parse(process.argv[2]);
const target = new URL(conf.url);
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const log = openSync(conf.log, 'a');
const note = (line) => writeSync(log, `${JSON.stringify(line)}\n`);

let next = 0;
let outstanding = 0;
let isEnding = false;
const busy = new Set(); // registers with a request out: their writes stay in order

const pick = (list) => list[Math.floor(Math.random() * list.length)];

// Each kind makes one request: key names the register it sets to value, or is null for a comment.
const kinds = {
    comment: (user, n) => {
        const clientId = `${conf.name}-${n}`;
        return {
            method: 'POST',
            path: `/api/v1/proposals/${pick(conf.proposals)}/comments`,
            body: JSON.stringify({ body: `Слово ${clientId}`, client_id: clientId }),
            idempotencyKey: n % 2 ? `key-${clientId}` : null,
            key: null,
            clientId,
        };
    },
    support: (user) => {
        const proposal = pick(conf.proposals);
        const isPut = Math.random() < 0.8;
        return {
            method: isPut ? 'PUT' : 'DELETE',
            path: `/api/v1/proposals/${proposal}/support`,
            key: `support/${proposal}/${user.id}`,
            value: isPut ? 1 : 0,
        };
    },
    vote: (user) => {
        const comment = pick(conf.comments.filter((c) => c.author_id !== user.id)).id; // nobody votes on their own
        const value = pick([1, -1, 0]);
        return {
            method: 'PUT',
            path: `/api/v1/comments/${comment}/vote`,
            body: JSON.stringify({ value }),
            key: `vote/${comment}/${user.id}`,
            value,
        };
    },
    ballot: (user) => {
        const voting = pick(conf.votings);
        const value = pick(voting.options);
        return {
            method: 'PUT',
            path: `/api/v1/votings/${voting.id}/ballot`,
            body: JSON.stringify({ option_id: value }),
            key: `ballot/${voting.id}/${user.id}`,
            value,
        };
    },
};
const mix = ['comment', 'comment', 'support', 'vote', 'ballot'];

function send(ask, user, onEnd) {
    const req = request({
        host: target.hostname,
        port: target.port,
        agent,
        method: ask.method,
        path: ask.path,
        headers: {
            Authorization: `Bearer ${user.token}`,
            ...(ask.body ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(ask.body) } : {}),
            ...(ask.idempotencyKey ? { 'Idempotency-Key': ask.idempotencyKey } : {}),
        },
    });
    req.on('response', (res) => {
        let text = '';
        res.setEncoding('utf8');
        res.on('data', (chunk) => (text += chunk));
        res.on('error', () => onEnd(null));
        res.on('end', () => onEnd(res.complete ? { status: res.statusCode, text } : null));
    });
    req.on('error', (error) => onEnd(null, error));
    req.end(ask.body);
}

function step() {
    const user = pick(conf.users);
    const n = ++next;
    const ask = kinds[pick(mix)](user, n);
    if (ask.key && busy.has(ask.key)) return;
    if (ask.key) busy.add(ask.key);
    note({ t: 'ask', by: conf.name, n, user: user.id, ...ask });
    outstanding++;
    send(ask, user, (answer, error) => {
        outstanding--;
        busy.delete(ask.key);
        if (answer) {
            const isComment = answer.status === 201 && !ask.key;
            const refused = answer.status >= 300 ? { text: answer.text.slice(0, 300) } : {};
            note({ t: 'answer', by: conf.name, n, status: answer.status, ...(isComment ? { id: JSON.parse(answer.text).id } : {}), ...refused });
        } else {
            note({ t: 'gone', by: conf.name, n, why: error?.code ?? 'cut off' });
            isEnding = true; // the server went away
        }
    });
}

process.on('SIGTERM', () => (isEnding = true));
const began = Date.now();
const timer = setInterval(() => {
    if (isEnding) {
        if (outstanding > 0) return;
        clearInterval(timer);
        agent.destroy();
        return;
    }
    const due = ((Date.now() - began) / 1000) * conf.rate;
    while (next < due && outstanding < 32) step();
}, 5);
