/* page_home.h -- the front page: what is voted on, what is new, what has most signatures. */
#ifndef PAGE_HOME_H
#define PAGE_HOME_H

#include "api/api.h"

extern const struct api_endpoint page_home_get;

#endif
