#include "tunnel/config.h"

#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct TunnelConfig
{
  _Atomic unsigned references;
  TunnelSettings settings;
  SharedMap *peers; /* id -> TunnelPeer, which the map holds references to */
};

static TunnelPeer *
peer_of (uint64_t value)
{
  return (TunnelPeer *)(uintptr_t)value;
}

static void
ref_value (uint64_t value)
{
  tunnel_peer_ref (peer_of (value));
}

static void
unref_value (uint64_t value)
{
  tunnel_peer_unref (peer_of (value));
}

static const SharedMapType peer_map = {ref_value, unref_value};

/* Copies N elements of SIZE bytes to *AT, steps over them and returns where they are now. */
static void *
pack (uint8_t **at, const void *from, size_t n, size_t size)
{
  void *to = *at;

  if (n == 0)
    return NULL;
  memcpy (to, from, n * size);
  *at += (n * size + 7) & ~(size_t)7;
  return to;
}

TunnelPeer *
tunnel_peer_new (const TunnelPeer *f)
{
  size_t room = ((f->n_routes * sizeof *f->routes + 7) & ~(size_t)7)
                + ((f->n_sources * sizeof *f->sources + 7) & ~(size_t)7)
                + ((f->n_endpoints * sizeof *f->endpoints + 7) & ~(size_t)7);
  TunnelPeer *peer = mem_new (sizeof *peer + room);
  uint8_t *at = (uint8_t *)(peer + 1);

  memcpy (peer, f, sizeof *peer);
  atomic_init (&peer->references, 1);
  peer->routes = pack (&at, f->routes, f->n_routes, sizeof *f->routes);
  peer->sources = pack (&at, f->sources, f->n_sources, sizeof *f->sources);
  peer->endpoints = pack (&at, f->endpoints, f->n_endpoints, sizeof *f->endpoints);
  return peer;
}

TunnelPeer *
tunnel_peer_ref (TunnelPeer *peer)
{
  atomic_fetch_add_explicit (&peer->references, 1, memory_order_relaxed);
  return peer;
}

void
tunnel_peer_unref (TunnelPeer *peer)
{
  if (peer != NULL && atomic_fetch_sub_explicit (&peer->references, 1, memory_order_acq_rel) == 1)
    free (peer);
}

static bool
prefixes_equal (const IpPrefix *a, size_t n_a, const IpPrefix *b, size_t n_b)
{
  if (n_a != n_b)
    return false;
  for (size_t i = 0; i < n_a; i++)
    if (!ip_prefix_equal (&a[i], &b[i]))
      return false;
  return true;
}

static bool
endpoints_equal (const TunnelPeer *a, const TunnelPeer *b)
{
  if (a->n_endpoints != b->n_endpoints)
    return false;
  for (size_t i = 0; i < a->n_endpoints; i++)
    if (!ip_port_equal (&a->endpoints[i], &b->endpoints[i]))
      return false;
  return true;
}

bool
tunnel_peer_equal (const TunnelPeer *a, const TunnelPeer *b)
{
  return a == b
         || (a->id == b->id && key_same (&a->key, &b->key)
             && key_same (&a->disco_key, &b->disco_key) && ip_equal (&a->address4, &b->address4)
             && ip_equal (&a->address6, &b->address6) && a->home_region == b->home_region
             && a->capability_version == b->capability_version
             && ip_equal (&a->masquerade4, &b->masquerade4)
             && ip_equal (&a->masquerade6, &b->masquerade6)
             && a->wireguard_only == b->wireguard_only && a->jailed == b->jailed
             && a->expired == b->expired
             && prefixes_equal (a->routes, a->n_routes, b->routes, b->n_routes)
             && prefixes_equal (a->sources, a->n_sources, b->sources, b->n_sources)
             && endpoints_equal (a, b));
}

static bool
knobs_equal (const TunnelKnobs *a, const TunnelKnobs *b)
{
  return a->disable_tun_udp_gro == b->disable_tun_udp_gro
         && a->disable_tun_tcp_gro == b->disable_tun_tcp_gro
         && a->disable_udp_gro == b->disable_udp_gro && a->disable_udp_gso == b->disable_udp_gso
         && a->never_gso_equal_tail == b->never_gso_equal_tail
         && a->randomize_port == b->randomize_port && a->only_tcp_443 == b->only_tcp_443
         && a->silent_disco == b->silent_disco && a->always_stun == b->always_stun;
}

