/* page_account.h -- logging in and out, registering, the language. */
#ifndef PAGE_ACCOUNT_H
#define PAGE_ACCOUNT_H

#include "api/api.h"

extern const struct api_endpoint page_account_get_login;     // /login?next=
extern const struct api_endpoint page_account_post_login;    // /login
extern const struct api_endpoint page_account_get_register;  // /register?next=
extern const struct api_endpoint page_account_post_register; // /register
extern const struct api_endpoint page_account_post_logout;   // /logout
extern const struct api_endpoint page_account_language;      // /language?to=&back=

#endif
