/* cli_data.c -- commands on the data directory that need no server: migrate, check, seed. They may
 * run beside one. */
#include <stdio.h>

#include "app/app_data.h"
#include "civic/civic_seed.h"
#include "cli/cli.h"

struct data_target {
    const char *config, *data;
    bool is_demo;
};

#define AT(field) offsetof(struct data_target, field)

static const struct conf_option options[] = {CLI_OPTION_CONFIG(AT(config)),
                                             CLI_OPTION_DATA(AT(data))};
static const struct conf_option seed_options[] = {
    CLI_OPTION_CONFIG(AT(config)),
    CLI_OPTION_DATA(AT(data)),
    {.name = "demo",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "the demo town; does nothing when it is there",
     .at = AT(is_demo)},
};
const struct conf_table cli_data_options = {options, 2};
const struct conf_table cli_data_seed_options = {seed_options, 3};

/* Does one thing with the store, opened and migrated when is_migrated. Prints what was done. */
typedef enum err act_fn(struct store *store, int applied, char *why, size_t why_cap);

static enum err say_migrated(struct store *store, int applied, char *why, size_t why_cap)
{
    int number = 0;
    enum err err = store_schema_number(store, &number);
    if (err)
        snprintf(why, why_cap, "cannot read the database: %s", store_err_text(err));
    else
        printf("applied %d migrations; the database is at number %d\n", applied, number);
    return err;
}

static enum err check(struct store *store, int applied, char *why, size_t why_cap)
{
    (void)applied;
    bool is_newer = false;
    enum err err = store_check(store, why, why_cap);
    if (!err)
        err = app_data_is_newer(store, &is_newer);
    if (err)
        return err;
    puts(is_newer ? "the database is sound, but newer than this binary" : "the database is sound");
    return OK;
}

static enum err seed(struct store *store, int applied, char *why, size_t why_cap)
{
    bool is_new = false;
    (void)applied;
    enum err err = civic_seed_demo(store, &is_new);
    if (err)
        snprintf(why, why_cap, "cannot write the demo town: %s", store_err_text(err));
    else if (is_new)
        puts("the demo town is there; log in as olena@example.org with the "
             "password " CIVIC_SEED_PASSWORD);
    else
        puts("the demo town was there already");
    return err;
}

static int with_store(const struct data_target *target, bool is_migrated, act_fn *act)
{
    struct store *store = NULL;
    char why[APP_DATA_WHY_BYTES] = "";
    int applied = 0;
    enum err err = act == check ? app_data_look(target->data, why, sizeof(why)) : OK;
    if (!err)
        err = app_data_open(target->data, false, 1, &store, why, sizeof(why));
    if (!err && is_migrated)
        err = app_data_migrate(store, &applied, why, sizeof(why));
    if (!err)
        err = act(store, applied, why, sizeof(why));
    if (store)
        store_close(store);
    return err ? cli_fail(CLI_FAILED, "%s", why[0] ? why : store_err_text(err)) : CLI_DONE;
}

static int run(const struct cli_command *command, int argc, char *const *argv, bool is_migrated,
               act_fn *act)
{
    struct arena texts;
    struct data_target target = {0};
    int status = CLI_DONE;
    arena_init(&texts);
    if (cli_read_options(command, argc, argv, &texts, &target, &status) == OK) {
        if (act == seed && !target.is_demo)
            status = cli_fail(CLI_USAGE, "say what to seed: viche seed --demo");
        else
            status = with_store(&target, is_migrated, act);
    }
    arena_done(&texts);
    return status;
}

int cli_data_migrate(const struct cli_command *command, int argc, char *const *argv)
{
    return run(command, argc, argv, true, say_migrated);
}

int cli_data_check(const struct cli_command *command, int argc, char *const *argv)
{
    return run(command, argc, argv, false, check);
}

int cli_data_seed(const struct cli_command *command, int argc, char *const *argv)
{
    return run(command, argc, argv, true, seed);
}
