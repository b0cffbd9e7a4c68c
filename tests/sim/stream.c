#include "stream.h"

#include "coordinator.h"
#include "network.h"
#include "node.h"
#include "relay.h"
#include "wire/buffer.h"

#include <glib.h>

#define STUCK_US         (120 * USEC_PER_SEC)
#define DIAL_ROUND_TRIPS 2 /* TCP and TLS 1.3 */
#define HELD_MAX         (1024 * 1024)
#define CONTROL_X        25.0 /* where the coordination server stands */
#define CONTROL_Y        15.0

typedef struct
{
  unsigned server;
  uint32_t node;
  uint32_t generation; /* of the node when it dialled */
  const SimSite *site;
  bool ended;
  void *data;    /* the server's */
  Buffer held;   /* for a node that sleeps */
  int64_t up_us; /* arrival of the last bytes in each direction */
  int64_t down_us;
  int64_t unreachable_us; /* since when the node takes nothing; 0: it does */
} Stream;

struct SimStreams
{
  GPtrArray *all; /* of Stream */
  GArray *open[SIM_SERVERS];
};

/* What was under way when the server forgot the stream may still wait for the node. */
static void
stream_free (void *data)
{
  Stream *stream = data;

  buffer_free (&stream->held);
  g_free (stream);
}

void
sim_streams_init (Sim *sim)
{
  sim->streams = g_new0 (struct SimStreams, 1);
  sim->streams->all = g_ptr_array_new_with_free_func (stream_free);
  for (unsigned i = 0; i < SIM_SERVERS; i++)
    sim->streams->open[i] = g_array_new (FALSE, FALSE, sizeof (uint32_t));
}

static Stream *
get (const Sim *sim, uint32_t id)
{
  return g_ptr_array_index (sim->streams->all, id);
}

static bool
server_accepts (Sim *sim, uint32_t id)
{
  unsigned server = get (sim, id)->server;

  return server == SIM_COORDINATOR ? sim_coordinator_accept (sim, id)
                                   : sim_relay_accept (sim, server, id);
}

/* The server's part of the stream is over. */
static void
forget (Sim *sim, uint32_t id)
{
  Stream *stream = get (sim, id);
  GArray *open = sim->streams->open[stream->server];

  if (stream->data && stream->server == SIM_COORDINATOR)
    sim_coordinator_ended (sim, id);
  else if (stream->data)
    sim_relay_ended (sim, stream->server, id);
  stream->data = NULL;
  stream->ended = true;
  buffer_free (&stream->held);
  for (guint i = 0; i < open->len; i++)
    if (g_array_index (open, uint32_t, i) == id) {
      g_array_remove_index (open, i);
      return;
    }
}

void
sim_streams_clear (Sim *sim)
{
  for (unsigned i = 0; i < SIM_SERVERS; i++)
    while (sim->streams->open[i]->len > 0)
      forget (sim, g_array_index (sim->streams->open[i], uint32_t, 0));
  for (unsigned i = 0; i < SIM_SERVERS; i++)
    g_array_unref (sim->streams->open[i]);
  g_ptr_array_unref (sim->streams->all);
  g_free (sim->streams);
}

static int64_t
one_way (Sim *sim, const Stream *stream)
{
  if (stream->server == SIM_COORDINATOR)
    return sim_network_delay_us (stream->site, CONTROL_X, CONTROL_Y);
  return sim_relay_delay_us (sim->relays[stream->server], stream->site);
}

/* Plans TYPE for stream ID one way from now, behind everything that is already under way. */
static void
plan (Sim *sim, uint32_t id, SimEventType type, const void *bytes, size_t size)
{
  Stream *stream = get (sim, id);
  bool to_server = type == SIM_STREAM_UP || type == SIM_STREAM_END_UP;
  int64_t *last = to_server ? &stream->up_us : &stream->down_us;
  SimEvent event = {.type = type, .target = id};

  event.time_us = sim->now_us + one_way (sim, stream) + sim_random_us (sim, 0, 2000);
  if (event.time_us <= *last)
    event.time_us = *last + 1;
  *last = event.time_us;
  sim_events_add (&sim->events, &event, bytes, size);
}

uint32_t
sim_stream_dial (Sim *sim, SimNode *node, unsigned server)
{
  Stream *stream = g_new0 (Stream, 1);
  uint32_t id = sim->streams->all->len;

  stream->server = server;
  stream->node = sim_node_id (node);
  stream->generation = sim_node_generation (node);
  stream->site = sim_node_site (node);
  g_ptr_array_add (sim->streams->all, stream);
  sim_plan (sim, SIM_STREAM_OPEN, id, 0, 2 * DIAL_ROUND_TRIPS * one_way (sim, stream));
  return id;
}

void
sim_stream_send (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size)
{
  Stream *stream = get (sim, id);

  /* From another network nothing reaches the server; what it has forgotten it resets. */
  if (sim_node_site (sim->nodes[stream->node]) == stream->site)
    plan (sim, id, stream->ended ? SIM_STREAM_RESET : SIM_STREAM_UP, bytes, size);
}

