/* What TLS adds to a connection; what it must leave as it is stands in test_io_conn.c. */
#include "test_io.h"

#include <openssl/err.h>

/* ---- certificates ---- */

/* A command that writes the file. */
static void make(const struct test_io_files *f, const char *command, const char *name)
{
    char line[600];
    snprintf(line, sizeof(line), "%s > %s/%s 2>/dev/null", command, f->dir, name);
    test_io_shell(line);
}

TEST(io_tls_says_which_file_is_wrong)
{
    static const struct {
        const char *cert, *key, *why;
    } cases[] = {
        {"none.pem", "key.pem", "none.pem: No such file"},
        {"cert.pem", "none.pem", "none.pem: No such file"},
        {"key.pem", "key.pem", "key.pem holds no certificate"},
        {"half.pem", "key.pem", "half.pem cannot be used"},
        {"cert.pem", "cert.pem", "cert.pem holds no private key"},
        {"cert.pem", "other.pem", "other.pem is not the key of the certificate in"},
        {"cert.pem", "rsa.pem", "rsa.pem is not the key of the certificate in"},
        {"cert.pem", "secret.pem", "secret.pem needs a pass phrase"},
        {".", "key.pem", "/. holds no certificate"},
    };
    struct test_io_files f;
    test_io_make_files(&f);
    make(&f, "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "other.pem");
    make(&f, "openssl genrsa 2048", "rsa.pem");
    make(&f, "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128 -pass pass:x",
         "secret.pem");
    make(&f, "echo '-----BEGIN CERTIFICATE-----'", "half.pem");

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char cert[128], key[128], why[400] = "";
        SSL_CTX *certificate = NULL;
        snprintf(cert, sizeof(cert), "%s/%s", f.dir, cases[i].cert);
        snprintf(key, sizeof(key), "%s/%s", f.dir, cases[i].key);
        EXPECT_EQ(io_tls_load(cert, key, &certificate, why, sizeof(why)), ERR_INVALID);
        EXPECT(certificate == NULL);
        ck_assert_msg(strstr(why, cases[i].why), "expected '%s' in '%s'", cases[i].why, why);
    }
    test_io_remove_files(&f);
}

/* ---- handshakes ---- */

EACH_TLS(io_tls_keeps_what_was_written_until_the_handshake_is_done)
{
    struct test_io r;
    char got[16];
    test_io_begin_raw(&r, &test_io_handler, 100, mode);
    EXPECT_EQ(io_conn_write(r.c, "ab", 2), OK);
    EXPECT_EQ(io_conn_write_shared(r.c, "cd", 2), OK);
    test_io_turn(&r);
    io_conn_flush(r.c);
    EXPECT_EQ(io_conn_waiting(r.c), 4);
    test_io_new_client(&r, mode);
    while (SSL_do_handshake(r.client) != 1)
        test_io_turn(&r);
    test_io_turn(&r);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), 4);
    EXPECT(memcmp(got, "abcd", 4) == 0);
    EXPECT_EQ(r.drains, 1);
    test_io_finish(&r);
}

/* A peer that speaks no TLS: what it is told, until our FIN. */
static size_t speak_in_clear(const void *bytes, size_t len, char *out, size_t cap)
{
    struct test_io r;
    size_t got = 0;
    ssize_t n = -1;
    test_io_begin_raw(&r, &test_io_handler, 100, TLS_13);
    EXPECT_EQ(write(r.peer, bytes, len), len);
    while (n != 0) {
        test_io_turn(&r);
        n = read(r.peer, out + got, cap - got);
        got += n > 0 ? (size_t)n : 0;
    }
    EXPECT(!io_conn_is_open(r.c));
    EXPECT_EQ(r.closes, 0); // it waits for the peer's FIN
    EXPECT_EQ(shutdown(r.peer, SHUT_WR), 0);
    test_io_run(&r);
    EXPECT_EQ(r.closes, 1);
    EXPECT_EQ(r.got_len, 0);
    test_io_finish(&r);
    return got;
}

TEST(io_tls_answers_http_without_tls_in_clear)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char out[200];
    size_t len = speak_in_clear(request, sizeof(request) - 1, out, sizeof(out));
    EXPECT_EQ(len, sizeof(TEST_IO_PLAIN_ANSWER) - 1);
    EXPECT(memcmp(out, TEST_IO_PLAIN_ANSWER, len) == 0);
}

