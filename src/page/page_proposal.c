#include "page/page_proposal.h"

#include "civic/civic_comment.h"
#include "civic/civic_cursor.h"
#include "civic/civic_follow.h"
#include "civic/civic_support.h"
#include "civic/civic_view.h"
#include "page/page_draw.h"
#include "page/page_form.h"

static const struct {
    enum civic_comment_sort sort;
    const char *code, *key;
} sorts[] = {
    {CIVIC_COMMENT_THREADS, "threads", "comment.sort_threads"}, // the first is the default
    {CIVIC_COMMENT_NEW, "new", "comment.sort_new"},
    {CIVIC_COMMENT_OLD, "old", "comment.sort_old"},
};
enum { SORT_THREADS, SORT_NEW, SORT_OLD, SORT_COUNT }; // places in it
_Static_assert(SORT_COUNT == sizeof sorts / sizeof sorts[0], "each order has a name");

/* Comments by conversation bring their replies: cuts behind the last conversation that begins and
 * ends within PAGE_COMMENTS. One that is longer on its own stays whole. */
static void cut_threads(struct civic_comment_list *list, struct arena *a)
{
    size_t cut = 0, root = 0;
    if (list->count <= PAGE_COMMENTS)
        return;
    for (size_t i = 1; i < list->count && (i <= PAGE_COMMENTS || !cut); i++) {
        if (list->items[i].depth == 1) {
            cut = i;
            root = i;
        }
    }
    if (!cut)
        return;
    while (list->items[--root].depth > 1)
        ;
    list->count = cut;
    list->next = civic_cursor_write((struct civic_cursor){'r', 0, list->items[root].id}, a);
}

/* Where the comment that is asked for begins to be seen: a cursor just before it, or before the
 * first of its conversation. A comment that is gone: the start of the list. */
static enum err find_place(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_comment comment = {.parent_id = ask->comment_id};
    const char *why = NULL;
    ask->cursor = (struct str){"", 0};
    while (comment.parent_id) {
        enum err err =
            civic_comment_get(tx, &actor, comment.parent_id, call->arena, &comment, &why);
        if (err)
            return err == ERR_NOT_FOUND ? OK : api_refuse_civic(call, err, why);
    }
    const struct civic_cursor cursors[SORT_COUNT] = {
        [SORT_THREADS] = {'r', 0, comment.id + 1},
        [SORT_NEW] = {'n', 0, ask->comment_id + 1},
        [SORT_OLD] = {'o', 0, ask->comment_id - 1},
    };
    ask->id = comment.proposal_id;
    ask->is_comment_found = true;
    ask->cursor = civic_cursor_write(cursors[ask->sort], call->arena);
    return OK;
}

/* A conversation too long for the list says where it goes on. */
static void add_more(struct api_call *call, const struct civic_comment *comment, cJSON *item)
{
    if (!comment->more_replies)
        return;
    page_json_add(item, "more_url",
                  arena_printf(call->arena, "/proposals/%lld?sort=threads&cursor=%.*s",
                               (long long)comment->proposal_id, STR_ARG(comment->more_cursor)));
    page_json_add(
        item, "more_text",
        locale_plural(call->lang, STR("comment.more_replies"), comment->more_replies, call->arena));
}

static bool has_comment(const struct civic_comment_list *list, int64_t id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].id == id)
            return true;
    }
    return false;
}

/* Reads the list; a comment that is asked for but beyond the end of its conversation has it read in
 * order of time instead, from that comment on. */
static enum err read_comments(struct store_tx *tx, struct api_call *call,
                              struct civic_comment_list *list, const char **why_out)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_comment_query query = {ask->id, sorts[ask->sort].sort, ask->cursor, PAGE_COMMENTS};
    enum err err = civic_comment_list(tx, &actor, &query, call->arena, list, why_out);
    if (err)
        return err;
    if (query.sort == CIVIC_COMMENT_THREADS)
        cut_threads(list, call->arena);
    if (!ask->is_comment_found || has_comment(list, ask->comment_id))
        return OK;
    ask->sort = SORT_OLD;
    query.sort = CIVIC_COMMENT_OLD;
    query.cursor =
        civic_cursor_write((struct civic_cursor){'o', 0, ask->comment_id - 1}, call->arena);
    return civic_comment_list(tx, &actor, &query, call->arena, list, why_out);
}

