-- Batches: members that were cancelled or not needed, and what was told already (1 then, 2 catch, 4 finally).
ALTER TABLE job_batch ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_batch ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_batch ADD COLUMN allows_failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_batch ADD COLUMN edges INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_batch_finished ON job_batch (finished_at_ms) WHERE finished_at_ms IS NOT NULL;
CREATE INDEX job_need_broken ON job_need (needs_id) WHERE is_met = 2; -- it can never be met: the job was cancelled

-- Periodic jobs: who declared it; the last tick that had a job, the tick that waits for that job's end.
ALTER TABLE job_period ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE job_period ADD COLUMN last_at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_period ADD COLUMN waiting_at_ms INTEGER;
ALTER TABLE job_period ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0; -- ticks without a job, by its overlap
ALTER TABLE job_period ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;  -- by its catch-up
CREATE INDEX job_period_last ON job_period (last_job_id) WHERE last_job_id IS NOT NULL;
CREATE INDEX job_tick_job ON job_tick (job_id);
