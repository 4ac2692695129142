#include "freeze.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/crypto.h"
#include "core/failpoint.h"
#include "core/mem.h"
#include "disk.h"

enum { FIRST_CAP = 64 };

/* ---- the child ---- */

struct note {
    const char *name; // a literal: the same in the parent
};

static struct {
    struct note *note; // shared with the parent
    pthread_mutex_t mutex;
    void (*fn)(void *world);
} child = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* One thread at a time: a pass is not told while another stands. */
static void stand(const char *name, void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&child.mutex);
    child.note->name = name;
    CHECK(raise(SIGSTOP) == 0); // stops every thread, until SIGCONT
    pthread_mutex_unlock(&child.mutex);
}

static void play(void *world)
{
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); // else it would stand for ever
    disk_install();
    failpoint_listen(stand, NULL);
    child.fn(world);
}

static pid_t start(void (*fn)(void *world), struct world *w)
{
    crypto_init();
    child.note =
        mmap(NULL, sizeof(struct note), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(child.note != MAP_FAILED);
    child.fn = fn;
    return world_start(play, w);
}

static void end(void)
{
    munmap(child.note, sizeof(struct note));
}

/* True: it stands at a pass. False: it has ended. */
static bool wait_for_pass(pid_t pid, int *status)
{
    CHECK(waitpid(pid, status, WUNTRACED) == pid);
    return WIFSTOPPED(*status);
}

/* ---- what it leaves ---- */

struct digest {
    uint8_t bytes[CRYPTO_SHA256_BYTES];
};

/* Without the zeros at its end: the log is made longer by a million of them. */
static size_t len_of(const char *bytes, size_t len)
{
    while (len > 0 && bytes[len - 1] == '\0')
        len--;
    return len;
}

static struct digest digest_of(const struct world *w)
{
    struct digest parts[WORLD_FILES + 1], whole;
    memset(parts, 0, sizeof(parts));
    for (int i = 0; i < WORLD_FILES; i++) {
        size_t len = 0;
        char *bytes = world_read(w, i, &len); // NULL: it is not there, which is not as if empty
        if (bytes)
            crypto_sha256((struct str){bytes, len_of(bytes, len)}, parts[i].bytes);
        mem_free(bytes);
    }
    crypto_sha256((struct str){(const char *)parts, sizeof(parts)}, whole.bytes);
    return whole;
}

bool freeze_is_equal(const struct world *a, const struct world *b)
{
    struct digest x = digest_of(a), y = digest_of(b);
    return memcmp(&x, &y, sizeof(x)) == 0;
}

/* ---- the copies ---- */

/* What was passed: names and digests, without end but for memory. */
struct seen {
    const char **names;
    struct digest *digests;
    int names_count, digests_count, names_cap, digests_cap;
};

static int count_name(struct seen *s, const char *name)
{
    int nth = 1;
    for (int i = 0; i < s->names_count; i++)
        nth += strcmp(s->names[i], name) == 0;
    if (s->names_count == s->names_cap) {
        s->names_cap = s->names_cap > 0 ? 2 * s->names_cap : FIRST_CAP;
        s->names = mem_realloc(s->names, (size_t)s->names_cap * sizeof(char *));
    }
    s->names[s->names_count++] = name;
    return nth;
}

static bool is_new(struct seen *s, struct digest digest)
{
    for (int i = 0; i < s->digests_count; i++)
        if (memcmp(&s->digests[i], &digest, sizeof(digest)) == 0)
            return false;
    if (s->digests_count == s->digests_cap) {
        s->digests_cap = s->digests_cap > 0 ? 2 * s->digests_cap : FIRST_CAP;
        s->digests = mem_realloc(s->digests, (size_t)s->digests_cap * sizeof(digest));
    }
    s->digests[s->digests_count++] = digest;
    return true;
}

static struct freeze_copy *add_copy(struct freeze *f)
{
    if (f->count == f->cap) {
        f->cap = f->cap > 0 ? 2 * f->cap : FIRST_CAP;
        f->copies = mem_realloc(f->copies, (size_t)f->cap * sizeof(*f->copies));
    }
    return &f->copies[f->count++];
}

static void look(struct freeze *f, struct seen *seen, const char *name, const struct world *w)
{
    int nth = count_name(seen, name);
    f->passes++;
    if (f->firsts && nth > 1)
        return;
    if (!is_new(seen, digest_of(w)))
        return;
    struct freeze_copy *copy = add_copy(f);
    copy->name = name;
    copy->nth = nth;
    world_copy(w, &copy->world);
}

int freeze_run(void (*fn)(void *world), struct world *w, struct freeze *out)
{
    struct seen seen = {NULL};
    int status;
    pid_t pid = start(fn, w);
    while (wait_for_pass(pid, &status)) {
        look(out, &seen, child.note->name, w);
        CHECK(kill(pid, SIGCONT) == 0);
    }
    mem_free(seen.names);
    mem_free(seen.digests);
    end();
    return status;
}

bool freeze_kill(void (*fn)(void *world), struct world *w, int at, struct world *copy)
{
    int status;
    pid_t pid = start(fn, w);
    while (wait_for_pass(pid, &status) && at-- > 0)
        CHECK(kill(pid, SIGCONT) == 0);
    bool stands = WIFSTOPPED(status);
    if (stands) {
        world_copy(w, copy);
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    }
    end();
    return stands;
}

void freeze_done(struct freeze *f)
{
    for (int i = 0; i < f->count; i++)
        world_remove(&f->copies[i].world);
    mem_free(f->copies);
    *f = (struct freeze){.copies = NULL};
}
