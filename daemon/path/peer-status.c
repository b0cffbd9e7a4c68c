/* What can be said about the path to a peer, and why there is no direct one. */
#include "path/internal.h"

#define SILENT_US (20 * USEC_PER_SEC) /* no disco from the peer although it was called */

static PathRelayedReason
why_relayed (const Path *path, const PeerPath *p)
{
  const NetcheckReport *report = discovery_report (path);

  if (peer_path_is_direct (path, p) || p->last_sent_us == LONG_AGO || p->record->wireguard_only)
    return RELAYED_NOT;
  if (path->knobs.only_tcp_443)
    return RELAYED_BY_POLICY;
  if (report && !report->udp)
    return RELAYED_UDP_BLOCKED;
  if (p->last_call_us != LONG_AGO && p->last_heard_us < p->last_call_us - SILENT_US
      && p->last_received_us < p->last_call_us - SILENT_US)
    return RELAYED_PEER_SILENT;
  if (p->candidates.count == 0)
    return RELAYED_NO_CANDIDATES;
  if (report && report->mapping_varies == TRISTATE_TRUE)
    return RELAYED_HARD_NATS;
  return RELAYED_NO_ANSWER;
}

static int64_t
or_zero (int64_t time_us)
{
  return time_us == LONG_AGO ? 0 : time_us;
}

void
peer_path_status (const Path *path, const PeerRecord *record, PathPeerStatus *out)
{
  const PeerPath *p = record->path;

  *out = (PathPeerStatus){.home_region = record->home_region,
                          .latency_us = NETCHECK_NO_LATENCY,
                          .n_candidates = record->n_endpoints};
  (void)peer_path_destination (path, record, &out->destination);
  if (!p)
    return;
  if (way_is_set (&p->best) && p->best.latency_us > 0)
    out->latency_us = p->best.latency_us;
  out->n_candidates = (unsigned)p->candidates.count;
  out->last_sent_us = or_zero (p->last_sent_us);
  out->last_received_us = or_zero (p->last_received_us);
  out->relayed = why_relayed (path, p);
}
