#include "hub/hub_catchup.h"

#include "core/log.h"
#include "core/mem.h"
#include "hub/hub_message.h"

/* More is asked for when less than this waits for the client. */
enum { LOW_WAITING_BYTES = 64 * 1024 };

static struct hub_counters *counters_of(const struct hub_catchup *k)
{
    return hub_channel_get_counters(k->sub->channel);
}

static enum err send_frames(struct hub_socket *s, struct str frames)
{
    return frames.len > 0 ? s->transport->send_frames(s, frames.at, frames.len) : OK;
}

static void close_behind(struct hub_socket *s)
{
    log_info("at=hub.catchup app=%.*s socket=%s why=\"too far behind\"",
             STR_ARG(s->tenant->app->id), s->id);
    s->transport->set_max_waiting(s, s->transport->waiting(s) + 512);
    hub_socket_close(s, HUB_ERROR_RECONNECT, STR("Too far behind"));
}

/* ---- life ---- */

void hub_catchup_ask(struct hub_socket *s, struct hub_subscription *sub)
{
    if (!sub->catchup) {
        sub->catchup = MEM_NEW(struct hub_catchup);
        sub->catchup->socket = s;
        sub->catchup->sub = sub;
        list_init(&sub->catchup->node);
        list_init(&sub->catchup->more);
    }
    list_remove(&sub->catchup->node);
    list_remove(&sub->catchup->more);
    hub_channel_deactivate(sub);
}

void hub_catchup_end(struct hub_subscription *sub)
{
    if (!sub->catchup)
        return;
    list_remove(&sub->catchup->node);
    list_remove(&sub->catchup->more);
    mem_free(sub->catchup);
    sub->catchup = NULL;
}

/* ---- behind ---- */

static void go_behind(struct hub_catchup *k, uint64_t stream_id, uint64_t serial)
{
    struct hub *h = k->socket->hub;
    k->stream_id = stream_id;
    k->serial = serial;
    list_remove(&k->node);
    list_append(&counters_of(k)->behind, &k->node);
    if (list_is_empty(&h->catching_up))
        io_timer_start(h->loop, &h->catchup_timer, IO_TIMER_TICK_MS);
    list_remove(&k->more);
    list_append(&h->catching_up, &k->more);
}

void hub_catchup_fall_behind(struct hub_subscription *sub, uint64_t stream_id, uint64_t serial)
{
    log_debug("at=hub.catchup socket=%s behind=%llu", sub->catchup->socket->id,
              (unsigned long long)serial);
    hub_channel_deactivate(sub);
    go_behind(sub->catchup, stream_id, serial);
}

static void ask_for_more(struct hub_catchup *k)
{
    struct hub_socket *s = k->socket;
    list_remove(&k->more);
    hub_post_note(&(struct hub_note){
        .kind = HUB_MORE,
        .app = s->tenant->app,
        .from = s->hub,
        .channel = hub_channel_name(k->sub->channel),
        .socket_id = str_of(s->id),
        .ticket = k->sub->ticket,
        .recover = {.is_asked = true,
                    .has_position = true,
                    .stream_id = k->stream_id,
                    .serial = k->serial,
                    .old_socket_id = str_of(s->id)},
    });
}

static void on_catchup_timer(struct io_timer *timer)
{
    struct hub *h = LIST_ENTRY(timer, struct hub, catchup_timer);
    struct list todo, *node;
    list_init(&todo);
    while ((node = list_shift(&h->catching_up)))
        list_append(&todo, node);
    while ((node = list_shift(&todo))) {
        struct hub_catchup *k = LIST_ENTRY(node, struct hub_catchup, more);
        if (k->socket->transport->waiting(k->socket) <= LOW_WAITING_BYTES)
            ask_for_more(k); // k may be gone now, or wait again
        else
            list_append(&h->catching_up, &k->more);
    }
    if (!list_is_empty(&h->catching_up))
        io_timer_start(h->loop, &h->catchup_timer, IO_TIMER_TICK_MS);
}

