/* queue_admin_json.h -- jobs as JSON documents, for the shell, the API and pages. The caller frees
 * them (cJSON_Delete). Texts that are no UTF-8 have U+FFFD in the place of each bad byte. */
#ifndef QUEUE_ADMIN_JSON_H
#define QUEUE_ADMIN_JSON_H

#include "core/json.h"
#include "queue/queue_admin_list.h"
#include "queue/queue_admin_show.h"

/* A row of a list. Its payload is a JSON value when it is one and is there whole, else the text
 * that is there. Times are unix milliseconds; what is not known or not given is left out. */
cJSON *queue_admin_json_job(const struct queue_admin_job *job);
/* The same with the whole story. */
cJSON *queue_admin_json_show(const struct queue_admin_show *show);
/* A batch: its counts and its state (queue_admin_batch_state_text). */
cJSON *queue_admin_json_batch(const struct queue_batch *batch, struct str name);
/* Adds a text to an object. */
void queue_admin_json_add(cJSON *object, const char *name, struct str text);
/* Adds the JSON value that the text is; the text, when it is none. */
void queue_admin_json_add_value(cJSON *object, const char *name, struct str text);

#endif
