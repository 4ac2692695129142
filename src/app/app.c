#include "app/app.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/app_admin.h"
#include "app/app_apps.h"
#include "app/app_bridge.h"
#include "app/app_data.h"
#include "app/app_listen.h"
#include "app/app_node.h"
#include "app/app_periodic.h"
#include "app/app_recovery.h"
#include "app/app_runner.h"
#include "app/app_seal.h"
#include "app/app_signals.h"
#include "app/app_test_jobs.h"
#include "app/app_texts.h"
#include "app/app_watch.h"
#include "app/app_webhook.h"
#include "civic/civic.h"
#include "civic/civic_jobs.h"
#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "http/http_proxy.h"
#include "page/page.h"
#include "queue/queue.h"
#include "queue/queue_census.h"
#include "queue/queue_history.h"
#include "queue/queue_scheduler.h"
#include "queue/queue_tally.h"

enum { BACKOFF_CAP_MS = 3600000, FLUSH_MS = 1000 };

/* A post that is cut off is made again at the next start: not worth a long wait. */
enum { POSTS_MS = 2000 };

/* Handlers that do not end in time are killed so long before the queue has waited enough. */
enum { HAND_BACK_MS = 1000 };

/* Argon2 takes a core and 19 MiB for a thirtieth of a second: who waits behind fifty has waited
 * long enough to be told so. */
enum { PASSWORD_THREADS = 2, MAX_WAITING_PASSWORDS = 50 };

struct app {
    const struct app_options *options;
    struct app_apps apps;
    struct store *store;
    struct civic *civic;
    struct hub_relay *relay;
    struct app_recovery recovery;
    struct io_pool *pool, *passwords;
    struct app_bridge *bridge;
    struct app_runner *runner;
    struct queue_seal *seal;
    struct queue_handler *handlers;
    struct queue *queue;
    struct api_queues queues;
    struct app_watch *watch;
    struct queue_scheduler *scheduler;
    struct app_webhook *webhook;
    struct hub_hook_sink webhook_sink;
    struct civic_jobs jobs;
    struct api api;
    struct app_stops stops;
    struct http_proxy proxy;
    struct app_listen listen;
    struct app_node *nodes;
    struct app_admin *admin;
    int loops;
    bool has_web, has_hub, has_worker;
    char *why;
    size_t why_cap;
};

/* ---- building, from the bottom up ---- */

static int loop_count(const struct app_options *options)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int count = options->loops > 0 ? options->loops : cores > 0 ? (int)cores : 1;
    return count > APP_LISTEN_MAX_LOOPS ? APP_LISTEN_MAX_LOOPS : count;
}

static enum err read_roles(struct app *a)
{
    struct str rest = str_of(a->options->roles);
    while (rest.len > 0) {
        struct str role = str_trim(str_cut(rest, ',', &rest));
        if (str_eq(role, STR("web")))
            a->has_web = true;
        else if (str_eq(role, STR("hub")))
            a->has_hub = true;
        else if (str_eq(role, STR("worker")))
            a->has_worker = true;
        else {
            snprintf(a->why, a->why_cap, "--roles: '%.*s' is not web, hub or worker",
                     STR_ARG(role));
            return ERR_INVALID;
        }
    }
    if (a->has_web || a->has_hub || a->has_worker)
        return OK;
    snprintf(a->why, a->why_cap, "--roles is empty; say some of web,hub,worker");
    return ERR_INVALID;
}

static enum err read_proxies(struct app *a)
{
    struct str bad;
    enum err err = http_proxy_parse(str_of(a->options->trusted_proxies), &a->proxy, &bad);
    if (err)
        snprintf(
            a->why, a->why_cap,
            "--trusted-proxies: '%.*s' is no address like 10.0.0.1 or network like 10.0.0.0/8, "
            "or more than %d are given",
            STR_ARG(bad), HTTP_PROXY_MAX_NETS);
    return err;
}

/* As many descriptors as the system lets us have: each socket is one. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("at=app.start why=\"cannot raise the limit of descriptors\"");
}

/* An announcement between a job's commit and a crash is lost; our own pages learn of it because
 * they fetch anew after a restart. So their events are not recovered over one: the log is in
 * memory. */
static void log_pages_in_memory(struct app *a)
{
    if (a->has_web)
        a->apps.mine[0].recovery.limits.ack = STREAM_MEMORY;
}

static enum err open_data(struct app *a)
{
    enum err err =
        app_data_open(a->options->data, true, a->options->readers, &a->store, a->why, a->why_cap);
    if (!err)
        err = app_data_migrate(a->store, NULL, a->why, a->why_cap);
    if (err)
        return err;
    err = app_apps_load(a->options->apps, a->options->data, &a->apps, a->why, a->why_cap);
    if (err)
        return err;
    log_pages_in_memory(a);
    return app_recovery_open(&a->recovery, a->options, a->has_hub, (size_t)a->loops, a->why,
                             a->why_cap);
}

