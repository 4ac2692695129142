/* store_migrate.c -- brings the schema to this binary's version.
 *
 * Each migration runs once, in one write transaction together with the row that says so; the row is
 * looked for in that same transaction, so that two processes that start together do not run it
 * twice, and a process killed in the middle leaves nothing of it.
 */
#include <stdio.h>

#include "core/check.h"
#include "core/log.h"
#include "store/store_internal.h"

struct migrate_step {
    const struct store_migration *migration; // NULL: only read the number
    int newest;                              // applied, before
    bool has_run;
    char *why;
    size_t why_cap;
};

static enum err run_sql(struct store_tx *tx, const char *sql)
{
    struct store_stmt *st;
    enum err err = store_prepare(tx, sql, &st);
    return err ? err : store_run(st, NULL);
}

static enum err read_newest(struct store_tx *tx, int *out)
{
    struct store_stmt *st;
    enum err err =
        run_sql(tx, "CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, "
                    "name TEXT NOT NULL, applied_at_ms INTEGER NOT NULL)");
    if (err)
        return err;
    err = store_prepare(tx, "SELECT coalesce(max(number), 0) FROM schema_migration", &st);
    if (err)
        return err;
    err = store_step(st);
    if (!err)
        *out = (int)store_column_int(st, 0);
    store_finish(st);
    return err;
}

static enum err record(struct store_tx *tx, const struct store_migration *m)
{
    struct store_stmt *st;
    enum err err = store_prepare(
        tx, "INSERT INTO schema_migration (number, name, applied_at_ms) VALUES ($1, $2, $3)", &st);
    if (err)
        return err;
    store_bind_int(st, 1, m->number);
    store_bind_text(st, 2, str_of(m->name));
    store_bind_int(st, 3, store_now_ms(tx));
    return store_run(st, NULL);
}

static enum err step(struct store_tx *tx, void *arg)
{
    struct migrate_step *s = arg;
    s->has_run = false;
    enum err err = read_newest(tx, &s->newest);
    if (err || !s->migration || s->migration->number <= s->newest)
        return err;
    err = tx->conn->driver->exec(tx->conn, s->migration->sql, s->why, s->why_cap);
    if (!err)
        err = record(tx, s->migration);
    s->has_run = !err;
    return err;
}

enum err store_migrate_number(struct store *s, int *out)
{
    struct migrate_step read = {0};
    enum err err = store_write_wait(s, step, &read);
    if (!err)
        *out = read.newest;
    return err;
}

static enum err explain(const struct migrate_step *s, enum err err, char *why_out, size_t why_cap)
{
    snprintf(why_out, why_cap, "migration %04d_%s failed: %s", s->migration->number,
             s->migration->name, s->why[0] ? s->why : store_err_text(err));
    return err;
}

enum err store_migrate(struct store *s, const struct store_migration *list, size_t count,
                       int *applied_out, char *why_out, size_t why_cap)
{
    char why[200] = "";
    int newest = 0, applied = 0;

    for (size_t i = 1; i < count; i++)
        CHECK(list[i - 1].number < list[i].number);
    enum err err = store_migrate_number(s, &newest);
    if (err) {
        snprintf(why_out, why_cap, "cannot read the schema's number: %s", store_err_text(err));
        return err;
    }
    int known = count > 0 ? list[count - 1].number : 0;
    if (newest > known) {
        snprintf(
            why_out, why_cap,
            "the database is at migration %04d and this binary knows only %04d: use a newer one",
            newest, known);
        return ERR_CONFLICT;
    }
    for (size_t i = 0; i < count; i++) {
        struct migrate_step one = {&list[i], 0, false, why, sizeof(why)};
        if (list[i].number <= newest)
            continue;
        err = store_write_wait(s, step, &one);
        if (err)
            return explain(&one, err, why_out, why_cap);
        applied += one.has_run;
        if (one.has_run)
            log_info("at=store_migrate.applied number=%d name=%s", list[i].number, list[i].name);
    }
    if (applied_out)
        *applied_out = applied;
    return OK;
}
