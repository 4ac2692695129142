#include "civic/civic_view.h"

#include "civic/civic_markdown.h"
#include "core/clock.h"

/* Texts of rows end with NUL (civic_row). */
static void add_text(cJSON *o, const char *key, struct str value)
{
    cJSON_AddStringToObject(o, key, value.at ? value.at : "");
}

static void add_int(cJSON *o, const char *key, int64_t value)
{
    cJSON_AddNumberToObject(o, key, (double)value);
}

static void add_id(cJSON *o, const char *key, int64_t id)
{
    if (id)
        add_int(o, key, id);
    else
        cJSON_AddNullToObject(o, key);
}

static void add_time(cJSON *o, const char *key, int64_t unix_ms)
{
    char iso[21];
    clock_iso(unix_ms, iso);
    cJSON_AddStringToObject(o, key, iso);
}

static void add_markdown(cJSON *o, struct str text, struct arena *a)
{
    add_text(o, "body", text);
    add_text(o, "body_html", civic_markdown_html(text, a));
}

/* The "viewer" of a thing: an object for someone logged in, null for visitors. */
static cJSON *add_viewer(cJSON *o, const struct civic_actor *actor)
{
    if (actor && actor->id)
        return cJSON_AddObjectToObject(o, "viewer");
    cJSON_AddNullToObject(o, "viewer");
    return NULL;
}

cJSON *civic_view_person(const struct civic_person *p)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", p->id);
    add_text(o, "name", p->name);
    return o;
}

cJSON *civic_view_own_user(const struct civic_user *u)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", u->id);
    add_text(o, "name", u->name);
    add_text(o, "email", u->email);
    cJSON_AddStringToObject(o, "role", civic_policy_role_name(u->role));
    return o;
}

cJSON *civic_view_proposal(const struct civic_proposal *p, const struct civic_actor *actor,
                           struct arena *a)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", p->id);
    add_text(o, "title", p->title);
    add_text(o, "summary", p->summary);
    if (p->body.at)
        add_markdown(o, p->body, a);
    cJSON_AddItemToObject(o, "author", civic_view_person(&p->author));
    cJSON_AddStringToObject(o, "state", civic_proposal_state_name(p->state));
    add_int(o, "support_count", p->support_count);
    add_int(o, "threshold", p->threshold);
    add_int(o, "comment_count", p->comment_count);
    add_time(o, "created_at", p->created_at_ms);
    add_time(o, "deadline_at", p->deadline_at_ms);
    cJSON_AddBoolToObject(o, "is_members_only", p->is_members_only);
    add_text(o, "channel", civic_proposal_channel(p->id, p->is_members_only, a));
    add_id(o, "voting_id", p->voting_id);
    cJSON *viewer = add_viewer(o, actor);
    if (viewer) {
        cJSON_AddBoolToObject(viewer, "has_supported", p->support_number > 0);
        add_id(viewer, "support_number", p->support_number);
        cJSON_AddBoolToObject(viewer, "is_following", p->is_following);
    }
    return o;
}

cJSON *civic_view_comment(const struct civic_comment *c, const struct civic_actor *actor,
                          struct arena *a)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", c->id);
    add_int(o, "proposal_id", c->proposal_id);
    add_id(o, "parent_id", c->parent_id);
    add_int(o, "depth", c->depth);
    cJSON_AddItemToObject(o, "author", civic_view_person(&c->author));
    add_markdown(o, c->body, a);
    add_int(o, "up", c->up);
    add_int(o, "down", c->down);
    add_time(o, "created_at", c->created_at_ms);
    if (c->client_id.at)
        add_text(o, "client_id", c->client_id);
    else
        cJSON_AddNullToObject(o, "client_id");
    cJSON *viewer = add_viewer(o, actor);
    if (viewer)
        add_int(viewer, "vote", c->vote);
    if (c->more_replies) {
        cJSON *more = cJSON_AddObjectToObject(o, "more_replies");
        add_int(more, "count", c->more_replies);
        add_text(more, "cursor", c->more_cursor);
    }
    return o;
}

static cJSON *view_option(const struct civic_voting_option *option)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", option->id);
    add_text(o, "title", option->title);
    add_int(o, "votes", option->votes);
    add_int(o, "percent", option->percent);
    return o;
}

