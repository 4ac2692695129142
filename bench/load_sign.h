/* load_sign.h -- signatures of the Pusher protocol. */
#ifndef LOAD_SIGN_H
#define LOAD_SIGN_H

#include <stddef.h>

enum { LOAD_SIGN_BYTES = 65 };

/* HMAC-SHA256 of the text in hex, with its NUL. */
void load_sign(const char *secret, const char *text, size_t len, char out[static LOAD_SIGN_BYTES]);
/* MD5 in hex, with its NUL. */
void load_sign_md5(const char *body, size_t len, char out[static 33]);

#endif
