#include "coordinator/relay-registry.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS       64
#define BUCKETS_MIN  16
#define HEARD_MIN    4
#define SPOKEN_MAX   10 /* changes of the active connection in SPOKEN_US that are nothing special */
#define SPOKEN_US    (60 * USEC_PER_SEC)
#define HEARD_PROBES 64

struct RelayEntry
{
  RelayEntry *next; /* in the bucket */
  uint64_t hash;
  NodePublic key;
  RelayPresence *here;      /* the one that spoke last first */
  RelayPresence *elsewhere; /* forwarders, the oldest first */
  NodePublic *heard;        /* open addressing, zero: free */
  uint32_t heard_room, heard_used;
  int64_t spoken_since_us;
  uint16_t spoken; /* changes of the active connection since */
  bool allowed;
};

typedef struct
{
  pthread_mutex_t lock;
  RelayEntry **buckets;
  size_t n_buckets, n;
  size_t keys, connections; /* here */
} Shard;

struct RelayRegistry
{
  uint8_t hash_key[crypto_shorthash_KEYBYTES];
  bool open;
  Shard shards[SHARDS];
};

RelayRegistry *
relay_registry_new (bool open)
{
  RelayRegistry *registry = mem_new (sizeof *registry);

  randombytes_buf (registry->hash_key, sizeof registry->hash_key);
  registry->open = open;
  for (size_t i = 0; i < SHARDS; i++) {
    Shard *shard = &registry->shards[i];
    pthread_mutex_init (&shard->lock, NULL);
    shard->n_buckets = BUCKETS_MIN;
    shard->buckets = mem_new (BUCKETS_MIN * sizeof *shard->buckets);
  }
  return registry;
}

static void
free_presences (RelayPresence *presence)
{
  while (presence) {
    RelayPresence *next = presence->next;
    free (presence);
    presence = next;
  }
}

static void
free_entry (RelayEntry *entry)
{
  free_presences (entry->here);
  free_presences (entry->elsewhere);
  free (entry->heard);
  free (entry);
}

void
relay_registry_free (RelayRegistry *registry)
{
  for (size_t i = 0; i < SHARDS; i++) {
    Shard *shard = &registry->shards[i];
    for (size_t j = 0; j < shard->n_buckets; j++)
      while (shard->buckets[j]) {
        RelayEntry *entry = shard->buckets[j];
        shard->buckets[j] = entry->next;
        free_entry (entry);
      }
    free (shard->buckets);
    pthread_mutex_destroy (&shard->lock);
  }
  free (registry);
}

/* ---- entries ---- */

/* Keys are chosen by clients, hence a keyed hash. */
static uint64_t
hash_of (const RelayRegistry *registry, const NodePublic *key)
{
  uint64_t hash;

  crypto_shorthash ((uint8_t *)&hash, key->bytes, KEY_SIZE, registry->hash_key);
  return hash;
}

static Shard *
lock_shard (RelayRegistry *registry, uint64_t hash)
{
  Shard *shard = &registry->shards[hash % SHARDS];

  pthread_mutex_lock (&shard->lock);
  return shard;
}

static RelayEntry **
bucket_of (Shard *shard, uint64_t hash)
{
  return &shard->buckets[hash / SHARDS % shard->n_buckets];
}

static RelayEntry *
find_entry (Shard *shard, uint64_t hash, const NodePublic *key)
{
  RelayEntry *entry = *bucket_of (shard, hash);

  while (entry && (entry->hash != hash || memcmp (entry->key.bytes, key->bytes, KEY_SIZE) != 0))
    entry = entry->next;
  return entry;
}

