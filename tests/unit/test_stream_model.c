/* test_stream_model.c -- whatever happens to the log, a position is answered with exactly what was
 * published after it, or refused.
 *
 * The model is a list of everything that was ever published on each channel, and every position
 * that a client could have been given. Turns publish on some channels, with and without a stream,
 * expire, evict, fail, and kill the process: between two turns, or within the write of one, at any
 * byte. After each restart every position is asked for. */
#include <inttypes.h>

#include "core/mem.h"
#include "test_stream.h"

enum { CHANNELS = 6, LOGS = 3, MAX_PUBLISHED = 6000, MAX_POSITIONS = 3000, MAX_FRAME = 400 };

struct position {
    uint64_t id, serial;
    size_t published; // on the channel, when it was given out
};

struct channel {
    char name[8];
    struct stream_limits limits;
    size_t published;        // so many in all; the nth has the text of n
    size_t published_before; // this turn
    uint64_t id_before, head_before;
    bool had_stream, is_held;
    struct position positions[MAX_POSITIONS];
    size_t position_count;
};

struct world {
    struct test_stream t;
    struct channel *channels;
    uint32_t random;
    size_t proved, refused, restarts;
};

static uint32_t roll(struct world *w, uint32_t sides)
{
    w->random = w->random * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)w->random * sides) >> 32);
}

static struct str text_of(size_t channel, size_t n, char out[static MAX_FRAME])
{
    size_t len = 12 + (n * 7919 + channel * 31) % (MAX_FRAME - 12);
    uint32_t head[2] = {(uint32_t)channel, (uint32_t)n}; // not snprintf: millions are compared
    memset(out, 'x', len);
    memcpy(out, head, sizeof(head));
    return (struct str){out, len};
}

/* ---- what must hold ---- */

static void check_position(struct world *w, size_t channel, const struct position *p)
{
    const struct channel *c = &w->channels[channel];
    const struct stream *s = test_stream_find(&w->t, c->name);
    if (!s || stream_check(s, p->id, p->serial) != STREAM_OK) {
        w->refused++;
        return;
    }
    size_t n = p->published;
    struct stream_message m = {.serial = p->serial};
    while (stream_next(s, m.serial, &m)) {
        char text[MAX_FRAME];
        EXPECT(str_eq(m.frame, text_of(channel, n, text)));
        EXPECT(str_eq(m.excluded, n % 3 == 0 ? STR("1.2") : (struct str){0}));
        n++;
    }
    EXPECT_EQ(n, c->published);
    w->proved++;
}

static void check_all(struct world *w)
{
    for (size_t i = 0; i < CHANNELS; i++)
        for (size_t p = 0; p < w->channels[i].position_count; p++)
            check_position(w, i, &w->channels[i].positions[p]);
}

/* The positions that clients hold now. */
static void note_positions(struct world *w)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        struct channel *c = &w->channels[i];
        const struct stream *s = test_stream_find(&w->t, c->name);
        if (!s)
            continue;
        if (c->position_count == MAX_POSITIONS) // the newer half is the more interesting
            memmove(c->positions, c->positions + MAX_POSITIONS / 2,
                    (c->position_count = MAX_POSITIONS / 2) * sizeof(c->positions[0]));
        c->positions[c->position_count++] =
            (struct position){stream_id(s), stream_head(s), c->published};
    }
}

/* ---- turns ---- */

static void begin_turn(struct world *w)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        struct channel *c = &w->channels[i];
        const struct stream *s = test_stream_find(&w->t, c->name);
        c->published_before = c->published;
        c->had_stream = s != NULL;
        c->id_before = s ? stream_id(s) : 0;
        c->head_before = s ? stream_head(s) : 0;
    }
}

static void publish(struct world *w, size_t channel)
{
    char text[MAX_FRAME];
    struct channel *c = &w->channels[channel];
    struct stream *s = test_stream_find(&w->t, c->name);
    if (c->published == MAX_PUBLISHED)
        return;
    size_t n = c->published++;
    if (s)
        stream_append(s, n % 3 == 0 ? STR("1.2") : (struct str){0}, text_of(channel, n, text));
}

static void publish_some(struct world *w)
{
    for (uint32_t i = roll(w, 12); i > 0; i--)
        publish(w, roll(w, CHANNELS));
    test_stream_flush(&w->t);
}

static void open_or_hold(struct world *w)
{
    struct channel *c = &w->channels[roll(w, CHANNELS)];
    struct stream *s = test_stream_get(&w->t, c->name, &c->limits);
    if (c->is_held)
        stream_release(s);
    else if (roll(w, 2) == 0)
        stream_hold(s);
    else
        return;
    c->is_held = !c->is_held;
}

static void pass_time(struct world *w)
{
    clock_test_advance(roll(w, 4) == 0 ? roll(w, 20000) : roll(w, 1000));
    for (size_t i = 0; i < LOGS; i++)
        stream_log_tick(stream_store_log(w->t.store, i));
}

/* ---- ends ---- */

static void release_all(struct world *w)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        struct channel *c = &w->channels[i];
        if (c->is_held)
            stream_release(test_stream_find(&w->t, c->name));
        c->is_held = false;
    }
}

/* Cuts the newest segment of each log at a byte between where it ended before the turn and its end:
 * a killed write. */
