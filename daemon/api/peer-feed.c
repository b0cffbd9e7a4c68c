#include "api/peer-feed.h"

#include "api/peer-info.h"

#include <string.h>

#define SUBSCRIBERS_MAX  64
#define ROWS_PER_SIGNAL  500
#define SIGNAL_PERIOD_MS 250
#define ACTIVE_PERIOD_S  5    /* how often devices that were active are looked at again */
#define REMOVED_MAX      4096 /* departures that are remembered */

typedef struct
{
  NodeId id; /* key */
  char *stable_id;
  uint64_t hash; /* of the row as it was sent last */
  uint64_t revision;
  bool active;
} FeedEntry;

typedef struct
{
  char *stable_id;
  uint64_t revision;
} FeedRemoval;

struct PeerFeed
{
  Engine *engine;
  Session *session;
  GDBusConnection *bus;
  char *path;
  uint64_t revision;
  uint64_t oldest;         /* deltas can be given from this revision on */
  GHashTable *subscribers; /* unique name -> watch id */
  GHashTable *entries;     /* NodeId -> FeedEntry; empty while there are no subscribers */
  GHashTable *dirty;       /* set of NodeId */
  bool all_dirty;
  GQueue removals; /* FeedRemoval, oldest first */
  guint timer;     /* runs while a signal was sent lately or more is to be sent */
  guint active_timer;
};

static void
entry_free (void *data)
{
  FeedEntry *entry = data;
  g_free (entry->stable_id);
  g_free (entry);
}

static void
removal_free (void *data)
{
  FeedRemoval *removal = data;
  g_free (removal->stable_id);
  g_free (removal);
}

PeerFeed *
peer_feed_new (Engine *engine, Session *session, GDBusConnection *bus, const char *path)
{
  PeerFeed *feed = g_new0 (PeerFeed, 1);
  feed->engine = engine;
  feed->session = session;
  feed->bus = bus;
  feed->path = g_strdup (path);
  feed->revision = (uint64_t)random_u32 (random_system ()) << 32 | 1;
  feed->oldest = feed->revision;
  feed->subscribers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  feed->entries = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, entry_free);
  feed->dirty = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  return feed;
}

/* Nobody listens any more: what is remembered only costs memory. */
static void
cool_down (PeerFeed *feed)
{
  g_clear_handle_id (&feed->timer, g_source_remove);
  g_clear_handle_id (&feed->active_timer, g_source_remove);
  g_hash_table_remove_all (feed->entries);
  g_hash_table_remove_all (feed->dirty);
  g_queue_clear_full (&feed->removals, removal_free);
  feed->all_dirty = false;
  feed->oldest = ++feed->revision;
}

void
peer_feed_free (PeerFeed *feed)
{
  GHashTableIter iter;
  void *watch;
  g_hash_table_iter_init (&iter, feed->subscribers);
  while (g_hash_table_iter_next (&iter, NULL, &watch))
    g_bus_unwatch_name (GPOINTER_TO_UINT (watch));
  cool_down (feed);
  g_hash_table_unref (feed->subscribers);
  g_hash_table_unref (feed->entries);
  g_hash_table_unref (feed->dirty);
  g_free (feed->path);
  g_free (feed);
}

