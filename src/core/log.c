#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"

enum { LINE_BYTES = 2048, QUOTED_MAX = 200 };

static const char *const level_name[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static _Atomic int lowest = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&lowest, (int)level);
}

enum err log_parse_level(struct str name, enum log_level *out)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (str_eq(name, str_of(level_name[i]))) {
            *out = (enum log_level)i;
            return OK;
        }
    }
    return ERR_INVALID;
}

/* One write per line, so that lines of two threads never mix. A log that nobody can take is lost:
 * the server goes on. */
static void write_line(const char *line, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line += n;
        len -= (size_t)n;
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    if ((int)level < atomic_load_explicit(&lowest, memory_order_relaxed))
        return;

    int saved_errno = errno; // callers log before they look at it
    char line[LINE_BYTES], time[21];
    clock_iso(clock_unix_ms(), time);
    size_t len = (size_t)snprintf(line, sizeof(line), "time=%s level=%s ", time, level_name[level]);

    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
    va_end(args);
    if (n > 0)
        len += (size_t)n < sizeof(line) - len - 2 ? (size_t)n : sizeof(line) - len - 2;
    line[len++] = '\n';
    write_line(line, len);
    errno = saved_errno;
}

/* The text of one byte inside quotes; at most 4 characters. */
static size_t escape(unsigned char c, char *out)
{
    static const char hex[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (c >= 0x20 && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

const char *log_quote(struct str s, char out[static LOG_QUOTE_BYTES])
{
    size_t len = 0;
    out[len++] = '"';
    for (size_t i = 0; i < s.len && i < QUOTED_MAX; i++)
        len += escape((unsigned char)s.at[i], out + len);
    if (s.len > QUOTED_MAX) {
        memcpy(out + len, "...", 3);
        len += 3;
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}
