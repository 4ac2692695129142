/* mustache_render.c -- renders for the differential test: each line of stdin is a JSON object
 * {"template","view","partials":{name:template}}; each line of stdout is the text as a JSON string,
 * or null when the template cannot be parsed or rendered. */
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/json.h"
#include "core/mustache.h"

enum { OUT_MAX_BYTES = 1 << 20, MAX_PARTIALS = 64 };

struct partials {
    const char *name[MAX_PARTIALS];
    struct mustache *parsed[MAX_PARTIALS];
    size_t count;
    bool is_broken_used; // npm mustache parses a partial when it is used, and fails only then
};

static const struct mustache *find_partial(void *ctx, struct str name)
{
    struct partials *p = ctx;
    for (size_t i = 0; i < p->count; i++) {
        if (!str_eq(str_of(p->name[i]), name))
            continue;
        if (!p->parsed[i])
            p->is_broken_used = true;
        return p->parsed[i];
    }
    return NULL;
}

static void parse_partials(const cJSON *texts, struct partials *p)
{
    const char *why;
    const cJSON *text;
    cJSON_ArrayForEach(text, texts)
    {
        CHECK(p->count < MAX_PARTIALS);
        p->name[p->count] = text->string;
        if (mustache_parse(str_of(text->valuestring), &p->parsed[p->count], &why))
            p->parsed[p->count] = NULL;
        p->count++;
    }
}

static bool render(const cJSON *job, struct buf *out)
{
    const char *why, *text = cJSON_GetObjectItemCaseSensitive(job, "template")->valuestring;
    struct mustache *m = NULL;
    struct partials p = {.count = 0};
    parse_partials(cJSON_GetObjectItemCaseSensitive(job, "partials"), &p);
    bool is_done = mustache_parse(str_of(text), &m, &why) == OK &&
                   mustache_render(m, cJSON_GetObjectItemCaseSensitive(job, "view"), find_partial,
                                   &p, out) == OK &&
                   !p.is_broken_used;
    mustache_free(m);
    for (size_t i = 0; i < p.count; i++)
        mustache_free(p.parsed[i]);
    return is_done;
}

static void answer(struct str line)
{
    struct buf out, quoted;
    cJSON *job = NULL;
    buf_init(&out, OUT_MAX_BYTES);
    buf_init(&quoted, 8 * OUT_MAX_BYTES);
    CHECK(json_parse(line, &job) == OK);
    if (render(job, &out))
        CHECK(json_write_string(&quoted,
                                (struct str){(const char *)buf_head(&out), buf_len(&out)}) == OK);
    else
        CHECK(buf_append(&quoted, "null", 4) == OK);
    printf("%.*s\n", (int)buf_len(&quoted), (const char *)buf_head(&quoted));
    cJSON_Delete(job);
    buf_done(&quoted);
    buf_done(&out);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0)
        answer((struct str){line, (size_t)len});
    free(line);
    return 0;
}
