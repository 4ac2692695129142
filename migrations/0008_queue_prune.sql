-- Keys that nothing is left of are forgotten, an hour after they were looked at: job_key.used_at_ms is when that was.
CREATE INDEX job_turn_key ON job_turn (key_id);
