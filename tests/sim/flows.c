#include "flows.h"

#include "base/bytes.h"
#include "coordinator.h"
#include "network.h"
#include "relay.h"

#include <glib.h>
#include <string.h>

#define MAX_FLOWS         80
#define QUIET_SHARE       6 /* one node in so many never talks */
#define CALM_AFTER_US     (20 * USEC_PER_SEC)
#define REHOME_US         (40 * USEC_PER_SEC) /* a relay went: until all have a new home */
#define TOLD_WITHIN_US    (10 * USEC_PER_SEC) /* news reach everybody */
#define PATIENCE          6 /* packets that may be lost in a row: one in twelve is, there or back */
#define STALL_US          (10 * USEC_PER_SEC)
#define DIRECT_WITHIN_US  (35 * USEC_PER_SEC)
#define SESSION_AGE_US    (150 * USEC_PER_SEC)
#define GUESSED_STALL_US  (45 * USEC_PER_SEC) /* such a path takes longer to be missed */
#define GUESSED_WITHIN_US (60 * USEC_PER_SEC)
#define OFTEN_US          (2 * USEC_PER_SEC) /* flows at least so frequent keep a path warm */
#define HEADER_SIZE       20
#define PACKET_MIN        40
#define PACKET_MAX        1200

typedef enum
{
  FLOW_REQUEST = 1,
  FLOW_ANSWER = 2,
} FlowKind;

typedef struct
{
  bool active;
  uint32_t number; /* of the conversation, so that old packets are told apart */
  uint32_t a;      /* asks */
  uint32_t b;      /* answers */
  int64_t interval_us;
  size_t size;
  int64_t started_us;
  int64_t ends_us;
  int64_t answered_us; /* when the last answer came */
  int64_t direct_us;   /* when both sides were last seen direct */
  bool is_direct;      /* now */
} Flow;

struct SimFlows
{
  Flow flows[MAX_FLOWS];
  uint32_t numbers;
  SimFlowStats stats;
};

SimFlows *
sim_flows_new (Sim *sim)
{
  SimFlows *flows = g_new0 (SimFlows, 1);

  for (uint32_t i = 0; i < MIN (MAX_FLOWS, sim->options.n_flows); i++)
    sim_plan (sim, SIM_FLOW_START, i, 0, sim_random_us (sim, 3, 300) * USEC_PER_SEC);
  return flows;
}

void
sim_flows_free (SimFlows *flows)
{
  g_free (flows);
}

bool
sim_node_is_quiet (const Sim *sim, unsigned id)
{
  return id >= sim->options.n_nodes - sim->options.n_nodes / QUIET_SHARE;
}

static void
start_flow (Sim *sim, uint32_t index)
{
  static const int64_t intervals_ms[] = {200, 500, 1000, 1000, 2000, 5000, 20000, 60000};
  Flow *flow = &sim->flows->flows[index];
  unsigned talkers = sim->options.n_nodes - sim->options.n_nodes / QUIET_SHARE;
  Random *random = &sim->random.base;

  *flow = (Flow){.active = true, .number = ++sim->flows->numbers};
  flow->a = (uint32_t)random_below (random, talkers);
  flow->b = (uint32_t)((flow->a + 1 + random_below (random, talkers - 1)) % talkers);
  flow->interval_us
      = intervals_ms[random_below (random, G_N_ELEMENTS (intervals_ms))] * USEC_PER_MSEC;
  flow->size = PACKET_MIN + random_below (random, PACKET_MAX - PACKET_MIN);
  flow->started_us = sim->now_us;
  flow->ends_us = sim->now_us + sim_random_us (sim, 10, 1200) * USEC_PER_SEC;
  sim->flows->stats.flows++;
  sim_plan (sim, SIM_FLOW, index, flow->number, 0);
}

/* Since when nothing disturbs the pair; TIME_NEVER when something it needs is not there. The
 * coordination server matters only to those who had something to tell while it was away, a relay
 * that goes down only until its nodes have found another home. */
