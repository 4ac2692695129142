#include "core/mem.h"
#include "hub/hub_roster.h"
#include "test.h"

static struct hub_member *add(struct hub_roster *r, const char *key, const char *id,
                              const char *info)
{
    return hub_roster_add(r, str_of(key), str_of(id), str_of(info));
}

static void expect_text(struct hub_roster *r, const char *text)
{
    struct buf out;
    buf_init(&out, hub_roster_text_bytes(r));
    hub_roster_write(r, &out);
    EXPECT_STR(((struct str){(const char *)buf_head(&out), buf_len(&out)}), text);
    buf_done(&out);
}

TEST(hub_roster_lists_its_members_in_the_order_of_joining)
{
    struct hub_roster r;
    hub_roster_init(&r);
    expect_text(&r, "{\"count\":0,\"ids\":[],\"hash\":{}}");
    add(&r, "u1", "\"u1\"", "{\"name\":\"Ann\"}");
    struct hub_member *two = add(&r, "2", "2", "{}");
    add(&r, "a\"b", "\"a\\\"b\"", "true");
    expect_text(&r, "{\"count\":3,\"ids\":[\"u1\",2,\"a\\\"b\"],\"hash\":{\"u1\":"
                    "{\"name\":\"Ann\"},\"2\":{},\"a\\\"b\":true}}");
    hub_roster_remove(&r, two);
    expect_text(&r, "{\"count\":2,\"ids\":[\"u1\",\"a\\\"b\"],\"hash\":{\"u1\":"
                    "{\"name\":\"Ann\"},\"a\\\"b\":true}}");
    hub_roster_done(&r);
}

TEST(hub_roster_finds_a_member_by_the_text_of_its_id)
{
    struct hub_roster r;
    hub_roster_init(&r);
    struct hub_member *ten = add(&r, "10", "10", "{}");
    EXPECT(hub_roster_find(&r, STR("10")) == ten);
    EXPECT(hub_roster_find(&r, STR("1e1")) == NULL);
    EXPECT(hub_roster_find(&r, STR("010")) == NULL);
    hub_roster_done(&r);
}
