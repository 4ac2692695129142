/* api_auth.h -- logging in and out, for the API and for the pages' forms.
 *
 * A login takes two stages: on a pool of its own the password is checked (Argon2id), on the writer
 * the session is made. An unknown address takes as long as a wrong password and gets the same
 * answer.
 */
#ifndef API_AUTH_H
#define API_AUTH_H

#include "api/api.h"
#include "civic/civic_user.h"
#include "core/crypto.h"

struct api_auth_login {
    struct str email; // from civic_text_check_email
    struct str password;
    struct civic_user user;             // who it was
    char token[CRYPTO_TOKEN_CHARS + 1]; // of the session
};

/* Stage work: 401 "login-failed"; 429 after too many failures for an e-mail from this network
 * address, for an e-mail, or from this address. An attempt is counted before its password is
 * hashed. */
MUST_USE enum err api_auth_check(struct api_call *call, struct api_auth_login *login);

/* Stage write: makes the session of login->user and sets its cookie. */
MUST_USE enum err api_auth_begin(struct store_tx *tx, struct api_call *call,
                                 struct api_auth_login *login);

/* Stage write: ends the session of this call and takes the cookie back. */
MUST_USE enum err api_auth_end(struct store_tx *tx, struct api_call *call);

/* An account to be made. */
struct api_auth_account {
    struct str email, name, password; // checked by civic_text
    char password_hash[CRYPTO_PASSWORD_HASH_BYTES];
    struct civic_user user; // as it was made
};

/* Stage decode: note field errors. */
void api_auth_check_email(struct api_call *call, struct str in, struct str *clean_out);
void api_auth_check_password(struct api_call *call, struct str password);
/* Stage work: hashes the password; 429. */
MUST_USE enum err api_auth_prepare(struct api_call *call, struct api_auth_account *account);
/* Stage write: makes the account; 422 "taken" for /email. */
MUST_USE enum err api_auth_create(struct store_tx *tx, struct api_call *call,
                                  struct api_auth_account *account);

#endif
