/* queue_graph.c -- what waits for what.
 *
 * An edge is a row of job_need; job_option.needs counts those of a job that are not met. An end
 * takes the open edges that lead from it, each to met or broken. A job with a broken edge is
 * cancelled, which is an end too: the list `ends` goes on until there are no more, so that a long
 * chain takes no stack.
 */
#include "queue/queue_graph.h"

#include "core/failpoint.h"
#include "core/mem.h"
#include "queue/queue_internal.h"

enum edge_state { OPEN, MET, BROKEN };

/* ---- adding: is it a graph? ---- */

static bool has_node_edge(const struct queue_edge *edge)
{
    return edge->job_id == 0;
}

static enum err check_node(const struct queue_node *nodes, size_t count, size_t at,
                           size_t *edges_out)
{
    const struct queue_node *node = &nodes[at];
    for (size_t i = 0; i < node->needs_count; i++) {
        const struct queue_edge *edge = &node->needs[i];
        if (has_node_edge(edge) && (edge->node >= count || edge->node == at))
            return ERR_INVALID;
        if (edge->when < QUEUE_ON_SUCCESS || edge->when > QUEUE_ON_FAILURE)
            return ERR_INVALID;
    }
    *edges_out += node->needs_count;
    return *edges_out > QUEUE_GRAPH_MAX_EDGES ? ERR_TOO_LARGE : OK;
}

/* A walk along the needs, without recursion. */
struct walk {
    const struct queue_node *nodes;
    unsigned char *states;     // enum: of each node
    size_t *stack, *looked_at; // the path; of each node: how many of its needs
    size_t depth;
    size_t *order, taken;
};
enum { NEW, ON_PATH, TAKEN };

static void enter(struct walk *w, size_t node)
{
    w->states[node] = ON_PATH;
    w->stack[w->depth++] = node;
}

/* One step from the end of the path. False: it has come to itself. */
static bool go_on(struct walk *w)
{
    size_t at = w->stack[w->depth - 1];
    const struct queue_node *node = &w->nodes[at];
    if (w->looked_at[at] == node->needs_count) {
        w->states[at] = TAKEN;
        w->order[w->taken++] = at;
        w->depth--;
        return true;
    }
    const struct queue_edge *edge = &node->needs[w->looked_at[at]++];
    if (!has_node_edge(edge) || w->states[edge->node] == TAKEN)
        return true;
    if (w->states[edge->node] == ON_PATH)
        return false;
    enter(w, edge->node);
    return true;
}

/* order: each node behind those that it needs. ERR_INVALID: a circle. */
// NOLINTNEXTLINE(readability-non-const-parameter): written to through the struct
static enum err sort(const struct queue_node *nodes, size_t count, size_t *order)
{
    struct walk w = {
        .nodes = nodes,
        .states = mem_zalloc(count + 1),
        .stack = mem_zalloc((count + 1) * sizeof(size_t)),
        .looked_at = mem_zalloc((count + 1) * sizeof(size_t)),
        .order = order,
    };
    bool is_graph = true;
    for (size_t i = 0; is_graph && i < count; i++) {
        if (w.states[i] == NEW)
            enter(&w, i);
        while (is_graph && w.depth > 0)
            is_graph = go_on(&w);
    }
    mem_free(w.states);
    mem_free(w.stack);
    mem_free(w.looked_at);
    return is_graph ? OK : ERR_INVALID;
}

/* ---- adding: rows ---- */

/* How an edge stands whose job is in this state. */
static enum edge_state judge(enum queue_state state, enum queue_when when)
{
    switch (state) {
    case QUEUE_DONE_STATE:
        return when == QUEUE_ON_FAILURE ? BROKEN : MET;
    case QUEUE_DEAD:
        return when == QUEUE_ON_SUCCESS ? BROKEN : MET;
    case QUEUE_CANCELLED:
        return when == QUEUE_ON_FINISH ? MET : BROKEN;
    case QUEUE_READY:
    case QUEUE_RUNNING:
    case QUEUE_SCHEDULED:
    case QUEUE_WAITING:
        break;
    }
    return OPEN;
}