static void
grow (Shard *shard)
{
  RelayEntry **old = shard->buckets;
  size_t n_old = shard->n_buckets;

  shard->n_buckets = 2 * n_old;
  shard->buckets = mem_new (shard->n_buckets * sizeof *old);
  for (size_t i = 0; i < n_old; i++)
    while (old[i]) {
      RelayEntry *entry = old[i];
      old[i] = entry->next;
      RelayEntry **bucket = bucket_of (shard, entry->hash);
      entry->next = *bucket;
      *bucket = entry;
    }
  free (old);
}

static RelayEntry *
make_entry (Shard *shard, uint64_t hash, const NodePublic *key)
{
  RelayEntry *entry = find_entry (shard, hash, key);

  if (entry)
    return entry;
  if (shard->n >= shard->n_buckets)
    grow (shard);
  entry = mem_new (sizeof *entry);
  entry->hash = hash;
  entry->key = *key;
  RelayEntry **bucket = bucket_of (shard, hash);
  entry->next = *bucket;
  *bucket = entry;
  shard->n++;
  return entry;
}

/* Frees an entry that says nothing any more. */
static void
drop_entry (Shard *shard, RelayEntry *entry)
{
  RelayEntry **link = bucket_of (shard, entry->hash);

  if (entry->allowed || entry->here || entry->elsewhere)
    return;
  while (*link != entry)
    link = &(*link)->next;
  *link = entry->next;
  shard->n--;
  free_entry (entry);
}

/* ---- members ---- */

void
relay_registry_allow (RelayRegistry *registry, const NodePublic *key, bool allowed)
{
  uint64_t hash = hash_of (registry, key);
  Shard *shard = lock_shard (registry, hash);
  RelayEntry *entry = allowed ? make_entry (shard, hash, key) : find_entry (shard, hash, key);

  if (entry) {
    entry->allowed = allowed;
    drop_entry (shard, entry);
  }
  pthread_mutex_unlock (&shard->lock);
}

bool
relay_registry_allowed (RelayRegistry *registry, const NodePublic *key)
{
  uint64_t hash = hash_of (registry, key);

  if (registry->open)
    return true;
  Shard *shard = lock_shard (registry, hash);
  const RelayEntry *entry = find_entry (shard, hash, key);
  bool allowed = entry && entry->allowed;
  pthread_mutex_unlock (&shard->lock);
  return allowed;
}

/* ---- connections ---- */

static void
set_shared (RelayEntry *entry)
{
  bool shared = entry->here && entry->here->next;

  for (RelayPresence *presence = entry->here; presence; presence = presence->next)
    atomic_store_explicit (&presence->shared, shared, memory_order_relaxed);
}

static RelayPresence *
make_presence (RelayEntry *entry, RelayHandle handle)
{
  RelayPresence *presence = mem_new (sizeof *presence);

  presence->entry = entry;
  presence->handle = handle;
  return presence;
}

RelayPresence *
relay_registry_join (RelayRegistry *registry, const NodePublic *key, RelayHandle handle,
                     const IpPort *from, uint8_t flags)
{
  uint64_t hash = hash_of (registry, key);
  Shard *shard = lock_shard (registry, hash);
  RelayEntry *entry = make_entry (shard, hash, key);
  RelayPresence *presence = make_presence (entry, handle);

  presence->from = *from;
  presence->flags = flags;
  shard->connections++;
  shard->keys += entry->here == NULL;
  presence->next = entry->here;
  entry->here = presence;
  set_shared (entry);
  pthread_mutex_unlock (&shard->lock);
  return presence;
}

static bool
same_handle (RelayHandle a, RelayHandle b)
{
  return a.worker == b.worker && a.slot == b.slot && a.generation == b.generation;
}

static RelayPresence **
find_forwarder (RelayEntry *entry, RelayHandle handle)
{
  RelayPresence **link = &entry->elsewhere;

  while (*link && !same_handle ((*link)->handle, handle))
    link = &(*link)->next;
  return link;
}

