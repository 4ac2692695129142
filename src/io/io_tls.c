/* io_tls.c -- OpenSSL between two BIOs that are memory: it reads the records that io_tls_read was
 * given, and appends what it writes to t->out, which always takes it (or ends the connection).
 *
 * Errors wait in a queue of the thread, so it is emptied before each call whose result is asked
 * for.
 */
#include "io/io_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"

/* Three records, and a handshake with a long chain; a peer cannot make us owe it more. */
enum { MAX_OUT_BYTES = 256 * 1024 };

struct io_tls {
    SSL *ssl;
    struct str in;  // what OpenSSL has not taken yet, during io_tls_read
    struct buf out; // for the peer
    struct str plain_answer;
    const char *why; // NULL: it did not fail
    bool is_read_done;
    bool is_end_sent;
};

/* A record that was held back in part may come out whole beside those of one read. */
_Static_assert(IO_TLS_READ_BYTES + IO_TLS_RECORD_BYTES <= IO_TLS_PLAIN_BYTES, "plain bytes fit");
_Static_assert(IO_TLS_WRITE_BYTES < MAX_OUT_BYTES / 2, "records and a handshake fit");

/* ---- the BIO ---- */

static int take_records(BIO *bio, char *out, size_t cap, size_t *len_out)
{
    struct io_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t len = cap < t->in.len ? cap : t->in.len;
    memcpy(out, t->in.at, len);
    t->in = (struct str){t->in.at + len, t->in.len - len};
    *len_out = len;
    return 1;
}

static int put_records(BIO *bio, const char *bytes, size_t len, size_t *len_out)
{
    struct io_tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (buf_append(&t->out, bytes, len) != OK)
        return 0; // no retry: the connection fails
    *len_out = len;
    return 1;
}

static long control(BIO *bio, int what, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "io_tls");
    CHECK(method && BIO_meth_set_read_ex(method, take_records) &&
          BIO_meth_set_write_ex(method, put_records) && BIO_meth_set_ctrl(method, control));
}

static BIO *new_bio(struct io_tls *t)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = BIO_new(method);
    CHECK(bio);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- certificates ---- */

/* RFC 7301 §3.2: who offers only protocols that we do not speak gets an alert. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *len_out,
                           const unsigned char *offered, unsigned offered_len, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    (void)ssl, (void)ctx;
    if (SSL_select_next_proto(&chosen, len_out, ours, sizeof(ours) - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION));
    // Of TLS 1.2 only forward secrecy with authenticated encryption (RFC 9325 §4.2).
    CHECK(SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20"));
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); // tickets do without
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    return ctx;
}

/* The first error tells most; those that follow say who passed it on. */
static const char *reason_text(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason ? reason : "unknown reason";
}

struct loading {
    const char *cert_path, *key_path;
    char *why;
    size_t why_cap;
    bool wants_pass_phrase;
};

/* Else OpenSSL asks at the terminal. */
// NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's
static int refuse_pass_phrase(char *out, int cap, int is_writing, void *ctx)
{
    struct loading *l = ctx;
    (void)out, (void)cap, (void)is_writing;
    l->wants_pass_phrase = true;
    return -1;
}

static enum err check_readable(struct loading *l, const char *option, const char *path)
{
    if (access(path, R_OK) == 0)
        return OK;
    snprintf(l->why, l->why_cap, "%s: cannot read %s: %s", option, path, strerror(errno));
    return ERR_INVALID;
}

static enum err use_certificate(struct loading *l, SSL_CTX *ctx)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, l->cert_path) == 1)
        return OK;
    if (ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE)
        snprintf(l->why, l->why_cap, "--tls-cert: %s holds no certificate in PEM", l->cert_path);
    else
        snprintf(l->why, l->why_cap, "--tls-cert: %s cannot be used: %s", l->cert_path,
                 reason_text());
    return ERR_INVALID;
}

static bool does_not_fit(unsigned long error)
{
    int lib = ERR_GET_LIB(error), reason = ERR_GET_REASON(error);
    return (lib == ERR_LIB_X509 && reason == X509_R_KEY_VALUES_MISMATCH) ||
           (lib == ERR_LIB_SSL && reason == SSL_R_NO_CERTIFICATE_ASSIGNED); // of another type
}

