/* http_field.h -- one field line of a head (RFC 9110 §5). */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include "core/str.h"

struct http_field {
    struct str name, value; // value trimmed of white space
};

enum { HTTP_MAX_FIELDS = 64 };

#endif
