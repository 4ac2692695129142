#include "cli/cli_queue.h"

#include <stdio.h>

#include "app/app_data.h"
#include "cli/cli_admin.h"
#include "cli/cli_table.h"

enum { MAX_PRINTED_BYTES = 256 * 1024 * 1024, MAX_HELD_BYTES = 1024 * 1024 };

/* ---- what all share ---- */

static int with_store(struct cli_queue_call *call, bool makes_data, cli_queue_fn *fn)
{
    const char *data = call->target->data;
    char why[APP_DATA_WHY_BYTES] = "";
    enum err err = makes_data ? OK : app_data_look(data, why, sizeof(why));
    if (!err)
        err = app_data_open(data, false, 1, &call->store, why, sizeof(why));
    if (!err)
        err = app_data_migrate(call->store, NULL, why, sizeof(why));
    int status = err ? cli_fail(CLI_FAILED, "%s", why[0] ? why : err_text(err)) : fn(call);
    if (call->store)
        store_close(call->store);
    return status;
}

int cli_queue_run(const struct cli_command *command, int argc, char *const *argv, bool makes_data,
                  cli_queue_fn *fn)
{
    struct arena arena;
    struct cli_queue_target target = {0};
    struct cli_queue_call call = {.target = &target, .arena = &arena};
    arena_init(&arena);
    int status = cli_read_words(command, argc, argv, &arena, &target, &call.words);
    if (status == CLI_DONE)
        status = with_store(&call, makes_data, fn);
    arena_done(&arena);
    return status;
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
    struct cli_admin_answer answer = {0};
    *out = (struct queue_held){0};
    buf_init(&answer.body, MAX_HELD_BYTES);
    enum err err = cli_admin_get(call->target->data, "/queue/held", &answer, why, sizeof(why));
    struct str body = {(const char *)buf_head(&answer.body), buf_len(&answer.body)};
    int status = CLI_DONE;
    if (err && err != ERR_NOT_FOUND)
        status = cli_fail(CLI_FAILED, "%s", why);
    else if (!err && (answer.status != 200 || read_ids(body, call->arena, out)))
        status =
            cli_fail(CLI_FAILED, "the server answered %ld: %.*s", answer.status, STR_ARG(body));
    buf_done(&answer.body);
    return status;
}

int cli_queue_print(const cJSON *document)
{
    struct buf text;
    buf_init(&text, MAX_PRINTED_BYTES);
    enum err err = json_print(document, &text);
    if (!err)
        printf("%.*s\n", (int)buf_len(&text), (const char *)buf_head(&text));
    buf_done(&text);
    return err ? cli_fail(CLI_FAILED, "cannot print: %s", err_text(err)) : CLI_DONE;
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
    return queue_admin_count(tx, &c->held, c->arena, &c->counts);
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
        cJSON_AddItemToArray(list, row);
    }
    return root;
}

static int print_stats(struct cli_queue_call *call)
{
    static const char *const names[] = {"name", "ready",           "scheduled", "running",
                                        "dead", "oldest_ready_ms", NULL};
    struct counting counting = {.arena = call->arena};
    int status = cli_queue_held(call, &counting.held); // first: what ends meanwhile has no row
    if (status != CLI_DONE)
        return status;
    enum err err = store_read(call->store, count, &counting);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read the queues: %s", err_text(err));
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
