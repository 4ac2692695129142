/* page_dress.c -- adds the texts of one language to the API's JSON. */
#include "page/page_dress.h"

#include "page/page_json.h"
#include "page/page_time.h"

enum { MAX_DEPTH = 3, PATTERNS = 6, URGENT_MS = 48 * 3600 * 1000 };

static const double last_mark = 99.4; // of a mark that is 0.6 wide

/* The object's time of that name; the epoch when it is missing, which nothing of ours does. */
static int64_t time_of(const cJSON *object, const char *name)
{
    int64_t ms = 0;
    if (page_time_parse(page_json_text(object, name), &ms))
        ms = 0;
    return ms;
}

static void add_times(const struct page_dress *d, cJSON *object)
{
    int64_t created_ms = time_of(object, "created_at");
    page_json_add(object, "time_text", page_time_ago(d->lang, d->now_ms, created_ms, d->arena));
    page_json_add(object, "time_full", page_time_full(d->lang, created_ms, d->arena));
}

static void add_number(const struct page_dress *d, cJSON *object, const char *name, int64_t n)
{
    page_json_add(object, name, locale_number(d->lang, n, d->arena));
}

static void add_plural(const struct page_dress *d, cJSON *object, const char *name, struct str key,
                       int64_t n)
{
    page_json_add(object, name, locale_plural(d->lang, key, n, d->arena));
}

/* The text of key with {name} in it replaced. */
static void add_format(const struct page_dress *d, cJSON *object, const char *field, struct str key,
                       const struct str pair[static 2])
{
    const struct str pairs[] = {pair[0], pair[1], {0}};
    page_json_add(object, field, locale_format(d->lang, key, d->arena, pairs));
}

static void add_url(const struct page_dress *d, cJSON *object, const char *folder)
{
    int64_t id = page_json_int(object, "id");
    page_json_add(object, "url", arena_printf(d->arena, "/%s/%lld", folder, (long long)id));
}

/* is_NAME for each state, and the state's text. */
static void add_state(const struct page_dress *d, cJSON *object, const char *section,
                      const char *const names[static 3])
{
    const char *state = page_json_text(object, "state");
    for (int i = 0; i < 3; i++) {
        struct str flag = arena_printf(d->arena, "is_%s", names[i]);
        cJSON_AddBoolToObject(object, flag.at, strcmp(state, names[i]) == 0);
    }
    struct str key = arena_printf(d->arena, "%s.state.%s", section, state);
    page_json_add(object, "state_text", locale_text(d->lang, key));
}

void page_dress_comment(const struct page_dress *d, cJSON *comment)
{
    const cJSON *author = cJSON_GetObjectItemCaseSensitive(comment, "author");
    const cJSON *viewer = cJSON_GetObjectItemCaseSensitive(comment, "viewer");
    int64_t up = page_json_int(comment, "up"), down = page_json_int(comment, "down");
    int64_t vote = page_json_int(viewer, "vote");
    bool is_own = d->user_id && page_json_int(author, "id") == d->user_id;
    bool can_act = d->user_id && d->is_discussion_open;

    add_times(d, comment);
    add_number(d, comment, "up_text", up);
    add_number(d, comment, "down_text", down);
    add_plural(d, comment, "agree_label", STR("comment.agree_label"), up);
    add_plural(d, comment, "disagree_label", STR("comment.disagree_label"), down);
    cJSON_AddBoolToObject(comment, "is_agreed", vote > 0);
    cJSON_AddBoolToObject(comment, "is_disagreed", vote < 0);
    page_json_add(comment, "agree_value", vote > 0 ? STR("0") : STR("1"));
    page_json_add(comment, "disagree_value", vote < 0 ? STR("0") : STR("-1"));
    cJSON_AddBoolToObject(comment, "is_own", is_own);
    cJSON_AddBoolToObject(comment, "can_vote", can_act && !is_own);
    cJSON_AddBoolToObject(comment, "can_reply",
                          can_act && page_json_int(comment, "depth") < MAX_DEPTH);
    const struct str name[2] = {STR("name"), str_of(page_json_text(author, "name"))};
    add_format(d, comment, "reply_label", STR("comment.reply_to"), name);
}

