#include "filter/filter.h"

#include "filter/filter-private.h"

#define ICMP_HEADER 8 /* bytes of a complete ICMP message at least */

static const char *const verdict_names[FILTER_N_VERDICTS] = {
    [FILTER_ACCEPT] = "accept",
    [FILTER_DROP_ACL] = "acl",
    [FILTER_DROP_MULTICAST] = "multicast",
    [FILTER_DROP_LINK_LOCAL] = "link_local_unicast",
    [FILTER_DROP_TOO_SHORT] = "too_short",
    [FILTER_DROP_FRAGMENT] = "fragment",
    [FILTER_DROP_UNKNOWN_PROTOCOL] = "unknown_protocol",
    [FILTER_DROP_ERROR] = "error",
};

const char *
filter_verdict_name (FilterVerdict verdict)
{
  return verdict < FILTER_N_VERDICTS ? verdict_names[verdict] : "error";
}

FilterClass
filter_class (const Filter *filter)
{
  return filter->klass;
}

const char *
filter_warning (const Filter *filter)
{
  return filter->warning;
}

TsmpReason
filter_reject_reason (const Filter *filter, bool jailed)
{
  return jailed || filter->klass == FILTER_SHIELDS_UP ? TSMP_REASON_SHIELDS_UP : TSMP_REASON_ACL;
}

/* ---- rules ---- */

/* What of a packet a rule is asked for. */
typedef enum
{
  MATCH_PORT,    /* protocol, destination address and port */
  MATCH_ADDRESS, /* destination address alone (ICMP) */
  MATCH_ALL,     /* protocol and a destination with every port (protocols without ports) */
} MatchKind;

typedef struct
{
  MatchKind kind;
  uint8_t protocol;
  uint16_t port;
  const IpAddr *src, *dst;
} Query;

static bool
range_has (const IpRange *range, const IpAddr *addr)
{
  if (range->first.family == 0)
    return true;
  return range->first.family == addr->family && ip_compare (&range->first, addr) <= 0
         && ip_compare (addr, &range->last) <= 0;
}

static bool
rule_lets_in (const CompiledRule *c, const Query *q)
{
  if (q->kind != MATCH_ADDRESS && !(c->protocols[q->protocol / 64] >> q->protocol % 64 & 1))
    return false;
  for (size_t i = 0; i < c->rule->n_dsts; i++) {
    const FilterDst *dst = &c->rule->dsts[i];
    if (q->kind == MATCH_PORT && (q->port < dst->first_port || q->port > dst->last_port))
      continue;
    if (q->kind == MATCH_ALL && (dst->first_port != 0 || dst->last_port != UINT16_MAX))
      continue;
    if (range_has (&dst->range, q->dst))
      return true;
  }
  return false;
}

/* The first rule among N numbers that lets Q in, or BEST if that is smaller. */
static uint32_t
first_match (const Filter *f, const Query *q, const uint32_t *numbers, size_t n, uint32_t best)
{
  for (size_t i = 0; i < n && numbers[i] < best; i++)
    if (rule_lets_in (&f->rules[numbers[i]], q))
      return numbers[i];
  return best;
}

/* The number of the first rule that lets Q in; UINT32_MAX when none does. */
static uint32_t
find_rule (const Filter *f, const Query *q)
{
  uint64_t start;
  uint32_t best = UINT32_MAX;

  if (f->n_rules == 0)
    return best;
  RuleSet set = source_table_lookup (f->sources, q->src);
  best = first_match (f, q, set.rules, set.n, best);
  best = first_match (f, q, f->any, f->n_any, best);
  if (f->cap_holders && prefix_table_lookup (f->cap_holders, q->src, &start))
    best = first_match (f, q, f->cap_numbers + start + 1, f->cap_numbers[start], best);
  return best;
}

/* ---- verdicts (B.5) ---- */

static bool
is_metadata_service (const IpAddr *addr)
{
  return addr->family == 4 && ip_v4 (addr) == 0xa9fea9fe;
}

/* What holds for both directions; *DONE is false when the packet has to be looked at further. */
static FilterVerdict
common_verdict (const IpPacket *p, bool *done)
{
  *done = true;
  if (p->klass == PACKET_KEEPALIVE)
    return FILTER_ACCEPT;
  if (p->klass == PACKET_TOO_SHORT)
    return FILTER_DROP_TOO_SHORT;
  if (p->klass == PACKET_UNKNOWN)
    return FILTER_DROP_UNKNOWN_PROTOCOL;
  if (ip_is_multicast (&p->dst))
    return FILTER_DROP_MULTICAST;
  if (ip_is_link_local (&p->dst) && !is_metadata_service (&p->dst))
    return FILTER_DROP_LINK_LOCAL;
  *done = false;
  return FILTER_ACCEPT;
}

