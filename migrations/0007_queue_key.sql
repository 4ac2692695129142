-- Limits of keys. What is over the limit of its key is waiting (4): job_option.waits_for_key = 1, in the order of job_option.turn,
-- which is its rank by time as long as it waits. job_option.has_slot: 1 counted in job_key.running, 2 the next that the key's
-- rate lets begin, 3 both.
ALTER TABLE job_key ADD COLUMN next_id INTEGER NOT NULL DEFAULT 0; -- the job whose has_slot is 2 or 3
DROP INDEX job_option_waits;
CREATE INDEX job_option_waits ON job_option (key_id, turn, job_id) WHERE waits_for_key = 1;
CREATE INDEX job_key_busy ON job_key (queue) WHERE running > 0 OR next_id > 0;
