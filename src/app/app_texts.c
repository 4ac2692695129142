#include "app/app_texts.h"

#include <stdio.h>

#include "core/json.h"
#include "core/locale.h"
#include "core/mem.h"
#include "http/http_static.h"

enum { MAX_TEXT_BYTES = 1024 * 1024 };

static enum err parse_file(const char *folder, const char *code, cJSON **out)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s.json", folder, code);
    const struct http_static_file *file = http_static_find(str_of(name));
    return file ? json_parse((struct str){(const char *)file->bytes, file->len}, out)
                : ERR_NOT_FOUND;
}

/* Moves the members of from into the object to. */
static void move_members(cJSON *to, cJSON *from)
{
    for (cJSON *item = from->child; item; item = from->child) {
        cJSON_DetachItemViaPointer(from, item);
        cJSON_AddItemToObject(to, item->string, item);
    }
}

static enum err load(enum locale_lang lang)
{
    cJSON *texts = NULL, *problems = NULL;
    struct buf merged;
    buf_init(&merged, MAX_TEXT_BYTES);
    enum err err = parse_file("locales/", locale_code(lang), &texts);
    if (!err)
        err = parse_file("locales/problems.", locale_code(lang), &problems);
    if (!err) {
        move_members(texts, problems);
        err = json_print(texts, &merged);
    }
    if (!err)
        err = locale_load(lang, (struct str){(const char *)buf_head(&merged), buf_len(&merged)});
    cJSON_Delete(texts);
    cJSON_Delete(problems);
    buf_done(&merged);
    return err;
}

enum err app_texts_load(char *why_out, size_t why_cap)
{
    for (enum locale_lang lang = 0; lang < LOCALE_COUNT; lang++) {
        enum err err = load(lang);
        if (err) {
            snprintf(why_out, why_cap, "the texts of language %s are wrong: %s", locale_code(lang),
                     err_text(err));
            return err;
        }
    }
    return OK;
}
