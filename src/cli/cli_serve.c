#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/app_env.h"
#include "cli/cli.h"
#include "core/log.h"
#include "queue/queue_redact.h"

/* What app_serve takes, and what only concerns the command line. */
struct serve_target {
    struct app_options app;
    const char *config, *log_level;
};

#define AT(field) offsetof(struct serve_target, field)

static const struct conf_option options[] = {
    CLI_OPTION_CONFIG(AT(config)),
    {.name = "listen",
     .kind = CONF_TEXT,
     .value = "127.0.0.1:8080",
     .meaning = "ADDRESS:PORT",
     .help = "where to serve; port 0 takes a free one; tls://ADDRESS:PORT under TLS; several with "
             "commas",
     .at = AT(app.listen)},
    {.name = "tls-cert",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help = "certificate for tls:// with its chain, PEM; SIGHUP reads it and the key again",
     .at = AT(app.tls_cert)},
    {.name = "tls-key",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help = "private key of the certificate, PEM without a pass phrase",
     .at = AT(app.tls_key)},
    {.name = "admin",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "ADDRESS:PORT",
     .help = "where to serve metrics and what the hub does; without login, so keep it private",
     .at = AT(app.admin)},
    {.name = "data",
     .kind = CONF_TEXT,
     .value = "data",
     .meaning = "DIR",
     .help = "where the database and app.json are; made when missing",
     .at = AT(app.data)},
    {.name = "roles",
     .kind = CONF_TEXT,
     .value = "web,hub,worker",
     .meaning = "LIST",
     .help = "what the process does: pages and API, WebSockets, jobs; one server a data directory",
     .at = AT(app.roles)},
    {.name = "loops",
     .kind = CONF_INT,
     .value = "0",
     .min = 0,
     .max = 64,
     .help = "event loops; 0: one for each core",
     .at = AT(app.loops)},
    {.name = "workers",
     .kind = CONF_INT,
     .value = "2",
     .min = 0,
     .max = 64,
     .help = "threads that run jobs",
     .at = AT(app.workers)},
    {.name = "readers",
     .kind = CONF_INT,
     .value = "3",
     .min = 1,
     .max = 64,
     .help = "threads that read the database and draw pages",
     .at = AT(app.readers)},
    {.name = "apps",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help =
         "apps of the Pusher protocol as JSON; else REVERB_APP_ID, _KEY, _SECRET; else app.json",
     .at = AT(app.apps)},
    {.name = "handlers",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help = "programs and URLs that do jobs, as JSON (docs/queue-handlers.md)",
     .at = AT(app.handlers)},
    CLI_OPTION_SEAL_KEYS(AT(app.seal_keys)),
    CLI_OPTION_REDACT(AT(app.redact)),
    {.name = "path",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "PREFIX",
     .help = "stands before every path of the hub: /ws makes /ws/app, /ws/apps, /ws/up; else "
             "REVERB_SERVER_PATH",
     .at = AT(app.path)},
    {.name = "origin",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "URL",
     .help = "address that people use when a proxy stands before us; https: cookies are Secure",
     .at = AT(app.origin)},
    {.name = "trusted-proxies",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "CIDR,...",
     .help = "proxies before us whose X-Forwarded-For and X-Forwarded-Proto are believed",
     .at = AT(app.trusted_proxies)},
    {.name = "recovery-on-disk",
     .kind = CONF_SWITCH,
     .value = "on",
     .help = "what clients can recover survives a restart (in DIR/hub)",
     .at = AT(app.is_recovery_on_disk)},
    {.name = "recovery-memory",
     .kind = CONF_INT,
     .value = "64",
     .min = 1,
     .max = 65536,
     .meaning = "MIB",
     .help = "memory for what clients can recover, of all channels together",
     .at = AT(app.recovery_mib)},
    {.name = "rate-limits",
     .kind = CONF_SWITCH,
     .value = "on",
     .help = "limits of writes and logins for each account and address",
     .at = AT(app.is_limited)},
    {.name = "webhook-private",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "webhooks may go to loopback, private and other addresses that are not public",
     .at = AT(app.allows_private)},
    {.name = "webhook-retry",
     .kind = CONF_DURATION,
     .value = "5m",
     .min = 1000,
     .max = 86400000,
     .help = "how long a webhook that fails is tried again",
     .at = AT(app.retry_ms)},
    {.name = "compression",
     .kind = CONF_SWITCH,
     .value = "on",
     .help = "compress long WebSocket messages for clients that ask for it (permessage-deflate)",
     .at = AT(app.is_compressed)},
    {.name = "ws-echo",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "PATH",
     .help = "echo WebSocket messages on this path, for protocol test suites",
     .at = AT(app.ws_echo)},
    {.name = "periodic",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help = "periodic jobs: [name], cron, zone, kind, payload, queue, overlap, catch-up",
     .at = AT(app.periodic)},
    {.name = "test-jobs",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "run jobs of the kinds test.effect, test.fail, test.sleep, test.crash, for tests",
     .at = AT(app.has_test_jobs)},
    {.name = "lease",
     .kind = CONF_DURATION,
     .value = "30s",
     .min = 1000,
     .max = 3600000,
     .help = "jobs of a process that hangs run elsewhere after so long",
     .at = AT(app.lease_ms)},
    {.name = "drain",
     .kind = CONF_DURATION,
     .value = "8s",
     .min = 0,
     .max = 600000,
     .help = "how long requests and jobs may take to finish when stopping",
     .at = AT(app.drain_ms)},
    {.name = "close-spread",
     .kind = CONF_DURATION,
     .value = "500ms",
     .min = 0,
     .max = 600000,
     .help = "closing of sockets is spread over this time when stopping",
     .at = AT(app.spread_ms)},
    {.name = "log-level",
     .kind = CONF_TEXT,
     .value = "info",
     .meaning = "LEVEL",
     .help = "debug, info, warn or error",
     .at = AT(log_level)},
};

