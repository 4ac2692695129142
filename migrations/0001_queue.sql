-- Jobs: rows beside the data of the transaction that made them necessary.
-- AUTOINCREMENT: an id is never given twice, since (id, epoch) is the fence against late workers.
CREATE TABLE job (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    unique_key     TEXT,
    state          INTEGER NOT NULL DEFAULT 0, -- 0 ready, 1 running, 2 dead
    epoch          INTEGER NOT NULL DEFAULT 0, -- + 1 with every claim: the fence
    attempt        INTEGER NOT NULL DEFAULT 0, -- runs that ended with an error
    crash          INTEGER NOT NULL DEFAULT 0, -- runs that never ended: their process died
    run_at_ms      INTEGER NOT NULL,
    lease_until_ms INTEGER NOT NULL DEFAULT 0,
    created_at_ms  INTEGER NOT NULL,
    last_error     TEXT
);
CREATE INDEX job_ready ON job (run_at_ms, id) WHERE state = 0;
CREATE INDEX job_lease ON job (lease_until_ms) WHERE state = 1;
CREATE INDEX job_dead ON job (id) WHERE state = 2;
CREATE UNIQUE INDEX job_unique ON job (unique_key) WHERE unique_key IS NOT NULL AND state = 0;
