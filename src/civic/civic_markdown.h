/* civic_markdown.h -- people's Markdown to HTML that is safe to put into a page.
 *
 * CommonMark by cmark in safe mode. Raw HTML is shown as the text it is. Of links other than http,
 * https and mailto only the words stay; images become links (nothing is loaded from elsewhere);
 * links get rel="nofollow noopener". Headings start at h3, below the page's own, and skip no level.
 * A text that would grow more than six times, or nests more than 40 deep, is shown as it was typed.
 */
#ifndef CIVIC_MARKDOWN_H
#define CIVIC_MARKDOWN_H

#include "core/arena.h"

/* text is valid UTF-8. Blocks for microseconds; any thread. */
struct str civic_markdown_html(struct str text, struct arena *a);

#endif
