/* hub_post.h -- what hubs tell each other, each on its own loop. For the hub's own files.
 *
 *     publication   an event:        any thread -> the channel's owner -> every hub
 *     note          someone joins, leaves, wants more:       a hub -> the channel's owner
 *     answer        the owner's word on a join:              the owner -> that hub
 *
 * Every channel has one owner among the hubs, chosen by its name. All that concerns the channel as
 * a whole passes the owner, which so makes one order of it. What an owner posts to a hub arrives in
 * the order of posting; to itself it speaks by a plain call, which keeps that order.
 */
#ifndef HUB_POST_H
#define HUB_POST_H

#include <stdatomic.h>

#include "hub/hub_internal.h"

/* The owner of a channel: the hub of index hub_log_of. Any thread. */
struct hub *hub_post_owner(const struct hub_relay *r, const struct hub_app *app,
                           struct str channel);

/* ---- publications ---- */

enum hub_publication_kind {
    HUB_EVENT,        // of a backend: may be cached
    HUB_CLIENT_EVENT, // of a client
    HUB_MEMBER_EVENT, // made by the owner: members, counts
};

struct hub_post;

/* One event on its way; shared by all hubs, freed by the last. */
struct hub_publication {
    atomic_size_t refs;
    enum hub_publication_kind kind;
    int64_t made_ns; // of clock_mono_ns
    const struct hub_app *app;
    struct str channel;
    struct str frame;            // one whole WebSocket text frame
    struct str except_socket_id; // gets nothing; empty: all get it
    bool is_counted;             // by those who recover: its name is no protocol's
    uint64_t stream_id, serial;  // where it stands in the channel's stream; 0: nowhere
    struct list node;            // of hub_recovery.c, while it waits for the disk
    struct str idempotency_key;  // hub_idempotency; empty: delivered always
    struct hub_post *posts;      // private: one for each hub
};

/* Strings are copied. Goes on with hub_post_to_owner or hub_post_to_hubs. Any thread. */
struct hub_publication *hub_post_new(const struct hub_relay *r, const struct hub_publication *like);
/* Any thread: hub_room_publish runs on the owner's loop; now, when from, the hub on whose loop this
 * is called, is the owner. from: NULL on no hub's loop. Takes p. */
void hub_post_to_owner(const struct hub_relay *r, const struct hub *from,
                       struct hub_publication *p);
/* The owner's thread: every hub's subscribers get the frame. Takes p. */
void hub_post_to_hubs(struct hub *owner, struct hub_publication *p);
void hub_post_free(struct hub_publication *p);
/* At the end of a turn, when all is sent: how long what was published waited for it. */
void hub_post_observe_turn(struct hub *h);

/* ---- notes and answers ---- */

enum hub_note_kind { HUB_JOIN, HUB_LEAVE, HUB_MORE };

/* What a client that recovers asks for. */
struct hub_recover {
    bool is_asked;
    bool has_position; // and it wants what came after that one
    uint64_t stream_id, serial;
    struct str old_socket_id; // it had this id then
};

struct hub_note {
    enum hub_note_kind kind;
    const struct hub_app *app;
    struct hub *from;
    struct str channel, socket_id;
    uint32_t ticket;    // of the subscription, comes back with the answer
    bool is_waiting;    // wants an answer
    bool is_again;      // the socket is on the channel already, the owner said so
    struct str was_key; // and was this user there; empty: none
    /* who joins or leaves a presence channel; empty for nobody */
    struct str user_key, user_id_json, user_info_json;
    struct str channel_data; // of a join, as it was signed
    struct hub_recover recover;
    bool was_recoverable; // the subscription counted before
};

/* One who waits for an answer says nothing of leaving until it is there: only a subscription that
 * the owner counts is taken back. */

/* Tells the channel's owner: hub_room_take. note->from is the calling thread's hub. */
void hub_post_note(const struct hub_note *note);

/* What a subscriber that counts missed, as far as it goes. */
struct hub_page {
    bool is_there;
    bool is_live;               // what follows is sent live
    bool is_lost;               // the rest is gone
    uint64_t stream_id, serial; // where the subscriber is after the page
    struct str frames;
};

struct hub_answer {
    const struct hub_app *app;
    enum hub_note_kind kind; // of the note that it answers
    struct str channel, socket_id, user_key;
    uint32_t ticket;
    bool is_recoverable; // the subscription counts
    bool is_refused;     // the subscription is over, and not counted
    struct str frames;   // whole WebSocket frames for the socket
    struct hub_page page;
};

/* The owner's thread; to gets it: hub_subscribe_answered. */
void hub_post_answer(struct hub *owner, struct hub *to, const struct hub_answer *answer);

#endif
