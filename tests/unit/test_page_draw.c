/* Pages under load: a real store, a real HTTP server on a loop, and a pool or a writer that takes
 * no more. */
#include "page/page_draw.h"

#include <semaphore.h>
#include <sys/socket.h>

#include "app/app_texts.h"
#include "civic/civic_session.h"
#include "core/crypto.h"
#include "core/mem.h"
#include "test_civic.h"

struct rig {
    struct test_civic c;
    struct civic *civic;
    struct io_loop *loop;
    struct http_server *server;
    struct api api;
    struct io_timer timer;
    int client, ticks;
    char got[65536];
    size_t got_len;
};

static enum err session_fn(struct store_tx *tx, void *arg)
{
    const struct rig *r = arg;
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(STR("token"), hash);
    return civic_session_create(tx, r->c.user.id, (struct str){(const char *)hash, sizeof(hash)},
                                60000);
}

static void begin(struct rig *r)
{
    char why[200] = "";
    int fds[2];
    crypto_init();
    test_civic_begin(&r->c);
    EXPECT_EQ(store_write_wait(r->c.t.store, session_fn, r), OK);
    EXPECT_EQ(app_texts_load(why, sizeof(why)), OK);
    r->civic = civic_new(NULL);
    r->api = (struct api){.store = r->c.t.store,
                          .civic = r->civic,
                          .pool = io_pool_new(1, "pool"),
                          .app_key = "key",
                          .app_secret = "secret",
                          .hub_path = ""};
    EXPECT_EQ(page_init(&r->api, 1, why, sizeof(why)), OK);
    r->loop = io_loop_new(0);
    r->server = http_server_new(r->loop, &http_default_limits);
    http_server_add(r->server, page_routes_table, page_routes_count, &r->api);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    http_server_accept(r->server, fds[0], "unknown", NULL);
    r->client = fds[1];
}

static void end(struct rig *r)
{
    io_pool_free(r->api.pool);
    http_server_free(r->server);
    io_loop_free(r->loop);
    close(r->client);
    page_done(&r->api);
    civic_free(r->civic);
    test_civic_end(&r->c);
}

static void on_tick(struct io_timer *t)
{
    struct rig *r = LIST_ENTRY(t, struct rig, timer);
    ssize_t n = read(r->client, r->got + r->got_len, sizeof(r->got) - 1 - r->got_len);
    EXPECT(++r->ticks < 400); // 20 s
    r->got_len += n > 0 ? (size_t)n : 0;
    r->got[r->got_len] = '\0';
    if (n == 0) // Connection: close
        io_loop_stop(r->loop);
    else
        io_timer_start(r->loop, t, 0);
}

/* Sends a request of the person logged in and waits for the answer. */
static void ask(struct rig *r, const char *line, const char *body)
{
    char text[1024];
    int len =
        snprintf(text, sizeof(text),
                 "%s HTTP/1.1\r\nHost: a\r\nCookie: viche_session=token\r\nConnection: close\r\n"
                 "Sec-Fetch-Site: same-origin\r\nAccept-Language: en\r\n"
                 "Content-Type: application/x-www-form-urlencoded\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 line, strlen(body), body);
    EXPECT_EQ(write(r->client, text, (size_t)len), len);
    io_timer_init(&r->timer, on_tick);
    io_timer_start(r->loop, &r->timer, 0);
    io_loop_run(r->loop);
}

static bool has(const struct rig *r, const char *text)
{
    return strstr(r->got, text) != NULL;
}

TEST(page_draw_with_a_full_pool_says_that_it_is_busy_and_nobody_is_logged_out)
{
    static struct rig r;
    begin(&r);
    io_pool_limit(r.api.pool, 0);
    ask(&r, "GET /", "");
    EXPECT(has(&r, "HTTP/1.1 503 "));
    EXPECT(has(&r, "\r\nRetry-After: 1\r\n"));
    EXPECT(has(&r, "\r\nContent-Type: text/html"));
    EXPECT(has(&r, "The server is overloaded"));
    EXPECT(!has(&r, "href=\"/login"));
    end(&r);
}

TEST(page_draw_with_a_full_pool_still_leads_on_after_a_form_that_was_done)
{
    static struct rig r;
    char line[64];
    begin(&r);
    io_pool_limit(r.api.pool, 0);
    snprintf(line, sizeof(line), "POST /proposals/%d/support",
             (int)test_civic_proposal(&r.c, false));
    ask(&r, line, "_method=PUT");
    EXPECT(has(&r, "HTTP/1.1 303 "));
    EXPECT(has(&r, "\r\nLocation: /proposals/1#support\r\n"));
    EXPECT_EQ(test_store_int(r.c.t.store, "SELECT support_count FROM proposal"), 1);
    end(&r);
}

/* ---- a writer that is held ---- */
static sem_t gate, entered;

static enum err hold(struct store_tx *tx, void *arg)
{
    (void)tx, (void)arg;
    sem_post(&entered);
    while (sem_wait(&gate) != 0)
        ;
    return OK;
}

static enum err pass(struct store_tx *tx, void *arg)
{
    (void)tx, (void)arg;
    return OK;
}

static void forget(struct store_write *w, enum err err)
{
    (void)w, (void)err;
}

TEST(page_draw_with_a_full_writer_says_so_to_someone_who_stays_logged_in)
{
    static struct rig r;
    begin(&r);
    int64_t id = test_civic_proposal(&r.c, false);
    sem_init(&gate, 0, 0);
    sem_init(&entered, 0, 0);
    struct store_write *waiting = mem_zalloc((STORE_MAX_QUEUED + 2) * sizeof(*waiting));
    size_t count = 0;
    waiting[0] = (struct store_write){.fn = hold, .on_done = forget};
    EXPECT_EQ(store_write(r.c.t.store, &waiting[count++]), OK);
    while (sem_wait(&entered) != 0)
        ;
    do {
        EXPECT(count < STORE_MAX_QUEUED + 2);
        waiting[count] = (struct store_write){.fn = pass, .on_done = forget};
    } while (!store_write(r.c.t.store, &waiting[count++]));
    EXPECT_EQ(id, 1);
    ask(&r, "POST /proposals/1/support", "_method=PUT");
    sem_post(&gate);
    EXPECT(has(&r, "HTTP/1.1 503 "));
    EXPECT(has(&r, "\r\nRetry-After: 1\r\n"));
    EXPECT(has(&r, "The server is overloaded"));
    EXPECT(has(&r, "user@example.org")); // the name in the header
    EXPECT(has(&r, "action=\"/logout\""));
    EXPECT(!has(&r, "href=\"/login"));
    end(&r);
    mem_free(waiting);
}
