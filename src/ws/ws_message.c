#include "ws/ws_message.h"

#include <string.h>

void ws_message_init(struct ws_message *m, uint64_t max_bytes)
{
    *m = (struct ws_message){.max_bytes = max_bytes};
}

uint64_t ws_message_max_compressed_bytes(uint64_t max_bytes)
{
    return max_bytes + max_bytes / 8 + max_bytes / 64 + 64;
}

static void take(struct ws_input *in, size_t len)
{
    in->at += len;
    in->len -= len;
}

/* A data frame must fit what is open: a first frame when nothing is, a continuation when something
 * is. */
static enum err open_data_frame(struct ws_message *m, const struct ws_frame *f)
{
    bool is_continuation = f->opcode == WS_CONTINUATION;
    if (is_continuation != (m->type != 0))
        return ERR_PROTOCOL;
    if (f->compressed && (is_continuation || !m->may_compress)) // RFC 7692 §6.1
        return ERR_PROTOCOL;
    if (!is_continuation) {
        m->type = (uint8_t)f->opcode;
        m->size_bytes = 0;
        m->is_started = false;
        m->is_compressed = f->compressed;
        m->utf8 = (struct utf8){0};
    }
    uint64_t max_bytes =
        m->is_compressed ? ws_message_max_compressed_bytes(m->max_bytes) : m->max_bytes;
    if (f->size_bytes > max_bytes - m->size_bytes)
        return ERR_TOO_LARGE;
    m->size_bytes += f->size_bytes;
    m->is_final = f->fin;
    return OK;
}

static enum err open_frame(struct ws_message *m, const struct ws_frame *f)
{
    if (!f->masked)
        return ERR_PROTOCOL;
    m->opcode = (uint8_t)f->opcode;
    m->frame_left = f->size_bytes;
    memcpy(m->mask, f->mask, sizeof(m->mask));
    m->is_in_payload = true;
    return ws_opcode_is_control(f->opcode) ? OK : open_data_frame(m, f);
}

static enum err take_header(struct ws_message *m, struct ws_input *in)
{
    size_t held = m->header_len, room = sizeof(m->header) - held;
    size_t len = in->len < room ? in->len : room;
    if (len > 0)
        memcpy(m->header + held, in->at, len);

    struct ws_frame f;
    size_t header_len;
    enum err err = ws_frame_parse(m->header, held + len, &f, &header_len);
    if (err == ERR_AGAIN) {
        m->header_len = (uint8_t)(held + len);
        take(in, len);
    }
    if (err)
        return err;
    take(in, header_len - held);
    m->header_len = 0;
    return open_frame(m, &f);
}

static void give_control(struct ws_message *m, struct ws_piece *piece)
{
    piece->opcode = (enum ws_opcode)m->opcode;
    piece->is_last = m->frame_left == 0;
}

static enum err give_data(struct ws_message *m, struct ws_piece *piece)
{
    piece->opcode = (enum ws_opcode)m->type;
    piece->is_first = !m->is_started;
    piece->is_last = m->frame_left == 0 && m->is_final;
    piece->is_compressed = m->is_compressed;
    m->is_started = true;
    bool is_text = m->type == WS_TEXT && !m->is_compressed;
    if (is_text && !utf8_feed(&m->utf8, piece->bytes, piece->len))
        return ERR_INVALID;
    if (is_text && piece->is_last && !utf8_is_whole(&m->utf8))
        return ERR_INVALID;
    if (piece->is_last)
        m->type = 0;
    return OK;
}

enum err ws_message_next(struct ws_message *m, struct ws_input *in, uint8_t *out, size_t out_cap,
                         struct ws_piece *piece)
{
    if (!m->is_in_payload) {
        enum err err = take_header(m, in);
        if (err)
            return err;
    }
    size_t len = in->len < out_cap ? in->len : out_cap;
    if (len > m->frame_left)
        len = (size_t)m->frame_left;
    if (len == 0 && m->frame_left > 0)
        return ERR_AGAIN;

    ws_frame_mask(m->mask, in->at, len, out);
    take(in, len);
    m->frame_left -= len;
    m->is_in_payload = m->frame_left > 0;
    *piece = (struct ws_piece){.bytes = out, .len = len};
    if (!ws_opcode_is_control((enum ws_opcode)m->opcode))
        return give_data(m, piece);
    give_control(m, piece);
    return OK;
}
