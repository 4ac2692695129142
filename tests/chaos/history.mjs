// history.mjs -- what the clients' logs say must be in the database, and where it is not.
//
// Comments: an acknowledged one is there once, with its text; one that was refused is not there; one
// without an answer is there once or not at all. Registers (a signature, a vote on a comment, a ballot;
// one per person and thing): the value is the last acknowledged one, or that of a later request without
// an answer. Counters equal the rows they count. Effects (notifications) are there once.
import { readFileSync } from 'node:fs';
import { query } from './town.mjs';

const linesOf = (path) =>
    readFileSync(path, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));

export class History {
    comments = new Map(); // client_id -> {user, path, body, idempotencyKey, status, id}
    registers = new Map(); // key -> {possible: Set}
    acknowledged = 0;
    unanswered = 0;
    refusals = [];

    /** Adds a client's log; logs come in the order of their rounds. */
    add(path) {
        const open = new Map();
        for (const line of linesOf(path)) {
            if (line.t === 'ask') open.set(line.n, line);
            else if (line.t === 'answer') this.#settle(open, line);
        }
        for (const ask of open.values()) this.#unanswered(ask);
    }

    #settle(open, answer) {
        const ask = open.get(answer.n);
        open.delete(answer.n);
        if (answer.status >= 300) {
            this.refusals.push({ ...ask, status: answer.status, text: answer.text });
            if (!ask.key) this.comments.set(ask.clientId, { ...ask, isRefused: true });
            return;
        }
        this.acknowledged++;
        if (ask.key) this.registers.set(ask.key, { possible: new Set([ask.value]) });
        else this.comments.set(ask.clientId, { ...ask, id: answer.id, isAcknowledged: true });
    }

    #unanswered(ask) {
        this.unanswered++;
        if (!ask.key) {
            this.comments.set(ask.clientId, ask);
            return;
        }
        const register = this.registers.get(ask.key) ?? { possible: new Set([null]) };
        register.possible.add(ask.value);
        this.registers.set(ask.key, register);
    }

    /** Comments that may be repeated: without an answer, with an Idempotency-Key. */
    repeatable() {
        return [...this.comments.values()].filter((c) => !c.isAcknowledged && !c.isRefused && c.idempotencyKey);
    }

    /** A repetition was acknowledged. */
    acknowledge(clientId, id) {
        Object.assign(this.comments.get(clientId), { id, isAcknowledged: true });
        this.acknowledged++;
    }

    /** Sentences about what is wrong in state (see readState); none: all promises hold. */
    faults(state) {
        return [
            ...this.#commentFaults(state),
            ...this.#registerFaults(state),
            ...counterFaults(state),
            ...effectFaults(state),
        ];
    }

    *#commentFaults({ comments }) {
        const rows = groupBy(comments, (c) => c.client_id);
        for (const [clientId, said] of this.comments) {
            const found = rows.get(clientId) ?? [];
            if (said.isAcknowledged && found.length === 0) yield `acknowledged comment ${clientId} is lost`;
            if (said.isRefused && found.length > 0) yield `refused comment ${clientId} is there`;
            if (found.length > 1) yield `comment ${clientId} is there ${found.length} times`;
            for (const row of found) {
                if (said.isAcknowledged && row.id !== said.id) yield `comment ${clientId} has another id than was answered`;
                if (row.body !== JSON.parse(said.body).body) yield `comment ${clientId} has another text`;
                if (row.author_id !== said.user) yield `comment ${clientId} has another author`;
            }
        }
        for (const clientId of rows.keys()) if (!this.comments.has(clientId)) yield `nobody wrote comment ${clientId}`;
    }

    *#registerFaults({ registers }) {
        for (const [key, { possible }] of this.registers) {
            const value = registers.get(key) ?? null;
            // 0 is "none" for signatures and votes; a ballot cannot be taken back.
            const isRight = possible.has(value) || (value === null && possible.has(0));
            if (!isRight) yield `${key} is ${value}, may be ${[...possible].join(' or ')}`;
        }
        for (const key of registers.keys()) if (!this.registers.has(key)) yield `nobody set ${key}`;
    }
}

