/* page_json.c -- short words for reading and filling views. */
#include "page/page_json.h"

#include "core/check.h"
#include "core/mem.h"

const char *page_json_text(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

int64_t page_json_int(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(value) ? (int64_t)value->valuedouble : 0;
}

bool page_json_is(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

// cJSON wants C strings. Texts from the arena and of the locale end with a NUL; slices may not.
void page_json_add(cJSON *object, const char *name, struct str value)
{
    char small[256];
    char *text = value.len < sizeof small ? small : mem_zalloc(value.len + 1);
    if (value.len)
        memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    CHECK(cJSON_AddStringToObject(object, name, text));
    if (text != small)
        mem_free(text);
}

// cJSON_AddItemReferenceToObject takes a copy of the head that owns nothing; it never writes to
// tree.
void page_json_refer(cJSON *object, const char *name, const cJSON *tree)
{
    union {
        const cJSON *constant;
        cJSON *plain;
    } reference = {tree};
    CHECK(cJSON_AddItemReferenceToObject(object, name, reference.plain));
}