cJSON *civic_view_voting(const struct civic_voting *v, const struct civic_actor *actor,
                         struct arena *a)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", v->id);
    add_int(o, "proposal_id", v->proposal_id);
    add_text(o, "title", v->title);
    add_text(o, "text", v->text);
    cJSON_AddStringToObject(o, "method", "single");
    cJSON_AddStringToObject(o, "state", civic_voting_state_name(v->state));
    add_time(o, "opens_at", v->opens_at_ms);
    add_time(o, "closes_at", v->closes_at_ms);
    add_int(o, "voters", v->voters);
    cJSON *options = cJSON_AddArrayToObject(o, "options");
    for (size_t i = 0; i < v->option_count; i++)
        cJSON_AddItemToArray(options, view_option(&v->options[i]));
    add_text(o, "channel", civic_voting_channel(v->id, v->is_members_only, a));
    cJSON *viewer = add_viewer(o, actor);
    if (viewer)
        add_id(viewer, "option_id", v->ballot);
    return o;
}

cJSON *civic_view_tally(const struct civic_voting *v)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", v->id);
    add_int(o, "voters", v->voters);
    cJSON_AddStringToObject(o, "state", civic_voting_state_name(v->state));
    cJSON *options = cJSON_AddArrayToObject(o, "options");
    for (size_t i = 0; i < v->option_count; i++) {
        cJSON *option = cJSON_CreateObject();
        add_int(option, "id", v->options[i].id);
        add_int(option, "votes", v->options[i].votes);
        add_int(option, "percent", v->options[i].percent);
        cJSON_AddItemToArray(options, option);
    }
    return o;
}

cJSON *civic_view_supported(const struct civic_proposal *p)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", p->id);
    add_int(o, "support_count", p->support_count);
    add_int(o, "threshold", p->threshold);
    cJSON_AddStringToObject(o, "state", civic_proposal_state_name(p->state));
    return o;
}

cJSON *civic_view_voted(const struct civic_comment *c)
{
    cJSON *o = cJSON_CreateObject(), *item = cJSON_CreateObject();
    add_int(o, "proposal_id", c->proposal_id);
    cJSON_AddItemToArray(cJSON_AddArrayToObject(o, "items"), item);
    add_int(item, "id", c->id);
    add_int(item, "up", c->up);
    add_int(item, "down", c->down);
    return o;
}

cJSON *civic_view_notification(const struct civic_notification *n)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", n->id);
    add_text(o, "kind", n->kind);
    cJSON_AddItemToObject(o, "actor", civic_view_person(&n->actor));
    cJSON *proposal = cJSON_AddObjectToObject(o, "proposal");
    add_int(proposal, "id", n->proposal_id);
    add_text(proposal, "title", n->proposal_title);
    add_id(o, "comment_id", n->comment_id);
    add_time(o, "created_at", n->created_at_ms);
    cJSON_AddBoolToObject(o, "is_read", n->is_read);
    return o;
}

cJSON *civic_view_support(const struct civic_support *s)
{
    cJSON *o = cJSON_CreateObject();
    add_id(o, "number", s->number);
    add_int(o, "support_count", s->support_count);
    add_int(o, "threshold", s->threshold);
    cJSON_AddStringToObject(o, "state", civic_proposal_state_name(s->state));
    return o;
}

cJSON *civic_view_votes(const struct civic_comment_votes *v)
{
    cJSON *o = cJSON_CreateObject();
    add_int(o, "id", v->id);
    add_int(o, "proposal_id", v->proposal_id);
    add_int(o, "up", v->up);
    add_int(o, "down", v->down);
    add_int(cJSON_AddObjectToObject(o, "viewer"), "vote", v->vote);
    return o;
}

cJSON *civic_view_list(struct str next)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddArrayToObject(o, "items");
    if (next.at)
        add_text(o, "next", next);
    else
        cJSON_AddNullToObject(o, "next");
    return o;
}

static void add_item(cJSON *list, cJSON *item)
{
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(list, "items"), item);
}

