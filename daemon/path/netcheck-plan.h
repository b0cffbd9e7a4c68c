/* Which STUN probes one netcheck run sends, and when (spec/path-finding.md §8.2).
 *
 * Pure: from the map and the last report to a list. Net thread, inside path only. */
#pragma once

#include "path/netcheck.h"

#define PROBE_TRIES_MAX 4

/* Probes of one region over one family; the first answer ends the set. */
typedef struct
{
  uint16_t region; /* index into the map's regions */
  uint8_t family;  /* 4 or 6 */
  uint8_t tries;
  int64_t start_us[PROBE_TRIES_MAX]; /* of each try, from the start of the run */
} ProbeSet;

typedef struct
{
  ProbeSet *sets;
  size_t count;
  size_t room;
} ProbePlan;

void probe_plan_make (ProbePlan *plan, const NetcheckRequest *request);
void probe_plan_free (ProbePlan *plan);

/* True when NODE can be asked over FAMILY at all. */
bool probe_node_usable (const DerpNode *node, unsigned family);
