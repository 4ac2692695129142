/* page_form.h -- what a browser sends without JavaScript: fields of a form, safe paths to return
 * to. */
#ifndef PAGE_FORM_H
#define PAGE_FORM_H

#include "api/api.h"

/* The body is a form and comes from one of our own pages; notes whose page it was. Refuses with
 * 415, 403 "cross-site" or 400 "malformed". Before it nothing of the body may be kept to be shown
 * again (docs/decisions/0019). */
MUST_USE enum err page_form_check(struct api_call *call);

/* A field of the body; empty when absent. Refuses with 400 "malformed" (bad escape, not UTF-8). */
MUST_USE enum err page_form_text(struct api_call *call, struct str name, struct str *out);
/* A whole number; 0 when absent or empty. Refuses with 400 "malformed". */
MUST_USE enum err page_form_int(struct api_call *call, struct str name, int64_t *out);

/* A parameter of the query; empty when absent or damaged. */
struct str page_form_query(struct api_call *call, struct str name);

/* The path when it leads to a page of ours ("/proposals/7#comment-12"), else "/". A path that a
 * browser could take for another host ("//evil", "/\evil") is none. Borrowed. */
struct str page_form_safe_path(struct str path);

/* Percent-encodes what may not stand in a query's value; '/' stays. */
struct str page_form_encode(struct str text, struct arena *a);

#endif
