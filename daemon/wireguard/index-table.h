/* Receiver indices: 32-bit numbers that name our handshakes and sessions on the wire.
 *
 * Layout: bits 0-2 the worker that owns the peer, bits 3-19 a slot, bits 20-31 a random tag that is
 * new at every allocation. One type in two roles: net allocates (one table for each worker) and
 * maps an index to its handshake; the worker keeps a table of its own that maps the same index to
 * the session. A lookup compares the whole index. Never hands out 0. Each table belongs to one
 * thread. spec/wireguard-dataplane.md §4.1, §10.2. */
#pragma once

#include "base/random.h"

#include <stddef.h>
#include <stdint.h>

#define WG_INDEX_WORKER_BITS 3
#define WG_INDEX_SLOT_BITS   17
#define WG_INDEX_MAX_WORKERS (1u << WG_INDEX_WORKER_BITS)
#define WG_INDEX_MAX_SLOTS   (1u << WG_INDEX_SLOT_BITS)

typedef struct WgIndexTable WgIndexTable;

/* A table for the indices of WORKER (0..7). Memory grows in chunks of 1024 slots as they are used.
 */
WgIndexTable *wg_index_table_new (unsigned worker);
void wg_index_table_free (WgIndexTable *table);

/* Net: a fresh index that maps to VALUE (not NULL); 0 when every slot is taken. */
uint32_t wg_index_table_allocate (WgIndexTable *table, Random *random, void *value);

/* Worker: maps INDEX, allocated by net, to VALUE; what its slot held before is forgotten. Returns 0
 * when the index belongs to another worker. Allocates at most a chunk; never on the packet path. */
uint32_t wg_index_table_put (WgIndexTable *table, uint32_t index, void *value);

/* What INDEX maps to, or NULL. */
void *wg_index_table_get (const WgIndexTable *table, uint32_t index);

/* Forgets INDEX; harmless when it is not there. */
void wg_index_table_remove (WgIndexTable *table, uint32_t index);

/* Indices in use. */
size_t wg_index_table_count (const WgIndexTable *table);

/* The worker that INDEX belongs to. */
static inline unsigned
wg_index_worker (uint32_t index)
{
  return index & (WG_INDEX_MAX_WORKERS - 1);
}
