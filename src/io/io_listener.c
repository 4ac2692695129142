/* io_listener.c -- SO_REUSEPORT lets each loop have its own queue of connections on one port. It
 * would also let a second server of the same user join silently, so the first socket is bound and
 * listens without the option (which fails when anybody listens), and gets it afterwards for its
 * siblings.
 */
#include "io/io_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "io/io_loop_internal.h"

enum {
    BACKLOG = 4096,        // the kernel cuts it to net.core.somaxconn
    ACCEPTS_PER_TURN = 64, // so that a storm of connections does not starve those that are open
    PAUSE_MS = 100,
    MAX_HOST_BYTES = 256,
};

struct io_listener {
    uv_poll_t poll;
    struct list node; // of loop->listeners
    struct io_loop *loop;
    int fd;
    io_accept_fn *on_accept;
    void *ctx;
    struct io_timer pause;
};

/* ---- opening ---- */

static int set_option(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on));
}

/* A bound, listening socket, or -1 with errno. is_sibling: one of ours listens there already. */
static int open_socket(const struct sockaddr *addr, socklen_t len, bool is_sibling)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // Accepted sockets inherit TCP_NODELAY on Linux, which saves a call for each.
    bool is_ready = set_option(fd, SOL_SOCKET, SO_REUSEADDR) == 0 &&
                    set_option(fd, IPPROTO_TCP, TCP_NODELAY) == 0 &&
                    (!is_sibling || set_option(fd, SOL_SOCKET, SO_REUSEPORT) == 0) &&
                    bind(fd, addr, len) == 0 && listen(fd, BACKLOG) == 0 &&
                    (is_sibling || set_option(fd, SOL_SOCKET, SO_REUSEPORT) == 0);
    if (is_ready)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* "127.0.0.1:8080", "[::1]:8080", "localhost:0" */
static bool split(struct str address, struct str *host, int64_t *port)
{
    size_t colon = address.len;
    while (colon > 0 && address.at[colon - 1] != ':')
        colon--;
    if (colon < 2)
        return false;
    struct str h = {address.at, colon - 1};
    struct str p = {address.at + colon, address.len - colon};
    if (str_parse_int(p, port) || *port < 0 || *port > 65535)
        return false;
    if (h.len > 2 && h.at[0] == '[' && h.at[h.len - 1] == ']')
        h = (struct str){h.at + 1, h.len - 2};
    else if (memchr(h.at, ':', h.len))
        return false; // IPv6 needs its brackets
    *host = h;
    return h.len < MAX_HOST_BYTES;
}

bool io_listener_is_address(struct str address)
{
    struct str host;
    int64_t port;
    return split(address, &host, &port);
}

/* Splits "host:port" or "[v6]:port" and resolves it. */
static enum err resolve(struct str address, struct addrinfo **out)
{
    char host[MAX_HOST_BYTES], port[8];
    struct str h;
    int64_t number;
    if (!split(address, &h, &number))
        return ERR_INVALID;
    snprintf(host, sizeof(host), "%.*s", STR_ARG(h));
    snprintf(port, sizeof(port), "%d", (int)number);

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    return getaddrinfo(host, port, &hints, out) == 0 ? OK : ERR_INVALID;
}

static enum err explain(int number, struct str address, char *why_out, size_t why_cap)
{
    size_t colon = address.len;
    while (colon > 0 && address.at[colon - 1] != ':')
        colon--;
    struct str port = {address.at + colon, address.len - colon};

    switch (number) {
    case EADDRINUSE:
        snprintf(why_out, why_cap,
                 "port %.*s is taken by another program; choose another with --listen",
                 STR_ARG(port));
        return ERR_CONFLICT;
    case EACCES:
    case EPERM:
        snprintf(why_out, why_cap,
                 "port %.*s needs rights that this user lacks; choose one above 1023 with --listen",
                 STR_ARG(port));
        return ERR_DENIED;
    case EADDRNOTAVAIL:
        snprintf(why_out, why_cap, "this machine has no address %.*s; choose another with --listen",
                 STR_ARG(address));
        return ERR_INVALID;
    default:
        log_error("at=io_listener.open errno=%d", number);
        snprintf(why_out, why_cap, "cannot listen on %.*s: %s", STR_ARG(address),
                 strerrordesc_np(number));
        return ERR_IO;
    }
}

enum err io_listener_open(struct str address, int *fd_out, char *why_out, size_t why_cap)
{
    struct addrinfo *found = NULL;