const struct conf_table cli_serve_options = {options, sizeof(options) / sizeof(options[0])};

/* "/echo", "/tests/echo": what the router takes as it stands. */
static bool is_plain_path(const char *path)
{
    if (path[0] != '/')
        return false;
    for (const char *c = path; *c; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL;
        if (!is_plain && !(*c == '/' && c[1] != '/' && c[1] != '\0'))
            return false;
    }
    return true;
}

/* "ws", "/ws" and "/ws/" are the same, as with Reverb; "/" is none. */
static const char *path_prefix(const char *path, struct arena *texts)
{
    struct str bare = str_of(path);
    while (bare.len > 0 && bare.at[0] == '/')
        bare = (struct str){bare.at + 1, bare.len - 1};
    while (bare.len > 0 && bare.at[bare.len - 1] == '/')
        bare.len--;
    return bare.len > 0 ? arena_printf(texts, "/%.*s", STR_ARG(bare)).at : "";
}

/* False, with the status, when these are no rules. */
static bool has_rules(const struct serve_target *target, int *status)
{
    const char *why = NULL;
    if (queue_redact_check(str_of(target->app.redact), &why) == OK)
        return true;
    *status = cli_fail(CLI_USAGE, "--redact: %s", why);
    return false;
}

/* False, with the status, when it is no path. */
static bool set_path(struct serve_target *target, struct arena *texts, int *status)
{
    const char *given = target->app.path;
    if (!given[0])
        given = arena_str(texts, app_env_get("REVERB_SERVER_PATH").text).at;
    target->app.path = path_prefix(given, texts);
    if (!target->app.path[0] || is_plain_path(target->app.path))
        return true;
    *status = cli_fail(CLI_USAGE, "--path: '%s' is not a path like /ws", given);
    return false;
}

/* "https://viche.example", "http://localhost:8080": what browsers send as Origin (RFC 6454). */
static bool is_origin(struct str text)
{
    struct str rest = text;
    if (!str_starts(text, STR("http://")) && !str_starts(text, STR("https://")))
        return false;
    str_cut(rest, '/', &rest);
    str_cut(rest, '/', &rest);
    return rest.len > 0 && !memchr(rest.at, '/', rest.len) && !memchr(rest.at, ' ', rest.len);
}

/* Where Reverb would listen, as its variables say; ours stands above them. Before any thread. */
static void adopt_reverb_address(void)
{
    const struct app_env host = app_env_get("REVERB_SERVER_HOST");
    const struct app_env port = app_env_get("REVERB_SERVER_PORT");
    struct str h = host.kind == APP_ENV_NOTHING ? STR("0.0.0.0") : host.text;
    struct str p = port.kind == APP_ENV_NOTHING ? STR("8080") : port.text;
    char address[256];
    if (host.kind == APP_ENV_NOTHING && port.kind == APP_ENV_NOTHING)
        return;
    bool is_bare_v6 = memchr(h.at, ':', h.len) && h.at[0] != '[';
    snprintf(address, sizeof(address), is_bare_v6 ? "[%.*s]:%.*s" : "%.*s:%.*s", STR_ARG(h),
             STR_ARG(p));
    setenv("VICHE_LISTEN", address, 0);
}

/* Whoever runs several Reverbs behind Redis would lose events without a word. */
static void warn_of_scaling(void)
{
    const struct app_env scaling = app_env_get("REVERB_SCALING_ENABLED");
    if (scaling.kind == APP_ENV_TRUE ||
        (scaling.kind == APP_ENV_TEXT && !str_eq(scaling.text, STR("0"))))
        log_warn("at=cli.serve key=REVERB_SCALING_ENABLED why=\"servers do not hear each other: "
                 "run one, which uses all cores\"");
}

int cli_serve_run(const struct cli_command *command, int argc, char *const *argv)
{
    struct arena texts;
    struct serve_target target = {0};
    enum log_level level = LOG_INFO;
    char why[APP_WHY_BYTES] = "";
    int status = CLI_DONE;
    arena_init(&texts);

    adopt_reverb_address();
    if (cli_read_options(command, argc, argv, &texts, &target, &status) != OK)
        goto out;
    if (log_parse_level(str_of(target.log_level), &level) != OK) {
        status = cli_fail(CLI_USAGE, "--log-level: '%s' is not debug, info, warn or error",
                          target.log_level);
        goto out;
    }
    if (target.app.ws_echo[0] && !is_plain_path(target.app.ws_echo)) {
        status =
            cli_fail(CLI_USAGE, "--ws-echo: '%s' is not a path like /echo", target.app.ws_echo);
        goto out;
    }
    if (!set_path(&target, &texts, &status) || !has_rules(&target, &status))
        goto out;
    if (target.app.origin[0] && !is_origin(str_of(target.app.origin))) {
        status = cli_fail(CLI_USAGE, "--origin: '%s' is not an address like https://viche.example",
                          target.app.origin);
        goto out;
    }
    if (app_check(&target.app, why, sizeof(why)) != OK) {
        status = cli_fail(CLI_USAGE, "%s", why);
        goto out;
    }
    log_set_level(level);
    warn_of_scaling();
    enum err err = app_serve(&target.app, why, sizeof(why));
    if (err)
        status = cli_fail(CLI_FAILED, "%s", why[0] ? why : err_text(err));
out:
    arena_done(&texts);
    return status;
}
