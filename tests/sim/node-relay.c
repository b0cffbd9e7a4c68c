#include "node-internal.h"

#include "path/classify.h"
#include "relay.h"
#include "stream.h"

#include <glib.h>
#include <string.h>

static void pump (SimNode *node, uint32_t connection);

static Connection *
find_connection (SimNode *node, uint32_t connection)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (connection != 0 && node->connections[i].connection == connection)
      return &node->connections[i];
  return NULL;
}

static void
drop_connection (SimNode *node, Connection *c)
{
  sim_stream_close (node->sim, c->stream);
  derp_client_free (c->client);
  *c = (Connection){0};
}

void
node_relay_connect (SimNode *node, const PathAction *action)
{
  const PathRelayNode *relay = &action->relay_connect.node;
  DerpClientConfig config = {.node_private = node->private_key.bytes, .port = relay->port};
  Connection *c = NULL;

  for (int i = 0; i < MAX_CONNECTIONS && !c; i++)
    if (node->connections[i].connection == 0)
      c = &node->connections[i];
  if (!c) {
    sim_fail (node->sim, "node %u has more than %d relay connections", node->id, MAX_CONNECTIONS);
    return;
  }
  config.host = relay->host;
  config.ideal_node = relay->ideal_node;
  config.user_agent = "warren/sim";
  config.home = action->relay_connect.home;
  c->connection = action->relay_connect.connection;
  c->region = relay->region;
  c->client = derp_client_new (&config, &node->random.base);
  c->stream = sim_stream_dial (node->sim, node, relay->region - 1u);
}

static void
relay_closed (SimNode *node, Connection *c, PathRelayClosed reason)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_CLOSED};

  event.relay_closed.connection = c->connection;
  event.relay_closed.reason = reason;
  event.relay_closed.text = "closed";
  drop_connection (node, c);
  node_feed_path (node, &event);
}

static void
relay_packet (SimNode *node, Connection *c, const DerpClientAction *action)
{
  uint8_t copy[SIM_DATAGRAM_MAX];
  size_t size = action->packet.size;
  PathEvent event = {.type = PATH_EVENT_RELAY_PACKET};
  WgSource source = {.kind = WG_SOURCE_DERP, .region = c->region};

  g_assert (size <= sizeof copy);
  memcpy (copy, action->packet.data, size);
  source.derp_key = action->packet.source;
  event.relay_packet.connection = c->connection;
  event.relay_packet.source = action->packet.source;
  event.relay_packet.data = copy;
  event.relay_packet.size = size;
  node_feed_path (node, &event);
  if (packet_classify (copy, size) == PACKET_WIREGUARD)
    wg_host_datagram (node->wg, copy, size, &source, node_now (node));
}

static void
relay_action (SimNode *node, uint32_t connection, const DerpClientAction *action)
{
  Connection *c = find_connection (node, connection);
  PathEvent event = {0};

  switch (action->type) {
    case DERP_CLIENT_ACTION_UP:
      event.type = PATH_EVENT_RELAY_UP;
      event.relay_up.connection = connection;
      event.relay_up.local = node->address;
      node_feed_path (node, &event);
      break;
    case DERP_CLIENT_ACTION_PACKET:
      relay_packet (node, c, action);
      break;
    case DERP_CLIENT_ACTION_PEER_GONE:
      event.type = PATH_EVENT_RELAY_PEER_GONE;
      event.relay_peer_gone.connection = connection;
      event.relay_peer_gone.peer = action->peer_gone.peer;
      node_feed_path (node, &event);
      break;
    case DERP_CLIENT_ACTION_RESTARTING:
      event.type = PATH_EVENT_RELAY_RESTARTING;
      event.relay_restarting.connection = connection;
      event.relay_restarting.back_us = action->restart_us;
      node_feed_path (node, &event);
      break;
    case DERP_CLIENT_ACTION_PEER_PRESENT:
    case DERP_CLIENT_ACTION_HEALTH:
      break;
    case DERP_CLIENT_ACTION_CLOSE:
      relay_closed (node, c,
                    action->close.reason == DERP_CLOSE_LOST ? RELAY_CLOSED_LOST
                                                            : RELAY_CLOSED_LOGIN);
      break;
  }
}

