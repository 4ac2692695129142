/* crypto.h -- digests, signatures, random bytes (OpenSSL 3, libsodium). Any thread. */
#ifndef CORE_CRYPTO_H
#define CORE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

enum {
    CRYPTO_SHA256_BYTES = 32,
    CRYPTO_MD5_BYTES = 16,
    CRYPTO_SHA1_BYTES = 20,
    CRYPTO_PASSWORD_HASH_BYTES = 128, // with its NUL
    CRYPTO_TOKEN_CHARS = 43,          // base64url of 32 bytes, without padding
    CRYPTO_SEAL_KEY_BYTES = 32,
    CRYPTO_SEAL_MORE_BYTES = 24 + 16, // nonce and tag: what a sealed text has more
};

/* Once, before anything else and before threads. */
void crypto_init(void);

void crypto_random(void *out, size_t len);
void crypto_sha256(struct str data, uint8_t out[static CRYPTO_SHA256_BYTES]);
void crypto_sha1(struct str data, uint8_t out[static CRYPTO_SHA1_BYTES]);
void crypto_md5(struct str data, uint8_t out[static CRYPTO_MD5_BYTES]);
/* The parts are hashed one after the other, as if joined. */
void crypto_hmac_sha256(struct str key, const struct str *parts, size_t count,
                        uint8_t out[static CRYPTO_SHA256_BYTES]);

/* Constant time for equal lengths. */
bool crypto_equal(struct str a, struct str b);

/* Lower case, and a NUL: out has 2 * len + 1 bytes. */
void crypto_hex(const uint8_t *bytes, size_t len, char *out);
/* Exactly len bytes, in either case. ERR_INVALID. */
MUST_USE enum err crypto_hex_decode(struct str text, uint8_t *out, size_t len);

/* Standard base64 with padding and a NUL: out has 4 * ((len + 2) / 3) + 1 bytes. */
void crypto_base64(const uint8_t *bytes, size_t len, char *out);
/* Strict decoding (RFC 4648 §4). ERR_INVALID; ERR_TOO_LARGE: does not fit cap. */
MUST_USE enum err crypto_base64_decode(struct str text, uint8_t *out, size_t cap, size_t *len_out);

/* XChaCha20-Poly1305 (libsodium's IETF variant) with a random nonce in front. out has text.len +
 * CRYPTO_SEAL_MORE_BYTES. bound: what crypto_open must name again; it is not in the result. */
void crypto_seal(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct str text, struct str bound,
                 uint8_t *out);
/* out has sealed.len - CRYPTO_SEAL_MORE_BYTES. ERR_DENIED: too short, or not sealed with this key
 * and bound, or changed since; out is then without meaning. */
MUST_USE enum err crypto_open(const uint8_t key[static CRYPTO_SEAL_KEY_BYTES], struct str sealed,
                              struct str bound, uint8_t *out);
/* Zeroes a secret whose memory is not used again, which a compiler may leave out. */
void crypto_wipe(void *secret, size_t len);

/* A fresh secret of 256 bits as base64url text with a NUL. */
void crypto_token(char out[static CRYPTO_TOKEN_CHARS + 1]);

/* Argon2id. Takes 30-100 ms and 19-64 MiB: never on a loop thread or the store's writer. */
void crypto_password_hash(struct str password, char out[static CRYPTO_PASSWORD_HASH_BYTES]);
bool crypto_password_matches(const char *hash, struct str password);

#endif
