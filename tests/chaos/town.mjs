// town.mjs -- fills a fresh data directory with people and things by SQL, before the server starts.
//
// Registering thousands of people over the API would take minutes (Argon2 is slow on purpose), so their
// rows and sessions are written directly. Tokens are made here; the database holds their SHA-256.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { runViche } from '../integration/lib.mjs';

export const databaseOf = (dataDir) => join(dataDir, 'viche.db');

/** Runs SQL that changes the database; the server must not run. */
export function execute(dataDir, sql) {
    execFileSync('sqlite3', ['-bail', databaseOf(dataDir)], { input: sql });
}

/** Rows of a query as objects, read beside a running server. */
export function query(dataDir, sql) {
    const text = execFileSync('sqlite3', ['-readonly', '-json', '-cmd', '.timeout 5000', databaseOf(dataDir), sql], {
        encoding: 'utf8',
        maxBuffer: 1 << 30,
    });
    return text.trim() ? JSON.parse(text) : [];
}

const first = 1000001; // ids of the town; the server goes on behind them
const range = (count) => Array.from({ length: count }, (_, i) => first + i);
const series = (count) => `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ${count})`;
const day = 86400000;

/**
 * Migrates dataDir and fills it: `users` members with a session each; `proposals`, the first `votings` of
 * them with an open voting of three options; `comments` comments on each proposal, `followers` followers
 * of each (the users that come after its author). Gives what was made, with tokens.
 */
export function makeTown(dataDir, { users = 64, proposals = 50, votings = 0, comments = 0, followers = 0, env = {} } = {}) {
    const migrated = runViche(['migrate', '--data', dataDir], { env });
    if (migrated.status !== 0) throw new Error(`migrate failed: ${migrated.stderr}`);
    const now = Date.now();
    const people = range(users).map((id) => ({ id, token: randomBytes(32).toString('base64url') }));
    const author = (i) => `${first} + (${i}) % ${users}`;
    const sessions = people.map(({ id, token }) => {
        const hash = createHash('sha256').update(token).digest('hex');
        return `INSERT INTO session VALUES (x'${hash}', ${id}, ${now}, ${now + 30 * day});`;
    });
    const parts = [
        `BEGIN;`,
        `${series(users)} INSERT INTO account SELECT ${first} + i, 'town' || i || '@example.org', 'Мешканка ' || i, '!', 'member', ${now} FROM n;`,
        ...sessions,
        `${series(proposals)} INSERT INTO proposal (id, author_id, title, summary, is_members_only, threshold, comment_count, created_at_ms, deadline_at_ms)
            SELECT ${first} + i, ${author('i')}, 'Пропозиція ' || i, 'Коротко про справу ' || i, 0, 1000000, ${comments}, ${now}, ${now + 60 * day} FROM n;`,
        `INSERT INTO proposal_body SELECT id, 'Довший опис **справи** з посиланням https://example.org/' || id FROM proposal WHERE id >= ${first};`,
    ];
    if (comments > 0)
        parts.push(
            `${series(comments)} INSERT INTO comment (proposal_id, depth, author_id, created_at_ms, body)
            SELECT p.id, 1, ${first} + (n.i * 7 + p.id) % ${users}, ${now} - 1000 * (${comments} - n.i),
                   'Коментар ' || n.i || ': підтримую, бо це *важливо* для нашої вулиці й для всього міста.'
            FROM proposal p, n WHERE p.id >= ${first} ORDER BY n.i, p.id;`,
        );
    if (votings > 0)
        parts.push(
            `${series(votings)} INSERT INTO voting (id, proposal_id, title, text, method, opens_at_ms, closes_at_ms, created_at_ms)
            SELECT ${first} + i, ${first} + i, 'Голосування ' || i, 'Оберіть одне', 'single', ${now - day}, ${now + 30 * day}, ${now} FROM n;`,
            `INSERT INTO voting_option (voting_id, position, title) SELECT v.id, o.p, 'Варіант ' || o.p
             FROM voting v, (SELECT 1 AS p UNION SELECT 2 UNION SELECT 3) o WHERE v.id >= ${first};`,
        );
    if (followers > 0)
        parts.push(
            `${series(followers)} INSERT OR IGNORE INTO follow SELECT p.id, ${first} + (p.author_id - ${first} + n.i) % ${users}, ${now}
             FROM proposal p, n WHERE p.id >= ${first};`,
        );
    execute(dataDir, [...parts, 'COMMIT;'].join('\n'));
    const options = query(dataDir, `SELECT id, voting_id FROM voting_option WHERE voting_id >= ${first}`);
    return {
        users: people,
        proposals: range(proposals),
        comments: query(dataDir, `SELECT id, proposal_id, author_id FROM comment WHERE proposal_id >= ${first}`),
        votings: range(votings).map((id) => ({
            id,
            options: options.filter((o) => o.voting_id === id).map((o) => o.id),
        })),
    };
}

/** Adds a discussion of `count` comments, one in three a reply, to a proposal of the town; the server must not run. */
export function addDiscussion(dataDir, proposal, count, users) {
    const now = Date.now();
    const firstId = proposal * 100000;
    const author = `${first} + (i * 7) % ${users}`;
    const text = `'Коментар ' || i || ': підтримую, бо це *важливо* для нашої вулиці, для дітей і для всього міста.'`;
    execute(
        dataDir,
        `BEGIN;
        ${series(count)} INSERT INTO comment (id, proposal_id, parent_id, root_id, depth, author_id, created_at_ms, body)
            SELECT ${firstId} + i, ${proposal}, CASE i % 3 WHEN 2 THEN ${firstId} + i - 1 END,
                   CASE i % 3 WHEN 2 THEN ${firstId} + i - 1 END, CASE i % 3 WHEN 2 THEN 2 ELSE 1 END, ${author},
                   ${now} - 1000 * (${count} - i), ${text} FROM n;
        UPDATE proposal SET comment_count = comment_count + ${count} WHERE id = ${proposal};
        COMMIT;`,
    );
}
