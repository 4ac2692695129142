/* civic_user.h -- accounts. */
#ifndef CIVIC_USER_H
#define CIVIC_USER_H

#include "civic/civic.h"
#include "core/arena.h"
#include "store/store.h"

struct civic_user {
    int64_t id;
    struct str name, email;
    enum civic_role role;
    struct str password_hash; // only from civic_user_find_login
};

struct civic_user_new {
    struct str email; // from civic_text_check_email
    struct str name;
    struct str password_hash; // from crypto_password_hash
    enum civic_role role;
};

/* ERR_CONFLICT: the e-mail address is taken. */
MUST_USE enum err civic_user_create(struct store_tx *tx, const struct civic_user_new *user,
                                    int64_t *id_out);

/* What a login is checked against. ERR_NOT_FOUND: no such address. */
MUST_USE enum err civic_user_find_login(struct store_tx *tx, struct str email, struct arena *a,
                                        struct civic_user *out);

#endif
