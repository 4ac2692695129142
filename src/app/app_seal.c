#include "app/app_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crypto.h"
#include "core/mem.h"

enum { OTHERS = S_IRWXG | S_IRWXO };

/* NULL, or why not. */
static const char *check_mode(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "it is no file";
    return st.st_mode & OTHERS ? "others may read it: chmod 600" : NULL;
}

static const char *read_keys(int fd, struct queue_seal **out)
{
    char *text = mem_zalloc(QUEUE_SEAL_MAX_TEXT_BYTES + 1);
    const char *why = NULL;
    size_t len = 0;
    ssize_t got = 1;
    while (got > 0 && len <= QUEUE_SEAL_MAX_TEXT_BYTES) {
        got = read(fd, text + len, QUEUE_SEAL_MAX_TEXT_BYTES + 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        why = strerror(errno);
    else if (len > QUEUE_SEAL_MAX_TEXT_BYTES)
        why = "it is longer than 64 KiB";
    else if (queue_seal_read((struct str){text, len}, out, &why) == OK)
        why = NULL;
    crypto_wipe(text, QUEUE_SEAL_MAX_TEXT_BYTES + 1);
    mem_free(text);
    return why;
}

enum err app_seal_read(const char *file, struct queue_seal **out, char *why_out, size_t why_cap)
{
    *out = NULL;
    if (!file[0])
        return OK;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = fd < 0 ? strerror(errno) : check_mode(fd);
    if (!why)
        why = read_keys(fd, out);
    if (fd >= 0)
        close(fd);
    if (!why)
        return OK;
    snprintf(why_out, why_cap, "--seal-keys %s: %s", file, why);
    return ERR_INVALID;
}
