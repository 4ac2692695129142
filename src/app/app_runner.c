#include "app/app_runner.h"

#include <stdio.h>
#include <string.h>

#include "app/app_data.h"
#include "app/app_test_jobs.h"
#include "core/arena.h"
#include "core/mem.h"
#include "runner/runner.h"
#include "runner/runner_conf.h"

enum { LEASE_MS = 30000, TO_WRITE_MS = 2000 };

/* One beside the default queue. */
struct side {
    const char *name;
    struct queue_handler *handlers;
    struct queue *queue; // NULL: not made
};

struct app_runner {
    struct arena arena;
    struct runner_handler *handlers;
    size_t count;
    struct runner *runner;
    struct side *sides;
    size_t side_count;
};

/* ---- new ---- */

static enum err read_file(const char *file, struct app_runner *r, char *why_out, size_t why_cap)
{
    char *text = NULL;
    size_t len = 0;
    struct str why = STR("it cannot be read");
    enum err err = app_data_read_file(file, RUNNER_CONF_MAX_BYTES, &text, &len);
    if (!err)
        err = runner_conf_read((struct str){text, len}, &r->arena, &r->handlers, &r->count, &why);
    if (err)
        snprintf(why_out, why_cap, "--handlers %s: %.*s", file, STR_ARG(why));
    mem_free(text);
    return err;
}

static bool is_known(const struct app_runner *r, const char *queue)
{
    bool is_found = strcmp(queue, QUEUE_DEFAULT) == 0;
    for (size_t i = 0; i < r->side_count && !is_found; i++)
        is_found = strcmp(r->sides[i].name, queue) == 0;
    return is_found;
}

static void find_sides(struct app_runner *r)
{
    r->sides = arena_alloc(&r->arena, (r->count + 1) * sizeof(*r->sides));
    for (size_t i = 0; i < r->count; i++)
        if (!is_known(r, r->handlers[i].queue))
            r->sides[r->side_count++].name = r->handlers[i].queue;
}

static void add_test_handlers(struct app_runner *r, const struct app_runner_tests *tests)
{
    struct runner_handler *all = arena_alloc(&r->arena, (r->count + tests->count) * sizeof(*all));
    for (size_t i = 0; i < r->count; i++)
        all[i] = r->handlers[i];
    for (size_t i = 0; i < tests->count; i++) {
        all[r->count] = app_test_jobs_crash;
        all[r->count++].queue = tests->queues[i];
    }
    r->handlers = all;
}

enum err app_runner_new(const char *file, const struct app_runner_tests *tests,
                        struct app_runner **out, char *why_out, size_t why_cap)
{
    *out = NULL;
    if (!file[0] && tests->count == 0)
        return OK;
    if (tests->count > APP_RUNNER_MAX_TEST_QUEUES) {
        snprintf(why_out, why_cap, "--test-jobs: for at most %d queues",
                 APP_RUNNER_MAX_TEST_QUEUES);
        return ERR_INVALID;
    }
    struct app_runner *r = MEM_NEW(struct app_runner);
    arena_init(&r->arena);
    enum err err = file[0] ? read_file(file, r, why_out, why_cap) : OK;
    if (!err && tests->count > 0)
        add_test_handlers(r, tests);
    if (!err) {
        r->runner = runner_new(r->handlers, r->count);
        err = r->runner ? OK : ERR_IO;
    }
    if (!err)
        *out = r;
    else
        app_runner_free(r);
    return err;
}

/* ---- run ---- */

size_t app_runner_kind_count(const struct app_runner *r, const char *queue)
{
    return r ? runner_kind_count(r->runner, queue) : 0;
}

void app_runner_keep_lines(struct app_runner *r)
{
    if (r)
        runner_keep_lines(r->runner);
}

void app_runner_bind(struct app_runner *r, const char *queue, struct queue_handler *out)
{
    if (r)
        runner_bind(r->runner, queue, out);
}

void app_runner_build(struct app_runner *r, struct store *store, struct queue_seal *seal,
                      bool has_worker)
{
    if (!r)
        return;
    find_sides(r);
    for (size_t i = 0; i < r->side_count; i++) {
        struct side *side = &r->sides[i];
        const struct queue_options options = {
            .name = side->name,
            .workers = has_worker ? 1 : 0, // it only hands jobs over
            .lease_ms = LEASE_MS,
            .is_alone = true, // the data directory's lock keeps other servers away
            .seal = seal,
        };
        size_t count = runner_kind_count(r->runner, side->name);
        side->handlers = arena_alloc(&r->arena, count * sizeof(*side->handlers));
        runner_bind(r->runner, side->name, side->handlers);
        side->queue = queue_new(store, &options, side->handlers, count);
    }
}

enum err app_runner_start(struct app_runner *r, struct store *store)
{
    if (!r)
        return OK;
    enum err err = runner_start(r->runner, store);
    for (size_t i = 0; i < r->side_count && !err; i++)
        err = queue_start(r->sides[i].queue);
    return err;
}

void app_runner_wake(struct app_runner *r)
{
    for (size_t i = 0; r && i < r->side_count; i++)
        queue_wake(r->sides[i].queue);
}

/* ---- the end ---- */

void app_runner_stop(struct app_runner *r, int64_t wait_ms)
{
    for (size_t i = 0; r && i < r->side_count; i++)
        queue_drain(r->sides[i].queue);
    if (r)
        runner_stop(r->runner, wait_ms > 0 ? wait_ms : 0);
}

bool app_runner_end(struct app_runner *r)
{
    bool is_idle = true;
    for (size_t i = 0; r && i < r->side_count; i++)
        is_idle = queue_stop(r->sides[i].queue, TO_WRITE_MS) && is_idle;
    if (!r || !is_idle)
        return is_idle;
    runner_free(r->runner);
    r->runner = NULL;
    return true;
}

void app_runner_free(struct app_runner *r)
{
    if (!r)
        return;
    runner_free(r->runner);
    for (size_t i = 0; i < r->side_count; i++)
        queue_free(r->sides[i].queue);
    arena_done(&r->arena);
    mem_free(r);
}
