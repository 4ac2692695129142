#include "app/app_listen.h"

#include <stdio.h>
#include <unistd.h>

#include "core/log.h"
#include "io/io_listener.h"

struct opening {
    struct app_listen *l;
    char *why;
    size_t why_cap;
};

static enum err read_addresses(struct opening *o)
{
    static const struct str scheme = {"tls://", 6};
    struct app_listen *l = o->l;
    struct str rest = str_of(l->options->listen);
    do {
        if (l->count == APP_LISTEN_MAX) {
            snprintf(o->why, o->why_cap, "--listen takes at most %d addresses", APP_LISTEN_MAX);
            return ERR_INVALID;
        }
        struct str address = str_trim(str_cut(rest, ',', &rest));
        bool is_tls = str_starts(address, scheme);
        size_t skip = is_tls ? scheme.len : 0;
        l->at[l->count].is_tls = is_tls;
        l->at[l->count].address = (struct str){address.at + skip, address.len - skip};
        l->count++;
    } while (rest.len > 0);
    return OK;
}

enum err app_listen_check(const struct app_options *options, char *why_out, size_t why_cap)
{
    struct app_listen l = {.options = options};
    struct opening o = {.l = &l, .why_cap = why_cap};
    o.why = why_out;
    enum err err = read_addresses(&o);
    for (size_t i = 0; i < l.count && !err; i++) {
        if (io_listener_is_address(l.at[i].address))
            continue;
        snprintf(why_out, why_cap,
                 "--listen: \"%.*s\" is not an address to listen on; write it as 127.0.0.1:8080",
                 STR_ARG(l.at[i].address));
        err = ERR_INVALID;
    }
    return err;
}

static bool has_tls(const struct app_listen *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->at[i].is_tls)
            return true;
    return false;
}

static enum err load_certificate(struct opening *o)
{
    const struct app_options *options = o->l->options;
    bool has_cert = options->tls_cert[0] != '\0', has_key = options->tls_key[0] != '\0';
    if (!has_tls(o->l)) {
        if (!has_cert && !has_key)
            return OK;
        snprintf(o->why, o->why_cap,
                 "%s is given, but no address under TLS; write one as --listen tls://0.0.0.0:8443",
                 has_cert ? "--tls-cert" : "--tls-key");
        return ERR_INVALID;
    }
    if (!has_cert || !has_key) {
        snprintf(o->why, o->why_cap, "--listen tls://... needs --tls-cert FILE and --tls-key FILE");
        return ERR_INVALID;
    }
    return io_tls_load(options->tls_cert, options->tls_key, &o->l->certificate, o->why, o->why_cap);
}

static enum err open_address(struct opening *o, size_t i)
{
    struct app_listen *l = o->l;
    int *fds = l->at[i].fds;
    enum err err = io_listener_open(l->at[i].address, &fds[0], o->why, o->why_cap);
    if (err)
        return err;
    l->at[i].port = io_listener_port(fds[0]);
    for (int loop = 1; loop < l->loops; loop++) {
        err = io_listener_open_sibling(fds[0], &fds[loop]);
        if (err) {
            snprintf(o->why, o->why_cap, "cannot listen with %d loops on %.*s", l->loops,
                     STR_ARG(l->at[i].address));
            return err;
        }
    }
    return OK;
}

enum err app_listen_open(struct app_listen *l, const struct app_options *options, int loops,
                         char *why_out, size_t why_cap)
{
    struct opening o = {.l = l, .why_cap = why_cap};
    o.why = why_out;
    *l = (struct app_listen){.options = options, .loops = loops};

    enum err err = read_addresses(&o);
    for (size_t i = 0; i < l->count; i++)
        for (int loop = 0; loop < loops; loop++)
            l->at[i].fds[loop] = -1;
    for (size_t i = 0; i < l->count && !err; i++)
        err = open_address(&o, i);
    return err ? err : load_certificate(&o);
}

bool app_listen_reload(struct app_listen *l)
{
    char why[APP_WHY_BYTES], quoted[LOG_QUOTE_BYTES];
    SSL_CTX *certificate = NULL;
    if (!l->certificate)
        return false;
    if (io_tls_load(l->options->tls_cert, l->options->tls_key, &certificate, why, sizeof(why))) {
        log_error("at=app_listen.reload why=%s", log_quote(str_of(why), quoted));
        return false;
    }
    io_tls_unref(l->certificate);
    l->certificate = certificate;
    log_info("at=app_listen.reload file=%s", log_quote(str_of(l->options->tls_cert), quoted));
    return true;
}

void app_listen_ports(const struct app_listen *l, char *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < l->count && len < cap; i++)
        len += (size_t)snprintf(out + len, cap - len, "%s%d", i > 0 ? "," : "", l->at[i].port);
}

void app_listen_done(struct app_listen *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (int loop = 0; loop < l->loops; loop++)
            if (l->at[i].fds[loop] >= 0)
                close(l->at[i].fds[loop]);
    io_tls_unref(l->certificate);
}
