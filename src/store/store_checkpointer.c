/* store_checkpointer.c -- the thread that copies the log into the database beside the writer.
 *
 * A checkpoint writes some hundred scattered pages and syncs them, 10 ms and more; on the writer's
 * thread every answer would wait for it. SQLite lets another connection do it meanwhile. What is
 * committed during the checkpoint stays in the log, and only a writer that finds nothing left there
 * begins the log anew: so the writer does the short rest itself, now and then (store_sqlite.c).
 */

#include "core/thread.h"
#include "store/store_internal.h"

static void *run(void *arg)
{
    struct store_checkpointer *s = arg;
    pthread_mutex_lock(&s->mutex);
    while (!s->is_closing) {
        if (!s->is_busy) {
            pthread_cond_wait(&s->wake, &s->mutex);
            continue;
        }
        pthread_mutex_unlock(&s->mutex);
        s->conn->driver->checkpoint(s->conn);
        store_writer_end_if_sync_lost(s->conn);
        pthread_mutex_lock(&s->mutex);
        s->is_busy = false;
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

enum err store_checkpointer_start(struct store_checkpointer *s, struct store_conn *conn)
{
    *s = (struct store_checkpointer){.conn = conn};
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (!thread_start(&s->thread, "checkpointer", run, s))
        return OK;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
    return ERR_IO;
}

void store_checkpointer_stop(struct store_checkpointer *s)
{
    pthread_mutex_lock(&s->mutex);
    s->is_closing = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->mutex);
}

bool store_checkpointer_is_busy(struct store_checkpointer *s)
{
    pthread_mutex_lock(&s->mutex);
    bool is_busy = s->is_busy;
    pthread_mutex_unlock(&s->mutex);
    return is_busy;
}

void store_checkpointer_wake(struct store_checkpointer *s)
{
    pthread_mutex_lock(&s->mutex);
    s->is_busy = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
}