/* Of a job that is in the batch already. */
static enum err judge_job(struct store_tx *tx, int64_t batch_id, const struct queue_edge *edge,
                          enum edge_state *out)
{
    struct queue_row row;
    int64_t its_batch_id = 0;
    enum err err = queue_batch_of(tx, edge->job_id, &its_batch_id);
    if (!err && its_batch_id != batch_id)
        err = ERR_NOT_FOUND;
    if (!err)
        err = queue_row_get(tx, edge->job_id, &row);
    if (!err)
        *out = judge(row.state, edge->when);
    return err;
}

static enum err insert_edge(struct store_tx *tx, int64_t job_id, int64_t needs_id,
                            enum queue_when when, enum edge_state state)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "INSERT INTO job_need (job_id, needs_id, policy, is_met) VALUES ($1, $2, $3, $4)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    store_bind_int(st, 2, needs_id);
    store_bind_int(st, 3, when);
    store_bind_int(st, 4, state);
    err = FAILPOINT("queue.edge", store_run(st, NULL));
    return err == ERR_CONFLICT ? ERR_INVALID : err; // needed twice
}

/* Ends a job without moving others: they are moved by whoever calls. */
static enum err cancel(struct store_tx *tx, struct queue_row *row)
{
    int64_t keep_ms = 0;
    enum err err = queue_batch_keep_ms(tx, row->id, &keep_ms);
    return err ? err : queue_row_close(tx, row, QUEUE_CANCELLED, keep_ms, (struct str){0});
}

struct adding {
    struct store_tx *tx;
    int64_t batch_id;
    const struct queue_node *nodes;
    int64_t *ids;
};

static enum err add_node(const struct adding *a, size_t at)
{
    const struct queue_node *node = &a->nodes[at];
    struct queue_new job = node->job;
    struct queue_row row;
    bool is_broken = false;
    enum edge_state *states = mem_zalloc(node->needs_count * sizeof(*states) + 1);
    enum err err = OK;
    for (size_t i = 0; !err && i < node->needs_count; i++) {
        struct queue_edge edge = node->needs[i];
        if (has_node_edge(&edge))
            edge.job_id = a->ids[edge.node];
        err = judge_job(a->tx, a->batch_id, &edge, &states[i]);
        job.needs += states[i] != MET;
        is_broken |= states[i] == BROKEN;
    }
    if (job.keep_ms == 0)
        job.keep_ms = QUEUE_GRAPH_KEEP_MS;
    if (!err)
        err = queue_batch_add(a->tx, a->batch_id, &job, 1, &a->ids[at]);
    for (size_t i = 0; !err && i < node->needs_count; i++) {
        const struct queue_edge *edge = &node->needs[i];
        err =
            insert_edge(a->tx, a->ids[at], has_node_edge(edge) ? a->ids[edge->node] : edge->job_id,
                        edge->when, states[i]);
    }
    mem_free(states);
    if (err || !is_broken)
        return err;
    err = queue_row_get(a->tx, a->ids[at], &row);
    return err ? err : queue_row_end(a->tx, &row, QUEUE_CANCELLED, job.keep_ms, (struct str){0});
}

static bool has_key(const struct queue_new *job)
{
    return job->unique_key.len > 0 || job->idempotency_key.len > 0;
}

/* Jobs that are in the database already cannot be nodes: they may have ended, or be elsewhere. */
static enum err check_new(struct store_tx *tx, const struct queue_new *job)
{
    int64_t holder = 0;
    if (!has_key(job))
        return OK;
    enum err err = queue_row_holder(tx, job->unique_key, QUEUE_SPACE_UNIQUE, &holder);
    if (!err && holder == 0)
        err = queue_row_holder(tx, job->idempotency_key, QUEUE_SPACE_IDEMPOTENCY, &holder);
    return err ? err : holder == 0 ? OK : ERR_CONFLICT;
}

