#include "cli/cli_table.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli_text.h"

enum { MAX_COLUMNS = 12, MAX_WIDTH = 60, CELL_BYTES = MAX_WIDTH * CLI_TEXT_CHARACTER_BYTES + 1 };

/* Gives its width. */
static int cell(const cJSON *row, const char *name, char out[static CELL_BYTES])
{
    char number[32];
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, name);
    struct str text = {0};
    if (cJSON_IsString(value))
        text = str_of(value->valuestring);
    if (cJSON_IsTrue(value))
        text = STR("yes");
    if (cJSON_IsNumber(value)) {
        snprintf(number, sizeof(number), "%.0f", value->valuedouble);
        text = str_of(number);
    }
    return (int)cli_text_write(text, MAX_WIDTH, out);
}

static void measure(const cJSON *rows, const char *const *names, int *widths)
{
    char text[CELL_BYTES];
    const cJSON *row;
    for (int i = 0; names[i]; i++) {
        widths[i] = (int)strlen(names[i]);
        cJSON_ArrayForEach(row, rows)
        {
            int width = cell(row, names[i], text);
            if (width > widths[i])
                widths[i] = width;
        }
    }
}

static void print_cell(const char *text, int width, int column)
{
    printf("%s%*s", text, column - width + 2, "");
}

void cli_table_print(const cJSON *rows, const char *const *names)
{
    int widths[MAX_COLUMNS] = {0};
    const cJSON *row;
    measure(rows, names, widths);
    for (int i = 0; names[i]; i++)
        print_cell(names[i], (int)strlen(names[i]), widths[i]);
    printf("\n");
    cJSON_ArrayForEach(row, rows)
    {
        char text[CELL_BYTES];
        for (int i = 0; names[i]; i++)
            print_cell(text, cell(row, names[i], text), widths[i]);
        printf("\n");
    }
}
