/* Makes what workers read: the view of a configuration beside the one before it, and the
 * destination of each peer. */
#include "tunnel/net.h"

#include "base/memory.h"

#include <stdlib.h>

static void
unref_config (void *config)
{
  tunnel_peer_unref (config);
}

static bool
has_attributes (const TunnelPeer *peer)
{
  return peer != NULL
         && (peer->jailed || peer->masquerade4.family != 0 || peer->masquerade6.family != 0);
}

/* ---- the view ---- */

/* Keys of LivePeers are compared, not hashes alone: two keys may share eight bytes. */
static LivePeer *
find_live (const SharedMap *by_key, const NodePublic *key)
{
  const View view = {.by_key = (SharedMap *)(uintptr_t)by_key};

  return view_peer (&view, key);
}

static void
remove_prefixes (PrefixTable *table, const IpPrefix *prefixes, size_t n, const LivePeer *peer)
{
  uint64_t value;

  /* Only what is still this peer's: another may have taken the prefix over. */
  for (size_t i = 0; i < n; i++)
    if (prefix_table_get (table, &prefixes[i], &value) && (LivePeer *)(uintptr_t)value == peer)
      prefix_table_remove (table, &prefixes[i]);
}

static void
add_prefixes (Net *net, PrefixTable *table, const IpPrefix *prefixes, size_t n, LivePeer *peer)
{
  uint64_t value;

  for (size_t i = 0; i < n; i++) {
    net->shared_prefixes
        |= prefix_table_get (table, &prefixes[i], &value) && (LivePeer *)(uintptr_t)value != peer;
    prefix_table_set (table, &prefixes[i], (uint64_t)(uintptr_t)peer);
  }
}

/* What nobody holds any more although this peer claims it, too. */
static void
fill_gaps (PrefixTable *table, const IpPrefix *prefixes, size_t n, LivePeer *peer)
{
  uint64_t value;

  for (size_t i = 0; i < n; i++)
    if (!prefix_table_get (table, &prefixes[i], &value))
      prefix_table_set (table, &prefixes[i], (uint64_t)(uintptr_t)peer);
}

static bool
prefixes_changed (const TunnelPeer *a, const TunnelPeer *b)
{
  if (a == NULL || b == NULL || net_key_changed (a, b) || a->n_routes != b->n_routes
      || a->n_sources != b->n_sources)
    return true;
  for (size_t i = 0; i < a->n_routes; i++)
    if (!ip_prefix_equal (&a->routes[i], &b->routes[i]))
      return true;
  for (size_t i = 0; i < a->n_sources; i++)
    if (!ip_prefix_equal (&a->sources[i], &b->sources[i]))
      return true;
  return false;
}

typedef struct
{
  PrefixTable *routes;
  PrefixTable *sources;
  SharedMap *by_key;
} Tables;

static void
take_out (Net *net, Tables *t, const TunnelPeer *before, const TunnelPeer *after)
{
  LivePeer *peer = find_live (t->by_key, &before->key);

  if (peer == NULL)
    return;
  if (prefixes_changed (before, after)) {
    remove_prefixes (t->routes, before->routes, before->n_routes, peer);
    remove_prefixes (t->sources, before->sources, before->n_sources, peer);
  }
  if (after != NULL && !net_key_changed (before, after))
    return;
  shared_map_remove_entry (t->by_key, view_key_hash (&peer->key), (uint64_t)(uintptr_t)peer);
  peer->next_removed = net->removed;
  net->removed = peer;
}

static void
put_in (Net *net, Tables *t, const TunnelPeer *before, TunnelPeer *after)
{
  LivePeer *peer = find_live (t->by_key, &after->key);

  if (peer == NULL) {
    peer = live_peer_new (&after->key, wg_peer_worker (&after->key, net->shared->n_workers), after);
    shared_map_add (t->by_key, view_key_hash (&after->key), (uint64_t)(uintptr_t)peer);
  } else {
    epoch_retire (net->shared->epochs, atomic_exchange (&peer->config, tunnel_peer_ref (after)),
                  unref_config);
  }
  if (prefixes_changed (before, after)) {
    add_prefixes (net, t->routes, after->routes, after->n_routes, peer);
    add_prefixes (net, t->sources, after->sources, after->n_sources, peer);
  }
}

