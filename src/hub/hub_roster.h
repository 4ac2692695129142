/* hub_roster.h -- who is on a presence channel: its members, each a user with one or more
 * connections. A pure data structure; hub_room makes events of what it answers.
 *
 * A user is who has the same user_id; 7 and "7" are one user, as with Pusher, and "10" and "1e1"
 * are two. The first connection's user_info stands for all. Members are in the order of their first
 * connection.
 */
#ifndef HUB_ROSTER_H
#define HUB_ROSTER_H

#include "core/buf.h"
#include "core/list.h"
#include "core/map.h"

struct hub_roster {
    struct map by_key;   // struct hub_member
    struct list members; // in order
};

struct hub_room;

struct hub_member {
    struct list node;     // in members
    struct str key;       // user_id as text
    struct str id_json;   // as it was signed: 7 or "7"
    struct str info_json; // "{}" when it was absent
    /* the room's */
    struct hub_room *room;
    struct list leaving;  // held back until due_ms
    int64_t due_ms;       // of io_loop_now_ms
    uint32_t connections; // 0: has left, is held back
    char bytes[];
};

void hub_roster_init(struct hub_roster *r);
void hub_roster_done(struct hub_roster *r);

/* NULL: no such member. */
struct hub_member *hub_roster_find(const struct hub_roster *r, struct str key);
/* A member without connections yet; key must be new. Strings are copied. */
struct hub_member *hub_roster_add(struct hub_roster *r, struct str key, struct str id_json,
                                  struct str info_json);
void hub_roster_remove(struct hub_roster *r, struct hub_member *m);

/* Bytes that hub_roster_write may take. */
size_t hub_roster_text_bytes(struct hub_roster *r);
/* Appends {"count":2,"ids":[...],"hash":{...}}. out must have room. */
void hub_roster_write(struct hub_roster *r, struct buf *out);

#endif
