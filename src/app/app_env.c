#include "app/app_env.h"

#include <stdlib.h>

static const struct {
    const char *word, *in_parentheses;
    enum app_env_kind kind;
} words[] = {
    {"true", "(true)", APP_ENV_TRUE},
    {"false", "(false)", APP_ENV_FALSE},
    {"null", "(null)", APP_ENV_NOTHING},
    {"empty", "(empty)", APP_ENV_NOTHING},
};

static struct str without_quotes(struct str text)
{
    bool is_quoted = text.len >= 2 && (text.at[0] == '"' || text.at[0] == '\'') &&
                     text.at[text.len - 1] == text.at[0];
    return is_quoted ? (struct str){text.at + 1, text.len - 2} : text;
}

struct app_env app_env_get(const char *name)
{
    const char *value = getenv(name);
    struct app_env env = {.kind = APP_ENV_NOTHING, .text = str_of(value ? value : "")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!str_eq_nocase(env.text, str_of(words[i].word)) &&
            !str_eq_nocase(env.text, str_of(words[i].in_parentheses)))
            continue;
        env.kind = words[i].kind;
        if (env.kind == APP_ENV_NOTHING)
            env.text = STR("");
        return env;
    }
    env.text = without_quotes(env.text);
    env.kind = env.text.len > 0 ? APP_ENV_TEXT : APP_ENV_NOTHING;
    return env;
}
