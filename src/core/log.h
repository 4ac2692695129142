/* log.h -- logfmt lines on stderr, one event a line: `level=warn at=hub.subscribe app=7
 * why=signature`.
 *
 * Any thread; each line is one write. Values from outside go through LOG_STR, which quotes and
 * escapes them, so a peer cannot forge a line.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Lines below this level are dropped. Default LOG_INFO. */
void log_set_level(enum log_level level);
MUST_USE enum err log_parse_level(struct str name, enum log_level *out);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* A quoted, escaped, shortened (200 bytes) copy of s for one log line; the buffer is the caller's.
 *     char q[LOG_QUOTE_BYTES]; log_warn("at=x path=%s", log_quote(path, q)); */
enum { LOG_QUOTE_BYTES = 832 };
const char *log_quote(struct str s, char out[static LOG_QUOTE_BYTES]);

#endif
