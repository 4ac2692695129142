#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli_text.h"
#include "core/arena.h"
#include "core/log.h"

#ifndef VICHE_VERSION
#define VICHE_VERSION "0.1.0"
#endif

enum { WHY_BYTES = 512, HELP_BYTES = 16 * 1024 };

static int run_version(const struct cli_command *command, int argc, char *const *argv);
static int run_config(const struct cli_command *command, int argc, char *const *argv);

static const struct conf_table no_options = {0};

static const struct cli_command commands[] = {
    {"serve", "serve pages, API and WebSockets; run jobs", &cli_serve_options, cli_serve_run},
    {"worker", "run jobs, beside a server or without one", &cli_worker_options, cli_worker_run},
    {"user add", "make an account", &cli_user_options, cli_user_add},
    {"seed", "fill the database with a demo town (--demo)", &cli_data_seed_options, cli_data_seed},
    {"migrate", "bring the database up to this version", &cli_data_options, cli_data_migrate},
    {"check", "check that the database is sound", &cli_data_options, cli_data_check},
    {"hub channels", "channels of the running server", &cli_hub_options, cli_hub_channels},
    {"hub connections", "its connections; with --socket one of them", &cli_hub_options,
     cli_hub_connections},
    {"hub refusals", "who was refused lately, and why", &cli_hub_options, cli_hub_refusals},
    {"hub frames", "the last messages to and from --socket ID", &cli_hub_options, cli_hub_frames},
    {"hub tail", "what happens, as it happens: why does nothing arrive?", &cli_hub_options,
     cli_hub_tail},
    {"queue push KIND JSON", "enqueue jobs; prints their ids", &cli_queue_push_options,
     cli_queue_push},
    {"queue stats", "how many jobs each queue has, and how old the oldest is",
     &cli_queue_stats_options, cli_queue_stats},
    {"queue list", "jobs, by queue, state, kind, tag, key, batch, time or payload",
     &cli_queue_list_options, cli_queue_list},
    {"queue show ID", "one job: what was asked for, and all that became of it",
     &cli_queue_show_options, cli_queue_show},
    {"queue retry ID...", "run jobs again that are dead, done or cancelled; now those that wait",
     &cli_queue_act_options, cli_queue_act_retry},
    {"queue retry-all", "the same for all that match, dead ones by default",
     &cli_queue_many_options, cli_queue_many_retry},
    {"queue edit ID", "change the payload, time or priority of a job that does not run",
     &cli_queue_edit_options, cli_queue_edit},
    {"queue discard ID...", "cancel what waits, remove what is over", &cli_queue_act_options,
     cli_queue_act_discard},
    {"queue discard-all", "the same for all that match", &cli_queue_many_options,
     cli_queue_many_discard},
    {"queue cancel ID...", "cancel what waits, ask what runs to stop", &cli_queue_act_options,
     cli_queue_act_cancel},
    {"queue pause NAME", "begin no more jobs of a queue", &cli_queue_pause_options,
     cli_queue_pause_set},
    {"queue resume NAME", "begin them again", &cli_queue_act_options, cli_queue_pause_end},
    {"queue limit list", "what is set for queues and keys", &cli_queue_limit_list_options,
     cli_queue_limit_list},
    {"queue limit show NAME", "limits of a queue, or with --key of a key", &cli_queue_limit_options,
     cli_queue_limit_show},
    {"queue limit set NAME", "how many run at once, begin in a time, are kept",
     &cli_queue_limit_set_options, cli_queue_limit_set},
    {"queue limit clear NAME", "as if nothing had been set", &cli_queue_limit_options,
     cli_queue_limit_clear},
    {"queue batch list", "batches and graphs, the newest first", &cli_queue_batch_list_options,
     cli_queue_batch_list},
    {"queue batch show ID", "how far it is, and its jobs", &cli_queue_act_options,
     cli_queue_batch_show},
    {"queue batch cancel ID...", "cancel its jobs that do not run; the others are not tried again",
     &cli_queue_act_options, cli_queue_batch_cancel},
    {"queue prune", "remove jobs that are over", &cli_queue_prune_options, cli_queue_many_prune},
    {"queue tail", "what becomes of jobs, as it happens; of those gone in 50 ms, how many",
     &cli_queue_tail_options, cli_queue_tail},
    {"queue periodic list", "jobs that come again, with their next tick",
     &cli_queue_periodic_list_options, cli_queue_periodic_list},
    {"queue periodic add NAME CRON KIND JSON", "declare one, or change it",
     &cli_queue_periodic_add_options, cli_queue_periodic_add},
    {"queue periodic remove NAME", "forget it; its jobs stay", &cli_queue_periodic_options,
     cli_queue_periodic_remove},
    {"queue periodic pause NAME", "no ticks until it is resumed", &cli_queue_periodic_options,
     cli_queue_periodic_pause},
    {"queue periodic resume NAME", "ticks from now on", &cli_queue_periodic_options,
     cli_queue_periodic_resume},
    {"queue periodic run NAME", "enqueue a job of it now; prints its id",
     &cli_queue_periodic_options, cli_queue_periodic_run},
    {"queue periodic next CRON", "when an expression is due, in UTC",
     &cli_queue_periodic_next_options, cli_queue_periodic_next},
    {"config", "print a file for --config, with every option at its default", &no_options,
     run_config},
    {"version", "print the version", &no_options, run_version},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

int cli_fail(int status, const char *format, ...)
{
    char line[WHY_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    fputs("viche: ", stderr);
    cli_text_print(stderr, str_of(line)); // it may name what others chose
    fputc('\n', stderr);
    return status;
}

/* words NULL: it has no operands. Returns the exit status. */
static int read_input(const struct cli_command *command, int argc, char *const *argv,
                      struct arena *texts, void *target, struct conf_words *words)
{
    char why[WHY_BYTES] = "";
    const struct conf_input in = {command->options, &cli_serve_options, argc, argv, words};
    enum err err = conf_read(&in, texts, target, why, sizeof(why));
    if (err)
        return cli_fail(err == ERR_INVALID ? CLI_USAGE : CLI_FAILED, "%s", why);
    return CLI_DONE;
}

enum err cli_read_options(const struct cli_command *command, int argc, char *const *argv,
                          struct arena *texts, void *target, int *status_out)
{
    *status_out = read_input(command, argc, argv, texts, target, NULL);
    return *status_out == CLI_DONE ? OK : ERR_INVALID;
}

static bool is_operand(struct str word)
{
    return word.at[0] >= 'A' && word.at[0] <= 'Z';
}

static bool is_right_count(const struct cli_command *command, size_t count)
{
    struct str rest = str_of(command->name);
    size_t least = 0;
    bool is_open = false;
    while (rest.len > 0) {
        struct str word = str_cut(rest, ' ', &rest);
        is_open = word.at[word.len - 1] == '.';
        least += is_operand(word);
    }
    return count == least || (is_open && count > least);
}

int cli_read_words(const struct cli_command *command, int argc, char *const *argv,
                   struct arena *texts, void *target, struct conf_words *words_out)
{
    int status = read_input(command, argc, argv, texts, target, words_out);
    if (status != CLI_DONE || is_right_count(command, words_out->count))
        return status;
    return cli_fail(CLI_USAGE, "usage: viche %s [OPTIONS]; --help lists them", command->name);
}

static int run_version(const struct cli_command *command, int argc, char *const *argv)
{
    (void)command;
    (void)argv;
    if (argc > 0)
        return cli_fail(CLI_USAGE, "version takes no arguments");
    printf("viche %s\n", VICHE_VERSION);
    return CLI_DONE;
}

static int run_config(const struct cli_command *command, int argc, char *const *argv)
{
    (void)command;
    (void)argv;
    if (argc > 0)
        return cli_fail(CLI_USAGE, "config takes no arguments");
    struct buf text;
    buf_init(&text, HELP_BYTES);
    enum err err = conf_write_file(&cli_serve_options, &text);
    if (!err)
        printf("%.*s", (int)buf_len(&text), (const char *)buf_head(&text));
    buf_done(&text);
    return err ? cli_fail(CLI_FAILED, "the options do not fit") : CLI_DONE;
}

static void print_commands(FILE *out)
{
    fprintf(out, "usage: viche COMMAND [OPTIONS]      viche COMMAND --help lists its options\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-21s %s\n", commands[i].name, commands[i].help);
    fprintf(
        out,
        "\nAn option may also stand in the environment (VICHE_LISTEN) or in a file (--config).\n"
        "Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

static int print_help(const struct cli_command *command)
{
    struct buf text;
    buf_init(&text, HELP_BYTES);
    printf("usage: viche %s%s\n%s\n", command->name, command->options->count ? " [OPTIONS]" : "",
           command->help);
    int status = CLI_DONE;
    if (conf_write_help(command->options, &text) != OK)
        status = CLI_FAILED;
    else if (buf_len(&text) > 0)
        printf("\n%.*s", (int)buf_len(&text), (const char *)buf_head(&text));
    buf_done(&text);
    return status;
}

/* How many words of argv the command's name takes; 0: it is another command. */
static int words_matched(const struct cli_command *command, int argc, char *const *argv)
{
    struct str rest = str_of(command->name);
    int words = 0;
    while (rest.len > 0) {
        struct str word = str_cut(rest, ' ', &rest);
        if (is_operand(word))
            break;
        if (words >= argc || !str_eq(str_of(argv[words]), word))
            return 0;
        words++;
    }
    return words;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* Prints the commands that begin with the words; how many there are. out NULL: none is printed. */
static size_t print_group(FILE *out, struct str words)
{
    size_t count = 0;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        struct str name = str_of(commands[i].name);
        if (!str_starts(name, words) || name.len == words.len || name.at[words.len] != ' ')
            continue;
        if (out)
            fprintf(out, "  viche %-21s %s\n", commands[i].name, commands[i].help);
        count++;
    }
    return count;
}

/* What was asked for is no command: so far as its words begin some, those are told. */
static int refuse_in(int argc, char **argv, struct arena *a)
{
    struct str group = str_of(argv[1]), longer = group;
    int words = 1;
    while (print_group(NULL, longer) > 0) {
        group = longer;
        const char *next = ++words < argc ? argv[words] : "";
        longer = arena_printf(a, "%.*s %s", STR_ARG(group), next);
    }
    const char *next = words < argc ? argv[words] : "-";
    if (words == 1)
        return cli_fail(CLI_USAGE, "there is no command '%s'; viche --help lists them", argv[1]);
    if (asks_for_help(next)) {
        print_group(stdout, group);
        return CLI_DONE;
    }
    if (next[0] != '-')
        (void)cli_fail(CLI_USAGE, "there is no command '%.*s', but:", STR_ARG(longer));
    else
        (void)cli_fail(CLI_USAGE, "'%.*s' is the beginning of:", STR_ARG(group));
    print_group(stderr, group);
    return CLI_USAGE;
}

static int refuse(int argc, char **argv)
{
    struct arena a;
    arena_init(&a);
    int status = refuse_in(argc, argv, &a);
    arena_done(&a);
    return status;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_commands(stderr);
        return CLI_USAGE;
    }
    if (asks_for_help(argv[1])) {
        print_commands(stdout);
        return CLI_DONE;
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_version(NULL, 0, NULL);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        int words = words_matched(&commands[i], argc - 1, argv + 1);
        if (words == 0)
            continue;
        int rest = argc - 1 - words;
        char *const *arguments = argv + 1 + words;
        for (int j = 0; j < rest; j++)
            if (strcmp(arguments[j], "--help") == 0 || strcmp(arguments[j], "-h") == 0)
                return print_help(&commands[i]);
        return commands[i].run(&commands[i], rest, arguments);
    }
    return refuse(argc, argv);
}

int cli_main(int argc, char **argv)
{
    int status = run(argc, argv);
    if (status == CLI_DONE && (fflush(stdout) != 0 || ferror(stdout)))
        return cli_fail(CLI_FAILED, "it is done, but the standard output cannot be written");
    return status;
}
