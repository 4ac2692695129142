/* power.h -- what a loss of power leaves: the files, rebuilt from the journal of disk.h.
 *
 * What was written to a file before a sync of it began, and the sync came back well, is there. Of
 * what was written later the disk may have kept anything: nothing, all, some of the calls, some of
 * the sectors of each, or a last call that is torn. A file that was deleted, or begun, without a
 * sync may be there in its old state.
 */
#ifndef POWER_H
#define POWER_H

#include "disk.h"
#include "world.h"

enum power_loss { POWER_NOTHING, POWER_ALL, POWER_TORN, POWER_CALLS, POWER_SECTORS, POWER_LOSSES };

struct power_journal {
    uint8_t *bytes;
    const struct disk_entry **entries; // a write's bytes behind it
    int64_t count;
};
/* Reads what disk_record wrote. */
void power_load(struct power_journal *journal, const char *path);
void power_free(struct power_journal *journal);

/* Writes into the folder of `to` what is left of `from` when the power goes after the first `calls`
 * entries: the database, the log, and the history up to the last mark. */
void power_cut(const struct power_journal *journal, int64_t calls, enum power_loss loss,
               const struct world *from, struct world *to);

#endif
