#include "test_io.h"

#include "io/io_listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

EACH_MODE(io_conn_gives_the_bytes_of_its_peer)
{
    struct test_io r;
    test_io_begin(&r, &test_io_handler, 100, mode);
    EXPECT_EQ(test_io_peer_write(&r, "hello", 5), 5);
    test_io_run(&r);
    EXPECT_EQ(r.got_len, 5);
    EXPECT(memcmp(r.got, "hello", 5) == 0);
    test_io_finish(&r);
}

EACH_MODE(io_conn_gathers_the_writes_of_a_turn)
{
    struct test_io r;
    char got[16];
    test_io_begin(&r, &test_io_handler, 100, mode);
    EXPECT_EQ(io_conn_write(r.c, "ab", 2), OK);
    EXPECT_EQ(io_conn_write(r.c, "cd", 2), OK);
    EXPECT_EQ(io_conn_write_shared(r.c, "ef", 2), OK); // behind what waits
    EXPECT_EQ(io_conn_waiting(r.c), 6);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), -1); // nothing left yet
    test_io_run(&r);
    EXPECT_EQ(r.drains, 1);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), 6);
    EXPECT(memcmp(got, "abcdef", 6) == 0);
    test_io_finish(&r);
}

EACH_MODE(io_conn_sends_shared_bytes_at_once)
{
    struct test_io r;
    char got[16];
    test_io_begin(&r, &test_io_handler, 100, mode);
    EXPECT_EQ(io_conn_write_shared(r.c, "abc", 3), OK);
    EXPECT_EQ(io_conn_waiting(r.c), 0);
    EXPECT_EQ(test_io_peer_read(&r, got, sizeof(got)), 3);
    test_io_finish(&r);
}

EACH_MODE(io_conn_bounds_what_waits_for_a_peer_that_does_not_read)
{
    struct test_io r;
    enum { MAX = 1 << 20 };
    char *block = mem_zalloc(MAX);
    test_io_begin(&r, &test_io_handler, MAX, mode);
    int writes = 0;
    while (io_conn_write_shared(r.c, block, MAX / 8) == OK && writes < 1000)
        writes++;
    EXPECT(writes >= 7 && writes < 1000);
    EXPECT(io_conn_waiting(r.c) <= MAX);
    EXPECT(io_conn_is_open(r.c)); // the owner decides
    mem_free(block);
    test_io_finish(&r);
}

static void read_all(struct io_timer *t)
{
    struct test_io *r = LIST_ENTRY(t, struct test_io, step);
    char sink[65536];
    while (test_io_peer_read(r, sink, sizeof(sink)) > 0) {
    }
    io_timer_start(r->loop, &r->step, IO_TIMER_TICK_MS);
}

EACH_MODE(io_conn_tells_when_a_slow_peer_has_taken_everything)
{
    struct test_io r;
    enum { LEN = 4 << 20 };
    char *block = mem_zalloc(LEN);
    test_io_begin(&r, &test_io_handler, LEN, mode);
    EXPECT_EQ(io_conn_write_shared(r.c, block, LEN), OK);
    EXPECT(io_conn_waiting(r.c) > 0);
    io_timer_init(&r.step, read_all);
    io_timer_start(r.loop, &r.step, 0);
    test_io_run(&r);
    EXPECT_EQ(r.drains, 1);
    EXPECT_EQ(io_conn_waiting(r.c), 0);
    mem_free(block);
    test_io_finish(&r);
}

/* On another connection: pauses the one under test, and writes to it more than its socket takes. */
static void fill_other(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    enum { LEN = 4 << 20 };
    struct test_io *r = owner;
    char *block = mem_zalloc(LEN);
    (void)c, (void)bytes, (void)len;
    io_conn_pause(r->c);
    EXPECT_EQ(io_conn_write_shared(r->c, block, LEN), OK);
    EXPECT(io_conn_waiting(r->c) > 0);
    mem_free(block);
}

static void ignore_closed(struct io_conn *c, void *owner)
{
    (void)c, (void)owner;
}

TEST(io_conn_survives_an_event_that_it_asked_for_before_another_of_the_same_turn)
{
    static const struct io_conn_handler other = {.on_bytes = fill_other,
                                                 .on_closed = ignore_closed};
    struct test_io r;
    int fds[2];
    test_io_begin(&r, &test_io_handler, 8 << 20, CLEAR);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    EXPECT(io_conn_new(r.loop, fds[0], &other, &r, 100) != NULL);
    EXPECT_EQ(write(fds[1], "x", 1), 1); // the first that is ready is told first
    EXPECT_EQ(test_io_peer_write(&r, "hello", 5), 5);
    test_io_turn(&r);
    EXPECT_EQ(r.closes, 0);
    EXPECT_EQ(r.got_len, 0);
    io_conn_resume(r.c);
    test_io_run(&r);
    EXPECT_EQ(r.got_len, 5);
    test_io_finish(&r);
    close(fds[1]);
}

EACH_MODE(io_conn_tells_that_the_peer_sent_fin_and_can_still_write)
{
    struct test_io r;
    char got[8];
    test_io_begin(&r, &test_io_handler, 100, mode);
    test_io_peer_end(&r);
    test_io_run(&r);
    EXPECT_EQ(r.ends, 1);
    EXPECT(io_conn_is_open(r.c));
    EXPECT_EQ(io_conn_write_shared(r.c, "x", 1), OK);
    EXPECT_EQ(test_io_peer_read(&r, got, 8), 1);
    test_io_finish(&r);
}

