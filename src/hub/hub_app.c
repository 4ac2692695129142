#include "hub/hub_app.h"

const struct hub_app hub_app_defaults = {
    .activity_timeout_s = 30,
    .ping_interval_s = 60,
    .max_timestamp_skew_s = 600,
    .max_message_bytes = 10000,
    .max_request_bytes = 10000,
    .recovery = {.limits = {.ttl_ms = 120000,
                            .max_messages = 1000,
                            .max_bytes = (size_t)1024 * 1024,
                            .ack = STREAM_WRITE}},
    .max_out_bytes = (size_t)1024 * 1024,
    .max_channels = 1000,
    .max_channel_name_bytes = 512,
    .authorized_timeout_s = 30,
    .cache_ttl_s = 1800,
};

const struct hub_app *hub_app_find_by_key(const struct hub_apps *apps, struct str key)
{
    for (size_t i = 0; i < apps->count; i++)
        if (str_eq(apps->at[i].key, key))
            return &apps->at[i];
    return NULL;
}

const struct hub_app *hub_app_find_by_id(const struct hub_apps *apps, struct str id)
{
    for (size_t i = 0; i < apps->count; i++)
        if (str_eq(apps->at[i].id, id))
            return &apps->at[i];
    return NULL;
}
