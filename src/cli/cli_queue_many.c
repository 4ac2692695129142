/* cli_queue_many.c -- the changes of all jobs that match, in slices, beside the server. Without
 * --yes it says how many and does nothing. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli_queue_filter.h"
#include "core/clock.h"
#include "queue/queue_admin_act.h"

enum { TELL_MS = 200, TELL_LINE_MS = 5000 };

#define COMMON                                                                                     \
    {.name = "max",                                                                                \
     .kind = CONF_INT,                                                                             \
     .value = "0",                                                                                 \
     .min = 0,                                                                                     \
     .max = INT32_MAX,                                                                             \
     .help = "at most so many; 0: all",                                                            \
     .at = CLI_QUEUE_AT(max)},                                                                     \
        CLI_QUEUE_YES, CLI_QUEUE_JSON

static const struct conf_option options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA, CLI_QUEUE_FILTER,
                                             COMMON};
const struct conf_table cli_queue_many_options = {options, sizeof(options) / sizeof(options[0])};

static const struct conf_option prune_options[] = {
    CLI_QUEUE_CONFIG,
    CLI_QUEUE_DATA,
    CLI_QUEUE_FILTER,
    CLI_QUEUE_TIME("older-than", older_than_ms,
                   "what ended so long ago, though it would be kept longer; 0: what need not be "
                   "kept any more"),
    COMMON,
};
const struct conf_table cli_queue_prune_options = {prune_options, sizeof(prune_options) /
                                                                      sizeof(prune_options[0])};

/* ---- progress, for whoever waits ---- */

struct telling {
    const char *done; // "retried"
    int64_t next_ms;
    bool is_terminal, has_told;
};

static void tell(struct telling *t, size_t count)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms < t->next_ms)
        return;
    t->next_ms = now_ms + (t->is_terminal ? TELL_MS : TELL_LINE_MS);
    t->has_told = true;
    fprintf(stderr, t->is_terminal ? "\r%s %zu" : "%s %zu\n", t->done, count);
    fflush(stderr);
}

/* ---- slices ---- */

struct many {
    struct cli_queue_call *call;
    queue_admin_act_fn *fn; // NULL: they are counted
    struct queue_admin_list_filter filter;
    struct queue_held held;
    size_t max, matched, done, refused;
    struct telling telling;
};

struct slice {
    const struct many *many;
    const struct queue_admin_list *list;
    size_t done, refused;
};

static enum err do_slice(struct store_tx *tx, void *arg)
{
    struct slice *s = arg;
    return queue_admin_act_slice(tx, s->many->fn, s->list, &s->many->held, &s->done, &s->refused);
}

static int take(struct many *m, const struct queue_admin_list *list)
{
    struct slice slice = {.many = m, .list = list};
    m->matched += list->count;
    if (!m->fn || list->count == 0)
        return CLI_DONE;
    enum err err = store_write_wait(m->call->store, do_slice, &slice);
    if (err)
        return cli_fail(CLI_FAILED, "%zu jobs are %s, then: %s", m->done, m->telling.done,
                        store_err_text(err));
    m->done += slice.done;
    m->refused += slice.refused;
    return CLI_DONE;
}

static int go(struct many *m)
{
    struct cli_queue_filter_page page = {
        .filter = &m->filter, .held = &m->held, .after = {.part = -1}};
    int status = CLI_DONE;
    do {
        size_t left = m->max > 0 ? m->max - m->matched : SIZE_MAX;
        page.limit = left < QUEUE_ADMIN_ACT_SLICE ? left : QUEUE_ADMIN_ACT_SLICE;
        status = cli_queue_filter_page(m->call, &page);
        if (status == CLI_DONE)
            status = take(m, &page.list);
        arena_done(&page.arena);
        page.after = page.list.next;
        tell(&m->telling, m->fn ? m->done : m->matched);
    } while (status == CLI_DONE && page.list.has_more && (m->max == 0 || m->matched < m->max));
    return status;
}

/* ---- a command ---- */

