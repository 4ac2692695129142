/* ini_file.h -- files of `name = value` lines, which may stand in [sections], by inih. It tells
 * nothing of a section that is empty, and takes the rest of a long line for another one: both are
 * refused here.
 */
#ifndef CORE_INI_FILE_H
#define CORE_INI_FILE_H

#include "core/err.h"

/* A name of the section ("": none has begun). 0: it is refused; the next are told all the same. */
typedef int ini_file_fn(void *ctx, const char *section, const char *name, const char *value);

/* ERR_INVALID: *line_out is the first line that fn refused, or that is wrong by itself: *why_out
 * (static) then says how. ERR_NOT_FOUND, ERR_IO: it cannot be read; errno says why. */
MUST_USE enum err ini_file_read(const char *path, ini_file_fn *fn, void *ctx, int *line_out,
                                const char **why_out);

#endif
