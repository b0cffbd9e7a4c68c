/* From a source address to the rules that have it among their sources.
 *
 * Sources are ranges that overlap at will; the table cuts the address space at their ends and
 * keeps, for each piece, the set of rules that hold there, equal sets once. So a rule of a covering
 * range is never lost to a narrower one (spec/netmap-and-policy.md B.10). Private to filter/. */
#pragma once

#include "netmap/filter-rule.h"

/* Rule numbers, ascending. */
typedef struct
{
  const uint32_t *rules;
  uint32_t n;
} RuleSet;

typedef struct SourceTable SourceTable;

/* Rule number i has RULES[i]'s ranges that are not "*". NULL when the sets would take more room
 * than SOURCE_SETS_MAX. */
#define SOURCE_SETS_MAX (16u << 20) /* rule numbers in all sets together */
SourceTable *source_table_new (const FilterRule *const *rules, size_t n_rules);
void source_table_free (SourceTable *table);

RuleSet source_table_lookup (const SourceTable *table, const IpAddr *addr);
