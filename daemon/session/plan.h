/* What should be, computed in one place and purely: (preferences, netmap, link) -> configurations
 * of tunnel, host and resolver (DESIGN, rule 2; spec/netmap-and-policy.md part C).
 *
 * An immutable, reference-counted value. A plan made by plan_update equals the one that plan_new
 * makes from the same inputs, and shares with the previous one whatever did not change. Main
 * thread. */
#pragma once

#include "dns/config.h"
#include "host/config.h"
#include "host/link-state.h"
#include "netmap/netmap.h"
#include "session/preferences.h"
#include "tunnel/config.h"

typedef struct Plan Plan;
struct Plan
{
  unsigned references;
  TunnelConfig *tunnel;
  HostConfig *host;
  DnsConfig *dns;
  bool exit_selected; /* default traffic goes into the tunnel, to exit_node or nowhere */
  Node *exit_node; /* the peer that is used as exit node; NULL: none, or selected and not there */
};

/* NETMAP has a self node; LINK may be NULL (nothing known yet). A tailnet lock that is on lets no
 * peer in (DESIGN). */
Plan *plan_new (const Preferences *prefs, const Netmap *netmap, const LinkState *link);

/* The plan after CHANGES led to NETMAP (empty changes: only preferences or link may differ). A new
 * reference to PREVIOUS itself when nothing comes out differently. */
Plan *plan_update (const Plan *previous, const Preferences *prefs, const Netmap *netmap,
                   const LinkState *link, const NetmapChanges *changes);

Plan *plan_ref (const Plan *plan);
void plan_unref (const Plan *plan);
