#include "netmap/derp-map.h"

#include "netmap/record.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The weight of one region when choosing home. */
typedef struct DerpScore
{
  int64_t region;
  double score;
} DerpScore;

static const RecordField node_fields[] = {
    RECORD (DerpNode, RECORD_TEXT, name, "Name"),
    RECORD (DerpNode, RECORD_TEXT, host_name, "HostName"),
    RECORD (DerpNode, RECORD_TEXT_OR_NULL, cert_name, "CertName"),
    RECORD (DerpNode, RECORD_BOOL, stun_only, "STUNOnly"),
    RECORD (DerpNode, RECORD_BOOL, can_port_80, "CanPort80"),
    RECORD (DerpNode, RECORD_BOOL, insecure_for_tests, "InsecureForTests"),
    RECORD (DerpNode, RECORD_ADDR, stun_test_ip, "STUNTestIP"),
    RECORD (DerpNode, RECORD_ADDR, ipv4, NULL),
    RECORD (DerpNode, RECORD_ADDR, ipv6, NULL),
    RECORD (DerpNode, RECORD_BOOL, no_ipv4, NULL),
    RECORD (DerpNode, RECORD_BOOL, no_ipv6, NULL),
    RECORD (DerpNode, RECORD_U16, stun_port, NULL),
    RECORD (DerpNode, RECORD_U16, derp_port, NULL),
};
static const RecordType node_type = RECORD_TYPE (DerpNode, node_fields);

/* A node with the members whose wire form differs. */
typedef struct
{
  DerpNode node;
  const char *ipv4, *ipv6;
  int32_t stun_port, derp_port;
} WireNode;

static const RecordField wire_fields[] = {
    RECORD (WireNode, RECORD_TEXT, ipv4, "IPv4"),
    RECORD (WireNode, RECORD_TEXT, ipv6, "IPv6"),
    RECORD (WireNode, RECORD_I32, stun_port, "STUNPort"),
    RECORD (WireNode, RECORD_I32, derp_port, "DERPPort"),
};
static const RecordType wire_type = RECORD_TYPE (WireNode, wire_fields, .base = &node_type);

static bool region_member (JsonString name, JsonReader *r, Arena *arena, void *out);

static const RecordField region_fields[] = {
    RECORD (DerpRegion, RECORD_U16, id, "RegionID"),
    RECORD (DerpRegion, RECORD_TEXT, code, "RegionCode"),
    RECORD (DerpRegion, RECORD_TEXT, name, "RegionName"),
    RECORD (DerpRegion, RECORD_DOUBLE, latitude, "Latitude"),
    RECORD (DerpRegion, RECORD_DOUBLE, longitude, "Longitude"),
    RECORD (DerpRegion, RECORD_BOOL, no_measure_no_home, "NoMeasureNoHome"),
    RECORD (DerpRegion, RECORD_BOOL, avoid, "Avoid"),
    RECORD (DerpRegion, RECORD_DOUBLE, score, NULL),
    RECORD_N (DerpRegion, RECORD_STRUCTS, nodes, n_nodes, NULL, .sub = &node_type),
};
static const RecordType region_type
    = RECORD_TYPE (DerpRegion, region_fields, .decode_other = region_member);

static const RecordField score_fields[] = {
    RECORD (DerpScore, RECORD_I64, region, NULL),
    RECORD (DerpScore, RECORD_DOUBLE, score, NULL),
};
static const RecordType score_type = RECORD_TYPE (DerpScore, score_fields);

static bool map_member (JsonString name, JsonReader *r, Arena *arena, void *out);

static const RecordField map_fields[] = {
    RECORD (DerpMap, RECORD_BOOL, omit_default_regions, "omitDefaultRegions"),
    RECORD (DerpMap, RECORD_BOOL, has_regions, NULL),
    RECORD (DerpMap, RECORD_BOOL, has_home_params, NULL),
    RECORD (DerpMap, RECORD_BOOL, has_scores, NULL),
    RECORD_N (DerpMap, RECORD_STRUCTS, regions, n_regions, NULL, .sub = &region_type),
    RECORD_N (DerpMap, RECORD_STRUCTS, scores, n_scores, NULL, .sub = &score_type),
};
static const RecordType map_type = RECORD_TYPE (DerpMap, map_fields, .decode_other = map_member);

/* ---- reading ---- */

static void
take_address (const char *text, IpAddr *addr, bool *off)
{
  if (*text && !ip_parse (text, strlen (text), addr))
    *off = true;
}

