#include "world.h"

#include "chaos.h"
#include "coordinator.h"
#include "flows.h"
#include "network.h"
#include "node.h"
#include "relay.h"
#include "stream.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>

#define START_US         (1 * USEC_PER_SEC)
#define CHECK_EVERY_US   (60 * USEC_PER_SEC)
#define IDLE_AFTER_US    (600 * USEC_PER_SEC)
#define MAX_PENDING      20000 /* events planned at once: more means that something piles up */
#define MAX_HELD         (8 * 1024 * 1024)
#define MAX_INDICES_PEER 4
#define OUTAGE_MIN_S     10
#define OUTAGE_MAX_S     180

void
sim_plan (Sim *sim, SimEventType type, uint32_t target, uint32_t serial, int64_t delay_us)
{
  SimEvent event = {.type = type, .target = target, .serial = serial};

  event.time_us = sim->now_us + delay_us;
  sim_events_add (&sim->events, &event, NULL, 0);
}

int64_t
sim_random_us (Sim *sim, int64_t min_us, int64_t max_us)
{
  return random_between (&sim->random.base, min_us, max_us + 1);
}

bool
sim_one_in (Sim *sim, uint64_t n)
{
  return random_below (&sim->random.base, n) == 0;
}

void
sim_fail (Sim *sim, const char *format, ...)
{
  va_list arguments;

  if (sim->failure[0] != '\0')
    return;
  int n = g_snprintf (sim->failure, sizeof sim->failure,
                      "at %.3f s: ", (double)sim->now_us / USEC_PER_SEC);
  va_start (arguments, format);
  g_vsnprintf (sim->failure + n, sizeof sim->failure - (size_t)n, format, arguments);
  va_end (arguments);
}

void
sim_log (Sim *sim, const char *format, ...)
{
  va_list arguments;

  if (!sim->options.verbose)
    return;
  g_autofree char *text = NULL;
  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_printerr ("%12.6f %s\n", (double)sim->now_us / USEC_PER_SEC, text);
}

Sim *
sim_new (const SimOptions *options)
{
  Sim *sim = g_new0 (Sim, 1);

  sim->options = *options;
  sim->now_us = START_US;
  sim->wall = (WallTime){1790000000, 0};
  seeded_random_init (&sim->random, options->seed);
  sim_events_init (&sim->events);
  sim_network_init (sim);
  sim_streams_init (sim);
  for (unsigned i = 0; i < SIM_RELAYS; i++)
    sim->relays[i] = sim_relay_new (sim, i);
  sim->coordinator = sim_coordinator_new (sim);
  for (unsigned i = 0; i < options->n_nodes; i++) {
    SimSite *site
        = &sim->sites[i < sim->n_sites ? i : random_below (&sim->random.base, sim->n_sites)];
    sim->nodes[i] = sim_node_new (sim, i, site);
  }
  sim->flows = sim_flows_new (sim);
  sim_chaos_init (sim);
  sim_plan (sim, SIM_CHECK, 0, 0, CHECK_EVERY_US);
  return sim;
}

void
sim_free (Sim *sim)
{
  for (unsigned i = 0; i < sim->options.n_nodes; i++)
    sim_node_free (sim->nodes[i]);
  sim_streams_clear (sim);
  sim_flows_free (sim->flows);
  sim_coordinator_free (sim->coordinator);
  for (unsigned i = SIM_RELAYS; i > 0; i--)
    sim_relay_free (sim->relays[i - 1]);
  sim_network_clear (sim);
  sim_events_clear (&sim->events);
  g_free (sim);
}

/* When anything last happened to relays, the coordination server or the line of node ID. */
static int64_t
last_disturbance (const Sim *sim, unsigned id)
{
  int64_t last = MAX (sim_coordinator_down_us (sim), sim_coordinator_up_us (sim));

  last = MAX (last, sim_node_changed_us (sim->nodes[id]));
  last = MAX (last, sim_node_site (sim->nodes[id])->changed_us);
  for (unsigned i = 0; i < SIM_RELAYS; i++)
    last = MAX (last, sim_relay_changed_us (sim->relays[i]));
  return last;
}

/* A node that nobody talks to and that talks to nobody: no session, no timer of WireGuard, and in
 * peace none of path finding either. */
static void
check_idle (Sim *sim, unsigned id, const SimNodeStatus *status)
{
  if (sim->now_us - last_disturbance (sim, id) > IDLE_AFTER_US
      && status->path_deadline_us != TIME_NEVER)
    sim_fail (sim, "idle node %u has a timer of path finding", id);
  if (sim->now_us - sim_node_changed_us (sim->nodes[id]) < IDLE_AFTER_US)
    return;
  if (status->peers > 0 || status->indices > 0)
    sim_fail (sim, "idle node %u has %zu peers and %zu indices", id, status->peers,
              status->indices);
  if (status->wireguard_deadline_us != TIME_NEVER)
    sim_fail (sim, "idle node %u has a WireGuard timer", id);
}

