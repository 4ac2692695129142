/* crypto.c -- thin glue over OpenSSL (digests) and libsodium (passwords, random bytes, text forms).
 *
 * Fetching an algorithm takes OpenSSL longer than hashing a short text with it, so each is fetched
 * once, by crypto_init, and every thread keeps its contexts. A failure here means that the library
 * is broken or absent, which nothing can go on from: CHECK.
 */
#include "core/crypto.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>

#include "core/check.h"
#include "core/mem.h"

enum { HMAC_BLOCK = 64 };

enum digest { SHA256, SHA1, MD5, DIGEST_COUNT };

/* OWASP's second choice for Argon2id: 19 MiB, two passes. */
enum { PASSWORD_PASSES = 2, PASSWORD_MEMORY_BYTES = 19 * 1024 * 1024 };

/* A key's two half-finished digests (RFC 2104 §4): signing with the same key again starts there. */
struct signer {
    EVP_MD_CTX *inner, *outer;
    bool has_key;
    uint8_t key[HMAC_BLOCK];
};

struct contexts {
    EVP_MD_CTX *work;
    struct signer signer;
};

static EVP_MD *digests[DIGEST_COUNT];
static pthread_key_t contexts_key; // frees them at a thread's end
static _Thread_local struct contexts *mine;

static void free_contexts(void *p)
{
    struct contexts *c = p;
    EVP_MD_CTX_free(c->work);
    EVP_MD_CTX_free(c->signer.inner);
    EVP_MD_CTX_free(c->signer.outer);
    sodium_memzero(c, sizeof(*c));
    mem_free(c);
}

static struct contexts *contexts(void)
{
    if (mine)
        return mine;
    CHECK(digests[SHA256] != NULL); // crypto_init was not called
    struct contexts *c = MEM_NEW(struct contexts);
    c->work = EVP_MD_CTX_new();
    c->signer.inner = EVP_MD_CTX_new();
    c->signer.outer = EVP_MD_CTX_new();
    CHECK(c->work && c->signer.inner && c->signer.outer);
    CHECK(pthread_setspecific(contexts_key, c) == 0);
    mine = c;
    return c;
}

void crypto_init(void)
{
    static const char *const name[] = {[SHA256] = "SHA256", [SHA1] = "SHA1", [MD5] = "MD5"};
    if (digests[SHA256])
        return;
    CHECK(sodium_init() >= 0);
    CHECK(pthread_key_create(&contexts_key, free_contexts) == 0);
    for (int i = 0; i < DIGEST_COUNT; i++) {
        digests[i] = EVP_MD_fetch(NULL, name[i], NULL);
        CHECK(digests[i] != NULL);
    }
}

void crypto_random(void *out, size_t len)
{
    randombytes_buf(out, len);
}

static void hash(enum digest which, struct str data, uint8_t *out)
{
    EVP_MD_CTX *ctx = contexts()->work;
    CHECK(EVP_DigestInit_ex2(ctx, digests[which], NULL) == 1 &&
          EVP_DigestUpdate(ctx, data.at, data.len) == 1 && EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

void crypto_sha256(struct str data, uint8_t out[static CRYPTO_SHA256_BYTES])
{
    hash(SHA256, data, out);
}

void crypto_sha1(struct str data, uint8_t out[static CRYPTO_SHA1_BYTES])
{
    hash(SHA1, data, out);
}

void crypto_md5(struct str data, uint8_t out[static CRYPTO_MD5_BYTES])
{
    hash(MD5, data, out);
}

static void start_digest(EVP_MD_CTX *ctx, const uint8_t key[static HMAC_BLOCK], uint8_t pad)
{
    uint8_t block[HMAC_BLOCK];
    for (size_t i = 0; i < HMAC_BLOCK; i++)
        block[i] = key[i] ^ pad;
    CHECK(EVP_DigestInit_ex2(ctx, digests[SHA256], NULL) == 1 &&
          EVP_DigestUpdate(ctx, block, sizeof(block)) == 1);
    sodium_memzero(block, sizeof(block));
}

/* Makes the signer ready for key, padded to a block. */
static void set_key(struct signer *s, const uint8_t key[static HMAC_BLOCK])
{
    if (s->has_key && memcmp(s->key, key, HMAC_BLOCK) == 0)
        return;
    start_digest(s->inner, key, 0x36);
    start_digest(s->outer, key, 0x5c);
    memcpy(s->key, key, HMAC_BLOCK);
    s->has_key = true;
}

void crypto_hmac_sha256(struct str key, const struct str *parts, size_t count,
                        uint8_t out[static CRYPTO_SHA256_BYTES])
{
    struct contexts *c = contexts();
    uint8_t padded[HMAC_BLOCK] = {0};
    if (key.len > HMAC_BLOCK)
        crypto_sha256(key, padded);
    else if (key.len > 0)
        memcpy(padded, key.at, key.len);
    set_key(&c->signer, padded);

    CHECK(EVP_MD_CTX_copy_ex(c->work, c->signer.inner) == 1);
    for (size_t i = 0; i < count; i++)
        CHECK(EVP_DigestUpdate(c->work, parts[i].at, parts[i].len) == 1);
    CHECK(EVP_DigestFinal_ex(c->work, out, NULL) == 1);
    CHECK(EVP_MD_CTX_copy_ex(c->work, c->signer.outer) == 1 &&
          EVP_DigestUpdate(c->work, out, CRYPTO_SHA256_BYTES) == 1 &&
          EVP_DigestFinal_ex(c->work, out, NULL) == 1);
}

bool crypto_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || sodium_memcmp(a.at, b.at, a.len) == 0);
}

