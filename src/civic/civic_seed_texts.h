/* civic_seed_texts.h -- what the demo town of Калинів says: people, proposals, comments, votings.
 */
#ifndef CIVIC_SEED_TEXTS_H
#define CIVIC_SEED_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

#include "civic/civic_policy.h"

struct civic_seed_person {
    const char *email, *name;
    enum civic_role role;
};

struct civic_seed_proposal {
    const char *title, *summary, *body;
    int author; // index of a person
    int threshold, supports;
    int days_old, days_left; // left below zero: closed so many days ago
    bool is_members_only;
};

struct civic_seed_comment {
    int proposal; // index
    int parent;   // index among the comments of this table; -1: none
    int author;
    int up, down;
    int hours_ago;
    const char *body;
};

struct civic_seed_voting {
    int proposal;
    const char *title, *text;
    const char *options[6]; // NULL after the last
    int votes[6];
    int days_old, days_left; // left below zero: closed so many days ago
};

/* First names and family names of further residents; each pair is one. */
extern const char *const civic_seed_texts_first[];
extern const char *const civic_seed_texts_family[];
extern const size_t civic_seed_texts_first_count, civic_seed_texts_family_count;

extern const struct civic_seed_person civic_seed_texts_people[];
extern const struct civic_seed_proposal civic_seed_texts_proposals[];
extern const struct civic_seed_comment civic_seed_texts_comments[];
extern const struct civic_seed_voting civic_seed_texts_votings[];
extern const size_t civic_seed_texts_people_count, civic_seed_texts_proposal_count,
    civic_seed_texts_comment_count, civic_seed_texts_voting_count;

#endif