static int64_t
calm_since (Sim *sim, const Flow *flow)
{
  const SimNode *nodes[] = {sim->nodes[flow->a], sim->nodes[flow->b]};
  int64_t since = flow->started_us, news = 0;
  int64_t down_us = sim_coordinator_down_us (sim);

  for (int i = 0; i < 2; i++) {
    if (!sim_node_running (nodes[i]))
      return TIME_NEVER;
    news = MAX (news, sim_node_changed_us (nodes[i]));
    news = MAX (news, sim_node_site (nodes[i])->changed_us);
  }
  for (unsigned i = 0; i < SIM_RELAYS; i++)
    news = MAX (news, sim_relay_changed_us (sim->relays[i]) + REHOME_US);
  since = MAX (since, news);
  if (down_us == 0 || news < down_us - TOLD_WITHIN_US)
    return since;
  if (!sim_coordinator_is_up (sim))
    return TIME_NEVER;
  return MAX (since, sim_coordinator_up_us (sim));
}

static bool
is_calm (Sim *sim, int64_t calm_us)
{
  return calm_us != TIME_NEVER && sim->now_us - calm_us > CALM_AFTER_US;
}

static void
check_answers (Sim *sim, Flow *flow, int64_t calm_us)
{
  int64_t quiet = sim->now_us - MAX (flow->answered_us, calm_us + CALM_AFTER_US);
  const SimSite *a = sim_node_site (sim->nodes[flow->a]), *b = sim_node_site (sim->nodes[flow->b]);

  int64_t stall
      = sim->options.guess && sim_network_can_be_guessed (a, b) ? GUESSED_STALL_US : STALL_US;

  if (flow->interval_us <= OFTEN_US)
    sim->flows->stats.longest_stall_us = MAX (sim->flows->stats.longest_stall_us, quiet);
  if (quiet > stall + PATIENCE * flow->interval_us)
    sim_fail (sim, "nodes %u and %u: no answer for %" G_GINT64_FORMAT " s although all is calm",
              flow->a, flow->b, quiet / USEC_PER_SEC);
}

/* Notes whether both ways are direct now. */
static void
note_direct (Sim *sim, Flow *flow)
{
  flow->is_direct = sim_node_is_direct (sim->nodes[flow->a], flow->b)
                    && sim_node_is_direct (sim->nodes[flow->b], flow->a);
  if (flow->is_direct)
    flow->direct_us = sim->now_us;
}

static void
check_direct (Sim *sim, Flow *flow, int64_t calm_us)
{
  SimFlowStats *stats = &sim->flows->stats;
  SimNode *a = sim->nodes[flow->a], *b = sim->nodes[flow->b];
  int64_t without = sim->now_us - MAX (flow->direct_us, calm_us);

  if (flow->interval_us <= OFTEN_US && sim->now_us - calm_us > GUESSED_WITHIN_US
      && sim_network_can_be_guessed (sim_node_site (a), sim_node_site (b))) {
    stats->could_be_guessed++;
    stats->guessed += flow->is_direct;
  }
  if (flow->interval_us > OFTEN_US
      || !sim_network_can_be_direct (sim_node_site (a), sim_node_site (b)))
    return;
  stats->could_be_direct++;
  stats->direct += flow->is_direct;
  stats->longest_without_us = MAX (stats->longest_without_us, without);
  if (without <= DIRECT_WITHIN_US)
    return;
  g_autofree char *side_a = sim_node_describe_path (a, flow->b);
  g_autofree char *side_b = sim_node_describe_path (b, flow->a);
  sim_fail (sim,
            "nodes %u and %u could talk directly and do not for %" G_GINT64_FORMAT
            " s; a: %s; b: %s",
            flow->a, flow->b, without / USEC_PER_SEC, side_a, side_b);
}

