#include "hub/hub_user.h"

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "hub/hub_auth.h"
#include "hub/hub_post.h"
#include "hub/hub_relay_internal.h"
#include "hub/hub_watch.h"

enum { MAX_ID_BYTES = 256 };

/* ---- watches, at the owner of a user's name ---- */

struct watcher {
    struct list node;
    struct hub *hub;
    char socket_id[HUB_SOCKET_ID_BYTES];
};

/* A user who is online, or whom somebody watches. */
struct watch {
    uint32_t online; // sockets, over all hubs
    struct list watchers;
    size_t id_len;
    char id[];
};

enum what { ONLINE, OFFLINE, WATCH, UNWATCH, TELL_ONLINE, TELL_OFFLINE };

/* From a hub to the user's owner, or (TELL) from the owner to a watcher's hub. */
struct word {
    struct io_task task;
    enum what what;
    struct hub *from, *to;
    const struct hub_app *app;
    char socket_id[HUB_SOCKET_ID_BYTES];
    size_t id_len;
    char id[];
};

static void send_word(struct hub *from, struct hub *to, const struct hub_app *app, enum what what,
                      const char *socket_id, struct str id);

static struct str id_of(const struct watch *w)
{
    return (struct str){w->id, w->id_len};
}

static struct watch *get_watch(struct hub_tenant *t, struct str id)
{
    struct watch *w = map_find(&t->watches, id);
    if (w)
        return w;
    w = mem_zalloc(sizeof(*w) + id.len);
    list_init(&w->watchers);
    w->id_len = id.len;
    memcpy(w->id, id.at, id.len);
    map_put(&t->watches, id_of(w), w);
    return w;
}

static void drop_watch_when_idle(struct hub_tenant *t, struct watch *w)
{
    if (w->online > 0 || !list_is_empty(&w->watchers))
        return;
    map_remove(&t->watches, id_of(w));
    mem_free(w);
}

static void tell_watchers(struct hub_tenant *t, const struct watch *w, enum what what)
{
    for (struct list *node = w->watchers.next; node != &w->watchers; node = node->next) {
        const struct watcher *watcher = LIST_ENTRY(node, struct watcher, node);
        send_word(t->hub, watcher->hub, t->app, what, watcher->socket_id, id_of(w));
    }
}

static void add_watcher(struct watch *w, const struct word *word)
{
    struct watcher *watcher = MEM_NEW(struct watcher);
    watcher->hub = word->from;
    memcpy(watcher->socket_id, word->socket_id, sizeof(watcher->socket_id));
    list_append(&w->watchers, &watcher->node);
    if (w->online > 0)
        send_word(word->to, word->from, word->app, TELL_ONLINE, word->socket_id, id_of(w));
}

static void remove_watcher(struct watch *w, const char *socket_id)
{
    for (struct list *node = w->watchers.next; node != &w->watchers; node = node->next) {
        struct watcher *watcher = LIST_ENTRY(node, struct watcher, node);
        if (strcmp(watcher->socket_id, socket_id) != 0)
            continue;
        list_remove(node);
        mem_free(watcher);
        return;
    }
}

/* ---- at a watcher's hub ---- */

static void tell_socket(struct hub *h, const struct word *word)
{
    struct hub_socket *s = hub_socket_find(h, str_of(word->socket_id));
    struct buf out;
    if (!s)
        return;
    hub_message_init(&out, word->id_len);
    hub_message_watchlist(&out, word->what == TELL_ONLINE ? "online" : "offline",
                          (struct str){word->id, word->id_len});
    hub_socket_send_out(s, &out);
}