function groupBy(list, keyOf) {
    const groups = new Map();
    for (const item of list) {
        const key = keyOf(item);
        if (groups.has(key)) groups.get(key).push(item);
        else groups.set(key, [item]);
    }
    return groups;
}

function* counterFaults({ counters }) {
    for (const { what, id, counter, rows } of counters)
        if (counter !== rows) yield `${what} of ${id} is ${counter}, but there are ${rows} rows`;
}

// Whoever followed from the beginning is told of every comment of another once.
function* effectFaults({ comments, followers, notifications, jobs }) {
    const times = new Map();
    for (const n of notifications) {
        const key = `${n.user_id}/${n.comment_id}`;
        times.set(key, (times.get(key) ?? 0) + 1);
    }
    for (const [key, count] of times) if (count !== 1) yield `the notification ${key} is there ${count} times`;
    for (const c of comments)
        for (const user of followers.get(c.proposal_id) ?? [])
            if (user !== c.author_id && !times.has(`${user}/${c.id}`)) yield `user ${user} was not told of comment ${c.id}`;
    for (const job of jobs) yield `job ${job.id} ${job.kind} is still there, state ${job.state}: ${job.last_error ?? ''}`;
}

/** The followers of each proposal, to be taken before the load begins. */
export function readFollowers(dataDir) {
    return new Map(
        [...groupBy(query(dataDir, 'SELECT proposal_id, user_id FROM follow'), (r) => r.proposal_id)].map(([id, rows]) => [
            id,
            rows.map((r) => r.user_id),
        ]),
    );
}

// The job that tidies up once an hour waits all the time.
export const openJobs = (dataDir) => query(dataDir, "SELECT id, kind, state, last_error FROM job WHERE kind != 'civic.prune'");

/** Everything that History.faults compares, read by sqlite3 and not by the server. */
export function readState(dataDir, followers) {
    const q = (sql) => query(dataDir, sql);
    const registers = new Map();
    for (const r of q('SELECT proposal_id, user_id FROM support')) registers.set(`support/${r.proposal_id}/${r.user_id}`, 1);
    for (const r of q('SELECT comment_id, user_id, value FROM comment_vote')) registers.set(`vote/${r.comment_id}/${r.user_id}`, r.value);
    for (const r of q('SELECT voting_id, user_id, option_id FROM ballot')) registers.set(`ballot/${r.voting_id}/${r.user_id}`, r.option_id);
    return {
        followers,
        registers,
        comments: q('SELECT id, client_id, author_id, proposal_id, body FROM comment WHERE client_id IS NOT NULL'),
        notifications: q('SELECT user_id, comment_id FROM notification WHERE comment_id IS NOT NULL'),
        jobs: openJobs(dataDir),
        counters: q(`
            SELECT 'support_count' AS what, p.id, p.support_count AS counter, (SELECT count(*) FROM support s WHERE s.proposal_id = p.id) AS rows FROM proposal p
            UNION ALL SELECT 'comment_count', p.id, p.comment_count, (SELECT count(*) FROM comment c WHERE c.proposal_id = p.id) FROM proposal p
            UNION ALL SELECT 'up', c.id, c.up, (SELECT count(*) FROM comment_vote v WHERE v.comment_id = c.id AND v.value = 1) FROM comment c
            UNION ALL SELECT 'down', c.id, c.down, (SELECT count(*) FROM comment_vote v WHERE v.comment_id = c.id AND v.value = -1) FROM comment c
            UNION ALL SELECT 'voters', v.id, v.voters, (SELECT count(*) FROM ballot b WHERE b.voting_id = v.id) FROM voting v
            UNION ALL SELECT 'votes', o.id, o.votes, (SELECT count(*) FROM ballot b WHERE b.option_id = o.id) FROM voting_option o`),
    };
}
