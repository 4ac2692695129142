#include "stream/stream_file.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/check.h"
#include "core/log.h"
#include "core/mem.h"

enum {
    NAME_BYTES = 32,
    GATHER_BYTES = 256 * 1024, // written at once when more was gathered
    MAX_SEGMENTS = 1000000,
    MAX_FILE_BYTES = 2 * STREAM_RECORD_MAX_BYTES,
};

static enum err failed(const struct stream_file *f, const char *what)
{
    log_error("at=stream.file log=%s call=%s errno=%d why=\"%s\"", f->name, what, errno,
              strerror(errno));
    return ERR_IO;
}

static void name_of(uint32_t number, char out[static NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%08u.log", number);
}

/* ---- segments ---- */

/* magic, number, checksum of both */
static void write_head(uint32_t number, uint8_t out[static STREAM_FILE_HEAD_BYTES])
{
    static const char magic[8] = {'V', 'I', 'C', 'H', 'S', 'T', 'R', '1'};
    memcpy(out, magic, sizeof(magic));
    uint32_t value = htole32(number);
    memcpy(out + 8, &value, 4);
    value = htole32((uint32_t)crc32_z(0, out, 12));
    memcpy(out + 12, &value, 4);
}

enum err stream_file_parse_head(struct str bytes, uint32_t number)
{
    uint8_t head[STREAM_FILE_HEAD_BYTES];
    write_head(number, head);
    if (bytes.len < sizeof(head))
        return ERR_AGAIN;
    return memcmp(bytes.at, head, sizeof(head)) == 0 ? OK : ERR_INVALID;
}

static void close_fds(struct stream_file *f, int from)
{
    for (int i = from; i < f->fd_count; i++)
        close(f->fds[i]);
    if (f->fd_count > from)
        f->fd_count = from;
}

/* Room for one more descriptor in front. When the pool is so far behind, this thread waits. */
static enum err push_fd(struct stream_file *f, int fd)
{
    if (f->fd_count == STREAM_FILE_MAX_FDS) {
        for (int i = 0; i < f->fd_count; i++)
            if (fdatasync(f->fds[i]) != 0)
                return failed(f, "fdatasync");
        close_fds(f, 0);
    }
    memmove(f->fds + 1, f->fds, (size_t)f->fd_count * sizeof(f->fds[0]));
    f->fds[0] = fd;
    f->fd_count++;
    return OK;
}

static enum err begin_segment(struct stream_file *f)
{
    char name[NAME_BYTES];
    uint8_t head[STREAM_FILE_HEAD_BYTES];
    uint32_t number = list_is_empty(&f->segments) ? 1 : stream_file_newest(f)->number + 1;
    name_of(number, name);
    int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(f, "open");
    if (push_fd(f, fd) != OK) {
        close(fd);
        return ERR_IO;
    }
    struct stream_segment *segment = MEM_NEW(struct stream_segment);
    segment->number = number;
    list_init(&segment->node);
    list_init(&segment->streams);
    list_append(&f->segments, &segment->node);
    f->has_new_name = true;
    write_head(number, head);
    CHECK(buf_append(&f->out, head, sizeof(head)) == OK);
    segment->bytes = sizeof(head);
    f->bytes += sizeof(head);
    return OK;
}

static enum err write_out(struct stream_file *f)
{
    while (buf_len(&f->out) > 0) {
        ssize_t count = write(f->fds[0], buf_head(&f->out), buf_len(&f->out));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return failed(f, "write");
        buf_consume(&f->out, (size_t)count);
    }
    if (f->out.cap > 2 * GATHER_BYTES)
        buf_done(&f->out); // one large message must not keep its memory
    return OK;
}

enum err stream_file_put(struct stream_file *f, const struct stream_record *r)
{
    if (buf_len(&f->out) > GATHER_BYTES && write_out(f) != OK)
        return ERR_IO;
    size_t before = buf_len(&f->out);
    enum err err = stream_record_write(r, &f->out);
    if (err)
        return err;
    size_t size = buf_len(&f->out) - before;
    stream_file_newest(f)->bytes += size;
    f->bytes += size;
    return OK;
}

enum err stream_file_flush(struct stream_file *f)
{
    enum err err = write_out(f);
    if (!err && stream_file_is_full(f))
        err = begin_segment(f);
    return err ? err : write_out(f);
}

static void free_segment(struct stream_file *f, struct stream_segment *segment)
{
    while (list_shift(&segment->streams))
        ;
    list_remove(&segment->node);
    f->bytes -= segment->bytes;
    mem_free(segment);
}

enum err stream_file_remove_oldest(struct stream_file *f)
{
    char name[NAME_BYTES];
    struct stream_segment *oldest = stream_file_oldest(f);
    CHECK(oldest != stream_file_newest(f) && list_is_empty(&oldest->streams) &&
          oldest->message_count == 0);
    name_of(oldest->number, name);
    if (unlinkat(f->dir_fd, name, 0) != 0)
        return failed(f, "unlink");
    free_segment(f, oldest);
    return OK;
}

/* ---- life ---- */

enum err stream_file_open(struct stream_file *f, int parent_fd, const char *name,
                          size_t segment_bytes)
{
    *f = (struct stream_file){.parent_fd = parent_fd, .dir_fd = -1, .segment_bytes = segment_bytes};
    snprintf(f->name, sizeof(f->name), "%s", name);
    list_init(&f->segments);
    buf_init(&f->out, GATHER_BYTES + STREAM_RECORD_MAX_BYTES + STREAM_FILE_HEAD_BYTES);
    if (mkdirat(parent_fd, name, 0700) != 0)
        return failed(f, "mkdir");
    f->dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir_fd >= 0 && begin_segment(f) == OK && write_out(f) == OK)
        return OK;
    if (f->dir_fd < 0)
        (void)!failed(f, "open");
    (void)!stream_file_drop(f); // it holds nothing yet
    return ERR_IO;
}

