#include "power.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/check.h"
#include "core/mem.h"

enum { SECTOR_BYTES = 512 };

static uint8_t *read_file(const char *path, size_t *len_out)
{
    FILE *f = fopen(path, "r");
    CHECK(f != NULL && fseek(f, 0, SEEK_END) == 0);
    size_t len = (size_t)ftell(f);
    uint8_t *bytes = mem_zalloc(len + 1);
    rewind(f);
    CHECK(fread(bytes, 1, len, f) == len);
    fclose(f);
    *len_out = len;
    return bytes;
}

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}

void power_load(struct power_journal *journal, const char *path)
{
    size_t len, at = 0;
    *journal = (struct power_journal){.bytes = read_file(path, &len)};
    journal->entries = mem_zalloc((len / sizeof(struct disk_entry) + 1) * sizeof(void *));
    while (at + sizeof(struct disk_entry) <= len) {
        // The file holds entry after entry without gaps; their copies are aligned.
        struct disk_entry *entry = mem_zalloc(sizeof(*entry));
        memcpy(entry, journal->bytes + at, sizeof(*entry));
        if (at + sizeof(*entry) + entry->len > len) { // the process died while it wrote it
            mem_free(entry);
            break;
        }
        entry->bytes_at = at + sizeof(*entry);
        journal->entries[journal->count++] = entry;
        at += sizeof(*entry) + entry->len;
    }
    CHECK(truncate(path, (off_t)at) == 0); // the next process writes behind whole entries
}

void power_free(struct power_journal *journal)
{
    for (int64_t i = 0; i < journal->count; i++)
        free((void *)(uintptr_t)journal->entries[i]);
    mem_free(journal->entries);
    mem_free(journal->bytes);
}

/* ---- one file ---- */

struct image {
    uint8_t *bytes;
    size_t len, cap;
    bool is_there;
};

static void resize(struct image *image, size_t len)
{
    if (len > image->cap) {
        size_t cap = image->cap > 0 ? image->cap : 65536;
        while (cap < len)
            cap *= 2;
        image->bytes = mem_realloc(image->bytes, cap);
        image->cap = cap;
    }
    if (len > image->len)
        memset(image->bytes + image->len, 0, len - image->len);
    image->len = len;
}

static void put(struct image *image, size_t at, const uint8_t *bytes, size_t len)
{
    if (at + len > image->len)
        resize(image, at + len);
    memcpy(image->bytes + at, bytes, len);
}

static bool toss(void)
{
    return rand() % 2 == 0;
}

static void write_part(struct image *image, const struct disk_entry *e, const uint8_t *bytes,
                       enum power_loss loss, bool is_last)
{
    if (loss == POWER_TORN && is_last) {
        size_t len = (size_t)rand() % (e->len + 1);
        put(image, (size_t)e->at, bytes, len);
        return;
    }
    if (loss != POWER_SECTORS) {
        put(image, (size_t)e->at, bytes, e->len);
        return;
    }
    for (size_t done = 0; done < e->len;) {
        size_t place = (size_t)e->at + done;
        size_t part = SECTOR_BYTES - place % SECTOR_BYTES;
        if (part > e->len - done)
            part = e->len - done;
        if (toss())
            put(image, place, bytes + done, part);
        done += part;
    }
}

static void apply(struct image *image, const struct power_journal *journal,
                  const struct disk_entry *e, enum power_loss loss, bool is_last)
{
    image->is_there = e->op != DISK_DELETE;
    switch (e->op) {
    case DISK_WRITE:
        write_part(image, e, journal->bytes + e->bytes_at, loss, is_last);
        break;
    case DISK_TRUNCATE:
        resize(image, (size_t)e->at);
        break;
    case DISK_DELETE:
        resize(image, 0);
        break;
    default:
        break; // opened
    }
}

static int64_t synced_until(const struct power_journal *journal, int64_t calls, enum disk_file file)
{
    int64_t until = 0;
    for (int64_t i = 0; i < calls; i++) {
        const struct disk_entry *e = journal->entries[i];
        bool is_good = !e->is_mark && e->op == DISK_SYNC && !e->is_failed;
        if (is_good && e->file == file && e->covers > until)
            until = e->covers;
    }
    return until;
}

/* The first sync that was to cover the entry failed: the kernel says so once, and takes its pages
 * for written then (fsync(2), Linux). */
static bool is_dropped(const struct power_journal *journal, int64_t calls, int64_t at)
{
    for (int64_t i = at + 1; i < calls; i++) {
        const struct disk_entry *e = journal->entries[i];
        bool is_sync = !e->is_mark && e->op == DISK_SYNC;
        if (is_sync && e->file == journal->entries[at]->file && e->covers > at)
            return e->is_failed;
    }
    return false;
}

/* The entries of the file before this one last: by a sync of it, or because it was deleted, and the
 * folder synced. */
static int64_t durable_until(const struct power_journal *journal, int64_t calls,
                             enum disk_file file)
{
    int64_t until = synced_until(journal, calls, file);
    int64_t folder = synced_until(journal, calls, DISK_DIR);
    for (int64_t i = until; i < folder; i++) {
        const struct disk_entry *e = journal->entries[i];
        if (!e->is_mark && e->op == DISK_DELETE && e->file == file)
            until = i + 1;
    }
    return until;
}

static int64_t last_write(const struct power_journal *journal, int64_t calls, enum disk_file file)
{
    int64_t last = -1;
    for (int64_t i = 0; i < calls; i++) {
        const struct disk_entry *e = journal->entries[i];
        if (!e->is_mark && e->op == DISK_WRITE && e->file == file)
            last = i;
    }
    return last;
}

static void cut_file(const struct power_journal *journal, int64_t calls, enum power_loss loss,
                     enum disk_file file, const char *path)
{
    struct image image = {.len = 0};
    int64_t until = durable_until(journal, calls, file), last = last_write(journal, calls, file);
    for (int64_t i = 0; i < calls; i++) {
        const struct disk_entry *e = journal->entries[i];
        if (e->is_mark || e->op == DISK_SYNC || e->file != file)
            continue;
        if (loss == POWER_NOTHING && e->op == DISK_WRITE && is_dropped(journal, calls, i))
            continue;
        if (i < until)
            apply(&image, journal, e, POWER_ALL, false);
        else if (loss != POWER_NOTHING && (loss != POWER_CALLS || toss()))
            apply(&image, journal, e, loss, i == last);
        else if (e->op == DISK_DELETE)
            break; // the folder has the old file still: what comes is written to another
    }
    if (image.is_there)
        write_file(path, image.bytes, image.len);
    mem_free(image.bytes);
}

void power_cut(const struct power_journal *journal, int64_t calls, enum power_loss loss,
               const struct world *from, struct world *to)
{
    static const char *const ends[] = {
        [DISK_DB] = "", [DISK_WAL] = "-wal", [DISK_JOURNAL] = "-journal"};
    size_t len, said = 0;
    for (enum disk_file file = DISK_DB; file <= DISK_JOURNAL; file++) {
        char path[120];
        snprintf(path, sizeof(path), "%s%s", to->path, ends[file]);
        cut_file(journal, calls, loss, file, path);
    }
    for (int64_t i = 0; i < calls; i++)
        if (journal->entries[i]->is_mark)
            said = (size_t)journal->entries[i]->at;
    uint8_t *history = read_file(from->history, &len);
    CHECK(said <= len);
    write_file(to->history, history, said);
    mem_free(history);
}