    enum err err = resolve(address, &found);
    if (err) {
        snprintf(why_out, why_cap,
                 "\"%.*s\" is not an address to listen on; write it as 127.0.0.1:8080",
                 STR_ARG(address));
        return err;
    }
    int fd = open_socket(found->ai_addr, found->ai_addrlen, false);
    if (fd < 0)
        err = explain(errno, address, why_out, why_cap);
    else
        *fd_out = fd;
    freeaddrinfo(found);
    return err;
}

enum err io_listener_open_unix(const char *path, int *fd_out, char *why_out, size_t why_cap)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path)) {
        snprintf(why_out, why_cap, "the path %s is too long for a socket", path);
        return ERR_TOO_LARGE;
    }
    memcpy(addr.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    // On Linux the file gets the mode of the unbound socket: there is no moment when others may.
    bool is_ready = fd >= 0 && fchmod(fd, 0600) == 0 &&
                    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
                    listen(fd, BACKLOG) == 0;
    if (is_ready) {
        *fd_out = fd;
        return OK;
    }
    log_error("at=io_listener.open_unix errno=%d", errno);
    snprintf(why_out, why_cap, "cannot listen on %s: %s", path, strerrordesc_np(errno));
    if (fd >= 0)
        close(fd);
    return ERR_IO;
}

enum err io_listener_open_sibling(int fd, int *fd_out)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);

    int sibling = -1;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        sibling = open_socket((struct sockaddr *)&addr, len, true);
    if (sibling < 0) {
        log_error("at=io_listener.open_sibling errno=%d", errno);
        return ERR_IO;
    }
    *fd_out = sibling;
    return OK;
}

int io_listener_port(int fd)
{
    struct sockaddr_in6 addr = {0}; // sockaddr_in has its port at the same place
    socklen_t len = sizeof(addr);

    CHECK(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);
    return ntohs(addr.sin6_port);
}

/* ---- accepting ---- */

void io_listener_write_peer(const struct sockaddr_storage *address, char out[static IO_PEER_BYTES])
{
    int family = address->ss_family;
    const void *ip = NULL;
    if (family == AF_INET) {
        ip = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *v6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        ip = v6;
        if (IN6_IS_ADDR_V4MAPPED(v6)) { // the same client by the same name on whatever socket
            ip = &v6->s6_addr[12];
            family = AF_INET;
        }
    }
    if (!ip || !inet_ntop(family, ip, out, IO_PEER_BYTES))
        snprintf(out, IO_PEER_BYTES, "unknown");
}

static bool is_out_of_resources(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct io_listener *li = poll->data;
    (void)status; // accept4 says what is wrong
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage address;
        socklen_t len = sizeof(address);
        address.ss_family = AF_UNSPEC;
        int fd = accept4(li->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            char peer[IO_PEER_BYTES];
            io_listener_write_peer(&address, peer);
            li->on_accept(li->ctx, fd, peer);
            if (li->fd < 0)
                return; // the callback stopped us
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (is_out_of_resources(errno)) {
            log_warn("at=io_listener.accept errno=%d pause_ms=%d", errno, PAUSE_MS);
            uv_poll_stop(&li->poll);
            io_timer_start(li->loop, &li->pause, PAUSE_MS);
            return;
        }
        // Else that connection is gone already (ECONNABORTED and the network's errors of
        // accept(2)).
    }
}

static void on_pause_over(struct io_timer *t)
{
    struct io_listener *li = LIST_ENTRY(t, struct io_listener, pause);
    CHECK(uv_poll_start(&li->poll, UV_READABLE, on_connection) == 0);
}

struct io_listener *io_listener_start(struct io_loop *l, int fd, io_accept_fn *on_accept, void *ctx)
{
    struct io_listener *li = MEM_NEW(struct io_listener);
    li->loop = l;
    li->fd = fd;
    li->on_accept = on_accept;
    li->ctx = ctx;
    io_timer_init(&li->pause, on_pause_over);
    list_append(&l->listeners, &li->node);
    CHECK(uv_poll_init(&l->uv, &li->poll, fd) == 0);
    li->poll.data = li;
    CHECK(uv_poll_start(&li->poll, UV_READABLE, on_connection) == 0);
    return li;
}

static void on_handle_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void io_listener_stop(struct io_listener *li)
{
    if (!li)
        return;
    io_timer_stop(&li->pause);
    list_remove(&li->node);
    uv_close((uv_handle_t *)&li->poll, on_handle_closed);
    close(li->fd);
    li->fd = -1;
}

void io_listener_stop_all(struct io_loop *l)
{
    while (!list_is_empty(&l->listeners))
        io_listener_stop(LIST_ENTRY(l->listeners.next, struct io_listener, node));
}
