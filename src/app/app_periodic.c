#include "app/app_periodic.h"

#include <errno.h>
#include <stdio.h>

#include "core/conf.h"
#include "core/ini_file.h"
#include "core/json.h"
#include "core/mem.h"
#include "queue/queue_periodic.h"

struct file {
    struct arena arena;
    struct queue_periodic list[QUEUE_PERIODIC_MAX];
    size_t count, bad;
    struct str why;
};

/* The last of the list, or a new one when a section begins. What is wrong, or NULL. */
static const char *section(struct file *f, const char *name, struct queue_periodic **out)
{
    struct queue_periodic *p = f->list, *end = f->list + f->count;
    if (!name[0])
        return "a [name] is missing";
    while (p < end && !str_eq(p->name, str_of(name)))
        p++;
    *out = p;
    if (p < end)
        return p == end - 1 ? NULL : "this [name] is there twice";
    if (f->count == QUEUE_PERIODIC_MAX)
        return "there are more than 1000";
    f->count++;
    p->name = arena_str(&f->arena, str_of(name));
    p->overlap = QUEUE_OVERLAP_SKIP;
    return NULL;
}

/* What is wrong, or NULL. */
static const char *take(struct file *f, struct queue_periodic *p, struct str name, struct str value)
{
    const struct {
        struct str name;
        struct str *at;
    } texts[] = {
        {STR("cron"), &p->cron},       {STR("zone"), &p->zone},   {STR("kind"), &p->kind},
        {STR("payload"), &p->payload}, {STR("queue"), &p->queue},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!str_eq(name, texts[i].name))
            continue;
        if (texts[i].at->at)
            return "it is there twice";
        *texts[i].at = arena_str(&f->arena, value);
        bool is_payload = texts[i].at == &p->payload;
        return is_payload && json_scan_document(value) ? "the payload is not JSON" : NULL;
    }
    if (str_eq(name, STR("overlap")))
        return queue_periodic_overlap(value, &p->overlap)
                   ? "overlap is allow, skip, buffer-one or cancel-other"
                   : NULL;
    if (str_eq(name, STR("catch-up")))
        return conf_parse_duration(value, &p->catch_up_ms) || p->catch_up_ms < 1
                   ? "catch-up is a duration like 500ms, 10s or 2m"
                   : NULL;
    return "the names are cron, zone, kind, payload, queue, overlap and catch-up";
}

static int on_line(void *ctx, const char *section_name, const char *name, const char *value)
{
    struct file *f = ctx;
    struct queue_periodic *p = NULL;
    const char *why = section(f, section_name, &p);
    if (!why)
        why = take(f, p, str_of(name), str_of(value));
    if (why && !f->why.at)
        f->why = str_of(why);
    return why == NULL;
}

static enum err sync_fn(struct store_tx *tx, void *arg)
{
    struct file *f = arg;
    return queue_periodic_sync(tx, STR("file"), f->list, f->count, &f->why, &f->bad);
}

static enum err read_file(struct file *f, const char *path, char *why_out, size_t why_cap)
{
    int line = 0;
    const char *why = "";
    enum err err = ini_file_read(path, on_line, f, &line, &why);
    if (err == ERR_INVALID)
        snprintf(why_out, why_cap, "%s:%d: %s", path, line, f->why.at ? f->why.at : why);
    else if (err)
        snprintf(why_out, why_cap, "cannot read %s: %s", path, strerror(errno));
    return err;
}

enum err app_periodic_declare(struct store *store, const char *path, char *why_out, size_t why_cap)
{
    if (!path || !path[0])
        return OK;
    struct file *f = MEM_NEW(struct file);
    arena_init(&f->arena);
    enum err err = read_file(f, path, why_out, why_cap);
    if (!err) {
        err = store_write_wait(store, sync_fn, f);
        if (err == ERR_INVALID || err == ERR_TOO_LARGE)
            snprintf(why_out, why_cap, "%s: [%.*s]: %.*s", path, STR_ARG(f->list[f->bad].name),
                     STR_ARG(f->why));
        else if (err)
            snprintf(why_out, why_cap, "cannot declare the periodic jobs: %s", store_err_text(err));
    }
    arena_done(&f->arena);
    mem_free(f);
    return err;
}