static void
check (Sim *sim)
{
  size_t live_peers = 0;

  for (unsigned i = 0; i < sim->options.n_nodes; i++) {
    SimNodeStatus status;
    sim_node_status (sim->nodes[i], &status);
    live_peers += status.peers;
    if (status.staged > status.peers * WG_HOST_STAGED_MAX)
      sim_fail (sim, "node %u holds %zu packets back", i, status.staged);
    if (status.indices > MAX_INDICES_PEER * (status.peers + 1))
      sim_fail (sim, "node %u has %zu indices for %zu peers", i, status.indices, status.peers);
    if (sim_node_is_quiet (sim, i))
      check_idle (sim, i, &status);
  }
  if (sim->events.count > MAX_PENDING)
    sim_fail (sim, "%zu events are pending", sim->events.count);
  if (sim_streams_held (sim) > MAX_HELD)
    sim_fail (sim, "%zu bytes wait in streams", sim_streams_held (sim));
  sim_log (sim, "%zu events pending, %zu peers in use", sim->events.count, live_peers);
  sim_plan (sim, SIM_CHECK, 0, 0, CHECK_EVERY_US);
}

/* What goes down comes back, and goes down again later. */
static void
plan_outages (Sim *sim, const SimEvent *event)
{
  int64_t outage = sim_random_us (sim, OUTAGE_MIN_S, OUTAGE_MAX_S) * USEC_PER_SEC;
  int64_t peace = sim_random_us (sim, 20, 40) * 60 * USEC_PER_SEC;

  switch (event->type) {
    case SIM_RELAY_DOWN:
      sim_plan (sim, SIM_RELAY_UP, event->target, 0, outage);
      break;
    case SIM_RELAY_UP:
      sim_plan (sim, SIM_RELAY_DOWN, event->target, 0, SIM_RELAYS * peace);
      break;
    case SIM_CONTROL_DOWN:
      sim_plan (sim, SIM_CONTROL_UP, 0, 0, outage);
      break;
    case SIM_CONTROL_UP:
      sim_plan (sim, SIM_CONTROL_DOWN, 0, 0, peace);
      break;
    default:
      break;
  }
}

static void
dispatch (Sim *sim, const SimEvent *event)
{
  plan_outages (sim, event);
  switch (event->type) {
    case SIM_DATAGRAM:
      sim_network_arrive (sim, event);
      break;
    case SIM_LAN_DATAGRAM:
      sim_node_datagram (sim->nodes[event->target], event->to.port, &event->from, event->data,
                         event->size);
      break;
    case SIM_STREAM_OPEN:
    case SIM_STREAM_UP:
    case SIM_STREAM_DOWN:
    case SIM_STREAM_END_UP:
    case SIM_STREAM_END_DOWN:
    case SIM_STREAM_RESET:
      sim_stream_event (sim, event);
      break;
    case SIM_RELAY_DOWN:
    case SIM_RELAY_UP:
    case SIM_RELAY_TICK:
      sim_relay_event (sim, event);
      break;
    case SIM_NODE_TICK:
      sim_node_tick (sim->nodes[event->target], event->serial);
      break;
    case SIM_NODE_ANSWER:
      sim_node_answer (sim->nodes[event->target], event);
      break;
    case SIM_NODE_START:
    case SIM_NODE_STOP:
    case SIM_NODE_SUSPEND:
    case SIM_NODE_RESUME:
    case SIM_NODE_ROAM:
    case SIM_UDP_BLOCK:
    case SIM_UDP_UNBLOCK:
      sim_chaos_event (sim, event);
      break;
    case SIM_CONTROL_DOWN:
    case SIM_CONTROL_UP:
    case SIM_CONTROL_KEEP_ALIVE:
    case SIM_CONTROL_NEWS:
      sim_coordinator_event (sim, event);
      break;
    case SIM_FLOW:
    case SIM_FLOW_START:
      sim_flows_event (sim, event);
      break;
    case SIM_CHECK:
      check (sim);
      break;
  }
}

bool
sim_run (Sim *sim)
{
  int64_t end = START_US + sim->options.duration_us;
  SimEvent event;

  while (sim->failure[0] == '\0' && sim_events_take (&sim->events, &event)) {
    if (event.time_us > end) {
      sim_event_clear (&event);
      break;
    }
    sim->now_us = event.time_us;
    dispatch (sim, &event);
    sim_event_clear (&event);
  }
  return sim->failure[0] == '\0';
}
