#include <stdio.h>
#include <string.h>

#include "app/app_data.h"
#include "civic/civic_text.h"
#include "civic/civic_user.h"
#include "cli/cli.h"
#include "core/crypto.h"
#include "core/utf8.h"

struct user_target {
    const char *config, *data, *email, *name, *role;
    bool is_password_on_stdin;
};

#define AT(field) offsetof(struct user_target, field)

static const struct conf_option options[] = {
    CLI_OPTION_CONFIG(AT(config)),
    CLI_OPTION_DATA(AT(data)),
    {.name = "email",
     .kind = CONF_TEXT,
     .value = "",
     .help = "e-mail address, to log in with",
     .at = AT(email)},
    {.name = "name",
     .kind = CONF_TEXT,
     .value = "",
     .help = "name that others see",
     .at = AT(name)},
    {.name = "role",
     .kind = CONF_TEXT,
     .value = "member",
     .help = "user, member, moderator, organiser, owner or admin",
     .at = AT(role)},
    {.name = "password-stdin",
     .kind = CONF_SWITCH,
     .value = "off",
     .help = "read the password from standard input, up to the end of its line",
     .at = AT(is_password_on_stdin)},
};
const struct conf_table cli_user_options = {options, sizeof(options) / sizeof(options[0])};

static enum err read_password(struct arena *a, struct str *out)
{
    char line[CIVIC_TEXT_MAX_PASSWORD_BYTES + 3];
    if (!fgets(line, sizeof(line), stdin))
        return ERR_INVALID;
    line[strcspn(line, "\r\n")] = '\0';
    *out = arena_str(a, str_of(line));
    return OK;
}

/* Checks what was given and hashes the password. Returns an exit status; CLI_DONE when all is well.
 */
static int prepare(const struct user_target *t, struct arena *a, struct civic_user_new *out)
{
    if (!t->email[0] || !t->name[0] || !t->is_password_on_stdin)
        return cli_fail(CLI_USAGE, "user add needs --email, --name and --password-stdin");
    if (!utf8_is_valid(str_of(t->email)) || !utf8_is_valid(str_of(t->name)))
        return cli_fail(CLI_USAGE, "--email and --name must be UTF-8");
    const char *code = civic_text_check_email(str_of(t->email), a, &out->email);
    if (code)
        return cli_fail(CLI_USAGE, "--email: '%s' is not an e-mail address (%s)", t->email, code);
    code = civic_text_check(str_of(t->name), &civic_text_name, a, &out->name);
    if (code)
        return cli_fail(CLI_USAGE, "--name: %s; it may have 1 to 60 characters", code);
    out->role = civic_policy_role(str_of(t->role));
    if (out->role == CIVIC_VISITOR)
        return cli_fail(CLI_USAGE,
                        "--role: '%s' is not user, member, moderator, organiser, owner or admin",
                        t->role);
    struct str password;
    if (read_password(a, &password) != OK)
        return cli_fail(CLI_USAGE, "there is no password on standard input");
    if (!utf8_is_valid(password))
        return cli_fail(CLI_USAGE, "the password must be UTF-8");
    code = civic_text_check_password(password);
    if (code)
        return cli_fail(CLI_USAGE, "the password is %s; it may have %d to %d bytes", code,
                        CIVIC_TEXT_MIN_PASSWORD_BYTES, CIVIC_TEXT_MAX_PASSWORD_BYTES);
    char hash[CRYPTO_PASSWORD_HASH_BYTES];
    crypto_password_hash(password, hash);
    out->password_hash = arena_str(a, str_of(hash));
    return CLI_DONE;
}

struct create {
    const struct civic_user_new *user;
    int64_t id;
};

static enum err create(struct store_tx *tx, void *arg)
{
    struct create *c = arg;
    return civic_user_create(tx, c->user, &c->id);
}

static int add(const struct user_target *t, const struct civic_user_new *user)
{
    struct store *store = NULL;
    char why[APP_DATA_WHY_BYTES] = "";
    struct create c = {.user = user};
    enum err err = app_data_open(t->data, false, 1, &store, why, sizeof(why));
    if (!err)
        err = app_data_migrate(store, NULL, why, sizeof(why));
    if (!err)
        err = store_write_wait(store, create, &c);
    if (store)
        store_close(store);
    if (why[0])
        return cli_fail(CLI_FAILED, "%s", why);
    if (err == ERR_CONFLICT)
        return cli_fail(CLI_FAILED, "there is an account with the address %s already", t->email);
    if (err)
        return cli_fail(CLI_FAILED, "cannot write the account: %s", store_err_text(err));
    printf("user %lld added\n", (long long)c.id);
    return CLI_DONE;
}

int cli_user_add(const struct cli_command *command, int argc, char *const *argv)
{
    struct arena a;
    struct user_target target = {0};
    struct civic_user_new user = {0};
    int status = CLI_DONE;
    arena_init(&a);
    if (cli_read_options(command, argc, argv, &a, &target, &status) == OK) {
        status = prepare(&target, &a, &user);
        if (status == CLI_DONE)
            status = add(&target, &user);
    }
    arena_done(&a);
    return status;
}