void stream_file_close(struct stream_file *f)
{
    close_fds(f, 0);
    if (f->dir_fd >= 0)
        close(f->dir_fd);
    f->dir_fd = -1;
    while (!list_is_empty(&f->segments))
        free_segment(f, stream_file_oldest(f));
    buf_done(&f->out);
}

static void remove_files(int parent_fd, const char *name)
{
    int dir_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t *numbers = NULL;
    size_t count = 0;
    if (dir_fd < 0)
        return;
    if (stream_file_list(dir_fd, &numbers, &count) == OK) {
        for (size_t i = 0; i < count; i++) {
            char file[NAME_BYTES];
            name_of(numbers[i], file);
            unlinkat(dir_fd, file, 0);
        }
    }
    mem_free(numbers);
    close(dir_fd);
    unlinkat(parent_fd, name, AT_REMOVEDIR);
}

enum err stream_file_drop(struct stream_file *f)
{
    char dropped[NAME_BYTES];
    stream_file_close(f);
    snprintf(dropped, sizeof(dropped), "%s.dropped", f->name);
    remove_files(f->parent_fd, dropped); // of an earlier time
    if (renameat(f->parent_fd, f->name, f->parent_fd, dropped) != 0 && errno != ENOENT)
        return failed(f, "rename");
    if (fsync(f->parent_fd) != 0) // else a crash of the host may bring it back
        return failed(f, "fsync");
    remove_files(f->parent_fd, dropped);
    return OK;
}

/* ---- syncing ---- */

void stream_file_sync_init(struct stream_file *f, struct stream_file_sync *out)
{
    *out = (struct stream_file_sync){0};
    for (int i = 0; i < f->fd_count && out->error == 0; i++) {
        int copy = fcntl(f->fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            out->error = errno;
        else
            out->fds[out->fd_count++] = copy;
    }
    if (f->has_new_name && out->error == 0) {
        int copy = fcntl(f->dir_fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            out->error = errno;
        else
            out->fds[out->fd_count++] = copy;
    }
    f->has_new_name = false;
    close_fds(f, 1); // their copies are synced; the newest may get more
}

void stream_file_sync_run(struct stream_file_sync *sync)
{
    for (int i = 0; i < sync->fd_count; i++) {
        if (sync->error == 0 && fsync(sync->fds[i]) != 0)
            sync->error = errno;
        close(sync->fds[i]);
    }
    sync->fd_count = 0;
}

/* ---- reading ---- */

static int compare_numbers(const void *left, const void *right)
{
    uint32_t a, b;
    memcpy(&a, left, sizeof(a));
    memcpy(&b, right, sizeof(b));
    return (a > b) - (a < b);
}

/* 0: the name is no segment's. */
static uint32_t number_of(const char *name)
{
    char again[NAME_BYTES];
    unsigned long number = strtoul(name, NULL, 10);
    if (number == 0 || number > UINT32_MAX)
        return 0;
    name_of((uint32_t)number, again);
    return strcmp(name, again) == 0 ? (uint32_t)number : 0;
}

enum err stream_file_list(int dir_fd, uint32_t **out, size_t *count_out)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        if (copy >= 0)
            close(copy);
        return ERR_IO;
    }
    uint32_t *numbers = NULL;
    size_t count = 0, cap = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) && count < MAX_SEGMENTS) {
        uint32_t number = number_of(entry->d_name);
        if (number == 0)
            continue;
        if (count == cap) {
            cap = cap > 0 ? 2 * cap : 16;
            numbers = mem_realloc(numbers, cap * sizeof(*numbers));
        }
        numbers[count++] = number;
    }
    closedir(dir);
    if (count > 0)
        qsort(numbers, count, sizeof(*numbers), compare_numbers);
    *out = numbers;
    *count_out = count;
    return OK;
}

static enum err read_all(int fd, size_t size, char **out, size_t *len_out)
{
    char *bytes = mem_zalloc(size + 1);
    size_t len = 0;
    while (len < size) {
        ssize_t count = read(fd, bytes + len, size - len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            mem_free(bytes);
            return ERR_IO;
        }
        if (count == 0)
            break;
        len += (size_t)count;
    }
    *out = bytes;
    *len_out = len;
    return OK;
}

enum err stream_file_read(int dir_fd, uint32_t number, char **out, size_t *len_out)
{
    char name[NAME_BYTES];
    struct stat st;
    name_of(number, name);
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    enum err err = fstat(fd, &st) == 0 ? OK : ERR_IO;
    if (!err && st.st_size > MAX_FILE_BYTES)
        err = ERR_TOO_LARGE;
    if (!err)
        err = read_all(fd, (size_t)st.st_size, out, len_out);
    close(fd);
    return err;
}