static void add_progress(const struct page_dress *d, cJSON *proposal)
{
    int64_t count = page_json_int(proposal, "support_count");
    int64_t threshold = page_json_int(proposal, "threshold");
    if (threshold < 1)
        threshold = 1;
    int64_t whole = count > threshold ? count : threshold;

    add_number(d, proposal, "count_text", count);
    add_number(d, proposal, "threshold_text", threshold);
    add_plural(d, proposal, "of_text", STR("proposal.of_threshold"), threshold);
    add_plural(d, proposal, "signatures_text", STR("proposal.signatures"), count);
    page_json_add(proposal, "percent_text",
                  arena_printf(d->arena, "%lld\u00a0%%", (long long)(count * 100 / threshold)));
    int64_t bar = count * 100 / whole, mark = threshold * 100 / whole; // rounded down
    cJSON_AddNumberToObject(proposal, "bar", (double)bar);
    cJSON_AddNumberToObject(proposal, "mark", mark < 100 ? (double)mark : last_mark);
    cJSON_AddBoolToObject(proposal, "is_enough", count >= threshold);
    if (count < threshold)
        add_plural(d, proposal, "missing_text", STR("support.missing"), threshold - count);
    else
        page_json_add(proposal, "missing_text", locale_text(d->lang, STR("support.enough")));
}

static void add_deadline(const struct page_dress *d, cJSON *proposal, bool is_closed)
{
    int64_t deadline_ms = time_of(proposal, "deadline_at");
    struct str date = page_time_date(d->lang, deadline_ms, d->arena);
    const struct str pair[2] = {STR("date"), date};
    struct str left =
        is_closed ? (struct str){"", 0} : page_time_left(d->lang, d->now_ms, deadline_ms, d->arena);

    page_json_add(proposal, "deadline_date", date);
    add_format(d, proposal, "deadline_text",
               is_closed ? STR("proposal.deadline_was") : STR("proposal.deadline"), pair);
    page_json_add(proposal, "left_text", left);
    cJSON_AddBoolToObject(proposal, "is_urgent", !is_closed && deadline_ms - d->now_ms < URGENT_MS);
}

void page_dress_proposal(const struct page_dress *d, cJSON *proposal)
{
    static const char *const states[3] = {"open", "reached", "closed"};
    const cJSON *viewer = cJSON_GetObjectItemCaseSensitive(proposal, "viewer");
    int64_t comments = page_json_int(proposal, "comment_count");
    bool is_closed = strcmp(page_json_text(proposal, "state"), "closed") == 0;

    add_url(d, proposal, "proposals");
    add_state(d, proposal, "proposal", states);
    add_times(d, proposal);
    page_json_add(proposal, "date_text",
                  page_time_date(d->lang, time_of(proposal, "created_at"), d->arena));
    add_progress(d, proposal);
    add_deadline(d, proposal, is_closed);
    add_number(d, proposal, "comment_count_text", comments);
    add_plural(d, proposal, "comments_text", STR("proposal.comments"), comments);
    cJSON_AddBoolToObject(proposal, "can_sign", !is_closed);
    cJSON_AddBoolToObject(proposal, "has_supported", page_json_is(viewer, "has_supported"));
    int64_t number = page_json_int(viewer, "support_number");
    const struct str pair[2] = {STR("number"), locale_number(d->lang, number, d->arena)};
    if (number)
        add_format(d, proposal, "signed_text", STR("support.signed_number"), pair);
    cJSON_AddBoolToObject(proposal, "is_following", page_json_is(viewer, "is_following"));
}

