/* conf.h -- options from tables: defaults, then a config file, then the environment, then flags.
 *
 *     --loops 4, --loops=4, --rate-limits off      flag
 *     VICHE_LOOPS=4                                environment: upper case, dashes as underscores
 *     loops = 4                                    config file (--config FILE), INI without
 * sections
 *
 * The later wins. A row names the field of the target that it fills; from the same rows come --help
 * and the file of defaults. Values are checked whichever way they came, and refused in one
 * sentence.
 */
#ifndef CORE_CONF_H
#define CORE_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

enum conf_kind {
    CONF_TEXT,     // const char *
    CONF_INT,      // int, from min to max
    CONF_SWITCH,   // bool: on, off; a flag alone means on
    CONF_DURATION, // int64_t ms, from min to max: 500ms, 10s, 2m, 7d; a number alone: seconds
};

struct conf_option {
    const char *name; // "rate-limits"
    enum conf_kind kind;
    const char *value;   // default, as it would be typed
    int64_t min, max;    // of CONF_INT and CONF_DURATION
    const char *meaning; // of the value, for --help: "ADDRESS:PORT"; NULL by kind
    const char *help;
    size_t at; // offsetof the field in the target
};

struct conf_table {
    const struct conf_option *options;
    size_t count;
};

/* The words among the flags that are no flags: a command's operands. */
struct conf_words {
    const char *const *at; // in the arena
    size_t count;
};

/* Where values come from. argv: the words after the command. also: rows of other commands, whose
 * keys a config file may hold too; may be NULL. words: takes the operands; a switch then has its
 * value only after '='. NULL: the command has none. */
struct conf_input {
    const struct conf_table *table, *also;
    int argc;
    char *const *argv;
    struct conf_words *words;
};

/* Fills target. texts holds the strings. A flag that is not there is ERR_INVALID, with the nearest
 * name in why_out. ERR_INVALID: wrong usage; ERR_NOT_FOUND, ERR_IO: the config file. */
MUST_USE enum err conf_read(const struct conf_input *in, struct arena *texts, void *target,
                            char *why_out, size_t why_cap);

/* "500ms", "10s", "2m", "1h", "7d"; a number alone: seconds. ERR_INVALID. */
MUST_USE enum err conf_parse_duration(struct str text, int64_t *ms_out);

/* Appends one line for each option, as --help shows them; the file of defaults, with comments. */
MUST_USE enum err conf_write_help(const struct conf_table *table, struct buf *out);
MUST_USE enum err conf_write_file(const struct conf_table *table, struct buf *out);

#endif
