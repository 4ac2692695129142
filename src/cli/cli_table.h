/* cli_table.h -- rows for people: a column for each name, as wide as it must be. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <cjson/cJSON.h>

/* rows: an array of objects; names end with NULL, at most 12. Texts are made fit (cli_text.h) and
 * cut at 60 characters. */
void cli_table_print(const cJSON *rows, const char *const *names);

#endif
