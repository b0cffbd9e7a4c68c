#include "path/internal.h"

#include "base/memory.h"
#include "path/classify.h"
#include "path/wireguard-only.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

Path *
path_new (Random *random)
{
  Path *path = mem_new (sizeof *path);

  path->random = random;
  path->last_rebind_us = path->last_activity_us = LONG_AGO;
  peer_table_init (&path->peers, random);
  path->relays = relays_new (&path->actions, random);
  path->discovery = discovery_new (random);
  path->portmap = portmap_new ();
  return path;
}

static void
forget_key (Path *path)
{
  if (path->disco_private)
    secret_free (path->disco_private);
  path->disco_private = NULL;
}

void
path_free (Path *path)
{
  if (!path)
    return;
  while (path->paths)
    peer_path_free (path, path->paths);
  peer_table_clear (&path->peers);
  discovery_free (path->discovery);
  portmap_free (path->portmap);
  relays_free (path->relays);
  actions_free (&path->actions);
  forget_key (path);
  if (path->map)
    derp_map_unref (path->map);
  free ((void *)path->knobs.fixed_endpoints);
  free ((void *)path->link.addresses);
  free (path);
}

PeerPath *
path_of (Path *path, PeerRecord *record)
{
  return record->path ? record->path : peer_path_new (path, record);
}

static PeerPath *
find_path (Path *path, const NodePublic *key)
{
  PeerRecord *record = peer_table_find (&path->peers, key);

  return record ? path_of (path, record) : NULL;
}

static void
publish_all (Path *path)
{
  for (PeerPath *p = path->paths; p; p = p->next)
    peer_path_publish (path, p);
}

static void
reset_all (Path *path)
{
  for (PeerPath *p = path->paths; p; p = p->next)
    peer_path_reset (path, p, false);
}

void
path_rebind (Path *path)
{
  if (path->now_us - path->last_rebind_us < PATH_REBIND_GAP)
    return;
  path->last_rebind_us = path->now_us;
  PathAction *action = actions_add (&path->actions, PATH_ACTION_REBIND);
  if (path->knobs.randomize_client_port)
    action->rebind.port = 0;
  else
    action->rebind.port = path->port4 != 0 ? path->port4 : path->knobs.fixed_port;
}

/* ---- identity, switches, maps ---- */

static void
update_running (Path *path)
{
  bool up = !path->has_link || path->link.up;

  relays_set_running (path->relays, up && path->disco_private, path->now_us);
  publish_all (path);
}

static void
forget_shared_keys (Path *path)
{
  for (PeerRecord *r = peer_table_next (&path->peers, NULL); r;
       r = peer_table_next (&path->peers, r)) {
    DiscoPublic key = r->disco_key;
    peer_table_set_disco (&path->peers, r, &key);
  }
}

static void
on_identity (Path *path, const PathEvent *event)
{
  const uint8_t *key = event->identity.disco_private;
  bool node_changed = !key_same (&path->node_key, &event->identity.node_key);
  bool disco_changed = (key == NULL) != (path->disco_private == NULL)
                       || (key && !key_equal (key, path->disco_private, KEY_SIZE));

  path->node_key = event->identity.node_key;
  if (disco_changed) {
    forget_key (path);
    forget_shared_keys (path);
    if (key) {
      path->disco_private = secret_new (KEY_SIZE);
      memcpy (path->disco_private, key, KEY_SIZE);
      key_public (key, path->disco_public.bytes);
    }
  }
  if (!key) /* logged out or stopped: nothing of any path is left */
    while (path->paths)
      peer_path_free (path, path->paths);
  update_running (path);
  portmap_update (path);
  if (node_changed && key) {
    relays_restart (path->relays, path->now_us);
    discovery_tell_again (path);
  }
  if (key && (node_changed || disco_changed))
    discovery_request (path, false);
}

static void
on_knobs (Path *path, const PathEvent *event)
{
  const PathKnobs *knobs = &event->knobs;
  bool quieter = knobs->only_tcp_443 && !path->knobs.only_tcp_443;
  bool rebind = knobs->randomize_client_port != path->knobs.randomize_client_port;

  free ((void *)path->knobs.fixed_endpoints);
  path->knobs = *knobs;
  path->knobs.fixed_endpoints
      = mem_dup (knobs->fixed_endpoints, knobs->n_fixed_endpoints * sizeof *knobs->fixed_endpoints);
  if (quieter)
    reset_all (path);
  portmap_update (path);
  if (rebind && path->port4 != 0)
    path_rebind (path);
  discovery_request (path, false);
  publish_all (path);
}