static int report(const struct many *m, const char *verb)
{
    bool is_json = m->call->target->is_json;
    if (m->telling.has_told && m->telling.is_terminal)
        fputc('\n', stderr);
    if (is_json)
        printf("{\"matched\":%zu,\"%s\":%zu,\"refused\":%zu}\n", m->matched, m->telling.done,
               m->done, m->refused);
    if (!m->fn && m->matched > 0)
        return cli_fail(CLI_FAILED, "it would %s %zu jobs; --yes does it", verb, m->matched);
    if (!is_json && m->refused > 0)
        printf("%s %zu jobs; %zu have changed meanwhile, or cannot be\n", m->telling.done, m->done,
               m->refused);
    else if (!is_json)
        printf("%s %zu jobs\n", m->telling.done, m->done);
    return CLI_DONE;
}

static struct many begin(struct cli_queue_call *call, const char *done)
{
    bool is_terminal = isatty(STDERR_FILENO);
    return (struct many){
        .call = call,
        .max = (size_t)call->target->max,
        .telling = {.done = done,
                    .is_terminal = is_terminal,
                    .next_ms = clock_mono_ms() + (is_terminal ? TELL_MS : TELL_LINE_MS)},
    };
}

static int retry(struct cli_queue_call *call)
{
    struct many m = begin(call, "retried");
    int status = cli_queue_filter_read(call->target, &m.filter);
    if (status == CLI_DONE)
        status = cli_queue_held(call, &m.held);
    if (status != CLI_DONE)
        return status;
    if (m.filter.state == QUEUE_ADMIN_LIST_ANY)
        m.filter.state = QUEUE_DEAD;
    m.fn = call->target->is_sure ? queue_admin_act_retry : NULL;
    status = go(&m);
    return status == CLI_DONE ? report(&m, "retry") : status;
}

static bool says_which(const struct queue_admin_list_filter *f)
{
    return f->state != QUEUE_ADMIN_LIST_ANY || f->queue.len > 0 || f->kind.len > 0 ||
           f->tag.len > 0 || f->batch_id > 0 || f->path.len > 0 || f->created_from_ms > 0 ||
           f->created_before_ms > 0 || f->due_from_ms > 0 || f->due_before_ms > 0;
}

static int discard(struct cli_queue_call *call)
{
    struct many m = begin(call, "discarded");
    int status = cli_queue_filter_read(call->target, &m.filter);
    if (status == CLI_DONE && !says_which(&m.filter))
        return cli_fail(CLI_USAGE, "say which: --state, --queue, --kind, ...; --help lists them");
    if (status == CLI_DONE)
        status = cli_queue_held(call, &m.held);
    if (status != CLI_DONE)
        return status;
    m.fn = call->target->is_sure ? queue_admin_act_discard : NULL;
    status = go(&m);
    return status == CLI_DONE ? report(&m, "discard") : status;
}

/* Each state of what is over, the oldest first. */
static int prune(struct cli_queue_call *call)
{
    static const enum queue_state states[] = {QUEUE_DONE_STATE, QUEUE_CANCELLED, QUEUE_DEAD};
    const struct cli_queue_target *t = call->target;
    struct many m = begin(call, "pruned");
    int status = cli_queue_filter_read(t, &m.filter);
    int wanted = m.filter.state;
    bool is_forced = t->older_than_ms > 0;
    bool is_over = wanted == QUEUE_ADMIN_LIST_ANY || wanted == QUEUE_DONE_STATE ||
                   wanted == QUEUE_CANCELLED || wanted == QUEUE_DEAD;
    if (status == CLI_DONE && !is_over)
        return cli_fail(CLI_USAGE, "--state: only what is done, dead or cancelled is pruned");
    if (is_forced)
        m.filter.ended_before_ms = clock_unix_ms() - t->older_than_ms;
    else
        m.filter.kept_before_ms = clock_unix_ms();
    m.filter.is_reversed = true;
    m.fn = t->is_sure || !is_forced ? queue_admin_act_discard : NULL;
    for (size_t i = 0; status == CLI_DONE && i < 3; i++) {
        m.filter.state = (int)states[i];
        bool is_wanted = wanted == QUEUE_ADMIN_LIST_ANY || wanted == (int)states[i];
        if (is_wanted && (m.max == 0 || m.matched < m.max))
            status = go(&m);
    }
    return status == CLI_DONE ? report(&m, "prune") : status;
}

int cli_queue_many_retry(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, retry);
}

int cli_queue_many_discard(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, discard);
}

int cli_queue_many_prune(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, prune);
}
