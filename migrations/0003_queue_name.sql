-- Queues have names: each is served by workers of its own, so that slow jobs of one hold up no other.
ALTER TABLE job ADD COLUMN queue TEXT NOT NULL DEFAULT 'default';
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (queue, run_at_ms, id) WHERE state = 0;
