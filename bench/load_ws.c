#include "load_ws.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "load_sign.h"

enum { READ_MAX = 1 << 18, OPCODE_TEXT = 1, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

static void put(struct load_ws *ws, const char *bytes, size_t len)
{
    ssize_t sent =
        ws->tls ? SSL_write(ws->tls, bytes, (int)len) : send(ws->fd, bytes, len, MSG_NOSIGNAL);
    if (sent != (ssize_t)len)
        load_die("cannot send: %s", strerror(errno));
}

/* As recv. */
static ssize_t get(struct load_ws *ws, char *bytes, size_t cap)
{
    if (!ws->tls)
        return recv(ws->fd, bytes, cap, 0);
    int got = SSL_read(ws->tls, bytes, (int)cap);
    if (got <= 0 && SSL_get_error(ws->tls, got) == SSL_ERROR_WANT_READ) {
        errno = EAGAIN;
        return -1;
    }
    return got;
}

static void send_head(struct load_ws *ws, const struct load_ws_target *target)
{
    char head[512];
    int len =
        snprintf(head, sizeof head,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n%s"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 target->path, target->port,
                 target->offers_deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    if (len >= (int)sizeof head)
        load_die("the path is too long");
    put(ws, head, (size_t)len);
}

/* True: it is done, and the WebSocket's is on its way. */
static bool shake_hands(struct load_ws *ws, const struct load_ws_target *target)
{
    int done = SSL_do_handshake(ws->tls);
    if (done == 1)
        send_head(ws, target);
    else if (SSL_get_error(ws->tls, done) != SSL_ERROR_WANT_READ)
        load_die("the TLS handshake failed");
    return done == 1;
}

void load_ws_open(struct load_ws *ws, const struct load_ws_target *target)
{
    *ws = (struct load_ws){.fd = load_connect(target->port), .channel = target->channel};
    if (!target->tls) {
        send_head(ws, target);
        return;
    }
    ws->tls = SSL_new(target->tls);
    if (!ws->tls || SSL_set_fd(ws->tls, ws->fd) != 1)
        load_die("no memory");
    SSL_set_connect_state(ws->tls);
    (void)shake_hands(ws, target);
}

void load_ws_close(struct load_ws *ws)
{
    SSL_free(ws->tls);
    close(ws->fd);
    free(ws->rest);
    *ws = (struct load_ws){.fd = -1};
}

/* Masked with zeros, which is legal and leaves the payload readable in a dump. */
static void send_frame(struct load_ws *ws, unsigned opcode, const char *payload, size_t len)
{
    char frame[8 + 512] = {(char)(0x80 | opcode)};
    size_t head = 6;
    if (len > sizeof frame - 8)
        load_die("too long for a frame of the generator");
    frame[1] = (char)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) {
        frame[2] = (char)(len >> 8);
        frame[3] = (char)(len & 255);
        head = 8;
    }
    memcpy(frame + head, payload, len);
    put(ws, frame, head + len);
}

/* "KEY:SIGNATURE" of socket_id:channel; the socket's id stands in the greeting, whose data is a
 * string of JSON. */
static void write_auth(const char *greeting, size_t len, const char *channel,
                       const struct load_ws_target *target, char *out, size_t cap)
{
    static const char mark[] = "socket_id\\\":\\\"";
    char text[400], signature[LOAD_SIGN_BYTES];
    const char *id = memmem(greeting, len, mark, sizeof mark - 1);
    if (!id)
        load_die("a greeting without an id: %.*s", (int)len, greeting);
    id += sizeof mark - 1;
    const char *end = memchr(id, '\\', (size_t)(greeting + len - id));
    int text_len = snprintf(text, sizeof text, "%.*s:%s", end ? (int)(end - id) : 0, id, channel);
    if (text_len >= (int)sizeof text)
        load_die("the channel's name is too long");
    load_sign(target->secret, text, (size_t)text_len, signature);
    if (snprintf(out, cap, "%s:%s", target->key, signature) >= (int)cap)
        load_die("the key is too long");
}

static void subscribe(struct load_ws *ws, const char *greeting, size_t greeting_len,
                      const struct load_ws_target *target)
{
    char text[500], auth[200] = "";
    if (target->secret)
        write_auth(greeting, greeting_len, ws->channel, target, auth, sizeof auth);
    int len =
        snprintf(text, sizeof text,
                 "{\"event\":\"pusher:subscribe\",\"data\":{\"auth\":\"%s\",\"channel\":\"%s\"}}",
                 auth, ws->channel);
    if (len >= (int)sizeof text)
        load_die("the channel's name is too long");
    send_frame(ws, OPCODE_TEXT, text, (size_t)len);
    ws->state = LOAD_WS_SUBSCRIBING;
}

static bool has(const char *text, size_t len, const char *what)
{
    return memmem(text, len, what, strlen(what)) != NULL;
}

/* Protocol events come before READY, except the ping, which is short. */
static bool is_protocol(const struct load_ws *ws, const char *text, size_t len)
{
    return ws->state != LOAD_WS_READY || (len < 64 && has(text, len, "\"pusher:"));
}

static void on_protocol(struct load_ws *ws, const char *text, size_t len,
                        const struct load_ws_target *target)
{
    if (has(text, len, "pusher:connection_established")) {
        subscribe(ws, text, len, target);
    } else if (has(text, len, "pusher_internal:subscription_succeeded")) {
        ws->state = LOAD_WS_READY;
    } else if (has(text, len, "pusher:ping")) {
        static const char pong[] = "{\"event\":\"pusher:pong\",\"data\":{}}";
        send_frame(ws, OPCODE_TEXT, pong, sizeof pong - 1);
    } else if (has(text, len, "pusher:error")) {
        load_die("the server answers %.*s", (int)len, text);
    }
}

struct sink {
    const struct load_ws_target *target;
    load_ws_event_fn *on_event;
    void *ctx;
};

static void take_frame(struct load_ws *ws, unsigned opcode, const char *text, size_t len,
                       const struct sink *sink)
{
    if (opcode == OPCODE_PING)
        send_frame(ws, OPCODE_PONG, text, len);
    else if (opcode == OPCODE_CLOSE)
        load_die("the server closes a socket with %d %.*s",
                 len < 2 ? 0 : (unsigned char)text[0] << 8 | (unsigned char)text[1],
                 len < 2 ? 0 : (int)len - 2, text + 2);
    else if (is_protocol(ws, text, len))
        on_protocol(ws, text, len, sink->target);
    else {
        ws->events++;
        sink->on_event(sink->ctx, ws, text, len);
    }
}

/* The bytes of the first frame with its head, 0 when it is not whole. */
static size_t frame_size(const unsigned char *p, size_t len, size_t *head_out)
{
    if (len < 2)
        return 0;
    size_t extra = (p[1] & 127) == 126 ? 2 : (p[1] & 127) == 127 ? 8 : 0;
    if (len < 2 + extra)
        return 0;
    size_t body = extra ? 0 : p[1] & 127;
    for (size_t i = 0; i < extra; i++)
        body = body << 8 | p[2 + i];
    *head_out = 2 + extra;
    return len >= *head_out + body ? *head_out + body : 0;
}

/* The bytes of the answer to the handshake, 0 when it is not whole. */
static size_t handshake_size(const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (end && strncmp(bytes, "HTTP/1.1 101", 12) != 0)
        load_die("the handshake was refused: %.*s", (int)(len < 200 ? len : 200), bytes);
    return end ? (size_t)(end + 4 - bytes) : 0;
}

static size_t take_all(struct load_ws *ws, const char *bytes, size_t len, const struct sink *sink)
{
    size_t used = 0;
    if (ws->state == LOAD_WS_OPENING && len > 0 && bytes[0] == 'H') // a frame begins with 0x81
        used = handshake_size(bytes, len);
    if (ws->state == LOAD_WS_OPENING && len > 0 && bytes[0] == 'H' && used == 0)
        return 0;
    for (size_t head, size; used < len; used += size) {
        size = frame_size((const unsigned char *)bytes + used, len - used, &head);
        if (size == 0)
            break;
        take_frame(ws, (unsigned char)bytes[used] & 15u, bytes + used + head, size - head, sink);
    }
    return used;
}

size_t load_ws_read(struct load_ws *ws, const struct load_ws_target *target,
                    load_ws_event_fn *on_event, void *ctx)
{
    static char bytes[READ_MAX];
    if (ws->tls && !SSL_is_init_finished(ws->tls) && !shake_hands(ws, target))
        return 0;
    if (ws->rest_len > sizeof bytes / 2)
        load_die("a frame is too long");
    memcpy(bytes, ws->rest ? ws->rest : "", ws->rest_len);
    ssize_t got = get(ws, bytes + ws->rest_len, sizeof bytes - ws->rest_len);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        load_die("the server closed a subscriber: %s", got ? strerror(errno) : "end of file");
    size_t len = ws->rest_len + (size_t)got;
    size_t used = take_all(ws, bytes, len, &(struct sink){target, on_event, ctx});
    free(ws->rest);
    ws->rest = NULL;
    ws->rest_len = len - used;
    if (ws->rest_len > 0) {
        ws->rest = malloc(ws->rest_len);
        if (!ws->rest)
            load_die("no memory");
        memcpy(ws->rest, bytes + used, ws->rest_len);
    }
    return (size_t)got;
}