static uint64_t
hash_row (GVariant *row)
{
  const uint8_t *bytes = g_variant_get_data (row);
  size_t size = g_variant_get_size (row);
  uint64_t hash = UINT64_C (0xcbf29ce484222325);
  for (size_t i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * UINT64_C (0x100000001b3);
  return hash;
}

static bool
row_is_active (GVariant *row)
{
  uint32_t flags = 0;
  g_variant_get_child (row, 7, "u", &flags);
  return flags & PEER_ACTIVE;
}

static void
mark (PeerFeed *feed, NodeId id)
{
  g_hash_table_add (feed->dirty, g_memdup2 (&id, sizeof id));
}

/* Takes NODE's row over. NULL when it looks as it did. */
static GVariant *
refresh (PeerFeed *feed, const Node *node, uint64_t revision)
{
  g_autoptr (GVariant) row = g_variant_ref_sink (peer_row (feed->engine, feed->session, node));
  uint64_t hash = hash_row (row);
  FeedEntry *entry = g_hash_table_lookup (feed->entries, &node->id);
  if (!entry) {
    entry = g_new0 (FeedEntry, 1);
    entry->id = node->id;
    entry->stable_id = g_strdup (node->stable_id);
    g_hash_table_insert (feed->entries, &entry->id, entry);
  } else if (entry->hash == hash) {
    return NULL;
  }
  entry->hash = hash;
  entry->revision = revision;
  entry->active = row_is_active (row);
  return g_steal_pointer (&row);
}

static void
forget (PeerFeed *feed, FeedEntry *entry, uint64_t revision)
{
  FeedRemoval *removal = g_new0 (FeedRemoval, 1);
  removal->stable_id = g_strdup (entry->stable_id);
  removal->revision = revision;
  g_queue_push_tail (&feed->removals, removal);
  g_hash_table_remove (feed->entries, &entry->id);
  if (g_queue_get_length (&feed->removals) > REMOVED_MAX) {
    FeedRemoval *first = g_queue_pop_head (&feed->removals);
    feed->oldest = first->revision;
    removal_free (first);
  }
}

/* Turns "anything may have changed" into ids. */
static void
find_dirty (PeerFeed *feed)
{
  feed->all_dirty = false;
  const Netmap *map = session_netmap (feed->session);
  GHashTableIter iter;
  FeedEntry *entry;
  g_hash_table_iter_init (&iter, feed->entries);
  while (g_hash_table_iter_next (&iter, NULL, (void **)&entry))
    if (!map || !netmap_peer (map, entry->id))
      mark (feed, entry->id);
  if (!map)
    return;
  NetmapIter nodes = netmap_iter (map);
  const Node *node;
  while ((node = netmap_iter_next (&nodes))) {
    g_autoptr (GVariant) row = g_variant_ref_sink (peer_row (feed->engine, feed->session, node));
    entry = g_hash_table_lookup (feed->entries, &node->id);
    if (!entry || entry->hash != hash_row (row))
      mark (feed, node->id);
  }
}

static void
emit (PeerFeed *feed, GVariant *params)
{
  GHashTableIter iter;
  const char *name;
  g_hash_table_iter_init (&iter, feed->subscribers);
  while (g_hash_table_iter_next (&iter, (void **)&name, NULL))
    g_dbus_connection_emit_signal (feed->bus, name, feed->path, "org.warrenvpn.Daemon1.Peers",
                                   "Changed", params, NULL);
}

static gboolean flush (void *user_data);

static void
schedule (PeerFeed *feed)
{
  if (g_hash_table_size (feed->subscribers) > 0 && feed->timer == 0)
    feed->timer = g_idle_add (flush, feed);
}

/* One signal with at most ROWS_PER_SIGNAL rows. True when there was anything to say. */
static bool
send_some (PeerFeed *feed)
{
  const Netmap *map = session_netmap (feed->session);
  uint64_t revision = feed->revision + 1;
  GVariantBuilder rows, removed;
  g_variant_builder_init (&rows, G_VARIANT_TYPE (PEER_ROWS_TYPE));
  g_variant_builder_init (&removed, G_VARIANT_TYPE_STRING_ARRAY);
  unsigned n = 0;
  GHashTableIter iter;
  NodeId *id;
  g_hash_table_iter_init (&iter, feed->dirty);
  while (n < ROWS_PER_SIGNAL && g_hash_table_iter_next (&iter, (void **)&id, NULL)) {
    const Node *node = map ? netmap_peer (map, *id) : NULL;
    FeedEntry *entry = g_hash_table_lookup (feed->entries, id);
    g_autoptr (GVariant) row = node ? refresh (feed, node, revision) : NULL;
    if (row) {
      g_variant_builder_add_value (&rows, row);
      n++;
    } else if (!node && entry) {
      g_variant_builder_add (&removed, "s", entry->stable_id);
      forget (feed, entry, revision);
      n++;
    }
    g_hash_table_iter_remove (&iter);
  }
  g_autoptr (GVariant) params = g_variant_ref_sink (
      g_variant_new ("(t@" PEER_ROWS_TYPE "@as)", revision, g_variant_builder_end (&rows),
                     g_variant_builder_end (&removed)));
  if (n == 0)
    return false;
  feed->revision = revision;
  emit (feed, params);
  return true;
}

/* The first change goes out at once, the next ones after a pause. */
static gboolean
flush (void *user_data)
{
  PeerFeed *feed = user_data;
  feed->timer = 0;
  if (feed->all_dirty)
    find_dirty (feed);
  if (send_some (feed))
    feed->timer = g_timeout_add (SIGNAL_PERIOD_MS, flush, feed);
  return G_SOURCE_REMOVE;
}

static gboolean
check_active (void *user_data)
{
  PeerFeed *feed = user_data;
  GHashTableIter iter;
  FeedEntry *entry;
  g_hash_table_iter_init (&iter, feed->entries);
  while (g_hash_table_iter_next (&iter, NULL, (void **)&entry))
    if (entry->active)
      mark (feed, entry->id);
  if (g_hash_table_size (feed->dirty) > 0)
    schedule (feed);
  return G_SOURCE_CONTINUE;
}

static void
subscriber_left (GDBusConnection *bus, const char *name, void *user_data)
{
  peer_feed_unsubscribe (user_data, name);
}

/* Everything, as of now; also brings the entries up to date. */
static void
add_all (PeerFeed *feed, GVariantBuilder *rows)
{
  const Netmap *map = session_netmap (feed->session);
  if (!map)
    return;
  NetmapIter nodes = netmap_iter (map);
  const Node *node;
  while ((node = netmap_iter_next (&nodes))) {
    g_autoptr (GVariant) fresh = refresh (feed, node, feed->revision);
    if (fresh)
      g_variant_builder_add_value (rows, fresh);
    else
      g_variant_builder_add_value (rows, peer_row (feed->engine, feed->session, node));
  }
}

static void
add_since (PeerFeed *feed, uint64_t known, GVariantBuilder *rows, GVariantBuilder *removed)
{
  const Netmap *map = session_netmap (feed->session);
  GHashTableIter iter;
  FeedEntry *entry;
  g_hash_table_iter_init (&iter, feed->entries);
  while (g_hash_table_iter_next (&iter, NULL, (void **)&entry)) {
    const Node *node = map && entry->revision > known ? netmap_peer (map, entry->id) : NULL;
    if (node)
      g_variant_builder_add_value (rows, peer_row (feed->engine, feed->session, node));
  }
  for (GList *l = feed->removals.head; l; l = l->next) {
    const FeedRemoval *removal = l->data;
    bool is_back = map && netmap_peer_by_stable_id (map, removal->stable_id);
    if (removal->revision > known && !is_back)
      g_variant_builder_add (removed, "s", removal->stable_id);
  }
}

GVariant *
peer_feed_subscribe (PeerFeed *feed, const char *sender, uint64_t known)
{
  bool first = g_hash_table_size (feed->subscribers) == 0;
  if (!g_hash_table_contains (feed->subscribers, sender)) {
    if (g_hash_table_size (feed->subscribers) >= SUBSCRIBERS_MAX)
      return NULL;
    guint watch = g_bus_watch_name_on_connection (feed->bus, sender, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                  NULL, subscriber_left, feed, NULL);
    g_hash_table_insert (feed->subscribers, g_strdup (sender), GUINT_TO_POINTER (watch));
  }
  if (first)
    feed->active_timer = g_timeout_add_seconds (ACTIVE_PERIOD_S, check_active, feed);
  else if (feed->all_dirty || g_hash_table_size (feed->dirty) > 0) {
    /* What is pending goes to the others first, so that one revision means one list. */
    if (feed->all_dirty)
      find_dirty (feed);
    while (g_hash_table_size (feed->dirty) > 0)
      send_some (feed);
  }
  bool full = first || known < feed->oldest || known > feed->revision;
  GVariantBuilder rows, removed;
  g_variant_builder_init (&rows, G_VARIANT_TYPE (PEER_ROWS_TYPE));
  g_variant_builder_init (&removed, G_VARIANT_TYPE_STRING_ARRAY);
  if (full)
    add_all (feed, &rows);
  else
    add_since (feed, known, &rows, &removed);
  return g_variant_new ("(tb@" PEER_ROWS_TYPE "@as)", feed->revision, full,
                        g_variant_builder_end (&rows), g_variant_builder_end (&removed));
}

void
peer_feed_unsubscribe (PeerFeed *feed, const char *sender)
{
  void *watch = NULL;
  if (!g_hash_table_lookup_extended (feed->subscribers, sender, NULL, &watch))
    return;
  g_bus_unwatch_name (GPOINTER_TO_UINT (watch));
  g_hash_table_remove (feed->subscribers, sender);
  if (g_hash_table_size (feed->subscribers) == 0)
    cool_down (feed);
}

void
peer_feed_all_changed (PeerFeed *feed)
{
  feed->all_dirty = true;
  schedule (feed);
}

void
peer_feed_ids_changed (PeerFeed *feed, const NodeId *ids, size_t n)
{
  if (g_hash_table_size (feed->subscribers) == 0)
    return;
  for (size_t i = 0; i < n; i++)
    mark (feed, ids[i]);
  schedule (feed);
}

void
peer_feed_peer_changed (PeerFeed *feed, const NodePublic *key)
{
  const Netmap *map = session_netmap (feed->session);
  const Node *node = map ? netmap_peer_by_key (map, key) : NULL;
  if (node)
    peer_feed_ids_changed (feed, &node->id, 1);
}
