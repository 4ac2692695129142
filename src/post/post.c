#include "post/post.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "post/post_address.h"

bool post_url_is_valid(struct str url)
{
    bool is_valid = url.len > 0 && url.len <= POST_MAX_URL_BYTES;
    for (size_t i = 0; is_valid && i < url.len; i++)
        is_valid = url.at[i] > ' ' && url.at[i] < 0x7f && url.at[i] != '"' && url.at[i] != '\\';
    if (!is_valid)
        return false;
    char text[POST_MAX_URL_BYTES + 1], *scheme = NULL;
    memcpy(text, url.at, url.len);
    text[url.len] = '\0';
    CURLU *parts = curl_url();
    is_valid = curl_url_set(parts, CURLUPART_URL, text, 0) == CURLUE_OK &&
               curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return is_valid;
}

/* ---- what curl asks ---- */

/* The last word on where we connect to: DNS has spoken, and nothing resolves it again. */
static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct post *p = ctx;
    (void)purpose;
    if (!p->allows_private && !post_address_is_public(&address->addr)) {
        p->is_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool is_public(const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return post_address_is_public((const struct sockaddr *)&v4);
    return inet_pton(AF_INET6, address, &v6.sin6_addr) == 1 &&
           post_address_is_public((const struct sockaddr *)&v6);
}

/* No socket is made where an idle connection is used again, perhaps of a post that may do more. */
// NOLINTNEXTLINE(readability-non-const-parameter): the type is curl's
static int check_peer(void *ctx, char *peer, char *local, int peer_port, int local_port)
{
    struct post *p = ctx;
    (void)local, (void)peer_port, (void)local_port;
    if (p->allows_private || is_public(peer))
        return CURL_PREREQFUNC_OK;
    p->is_refused = true;
    return CURL_PREREQFUNC_ABORT;
}

/* Fields are counted with the body. */
static size_t count_field(const char *bytes, size_t size, size_t count, void *ctx)
{
    struct post *p = ctx;
    (void)bytes;
    p->answer_bytes += size * count;
    return p->answer_bytes <= POST_MAX_ANSWER_BYTES ? size * count : 0;
}

static size_t keep_body(const char *bytes, size_t size, size_t count, void *ctx)
{
    struct post *p = ctx;
    size_t len = count_field(bytes, size, count, ctx);
    p->is_cut = len == 0 && size * count > 0;
    return len > 0 && buf_append(&p->answer, bytes, len) == OK ? len : 0;
}

/* ---- begin and end ---- */

static bool add_line(struct post *p, const char *line)
{
    struct curl_slist *longer = curl_slist_append(p->lines, line);
    if (longer)
        p->lines = longer;
    return longer != NULL;
}

static bool add_lines(struct post *p)
{
    struct arena a;
    arena_init(&a);
    bool is_added = add_line(p, "Content-Type: application/json") && add_line(p, "Accept:") &&
                    add_line(p, "Expect:");
    for (size_t i = 0; is_added && i < p->header_count; i++)
        is_added = add_line(p, arena_str(&a, p->headers[i]).at);
    arena_done(&a);
    return is_added;
}

/* Variadic: each value must have just the type that curl reads. */
static bool set_options(struct post *p, const char *url)
{
    CURL *e = p->easy;
    bool is_set = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_PRIVATE, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    // A proxy of the environment would connect for us, to wherever: the guard would see only it.
    is_set &= curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, check_peer) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_PREREQDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    // A name server that hangs must not hold the thread when the transfer is given up.
    is_set &= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_ms) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)p->total_ms) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_USERAGENT, p->agent) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_POSTFIELDS, p->body.at) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->lines) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, keep_body) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_WRITEDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, count_field) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_HEADERDATA, p) == CURLE_OK;
    is_set &= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->detail) == CURLE_OK;
    return is_set;
}

enum err post_begin(struct post *p, CURLM *multi)
{
    char *url = str_dup(p->url);
    buf_init(&p->answer, POST_MAX_ANSWER_BYTES);
    p->answer_bytes = 0;
    p->is_refused = p->is_cut = false;
    p->detail[0] = '\0';
    p->lines = NULL;
    p->easy = curl_easy_init();
    bool is_begun = p->easy && add_lines(p) && set_options(p, url) &&
                    curl_multi_add_handle(multi, p->easy) == CURLM_OK;
    mem_free(url);
    if (is_begun)
        return OK;
    log_error("at=post.begin why=\"curl refuses\"");
    post_end(p, NULL);
    return ERR_IO;
}

void post_end(struct post *p, CURLM *multi)
{
    if (p->easy && multi)
        curl_multi_remove_handle(multi, p->easy);
    curl_easy_cleanup(p->easy);
    curl_slist_free_all(p->lines);
    buf_done(&p->answer);
    p->easy = NULL;
    p->lines = NULL;
}

/* What curl knows of the answer. */
static CURLcode read_answer(const struct post *p, struct post_answer *out)
{
    long status = 0;
    curl_off_t after_s = 0;
    char *type = NULL;
    CURLcode result = curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result == CURLE_OK)
        result = curl_easy_getinfo(p->easy, CURLINFO_RETRY_AFTER, &after_s);
    if (result == CURLE_OK)
        result = curl_easy_getinfo(p->easy, CURLINFO_CONTENT_TYPE, &type);
    enum { MAX_AFTER_S = 365 * 86400 };
    *out = (struct post_answer){
        .status = (int)status,
        .retry_after_ms = (int64_t)(after_s < MAX_AFTER_S ? after_s : MAX_AFTER_S) * 1000,
        .type = str_of(type),
        .body = {(const char *)p->answer.bytes, buf_len(&p->answer)},
    };
    return result;
}

enum err post_judge(const struct post *p, CURLcode result, struct arena *a, struct post_answer *out,
                    struct str *why_out)
{
    *out = (struct post_answer){0};
    if (result == CURLE_OK || p->is_cut) {
        CURLcode known = read_answer(p, out);
        result = p->is_cut && known == CURLE_OK ? result : known;
    }
    if (result == CURLE_OK)
        return OK;
    if (p->answer_bytes > POST_MAX_ANSWER_BYTES)
        *why_out = arena_printf(a, "the answer is longer than %d bytes", POST_MAX_ANSWER_BYTES);
    else if (p->is_refused)
        *why_out =
            arena_printf(a, "the address is of a private network (see %s)", p->private_option);
    else
        *why_out = arena_str(a, str_of(p->detail[0] ? p->detail : curl_easy_strerror(result)));
    return p->is_cut && out->status > 0 ? ERR_TOO_LARGE : ERR_IO;
}
