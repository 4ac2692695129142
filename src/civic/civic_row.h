/* civic_row.h -- reading rows into an arena. */
#ifndef CIVIC_ROW_H
#define CIVIC_ROW_H

#include "core/arena.h"
#include "store/store.h"

/* A column's text, kept. at == NULL when the column is NULL. */
static inline struct str civic_row_text(struct store_stmt *st, int index, struct arena *a)
{
    struct str s = store_column_text(st, index);
    return s.at ? arena_str(a, s) : s;
}

/* Binds 0 as NULL, for optional references. */
static inline void civic_row_bind_id(struct store_stmt *st, int index, int64_t id)
{
    if (id)
        store_bind_int(st, index, id);
    else
        store_bind_null(st, index);
}

#endif
