#include "ws/ws_close.h"

#include "core/utf8.h"

enum { CODE_BYTES = 2, MAX_REASON_BYTES = WS_FRAME_MAX_CONTROL_BYTES - CODE_BYTES };

/* RFC 6455 §7.4 and the IANA registry; 1004-1006 and 1015 exist but may never be sent. */
static bool code_is_legal(int code)
{
    static const struct {
        int first, last;
    } legal[] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};

    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++)
        if (code >= legal[i].first && code <= legal[i].last)
            return true;
    return false;
}

enum err ws_close_parse(struct str payload, struct ws_close *out)
{
    if (payload.len == 0) {
        *out = (struct ws_close){.code = WS_CLOSE_NO_CODE};
        return OK;
    }
    if (payload.len < CODE_BYTES)
        return ERR_PROTOCOL;

    int code = (uint8_t)payload.at[0] << 8 | (uint8_t)payload.at[1];
    struct str reason = {payload.at + CODE_BYTES, payload.len - CODE_BYTES};
    if (!code_is_legal(code))
        return ERR_PROTOCOL;
    if (!utf8_is_valid(reason))
        return ERR_INVALID;
    *out = (struct ws_close){code, reason};
    return OK;
}

size_t ws_close_write(const struct ws_close *close, uint8_t out[static WS_FRAME_MAX_CONTROL_BYTES])
{
    struct str reason = utf8_cut(close->reason, MAX_REASON_BYTES);
    out[0] = (uint8_t)(close->code >> 8);
    out[1] = (uint8_t)close->code;
    if (reason.len > 0)
        memcpy(out + CODE_BYTES, reason.at, reason.len);
    return CODE_BYTES + reason.len;
}
