/* cli_worker.c -- a process that only runs jobs. SIGHUP ends it when its jobs are done and starts
 * it anew by exec, from the same file, which may be a new version. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app_worker.h"
#include "cli/cli.h"
#include "core/log.h"
#include "core/mem.h"

enum { PATH_BYTES = 4096, WHY_BYTES = 512 };

struct worker_target {
    struct app_worker_options worker;
    const char *config, *log_level;
};

#define AT(field) offsetof(struct worker_target, field)

static const struct conf_option options[] = {
    CLI_OPTION_CONFIG(AT(config)),
    CLI_OPTION_DATA(AT(worker.data)),
    {.name = "queues",
     .kind = CONF_TEXT,
     .value = "default",
     .meaning = "NAME,...",
     .help = "whose jobs it runs",
     .at = AT(worker.queues)},
    {.name = "handlers",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help = "programs and URLs that do jobs of these queues, as JSON (docs/queue-handlers.md)",
     .at = AT(worker.handlers)},
    CLI_OPTION_SEAL_KEYS(AT(worker.seal_keys)),
    {.name = "periodic",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "FILE",
     .help = "periodic jobs, as serve; give all processes the same file",
     .at = AT(worker.periodic)},
    {.name = "metrics",
     .kind = CONF_TEXT,
     .value = "",
     .meaning = "[ADDRESS:]PORT",
     .help = "where to serve its own /metrics, on loopback by default; there is no login",
     .at = AT(worker.metrics)},
    {.name = "concurrency",
     .kind = CONF_INT,
     .value = "2",
     .min = 1,
     .max = 256,
     .help = "jobs of each queue at once; those of --handlers by what the file says",
     .at = AT(worker.concurrency)},
    {.name = "lease",
     .kind = CONF_DURATION,
     .value = "30s",
     .min = 1000,
     .max = 3600000,
     .help = "jobs of a process that hangs run elsewhere after so long",
     .at = AT(worker.lease_ms)},
    {.name = "drain",
     .kind = CONF_DURATION,
     .value = "8s",
     .min = 0,
     .max = 3600000,
     .help = "how long jobs may take to finish when stopping; then they go back to their queue",
     .at = AT(worker.drain_ms)},
    {.name = "max-jobs",
     .kind = CONF_INT,
     .value = "0",
     .min = 0,
     .max = INT32_MAX,
     .help = "end after so many jobs; 0: never",
     .at = AT(worker.max_jobs)},
    {.name = "max-memory",
     .kind = CONF_INT,
     .value = "0",
     .min = 0,
     .max = 1048576,
     .meaning = "MIB",
     .help = "end when it takes more resident memory; 0: never",
     .at = AT(worker.max_memory_mib)},
    {.name = "test-jobs",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "run the kinds test.*, as serve; also when a server did so in this database",
     .at = AT(worker.has_test_jobs)},
    {.name = "log-level",
     .kind = CONF_TEXT,
     .value = "info",
     .meaning = "LEVEL",
     .help = "debug, info, warn or error",
     .at = AT(log_level)},
};
const struct conf_table cli_worker_options = {options, sizeof(options) / sizeof(options[0])};

/* Returns only when it failed. */
static int start_anew(const char *path, const struct cli_command *command, int argc,
                      char *const *argv)
{
    const char **words = mem_zalloc((size_t)(argc + 3) * sizeof(*words));
    words[0] = path;
    words[1] = command->name;
    for (int i = 0; i < argc; i++)
        words[2 + i] = argv[i];
    execv(path, (char *const *)(void *)words);
    mem_free(words);
    return cli_fail(CLI_FAILED, "cannot start %s anew: %s", path, strerror(errno));
}

static int work(const struct worker_target *target, enum app_worker_end *end_out)
{
    enum log_level level = LOG_INFO;
    char why[WHY_BYTES] = "";
    if (log_parse_level(str_of(target->log_level), &level) != OK)
        return cli_fail(CLI_USAGE, "--log-level: '%s' is not debug, info, warn or error",
                        target->log_level);
    log_set_level(level);
    enum err err = app_worker_run(&target->worker, end_out, why, sizeof(why));
    return err ? cli_fail(CLI_FAILED, "%s", why[0] ? why : err_text(err)) : CLI_DONE;
}

int cli_worker_run(const struct cli_command *command, int argc, char *const *argv)
{
    struct arena texts;
    struct worker_target target = {0};
    enum app_worker_end end = APP_WORKER_STOP;
    char path[PATH_BYTES] = "";
    int status = CLI_DONE;
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1); // before it is replaced
    path[len > 0 ? len : 0] = '\0';
    arena_init(&texts);
    if (cli_read_options(command, argc, argv, &texts, &target, &status) == OK)
        status = work(&target, &end);
    arena_done(&texts);
    return status == CLI_DONE && end == APP_WORKER_RESTART ? start_anew(path, command, argc, argv)
                                                           : status;
}