static void
on_derp_map (Path *path, const PathEvent *event)
{
  DerpMap *map = event->derp_map;

  if (path->map == map)
    return;
  if (path->map)
    derp_map_unref (path->map);
  path->map = map ? derp_map_ref (map) : NULL;
  relays_set_map (path->relays, map, path->now_us);
  discovery_request (path, true);
  publish_all (path);
}

/* ---- the network ---- */

static void
on_link (Path *path, const PathEvent *event)
{
  const PathLink *link = &event->link.link;
  bool was_up = !path->has_link || path->link.up;

  free ((void *)path->link.addresses);
  path->link = *link;
  path->link.addresses = mem_dup (link->addresses, link->n_addresses * sizeof *link->addresses);
  path->has_link = true;
  update_running (path);
  portmap_update (path);
  if (!link->up)
    return;
  if (event->link.major || !was_up) {
    path->last_rebind_us = LONG_AGO;
    if (path->port4 != 0 || path->port6 != 0)
      path_rebind (path);
    if (was_up) /* else they begin only now */
      relays_link_changed (path->relays, &path->link, path->now_us);
  }
  discovery_request (path, event->link.major || !was_up);
}

static void
on_sockets (Path *path, const PathEvent *event)
{
  bool moved = path->port4 != event->sockets.port4 || path->port6 != event->sockets.port6;

  path->port4 = event->sockets.port4;
  path->port6 = event->sockets.port6;
  portmap_update (path);
  if (moved)
    discovery_reset (path);
  for (PeerPath *p = path->paths; p; p = p->next)
    peer_path_reset (path, p, true);
  discovery_request (path, true);
}

static void
on_suspended (Path *path, const PathEvent *event)
{
  relays_ping_all (path->relays);
  for (PeerPath *p = path->paths; p; p = p->next)
    peer_path_woke (path, p, event->slept_us);
  discovery_request (path, true);
}

static void
on_send_error (Path *path, const PathEvent *event)
{
  const IpPort *to = &event->send_error.destination;

  switch (event->send_error.error) {
    case EPERM:
    case EPIPE:
    case ENOTCONN:
    case EBADF:
      if (event->send_error.data || event->send_error.error != EPERM)
        path_rebind (path);
      return;
    case EHOSTUNREACH:
      for (PeerPath *p = path->paths; event->send_error.data && p; p = p->next)
        peer_path_unreachable (path, p, to);
      discovery_send_failed (path, to);
      return;
    default:
      discovery_send_failed (path, to);
  }
}

/* ---- packets ---- */

static void
on_datagram (Path *path, const PathEvent *event)
{
  const uint8_t *data = event->datagram.data;
  size_t size = event->datagram.size;
  DiscoOrigin origin = {0};

  if (portmap_owns (path, event->datagram.side)) {
    portmap_input (path, data, size, &event->datagram.source);
    return;
  }
  switch (packet_classify (data, size)) {
    case PACKET_STUN:
      if (event->datagram.side != 0)
        birthday_stun (path, data, size, event->datagram.side);
      else
        discovery_stun (path, data, size, &event->datagram.source);
      break;
    case PACKET_DISCO:
      origin.source = &event->datagram.source;
      origin.side = event->datagram.side;
      path_receive_disco (path, data, size, &origin);
      break;
    case PACKET_GENEVE_DISCO:
    case PACKET_GENEVE_WIREGUARD:
    case PACKET_WIREGUARD:
      break; /* of a peer relay, or none of ours */
  }
}

static void
on_relay_packet (Path *path, const PathEvent *event)
{
  uint32_t connection = event->relay_packet.connection;
  uint16_t region = relays_region_of (path->relays, connection);
  PeerRecord *record = peer_table_find (&path->peers, &event->relay_packet.source);
  DiscoOrigin origin = {.region = region, .node = &event->relay_packet.source};

  if (region == 0 || !record || !path->disco_private)
    return;
  PeerPath *p = path_of (path, record);
  if (p->route_connection != connection) {
    p->route_connection = connection;
    peer_path_publish (path, p);
  }
  if (packet_classify (event->relay_packet.data, event->relay_packet.size) == PACKET_DISCO)
    path_receive_disco (path, event->relay_packet.data, event->relay_packet.size, &origin);
}