cJSON *civic_view_proposals(const struct civic_proposal_list *l, const struct civic_actor *actor,
                            struct arena *a)
{
    cJSON *list = civic_view_list(l->next);
    for (size_t i = 0; i < l->count; i++)
        add_item(list, civic_view_proposal(&l->items[i], actor, a));
    return list;
}

cJSON *civic_view_comments(const struct civic_comment_list *l, const struct civic_actor *actor,
                           struct arena *a)
{
    cJSON *list = civic_view_list(l->next);
    for (size_t i = 0; i < l->count; i++)
        add_item(list, civic_view_comment(&l->items[i], actor, a));
    return list;
}

cJSON *civic_view_notifications(const struct civic_notification_list *l)
{
    cJSON *list = civic_view_list(l->next);
    for (size_t i = 0; i < l->count; i++)
        add_item(list, civic_view_notification(&l->items[i]));
    add_int(list, "unread_count", l->unread_count);
    return list;
}

/* ---- the hot path ---- */
/* Appends parts while there is room; the first failure sticks. */
struct writer {
    struct buf *out;
    enum err err;
};

static void put(struct writer *w, struct str text)
{
    if (!w->err)
        w->err = buf_append(w->out, text.at, text.len);
}

static void put_int(struct writer *w, struct str before, int64_t value)
{
    put(w, before);
    if (!w->err)
        w->err = json_write_int(w->out, value);
}

static void put_text(struct writer *w, struct str before, struct str value)
{
    put(w, before);
    if (!w->err)
        w->err = json_write_string(w->out, value);
}

static void put_time(struct writer *w, struct str before, int64_t unix_ms)
{
    char iso[21];
    clock_iso(unix_ms, iso);
    put_text(w, before, str_of(iso));
}

static void put_id(struct writer *w, struct str before, int64_t id)
{
    if (id) {
        put_int(w, before, id);
        return;
    }
    put(w, before);
    put(w, STR("null"));
}

enum err civic_view_write_comment(const struct civic_comment *c, struct str body_html,
                                  enum civic_view_for whom, struct buf *out)
{
    struct writer w = {.out = out};
    put_int(&w, STR("{\"id\":"), c->id);
    put_int(&w, STR(",\"proposal_id\":"), c->proposal_id);
    put_id(&w, STR(",\"parent_id\":"), c->parent_id);
    put_int(&w, STR(",\"depth\":"), c->depth);
    put_int(&w, STR(",\"author\":{\"id\":"), c->author.id);
    put_text(&w, STR(",\"name\":"), c->author.name);
    put_text(&w, STR("},\"body\":"), c->body);
    put_text(&w, STR(",\"body_html\":"), body_html);
    put_int(&w, STR(",\"up\":"), c->up);
    put_int(&w, STR(",\"down\":"), c->down);
    put_time(&w, STR(",\"created_at\":"), c->created_at_ms);
    if (c->client_id.at)
        put_text(&w, STR(",\"client_id\":"), c->client_id);
    else
        put(&w, STR(",\"client_id\":null"));
    if (whom == CIVIC_VIEW_FOR_AUTHOR) {
        put_int(&w, STR(",\"viewer\":{\"vote\":"), c->vote);
        put(&w, STR("}"));
    }
    put(&w, STR("}"));
    return w.err;
}

enum err civic_view_write_told(const struct civic_notification *n, int64_t unread, struct buf *out)
{
    struct writer w = {.out = out};
    put_int(&w, STR("{\"notification\":{\"id\":"), n->id);
    put_text(&w, STR(",\"kind\":"), n->kind);
    put_int(&w, STR(",\"actor\":{\"id\":"), n->actor.id);
    put_text(&w, STR(",\"name\":"), n->actor.name);
    put_int(&w, STR("},\"proposal\":{\"id\":"), n->proposal_id);
    put_text(&w, STR(",\"title\":"), n->proposal_title);
    put_id(&w, STR("},\"comment_id\":"), n->comment_id);
    put_time(&w, STR(",\"created_at\":"), n->created_at_ms);
    put(&w, n->is_read ? STR(",\"is_read\":true}") : STR(",\"is_read\":false}"));
    put_int(&w, STR(",\"unread_count\":"), unread);
    put(&w, STR("}"));
    return w.err;
}
