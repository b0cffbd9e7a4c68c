#include "session/plan.h"

#include "base/memory.h"
#include "session/exit-node.h"
#include "session/plan-private.h"

#include <stdlib.h>
#include <string.h>

static PlanInput
make_input (const Preferences *prefs, const Netmap *netmap, const LinkState *link)
{
  const LockInfo *lock = netmap_lock (netmap);
  const Node *self = netmap_self (netmap);

  return (PlanInput){.prefs = prefs,
                     .netmap = netmap,
                     .link = link,
                     .self = self,
                     .exit_node = exit_node_find (prefs, netmap, NULL),
                     .exit_selected = prefs->exit_node_mode != EXIT_NODE_NONE,
                     .closed
                     = (lock && !lock->disabled) || self->expired || !self->machine_authorized};
}

static struct PlanMemory *
make_memory (const PlanInput *in, SharedMap *claims)
{
  struct PlanMemory *m = mem_new (sizeof *m);

  preferences_copy (&m->prefs, in->prefs);
  m->link = in->link ? link_state_ref ((LinkState *)in->link) : NULL;
  m->self = node_ref (in->self);
  m->exit_id = in->exit_node ? in->exit_node->id : 0;
  m->closed = in->closed;
  m->claims = claims;
  return m;
}

static void
free_memory (struct PlanMemory *m)
{
  preferences_clear (&m->prefs);
  link_state_unref (m->link);
  node_unref (m->self);
  shared_map_unref (m->claims);
  free (m);
}

static bool
same_link (const LinkState *a, const LinkState *b)
{
  return a == b || (a && b && link_state_equal (a, b));
}

/* Nothing but peers that have no route can have changed for the host. */
static bool
keeps_host (const PlanInput *in, const Plan *previous, const PlanPeers *peers)
{
  const struct PlanMemory *m = previous->memory;

  return !peers->host_matters && m->self == in->self && same_link (m->link, in->link)
         && m->prefs.exit_node_mode == in->prefs->exit_node_mode
         && m->prefs.exit_node_allow_lan == in->prefs->exit_node_allow_lan
         && m->prefs.mtu == in->prefs->mtu && plan_same_offers (&m->prefs, in->prefs)
         && previous->exit_node == in->exit_node;
}

static bool
keeps_dns (const PlanInput *in, const Plan *previous, const NetmapChanges *changes)
{
  const struct PlanMemory *m = previous->memory;

  return !(changes->flags & NETMAP_CHANGED_DNS) && m->self == in->self
         && m->prefs.exit_node_mode == in->prefs->exit_node_mode
         && m->prefs.accept_dns == in->prefs->accept_dns && previous->exit_node == in->exit_node;
}

static void
take_host (Plan *plan, const Plan *previous)
{
  plan->host = host_config_ref (previous->host);
  plan->conflicts
      = mem_dup (previous->conflicts, previous->n_conflicts * sizeof *previous->conflicts);
  plan->n_conflicts = previous->n_conflicts;
}

/* Equal values are the same value. */
static void
share_equal (Plan *plan, const Plan *previous)
{
  if (plan->tunnel != previous->tunnel && tunnel_config_equal (plan->tunnel, previous->tunnel)) {
    tunnel_config_unref (plan->tunnel);
    plan->tunnel = tunnel_config_ref (previous->tunnel);
  }
  if (plan->host != previous->host && host_config_equal (plan->host, previous->host)) {
    host_config_unref (plan->host);
    plan->host = host_config_ref (previous->host);
  }
  if (plan->dns != previous->dns && dns_config_equal (plan->dns, previous->dns)) {
    dns_config_unref (plan->dns);
    plan->dns = dns_config_ref (previous->dns);
  }
}

static Plan *
make_plan (const Plan *previous, const PlanInput *in, const NetmapChanges *changes)
{
  Plan *plan = mem_new (sizeof *plan);
  PlanPeers peers = plan_peers (in, previous, changes);

  plan->references = 1;
  plan->tunnel = peers.config;
  plan->exit_selected = in->exit_selected;
  plan->exit_node = node_ref (in->exit_node);
  plan->memory = make_memory (in, peers.claims);
  if (previous && keeps_host (in, previous, &peers))
    take_host (plan, previous);
  else
    plan_host (in, plan);
  plan->dns = previous && keeps_dns (in, previous, changes) ? dns_config_ref (previous->dns)
                                                            : plan_dns (in);
  if (previous)
    share_equal (plan, previous);
  return plan;
}

Plan *
plan_new (const Preferences *prefs, const Netmap *netmap, const LinkState *link)
{
  PlanInput in = make_input (prefs, netmap, link);
  NetmapChanges none;

  netmap_changes_init (&none);
  return make_plan (NULL, &in, &none);
}

static bool
same_conflicts (const Plan *a, const Plan *b)
{
  if (a->n_conflicts != b->n_conflicts)
    return false;
  for (size_t i = 0; i < a->n_conflicts; i++)
    if (!ip_prefix_equal (&a->conflicts[i].on_link, &b->conflicts[i].on_link)
        || !ip_prefix_equal (&a->conflicts[i].route, &b->conflicts[i].route)
        || a->conflicts[i].peer != b->conflicts[i].peer)
      return false;
  return true;
}

static bool
same_plan (const Plan *a, const Plan *b)
{
  return a->exit_selected == b->exit_selected && a->exit_node == b->exit_node
         && tunnel_config_equal (a->tunnel, b->tunnel) && host_config_equal (a->host, b->host)
         && dns_config_equal (a->dns, b->dns) && same_conflicts (a, b);
}

Plan *
plan_update (const Plan *previous, const Preferences *prefs, const Netmap *netmap,
             const LinkState *link, const NetmapChanges *changes)
{
  const struct PlanMemory *m = previous->memory;
  PlanInput in = make_input (prefs, netmap, link);

  if (changes->flags == 0 && m->self == in.self && same_link (m->link, link)
      && preferences_equal (&m->prefs, prefs))
    return plan_ref (previous);
  Plan *next = make_plan (previous, &in, changes);
  if (!same_plan (previous, next))
    return next;
  plan_unref (next);
  return plan_ref (previous);
}

Plan *
plan_ref (const Plan *plan)
{
  Plan *own = (Plan *)plan;

  own->references++;
  return own;
}

void
plan_unref (const Plan *plan)
{
  Plan *own = (Plan *)plan;

  if (!own || --own->references > 0)
    return;
  tunnel_config_unref (own->tunnel);
  host_config_unref (own->host);
  dns_config_unref (own->dns);
  node_unref (own->exit_node);
  free (own->conflicts);
  free_memory (own->memory);
  free (own);
}
