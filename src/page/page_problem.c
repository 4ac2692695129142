/* page_problem.c -- problems in the reader's words. */
#include "page/page_problem.h"

#include "page/page_draw.h"

static struct str problem_text(const struct api_call *call, const char *what)
{
    const char *code = call->problem.code ? call->problem.code : "internal";
    return locale_text(call->lang, arena_printf(call->arena, "problem.%s.%s", code, what));
}

static void dress(struct api_call *call)
{
    cJSON *view = page_draw_asked(call)->view;
    cJSON_AddNumberToObject(view, "status", call->problem.status);
    page_json_add(view, "problem_title", problem_text(call, "title"));
    page_json_add(view, "problem_detail", problem_text(call, "detail"));
    page_draw_title(call, problem_text(call, "title"), problem_text(call, "detail"));
}

const struct page_kind page_problem_kind = {.template = "error", .dress = dress};

/* A field on the form: its name in its section of the locale, and which field is seen for it. */
struct label {
    const char *template, *name, *key, *seen; // seen NULL: itself
};

/* NULL: it has no name. */
static const struct label *label_of(const struct api_call *call, const char *name)
{
    static const struct label labels[] = {
        {"proposal", "body", "comment.write", NULL},
        {"proposal", "parent_id", "comment.parent", "body"},
        {"proposal_new", "title", "new_proposal.name", NULL},
        {"proposal_new", "summary", "new_proposal.summary", NULL},
        {"proposal_new", "body", "new_proposal.body", NULL},
        {"voting", "option_id", "voting.choose", NULL},
        {"login", "email", "login.email", NULL},
        {"login", "password", "login.password", NULL},
        {"register", "name", "register.name", NULL},
        {"register", "email", "register.email", NULL},
        {"register", "password", "register.password", NULL},
        {"queue_limits", "running", "queue.limit.running", NULL},
        {"queue_limits", "rate", "queue.limit.rate", NULL},
        {"queue_limits", "burst", "queue.limit.burst", NULL},
        {"queue_limits", "key_running", "queue.limit.key_running", NULL},
        {"queue_limits", "key_rate", "queue.limit.key_rate", NULL},
        {"queue_limits", "key_burst", "queue.limit.key_burst", NULL},
        {"queue_limits", "key", "queue.key", NULL},
        {"queue_limits", "own_running", "queue.limit.running", NULL},
        {"queue_limits", "own_rate", "queue.limit.rate", NULL},
        {"queue_limits", "own_burst", "queue.limit.burst", NULL},
    };
    const char *template = page_draw_asked(call)->kind->template;
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (strcmp(labels[i].template, template) == 0 && strcmp(labels[i].name, name) == 0)
            return &labels[i];
    }
    return NULL;
}

static struct str field_text(const struct api_call *call, const char *code, int64_t limit)
{
    const struct str pairs[] = {STR("limit"), locale_number(call->lang, limit, call->arena), {0}};
    return locale_format(call->lang, arena_printf(call->arena, "field.%s", code), call->arena,
                         pairs);
}

static void add_fields(struct api_call *call, cJSON *problem)
{
    cJSON *errors = cJSON_AddObjectToObject(page_draw_asked(call)->form, "errors");
    cJSON *fields = cJSON_AddArrayToObject(problem, "fields");
    cJSON_AddBoolToObject(problem, "has_fields", call->problem.field_count > 0);
    for (size_t i = 0; i < call->problem.field_count; i++) {
        const char *name = call->problem.fields[i].pointer + 1; // after '/'
        struct str text =
            field_text(call, call->problem.fields[i].code, call->problem.fields[i].limit);
        cJSON *field = cJSON_CreateObject();
        cJSON_AddItemToArray(fields, field);
        const struct label *label = label_of(call, name);
        page_json_add(field, "id", str_of(label && label->seen ? label->seen : name));
        page_json_add(field, "label",
                      label ? locale_text(call->lang, str_of(label->key)) : str_of(name));
        page_json_add(field, "text", text);
        page_json_add(errors, name, text);
    }
}

void page_problem_add(struct api_call *call, struct str login_url)
{
    cJSON *problem = cJSON_AddObjectToObject(page_draw_asked(call)->view, "problem");
    page_json_add(problem, "title", problem_text(call, "title"));
    page_json_add(problem, "detail", problem_text(call, "detail"));
    if (login_url.len) {
        const cJSON *form = page_draw_asked(call)->form;
        bool has_text = *page_json_text(form, "body") || *page_json_text(form, "title");
        page_json_add(problem, "login_url", login_url);
        cJSON_AddBoolToObject(problem, "is_text_kept", has_text);
    }
    add_fields(call, problem);
}
