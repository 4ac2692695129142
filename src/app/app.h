/* app.h -- builds the parts, wires them, starts them, and ends them in order.
 *
 *     start: listeners -> store, migrations -> texts, pages -> loops with their hub and HTTP server
 *            -> pool, workers -> threads -> "ready"
 *     stop:  no new connections, requests finish -> workers finish -> sockets close with 4200 ->
 *            webhooks are gathered, posts end -> store closes -> loops end
 *
 * The calling thread is the operator's: it only waits for signals. SIGTERM and SIGINT stop (a
 * second one stops at once), SIGHUP reloads certificate and key, and the apps of the Pusher
 * protocol.
 */
#ifndef APP_H
#define APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

struct app_options {
    const char *listen;    // "127.0.0.1:8080", or several: "127.0.0.1:8080,tls://0.0.0.0:8443"
    const char *admin;     // the operator's address, or ""
    const char *tls_cert;  // PEM file of the certificate and its chain, or ""
    const char *tls_key;   // PEM file of its private key, or ""
    const char *data;      // directory
    const char *roles;     // "web,hub,worker" or some of them
    const char *apps;      // JSON file of apps, or ""
    const char *handlers;  // JSON file of handlers of jobs, or ""
    const char *seal_keys; // file of keys that open sealed payloads (app_seal.h), or ""
    const char *redact;    // fields of payloads that pages hide (queue_redact.h)
    const char *path;      // in front of every path of the hub: "/ws", or ""
    bool is_compressed;    // long WebSocket messages, for clients that ask for it
    const char *ws_echo;   // path of the echo endpoint, or ""
    const char *origin;    // "https://viche.example" when behind a proxy, or ""
    const char *trusted_proxies; // networks whose X-Forwarded-For and -Proto count, or ""
    int loops;                   // 0: one per core
    int workers;                 // threads that run jobs
    int readers;                 // threads that read the store and draw pages
    bool is_limited;             // rate limits hold
    bool allows_private;         // webhooks may go to addresses of private networks
    int64_t retry_ms;            // how long a failing webhook is tried again
    bool is_recovery_on_disk;    // what clients may recover survives a restart
    int recovery_mib;            // memory for it
    bool has_test_jobs;          // runs jobs of the kinds test.*
    const char *periodic;        // file of periodic jobs (app_periodic.h), or ""
    int64_t lease_ms;            // of jobs that other processes could run
    int64_t drain_ms;            // how long requests and jobs may take to finish at the end
    int64_t spread_ms;           // closing of sockets is spread over so long
};

enum { APP_WHY_BYTES = 512 };

/* What can be said of the options before anything is touched: roles and addresses are written as
 * such. ERR_INVALID, with one sentence in why_out. */
MUST_USE enum err app_check(const struct app_options *options, char *why_out, size_t why_cap);

/* Serves until a signal. On failure why_out has one sentence for the operator. */
MUST_USE enum err app_serve(const struct app_options *options, char *why_out, size_t why_cap);

#endif
