/* One light record for each peer of the netmap, found by node key and by disco key.
 *
 * Several peers may share one disco key. What a peer costs while it is in use hangs off its record
 * (path/peer-path.h). Net thread, inside path only. */
#pragma once

#include "base/ip.h"
#include "base/key.h"
#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PeerPath PeerPath;
typedef struct PeerRecord PeerRecord;
struct PeerRecord
{
  PeerRecord *next_by_key;
  PeerRecord *next_by_disco;
  NodePublic key;
  DiscoPublic disco_key; /* zero: none */
  uint8_t *shared;       /* box key of the two disco keys, NULL: not computed yet */
  IpPort *endpoints;     /* from the netmap */
  uint16_t n_endpoints;
  uint16_t home_region;
  bool lost_disco; /* the server forgot the key that it had */
  bool wireguard_only;
  bool expired;
  uint32_t mark;  /* of the last whole set that listed it */
  PeerPath *path; /* NULL while not in use */
};

typedef struct
{
  PeerRecord **by_key;
  PeerRecord **by_disco;
  size_t n_buckets; /* a power of two */
  size_t count;
  uint64_t seed[2]; /* odd, random: buckets cannot be aimed at */
} PeerTable;

void peer_table_init (PeerTable *table, Random *random);

/* Frees every record; their paths must be gone. */
void peer_table_clear (PeerTable *table);

PeerRecord *peer_table_find (const PeerTable *table, const NodePublic *key);

/* The first record with this disco key, and the next one after RECORD; NULL: none. */
PeerRecord *peer_table_first_by_disco (const PeerTable *table, const DiscoPublic *key);
PeerRecord *peer_table_next_by_disco (const PeerRecord *record);

/* A new record; KEY must not be in the table. */
PeerRecord *peer_table_add (PeerTable *table, const NodePublic *key);
void peer_table_remove (PeerTable *table, PeerRecord *record);

/* Gives RECORD another disco key (zero: none) and forgets the shared one. */
void peer_table_set_disco (PeerTable *table, PeerRecord *record, const DiscoPublic *key);

void peer_record_set_endpoints (PeerRecord *record, const IpPort *endpoints, size_t count);

/* Walks over all: start with NULL. RECORD may be removed after the next one was asked for. */
PeerRecord *peer_table_next (const PeerTable *table, const PeerRecord *record);