static enum err load_comments(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_comment_list list = {0};
    const char *why = NULL;
    enum err err = read_comments(tx, call, &list, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    cJSON *items = cJSON_AddArrayToObject(ask->view, "comments");
    for (size_t i = 0; i < list.count; i++) {
        cJSON *item = civic_view_comment(&list.items[i], &actor, call->arena);
        add_more(call, &list.items[i], item);
        cJSON_AddItemToArray(items, item);
    }
    ask->next_cursor = list.next;
    return OK;
}

static enum err load(struct store_tx *tx, struct api_call *call)
{
    struct page_ask *ask = page_draw_asked(call);
    struct civic_actor actor = api_actor(call);
    struct civic_proposal proposal;
    const char *why = NULL;
    if (ask->comment_id) {
        enum err err = find_place(tx, call);
        if (err)
            return err;
    }
    enum err err = civic_proposal_get(tx, &actor, ask->id, call->arena, &proposal, &why);
    if (err)
        return api_refuse_civic(call, err, why);
    ask->path = arena_printf(call->arena, "/proposals/%lld", (long long)ask->id);
    cJSON_AddItemToObject(ask->view, "proposal",
                          civic_view_proposal(&proposal, &actor, call->arena));
    return load_comments(tx, call);
}

// ---- dressing ----

static void dress_sorts(struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    cJSON *items = cJSON_AddArrayToObject(ask->view, "sorts");
    for (int i = 0; i < SORT_COUNT; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(items, item);
        page_json_add(item, "url",
                      arena_printf(call->arena, "%.*s?sort=%s", STR_ARG(ask->path), sorts[i].code));
        page_json_add(item, "text", locale_text(call->lang, str_of(sorts[i].key)));
        cJSON_AddBoolToObject(item, "is_current", i == ask->sort);
    }
    page_json_add(ask->view, "sort", str_of(sorts[ask->sort].code));
    if (ask->next_cursor.at)
        page_json_add(ask->view, "next_url",
                      arena_printf(call->arena, "%.*s?sort=%s&cursor=%.*s", STR_ARG(ask->path),
                                   sorts[ask->sort].code, STR_ARG(ask->next_cursor)));
}

/* A refused reply is shown again in the form at the top: it says whom it answers. */
static void dress_reply(struct api_call *call, const cJSON *comments)
{
    cJSON *form = page_draw_asked(call)->form;
    const char *parent = page_json_text(form, "parent_id");
    if (!*parent)
        return;
    struct str label = locale_text(call->lang, STR("comment.reply_label"));
    const cJSON *comment;
    cJSON_ArrayForEach(comment, comments)
    {
        struct str id = arena_printf(call->arena, "%lld", (long long)page_json_int(comment, "id"));
        if (str_eq(id, str_of(parent)))
            label = str_of(page_json_text(comment, "reply_label"));
    }
    page_json_add(form, "parent_name", label);
}

/* What the script needs of the proposal; its text is on the page already. */
static void dress_data(struct api_call *call, const cJSON *proposal)
{
    static const char *const names[] = {"id",        "state",         "support_count", "threshold",
                                        "voting_id", "comment_count", "deadline_at",   "viewer"};
    cJSON *data = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cJSON_AddItemToObject(
            data, names[i],
            cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(proposal, names[i]), true));
    page_draw_data(call, "proposal", data);
}

static void dress(struct api_call *call)
{
    cJSON *view = page_draw_asked(call)->view;
    cJSON *proposal = cJSON_GetObjectItemCaseSensitive(view, "proposal");
    cJSON *comments = cJSON_GetObjectItemCaseSensitive(view, "comments");
    struct page_dress d = page_draw_dress(call);

    dress_data(call, proposal);
    page_dress_proposal(&d, proposal);
    d.is_discussion_open = !page_json_is(proposal, "is_closed");
    cJSON *comment;
    cJSON_ArrayForEach(comment, comments) page_dress_comment(&d, comment);
    dress_sorts(call);
    dress_reply(call, comments);

    bool has_typed = *page_json_text(page_draw_asked(call)->form, "body") != '\0';
    cJSON_AddBoolToObject(view, "has_comments", cJSON_GetArraySize(comments) > 0);
    cJSON_AddBoolToObject(view, "is_discussion_open", d.is_discussion_open);
    cJSON_AddBoolToObject(view, "has_composer", call->viewer.id || has_typed);
    page_draw_title(call, str_of(page_json_text(proposal, "title")),
                    str_of(page_json_text(proposal, "summary")));
}

