#include "queue/queue_seal.h"

#include "core/crypto.h"
#include "core/mem.h"

struct key {
    struct str id;
    char id_bytes[QUEUE_SEAL_MAX_ID_BYTES];
    uint8_t secret[CRYPTO_SEAL_KEY_BYTES];
};

struct queue_seal {
    struct key keys[QUEUE_SEAL_MAX_KEYS]; // the first seals
    size_t count;
};

/* ---- keys ---- */

static bool is_id(struct str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_plain && c != '.' && c != '_' && c != '-')
            return false;
    }
    return id.len > 0 && id.len <= QUEUE_SEAL_MAX_ID_BYTES;
}

static const struct key *find_key(const struct queue_seal *s, struct str id)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (str_eq(s->keys[i].id, id))
            return &s->keys[i];
    return NULL;
}

/* NULL, or why not. */
static const char *add_key(struct queue_seal *s, struct str line)
{
    struct str hex, id = str_trim(str_cut(line, '=', &hex));
    if (!is_id(id))
        return "a line is id=hex, the id 1 to 32 letters, digits, '.', '_' or '-'";
    if (find_key(s, id))
        return "two keys have one id";
    if (s->count == QUEUE_SEAL_MAX_KEYS)
        return "there are more than 32 keys";
    struct key *key = &s->keys[s->count];
    if (crypto_hex_decode(str_trim(hex), key->secret, sizeof(key->secret)) != OK)
        return "a key is 64 hex digits";
    memcpy(key->id_bytes, id.at, id.len);
    key->id = (struct str){key->id_bytes, id.len};
    s->count++;
    return NULL;
}

enum err queue_seal_read(struct str text, struct queue_seal **out, const char **why_out)
{
    struct queue_seal *s = MEM_NEW(struct queue_seal);
    const char *why = NULL;
    while (text.len > 0 && !why) {
        struct str line = str_trim(str_cut(text, '\n', &text));
        if (line.len > 0 && line.at[0] != '#')
            why = add_key(s, line);
    }
    if (!why && s->count == 0)
        why = "there is no key";
    if (!why) {
        *out = s;
        return OK;
    }
    *why_out = why;
    queue_seal_free(s);
    return ERR_INVALID;
}

void queue_seal_free(struct queue_seal *s)
{
    if (!s)
        return;
    crypto_wipe(s, sizeof(*s));
    mem_free(s);
}

struct str queue_seal_id(const struct queue_seal *s)
{
    return s->keys[0].id;
}

/* ---- payloads ---- */

/* What a payload is bound to. */
static struct str bind(int64_t job_id, struct str kind, struct arena *a)
{
    return arena_printf(a, "viche job 1 %lld %.*s", (long long)job_id, STR_ARG(kind));
}

struct str queue_seal_write(const struct queue_seal *s, int64_t job_id, struct str kind,
                            struct str payload, struct arena *a)
{
    size_t len = payload.len + CRYPTO_SEAL_MORE_BYTES, chars = 4 * ((len + 2) / 3);
    uint8_t *bytes = arena_alloc(a, len);
    char *text = arena_alloc(a, chars + 3);
    crypto_seal(s->keys[0].secret, payload, bind(job_id, kind, a), bytes);
    crypto_base64(bytes, len, text + 1);
    text[0] = text[chars + 1] = '"';
    return (struct str){text, chars + 2};
}

enum err queue_seal_open(const struct queue_seal *s, struct str key_id, int64_t job_id,
                         struct str kind, struct str sealed, struct arena *a,
                         struct str *payload_out)
{
    const struct key *key = find_key(s, key_id);
    size_t len = 0;
    if (!key)
        return ERR_NOT_FOUND;
    if (sealed.len < 2 || sealed.at[0] != '"' || sealed.at[sealed.len - 1] != '"')
        return ERR_DENIED;
    uint8_t *bytes = arena_alloc(a, sealed.len);
    char *text = arena_alloc(a, sealed.len);
    struct str inner = {sealed.at + 1, sealed.len - 2};
    if (crypto_base64_decode(inner, bytes, sealed.len, &len) != OK)
        return ERR_DENIED;
    enum err err = crypto_open(key->secret, (struct str){(const char *)bytes, len},
                               bind(job_id, kind, a), (uint8_t *)text);
    if (!err)
        *payload_out = (struct str){text, len - CRYPTO_SEAL_MORE_BYTES};
    return err;
}