void
relay_registry_forward (RelayRegistry *registry, const NodePublic *key, RelayHandle handle)
{
  uint64_t hash = hash_of (registry, key);
  Shard *shard = lock_shard (registry, hash);
  RelayEntry *entry = make_entry (shard, hash, key);
  RelayPresence **link = find_forwarder (entry, handle);

  if (!*link) {
    *link = make_presence (entry, handle);
    (*link)->forwarder = true;
  }
  pthread_mutex_unlock (&shard->lock);
}

RelayWhere
relay_registry_find (RelayRegistry *registry, const NodePublic *key, RelayHandle *to)
{
  uint64_t hash = hash_of (registry, key);
  Shard *shard = lock_shard (registry, hash);
  const RelayEntry *entry = find_entry (shard, hash, key);
  RelayWhere where = RELAY_NOWHERE;

  if (entry && entry->here) {
    where = RELAY_HERE;
    *to = entry->here->handle;
  } else if (entry && entry->elsewhere) {
    where = RELAY_FORWARD;
    *to = entry->elsewhere->handle;
  }
  pthread_mutex_unlock (&shard->lock);
  return where;
}

static void
unlink_presence (RelayEntry *entry, RelayPresence *presence)
{
  RelayPresence **link = &entry->here;

  while (*link != presence)
    link = &(*link)->next;
  *link = presence->next;
}

/* Counts changes of the active connection; true once when there are too many. */
static bool
count_change (RelayEntry *entry, int64_t now_us)
{
  if (entry->spoken_since_us == 0 || now_us - entry->spoken_since_us > SPOKEN_US) {
    entry->spoken_since_us = now_us;
    entry->spoken = 0;
  }
  return ++entry->spoken == SPOKEN_MAX + 1;
}

bool
relay_registry_spoke (RelayRegistry *registry, RelayPresence *presence, int64_t now_us)
{
  RelayEntry *entry = presence->entry;
  Shard *shard = lock_shard (registry, entry->hash);
  bool often = false;

  if (entry->here != presence) {
    unlink_presence (entry, presence);
    presence->next = entry->here;
    entry->here = presence;
    often = count_change (entry, now_us);
  }
  pthread_mutex_unlock (&shard->lock);
  return often;
}

/* Nobody in the region has the key any more: who heard of it is taken out, and the entry dropped.
 */
static void
take_heard (Shard *shard, RelayEntry *entry, RelayHeard *heard)
{
  if (entry->here || entry->elsewhere)
    return;
  for (uint32_t i = 0; i < entry->heard_room; i++)
    if (!key_zero (&entry->heard[i]))
      entry->heard[heard->n++] = entry->heard[i];
  heard->keys = entry->heard;
  entry->heard = NULL;
  entry->heard_room = entry->heard_used = 0;
  drop_entry (shard, entry);
}

bool
relay_registry_leave (RelayRegistry *registry, RelayPresence *presence, RelayHeard *heard)
{
  RelayEntry *entry = presence->entry;
  Shard *shard = lock_shard (registry, entry->hash);

  *heard = (RelayHeard){0};
  shard->connections--;
  unlink_presence (entry, presence);
  free (presence);
  set_shared (entry);
  bool last = entry->here == NULL;
  if (last) {
    shard->keys--;
    take_heard (shard, entry, heard);
  }
  pthread_mutex_unlock (&shard->lock);
  return last;
}

void
relay_registry_unforward (RelayRegistry *registry, const NodePublic *key, RelayHandle handle,
                          RelayHeard *heard)
{
  uint64_t hash = hash_of (registry, key);
  Shard *shard = lock_shard (registry, hash);
  RelayEntry *entry = find_entry (shard, hash, key);
  RelayPresence **link = entry ? find_forwarder (entry, handle) : NULL;

  *heard = (RelayHeard){0};
  if (link && *link) {
    RelayPresence *gone = *link;
    *link = gone->next;
    free (gone);
    take_heard (shard, entry, heard);
  }
  pthread_mutex_unlock (&shard->lock);
}

