#include "ws/ws_offer.h"

#include <stdio.h>

#include "core/check.h"
#include "http/http_head.h"

/* ---- the grammar: 1#( token *( ";" token [ "=" ( token | quoted-string ) ] ) ) ---- */

struct param {
    struct str name;
    bool has_value;
    int bits; // the value, when it is 8 to 15 as the RFC writes it; else 0
};

static void skip(struct str *in, size_t len)
{
    in->at += len;
    in->len -= len;
}

static void skip_space(struct str *in)
{
    while (in->len > 0 && (in->at[0] == ' ' || in->at[0] == '\t'))
        skip(in, 1);
}

static bool take_char(struct str *in, char c)
{
    skip_space(in);
    if (in->len == 0 || in->at[0] != c)
        return false;
    skip(in, 1);
    return true;
}

static bool is_token_next(const struct str *in)
{
    return in->len > 0 && http_head_is_token_char((unsigned char)in->at[0]);
}

/* Empty when there is none. */
static struct str take_token(struct str *in)
{
    skip_space(in);
    struct str token = {in->at, 0};
    while (is_token_next(in)) {
        skip(in, 1);
        token.len++;
    }
    return token;
}

static int parse_bits(struct str value)
{
    int64_t bits;
    if (value.len == 0 || value.len > 2 || value.at[0] == '0' || str_parse_int(value, &bits) != OK)
        return 0;
    return bits >= WS_OFFER_MIN_WINDOW_BITS && bits <= WS_OFFER_MAX_WINDOW_BITS ? (int)bits : 0;
}

/* What is behind the opening quote, which must be a token once it is unescaped. */
static enum err take_quoted(struct str *in, int *bits)
{
    char start[3]; // enough to know the values that we know
    size_t len = 0;
    while (in->len > 0 && in->at[0] != '"') {
        if (in->at[0] == '\\')
            skip(in, 1);
        if (!is_token_next(in))
            return ERR_INVALID;
        if (len < sizeof(start))
            start[len++] = in->at[0];
        skip(in, 1);
    }
    *bits = parse_bits((struct str){start, len});
    return len > 0 && take_char(in, '"') ? OK : ERR_INVALID;
}

static enum err take_param(struct str *in, struct param *p)
{
    *p = (struct param){.name = take_token(in)};
    if (p->name.len == 0)
        return ERR_INVALID;
    p->has_value = take_char(in, '=');
    if (!p->has_value)
        return OK;
    if (take_char(in, '"'))
        return take_quoted(in, &p->bits);
    struct str value = take_token(in);
    p->bits = parse_bits(value);
    return value.len > 0 ? OK : ERR_INVALID;
}

/* ---- permessage-deflate ---- */

enum { WITHOUT_VALUE = 1, WITH_VALUE = 2 };
enum { SERVER_WINDOW, CLIENT_WINDOW, SERVER_CONTEXT, CLIENT_CONTEXT, PARAM_COUNT };

static const struct {
    const char *name;
    unsigned forms;
} params[PARAM_COUNT] = {
    [SERVER_WINDOW] = {"server_max_window_bits", WITH_VALUE},
    [CLIENT_WINDOW] = {"client_max_window_bits", WITH_VALUE | WITHOUT_VALUE},
    [SERVER_CONTEXT] = {"server_no_context_takeover", WITHOUT_VALUE},
    [CLIENT_CONTEXT] = {"client_no_context_takeover", WITHOUT_VALUE},
};

/* Notes the parameter; false: it is unknown, repeated or has a wrong value, which declines the
 * offer (RFC 7692 §7). */
static bool accept_param(const struct param *p, bool seen[static PARAM_COUNT], struct ws_offer *o)
{
    int i = 0;
    while (i < PARAM_COUNT && !str_eq(p->name, str_of(params[i].name)))
        i++;
    if (i == PARAM_COUNT || seen[i])
        return false;
    seen[i] = true;
    if (!(params[i].forms & (p->has_value ? WITH_VALUE : WITHOUT_VALUE)))
        return false;
    if (p->has_value && p->bits == 0)
        return false;
    if (i == SERVER_WINDOW)
        *o = (struct ws_offer){.window_bits = p->bits, .is_window_asked = true};
    return true;
}

/* Reads one extension of the list. */
static enum err take_offer(struct str *in, bool *is_ours, struct ws_offer *o)
{
    bool seen[PARAM_COUNT] = {false};
    struct str name = take_token(in);
    if (name.len == 0)
        return ERR_INVALID;
    *is_ours = str_eq(name, STR("permessage-deflate"));
    *o = (struct ws_offer){.window_bits = WS_OFFER_MAX_WINDOW_BITS};
    while (take_char(in, ';')) {
        struct param p;
        enum err err = take_param(in, &p);
        if (err)
            return err;
        *is_ours = *is_ours && accept_param(&p, seen, o);
    }
    skip_space(in);
    return in->len == 0 || in->at[0] == ',' ? OK : ERR_INVALID;
}

static bool is_at_end(struct str *in)
{
    while (take_char(in, ',')) // empty elements are allowed (RFC 9110 §5.6.1.2)
        ;
    return in->len == 0;
}

enum err ws_offer_choose(const struct http_request *req, struct ws_offer *out)
{
    bool is_found = false;
    for (size_t i = 0; i < req->field_count; i++) {
        if (!str_eq_nocase(req->fields[i].name, STR("Sec-WebSocket-Extensions")))
            continue;
        for (struct str in = req->fields[i].value; !is_at_end(&in);) {
            struct ws_offer o;
            bool is_ours;
            enum err err = take_offer(&in, &is_ours, &o);
            if (err)
                return err;
            if (is_ours && !is_found)
                *out = o;
            is_found |= is_ours;
        }
    }
    return is_found ? OK : ERR_NOT_FOUND;
}

void ws_offer_answer(const struct ws_offer *o, char out[static WS_OFFER_ANSWER_BYTES])
{
    char window[32] = "";
    if (o->is_window_asked)
        snprintf(window, sizeof(window), "; server_max_window_bits=%d", o->window_bits);
    int len = snprintf(out, WS_OFFER_ANSWER_BYTES,
                       "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                       "client_no_context_takeover%s\r\n",
                       window);
    CHECK(len > 0 && len < WS_OFFER_ANSWER_BYTES);
}
