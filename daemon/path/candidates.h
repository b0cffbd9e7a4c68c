/* The addresses at which one peer might be reached, and what each pong told about them.
 *
 * Lifetimes by origin as in spec/path-finding.md §6.2. Net thread, inside path only. */
#pragma once

#include "base/clock.h"
#include "base/ip.h"
#include "path/disco.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CANDIDATES_LEARNED_MAX 100 /* from pings */
#define CANDIDATES_CALLED_MAX  400 /* of one call: a peer behind a hard NAT may guess its ports */
#define CANDIDATE_IDLE_US      (45 * USEC_PER_SEC)
#define CANDIDATE_LATENCIES    4
#define LONG_AGO               (INT64_MIN / 4) /* "never", fit for subtraction */

typedef struct
{
  IpPort at;
  bool in_netmap;
  bool in_call; /* listed by the newest CallMeMaybe */
  uint8_t n_latencies;
  int64_t last_ping_us;     /* last discovery ping to it */
  int64_t last_got_ping_us; /* last ping from it */
  int64_t triggered_us;     /* last ping sent because one came from it */
  DiscoTxId last_got_tx_id;
  int64_t latencies[CANDIDATE_LATENCIES]; /* newest first */
} Candidate;

typedef struct
{
  Candidate *items;
  size_t count;
  size_t room;
} Candidates;

void candidates_clear (Candidates *candidates);
Candidate *candidates_find (const Candidates *candidates, const IpPort *at);

/* Finds or adds; NULL when the limit is reached and nothing dead could be dropped. */
Candidate *candidates_learn (Candidates *candidates, const IpPort *at, int64_t now_us);

/* The netmap lists exactly these now. KEEP (may be NULL) stays in any case. */
void candidates_set_netmap (Candidates *candidates, const IpPort *endpoints, size_t count,
                            const IpPort *keep, int64_t now_us);

/* A CallMeMaybe lists exactly these; those of an earlier one that it does not list go. */
void
candidates_set_call (Candidates *candidates, const IpPort *endpoints, size_t count, int64_t now_us);

/* Drops what nothing speaks for any more, but not KEEP (may be NULL). */
void candidates_drop_dead (Candidates *candidates, const IpPort *keep, int64_t now_us);

/* Forgets every measurement; the newest call's entries become as if from the netmap. */
void candidates_reset (Candidates *candidates);
void candidate_forget (Candidate *candidate);

/* Remembers a round trip; the result is the smallest of the last few. */
int64_t candidate_add_latency (Candidate *candidate, int64_t latency_us);
