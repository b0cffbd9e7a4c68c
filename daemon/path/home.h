/* Which relay region is home: the fastest, but not for a few milliseconds (spec §8.4).
 *
 * Keeps the reports of the last minutes. Net thread, inside path only. */
#pragma once

#include "netmap/derp-map.h"
#include "path/netcheck.h"

#define HOME_HISTORY_US  (305 * INT64_C (1000000))
#define HOME_REPORTS_MAX 32
#define HOME_HEARD_US    (8 * INT64_C (1000000)) /* a frame so lately: it is accessible */
#define HOME_KEEP_US     10000                   /* worth no switch */

typedef struct
{
  NetcheckReport *reports[HOME_REPORTS_MAX]; /* oldest first */
  size_t count;
} HomeHistory;

void home_history_add (HomeHistory *history, const NetcheckReport *report);
void home_history_clear (HomeHistory *history);

typedef struct
{
  const DerpMap *map;
  const NetcheckReport *report; /* the newest, already in the history */
  uint16_t home;                /* 0: none yet */
  int64_t heard_us;             /* last frame from home; 0: never */
  int64_t started_us;           /* when the run of the report began */
  bool control_connected;
  uint64_t chance; /* the same for the life of the process: picks when nothing is known */
} HomeQuestion;

/* The region to be home now; 0: there is none. */
uint16_t home_choose (const HomeHistory *history, const HomeQuestion *question, int64_t now_us);
