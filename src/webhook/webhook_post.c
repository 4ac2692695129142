#include "webhook/webhook_post.h"

#include <netinet/in.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "webhook/webhook_address.h"

enum { CONNECT_MS = 5000, TOTAL_MS = 10000, MAX_ANSWER_BYTES = 64 * 1024 };

/* ---- what curl asks ---- */

/* The last word on where we connect to: DNS has spoken, and nothing resolves it again. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct webhook_post *p = ctx;
    (void)purpose;
    if (!p->allows_private && !webhook_address_is_public(&address->addr)) {
        p->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The answer's fields and body are counted and dropped. */
static size_t drop(const char *bytes, size_t size, size_t count, void *ctx)
{
    struct webhook_post *p = ctx;
    (void)bytes;
    p->answer_bytes += size * count;
    return p->answer_bytes <= MAX_ANSWER_BYTES ? size * count : 0;
}

/* ---- begin and end ---- */

static bool add_header(struct webhook_post *p, const char *line)
{
    struct curl_slist *longer = curl_slist_append(p->headers, line);
    if (longer)
        p->headers = longer;
    return longer != NULL;
}

static bool add_headers(struct webhook_post *p)
{
    char signature[WEBHOOK_SIGNATURE_BYTES];
    webhook_sign(p->target.secret, p->body, signature);
    struct arena a;
    arena_init(&a);
    bool is_added =
        add_header(p, "Content-Type: application/json") && add_header(p, "Accept:") &&
        add_header(p, "Expect:") &&
        add_header(p, arena_printf(&a, "X-Pusher-Key: %.*s", STR_ARG(p->target.key)).at) &&
        add_header(p, arena_printf(&a, "X-Pusher-Signature: %s", signature).at);
    for (size_t i = 0; is_added && i < p->target.header_count; i++)
        is_added = add_header(p, arena_str(&a, p->target.headers[i]).at);
    arena_done(&a);
    return is_added;
}

/* Variadic: each value must have just the type that curl reads. */
static bool set_options(struct webhook_post *p, const char *url, void *owner)
{
    CURL *e = p->easy;
    bool is_set = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_PRIVATE, owner) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    // A proxy of the environment would connect for us, to wherever: the guard would see only it.
    is_set &= curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    // A name server that hangs must not hold the thread when the transfer is given up.
    is_set &= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)TOTAL_MS) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_USERAGENT, "Viche-Webhook") == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_POSTFIELDS, p->body.at) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->headers) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, drop) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_WRITEDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, drop) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HEADERDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->detail) == CURLE_OK;
    return is_set;
}

enum err webhook_post_begin(struct webhook_post *p, CURLM *multi, void *owner)
{
    char *url = str_dup(p->url);
    p->easy = curl_easy_init();
    bool is_begun = p->easy && add_headers(p) && set_options(p, url, owner) &&
                    curl_multi_add_handle(multi, p->easy) == CURLM_OK;
    mem_free(url);
    if (is_begun)
        return OK;
    log_error("at=webhook_post.begin why=\"curl refuses\"");
    webhook_post_done(p, NULL);
    return ERR_IO;
}

void webhook_post_done(struct webhook_post *p, CURLM *multi)
{
    if (p->easy && multi)
        curl_multi_remove_handle(multi, p->easy);
    curl_easy_cleanup(p->easy);
    curl_slist_free_all(p->headers);
    p->easy = NULL;
    p->headers = NULL;
}

enum err webhook_post_judge(const struct webhook_post *p, CURLcode result, struct arena *a,
                            struct str *why_out)
{
    long status = 0;
    if (result == CURLE_OK)
        result = curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_OK && status >= 200 && status <= 299)
        return OK;
    if (result == CURLE_OK)
        *why_out = arena_printf(a, "the receiver answered %ld", status);
    else if (p->answer_bytes > MAX_ANSWER_BYTES)
        *why_out = arena_printf(a, "the answer is longer than %d bytes", MAX_ANSWER_BYTES);
    else if (p->is_refused)
        *why_out = STR("the address is of a private network (see --webhook-private)");
    else
        *why_out = arena_str(a, str_of(p->detail[0] ? p->detail : curl_easy_strerror(result)));
    return ERR_IO;
}
