/* Longest prefix match: IP prefixes to 64-bit values, both families in one table.
 *
 * Single addresses are found by an exact hash, everything else by a path-compressed trie
 * (spec/wireguard-dataplane.md §12.1-§12.3, spec/netmap-and-policy.md B.10). A table that others
 * may see is never changed: prefix_table_edit makes a new one that shares chunks and trie nodes and
 * that its owner may change until it is shown around, so a change of one peer costs the same with
 * 10 and with 100,000 peers. Look-ups take no reference, no lock, and do not allocate. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PrefixTable PrefixTable;

PrefixTable *prefix_table_new (void);
PrefixTable *prefix_table_ref (const PrefixTable *table);
void prefix_table_unref (const PrefixTable *table);

/* A table of the caller's own with the content of TABLE. */
PrefixTable *prefix_table_edit (const PrefixTable *table);

/* Changes; only on a table nobody else has seen. Set replaces the value of an equal prefix; host
 * bits are ignored. Remove returns false when there is no such prefix. */
void prefix_table_set (PrefixTable *own, const IpPrefix *prefix, uint64_t value);
bool prefix_table_remove (PrefixTable *own, const IpPrefix *prefix);

/* Entries in all. */
size_t prefix_table_size (const PrefixTable *table);

/* The value of the longest prefix that contains ADDR; false when there is none. */
bool prefix_table_lookup (const PrefixTable *table, const IpAddr *addr, uint64_t *value);

/* The value of exactly PREFIX. */
bool prefix_table_get (const PrefixTable *table, const IpPrefix *prefix, uint64_t *value);

/* Values of all prefixes that contain ADDR, shortest first: at most MAX, returns how many. 130 is
 * always enough. */
size_t
prefix_table_covering (const PrefixTable *table, const IpAddr *addr, uint64_t *values, size_t max);

/* Calls FUNC for every entry, in no particular order. */
void prefix_table_foreach (const PrefixTable *table,
                           void (*func) (const IpPrefix *prefix, uint64_t value, void *data),
                           void *data);
