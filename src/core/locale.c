/* locale.c -- texts by key, from a JSON tree flattened into a map when it is loaded.
 *
 * Loaded once, before threads; read-only from then on, which is why it may be global.
 */
#include "core/locale.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/json.h"
#include "core/map.h"

struct language {
    cJSON *tree; // NULL: not loaded
    struct map texts;
    struct arena keys;
};

static struct language languages[LOCALE_COUNT];

static const char *const codes[] = {[LOCALE_UK] = "uk", [LOCALE_EN] = "en"};

static const char *const separators[] = {[LOCALE_UK] = "\u00a0", [LOCALE_EN] = ","};

/* ---- loading ---- */

static void unload(struct language *l)
{
    cJSON_Delete(l->tree);
    map_done(&l->texts);
    arena_done(&l->keys);
    *l = (struct language){0};
}

/* Adds the texts below node to the map, each under its path. */
static enum err add_texts(struct language *l, const cJSON *node, struct str path)
{
    if (cJSON_IsString(node)) {
        map_put(&l->texts, path, node->valuestring);
        return OK;
    }
    if (!cJSON_IsObject(node))
        return ERR_INVALID;
    for (const cJSON *child = node->child; child; child = child->next) {
        struct str key = path.len == 0 ? str_of(child->string)
                                       : arena_printf(&l->keys, "%s.%s", path.at, child->string);
        enum err err = add_texts(l, child, key);
        if (err)
            return err;
    }
    return OK;
}

enum err locale_load(enum locale_lang lang, struct str json)
{
    struct language *l = &languages[lang], fresh = {0};
    map_init(&fresh.texts);
    arena_init(&fresh.keys);
    enum err err = json_parse(json, &fresh.tree);
    if (!err)
        err = cJSON_IsObject(fresh.tree) ? add_texts(&fresh, fresh.tree, STR("")) : ERR_INVALID;
    if (err) {
        unload(&fresh);
        return err;
    }
    unload(l);
    *l = fresh;
    return OK;
}

const char *locale_code(enum locale_lang lang)
{
    return codes[lang];
}

const cJSON *locale_tree(enum locale_lang lang)
{
    return languages[lang].tree;
}

/* ---- choosing ---- */

/* What a request says about one language. */
struct wish {
    int quality; // thousandths; 0: not wanted
    int place;   // in the list; earlier wins among equals
    bool is_named;
};

/* A quality value of RFC 9110 §12.4.2 in thousandths, or -1. */
static int parse_quality(struct str s)
{
    if (s.len == 0 || s.len > 5 || (s.at[0] != '0' && s.at[0] != '1') ||
        (s.len > 1 && s.at[1] != '.'))
        return -1;
    int quality = (s.at[0] - '0') * 1000, weight = 100;
    for (size_t i = 2; i < s.len; i++, weight /= 10) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return -1;
        quality += (s.at[i] - '0') * weight;
    }
    return quality <= 1000 ? quality : -1;
}

/* "uk" and "uk-UA" name Ukrainian. */
static bool names(struct str range, enum locale_lang lang)
{
    struct str region, primary = str_cut(range, '-', &region);
    return str_eq_nocase(primary, str_of(codes[lang]));
}

/* Takes one element of the list, "uk-UA;q=0.8", into account. */
static void hear(struct str element, int place, struct wish wishes[static LOCALE_COUNT])
{
    struct str parameter, range = str_trim(str_cut(element, ';', &parameter));
    parameter = str_trim(parameter);
    int quality = 1000;
    if (parameter.len > 0) {
        struct str value, name = str_cut(parameter, '=', &value);
        quality = str_eq_nocase(str_trim(name), STR("q")) ? parse_quality(str_trim(value)) : -1;
    }
    for (int i = 0; i < LOCALE_COUNT && quality >= 0; i++) {
        struct wish *wish = &wishes[i];
        bool is_named = names(range, (enum locale_lang)i);
        bool counts = is_named ? !wish->is_named || quality > wish->quality
                               : str_eq(range, STR("*")) && !wish->is_named;
        if (counts)
            *wish = (struct wish){quality, place, is_named};
    }
}