void hub_catchup_take(struct hub_subscription *sub, const struct hub_page *page)
{
    struct hub_catchup *k = sub->catchup;
    struct hub_socket *s = k->socket;
    if (page->is_lost) {
        close_behind(s);
        return;
    }
    if (send_frames(s, page->frames) != OK) {
        if (s->transport->waiting(s) == 0) // no queue is so long
            close_behind(s);
        else
            go_behind(k, k->stream_id, k->serial); // the same again, later
        return;
    }
    if (!page->is_live) {
        go_behind(k, page->stream_id, page->serial);
        return;
    }
    struct hub_counters *counters = counters_of(k);
    hub_channel_activate(s, sub);
    counters->stream_id = page->stream_id;
    counters->serial = page->serial;
    k->is_told = false;
    list_remove(&k->node);
    list_append(&counters->live, &k->node);
}

void hub_catchup_init_hub(struct hub *h)
{
    list_init(&h->catching_up);
    io_timer_init(&h->catchup_timer, on_catchup_timer);
}

/* ---- telling ---- */

void hub_catchup_pass(struct hub_channel *c, struct str frame, const struct hub_socket *except)
{
    struct list *head = &hub_channel_counters(c)->behind;
    for (struct list *node = head->next; node != head; node = node->next) {
        struct hub_socket *s = LIST_ENTRY(node, struct hub_catchup, node)->socket;
        if (s != except && send_frames(s, frame) != OK)
            close_behind(s); // it would not know who is there
    }
}

enum err hub_catchup_skip(struct hub_subscription *sub, uint64_t serial)
{
    struct buf frame;
    hub_message_init(&frame, hub_channel_name(sub->channel).len);
    hub_message_skip_frame(&frame, hub_channel_name(sub->channel), serial);
    enum err err = send_frames(sub->catchup->socket,
                               (struct str){(const char *)buf_head(&frame), buf_len(&frame)});
    buf_done(&frame);
    return err;
}

static void write_position(struct buf *frame, const struct hub_channel *c)
{
    const struct hub_counters *counters = hub_channel_counters(c);
    hub_message_init(frame, hub_channel_name(c).len);
    hub_message_position_frame(frame, hub_channel_name(c), counters->stream_id, counters->serial);
}

static void note_told(struct hub_catchup *k, const struct hub_counters *counters)
{
    k->is_told = true;
    k->told_serial = counters->serial;
}

/* Once a position: whoever pings fast gets no more of them than of events. */
static bool knows_position(const struct hub_subscription *sub)
{
    const struct hub_catchup *k = sub->catchup;
    return k->is_told && k->told_serial == hub_channel_counters(sub->channel)->serial;
}

void hub_catchup_tell_channel(struct hub_channel *c)
{
    struct buf frame;
    struct hub_counters *counters = hub_channel_counters(c);
    write_position(&frame, c);
    struct list *node = counters->live.next;
    while (node != &counters->live) {
        struct hub_catchup *k = LIST_ENTRY(node, struct hub_catchup, node);
        node = node->next;
        if (send_frames(k->socket, (struct str){(const char *)buf_head(&frame), buf_len(&frame)}) !=
            OK)
            hub_catchup_fall_behind(k->sub, counters->stream_id, counters->serial);
        else
            note_told(k, counters);
    }
    buf_done(&frame);
}

void hub_catchup_tell_socket(struct hub_socket *s)
{
    for (struct hub_subscription *sub = s->subscriptions; sub; sub = sub->next) {
        if (!hub_catchup_is_live(sub))
            continue;
        struct buf frame;
        hub_channel_flush(sub->channel); // so that it is where the channel is
        if (!hub_catchup_is_live(sub))
            continue; // it could not take that
        if (knows_position(sub))
            continue;
        write_position(&frame, sub->channel);
        note_told(sub->catchup, hub_channel_counters(sub->channel));
        hub_socket_send_frames(s, buf_head(&frame), buf_len(&frame));
        buf_done(&frame);
    }
}
