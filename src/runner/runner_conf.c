#include "runner/runner_conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/json.h"
#include "post/post.h"

enum {
    MAX_KINDS = 100,
    MAX_KIND_BYTES = 200,
    MAX_WORDS = 100, // of a program, its environment, the headers
    MAX_WORD_BYTES = 4096,
    MAX_CONCURRENCY = 1000,
};

struct reader {
    struct arena *arena;
    const char *kind; // whose handler it is; "": not known yet
    struct str why;
};

static enum err complain(struct reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum err complain(struct reader *r, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    r->why = r->kind[0] ? arena_printf(r->arena, "handler %s: %s", r->kind, text)
                        : arena_printf(r->arena, "%s", text);
    return ERR_INVALID;
}

/* NULL: absent or null. */
static const cJSON *get(const cJSON *item, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(item, name);
    return cJSON_IsNull(value) ? NULL : value;
}

static const char *keep(struct reader *r, const cJSON *string)
{
    return arena_str(r->arena, str_of(string->valuestring)).at;
}

static char *copy(struct reader *r, struct str text)
{
    char *at = arena_alloc(r->arena, text.len + 1);
    memcpy(at, text.at, text.len);
    return at;
}

static bool is_word(const cJSON *value)
{
    return cJSON_IsString(value) && value->valuestring[0] &&
           strlen(value->valuestring) <= MAX_WORD_BYTES;
}

/* ---- numbers, flags ---- */

#define AT(field) offsetof(struct runner_handler, field)

enum way { PROGRAM = 1, PUSH = 2, BOTH = 3 };

static const struct number {
    const char *name;
    int64_t min, max, factor;
    size_t at;
    bool is_wide; // int64_t, else int
    enum way way;
} numbers[] = {
    {"timeout", 1, 86400, 1000, AT(timeout_ms), true, BOTH},
    {"grace", 1, 3600, 1000, AT(grace_ms), true, PROGRAM},
    {"backoff", 1, 3600, 1000, AT(backoff_ms), true, BOTH},
    {"keep", 1, INT64_C(365) * 86400, 1000, AT(keep_ms), true, BOTH},
    {"max_attempts", 1, 1000, 1, AT(max_attempts), false, BOTH},
    {"concurrency", 1, MAX_CONCURRENCY, 1, AT(concurrency), false, BOTH},
    {"memory", 1, 1 << 20, 1 << 20, AT(memory_bytes), true, PROGRAM},
    {"cpu", 1, 86400, 1, AT(cpu_s), false, PROGRAM},
    {"max_jobs", 1, 1000000000, 1, AT(max_jobs), false, PROGRAM},
};
enum { NUMBER_COUNT = sizeof(numbers) / sizeof(numbers[0]) };

static const struct other {
    const char *name;
    enum way way;
} others[] = {
    {"kind", BOTH},         {"queue", BOTH},          {"program", PROGRAM},
    {"directory", PROGRAM}, {"environment", PROGRAM}, {"url", PUSH},
    {"headers", PUSH},      {"private", PUSH},        {"gone", PUSH},
};
enum { OTHER_COUNT = sizeof(others) / sizeof(others[0]) };

static enum err set_number(struct reader *r, const cJSON *item, const struct number *n,
                           struct runner_handler *out)
{
    const cJSON *value = get(item, n->name);
    if (!value)
        return OK;
    double number = cJSON_IsNumber(value) ? value->valuedouble : -1;
    if (number < (double)n->min || number > (double)n->max || (double)(int64_t)number != number)
        return complain(r, "%s must be a whole number from %lld to %lld", n->name,
                        (long long)n->min, (long long)n->max);
    void *field = (char *)out + n->at;
    if (n->is_wide)
        *(int64_t *)field = (int64_t)number * n->factor;
    else
        *(int *)field = (int)number;
    return OK;
}

static enum err check_keys(struct reader *r, const cJSON *item, enum way way)
{
    const cJSON *value;
    cJSON_ArrayForEach(value, item)
    {
        int ways = 0;
        for (size_t i = 0; i < NUMBER_COUNT; i++)
            ways |= strcmp(value->string, numbers[i].name) == 0 ? (int)numbers[i].way : 0;
        for (size_t i = 0; i < OTHER_COUNT; i++)
            ways |= strcmp(value->string, others[i].name) == 0 ? (int)others[i].way : 0;
        if (ways == 0)
            return complain(r, "there is no setting %.100s", value->string);
        if (!(ways & (int)way))
            return complain(r, "%s is not for a %s", value->string,
                            way == PUSH ? "url" : "program");
    }
    return OK;
}

/* ---- kinds, queue ---- */

/* What stands in a header, a log line and a URL as it is. */
static bool is_name(const cJSON *value)
{
    if (!is_word(value) || strlen(value->valuestring) > MAX_KIND_BYTES)
        return false;
    for (const char *c = value->valuestring; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr("._-:/", *c)))
            return false;
    return true;
}

