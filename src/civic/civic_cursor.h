/* civic_cursor.h -- where a list goes on: the sort key and id of its last item, as an opaque text.
 *
 * Base64url of "ORDER.KEY.ID". The order is in it, so that a cursor of one list and order is
 * refused in another. Items that are inserted meanwhile never shift the next page.
 */
#ifndef CIVIC_CURSOR_H
#define CIVIC_CURSOR_H

#include <stdint.h>

#include "core/arena.h"

struct civic_cursor {
    // Comments: 'n' newest first, 'o' oldest first, 'r' threads, 'a' the replies of one. Proposals:
    // 'p' newest, 't' top first. 'b' notifications.
    char order;
    int64_t key; // of the order, 0 when the id is the key; 'a': the thread
    int64_t id;
};

struct str civic_cursor_write(struct civic_cursor cursor, struct arena *a);

/* ERR_INVALID: not a cursor, or of another order. */
MUST_USE enum err civic_cursor_parse(struct str text, char order, struct civic_cursor *out);

#endif