/* With traffic, whoever opened a session renews it after two minutes; a few tries may be lost. */
static void
check_session (Sim *sim, Flow *flow)
{
  int64_t age = sim_node_session_age_us (sim->nodes[flow->a], flow->b);

  if (flow->interval_us > OFTEN_US)
    return;
  sim->flows->stats.oldest_session_us = MAX (sim->flows->stats.oldest_session_us, age);
  if (age > SESSION_AGE_US)
    sim_fail (sim, "nodes %u and %u: the session is %" G_GINT64_FORMAT " s old", flow->a, flow->b,
              age / USEC_PER_SEC);
}

static void
write_packet (const Flow *flow, uint32_t index, FlowKind kind, uint8_t *packet)
{
  bool forth = kind == FLOW_REQUEST;

  memset (packet, (int)flow->number, flow->size);
  packet[0] = 0x45;
  store_be16 (packet + 2, (uint16_t)flow->size);
  packet[9] = 17;
  store_be32 (packet + 12, 0x64400000u + (forth ? flow->a : flow->b));
  store_be32 (packet + 16, 0x64400000u + (forth ? flow->b : flow->a));
  store_be32 (packet + HEADER_SIZE, index);
  store_be32 (packet + HEADER_SIZE + 4, flow->number);
  packet[HEADER_SIZE + 8] = (uint8_t)kind;
}

static void
run_flow (Sim *sim, uint32_t index)
{
  Flow *flow = &sim->flows->flows[index];
  uint8_t packet[PACKET_MAX];
  int64_t calm_us = calm_since (sim, flow);
  bool calm = is_calm (sim, calm_us);

  if (sim->now_us >= flow->ends_us) {
    flow->active = false;
    sim_plan (sim, SIM_FLOW_START, index, 0, sim_random_us (sim, 5, 600) * USEC_PER_SEC);
    return;
  }
  note_direct (sim, flow);
  if (calm) {
    check_answers (sim, flow, calm_us);
    check_direct (sim, flow, calm_us);
    check_session (sim, flow);
    sim->flows->stats.calm_requests++;
  }
  sim->flows->stats.requests++;
  write_packet (flow, index, FLOW_REQUEST, packet);
  sim_node_send (sim->nodes[flow->a], flow->b, packet, flow->size);
  sim_plan (sim, SIM_FLOW, index, flow->number, flow->interval_us);
}

void
sim_flows_packet (Sim *sim, SimNode *node, unsigned from, const uint8_t *packet, size_t size)
{
  uint32_t index = size >= PACKET_MIN ? load_be32 (packet + HEADER_SIZE) : MAX_FLOWS;
  uint8_t answer[PACKET_MAX], expected[PACKET_MAX];

  if (index >= MAX_FLOWS || load_be32 (packet + 12) != 0x64400000u + from) {
    sim_fail (sim, "node %u: a packet that nobody sent", sim_node_id (node));
    return;
  }
  Flow *flow = &sim->flows->flows[index];
  if (!flow->active || flow->number != load_be32 (packet + HEADER_SIZE + 4))
    return;
  FlowKind kind = packet[HEADER_SIZE + 8];
  write_packet (flow, index, kind, expected);
  if (size != flow->size || memcmp (packet, expected, size) != 0) {
    sim_fail (sim, "node %u: a packet arrived changed", sim_node_id (node));
    return;
  }
  if (kind == FLOW_REQUEST) {
    write_packet (flow, index, FLOW_ANSWER, answer);
    sim_node_send (node, from, answer, flow->size);
    return;
  }
  sim->flows->stats.answers++;
  if (is_calm (sim, calm_since (sim, flow)))
    sim->flows->stats.calm_answers++;
  flow->answered_us = sim->now_us;
}

void
sim_flows_event (Sim *sim, const SimEvent *event)
{
  if (event->type == SIM_FLOW_START)
    start_flow (sim, event->target);
  else if (sim->flows->flows[event->target].number == event->serial)
    run_flow (sim, event->target);
}

const SimFlowStats *
sim_flows_stats (const Sim *sim)
{
  return &sim->flows->stats;
}
