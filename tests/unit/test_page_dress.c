#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "http/http_static.h"
#include "page/page_dress.h"
#include "page/page_json.h"
#include "page/page_time.h"
#include "test.h"

static const int64_t NOW_MS = INT64_C(1795609800000); // 2026-11-25T12:30:00Z
static const int64_t HOUR_MS = 3600 * INT64_C(1000);

static void load_locales(void)
{
    for (enum locale_lang lang = LOCALE_UK; lang < LOCALE_COUNT; lang++) {
        char name[32];
        snprintf(name, sizeof name, "locales/%s.json", locale_code(lang));
        const struct http_static_file *file = http_static_find(str_of(name));
        EXPECT(file != NULL);
        EXPECT_EQ(locale_load(lang, (struct str){(const char *)file->bytes, file->len}), OK);
    }
}

static cJSON *parse(const char *json)
{
    cJSON *tree = NULL;
    EXPECT_EQ(json_parse(str_of(json), &tree), OK);
    return tree;
}

static void expect_text(const cJSON *object, const char *name, const char *want)
{
    EXPECT_STR(str_of(page_json_text(object, name)), want);
}

TEST(page_time_reads_rfc_3339)
{
    int64_t ms;
    EXPECT_EQ(page_time_parse("2026-11-25T12:30:00Z", &ms), OK);
    EXPECT_EQ(ms, NOW_MS);
    EXPECT_EQ(page_time_parse("2026-11-25T12:30:00.250Z", &ms), OK);
    EXPECT_EQ(page_time_parse("yesterday", &ms), ERR_INVALID);
    EXPECT_EQ(page_time_parse("", &ms), ERR_INVALID);
}

TEST(page_time_says_how_long_ago_in_both_languages)
{
    static const struct {
        int64_t age_ms;
        const char *uk, *en;
    } rows[] = {
        {-5000, "щойно", "just now"}, // clocks differ
        {0, "щойно", "just now"},
        {44999, "щойно", "just now"},
        {45000, "1 хвилину тому", "1 minute ago"},
        {2 * 60000, "2 хвилини тому", "2 minutes ago"},
        {5 * 60000, "5 хвилин тому", "5 minutes ago"},
        {11 * 60000, "11 хвилин тому", "11 minutes ago"},
        {21 * 60000, "21 хвилину тому", "21 minutes ago"},
        {59 * 60000, "59 хвилин тому", "59 minutes ago"},
        {60 * 60000, "1 годину тому", "1 hour ago"},
        {23 * HOUR_MS, "23 години тому", "23 hours ago"},
        {24 * HOUR_MS, "1 день тому", "1 day ago"},
        {29 * 24 * HOUR_MS, "29 днів тому", "29 days ago"},
        {30 * 24 * HOUR_MS, "26 жовтня 2026", "26 October 2026"},
    };
    setenv("TZ", "UTC", 1);
    load_locales();
    struct arena a;
    arena_init(&a);
    EXPECT_STR(page_time_full(LOCALE_EN, 0, &a), "1 January 1970, 00:00 UTC");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT_STR(page_time_ago(LOCALE_UK, NOW_MS, NOW_MS - rows[i].age_ms, &a), rows[i].uk);
        EXPECT_STR(page_time_ago(LOCALE_EN, NOW_MS, NOW_MS - rows[i].age_ms, &a), rows[i].en);
    }
    arena_done(&a);
}

TEST(page_time_says_how_long_is_left)
{
    static const struct {
        int64_t left_ms;
        const char *uk, *en;
    } rows[] = {
        {0, "час минув", "time is up"},
        {59999, "лишилося менше хвилини", "less than a minute left"},
        {60000, "лишилася 1 хвилина", "1 minute left"},
        {2 * HOUR_MS, "лишилося 2 години", "2 hours left"},
        {47 * HOUR_MS, "лишилося 47 годин", "47 hours left"},
        {48 * HOUR_MS, "лишилося 2 дні", "2 days left"},
        {31 * 24 * HOUR_MS, "лишився 31 день", "31 days left"},
    };
    load_locales();
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        EXPECT_STR(page_time_left(LOCALE_UK, NOW_MS, NOW_MS + rows[i].left_ms, &a), rows[i].uk);
        EXPECT_STR(page_time_left(LOCALE_EN, NOW_MS, NOW_MS + rows[i].left_ms, &a), rows[i].en);
    }
    arena_done(&a);
}

#define COMMENT                                                                                    \
    "{\"id\":12,\"proposal_id\":7,\"parent_id\":null,\"depth\":%d,\"author\":{\"id\":5,\"name\":"  \
    "\"Олена\"},\"up\":1284,\"down\":2,\"created_at\":\"2026-11-25T12:25:00Z\",\"viewer\":{"  \
    "\"vote\":%d}}"

static cJSON *dressed_comment(const struct page_dress *d, int depth, int vote)
{
    char json[512];
    snprintf(json, sizeof json, COMMENT, depth, vote);
    cJSON *comment = parse(json);
    page_dress_comment(d, comment);
    return comment;
}

TEST(page_dress_gives_a_comment_its_texts_and_buttons)
{
    load_locales();
    struct arena a;
    arena_init(&a);
    const struct page_dress d = {LOCALE_UK, NOW_MS, 9, true, &a};
    cJSON *c = dressed_comment(&d, 1, 1);
    expect_text(c, "time_text", "5 хвилин тому");
    expect_text(c, "up_text", "1\u00a0284");
    expect_text(c, "disagree_label", "Проти 2, голоси проти цього коментаря");
    expect_text(c, "agree_value", "0"); // pressing again takes it back
    expect_text(c, "disagree_value", "-1");
    expect_text(c, "reply_label", "Відповісти: Олена");
    EXPECT(page_json_is(c, "is_agreed") && !page_json_is(c, "is_disagreed"));
    EXPECT(page_json_is(c, "can_vote") && page_json_is(c, "can_reply"));
    EXPECT(!page_json_is(c, "is_own"));
    cJSON_Delete(c);
    c = dressed_comment(&d, 3, 0);
    EXPECT(!page_json_is(c, "can_reply")); // as deep as it goes
    cJSON_Delete(c);
    arena_done(&a);
}

