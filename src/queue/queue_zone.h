/* queue_zone.h -- a time zone of the system's tzdata (IANA), by its name: how far its clocks are
 * ahead of UTC at an instant.
 *
 * Not localtime_r: it knows one zone, the process's, and setenv("TZ") is no way to change it while
 * other threads run. GLib reads the same files, also their rule for the years after the last
 * change that they list.
 */
#ifndef QUEUE_ZONE_H
#define QUEUE_ZONE_H

#include <stdint.h>

#include "core/str.h"

struct queue_zone;

enum { QUEUE_ZONE_MAX_NAME_BYTES = 64 };

/* "Europe/Kyiv", "UTC"; empty: UTC. ERR_NOT_FOUND: the system has no such zone, or it is no name.
 * Any thread. */
MUST_USE enum err queue_zone_open(struct str name, struct queue_zone **out);
void queue_zone_close(struct queue_zone *zone); // NULL is accepted

/* Seconds to add to UTC, at this instant (seconds since 1970). Any thread. */
int64_t queue_zone_offset_s(const struct queue_zone *zone, int64_t unix_s);

#endif