/* Takes what the client of CONNECTION wants done and what it wants written. */
static void
pump (SimNode *node, uint32_t connection)
{
  uint8_t out[DERP_RECORD_SIZE];
  DerpClientAction action;
  Connection *c;

  /* Packets that are answered while actions are taken only add to the queue of what is written. */
  bool outer = !node->pulling;
  node->pulling = true;
  while (outer && (c = find_connection (node, connection))
         && derp_client_next_action (c->client, &action, node_now (node)))
    relay_action (node, connection, &action);
  node->pulling = !outer;
  c = find_connection (node, connection);
  while (c && c->open && derp_client_wants_write (c->client)) {
    size_t size = derp_client_pull (c->client, out, sizeof out, node_now (node));
    if (size == 0)
      break;
    sim_stream_send (node->sim, c->stream, out, size);
  }
}

static void
feed_relay (SimNode *node, Connection *c, const DerpClientEvent *event)
{
  uint32_t connection = c->connection;

  derp_client_input (c->client, event, node_now (node));
  pump (node, connection);
}

void
node_relay_send (SimNode *node, uint16_t region, const NodePublic *peer, const uint8_t *bytes,
                 size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND, .send = {*peer, bytes, size}};

  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection != 0 && node->connections[i].region == region) {
      feed_relay (node, &node->connections[i], &event);
      return;
    }
}

void
node_relay_verb (SimNode *node, uint32_t connection, const DerpClientEvent *event)
{
  Connection *c = find_connection (node, connection);

  if (c)
    feed_relay (node, c, event);
}

void
node_relay_close (SimNode *node, uint32_t connection)
{
  Connection *c = find_connection (node, connection);

  if (c)
    drop_connection (node, c);
}

void
node_relay_close_all (SimNode *node)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection)
      drop_connection (node, &node->connections[i]);
}

void
node_relay_tick (SimNode *node)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    Connection *c = &node->connections[i];
    if (c->connection && c->open && derp_client_next_deadline (c->client) <= node_now (node))
      feed_relay (node, c, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK});
  }
}

int64_t
node_relay_deadline (const SimNode *node)
{
  int64_t deadline = TIME_NEVER;

  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection && node->connections[i].open)
      deadline = time_min (deadline, derp_client_next_deadline (node->connections[i].client));
  return deadline;
}

size_t
node_relay_count (const SimNode *node)
{
  size_t n = 0;

  for (int i = 0; i < MAX_CONNECTIONS; i++)
    n += node->connections[i].connection != 0;
  return n;
}

static Connection *
connection_of_stream (SimNode *node, uint32_t stream)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (node->connections[i].connection && node->connections[i].stream == stream)
      return &node->connections[i];
  return NULL;
}

void
sim_node_stream_open (SimNode *node, uint32_t stream, bool ok)
{
  Connection *c = connection_of_stream (node, stream);
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  if (!sim_node_running (node))
    return;
  if (sim_session_has_stream (node->session, stream))
    sim_session_stream_open (node->session, stream, ok, node_now (node));
  node_plan_tick (node);
  if (!c)
    return;
  if (!ok) {
    relay_closed (node, c, RELAY_CLOSED_TCP);
  } else {
    c->open = true;
    event.connected.fast_start = sim_relay_fast_start (stream);
    memcpy (event.connected.server_key.bytes,
            sim_relay_public_key (node->sim->relays[c->region - 1]), KEY_SIZE);
    feed_relay (node, c, &event);
  }
  node_plan_tick (node);
}

void
sim_node_stream_bytes (SimNode *node, uint32_t stream, const uint8_t *bytes, size_t size)
{
  Connection *c = connection_of_stream (node, stream);
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES, .bytes = {bytes, size}};

  if (!sim_node_running (node))
    return;
  if (sim_session_has_stream (node->session, stream))
    sim_session_stream_bytes (node->session, stream, bytes, size, node_now (node));
  else if (c)
    feed_relay (node, c, &event);
  node_plan_tick (node);
}

void
sim_node_stream_end (SimNode *node, uint32_t stream)
{
  Connection *c = connection_of_stream (node, stream);

  if (!sim_node_running (node))
    return;
  if (sim_session_has_stream (node->session, stream))
    sim_session_stream_end (node->session, stream, node_now (node));
  else if (c)
    feed_relay (node, c, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_END});
  node_plan_tick (node);
}