static void add_when(const struct page_dress *d, cJSON *voting)
{
    int64_t opens_ms = time_of(voting, "opens_at"), closes_ms = time_of(voting, "closes_at");
    bool is_open = page_json_is(voting, "is_open");
    bool is_scheduled = page_json_is(voting, "is_scheduled");
    const struct str pair[2] = {
        STR("date"), page_time_full(d->lang, is_scheduled ? opens_ms : closes_ms, d->arena)};
    struct str key = is_scheduled ? STR("voting.opens")
                     : is_open    ? STR("voting.closes")
                                  : STR("voting.closed_at");

    add_format(d, voting, "when_text", key, pair);
    page_json_add(voting, "closes_text", page_time_full(d->lang, closes_ms, d->arena));
    page_json_add(voting, "left_text",
                  is_open ? page_time_left(d->lang, d->now_ms, closes_ms, d->arena)
                          : (struct str){"", 0});
    cJSON_AddBoolToObject(voting, "is_urgent", is_open && closes_ms - d->now_ms < URGENT_MS);
}

/* Dresses the options; returns the title of the reader's own, or NULL. */
static const char *add_options(const struct page_dress *d, cJSON *options, int64_t mine)
{
    const char *my_title = NULL;
    int64_t most = 0, index = 0;
    cJSON *option;
    cJSON_ArrayForEach(option, options)
    {
        if (page_json_int(option, "votes") > most)
            most = page_json_int(option, "votes");
    }
    cJSON_ArrayForEach(option, options)
    {
        int64_t votes = page_json_int(option, "votes"), percent = page_json_int(option, "percent");
        bool is_mine = mine && page_json_int(option, "id") == mine;
        if (is_mine)
            my_title = page_json_text(option, "title");
        add_plural(d, option, "votes_text", STR("voting.votes"), votes);
        add_number(d, option, "votes_number", votes);
        page_json_add(option, "percent_text",
                      arena_printf(d->arena, "%lld\u00a0%%", (long long)percent));
        cJSON_AddNumberToObject(option, "bar", (double)percent);
        cJSON_AddBoolToObject(option, "is_mine", is_mine);
        cJSON_AddBoolToObject(option, "is_leading", votes > 0 && votes == most);
        cJSON_AddNumberToObject(option, "pattern", (double)(index++ % PATTERNS));
    }
    return my_title;
}

void page_dress_voting(const struct page_dress *d, cJSON *voting)
{
    static const char *const states[3] = {"scheduled", "open", "closed"};
    const cJSON *viewer = cJSON_GetObjectItemCaseSensitive(voting, "viewer");

    add_url(d, voting, "votings");
    add_state(d, voting, "voting", states);
    add_when(d, voting);
    add_plural(d, voting, "voters_text", STR("voting.voters"), page_json_int(voting, "voters"));
    const char *mine = add_options(d, cJSON_GetObjectItemCaseSensitive(voting, "options"),
                                   page_json_int(viewer, "option_id"));
    cJSON_AddBoolToObject(voting, "has_voted", mine != NULL);
    if (mine) {
        const struct str pair[2] = {STR("option"), str_of(mine)};
        add_format(d, voting, "voted_text", STR("voting.voted"), pair);
    }
}

void page_dress_notification(const struct page_dress *d, cJSON *notification)
{
    const char *kind = page_json_text(notification, "kind");
    const cJSON *proposal = cJSON_GetObjectItemCaseSensitive(notification, "proposal");
    int64_t proposal_id = page_json_int(proposal, "id");
    int64_t comment_id = page_json_int(notification, "comment_id");

    add_times(d, notification);
    struct str key = arena_printf(d->arena, "notification.kind.%s", kind);
    page_json_add(notification, "kind_text", locale_text(d->lang, key));
    cJSON_AddBoolToObject(notification, "has_actor", strcmp(kind, "reached") != 0);
    page_json_add(notification, "url",
                  comment_id ? arena_printf(d->arena, "/proposals/%lld?comment=%lld#comment-%lld",
                                            (long long)proposal_id, (long long)comment_id,
                                            (long long)comment_id)
                             : arena_printf(d->arena, "/proposals/%lld", (long long)proposal_id));
}
