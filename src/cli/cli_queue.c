#include "cli/cli_queue.h"

#include <stdio.h>

#include "app/app_data.h"
#include "cli/cli_admin.h"
#include "cli/cli_table.h"
#include "cli/cli_time.h"
#include "core/clock.h"

enum {
    MAX_PRINTED_BYTES = 256 * 1024 * 1024,
    MAX_HELD_BYTES = 1024 * 1024,
    HELD_TIMEOUT_MS = 2000
};

/* ---- what all share ---- */

/* How the database is opened. */
enum opening { AS_IT_IS, MAKE_IT, WATCH_IT };

static enum err open_store(struct cli_queue_call *call, enum opening how, char *why_out,
                           size_t why_cap)
{
    const char *data = call->target->data;
    enum err err = how == MAKE_IT ? OK : app_data_look(data, why_out, why_cap);
    if (err)
        return err;
    return how == WATCH_IT ? app_data_open_watching(data, 1, &call->store, why_out, why_cap)
                           : app_data_open(data, false, 1, &call->store, why_out, why_cap);
}

static int with_store(struct cli_queue_call *call, enum opening how, cli_queue_fn *fn)
{
    char why[APP_DATA_WHY_BYTES] = "";
    enum err err = open_store(call, how, why, sizeof(why));
    if (!err && call->on_commit)
        store_on_commit(call->store, call->on_commit, call->on_commit_ctx);
    if (!err)
        err = app_data_migrate(call->store, NULL, why, sizeof(why));
    int status = err ? cli_fail(CLI_FAILED, "%s", why[0] ? why : store_err_text(err)) : fn(call);
    if (call->store)
        store_close(call->store);
    return status;
}

static int check_redact(const char *rules)
{
    const char *why = NULL;
    if (!rules || queue_redact_check(str_of(rules), &why) == OK)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "--redact: %s", why);
}

struct str cli_queue_hide(const struct cli_queue_call *call, struct str text)
{
    return queue_redact(str_of(call->target->redact), text, call->arena);
}

static int run(struct cli_queue_call *call, const struct cli_command *command, int argc,
               char *const *argv, enum opening how, cli_queue_fn *fn)
{
    struct arena arena;
    struct cli_queue_target target = {0};
    call->target = &target;
    call->arena = &arena;
    arena_init(&arena);
    int status = cli_read_words(command, argc, argv, &arena, &target, &call->words);
    if (status == CLI_DONE)
        status = check_redact(target.redact);
    if (status == CLI_DONE)
        status = with_store(call, how, fn);
    arena_done(&arena);
    return status;
}

int cli_queue_run(const struct cli_command *command, int argc, char *const *argv, bool makes_data,
                  cli_queue_fn *fn)
{
    struct cli_queue_call call = {0};
    return run(&call, command, argc, argv, makes_data ? MAKE_IT : AS_IT_IS, fn);
}

int cli_queue_watch(const struct cli_command *command, int argc, char *const *argv,
                    void (*on_commit)(void *ctx), void *ctx, cli_queue_fn *fn)
{
    struct cli_queue_call call = {.on_commit = on_commit, .on_commit_ctx = ctx};
    return run(&call, command, argc, argv, WATCH_IT, fn);
}

static enum err read_ids(struct str text, struct arena *a, struct queue_held *out)
{
    cJSON *root = NULL;
    const cJSON *id;
    enum err err = json_parse(text, &root);
    if (err)
        return err;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "jobs");
    int64_t *ids = arena_alloc(a, (size_t)(cJSON_GetArraySize(list) + 1) * sizeof(*ids));
    out->ids = ids;
    cJSON_ArrayForEach(id, list) ids[out->count++] = (int64_t)cJSON_GetNumberValue(id);
    cJSON_Delete(root);
    return OK;
}

int cli_queue_held(const struct cli_queue_call *call, struct queue_held *out)
{
    char why[CLI_ADMIN_WHY_BYTES];
    struct cli_admin_answer answer = {.timeout_ms = HELD_TIMEOUT_MS};
    *out = (struct queue_held){0};
    buf_init(&answer.body, MAX_HELD_BYTES);
    enum err err = cli_admin_get(call->target->data, "/queue/held", &answer, why, sizeof(why));
    struct str body = {(const char *)buf_head(&answer.body), buf_len(&answer.body)};
    int status = CLI_DONE;
    if (err == ERR_TIMEOUT) // it hangs: who looks why must not hang too
        fprintf(stderr, "viche: the server does not answer; what it runs may be told as ready\n");
    else if (err && err != ERR_NOT_FOUND)
        status = cli_fail(CLI_FAILED, "%s", why);
    else if (!err && (answer.status != 200 || read_ids(body, call->arena, out)))
        status =
            cli_fail(CLI_FAILED, "the server answered %ld: %.*s", answer.status, STR_ARG(body));
    buf_done(&answer.body);
    return status;
}