EACH_MODE(io_conn_ends_by_itself_when_the_peer_does)
{
    struct test_io r;
    test_io_begin(&r, &test_io_plain_handler, 100, mode);
    close(r.peer);
    test_io_run(&r);
    EXPECT_EQ(r.closes, 1);
    r.peer = -1;
    test_io_finish(&r);
}

static void peer_closes_after_fin(struct io_timer *t)
{
    struct test_io *r = LIST_ENTRY(t, struct test_io, step);
    ssize_t n;
    while ((n = test_io_peer_read(r, r->got, sizeof(r->got))) > 0)
        r->got_len += (size_t)n;
    if (n == 0)
        test_io_peer_end(r);
    else
        io_timer_start(r->loop, &r->step, 0);
}

EACH_MODE(io_conn_end_flushes_then_sends_fin_and_waits_for_the_peer)
{
    struct test_io r;
    test_io_begin(&r, &test_io_plain_handler, 100, mode);
    EXPECT_EQ(io_conn_write(r.c, "last", 4), OK);
    io_conn_end(r.c);
    EXPECT(!io_conn_is_open(r.c));
    EXPECT_EQ(io_conn_write(r.c, "ignored", 7), OK);
    io_timer_init(&r.step, peer_closes_after_fin);
    io_timer_start(r.loop, &r.step, 0);
    test_io_run(&r);
    EXPECT_EQ(r.closes, 1);
    EXPECT_EQ(r.got_len, 4);
    test_io_finish(&r);
}

EACH_MODE(io_conn_end_gives_up_on_a_peer_that_never_closes)
{
    struct test_io r;
    test_io_begin(&r, &test_io_plain_handler, 100, mode);
    io_conn_end(r.c);
    test_io_run(&r); // 2 s
    EXPECT_EQ(r.closes, 1);
    test_io_finish(&r);
}

static void check_paused_then_resume(struct io_timer *t)
{
    struct test_io *r = LIST_ENTRY(t, struct test_io, step);
    EXPECT_EQ(r->got_len, 0);
    io_conn_resume(r->c);
}

EACH_MODE(io_conn_reads_nothing_while_paused)
{
    struct test_io r;
    test_io_begin(&r, &test_io_handler, 100, mode);
    io_conn_pause(r.c);
    EXPECT_EQ(test_io_peer_write(&r, "hello", 5), 5);
    io_timer_init(&r.step, check_paused_then_resume);
    io_timer_start(r.loop, &r.step, 100);
    test_io_run(&r);
    EXPECT_EQ(r.got_len, 5);
    test_io_finish(&r);
}

static void close_from_inside(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len)
{
    io_conn_close(c);
    io_conn_close(c);
    EXPECT_EQ(io_conn_write(c, bytes, len), OK); // ignored
    io_conn_flush(c);
    io_conn_end(c);
    EXPECT_EQ(((struct test_io *)owner)->closes, 0); // comes at the end of the turn
}

EACH_MODE(io_conn_may_be_closed_from_its_own_callback)
{
    static const struct io_conn_handler closing = {.on_bytes = close_from_inside,
                                                   .on_closed = test_io_on_closed};
    struct test_io r;
    test_io_begin(&r, &closing, 100, mode);
    EXPECT_EQ(test_io_peer_write(&r, "x", 1), 1);
    test_io_run(&r);
    EXPECT_EQ(r.closes, 1);
    test_io_finish(&r);
}

/* ---- the timer ---- */

static void peer_writes(struct io_timer *t)
{
    struct test_io *r = LIST_ENTRY(t, struct test_io, step);
    EXPECT_EQ(test_io_peer_write(r, "x", 1), 1);
}

static void end_on_timer(struct io_conn *c, void *owner)
{
    struct test_io *r = owner;
    r->drains++; // how often
    io_conn_end(c);
    io_conn_start_timer(c, 0); // ignored: it must not take the place of what ends the connection
    io_conn_stop_timer(c);
}

EACH_MODE(io_conn_runs_its_owners_timer_once_and_only_while_open)
{
    static const struct io_conn_handler timed = {.on_timer = end_on_timer,
                                                 .on_closed = test_io_on_closed};
    struct test_io r;
    test_io_begin(&r, &timed, 100, mode);
    io_conn_start_timer(r.c, 3600000);
    io_conn_start_timer(r.c, 0); // moves it
    test_io_run(&r);             // 2 s, for the peer
    EXPECT_EQ(r.drains, 1);
    EXPECT_EQ(r.closes, 1);
    test_io_finish(&r);
}

TEST(io_conn_runs_no_timer_that_was_stopped)
{
    static const struct io_conn_handler timed = {
        .on_timer = end_on_timer, .on_bytes = test_io_on_bytes, .on_closed = test_io_on_closed};
    struct test_io r;
    test_io_begin(&r, &timed, 100, CLEAR);
    io_conn_start_timer(r.c, 0);
    io_conn_stop_timer(r.c);
    io_timer_init(&r.step, peer_writes);
    io_timer_start(r.loop, &r.step, 3 * IO_TIMER_TICK_MS); // by then it would have run
    test_io_run(&r);
    EXPECT_EQ(r.drains, 0);
    EXPECT_EQ(r.got_len, 1);
    test_io_finish(&r);
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

static void on_accept(void *ctx, int fd, const char peer[static IO_PEER_BYTES])
{
    struct accepts *a = ctx;
    socklen_t len = sizeof(a->nodelay);
    EXPECT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &a->nodelay, &len), 0);
    EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
    EXPECT_STR(str_of(peer), "127.0.0.1");
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
    io_timer_start(a.loop, &a.guard, 120000);
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
