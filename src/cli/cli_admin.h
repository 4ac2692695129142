/* cli_admin.h -- asks the running server over DIR/admin.sock (docs/operations.md). */
#ifndef CLI_ADMIN_H
#define CLI_ADMIN_H

#include <stdbool.h>

#include "core/buf.h"

enum { CLI_ADMIN_WHY_BYTES = 1200 };

struct cli_admin_answer {
    struct buf body;  // the caller's, with its maximum
    bool is_streamed; // printed as it comes, until the server or the reader of our output goes
    long status;      // of HTTP
    long timeout_ms;  // for all of it; of what is streamed: for its head
};

/* GET path, "/hub/channels?limit=1", of the server of the data directory. ERR_NOT_FOUND: no server
 * answers. ERR_TIMEOUT: not in time: it hangs. ERR_IO. why_out: a sentence. */
MUST_USE enum err cli_admin_get(const char *data, const char *path, struct cli_admin_answer *out,
                                char *why_out, size_t why_cap);

#endif
