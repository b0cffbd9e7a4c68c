/* The packet filter that the tailnet's policy compiles to: what peers may send us.
 *
 * Immutable and reference-counted: published as one pointer, read by workers without locks. Rules,
 * verdict tables, classes and capabilities: spec/netmap-and-policy.md B.1-B.10. Enforced after
 * decryption and before the TUN; the tunnel does the pipeline of B.8 around it. */
#pragma once

#include "base/ip-packet.h"
#include "filter/flow-table.h"
#include "netmap/netmap.h"

typedef enum
{
  FILTER_NONE,       /* no map yet: nothing comes in, not even replies */
  FILTER_NORMAL,     /* the rules of the map */
  FILTER_SHIELDS_UP, /* no rules; replies come in */
} FilterClass;

typedef enum
{
  FILTER_ACCEPT,
  FILTER_DROP_ACL,
  FILTER_DROP_MULTICAST,
  FILTER_DROP_LINK_LOCAL,
  FILTER_DROP_TOO_SHORT,
  FILTER_DROP_FRAGMENT,
  FILTER_DROP_UNKNOWN_PROTOCOL,
  FILTER_DROP_ERROR,
  FILTER_N_VERDICTS,
} FilterVerdict;

/* "acl", "multicast", …; "accept". For counters, logs and the user interface. */
const char *filter_verdict_name (FilterVerdict verdict);

typedef struct
{
  FilterClass klass;
  const NamedFilter *lists; /* rules of the map; the Filter keeps references */
  size_t n_lists;
  const IpPrefix
      *local; /* what is for us: own addresses, hosted services, advertised routes (B.3) */
  size_t n_local;
  const Netmap *netmap; /* peers, for "cap:" sources and the validity check; only during compile */
} FilterConfig;

typedef struct Filter Filter;

/* Never NULL. */
Filter *filter_compile (const FilterConfig *config);

/* Like filter_compile, but what CHANGES (since the netmap PREVIOUS was compiled with) does not
 * touch is shared with PREVIOUS; PREVIOUS itself comes back with one more reference when nothing
 * does. */
Filter *
filter_update (const Filter *previous, const FilterConfig *config, const NetmapChanges *changes);

Filter *filter_ref (const Filter *filter);
void filter_unref (const Filter *filter);

FilterClass filter_class (const Filter *filter);

/* The server's rules were refused as a whole (B.1 SrcBits and Bits, B.7): static text for a
 * warning, or NULL. */
const char *filter_warning (const Filter *filter);

/* May this packet from a peer come in? JAILED: the peer is, so it is as if there were no rules.
 * FLOWS is the worker's table for packets of normal peers (or of jailed ones: the caller keeps one
 * table each). */
FilterVerdict filter_in (const Filter *filter, FlowTable *flows, const IpPacket *packet,
                         bool jailed, int64_t now_us);

/* May this packet of the host go to a peer? Records the flow. Source address before masquerading.
 */
FilterVerdict
filter_out (const Filter *filter, FlowTable *flows, const IpPacket *packet, int64_t now_us);

/* The reason to put into a TSMP reject for a packet that was dropped with FILTER_DROP_ACL. */
TsmpReason filter_reject_reason (const Filter *filter, bool jailed);

/* What SRC may do with DST beyond packets (B.9): one JSON object {name: [values]} written to W. An
 * UNSIGNED peer keeps only ingress. */
void filter_peer_caps (const Filter *filter, const IpAddr *src, const IpAddr *dst,
                       bool unsigned_peer, JsonWriter *w);

/* Whether SRC has capability NAME towards DST. */
bool filter_peer_has_cap (const Filter *filter, const IpAddr *src, const IpAddr *dst,
                          bool unsigned_peer, const char *name);

/* Why a new connection would pass or not, without a packet: the list's name and index of the first
 * rule that lets it in. False: none does. */
typedef struct
{
  const char *list;
  size_t rule;
} FilterWitness;

bool filter_explain (const Filter *filter, uint8_t protocol, const IpAddr *src, const IpAddr *dst,
                     uint16_t dst_port, FilterWitness *witness);

/* Counters of one worker. */
typedef struct
{
  uint64_t in[FILTER_N_VERDICTS];
  uint64_t out[FILTER_N_VERDICTS];
} FilterCounters;
