/* fuzz_mustache.c -- the first line is a view (JSON), the rest a template, which is also every
 * partial. Whatever they are: parsing and rendering end, the output keeps its bound, a render that
 * fails leaves the output as it was, and rendering again gives the same bytes. */
#include "core/check.h"
#include "core/json.h"
#include "core/mustache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX_BYTES = 4096 };

static const struct mustache *same(void *ctx, struct str name)
{
    return name.len > 0 && name.at[0] == 'n' ? NULL : ctx;
}

static void check_render(struct mustache *m, const cJSON *view)
{
    struct buf first, second;
    buf_init(&first, OUT_MAX_BYTES);
    buf_init(&second, OUT_MAX_BYTES);
    enum err err = mustache_render(m, view, same, m, &first);
    CHECK(err == OK || (err == ERR_TOO_LARGE && buf_len(&first) == 0));
    CHECK(buf_len(&first) <= OUT_MAX_BYTES);
    CHECK(mustache_render(m, view, same, m, &second) == err);
    CHECK(buf_len(&first) == buf_len(&second));
    CHECK(buf_len(&first) == 0 ||
          memcmp(buf_head(&first), buf_head(&second), buf_len(&first)) == 0);
    buf_done(&first);
    buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str template, json = str_cut((struct str){(const char *)data, size}, '\n', &template);
    struct mustache *m;
    cJSON *view = NULL;
    const char *why = NULL;
    if (json_parse(json, &view))
        view = cJSON_CreateNull();
    if (mustache_parse(template, &m, &why) == OK) {
        check_render(m, view);
        mustache_free(m);
    } else {
        CHECK(why != NULL);
    }
    cJSON_Delete(view);
    return 0;
}
