#include "base/memory.h"
#include "netmap/map-message-record.h"
#include "netmap/netmap-private.h"

#include <stdlib.h>

void
netmap_changes_init (NetmapChanges *changes)
{
  *changes = (NetmapChanges){0};
}

void
netmap_changes_clear (NetmapChanges *changes)
{
  for (size_t i = 0; i < changes->n_peers; i++) {
    node_unref (changes->peers[i].before);
    node_unref (changes->peers[i].after);
  }
  free (changes->peers);
  *changes = (NetmapChanges){0};
}

static void
add_peer (NetmapChanges *changes, NodeId id, const Node *before, const Node *after)
{
  uint32_t bits = before && after ? node_diff (before, after) : 0;

  /* Equal records at different addresses are no change. */
  if (before && after && bits == 0)
    return;
  changes->peers
      = mem_grow (changes->peers, changes->n_peers, &changes->room, sizeof *changes->peers);
  changes->peers[changes->n_peers++]
      = (NetmapPeerChange){id, bits, node_ref (before), node_ref (after)};
  changes->flags |= NETMAP_CHANGED_PEERS;
}

static void
diff_peers (const SharedMap *old, const SharedMap *new_map, NetmapChanges *changes)
{
  SharedMapDiff diff = shared_map_diff (old, new_map);
  SharedMapChange c;

  while (shared_map_diff_next (&diff, &c))
    add_peer (changes, (NodeId)c.key, c.in_old ? (const Node *)(uintptr_t)c.old_value : NULL,
              c.in_new ? (const Node *)(uintptr_t)c.new_value : NULL);
}

static bool
users_differ (const SharedMap *old, const SharedMap *new_map)
{
  SharedMapDiff diff = shared_map_diff (old, new_map);
  SharedMapChange c;

  while (shared_map_diff_next (&diff, &c))
    if (!c.in_old || !c.in_new
        || record_diff (&user_profile_type, (const void *)(uintptr_t)c.old_value,
                        (const void *)(uintptr_t)c.new_value)
               != 0)
      return true;
  return false;
}

static uint32_t
diff_extras (const NetmapExtras *a, const NetmapExtras *b)
{
  if (a == b)
    return 0;
  uint32_t flags = record_diff (&extras_record_type, a, b);
  if (a->n_filters == b->n_filters)
    for (size_t i = 0; i < a->n_filters; i++)
      if (!filter_rules_equal (a->filters[i].rules, b->filters[i].rules))
        flags |= NETMAP_CHANGED_FILTER;
  return flags;
}

void
netmap_diff (const Netmap *old, const Netmap *new_map, NetmapChanges *changes)
{
  Netmap *nothing = old ? NULL : netmap_new (NULL);
  const Netmap *a = old ? old : nothing, *b = new_map;

  if (a == b)
    return;
  if (a->self && b->self)
    changes->self_changed = node_diff (a->self, b->self);
  else if (a->self || b->self)
    changes->self_changed = UINT32_MAX;
  if (changes->self_changed)
    changes->flags |= NETMAP_CHANGED_SELF;
  if (!derp_map_equal (a->derp_map, b->derp_map))
    changes->flags |= NETMAP_CHANGED_DERP_MAP;
  if (!netmap_dns_equal (a->dns, b->dns))
    changes->flags |= NETMAP_CHANGED_DNS;
  if (users_differ (a->users, b->users))
    changes->flags |= NETMAP_CHANGED_USERS;
  if (a->control_delta_us != b->control_delta_us)
    changes->flags |= NETMAP_CHANGED_CLOCK;
  changes->flags |= diff_extras (a->extras, b->extras);
  diff_peers (a->peers, b->peers, changes);
  netmap_unref (nothing);
}
