/* app_stops.h -- counts what the operator's thread waits for at the end. Any thread. */
#ifndef APP_STOPS_H
#define APP_STOPS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct app_stops {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int pending;
};

void app_stops_init(struct app_stops *s);
void app_stops_done(struct app_stops *s);

/* One more to wait for, and one of them happened (ctx is the struct app_stops). */
void app_stops_expect(struct app_stops *s);
void app_stops_happen(void *ctx);

/* True when all expected ones have happened within wait_ms. */
bool app_stops_wait(struct app_stops *s, int64_t wait_ms);

#endif
