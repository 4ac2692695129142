/* fuzz_queue_redact.c -- properties of what people see of a payload, for any rules and payload (the
 * input's parts before and after its first line feed):
 *
 *  - it is JSON when there was a payload
 *  - no value of a field whose name is a rule is shown, at any depth
 *  - to hide it twice is to hide it once; without rules JSON stays as it is
 */
#include "core/check.h"
#include "core/json.h"
#include "queue/queue_redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every field of that name is hidden, as another parser sees them. */
static void check_hidden(const cJSON *v, struct str name)
{
    for (const cJSON *child = v->child; child; child = child->next) {
        if (child->string && str_eq_nocase(str_of(child->string), name))
            CHECK(cJSON_IsString(child) && strcmp(child->valuestring, "…") == 0);
        else
            check_hidden(child, name);
    }
}

static void check_rule(struct str shown, struct str rule)
{
    cJSON *root = NULL;
    if (rule.len == 0 || memchr(rule.at, '.', rule.len) || str_eq(rule, STR("*")))
        return;
    if (json_parse(shown, &root) != OK) // half surrogates, long numbers
        return;
    check_hidden(root, rule);
    cJSON_Delete(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct json_slice value;
    struct str text = {(const char *)data, size}, rules = str_cut(text, '\n', &text);
    arena_init(&a);
    struct str shown = queue_redact(rules, text, &a);
    CHECK(text.len > 0 ? json_scan(shown, &value) == OK : shown.len == 0);
    struct str twice = queue_redact(rules, shown, &a);
    CHECK(str_eq(str_trim(twice), str_trim(shown)));
    if (json_scan(text, &value) == OK)
        CHECK(str_eq(queue_redact(STR(""), text, &a), text));
    const char *why = NULL;
    CHECK((queue_redact_check(rules, &why) == OK) == (why == NULL));
    while (rules.len > 0)
        check_rule(shown, str_trim(str_cut(rules, ',', &rules)));
    arena_done(&a);
    return 0;
}
