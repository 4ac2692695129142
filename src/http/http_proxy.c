#include "http/http_proxy.h"

#include <arpa/inet.h>
#include <stdio.h>

/* An address as 128 bits. */
struct address {
    uint8_t bytes[HTTP_PROXY_ADDRESS_BYTES];
};

enum { V4_OFFSET = 12, V4_PREFIX_BITS = 96, MAX_TEXT_BYTES = INET6_ADDRSTRLEN };

static const uint8_t v4_mapped[V4_OFFSET] = {[10] = 0xff, [11] = 0xff};

static enum err parse_address(struct str text, struct address *out)
{
    char copy[MAX_TEXT_BYTES];
    if (!text.len || text.len >= sizeof(copy) || memchr(text.at, '\0', text.len))
        return ERR_INVALID;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    memcpy(out->bytes, v4_mapped, sizeof(v4_mapped));
    if (inet_pton(AF_INET, copy, out->bytes + V4_OFFSET) == 1)
        return OK;
    return inet_pton(AF_INET6, copy, out->bytes) == 1 ? OK : ERR_INVALID;
}

/* Some proxies add the port: "1.2.3.4:5678", "[::1]:5678", "[::1]". */
static struct str without_port(struct str text)
{
    struct str rest, host;
    if (text.len && text.at[0] == '[') {
        host = str_cut((struct str){text.at + 1, text.len - 1}, ']', &rest);
        return rest.len && rest.at[0] != ':' ? text : host;
    }
    host = str_cut(text, ':', &rest);
    return str_index(rest, ':') < rest.len ? text : host; // more than one: IPv6
}

static void write_address(const struct address *a, char out[static MAX_TEXT_BYTES])
{
    bool is_v4 = memcmp(a->bytes, v4_mapped, sizeof(v4_mapped)) == 0;
    if (!inet_ntop(is_v4 ? AF_INET : AF_INET6, a->bytes + (is_v4 ? V4_OFFSET : 0), out,
                   MAX_TEXT_BYTES))
        snprintf(out, MAX_TEXT_BYTES, "unknown");
}

/* ---- the networks ---- */

static bool is_within(const uint8_t *a, const uint8_t *net, int prefix_bits)
{
    size_t whole = (size_t)prefix_bits / 8;
    int rest = prefix_bits % 8;
    if (memcmp(a, net, whole) != 0)
        return false;
    return !rest || ((a[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

static bool is_trusted(const struct http_proxy *p, const struct address *a)
{
    for (size_t i = 0; i < p->count; i++)
        if (is_within(a->bytes, p->nets[i].address, p->nets[i].prefix_bits))
            return true;
    return false;
}

bool http_proxy_trusts(const struct http_proxy *p, struct str address)
{
    struct address a;
    return !parse_address(address, &a) && is_trusted(p, &a);
}

static enum err add_net(struct http_proxy *p, struct str text)
{
    struct str bits, host = str_cut(text, '/', &bits);
    struct address a;
    int64_t prefix = 0;
    if (p->count == HTTP_PROXY_MAX_NETS || parse_address(host, &a))
        return ERR_INVALID;
    bool is_v4 = str_index(host, ':') == host.len;
    int64_t max = is_v4 ? 128 - V4_PREFIX_BITS : 128;
    if (host.len == text.len)
        prefix = max;
    else if (str_parse_int(bits, &prefix) || prefix < 0 || prefix > max)
        return ERR_INVALID;
    memcpy(p->nets[p->count].address, a.bytes, sizeof(a.bytes));
    p->nets[p->count++].prefix_bits = (int)prefix + (is_v4 ? V4_PREFIX_BITS : 0);
    return OK;
}

enum err http_proxy_parse(struct str list, struct http_proxy *out, struct str *bad_out)
{
    *out = (struct http_proxy){0};
    for (struct str rest = list; rest.len;) {
        struct str item = str_trim(str_cut(rest, ',', &rest));
        if (add_net(out, item)) {
            *bad_out = item;
            return ERR_INVALID;
        }
    }
    return OK;
}

/* ---- a request ---- */

/* Cuts s at the last comma: returns what is behind it. */
static struct str cut_last(struct str *s)
{
    size_t at = s->len;
    while (at && s->at[at - 1] != ',')
        at--;
    struct str last = str_trim((struct str){s->at + at, s->len - at});
    s->len = at ? at - 1 : 0;
    return last;
}

/* Goes left through the value of one field. true: *client is the client, or the list is rubbish and
 * *is_bad says so. */
static bool read_field(const struct http_proxy *p, struct str value, struct address *client,
                       bool *is_bad)
{
    do {
        struct address a;
        if (parse_address(without_port(cut_last(&value)), &a))
            return *is_bad = true;
        *client = a;
        if (!is_trusted(p, &a))
            return true;
    } while (value.len);
    return false; // all are ours so far
}

static bool is_named(const struct http_field *f, struct str name)
{
    return str_eq_nocase(f->name, name);
}

/* Repeated fields are one list, in their order (RFC 9110 §5.3). */
static void find_client(const struct http_proxy *p, const struct http_request *req,
                        struct address *client)
{
    const struct address peer = *client;
    bool is_bad = false;
    for (size_t i = req->field_count; i-- > 0;) {
        const struct http_field *f = &req->fields[i];
        if (is_named(f, STR("x-forwarded-for")) && read_field(p, f->value, client, &is_bad))
            break;
    }
    if (is_bad)
        *client = peer;
}

static bool is_forwarded_https(const struct http_request *req, bool is_tls)
{
    for (size_t i = req->field_count; i-- > 0;) {
        struct str value = req->fields[i].value;
        if (is_named(&req->fields[i], STR("x-forwarded-proto")))
            return str_eq_nocase(cut_last(&value), STR("https"));
    }
    return is_tls;
}

void http_proxy_look_behind(const struct http_proxy *p, struct http_exchange *x)
{
    struct address client;
    if (parse_address(str_of(x->peer), &client) || !is_trusted(p, &client))
        return;
    find_client(p, &x->req, &client);
    write_address(&client, x->peer);
    x->is_https = is_forwarded_https(&x->req, x->is_https);
}
