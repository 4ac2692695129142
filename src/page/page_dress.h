/* page_dress.h -- the JSON of the API, dressed for a reader: the texts that templates print.
 *
 * A template's view is the API's object and more fields. web/src/dress.ts makes the same ones in
 * the browser, so this list is the contract between the two (each partial repeats its own):
 *
 * every object
 *     time_text           "5 minutes ago" of created_at (rules: page_time.h)
 *     time_full           the exact time
 * comment
 *     up_text, down_text  grouped numbers
 *     agree_label, disagree_label   plural texts comment.agree_label / .disagree_label
 *     is_agreed, is_disagreed       viewer.vote is 1 / -1
 *     agree_value         "1", or "0" when is_agreed (pressing again takes it back)
 *     disagree_value      "-1", or "0" when is_disagreed
 *     is_own              author.id is the reader's id
 *     can_vote            somebody is logged in, not is_own, the discussion is open
 *     can_reply           somebody is logged in, depth < 3, the discussion is open
 *     reply_label         comment.reply_to with {name}
 * proposal
 *     url                 "/proposals/7"
 *     is_open, is_reached, is_closed, state_text       by state
 *     count_text, threshold_text, comment_count_text   grouped numbers
 *     of_text             plural proposal.of_threshold of threshold
 *     signatures_text, comments_text   plurals of support_count, comment_count
 *     percent_text        "25 %": rounded down, may pass 100
 *     bar, mark           0-100: what is filled, where the threshold stands; the whole is the
 * larger of count and threshold is_enough           support_count >= threshold missing_text plural
 * support.missing of what is missing, or support.enough left_text           time left until
 * deadline_at; "" when closed is_urgent           not closed and less than 48 h left deadline_date
 * the date deadline_text       proposal.deadline or .deadline_was with it date_text           the
 * date of created_at can_sign            not closed has_supported, is_following   from viewer
 *     signed_text         support.signed_number, when viewer.support_number is known
 * voting
 *     url, is_scheduled, is_open, is_closed, state_text
 *     voters_text         plural voting.voters
 *     when_text           voting.opens, .closes or .closed_at with the exact time
 *     left_text, is_urgent   while open
 *     has_voted, voted_text  voting.voted with {option}
 *     options[]           votes_text (plural voting.votes), votes_number, percent_text "42 %", bar
 * (percent), is_mine, is_leading (most votes, more than 0), pattern (index modulo 6) notification
 *     kind_text           notification.kind.KIND
 *     has_actor           kind is not "reached"
 *     url                 "/proposals/7" or "/proposals/7?comment=12#comment-12"
 */
#ifndef PAGE_DRESS_H
#define PAGE_DRESS_H

#include <cjson/cJSON.h>

#include "core/arena.h"
#include "core/locale.h"

/* For whom and when. */
struct page_dress {
    enum locale_lang lang;
    int64_t now_ms;
    int64_t user_id; // 0: nobody is logged in
    bool is_discussion_open;
    struct arena *arena;
};

/* Each adds its fields to an object that civic_view made. */
void page_dress_comment(const struct page_dress *d, cJSON *comment);
void page_dress_proposal(const struct page_dress *d, cJSON *proposal);
void page_dress_voting(const struct page_dress *d, cJSON *voting);
void page_dress_notification(const struct page_dress *d, cJSON *notification);

#endif
