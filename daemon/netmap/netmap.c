#include "netmap/netmap.h"

#include "base/memory.h"
#include "netmap/map-message-record.h"
#include "netmap/netmap-private.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void
ref_node (uint64_t value)
{
  node_ref ((const Node *)(uintptr_t)value);
}

static void
unref_node (uint64_t value)
{
  node_unref ((const Node *)(uintptr_t)value);
}

static void
ref_user (uint64_t value)
{
  user_profile_ref ((const UserProfile *)(uintptr_t)value);
}

static void
unref_user (uint64_t value)
{
  user_profile_unref ((const UserProfile *)(uintptr_t)value);
}

static const SharedMapType node_values = {ref_node, unref_node};
static const SharedMapType user_values = {ref_user, unref_user};

/* ---- extras ---- */

static const RecordField notice_fields[] = {
    RECORD (Notice, RECORD_TEXT, id, NULL),
    RECORD (Notice, RECORD_TEXT, title, NULL),
    RECORD (Notice, RECORD_TEXT, text, NULL),
    RECORD (Notice, RECORD_TEXT, action_url, NULL),
    RECORD (Notice, RECORD_TEXT, action_label, NULL),
    RECORD (Notice, RECORD_I32, severity, NULL),
    RECORD (Notice, RECORD_BOOL, impacts_connectivity, NULL),
};
const RecordType notice_record_type = RECORD_TYPE (Notice, notice_fields);

static const RecordField filter_fields[] = {
    RECORD (NamedFilter, RECORD_TEXT, name, NULL),
};
static const RecordType filter_type = RECORD_TYPE (NamedFilter, filter_fields);

/* The change bits are NetmapChange's; the filters' rules are compared by hand. */
static const RecordField extras_fields[] = {
    RECORD (NetmapExtras, RECORD_TEXT, domain, NULL, .change = NETMAP_CHANGED_DOMAIN),
    RECORD (NetmapExtras, RECORD_TEXT_OR_NULL, ssh_policy, NULL,
            .change = NETMAP_CHANGED_SSH_POLICY),
    RECORD_N (NetmapExtras, RECORD_STRUCTS, notices, n_notices, NULL,
              .change = NETMAP_CHANGED_NOTICES, .sub = &notice_record_type),
    RECORD_N (NetmapExtras, RECORD_STRUCTS, health, n_health, NULL,
              .change = NETMAP_CHANGED_NOTICES, .sub = &notice_record_type),
    RECORD (NetmapExtras, RECORD_STRUCT, lock, NULL, .change = NETMAP_CHANGED_LOCK,
            .sub = &lock_info_type),
    RECORD_N (NetmapExtras, RECORD_STRUCTS, filters, n_filters, NULL,
              .change = NETMAP_CHANGED_FILTER, .sub = &filter_type),
};
const RecordType extras_record_type = RECORD_TYPE (NetmapExtras, extras_fields);

NetmapExtras *
netmap_extras_pack (const NetmapExtras *draft)
{
  NetmapExtras *extras = record_pack (&extras_record_type, draft, NULL);

  atomic_init (&extras->references, 1);
  for (size_t i = 0; i < extras->n_filters; i++)
    filter_rules_ref (extras->filters[i].rules);
  return extras;
}

static NetmapExtras *
extras_ref (NetmapExtras *extras)
{
  atomic_fetch_add_explicit (&extras->references, 1, memory_order_relaxed);
  return extras;
}

void
netmap_extras_unref (NetmapExtras *extras)
{
  if (atomic_fetch_sub_explicit (&extras->references, 1, memory_order_acq_rel) > 1)
    return;
  for (size_t i = 0; i < extras->n_filters; i++)
    filter_rules_unref (extras->filters[i].rules);
  free (extras);
}

/* ---- life ---- */

Netmap *
netmap_new (const Netmap *last)
{
  Netmap *map = mem_new (sizeof *map);
  NetmapExtras nothing = {.domain = ""};

  map->references = 1;
  map->peers = shared_map_new (&node_values);
  map->by_key = shared_map_new (NULL);
  map->by_name = shared_map_new (NULL);
  map->by_addr = shared_map_new (NULL);
  map->expiries = shared_map_new (NULL);
  map->users = shared_map_new (&user_values);
  map->extras = netmap_extras_pack (&nothing);
  if (last) {
    map->derp_map = derp_map_ref (last->derp_map);
    map->control_delta_us = last->control_delta_us;
  }
  return map;
}

