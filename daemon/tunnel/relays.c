/* The relay connections and latency probes of the net thread: which there are is path's business.
 */
#include "tunnel/net.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_TOLD_US (5 * USEC_PER_SEC)

/* Names that relays wait for share their numbers with path's queries; these bits tell them apart.
 */
#define RESOLVE_FOR_RELAY (UINT64_C (1) << 32)
#define RESOLVE_FOR_PROBE (UINT64_C (1) << 33)

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
  char region[8];

  snprintf (region, sizeof region, "%u", r->region);
  log_field (LOG_LEVEL_DEBUG, "tunnel", "REGION", region, "relay %s%s: %s%s%s", region,
             r->home ? " (home)" : "", connected ? "connected" : "not connected",
             text != NULL && text[0] != 0 ? ": " : "", text != NULL ? text : "");
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
  relay->stream.dead = true;
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

    if (net->device == NULL || !wg_device_has_index (net->device, load_le32 (data + 4)))
      net_heal_peer (net, &action->packet.source);
    else if (worker < net->shared->n_workers)
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

/* ---- proxies ---- */

static void
clear_proxies (ProxySettings *proxies)
{
  free ((char *)proxies->https_proxy);
  free ((char *)proxies->no_proxy);
  *proxies = (ProxySettings){0};
}

void
net_set_proxies (Net *net, char *https_proxy, char *no_proxy)
{
  clear_proxies (&net->stream_context.proxies);
  net->stream_context.proxies.https_proxy = https_proxy;
  net->stream_context.proxies.no_proxy = no_proxy;
}

/* ---- proxies that pass WebSocket alone ---- */

static bool
needs_web_socket (const Net *net, const char *host)
{
  for (unsigned i = 0; i < NET_WEB_SOCKETS; i++)
    if (strcmp (net->web_socket_hosts[i], host) == 0)
      return true;
  return false;
}

/* The next attempt at this relay goes by WebSocket. */
static void
want_web_socket (Net *net, const char *host)
{
  if (needs_web_socket (net, host))
    return;
  snprintf (net->web_socket_hosts[net->next_web_socket], sizeof net->web_socket_hosts[0], "%s",
            host);
  net->next_web_socket = (net->next_web_socket + 1) % NET_WEB_SOCKETS;
}

void
net_forget_web_sockets (Net *net)
{
  memset (net->web_socket_hosts, 0, sizeof net->web_socket_hosts);
}

static void
handle_action (Net *net, Relay *r, const DerpClientAction *action)
{
  PathEvent event = {0};

  switch (action->type) {
    case DERP_CLIENT_ACTION_UP:
      event.type = PATH_EVENT_RELAY_UP;
      event.relay_up.connection = r->connection;
      event.relay_up.local = stream_local_address (&r->stream);
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
      tell_main (net, r, r->stream.up, action->health);
      break;
    case DERP_CLIENT_ACTION_RESTARTING:
      event.type = PATH_EVENT_RELAY_RESTARTING;
      event.relay_restarting.connection = r->connection;
      event.relay_restarting.back_us = action->restart_us;
      net_feed_path (net, &event);
      break;
    case DERP_CLIENT_ACTION_PEER_PRESENT: /* is for relays */
      break;
    case DERP_CLIENT_ACTION_CLOSE:
      if (action->close.reason == DERP_CLOSE_UPGRADE)
        want_web_socket (net, r->stream.host);
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

  relay_drive (r, net->now_us);
  while (relay_next (r, &action, net->now_us))
    handle_action (net, r, &action);
  tell_frame (net, r);
  r->queued = true;
  if (r->stream.state != STREAM_FAILED)
    return;
  take_out (net, r);
  tell_main (net, r, false, r->stream.text);
  closed.relay_closed.connection = r->connection;
  closed.relay_closed.reason = r->stream.failure;
  closed.relay_closed.text = r->stream.text;
  net_feed_path (net, &closed);
}

/* ---- probes ---- */

static void
settle_probe (Net *net, Probe *probe)
{
  PathEvent event = {.type = PATH_EVENT_HTTPS_LATENCY};
  Probe **link = &net->probes;

  probe_drive (probe, net->now_us);
  if (!probe->done)
    return;
  while (*link != probe)
    link = &(*link)->next;
  *link = probe->next;
  probe->stream.dead = true;
  probe->next = net->dead_probes;
  net->dead_probes = probe;
  event.https_latency.probe = probe->number;
  event.https_latency.latency_us = probe->latency_us;
  event.https_latency.ipv6 = probe->ipv6;
  net_feed_path (net, &event);
}

static void
ask_resolve (Net *net, uint64_t id, const char *host)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_RESOLVE};

  event.resolve.id = id;
  snprintf (event.resolve.name, sizeof event.resolve.name, "%s", host);
  net_event (net, &event);
}

