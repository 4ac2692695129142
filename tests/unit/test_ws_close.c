#include "test.h"
#include "ws/ws_close.h"

static enum err parse_code(int code)
{
    char payload[2] = {(char)(code >> 8), (char)code};
    struct ws_close close;
    return ws_close_parse((struct str){payload, 2}, &close);
}

TEST(ws_close_knows_which_codes_may_be_sent)
{
    static const int good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009,
                               1010, 1011, 3000, 3999, 4000, 4999};
    static const int bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        EXPECT_EQ(parse_code(good[i]), OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        EXPECT_EQ(parse_code(bad[i]), ERR_PROTOCOL);
}

TEST(ws_close_reads_code_and_reason)
{
    struct ws_close close;
    EXPECT_EQ(ws_close_parse(STR("\x03\xe8"
                                 "bye"),
                             &close),
              OK);
    EXPECT_EQ(close.code, 1000);
    EXPECT_STR(close.reason, "bye");
    EXPECT_EQ(ws_close_parse(STR(""), &close), OK);
    EXPECT_EQ(close.code, WS_CLOSE_NO_CODE);
    EXPECT_EQ(ws_close_parse(STR("x"), &close), ERR_PROTOCOL);
    EXPECT_EQ(ws_close_parse(STR("\x03\xe8\xff"), &close), ERR_INVALID);
}

TEST(ws_close_cuts_a_long_reason_between_characters)
{
    char reason[200];
    for (size_t i = 0; i < sizeof(reason); i += 2)
        memcpy(reason + i, "\xd0\x96", 2);
    uint8_t out[WS_FRAME_MAX_CONTROL_BYTES];
    EXPECT_EQ(ws_close_write(&(struct ws_close){4200, {reason, sizeof(reason)}}, out), 2 + 122);
    struct ws_close back;
    EXPECT_EQ(ws_close_parse((struct str){(const char *)out, 124}, &back), OK);
    EXPECT_EQ(back.code, 4200);
}
