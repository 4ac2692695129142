#include "core/mem.h"
#include "io/io_conn.h"
#include "io/io_listener.h"
#include "test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection under test on a loop, its peer a plain blocking or non-blocking descriptor. */
struct rig {
    struct io_loop *loop;
    struct io_conn *c;
    int peer;
    struct io_timer guard; // no test hangs
    struct io_timer step;
    char got[256];
    size_t got_len;
    int ends, drains, closes;
    bool is_guard_hit;
};

static void on_guard(struct io_timer *t)
{
    struct rig *r = LIST_ENTRY(t, struct rig, guard);
    r->is_guard_hit = true;
    io_loop_stop(r->loop);
}

static void on_bytes(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    struct rig *r = owner;
    (void)c;
    for (size_t i = 0; i < len && r->got_len < sizeof(r->got); i++)
        r->got[r->got_len++] = (char)bytes[i];
    io_loop_stop(r->loop);
}

static void on_end(struct io_conn *c, void *owner)
{
    struct rig *r = owner;
    (void)c;
    r->ends++;
    io_loop_stop(r->loop);
}

static void on_drained(struct io_conn *c, void *owner)
{
    struct rig *r = owner;
    (void)c;
    r->drains++;
    io_loop_stop(r->loop);
}

static void on_closed(struct io_conn *c, void *owner)
{
    struct rig *r = owner;
    (void)c;
    r->closes++;
    r->c = NULL;
    io_loop_stop(r->loop);
}

static const struct io_conn_handler handler = {
    .on_bytes = on_bytes, .on_end = on_end, .on_drained = on_drained, .on_closed = on_closed};
static const struct io_conn_handler plain = {.on_bytes = on_bytes, .on_closed = on_closed};

static void begin(struct rig *r, const struct io_conn_handler *h, size_t max_out)
{
    int fds[2];
    *r = (struct rig){.loop = io_loop_new(0)};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    r->peer = fds[1];
    r->c = io_conn_new(r->loop, fds[0], h, r, max_out);
    io_timer_init(&r->guard, on_guard);
    io_timer_start(r->loop, &r->guard, 20000);
}

static void finish(struct rig *r)
{
    EXPECT(!r->is_guard_hit);
    io_loop_free(r->loop); // closes what is left
    EXPECT_EQ(r->closes, 1);
    close(r->peer);
}

/* Runs until some callback of the connection came; io_loop_stop is sticky, so a loop runs once. */
static void run(struct rig *r)
{
    io_loop_run(r->loop);
}

TEST(io_conn_gives_the_bytes_of_its_peer)
{
    struct rig r;
    begin(&r, &handler, 100);
    EXPECT_EQ(write(r.peer, "hello", 5), 5);
    run(&r);
    EXPECT_EQ(r.got_len, 5);
    EXPECT(memcmp(r.got, "hello", 5) == 0);
    finish(&r);
}

TEST(io_conn_gathers_the_writes_of_a_turn)
{
    struct rig r;
    char got[16];
    begin(&r, &handler, 100);
    EXPECT_EQ(io_conn_write(r.c, "ab", 2), OK);
    EXPECT_EQ(io_conn_write(r.c, "cd", 2), OK);
    EXPECT_EQ(io_conn_write_shared(r.c, "ef", 2), OK); // behind what waits
    EXPECT_EQ(io_conn_waiting(r.c), 6);
    EXPECT_EQ(read(r.peer, got, sizeof(got)), -1); // nothing left yet
    run(&r);
    EXPECT_EQ(r.drains, 1);
    EXPECT_EQ(read(r.peer, got, sizeof(got)), 6);
    EXPECT(memcmp(got, "abcdef", 6) == 0);
    finish(&r);
}

TEST(io_conn_sends_shared_bytes_at_once)
{
    struct rig r;
    char got[16];
    begin(&r, &handler, 100);
    EXPECT_EQ(io_conn_write_shared(r.c, "abc", 3), OK);
    EXPECT_EQ(io_conn_waiting(r.c), 0);
    EXPECT_EQ(read(r.peer, got, sizeof(got)), 3);
    finish(&r);
}