static enum err use_key(struct loading *l, SSL_CTX *ctx)
{
    ERR_clear_error();
    if (SSL_CTX_use_PrivateKey_file(ctx, l->key_path, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(ctx) == 1)
        return OK;
    if (does_not_fit(ERR_peek_error()))
        snprintf(l->why, l->why_cap, "--tls-key: %s is not the key of the certificate in %s",
                 l->key_path, l->cert_path);
    else if (l->wants_pass_phrase)
        snprintf(l->why, l->why_cap,
                 "--tls-key: the key in %s needs a pass phrase; give one without", l->key_path);
    else
        snprintf(l->why, l->why_cap, "--tls-key: %s holds no private key in PEM (%s)", l->key_path,
                 reason_text());
    return ERR_INVALID;
}

static void warn_of_its_time(const SSL_CTX *ctx, const char *path)
{
    char quoted[LOG_QUOTE_BYTES];
    const X509 *cert = SSL_CTX_get0_certificate(ctx);
    const char *why = NULL;
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        why = "the certificate has expired";
    else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        why = "the certificate is not valid yet";
    if (why)
        log_warn("at=io_tls.load file=%s why=\"%s\"", log_quote(str_of(path), quoted), why);
}

enum err io_tls_load(const char *cert_path, const char *key_path, SSL_CTX **out, char *why_out,
                     size_t why_cap)
{
    struct loading l = {.cert_path = cert_path, .key_path = key_path, .why_cap = why_cap};
    l.why = why_out;
    SSL_CTX *ctx = new_context();

    SSL_CTX_set_default_passwd_cb(ctx, refuse_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &l);
    enum err err = check_readable(&l, "--tls-cert", cert_path);
    if (!err)
        err = check_readable(&l, "--tls-key", key_path);
    if (!err)
        err = use_certificate(&l, ctx);
    if (!err)
        err = use_key(&l, ctx);
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL); // l was for this call
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    warn_of_its_time(ctx, cert_path);
    *out = ctx;
    return OK;
}

SSL_CTX *io_tls_ref(SSL_CTX *certificate)
{
    CHECK(SSL_CTX_up_ref(certificate));
    return certificate;
}

void io_tls_unref(SSL_CTX *certificate)
{
    SSL_CTX_free(certificate);
}

/* ---- one connection ---- */

struct io_tls *io_tls_new(SSL_CTX *certificate, struct str plain_answer)
{
    struct io_tls *t = MEM_NEW(struct io_tls);
    t->plain_answer = plain_answer;
    buf_init(&t->out, MAX_OUT_BYTES);
    t->ssl = SSL_new(certificate);
    CHECK(t->ssl);
    BIO *bio = new_bio(t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return t;
}

void io_tls_free(struct io_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    buf_done(&t->out);
    mem_free(t);
}

static enum err fail(struct io_tls *t)
{
    t->why = reason_text();
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST &&
        buf_append(&t->out, t->plain_answer.at, t->plain_answer.len) != OK)
        t->why = "no room for the answer in clear";
    return ERR_PROTOCOL;
}

enum err io_tls_read(struct io_tls *t, const uint8_t *records, size_t len, uint8_t *plain_out,
                     size_t *len_out)
{
    size_t got = 0, n = 0;
    int rc;

    CHECK(len <= IO_TLS_READ_BYTES && !t->why);
    t->in = (struct str){(const char *)records, len};
    ERR_clear_error();
    while ((rc = SSL_read_ex(t->ssl, plain_out + got, IO_TLS_PLAIN_BYTES - got, &n)) == 1)
        got += n;
    *len_out = got;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return t->in.len == 0 ? OK : fail(t); // it waits for what take_records did not have
    case SSL_ERROR_ZERO_RETURN:
        t->is_read_done = true;
        return OK;
    default:
        return fail(t);
    }
}

enum err io_tls_write(struct io_tls *t, const void *plain, size_t len, size_t *taken_out)
{
    *taken_out = 0;
    if (!SSL_is_init_finished(t->ssl))
        return OK;
    ERR_clear_error();
    if (len > IO_TLS_WRITE_BYTES)
        len = IO_TLS_WRITE_BYTES;
    return SSL_write_ex(t->ssl, plain, len, taken_out) == 1 ? OK : fail(t);
}

void io_tls_end(struct io_tls *t)
{
    if (t->is_end_sent || t->why || !SSL_is_init_finished(t->ssl))
        return;
    t->is_end_sent = true;
    ERR_clear_error();
    if (SSL_shutdown(t->ssl) < 0)
        log_debug("at=io_tls.end why=\"%s\"", reason_text());
}

struct buf *io_tls_out(struct io_tls *t)
{
    return &t->out;
}

bool io_tls_is_read_done(const struct io_tls *t)
{
    return t->is_read_done;
}

const char *io_tls_why(const struct io_tls *t)
{
    return t->why;
}
