/* bad_disk.c -- LD_PRELOAD: the disk fails under the files of a database, as the file BAD_DISK says
 * at each call, so that a test can change it while the program runs:
 *
 *     write ENOSPC | write EIO | read EIO | sync EIO | (empty, or not there: all is well)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Its files are viche.db, viche.db-wal, ... */
static bool is_of_database(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0)
        return false;
    path[len] = '\0';
    return strstr(path, "/viche.db") != NULL;
}

/* By system calls: what is ours would call itself. 0: the call works. */
static int fault(const char *call, int fd)
{
    char order[32] = "", expected[32];
    const char *name = getenv("BAD_DISK");
    int file = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    long len = syscall(SYS_read, file, order, sizeof(order) - 1);
    syscall(SYS_close, file);
    if (len <= 0 || !is_of_database(fd))
        return 0;
    snprintf(expected, sizeof(expected), "%s ENOSPC", call);
    if (strcmp(order, expected) == 0)
        return ENOSPC;
    snprintf(expected, sizeof(expected), "%s EIO", call);
    return strcmp(order, expected) == 0 ? EIO : 0;
}

#define FAIL(call, fd)                                                                             \
    do {                                                                                           \
        int code_ = fault(call, fd);                                                               \
        if (code_ != 0) {                                                                          \
            errno = code_;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

ssize_t pread64(int fd, void *out, size_t n, off64_t at)
{
    FAIL("read", fd);
    return syscall(SYS_pread64, fd, out, n, at);
}

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    return pread64(fd, out, n, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    FAIL("write", fd);
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return pwrite64(fd, bytes, n, at);
}

int fsync(int fd)
{
    FAIL("sync", fd);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    FAIL("sync", fd);
    return (int)syscall(SYS_fdatasync, fd);
}
