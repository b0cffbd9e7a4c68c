/* The relays of a tailnet: regions in id order, each with its nodes in order of preference.
 *
 * Immutable and reference-counted; references may be taken and dropped on any thread. Wire form and
 * merge rules: spec/netmap-and-policy.md A.7. */
#pragma once

#include "base/ip.h"
#include "wire/json-reader.h"
#include "wire/json-writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DERP_REGION_MAX  65535 /* regions above are dropped: the path code uses 16 bits */
#define DERP_REGIONS_MAX 4096
#define DERP_NODES_MAX   64 /* of one region */
#define STUN_PORT        3478
#define DERP_PORT        443

typedef struct
{
  const char *name;      /* "900a" */
  const char *host_name; /* never NULL */
  const char *cert_name; /* name to verify instead of host_name, or "sha256-raw:<hex>", or NULL */
  IpAddr ipv4, ipv6;     /* family 0: resolve host_name, unless the family is off */
  bool no_ipv4, no_ipv6; /* do not use the family ("none") */
  bool stun_only;        /* no relay there */
  bool can_port_80;
  bool insecure_for_tests; /* do not verify its certificate */
  uint16_t stun_port;      /* STUN_PORT unless said otherwise; 0: none there */
  uint16_t derp_port;      /* DERP_PORT unless said otherwise */
  IpAddr stun_test_ip;     /* tests only: STUN goes there; family 0 unset */
} DerpNode;

typedef struct
{
  uint16_t id;      /* > 0 */
  const char *code; /* "fra"; never NULL */
  const char *name; /* "Frankfurt"; never NULL */
  double latitude, longitude;
  bool no_measure_no_home; /* never probe it or choose it as home */
  bool avoid;              /* do not choose it as home */
  double score;            /* multiplies its measured latency when choosing home; 1.0 neutral */
  const DerpNode *nodes;
  size_t n_nodes;
} DerpRegion;

typedef struct DerpMap DerpMap;
struct DerpMap
{
  _Atomic uint32_t references;
  const DerpRegion *regions; /* sorted by id */
  size_t n_regions;
  bool omit_default_regions;
  /* The rest is for derp_map_merge: what the sender said and what it left out. */
  bool has_regions, has_home_params, has_scores;
  const struct DerpScore *scores;
  size_t n_scores;
};

DerpMap *derp_map_ref (const DerpMap *map);
void derp_map_unref (const DerpMap *map);

/* The region with ID, or NULL. */
const DerpRegion *derp_map_region (const DerpMap *map, unsigned id);

/* One DERPMap object of the wire. NULL on failure. */
DerpMap *derp_map_decode (JsonReader *r);
void derp_map_encode (const DerpMap *map, JsonWriter *w);

/* What holds after UPDATE arrived while OLD (may be NULL) held. A new reference. */
DerpMap *derp_map_merge (const DerpMap *old, const DerpMap *update);

bool derp_map_equal (const DerpMap *a, const DerpMap *b);
