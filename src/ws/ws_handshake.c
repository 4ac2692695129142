#include "ws/ws_handshake.h"

#include <stdio.h>

#include "core/check.h"
#include "core/crypto.h"
#include "ws/ws_offer.h"

enum { KEY_BYTES = 16, UPGRADE_REQUIRED = 426, BAD_REQUEST = 400 };

/* Does a comma-separated list, in any of the fields of that name, hold the token? */
static bool list_has(const struct http_request *req, struct str name, struct str token)
{
    for (size_t i = 0; i < req->field_count; i++) {
        if (!str_eq_nocase(req->fields[i].name, name))
            continue;
        for (struct str rest = req->fields[i].value; rest.len > 0;)
            if (str_eq_nocase(str_trim(str_cut(rest, ',', &rest)), token))
                return true;
    }
    return false;
}

static size_t count_fields(const struct http_request *req, struct str name)
{
    size_t count = 0;
    for (size_t i = 0; i < req->field_count; i++)
        count += str_eq_nocase(req->fields[i].name, name);
    return count;
}

static bool key_is_valid(const struct http_request *req)
{
    uint8_t key[KEY_BYTES];
    size_t len;
    struct str text = http_field_get(req, STR("Sec-WebSocket-Key"));
    return count_fields(req, STR("Sec-WebSocket-Key")) == 1 &&
           crypto_base64_decode(text, key, sizeof(key), &len) == OK && len == KEY_BYTES;
}

int ws_handshake_check(const struct http_request *req)
{
    if (!list_has(req, STR("Upgrade"), STR("websocket")))
        return UPGRADE_REQUIRED;
    if (req->method != HTTP_GET || req->is_http_10 || req->body.len > 0)
        return BAD_REQUEST;
    if (!list_has(req, STR("Connection"), STR("upgrade")))
        return BAD_REQUEST;
    if (count_fields(req, STR("Sec-WebSocket-Version")) != 1 ||
        !str_eq(http_field_get(req, STR("Sec-WebSocket-Version")), STR("13")))
        return UPGRADE_REQUIRED;
    struct ws_offer offer;
    if (ws_offer_choose(req, &offer) == ERR_INVALID)
        return BAD_REQUEST;
    return key_is_valid(req) ? 0 : BAD_REQUEST;
}

void ws_handshake_accept_value(struct str key, char out[static WS_HANDSHAKE_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[24 + sizeof(guid)]; // a key of 16 bytes has 24 characters
    uint8_t digest[CRYPTO_SHA1_BYTES];

    CHECK(key.len == 24);
    int len = snprintf(joined, sizeof(joined), "%.*s%s", STR_ARG(key), guid);
    crypto_sha1((struct str){joined, (size_t)len}, digest);
    crypto_base64(digest, sizeof(digest), out);
}

static void refuse(struct http_exchange *x, int status)
{
    http_reply_field(x, STR("Sec-WebSocket-Version"), STR("13"));
    if (status == UPGRADE_REQUIRED)
        http_reply_field(x, STR("Upgrade"), STR("websocket"));
    http_reply(x, status, "text/plain; charset=utf-8",
               status == UPGRADE_REQUIRED ? STR("This address speaks WebSocket, version 13.\n")
                                          : STR("The WebSocket handshake is not valid.\n"));
}

struct io_conn *ws_handshake_upgrade(struct http_exchange *x, const char *fields, bool may_compress,
                                     struct ws_upgrade *out)
{
    int status = ws_handshake_check(&x->req);
    if (status != 0) {
        refuse(x, status);
        return NULL;
    }
    struct ws_offer offer = {0};
    char accept[WS_HANDSHAKE_ACCEPT_BYTES], extensions[WS_OFFER_ANSWER_BYTES] = "", head[512];
    if (may_compress && ws_offer_choose(&x->req, &offer) == OK)
        ws_offer_answer(&offer, extensions);
    ws_handshake_accept_value(http_field_get(&x->req, STR("Sec-WebSocket-Key")), accept);
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s\r\n",
                       accept, extensions, fields);
    CHECK(len > 0 && (size_t)len < sizeof(head));

    *out = (struct ws_upgrade){.window_bits = offer.window_bits};
    struct io_conn *io = http_upgrade(x, &out->early);
    if (io && io_conn_write(io, head, (size_t)len) != OK) {
        // Only a client that pipelined requests and never reads can get here.
        io_conn_close(io);
    }
    return io;
}