void
sim_stream_close (Sim *sim, uint32_t id)
{
  Stream *stream = get (sim, id);

  stream->generation = UINT32_MAX;
  if (!stream->ended)
    plan (sim, id, SIM_STREAM_END_UP, NULL, 0);
}

void
sim_stream_reply (Sim *sim, uint32_t id, const void *bytes, size_t size)
{
  if (size > 0)
    plan (sim, id, SIM_STREAM_DOWN, bytes, size);
}

void
sim_stream_hang_up (Sim *sim, uint32_t id)
{
  plan (sim, id, SIM_STREAM_END_DOWN, NULL, 0);
  forget (sim, id);
}

unsigned
sim_stream_server (const Sim *sim, uint32_t id)
{
  return get (sim, id)->server;
}

uint32_t
sim_stream_node (const Sim *sim, uint32_t id)
{
  return get (sim, id)->node;
}

void *
sim_stream_data (const Sim *sim, uint32_t id)
{
  return get (sim, id)->data;
}

void
sim_stream_set_data (Sim *sim, uint32_t id, void *data)
{
  get (sim, id)->data = data;
}

bool
sim_stream_is_stuck (const Sim *sim, uint32_t id)
{
  const Stream *stream = get (sim, id);

  return stream->unreachable_us && sim->now_us - stream->unreachable_us > STUCK_US;
}

unsigned
sim_streams_open (const Sim *sim, unsigned server)
{
  return sim->streams->open[server]->len;
}

uint32_t
sim_streams_at (const Sim *sim, unsigned server, unsigned index)
{
  return g_array_index (sim->streams->open[server], uint32_t, index);
}

/* The node that has the stream, unless it restarted, closed it, or moved to another network. */
static SimNode *
node_of (Sim *sim, const Stream *stream)
{
  SimNode *node = sim->nodes[stream->node];

  return sim_node_generation (node) == stream->generation ? node : NULL;
}

static bool
is_reachable (const Stream *stream, const SimNode *node)
{
  return sim_node_site (node) == stream->site && !sim_node_suspended (node);
}

static void
opened (Sim *sim, uint32_t id)
{
  Stream *stream = get (sim, id);
  SimNode *node = node_of (sim, stream);

  if (!node || stream->ended) {
    stream->ended = true;
    return;
  }
  if (is_reachable (stream, node) && server_accepts (sim, id))
    g_array_append_val (sim->streams->open[stream->server], id);
  else
    stream->ended = true;
  sim_node_stream_open (node, id, !stream->ended);
}

/* Bytes for a node that cannot take them wait, as in a kernel's send buffer. */
static void
bytes_down (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size)
{
  Stream *stream = get (sim, id);
  SimNode *node = node_of (sim, stream);

  if (!node)
    return;
  bool reachable = is_reachable (stream, node);
  if (reachable && stream->held.size == 0) {
    stream->unreachable_us = 0;
    sim_node_stream_bytes (node, id, bytes, size);
    return;
  }
  if (!stream->unreachable_us)
    stream->unreachable_us = sim->now_us;
  if (stream->held.size + size <= HELD_MAX)
    buffer_append (&stream->held, bytes, size);
  if (!reachable)
    return;
  uint8_t *held;
  size = buffer_steal (&stream->held, &held);
  stream->unreachable_us = 0;
  sim_node_stream_bytes (node, id, held, size);
  free (held);
}

void
sim_stream_event (Sim *sim, const SimEvent *event)
{
  uint32_t id = event->target;
  Stream *stream = get (sim, id);
  SimNode *node;

  switch (event->type) {
    case SIM_STREAM_OPEN:
      opened (sim, id);
      break;
    case SIM_STREAM_UP:
      if (stream->data && stream->server == SIM_COORDINATOR)
        sim_coordinator_bytes (sim, id, event->data, event->size);
      else if (stream->data)
        sim_relay_bytes (sim, stream->server, id, event->data, event->size);
      break;
    case SIM_STREAM_RESET:
      plan (sim, id, SIM_STREAM_END_DOWN, NULL, 0);
      break;
    case SIM_STREAM_END_UP:
      forget (sim, id);
      break;
    case SIM_STREAM_DOWN:
      bytes_down (sim, id, event->data, event->size);
      break;
    case SIM_STREAM_END_DOWN:
      node = node_of (sim, stream);
      if (node && is_reachable (stream, node))
        sim_node_stream_end (node, id);
      break;
    default:
      break;
  }
}

size_t
sim_streams_held (const Sim *sim)
{
  size_t held = 0;

  for (unsigned i = 0; i < SIM_SERVERS; i++)
    for (unsigned n = 0; n < sim_streams_open (sim, i); n++)
      held += get (sim, sim_streams_at (sim, i, n))->held.size;
  return held;
}
