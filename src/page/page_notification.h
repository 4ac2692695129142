/* page_notification.h -- what a person is told. */
#ifndef PAGE_NOTIFICATION_H
#define PAGE_NOTIFICATION_H

#include "api/api.h"

extern const struct api_endpoint page_notification_get;       // /notifications?cursor=
extern const struct api_endpoint page_notification_post_read; // /notifications/read

#endif
