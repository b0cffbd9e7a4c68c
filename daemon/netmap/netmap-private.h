/* Inside of a snapshot. Private to netmap/. */
#pragma once

#include "base/shared-map.h"
#include "netmap/map-message.h"
#include "netmap/netmap.h"
#include "netmap/record.h"

#define NETMAP_SUFFIX_MAX 256

/* What changes rarely, kept together so that a new snapshot copies one pointer. */
typedef struct
{
  _Atomic uint32_t references;
  const char *domain;     /* "" unknown */
  const char *ssh_policy; /* NULL none */
  const Notice *notices;  /* DisplayMessages, in order of id */
  size_t n_notices;
  const Notice *health; /* the old form; counts while there are no notices */
  size_t n_health;
  const LockInfo *lock;       /* NULL none */
  const NamedFilter *filters; /* sorted by name; each holds a reference */
  size_t n_filters;
} NetmapExtras;

struct Netmap
{
  _Atomic uint32_t references;
  Node *self;          /* NULL before the first message */
  SharedMap *peers;    /* id -> Node, counted */
  SharedMap *by_key;   /* hash of node key -> id */
  SharedMap *by_name;  /* hash of stable id -> id */
  SharedMap *by_addr;  /* hash of own single address -> id */
  SharedMap *expiries; /* key_expiry as netmap_expiry_key -> id, of peers that are not expired */
  SharedMap *users;    /* id -> UserProfile, counted */
  DerpMap *derp_map;
  NetmapDns *dns;
  NetmapExtras *extras;
  size_t n_unsigned;
  int64_t control_delta_us;
  char suffix[NETMAP_SUFFIX_MAX];
};

extern const RecordType notice_record_type;
extern const RecordType extras_record_type;

/* A snapshot of the caller's own that shares everything with MAP. */
Netmap *netmap_edit (const Netmap *map);

/* Replaces *MAP of a snapshot being edited by a version of its own, unless it is one already: OLD
 * is what it shares. */
void netmap_own (SharedMap **map, const SharedMap *old);

/* A packed copy of DRAFT with one reference; takes references of its own to the filters. */
NetmapExtras *netmap_extras_pack (const NetmapExtras *draft);
void netmap_extras_unref (NetmapExtras *extras);

uint64_t netmap_hash (const void *data, size_t size);
uint64_t netmap_hash_addr (const IpAddr *addr);
uint64_t netmap_expiry_key (WallTime expiry);

/* Filters, notices and the other rare members of MESSAGE. */
void netmap_apply_extras (Netmap *own, const MapMessage *message);

/* Recomputes what follows from the self node. */
void netmap_derive_suffix (Netmap *own);