static void cut_tails(struct world *w, const char *before, const char *after)
{
    for (size_t log = 0; log < LOGS; log++) {
        char dir[200], old_dir[200], path[220], old_path[220];
        struct stat st, old;
        test_stream_log_dir(after, log, dir, sizeof(dir));
        test_stream_log_dir(before, log, old_dir, sizeof(old_dir));
        uint32_t newest = 0;
        for (uint32_t number = 1; number < 10000; number++) {
            snprintf(path, sizeof(path), "%s/%08u.log", dir, number);
            if (stat(path, &st) == 0)
                newest = number;
        }
        if (newest == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%08u.log", dir, newest);
        snprintf(old_path, sizeof(old_path), "%s/%08u.log", old_dir, newest);
        EXPECT_EQ(stat(path, &st), 0);
        off_t start = stat(old_path, &old) == 0 ? old.st_size : 0;
        EXPECT_EQ(truncate(path, start + (off_t)roll(w, (uint32_t)(st.st_size - start) + 1)), 0);
    }
}

/* What of the last turn did not reach the disk was never published. */
static void take_back_lost(struct world *w)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        struct channel *c = &w->channels[i];
        const struct stream *s = test_stream_find(&w->t, c->name);
        bool is_same = s && c->had_stream && stream_id(s) == c->id_before;
        if (is_same)
            EXPECT(stream_head(s) >= c->head_before);
        size_t kept = is_same ? (size_t)(stream_head(s) - c->head_before) : 0;
        EXPECT(c->published_before + kept <= c->published);
        c->published = c->published_before + kept;
    }
}

/* A stream that began in the turn counts from its begin: what is lost of it makes it worthless. */
static bool has_new_stream(const struct world *w)
{
    for (size_t i = 0; i < CHANNELS; i++) {
        const struct channel *c = &w->channels[i];
        const struct stream *s = test_stream_find(&w->t, c->name);
        if (s && (!c->had_stream || stream_id(s) != c->id_before))
            return true;
    }
    return false;
}

static void kill_in_a_turn(struct world *w)
{
    char before[96], after[96];
    snprintf(before, sizeof(before), "%s/before", w->t.dir);
    snprintf(after, sizeof(after), "%s/after", w->t.dir);
    begin_turn(w);
    test_stream_copy(&w->t, before);
    publish_some(w);
    EXPECT(!has_new_stream(w));
    test_stream_copy(&w->t, after);
    cut_tails(w, before, after);
    release_all(w);
    test_stream_come_back(&w->t, after);
    take_back_lost(w);
}

static void kill_between_turns(struct world *w)
{
    char copy[96];
    snprintf(copy, sizeof(copy), "%s/copy", w->t.dir);
    test_stream_flush(&w->t); // the end of the turn
    test_stream_copy(&w->t, copy);
    release_all(w);
    test_stream_come_back(&w->t, copy);
}

static void stop_cleanly(struct world *w)
{
    release_all(w);
    stream_store_close(w->t.store);
    if (roll(w, 2) == 0)
        w->t.options.boot_id = w->t.options.boot_id[5] == '1' ? "boot-2" : "boot-1";
    test_stream_open(&w->t);
}

static void lose_the_host(struct world *w)
{
    w->t.options.boot_id = w->t.options.boot_id[5] == '1' ? "boot-2" : "boot-1";
    kill_between_turns(w);
}

static void (*const ends[])(struct world *w) = {kill_in_a_turn, kill_between_turns, stop_cleanly,
                                                lose_the_host};

static void run(uint32_t seed)
{
    struct world w = {.random = seed};
    w.channels = mem_zalloc(CHANNELS * sizeof(*w.channels));
    test_stream_begin(&w.t, LOGS);
    stream_store_close(w.t.store);
    w.t.options.log.segment_bytes = 3000;
    w.t.options.log.max_bytes = (size_t)LOGS * 15000;
    w.t.options.log.max_disk_bytes = (uint64_t)LOGS * 40000;
    test_stream_open(&w.t);
    for (size_t i = 0; i < CHANNELS; i++) {
        struct channel *c = &w.channels[i];
        snprintf(c->name, sizeof(c->name), "c%zu", i);
        c->limits = test_stream_limits;
        c->limits.ttl_ms = 20000;
        c->limits.max_messages = 3 + 10 * i;
        c->limits.ack = i % 3 == 0 ? STREAM_FSYNC : STREAM_WRITE;
    }
    for (int turn = 0; turn < 600; turn++) {
        publish_some(&w);
        note_positions(&w);
        if (roll(&w, 3) == 0)
            open_or_hold(&w);
        if (roll(&w, 3) == 0)
            pass_time(&w);
        if (roll(&w, 40) == 0) {
            ends[roll(&w, sizeof(ends) / sizeof(ends[0]))](&w);
            w.restarts++;
            check_all(&w);
        }
        if (turn % 50 == 0)
            check_all(&w);
    }
    check_all(&w);
    EXPECT(w.proved > 500 && w.refused > 500 && w.restarts > 3); // both answers were tried
    release_all(&w);
    test_stream_end(&w.t);
    mem_free(w.channels);
}

TEST(stream_answers_every_position_with_the_truth_or_not_at_all)
{
    for (uint32_t seed = 1; seed <= 4; seed++)
        run(seed);
}
