/* Sets of IP addresses of both families as sorted, disjoint, non-adjacent ranges.
 *
 * What policy selectors resolve to. Sets live in an arena and are immutable once handed out. Any
 * thread. */
#pragma once

#include "base/ip.h"
#include "base/arena.h"
#include "netmap/filter-rule.h"

typedef struct
{
  const IpRange *ranges; /* IPv4 first; never the family-less "everything" */
  size_t n;
} IpSet;

/* Collects ranges in any order. */
typedef struct
{
  Arena *arena;
  IpRange *ranges;
  size_t n;
} IpSetBuilder;

IpSetBuilder ip_set_builder (Arena *arena);
void ip_set_add_range (IpSetBuilder *b, const IpRange *range);
void ip_set_add_prefix (IpSetBuilder *b, const IpPrefix *prefix);
void ip_set_add_addr (IpSetBuilder *b, const IpAddr *addr);
void ip_set_add_set (IpSetBuilder *b, const IpSet *set);
IpSet ip_set_build (IpSetBuilder *b);

/* The addresses of A that are not in B; of A that are in B. */
IpSet ip_set_subtract (Arena *arena, const IpSet *a, const IpSet *b);
IpSet ip_set_intersect (Arena *arena, const IpSet *a, const IpSet *b);

bool ip_set_contains (const IpSet *set, const IpAddr *addr);
bool ip_set_contains_range (const IpSet *set, const IpRange *range);
bool ip_set_contains_set (const IpSet *set, const IpSet *inner);
bool ip_set_overlaps_range (const IpSet *set, const IpRange *range);
bool ip_set_overlaps (const IpSet *a, const IpSet *b);

IpRange ip_range_of_prefix (const IpPrefix *prefix);

/* True and the prefix when RANGE is exactly one CIDR. */
bool ip_range_as_prefix (const IpRange *range, IpPrefix *out);

/* "100.64.0.1", "10.0.0.0/8" or "100.64.0.1-100.64.0.4". */
#define IP_RANGE_TEXT_MAX (2 * IP_TEXT_MAX + 4)
void ip_range_format (const IpRange *range, char out[IP_RANGE_TEXT_MAX]);

/* The fewest CIDRs that make up RANGE, appended to the growing array. */
IpPrefix *ip_range_prefixes (Arena *arena, const IpRange *range, IpPrefix *prefixes, size_t *n);
