-- Which of the processes that run the queue has claimed the row, so that the others need not wait for the lease of one that died.
ALTER TABLE job ADD COLUMN claimer INTEGER; -- queue_share.h; NULL: never claimed by its row