static void take_word(const struct word *word)
{
    struct hub_tenant *t = hub_tenant_of(word->to, word->app);
    if (word->what == TELL_ONLINE || word->what == TELL_OFFLINE) {
        tell_socket(word->to, word);
        return;
    }
    struct watch *w = get_watch(t, (struct str){word->id, word->id_len});
    if (word->what == ONLINE) {
        if (w->online++ == 0)
            tell_watchers(t, w, TELL_ONLINE);
    } else if (word->what == OFFLINE) {
        CHECK(w->online > 0);
        if (--w->online == 0)
            tell_watchers(t, w, TELL_OFFLINE);
    } else if (word->what == WATCH) {
        add_watcher(w, word);
    } else {
        remove_watcher(w, word->socket_id);
    }
    drop_watch_when_idle(t, w);
}

static void on_word(struct io_task *task)
{
    struct word *word = LIST_ENTRY(task, struct word, task);
    take_word(word);
    mem_free(word);
}

static void send_word(struct hub *from, struct hub *to, const struct hub_app *app, enum what what,
                      const char *socket_id, struct str id)
{
    if (from->relay->is_closed)
        return;
    struct word *word = mem_zalloc(sizeof(*word) + id.len);
    word->task.run = on_word;
    word->what = what;
    word->from = from;
    word->to = to;
    word->app = app;
    memcpy(word->socket_id, socket_id, strlen(socket_id) + 1);
    word->id_len = id.len;
    memcpy(word->id, id.at, id.len);
    io_loop_post(to->loop, &word->task);
}

static void tell_owner(struct hub_socket *s, enum what what, struct str id)
{
    struct hub *owner = hub_post_owner(s->hub->relay, s->tenant->app, id);
    send_word(s->hub, owner, s->tenant->app, what, s->id, id);
}

void hub_user_done_tenant(struct hub_tenant *t)
{
    size_t cursor = 0;
    const struct map_entry *e;
    while ((e = map_next(&t->watches, &cursor))) {
        struct watch *w = e->value;
        struct list *node;
        while ((node = list_shift(&w->watchers)))
            mem_free(LIST_ENTRY(node, struct watcher, node));
        mem_free(w);
    }
    map_done(&t->watches);
}

/* ---- signing in ---- */

struct sign_in {
    struct str auth, user_data; // as they came
    struct str user_data_json;  // with quotes
    struct str id, channel_data;
    struct str watched[HUB_USER_MAX_WATCHED];
    size_t watched_count;
    bool has_too_many;
};

static enum err read_watchlist(const struct json_slice *list, struct arena *a, struct sign_in *out)
{
    struct json_slice *items = arena_alloc(a, (HUB_USER_MAX_WATCHED + 1) * sizeof(*items));
    size_t count;
    if (!list || list->kind == JSON_NULL)
        return OK;
    enum err err = json_scan_array(list->text, items, HUB_USER_MAX_WATCHED, &count);
    if (err == ERR_TOO_LARGE) {
        out->has_too_many = true;
        return OK;
    }
    for (size_t i = 0; !err && i < count; i++) {
        struct str id;
        err = json_unescape(&items[i], a, &id);
        if (!err && id.len > 0 && id.len <= MAX_ID_BYTES)
            out->watched[out->watched_count++] = id;
    }
    return err;
}

/* ERR_INVALID: not a message. ERR_DENIED: no user in it. */
static enum err read_sign_in(const struct hub_message *m, struct arena *a, struct sign_in *out)
{
    struct json_field fields[JSON_MAX_FIELDS];
    size_t count;
    *out = (struct sign_in){0};
    if (!m->data || json_scan_object(m->data->text, fields, JSON_MAX_FIELDS, &count) != OK)
        return ERR_INVALID;
    const struct json_slice *auth = json_field_find(fields, count, STR("auth"));
    const struct json_slice *data = json_field_find(fields, count, STR("user_data"));
    if (!auth || json_unescape(auth, a, &out->auth) != OK || !data ||
        json_unescape(data, a, &out->user_data) != OK)
        return ERR_INVALID;
    out->user_data_json = data->text;
    if (json_scan_object(out->user_data, fields, JSON_MAX_FIELDS, &count) != OK)
        return ERR_INVALID;
    const struct json_slice *id = json_field_find(fields, count, STR("id"));
    if (!id || json_unescape(id, a, &out->id) != OK || out->id.len == 0 ||
        out->id.len > MAX_ID_BYTES)
        return ERR_DENIED;
    const struct json_slice *info = json_field_find(fields, count, STR("user_info"));
    out->channel_data = arena_printf(a, "{\"user_id\":%.*s,\"user_info\":%.*s}", STR_ARG(id->text),
                                     STR_ARG(info ? info->text : STR("{}")));
    return read_watchlist(json_field_find(fields, count, STR("watchlist")), a, out);
}

