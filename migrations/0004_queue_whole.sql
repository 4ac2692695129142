-- All that a job can have. What every job has is in `job`, whose rows are as short as they can be: plain jobs are written tens of
-- thousands of times a second. What few jobs have is in tables of their own, and `job.options` says in which (queue.h: QUEUE_HAS_*).
-- No foreign keys to job: each would cost every plain job a look when it ends.

-- job.state: 0 ready, 1 running, 2 dead, 3 scheduled (not yet due), 4 waiting (for other jobs, or for its key), 5 done, 6 cancelled
-- job.at_ms: running: the end of its lease; scheduled: when it is due; dead, done, cancelled: until when it is kept
-- job.rank:  the order of the ready ones, in 1/64 ms: run_at_ms less the head start of its priority, or the turn of its key
DROP INDEX job_ready;
DROP INDEX job_lease;
DROP INDEX job_dead;
DROP INDEX job_unique;
ALTER TABLE job RENAME COLUMN lease_until_ms TO at_ms;
ALTER TABLE job ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN options INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_ready ON job (queue, rank) WHERE state = 0; -- then by id: it ends every index
-- A query by another state says `state > 0 AND state = 3`: SQLite takes a partial index only where its condition is named.
CREATE INDEX job_state ON job (state, queue, at_ms) WHERE state > 0;

-- Keys that are taken. An idempotency key (space 1) is free after until_ms; a unique key (space 0) then and when its job has begun
-- (frees 0) or ended (frees 1); frees 2: it did, and only the time is left.
CREATE TABLE job_unique (
    key      TEXT    NOT NULL,
    space    INTEGER NOT NULL,
    job_id   INTEGER NOT NULL,
    frees    INTEGER NOT NULL,
    until_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (key, space)
) WITHOUT ROWID;
CREATE INDEX job_unique_until ON job_unique (until_ms) WHERE frees = 2;

-- Those that wait become due again by the clock; the dead are kept for 90 days from their last try.
INSERT INTO job_unique (key, space, job_id, frees)
    SELECT unique_key, 0, id, 0 FROM job WHERE unique_key IS NOT NULL AND state = 0;
UPDATE job SET state = 3, at_ms = run_at_ms, rank = run_at_ms * 64 WHERE state = 0;
UPDATE job SET rank = run_at_ms * 64 WHERE state = 1;
UPDATE job SET at_ms = run_at_ms + 7776000000 WHERE state = 2;

-- What a producer may ask for besides kind and payload.
CREATE TABLE job_option (
    job_id       INTEGER PRIMARY KEY,
    priority     INTEGER NOT NULL DEFAULT 0,
    key_id       INTEGER,                    -- job_key: whose turn and limits it takes part in
    cost         INTEGER NOT NULL DEFAULT 1,
    turn         INTEGER NOT NULL DEFAULT 0, -- of its key, when it became ready
    has_slot     INTEGER NOT NULL DEFAULT 0, -- counted in job_key.running
    waits_for_key INTEGER NOT NULL DEFAULT 0,
    deadline_ms  INTEGER,                    -- not begun after that
    timeout_ms   INTEGER,                    -- of one run
    max_attempts INTEGER,
    keep_ms      INTEGER,                    -- how long it is kept when it is done
    trace        TEXT,                       -- W3C traceparent
    seal         TEXT,                       -- id of the key that its payload is sealed with
    batch_id     INTEGER,
    parent_id    INTEGER,                    -- the job that enqueued it
    needs        INTEGER NOT NULL DEFAULT 0  -- jobs that it still waits for
);
CREATE INDEX job_option_key ON job_option (key_id, job_id) WHERE key_id IS NOT NULL;
CREATE INDEX job_option_waits ON job_option (key_id, priority DESC, job_id) WHERE waits_for_key = 1;
CREATE INDEX job_option_batch ON job_option (batch_id, job_id) WHERE batch_id IS NOT NULL;

CREATE TABLE job_tag (
    job_id INTEGER NOT NULL,
    tag    TEXT    NOT NULL,
    PRIMARY KEY (job_id, tag)
) WITHOUT ROWID;
CREATE INDEX job_tag_tag ON job_tag (tag, job_id);

-- The first 3 errors and the last 5.
CREATE TABLE job_error (
    job_id  INTEGER NOT NULL,
    n       INTEGER NOT NULL, -- from 1
    attempt INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    class   TEXT    NOT NULL, -- error, crash, timeout, deadline, ...
    text    TEXT    NOT NULL,
    worker  TEXT,
    PRIMARY KEY (job_id, n)
) WITHOUT ROWID;

