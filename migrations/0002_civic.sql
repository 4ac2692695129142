-- People, proposals and what is done with them. Times are Unix milliseconds. A counter beside what it counts
-- (support_count, comment_count, up, down, votes, voters) changes in the transaction that changes the rows
-- counted. "Once per person" is always a primary key, never a check before an insert.

CREATE TABLE account (
    id            INTEGER PRIMARY KEY,
    email         TEXT    NOT NULL UNIQUE, -- lower case
    name          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,        -- Argon2id
    role          TEXT    NOT NULL,        -- civic_policy.h
    created_at_ms INTEGER NOT NULL
);

CREATE TABLE session (
    token_hash    BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the token; the token itself is nowhere
    user_id       INTEGER NOT NULL REFERENCES account (id),
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_expiry ON session (expires_at_ms);

-- Every comment and signature rewrites its proposal's row, so the long text is a row of its own.
CREATE TABLE proposal (
    id              INTEGER PRIMARY KEY,
    author_id       INTEGER NOT NULL REFERENCES account (id),
    title           TEXT    NOT NULL,
    summary         TEXT    NOT NULL,
    is_members_only INTEGER NOT NULL,
    threshold       INTEGER NOT NULL,
    support_count   INTEGER NOT NULL DEFAULT 0,
    support_seq     INTEGER NOT NULL DEFAULT 0, -- the last number given to a signature
    comment_count   INTEGER NOT NULL DEFAULT 0,
    created_at_ms   INTEGER NOT NULL,
    deadline_at_ms  INTEGER NOT NULL,
    reached_at_ms   INTEGER                     -- when the threshold was first met
);
CREATE INDEX proposal_top ON proposal (support_count, id);
CREATE TABLE proposal_body (
    proposal_id INTEGER PRIMARY KEY REFERENCES proposal (id),
    body        TEXT    NOT NULL
);

CREATE TABLE support (
    proposal_id   INTEGER NOT NULL REFERENCES proposal (id),
    user_id       INTEGER NOT NULL REFERENCES account (id),
    number        INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (proposal_id, user_id)
) WITHOUT ROWID;

CREATE TABLE follow (
    proposal_id   INTEGER NOT NULL REFERENCES proposal (id),
    user_id       INTEGER NOT NULL REFERENCES account (id),
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (proposal_id, user_id)
) WITHOUT ROWID;

CREATE TABLE comment (
    id            INTEGER PRIMARY KEY,
    proposal_id   INTEGER NOT NULL REFERENCES proposal (id),
    parent_id     INTEGER REFERENCES comment (id),
    root_id       INTEGER,                  -- of a reply: the comment that its thread began with
    depth         INTEGER NOT NULL CHECK (depth BETWEEN 1 AND 3),
    author_id     INTEGER NOT NULL REFERENCES account (id),
    up            INTEGER NOT NULL DEFAULT 0,
    down          INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    client_id     TEXT,
    body          TEXT    NOT NULL
);
-- With parent_id, so that the beginnings of threads are found in the index alone: one more index would
-- be one more page to write for every comment.
CREATE INDEX comment_order ON comment (proposal_id, id, parent_id);
CREATE INDEX comment_replies ON comment (root_id, id) WHERE root_id IS NOT NULL;

CREATE TABLE comment_vote (
    comment_id    INTEGER NOT NULL REFERENCES comment (id),
    user_id       INTEGER NOT NULL REFERENCES account (id),
    value         INTEGER NOT NULL CHECK (value IN (-1, 1)),
    PRIMARY KEY (comment_id, user_id)
) WITHOUT ROWID;

CREATE TABLE voting (
    id            INTEGER PRIMARY KEY,
    proposal_id   INTEGER NOT NULL UNIQUE REFERENCES proposal (id),
    title         TEXT    NOT NULL,
    text          TEXT    NOT NULL,
    method        TEXT    NOT NULL CHECK (method IN ('single')),
    opens_at_ms   INTEGER NOT NULL,
    closes_at_ms  INTEGER NOT NULL CHECK (closes_at_ms > opens_at_ms),
    voters        INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL
);

CREATE TABLE voting_option (
    id            INTEGER PRIMARY KEY,
    voting_id     INTEGER NOT NULL REFERENCES voting (id),
    position      INTEGER NOT NULL,
    title         TEXT    NOT NULL,
    votes         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (voting_id, position)
);

CREATE TABLE ballot (
    voting_id     INTEGER NOT NULL REFERENCES voting (id),
    user_id       INTEGER NOT NULL REFERENCES account (id),
    option_id     INTEGER NOT NULL REFERENCES voting_option (id),
    created_at_ms INTEGER NOT NULL,
    changed_at_ms INTEGER NOT NULL,
    PRIMARY KEY (voting_id, user_id)
) WITHOUT ROWID;

-- Written by the dozen for one comment, in the transaction that has just read what they point to: only
-- user_id is checked as a foreign key.
CREATE TABLE notification (
    id            INTEGER PRIMARY KEY,
    user_id       INTEGER NOT NULL REFERENCES account (id),
    -- ORs: for IN with more than two values SQLite builds a table of them at each insert.
    kind          TEXT    NOT NULL
        CHECK (kind = 'comment' OR kind = 'reply' OR kind = 'support' OR kind = 'reached'),
    actor_id      INTEGER NOT NULL, -- account
    proposal_id   INTEGER NOT NULL,
    comment_id    INTEGER,
    created_at_ms INTEGER NOT NULL,
    read_at_ms    INTEGER
);
CREATE INDEX notification_order ON notification (user_id, id);
-- One notification tells of all signatures since the last look.
CREATE INDEX notification_support ON notification (user_id, proposal_id)
    WHERE kind = 'support' AND read_at_ms IS NULL;

-- The bell's number: how many of a person's notifications are unread.
CREATE TABLE notification_count (
    user_id INTEGER PRIMARY KEY REFERENCES account (id),
    unread  INTEGER NOT NULL
);

-- Answers kept for repeated requests with the same Idempotency-Key.
CREATE TABLE idempotency (
    user_id       INTEGER NOT NULL REFERENCES account (id),
    key           TEXT    NOT NULL,
    request_hash  BLOB    NOT NULL, -- SHA-256 of method, target and body
    status        INTEGER NOT NULL,
    location      TEXT    NOT NULL,
    body          TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at_ms);
