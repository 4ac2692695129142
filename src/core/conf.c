#include "core/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/ini_file.h"
#include "core/mem.h"

enum { MAX_NAME = 64, MAX_NEAR = 3 };

struct reader {
    const struct conf_table *table, *also;
    int argc;
    char *const *argv;
    struct conf_words *words;
    struct arena *texts;
    void *target;
    char *why;
    size_t why_cap;
};

static const struct conf_option *find(const struct conf_table *table, struct str name)
{
    for (size_t i = 0; table && i < table->count; i++)
        if (str_eq(str_of(table->options[i].name), name))
            return &table->options[i];
    return NULL;
}

/* ---- values ---- */

enum err conf_parse_duration(struct str text, int64_t *out)
{
    static const struct {
        struct str unit;
        int64_t ms;
    } units[] = {{{"ms", 2}, 1},      {{"s", 1}, 1000},     {{"m", 1}, 60000},
                 {{"h", 1}, 3600000}, {{"d", 1}, 86400000}, {{"", 0}, 1000}};
    size_t digits = 0;
    while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
        digits++;
    struct str unit = {text.at + digits, text.len - digits};
    int64_t number = 0;
    if (str_parse_int((struct str){text.at, digits}, &number) != OK)
        return ERR_INVALID;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!str_eq(unit, units[i].unit))
            continue;
        return __builtin_mul_overflow(number, units[i].ms, out) ? ERR_INVALID : OK;
    }
    return ERR_INVALID;
}

static bool parse_switch(struct str text, bool *out)
{
    static const char *const on[] = {"on", "true", "yes", "1"}, *const off[] = {"off", "false",
                                                                                "no", "0"};
    for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
        *out = str_eq_nocase(text, str_of(on[i]));
        if (*out || str_eq_nocase(text, str_of(off[i])))
            return true;
    }
    return false;
}

static enum err refuse(struct reader *r, const char *origin, const struct conf_option *o,
                       struct str value)
{
    char wanted[96] = "on or off";
    if (o->kind == CONF_INT)
        snprintf(wanted, sizeof(wanted), "a number from %lld to %lld", (long long)o->min,
                 (long long)o->max);
    if (o->kind == CONF_DURATION)
        snprintf(wanted, sizeof(wanted), "a duration like 500ms, 10s or 2m, from %lldms to %lldms",
                 (long long)o->min, (long long)o->max);
    snprintf(r->why, r->why_cap, "%s%s: '%.*s' is not %s", origin, o->name, STR_ARG(value), wanted);
    return ERR_INVALID;
}

/* origin: "--" for a flag, "FILE: " for a file: it goes before the name in what is said. */
static enum err set(struct reader *r, const char *origin, const struct conf_option *o,
                    struct str value)
{
    char *field = (char *)r->target + o->at;
    int64_t number = 0;
    switch (o->kind) {
    case CONF_TEXT:
        *(const char **)(void *)field = arena_str(r->texts, value).at;
        return OK;
    case CONF_SWITCH:
        return parse_switch(value, (bool *)field) ? OK : refuse(r, origin, o, value);
    case CONF_INT:
        if (str_parse_int(value, &number) != OK || number < o->min || number > o->max)
            return refuse(r, origin, o, value);
        *(int *)(void *)field = (int)number;
        return OK;
    case CONF_DURATION:
        if (conf_parse_duration(value, &number) != OK || number < o->min || number > o->max)
            return refuse(r, origin, o, value);
        *(int64_t *)(void *)field = number;
        return OK;
    }
    return ERR_INVALID;
}

/* ---- sources ---- */

static enum err set_defaults(struct reader *r)
{
    for (size_t i = 0; i < r->table->count; i++) {
        enum err err =
            set(r, "default of ", &r->table->options[i], str_of(r->table->options[i].value));
        if (err)
            return err;
    }
    return OK;
}

struct file_reader {
    struct reader *r;
    const char *path;
    enum err err;
    char last[MAX_NAME]; // the option set before: inih hands a continued line out as one more
};

