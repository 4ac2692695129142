/* cli_queue_periodic.c -- periodic jobs from the shell: they come again by a cron expression. */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "cli/cli_table.h"
#include "core/clock.h"
#include "queue/queue_admin_json.h"
#include "queue/queue_cron.h"
#include "queue/queue_periodic.h"

enum { MAX_NEXT = 1000 };
static const char source[] = "command"; // of what was added here

#define ZONE                                                                                       \
    {                                                                                              \
        .name = "zone", .kind = CONF_TEXT, .value = "UTC", .meaning = "NAME",                      \
        .help = "whose clocks: Europe/Kyiv, for example", .at = CLI_QUEUE_AT(zone)                 \
    }

static const struct conf_option options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA};
const struct conf_table cli_queue_periodic_options = {options, 2};

static const struct conf_option list_options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA,
                                                  CLI_QUEUE_REDACT, CLI_QUEUE_JSON};
const struct conf_table cli_queue_periodic_list_options = {list_options, 4};

static const struct conf_option add_options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    ZONE,
    {.name = "queue",
     .kind = CONF_TEXT,
     .value = QUEUE_DEFAULT,
     .meaning = "NAME",
     .help = "the queue of its jobs",
     .at = CLI_QUEUE_AT(queue)},
    {.name = "overlap",
     .kind = CONF_TEXT,
     .value = "skip",
     .meaning = "POLICY",
     .help =
         "while the job of an earlier tick has not ended: allow, skip, buffer-one, cancel-other",
     .at = CLI_QUEUE_AT(overlap)},
    {.name = "catch-up",
     .kind = CONF_DURATION,
     .value = "1m",
     .min = 1000,
     .max = QUEUE_MAX_MS,
     .help = "how late a tick may still be served",
     .at = CLI_QUEUE_AT(catch_up_ms)},
};
const struct conf_table cli_queue_periodic_add_options = {add_options, sizeof(add_options) /
                                                                           sizeof(add_options[0])};

static const struct conf_option next_options[] = {
    ZONE,
    {.name = "count",
     .kind = CONF_INT,
     .value = "5",
     .min = 1,
     .max = MAX_NEXT,
     .help = "how many",
     .at = CLI_QUEUE_AT(count)},
};
const struct conf_table cli_queue_periodic_next_options = {next_options, 2};

/* ---- list ---- */

struct listing {
    struct arena *arena;
    struct queue_periodic_state *states;
    size_t count;
};

static enum err list_fn(struct store_tx *tx, void *arg)
{
    struct listing *l = arg;
    return queue_periodic_list(tx, l->arena, &l->states, &l->count);
}

static void add_time(cJSON *row, const char *name, int64_t ms)
{
    char text[21];
    clock_iso(ms, text);
    if (ms > 0)
        cJSON_AddStringToObject(row, name, text);
    else
        cJSON_AddNullToObject(row, name);
}

static cJSON *write_state(const struct cli_queue_call *call, const struct queue_periodic_state *s)
{
    cJSON *row = cJSON_CreateObject();
    bool is_paused = s->paused_until_ms > clock_unix_ms();
    cJSON_AddStringToObject(row, "name", s->periodic.name.at);
    cJSON_AddStringToObject(row, "cron", s->periodic.cron.at);
    cJSON_AddStringToObject(row, "zone", s->periodic.zone.at);
    cJSON_AddStringToObject(row, "queue", s->periodic.queue.at);
    cJSON_AddStringToObject(row, "kind", s->periodic.kind.at);
    queue_admin_json_add_value(row, "payload", cli_queue_hide(call, s->periodic.payload));
    cJSON_AddStringToObject(row, "overlap", queue_periodic_overlap_text(s->periodic.overlap));
    cJSON_AddNumberToObject(row, "catch_up_ms", (double)s->periodic.catch_up_ms);
    cJSON_AddStringToObject(row, "source", s->periodic.source.at);
    cJSON_AddBoolToObject(row, "paused", is_paused);
    add_time(row, "next", is_paused ? 0 : s->next_at_ms);
    add_time(row, "last", s->last_at_ms);
    cJSON_AddNumberToObject(row, "last_job", (double)s->last_job_id);
    cJSON_AddNumberToObject(row, "skipped", (double)s->skipped);
    cJSON_AddNumberToObject(row, "missed", (double)s->missed);
    return row;
}

static int list(struct cli_queue_call *call)
{
    static const char *const names[] = {"name", "cron", "zone",    "kind",   "overlap", "paused",
                                        "next", "last", "skipped", "missed", NULL};
    struct listing l = {.arena = call->arena};
    enum err err = store_read(call->store, list_fn, &l);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read: %s", store_err_text(err));
    cJSON *root = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(root, "periodic");
    int status = CLI_DONE;
    for (size_t i = 0; i < l.count; i++)
        cJSON_AddItemToArray(rows, write_state(call, &l.states[i]));
    if (call->target->is_json)
        status = cli_queue_print(root);
    else
        cli_table_print(rows, names);
    cJSON_Delete(root);
    return status;
}

