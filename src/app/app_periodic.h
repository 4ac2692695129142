/* app_periodic.h -- the periodic jobs of the operator's file.
 *
 *     [night-report]
 *     cron = 30 2 * * *
 *     zone = Europe/Kyiv
 *     kind = report.write
 *     payload = {"days":1}
 *     queue = reports
 *     overlap = skip
 *     catch-up = 2h
 *
 * cron and kind are necessary. Defaults: UTC, no payload, the queue "default", skip, a minute. The
 * file says all: what it held at the last start and does not any more is removed.
 */
#ifndef APP_PERIODIC_H
#define APP_PERIODIC_H

#include "store/store.h"

/* path "": there is no file, nothing is declared or removed. Not OK: why_out says where and what.
 */
MUST_USE enum err app_periodic_declare(struct store *store, const char *path, char *why_out,
                                       size_t why_cap);

#endif