static void build_domain(struct app *a)
{
    struct civic_options options = civic_default_options;
    options.is_limited = a->options->is_limited;
    a->civic = civic_new(&options);
    a->relay = hub_relay_new();
    a->pool = io_pool_new(a->options->readers, "pool");
    a->passwords = io_pool_new(PASSWORD_THREADS, "passwords");
    io_pool_limit(a->passwords, MAX_WAITING_PASSWORDS);
    a->api = (struct api){
        .store = a->store,
        .civic = a->civic,
        .pool = a->pool,
        .passwords = a->passwords,
        .app_key = a->apps.apps->at[0].key.at,
        .app_secret = a->apps.apps->at[0].secret.at,
        .hub_path = a->options->path,
        .is_secure = strncmp(a->options->origin, "https://", 8) == 0,
        .origin = a->options->origin[0] ? a->options->origin : NULL,
    };
}

static enum err build_webhooks(struct app *a)
{
    const struct app_webhook_options options = {
        .allows_private = a->options->allows_private,
        .retry_ms = a->options->retry_ms,
    };
    a->webhook = app_webhook_new(a->store, a->apps.apps, &options);
    if (!a->webhook) {
        snprintf(a->why, a->why_cap, "cannot start the thread of the webhooks");
        return ERR_IO;
    }
    a->webhook_sink = app_webhook_sink(a->webhook);
    return OK;
}

static void build_nodes(struct app *a)
{
    const struct app_parts parts = {
        .options = a->options,
        .apps = a->apps.apps,
        .relay = a->relay,
        .api = &a->api,
        .webhooks = &a->webhook_sink,
        .listen = &a->listen,
        .stops = &a->stops,
        .proxy = &a->proxy,
        .has_web = a->has_web,
        .has_hub = a->has_hub,
    };
    a->nodes = mem_zalloc((size_t)a->loops * sizeof(*a->nodes));
    for (int i = 0; i < a->loops; i++) {
        app_node_init(&a->nodes[i], i, &parts);
        if (a->recovery.store)
            hub_use_log(a->nodes[i].hub, stream_store_log(a->recovery.store, (size_t)i),
                        a->recovery.pool);
    }
}

/* Pages are told by the calls that change them (api.on_change): a job's commit leaves them as they
 * are. */
static void on_commit(void *ctx)
{
    struct app *a = ctx;
    queue_wake(a->queue);
    app_runner_wake(a->runner);
    app_watch_note(a->watch);
}

static void build_queue(struct app *a)
{
    const struct queue_options options = {
        .workers = a->has_worker ? a->options->workers : 0,
        .lease_ms = a->options->lease_ms,
        .is_alone = a->has_worker, // as long as no `viche worker` is there
        .backoff_cap_ms = BACKOFF_CAP_MS,
        .seal = a->seal,
    };
    a->bridge = app_bridge_new(a->nodes[0].loop, a->relay, &a->apps.apps->at[0]);
    a->jobs = (struct civic_jobs){.store = a->store, .announcer = app_bridge_announcer(a->bridge)};
    size_t count = civic_jobs_count, more = app_runner_kind_count(a->runner, QUEUE_DEFAULT);
    a->handlers = mem_zalloc((count + app_test_jobs_count + more) * sizeof(*a->handlers));
    civic_jobs_bind(&a->jobs, a->handlers);
    if (a->options->has_test_jobs) {
        memcpy(a->handlers + count, app_test_jobs, app_test_jobs_count * sizeof(*a->handlers));
        count += app_test_jobs_count;
    }
    app_runner_bind(a->runner, QUEUE_DEFAULT, a->handlers + count);
    a->queue = queue_new(a->store, &options, a->handlers, count + more);
    app_runner_build(a->runner, a->store, a->seal, a->has_worker);
    a->scheduler = queue_scheduler_new(a->store);
    a->queues.census = queue_census_new(a->store);
    a->queues.history = queue_history_new();
    a->queues.hidden = a->options->redact;
    a->api.queues = &a->queues;
    a->watch = app_watch_new(a->store, &a->queues, a->relay, &a->apps.apps->at[0]);
    a->api.queue = a->queue;
    store_on_commit(a->store, on_commit, a);
}

static void start_admin(struct app *a)
{
    const struct api_admin ctx = {.hub = a->nodes[0].hub,
                                  .pool = a->pool,
                                  .store = a->store,
                                  .census = a->queues.census,
                                  .loops = a->loops,
                                  .read_webhooks = app_webhook_read,
                                  .webhooks = a->webhook};
    app_admin_start(a->admin, a->nodes[0].loop, &ctx, a->api.page);
}

