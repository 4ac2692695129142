#include "app/app_recovery.h"

#include <stdio.h>

#include "hub/hub.h"

enum { PATH_BYTES = 4096, MIB = 1024 * 1024, DISK_FACTOR = 4 };

enum err app_recovery_open(struct app_recovery *r, const struct app_options *options, bool has_hub,
                           size_t loops, char *why_out, size_t why_cap)
{
    char dir[PATH_BYTES];
    *r = (struct app_recovery){0};
    if ((size_t)snprintf(dir, sizeof(dir), "%s/hub", options->data) >= sizeof(dir)) {
        snprintf(why_out, why_cap, "the path of the data directory is too long");
        return ERR_TOO_LARGE;
    }
    bool is_on_disk = has_hub && options->is_recovery_on_disk;
    enum err err = is_on_disk ? OK : stream_store_purge(dir, why_out, why_cap);
    if (err || !has_hub)
        return err;
    struct stream_store_options store = {
        .dir = is_on_disk ? dir : NULL,
        .log_count = loops,
        .log = stream_log_defaults,
        .log_of = hub_log_of,
    };
    store.log.max_bytes = (size_t)options->recovery_mib * MIB;
    store.log.max_disk_bytes = DISK_FACTOR * store.log.max_bytes;
    err = stream_store_open(&store, &r->store, why_out, why_cap);
    if (err)
        r->store = NULL;
    else
        r->pool = io_pool_new(1, "sync");
    return err;
}

void app_recovery_end_syncs(struct app_recovery *r)
{
    io_pool_free(r->pool);
    r->pool = NULL;
}

void app_recovery_close(struct app_recovery *r)
{
    stream_store_close(r->store);
    r->store = NULL;
}
