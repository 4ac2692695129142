/* hub_limit.h -- how many messages a client may send. For the hub's own files. */
#ifndef HUB_LIMIT_H
#define HUB_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* A fixed window, started by its first message, as Laravel's limiter has it. */
struct hub_limit {
    int64_t end_ms;
    int64_t used;
};

/* Takes one of max for each window_ms; false when there is none left. */
static inline bool hub_limit_take(struct hub_limit *l, int64_t now_ms, int64_t max,
                                  int64_t window_ms)
{
    if (now_ms >= l->end_ms)
        *l = (struct hub_limit){.end_ms = now_ms + window_ms};
    if (l->used >= max)
        return false;
    l->used++;
    return true;
}

#endif
