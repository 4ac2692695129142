/* cli_queue_list.c -- jobs among millions: those that match, newest first or as their state says
 * (queue_admin_list.h). */
#include <stdio.h>

#include "cli/cli_queue_filter.h"
#include "cli/cli_table.h"
#include "core/clock.h"
#include "queue/queue_admin_json.h"

static const struct conf_option options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    CLI_QUEUE_FILTER,
    {.name = "limit",
     .kind = CONF_INT,
     .value = "100",
     .min = 1,
     .max = QUEUE_ADMIN_LIST_MAX_ROWS,
     .help = "at most so many",
     .at = CLI_QUEUE_AT(limit)},
    CLI_QUEUE_REDACT,
    CLI_QUEUE_TEXT("after", after, "CURSOR", "go on where a list ended"),
    CLI_QUEUE_JSON,
};
const struct conf_table cli_queue_list_options = {options, sizeof(options) / sizeof(options[0])};

/* For people. */
static cJSON *write_row(const struct queue_admin_job *job)
{
    cJSON *row = cJSON_CreateObject();
    char due[21];
    clock_iso(job->run_at_ms, due);
    cJSON_AddNumberToObject(row, "id", (double)job->id);
    cJSON_AddStringToObject(row, "state", queue_admin_list_state_text(job->state));
    queue_admin_json_add(row, "queue", job->queue);
    queue_admin_json_add(row, "kind", job->kind);
    cJSON_AddNumberToObject(row, "attempts", job->attempt);
    cJSON_AddStringToObject(row, "due", due);
    queue_admin_json_add(row, "payload", job->payload);
    if (job->error.at)
        queue_admin_json_add(row, "error", job->error);
    return row;
}

/* Pages until there are enough: one may be empty and not the last. */
static int find(struct cli_queue_call *call, struct cli_queue_filter_page *page, cJSON *rows)
{
    size_t left = (size_t)call->target->limit;
    do {
        page->limit = left;
        int status = cli_queue_filter_page(call, page);
        for (size_t i = 0; status == CLI_DONE && i < page->list.count; i++)
            cJSON_AddItemToArray(rows, call->target->is_json
                                           ? queue_admin_json_job(&page->list.jobs[i])
                                           : write_row(&page->list.jobs[i]));
        arena_done(&page->arena);
        if (status != CLI_DONE)
            return status;
        left -= page->list.count;
        page->after = page->list.next;
    } while (left > 0 && page->list.has_more);
    return CLI_DONE;
}

static int print(const struct cli_queue_call *call, const struct cli_queue_filter_page *page,
                 cJSON *root)
{
    static const char *const names[] = {"id",  "state",   "queue", "kind", "attempts",
                                        "due", "payload", "error", NULL};
    char next[QUEUE_ADMIN_LIST_CURSOR_BYTES];
    queue_admin_list_write_cursor(&page->list.next, next);
    if (!call->target->is_json) {
        cli_table_print(cJSON_GetObjectItemCaseSensitive(root, "jobs"), names);
        if (page->list.has_more)
            printf("more: --after %s\n", next);
        return CLI_DONE;
    }
    if (page->list.has_more)
        queue_admin_json_add(root, "next", str_of(next));
    else
        cJSON_AddNullToObject(root, "next");
    return cli_queue_print(root);
}

static int list(struct cli_queue_call *call)
{
    const struct cli_queue_target *t = call->target;
    struct queue_admin_list_filter filter;
    struct queue_held held = {0};
    struct cli_queue_filter_page page = {.filter = &filter, .held = &held, .after = {.part = -1}};
    int status = cli_queue_filter_read(t, &filter);
    filter.hidden = str_of(t->redact);
    if (status == CLI_DONE && t->after[0] &&
        queue_admin_list_parse_cursor(str_of(t->after), &page.after) != OK)
        status = cli_fail(CLI_USAGE, "--after: '%.200s' is not where a list ended", t->after);
    if (status == CLI_DONE)
        status = cli_queue_held(call, &held);
    if (status != CLI_DONE)
        return status;
    cJSON *root = cJSON_CreateObject();
    status = find(call, &page, cJSON_AddArrayToObject(root, "jobs"));
    if (status == CLI_DONE)
        status = print(call, &page, root);
    cJSON_Delete(root);
    return status;
}

int cli_queue_list(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, list);
}