static void
on_peer_gone (Path *path, const PathEvent *event)
{
  PeerRecord *record = peer_table_find (&path->peers, &event->relay_peer_gone.peer);
  PeerPath *p = record ? record->path : NULL;

  if (p && p->route_connection == event->relay_peer_gone.connection) {
    p->route_connection = 0;
    peer_path_publish (path, p);
  }
}

static void
on_relay_up (Path *path, const PathEvent *event)
{
  if (relays_on_up (path->relays, event->relay_up.connection, &event->relay_up.local, path->now_us))
    publish_all (path);
}

static void
on_relay_restarting (Path *path, const PathEvent *event)
{
  if (relays_on_restarting (path->relays, event->relay_restarting.connection,
                            event->relay_restarting.back_us, path->now_us))
    publish_all (path);
}

static void
on_relay_closed (Path *path, const PathEvent *event)
{
  if (!relays_on_closed (path->relays, event->relay_closed.connection, event->relay_closed.reason,
                         event->relay_closed.text, path->now_us))
    return;
  publish_all (path);
  if (event->relay_closed.reason == RELAY_CLOSED_LOST)
    discovery_request (path, false);
}

/* ---- the tunnel ---- */

static void
note_activity (Path *path)
{
  path->last_activity_us = path->now_us;
  discovery_active (path);
}

static void
on_sent (Path *path, const PathEvent *event)
{
  PeerPath *p = path->disco_private ? find_path (path, &event->sent.peer) : NULL;

  note_activity (path);
  if (p)
    peer_path_sent (path, p);
}

static void
on_received (Path *path, const PathEvent *event)
{
  PeerPath *p = path->disco_private ? find_path (path, &event->received.peer) : NULL;
  const IpPort *source = &event->received.source;

  note_activity (path);
  if (p)
    peer_path_received (path, p, source->addr.family != 0 ? source : NULL);
}

static void
on_no_answer (Path *path, const PathEvent *event)
{
  PeerRecord *record = peer_table_find (&path->peers, &event->no_answer.peer);

  if (record && record->path)
    peer_path_no_answer (path, record->path);
}

static void
on_disco_key (Path *path, const PathEvent *event)
{
  PeerRecord *record = peer_table_find (&path->peers, &event->disco_key.peer);

  /* The session that told the key is alive: the restart is behind it. */
  if (record && !record->wireguard_only && !key_zero (&event->disco_key.key))
    path_set_disco_key (path, record, &event->disco_key.key, false);
}

static void
on_ping (Path *path, const PathEvent *event)
{
  PeerRecord *record = peer_table_find (&path->peers, &event->ping.peer);
  PathPingOutcome outcome;

  if (!path->disco_private)
    outcome = PING_STOPPED;
  else if (!record || record->wireguard_only || key_zero (&record->disco_key))
    outcome = PING_NO_PEER;
  else if (record->expired)
    outcome = PING_EXPIRED;
  else if (event->ping.size > PATH_PING_MAX)
    outcome = PING_TOO_LARGE;
  else {
    peer_path_command (path, path_of (path, record), event->ping.id, event->ping.size);
    return;
  }
  PathAction *action = actions_add (&path->actions, PATH_ACTION_PING_RESULT);
  action->ping_result
      = (PathPingResult){.id = event->ping.id, .peer = event->ping.peer, .outcome = outcome};
}

static void
on_icmp_latency (Path *path, const PathEvent *event)
{
  uint32_t probe = event->icmp_latency.probe;
  int64_t latency = event->icmp_latency.latency_us;

  if (!(probe & PATH_OWN_PROBE)) {
    discovery_icmp_latency (path, probe, latency);
    return;
  }
  for (PeerPath *p = path->paths; p; p = p->next)
    if (wireguard_only_latency (path, p, probe, latency))
      return;
}

/* ---- the core ---- */

static void
on_tick (Path *path, const PathEvent *event)
{
}

static void
on_control (Path *path, const PathEvent *event)
{
  bool returned = event->control_connected && !path->control_connected;

  path->control_connected = event->control_connected;
  /* A home that was lost meanwhile could not be replaced: nobody would have learned of it. */
  if (returned && !relays_home_is_up (path->relays))
    discovery_request (path, false);
}

