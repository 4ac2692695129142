/* store_lock.c -- open-file-description locks (fcntl(2)) on FILE.peers, each on one byte that its
 * name picks. Two names that pick the same byte exclude each other, which is safe. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "store/store_internal.h"

enum { FIRST_BYTE = 4096, MAX_PATH_BYTES = 4096 }; // behind the slots of store_peers.c

struct store_lock {
    int fd; // of its own: locks of one description do not exclude each other
    off_t at;
};

/* FNV-1a. */
static off_t byte_of(struct str name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name.at[i]) * 0x100000001b3u;
    return FIRST_BYTE + (off_t)(hash % ((uint64_t)1 << 40));
}

enum err store_lock_open(struct store *s, struct str name, struct store_lock **out)
{
    char path[MAX_PATH_BYTES + 8];
    snprintf(path, sizeof(path), "%s.peers", s->path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        log_error("at=store_lock.open errno=%d why=\"%s\"", errno, strerror(errno));
        return ERR_IO;
    }
    struct store_lock *lock = MEM_NEW(struct store_lock);
    *lock = (struct store_lock){.fd = fd, .at = byte_of(name)};
    *out = lock;
    return OK;
}

static struct flock span_of(const struct store_lock *lock, short type)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = lock->at, .l_len = 1};
}

enum err store_lock_set(struct store_lock *lock, enum store_lock_mode mode)
{
    static const short types[] = {
        [STORE_UNLOCKED] = F_UNLCK, [STORE_SHARED] = F_RDLCK, [STORE_EXCLUSIVE] = F_WRLCK};
    struct flock span = span_of(lock, types[mode]);
    if (fcntl(lock->fd, F_OFD_SETLK, &span) == 0)
        return OK;
    if (errno == EAGAIN || errno == EACCES)
        return ERR_AGAIN;
    log_error("at=store_lock.set errno=%d why=\"%s\"", errno, strerror(errno));
    return ERR_IO;
}

bool store_lock_is_shared(struct store_lock *lock)
{
    struct flock span = span_of(lock, F_WRLCK);
    return fcntl(lock->fd, F_OFD_GETLK, &span) == 0 && span.l_type != F_UNLCK;
}

void store_lock_close(struct store_lock *lock)
{
    if (!lock)
        return;
    close(lock->fd);
    mem_free(lock);
}
