/* webhook_post.h -- one POST by libcurl. For the module's own files. */
#ifndef WEBHOOK_POST_H
#define WEBHOOK_POST_H

#include <curl/curl.h>

#include "webhook/webhook.h"

/* What a POST says; borrowed until webhook_post_done. */
struct webhook_post {
    struct str url, body;
    struct webhook_target target;
    bool allows_private;
    CURL *easy; // NULL: not begun
    // private:
    struct curl_slist *headers;
    size_t answer_bytes;
    bool is_refused; // no socket was made: a private address
    char detail[CURL_ERROR_SIZE];
};

/* Hands it to the multi handle, whose private pointer for it is owner. ERR_IO: curl refuses. */
MUST_USE enum err webhook_post_begin(struct webhook_post *p, CURLM *multi, void *owner);
/* OK: a 2xx answer. Else why_out says what went wrong, in the arena. */
MUST_USE enum err webhook_post_judge(const struct webhook_post *p, CURLcode result, struct arena *a,
                                     struct str *why_out);
/* Takes it out of the multi handle, ended or not. */
void webhook_post_done(struct webhook_post *p, CURLM *multi);

#endif