static DerpNode
decode_node (JsonReader *r, Arena *arena)
{
  WireNode wire;
  DerpNode *node = &wire.node;

  memset (&wire, 0, sizeof wire);
  record_decode (&wire_type, r, arena, &wire);
  take_address (wire.ipv4, &node->ipv4, &node->no_ipv4);
  take_address (wire.ipv6, &node->ipv6, &node->no_ipv6);
  if (wire.stun_port == 0)
    node->stun_port = STUN_PORT;
  else if (wire.stun_port > 0 && wire.stun_port <= UINT16_MAX)
    node->stun_port = (uint16_t)wire.stun_port;
  node->derp_port
      = wire.derp_port > 0 && wire.derp_port <= UINT16_MAX ? (uint16_t)wire.derp_port : DERP_PORT;
  return *node;
}

static bool
region_member (JsonString name, JsonReader *r, Arena *arena, void *out)
{
  DerpRegion *region = out;
  void *nodes = NULL;
  size_t n = 0, room = 0;

  if (!json_string_equal (name, "Nodes"))
    return false;
  for (json_reader_enter_array (r); json_reader_next_element (r);) {
    if (n == DERP_NODES_MAX)
      json_reader_fail (r, "too many relays in a region");
    else if (!json_reader_null (r))
      *(DerpNode *)record_list_add (arena, &nodes, n++, &room, sizeof (DerpNode))
          = decode_node (r, arena);
  }
  region->nodes = nodes;
  region->n_nodes = n;
  return true;
}

static int
compare_regions (const void *a, const void *b)
{
  const DerpRegion *x = a, *y = b;

  return (x->id > y->id) - (x->id < y->id);
}

static void
decode_regions (JsonReader *r, Arena *arena, DerpMap *map)
{
  void *regions = NULL;
  size_t n = 0, room = 0;
  JsonString name;

  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    int64_t id = 0;
    json_string_i64 (name, &id);
    if (json_reader_null (r))
      continue;
    if (id <= 0 || id > DERP_REGION_MAX) {
      json_reader_skip (r);
      continue;
    }
    if (n == DERP_REGIONS_MAX) {
      json_reader_fail (r, "too many relay regions");
      break;
    }
    DerpRegion *region = record_list_add (arena, &regions, n++, &room, sizeof *region);
    memset (region, 0, sizeof *region);
    record_decode (&region_type, r, arena, region);
    region->id = (uint16_t)id;
    region->score = 1;
  }
  if (n > 1)
    qsort (regions, n, sizeof (DerpRegion), compare_regions);
  map->regions = regions;
  map->n_regions = n;
}

static void
decode_home_params (JsonReader *r, Arena *arena, DerpMap *map)
{
  void *scores = NULL;
  size_t n = 0, room = 0;
  JsonString name;

  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    if (!json_string_equal (name, "RegionScore") || json_reader_peek (r) == JSON_NULL) {
      json_reader_skip (r);
      continue;
    }
    map->has_scores = true;
    n = 0;
    for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
      DerpScore score = {0};
      bool good = json_string_i64 (name, &score.region);
      score.score = json_reader_double (r);
      if (good && score.score > 0 && isfinite (score.score) && n < DERP_REGIONS_MAX)
        *(DerpScore *)record_list_add (arena, &scores, n++, &room, sizeof score) = score;
    }
  }
  map->scores = scores;
  map->n_scores = n;
}

static bool
map_member (JsonString name, JsonReader *r, Arena *arena, void *out)
{
  DerpMap *map = out;
  bool regions = json_string_equal (name, "Regions");

  if ((!regions && !json_string_equal (name, "HomeParams")) || json_reader_peek (r) == JSON_NULL)
    return false;
  if (regions) {
    map->has_regions = true;
    decode_regions (r, arena, map);
  } else {
    map->has_home_params = true;
    decode_home_params (r, arena, map);
  }
  return true;
}

static DerpMap *
pack (const DerpMap *draft)
{
  DerpMap *map = record_pack (&map_type, draft, NULL);

  atomic_init (&map->references, 1);
  return map;
}

DerpMap *
derp_map_decode (JsonReader *r)
{
  Arena arena = {0};
  DerpMap draft, *map = NULL;

  memset (&draft, 0, sizeof draft);
  if (record_decode (&map_type, r, &arena, &draft))
    map = pack (&draft);
  arena_clear (&arena);
  return map;
}

/* ---- writing ---- */

