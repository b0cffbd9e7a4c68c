/* Inside of a compiled filter. Private to filter/. */
#pragma once

#include "base/prefix-table.h"
#include "filter/filter.h"
#include "filter/source-table.h"

#define LOCAL_SCAN_MAX 6 /* so few prefixes are faster compared one by one than looked up */

/* A rule that lets packets in. */
typedef struct
{
  const FilterRule *rule; /* of a list that the filter holds */
  uint32_t list, index;   /* where it stands, for filter_explain */
  uint64_t protocols[4];  /* bit set */
} CompiledRule;

struct Filter
{
  _Atomic uint32_t references;
  FilterClass klass;
  const char *warning; /* static text or NULL */

  char **list_names;
  FilterRules **lists; /* references */
  size_t n_lists;

  CompiledRule *rules;
  size_t n_rules;
  SourceTable *sources; /* NULL: no rules */
  uint32_t *any;        /* rules with source "*" */
  size_t n_any;
  uint32_t *capped; /* rules with a "cap:" source */
  size_t n_capped;
  PrefixTable *cap_holders; /* own address of a peer -> number of its set; NULL: no capped rules */
  uint32_t *cap_numbers;    /* of all sets: count, then as many rules */
  size_t n_cap_numbers;

  IpPrefix *local;
  size_t n_local;
  PrefixTable *local_table; /* NULL: compare one by one */
};

/* Fills CAP_HOLDERS for the peers of NETMAP. */
void filter_resolve_caps (Filter *filter, const Netmap *netmap);

/* A node attribute that some rule has as "cap:" source is among those of NODE. */
bool filter_uses_caps_of (const Filter *filter, const Node *node);