static enum err begin_tally(struct store_tx *tx, void *arg)
{
    (void)arg;
    return queue_tally_reset(tx);
}

static enum err start(struct app *a)
{
    bool runs_jobs = a->has_worker && a->options->workers > 0;
    start_admin(a);
    enum err err = store_write_wait(a->store, begin_tally, NULL);
    if (!err)
        err = civic_jobs_start(a->store, runs_jobs);
    if (!err)
        err = app_periodic_declare(a->store, a->options->periodic, a->why, a->why_cap);
    if (!err && a->options->has_test_jobs)
        err = app_test_jobs_start(a->store);
    if (!err && a->has_worker)
        err = app_runner_start(a->runner, a->store);
    if (!err)
        err = queue_start(a->queue);
    if (!err && runs_jobs)
        err = queue_scheduler_start(a->scheduler);
    if (!err)
        err = app_webhook_start(a->webhook);
    if (!err && a->has_web)
        err = app_watch_start(a->watch);
    for (int i = 0; i < a->loops && !err; i++)
        err = app_node_start(&a->nodes[i]);
    if (err && !a->why[0])
        snprintf(a->why, a->why_cap, "cannot start: %s", store_err_text(err));
    return err;
}

/* ---- the end, from the top down ---- */

static void drain(struct app *a)
{
    for (int i = 0; i < a->loops; i++)
        app_node_drain(&a->nodes[i]);
    app_admin_drain(a->admin, a->options->drain_ms, &a->stops);
    if (!app_stops_wait(&a->stops, a->options->drain_ms + 1000))
        log_warn("at=app.stop why=\"requests did not finish in time\"");
    queue_scheduler_stop(a->scheduler);
    queue_drain(a->queue);
    app_runner_stop(a->runner, a->options->drain_ms - HAND_BACK_MS);
    if (!queue_stop(a->queue, a->options->drain_ms))
        log_warn("at=app.stop why=\"jobs did not finish in time\"");
    for (int i = 0; i < a->loops; i++)
        app_node_close_sockets(&a->nodes[i]);
    if (!app_stops_wait(&a->stops, a->options->spread_ms + 6000))
        log_warn("at=app.stop why=\"sockets did not close in time\"");
    for (int i = 0; i < a->loops; i++)
        app_node_flush_webhooks(&a->nodes[i]);
    if (!app_stops_wait(&a->stops, FLUSH_MS))
        log_warn("at=app.stop why=\"a loop does not answer\"");
    int64_t wait_ms = a->options->drain_ms < POSTS_MS ? a->options->drain_ms : POSTS_MS;
    if (!app_webhook_stop(a->webhook, wait_ms))
        log_warn("at=app.stop why=\"posts of webhooks did not end in time\"");
}

static void tear_down(struct app *a)
{
    if (a->scheduler)
        queue_scheduler_stop(a->scheduler); // again is harmless, this too
    bool is_idle = !a->queue || queue_stop(a->queue, 0);
    is_idle = is_idle && app_runner_end(a->runner);
    is_idle = (!a->webhook || app_webhook_stop(a->webhook, 0)) && is_idle;
    if (!is_idle) {
        log_warn(
            "at=app.stop why=\"a job did not finish in time; it runs again at the next start\"");
        _exit(1); // it still uses what we would free
    }
    app_watch_stop(a->watch);
    io_pool_free(a->passwords);
    io_pool_free(a->pool); // its answers need running loops
    if (a->store)
        store_close(a->store); // finishes what was queued; answers go to loops that still run
    for (int i = 0; a->nodes && i < a->loops; i++)
        app_node_stop(&a->nodes[i]);
    for (int i = 0; a->nodes && i < a->loops; i++)
        hub_end_log(a->nodes[i].hub);
    app_recovery_end_syncs(&a->recovery);
    hub_relay_close(a->relay);
    for (int i = 0; a->nodes && i < a->loops; i++)
        app_node_done(&a->nodes[i]);
    app_listen_done(&a->listen);
    app_admin_free(a->admin);
    app_bridge_free(a->bridge);
    queue_scheduler_free(a->scheduler);
    queue_census_free(a->queues.census);
    queue_history_free(a->queues.history);
    app_watch_free(a->watch);
    queue_free(a->queue);
    app_runner_free(a->runner);
    queue_seal_free(a->seal);
    app_webhook_free(a->webhook);
    for (int i = 0; a->nodes && i < a->loops; i++)
        hub_free(a->nodes[i].hub);
    app_recovery_close(&a->recovery);
    hub_relay_free(a->relay);
    mem_free(a->nodes);
    mem_free(a->handlers);
    civic_free(a->civic);
    app_apps_done(&a->apps);
    page_done(&a->api);
    app_stops_done(&a->stops);
}

