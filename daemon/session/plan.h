/* What should be, computed in one place and purely: (preferences, netmap, link) -> configurations
 * of tunnel, host and resolver (DESIGN, rule 2; spec/netmap-and-policy.md part C,
 * spec/linux-host.md §2.3, §4, §7).
 *
 * An immutable, reference-counted value. A plan made by plan_update equals the one that plan_new
 * makes from the same inputs, and shares with the previous one whatever did not change: an update
 * looks at the peers that changed, not at those there are. Main thread. */
#pragma once

#include "dns/config.h"
#include "host/config.h"
#include "host/link-state.h"
#include "netmap/netmap.h"
#include "session/preferences.h"
#include "tunnel/config.h"

/* A network that this computer is on, and an accepted subnet route that has all of it: the tunnel
 * wins, and the user should know (spec/linux-host.md §2.3). */
typedef struct
{
  IpPrefix on_link;
  IpPrefix route;
  NodeId peer; /* that serves the route */
} PlanConflict;

typedef struct Plan Plan;
struct Plan
{
  unsigned references;
  TunnelConfig *tunnel;
  HostConfig *host;
  DnsConfig *dns;
  bool exit_selected; /* default traffic goes into the tunnel, to exit_node or nowhere */
  Node *exit_node; /* the peer that is used as exit node; NULL: none, or selected and not there */
  PlanConflict *conflicts;
  size_t n_conflicts;
  struct PlanMemory *memory; /* what plan_update needs to know about how this came about */
};

/* NETMAP has a self node; LINK may be NULL (nothing known yet). No peer comes in while the tailnet
 * lock is on (DESIGN), the own key has expired, or the machine is not authorised; the default
 * routes of a selected exit node stay, so that nothing leaks. */
Plan *plan_new (const Preferences *prefs, const Netmap *netmap, const LinkState *link);

/* The plan after CHANGES led from the netmap of PREVIOUS to NETMAP (empty changes: only preferences
 * or link may differ). A new reference to PREVIOUS itself when nothing comes out differently. */
Plan *plan_update (const Plan *previous, const Preferences *prefs, const Netmap *netmap,
                   const LinkState *link, const NetmapChanges *changes);

Plan *plan_ref (const Plan *plan);
void plan_unref (const Plan *plan);