TEST(io_conn_bounds_what_waits_for_a_peer_that_does_not_read)
{
    struct rig r;
    enum { MAX = 1 << 20 };
    char *block = mem_zalloc(MAX);
    begin(&r, &handler, MAX);
    int writes = 0;
    while (io_conn_write_shared(r.c, block, MAX / 8) == OK && writes < 1000)
        writes++;
    EXPECT(writes >= 7 && writes < 1000);
    EXPECT(io_conn_waiting(r.c) <= MAX);
    EXPECT(io_conn_is_open(r.c)); // the owner decides
    mem_free(block);
    finish(&r);
}

static void read_all(struct io_timer *t)
{
    struct rig *r = LIST_ENTRY(t, struct rig, step);
    char sink[65536];
    while (read(r->peer, sink, sizeof(sink)) > 0) {
    }
    io_timer_start(r->loop, &r->step, IO_TIMER_TICK_MS);
}

TEST(io_conn_tells_when_a_slow_peer_has_taken_everything)
{
    struct rig r;
    enum { LEN = 4 << 20 };
    char *block = mem_zalloc(LEN);
    begin(&r, &handler, LEN);
    EXPECT_EQ(io_conn_write_shared(r.c, block, LEN), OK);
    EXPECT(io_conn_waiting(r.c) > 0);
    io_timer_init(&r.step, read_all);
    io_timer_start(r.loop, &r.step, 0);
    run(&r);
    EXPECT_EQ(r.drains, 1);
    EXPECT_EQ(io_conn_waiting(r.c), 0);
    mem_free(block);
    finish(&r);
}

TEST(io_conn_tells_that_the_peer_sent_fin_and_can_still_write)
{
    struct rig r;
    char got[8];
    begin(&r, &handler, 100);
    EXPECT_EQ(shutdown(r.peer, SHUT_WR), 0);
    run(&r);
    EXPECT_EQ(r.ends, 1);
    EXPECT(io_conn_is_open(r.c));
    EXPECT_EQ(io_conn_write_shared(r.c, "x", 1), OK);
    EXPECT_EQ(read(r.peer, got, 8), 1);
    finish(&r);
}

TEST(io_conn_ends_by_itself_when_the_peer_does)
{
    struct rig r;
    begin(&r, &plain, 100);
    close(r.peer);
    run(&r);
    EXPECT_EQ(r.closes, 1);
    r.peer = -1;
    finish(&r);
}

static void peer_closes_after_fin(struct io_timer *t)
{
    struct rig *r = LIST_ENTRY(t, struct rig, step);
    ssize_t n;
    while ((n = read(r->peer, r->got, sizeof(r->got))) > 0)
        r->got_len += (size_t)n;
    if (n == 0)
        shutdown(r->peer, SHUT_WR);
    else
        io_timer_start(r->loop, &r->step, 0);
}

TEST(io_conn_end_flushes_then_sends_fin_and_waits_for_the_peer)
{
    struct rig r;
    begin(&r, &plain, 100);
    EXPECT_EQ(io_conn_write(r.c, "last", 4), OK);
    io_conn_end(r.c);
    EXPECT(!io_conn_is_open(r.c));
    EXPECT_EQ(io_conn_write(r.c, "ignored", 7), OK);
    io_timer_init(&r.step, peer_closes_after_fin);
    io_timer_start(r.loop, &r.step, 0);
    run(&r);
    EXPECT_EQ(r.closes, 1);
    EXPECT_EQ(r.got_len, 4);
    finish(&r);
}

TEST(io_conn_end_gives_up_on_a_peer_that_never_closes)
{
    struct rig r;
    begin(&r, &plain, 100);
    io_conn_end(r.c);
    run(&r); // 2 s
    EXPECT_EQ(r.closes, 1);
    finish(&r);
}

static void check_paused_then_resume(struct io_timer *t)
{
    struct rig *r = LIST_ENTRY(t, struct rig, step);
    EXPECT_EQ(r->got_len, 0);
    io_conn_resume(r->c);
}

TEST(io_conn_reads_nothing_while_paused)
{
    struct rig r;
    begin(&r, &handler, 100);
    io_conn_pause(r.c);
    EXPECT_EQ(write(r.peer, "hello", 5), 5);
    io_timer_init(&r.step, check_paused_then_resume);
    io_timer_start(r.loop, &r.step, 100);
    run(&r);
    EXPECT_EQ(r.got_len, 5);
    finish(&r);
}

static void close_from_inside(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    io_conn_close(c);
    io_conn_close(c);
    EXPECT_EQ(io_conn_write(c, bytes, len), OK); // ignored
    io_conn_flush(c);
    io_conn_end(c);
    EXPECT_EQ(((struct rig *)owner)->closes, 0); // comes at the end of the turn
}

