/* api_hub_bag.h -- what is wrong with the fields of a call, in Laravel's words and shape:
 *
 *     {"batch.1.data": ["The batch.1.data field is required."], ...}
 */
#ifndef API_HUB_BAG_H
#define API_HUB_BAG_H

#include "api/api_hub_call.h"

struct api_hub_bag {
    const struct api_hub_call *call;
    cJSON *json; // NULL: nothing is wrong
};

/* what: "is required." Laravel shows a field's name without underscores: "The socket id field". */
void api_hub_bag_add(struct api_hub_bag *bag, struct str field, const char *what);

/* Answers 422 and empties the bag when something is in it. False: nothing was. */
bool api_hub_bag_reply(struct api_hub_bag *bag);

#endif
