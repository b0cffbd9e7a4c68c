#include "base/memory.h"
#include "filter/filter.h"
#include "session/plan-private.h"

#include <stdlib.h>
#include <string.h>

/* ---- which prefixes a peer may send from ---- */

static bool
takes_part (const PlanInput *in, const Node *peer)
{
  return peer && !in->closed && node_is_usable (peer)
         && !netmap_peer_is_duplicate (in->netmap, peer);
}

/* Spec C.1: own addresses always, subnets if wanted, default routes of the exit node alone. */
static bool
is_eligible (const PlanInput *in, const Node *peer, const IpPrefix *prefix)
{
  if (!ip_prefix_is_masked (prefix))
    return false;
  if (ip_prefix_is_default (prefix))
    return in->exit_node && in->exit_node->id == peer->id;
  if (ip_prefix_is_single (prefix)
      && (ip_is_tailnet (&prefix->addr) || node_owns_address (peer, &prefix->addr)))
    return true;
  return in->prefs->accept_routes;
}

typedef struct
{
  IpPrefix *list; /* sorted, no doubles */
  size_t n;
} Prefixes;

static int
compare_prefixes (const void *a, const void *b)
{
  return ip_prefix_compare (a, b);
}

static bool
has_prefix (const IpPrefix *list, size_t n, const IpPrefix *prefix)
{
  return n > 0 && bsearch (prefix, list, n, sizeof *prefix, compare_prefixes) != NULL;
}

/* Free LIST. Empty for a peer that does not take part. */
static Prefixes
eligible_prefixes (const PlanInput *in, const Node *peer)
{
  Prefixes p = {0};
  size_t n = 0;

  if (!takes_part (in, peer))
    return p;
  p.list = mem_new (peer->n_allowed_ips * sizeof *p.list);
  for (size_t i = 0; i < peer->n_allowed_ips; i++)
    if (is_eligible (in, peer, &peer->allowed_ips[i]))
      p.list[n++] = peer->allowed_ips[i];
  if (n > 1)
    qsort (p.list, n, sizeof *p.list, compare_prefixes);
  for (size_t i = 0; i < n; i++)
    if (p.n == 0 || !ip_prefix_equal (&p.list[p.n - 1], &p.list[i]))
      p.list[p.n++] = p.list[i];
  return p;
}

/* ---- claims: who may send from a prefix ---- */

static uint64_t
hash_prefix (const IpPrefix *prefix)
{
  const uint8_t *bytes = (const uint8_t *)prefix;
  uint64_t hash = UINT64_C (0xcbf29ce484222325);

  for (size_t i = 0; i < sizeof *prefix; i++)
    hash = (hash ^ bytes[i]) * UINT64_C (0x100000001b3);
  return hash;
}

static bool
claims_prefix (const PlanInput *in, NodeId id, const IpPrefix *prefix)
{
  const Node *peer = netmap_peer (in->netmap, id);

  if (!takes_part (in, peer) || !is_eligible (in, peer, prefix))
    return false;
  for (size_t i = 0; i < peer->n_allowed_ips; i++)
    if (ip_prefix_equal (&peer->allowed_ips[i], prefix))
      return true;
  return false;
}

/* Of several that claim a prefix the lowest id gets its traffic. */
static bool
wins_prefix (const PlanInput *in, const SharedMap *claims, NodeId id, const IpPrefix *prefix)
{
  uint64_t hash = hash_prefix (prefix);
  SharedMapIter iter = shared_map_seek (claims, hash);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry) && entry.key == hash && (NodeId)entry.value < id)
    if (claims_prefix (in, (NodeId)entry.value, prefix))
      return false;
  return true;
}

/* ---- the update ---- */

typedef struct
{
  const PlanInput *in;
  const Plan *previous; /* NULL: from scratch */
  SharedMap *claims;
  bool own_claims;
  NodeId *dirty; /* peers to look at */
  size_t n_dirty, room_dirty;
  TunnelPeer **put;
  size_t n_put, room_put;
  int64_t *removed;
  size_t n_removed, room_removed;
  bool host_matters;
} Update;

static void
mark (Update *u, NodeId id)
{
  if (id == 0)
    return;
  u->dirty = mem_grow (u->dirty, u->n_dirty, &u->room_dirty, sizeof *u->dirty);
  u->dirty[u->n_dirty++] = id;
}

static int
compare_ids (const void *a, const void *b)
{
  NodeId x = *(const NodeId *)a, y = *(const NodeId *)b;

  return (x > y) - (x < y);
}

/* Sorts the marks and drops doubles. */
static void
tidy_marks (Update *u)
{
  size_t n = 0;

  if (u->n_dirty > 1)
    qsort (u->dirty, u->n_dirty, sizeof *u->dirty, compare_ids);
  for (size_t i = 0; i < u->n_dirty; i++)
    if (n == 0 || u->dirty[n - 1] != u->dirty[i])
      u->dirty[n++] = u->dirty[i];
  u->n_dirty = n;
}

