/* api_hub_call.h -- one signed REST call: app -> size -> signature, and the ways to answer it. */
#ifndef API_HUB_CALL_H
#define API_HUB_CALL_H

#include "api/api_hub.h"
#include "core/json.h"

/* Of any app; each app's own limit is lower. */
enum { API_HUB_CALL_MAX_BODY_BYTES = 1024 * 1024 };

struct api_hub_call {
    struct http_exchange *x;
    struct hub *hub;
    const struct hub_app *app;
    struct arena *arena; // the exchange's
};

/* Finds the app, checks the size of the body and the signature; ctx: the struct api_hub. False when
 * the call was refused, and is answered. */
bool api_hub_call_begin(struct http_exchange *x, void *ctx, struct api_hub_call *call);

/* A parameter of the query; false when it is not readable, and the call is answered. */
bool api_hub_call_param(const struct api_hub_call *call, struct str name, struct str *out);

void api_hub_call_reply_text(struct http_exchange *x, int status, const char *text);
void api_hub_call_reply_json(struct http_exchange *x, int status, struct str json);
/* 200 with the pieces, one after the other. */
void api_hub_call_reply_pieces(struct http_exchange *x, const struct str *pieces, size_t count);
/* What hub_backend could not do. */
void api_hub_call_reply_failure(struct http_exchange *x, enum err err);

#endif