TEST(page_dress_lets_nobody_vote_on_the_own_comment_or_when_closed_or_logged_out)
{
    load_locales();
    struct arena a;
    arena_init(&a);
    static const struct {
        int64_t user_id;
        bool is_open, can_vote, can_reply;
    } rows[] = {
        {9, true, true, true},
        {5, true, false, true}, // the author's own
        {9, false, false, false},
        {0, true, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct page_dress d = {LOCALE_EN, NOW_MS, rows[i].user_id, rows[i].is_open, &a};
        cJSON *c = dressed_comment(&d, 1, 0);
        EXPECT_EQ(page_json_is(c, "can_vote"), rows[i].can_vote);
        EXPECT_EQ(page_json_is(c, "can_reply"), rows[i].can_reply);
        cJSON_Delete(c);
    }
    arena_done(&a);
}

#define PROPOSAL                                                                                   \
    "{\"id\":7,\"state\":\"%s\",\"support_count\":%d,\"threshold\":%d,\"comment_count\":21,"       \
    "\"created_at\":\"2026-11-20T12:30:00Z\",\"deadline_at\":\"2026-11-26T12:30:00Z\",\"viewer\":" \
    "null}"

static cJSON *dressed_proposal(const struct page_dress *d, const char *state, int count,
                               int threshold)
{
    char json[512];
    snprintf(json, sizeof json, PROPOSAL, state, count, threshold);
    cJSON *proposal = parse(json);
    page_dress_proposal(d, proposal);
    return proposal;
}

TEST(page_dress_shows_the_progress_of_a_proposal)
{
    load_locales();
    struct arena a;
    arena_init(&a);
    const struct page_dress d = {LOCALE_UK, NOW_MS, 0, true, &a};
    static const struct {
        int count, threshold, bar, mark;
        const char *percent, *missing;
    } rows[] = {
        {0, 5000, 0, 99, "0\u00a0%", "Бракує 5\u00a0000 підписів"},
        {4999, 5000, 99, 99, "99\u00a0%",
         "Бракує 1 підпису"}, // never rounded up to done; a mark is seen at the end
        {5000, 5000, 100, 99, "100\u00a0%", "Потрібну кількість зібрано"},
        {10000, 5000, 100, 50, "200\u00a0%", "Потрібну кількість зібрано"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cJSON *p = dressed_proposal(&d, "open", rows[i].count, rows[i].threshold);
        EXPECT_EQ(page_json_int(p, "bar"), rows[i].bar);
        EXPECT_EQ(page_json_int(p, "mark"), rows[i].mark);
        expect_text(p, "percent_text", rows[i].percent);
        expect_text(p, "missing_text", rows[i].missing);
        expect_text(p, "comments_text", "21 коментар");
        EXPECT(page_json_is(p, "is_urgent") && page_json_is(p, "can_sign"));
        cJSON_Delete(p);
    }
    cJSON *closed = dressed_proposal(&d, "closed", 3, 5);
    EXPECT(!page_json_is(closed, "can_sign") && !page_json_is(closed, "is_urgent"));
    expect_text(closed, "left_text", "");
    cJSON_Delete(closed);
    arena_done(&a);
}

TEST(page_dress_marks_the_own_option_and_the_leading_one)
{
    load_locales();
    struct arena a;
    arena_init(&a);
    const struct page_dress d = {LOCALE_EN, NOW_MS, 9, true, &a};
    cJSON *v = parse("{\"id\":3,\"state\":\"open\",\"opens_at\":\"2026-11-20T12:30:00Z\","
                     "\"closes_at\":\"2026-12-25T12:30:00Z\",\"voters\":3,\"options\":["
                     "{\"id\":1,\"title\":\"A\",\"votes\":1,\"percent\":33},"
                     "{\"id\":2,\"title\":\"B\",\"votes\":2,\"percent\":67}],"
                     "\"viewer\":{\"option_id\":1}}");
    page_dress_voting(&d, v);
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(v, "options");
    EXPECT(page_json_is(cJSON_GetArrayItem(options, 0), "is_mine"));
    EXPECT(page_json_is(cJSON_GetArrayItem(options, 1), "is_leading"));
    expect_text(cJSON_GetArrayItem(options, 0), "votes_text", "1 vote");
    expect_text(v, "voted_text", "Your vote is counted: A");
    expect_text(v, "voters_text", "3 people voted");
    cJSON_Delete(v);
    arena_done(&a);
}

TEST(page_dress_leads_from_a_notification_to_its_comment)
{
    load_locales();
    struct arena a;
    arena_init(&a);
    const struct page_dress d = {LOCALE_EN, NOW_MS, 9, true, &a};
    cJSON *n = parse("{\"id\":1,\"kind\":\"reply\",\"proposal\":{\"id\":7,\"title\":\"T\"},"
                     "\"comment_id\":12,\"created_at\":\"2026-11-25T12:30:00Z\"}");
    page_dress_notification(&d, n);
    expect_text(n, "url", "/proposals/7?comment=12#comment-12");
    EXPECT(page_json_is(n, "has_actor"));
    cJSON_Delete(n);
    arena_done(&a);
}