/* Everybody who has KEY now: who of them counts may have changed. */
static void
mark_key (Update *u, const NodePublic *key)
{
  const Node *node = NULL;

  while ((node = netmap_next_peer_with_key (u->in->netmap, key, node ? node->id : 0)))
    mark (u, node->id);
}

static void
mark_change (Update *u, const NetmapPeerChange *c)
{
  const uint32_t matters = NODE_CHANGED_KEY | NODE_CHANGED_DISCO_KEY | NODE_CHANGED_ENDPOINTS
                           | NODE_CHANGED_HOME_DERP | NODE_CHANGED_ALLOWED_IPS
                           | NODE_CHANGED_ADDRESSES | NODE_CHANGED_VERSION | NODE_CHANGED_EXPIRY
                           | NODE_CHANGED_JAILED | NODE_CHANGED_MASQUERADE | NODE_CHANGED_KIND
                           | NODE_CHANGED_SIGNATURE;

  if (c->before && c->after && !(c->changed & matters))
    return;
  mark (u, c->id);
  if (c->before && c->after && !(c->changed & NODE_CHANGED_KEY))
    return;
  if (c->before)
    mark_key (u, &c->before->key);
  if (c->after)
    mark_key (u, &c->after->key);
}

static void
mark_everybody (Update *u)
{
  NetmapIter iter = netmap_iter (u->in->netmap);
  const Node *peer;

  while ((peer = netmap_iter_next (&iter)))
    mark (u, peer->id);
  if (!u->previous)
    return;
  TunnelConfigIter old = tunnel_config_iter (u->previous->tunnel);
  const TunnelPeer *gone;
  while ((gone = tunnel_config_iter_next (&old)))
    mark (u, gone->id);
}

static SharedMap *
own_claims (Update *u)
{
  if (!u->own_claims) {
    SharedMap *mine = shared_map_edit (u->claims);
    shared_map_unref (u->claims);
    u->claims = mine;
    u->own_claims = true;
  }
  return u->claims;
}

/* Who else claims PREFIX may have won or lost it. */
static void
mark_rivals (Update *u, const IpPrefix *prefix, NodeId but)
{
  uint64_t hash = hash_prefix (prefix);
  SharedMapIter iter = shared_map_seek (u->claims, hash);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry) && entry.key == hash)
    if ((NodeId)entry.value != but)
      mark (u, (NodeId)entry.value);
}

static const TunnelPeer *
previous_peer (const Update *u, NodeId id)
{
  return u->previous ? tunnel_config_peer (u->previous->tunnel, id) : NULL;
}

/* Brings the claims of peer ID up to date and marks those who compete with it. */
static void
update_claims (Update *u, NodeId id)
{
  const TunnelPeer *old = previous_peer (u, id);
  Prefixes now = eligible_prefixes (u->in, netmap_peer (u->in->netmap, id));

  for (size_t i = 0; old && i < old->n_sources; i++) {
    if (has_prefix (now.list, now.n, &old->sources[i]))
      continue;
    shared_map_remove_entry (own_claims (u), hash_prefix (&old->sources[i]), (uint64_t)id);
    mark_rivals (u, &old->sources[i], id);
  }
  for (size_t i = 0; i < now.n; i++) {
    if (old && has_prefix (old->sources, old->n_sources, &now.list[i]))
      continue;
    shared_map_add (own_claims (u), hash_prefix (&now.list[i]), (uint64_t)id);
    mark_rivals (u, &now.list[i], id);
  }
  free (now.list);
}

static TunnelPeer *
make_peer (const Update *u, const Node *peer)
{
  Prefixes sources = eligible_prefixes (u->in, peer);
  IpPrefix *routes = mem_new (sources.n * sizeof *routes);
  size_t n_routes = 0;

  for (size_t i = 0; i < sources.n; i++)
    if (wins_prefix (u->in, u->claims, peer->id, &sources.list[i]))
      routes[n_routes++] = sources.list[i];
  TunnelPeer fields = {
      .id = peer->id,
      .key = peer->key,
      .disco_key = peer->disco_key,
      .address4 = node_address (peer, 4),
      .address6 = node_address (peer, 6),
      .routes = routes,
      .n_routes = n_routes,
      .sources = sources.list,
      .n_sources = sources.n,
      .endpoints = peer->endpoints,
      .n_endpoints = peer->n_endpoints,
      .home_region = (uint16_t)peer->home_derp,
      .capability_version = peer->cap > 0 ? (uint32_t)peer->cap : 0,
      .masquerade4 = peer->masq_v4,
      .masquerade6 = peer->masq_v6,
      .wireguard_only = peer->wireguard_only,
      .jailed = peer->jailed,
  };
  TunnelPeer *made = tunnel_peer_new (&fields);
  free (sources.list);
  free (routes);
  return made;
}

