/* app_embed.h -- what tools/embed puts into the binary beside http_static.h's files. */
#ifndef APP_EMBED_H
#define APP_EMBED_H

#include "store/store.h"

/* migrations/NNNN_what.sql in order. */
extern const struct store_migration app_embed_migrations[];
extern const size_t app_embed_migration_count;

#endif