TEST(io_tls_ends_a_peer_that_speaks_rubbish)
{
    static const char *const rubbish[] = {
        "SSH-2.0-OpenSSH_9.2\r\n", "\x16\x03\x01\x7f\xff a record longer than any",
        "\x16\x03\x01\x00\x04\x02rub bish", "\x17\x03\x03\x00\x02ok and more"};
    char out[200];
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(rubbish[0]); i++)
        speak_in_clear(rubbish[i], 12, out, sizeof(out));
}

static int protocol_that_comes_of(const char *offered, size_t len)
{
    struct test_io r;
    const unsigned char *chosen = NULL;
    unsigned chosen_len = 0;
    int rc;
    test_io_begin_raw(&r, &test_io_handler, 100, TLS_13);
    test_io_new_client(&r, TLS_13);
    EXPECT_EQ(SSL_set_alpn_protos(r.client, (const unsigned char *)offered, (unsigned)len), 0);
    while ((rc = SSL_do_handshake(r.client)) != 1 &&
           SSL_get_error(r.client, rc) == SSL_ERROR_WANT_READ)
        test_io_turn(&r);
    SSL_get0_alpn_selected(r.client, &chosen, &chosen_len);
    EXPECT(rc != 1 || (chosen_len == 8 && memcmp(chosen, "http/1.1", 8) == 0));
    ERR_clear_error();
    test_io_finish(&r);
    return rc;
}

TEST(io_tls_agrees_on_http_1_1_and_on_nothing_else)
{
    EXPECT_EQ(protocol_that_comes_of("\x02h2\x08http/1.1", 12), 1);
    EXPECT(protocol_that_comes_of("\x02h2", 3) != 1);
}

TEST(io_tls_does_not_negotiate_again)
{
    struct test_io r;
    int rc = 0;
    test_io_begin(&r, &test_io_handler, 100, TLS_12);
    EXPECT(SSL_renegotiate(r.client));
    do {
        ERR_clear_error();
        rc = SSL_do_handshake(r.client);
        test_io_turn(&r);
    } while (rc != 1 && SSL_get_error(r.client, rc) == SSL_ERROR_WANT_READ);
    EXPECT(rc != 1);
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
    EXPECT_EQ(r.got_len, 0);
    test_io_finish(&r);
}

/* ---- records ---- */

/* The bytes that the client wants to send, as memory. */
static size_t seal(struct test_io *r, const void *bytes, size_t len, uint8_t *out, size_t cap)
{
    BIO *memory = BIO_new(BIO_s_mem());
    SSL_set0_wbio(r->client, memory);
    EXPECT_EQ(SSL_write(r->client, bytes, (int)len), len);
    int n = BIO_read(memory, out, (int)cap);
    EXPECT(n > 0);
    return (size_t)n;
}

EACH_TLS(io_tls_takes_records_cut_anywhere)
{
    struct test_io r;
    uint8_t records[200];
    test_io_begin(&r, &test_io_handler, 100, mode);
    size_t len = seal(&r, "hello", 5, records, 100);
    len += seal(&r, "you", 3, records + len, 100);
    for (size_t i = 0; i < len; i++) {
        EXPECT_EQ(write(r.peer, &records[i], 1), 1);
        test_io_turn(&r);
        EXPECT_EQ(r.got_len, i + 1 == len ? 8 : r.got_len == 5 ? 5 : 0);
    }
    EXPECT(memcmp(r.got, "helloyou", 8) == 0);
    test_io_finish(&r);
}

EACH_TLS(io_tls_gives_what_came_before_a_broken_record_and_ends)
{
    struct test_io r;
    uint8_t records[200];
    char nothing[8];
    test_io_begin(&r, &test_io_handler, 100, mode);
    size_t first = seal(&r, "hello", 5, records, 100);
    size_t len = first + seal(&r, "you", 3, records + first, 100);
    records[len - 1] ^= 1;
    EXPECT_EQ(write(r.peer, records, len), len);
    test_io_turn(&r);
    EXPECT_EQ(r.got_len, 5);
    EXPECT(!io_conn_is_open(r.c));
    EXPECT_EQ(test_io_peer_read(&r, nothing, sizeof(nothing)), -2); // bad_record_mac
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    ERR_clear_error();
    test_io_finish(&r);
}

struct transfer {
    struct test_io io; // first: found from it
    uint8_t *sent, *received;
    size_t sent_len, received_len, client_len;
    bool is_paused;
};

enum { TRANSFER = 3 << 20 };