static void reload_apps(struct app *a)
{
    char why[APP_WHY_BYTES], quoted[LOG_QUOTE_BYTES];
    if (app_apps_reload(a->options->apps, a->options->data, &a->apps, why, sizeof(why)) != OK) {
        log_error("at=app.reload what=apps why=%s", log_quote(str_of(why), quoted));
        return;
    }
    log_pages_in_memory(a);
    hub_relay_use_apps(a->relay, a->apps.apps);
    app_webhook_use_apps(a->webhook, a->apps.apps);
    log_info("at=app.reload what=apps count=%zu", a->apps.apps->count);
}

static void reload_certificate(struct app *a)
{
    if (!app_listen_reload(&a->listen))
        return;
    for (int i = 0; i < a->loops; i++)
        app_node_use_certificate(&a->nodes[i], a->listen.certificate);
}

static void reload_seal_keys(struct app *a)
{
    char why[APP_WHY_BYTES], quoted[LOG_QUOTE_BYTES];
    struct queue_seal *keys;
    if (!a->seal)
        return;
    if (app_seal_read(a->options->seal_keys, &keys, why, sizeof(why)) != OK) {
        log_error("at=app.reload what=seal-keys why=%s", log_quote(str_of(why), quoted));
        return;
    }
    queue_seal_use(a->seal, keys);
    log_info("at=app.reload what=seal-keys");
}

/* What SIGHUP reads again. Each part keeps what it has when the new is broken. */
static void reload(struct app *a)
{
    reload_certificate(a);
    reload_apps(a);
    reload_seal_keys(a);
}

/* SIGHUP reloads. */
static int wait_for_signal(struct app *a, const sigset_t *signals)
{
    for (;;) {
        int signal = 0;
        if (sigwait(signals, &signal) != 0)
            continue;
        if (signal != SIGHUP)
            return signal;
        reload(a);
    }
}

static void run(struct app *a, const sigset_t *signals)
{
    char quoted[LOG_QUOTE_BYTES], ports[APP_LISTEN_MAX * sizeof("65535,")];
    app_listen_ports(&a->listen, ports, sizeof(ports));
    log_info("at=app.ready listen=%s port=%s loops=%d workers=%d data=%s",
             log_quote(str_of(a->options->listen), quoted), ports, a->loops, a->options->workers,
             a->options->data);
    int signal = wait_for_signal(a, signals);
    log_info("at=app.stop signal=%d", signal);
    app_signals_end_on_next(signals);
    drain(a);
}

enum err app_check(const struct app_options *options, char *why_out, size_t why_cap)
{
    struct app a = {.options = options, .why = why_out, .why_cap = why_cap};
    enum err err = read_roles(&a);
    return err ? err : app_listen_check(options, why_out, why_cap);
}

enum err app_serve(const struct app_options *options, char *why_out, size_t why_cap)
{
    struct app a = {
        .options = options, .why = why_out, .why_cap = why_cap, .loops = loop_count(options)};
    const char *const test_queues[] = {QUEUE_DEFAULT};
    const struct app_runner_tests tests = {test_queues, options->has_test_jobs ? 1 : 0};
    app_stops_init(&a.stops);
    mallopt(M_ARENA_MAX, 4); // many threads, little memory each
    // Work comes in bursts: to give the memory back between two of them costs a third of all CPU.
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
    raise_descriptor_limit();

    sigset_t signals;
    app_signals_block(&signals);

    enum err err = read_roles(&a);
    if (!err)
        err = read_proxies(&a);
    if (!err) // it forks: before there are threads, listeners or a database
        err = app_runner_new(options->handlers, &tests, &a.runner, why_out, why_cap);
    if (!err) // after the fork, whose child needs none
        err = app_seal_read(options->seal_keys, &a.seal, why_out, why_cap);
    if (!err) // before anything else, so that a taken port is the first thing that is said
        err = app_listen_open(&a.listen, options, a.loops, why_out, why_cap);
    if (!err)
        err = open_data(&a);
    if (!err)
        err = app_admin_new(options->admin, options->data, &a.admin, why_out, why_cap);
    if (!err)
        err = app_texts_load(why_out, why_cap);
    if (!err) {
        build_domain(&a);
        err = page_init(&a.api, a.loops, why_out, why_cap);
    }
    if (!err)
        err = build_webhooks(&a);
    if (!err) {
        build_nodes(&a);
        build_queue(&a);
        err = start(&a);
        if (!err)
            run(&a, &signals);
    }
    tear_down(&a);
    return err;
}
