/* cli_queue_show.c -- one job's story, for people line by line. */
#include <stdio.h>

#include "cli/cli_queue.h"
#include "cli/cli_text.h"
#include "core/buf.h"
#include "core/clock.h"
#include "queue/queue_admin_json.h"

enum { MAX_TEXT_BYTES = 64 * 1024 * 1024 };

static const struct conf_option options[] = {CLI_QUEUE_CONFIG, CLI_QUEUE_DATA, CLI_QUEUE_REDACT,
                                             CLI_QUEUE_JSON};
const struct conf_table cli_queue_show_options = {options, sizeof(options) / sizeof(options[0])};

struct showing {
    int64_t id;
    struct queue_held held;
    struct arena *arena;
    struct queue_admin_show show;
};

static enum err read_show(struct store_tx *tx, void *arg)
{
    struct showing *s = arg;
    return queue_admin_show(tx, s->id, &s->held, s->arena, &s->show);
}

static bool is_time(const char *name)
{
    struct str text = str_of(name), end = STR("_at_ms");
    bool has_end =
        text.len > end.len && str_eq((struct str){text.at + text.len - end.len, end.len}, end);
    return has_end || str_eq(text, STR("at_ms")) || str_eq(text, STR("deadline_ms")) ||
           str_eq(text, STR("lease_until_ms")) || str_eq(text, STR("kept_until_ms")) ||
           str_eq(text, STR("idempotency_until_ms"));
}

static void print_value(const cJSON *value)
{
    char time[21];
    if (cJSON_IsString(value)) {
        cli_text_print(stdout, str_of(value->valuestring));
    } else if (cJSON_IsNumber(value) && value->string && is_time(value->string)) {
        clock_iso((int64_t)value->valuedouble, time);
        fputs(time, stdout);
    } else {
        struct buf text;
        buf_init(&text, MAX_TEXT_BYTES);
        if (json_print(value, &text) == OK)
            cli_text_print(stdout, (struct str){(const char *)buf_head(&text), buf_len(&text)});
        buf_done(&text);
    }
}

/* The fields of a row of a list, on one line. */
static void print_row(const cJSON *row)
{
    const cJSON *field;
    printf(" ");
    if (cJSON_IsObject(row)) {
        cJSON_ArrayForEach(field, row)
        {
            printf(" %s=", field->string);
            print_value(field);
        }
    } else {
        printf(" ");
        print_value(row);
    }
    printf("\n");
}

static void print_lines(const cJSON *root)
{
    const cJSON *field, *row;
    cJSON_ArrayForEach(field, root)
    {
        if (!cJSON_IsArray(field)) {
            int skipped = is_time(field->string) ? 3 : 0; // "_ms": it is printed as a date
            printf("%.*s: ", (int)strlen(field->string) - skipped, field->string);
            print_value(field);
            printf("\n");
        } else if (cJSON_GetArraySize(field) > 0) {
            printf("%s:\n", field->string);
            cJSON_ArrayForEach(row, field) print_row(row);
        }
    }
}

int cli_queue_show_print(const struct cli_queue_call *call, cJSON *root)
{
    int status = CLI_DONE;
    if (call->target->is_json)
        status = cli_queue_print(root);
    else
        print_lines(root);
    cJSON_Delete(root);
    return status;
}

static void hide(const struct cli_queue_call *call, struct queue_admin_show *show)
{
    show->job.payload = cli_queue_hide(call, show->job.payload);
    if (show->result.at)
        show->result = cli_queue_hide(call, show->result);
    for (size_t i = 0; i < show->step_count; i++)
        if (show->steps[i].result.at)
            show->steps[i].result = cli_queue_hide(call, show->steps[i].result);
}

static int show(struct cli_queue_call *call)
{
    struct showing s = {.arena = call->arena};
    int status = cli_queue_parse_id(call->words.at[0], &s.id);
    if (status == CLI_DONE)
        status = cli_queue_held(call, &s.held);
    if (status != CLI_DONE)
        return status;
    enum err err = store_read(call->store, read_show, &s);
    if (err == ERR_NOT_FOUND)
        return cli_fail(CLI_FAILED, "there is no job %lld; it may have ended", (long long)s.id);
    if (err)
        return cli_fail(CLI_FAILED, "cannot read the job: %s", store_err_text(err));
    hide(call, &s.show);
    return cli_queue_show_print(call, queue_admin_json_show(&s.show));
}

int cli_queue_show(const struct cli_command *command, int argc, char *const *argv)
{
    return cli_queue_run(command, argc, argv, false, show);
}
