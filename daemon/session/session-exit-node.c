/* The part of the exit node that is stored: an address that became known, an automatic choice that
 * moved on (spec/netmap-and-policy.md C.3, C.4). What it leads to is the plan's. */
#include "session/session-private.h"

#include "session/exit-node.h"

static size_t
best_latencies (const TunnelNetReport *report, RegionLatency *out)
{
  size_t n = 0;
  for (size_t i = 0; i < report->n_latencies; i++) {
    const TunnelLatency *l = &report->latencies[i];
    double seconds = (double)l->latency_us / USEC_PER_SEC;
    size_t at = 0;
    while (at < n && out[at].region != l->region)
      at++;
    if (at == n)
      out[n++] = (RegionLatency){.region = l->region, .seconds = seconds};
    else if (seconds < out[at].seconds)
      out[at].seconds = seconds;
  }
  return n;
}

static ExitNodeHints
make_hints (const Session *s, RegionLatency latencies[TUNNEL_LATENCIES_MAX])
{
  return (ExitNodeHints){
      .home_region = s->have_net_report ? s->net_report.preferred_derp : 0,
      .latencies = latencies,
      .n_latencies = s->have_net_report ? best_latencies (&s->net_report, latencies) : 0,
      .previous = s->profile->preferences.exit_node_id,
      .random = s->random,
  };
}

const Node *
session_suggest_exit_node (const Session *s)
{
  RegionLatency latencies[TUNNEL_LATENCIES_MAX];
  if (!s->netmap || !netmap_self (s->netmap))
    return NULL;
  ExitNodeHints hints = make_hints (s, latencies);
  return exit_node_suggest (s->netmap, &hints);
}

void
session_resolve_exit_node (Session *s, bool anew)
{
  Preferences *prefs = &s->profile->preferences;
  bool due = prefs->exit_node_mode == EXIT_NODE_BY_ADDRESS
             || (prefs->exit_node_mode == EXIT_NODE_AUTO && anew);
  if (!due || !s->active || !s->netmap || !netmap_self (s->netmap))
    return;
  RegionLatency latencies[TUNNEL_LATENCIES_MAX];
  ExitNodeHints hints = make_hints (s, latencies);
  if (!exit_node_resolve (prefs, s->netmap, &hints))
    return;
  session_save_soon (s);
  session_changed (s, SESSION_CHANGED_PREFERENCES | SESSION_CHANGED_SELF);
}
