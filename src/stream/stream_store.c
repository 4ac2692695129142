#include "stream/stream_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"
#include "stream/stream_internal.h"

enum { PATH_BYTES = 4096, NAME_BYTES = 32, BOOT_ID_BYTES = 64, MAX_LOGS = 1024, MAX_OPEN_DIRS = 8 };

struct stream_store {
    struct stream_log **logs;
    size_t log_count;
    size_t (*log_of)(struct str app_id, struct str channel, size_t log_count);
    char *dir; // NULL: memory only
    int dir_fd, lock_fd;
    int generation_fd; // -1: memory only
    char boot_id[BOOT_ID_BYTES];
};

/* ---- small files ---- */

static enum err failed(const char *what, const char *name)
{
    log_error("at=stream.store call=%s name=%s errno=%d why=\"%s\"", what, name, errno,
              strerror(errno));
    return ERR_IO;
}

static void read_text(int dir_fd, const char *name, char out[static BOOT_ID_BYTES])
{
    out[0] = '\0';
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read(fd, out, BOOT_ID_BYTES - 1);
    out[len > 0 ? len : 0] = '\0';
    close(fd);
}

static enum err write_text(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("open", name);
    size_t len = strlen(text);
    bool is_written = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    if (!is_written)
        (void)!failed("write", name);
    return close(fd) == 0 && is_written ? OK : ERR_IO;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_tree(const char *dir, const char *name)
{
    char path[PATH_BYTES];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path))
        nftw(path, remove_entry, MAX_OPEN_DIRS, FTW_DEPTH | FTW_PHYS);
}

/* ---- generations ---- */

