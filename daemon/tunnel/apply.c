/* Brings configurations, keys and sockets about: tells the cores, and knows when all workers have
 * followed. What workers read is made in publish.c. */
#include "tunnel/net.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static NetChanges
collect (const TunnelConfig *before, const TunnelConfig *after)
{
  NetChanges changes = {0};
  TunnelConfigDiff diff;
  TunnelPeer *old, *new;

  tunnel_config_diff_begin (&diff, before, after);
  while (tunnel_config_diff_next (&diff, &old, &new)) {
    changes.list = mem_grow (changes.list, changes.n, &changes.room, sizeof changes.list[0]);
    changes.list[changes.n].before = old;
    changes.list[changes.n].after = new;
    changes.n++;
  }
  tunnel_config_diff_end (&diff);
  return changes;
}

/* ---- the cores ---- */

static PathPeer
path_peer (const TunnelPeer *p)
{
  return (PathPeer){
      .key = p->key,
      .disco_key = p->disco_key,
      .home_region = p->home_region,
      .endpoints = p->endpoints,
      .n_endpoints = p->n_endpoints,
      .wireguard_only = p->wireguard_only,
      .expired = p->expired,
  };
}

static WgPeerOp
wg_op (const TunnelPeer *p)
{
  return p->expired || p->n_sources == 0 ? WG_PEER_BLOCK : WG_PEER_ALLOW;
}

static void
tell_cores (Net *net, const NetChanges *changes)
{
  WgPeerChange *wg = mem_new ((2 * changes->n + 1) * sizeof *wg);
  PathPeer *peers = mem_new ((changes->n + 1) * sizeof *peers);
  NodePublic *removed = mem_new ((changes->n + 1) * sizeof *removed);
  PathEvent path_event = {.type = PATH_EVENT_PEERS};
  WgEvent wg_event = {.type = WG_EVENT_PEERS};
  size_t n_wg = 0, n_peers = 0, n_removed = 0;

  for (size_t i = 0; i < changes->n; i++) {
    const TunnelPeer *before = changes->list[i].before, *after = changes->list[i].after;

    if (before != NULL && (after == NULL || net_key_changed (before, after))) {
      removed[n_removed++] = before->key;
      wg[n_wg++] = (WgPeerChange){before->key, WG_PEER_REMOVE};
    }
  }
  for (size_t i = 0; i < changes->n; i++) {
    const TunnelPeer *after = changes->list[i].after;

    if (after != NULL) {
      peers[n_peers++] = path_peer (after);
      wg[n_wg++] = (WgPeerChange){after->key, wg_op (after)};
    }
  }
  wg_event.peers.changes = wg;
  wg_event.peers.n_changes = n_wg;
  net_feed_device (net, &wg_event);
  path_event.peers.peers = peers;
  path_event.peers.n_peers = n_peers;
  path_event.peers.removed = removed;
  path_event.peers.n_removed = n_removed;
  net_feed_path (net, &path_event);
  free (wg);
  free (peers);
  free (removed);
}

static void
tell_settings (Net *net, const TunnelSettings *before, const TunnelSettings *after)
{
  PathEvent map = {.type = PATH_EVENT_DERP_MAP, .derp_map = after->derp_map};
  PathEvent knobs = {.type = PATH_EVENT_KNOBS};

  if (before->derp_map != after->derp_map)
    net_feed_path (net, &map);
  knobs.knobs.only_tcp_443 = after->knobs.only_tcp_443;
  knobs.knobs.silent_disco = after->knobs.silent_disco;
  knobs.knobs.randomize_client_port = after->knobs.randomize_port;
  knobs.knobs.debug_always_stun = after->knobs.always_stun;
  knobs.knobs.fixed_port = net->wanted_port;
  if (before->knobs.only_tcp_443 != after->knobs.only_tcp_443
      || before->knobs.silent_disco != after->knobs.silent_disco
      || before->knobs.randomize_port != after->knobs.randomize_port
      || before->knobs.always_stun != after->knobs.always_stun || net->number == 0)
    net_feed_path (net, &knobs);
}

static void
post_fence (Net *net)
{
  Order fence = {.type = ORDER_FENCE, .number = net->number};

  for (unsigned i = 0; i < net->shared->n_workers; i++)
    net_order (net, i, &fence);
}

void
net_fence_answer (Net *net, unsigned worker, uint64_t number)
{
  uint64_t least = UINT64_MAX;
  TunnelEvent event = {.type = TUNNEL_EVENT_APPLIED};

  net->fenced[worker] = number;
  for (unsigned i = 0; i < net->shared->n_workers; i++)
    least = net->fenced[i] < least ? net->fenced[i] : least;
  if (least <= atomic_load (&net->applied))
    return;
  atomic_store (&net->applied, least);
  event.number = least;
  net_event (net, &event);
}

