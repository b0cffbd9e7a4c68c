#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "netmap/netmap-private.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_TOLERANCE_US (60 * USEC_PER_SEC) /* a smaller difference counts as none */
#define CLOCK_JITTER_US    (2 * USEC_PER_SEC)  /* of one measurement */
/* No server's clock is before this second; an earlier one is broken. */
#define CLOCK_SANE_SECONDS INT64_C (1673373066)
#define EXPIRY_MARGIN_US   (10 * USEC_PER_SEC)
#define EXPIRY_RETRY_US    (30 * USEC_PER_SEC)

/* A snapshot being made from another one. */
typedef struct
{
  const Netmap *old;
  Netmap *own;
  WallTime local_now, control_now;
} Edit;

/* ---- peers ---- */

static bool
is_past (WallTime expiry, WallTime now)
{
  return !wall_time_is_unset (expiry) && wall_time_compare (expiry, now) <= 0;
}

static bool
is_indexed_expiry (const Node *node)
{
  return !node->expired && !wall_time_is_unset (node->key_expiry);
}

/* Adds NODE to the indexes, or removes it from them. */
static void
index_peer (Edit *e, const Node *node, bool add)
{
  Netmap *m = e->own;
  uint64_t id = (uint64_t)node->id;
  uint64_t key = netmap_hash (node->key.bytes, sizeof node->key.bytes);
  uint64_t name = netmap_hash (node->stable_id, strlen (node->stable_id));

  netmap_own (&m->by_key, e->old->by_key);
  netmap_own (&m->by_name, e->old->by_name);
  netmap_own (&m->by_addr, e->old->by_addr);
  if (add) {
    shared_map_add (m->by_key, key, id);
    shared_map_add (m->by_name, name, id);
  } else {
    shared_map_remove_entry (m->by_key, key, id);
    shared_map_remove_entry (m->by_name, name, id);
  }
  for (size_t i = 0; i < node->n_addresses; i++) {
    uint64_t hash = netmap_hash_addr (&node->addresses[i].addr);
    if (add)
      shared_map_add (m->by_addr, hash, id);
    else
      shared_map_remove_entry (m->by_addr, hash, id);
  }
}

static void
index_expiry (Edit *e, const Node *node, bool add)
{
  if (!node || !is_indexed_expiry (node))
    return;
  netmap_own (&e->own->expiries, e->old->expiries);
  if (add)
    shared_map_add (e->own->expiries, netmap_expiry_key (node->key_expiry), (uint64_t)node->id);
  else
    shared_map_remove_entry (e->own->expiries, netmap_expiry_key (node->key_expiry),
                             (uint64_t)node->id);
}

/* Puts NODE, whose reference is taken over, in place of what has its id. */
static void
put_peer (Edit *e, Node *node)
{
  const uint32_t identity = NODE_CHANGED_KEY | NODE_CHANGED_ADDRESSES | NODE_CHANGED_OTHER;
  const Node *found = netmap_peer (e->own, node->id);
  uint32_t changed = found ? node_diff (found, node) : UINT32_MAX;

  if (changed == 0) {
    node_unref (node);
    return;
  }
  /* The record may go when it is replaced; the indexes need it until then. */
  Node *before = node_ref (found);
  if (changed & identity) {
    if (before)
      index_peer (e, before, false);
    index_peer (e, node, true);
  }
  index_expiry (e, before, false);
  index_expiry (e, node, true);
  e->own->n_unsigned += node->unsigned_peer_api_only;
  e->own->n_unsigned -= before && before->unsigned_peer_api_only;
  netmap_own (&e->own->peers, e->old->peers);
  shared_map_set (e->own->peers, (uint64_t)node->id, (uint64_t)(uintptr_t)node);
  node_unref (node);
  node_unref (before);
}

static void
remove_peer (Edit *e, NodeId id)
{
  Node *node = node_ref (netmap_peer (e->own, id));

  if (!node)
    return;
  index_peer (e, node, false);
  index_expiry (e, node, false);
  e->own->n_unsigned -= node->unsigned_peer_api_only;
  netmap_own (&e->own->peers, e->old->peers);
  shared_map_remove (e->own->peers, (uint64_t)id);
  node_unref (node);
}