const struct page_kind page_proposal_kind = {.template = "proposal", .load = load, .dress = dress};

static enum err decode(struct api_call *call)
{
    enum err err = page_draw_ask(call, &page_proposal_kind);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    struct str sort = page_form_query(call, STR("sort"));
    for (int i = 0; i < SORT_COUNT; i++) {
        if (str_eq(sort, str_of(sorts[i].code)))
            ask->sort = i;
    }
    ask->cursor = page_form_query(call, STR("cursor"));
    if (str_parse_int(page_form_query(call, STR("comment")), &ask->comment_id))
        ask->comment_id = 0;
    page_draw_cacheable(call, PAGE_PROPOSAL, ask->id);
    return OK;
}

const struct api_endpoint page_proposal_get = {
    .decode = decode, .read = page_draw_read, .finish = page_draw_finish};

// ---- signing and following ----

enum err page_proposal_ask_form(struct api_call *call)
{
    enum err err = page_draw_ask(call, &page_proposal_kind);
    if (!err)
        err = page_form_check(call);
    if (err)
        return err;
    struct page_ask *ask = page_draw_asked(call);
    ask->path = arena_printf(call->arena, "/proposals/%lld", (long long)ask->id);
    ask->back = ask->path;
    return OK;
}

/* The form says in _method whether it is a PUT or a DELETE. */
struct toggle {
    bool is_on;
};

static enum err decode_toggle(struct api_call *call, const char *anchor)
{
    struct str method;
    enum err err = page_proposal_ask_form(call);
    if (!err)
        err = page_form_text(call, STR("_method"), &method);
    if (err)
        return err;
    if (!str_eq(method, STR("PUT")) && !str_eq(method, STR("DELETE")))
        return api_refuse(call, 400, "malformed");
    struct page_ask *ask = page_draw_asked(call);
    struct toggle *toggle = ARENA_NEW(call->arena, struct toggle);
    toggle->is_on = !str_eq(method, STR("DELETE"));
    ask->input = toggle;
    ask->location = arena_printf(call->arena, "%.*s%s", STR_ARG(ask->path), anchor);
    ask->back = ask->location;
    return OK;
}

static enum err decode_support(struct api_call *call)
{
    enum err err = decode_toggle(call, "#support");
    struct page_ask *ask = page_draw_asked(call);
    if (!err) // a log-in leads back to the button
        ask->back = arena_printf(call->arena, "%.*s#sign", STR_ARG(ask->path));
    return err;
}

static enum err write_support(struct store_tx *tx, struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    const struct toggle *toggle = ask->input;
    struct civic_actor actor = api_actor(call);
    struct civic_support support;
    const char *why = NULL;
    enum err err = page_draw_limit(call, CIVIC_RATE_SUPPORT);
    if (err)
        return err;
    err = toggle->is_on ? civic_support_sign(tx, &actor, ask->id, &support, &why)
                        : civic_support_withdraw(tx, &actor, ask->id, &support, &why);
    return err ? api_refuse_civic(call, err, why) : OK;
}

const struct api_endpoint page_proposal_post_support = {.auth = API_USER,
                                                        .decode = decode_support,
                                                        .write = write_support,
                                                        .changes = API_PROPOSAL,
                                                        .finish = page_draw_finish_form};

static enum err decode_follow(struct api_call *call)
{
    return decode_toggle(call, "");
}

static enum err write_follow(struct store_tx *tx, struct api_call *call)
{
    const struct page_ask *ask = page_draw_asked(call);
    const struct toggle *toggle = ask->input;
    struct civic_actor actor = api_actor(call);
    const char *why = NULL;
    enum err err = page_draw_limit(call, CIVIC_RATE_FOLLOW);
    if (err)
        return err;
    err = civic_follow_set(tx, &actor, ask->id, toggle->is_on, &why);
    return err ? api_refuse_civic(call, err, why) : OK;
}

const struct api_endpoint page_proposal_post_follow = {.auth = API_USER,
                                                       .decode = decode_follow,
                                                       .write = write_follow,
                                                       .changes = API_NOTHING,
                                                       .finish = page_draw_finish_form};