enum err queue_graph_add(struct store_tx *tx, int64_t batch_id, const struct queue_node *nodes,
                         size_t count, int64_t *ids_out)
{
    size_t edges = 0;
    enum err err = count > QUEUE_GRAPH_MAX_NODES ? ERR_TOO_LARGE : OK;
    for (size_t i = 0; !err && i < count; i++)
        err = check_node(nodes, count, i, &edges);
    if (err)
        return err;
    size_t *order = mem_zalloc((count + 1) * sizeof(*order));
    struct adding a = {tx, batch_id, nodes, mem_zalloc((count + 1) * sizeof(int64_t))};
    err = sort(nodes, count, order);
    if (!err && edges > 0)
        err = queue_batch_add_edges(tx, batch_id, (int64_t)edges, QUEUE_GRAPH_MAX_EDGES);
    for (size_t i = 0; !err && i < count; i++) {
        err = check_new(tx, &nodes[order[i]].job);
        if (!err)
            err = add_node(&a, order[i]);
    }
    if (!err && ids_out)
        memcpy(ids_out, a.ids, count * sizeof(int64_t));
    mem_free(a.ids);
    mem_free(order);
    return err;
}

enum err queue_graph_chain(struct store_tx *tx, const struct queue_batch_new *batch,
                           const struct queue_new *jobs, size_t count, int64_t *batch_id_out)
{
    int64_t batch_id = 0;
    if (count > QUEUE_GRAPH_MAX_NODES)
        return ERR_TOO_LARGE;
    struct queue_node *nodes = mem_zalloc((count + 1) * sizeof(*nodes));
    struct queue_edge *edges = mem_zalloc((count + 1) * sizeof(*edges));
    for (size_t i = 0; i < count; i++) {
        edges[i] = (struct queue_edge){.node = i - (i > 0), .when = QUEUE_ON_SUCCESS};
        nodes[i] = (struct queue_node){jobs[i], &edges[i], i > 0};
    }
    enum err err = queue_batch_open(tx, batch, &batch_id);
    if (!err)
        err = queue_graph_add(tx, batch_id, nodes, count, NULL);
    if (!err)
        err = queue_batch_close(tx, batch_id);
    if (!err)
        *batch_id_out = batch_id;
    mem_free(nodes);
    mem_free(edges);
    return err;
}

/* ---- moving on ---- */

/* Ends that are still to be followed. */
struct ends {
    int64_t *ids;
    size_t count, cap;
};

static void push(struct ends *ends, int64_t id)
{
    if (ends->count == ends->cap) {
        ends->cap = ends->cap * 2 + 16;
        ends->ids = mem_realloc(ends->ids, ends->cap * sizeof(int64_t));
    }
    ends->ids[ends->count++] = id;
}

struct need {
    int64_t job_id;
    enum queue_when when;
};
enum { NEEDS_AT_ONCE = 64 };

static enum err find_needs(struct store_tx *tx, const char *sql, int64_t needs_id, struct need *out,
                           size_t *count_out)
{
    struct store_stmt *st;
    size_t count = 0;
    enum err err = store_prepare(tx, sql, &st);
    if (err)
        return err;
    store_bind_int(st, 1, needs_id);
    store_bind_int(st, 2, NEEDS_AT_ONCE);
    while (!(err = store_step(st)))
        out[count++] =
            (struct need){store_column_int(st, 0), (enum queue_when)store_column_int(st, 1)};
    *count_out = count;
    return err == ERR_NOT_FOUND ? OK : err;
}

static enum err set_edge(struct store_tx *tx, int64_t job_id, int64_t needs_id,
                         enum edge_state state)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "UPDATE job_need SET is_met = $3 WHERE job_id = $1 AND needs_id = $2", &st);
    if (err)
        return err;
    store_bind_int(st, 1, job_id);
    store_bind_int(st, 2, needs_id);
    store_bind_int(st, 3, state);
    return FAILPOINT("queue.edge", store_run(st, NULL));
}

/* One more edge is met: gives how many are not. */
static enum err count_met(struct store_tx *tx, int64_t job_id, int64_t *left_out)
{
    enum err err = FAILPOINT("queue.edge", queue_row_run(tx,
                                                         "UPDATE job_option SET needs = needs - 1 "
                                                         "WHERE job_id = $1",
                                                         job_id));
    return err ? err
               : queue_row_ask(tx, "SELECT needs FROM job_option WHERE job_id = $1", job_id,
                               left_out);
}

