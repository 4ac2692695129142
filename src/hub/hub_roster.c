#include "hub/hub_roster.h"

#include "core/check.h"
#include "core/json.h"
#include "core/mem.h"

void hub_roster_init(struct hub_roster *r)
{
    map_init(&r->by_key);
    list_init(&r->members);
}

void hub_roster_done(struct hub_roster *r)
{
    while (!list_is_empty(&r->members))
        hub_roster_remove(r, LIST_ENTRY(r->members.next, struct hub_member, node));
    map_done(&r->by_key);
}

struct hub_member *hub_roster_find(const struct hub_roster *r, struct str key)
{
    return map_find(&r->by_key, key);
}

struct hub_member *hub_roster_add(struct hub_roster *r, struct str key, struct str id_json,
                                  struct str info_json)
{
    struct hub_member *m = mem_zalloc(sizeof(*m) + key.len + id_json.len + info_json.len);
    char *at = m->bytes;
    m->key = str_keep(&at, key);
    m->id_json = str_keep(&at, id_json);
    m->info_json = str_keep(&at, info_json);
    list_init(&m->node);
    list_init(&m->leaving);
    list_append(&r->members, &m->node);
    CHECK(map_put(&r->by_key, m->key, m) == NULL);
    return m;
}

void hub_roster_remove(struct hub_roster *r, struct hub_member *m)
{
    map_remove(&r->by_key, m->key);
    list_remove(&m->node);
    list_remove(&m->leaving);
    mem_free(m);
}

size_t hub_roster_text_bytes(struct hub_roster *r)
{
    size_t bytes = 64;
    for (struct list *node = r->members.next; node != &r->members; node = node->next) {
        const struct hub_member *m = LIST_ENTRY(node, struct hub_member, node);
        bytes += m->id_json.len + 6 * m->key.len + m->info_json.len + 8;
    }
    return bytes;
}

static void put(struct buf *out, struct str text)
{
    CHECK(buf_append(out, text.at, text.len) == OK);
}

void hub_roster_write(struct hub_roster *r, struct buf *out)
{
    struct list *node;
    put(out, STR("{\"count\":"));
    CHECK(json_write_int(out, (int64_t)r->by_key.count) == OK);
    put(out, STR(",\"ids\":["));
    for (node = r->members.next; node != &r->members; node = node->next) {
        if (node != r->members.next)
            put(out, STR(","));
        put(out, LIST_ENTRY(node, struct hub_member, node)->id_json);
    }
    put(out, STR("],\"hash\":{"));
    for (node = r->members.next; node != &r->members; node = node->next) {
        const struct hub_member *m = LIST_ENTRY(node, struct hub_member, node);
        if (node != r->members.next)
            put(out, STR(","));
        CHECK(json_write_string(out, m->key) == OK);
        put(out, STR(":"));
        put(out, m->info_json);
    }
    put(out, STR("}}"));
}
