/* hub_frames.h -- the last messages to and from the sockets of a hub, for an operator who asks what
 * one of them got. For the hub's own files.
 *
 *     talk: what one socket said or was told     published: what a channel's subscribers here got
 *
 * Two rings of fixed size, so that a busy channel does not drive out what was said to one socket.
 * A publication is kept once, however many get it. pusher:ping and pong are not kept: there are
 * many, and a socket's silence tells the same.
 */
#ifndef HUB_FRAMES_H
#define HUB_FRAMES_H

#include "hub/hub_internal.h"

struct hub_channel;
struct hub_publication;
struct hub_socket;

enum { HUB_FRAMES_KEPT = 512, HUB_FRAMES_ID_BYTES = 22, HUB_FRAMES_SHOWN_BYTES = 136 };
enum { HUB_FRAMES_NAME_BYTES = 64 };

enum hub_frames_way { HUB_FRAMES_IN, HUB_FRAMES_OUT, HUB_FRAMES_PUBLISHED };

struct hub_frame {
    int64_t at_ms;        // of io_loop_now_ms
    uint32_t serial;      // orders both rings; wraps
    uint32_t bytes;       // of the whole text
    uint32_t channel_len; // of the whole name; channel has its beginning
    uint16_t app_slot;
    uint8_t way, shown; // bytes of text
    uint8_t id_len;
    char socket_id[HUB_FRAMES_ID_BYTES]; // whose; of a publication: who is not to get it
    char channel[HUB_FRAMES_NAME_BYTES]; // of a publication
    char text[HUB_FRAMES_SHOWN_BYTES];   // its beginning, as it came
};

struct hub_frames_ring {
    struct hub_frame at[HUB_FRAMES_KEPT];
    size_t count; // since the start
};

struct hub_frames {
    struct hub_frames_ring talk, published;
    uint32_t serial; // of the next
};

struct hub_frames *hub_frames_new(void);
void hub_frames_free(struct hub_frames *f);

/* A text that the client said, or was told. */
void hub_frames_in(const struct hub_socket *s, struct str text);
void hub_frames_out(const struct hub_socket *s, struct str text);
/* The same of whole WebSocket frames, of which the first few are kept. */
void hub_frames_out_raw(const struct hub_socket *s, const void *frames, size_t len);
/* What the channel's subscribers here get. */
void hub_frames_published(struct hub *h, const struct hub_publication *p);

/* Walks what is kept, the newest first; start with a zeroed walk. NULL: that was all. */
struct hub_frames_walk {
    size_t talk, published; // already given
};
const struct hub_frame *hub_frames_next(const struct hub_frames *f, struct hub_frames_walk *w);

/* Was it published on that channel? Of names past HUB_FRAMES_NAME_BYTES their beginning and length
 * are compared. */
bool hub_frames_is_of(const struct hub_frame *frame, const struct hub_app *app, struct str channel);

#endif