static bool
need_tables (const NetChanges *changes)
{
  for (size_t i = 0; i < changes->n; i++)
    if (prefixes_changed (changes->list[i].before, changes->list[i].after))
      return true;
  return false;
}

/* Two peers may claim one prefix, and the later one holds it: when that one goes, the other has it.
 * Looks at every peer, so only where prefixes were ever shared. */
static void
fill_all_gaps (Tables *t)
{
  SharedMapIter iter = shared_map_begin (t->by_key);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry)) {
    LivePeer *peer = (LivePeer *)(uintptr_t)entry.value;
    const TunnelPeer *config = atomic_load (&peer->config);

    fill_gaps (t->routes, config->routes, config->n_routes, peer);
    fill_gaps (t->sources, config->sources, config->n_sources, peer);
  }
}

/* Peers that the published view does not have any more: their owners find them nowhere when they
 * take this order. */
static void
forget_removed (Net *net)
{
  while (net->removed != NULL) {
    LivePeer *peer = net->removed;
    Order forget = {.type = ORDER_FORGET, .peer = peer};

    net->removed = peer->next_removed;
    net_order (net, peer->owner, &forget);
  }
}

/* Makes the new view beside the old one. */
void
net_publish (Net *net, const TunnelSettings *settings, const NetChanges *changes, uint64_t number)
{
  View *old = net->view, *view = mem_new (sizeof *view);
  Tables t;

  view->number = number;
  view->settings = *settings;
  if (settings->filter != NULL)
    view->settings.filter = filter_ref (settings->filter);
  if (settings->derp_map != NULL)
    view->settings.derp_map = derp_map_ref (settings->derp_map);
  view->settings.shut
      = settings->shut || key_zero (&net->self) || !key_same (&settings->self_key, &net->self);
  if (need_tables (changes)) {
    t = (Tables){prefix_table_edit (old->routes), prefix_table_edit (old->sources),
                 shared_map_edit (old->by_key)};
  } else {
    t = (Tables){prefix_table_ref (old->routes), prefix_table_ref (old->sources),
                 shared_map_ref (old->by_key)};
  }
  for (size_t i = 0; i < changes->n; i++) {
    net->n_attributes -= has_attributes (changes->list[i].before);
    net->n_attributes += has_attributes (changes->list[i].after);
    if (changes->list[i].before != NULL)
      take_out (net, &t, changes->list[i].before, changes->list[i].after);
  }
  for (size_t i = 0; i < changes->n; i++)
    if (changes->list[i].after != NULL)
      put_in (net, &t, changes->list[i].before, changes->list[i].after);
  if (net->shared_prefixes && need_tables (changes))
    fill_all_gaps (&t);
  view->routes = t.routes;
  view->sources = t.sources;
  view->by_key = t.by_key;
  view->attributes = net->n_attributes > 0;
  net->view = view;
  atomic_store (&net->shared->view, view);
  epoch_retire (net->shared->epochs, old, view_free);
  forget_removed (net);
}

/* ---- destinations ---- */

void
net_publish_destination (Net *net, const NodePublic *key, const PathDestination *to)
{
  LivePeer *peer = view_peer (net->view, key);
  Destination *old, *new = NULL;

  if (peer == NULL)
    return;
  old = atomic_load (&peer->destination);
  if (to->udp.addr.family != 0 || to->region != 0) {
    new = mem_new (sizeof *new);
    new->udp = to->udp;
    new->region = to->region;
    new->trusted = to->trusted;
    if (to->udp.addr.family != 0)
      udp_target_init (&new->target, &to->udp);
    if (to->side != 0)
      new->side = net_side_way (net, to->side, &to->udp);
    if (old != NULL && ip_port_equal (&old->udp, &to->udp))
      atomic_store (&new->target.no_gso_until_us, atomic_load (&old->target.no_gso_until_us));
  }
  atomic_store (&peer->destination, new);
  epoch_retire (net->shared->epochs, old, free);
}
