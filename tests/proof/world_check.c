/* world_check.c -- the checker: it reads the history and the database, and nothing else. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/mem.h"
#include "world_internal.h"

struct tag {
    char kind;
    bool is_tried, is_enqueued, is_skipped, is_rolled_back, is_done, is_replaced, is_cancelled;
    bool is_soft;      // and nothing was synced since
    bool is_soft_last; // nor until its process ended
    int64_t id, effects, rows, state, attempt;
    int64_t effect_id; // their order
    int fails;
};

struct state {
    struct tag tags[MAX_TAGS];
    int64_t began_ms, last_id; // of the process that the line is of
    bool is_faulty, has_lost_power;
    char why[300];
};

__attribute__((format(printf, 2, 3))) static void blame(struct state *s, const char *format, ...)
{
    va_list args;
    if (s->why[0])
        return; // the first is enough
    va_start(args, format);
    vsnprintf(s->why, sizeof(s->why), format, args);
    va_end(args);
}

static void check_run(struct state *s, int tag, const char *line)
{
    long long id, epoch, ms;
    int attempt;
    struct tag *t = &s->tags[tag];
    CHECK(sscanf(line, "R %*d %lld %lld %d %lld", &id, &epoch, &attempt, &ms) == 4);
    if (t->is_rolled_back)
        blame(s, "G2: tag %d ran, its transaction was rolled back", tag);
    if (!t->is_tried)
        blame(s, "G2: tag %d ran, nobody enqueued it", tag);
    if (t->is_cancelled)
        blame(s, "G1: tag %d ran after it was cancelled", tag);
    if (t->is_done)
        blame(s, "G3: tag %d ran again after it was done", tag);
    if (attempt > t->fails && !s->is_faulty) // what the store could not commit counts as an error
        blame(s, "G5: tag %d has %d attempts, but failed %d times", tag, attempt, t->fails);
    if (t->kind != 'l' && t->fails == 0 && !s->is_faulty &&
        ms > s->began_ms + 2 * (LEASE_MS + SWEEP_MS))
        blame(s, "G4: tag %d ran %lld ms after the start", tag, ms - s->began_ms);
    bool is_plain = t->kind == 'o' && t->fails == 0 && !s->is_faulty;
    if (is_plain && id < s->last_id)
        blame(s, "G7: tag %d ran after a job that was enqueued later", tag);
    if (is_plain)
        s->last_id = id;
}

/* Something was acknowledged: so what was before it is on the disk. */
static void harden(struct state *s)
{
    for (int tag = 1; tag < MAX_TAGS; tag++)
        s->tags[tag].is_soft = false;
}

static void check_line(struct state *s, const char *line)
{
    int tag = 0;
    long long number = 0;
    if (line[0] == 'S') {
        CHECK(sscanf(line, "S %lld", &number) == 1);
        s->began_ms = number;
        s->last_id = 0;
        for (int i = 1; i < MAX_TAGS; i++)
            s->tags[i].is_soft_last |= s->tags[i].is_soft;
        return;
    }
    CHECK(sscanf(line + 1, "%d", &tag) == 1 && tag > 0 && tag < MAX_TAGS);
    struct tag *t = &s->tags[tag];
    switch (line[0]) {
    case 'N':
        t->is_tried = true;
        CHECK(sscanf(line, "N %*d %c", &t->kind) == 1);
        break;
    case 'E':
    case 'M':
        CHECK(sscanf(line + 1, "%*d %lld", &number) == 1);
        if (line[0] == 'E')
            harden(s);
        t->is_soft = line[0] == 'M';
        t->is_enqueued = true;
        t->id = number;
        break;
    case 'C':
        t->is_cancelled = true;
        break;
    case 'D':
        t->is_skipped = true;
        break;
    case 'P':
        t->is_rolled_back = true;
        break;
    case 'R':
        check_run(s, tag, line);
        break;
    case 'F':
        t->fails++;
        break;
    case 'A':
        if (t->is_done)
            blame(s, "G3: tag %d was done twice", tag);
        t->is_done = true;
        harden(s);
        break;
    default:
        blame(s, "no such line: %c", line[0]);
    }
}

static bool is_relation(const char *line)
{
    return strchr("GOTUV", line[0]) != NULL;
}

static sqlite3_stmt *query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st = NULL;
    CHECK(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
    return st;
}