static void
on_relay_frame (Path *path, const PathEvent *event)
{
  relays_on_frame (path->relays, event->relay_frame, path->now_us);
}

static void
on_netcheck (Path *path, const PathEvent *event)
{
  discovery_command (path, event->netcheck);
}

static void
on_resolved (Path *path, const PathEvent *event)
{
  discovery_resolved (path, event->resolved.query, event->resolved.addresses,
                      event->resolved.n_addresses);
}

static void
on_https_latency (Path *path, const PathEvent *event)
{
  discovery_https_latency (path, event->https_latency.probe, event->https_latency.latency_us,
                           event->https_latency.ipv6);
}

static void (*const handlers[]) (Path *, const PathEvent *) = {
    [PATH_EVENT_TICK] = on_tick,
    [PATH_EVENT_IDENTITY] = on_identity,
    [PATH_EVENT_KNOBS] = on_knobs,
    [PATH_EVENT_DERP_MAP] = on_derp_map,
    [PATH_EVENT_PEERS] = path_set_peers,
    [PATH_EVENT_LINK] = on_link,
    [PATH_EVENT_SUSPENDED] = on_suspended,
    [PATH_EVENT_CONTROL] = on_control,
    [PATH_EVENT_SOCKETS] = on_sockets,
    [PATH_EVENT_DATAGRAM] = on_datagram,
    [PATH_EVENT_RELAY_UP] = on_relay_up,
    [PATH_EVENT_RELAY_CLOSED] = on_relay_closed,
    [PATH_EVENT_RELAY_RESTARTING] = on_relay_restarting,
    [PATH_EVENT_RELAY_FRAME] = on_relay_frame,
    [PATH_EVENT_RELAY_PACKET] = on_relay_packet,
    [PATH_EVENT_RELAY_PEER_GONE] = on_peer_gone,
    [PATH_EVENT_SENT] = on_sent,
    [PATH_EVENT_RECEIVED] = on_received,
    [PATH_EVENT_NO_ANSWER] = on_no_answer,
    [PATH_EVENT_SEND_ERROR] = on_send_error,
    [PATH_EVENT_DISCO_KEY] = on_disco_key,
    [PATH_EVENT_PING] = on_ping,
    [PATH_EVENT_NETCHECK] = on_netcheck,
    [PATH_EVENT_RESOLVED] = on_resolved,
    [PATH_EVENT_HTTPS_LATENCY] = on_https_latency,
    [PATH_EVENT_ICMP_LATENCY] = on_icmp_latency,
};

void
path_input (Path *path, const PathEvent *event, int64_t now_us)
{
  TimerNode *node;

  if (!path->started)
    timer_wheel_init (&path->wheel, now_us);
  path->started = true;
  path->now_us = now_us;
  handlers[event->type](path, event);
  while ((node = timer_wheel_expire (&path->wheel, now_us)))
    peer_path_tick (path, (PeerPath *)((char *)node - offsetof (PeerPath, timer)));
  if (now_us >= relays_next_deadline (path->relays)) {
    relays_tick (path->relays, now_us);
    publish_all (path);
  }
  portmap_tick (path);
  discovery_tick (path);
  birthday_tick (path);
}

bool
path_next_action (Path *path, PathAction *action)
{
  return actions_take (&path->actions, action);
}

int64_t
path_next_deadline (const Path *path)
{
  if (!path->started)
    return TIME_NEVER;
  int64_t deadline = timer_wheel_next ((TimerWheel *)&path->wheel);
  deadline = time_min (deadline, relays_next_deadline (path->relays));
  deadline = time_min (deadline, birthday_next_deadline (path));
  deadline = time_min (deadline, portmap_next_deadline (path));
  return time_min (deadline, discovery_next_deadline (path));
}

bool
path_destination (const Path *path, const NodePublic *peer, PathDestination *out)
{
  const PeerRecord *record = peer_table_find (&path->peers, peer);

  *out = (PathDestination){0};
  return record && peer_path_destination (path, record, out);
}

bool
path_peer_status (const Path *path, const NodePublic *peer, PathPeerStatus *out)
{
  const PeerRecord *record = peer_table_find (&path->peers, peer);

  if (record)
    peer_path_status (path, record, out);
  return record != NULL;
}

void
path_relay_status (const Path *path, PathRelayStatus *out)
{
  relays_status (path->relays, out);
}
