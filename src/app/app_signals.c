#include "app/app_signals.h"

#include <pthread.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"

void app_signals_block(sigset_t *signals_out)
{
    sigemptyset(signals_out);
    sigaddset(signals_out, SIGTERM);
    sigaddset(signals_out, SIGINT);
    sigaddset(signals_out, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals_out, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* timeout(1) tells the process and its group, npm what the terminal told already: that is one wish.
 */
enum { ONE_WISH_MS = 500 };

static void *watch(void *arg)
{
    const sigset_t *signals = arg;
    int64_t began_ms = clock_mono_ms();
    int number = SIGHUP;
    while (number == SIGHUP || clock_mono_ms() - began_ms < ONE_WISH_MS)
        if (sigwait(signals, &number) != 0)
            number = SIGHUP;
    log_warn("at=app.stop why=\"second signal\"");
    _exit(1);
}

void app_signals_end_on_next(const sigset_t *signals)
{
    static sigset_t again; // outlives this call: the watcher is never joined
    pthread_t watcher;
    again = *signals;
    if (pthread_create(&watcher, NULL, watch, &again) == 0)
        pthread_detach(watcher);
}
