#include "stream/stream_record.h"

#include <endian.h>
#include <zlib.h>

#include "core/check.h"

enum {
    AT_BODY_CRC = 4,
    AT_SIZE = 8,
    AT_KIND = 12,
    AT_ACK = 13,
    AT_TEXT_SIZE = 14,
    AT_STREAM_ID = 16,
    AT_SERIAL = 24,
    AT_UNIX_MS = 32,
    LIMITS_BYTES = 24,
};

static void put16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static void put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof(value));
}

static uint16_t get16(const char *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof(value));
    return le16toh(value);
}

static uint32_t get32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static uint64_t get64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return le64toh(value);
}

static uint32_t add_crc(uint32_t crc, const void *bytes, size_t len)
{
    return len > 0 ? (uint32_t)crc32_z(crc, bytes, len) : crc;
}

/* ---- writing ---- */

static void put_limits(uint8_t out[static LIMITS_BYTES], const struct stream_limits *l)
{
    put64(out, (uint64_t)l->ttl_ms);
    put64(out + 8, l->max_messages);
    put64(out + 16, l->max_bytes);
}

enum err stream_record_write(const struct stream_record *r, struct buf *out)
{
    uint8_t head[STREAM_RECORD_HEAD_BYTES] = {0}, limits[LIMITS_BYTES];
    struct str body[3] = {{0}}, text = {0};

    if (r->kind == STREAM_RECORD_MARK) {
        put_limits(limits, &r->limits);
        body[0] = (struct str){(const char *)limits, sizeof(limits)};
        body[1] = text = r->key;
    } else if (r->kind == STREAM_RECORD_MESSAGE) {
        body[1] = text = r->excluded;
        body[2] = r->frame;
    }
    size_t size = sizeof(head) + body[0].len + body[1].len + body[2].len;
    if (size > STREAM_RECORD_MAX_BYTES || text.len > UINT16_MAX || size > out->max - buf_len(out))
        return ERR_TOO_LARGE;

    uint32_t crc = 0;
    for (int i = 0; i < 3; i++)
        crc = add_crc(crc, body[i].at, body[i].len);
    put32(head + AT_BODY_CRC, crc);
    put32(head + AT_SIZE, (uint32_t)size);
    head[AT_KIND] = (uint8_t)r->kind;
    head[AT_ACK] = (uint8_t)r->ack;
    put16(head + AT_TEXT_SIZE, (uint16_t)text.len);
    put64(head + AT_STREAM_ID, r->stream_id);
    put64(head + AT_SERIAL, r->serial);
    put64(head + AT_UNIX_MS, (uint64_t)r->unix_ms);
    put32(head, add_crc(0, head + AT_BODY_CRC, sizeof(head) - AT_BODY_CRC));

    CHECK(buf_append(out, head, sizeof(head)) == OK);
    for (int i = 0; i < 3; i++)
        CHECK(buf_append(out, body[i].at, body[i].len) == OK);
    return OK;
}

/* ---- reading ---- */

static enum err parse_mark(struct str body, size_t key_size, struct stream_record *out)
{
    if (body.len < LIMITS_BYTES || body.len - LIMITS_BYTES != key_size || key_size == 0 ||
        key_size > STREAM_MAX_KEY_BYTES)
        return ERR_INVALID;
    uint64_t ttl_ms = get64(body.at), max_messages = get64(body.at + 8),
             max_bytes = get64(body.at + 16);
    if (ttl_ms > STREAM_MAX_TTL_MS || max_messages > STREAM_MAX_MESSAGES ||
        max_bytes > STREAM_MAX_BYTES)
        return ERR_INVALID;
    out->limits = (struct stream_limits){.ttl_ms = (int64_t)ttl_ms,
                                         .max_messages = max_messages,
                                         .max_bytes = max_bytes,
                                         .ack = out->ack};
    out->key = (struct str){body.at + LIMITS_BYTES, key_size};
    return OK;
}

static enum err parse_message(struct str body, size_t excluded_size, struct stream_record *out)
{
    if (excluded_size > body.len || excluded_size > STREAM_MAX_EXCLUDED_BYTES || out->serial == 0)
        return ERR_INVALID;
    out->excluded = (struct str){body.at, excluded_size};
    out->frame = (struct str){body.at + excluded_size, body.len - excluded_size};
    return OK;
}

enum err stream_record_parse(struct str bytes, struct stream_record *out, size_t *size_out)
{
    const char *at = bytes.at;
    if (bytes.len < STREAM_RECORD_HEAD_BYTES)
        return ERR_AGAIN;
    if (get32(at) != add_crc(0, at + AT_BODY_CRC, STREAM_RECORD_HEAD_BYTES - AT_BODY_CRC))
        return ERR_INVALID;
    size_t size = get32(at + AT_SIZE);
    if (size < STREAM_RECORD_HEAD_BYTES || size > STREAM_RECORD_MAX_BYTES)
        return ERR_INVALID;
    if (bytes.len < size)
        return ERR_AGAIN;
    struct str body = {at + STREAM_RECORD_HEAD_BYTES, size - STREAM_RECORD_HEAD_BYTES};
    if (get32(at + AT_BODY_CRC) != add_crc(0, body.at, body.len))
        return ERR_INVALID;

    uint8_t kind = (uint8_t)at[AT_KIND], ack = (uint8_t)at[AT_ACK];
    uint64_t unix_ms = get64(at + AT_UNIX_MS);
    if (ack > STREAM_FSYNC || unix_ms > STREAM_MAX_UNIX_MS)
        return ERR_INVALID;
    *out = (struct stream_record){.ack = (enum stream_ack)ack,
                                  .stream_id = get64(at + AT_STREAM_ID),
                                  .serial = get64(at + AT_SERIAL),
                                  .unix_ms = (int64_t)unix_ms};
    if (out->serial > STREAM_MAX_SERIAL)
        return ERR_INVALID;
    *size_out = size;
    size_t text_size = get16(at + AT_TEXT_SIZE);
    switch (kind) {
    case STREAM_RECORD_MARK:
        out->kind = STREAM_RECORD_MARK;
        return parse_mark(body, text_size, out);
    case STREAM_RECORD_MESSAGE:
        out->kind = STREAM_RECORD_MESSAGE;
        return parse_message(body, text_size, out);
    case STREAM_RECORD_DROP:
        out->kind = STREAM_RECORD_DROP;
        return body.len == 0 ? OK : ERR_INVALID;
    }
    return ERR_INVALID;
}
