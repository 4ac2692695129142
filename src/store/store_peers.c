#include "store/store_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"

enum { SLOTS = 64, NO_SLOT = -1, MAX_PATH_BYTES = 4096 };

struct page {
    _Atomic uint32_t taken[SLOTS];
    _Atomic uint32_t bells[SLOTS];
};

struct store_peers {
    int fd;
    struct page *page;
    int slot;
    uint32_t heard; // of the bell, when the slot became ours
    pthread_t thread;
    bool has_thread;
    _Atomic bool is_closing;
    void (*on_ring)(void *ctx);
    void *ctx;
};

static void ring(_Atomic uint32_t *bell)
{
    atomic_fetch_add(bell, 1);
    (void)syscall(SYS_futex, bell, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool lock_slot(int fd, int slot, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Takes the first slot that is free, and clears those of dead processes. */
static int take_slot(struct store_peers *p)
{
    int mine = NO_SLOT;
    for (int i = 0; i < SLOTS; i++) {
        if (!lock_slot(p->fd, i, F_WRLCK))
            continue;
        atomic_store(&p->page->taken[i], mine == NO_SLOT);
        if (mine == NO_SLOT)
            mine = i;
        else
            lock_slot(p->fd, i, F_UNLCK);
    }
    return mine;
}

static void *listen_loop(void *arg)
{
    struct store_peers *p = arg;
    _Atomic uint32_t *bell = &p->page->bells[p->slot];
    uint32_t heard = p->heard;
    for (;;) {
        while (atomic_load(bell) == heard && !atomic_load(&p->is_closing))
            (void)syscall(SYS_futex, bell, FUTEX_WAIT, heard, NULL, NULL, 0);
        if (atomic_load(&p->is_closing))
            return NULL;
        heard = atomic_load(bell);
        p->on_ring(p->ctx);
    }
}

struct store_peers *store_peers_open(const char *path)
{
    char name[MAX_PATH_BYTES];
    void *page = MAP_FAILED;
    snprintf(name, sizeof(name), "%s.peers", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int code = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof(struct page)); // no SIGBUS later
    if (code == 0) {
        page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        code = page == MAP_FAILED ? errno : 0;
    }
    if (code != 0) {
        log_warn("at=store_peers.open why=\"%s: other processes are not woken\"", strerror(code));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct store_peers *p = MEM_NEW(struct store_peers);
    p->fd = fd;
    p->page = page;
    p->slot = NO_SLOT;
    return p;
}

enum err store_peers_listen(struct store_peers *p, void (*on_ring)(void *ctx), void *ctx)
{
    p->on_ring = on_ring;
    p->ctx = ctx;
    p->slot = take_slot(p);
    if (p->slot == NO_SLOT)
        return ERR_AGAIN;
    p->heard = atomic_load(&p->page->bells[p->slot]); // nobody has read anything yet
    enum err err = thread_start(&p->thread, "peers", listen_loop, p);
    p->has_thread = !err;
    return err;
}

void store_peers_ring(struct store_peers *p)
{
    for (int i = 0; p && i < SLOTS; i++)
        if (i != p->slot && atomic_load_explicit(&p->page->taken[i], memory_order_relaxed))
            ring(&p->page->bells[i]);
}

void store_peers_stop(struct store_peers *p)
{
    if (!p || !p->has_thread)
        return;
    atomic_store(&p->is_closing, true);
    ring(&p->page->bells[p->slot]);
    pthread_join(p->thread, NULL);
    p->has_thread = false;
}

void store_peers_close(struct store_peers *p)
{
    if (!p)
        return;
    store_peers_stop(p);
    if (p->slot != NO_SLOT)
        atomic_store(&p->page->taken[p->slot], 0);
    munmap(p->page, sizeof(struct page));
    close(p->fd);
    mem_free(p);
}