static enum err set_kinds(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    static const char wrong[] =
        "kind must be a name of letters, digits and ._-:/, or a list of up to 100 of them";
    const cJSON *kind = get(item, "kind"), *list = cJSON_IsArray(kind) ? kind : NULL, *one;
    int count = list ? cJSON_GetArraySize(list) : 1;
    if (!kind || count < 1 || count > MAX_KINDS)
        return complain(r, "%s", wrong);
    const char **kinds = arena_alloc(r->arena, (size_t)count * sizeof(*kinds));
    if (!list && !is_name(kind))
        return complain(r, "%s", wrong);
    if (!list)
        kinds[0] = keep(r, kind);
    size_t used = 0;
    cJSON_ArrayForEach(one, list)
    {
        if (!is_name(one))
            return complain(r, "%s", wrong);
        kinds[used++] = keep(r, one);
    }
    out->kinds = kinds;
    out->kind_count = (size_t)count;
    r->kind = kinds[0];
    return OK;
}

static enum err set_queue(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    const cJSON *queue = get(item, "queue");
    if (queue && !is_name(queue))
        return complain(r, "queue must be a name of letters, digits and ._-:/");
    out->queue = queue ? keep(r, queue) : QUEUE_DEFAULT;
    return OK;
}

/* ---- a program ---- */