void crypto_hex(const uint8_t *bytes, size_t len, char *out)
{
    sodium_bin2hex(out, 2 * len + 1, bytes, len);
}

enum err crypto_hex_decode(struct str text, uint8_t *out, size_t len)
{
    const char *end = NULL;
    size_t got = 0;
    if (text.len != 2 * len || sodium_hex2bin(out, len, text.at, text.len, NULL, &got, &end) != 0 ||
        got != len)
        return ERR_INVALID;
    return end == text.at + text.len ? OK : ERR_INVALID;
}

void crypto_base64(const uint8_t *bytes, size_t len, char *out)
{
    sodium_bin2base64(out, 4 * ((len + 2) / 3) + 1, bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

enum err crypto_base64_decode(struct str text, uint8_t *out, size_t cap, size_t *len_out)
{
    if (text.len % 4 != 0)
        return ERR_INVALID;
    size_t padding = 0;
    while (padding < 2 && padding < text.len && text.at[text.len - 1 - padding] == '=')
        padding++;
    if (text.len / 4 * 3 - padding > cap)
        return ERR_TOO_LARGE;
    if (text.len == 0) {
        *len_out = 0;
        return OK;
    }
    if (sodium_base642bin(out, cap, text.at, text.len, NULL, len_out, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return ERR_INVALID;
    return OK;
}

void crypto_seal(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct str text, struct str bound,
                 uint8_t *out)
{
    enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
    _Static_assert(CRYPTO_SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
    _Static_assert(CRYPTO_SEAL_MORE_BYTES == NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES,
                   "nonce and tag");
    randombytes_buf(out, NONCE); // of 192 bits: random ones do not meet
    CHECK(crypto_aead_xchacha20poly1305_ietf_encrypt(out + NONCE, NULL, (const uint8_t *)text.at,
                                                     text.len, (const uint8_t *)bound.at, bound.len,
                                                     NULL, out, key) == 0);
}

enum err crypto_open(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct str sealed,
                     struct str bound, uint8_t *out)
{
    enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
    const uint8_t *bytes = (const uint8_t *)sealed.at;
    if (sealed.len < CRYPTO_SEAL_MORE_BYTES)
        return ERR_DENIED;
    int code = crypto_aead_xchacha20poly1305_ietf_decrypt(
        out, NULL, NULL, bytes + NONCE, sealed.len - NONCE, (const uint8_t *)bound.at, bound.len,
        bytes, key);
    return code == 0 ? OK : ERR_DENIED;
}

void crypto_wipe(void *secret, size_t len)
{
    sodium_memzero(secret, len);
}

void crypto_token(char out[static CRYPTO_TOKEN_CHARS + 1])
{
    uint8_t secret[32];
    crypto_random(secret, sizeof(secret));
    sodium_bin2base64(out, CRYPTO_TOKEN_CHARS + 1, secret, sizeof(secret),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(secret, sizeof(secret));
}

void crypto_password_hash(struct str password, char out[static CRYPTO_PASSWORD_HASH_BYTES])
{
    _Static_assert(CRYPTO_PASSWORD_HASH_BYTES >= crypto_pwhash_STRBYTES, "room for any hash");
    CHECK(crypto_pwhash_str(out, password.len > 0 ? password.at : "", password.len, PASSWORD_PASSES,
                            PASSWORD_MEMORY_BYTES) == 0);
}

bool crypto_password_matches(const char *hash, struct str password)
{
    return crypto_pwhash_str_verify(hash, password.len > 0 ? password.at : "", password.len) == 0;
}
