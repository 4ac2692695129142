#include "queue/queue_zone.h"

#include <glib.h>

#include "core/mem.h"

struct queue_zone {
    GTimeZone *glib;
};

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* A name as IANA gives them, so no path that leaves the folder of zones, none of its other files
 * and no rule or offset, which GLib would take too. */
static bool is_name(struct str name)
{
    if (name.len > QUEUE_ZONE_MAX_NAME_BYTES || name.at[0] < 'A' || name.at[0] > 'Z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool is_inner = (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-';
        bool starts_part = i > 0 && name.at[i - 1] == '/';
        if (!is_letter(c) && (starts_part || !(is_inner || c == '/')))
            return false;
    }
    return name.at[name.len - 1] != '/';
}

enum err queue_zone_open(struct str name, struct queue_zone **out)
{
    char text[QUEUE_ZONE_MAX_NAME_BYTES + 1];
    if (name.len == 0)
        name = STR("UTC");
    if (!is_name(name))
        return ERR_NOT_FOUND;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    GTimeZone *glib = g_time_zone_new_identifier(text);
    if (!glib)
        return ERR_NOT_FOUND;
    *out = MEM_NEW(struct queue_zone);
    (*out)->glib = glib;
    return OK;
}

void queue_zone_close(struct queue_zone *zone)
{
    if (!zone)
        return;
    g_time_zone_unref(zone->glib);
    mem_free(zone);
}

int64_t queue_zone_offset_s(const struct queue_zone *zone, int64_t unix_s)
{
    // Of a time in UTC every zone knows its interval.
    gint interval = g_time_zone_find_interval(zone->glib, G_TIME_TYPE_UNIVERSAL, unix_s);
    return g_time_zone_get_offset(zone->glib, interval);
}
