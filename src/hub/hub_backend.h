/* hub_backend.h -- what a backend asks and does besides publishing: channels, their members,
 * connections, the end of a user's connections.
 *
 * Every answer is of all hubs, and comes later, on the asking hub's loop. Answers are JSON texts,
 * written where the facts are; all of one answer are at most HUB_BACKEND_MAX_BYTES. A list of all
 * channels is made by and by, HUB_BACKEND_ROOMS_A_TURN at a time on each loop, and one list after
 * the other, so it neither holds up the loops nor takes much memory.
 */
#ifndef HUB_BACKEND_H
#define HUB_BACKEND_H

#include "hub/hub.h"

enum {
    HUB_BACKEND_MAX_BYTES = 7 * 1024 * 1024,
    HUB_BACKEND_ROOMS_A_TURN = 1000,
    HUB_BACKEND_MAX_UNSYNCED_BYTES = 16 * 1024 * 1024, // of one app
};

/* May more be published to the app? Not while so much of it, over all hubs, waits for a disk that
 * syncs too slowly (recovery with "fsync"): who is refused is counted. A call that was let in puts
 * all that it has on top. On h's loop. */
bool hub_backend_may_publish(struct hub *h, const struct hub_app *app);

/* What may be asked of a channel; what does not apply to it is left out. */
enum hub_backend_attribute {
    HUB_BACKEND_OCCUPIED = 1,
    HUB_BACKEND_USER_COUNT = 2,         // of a presence channel
    HUB_BACKEND_SUBSCRIPTION_COUNT = 4, // of any other
    HUB_BACKEND_CACHE = 8,              // the cached event with its "ttl" in seconds
};
/* "user_count,cache" as bits; unknown words are left out. */
unsigned hub_backend_attributes(struct str info);

struct hub_backend_question {
    struct str channel;
    unsigned attributes;
};

/* texts are borrowed for the call. ERR_TOO_LARGE: the answer would be. ERR_AGAIN: the hub ends. */
typedef void hub_backend_texts_fn(void *ctx, enum err err, const struct str *texts, size_t count);

/* {"occupied":true,...} for each question, in their order. */
void hub_backend_describe(struct hub *asking, const struct hub_app *app,
                          const struct hub_backend_question *questions, size_t count,
                          hub_backend_texts_fn *on_done, void *ctx);
/* The occupied channels whose names start with prefix: texts of "name":{...},"name":{...}, in no
 * order, to be joined by commas. */
void hub_backend_list(struct hub *asking, const struct hub_app *app, struct str prefix,
                      unsigned attributes, hub_backend_texts_fn *on_done, void *ctx);
/* The members of a presence channel: one text of {"id":7},{"id":"x"} in the order of their coming.
 * ERR_NOT_FOUND: the channel is not occupied. ERR_INVALID: it is no presence channel. */
void hub_backend_members(struct hub *asking, const struct hub_app *app, struct str channel,
                         hub_backend_texts_fn *on_done, void *ctx);

/* Sockets with at least one subscription. */
typedef void hub_backend_count_fn(void *ctx, uint64_t count);
void hub_backend_connections(struct hub *asking, const struct hub_app *app,
                             hub_backend_count_fn *on_done, void *ctx);

/* Closes all sockets of a user with 4009. */
void hub_backend_terminate(struct hub *asking, const struct hub_app *app, struct str user_id,
                           void (*on_done)(void *ctx), void *ctx);

/* The hub ends: answers the lists that wait with ERR_AGAIN. */
void hub_backend_give_up(struct hub *h);

#endif