/* DEL and C1 (U+0080 to U+009F, c2 80 to c2 9f), which JSON leaves as they are, may stand in texts
 * only. */
static void print_json(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        unsigned char next = i + 1 < text.len ? (unsigned char)text.at[i + 1] : 0;
        bool is_c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        if (c == 0x7f || is_c1)
            printf("\\u%04x", is_c1 ? next : c);
        else
            putchar(c);
        i += is_c1;
    }
    putchar('\n');
}

int cli_queue_print(const cJSON *document)
{
    struct buf text;
    buf_init(&text, MAX_PRINTED_BYTES);
    enum err err = json_print(document, &text);
    if (!err)
        print_json((struct str){(const char *)buf_head(&text), buf_len(&text)});
    buf_done(&text);
    return err ? cli_fail(CLI_FAILED, "cannot print: %s", err_text(err)) : CLI_DONE;
}

int cli_queue_parse_id(const char *text, int64_t *out)
{
    if (str_parse_int(str_of(text), out) == OK && *out > 0)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "'%.100s' is not the number of a job", text);
}

int cli_queue_parse_time(const char *option, const char *text, int64_t *ms_out)
{
    *ms_out = 0;
    if (!text[0] || cli_time_parse(str_of(text), clock_unix_ms(), ms_out) == OK)
        return CLI_DONE;
    return cli_fail(CLI_USAGE,
                    "--%s: '%.100s' is not a time like now, -2h, 2026-11-26 or "
                    "2026-11-26T21:30:00Z",
                    option, text);
}

/* ---- stats ---- */

static const struct conf_option stats_options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA,
                                                   CLI_QUEUE_JSON};
const struct conf_table cli_queue_stats_options = {stats_options, 3};

struct counting {
    struct queue_held held;
    struct arena *arena;
    struct queue_admin_counts counts;
};

static enum err count(struct store_tx *tx, void *arg)
{
    struct counting *c = arg;
    enum err err = queue_admin_count(tx, &c->held, c->arena, &c->counts);
    return err ? err : queue_admin_find_pauses(tx, &c->counts);
}

void cli_queue_write_pause(cJSON *row, int64_t until_ms)
{
    char text[21];
    if (until_ms == INT64_MAX) {
        cJSON_AddTrueToObject(row, "paused");
    } else if (until_ms > 0) {
        clock_iso(until_ms, text);
        cJSON_AddStringToObject(row, "paused", text);
    }
}

static cJSON *write_counts(const struct queue_admin_counts *counts)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "queues");
    for (size_t i = 0; i < counts->count; i++) {
        const struct queue_admin_count *c = &counts->at[i];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", c->name.at);
        cJSON_AddNumberToObject(row, "ready", (double)c->ready);
        cJSON_AddNumberToObject(row, "scheduled", (double)c->scheduled);
        cJSON_AddNumberToObject(row, "running", (double)c->running);
        cJSON_AddNumberToObject(row, "dead", (double)c->dead);
        cJSON_AddNumberToObject(row, "oldest_ready_ms", (double)c->oldest_ready_ms);
        cli_queue_write_pause(row, c->paused_until_ms);
        cJSON_AddItemToArray(list, row);
    }
    return root;
}

static int print_stats(struct cli_queue_call *call)
{
    static const char *const names[] = {"name", "ready",           "scheduled", "running",
                                        "dead", "oldest_ready_ms", "paused",    NULL};
    struct counting counting = {.arena = call->arena};
    int status = cli_queue_held(call, &counting.held); // first: what ends meanwhile has no row
    if (status != CLI_DONE)
        return status;
    enum err err = store_read(call->store, count, &counting);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read the queues: %s", store_err_text(err));
    cJSON *root = write_counts(&counting.counts);
    if (call->target->is_json)
        status = cli_queue_print(root);
    else
        cli_table_print(cJSON_GetObjectItemCaseSensitive(root, "queues"), names);
    cJSON_Delete(root);
    return status;
}

int cli_queue_stats(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, print_stats);
}