static void name_of(uint32_t number, char out[static NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%08u", number);
}

/* 0: it is no finished generation. */
static uint32_t number_of(const char *name)
{
    char again[NAME_BYTES];
    unsigned long number = strtoul(name, NULL, 10);
    if (number == 0 || number >= UINT32_MAX)
        return 0;
    name_of((uint32_t)number, again);
    return strcmp(name, again) == 0 ? (uint32_t)number : 0;
}

static bool is_ours(const char *name)
{
    return name[0] >= '0' && name[0] <= '9';
}

static uint32_t find_newest(const char *dir)
{
    uint32_t newest = 0;
    const struct dirent *entry;
    DIR *listing = opendir(dir);
    while (listing && (entry = readdir(listing)))
        if (number_of(entry->d_name) > newest)
            newest = number_of(entry->d_name);
    if (listing)
        closedir(listing);
    return newest;
}

/* Removes all generations, whole or not, but kept. */
static void remove_others(const char *dir, uint32_t kept)
{
    const struct dirent *entry;
    DIR *listing = opendir(dir);
    while (listing && (entry = readdir(listing)))
        if (is_ours(entry->d_name) && (kept == 0 || number_of(entry->d_name) != kept))
            remove_tree(dir, entry->d_name);
    if (listing)
        closedir(listing);
}

/* In one step, so that nobody takes half of it for the whole. */
static enum err drop_generation(const char *dir, int dir_fd, uint32_t number)
{
    char name[NAME_BYTES], dropped[NAME_BYTES + 8];
    name_of(number, name);
    snprintf(dropped, sizeof(dropped), "%s.dropped", name);
    remove_tree(dir, dropped);
    if (renameat(dir_fd, name, dir_fd, dropped) != 0 && errno != ENOENT)
        return failed("rename", name);
    if (fsync(dir_fd) != 0) // else a crash of the host may bring it back
        return failed("fsync", name);
    remove_tree(dir, dropped);
    return OK;
}

/* ---- loading ---- */

static struct stream_log *log_for(const struct stream_store *store, const struct stream *s)
{
    struct str channel;
    struct str app_id = str_cut((struct str){s->key, s->key_len}, '\0', &channel);
    size_t index = store->log_of(app_id, channel, store->log_count);
    CHECK(index < store->log_count);
    return store->logs[index];
}

static void load_log(struct stream_store *store, int generation_fd, const char *name,
                     bool is_host_new)
{
    int dir_fd = openat(generation_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return;
    struct stream_log_options options = store->logs[0]->options;
    options.max_bytes *= store->log_count;
    options.max_streams *= store->log_count;
    struct stream_log *l = stream_log_new(&options);
    enum err err = stream_load_dir(l, dir_fd, is_host_new);
    close(dir_fd);
    if (err)
        log_warn("at=stream.load log=%s why=\"%s: it is not whole, and forgotten\"", name,
                 err_text(err));
    struct list *node = l->idle.next;
    while (!err && node != &l->idle) {
        struct stream *s = LIST_ENTRY(node, struct stream, idle_node);
        node = node->next;
        struct stream_log *home = log_for(store, s);
        if (stream_log_count(home) < home->options.max_streams)
            (void)stream_log_adopt(home, s); // else it is forgotten with l
    }
    stream_log_free(l);
}

static void load(struct stream_store *store, uint32_t number)
{
    char name[NAME_BYTES], boot_id[BOOT_ID_BYTES];
    name_of(number, name);
    int generation_fd = openat(store->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (generation_fd < 0)
        return;
    read_text(generation_fd, "boot", boot_id);
    bool is_clean = faccessat(generation_fd, "clean", F_OK, 0) == 0;
    bool is_host_new = !is_clean && (boot_id[0] == '\0' || strcmp(boot_id, store->boot_id) != 0);
    if (is_host_new)
        log_warn("at=stream.load why=\"the host stopped without notice: only channels with "
                 "store=fsync can be recovered\"");
    for (int i = 0; i < MAX_LOGS; i++) {
        snprintf(name, sizeof(name), "%d", i);
        load_log(store, generation_fd, name, is_host_new);
    }
    close(generation_fd);
    size_t count = 0;
    for (size_t i = 0; i < store->log_count; i++) {
        stream_log_sort(store->logs[i]);
        stream_log_make_room(store->logs[i]);
        count += stream_log_count(store->logs[i]);
    }
    log_info("at=stream.load generation=%u channels=%zu clean=%s", number, count,
             is_clean ? "yes" : "no");
}

/* ---- writing ---- */

static enum err make_generation(struct stream_store *store, uint32_t number)
{
    char name[NAME_BYTES], temporary[NAME_BYTES + 4], log_name[NAME_BYTES];
    name_of(number, name);
    snprintf(temporary, sizeof(temporary), "%s.new", name);
    remove_tree(store->dir, temporary);
    if (mkdirat(store->dir_fd, temporary, 0700) != 0)
        return failed("mkdir", temporary);
    store->generation_fd = openat(store->dir_fd, temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->generation_fd < 0)
        return failed("open", temporary);
    if (write_text(store->generation_fd, "boot", store->boot_id) != OK)
        return ERR_IO;
    for (size_t i = 0; i < store->log_count; i++) {
        snprintf(log_name, sizeof(log_name), "%zu", i);
        enum err err = stream_log_begin_file(store->logs[i], store->generation_fd, log_name, true);
        if (!err)
            err = stream_log_sync_now(store->logs[i]);
        if (err)
            return err;
    }
    if (fsync(store->generation_fd) != 0)
        return failed("fsync", temporary);
    if (renameat(store->dir_fd, temporary, store->dir_fd, name) != 0)
        return failed("rename", temporary);
    return fsync(store->dir_fd) == 0 ? OK : failed("fsync", store->dir);
}

/* What the disk holds will soon be out of date, and cannot be replaced. */
static void fall_back_to_memory(struct stream_store *store, uint32_t newest)
{
    for (size_t i = 0; i < store->log_count; i++)
        stream_log_give_up_file(store->logs[i]);
    bool is_gone = newest == 0 || drop_generation(store->dir, store->dir_fd, newest) == OK;
    for (size_t i = 0; i < store->log_count && !is_gone; i++)
        stream_log_change_ids(store->logs[i]);
    log_error("at=stream.store dir=%s why=\"cannot write: recovery works from memory, and will not "
              "survive a restart\"",
              store->dir);
}

/* ---- life ---- */

static void read_boot_id(char out[static BOOT_ID_BYTES])
{
    read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out);
    out[strcspn(out, "\n")] = '\0';
}

static enum err open_dir(struct stream_store *store, char *why_out, size_t why_cap)
{
    if (mkdir(store->dir, 0700) != 0 && errno != EEXIST) {
        snprintf(why_out, why_cap, "cannot create %s: %s", store->dir, strerror(errno));
        return ERR_IO;
    }
    store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->dir_fd >= 0)
        store->lock_fd = openat(store->dir_fd, "lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0) {
        snprintf(why_out, why_cap, "cannot open %s: %s", store->dir, strerror(errno));
        return ERR_IO;
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why_out, why_cap, "another server uses %s", store->dir);
        return ERR_CONFLICT;
    }
    return OK;
}

