/* Every node that may exist in the tunnel, by node key: one light record each.
 *
 * A record outlives sessions, because the timestamp of the last accepted initiation must.
 * spec/wireguard-dataplane.md §6.1, §12.3. Net thread. */
#pragma once

#include "base/random.h"
#include "wireguard/messages.h"

typedef struct WgActivePeer WgActivePeer;

typedef struct
{
  NodePublic key;
  uint8_t last_timestamp[WG_TIMESTAMP_SIZE]; /* of the last initiation accepted; zeros: none */
  uint8_t used;
  uint8_t allowed;      /* may talk to us */
  WgActivePeer *active; /* handshake state, or NULL */
} WgKnownPeer;

typedef struct
{
  WgKnownPeer *slots; /* open addressing, linear probing */
  size_t capacity;    /* a power of two, or 0 */
  size_t count;
  uint8_t hash_key[16];
} WgKnownPeers;

void wg_known_peers_init (WgKnownPeers *peers, Random *random);
void wg_known_peers_clear (WgKnownPeers *peers);

/* The record of KEY or NULL. Valid until the next add or remove. */
WgKnownPeer *wg_known_peers_find (const WgKnownPeers *peers, const NodePublic *key);

/* The record of KEY, made when there is none. */
WgKnownPeer *wg_known_peers_add (WgKnownPeers *peers, const NodePublic *key);

/* Forgets KEY; harmless when it is not there. */
void wg_known_peers_remove (WgKnownPeers *peers, const NodePublic *key);
