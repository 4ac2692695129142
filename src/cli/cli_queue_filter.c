#include "cli/cli_queue_filter.h"

static int read_times(const struct cli_queue_target *t, struct queue_admin_list_filter *out)
{
    const struct {
        const char *option, *text;
        int64_t *ms_out;
    } times[] = {
        {"created-after", t->created_after, &out->created_from_ms},
        {"created-before", t->created_before, &out->created_before_ms},
        {"due-after", t->due_after, &out->due_from_ms},
        {"due-before", t->due_before, &out->due_before_ms},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        int status = cli_queue_parse_time(times[i].option, times[i].text, times[i].ms_out);
        if (status != CLI_DONE)
            return status;
    }
    return CLI_DONE;
}

static int read_where(const struct cli_queue_target *t, struct queue_admin_list_filter *out)
{
    struct str where = str_of(t->where);
    if (where.len == 0)
        return CLI_DONE;
    bool has_value = str_index(where, '=') < where.len;
    out->path = str_cut(where, '=', &out->value);
    if (has_value && out->path.len > 0)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "--where: '%.100s' is not like user.id=7", t->where);
}

int cli_queue_filter_read(const struct cli_queue_target *t, struct queue_admin_list_filter *out)
{
    *out = (struct queue_admin_list_filter){
        .queue = str_of(t->queue),
        .kind = str_of(t->kind),
        .tag = str_of(t->tag),
        .key = str_of(t->key),
        .state = QUEUE_ADMIN_LIST_ANY,
    };
    if (t->state[0] && queue_admin_list_parse_state(str_of(t->state), &out->state) != OK)
        return cli_fail(CLI_USAGE,
                        "--state: '%.100s' is not ready, running, scheduled, waiting, done, dead "
                        "or cancelled",
                        t->state);
    if (out->key.len > 0 && out->queue.len == 0)
        return cli_fail(CLI_USAGE, "--key is one of a queue: say which with --queue");
    if (t->batch[0] && (str_parse_int(str_of(t->batch), &out->batch_id) || out->batch_id <= 0))
        return cli_fail(CLI_USAGE, "--batch: '%.100s' is not the number of a batch", t->batch);
    int status = read_times(t, out);
    return status == CLI_DONE ? read_where(t, out) : status;
}

static enum err list(struct store_tx *tx, void *arg)
{
    struct cli_queue_filter_page *page = arg;
    const struct queue_admin_list_page which = {&page->after, page->limit};
    return queue_admin_list(tx, page->filter, page->held, &which, &page->arena, &page->list);
}

int cli_queue_filter_page(const struct cli_queue_call *call, struct cli_queue_filter_page *page)
{
    arena_init(&page->arena);
    enum err err = store_read(call->store, list, page);
    return err ? cli_fail(CLI_FAILED, "cannot read the jobs: %s", store_err_text(err)) : CLI_DONE;
}