static bool
is_local (const Filter *f, const IpAddr *addr)
{
  uint64_t value;

  if (f->local_table)
    return prefix_table_lookup (f->local_table, addr, &value);
  for (size_t i = 0; i < f->n_local; i++)
    if (ip_prefix_contains (&f->local[i], addr))
      return true;
  return false;
}

/* Answers to what we sent, which need no rule. */
static bool
is_icmp_answer (const IpPacket *p)
{
  if (p->size - p->header_size < ICMP_HEADER)
    return false;
  if (p->src.family == 4)
    return (p->icmp_type == 0 && p->icmp_code == 0) || p->icmp_type == 3 || p->icmp_type == 11
           || p->icmp_type == 12;
  return (p->icmp_type == 129 && p->icmp_code == 0) || (p->icmp_type >= 1 && p->icmp_type <= 4);
}

static bool
ask_rules (const Filter *f, const IpPacket *p, MatchKind kind)
{
  Query q = {kind, p->protocol, p->dst_port, &p->src, &p->dst};

  return find_rule (f, &q) != UINT32_MAX;
}

/* The table of B.5; RULES are NULL for peers that may not initiate. */
static bool
lets_in (const Filter *rules, FlowTable *flows, const IpPacket *p, int64_t now_us)
{
  switch (p->protocol) {
    case IP_PROTO_TCP:
      return !ip_packet_is_syn (p) || (rules && ask_rules (rules, p, MATCH_PORT));
    case IP_PROTO_UDP:
    case IP_PROTO_SCTP:
      return flow_table_matches (flows, p, now_us) || (rules && ask_rules (rules, p, MATCH_PORT));
    case IP_PROTO_TSMP:
      return true;
    case IP_PROTO_ICMP4:
    case IP_PROTO_ICMP6:
      if ((p->protocol == IP_PROTO_ICMP4) == (p->src.family == 4))
        return is_icmp_answer (p) || (rules && ask_rules (rules, p, MATCH_ADDRESS));
      break;
    default:
      break;
  }
  return rules && ask_rules (rules, p, MATCH_ALL);
}

FilterVerdict
filter_in (const Filter *filter, FlowTable *flows, const IpPacket *packet, bool jailed,
           int64_t now_us)
{
  bool done;
  FilterVerdict verdict = common_verdict (packet, &done);

  if (done)
    return verdict;
  if (filter->klass == FILTER_NONE)
    return FILTER_DROP_ACL;
  if (packet->klass == PACKET_FRAGMENT)
    return is_local (filter, &packet->dst) ? FILTER_ACCEPT : FILTER_DROP_FRAGMENT;
  if (!is_local (filter, &packet->dst))
    return FILTER_DROP_ACL;
  const Filter *rules = jailed || filter->klass == FILTER_SHIELDS_UP ? NULL : filter;
  return lets_in (rules, flows, packet, now_us) ? FILTER_ACCEPT : FILTER_DROP_ACL;
}

FilterVerdict
filter_out (const Filter *filter, FlowTable *flows, const IpPacket *packet, int64_t now_us)
{
  bool done;
  FilterVerdict verdict = common_verdict (packet, &done);

  if (!done && packet->klass == PACKET_OK
      && (packet->protocol == IP_PROTO_UDP || packet->protocol == IP_PROTO_SCTP))
    flow_table_add (flows, packet, now_us);
  return verdict;
}

bool
filter_explain (const Filter *filter, uint8_t protocol, const IpAddr *src, const IpAddr *dst,
                uint16_t dst_port, FilterWitness *witness)
{
  Query q = {MATCH_ALL, protocol, dst_port, src, dst};
  uint32_t number;

  if (filter->klass != FILTER_NORMAL || !is_local (filter, dst))
    return false;
  if (protocol == IP_PROTO_TCP || protocol == IP_PROTO_UDP || protocol == IP_PROTO_SCTP)
    q.kind = MATCH_PORT;
  else if (protocol == (src->family == 4 ? IP_PROTO_ICMP4 : IP_PROTO_ICMP6))
    q.kind = MATCH_ADDRESS;
  number = find_rule (filter, &q);
  if (number == UINT32_MAX)
    return false;
  witness->list = filter->list_names[filter->rules[number].list];
  witness->rule = filter->rules[number].index;
  return true;
}
