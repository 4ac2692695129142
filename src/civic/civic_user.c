#include "civic/civic_user.h"

#include "civic/civic_row.h"

enum err civic_user_create(struct store_tx *tx, const struct civic_user_new *user, int64_t *id_out)
{
    struct store_stmt *st = NULL;
    enum err err =
        store_prepare(tx,
                      "INSERT INTO account (email, name, password_hash, role, created_at_ms)"
                      " VALUES ($1, $2, $3, $4, $5)",
                      &st);
    if (err)
        return err;
    store_bind_text(st, 1, user->email);
    store_bind_text(st, 2, user->name);
    store_bind_text(st, 3, user->password_hash);
    store_bind_text(st, 4, str_of(civic_policy_role_name(user->role)));
    store_bind_int(st, 5, store_now_ms(tx));
    return store_insert(st, id_out);
}

enum err civic_user_find_login(struct store_tx *tx, struct str email, struct arena *a,
                               struct civic_user *out)
{
    struct store_stmt *st = NULL;
    enum err err = store_prepare(
        tx, "SELECT id, name, email, role, password_hash FROM account WHERE email = $1", &st);
    if (err)
        return err;
    store_bind_text(st, 1, email);
    err = store_step(st);
    if (!err)
        *out = (struct civic_user){
            .id = store_column_int(st, 0),
            .name = civic_row_text(st, 1, a),
            .email = civic_row_text(st, 2, a),
            .role = civic_policy_role(store_column_text(st, 3)),
            .password_hash = civic_row_text(st, 4, a),
        };
    store_finish(st);
    return err;
}
