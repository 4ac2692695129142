/* io_pool.c -- a bounded FIFO and the threads that empty it. */
#include "io/io_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/check.h"
#include "core/mem.h"

enum { NAME_BYTES = 16 }; // of a thread, with its NUL (Linux)

struct io_pool {
    pthread_t *threads;
    int thread_count;
    char name[NAME_BYTES];
    size_t max_queued;

    pthread_mutex_t lock; // of the rest
    pthread_cond_t work;
    struct io_job *first, **last;
    size_t queued;
    bool is_stopping;
};

static void run_done(struct io_task *task)
{
    struct io_job *job = LIST_ENTRY(task, struct io_job, back);
    job->on_done(job);
}

/* Waits for a job; NULL: the pool stops and nothing is left to run. */
static struct io_job *take(struct io_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->is_stopping)
        pthread_cond_wait(&p->work, &p->lock);
    struct io_job *job = p->first;
    if (job) {
        p->first = job->next;
        if (!p->first)
            p->last = &p->first;
        p->queued--;
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *run_thread(void *ctx)
{
    struct io_pool *p = ctx;
    struct io_job *job;

    pthread_setname_np(pthread_self(), p->name);
    while ((job = take(p))) {
        job->run(job);
        if (job->home) {
            job->back.run = run_done;
            io_loop_post(job->home, &job->back);
        } else {
            job->on_done(job);
        }
    }
    return NULL;
}

struct io_pool *io_pool_new(int threads, const char *name)
{
    CHECK(threads > 0);
    struct io_pool *p = MEM_NEW(struct io_pool);
    snprintf(p->name, sizeof(p->name), "%s", name);
    p->last = &p->first;
    p->max_queued = IO_POOL_MAX_QUEUED;
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
    CHECK(pthread_cond_init(&p->work, NULL) == 0);
    p->threads = mem_zalloc((size_t)threads * sizeof(*p->threads));
    p->thread_count = threads;
    for (int i = 0; i < threads; i++)
        CHECK(pthread_create(&p->threads[i], NULL, run_thread, p) == 0);
    return p;
}

void io_pool_free(struct io_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->threads);
    mem_free(p);
}

void io_pool_limit(struct io_pool *p, size_t max_queued)
{
    p->max_queued = max_queued;
}

enum err io_pool_run(struct io_pool *p, struct io_job *job)
{
    enum err err = OK;

    pthread_mutex_lock(&p->lock);
    if (p->queued >= p->max_queued) {
        err = ERR_AGAIN;
    } else {
        job->next = NULL;
        *p->last = job;
        p->last = &job->next;
        p->queued++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}
