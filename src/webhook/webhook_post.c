#include "webhook/webhook_post.h"

enum { CONNECT_MS = 5000, TOTAL_MS = 10000 };

void webhook_post_fill(struct post *p, const struct webhook_target *target, bool allows_private,
                       struct arena *a)
{
    char signature[WEBHOOK_SIGNATURE_BYTES];
    webhook_sign(target->secret, p->body, signature);
    struct str *headers = arena_alloc(a, (2 + target->header_count) * sizeof(*headers));
    headers[0] = arena_printf(a, "X-Pusher-Key: %.*s", STR_ARG(target->key));
    headers[1] = arena_printf(a, "X-Pusher-Signature: %s", signature);
    for (size_t i = 0; i < target->header_count; i++)
        headers[2 + i] = target->headers[i];
    p->headers = headers;
    p->header_count = 2 + target->header_count;
    p->agent = "Viche-Webhook";
    p->connect_ms = CONNECT_MS;
    p->total_ms = TOTAL_MS;
    p->allows_private = allows_private;
    p->private_option = "--webhook-private";
}

enum err webhook_post_judge(const struct post *p, CURLcode result, struct arena *a,
                            struct str *why_out)
{
    struct post_answer answer;
    enum err err = post_judge(p, result, a, &answer, why_out);
    if (err || (answer.status >= 200 && answer.status <= 299))
        return err;
    *why_out = arena_printf(a, "the receiver answered %d", answer.status);
    return ERR_IO;
}
