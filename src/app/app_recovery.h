/* app_recovery.h -- the log behind recovery: DATA/hub, its syncs, and the hubs that use it. */
#ifndef APP_RECOVERY_H
#define APP_RECOVERY_H

#include "app/app.h"
#include "io/io_pool.h"
#include "stream/stream_store.h"

struct app_recovery {
    struct stream_store *store; // NULL: this process has no hub
    struct io_pool *pool;       // of syncs
};

/* A process without the role, or with the log on disk switched off, removes what is there: nobody
 * keeps it up. ERR_CONFLICT, ERR_IO, with why. */
MUST_USE enum err app_recovery_open(struct app_recovery *r, const struct app_options *options,
                                    bool has_hub, size_t loops, char *why_out, size_t why_cap);
/* After the loops ended, before they are freed: no sync is on its way afterwards. */
void app_recovery_end_syncs(struct app_recovery *r);
/* After the hubs were freed: a clean stop. */
void app_recovery_close(struct app_recovery *r);

#endif
