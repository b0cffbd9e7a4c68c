/* The parts of a plan in the making. Private to session/plan*.c. */
#pragma once

#include "base/shared-map.h"
#include "session/plan.h"

typedef struct
{
  const Preferences *prefs;
  const Netmap *netmap;
  const LinkState *link; /* may be NULL */
  const Node *self;
  const Node *exit_node; /* borrowed; NULL: none, or not there */
  bool exit_selected;
  bool closed; /* no peer comes in */
} PlanInput;

/* What came out of what, for the next update. */
struct PlanMemory
{
  Preferences prefs; /* copy */
  LinkState *link;   /* NULL none */
  Node *self;
  NodeId exit_id; /* 0 none */
  bool closed;
  SharedMap *claims; /* hash of prefix -> ids of the peers that may send from it */
};

/* ---- peers ---- */

typedef struct
{
  TunnelConfig *config; /* a reference; the filter of the settings may be another than before */
  SharedMap *claims;    /* a reference */
  bool host_matters;    /* routes or addresses differ from those of the previous plan */
} PlanPeers;

/* PREVIOUS is NULL for a plan from scratch. */
PlanPeers plan_peers (const PlanInput *in, const Plan *previous, const NetmapChanges *changes);

/* ---- host ---- */

/* Sets host and conflicts of PLAN, whose tunnel is there. */
void plan_host (const PlanInput *in, Plan *plan);

/* Of the TUN device, bytes. */
uint32_t plan_mtu (const PlanInput *in);

/* ---- serving ---- */

/* The prefixes that packets of peers may be for. Free the result. */
IpPrefix *plan_local_set (const PlanInput *in, size_t *n);

/* Sets in B what the host forwards. */
void plan_forwarding (const PlanInput *in, HostConfigBuilder *b);
bool plan_same_offers (const Preferences *a, const Preferences *b);

/* ---- names ---- */

DnsConfig *plan_dns (const PlanInput *in);