static int on_file_line(void *user, const char *section, const char *name, const char *value)
{
    struct file_reader *f = user;
    char origin[300];
    const struct conf_option *o = find(f->r->table, str_of(name));
    if (f->err)
        return 1;
    snprintf(origin, sizeof(origin), "%.290s: ", f->path);
    if (strcmp(f->last, name) == 0) {
        snprintf(f->r->why, f->r->why_cap, "%s: '%s' goes on in a second line", f->path, name);
        f->err = ERR_INVALID;
    } else if (section[0]) {
        snprintf(f->r->why, f->r->why_cap, "%s: '%s' stands in a section [%s]; there are none",
                 f->path, name, section);
        f->err = ERR_INVALID;
    } else if (o) {
        f->err = set(f->r, origin, o, str_of(value));
    } else if (!find(f->r->also, str_of(name))) {
        snprintf(f->r->why, f->r->why_cap, "%s: there is no option '%s'", f->path, name);
        f->err = ERR_INVALID;
    }
    snprintf(f->last, sizeof(f->last), "%s", name);
    return 1;
}

static enum err read_file(struct reader *r, const char *path)
{
    struct file_reader f = {.r = r, .path = path};
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        snprintf(r->why, r->why_cap, "the config file %s is not a file", path);
        return ERR_INVALID;
    }
    int line = 0;
    const char *why = "";
    enum err err = ini_file_read(path, on_file_line, &f, &line, &why);
    if (f.err || err == OK)
        return f.err;
    if (err == ERR_INVALID)
        snprintf(r->why, r->why_cap, "%s:%d: %s", path, line, why);
    else
        snprintf(r->why, r->why_cap, "cannot read the config file %s: %s", path, strerror(errno));
    return err;
}

static char upper_or_underscore(char c)
{
    if (c == '-')
        return '_';
    return (char)toupper((unsigned char)c);
}

static const char *environment_of(const struct conf_option *o, char name[static MAX_NAME])
{
    snprintf(name, MAX_NAME, "VICHE_%s", o->name);
    for (char *c = name; *c; c++)
        *c = upper_or_underscore(*c);
    return getenv(name);
}

static enum err read_environment(struct reader *r)
{
    for (size_t i = 0; i < r->table->count; i++) {
        char name[MAX_NAME], origin[MAX_NAME + 8];
        const char *value = environment_of(&r->table->options[i], name);
        if (!value)
            continue;
        snprintf(origin, sizeof(origin), "%s: ", name);
        enum err err = set(r, origin, &r->table->options[i], str_of(value));
        if (err)
            return err;
    }
    return OK;
}

