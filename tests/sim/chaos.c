#include "chaos.h"

#include "flows.h"
#include "node.h"

#define MINUTE (60 * USEC_PER_SEC)

static int64_t
minutes (Sim *sim, int64_t low, int64_t high)
{
  return sim_random_us (sim, low * 60, high * 60) * USEC_PER_SEC;
}

static int64_t
seconds (Sim *sim, int64_t low, int64_t high)
{
  return sim_random_us (sim, low, high) * USEC_PER_SEC;
}

void
sim_chaos_init (Sim *sim)
{
  for (uint32_t i = 0; i < sim->options.n_nodes; i++)
    sim_plan (sim, SIM_NODE_START, i, 0, sim_random_us (sim, 0, 30 * USEC_PER_SEC));
  if (sim->options.calm)
    return;
  for (uint32_t i = 0; i < sim->options.n_nodes; i++) {
    if (sim_node_is_quiet (sim, i))
      continue;
    sim_plan (sim, SIM_NODE_STOP, i, 0, minutes (sim, 5, 120));
    if (i % 2 == 0)
      sim_plan (sim, SIM_NODE_SUSPEND, i, 0, minutes (sim, 5, 90));
    if (i % 5 == 0)
      sim_plan (sim, SIM_NODE_ROAM, i, 0, minutes (sim, 5, 90));
  }
  for (uint32_t i = 0; i < sim->n_sites; i += 7)
    sim_plan (sim, SIM_UDP_BLOCK, i, 0, minutes (sim, 5, 60));
  for (uint32_t i = 0; i < SIM_RELAYS; i++)
    sim_plan (sim, SIM_RELAY_DOWN, i, 0, minutes (sim, 8, 60));
  sim_plan (sim, SIM_CONTROL_DOWN, 0, 0, minutes (sim, 8, 30));
}

static void
block_udp (Sim *sim, uint32_t id, bool block)
{
  SimSite *site = &sim->sites[id];

  site->udp_blocked = block;
  site->changed_us = sim->now_us;
  if (block)
    sim_plan (sim, SIM_UDP_UNBLOCK, id, 0, seconds (sim, 20, 300));
  else
    sim_plan (sim, SIM_UDP_BLOCK, id, 0, minutes (sim, 20, 60));
}

static void
roam (Sim *sim, uint32_t id)
{
  SimSite *site = &sim->sites[random_below (&sim->random.base, sim->n_sites)];

  if (site != sim_node_site (sim->nodes[id]))
    sim_node_roam (sim->nodes[id], site);
  sim_plan (sim, SIM_NODE_ROAM, id, 0, minutes (sim, 10, 90));
}

void
sim_chaos_event (Sim *sim, const SimEvent *event)
{
  uint32_t id = event->target;

  sim_log (sim, "event %d of %u", (int)event->type, id);
  switch (event->type) {
    case SIM_NODE_START:
      sim_node_start (sim->nodes[id]);
      break;
    case SIM_NODE_STOP:
      sim_node_stop (sim->nodes[id]);
      sim_plan (sim, SIM_NODE_START, id, 0, sim_random_us (sim, USEC_PER_SEC / 2, MINUTE));
      sim_plan (sim, SIM_NODE_STOP, id, 0, minutes (sim, 10, 120));
      break;
    case SIM_NODE_SUSPEND:
      sim_node_suspend (sim->nodes[id]);
      sim_plan (sim, SIM_NODE_RESUME, id, 0, seconds (sim, 10, 1500));
      sim_plan (sim, SIM_NODE_SUSPEND, id, 0, minutes (sim, 30, 90));
      break;
    case SIM_NODE_RESUME:
      sim_node_resume (sim->nodes[id]);
      break;
    case SIM_NODE_ROAM:
      roam (sim, id);
      break;
    case SIM_UDP_BLOCK:
    case SIM_UDP_UNBLOCK:
      block_udp (sim, id, event->type == SIM_UDP_BLOCK);
      break;
    default:
      break;
  }
}
