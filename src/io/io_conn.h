/* io_conn.h -- one non-blocking TCP stream, in clear or under TLS (io_tls) with the same calls.
 *
 *     OPEN -- io_conn_end --> ENDING (flush, FIN, wait <= 2 s for the peer's) --> CLOSED
 *     OPEN, ENDING -- io_conn_close, error, hang-up ----------------------------> CLOSED
 *
 * In:  readable -> handler->on_bytes, with bytes that live in the loop's shared buffer for the call
 * only; an idle connection owns no read buffer. Out: io_conn_write gathers into one buffer per
 * connection, sent once at the end of the loop's turn; io_conn_write_shared sends bytes of somebody
 * else at once without a copy when nothing is waiting, and copies only what the socket did not
 * take. An idle connection owns no write buffer. close is a request: on_closed is called and memory
 * goes at the end of the turn, so callbacks may close anything. After io_conn_close no callback but
 * on_closed comes.
 *
 * Under TLS the plain bytes wait as they do in clear, and become records only when the socket takes
 * them; close_notify goes before our FIN, and the peer's counts as its FIN. A failed handshake or a
 * broken record ends the connection (ENDING) with an alert. The owner bounds how long a handshake
 * may take: it gets no bytes before it is done.
 */
#ifndef IO_CONN_H
#define IO_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "io/io_loop.h"
#include "io/io_tls.h"

struct io_conn;

struct io_conn_handler {
    /* All len bytes must be taken (or copied). May pause, write, end, close, change the handler. */
    void (*on_bytes)(struct io_conn *c, void *owner, const uint8_t *bytes, size_t len);
    /* The peer sent FIN: no more bytes will come; we may still write. NULL: io_conn_end is called.
     */
    void (*on_end)(struct io_conn *c, void *owner);
    /* Output that was waiting has all been taken by the kernel. May be NULL. */
    void (*on_drained)(struct io_conn *c, void *owner);
    /* io_conn_start_timer's delay is over. May be NULL. */
    void (*on_timer)(struct io_conn *c, void *owner);
    /* The last call; c is freed when it returns. */
    void (*on_closed)(struct io_conn *c, void *owner);
};

/* Takes the connected, non-blocking descriptor. max_out_bytes bounds what may wait for the peer. */
struct io_conn *io_conn_new(struct io_loop *l, int fd, const struct io_conn_handler *handler,
                            void *owner, size_t max_out_bytes);

/* From now on under TLS as the server; before any bytes went either way. plain_answer (static) is
 * for a peer that speaks HTTP in clear. */
void io_conn_start_tls(struct io_conn *c, SSL_CTX *certificate, struct str plain_answer);
bool io_conn_is_tls(const struct io_conn *c);

/* Hands the connection to another protocol (upgrade). */
void io_conn_set_handler(struct io_conn *c, const struct io_conn_handler *handler, void *owner);
void io_conn_set_max_out(struct io_conn *c, size_t max_out_bytes);

struct io_loop *io_conn_loop(const struct io_conn *c);
bool io_conn_is_open(const struct io_conn *c); // neither ending nor closed

/* Queues a copy; it leaves at the end of this turn. ERR_TOO_LARGE: more than max_out_bytes would
 * wait (nothing is queued; the caller decides, usually to close). OK and ignored once ending or
 * closed. */
MUST_USE enum err io_conn_write(struct io_conn *c, const void *bytes, size_t len);

/* As io_conn_write, but tries to send at once, without copying, when nothing is waiting (under TLS:
 * the records are the only copy). */
MUST_USE enum err io_conn_write_shared(struct io_conn *c, const void *bytes, size_t len);

/* Something will be written soon: brings what that takes into the processor's cache. */
void io_conn_prefetch(const struct io_conn *c);

/* Sends what is waiting now rather than at the end of the turn. */
void io_conn_flush(struct io_conn *c);
/* Bytes waiting for the peer, records of TLS among them. */
size_t io_conn_waiting(const struct io_conn *c);

/* Stops / goes on reading (backpressure). Counted: no. */
void io_conn_pause(struct io_conn *c);
void io_conn_resume(struct io_conn *c);

/* Runs handler->on_timer after delay_ms; starting again moves it. Each connection has one timer,
 * which it needs for itself once ending: both are ignored then. */
void io_conn_start_timer(struct io_conn *c, int64_t delay_ms);
void io_conn_stop_timer(struct io_conn *c);

/* Flushes, sends FIN, closes when the peer does or after 2 s. Bytes from the peer are dropped. */
void io_conn_end(struct io_conn *c);
/* Closes now; what is waiting is lost. */
void io_conn_close(struct io_conn *c);

#endif