/* Edits (Levenshtein) between two short names. */
static size_t distance(struct str a, struct str b)
{
    size_t row[MAX_NAME + 1];
    if (a.len > MAX_NAME || b.len > MAX_NAME)
        return MAX_NAME;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = diagonal + (a.at[i - 1] != b.at[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.len];
}

static enum err refuse_unknown(struct reader *r, struct str name)
{
    const char *nearest = NULL;
    size_t least = (name.len / 2 < MAX_NEAR ? name.len / 2 : MAX_NEAR) + 1;
    for (size_t i = 0; i < r->table->count; i++) {
        size_t edits = distance(name, str_of(r->table->options[i].name));
        if (edits < least) {
            least = edits;
            nearest = r->table->options[i].name;
        }
    }
    if (nearest)
        snprintf(r->why, r->why_cap, "there is no option --%.*s; did you mean --%s?", STR_ARG(name),
                 nearest);
    else
        snprintf(r->why, r->why_cap, "there is no option --%.*s; --help lists them", STR_ARG(name));
    return ERR_INVALID;
}

/* A flag of the command line, or an operand. */
struct flag {
    const struct conf_option *option; // NULL: an operand
    struct str value;
    int words; // 1 or 2
};

static enum err next_flag(struct reader *r, int i, struct flag *out)
{
    struct str word = str_of(r->argv[i]), value = {0};
    const char *next = i + 1 < r->argc ? r->argv[i + 1] : NULL;
    bool is_flag = str_starts(word, STR("--")) && word.len > 2;
    if (!is_flag && r->words) {
        *out = (struct flag){.value = word, .words = 1};
        return OK;
    }
    if (!is_flag) {
        snprintf(r->why, r->why_cap, "'%s' is not an option; --help lists them", r->argv[i]);
        return ERR_INVALID;
    }
    struct str name = str_cut((struct str){word.at + 2, word.len - 2}, '=', &value);
    const struct conf_option *o = find(r->table, name);
    if (!o)
        return refuse_unknown(r, name);
    *out = (struct flag){.option = o, .value = value, .words = 1};
    if (name.len + 2 < word.len)
        return OK;
    bool ignored = false;
    bool takes_next = next && !r->words; // else it is an operand
    if (o->kind == CONF_SWITCH && (!takes_next || !parse_switch(str_of(next), &ignored))) {
        out->value = STR("on");
        return OK;
    }
    if (!next) {
        snprintf(r->why, r->why_cap, "--%s needs a value", o->name);
        return ERR_INVALID;
    }
    out->value = str_of(next);
    out->words = 2;
    return OK;
}

/* only: the one option to set; NULL: all. */
static enum err read_flags(struct reader *r, const struct conf_option *only)
{
    struct flag flag = {.words = 1};
    for (int i = 0; i < r->argc; i += flag.words) {
        enum err err = next_flag(r, i, &flag);
        if (!err && flag.option && (!only || flag.option == only))
            err = set(r, "--", flag.option, flag.value);
        if (err)
            return err;
    }
    return OK;
}

/* What read_flags has left. */
static enum err take_words(struct reader *r)
{
    const char **at = arena_alloc(r->texts, (size_t)(r->argc + 1) * sizeof(*at));
    struct flag flag = {.words = 1};
    size_t count = 0;
    for (int i = 0; i < r->argc; i += flag.words) {
        enum err err = next_flag(r, i, &flag);
        if (err)
            return err;
        if (!flag.option)
            at[count++] = r->argv[i];
    }
    *r->words = (struct conf_words){at, count};
    return OK;
}

/* Flags and environment may name the file, but what it says comes before them. */
static enum err read_named_file(struct reader *r, const struct conf_option *config)
{
    char name[MAX_NAME];
    const char *value = environment_of(config, name);
    enum err err = value ? set(r, "", config, str_of(value)) : OK;
    if (!err)
        err = read_flags(r, config);
    if (err)
        return err;
    const char *path = *(const char **)(void *)((char *)r->target + config->at);
    return path[0] ? read_file(r, path) : OK;
}

// NOLINTNEXTLINE(readability-non-const-parameter): written to through the struct
enum err conf_read(const struct conf_input *in, struct arena *texts, void *target, char *why_out,
                   size_t why_cap)
{
    struct reader r = {
        .table = in->table,
        .also = in->also,
        .argc = in->argc,
        .argv = in->argv,
        .words = in->words,
        .texts = texts,
        .target = target,
        .why = why_out,
        .why_cap = why_cap,
    };
    const struct conf_option *config = find(in->table, STR("config"));
    enum err err = set_defaults(&r);
    if (!err && config)
        err = read_named_file(&r, config);
    if (!err)
        err = read_environment(&r);
    if (!err)
        err = read_flags(&r, NULL);
    return err || !in->words ? err : take_words(&r);
}

/* ---- help ---- */

static const char *meaning_of(const struct conf_option *o)
{
    static const char *const by_kind[] = {
        [CONF_TEXT] = "TEXT", [CONF_INT] = "N", [CONF_SWITCH] = "on|off", [CONF_DURATION] = "TIME"};
    return o->meaning ? o->meaning : by_kind[o->kind];
}

enum err conf_write_help(const struct conf_table *table, struct buf *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_option *o = &table->options[i];
        char left[80], line[512];
        // A word behind it may be an operand.
        snprintf(left, sizeof(left), o->kind == CONF_SWITCH ? "--%s[=%s]" : "--%s %s", o->name,
                 meaning_of(o));
        int len = snprintf(line, sizeof(line), "  %-28s %s%s%s%s\n", left, o->help,
                           o->value[0] ? " (default " : "", o->value, o->value[0] ? ")" : "");
        enum err err =
            buf_append(out, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
        if (err)
            return err;
    }
    return OK;
}

enum err conf_write_file(const struct conf_table *table, struct buf *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_option *o = &table->options[i];
        if (strcmp(o->name, "config") == 0)
            continue;
        char line[512];
        int len = snprintf(line, sizeof(line), "# %s: %s\n%s%s = %s\n\n", meaning_of(o), o->help,
                           o->value[0] ? "" : "; ", o->name, o->value);
        enum err err =
            buf_append(out, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
        if (err)
            return err;
    }
    return OK;
}