enum locale_lang locale_choose(struct str cookie, struct str accept_language)
{
    for (int i = 0; i < LOCALE_COUNT; i++) {
        if (str_eq(cookie, str_of(codes[i])))
            return (enum locale_lang)i;
    }
    if (str_trim(accept_language).len == 0)
        return LOCALE_UK;

    struct wish wishes[LOCALE_COUNT] = {0};
    for (int place = 0; accept_language.len > 0; place++)
        hear(str_cut(accept_language, ',', &accept_language), place, wishes);
    const struct wish *uk = &wishes[LOCALE_UK], *en = &wishes[LOCALE_EN];
    if (uk->quality != en->quality)
        return uk->quality > en->quality ? LOCALE_UK : LOCALE_EN;
    return uk->quality > 0 && uk->place <= en->place ? LOCALE_UK : LOCALE_EN;
}

/* ---- texts ---- */

struct str locale_text(enum locale_lang lang, struct str key)
{
    const char *text = map_find(&languages[lang].texts, key);
    return text ? str_of(text) : key;
}

/* The value of a place in a text, or NULL. */
static const struct str *find_value(const struct str *pairs, struct str name)
{
    for (; pairs->at; pairs += 2) {
        if (str_eq(pairs[0], name))
            return &pairs[1];
    }
    return NULL;
}

/* Writes text with its places filled, unless out is NULL; returns its length. */
static size_t fill(struct str text, const struct str *pairs, char *out)
{
    size_t len = 0;
    while (text.len > 0) {
        size_t open = str_index(text, '{');
        struct str rest = {text.at + open, text.len - open}; // from the brace
        size_t close = str_index(rest, '}');
        const struct str *value =
            close < rest.len ? find_value(pairs, (struct str){rest.at + 1, close - 1}) : NULL;
        // Without a value, only the brace is passed: another place may begin behind it.
        struct str plain = {text.at, open + (rest.len > 0 && !value)};
        if (out)
            memcpy(out + len, plain.at, plain.len);
        len += plain.len;
        if (value && out && value->len > 0)
            memcpy(out + len, value->at, value->len);
        len += value ? value->len : 0;
        size_t taken = value ? open + close + 1 : plain.len;
        text = (struct str){text.at + taken, text.len - taken};
    }
    return len;
}

static struct str format(struct str text, struct arena *a, const struct str *pairs)
{
    size_t len = fill(text, pairs, NULL);
    char *out = arena_alloc(a, len + 1);
    fill(text, pairs, out);
    return (struct str){out, len};
}

struct str locale_format(enum locale_lang lang, struct str key, struct arena *a,
                         const struct str *pairs)
{
    return format(locale_text(lang, key), a, pairs);
}

/* The category of an integer in CLDR's plural rules. */
static const char *category(enum locale_lang lang, int64_t n)
{
    uint64_t size = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    if (lang == LOCALE_EN)
        return size == 1 ? "one" : "other";
    unsigned tens = (unsigned)(size % 100), ones = (unsigned)(size % 10);
    bool is_teen = tens > 10 && tens < 15;
    if (ones == 1 && !is_teen)
        return "one";
    return ones >= 2 && ones <= 4 && !is_teen ? "few" : "many";
}

struct str locale_plural(enum locale_lang lang, struct str key, int64_t n, struct arena *a)
{
    const struct map *texts = &languages[lang].texts;
    const char *text = map_find(texts, arena_printf(a, "%.*s.%s", STR_ARG(key), category(lang, n)));
    if (!text)
        text = map_find(texts, arena_printf(a, "%.*s.other", STR_ARG(key)));
    const struct str pairs[] = {STR("n"), locale_number(lang, n, a), {0}};
    return format(text ? str_of(text) : locale_text(lang, key), a, pairs);
}

struct str locale_number(enum locale_lang lang, int64_t n, struct arena *a)
{
    char digits[24];
    int count = snprintf(digits, sizeof(digits), "%" PRIu64, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
    struct str separator = str_of(separators[lang]);
    char *out = arena_alloc(a, 64); // 19 digits, 6 separators of 2 bytes, a sign
    size_t len = 0;
    if (n < 0)
        out[len++] = '-';
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            memcpy(out + len, separator.at, separator.len);
            len += separator.len;
        }
        out[len++] = digits[i];
    }
    return (struct str){out, len};
}