static bool
offloads_differ (const TunnelKnobs *a, const TunnelKnobs *b)
{
  return a->disable_udp_gro != b->disable_udp_gro || a->disable_udp_gso != b->disable_udp_gso
         || a->never_gso_equal_tail != b->never_gso_equal_tail;
}

void
net_apply (Net *net, TunnelConfig *config, uint64_t number)
{
  const TunnelSettings nothing = {.shut = true};
  const TunnelSettings *after = tunnel_config_settings (config);
  const TunnelSettings *before
      = net->config != NULL ? tunnel_config_settings (net->config) : &nothing;
  NetChanges changes = collect (net->config, config);
  bool reopen = offloads_differ (&before->knobs, &after->knobs);

  net_publish (net, after, &changes, number);
  tell_settings (net, before, after);
  if (changes.n > 0)
    tell_cores (net, &changes);
  free (changes.list);
  tunnel_config_unref (net->config);
  net->config = config;
  net->number = number;
  post_fence (net);
  if (reopen)
    net_open_sockets (net, net->wanted_port);
  net_run_actions (net);
}

/* What a reader put into a ring before it let go of the peer is read by now at the latest: net
 * empties its rings in each round before it frees anything. */
static void
retire_again (void *data)
{
  LivePeer *peer = data;
  EpochDomain *epochs = peer->epochs;

  epoch_retire (epochs, peer, live_peer_free);
}

void
net_peer_forgotten (Net *net, LivePeer *peer)
{
  peer->epochs = net->shared->epochs;
  epoch_retire (net->shared->epochs, peer, retire_again);
}

/* ---- keys ---- */

static void
feed_all_peers (Net *net)
{
  TunnelConfigIter iter;
  TunnelPeer *peer;
  WgEvent event = {.type = WG_EVENT_PEERS};

  if (net->config == NULL)
    return;
  iter = tunnel_config_iter (net->config);
  while ((peer = tunnel_config_iter_next (&iter)) != NULL) {
    WgPeerChange change = {peer->key, wg_op (peer)};

    event.peers.changes = &change;
    event.peers.n_changes = 1;
    net_feed_device (net, &event);
  }
}

static void
erase_all_sessions (Net *net)
{
  SharedMapIter iter = shared_map_begin (net->view->by_key);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry)) {
    Order order = {.type = ORDER_ERASE, .peer = (LivePeer *)(uintptr_t)entry.value};

    if (atomic_load (&order.peer->active) != NULL)
      net_order (net, order.peer->owner, &order);
  }
}

void
net_set_node_key (Net *net, const NodePrivate *key)
{
  bool none = key_zero (key);
  PathEvent identity = {.type = PATH_EVENT_IDENTITY};
  WgDeviceConfig config
      = {.n_workers = net->shared->n_workers, .wall_time = wall_time_now (), .now_us = net->now_us};
  NetChanges nothing = {0};

  if (key_same (net->node_key, key))
    return;
  if (net->device != NULL)
    wg_device_timestamp (net->device, net->timestamp);
  wg_device_free (net->device);
  net->device = NULL;
  erase_all_sessions (net);
  *net->node_key = *key;
  memset (&net->self, 0, sizeof net->self);
  if (!none) {
    key_public (key->bytes, net->self.bytes);
    config.private_key = *key;
    memcpy (config.timestamp_floor, net->timestamp, sizeof config.timestamp_floor);
    net->device = wg_device_new (&config, net->random);
    sodium_memzero (&config.private_key, sizeof config.private_key);
    feed_all_peers (net);
  }
  identity.identity.disco_private = none ? NULL : net->disco_key->bytes;
  identity.identity.node_key = net->self;
  net_feed_path (net, &identity);
  if (net->config != NULL) {
    net_publish (net, tunnel_config_settings (net->config), &nothing, net->number);
    post_fence (net);
  }
  net_run_actions (net);
}

/* ---- sockets ---- */

static bool
open_family (Net *net, Sockets *sockets, uint8_t family, uint16_t port, bool successor)
{
  const TunnelKnobs none = {0};
  const TunnelKnobs *knobs
      = net->config != NULL ? &tunnel_config_settings (net->config)->knobs : &none;
  unsigned n = net->shared->n_workers;
  UdpOptions options = {.port = port,
                        .gso = !knobs->disable_udp_gso,
                        .gro = !knobs->disable_udp_gro,
                        .equal_tail_guard = knobs->never_gso_equal_tail,
                        .reuse_port = n > 1,
                        .successor = successor,
                        .mark = net->mark};

  for (unsigned i = 0; i < n; i++) {
    UdpSocket *socket = sockets_for (sockets, i, family);

    if (!udp_open (socket, family, &options)) {
      for (unsigned k = 0; k < i; k++)
        udp_close (sockets_for (sockets, k, family));
      return false;
    }
    options.port = socket->port;
  }
  return n == 1 || udp_steer (sockets_for (sockets, 0, family), n);
}

