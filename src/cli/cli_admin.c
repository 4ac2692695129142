#include "cli/cli_admin.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli_text.h"
#include "core/check.h"
#include "core/clock.h"

/* What is whole, and keeps the rest. False: who reads a pipe went away. */
static bool print_lines(struct buf *lines)
{
    const char *head = (const char *)buf_head(lines);
    const char *end = buf_len(lines) > 0 ? memrchr(head, '\n', buf_len(lines)) : NULL;
    if (!end)
        return true;
    size_t len = (size_t)(end - head) + 1;
    cli_text_print_json(stdout, (struct str){head, len});
    buf_consume(lines, len);
    return fflush(stdout) == 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    struct cli_admin_answer *a = ctx;
    size_t len = size * count;
    if (buf_append(&a->body, bytes, len) != OK)
        return 0;
    return !a->is_streamed || print_lines(&a->body) ? len : 0;
}

struct waiting {
    CURL *curl;
    int64_t until_ms; // of clock_mono_ms
};

/* curl asks at least once a second. */
static int on_wait(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                   curl_off_t up)
{
    const struct waiting *w = ctx;
    long status = 0;
    (void)down_total, (void)down, (void)up_total, (void)up;
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    return status == 0 && clock_mono_ms() >= w->until_ms; // else the head has come
}

static CURLcode perform(CURL *curl, const char *socket, const char *path,
                        struct cli_admin_answer *out)
{
    struct buf url;
    enum { MAX_URL_BYTES = 32 * 1024 };
    buf_init(&url, MAX_URL_BYTES);
    CHECK(buf_printf(&url, "http://localhost%s", path) == OK && buf_append(&url, "", 1) == OK);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_URL, (const char *)buf_head(&url));
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    struct waiting waiting = {curl, clock_mono_ms() + out->timeout_ms};
    if (out->is_streamed) {
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_wait);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &waiting);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    } else {
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, out->timeout_ms);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    buf_done(&url);
    return code;
}

enum err cli_admin_get(const char *data, const char *path, struct cli_admin_answer *out,
                       char *why_out, size_t why_cap)
{
    char socket[1024];
    CURL *curl = curl_easy_init();
    CHECK(curl);
    snprintf(socket, sizeof(socket), "%s/admin.sock", data);
    CURLcode code = perform(curl, socket, path, out);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && out->is_streamed))
        return OK;
    if (code == CURLE_COULDNT_CONNECT) {
        snprintf(why_out, why_cap,
                 "no server answers at %s; is it running, and is --data its directory?", socket);
        return ERR_NOT_FOUND;
    }
    if (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK) {
        snprintf(why_out, why_cap, "the server does not answer at %s within %ld ms; does it hang?",
                 socket, out->timeout_ms);
        return ERR_TIMEOUT;
    }
    snprintf(why_out, why_cap, "%s: %s", socket, curl_easy_strerror(code));
    return ERR_IO;
}
