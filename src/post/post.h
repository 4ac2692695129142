/* post.h -- one POST by libcurl, to an address that a user of ours chose (webhooks, jobs).
 *
 * No address of a private network is connected to unless it is allowed: checked on the very address
 * that a socket is made for, after DNS, so that no name can point around it, and again on an
 * idle connection that is used again. No proxy, no redirect: the address that was given is the one
 * that was agreed to. What is read of an answer is bounded.
 *
 *     post_loop_begin --> curl, on the loop's thread --> on_posted --> post_judge --> post_loop_end
 */
#ifndef POST_H
#define POST_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/str.h"

enum { POST_MAX_URL_BYTES = 2000, POST_MAX_ANSWER_BYTES = 64 * 1024 };

/* Borrowed, with all that it points to, from its begin to its end. */
struct post {
    struct str url, body;
    const struct str *headers; // "Name: value"; Content-Type: application/json is there
    size_t header_count;
    const char *agent;
    int64_t connect_ms, total_ms;
    bool allows_private;
    const char *private_option; // which says so; for the text of the refusal
    CURL *easy;                 // NULL: not begun
    // private:
    struct curl_slist *lines;
    size_t answer_bytes;
    struct buf answer;
    bool is_refused; // no socket was made: a private address
    bool is_cut;     // the body went on beyond what is read
    char detail[CURL_ERROR_SIZE];
};

/* What came back. */
struct post_answer {
    int status;
    int64_t retry_after_ms; // RFC 9110 §10.2.3, as a delay; 0: none
    struct str type, body;  // Content-Type; both borrowed until the end of the post
};

/* Is it an http or https address with a host, of at most POST_MAX_URL_BYTES? */
bool post_url_is_valid(struct str url);

/* Begins it on the multi handle. ERR_IO: curl refuses (logged). For post_loop. */
MUST_USE enum err post_begin(struct post *p, CURLM *multi);
/* Takes it out of the multi handle, ended or not. For post_loop. */
void post_end(struct post *p, CURLM *multi);

/* OK: an answer came, whatever its status. Else why_out says what went wrong, in the arena;
 * ERR_TOO_LARGE: out has the answer all the same, with the beginning of its body. */
MUST_USE enum err post_judge(const struct post *p, CURLcode result, struct arena *a,
                             struct post_answer *out, struct str *why_out);

#endif