static void read_rows(struct state *s, sqlite3 *db)
{
    sqlite3_stmt *st = query(db, "SELECT tag, id FROM effect");
    while (sqlite3_step(st) == SQLITE_ROW) {
        s->tags[sqlite3_column_int(st, 0)].effects++;
        s->tags[sqlite3_column_int(st, 0)].effect_id = sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    st = query(db, "SELECT CAST(payload AS INTEGER), state, attempt FROM job");
    while (sqlite3_step(st) == SQLITE_ROW) {
        struct tag *t = &s->tags[sqlite3_column_int(st, 0)];
        t->rows++;
        t->state = sqlite3_column_int64(st, 1);
        t->attempt = sqlite3_column_int64(st, 2);
    }
    sqlite3_finalize(st);
    st = query(db, "SELECT "
                   "(SELECT count(*) FROM job_option WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_tag WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_error WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_run WHERE job_id NOT IN (SELECT id FROM job)) + "
                   "(SELECT count(*) FROM job_unique WHERE space = 0)");
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    if (sqlite3_column_int(st, 0) != 0)
        blame(s, "G8: %d rows are of jobs that are gone", sqlite3_column_int(st, 0));
    sqlite3_finalize(st);
    st = query(db, "PRAGMA integrity_check(1)");
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
        blame(s, "integrity_check: %s", (const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
}

static bool is_of_a_twin(const struct state *s, int tag)
{
    for (int other = 1; other < tag; other++)
        if (s->tags[tag].id > 0 && s->tags[other].id == s->tags[tag].id)
            return true;
    return false;
}

/* What must have become of a job of the kind when nothing waits any more. */
static bool is_as_it_must(const struct tag *t)
{
    bool is_gone = t->rows == 0, is_cancelled = t->rows == 1 && t->state == QUEUE_CANCELLED;
    bool is_kept = t->rows == 1 && t->state == QUEUE_DONE_STATE;
    switch (t->kind) {
    case 'd':
        return t->effects == 0 && t->rows == 1 && t->state == QUEUE_DEAD &&
               t->attempt == DEAD_ATTEMPTS;
    case 'w':
    case 'q':
        return t->effects == 1 && is_kept;
    case 'g': // when the kill came before its end by hand, it works
        return t->effects == 0 ? is_cancelled : is_gone || is_kept;
    case 'x':
        return t->effects == 0 && (is_gone || is_cancelled);
    default:
        return t->effects == 1 && is_gone;
    }
}

static bool is_there(const struct tag *t)
{
    return t->effects + t->rows > 0;
}

static void check_end(struct state *s, int tag)
{
    const struct tag *t = &s->tags[tag];
    bool is_job = t->is_enqueued && !t->is_rolled_back && !is_of_a_twin(s, tag);
    bool may_be_lost = t->kind == 'x' || t->is_replaced || (t->is_soft_last && s->has_lost_power);
    if ((!t->is_tried || t->is_rolled_back || t->is_skipped) && is_there(t))
        blame(s, "G2: tag %d is there, and should not be", tag);
    if (t->effects > 1)
        blame(s, "G3: tag %d has its effect %d times", tag, (int)t->effects);
    if (t->is_done && t->effects == 0)
        blame(s, "G3: tag %d was done, its effect is lost", tag);
    if (is_job && !is_there(t) && !may_be_lost)
        blame(s, "G1: tag %d was enqueued and is lost", tag);
    if (is_there(t) && !is_as_it_must(t))
        blame(s, "G1, G5: tag %d of kind %c has %d effects, %d rows, state %d after %d attempts",
              tag, t->kind, (int)t->effects, (int)t->rows, (int)t->state, (int)t->attempt);
}

/* Lines about several tags, which the end must bear out. */
static void check_relation(struct state *s, const char *line)
{
    int a, b;
    CHECK(sscanf(line + 1, "%d %d", &a, &b) == 2 && a > 0 && b > 0 && a < MAX_TAGS && b < MAX_TAGS);
    const struct tag *first = &s->tags[a], *last = &s->tags[b];
    int before = 0;
    for (int tag = a; tag < b; tag++) {
        before += s->tags[tag].effect_id < last->effect_id;
        if (line[0] == 'G' && is_there(&s->tags[tag]) != is_there(last) && last->kind != 'x')
            blame(s, "G1: of tags %d to %d, one transaction's, only a part is there", a, b);
    }
    if (line[0] == 'O' && (first->effect_id == 0 || first->effect_id > last->effect_id))
        blame(s, "G7: tag %d was to wait for tag %d", b, a);
    if (line[0] == 'U' && is_there(first) && is_there(last))
        blame(s, "G8: tag %d is there beside tag %d, whose key it has", b, a);
    if (line[0] == 'V' && first->is_enqueued && is_there(first) == is_there(last))
        blame(s, "G3: tag %d was made of tag %d, and not one of them is there", b, a);
    if (line[0] == 'T' && before > 2)
        blame(s, "G6: %d jobs of another key were before tag %d", before, b);
}

/* A tick of each minute, without a gap, on a ring of minutes. */
static void check_ticks(struct state *s, int first, int count)
{
    int begins = 0;
    for (int i = 0; i < count; i++)
        begins += is_there(&s->tags[first + i]) && !is_there(&s->tags[first + (i + 1) % count]);
    if (begins > 1)
        blame(s, "G1: a tick was left out");
}

/* Sealed payloads stand nowhere in clear: in no file. */
static void check_secrets(struct state *s, const struct world *w)
{
    for (int file = 0; file < WORLD_FILES; file++) {
        size_t len = 0;
        char *bytes = world_read(w, file, &len);
        if (bytes && memmem(bytes, len, WORLD_SECRET, strlen(WORLD_SECRET)))
            blame(s, "a sealed payload stands in clear in file %d", file);
        mem_free(bytes);
    }
}

const char *world_check(struct world *w)
{
    static struct state s;
    sqlite3 *db = NULL;
    char *history = world_history(w);
    s = (struct state){.is_faulty = w->is_faulty, .has_lost_power = w->has_lost_power};
    for (const char *line = history; *line; line = strchr(line, '\n') + 1)
        if (!is_relation(line))
            check_line(&s, line);
        else if (line[0] == 'V')
            s.tags[atoi(line + 1)].is_replaced = true;
    check_secrets(&s, w);
    CHECK(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    read_rows(&s, db);
    CHECK(sqlite3_close(db) == SQLITE_OK);
    for (int tag = 1; tag < MAX_TAGS; tag++)
        check_end(&s, tag);
    for (const char *line = history; *line; line = strchr(line, '\n') + 1)
        if (is_relation(line))
            check_relation(&s, line);
    check_ticks(&s, 400, 100);
    mem_free(history);
    return s.why[0] ? s.why : NULL;
}
