/* The ledger of a load test: which change was told to how many nodes, and when the last of them
 * heard. Equal messages are decoded once: nodes that share a message share its digest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LEDGER_CHANGES_MAX 64 /* of one node */

typedef struct LoadLedger LoadLedger;

LoadLedger *load_ledger_new (uint32_t n_nodes);
void load_ledger_free (LoadLedger *ledger);

/* Node INDEX began its change number CHANGE. */
void load_ledger_sent (LoadLedger *ledger, uint32_t index, uint32_t change, int64_t now_us);

/* One node got a message of the map stream (what stands behind its length). False: it cannot be
 * decoded. */
bool load_ledger_told (LoadLedger *ledger, const void *data, size_t size, int64_t now_us);

/* Decodes a whole first map; the number of its peers, -1 when it is wrong. */
long load_ledger_check_map (const void *data, size_t size);

/* A line for each change that was seen: index, number, when sent (0: not here), how many heard, and
 * when the last did. */
void load_ledger_write (const LoadLedger *ledger, FILE *out);

/* Messages that came, and how many different ones they were. */
void load_ledger_counts (const LoadLedger *ledger, uint64_t *messages, uint64_t *different);
