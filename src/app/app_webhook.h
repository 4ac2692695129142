/* app_webhook.h -- carries the hubs' webhooks to the queue, and the queue's to the sender.
 *
 *     hub (any loop) -- sink: copied --> store_write_later: a job --> queue "webhook" --> sender
 *
 * The loop never waits. Bodies that wait for the store are bounded in bytes: past that, and when
 * the store fails, a batch is lost, which the log says. From the commit on it is durable.
 */
#ifndef APP_WEBHOOK_H
#define APP_WEBHOOK_H

#include "api/api_metrics.h"
#include "hub/hub_hook.h"
#include "store/store.h"

struct app_webhook;

struct app_webhook_options {
    bool allows_private;
    int64_t retry_ms;
};

/* store and apps are borrowed, apps for ever. NULL: the system refuses a thread (logged). */
struct app_webhook *app_webhook_new(struct store *store, const struct hub_apps *apps,
                                    const struct app_webhook_options *options);
MUST_USE enum err app_webhook_start(struct app_webhook *w);
/* After a reload: whose keys sign from now on. Any thread. */
void app_webhook_use_apps(struct app_webhook *w, const struct hub_apps *apps);
/* For hub_send_webhooks. */
struct hub_hook_sink app_webhook_sink(struct app_webhook *w);
/* As queue_stop, before store_close; what hubs send afterwards waits for the next start. */
/* What became of them, for /metrics; ctx is the app_webhook. The caller frees out->at. Blocks. */
void app_webhook_read(void *ctx, struct api_metrics_webhooks *out);
bool app_webhook_stop(struct app_webhook *w, int64_t wait_ms);
/* After store_close. */
void app_webhook_free(struct app_webhook *w);

#endif