static bool
settings_equal (const TunnelSettings *a, const TunnelSettings *b)
{
  return key_same (&a->self_key, &b->self_key) && a->self_id == b->self_id
         && ip_equal (&a->address4, &b->address4) && ip_equal (&a->address6, &b->address6)
         && a->peerapi_port4 == b->peerapi_port4 && a->peerapi_port6 == b->peerapi_port6
         && a->filter == b->filter && a->derp_map == b->derp_map
         && knobs_equal (&a->knobs, &b->knobs) && a->mtu == b->mtu && a->shut == b->shut;
}

static void
put_peer (SharedMap *peers, TunnelPeer *peer)
{
  uint64_t old;

  if (shared_map_get (peers, (uint64_t)peer->id, &old) && tunnel_peer_equal (peer_of (old), peer))
    return;
  shared_map_set (peers, (uint64_t)peer->id, (uint64_t)(uintptr_t)peer);
}

TunnelConfig *
tunnel_config_update (const TunnelConfig *base, const TunnelSettings *settings,
                      TunnelPeer *const *put, size_t n_put, const int64_t *removed,
                      size_t n_removed)
{
  TunnelConfig *config = mem_new (sizeof *config);

  atomic_init (&config->references, 1);
  config->settings = *settings;
  if (settings->filter != NULL)
    config->settings.filter = filter_ref (settings->filter);
  if (settings->derp_map != NULL)
    config->settings.derp_map = derp_map_ref (settings->derp_map);
  if (base != NULL && n_put == 0 && n_removed == 0) {
    config->peers = shared_map_ref (base->peers);
    return config;
  }
  config->peers = base != NULL ? shared_map_edit (base->peers) : shared_map_new (&peer_map);
  for (size_t i = 0; i < n_removed; i++)
    shared_map_remove (config->peers, (uint64_t)removed[i]);
  for (size_t i = 0; i < n_put; i++)
    put_peer (config->peers, put[i]);
  return config;
}

TunnelConfig *
tunnel_config_ref (TunnelConfig *config)
{
  atomic_fetch_add_explicit (&config->references, 1, memory_order_relaxed);
  return config;
}

void
tunnel_config_unref (TunnelConfig *config)
{
  if (config == NULL
      || atomic_fetch_sub_explicit (&config->references, 1, memory_order_acq_rel) != 1)
    return;
  shared_map_unref (config->peers);
  if (config->settings.filter != NULL)
    filter_unref (config->settings.filter);
  if (config->settings.derp_map != NULL)
    derp_map_unref (config->settings.derp_map);
  free (config);
}

const TunnelSettings *
tunnel_config_settings (const TunnelConfig *config)
{
  return &config->settings;
}

size_t
tunnel_config_n_peers (const TunnelConfig *config)
{
  return shared_map_size (config->peers);
}

const TunnelPeer *
tunnel_config_peer (const TunnelConfig *config, int64_t id)
{
  uint64_t value;

  return shared_map_get (config->peers, (uint64_t)id, &value) ? peer_of (value) : NULL;
}

bool
tunnel_config_equal (const TunnelConfig *a, const TunnelConfig *b)
{
  TunnelConfigDiff diff;
  TunnelPeer *before, *after;
  bool equal = true;

  if (a == b)
    return true;
  if (a == NULL || b == NULL || !settings_equal (&a->settings, &b->settings))
    return false;
  tunnel_config_diff_begin (&diff, a, b);
  while (equal && tunnel_config_diff_next (&diff, &before, &after))
    equal = before != NULL && after != NULL && tunnel_peer_equal (before, after);
  tunnel_config_diff_end (&diff);
  return equal;
}

TunnelConfigIter
tunnel_config_iter (const TunnelConfig *config)
{
  return (TunnelConfigIter){shared_map_begin (config->peers)};
}

TunnelPeer *
tunnel_config_iter_next (TunnelConfigIter *iter)
{
  SharedMapEntry entry;

  return shared_map_next (&iter->at, &entry) ? peer_of (entry.value) : NULL;
}

void
tunnel_config_diff_begin (TunnelConfigDiff *diff, const TunnelConfig *before,
                          const TunnelConfig *after)
{
  diff->nothing = before == NULL ? shared_map_new (&peer_map) : NULL;
  diff->at = shared_map_diff (before != NULL ? before->peers : diff->nothing, after->peers);
}

bool
tunnel_config_diff_next (TunnelConfigDiff *diff, TunnelPeer **before, TunnelPeer **after)
{
  SharedMapChange change;

  if (!shared_map_diff_next (&diff->at, &change))
    return false;
  *before = change.in_old ? peer_of (change.old_value) : NULL;
  *after = change.in_new ? peer_of (change.new_value) : NULL;
  return true;
}

void
tunnel_config_diff_end (TunnelConfigDiff *diff)
{
  if (diff->nothing != NULL)
    shared_map_unref (diff->nothing);
}