void
net_probe_start (Net *net, uint32_t number, const PathRelayNode *node)
{
  bool resolve;
  Probe *probe = probe_new (&net->stream_context, number, node, net->now_us, &resolve);

  probe->next = net->probes;
  net->probes = probe;
  if (resolve)
    ask_resolve (net, RESOLVE_FOR_PROBE | number, stream_name (&probe->stream));
  settle_probe (net, probe);
}

/* ---- relays ---- */

void
net_stream_event (Net *net, Stream *stream)
{
  if (stream->dead)
    return;
  stream_io (stream, net->now_us);
  if (stream->owner == STREAM_OF_PROBE)
    settle_probe (net, stream->data);
  else
    settle (net, stream->data);
}

void
net_relay_connect (Net *net, uint32_t connection, const PathRelayNode *node, bool home)
{
  bool resolve;
  Relay *r
      = relay_new (&net->stream_context, connection, node, home, needs_web_socket (net, node->host),
                   net->node_key->bytes, net->now_us, &resolve);

  r->next = net->relays;
  net->relays = r;
  if (resolve)
    ask_resolve (net, RESOLVE_FOR_RELAY | connection, stream_name (&r->stream));
  settle (net, r);
}

bool
net_stream_resolved (Net *net, uint64_t id, const IpAddr *addresses, size_t n)
{
  Relay *r = (id & RESOLVE_FOR_RELAY) != 0 ? net_relay_find (net, (uint32_t)id) : NULL;

  if (r != NULL) {
    stream_resolved (&r->stream, addresses, n, net->now_us);
    settle (net, r);
  } else if ((id & RESOLVE_FOR_PROBE) != 0) {
    for (Probe *p = net->probes; p != NULL; p = p->next)
      if (p->number == (uint32_t)id) {
        stream_resolved (&p->stream, addresses, n, net->now_us);
        settle_probe (net, p);
        break;
      }
  }
  return (id & (RESOLVE_FOR_RELAY | RESOLVE_FOR_PROBE)) != 0;
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
  while (net->probes != NULL) {
    Probe *probe = net->probes;

    net->probes = probe->next;
    probe_free (probe);
  }
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
  while (net->dead_probes != NULL) {
    Probe *probe = net->dead_probes;

    net->dead_probes = probe->next;
    probe_free (probe);
  }
}

void
net_relay_tick (Net *net)
{
  Relay *next;
  Probe *next_probe;

  for (Relay *r = net->relays; r != NULL; r = next) {
    next = r->next;
    if (relay_deadline (r) <= net->now_us)
      net_stream_event (net, &r->stream);
  }
  for (Probe *p = net->probes; p != NULL; p = next_probe) {
    next_probe = p->next;
    if (stream_deadline (&p->stream) <= net->now_us)
      net_stream_event (net, &p->stream);
  }
}

int64_t
net_relay_deadline (const Net *net)
{
  int64_t deadline = TIME_NEVER;

  for (const Relay *r = net->relays; r != NULL; r = r->next)
    deadline = time_min (deadline, relay_deadline (r));
  for (const Probe *p = net->probes; p != NULL; p = p->next)
    deadline = time_min (deadline, stream_deadline (&p->stream));
  return deadline;
}

void
net_relay_push (Net *net)
{
  for (Relay *r = net->relays; r != NULL; r = r->next)
    if (r->queued)
      relay_push (r, net->now_us);
}

bool
net_relay_send (Net *net, uint16_t region, const NodePublic *peer, const void *data, size_t size)
{
  for (Relay *r = net->relays; r != NULL; r = r->next)
    if (r->region == region) {
      relay_send (r, peer, data, size, net->now_us);
      return true;
    }
  return false;
}
