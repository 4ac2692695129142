/* page_problem.h -- what went wrong, in the reader's words: on the page of a form, or as a page. */
#ifndef PAGE_PROBLEM_H
#define PAGE_PROBLEM_H

#include "page/page_internal.h"

/* The page of a problem that has no other page: error.mustache. */
extern const struct page_kind page_problem_kind;

/* Adds "problem" and form.errors to the view of a refused form. login_url: a way out, or empty. */
void page_problem_add(struct api_call *call, struct str login_url);

#endif
