-- What `viche worker` processes have counted since the server started, added up (queue/queue_tally.h says what is which).
CREATE TABLE job_tally (
    queue TEXT NOT NULL,
    kind TEXT NOT NULL, -- of failures; else empty
    what INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (queue, what, kind)
);
