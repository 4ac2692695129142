/* app_seal.h -- the keys of --seal-keys FILE (queue/queue_seal.h says what is in it). */
#ifndef APP_SEAL_H
#define APP_SEAL_H

#include "queue/queue_seal.h"

/* file "": there are none, *out is NULL. Refused: a file that others than its owner may read or
 * write (0600), and what queue_seal_read refuses. why_out: a sentence for the operator, without any
 * part of the file. */
MUST_USE enum err app_seal_read(const char *file, struct queue_seal **out, char *why_out,
                                size_t why_cap);

#endif
