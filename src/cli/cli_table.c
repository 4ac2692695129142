#include "cli/cli_table.h"

#include <stdio.h>
#include <string.h>

enum { MAX_COLUMNS = 12, MAX_WIDTH = 60 };

static void cell(const cJSON *row, const char *name, char out[static MAX_WIDTH])
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, name);
    if (cJSON_IsString(value))
        snprintf(out, MAX_WIDTH, "%s", value->valuestring);
    else if (cJSON_IsNumber(value))
        snprintf(out, MAX_WIDTH, "%.0f", value->valuedouble);
    else
        out[0] = '\0';
    for (char *c = out; *c; c++) // names are clients', and this is the operator's terminal
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}

static void measure(const cJSON *rows, const char *const *names, int *widths)
{
    char text[MAX_WIDTH];
    const cJSON *row;
    for (int i = 0; names[i]; i++) {
        widths[i] = (int)strlen(names[i]);
        cJSON_ArrayForEach(row, rows)
        {
            cell(row, names[i], text);
            if ((int)strlen(text) > widths[i])
                widths[i] = (int)strlen(text);
        }
    }
}

void cli_table_print(const cJSON *rows, const char *const *names)
{
    int widths[MAX_COLUMNS] = {0};
    const cJSON *row;
    measure(rows, names, widths);
    for (int i = 0; names[i]; i++)
        printf("%-*s  ", widths[i], names[i]);
    printf("\n");
    cJSON_ArrayForEach(row, rows)
    {
        char text[MAX_WIDTH];
        for (int i = 0; names[i]; i++) {
            cell(row, names[i], text);
            printf("%-*s  ", widths[i], text);
        }
        printf("\n");
    }
}
