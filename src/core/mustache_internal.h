/* mustache_internal.h -- a parsed template: what mustache_parse.c makes and mustache.c renders. */
#ifndef CORE_MUSTACHE_INTERNAL_H
#define CORE_MUSTACHE_INTERNAL_H

#include "core/arena.h"
#include "core/mustache.h"

enum mustache_kind {
    MUSTACHE_TEXT,
    MUSTACHE_LINE, // a line starts here: where the indentation of a partial goes
    MUSTACHE_ESCAPED,
    MUSTACHE_RAW,
    MUSTACHE_SECTION,
    MUSTACHE_INVERTED,
    MUSTACHE_PARTIAL,
    // these are gone when parsing is done
    MUSTACHE_CLOSE,
    MUSTACHE_NOTHING,
};

struct mustache_token {
    enum mustache_kind kind;
    bool is_on_first_line; // LINE, PARTIAL
    bool indents;          // PARTIAL: the first tag of its line, so its lines are indented
    bool is_path;          // the name has a dot behind its first byte: a.b
    bool follows_text;     // PARTIAL: after something other than space, so its first line is not
    struct str text;       // the text, or the name
    struct str indent;     // PARTIAL
    size_t end;            // SECTION, INVERTED: index of the token behind it
};

/* The tokens of a section follow it, up to its end. */
struct mustache {
    struct arena arena; // owns the text
    struct mustache_token *tokens;
    size_t count, cap;
};

#endif
