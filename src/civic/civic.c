#include "civic/civic.h"

#include "civic/civic_rate.h"
#include "core/mem.h"

const struct civic_options civic_default_options = {
    .is_limited = true,
    .session_ms = INT64_C(30) * 24 * 3600 * 1000,
    .threshold = 250,
    .support_ms = INT64_C(90) * 24 * 3600 * 1000,
};

struct civic *civic_new(const struct civic_options *options)
{
    struct civic *c = MEM_NEW(struct civic);
    c->options = options ? *options : civic_default_options;
    c->rate = civic_rate_new(c->options.is_limited);
    return c;
}

void civic_free(struct civic *c)
{
    if (!c)
        return;
    civic_rate_free(c->rate);
    mem_free(c);
}