Netmap *
netmap_edit (const Netmap *map)
{
  Netmap *own = mem_dup (map, sizeof *map);

  atomic_init (&own->references, 1);
  node_ref (own->self);
  shared_map_ref (own->peers);
  shared_map_ref (own->by_key);
  shared_map_ref (own->by_name);
  shared_map_ref (own->by_addr);
  shared_map_ref (own->expiries);
  shared_map_ref (own->users);
  derp_map_ref (own->derp_map);
  netmap_dns_ref (own->dns);
  extras_ref (own->extras);
  return own;
}

void
netmap_own (SharedMap **map, const SharedMap *old)
{
  if (*map != old)
    return;
  *map = shared_map_edit (old);
  shared_map_unref (old);
}

Netmap *
netmap_ref (const Netmap *map)
{
  Netmap *m = (Netmap *)map;

  if (m)
    atomic_fetch_add_explicit (&m->references, 1, memory_order_relaxed);
  return m;
}

void
netmap_unref (const Netmap *map)
{
  Netmap *m = (Netmap *)map;

  if (!m || atomic_fetch_sub_explicit (&m->references, 1, memory_order_acq_rel) > 1)
    return;
  node_unref (m->self);
  shared_map_unref (m->peers);
  shared_map_unref (m->by_key);
  shared_map_unref (m->by_name);
  shared_map_unref (m->by_addr);
  shared_map_unref (m->expiries);
  shared_map_unref (m->users);
  derp_map_unref (m->derp_map);
  netmap_dns_unref (m->dns);
  netmap_extras_unref (m->extras);
  free (m);
}

/* ---- keys of the indexes ---- */

/* FNV-1a. Collisions cost a comparison, nothing else. */
uint64_t
netmap_hash (const void *data, size_t size)
{
  const uint8_t *p = data;
  uint64_t hash = UINT64_C (0xcbf29ce484222325);

  for (size_t i = 0; i < size; i++)
    hash = (hash ^ p[i]) * UINT64_C (0x100000001b3);
  return hash;
}

uint64_t
netmap_hash_addr (const IpAddr *addr)
{
  return netmap_hash (addr, sizeof *addr);
}

uint64_t
netmap_expiry_key (WallTime expiry)
{
  return (uint64_t)expiry.seconds - (uint64_t)WALL_TIME_UNSET;
}

/* ---- questions ---- */

const Node *
netmap_self (const Netmap *map)
{
  return map->self;
}

size_t
netmap_n_peers (const Netmap *map)
{
  return shared_map_size (map->peers);
}

size_t
netmap_n_unsigned_peers (const Netmap *map)
{
  return map->n_unsigned;
}

NetmapIter
netmap_iter (const Netmap *map)
{
  return (NetmapIter){.map = map};
}

const Node *
netmap_iter_next (NetmapIter *iter)
{
  SharedMapIter at = {iter->map->peers, iter->leaf, iter->index};
  SharedMapEntry entry;

  if (!shared_map_next (&at, &entry))
    return NULL;
  iter->leaf = at.leaf;
  iter->index = at.index;
  return (const Node *)(uintptr_t)entry.value;
}

const Node *
netmap_peer (const Netmap *map, NodeId id)
{
  uint64_t value;

  return shared_map_get (map->peers, (uint64_t)id, &value) ? (const Node *)(uintptr_t)value : NULL;
}

const Node *
netmap_next_peer_with_key (const Netmap *map, const NodePublic *key, NodeId after)
{
  uint64_t hash = netmap_hash (key->bytes, sizeof key->bytes);
  SharedMapIter iter = shared_map_seek (map->by_key, hash);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry) && entry.key == hash) {
    const Node *node = netmap_peer (map, (NodeId)entry.value);
    if (node && node->id > after && memcmp (&node->key, key, sizeof *key) == 0)
      return node;
  }
  return NULL;
}

const Node *
netmap_peer_by_key (const Netmap *map, const NodePublic *key)
{
  return netmap_next_peer_with_key (map, key, 0);
}

const Node *
netmap_peer_by_stable_id (const Netmap *map, const char *stable_id)
{
  uint64_t hash = netmap_hash (stable_id, strlen (stable_id));
  SharedMapIter iter = shared_map_seek (map->by_name, hash);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry) && entry.key == hash) {
    const Node *node = netmap_peer (map, (NodeId)entry.value);
    if (node && strcmp (node->stable_id, stable_id) == 0)
      return node;
  }
  return NULL;
}

