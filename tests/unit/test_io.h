/* test_io.h -- what the tests of connections share: one connection on a loop, in clear or under
 * TLS, and its peer. The tests say what both must do alike: EACH_MODE makes three tests of one
 * text. */
#ifndef TEST_IO_H
#define TEST_IO_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/mem.h"
#include "io/io_conn.h"
#include "test.h"

enum test_io_mode { CLEAR, TLS_12, TLS_13 };

#define EACH_MODE(name)                                                                            \
    static void name(enum test_io_mode mode);                                                      \
    TEST(name##_in_clear)                                                                          \
    {                                                                                              \
        name(CLEAR);                                                                               \
    }                                                                                              \
    TEST(name##_under_tls_12)                                                                      \
    {                                                                                              \
        name(TLS_12);                                                                              \
    }                                                                                              \
    TEST(name##_under_tls_13)                                                                      \
    {                                                                                              \
        name(TLS_13);                                                                              \
    }                                                                                              \
    static void name(enum test_io_mode mode)
#define EACH_TLS(name)                                                                             \
    static void name(enum test_io_mode mode);                                                      \
    TEST(name##_12)                                                                                \
    {                                                                                              \
        name(TLS_12);                                                                              \
    }                                                                                              \
    TEST(name##_13)                                                                                \
    {                                                                                              \
        name(TLS_13);                                                                              \
    }                                                                                              \
    static void name(enum test_io_mode mode)

#define TEST_IO_PLAIN_ANSWER "say it under TLS\n"

/* A connection under test on a loop, its peer a plain non-blocking descriptor or a client of TLS on
 * one. */
struct test_io {
    struct io_loop *loop;
    struct io_conn *c;
    int peer;
    SSL *client;           // NULL: in clear
    struct io_timer guard; // no test hangs
    struct io_timer step;
    char got[256];
    size_t got_len;
    int ends, drains, closes;
    bool is_guard_hit;
};

/* ---- callbacks: each stops the loop ---- */

static inline void test_io_on_guard(struct io_timer *t)
{
    struct test_io *r = LIST_ENTRY(t, struct test_io, guard);
    r->is_guard_hit = true;
    io_loop_stop(r->loop);
}

static inline void test_io_on_bytes(struct io_conn *c, void *owner, const uint8_t *bytes,
                                    size_t len)
{
    struct test_io *r = owner;
    (void)c;
    for (size_t i = 0; i < len && r->got_len < sizeof(r->got); i++)
        r->got[r->got_len++] = (char)bytes[i];
    io_loop_stop(r->loop);
}

static inline void test_io_on_end(struct io_conn *c, void *owner)
{
    struct test_io *r = owner;
    (void)c;
    r->ends++;
    io_loop_stop(r->loop);
}

static inline void test_io_on_drained(struct io_conn *c, void *owner)
{
    struct test_io *r = owner;
    (void)c;
    r->drains++;
    io_loop_stop(r->loop);
}

static inline void test_io_on_closed(struct io_conn *c, void *owner)
{
    struct test_io *r = owner;
    (void)c;
    r->closes++;
    r->c = NULL;
    io_loop_stop(r->loop);
}

static const struct io_conn_handler test_io_handler = {.on_bytes = test_io_on_bytes,
                                                       .on_end = test_io_on_end,
                                                       .on_drained = test_io_on_drained,
                                                       .on_closed = test_io_on_closed};
static const struct io_conn_handler test_io_plain_handler = {.on_bytes = test_io_on_bytes,
                                                             .on_closed = test_io_on_closed};

/* ---- certificates, made by the openssl command in a folder of their own ---- */

struct test_io_files {
    char dir[TEST_FOLDER_MAX], cert[96], key[96];
};

static inline void test_io_shell(const char *command)
{
    ck_assert_msg(system(command) == 0, "failed: %s", command);
}

static inline void test_io_make_files(struct test_io_files *f)
{
    char command[400];
    test_make_folder(f->dir);
    snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->dir);
    snprintf(f->key, sizeof(f->key), "%s/key.pem", f->dir);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
             "-subj /CN=localhost -out %s -keyout %s 2>/dev/null",
             f->cert, f->key);
    test_io_shell(command);
}

static inline void test_io_remove_files(const struct test_io_files *f)
{
    char command[100];
    snprintf(command, sizeof(command), "rm -r %s", f->dir);
    test_io_shell(command);
}

/* ---- the peer: what read(2) and write(2) are in clear ---- */

/* -1: nothing yet; 0: FIN, which close_notify must precede; -2: lost, or FIN without it. */
static inline ssize_t test_io_peer_read(struct test_io *r, void *out, size_t cap)
{
    if (!r->client)
        return read(r->peer, out, cap);
    ERR_clear_error(); // both ends are in one thread
    int n = SSL_read(r->client, out, (int)cap);
    if (n > 0)
        return n;
    switch (SSL_get_error(r->client, n)) {
    case SSL_ERROR_WANT_READ:
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -2;
    }
}

static inline ssize_t test_io_peer_write(struct test_io *r, const void *bytes, size_t len)
{
    return r->client ? SSL_write(r->client, bytes, (int)len) : write(r->peer, bytes, len);
}

static inline void test_io_peer_end(struct test_io *r)
{
    if (r->client)
        EXPECT(SSL_shutdown(r->client) >= 0);
    EXPECT_EQ(shutdown(r->peer, SHUT_WR), 0);
}

/* One turn of the loop, which does not wait. */
static inline void test_io_turn(struct test_io *r)
{
    uv_run(io_loop_uv(r->loop), UV_RUN_NOWAIT);
}

/* ---- life ---- */

static inline void test_io_new_client(struct test_io *r, enum test_io_mode mode)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int version = mode == TLS_12 ? TLS1_2_VERSION : TLS1_3_VERSION;
    EXPECT(SSL_CTX_set_min_proto_version(ctx, version));
    EXPECT(SSL_CTX_set_max_proto_version(ctx, version));
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    r->client = SSL_new(ctx);
    SSL_CTX_free(ctx); // the client keeps it
    EXPECT(SSL_set_fd(r->client, r->peer));
    SSL_set_connect_state(r->client);
}

/* The server's side has TLS; no byte went yet. */
static inline void test_io_begin_raw(struct test_io *r, const struct io_conn_handler *h,
                                     size_t max_out, enum test_io_mode mode)
{
    int fds[2];
    signal(SIGPIPE, SIG_IGN); // the client's
    *r = (struct test_io){.loop = io_loop_new(0)};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    r->peer = fds[1];
    r->c = io_conn_new(r->loop, fds[0], h, r, max_out);
    io_timer_init(&r->guard, test_io_on_guard);
    io_timer_start(r->loop, &r->guard, 120000);
    if (mode == CLEAR)
        return;
    struct test_io_files files;
    char why[300] = "";
    SSL_CTX *certificate = NULL;
    test_io_make_files(&files);
    ck_assert_msg(io_tls_load(files.cert, files.key, &certificate, why, sizeof(why)) == OK, "%s",
                  why);
    test_io_remove_files(&files);
    io_conn_start_tls(r->c, certificate, STR(TEST_IO_PLAIN_ANSWER));
    io_tls_unref(certificate); // the connection keeps it
}

static inline void test_io_shake_hands(struct test_io *r)
{
    char nothing[1];
    while (SSL_do_handshake(r->client) != 1)
        test_io_turn(r);
    test_io_turn(r);
    EXPECT_EQ(test_io_peer_read(r, nothing, 1), -1); // takes the tickets
}

/* The handshake is done. */
static inline void test_io_begin(struct test_io *r, const struct io_conn_handler *h, size_t max_out,
                                 enum test_io_mode mode)
{
    test_io_begin_raw(r, h, max_out, mode);
    if (mode == CLEAR)
        return;
    test_io_new_client(r, mode);
    test_io_shake_hands(r);
}

static inline void test_io_finish(struct test_io *r)
{
    EXPECT(!r->is_guard_hit);
    io_loop_free(r->loop); // closes what is left
    EXPECT_EQ(r->closes, 1);
    SSL_free(r->client);
    close(r->peer);
}

/* Runs until some callback of the connection came; io_loop_stop is sticky, so a loop runs once. */
static inline void test_io_run(struct test_io *r)
{
    io_loop_run(r->loop);
}

#endif
