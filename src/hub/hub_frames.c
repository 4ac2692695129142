#include "hub/hub_frames.h"

#include "core/mem.h"
#include "core/utf8.h"
#include "hub/hub_message.h"
#include "hub/hub_post.h"
#include "hub/hub_socket.h"
#include "hub/hub_watch.h"
#include "ws/ws_frame.h"

/* Of frames that are sent together: what a client recovers may be many. */
enum { MAX_OF_ONE_SEND = 8 };

struct hub_frames *hub_frames_new(void)
{
    return MEM_NEW(struct hub_frames);
}

void hub_frames_free(struct hub_frames *f)
{
    mem_free(f);
}

/* ---- keeping ---- */

/* The slot of the oldest, filled but for socket_id and channel. */
static struct hub_frame *keep(struct hub *h, enum hub_frames_way way, const struct hub_app *app,
                              struct str text)
{
    struct hub_frames *f = h->frames;
    struct hub_frames_ring *ring = way == HUB_FRAMES_PUBLISHED ? &f->published : &f->talk;
    struct hub_frame *slot = &ring->at[ring->count++ % HUB_FRAMES_KEPT];
    struct str shown = utf8_cut(text, HUB_FRAMES_SHOWN_BYTES);
    slot->at_ms = io_loop_now_ms(h->loop);
    slot->serial = f->serial++;
    slot->bytes = (uint32_t)text.len;
    slot->app_slot = (uint16_t)app->slot;
    slot->way = (uint8_t)way;
    slot->shown = (uint8_t)shown.len;
    slot->id_len = 0;
    slot->channel_len = 0;
    if (shown.len > 0)
        memcpy(slot->text, shown.at, shown.len);
    return slot;
}

static void keep_id(struct hub_frame *slot, struct str id)
{
    slot->id_len = (uint8_t)(id.len < HUB_FRAMES_ID_BYTES ? id.len : 0); // longer: it is no id
    memcpy(slot->socket_id, id.at ? id.at : "", slot->id_len);
}

/* Pings and pongs, to and from a client, are short and name their event first. */
static bool is_heartbeat(struct str text)
{
    enum { MAX_HEARTBEAT_BYTES = 64 };
    return text.len <= MAX_HEARTBEAT_BYTES && (memmem(text.at, text.len, "\"pusher:ping\"", 13) ||
                                               memmem(text.at, text.len, "\"pusher:pong\"", 13));
}

static void keep_talk(const struct hub_socket *s, enum hub_frames_way way, struct str text)
{
    if (s->id[0] && !is_heartbeat(text)) // without an id it was refused, which is kept elsewhere
        keep_id(keep(s->hub, way, s->tenant->app, text), str_of(s->id));
}

void hub_frames_in(const struct hub_socket *s, struct str text)
{
    keep_talk(s, HUB_FRAMES_IN, text);
}

void hub_frames_out(const struct hub_socket *s, struct str text)
{
    keep_talk(s, HUB_FRAMES_OUT, text);
}

void hub_frames_out_raw(const struct hub_socket *s, const void *frames, size_t len)
{
    const uint8_t *at = frames, *end = at + len;
    struct ws_frame frame;
    size_t header;
    for (int i = 0; i < MAX_OF_ONE_SEND; i++) {
        if (ws_frame_parse(at, (size_t)(end - at), &frame, &header) != OK)
            return; // that was all
        keep_talk(s, HUB_FRAMES_OUT,
                  (struct str){(const char *)at + header, (size_t)frame.size_bytes});
        at += header + frame.size_bytes;
    }
}

void hub_frames_published(struct hub *h, const struct hub_publication *p)
{
    struct ws_frame frame;
    size_t header;
    if (ws_frame_parse((const uint8_t *)p->frame.at, p->frame.len, &frame, &header) != OK)
        return;
    struct str text = {p->frame.at + header, (size_t)frame.size_bytes};
    struct hub_frame *slot = keep(h, HUB_FRAMES_PUBLISHED, p->app, text);
    keep_id(slot, p->except_socket_id);
    slot->channel_len = (uint32_t)p->channel.len;
    memcpy(slot->channel, p->channel.at,
           p->channel.len < HUB_FRAMES_NAME_BYTES ? p->channel.len : HUB_FRAMES_NAME_BYTES);
}

/* ---- looking ---- */

/* The newest but `given`; NULL: there is none. */
static const struct hub_frame *newest_of(const struct hub_frames_ring *ring, size_t given)
{
    size_t held = ring->count < HUB_FRAMES_KEPT ? ring->count : HUB_FRAMES_KEPT;
    return given < held ? &ring->at[(ring->count - 1 - given) % HUB_FRAMES_KEPT] : NULL;
}

const struct hub_frame *hub_frames_next(const struct hub_frames *f, struct hub_frames_walk *w)
{
    const struct hub_frame *talk = newest_of(&f->talk, w->talk);
    const struct hub_frame *published = newest_of(&f->published, w->published);
    bool is_talk = talk && (!published || (int32_t)(talk->serial - published->serial) > 0);
    if (is_talk)
        w->talk++;
    else if (published)
        w->published++;
    return is_talk ? talk : published;
}

bool hub_frames_is_of(const struct hub_frame *frame, const struct hub_app *app, struct str channel)
{
    size_t held = channel.len < HUB_FRAMES_NAME_BYTES ? channel.len : HUB_FRAMES_NAME_BYTES;
    return frame->way == HUB_FRAMES_PUBLISHED && frame->app_slot == app->slot &&
           frame->channel_len == channel.len && memcmp(frame->channel, channel.at, held) == 0;
}