static uint8_t *pattern(unsigned seed)
{
    uint8_t *bytes = mem_zalloc(TRANSFER);
    for (size_t i = 0; i < TRANSFER; i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
    return bytes;
}

static void on_transfer_bytes(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    struct transfer *t = owner;
    EXPECT(len <= IO_LOOP_READ_BYTES && t->received_len + len <= TRANSFER);
    EXPECT(!t->is_paused);
    memcpy(t->received + t->received_len, bytes, len);
    t->received_len += len;
    if (t->received_len % 7 == 0) { // backpressure now and then
        t->is_paused = true;
        io_conn_pause(c);
    }
}

/* Both ways at once, in pieces of odd lengths, with a client that reads little at a time. */
EACH_TLS(io_tls_carries_many_bytes_both_ways)
{
    static const struct io_conn_handler h = {.on_bytes = on_transfer_bytes,
                                             .on_closed = test_io_on_closed};
    struct transfer t = {.sent = pattern(1), .received = mem_zalloc(TRANSFER)};
    uint8_t *client_bytes = pattern(2), *got = mem_zalloc(TRANSFER);
    size_t client_sent = 0, piece = 1;
    test_io_begin(&t.io, &h, 256 * 1024, mode);

    while (t.client_len < TRANSFER || t.received_len < TRANSFER) {
        piece = piece * 31 % 100003;
        size_t n = piece < TRANSFER - t.sent_len ? piece : TRANSFER - t.sent_len;
        if (n > 0 && io_conn_waiting(t.io.c) + n < 256 * 1024 &&
            (piece % 2 ? io_conn_write : io_conn_write_shared)(t.io.c, t.sent + t.sent_len, n) ==
                OK)
            t.sent_len += n;
        n = TRANSFER - client_sent < 50000 ? TRANSFER - client_sent : 50000;
        ssize_t done = n > 0 ? test_io_peer_write(&t.io, client_bytes + client_sent, n) : 0;
        client_sent += done > 0 ? (size_t)done : 0;
        if (t.is_paused) {
            t.is_paused = false;
            io_conn_resume(t.io.c);
        }
        test_io_turn(&t.io);
        done = test_io_peer_read(&t.io, got + t.client_len, piece % 9000 + 1);
        t.client_len += done > 0 ? (size_t)done : 0;
        EXPECT(io_conn_is_open(t.io.c));
    }
    EXPECT(memcmp(got, t.sent, TRANSFER) == 0);
    EXPECT(memcmp(t.received, client_bytes, TRANSFER) == 0);
    test_io_finish(&t.io);
    mem_free(t.sent);
    mem_free(t.received);
    mem_free(client_bytes);
    mem_free(got);
}

/* ---- the end ---- */

static void pause_at_bytes(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    struct test_io *r = owner;
    (void)bytes;
    r->got_len += len;
    io_conn_pause(c);
}

/* A request and close_notify in one segment: the answer must still leave. */
EACH_TLS(io_tls_tells_a_paused_owner_of_close_notify_when_it_goes_on)
{
    static const struct io_conn_handler h = {
        .on_bytes = pause_at_bytes, .on_end = test_io_on_end, .on_closed = test_io_on_closed};
    struct test_io r;
    uint8_t records[200];
    char got[8];
    test_io_begin(&r, &h, 100, mode);
    size_t len = seal(&r, "hello", 5, records, 100);
    EXPECT_EQ(SSL_shutdown(r.client), 0); // into the same memory
    int more = BIO_read(SSL_get_wbio(r.client), records + len, 100);
    EXPECT(more > 0);
    EXPECT_EQ(write(r.peer, records, len + (size_t)more), len + (size_t)more);
    test_io_turn(&r);
    test_io_turn(&r);
    EXPECT_EQ(r.got_len, 5);
    EXPECT_EQ(r.ends, 0);
    EXPECT_EQ(io_conn_write(r.c, "answer", 6), OK);
    io_conn_resume(r.c);
    EXPECT_EQ(r.ends, 0); // not from inside this call
    test_io_run(&r);
    EXPECT_EQ(r.ends, 1);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), 6);
    io_conn_end(r.c);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), 0);
    test_io_finish(&r);
}

EACH_TLS(io_tls_sends_close_notify_when_it_closes_an_idle_connection)
{
    struct test_io r;
    char got[8];
    test_io_begin(&r, &test_io_handler, 100, mode);
    io_conn_close(r.c);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), 0);
    test_io_finish(&r);
}

EACH_TLS(io_tls_does_not_pretend_a_clean_end_when_output_is_lost)
{
    struct test_io r;
    char got[8];
    test_io_begin(&r, &test_io_handler, 100, mode);
    EXPECT_EQ(io_conn_write(r.c, "lost", 4), OK);
    io_conn_close(r.c);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), -2);
    ERR_clear_error();
    test_io_finish(&r);
}
