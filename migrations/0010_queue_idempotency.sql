-- Which idempotency keys lead to a job, for who looks at it; jobs without one cost nothing.
CREATE INDEX job_unique_idempotency ON job_unique (job_id) WHERE space = 1;
