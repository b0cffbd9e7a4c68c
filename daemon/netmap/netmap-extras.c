#include "netmap/netmap-private.h"

#include "base/bytes.h"
#include "netmap/map-message-record.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BASE_FILTER "base" /* the list that the member PacketFilter means */

static int
compare_filters (const void *a, const void *b)
{
  const NamedFilter *x = a, *y = b;

  return strcmp (x->name, y->name);
}

/* Sets (RULES) or deletes (NULL) the list NAME among *N, which has room for one more. */
static void
set_filter (NamedFilter *list, size_t *n, const char *name, FilterRules *rules)
{
  for (size_t i = 0; i < *n; i++) {
    if (strcmp (list[i].name, name) != 0)
      continue;
    if (rules)
      list[i].rules = rules;
    else
      list[i] = list[--*n];
    return;
  }
  if (rules)
    list[(*n)++] = (NamedFilter){name, rules};
}

static void
apply_filters (NetmapExtras *draft, const MapMessage *m, Arena *arena)
{
  size_t n = draft->n_filters;
  NamedFilter *list = arena_array (arena, NamedFilter, n + m->n_filters + 1);

  if (n > 0)
    memcpy (list, draft->filters, n * sizeof *list);
  if (m->packet_filter)
    set_filter (list, &n, BASE_FILTER, m->packet_filter);
  if (m->clear_filters)
    n = 0;
  for (size_t i = 0; i < m->n_filters; i++)
    set_filter (list, &n, m->filters[i].name, m->filters[i].rules);
  if (n > 1)
    qsort (list, n, sizeof *list, compare_filters);
  draft->filters = list;
  draft->n_filters = n;
}

static int
compare_notices (const void *a, const void *b)
{
  const Notice *x = a, *y = b;

  return strcmp (x->id, y->id);
}

static void
remove_notice (Notice *list, size_t *n, const char *id)
{
  for (size_t i = 0; i < *n; i++)
    if (strcmp (list[i].id, id) == 0)
      list[i--] = list[--*n];
}

static void
apply_notices (NetmapExtras *draft, const MapMessage *m, Arena *arena)
{
  size_t n = m->clear_notices ? 0 : draft->n_notices;
  Notice *list = arena_array (arena, Notice, n + m->n_notices);

  if (n > 0)
    memcpy (list, draft->notices, n * sizeof *list);
  for (size_t i = 0; i < m->n_removed_notices; i++)
    remove_notice (list, &n, m->removed_notices[i]);
  for (size_t i = 0; i < m->n_notices; i++) {
    remove_notice (list, &n, m->notices[i].id);
    list[n++] = m->notices[i];
  }
  if (n > 1)
    qsort (list, n, sizeof *list, compare_notices);
  draft->notices = list;
  draft->n_notices = n;
}

/* Each text of the old form becomes a message of its own, named by its hash. */
static void
apply_health (NetmapExtras *draft, const MapMessage *m, Arena *arena)
{
  static const char prefix[] = "health-";
  Notice *list = arena_array (arena, Notice, m->n_health);

  for (size_t i = 0; i < m->n_health; i++) {
    uint8_t hash[crypto_hash_sha256_BYTES];
    char *id = arena_alloc (arena, sizeof prefix + 2 * sizeof hash);
    const char *text = m->health[i];
    crypto_hash_sha256 (hash, (const uint8_t *)text, strlen (text));
    memcpy (id, prefix, sizeof prefix - 1);
    hex_encode (hash, sizeof hash, id + sizeof prefix - 1);
    list[i] = (Notice){.id = id,
                       .title = "",
                       .text = text,
                       .action_url = "",
                       .action_label = "",
                       .severity = NOTICE_MEDIUM};
  }
  draft->health = list;
  draft->n_health = m->n_health;
}

void
netmap_apply_extras (Netmap *own, const MapMessage *m)
{
  NetmapExtras draft = *own->extras;
  Arena arena = {0};
  bool filters = m->packet_filter || m->clear_filters || m->n_filters > 0;
  bool notices = m->clear_notices || m->n_notices > 0 || m->n_removed_notices > 0;

  if (filters)
    apply_filters (&draft, m, &arena);
  if (notices)
    apply_notices (&draft, m, &arena);
  if (m->has_health)
    apply_health (&draft, m, &arena);
  if (*m->domain)
    draft.domain = m->domain;
  if (m->ssh_policy)
    draft.ssh_policy = m->ssh_policy;
  if (m->lock)
    draft.lock = m->lock;
  if (filters || notices || m->has_health || *m->domain || m->ssh_policy || m->lock) {
    NetmapExtras *packed = netmap_extras_pack (&draft);
    netmap_extras_unref (own->extras);
    own->extras = packed;
  }
  arena_clear (&arena);
}

/* ---- the cache on disk ---- */

void
netmap_encode (const Netmap *map, JsonWriter *w)
{
  MapMessage *m = map_message_new ();
  const NetmapExtras *extras = map->extras;
  size_t n = netmap_n_peers (map), n_users = netmap_n_users (map), i = 0;
  NamedFilterUpdate *filters = arena_array (&m->arena, NamedFilterUpdate, extras->n_filters);
  const char **health = arena_array (&m->arena, const char *, extras->n_health);
  SharedMapEntry entry;

  m->peers = arena_array (&m->arena, Node *, n);
  for (SharedMapIter iter = shared_map_begin (map->peers); shared_map_next (&iter, &entry);)
    m->peers[m->n_peers++] = (Node *)(uintptr_t)entry.value;
  m->users = arena_array (&m->arena, UserProfile *, n_users);
  for (SharedMapIter iter = shared_map_begin (map->users); shared_map_next (&iter, &entry);)
    m->users[m->n_users++] = (UserProfile *)(uintptr_t)entry.value;
  for (i = 0; i < extras->n_filters; i++)
    filters[i] = (NamedFilterUpdate){extras->filters[i].name, extras->filters[i].rules};
  for (i = 0; i < extras->n_health; i++)
    health[i] = extras->health[i].text;
  m->node = map->self;
  m->derp_map = map->derp_map;
  m->dns = map->dns;
  m->domain = extras->domain;
  m->filters = filters;
  m->n_filters = extras->n_filters;
  m->notices = extras->notices;
  m->n_notices = extras->n_notices;
  m->has_health = extras->n_health > 0;
  m->health = health;
  m->n_health = extras->n_health;
  m->ssh_policy = extras->ssh_policy;
  m->lock = extras->lock;
  map_message_encode (m, w);
  /* Everything in it was borrowed. */
  m->node = NULL;
  m->derp_map = NULL;
  m->dns = NULL;
  m->n_peers = m->n_users = m->n_filters = 0;
  map_message_free (m);
}