TEST(io_conn_may_be_closed_from_its_own_callback)
{
    static const struct io_conn_handler closing = {.on_bytes = close_from_inside,
                                                   .on_closed = on_closed};
    struct rig r;
    begin(&r, &closing, 100);
    EXPECT_EQ(write(r.peer, "x", 1), 1);
    run(&r);
    EXPECT_EQ(r.closes, 1);
    finish(&r);
}

/* ---- listeners ---- */

static int connect_to(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

TEST(io_listener_notices_a_port_that_is_taken_even_with_reuse_port)
{
    char why[200], address[32];
    int first, sibling, other;
    EXPECT_EQ(io_listener_open(STR("127.0.0.1:0"), &first, why, sizeof(why)), OK);
    int port = io_listener_port(first);
    EXPECT_EQ(io_listener_open_sibling(first, &sibling), OK);
    EXPECT_EQ(io_listener_port(sibling), port);

    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    EXPECT_EQ(io_listener_open(str_of(address), &other, why, sizeof(why)), ERR_CONFLICT);
    EXPECT(strstr(why, "taken by another program; choose another with --listen"));
    close(first);
    close(sibling);
}

TEST(io_listener_refuses_what_is_not_an_address)
{
    static const char *const bad[] = {"",         ":",
                                      "8080",     ":8080",
                                      "a b:80",   "127.0.0.1",
                                      "::1:8080", "127.0.0.1:65536",
                                      "1.2:x",    "127.0.0.1:-1",
                                      "[::1]",    "127.0.0.1:"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char why[300] = "";
        int fd;
        enum err err = io_listener_open(str_of(bad[i]), &fd, why, sizeof(why));
        ck_assert_msg(err == ERR_INVALID, "%s: %s", bad[i], err_text(err));
        EXPECT(strlen(why) > 0);
    }
}

struct accepts {
    struct io_loop *loop;
    struct io_listener *li;
    int count, nodelay, want;
    struct io_timer guard;
    bool is_guard_hit;
};

static void on_accept(void *ctx, int fd)
{
    struct accepts *a = ctx;
    socklen_t len = sizeof(a->nodelay);
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &a->nodelay, &len), 0);
    EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
    if (++a->count == a->want)
        io_loop_stop(a->loop);
}

static void on_accept_guard(struct io_timer *t)
{
    struct accepts *a = LIST_ENTRY(t, struct accepts, guard);
    a->is_guard_hit = true;
    io_loop_stop(a->loop);
}

TEST(io_listener_gives_connections_with_tcp_nodelay)
{
    char why[200];
    int fd, clients[3];
    struct accepts a = {.loop = io_loop_new(0), .want = 3};
    EXPECT_EQ(io_listener_open(STR("127.0.0.1:0"), &fd, why, sizeof(why)), OK);
    for (int i = 0; i < 3; i++)
        clients[i] = connect_to(io_listener_port(fd));
    a.li = io_listener_start(a.loop, fd, on_accept, &a);
    io_timer_init(&a.guard, on_accept_guard);
    io_timer_start(a.loop, &a.guard, 20000);
    io_loop_run(a.loop);
    EXPECT_EQ(a.count, 3);
    EXPECT(a.nodelay);
    io_listener_stop(a.li);
    io_loop_free(a.loop);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
}

static void give_descriptors_back(struct io_timer *t)
{
    struct accepts *a = LIST_ENTRY(t, struct accepts, guard);
    struct rlimit limit;
    EXPECT_EQ(a->count, 0);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(io_listener_pauses_when_descriptors_run_out_and_goes_on_later)
{
    char why[200];
    int fd;
    struct rlimit limit;
    struct accepts a = {.loop = io_loop_new(0), .want = 1};
    EXPECT_EQ(io_listener_open(STR("127.0.0.1:0"), &fd, why, sizeof(why)), OK);
    int client = connect_to(io_listener_port(fd));
    a.li = io_listener_start(a.loop, fd, on_accept, &a);
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)client + 1;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    io_timer_init(&a.guard, give_descriptors_back);
    io_timer_start(a.loop, &a.guard, 150);
    io_loop_run(a.loop);
    EXPECT_EQ(a.count, 1);
    io_loop_free(a.loop);
    close(client);
}
