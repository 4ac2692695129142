-- What an operator wants of a job that may be running.
ALTER TABLE job_run ADD COLUMN cancel_at_ms INTEGER;
