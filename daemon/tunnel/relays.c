/* The relay connections of the net thread: which there are is path's business. */
#include "tunnel/net.h"

#include <stdio.h>
#include <string.h>

#define FRAME_TOLD_US (5 * USEC_PER_SEC)

/* Names that relays wait for share their numbers with path's queries; this bit tells them apart. */
#define RESOLVE_FOR_RELAY (UINT64_C (1) << 32)

Relay *
net_relay_find (Net *net, uint32_t connection)
{
  for (Relay *r = net->relays; r != NULL; r = r->next)
    if (r->connection == connection)
      return r;
  return NULL;
}

static void
tell_main (Net *net, const Relay *r, bool connected, const char *text)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_RELAY};

  event.relay.region = r->region;
  event.relay.home = r->home;
  event.relay.connected = connected;
  snprintf (event.relay.text, sizeof event.relay.text, "%s", text != NULL ? text : "");
  net_event (net, &event);
}

static void
take_out (Net *net, Relay *relay)
{
  Relay **link = &net->relays;

  while (*link != NULL && *link != relay)
    link = &(*link)->next;
  if (*link == NULL)
    return;
  *link = relay->next;
  relay->next = net->dead_relays;
  net->dead_relays = relay;
}

static void
handle_packet (Net *net, const Relay *r, const DerpClientAction *action)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_PACKET};
  const uint8_t *data = action->packet.data;
  size_t size = action->packet.size;

  event.relay_packet.connection = r->connection;
  event.relay_packet.source = action->packet.source;
  event.relay_packet.data = data;
  event.relay_packet.size = size;
  net_feed_path (net, &event);
  if (derp_packet_is_disco (data, size))
    return;
  if (wg_message_classify (data, size) == WG_MESSAGE_DATA) {
    Order order = {.type = ORDER_DATAGRAM, .size = (uint32_t)size};
    unsigned worker = wg_index_worker (load_le32 (data + 4));

    if (worker < net->shared->n_workers)
      net_order_packet (net, worker, &order, data, size);
  } else {
    WgEvent message = {.type = WG_EVENT_DATAGRAM};

    message.datagram.bytes = data;
    message.datagram.size = size;
    message.datagram.source.kind = WG_SOURCE_DERP;
    message.datagram.source.region = r->region;
    message.datagram.source.derp_key = action->packet.source;
    net_feed_device (net, &message);
  }
}

static void
handle_action (Net *net, Relay *r, const DerpClientAction *action)
{
  PathEvent event = {0};

  switch (action->type) {
    case DERP_CLIENT_ACTION_UP:
      event.type = PATH_EVENT_RELAY_UP;
      event.relay_up.connection = r->connection;
      event.relay_up.local = relay_local_address (r);
      net_feed_path (net, &event);
      tell_main (net, r, true, NULL);
      break;
    case DERP_CLIENT_ACTION_PACKET:
      handle_packet (net, r, action);
      break;
    case DERP_CLIENT_ACTION_PEER_GONE:
      event.type = PATH_EVENT_RELAY_PEER_GONE;
      event.relay_peer_gone.connection = r->connection;
      event.relay_peer_gone.peer = action->peer_gone.peer;
      net_feed_path (net, &event);
      break;
    case DERP_CLIENT_ACTION_HEALTH:
      tell_main (net, r, r->up, action->health);
      break;
    case DERP_CLIENT_ACTION_CLOSE:
      break;
  }
}

static void
tell_frame (Net *net, Relay *r)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_FRAME, .relay_frame = r->connection};
  DerpClientStatus status;

  derp_client_status (r->client, &status);
  if (status.last_frame_us == 0 || status.last_frame_us - r->told_frame_us < FRAME_TOLD_US)
    return;
  r->told_frame_us = status.last_frame_us;
  net_feed_path (net, &event);
}

static void
settle (Net *net, Relay *r)
{
  DerpClientAction action;
  PathEvent closed = {.type = PATH_EVENT_RELAY_CLOSED};

  while (relay_next (r, &action, net->now_us))
    handle_action (net, r, &action);
  tell_frame (net, r);
  if (!relay_failed (r)) {
    relay_push (r, net->now_us);
    return;
  }
  take_out (net, r);
  tell_main (net, r, false, r->text);
  closed.relay_closed.connection = r->connection;
  closed.relay_closed.reason = r->failure;
  closed.relay_closed.text = r->text;
  net_feed_path (net, &closed);
}

void
net_relay_event (Net *net, Relay *relay)
{
  /* It may have been closed by an event before this one. */
  if (net_relay_find (net, relay->connection) != relay)
    return;
  relay_io (relay, net->now_us);
  settle (net, relay);
}

void
net_relay_connect (Net *net, uint32_t connection, const PathRelayNode *node, bool home)
{
  bool resolve;
  Relay *r = relay_new (&net->relay_context, connection, node, home, net->node_key->bytes,
                        net->now_us, &resolve);

  r->next = net->relays;
  net->relays = r;
  if (resolve) {
    TunnelEvent event = {.type = TUNNEL_EVENT_RESOLVE};

    event.resolve.id = RESOLVE_FOR_RELAY | connection;
    snprintf (event.resolve.name, sizeof event.resolve.name, "%s", node->host);
    net_event (net, &event);
  }
  settle (net, r);
}

void
net_relay_resolved (Net *net, uint32_t connection, const IpAddr *addresses, size_t n)
{
  Relay *r = net_relay_find (net, connection);

  if (r == NULL)
    return;
  relay_resolved (r, addresses, n, net->now_us);
  settle (net, r);
}

void
net_relay_close (Net *net, uint32_t connection)
{
  Relay *r = net_relay_find (net, connection);

  if (r == NULL)
    return;
  take_out (net, r);
  tell_main (net, r, false, NULL);
}

void
net_relay_close_all (Net *net)
{
  while (net->relays != NULL)
    take_out (net, net->relays);
  net_relay_bury (net);
}

void
net_relay_bury (Net *net)
{
  while (net->dead_relays != NULL) {
    Relay *r = net->dead_relays;

    net->dead_relays = r->next;
    relay_free (r);
  }
}

void
net_relay_tick (Net *net)
{
  Relay *next;

  for (Relay *r = net->relays; r != NULL; r = next) {
    next = r->next;
    if (relay_deadline (r) <= net->now_us) {
      relay_io (r, net->now_us);
      settle (net, r);
    }
  }
}

int64_t
net_relay_deadline (const Net *net)
{
  int64_t deadline = TIME_NEVER;

  for (const Relay *r = net->relays; r != NULL; r = r->next)
    deadline = time_min (deadline, relay_deadline (r));
  return deadline;
}

bool
net_relay_send (Net *net, uint16_t region, const NodePublic *peer, const void *data, size_t size)
{
  for (Relay *r = net->relays; r != NULL; r = r->next)
    if (r->region == region) {
      relay_send (r, peer, data, size, net->now_us);
      r->queued = true;
      return true;
    }
  return false;
}