/* As execvp looks for it, so that a misspelt one is told at once. */
static bool can_run(const char *program)
{
    char path[2 * MAX_WORD_BYTES];
    const char *all = getenv("PATH");
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    struct str rest = str_of(all ? all : "/bin:/usr/bin");
    while (rest.len > 0) {
        struct str dir = str_cut(rest, ':', &rest);
        int len = snprintf(path, sizeof(path), "%.*s/%s", STR_ARG(dir), program);
        if (len > 0 && (size_t)len < sizeof(path) && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static enum err set_program(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    const cJSON *list = get(item, "program"), *word;
    int count = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || count < 1 || count > MAX_WORDS)
        return complain(r, "program must be a list: the program and its arguments");
    char **argv = arena_alloc(r->arena, ((size_t)count + 1) * sizeof(*argv));
    size_t used = 0;
    cJSON_ArrayForEach(word, list)
    {
        if (!is_word(word) && !(cJSON_IsString(word) && used > 0 && !word->valuestring[0]))
            return complain(r, "program must hold strings of up to %d bytes", MAX_WORD_BYTES);
        argv[used++] = copy(r, str_of(word->valuestring));
    }
    const cJSON *directory = get(item, "directory");
    if (directory && (!is_word(directory) || access(directory->valuestring, X_OK) != 0))
        return complain(r, "directory must be one that is there and may be entered");
    if (directory)
        out->directory = keep(r, directory);
    if (!can_run(argv[0]))
        return complain(r, "there is no program %.200s that can be run", argv[0]);
    out->program = argv;
    return OK;
}

/* Of our own variables a program gets what it needs to find its way; the rest (secrets, often) it
 * gets when the file says so. */
static enum err set_environment(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    static const char *const kept[] = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"};
    enum { KEPT_COUNT = sizeof(kept) / sizeof(kept[0]) };
    const cJSON *given = get(item, "environment"), *one;
    int count = cJSON_GetArraySize(given);
    if (given && (!cJSON_IsObject(given) || count > MAX_WORDS))
        return complain(r, "environment must be an object of up to %d strings", MAX_WORDS);
    char **all = arena_alloc(r->arena, ((size_t)count + KEPT_COUNT + 1) * sizeof(*all));
    size_t used = 0;
    for (size_t i = 0; i < KEPT_COUNT; i++) {
        const char *value = getenv(kept[i]);
        if (value && !cJSON_HasObjectItem(given, kept[i]))
            all[used++] = copy(r, arena_printf(r->arena, "%s=%s", kept[i], value));
    }
    cJSON_ArrayForEach(one, given)
    {
        if (!cJSON_IsString(one) || !one->string[0] || strchr(one->string, '='))
            return complain(r, "environment must hold strings by their names");
        all[used++] = copy(r, arena_printf(r->arena, "%s=%s", one->string, one->valuestring));
    }
    out->environment = all;
    return OK;
}

/* ---- a URL ---- */

static bool is_header(const char *name, const char *value)
{
    for (const char *c = name; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              strchr("-_", *c)))
            return false;
    for (const unsigned char *c = (const unsigned char *)value; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            return false;
    return name[0] && strlen(name) + strlen(value) <= MAX_WORD_BYTES;
}

static enum err set_headers(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    const cJSON *given = get(item, "headers"), *one;
    int count = cJSON_GetArraySize(given);
    if (given && (!cJSON_IsObject(given) || count > MAX_WORDS))
        return complain(r, "headers must be an object of up to %d strings", MAX_WORDS);
    struct str *headers = arena_alloc(r->arena, ((size_t)count + 1) * sizeof(*headers));
    cJSON_ArrayForEach(one, given)
    {
        if (!cJSON_IsString(one) || !is_header(one->string, one->valuestring))
            return complain(r, "headers must hold strings by the names of fields (RFC 9110)");
        headers[out->header_count++] =
            arena_printf(r->arena, "%s: %s", one->string, one->valuestring);
    }
    out->headers = headers;
    return OK;
}

static enum err set_url(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    const cJSON *url = get(item, "url"), *is_private = get(item, "private");
    const cJSON *gone = get(item, "gone");
    if (!cJSON_IsString(url) || !post_url_is_valid(str_of(url->valuestring)))
        return complain(r, "url must be an http or https address of up to %d bytes",
                        POST_MAX_URL_BYTES);
    out->url = str_of(keep(r, url));
    if (is_private && !cJSON_IsBool(is_private))
        return complain(r, "private must be true or false");
    out->allows_private = cJSON_IsTrue(is_private);
    if (gone && (!cJSON_IsString(gone) || (strcmp(gone->valuestring, "discard") != 0 &&
                                           strcmp(gone->valuestring, "dead") != 0)))
        return complain(r, "gone must be \"discard\" or \"dead\"");
    out->gone_is_dead = gone && strcmp(gone->valuestring, "dead") == 0;
    return set_headers(r, item, out);
}

/* ---- one, and all ---- */

static enum err read_handler(struct reader *r, const cJSON *item, struct runner_handler *out)
{
    r->kind = "";
    *out = (struct runner_handler){0};
    if (!cJSON_IsObject(item))
        return complain(r, "every handler must be an object");
    enum err err = set_kinds(r, item, out);
    if (err)
        return err;
    bool is_program = get(item, "program"), is_push = get(item, "url");
    if (is_program == is_push)
        return complain(r, "it needs a program or a url, and not both");
    err = check_keys(r, item, is_push ? PUSH : PROGRAM);
    for (size_t i = 0; !err && i < NUMBER_COUNT; i++)
        err = set_number(r, item, &numbers[i], out);
    if (!err)
        err = set_queue(r, item, out);
    if (err)
        return err;
    if (is_push)
        return set_url(r, item, out);
    err = set_program(r, item, out);
    return err ? err : set_environment(r, item, out);
}

static enum err check_twins(struct reader *r, const struct runner_handler *all, size_t count)
{
    const struct runner_handler *last = &all[count - 1];
    for (size_t k = 0; k < last->kind_count; k++)
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < (i == count - 1 ? k : all[i].kind_count); j++)
                if (strcmp(all[i].kinds[j], last->kinds[k]) == 0 &&
                    strcmp(all[i].queue, last->queue) == 0)
                    return complain(r, "%s has a handler already", last->kinds[k]);
    return OK;
}

static enum err check_sum(struct reader *r, const struct runner_handler *all, size_t count)
{
    int64_t processes = 0;
    for (size_t i = 0; i < count; i++)
        if (all[i].program)
            processes += all[i].concurrency > 0 ? all[i].concurrency : 1;
    r->kind = "";
    return processes <= RUNNER_CONF_MAX_PROCESSES
               ? OK
               : complain(r, "the programs together may have a concurrency of %d, and not %lld",
                          RUNNER_CONF_MAX_PROCESSES, (long long)processes);
}

static enum err read_all(struct reader *r, const cJSON *root, struct runner_handler **out,
                         size_t *count_out)
{
    int count = cJSON_GetArraySize(root);
    size_t used = 0;
    const cJSON *item;
    if (!cJSON_IsArray(root) || count < 1 || count > RUNNER_CONF_MAX_HANDLERS)
        return complain(r, "it must be a JSON array of 1 to %d handlers", RUNNER_CONF_MAX_HANDLERS);
    struct runner_handler *all = arena_alloc(r->arena, (size_t)count * sizeof(*all));
    cJSON_ArrayForEach(item, root)
    {
        enum err err = read_handler(r, item, &all[used++]);
        if (!err)
            err = check_twins(r, all, used);
        if (err)
            return err;
    }
    *out = all;
    *count_out = used;
    return check_sum(r, all, used);
}

enum err runner_conf_read(struct str text, struct arena *a, struct runner_handler **out,
                          size_t *count_out, struct str *why_out)
{
    struct reader r = {.arena = a, .kind = ""};
    cJSON *root = NULL;
    enum err err = json_parse(text, &root);
    if (err)
        err = complain(&r, "it is not JSON");
    else
        err = read_all(&r, root, out, count_out);
    cJSON_Delete(root);
    *why_out = r.why;
    return err;
}