/* The host has routes for what a peer wins and rules for its IPv4 address. */
static bool
host_sees (const TunnelPeer *before, const TunnelPeer *after)
{
  if (!before || !after)
    return true;
  return !ip_equal (&before->address4, &after->address4) || before->n_routes != after->n_routes
         || (before->n_routes > 0
             && memcmp (before->routes, after->routes, before->n_routes * sizeof *before->routes)
                    != 0);
}

static void
update_peer (Update *u, NodeId id)
{
  const TunnelPeer *old = previous_peer (u, id);
  const Node *peer = netmap_peer (u->in->netmap, id);

  if (takes_part (u->in, peer)) {
    TunnelPeer *made = make_peer (u, peer);
    u->put = mem_grow (u->put, u->n_put, &u->room_put, sizeof (TunnelPeer *));
    u->put[u->n_put++] = made;
    u->host_matters = u->host_matters || host_sees (old, made);
  } else if (old) {
    u->removed = mem_grow (u->removed, u->n_removed, &u->room_removed, sizeof *u->removed);
    u->removed[u->n_removed++] = id;
    u->host_matters = true;
  }
}

/* ---- everything that is not a peer ---- */

static Filter *
make_filter (const PlanInput *in, const Plan *previous, const NetmapChanges *changes)
{
  size_t n_local;
  IpPrefix *local = plan_local_set (in, &n_local);
  FilterConfig config = {
      .klass = in->closed              ? FILTER_NONE
               : in->prefs->shields_up ? FILTER_SHIELDS_UP
                                       : FILTER_NORMAL,
      .local = local,
      .n_local = n_local,
      .netmap = in->netmap,
  };

  config.lists = netmap_filters (in->netmap, &config.n_lists);
  Filter *filter = previous ? filter_update (tunnel_config_settings (previous->tunnel)->filter,
                                             &config, changes)
                            : filter_compile (&config);
  free (local);
  return filter;
}

static TunnelKnobs
make_knobs (const Node *self)
{
  return (TunnelKnobs){.disable_tun_udp_gro = node_has_cap (self, "disable-tun-udp-gro"),
                       .disable_tun_tcp_gro = node_has_cap (self, "disable-tun-tcp-gro"),
                       .disable_udp_gro = node_has_cap (self, "disable-udp-gro"),
                       .disable_udp_gso = node_has_cap (self, "disable-udp-gso"),
                       .never_gso_equal_tail = node_has_cap (self, "never-gso-equal-tail"),
                       .randomize_port = node_has_cap (self, "randomize-client-port"),
                       .only_tcp_443 = node_has_cap (self, "only-tcp-443"),
                       .silent_disco = node_has_cap (self, "silent-disco"),
                       .always_stun = node_has_cap (self, "debug-always-stun")};
}

static TunnelConfig *
make_config (const Update *u, const NetmapChanges *changes)
{
  const PlanInput *in = u->in;
  Filter *filter = make_filter (in, u->previous, changes);
  TunnelSettings settings = {.self_key = in->self->key,
                             .self_id = in->self->id,
                             .address4 = node_address (in->self, 4),
                             .address6 = node_address (in->self, 6),
                             .filter = filter,
                             .derp_map = netmap_derp_map (in->netmap),
                             .knobs = make_knobs (in->self),
                             .mtu = plan_mtu (in),
                             .shut = in->closed};
  TunnelConfig *config = tunnel_config_update (u->previous ? u->previous->tunnel : NULL, &settings,
                                               u->put, u->n_put, u->removed, u->n_removed);

  filter_unref (filter);
  return config;
}

/* What decides about all peers at once is the same as before. */
static bool
is_incremental (const PlanInput *in, const Plan *previous)
{
  return previous && previous->memory->closed == in->closed
         && previous->memory->prefs.accept_routes == in->prefs->accept_routes;
}

PlanPeers
plan_peers (const PlanInput *in, const Plan *previous, const NetmapChanges *changes)
{
  Update u = {.in = in, .previous = previous};

  if (is_incremental (in, previous)) {
    NodeId exit_id = in->exit_node ? in->exit_node->id : 0;
    for (size_t i = 0; i < changes->n_peers; i++)
      mark_change (&u, &changes->peers[i]);
    if (exit_id != previous->memory->exit_id) {
      mark (&u, exit_id);
      mark (&u, previous->memory->exit_id);
    }
  } else {
    mark_everybody (&u);
  }
  u.claims = previous ? shared_map_ref (previous->memory->claims) : shared_map_new (NULL);
  u.own_claims = previous == NULL;
  tidy_marks (&u);
  size_t n = u.n_dirty;
  for (size_t i = 0; i < n; i++)
    update_claims (&u, u.dirty[i]);
  if (u.n_dirty > n)
    tidy_marks (&u);
  for (size_t i = 0; i < u.n_dirty; i++)
    update_peer (&u, u.dirty[i]);
  PlanPeers result = {make_config (&u, changes), u.claims, u.host_matters || previous == NULL};
  for (size_t i = 0; i < u.n_put; i++)
    tunnel_peer_unref (u.put[i]);
  free (u.put);
  free (u.removed);
  free (u.dirty);
  return result;
}
