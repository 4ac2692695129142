/* http_head.h -- the head of a request: from bytes to method, target and fields. A pure function.
 *
 * Two readers must agree. The first checks the grammar of RFC 9112 line by line, without any of the
 * tolerance that request smuggling lives on; the second, the http_parser library, takes the head
 * apart. No other file knows that library, and this header does not include http.h, whose names
 * collide with it.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "http/http_field.h"

struct http_head {
    struct str method, target; // into the text, as the fields
    bool is_http_10;
    struct http_field *fields; // the caller's, HTTP_MAX_FIELDS of them
    size_t field_count;
};

/* Reads a whole head, its empty line included. The caller has checked that CR and LF come in pairs
 * only and that there are no other control characters but HTAB. Returns 0, or the status to refuse
 * with: 400, 431 (too many fields), 501 (unknown method), 505. */
int http_head_parse(struct str text, struct http_head *head);

/* Is c a tchar (RFC 9110 §5.6.2)? */
bool http_head_is_token_char(unsigned char c);

#endif