/* The job of an edge that has become met or broken. */
static enum err move(struct store_tx *tx, int64_t job_id, enum edge_state state, struct ends *ends)
{
    struct queue_row row;
    int64_t left = 0;
    enum err err = state == MET ? count_met(tx, job_id, &left) : OK;
    if (err || left > 0)
        return err;
    err = queue_row_get(tx, job_id, &row);
    if (err || row.state != QUEUE_WAITING) // cancelled before, by another edge or by somebody
        return err;
    if (state == BROKEN) {
        push(ends, job_id);
        return cancel(tx, &row);
    }
    err = queue_row_make_due(tx, &row, row.run_at_ms);
    return err ? err : queue_row_save(tx, &row, (struct str){0});
}

static enum err follow(struct store_tx *tx, int64_t id, enum queue_state state, struct ends *ends)
{
    struct need needs[NEEDS_AT_ONCE];
    size_t count = NEEDS_AT_ONCE;
    while (count == NEEDS_AT_ONCE) {
        enum err err = find_needs(tx,
                                  "SELECT job_id, policy FROM job_need WHERE needs_id = $1 AND "
                                  "is_met = 0 ORDER BY job_id LIMIT $2",
                                  id, needs, &count);
        for (size_t i = 0; !err && i < count; i++) {
            enum edge_state edge = judge(state, needs[i].when);
            err = set_edge(tx, needs[i].job_id, id, edge);
            if (!err)
                err = move(tx, needs[i].job_id, edge, ends);
        }
        if (err)
            return err;
    }
    return OK;
}

enum err queue_graph_ended(struct store_tx *tx, int64_t job_id, enum queue_state state,
                           struct queue_graph_moves *out)
{
    struct ends ends = {0};
    enum err err = follow(tx, job_id, state, &ends);
    for (size_t i = 0; !err && i < ends.count; i++)
        err = follow(tx, ends.ids[i], QUEUE_CANCELLED, &ends);
    out->cancelled = (int64_t)ends.count;
    mem_free(ends.ids);
    return err;
}

/* ---- and back ---- */

/* It was cancelled by its edges alone, all of which can be met again, and its unique key is free.
 */
static enum err may_revive(struct store_tx *tx, const struct queue_row *row, bool *out)
{
    bool is_unwanted = false;
    int64_t broken = 0;
    *out = false;
    enum err err = queue_row_is_cancelled(tx, row, &is_unwanted);
    if (!err)
        err = queue_row_ask(tx, "SELECT count(*) FROM job_need WHERE job_id = $1 AND is_met = 2",
                            row->id, &broken);
    if (err || is_unwanted || broken > 0)
        return err;
    err = queue_row_take_key_back(tx, row);
    *out = !err;
    return err == ERR_CONFLICT ? OK : err;
}

/* One that was cancelled because of the job which is put back. */
static enum err revive(struct store_tx *tx, int64_t job_id, struct ends *ends)
{
    struct queue_row row;
    bool may = false;
    enum err err = queue_row_get(tx, job_id, &row);
    if (err || row.state != QUEUE_CANCELLED)
        return err == ERR_NOT_FOUND ? OK : err; // it was kept no longer
    err = may_revive(tx, &row, &may);
    if (err || !may)
        return err;
    row.state = QUEUE_WAITING;
    row.at_ms = 0;
    push(ends, job_id);
    return queue_row_save(tx, &row, (struct str){0});
}

static enum err follow_back(struct store_tx *tx, int64_t id, struct ends *ends)
{
    struct need needs[NEEDS_AT_ONCE];
    size_t count = NEEDS_AT_ONCE;
    while (count == NEEDS_AT_ONCE) {
        enum err err = find_needs(tx,
                                  "SELECT job_id, policy FROM job_need WHERE needs_id = $1 AND "
                                  "is_met = 2 ORDER BY job_id LIMIT $2",
                                  id, needs, &count);
        for (size_t i = 0; !err && i < count; i++) {
            err = set_edge(tx, needs[i].job_id, id, OPEN);
            if (!err)
                err = revive(tx, needs[i].job_id, ends);
        }
        if (err)
            return err;
    }
    return OK;
}

enum err queue_graph_revived(struct store_tx *tx, int64_t job_id, int64_t *revived_out)
{
    struct ends ends = {0};
    enum err err = follow_back(tx, job_id, &ends);
    for (size_t i = 0; !err && i < ends.count; i++)
        err = follow_back(tx, ends.ids[i], &ends);
    *revived_out = (int64_t)ends.count;
    mem_free(ends.ids);
    return err;
}