int cli_queue_periodic_list(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, list);
}

/* ---- what changes one ---- */

struct change {
    struct queue_periodic periodic;
    struct str why;
    int64_t until_ms, job_id;
};

static enum err declare_fn(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    return queue_periodic_declare(tx, &c->periodic, &c->why);
}

static enum err remove_fn(struct store_tx *tx, void *arg)
{
    return queue_periodic_remove(tx, ((struct change *)arg)->periodic.name);
}

static enum err pause_fn(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    return queue_periodic_pause(tx, c->periodic.name, c->until_ms);
}

static enum err trigger_fn(struct store_tx *tx, void *arg)
{
    struct change *c = arg;
    return queue_periodic_trigger(tx, c->periodic.name, &c->job_id);
}

static int add(struct cli_queue_call *call)
{
    const struct cli_queue_target *t = call->target;
    struct change c = {.periodic = {.name = str_of(call->words.at[0]),
                                    .cron = str_of(call->words.at[1]),
                                    .kind = str_of(call->words.at[2]),
                                    .payload = str_of(call->words.at[3]),
                                    .zone = str_of(t->zone),
                                    .queue = str_of(t->queue),
                                    .catch_up_ms = t->catch_up_ms,
                                    .source = str_of(source)}};
    if (queue_periodic_overlap(str_of(t->overlap), &c.periodic.overlap))
        return cli_fail(CLI_USAGE, "--overlap: '%s' is not allow, skip, buffer-one or cancel-other",
                        t->overlap);
    if (json_scan_document(c.periodic.payload) != OK)
        return cli_fail(CLI_USAGE, "the payload is not JSON");
    enum err err = store_write_wait(call->store, declare_fn, &c);
    if (err == ERR_INVALID || err == ERR_TOO_LARGE)
        return cli_fail(CLI_USAGE, "%.*s", STR_ARG(c.why));
    return err ? cli_fail(CLI_FAILED, "cannot write: %s", store_err_text(err)) : CLI_DONE;
}

static int change(struct cli_queue_call *call, store_fn *fn, struct change *c)
{
    c->periodic.name = str_of(call->words.at[0]);
    enum err err = store_write_wait(call->store, fn, c);
    if (err == ERR_NOT_FOUND)
        return cli_fail(CLI_FAILED, "there is no periodic job '%s'", c->periodic.name.at);
    return err ? cli_fail(CLI_FAILED, "cannot write: %s", store_err_text(err)) : CLI_DONE;
}

static int remove_one(struct cli_queue_call *call)
{
    return change(call, remove_fn, &(struct change){.until_ms = 0});
}

static int pause_one(struct cli_queue_call *call)
{
    return change(call, pause_fn, &(struct change){.until_ms = INT64_MAX});
}

static int resume(struct cli_queue_call *call)
{
    return change(call, pause_fn, &(struct change){.until_ms = 0});
}

static int run(struct cli_queue_call *call)
{
    struct change c = {.job_id = 0};
    int status = change(call, trigger_fn, &c);
    if (status == CLI_DONE)
        printf("%lld\n", (long long)c.job_id);
    return status;
}

int cli_queue_periodic_add(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, true, add);
}

int cli_queue_periodic_remove(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, remove_one);
}

int cli_queue_periodic_pause(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, pause_one);
}

int cli_queue_periodic_resume(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, resume);
}

int cli_queue_periodic_run(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, run);
}

/* ---- next ---- */

static int print_next(const struct queue_cron *cron, const struct queue_zone *zone, int count)
{
    int64_t at_ms = clock_unix_ms();
    for (int i = 0; i < count; i++) {
        char text[21];
        enum err err = queue_cron_next(cron, zone, at_ms, &at_ms);
        if (err)
            return cli_fail(CLI_FAILED, "there is none");
        clock_iso(at_ms, text);
        printf("%s\n", text);
    }
    return CLI_DONE;
}

int cli_queue_periodic_next(const struct cli_command *command, int argc, char *const *argv)
{
    struct cli_queue_target t = {0};
    struct conf_words words;
    struct queue_cron cron;
    struct queue_zone *zone = NULL;
    struct str why;
    struct arena a;
    arena_init(&a);
    int status = cli_read_words(command, argc, argv, &a, &t, &words);
    if (status == CLI_DONE && queue_cron_parse(str_of(words.at[0]), &cron, &why))
        status = cli_fail(CLI_USAGE, "%.*s", STR_ARG(why));
    if (status == CLI_DONE && queue_zone_open(str_of(t.zone), &zone))
        status = cli_fail(CLI_USAGE, "there is no time zone '%s' here", t.zone);
    if (status == CLI_DONE)
        status = print_next(&cron, zone, t.count);
    queue_zone_close(zone);
    arena_done(&a);
    return status;
}
