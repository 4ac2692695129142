/* page_comment.h -- writing comments and voting on them by forms. */
#ifndef PAGE_COMMENT_H
#define PAGE_COMMENT_H

#include "api/api.h"

extern const struct api_endpoint page_comment_get;       // /comments/{id}: leads to its place
extern const struct api_endpoint page_comment_post;      // /proposals/{id}/comments
extern const struct api_endpoint page_comment_post_vote; // /comments/{id}/vote

#endif
