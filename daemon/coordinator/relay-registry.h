/* Who is connected to the relay, shared by its workers: keys, their connections, and who may be
 * here (spec/derp.md §6.2, §6.5, §6.6, §9.3).
 *
 * A connection belongs to one worker; others know it by its handle and write to it by orders to
 * that worker. Several connections may have one key: the one that spoke last is active. One lock
 * for each shard of keys, held for a look-up and never while another is taken. Any thread. */
#pragma once

#include "base/ip.h"
#include "base/key.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_HEARD_MAX 1024 /* keys that are told when a key goes */

/* A connection as other threads know it. The generation tells a slot's users apart. */
typedef struct
{
  uint32_t worker, slot, generation;
} RelayHandle;

typedef struct RelayRegistry RelayRegistry;
typedef struct RelayEntry RelayEntry;

/* One connection of a key. Its worker may read SHARED; the rest is the registry's. */
typedef struct RelayPresence RelayPresence;
struct RelayPresence
{
  RelayEntry *entry;
  RelayPresence *next; /* of the same key, by the time when they spoke last */
  RelayHandle handle;
  IpPort from;
  uint8_t flags;       /* DerpPresentFlags */
  bool forwarder;      /* the key is behind that connection, at another relay */
  _Atomic bool shared; /* the key has several connections: say who speaks */
};

/* OPEN: everybody may be here. */
RelayRegistry *relay_registry_new (bool open);
void relay_registry_free (RelayRegistry *registry);

/* Lets KEY in or not. */
void relay_registry_allow (RelayRegistry *registry, const NodePublic *key, bool allowed);
bool relay_registry_allowed (RelayRegistry *registry, const NodePublic *key);

/* Another connection of KEY, which becomes the active one. Give it back with leave. */
RelayPresence *relay_registry_join (RelayRegistry *registry, const NodePublic *key,
                                    RelayHandle handle, const IpPort *from, uint8_t flags);

/* A key that another relay of the region has, reached through the connection HANDLE; unjoined by
 * unforward. Local connections come first. */
void relay_registry_forward (RelayRegistry *registry, const NodePublic *key, RelayHandle handle);

typedef enum
{
  RELAY_NOWHERE,
  RELAY_HERE,    /* connected to this relay */
  RELAY_FORWARD, /* behind another one */
} RelayWhere;

/* Where packets for KEY go now; TO is set when it is here or behind another relay. */
RelayWhere relay_registry_find (RelayRegistry *registry, const NodePublic *key, RelayHandle *to);

/* This one of several connections has spoken, and so becomes active. True when that makes one too
 * many changes within a minute: two machines use the key. */
bool relay_registry_spoke (RelayRegistry *registry, RelayPresence *presence, int64_t now_us);

/* A packet of PRESENCE was delivered to KEY, which is to be told when it goes. */
void relay_registry_heard (RelayRegistry *registry, RelayPresence *presence, const NodePublic *key);

/* The same for a packet of SOURCE, which another relay has. */
void relay_registry_heard_from (RelayRegistry *registry, const NodePublic *source,
                                const NodePublic *key);

/* Who is to be told that a key has gone from the whole region: KEYS (malloc'd), N of them. */
typedef struct
{
  NodePublic *keys;
  size_t n;
} RelayHeard;

/* The connection is gone. True when it was the last one of its key here. */
bool relay_registry_leave (RelayRegistry *registry, RelayPresence *presence, RelayHeard *heard);

/* KEY cannot be reached through HANDLE any more. */
void relay_registry_unforward (RelayRegistry *registry, const NodePublic *key, RelayHandle handle,
                               RelayHeard *heard);

/* The connections of KEY at this relay, at most MAX; their number. */
size_t relay_registry_connections (RelayRegistry *registry, const NodePublic *key,
                                   RelayHandle *handles, size_t max);

/* Calls EACH for every connection, under the locks: it must not call the registry. */
void relay_registry_each (RelayRegistry *registry,
                          void (*each) (const NodePublic *key, const RelayPresence *presence,
                                        void *data),
                          void *data);

/* Keys with a connection here, and connections. */
void relay_registry_count (RelayRegistry *registry, size_t *keys, size_t *connections);
