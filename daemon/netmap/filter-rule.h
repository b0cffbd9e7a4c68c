/* Packet filter rules as they stand on the wire, texts parsed, nothing compiled.
 *
 * spec/netmap-and-policy.md B.1. A text that cannot be understood is dropped and counted, the rest
 * of its rule stays. Immutable and reference-counted lists. Compiled by filter/filter.h. */
#pragma once

#include "base/ip.h"
#include "netmap/node.h"

#define FILTER_RULES_MAX 200000 /* rules of one list */

/* First and last address of one family, first <= last; family 0 in both: every address ("*"). */
typedef struct
{
  IpAddr first, last;
} IpRange;

typedef struct
{
  IpRange range;
  uint16_t first_port, last_port;
} FilterDst;

typedef struct
{
  const IpPrefix *dsts;
  const NodeCap *caps; /* by name; values NULL = present without data */
  size_t n_dsts, n_caps;
} FilterCapGrant;

typedef struct
{
  const IpRange *srcs;
  const char *const *src_caps; /* capability names of "cap:" sources */
  const FilterDst *dsts;
  const uint8_t *protocols; /* meaningful when has_protocols; else 6, 17, 1, 58 */
  const FilterCapGrant *grants;
  size_t n_srcs, n_src_caps, n_dsts, n_grants;
  uint16_t n_protocols;
  bool has_protocols; /* IPProto was given and not empty */
} FilterRule;

typedef struct FilterRules FilterRules;
struct FilterRules
{
  _Atomic uint32_t references;
  const FilterRule *rules;
  size_t n_rules;
  size_t n_rejected; /* texts that were dropped */
  bool poisoned;     /* SrcBits or Bits seen: the whole filter must deny (B.1) */
};

FilterRules *filter_rules_ref (const FilterRules *rules);
void filter_rules_unref (const FilterRules *rules);
void filter_rules_encode (const FilterRules *rules, JsonWriter *w);
bool filter_rules_equal (const FilterRules *a, const FilterRules *b);

/* A list out of one JSON array of rules; NULL on failure. */
FilterRules *filter_rules_decode (JsonReader *r);

/* The same rule by rule, for long lists. Add returns false on failure. Finish frees the builder. */
typedef struct FilterRulesBuilder FilterRulesBuilder;
FilterRulesBuilder *filter_rules_builder_new (void);
bool filter_rules_builder_add (FilterRulesBuilder *b, JsonReader *r);
FilterRules *filter_rules_builder_finish (FilterRulesBuilder *b);