/* What the server says about a moment before the peer spoke for itself does not change its disco
 * key (A.5). */
static bool
is_stale_disco (const Node *stored, const Node *update)
{
  return memcmp (&stored->disco_key, &update->disco_key, sizeof stored->disco_key) != 0
         && !key_zero (&stored->disco_key) && update->online == TRI_FALSE
         && !wall_time_is_unset (update->last_seen) && !wall_time_is_unset (stored->last_seen)
         && wall_time_compare (update->last_seen, stored->last_seen) <= 0;
}

/* A peer as a message has it; in a full LIST it may be older than what is known. */
static void
receive_peer (Edit *e, const Node *node, bool list)
{
  const Node *stored = netmap_peer (e->own, node->id);
  bool expired = node->expired || is_past (node->key_expiry, e->control_now);
  bool stale = list && stored && is_stale_disco (stored, node);

  if (node->id <= 0 || key_zero (&node->key)) {
    log_warning ("netmap", "ignoring a node without id or key");
    return;
  }
  if (expired == node->expired && !stale) {
    put_peer (e, node_ref (node));
    return;
  }
  Node draft = *node;
  draft.expired = expired;
  if (stale)
    draft.disco_key = stored->disco_key;
  put_peer (e, node_pack (&draft));
}

static int
compare_ids (const void *a, const void *b)
{
  NodeId x = *(const NodeId *)a, y = *(const NodeId *)b;

  return (x > y) - (x < y);
}

/* The complete list of peers. */
static void
replace_peers (Edit *e, const MapMessage *m)
{
  NodeId *ids = mem_new (m->n_peers * sizeof *ids);
  NodeId *gone = NULL;
  size_t n_gone = 0, room = 0;
  SharedMapEntry entry;

  for (size_t i = 0; i < m->n_peers; i++)
    ids[i] = m->peers[i]->id;
  qsort (ids, m->n_peers, sizeof *ids, compare_ids);
  for (SharedMapIter iter = shared_map_begin (e->own->peers); shared_map_next (&iter, &entry);) {
    NodeId id = (NodeId)entry.key;
    if (bsearch (&id, ids, m->n_peers, sizeof id, compare_ids))
      continue;
    gone = mem_grow (gone, n_gone, &room, sizeof *gone);
    gone[n_gone++] = id;
  }
  for (size_t i = 0; i < n_gone; i++)
    remove_peer (e, gone[i]);
  for (size_t i = 0; i < m->n_peers; i++)
    receive_peer (e, m->peers[i], true);
  free (ids);
  free (gone);
}

/* Fields of a patch that need no rule of their own. */
static void
patch_plain (Node *draft, const NodePatch *p)
{
  if (p->home_derp > 0 && p->home_derp <= DERP_REGION_MAX)
    draft->home_derp = p->home_derp;
  if (p->cap != 0)
    draft->cap = p->cap;
  if (p->has_caps) {
    draft->caps = p->caps;
    draft->n_caps = (uint16_t)p->n_caps;
  }
  if (p->has_endpoints) {
    draft->endpoints = p->endpoints;
    draft->n_endpoints = (uint16_t)p->n_endpoints;
  }
  if (p->has_key_signature) {
    draft->key_signature = p->key_signature;
    draft->key_signature_size = (uint16_t)p->key_signature_size;
  }
  if (p->online != TRI_UNKNOWN)
    draft->online = p->online;
  if (p->has_last_seen)
    draft->last_seen = p->last_seen;
}

