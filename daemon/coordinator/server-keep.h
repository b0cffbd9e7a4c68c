/* Keeping what the state asks to be kept, also on a disk that is full for a while.
 *
 * Records that the disk refuses stay in memory, the newest of each name, and are tried again every
 * second together with what comes later. Until then changes are refused at the door, and whoever
 * made the change that failed is told so. Not a store: that is store.h. Store thread. */
#pragma once

#include "coordinator/store.h"

#include <stdint.h>

typedef struct Keep Keep;

Keep *keep_new (Store *store);
void keep_free (Keep *keep);

/* Puts N records on disk, after all that still wait. False: they wait, too. */
bool keep_records (Keep *keep, const StoreRecord *records, size_t n, int64_t now_us);

/* Tries again when it is time. */
void keep_retry (Keep *keep, int64_t now_us);

/* NULL while the disk takes what it is given; else a sentence for people, valid until the next
 * call. */
const char *keep_problem (const Keep *keep);