static void
encode_node (const DerpNode *node, unsigned region, JsonWriter *w)
{
  char text[IP_TEXT_MAX];

  json_writer_begin_object (w);
  json_writer_name (w, "RegionID");
  json_writer_i64 (w, region);
  record_encode_members (&node_type, node, w);
  if (node->ipv4.family)
    ip_format (&node->ipv4, text);
  json_writer_opt_string (w, "IPv4", node->no_ipv4 ? "none" : node->ipv4.family ? text : NULL);
  if (node->ipv6.family)
    ip_format (&node->ipv6, text);
  json_writer_opt_string (w, "IPv6", node->no_ipv6 ? "none" : node->ipv6.family ? text : NULL);
  if (node->stun_port != STUN_PORT)
    json_writer_opt_i64 (w, "STUNPort", node->stun_port ? node->stun_port : -1);
  if (node->derp_port != DERP_PORT)
    json_writer_opt_i64 (w, "DERPPort", node->derp_port);
  json_writer_end_object (w);
}

static void
encode_region (const DerpRegion *region, JsonWriter *w)
{
  json_writer_begin_object (w);
  record_encode_members (&region_type, region, w);
  json_writer_name (w, "Nodes");
  json_writer_begin_array (w);
  for (size_t i = 0; i < region->n_nodes; i++)
    encode_node (&region->nodes[i], region->id, w);
  json_writer_end_array (w);
  json_writer_end_object (w);
}

void
derp_map_encode (const DerpMap *map, JsonWriter *w)
{
  json_writer_begin_object (w);
  if (map->has_home_params) {
    json_writer_name (w, "HomeParams");
    json_writer_begin_object (w);
    if (map->has_scores) {
      json_writer_name (w, "RegionScore");
      json_writer_begin_object (w);
      for (size_t i = 0; i < map->n_scores; i++) {
        json_writer_name_i64 (w, map->scores[i].region);
        json_writer_double (w, map->scores[i].score);
      }
      json_writer_end_object (w);
    }
    json_writer_end_object (w);
  }
  if (map->has_regions) {
    json_writer_name (w, "Regions");
    json_writer_begin_object (w);
    for (size_t i = 0; i < map->n_regions; i++) {
      json_writer_name_i64 (w, map->regions[i].id);
      encode_region (&map->regions[i], w);
    }
    json_writer_end_object (w);
  }
  record_encode_members (&map_type, map, w);
  json_writer_end_object (w);
}

/* ---- snapshots ---- */

DerpMap *
derp_map_ref (const DerpMap *map)
{
  DerpMap *m = (DerpMap *)map;

  if (m)
    atomic_fetch_add_explicit (&m->references, 1, memory_order_relaxed);
  return m;
}

void
derp_map_unref (const DerpMap *map)
{
  DerpMap *m = (DerpMap *)map;

  if (m && atomic_fetch_sub_explicit (&m->references, 1, memory_order_acq_rel) == 1)
    free (m);
}

const DerpRegion *
derp_map_region (const DerpMap *map, unsigned id)
{
  DerpRegion key = {.id = (uint16_t)id};

  if (!map || map->n_regions == 0 || id > DERP_REGION_MAX)
    return NULL;
  return bsearch (&key, map->regions, map->n_regions, sizeof key, compare_regions);
}

static void
apply_scores (DerpMap *map)
{
  DerpRegion *regions = (DerpRegion *)map->regions;

  for (size_t i = 0; i < map->n_regions; i++) {
    regions[i].score = 1;
    for (size_t k = 0; k < map->n_scores; k++)
      if (map->scores[k].region == regions[i].id)
        regions[i].score = map->scores[k].score;
  }
}

DerpMap *
derp_map_merge (const DerpMap *old, const DerpMap *update)
{
  DerpMap draft = *update;

  if (!update->has_regions && old) {
    draft.regions = old->regions;
    draft.n_regions = old->n_regions;
    draft.has_regions = old->has_regions;
    draft.omit_default_regions = old->omit_default_regions;
  }
  if (!update->has_scores && old) {
    draft.scores = old->scores;
    draft.n_scores = old->n_scores;
    draft.has_scores = old->has_scores;
    draft.has_home_params = update->has_home_params || old->has_home_params;
  }
  DerpMap *map = pack (&draft);
  apply_scores (map);
  return map;
}

bool
derp_map_equal (const DerpMap *a, const DerpMap *b)
{
  return a == b || (a && b && record_diff (&map_type, a, b) == 0);
}
