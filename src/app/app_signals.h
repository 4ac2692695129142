/* app_signals.h -- how a process is told to stop. */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include <signal.h>

/* Blocks SIGTERM, SIGINT and SIGHUP, which the caller waits for, and ignores SIGPIPE. Before any
 * thread, so that all inherit it. */
void app_signals_block(sigset_t *signals_out);
/* Half a second from now on a SIGTERM or SIGINT ends the process at once: the operator is in a
 * hurry. What was
 * acknowledged is durable anyway. */
void app_signals_end_on_next(const sigset_t *signals);

#endif