-- What is written while a job runs and when it ends: beside the job, whose payload is then not written again.
CREATE TABLE job_run (
    job_id         INTEGER PRIMARY KEY,
    started_at_ms  INTEGER,
    finished_at_ms INTEGER,
    worker         TEXT,
    progress       INTEGER, -- of 100
    progress_text  TEXT,
    result         TEXT
);
CREATE TABLE job_log (
    job_id INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    text   TEXT    NOT NULL,
    PRIMARY KEY (job_id, n)
) WITHOUT ROWID;
-- The results of steps, which a later run of the job does not do again.
CREATE TABLE job_step (
    job_id INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    at_ms  INTEGER NOT NULL,
    result TEXT,
    PRIMARY KEY (job_id, name)
) WITHOUT ROWID;

-- Settings of queues that have some. 0: no limit.
CREATE TABLE job_queue (
    name            TEXT PRIMARY KEY,
    paused_until_ms INTEGER NOT NULL DEFAULT 0, -- claims nothing before
    max_running     INTEGER NOT NULL DEFAULT 0,
    rate            INTEGER NOT NULL DEFAULT 0, -- jobs begun in rate_ms
    rate_ms         INTEGER NOT NULL DEFAULT 1000,
    burst           INTEGER NOT NULL DEFAULT 1,
    tat_us          INTEGER NOT NULL DEFAULT 0, -- GCRA: when the next one is due by the rate alone
    key_max_running INTEGER NOT NULL DEFAULT 0, -- of each key that has no own limit
    key_rate        INTEGER NOT NULL DEFAULT 0,
    key_rate_ms     INTEGER NOT NULL DEFAULT 1000,
    key_burst       INTEGER NOT NULL DEFAULT 1,
    retry_percent   INTEGER NOT NULL DEFAULT 0, -- of the runs may be retries
    keep_done_count INTEGER NOT NULL DEFAULT 0,
    keep_dead_count INTEGER NOT NULL DEFAULT 0,
    keep_dead_ms    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Keys of a queue (tenants), made by the first job that names them. NULL: as the queue says.
CREATE TABLE job_key (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    queue       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    weight      INTEGER NOT NULL DEFAULT 1,
    running     INTEGER NOT NULL DEFAULT 0, -- jobs ready or running, where their number is limited
    max_running INTEGER,
    rate        INTEGER,
    rate_ms     INTEGER,
    burst       INTEGER,
    tat_us      INTEGER NOT NULL DEFAULT 0,
    used_at_ms  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (queue, name)
);
CREATE INDEX job_key_used ON job_key (used_at_ms);
-- Turns: one line of keys for each queue and priority. key_id 0: the turn that is served there now, and the last that was given.
CREATE TABLE job_turn (
    queue    TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    key_id   INTEGER NOT NULL,
    turn     INTEGER NOT NULL,
    last     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, priority, key_id)
) WITHOUT ROWID;

-- Flows.
CREATE TABLE job_batch (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    name           TEXT    NOT NULL DEFAULT '',
    total          INTEGER NOT NULL DEFAULT 0,
    pending        INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    is_sealed      INTEGER NOT NULL DEFAULT 0, -- no job is added any more
    on_then        TEXT,                       -- jobs to enqueue: all were done; one failed; all have ended
    on_catch       TEXT,
    on_finally     TEXT,
    created_at_ms  INTEGER NOT NULL,
    finished_at_ms INTEGER,
    cancelled_at_ms INTEGER
);
CREATE TABLE job_need (
    job_id   INTEGER NOT NULL,
    needs_id INTEGER NOT NULL,
    policy   INTEGER NOT NULL DEFAULT 0, -- met when the other 0: was done; 1: ended; 2: failed
    is_met   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, needs_id)
) WITHOUT ROWID;
CREATE INDEX job_need_of ON job_need (needs_id) WHERE is_met = 0;

-- Periodic jobs and the ticks that they had: one job for each, ever.
CREATE TABLE job_period (
    name       TEXT PRIMARY KEY,
    spec       TEXT    NOT NULL, -- cron
    zone       TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    payload    TEXT    NOT NULL,
    overlap    INTEGER NOT NULL DEFAULT 0,
    catch_up_ms INTEGER NOT NULL DEFAULT 0,
    paused_until_ms INTEGER NOT NULL DEFAULT 0,
    next_at_ms INTEGER NOT NULL,
    last_job_id INTEGER
) WITHOUT ROWID;
CREATE INDEX job_period_next ON job_period (next_at_ms);
CREATE TABLE job_tick (
    name       TEXT    NOT NULL,
    fire_at_ms INTEGER NOT NULL,
    job_id     INTEGER,
    PRIMARY KEY (name, fire_at_ms)
) WITHOUT ROWID;
