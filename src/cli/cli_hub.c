/* cli_hub.c -- what a running hub does, asked over DIR/admin.sock (docs/operations.md): lists for
 * people, or with --json as the server gives them; and a tail until it is interrupted. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_admin.h"
#include "cli/cli_table.h"
#include "cli/cli_text.h"
#include "core/check.h"
#include "core/json.h"

enum {
    MAX_ANSWER_BYTES = 64 * 1024 * 1024,
    MAX_PATH_BYTES = 16 * 1024,
    MAX_TIMEOUT_MS = 24 * 3600 * 1000,
};

struct hub_target {
    const char *config, *data, *app, *channel, *socket;
    int64_t timeout_ms;
    int limit;
    bool is_json;
};

#define AT(field) offsetof(struct hub_target, field)

static const struct conf_option options[] = {
    CLI_OPTION_CONFIG(AT(config)),
    {.name = "data",
     .kind = CONF_TEXT,
     .value = "data",
     .meaning = "DIR",
     .help = "data directory of the server, where its admin.sock is",
     .at = AT(data)},
    {.name = "app",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "ID",
     .help = "of this app only",
     .at = AT(app)},
    {.name = "channel",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "NAME",
     .help = "channels that begin with it; connections that are on it; what happens there",
     .at = AT(channel)},
    {.name = "socket",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "ID",
     .help = "one connection",
     .at = AT(socket)},
    {.name = "limit",
     .kind = CONF_INT,
     .value = "100",
     .min = 1,
     .max = 1000,
     .help = "rows of a list",
     .at = AT(limit)},
    {.name = "timeout",
     .kind = CONF_DURATION,
     .value = "3s",
     .min = 1,
     .max = MAX_TIMEOUT_MS,
     .help = "an answer comes within it, or the server hangs; of tail: its beginning",
     .at = AT(timeout_ms)},
    {.name = "json",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "as the server gives it",
     .at = AT(is_json)},
};
const struct conf_table cli_hub_options = {options, sizeof(options) / sizeof(options[0])};

/* ---- asking ---- */

/* Appends before and the value, escaped, when there is one. */
static enum err add_value(struct buf *path, const char *before, const char *value)
{
    if (!value[0])
        return OK;
    char *escaped = curl_easy_escape(NULL, value, 0);
    CHECK(escaped);
    enum err err = buf_printf(path, "%s%s", before, escaped);
    curl_free(escaped);
    return err;
}

/* The one connection has a path of its own. */
static enum err write_path(const struct hub_target *t, const char *what, bool is_one,
                           struct buf *path)
{
    enum err err = buf_printf(path, "/hub/%s", what);
    if (!err && is_one)
        err = add_value(path, "/", t->socket);
    if (!err)
        err = buf_printf(path, "?limit=%d", t->limit);
    if (!err)
        err = add_value(path, "&app=", t->app);
    if (!err)
        err = add_value(path, "&channel=", t->channel);
    if (!err)
        err = add_value(path, "&socket=", t->socket);
    return err ? err : buf_append(path, "", 1);
}

static int get(const struct hub_target *t, const char *what, bool is_one,
               struct cli_admin_answer *a)
{
    char why[CLI_ADMIN_WHY_BYTES] = "that is longer than any name";
    struct buf path;
    buf_init(&path, MAX_PATH_BYTES);
    enum err err = write_path(t, what, is_one, &path);
    if (!err)
        err = cli_admin_get(t->data, (const char *)buf_head(&path), a, why, sizeof(why));
    buf_done(&path);
    if (err)
        return cli_fail(CLI_FAILED, "%s", why);
    if (a->status == 404)
        return cli_fail(CLI_FAILED, "no such connection");
    return a->status == 200 ? CLI_DONE
                            : cli_fail(CLI_FAILED, "the server answered %ld: %.*s", a->status,
                                       (int)buf_len(&a->body), (const char *)buf_head(&a->body));
}

/* ---- lists for people ---- */

static int print_list(struct str body, const char *const *names)
{
    cJSON *root = NULL;
    if (json_parse(body, &root) != OK)
        return cli_fail(CLI_FAILED, "the server's answer is not JSON");
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(root, "rows");
    const cJSON *total = cJSON_GetObjectItemCaseSensitive(root, "total");
    cli_table_print(rows, names);
    if (cJSON_IsNumber(total) && total->valuedouble > cJSON_GetArraySize(rows))
        printf("%d of %.0f; --limit shows more\n", cJSON_GetArraySize(rows), total->valuedouble);
    cJSON_Delete(root);
    return CLI_DONE;
}

/* names NULL: JSON is printed. */
static int ask(const struct hub_target *t, const char *what, const char *const *names)
{
    bool is_one = strcmp(what, "connections") == 0 && t->socket[0];
    struct cli_admin_answer a = {.is_streamed = strcmp(what, "tail") == 0,
                                 .timeout_ms = (long)t->timeout_ms};
    buf_init(&a.body, MAX_ANSWER_BYTES);
    int status = get(t, what, is_one, &a);
    struct str body = {(const char *)buf_head(&a.body), buf_len(&a.body)};
    if (status == CLI_DONE && names && !t->is_json && !is_one) {
        status = print_list(body, names);
    } else if (status == CLI_DONE && !a.is_streamed) {
        cli_text_print_json(stdout, body);
        putchar('\n');
    }
    buf_done(&a.body);
    return status;
}

/* ---- commands ---- */

static int run(const struct cli_command *command, int argc, char *const *argv, const char *what,
               const char *const *names)
{
    struct arena texts;
    struct hub_target target = {0};
    int status = CLI_DONE;
    arena_init(&texts);
    if (cli_read_options(command, argc, argv, &texts, &target, &status) == OK)
        status = ask(&target, what, names);
    arena_done(&texts);
    return status;
}

int cli_hub_channels(const struct cli_command *command, int argc, char *const *argv)
{
    static const char *const names[] = {"app",   "channel",      "subscribers",
                                        "users", "cached_bytes", NULL};
    return run(command, argc, argv, "channels", names);
}

int cli_hub_connections(const struct cli_command *command, int argc, char *const *argv)
{
    static const char *const names[] = {"app",           "socket_id",     "user",      "address",
                                        "subscriptions", "waiting_bytes", "silent_ms", NULL};
    return run(command, argc, argv, "connections", names);
}

int cli_hub_refusals(const struct cli_command *command, int argc, char *const *argv)
{
    static const char *const names[] = {"at_ms",   "what", "app", "address",
                                        "channel", "code", "why", NULL};
    return run(command, argc, argv, "refusals", names);
}

int cli_hub_frames(const struct cli_command *command, int argc, char *const *argv)
{
    static const char *const names[] = {"at_ms", "way", "bytes", "text", NULL};
    return run(command, argc, argv, "frames", names);
}

int cli_hub_tail(const struct cli_command *command, int argc, char *const *argv)
{
    return run(command, argc, argv, "tail", NULL);
}
