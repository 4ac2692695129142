/* cli_text.h -- what others chose (names, payloads, errors), made fit for the operator's terminal.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdio.h>

#include "core/str.h"

enum { CLI_TEXT_CHARACTER_BYTES = 4 };

/* Writes at most max characters of text and a NUL into out, which has room for 4 bytes of each and
 * the NUL. White space is a space; control characters, invisible ones, those that turn the order of
 * writing, and bytes that are no UTF-8 are '?'. Gives the number of characters. */
size_t cli_text_write(struct str text, size_t max, char *out);
/* Prints the whole of it so. */
void cli_text_print(FILE *file, struct str text);
/* Prints JSON, with escapes for such characters: it means what it meant. */
void cli_text_print_json(FILE *file, struct str json);

#endif
