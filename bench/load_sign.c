#include "load_sign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

static void hex(const unsigned char *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * len] = 0;
}

void load_sign(const char *secret, const char *text, size_t len, char out[static LOAD_SIGN_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, len, digest,
         &digest_len);
    hex(digest, digest_len, out);
}

void load_sign_md5(const char *body, size_t len, char out[static 33])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    EVP_Digest(body, len, digest, &digest_len, EVP_md5(), NULL);
    hex(digest, digest_len, out);
}
