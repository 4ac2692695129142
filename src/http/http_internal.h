/* http_internal.h -- what http_server, http_conn and http_reply share. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include "http/http_parse.h"
#include "http/http_router.h"

struct http_server {
    struct io_loop *loop;
    struct http_limits limits;
    struct http_router *router;
    const struct http_proxy *proxy; // NULL: every peer is a client
    void (*on_unrouted)(struct http_exchange *x, int status, void *ctx); // may be NULL
    void *unrouted_ctx;
    struct list conns;
    size_t conn_count;
    void *spare_turn; // of http_conn.c: the last request's memory, for the next

    int64_t date_s;  // the second that stamp is for
    char stamp[128]; // "Date: ...\r\nX-Content-Type-Options: nosniff\r\n"
    size_t stamp_len;

    bool is_stopping;
    struct io_timer drain_timer;
    struct io_task stopped_task;
    void (*on_stopped)(void *ctx); // NULL when it was told
    void *stopped_ctx;
};

/* ---- http_conn.c ---- */

/* Serves fd; certificate: NULL in clear. */
void http_conn_new(struct http_server *s, int fd, const char *peer, SSL_CTX *certificate);
/* Idle: closes. Busy: the answer to come says Connection: close. */
void http_conn_drain(struct http_conn *c);
/* Closes now; what is unanswered is dropped quietly. */
void http_conn_abort(struct http_conn *c);
struct http_conn *http_conn_of_node(struct list *node); // of http_server.conns

struct io_conn *http_conn_io(struct http_conn *c);
struct http_server *http_conn_server(struct http_conn *c);
/* The reply of x was written: frees x, goes on with the connection. */
void http_conn_answered(struct http_conn *c, struct http_exchange *x);
void http_conn_free_spare(struct http_server *s);
/* Frees an exchange whose client is gone. */
void http_conn_free_exchange(struct http_exchange *x);
struct io_conn *http_conn_upgrade(struct http_conn *c, struct http_exchange *x, struct buf *early);

/* ---- http_problem.c ---- */
/* A problem of HTTP itself, in English, for clients that no page reaches; the code is the reason in
 * lower case: "bad-request". */
void http_problem_plain(struct http_exchange *x, int status);

/* ---- http_server.c ---- */
void http_server_conn_gone(struct http_server *s);
/* The field lines that every response has. Borrowed until the next call. */
struct str http_server_stamp(struct http_server *s);

#endif