static void
patch_peer (Edit *e, const NodePatch *p)
{
  const Node *stored = netmap_peer (e->own, p->id);
  bool renewed = false;

  if (!stored)
    return;
  Node draft = *stored;
  patch_plain (&draft, p);
  if (p->has_key && !key_zero (&p->key)) {
    renewed = !key_same (&p->key, &stored->key);
    draft.key = p->key;
  }
  if (p->has_key_expiry) {
    renewed = renewed || wall_time_is_unset (p->key_expiry)
              || wall_time_compare (p->key_expiry, stored->key_expiry) > 0;
    draft.key_expiry = p->key_expiry;
  }
  if (p->has_disco_key) {
    draft.disco_key = p->disco_key;
    /* Only a patch that says when it was true can be older than what is known. */
    if (p->has_last_seen && p->online == TRI_FALSE && is_stale_disco (stored, &draft))
      draft.disco_key = stored->disco_key;
  }
  if (renewed)
    draft.expired_by_server = draft.expired = false;
  draft.expired
      = draft.expired || draft.expired_by_server || is_past (draft.key_expiry, e->control_now);
  put_peer (e, node_pack (&draft));
}

static void
set_last_seen (Edit *e, const NodeFlag *flag)
{
  const Node *stored = netmap_peer (e->own, flag->id);

  if (!stored)
    return;
  Node draft = *stored;
  draft.last_seen = flag->value ? e->control_now : wall_time_unset ();
  put_peer (e, node_pack (&draft));
}

static void
set_online (Edit *e, const NodeFlag *flag)
{
  const Node *stored = netmap_peer (e->own, flag->id);
  Tri online = flag->value ? TRI_TRUE : TRI_FALSE;

  if (!stored || stored->online == online)
    return;
  Node draft = *stored;
  draft.online = online;
  put_peer (e, node_pack (&draft));
}

/* The order of A.4. */
static void
apply_peers (Edit *e, const MapMessage *m)
{
  if (m->n_peers > 0) {
    replace_peers (e, m);
    return;
  }
  for (size_t i = 0; i < m->n_peers_removed; i++)
    remove_peer (e, m->peers_removed[i]);
  for (size_t i = 0; i < m->n_peers_changed; i++)
    receive_peer (e, m->peers_changed[i], false);
  for (size_t i = 0; i < m->n_peer_seen; i++)
    set_last_seen (e, &m->peer_seen[i]);
  for (size_t i = 0; i < m->n_online; i++)
    set_online (e, &m->online[i]);
  for (size_t i = 0; i < m->n_patches; i++)
    patch_peer (e, &m->patches[i]);
}

/* ---- self, clock, relays, users ---- */

static void
set_self (Edit *e, const Node *node)
{
  Node draft = *node;

  draft.expired = node->expired || is_past (node->key_expiry, e->control_now);
  if (e->own->self && node_diff (e->own->self, &draft) == 0)
    return;
  node_unref (e->own->self);
  e->own->self = draft.expired == node->expired ? node_ref (node) : node_pack (&draft);
  netmap_derive_suffix (e->own);
}

static void
apply_control_time (Edit *e, WallTime control)
{
  Netmap *m = e->own;

  if (wall_time_is_unset (control) || control.seconds <= CLOCK_SANE_SECONDS
      || control.seconds > CLOCK_SANE_SECONDS * 100)
    return;
  int64_t delta = (control.seconds - e->local_now.seconds) * USEC_PER_SEC
                  + (control.nanos - e->local_now.nanos) / 1000;
  if (delta <= CLOCK_TOLERANCE_US && delta >= -CLOCK_TOLERANCE_US)
    delta = 0;
  int64_t moved = delta - m->control_delta_us;
  /* Two messages never measure quite the same. */
  if (delta == 0 || moved > CLOCK_JITTER_US || moved < -CLOCK_JITTER_US)
    m->control_delta_us = delta;
  e->control_now = netmap_control_time (m, e->local_now);
}

static void
apply_relays_and_dns (Edit *e, const MapMessage *message)
{
  Netmap *m = e->own;

  if (message->derp_map) {
    DerpMap *merged = derp_map_merge (m->derp_map, message->derp_map);
    if (derp_map_equal (merged, m->derp_map)) {
      derp_map_unref (merged);
    } else {
      derp_map_unref (m->derp_map);
      m->derp_map = merged;
    }
  }
  if (message->dns && !netmap_dns_equal (message->dns, m->dns)) {
    netmap_dns_unref (m->dns);
    m->dns = netmap_dns_ref (message->dns);
  }
}

