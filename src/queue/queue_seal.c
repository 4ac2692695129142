#include "queue/queue_seal.h"

#include <pthread.h>

#include "core/crypto.h"
#include "core/mem.h"

struct key {
    struct str id;
    char id_bytes[QUEUE_SEAL_MAX_ID_BYTES];
    uint8_t secret[CRYPTO_SEAL_KEY_BYTES];
};

struct keys {
    struct key at[QUEUE_SEAL_MAX_KEYS]; // the first seals
    size_t count;
};

struct queue_seal {
    pthread_rwlock_t lock;
    struct keys *keys; // guarded
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

static const struct key *find_key(const struct keys *keys, struct str id)
{
    for (size_t i = 0; i < keys->count; i++)
        if (str_eq(keys->at[i].id, id))
            return &keys->at[i];
    return NULL;
}

static void free_keys(struct keys *keys)
{
    crypto_wipe(keys, sizeof(*keys));
    mem_free(keys);
}

/* NULL, or why not. */
static const char *add_key(struct keys *keys, struct str line)
{
    struct str hex, id = str_trim(str_cut(line, '=', &hex));
    if (!is_id(id))
        return "a line is id=hex, the id 1 to 32 letters, digits, '.', '_' or '-'";
    if (find_key(keys, id))
        return "two keys have one id";
    if (keys->count == QUEUE_SEAL_MAX_KEYS)
        return "there are more than 32 keys";
    struct key *key = &keys->at[keys->count];
    if (crypto_hex_decode(str_trim(hex), key->secret, sizeof(key->secret)) != OK)
        return "a key is 64 hex digits";
    memcpy(key->id_bytes, id.at, id.len);
    key->id = (struct str){key->id_bytes, id.len};
    keys->count++;
    return NULL;
}

enum err queue_seal_read(struct str text, struct queue_seal **out, const char **why_out)
{
    struct keys *keys = MEM_NEW(struct keys);
    const char *why = NULL;
    while (text.len > 0 && !why) {
        struct str line = str_trim(str_cut(text, '\n', &text));
        if (line.len > 0 && line.at[0] != '#')
            why = add_key(keys, line);
    }
    if (!why && keys->count == 0)
        why = "there is no key";
    if (why) {
        *why_out = why;
        free_keys(keys);
        return ERR_INVALID;
    }
    *out = MEM_NEW(struct queue_seal);
    pthread_rwlock_init(&(*out)->lock, NULL);
    (*out)->keys = keys;
    return OK;
}

void queue_seal_use(struct queue_seal *s, struct queue_seal *with)
{
    struct keys *keys = with->keys;
    pthread_rwlock_wrlock(&s->lock);
    with->keys = s->keys;
    s->keys = keys;
    pthread_rwlock_unlock(&s->lock);
    queue_seal_free(with);
}

void queue_seal_free(struct queue_seal *s)
{
    if (!s)
        return;
    free_keys(s->keys);
    pthread_rwlock_destroy(&s->lock);
    mem_free(s);
}

/* ---- payloads ---- */

/* What a payload is bound to. */
static struct str bind(int64_t job_id, struct str kind, struct arena *a)
{
    return arena_printf(a, "viche job 1 %lld %.*s", (long long)job_id, STR_ARG(kind));
}

struct queue_sealed queue_seal_write(struct queue_seal *s, int64_t job_id, struct str kind,
                                     struct str payload, struct arena *a)
{
    size_t len = payload.len + CRYPTO_SEAL_MORE_BYTES, chars = 4 * ((len + 2) / 3);
    uint8_t *bytes = arena_alloc(a, len);
    char *text = arena_alloc(a, chars + 3);
    pthread_rwlock_rdlock(&s->lock);
    struct str key_id = arena_str(a, s->keys->at[0].id);
    crypto_seal(s->keys->at[0].secret, payload, bind(job_id, kind, a), bytes);
    pthread_rwlock_unlock(&s->lock);
    crypto_base64(bytes, len, text + 1);
    text[0] = text[chars + 1] = '"';
    return (struct queue_sealed){.text = {text, chars + 2}, .key_id = key_id};
}

static enum err open_with(const struct key *key, int64_t job_id, struct str kind, struct str sealed,
                          struct arena *a, struct str *payload_out)
{
    size_t len = 0;
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

enum err queue_seal_open(struct queue_seal *s, int64_t job_id, struct str kind,
                         struct queue_sealed sealed, struct arena *a, struct str *payload_out)
{
    if (!s)
        return ERR_NOT_FOUND;
    pthread_rwlock_rdlock(&s->lock);
    const struct key *key = find_key(s->keys, sealed.key_id);
    enum err err = key ? open_with(key, job_id, kind, sealed.text, a, payload_out) : ERR_NOT_FOUND;
    pthread_rwlock_unlock(&s->lock);
    return err;
}
