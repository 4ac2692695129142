#include "civic/civic_announce.h"

#define ITEMS ",\"items\":["

/* Cuts {"proposal_id":7,"items":[ITEMS]} into what is before ITEMS and ITEMS. */
static enum err split(struct str data, struct str *head_out, struct str *items_out)
{
    const char *at = memmem(data.at, data.len, ITEMS, sizeof(ITEMS) - 1);
    if (!at || data.len < 2 || memcmp(data.at + data.len - 2, "]}", 2) != 0)
        return ERR_INVALID;
    size_t head_len = (size_t)(at - data.at) + sizeof(ITEMS) - 1;
    if (head_len > data.len - 2)
        return ERR_INVALID;
    *head_out = (struct str){data.at, head_len};
    *items_out = (struct str){data.at + head_len, data.len - 2 - head_len};
    return OK;
}

enum err civic_announce_join(const struct str *datas, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        struct str head, items;
        enum err err = split(datas[i], &head, &items);
        if (err)
            return err;
        struct str before = i ? STR(",") : head;
        if ((err = buf_append(out, before.at, before.len)) ||
            (err = buf_append(out, items.at, items.len)))
            return err;
    }
    return count ? buf_append(out, "]}", 2) : ERR_INVALID;
}
