#include "test.h"
#include "ws/ws_offer.h"

static struct http_request *request_of(const char *first, const char *second)
{
    static struct http_request req;
    memset(&req, 0, sizeof(req));
    req.fields[0] = (struct http_field){STR("sec-websocket-extensions"), str_of(first)};
    req.fields[1] = (struct http_field){STR("Sec-WebSocket-Extensions"), str_of(second)};
    req.field_count = second ? 2 : 1;
    return &req;
}

/* The window that was agreed to, negative when it was asked for; 0: declined; 1: malformed. */
static int choose(const char *fields)
{
    struct ws_offer o;
    enum err err = ws_offer_choose(request_of(fields, NULL), &o);
    if (err)
        return err == ERR_INVALID;
    return o.is_window_asked ? -o.window_bits : o.window_bits;
}

TEST(ws_offer_takes_what_the_rfc_defines)
{
    static const struct {
        const char *fields;
        int want;
    } rows[] = {
        {"permessage-deflate", 15},
        {" permessage-deflate ", 15},
        {"permessage-deflate; client_max_window_bits", 15}, // Chromium, Firefox
        {"permessage-deflate;client_max_window_bits=8", 15},
        {"permessage-deflate; client_max_window_bits=15", 15},
        {"permessage-deflate; server_max_window_bits=15", -15},
        {"permessage-deflate; server_max_window_bits=8", -8},
        {"permessage-deflate; server_max_window_bits=\"10\"", -10},
        {"permessage-deflate; server_max_window_bits=\"\\1\\0\"", -10},
        {"permessage-deflate ; server_max_window_bits = 9 ; client_no_context_takeover", -9},
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=12; client_max_window_bits=9",
         -12},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(choose(rows[i].fields) == rows[i].want, "%s: %d", rows[i].fields,
                      choose(rows[i].fields));
}

TEST(ws_offer_declines_an_offer_that_it_does_not_understand)
{
    static const char *const rows[] = {
        "x-webkit-deflate-frame",
        "permessage-bzip2",
        "permessage-deflate; unknown",
        "permessage-deflate; unknown=1",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=-9",
        "permessage-deflate; server_max_window_bits=1e1",
        "permessage-deflate; server_max_window_bits=100",
        "permessage-deflate; server_max_window_bits=\"100\"",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=\"x\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        "permessage-deflate; unknown; server_max_window_bits=9",
        "",
        " , ,",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(choose(rows[i]) == 0, "%s: %d", rows[i], choose(rows[i]));
}

TEST(ws_offer_takes_the_first_good_one_of_several)
{
    struct ws_offer o;
    EXPECT_EQ(choose("permessage-deflate; server_max_window_bits=7, "
                     "permessage-deflate; server_max_window_bits=10, permessage-deflate"),
              -10);
    EXPECT_EQ(choose("a;b=\"c\\d\";e, ,permessage-deflate,x"), 15);
    EXPECT_EQ(choose("permessage-deflate; a, x, permessage-deflate; server_max_window_bits=11"),
              -11);
    EXPECT_EQ(ws_offer_choose(request_of("x", "permessage-deflate; server_max_window_bits=13"), &o),
              OK);
    EXPECT_EQ(o.window_bits, 13);
    EXPECT_EQ(ws_offer_choose(request_of("permessage-deflate", "permessage-deflate; "
                                                               "server_max_window_bits=13"),
                              &o),
              OK);
    EXPECT_EQ(o.window_bits, 15);
}

TEST(ws_offer_refuses_what_breaks_the_grammar)
{
    static const char *const rows[] = {
        "permessage-deflate;",
        "permessage-deflate; ;client_max_window_bits",
        "permessage-deflate client_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate; server_max_window_bits=\"9\\",
        "permessage-deflate; server_max_window_bits=\"9,\"",
        "permessage-deflate; server_max_window_bits=\" 9\"",
        "permessage-deflate; server_max_window_bits=\"9\"9",
        "permessage-deflate; =9",
        "; permessage-deflate",
        "=",
        "\"permessage-deflate\"",
        "permessage-deflate, a b",
        "permessage-deflate, \xd0\x96",
    };
    struct ws_offer o;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        ck_assert_msg(choose(rows[i]) == 1, "%s: %d", rows[i], choose(rows[i]));
    EXPECT_EQ(ws_offer_choose(request_of("permessage-deflate", "@"), &o), ERR_INVALID);
}

TEST(ws_offer_answers_what_it_agreed_to)
{
    char line[WS_OFFER_ANSWER_BYTES];
    ws_offer_answer(&(struct ws_offer){.window_bits = 15}, line);
    EXPECT_STR(str_of(line),
               "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
               "client_no_context_takeover\r\n");
    ws_offer_answer(&(struct ws_offer){.window_bits = 15, .is_window_asked = true}, line);
    EXPECT_STR(str_of(line),
               "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
               "client_no_context_takeover; server_max_window_bits=15\r\n");
}
