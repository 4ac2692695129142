/* bench_floor -- the least a fan-out can cost: one send() per socket and message, and nothing else.
 *
 *     bench_floor --port P [--event-bytes 250] [--gather 0]
 *
 * It looks enough like the server for the same generator: a handshake is answered with a fixed 101,
 * the first frame of a socket with subscription_succeeded, a POST with a fixed frame to every
 * subscriber and then 200. With --gather 1 the messages of one loop turn leave with one send per
 * socket: the bound for saturated fan-out. No parsing, no checks, no memory of its own: not a
 * server.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "load.h"

enum { MAX_EVENTS = 1024, MAX_FDS = 20000, MAX_GATHERED = 64, MAX_FRAME = 4096 };

enum kind { NEW, OPENED, SUBSCRIBED };

struct floor {
    int epoll, listener;
    enum kind kinds[MAX_FDS];
    int subscribers[MAX_FDS];
    size_t count;
    char frames[MAX_GATHERED * MAX_FRAME]; // the same frame again and again
    size_t frame_len;
    bool is_gathering;
    int waiting[MAX_GATHERED]; // publishers to be answered at the end of the turn
    size_t waiting_count;
};

static void send_text(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
        load_die("floor: %s", strerror(errno));
}

/* An unmasked text frame of a short text. */
static void send_frame(int fd, const char *text)
{
    char frame[132] = {(char)0x81, (char)strlen(text)};
    memcpy(frame + 2, text, strlen(text));
    if (send(fd, frame, 2 + strlen(text), MSG_NOSIGNAL) < 0)
        load_die("floor: %s", strerror(errno));
}

static void build_frames(struct floor *f, size_t event_bytes)
{
    size_t head = event_bytes < 126 ? 2 : 4;
    f->frame_len = head + event_bytes;
    if (f->frame_len > MAX_FRAME)
        load_die("--event-bytes is too much");
    for (size_t i = 0; i < MAX_GATHERED; i++) {
        char *p = f->frames + i * f->frame_len;
        memset(p, 'x', f->frame_len);
        p[0] = (char)0x81;
        p[1] = (char)(head == 2 ? event_bytes : 126);
        if (head == 4) {
            p[2] = (char)(event_bytes >> 8);
            p[3] = (char)(event_bytes & 255);
        }
    }
}

static void fan_out(struct floor *f, size_t messages)
{
    size_t len = messages * f->frame_len;
    for (size_t i = 0; i < f->count; i++)
        if (send(f->subscribers[i], f->frames, len, MSG_NOSIGNAL) != (ssize_t)len)
            load_die("floor: a subscriber is too slow");
}

static void answer_waiting(struct floor *f)
{
    for (size_t i = 0; i < f->waiting_count; i++)
        send_text(f->waiting[i], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    f->waiting_count = 0;
}

static void on_publish(struct floor *f, int fd)
{
    f->waiting[f->waiting_count++] = fd;
    if (!f->is_gathering) {
        fan_out(f, 1);
        answer_waiting(f);
    }
}

static void on_bytes(struct floor *f, int fd, const char *bytes)
{
    if (bytes[0] == 'P') {
        on_publish(f, fd);
    } else if (f->kinds[fd] == NEW) {
        f->kinds[fd] = OPENED;
        send_text(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                      "Upgrade\r\n\r\n");
        send_frame(fd, "{\"event\":\"pusher:connection_established\","
                       "\"data\":\"{\\\"socket_id\\\":\\\"1.1\\\"}\"}");
    } else if (f->kinds[fd] == OPENED) {
        f->kinds[fd] = SUBSCRIBED;
        f->subscribers[f->count++] = fd;
        send_frame(fd, "{\"event\":\"pusher_internal:subscription_succeeded\",\"data\":\"{}\"}");
    }
}

static void take_all(struct floor *f)
{
    for (int fd; (fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int on = 1;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= MAX_FDS)
            load_die("floor: too many sockets");
        f->kinds[fd] = NEW;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static void listen_on(struct floor *f, int port)
{
    int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(f->listener, (const struct sockaddr *)&at, sizeof at) || listen(f->listener, 4096))
        load_die("floor: port %d: %s", port, strerror(errno));
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = f->listener};
    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->listener, &e);
}

static void on_readable(struct floor *f, int fd)
{
    char bytes[8192];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got > 0)
        on_bytes(f, fd, bytes);
    else if (got == 0 || errno != EAGAIN)
        exit(0); // the generator is done
}

int main(int argc, char **argv)
{
    struct load_args args = {argc, argv};
    static struct floor f;
    build_frames(&f, (size_t)load_arg_int(&args, "event-bytes", "250"));
    f.is_gathering = load_arg_int(&args, "gather", "0") != 0;
    load_need_fds(MAX_FDS);
    listen_on(&f, (int)load_arg_int(&args, "port", NULL));
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(f.epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == f.listener)
                take_all(&f);
            else
                on_readable(&f, events[i].data.fd);
        }
        if (f.waiting_count > 0) {
            size_t messages = f.waiting_count;
            answer_waiting(&f);
            fan_out(&f, messages);
        }
    }
}