static void
apply_users (Edit *e, const MapMessage *m)
{
  for (size_t i = 0; i < m->n_users; i++) {
    netmap_own (&e->own->users, e->old->users);
    shared_map_set (e->own->users, (uint64_t)m->users[i]->id, (uint64_t)(uintptr_t)m->users[i]);
  }
}

Netmap *
netmap_apply (const Netmap *old, const MapMessage *message, WallTime local_now,
              NetmapChanges *changes)
{
  Netmap *start = old ? netmap_ref (old) : netmap_new (NULL);
  Edit e = {.old = start, .own = netmap_edit (start), .local_now = local_now};
  NetmapChanges own_changes, *c = changes ? changes : &own_changes;

  e.control_now = netmap_control_time (start, local_now);
  apply_control_time (&e, message->control_time);
  if (!message->keep_alive) {
    if (message->node)
      set_self (&e, message->node);
    apply_peers (&e, message);
    apply_users (&e, message);
    apply_relays_and_dns (&e, message);
    netmap_apply_extras (e.own, message);
  }
  netmap_changes_init (c);
  netmap_diff (old, e.own, c);
  if (old && c->flags == 0) {
    netmap_unref (e.own);
    e.own = netmap_ref (old);
  }
  if (!changes)
    netmap_changes_clear (c);
  netmap_unref (start);
  return e.own;
}

/* ---- what happens without a message ---- */

/* The result of an edit: the old map itself when nothing was put into the new one. */
static Netmap *
finish_edit (Edit *e, NetmapChanges *changes)
{
  if (e->own->peers == e->old->peers && e->own->self == e->old->self) {
    netmap_unref (e->own);
    e->own = netmap_ref (e->old);
  }
  if (changes) {
    netmap_changes_init (changes);
    netmap_diff (e->old, e->own, changes);
  }
  return e->own;
}

static void
expire_peer (Edit *e, const Node *node)
{
  Node draft = *node;

  draft.expired = true;
  put_peer (e, node_pack (&draft));
}

Netmap *
netmap_expire (const Netmap *map, WallTime control_now, NetmapChanges *changes)
{
  Edit e = {.old = map, .own = netmap_edit (map), .control_now = control_now};
  SharedMapIter iter = shared_map_begin (map->expiries);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry) && entry.key <= netmap_expiry_key (control_now)) {
    const Node *node = netmap_peer (map, (NodeId)entry.value);
    if (is_past (node->key_expiry, control_now))
      expire_peer (&e, node);
  }
  if (map->self && !map->self->expired && is_past (map->self->key_expiry, control_now)) {
    Node draft = *map->self;
    draft.expired = true;
    node_unref (e.own->self);
    e.own->self = node_pack (&draft);
  }
  return finish_edit (&e, changes);
}

Netmap *
netmap_learn_disco_key (const Netmap *map, NodeId id, const DiscoPublic *key, WallTime local_now,
                        NetmapChanges *changes)
{
  Edit e = {.old = map, .own = netmap_edit (map), .local_now = local_now};
  const Node *node = netmap_peer (map, id);

  if (node && !key_zero (key) && !key_same (&node->disco_key, key)) {
    Node draft = *node;
    draft.disco_key = *key;
    draft.last_seen = netmap_control_time (map, local_now);
    put_peer (&e, node_pack (&draft));
  }
  return finish_edit (&e, changes);
}

WallTime
netmap_next_expiry (const Netmap *map, WallTime local_now)
{
  SharedMapIter iter = shared_map_begin (map->expiries);
  SharedMapEntry entry;
  WallTime first = wall_time_unset ();

  if (map->self && !map->self->expired)
    first = map->self->key_expiry;
  if (shared_map_next (&iter, &entry)) {
    WallTime peer = netmap_peer (map, (NodeId)entry.value)->key_expiry;
    if (wall_time_is_unset (first) || wall_time_compare (peer, first) < 0)
      first = peer;
  }
  if (wall_time_is_unset (first))
    return first;
  first = wall_time_add_us (first, EXPIRY_MARGIN_US - map->control_delta_us);
  if (wall_time_compare (first, local_now) < 0)
    first = wall_time_add_us (local_now, EXPIRY_RETRY_US);
  return first;
}