static void
post_sockets (Net *net, Sockets *sockets)
{
  Order order = {.type = ORDER_SOCKETS, .sockets = sockets};

  for (unsigned i = 0; i < net->shared->n_workers; i++)
    net_order (net, i, &order);
  /* Answers about earlier ones do not count any more. */
  net->sockets_pending = net->shared->n_workers;
}

static void
tell_sockets (Net *net)
{
  PathEvent path_event = {.type = PATH_EVENT_SOCKETS};
  TunnelEvent event = {.type = TUNNEL_EVENT_SOCKETS};

  path_event.sockets.port4
      = net->sockets->workers[0].v4.fd >= 0 ? net->sockets->workers[0].v4.port : 0;
  path_event.sockets.port6
      = net->sockets->workers[0].v6.fd >= 0 ? net->sockets->workers[0].v6.port : 0;
  event.sockets.port4 = path_event.sockets.port4;
  event.sockets.port6 = path_event.sockets.port6;
  net_feed_path (net, &path_event);
  net_event (net, &event);
}

static void
open_now (Net *net, uint16_t port, bool successor)
{
  Sockets *sockets = sockets_new ();
  bool have6 = open_family (net, sockets, 6, port, successor);

  if (!open_family (net, sockets, 4, port, successor)) {
    /* Another program has the port: any other one will do, for both families alike. */
    sockets_close_family (sockets, 6);
    if (!open_family (net, sockets, 4, 0, false))
      log_warning ("tunnel", "could not open an IPv4 UDP socket: %s", strerror (errno));
    have6 = open_family (net, sockets, 6, sockets->workers[0].v4.port, false);
  }
  if (!have6)
    open_family (net, sockets, 6, 0, false);
  net->sockets = sockets;
  post_sockets (net, sockets);
  tell_sockets (net);
}

void
net_open_sockets (Net *net, uint16_t port)
{
  /* Peers and port mappers know the port we have: keep it where none is asked for. */
  if (port == 0 && net->sockets != NULL)
    port = net->sockets->workers[0].v4.port;
  if (net->old_sockets != NULL || net->reopen) {
    /* One change at a time; the last wish counts. */
    net->reopen = true;
    net->reopen_port = port;
    return;
  }
  net->old_sockets = net->sockets;
  if (net->shared->n_workers > 1 && net->old_sockets != NULL) {
    /* A group that shares a port is steered by the order of its sockets: the old ones must be gone
     * before the new ones are bound. */
    net->reopen = true;
    net->reopen_port = port;
    net->sockets = NULL;
    post_sockets (net, NULL);
    return;
  }
  if (net->old_sockets != NULL) {
    udp_allow_successor (&net->old_sockets->workers[0].v4);
    udp_allow_successor (&net->old_sockets->workers[0].v6);
  }
  open_now (net, port, net->old_sockets != NULL);
}

void
net_sockets_answer (Net *net, const Sockets *sockets)
{
  if (sockets != net->sockets || --net->sockets_pending > 0)
    return;
  sockets_free (net->old_sockets);
  net->old_sockets = NULL;
  if (!net->reopen)
    return;
  net->reopen = false;
  if (net->sockets == NULL)
    open_now (net, net->reopen_port, false);
  else
    net_open_sockets (net, net->reopen_port);
}

/* ---- the host's links ---- */

void
net_tell_link (Net *net, bool major)
{
  PathAddress *addresses = mem_new ((net->link.n_addresses + 1) * sizeof *addresses);
  PathEvent event = {.type = PATH_EVENT_LINK};

  if (major)
    net_forget_web_sockets (net);
  for (size_t i = 0; i < net->link.n_addresses; i++) {
    const TunnelLinkAddress *a = &net->link.addresses[i];

    addresses[i].prefix = a->prefix;
    memcpy (addresses[i].interface, a->interface, sizeof addresses[i].interface);
    addresses[i].loopback = a->loopback;
    addresses[i].default_route = a->default_route;
  }
  event.link.link.addresses = addresses;
  event.link.link.n_addresses = net->link.n_addresses;
  event.link.link.gateway4 = net->link.gateway4;
  event.link.link.up = net->link.up && net->online;
  event.link.major = major;
  net_feed_path (net, &event);
  free (addresses);
}