/* ---- who is to be told ---- */

/* The place of KEY among those heard, or a free one, or one to overwrite. */
static NodePublic *
heard_place (const RelayRegistry *registry, const RelayEntry *entry, const NodePublic *key)
{
  uint64_t hash = hash_of (registry, key);
  NodePublic *place = NULL;

  for (uint32_t i = 0; i < HEARD_PROBES; i++) {
    place = &entry->heard[(hash + i) % entry->heard_room];
    if (key_zero (place) || memcmp (place->bytes, key->bytes, KEY_SIZE) == 0)
      return place;
  }
  return place;
}

static void
grow_heard (const RelayRegistry *registry, RelayEntry *entry)
{
  NodePublic *old = entry->heard;
  uint32_t n_old = entry->heard_room;

  entry->heard_room = n_old == 0 ? HEARD_MIN : 2 * n_old;
  entry->heard = mem_new (entry->heard_room * sizeof *old);
  for (uint32_t i = 0; i < n_old; i++)
    if (!key_zero (&old[i]))
      *heard_place (registry, entry, &old[i]) = old[i];
  free (old);
}

static void
add_heard (const RelayRegistry *registry, RelayEntry *entry, const NodePublic *key)
{
  if (entry->heard_used >= entry->heard_room / 2 && entry->heard_room < 2 * RELAY_HEARD_MAX)
    grow_heard (registry, entry);
  NodePublic *place = heard_place (registry, entry, key);
  entry->heard_used += key_zero (place);
  *place = *key;
}

void
relay_registry_heard (RelayRegistry *registry, RelayPresence *presence, const NodePublic *key)
{
  RelayEntry *entry = presence->entry;
  Shard *shard = lock_shard (registry, entry->hash);

  add_heard (registry, entry, key);
  pthread_mutex_unlock (&shard->lock);
}

void
relay_registry_heard_from (RelayRegistry *registry, const NodePublic *source, const NodePublic *key)
{
  uint64_t hash = hash_of (registry, source);
  Shard *shard = lock_shard (registry, hash);
  RelayEntry *entry = find_entry (shard, hash, source);

  if (entry && (entry->here || entry->elsewhere))
    add_heard (registry, entry, key);
  pthread_mutex_unlock (&shard->lock);
}

/* ---- looking around ---- */

size_t
relay_registry_connections (RelayRegistry *registry, const NodePublic *key, RelayHandle *handles,
                            size_t max)
{
  uint64_t hash = hash_of (registry, key);
  Shard *shard = lock_shard (registry, hash);
  const RelayEntry *entry = find_entry (shard, hash, key);
  size_t n = 0;

  for (const RelayPresence *p = entry ? entry->here : NULL; p && n < max; p = p->next)
    handles[n++] = p->handle;
  pthread_mutex_unlock (&shard->lock);
  return n;
}

void
relay_registry_each (RelayRegistry *registry,
                     void (*each) (const NodePublic *key, const RelayPresence *presence,
                                   void *data),
                     void *data)
{
  for (size_t i = 0; i < SHARDS; i++) {
    Shard *shard = &registry->shards[i];
    pthread_mutex_lock (&shard->lock);
    for (size_t j = 0; j < shard->n_buckets; j++)
      for (const RelayEntry *entry = shard->buckets[j]; entry; entry = entry->next)
        for (const RelayPresence *p = entry->here; p; p = p->next)
          each (&entry->key, p, data);
    pthread_mutex_unlock (&shard->lock);
  }
}

void
relay_registry_count (RelayRegistry *registry, size_t *keys, size_t *connections)
{
  *keys = *connections = 0;
  for (size_t i = 0; i < SHARDS; i++) {
    Shard *shard = &registry->shards[i];
    pthread_mutex_lock (&shard->lock);
    *keys += shard->keys;
    *connections += shard->connections;
    pthread_mutex_unlock (&shard->lock);
  }
}