static struct stream_store *store_new(const struct stream_store_options *options)
{
    CHECK(options->log_count > 0 && options->log_count <= MAX_LOGS);
    struct stream_store *store = MEM_NEW(struct stream_store);
    *store = (struct stream_store){.log_count = options->log_count,
                                   .log_of = options->log_of,
                                   .dir = options->dir ? str_dup(str_of(options->dir)) : NULL,
                                   .dir_fd = -1,
                                   .lock_fd = -1,
                                   .generation_fd = -1};
    struct stream_log_options each = options->log;
    each.max_bytes /= store->log_count;
    each.max_disk_bytes /= store->log_count;
    each.max_streams = (each.max_streams + store->log_count - 1) / store->log_count;
    store->logs = mem_zalloc(store->log_count * sizeof(struct stream_log *));
    for (size_t i = 0; i < store->log_count; i++)
        store->logs[i] = stream_log_new(&each);
    if (options->boot_id)
        snprintf(store->boot_id, sizeof(store->boot_id), "%s", options->boot_id);
    else
        read_boot_id(store->boot_id);
    return store;
}

static void store_free(struct stream_store *store)
{
    for (size_t i = 0; i < store->log_count; i++)
        stream_log_free(store->logs[i]);
    const int fds[] = {store->generation_fd, store->dir_fd, store->lock_fd};
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    mem_free(store->logs);
    mem_free(store->dir);
    mem_free(store);
}

enum err stream_store_open(const struct stream_store_options *options, struct stream_store **out,
                           char *why_out, size_t why_cap)
{
    struct stream_store *store = store_new(options);
    *out = store;
    if (!store->dir)
        return OK;
    enum err err = open_dir(store, why_out, why_cap);
    if (err) {
        store_free(store);
        return err;
    }
    uint32_t newest = find_newest(store->dir);
    if (newest > 0)
        load(store, newest);
    if (make_generation(store, newest + 1) == OK)
        remove_others(store->dir, newest + 1);
    else
        fall_back_to_memory(store, newest);
    *out = store;
    return OK;
}

struct stream_log *stream_store_log(const struct stream_store *store, size_t index)
{
    CHECK(index < store->log_count);
    return store->logs[index];
}

void stream_store_close(struct stream_store *store)
{
    if (!store)
        return;
    bool has_files = store->generation_fd >= 0;
    for (size_t i = 0; i < store->log_count; i++)
        if (stream_file_is_open(&store->logs[i]->file))
            (void)!stream_log_sync_now(store->logs[i]); // on failure nothing of it is left there
    if (has_files && write_text(store->generation_fd, "clean", "") == OK &&
        fsync(store->generation_fd) != 0)
        (void)!failed("fsync", store->dir);
    store_free(store);
}

enum err stream_store_purge(const char *dir, char *why_out, size_t why_cap)
{
    uint32_t newest = find_newest(dir);
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 && errno == ENOENT)
        return OK;
    enum err err = dir_fd < 0 ? ERR_IO : OK;
    for (; newest > 0 && !err;
         newest = find_newest(dir)) // one is the rule; the newest is what counts
        err = drop_generation(dir, dir_fd, newest);
    if (dir_fd >= 0)
        close(dir_fd);
    if (err)
        snprintf(why_out, why_cap, "cannot remove the old recovery log in %s", dir);
    else
        remove_others(dir, 0);
    return err;
}