static struct hub_user *user_new(const struct sign_in *in)
{
    size_t table = in->watched_count * sizeof(struct str);
    size_t bytes = table + in->id.len + in->channel_data.len;
    for (size_t i = 0; i < in->watched_count; i++)
        bytes += in->watched[i].len;
    struct hub_user *user = mem_zalloc(sizeof(*user) + bytes);
    char *at = (char *)(user + 1) + table;
    user->watched = (struct str *)(void *)(user + 1);
    user->watched_count = in->watched_count;
    user->id = str_keep(&at, in->id);
    user->channel_data = str_keep(&at, in->channel_data);
    for (size_t i = 0; i < in->watched_count; i++)
        user->watched[i] = str_keep(&at, in->watched[i]);
    return user;
}

static void become(struct hub_socket *s, const struct sign_in *in)
{
    s->user = user_new(in);
    hub_identity_add(&s->user->identity, s, s->user->id);
    s->is_authorized = true;
    tell_owner(s, ONLINE, s->user->id);
    for (size_t i = 0; i < s->user->watched_count; i++)
        tell_owner(s, WATCH, s->user->watched[i]);
}

void hub_user_sign_in(struct hub_socket *s, const struct hub_message *m, struct arena *a)
{
    struct sign_in *in = ARENA_NEW(a, struct sign_in);
    enum err err = read_sign_in(m, a, in);
    if (err == ERR_INVALID) {
        hub_socket_send_bad_message(s);
        return;
    }
    bool is_other = s->user && !str_eq(s->user->id, in->id);
    if (err || is_other ||
        !hub_auth_user_is_valid(s->tenant->app, str_of(s->id), in->user_data, in->auth)) {
        struct str why = STR("Connection is unauthorized");
        hub_watch_socket(s, (struct hub_watch_event){.kind = HUB_WATCH_REFUSED_SIGNIN,
                                                     .code = HUB_ERROR_UNAUTHORIZED,
                                                     .why = why});
        hub_socket_send_error(s, HUB_ERROR_UNAUTHORIZED, why);
        return;
    }
    struct buf out;
    hub_socket_init_out(s, &out);
    hub_message_signed_in(&out, in->user_data_json);
    hub_socket_send_out(s, &out);
    if (in->has_too_many)
        hub_socket_send_error(s, HUB_ERROR_WATCHLIST, STR("The watchlist has too many users."));
    if (!s->user)
        become(s, in);
}

void hub_user_leave(struct hub_socket *s)
{
    struct hub_user *user = s->user;
    if (!user)
        return;
    for (size_t i = 0; i < user->watched_count; i++)
        tell_owner(s, UNWATCH, user->watched[i]);
    tell_owner(s, OFFLINE, user->id);
    hub_identity_remove(&user->identity);
    mem_free(user);
    s->user = NULL;
}

bool hub_user_owns_channel(const struct hub_socket *s, struct str channel)
{
    struct str prefix = STR("#server-to-user-");
    struct str id = {channel.at + prefix.len, channel.len - prefix.len};
    return s->user && str_eq(s->user->id, id);
}

struct str hub_user_channel_data(const struct hub_socket *s)
{
    return s->user ? s->user->channel_data : STR("");
}
