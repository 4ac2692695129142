/* io_tls.h -- the server's side of TLS 1.2 and 1.3 (OpenSSL) as a transformation of bytes.
 *
 *     peer's records -> io_tls_read -> plain bytes          plain bytes -> io_tls_write -> out
 *                            `-> out: handshake, alerts
 *
 * It knows no descriptor: io_conn moves the bytes. So there is no state in which OpenSSL "wants to
 * write", nothing that was read stays behind but a record that is not whole yet (17 KiB), and an
 * idle connection owns no buffer. What a peer may make us keep during the handshake is bounded by
 * OpenSSL (a ClientHello has at most 128 KiB); how long it may take is the affair of the owner of
 * the connection.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/str.h"

typedef struct ssl_ctx_st SSL_CTX; // as <openssl/ssl.h> says it

struct io_tls;

enum {
    IO_TLS_RECORD_BYTES = 16 * 1024,              // RFC 8446 §5.1: plain bytes of one record
    IO_TLS_READ_BYTES = 32 * 1024,                // for one io_tls_read
    IO_TLS_PLAIN_BYTES = 48 * 1024,               // what that may give
    IO_TLS_WRITE_BYTES = 3 * IO_TLS_RECORD_BYTES, // for one io_tls_write
};

/* ---- certificates: read-only once loaded, counted, for any thread ---- */

/* Reads a certificate with its chain and its private key, both PEM, without a pass phrase. Blocks.
 * Warns in the log of a certificate whose time has not come or is over. ERR_INVALID: a file cannot
 * be read or does not hold what it should, or the two do not belong together; why_out: a sentence
 * for the operator. The caller gives it back with io_tls_unref. */
MUST_USE enum err io_tls_load(const char *cert_path, const char *key_path, SSL_CTX **out,
                              char *why_out, size_t why_cap);
SSL_CTX *io_tls_ref(SSL_CTX *certificate);
void io_tls_unref(SSL_CTX *certificate);

/* ---- one connection ---- */

/* Keeps its own reference of certificate. plain_answer (static) goes in clear to a peer that speaks
 * HTTP without TLS. */
struct io_tls *io_tls_new(SSL_CTX *certificate, struct str plain_answer);
void io_tls_free(struct io_tls *t);

/* Takes all of at most IO_TLS_READ_BYTES from the peer; plain_out has IO_TLS_PLAIN_BYTES and gets
 * len_out. ERR_PROTOCOL: the handshake failed or a record is not genuine; nothing more is read or
 * written, but what led up to it is in plain_out and what the peer shall hear in io_tls_out. */
MUST_USE enum err io_tls_read(struct io_tls *t, const uint8_t *records, size_t len,
                              uint8_t *plain_out, size_t *len_out);
/* Takes up to IO_TLS_WRITE_BYTES; nothing before the handshake is done. ERR_PROTOCOL. */
MUST_USE enum err io_tls_write(struct io_tls *t, const void *plain, size_t len, size_t *taken_out);
/* close_notify, once; nothing before the handshake is done or after a failure. */
void io_tls_end(struct io_tls *t);

/* What has to be sent; the caller consumes it. */
struct buf *io_tls_out(struct io_tls *t);
/* The peer sent close_notify: no more plain bytes will come. */
bool io_tls_is_read_done(const struct io_tls *t);
/* Why it failed, in OpenSSL's words (static). */
const char *io_tls_why(const struct io_tls *t);

#endif
