#include "core/failpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

bool failpoint_is_armed;

static failpoint_fn *listener;
static void *listener_ctx;

static struct {
    const char *name;
    _Atomic int left; // passes until the end
} end;

void failpoint_listen(failpoint_fn *fn, void *ctx)
{
    listener = fn;
    listener_ctx = ctx;
    __atomic_store_n(&failpoint_is_armed, fn != NULL, __ATOMIC_RELEASE);
}

void failpoint_tell(const char *name)
{
    listener(name, listener_ctx);
}

static void kill_here(const char *name, void *ctx)
{
    (void)ctx;
    if (strcmp(name, end.name) == 0 && atomic_fetch_sub(&end.left, 1) == 1)
        kill(getpid(), SIGKILL);
}

void failpoint_kill_at(const char *name, int nth)
{
    end.name = name;
    atomic_store(&end.left, nth);
    failpoint_listen(kill_here, NULL);
}
