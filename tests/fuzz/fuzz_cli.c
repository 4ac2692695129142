/* fuzz_cli.c -- what an operator types: options, times, filters, cursors; and what is printed of
 * texts that others chose. Properties: a time is in the range that it promises; a cursor that is
 * read is written as it was; nothing printed is a control character. The words of a command are the
 * lines of the input. */
#include <stdio.h>

#include "cli/cli_queue_filter.h"
#include "cli/cli_text.h"
#include "cli/cli_time.h"
#include "core/check.h"
#include "core/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_WORDS = 32, MAX_BYTES = 4096 };

static void check_time(struct str text)
{
    int64_t ms = -1;
    enum err err = cli_time_parse(text, INT64_C(1795728600000), &ms);
    CHECK(err ? ms == -1 : ms >= 0 && ms <= INT64_C(253402300799999));
}

static void check_cursor(struct str text)
{
    struct queue_admin_list_cursor cursor, again;
    char first[QUEUE_ADMIN_LIST_CURSOR_BYTES], second[QUEUE_ADMIN_LIST_CURSOR_BYTES];
    if (queue_admin_list_parse_cursor(text, &cursor) != OK)
        return;
    queue_admin_list_write_cursor(&cursor, first);
    CHECK(queue_admin_list_parse_cursor(str_of(first), &again) == OK);
    queue_admin_list_write_cursor(&again, second);
    CHECK(strcmp(first, second) == 0);
}

static void check_text(struct str text)
{
    char out[64 * CLI_TEXT_CHARACTER_BYTES + 1];
    size_t count = cli_text_write(text, 64, out);
    struct str written = str_of(out);
    CHECK(utf8_is_valid(written) && utf8_length(written) == count);
    while (written.len > 0) {
        uint32_t code = 0;
        size_t len = utf8_first(written, &code);
        CHECK(len > 0 && code >= ' ' && (code < 0x7f || code > 0x9f));
        written = (struct str){written.at + len, written.len - len};
    }
}

static void read_words(char *const *words, int count)
{
    const struct conf_table *const tables[] = {&cli_queue_list_options, &cli_queue_push_options,
                                               &cli_queue_prune_options};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct cli_queue_target target = {0};
        struct queue_admin_list_filter filter;
        struct conf_words operands;
        struct arena arena;
        char why[512];
        const struct conf_input in = {tables[i], NULL, count, words, &operands};
        arena_init(&arena);
        if (conf_read(&in, &arena, &target, why, sizeof(why)) == OK && i == 0 &&
            cli_queue_filter_read(&target, &filter) == CLI_DONE)
            CHECK(filter.key.len == 0 || filter.queue.len > 0);
        arena_done(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_quiet;
    char text[MAX_BYTES + 1], *words[MAX_WORDS];
    int count = 0;
    if (size > MAX_BYTES)
        return 0;
    if (!is_quiet) { // what is refused is said there; the sanitizers write to the descriptor
        FILE *nowhere = fopen("/dev/null", "we");
        CHECK(nowhere);
        stderr = nowhere;
        is_quiet = true;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    struct str whole = {(const char *)data, size};
    check_time(whole);
    check_cursor(whole);
    check_text(whole);
    for (char *word = strtok(text, "\n"); word && count < MAX_WORDS; word = strtok(NULL, "\n")) {
        words[count++] = word;
        if (strncmp(word, "--config", 8) == 0) // which files there are is not the input's
            return 0;
    }
    read_words(words, count);
    return 0;
}
