#include "coordinator.h"

#include "relay.h"

#include <glib.h>
#include <stdio.h>

#define WHOLE_MAP UINT32_MAX

struct SimCoordinator
{
  bool up;
  int64_t down_us;
  int64_t up_us;
  SimNodeRecord records[SIM_MAX_NODES]; /* as last announced while it was up */
  DerpMap map;
  DerpRegion regions[SIM_RELAYS];
  DerpNode nodes[SIM_RELAYS];
  char names[SIM_RELAYS][3][16];
};

static void
make_map (SimCoordinator *c)
{
  for (unsigned i = 0; i < SIM_RELAYS; i++) {
    snprintf (c->names[i][0], sizeof c->names[i][0], "relay%u", i);
    snprintf (c->names[i][1], sizeof c->names[i][1], "%ua", i + 1);
    snprintf (c->names[i][2], sizeof c->names[i][2], "relay%u.sim", i);
    c->nodes[i] = (DerpNode){.name = c->names[i][1], .host_name = c->names[i][2]};
    c->nodes[i].ipv4 = sim_relay_address (i);
    c->nodes[i].no_ipv6 = true;
    c->nodes[i].stun_port = SIM_STUN_PORT;
    c->nodes[i].derp_port = SIM_RELAY_PORT;
    c->regions[i] = (DerpRegion){.id = (uint16_t)(i + 1), .code = c->names[i][0]};
    c->regions[i].name = c->names[i][0];
    c->regions[i].score = 1.0;
    c->regions[i].nodes = &c->nodes[i];
    c->regions[i].n_nodes = 1;
  }
  /* One reference is ours for ever: the map is part of this struct. */
  c->map = (DerpMap){.references = 1, .regions = c->regions, .n_regions = SIM_RELAYS};
}

SimCoordinator *
sim_coordinator_new (Sim *sim)
{
  SimCoordinator *c = g_new0 (SimCoordinator, 1);

  c->up = true;
  make_map (c);
  return c;
}

void
sim_coordinator_free (SimCoordinator *coordinator)
{
  g_free (coordinator);
}

void
sim_coordinator_joined (Sim *sim, SimNode *node)
{
  if (sim->coordinator->up)
    sim_plan (sim, SIM_MAP, sim_node_id (node), WHOLE_MAP,
              sim_random_us (sim, 300 * USEC_PER_MSEC, 900 * USEC_PER_MSEC));
}

void
sim_coordinator_changed (Sim *sim, SimNode *node)
{
  uint32_t id = sim_node_id (node);

  if (!sim->coordinator->up)
    return;
  sim->coordinator->records[id] = *sim_node_record (node);
  for (uint32_t i = 0; i < sim->options.n_nodes; i++)
    if (i != id)
      sim_plan (sim, SIM_MAP, i, id, sim_random_us (sim, 50 * USEC_PER_MSEC, 500 * USEC_PER_MSEC));
}

/* Node ID learns about peer WHOM, or about everybody. */
static void
tell (Sim *sim, uint32_t id, uint32_t whom)
{
  SimCoordinator *c = sim->coordinator;
  SimNodeRecord *list = g_new (SimNodeRecord, SIM_MAX_NODES);
  size_t n = 0;

  for (uint32_t i = 0; i < sim->options.n_nodes; i++)
    if (i != id && c->records[i].version > 0 && (whom == WHOLE_MAP || whom == i))
      list[n++] = c->records[i];
  if (whom == WHOLE_MAP)
    sim_node_control (sim->nodes[id], true, &c->map);
  if (n > 0)
    sim_node_learn (sim->nodes[id], list, n);
  g_free (list);
}

/* Away: nodes notice. Back: everybody reconnects in time and tells what is new. */
static void
set_up (Sim *sim, bool up)
{
  if (sim->coordinator->up == up)
    return;
  sim->coordinator->up = up;
  *(up ? &sim->coordinator->up_us : &sim->coordinator->down_us) = sim->now_us;
  for (uint32_t i = 0; i < sim->options.n_nodes; i++) {
    if (!up) {
      sim_node_control (sim->nodes[i], false, NULL);
      continue;
    }
    const SimNodeRecord *record = sim_node_record (sim->nodes[i]);
    if (record->version != sim->coordinator->records[i].version)
      sim_coordinator_changed (sim, sim->nodes[i]);
    sim_plan (sim, SIM_MAP, i, WHOLE_MAP,
              sim_random_us (sim, 500 * USEC_PER_MSEC, 8 * USEC_PER_SEC));
  }
}

void
sim_coordinator_event (Sim *sim, const SimEvent *event)
{
  switch (event->type) {
    case SIM_MAP:
      if (sim->coordinator->up)
        tell (sim, event->target, event->serial);
      break;
    case SIM_CONTROL_DOWN:
      set_up (sim, false);
      break;
    case SIM_CONTROL_UP:
      set_up (sim, true);
      break;
    default:
      break;
  }
}

bool
sim_coordinator_is_up (const Sim *sim)
{
  return sim->coordinator->up;
}

int64_t
sim_coordinator_down_us (const Sim *sim)
{
  return sim->coordinator->down_us;
}

int64_t
sim_coordinator_up_us (const Sim *sim)
{
  return sim->coordinator->up_us;
}
