#include "core/ini_file.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "core/str.h"

struct lines {
    FILE *file;
    int line;
    int section_line; // of a section in which nothing stands yet; 0: none
    bool is_stopped;  // at the line, which is wrong
    const char *why;
};

static char *stop(struct lines *l, int line, const char *why)
{
    l->is_stopped = true;
    l->line = line;
    l->why = why;
    return NULL;
}

static bool has_more(FILE *file)
{
    int c = getc(file);
    return c != EOF && ungetc(c, file) != EOF;
}

static struct str beginning_of(const struct lines *l, const char *text)
{
    struct str line = str_of(text), mark = STR("\xef\xbb\xbf");
    if (l->line == 1 && str_starts(line, mark))
        line = (struct str){line.at + mark.len, line.len - mark.len};
    return str_trim(line);
}

/* For inih, as fgets. */
static char *read_line(char *text, int size, void *ctx)
{
    struct lines *l = ctx;
    bool is_there = !l->is_stopped && fgets(text, size, l->file);
    struct str line = {0};
    l->line++;
    if (is_there)
        line = beginning_of(l, text);
    bool is_section = line.len > 0 && line.at[0] == '[';
    if (l->section_line > 0 && (!is_there || is_section))
        return stop(l, l->section_line, "nothing stands in this [section]");
    if (!is_there)
        return NULL;
    if (!strchr(text, '\n') && has_more(l->file))
        return stop(l, l->line, "the line is too long");
    if (is_section)
        l->section_line = l->line;
    else if (line.len > 0 && !strchr("#;", line.at[0]))
        l->section_line = 0;
    return text;
}

enum err ini_file_read(const char *path, ini_file_fn *fn, void *ctx, int *line_out,
                       const char **why_out)
{
    struct lines l = {.file = fopen(path, "re")};
    if (!l.file)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    int refused = ini_parse_stream(read_line, &l, fn, ctx);
    CHECK(refused >= 0); // it has its memory on the stack
    int failed = ferror(l.file) ? errno : 0;
    fclose(l.file);
    errno = failed;
    *line_out = refused > 0 ? refused : l.line;
    *why_out = refused > 0 ? "not of the form name = value" : l.why;
    if (failed)
        return ERR_IO;
    return refused > 0 || l.is_stopped ? ERR_INVALID : OK;
}