const Node *
netmap_node_by_address (const Netmap *map, const IpAddr *addr)
{
  uint64_t hash = netmap_hash_addr (addr);
  SharedMapIter iter = shared_map_seek (map->by_addr, hash);
  SharedMapEntry entry;

  if (map->self && node_owns_address (map->self, addr))
    return map->self;
  while (shared_map_next (&iter, &entry) && entry.key == hash) {
    const Node *node = netmap_peer (map, (NodeId)entry.value);
    if (node && node_owns_address (node, addr))
      return node;
  }
  return NULL;
}

bool
netmap_peer_is_duplicate (const Netmap *map, const Node *peer)
{
  const Node *first = netmap_peer_by_key (map, &peer->key);

  return first && first->id != peer->id;
}

const UserProfile *
netmap_user (const Netmap *map, UserId id)
{
  uint64_t value;

  return shared_map_get (map->users, (uint64_t)id, &value) ? (const UserProfile *)(uintptr_t)value
                                                           : NULL;
}

size_t
netmap_n_users (const Netmap *map)
{
  return shared_map_size (map->users);
}

DerpMap *
netmap_derp_map (const Netmap *map)
{
  return map->derp_map;
}

NetmapDns *
netmap_dns (const Netmap *map)
{
  return map->dns;
}

const char *
netmap_domain (const Netmap *map)
{
  return map->extras->domain;
}

const NamedFilter *
netmap_filters (const Netmap *map, size_t *count)
{
  *count = map->extras->n_filters;
  return map->extras->filters;
}

const char *
netmap_ssh_policy (const Netmap *map)
{
  return map->extras->ssh_policy;
}

const Notice *
netmap_notices (const Netmap *map, size_t *count)
{
  const NetmapExtras *e = map->extras;

  *count = e->n_notices ? e->n_notices : e->n_health;
  return e->n_notices ? e->notices : e->health;
}

const LockInfo *
netmap_lock (const Netmap *map)
{
  return map->extras->lock;
}

int64_t
netmap_control_delta_us (const Netmap *map)
{
  return map->control_delta_us;
}

WallTime
netmap_control_time (const Netmap *map, WallTime local)
{
  return wall_time_add_us (local, map->control_delta_us);
}

/* ---- names ---- */

const char *
netmap_magic_dns_suffix (const Netmap *map)
{
  return map->suffix;
}

void
netmap_derive_suffix (Netmap *own)
{
  const char *dot = own->self ? strchr (own->self->name, '.') : NULL;
  size_t n = dot ? strlen (dot + 1) : 0;

  if (n > 0 && dot[n] == '.')
    n--;
  if (n >= sizeof own->suffix)
    n = 0;
  memset (own->suffix, 0, sizeof own->suffix);
  if (n > 0)
    memcpy (own->suffix, dot + 1, n);
}

/* TEXT as one DNS label: without the endings that home routers add, letters, digits and inner
 * hyphens only. */
static void
sanitize_host (const char *text, char *out, size_t size)
{
  static const char *const endings[] = {".localdomain", ".local", ".lan"};
  size_t length = strlen (text), n = 0;

  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t e = strlen (endings[i]);
    if (length > e && strcasecmp (text + length - e, endings[i]) == 0) {
      length -= e;
      break;
    }
  }
  for (size_t i = 0; i < length && n + 1 < size && n < 63; i++) {
    char c = text[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter)
      out[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    else if (n > 0 && out[n - 1] != '-' && (c == '-' || c == '_' || c == ' ' || c == '.'))
      out[n++] = '-';
  }
  while (n > 0 && out[n - 1] == '-')
    n--;
  out[n] = '\0';
}

void
netmap_display_name (const Netmap *map, const Node *node, char *out, size_t size)
{
  size_t length = strlen (node->name), suffix = strlen (map->suffix);

  if (length > 0 && node->name[length - 1] == '.')
    length--;
  if (suffix > 0 && length > suffix + 1 && node->name[length - suffix - 1] == '.'
      && strncasecmp (node->name + length - suffix, map->suffix, suffix) == 0)
    length -= suffix + 1;
  if (length > 0) {
    snprintf (out, size, "%.*s", (int)length, node->name);
    return;
  }
  out[0] = '\0';
  if (node->hostinfo)
    sanitize_host (node->hostinfo->hostname, out, size);
  if (out[0] == '\0') {
    char key[KEY_SHORT_MAX];
    key_short (KEY_NODE_PUBLIC, &node->key, key);
    snprintf (out, size, "%s", key);
  }
}
