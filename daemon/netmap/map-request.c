#include "netmap/map-request.h"

#include "netmap/hostinfo-record.h"

#include <string.h>

/* Endpoints travel as two lists of equal length. */
typedef struct
{
  MapRequest request;
  const IpPort *addrs;
  size_t n_addrs;
  const int64_t *types;
  size_t n_types;
} WireRequest;

#define FIELD(kind, member, name, ...)                                                             \
  RECORD (WireRequest, RECORD_##kind, request.member, name, __VA_ARGS__)

static bool request_member (JsonString name, JsonReader *r, Arena *arena, void *out);

static const RecordField request_fields[] = {
    FIELD (I32, version, "Version", .always = true),
    FIELD (BOOL, keep_alive, "KeepAlive"),
    FIELD (NODE_KEY, node_key, "NodeKey", .always = true),
    FIELD (DISCO_KEY, disco_key, "DiscoKey", .always = true),
    FIELD (BOOL, stream, "Stream"),
    FIELD (STRUCT, hostinfo, "Hostinfo", .always = true, .sub = &own_hostinfo_type),
    RECORD_N (WireRequest, RECORD_ADDR_PORTS, addrs, n_addrs, NULL),
    FIELD (TEXT, tka_head, "TKAHead"),
    FIELD (BOOL, read_only, "ReadOnly"),
    FIELD (BOOL, omit_peers, "OmitPeers"),
    RECORD_N (WireRequest, RECORD_TEXTS, request.debug_flags, request.n_debug_flags, "DebugFlags"),
    FIELD (TEXT, compress, "Compress"),
};
static const RecordType request_type
    = RECORD_TYPE (WireRequest, request_fields, .decode_other = request_member);

/* Unlike other lists of addresses this one keeps the place of a text that does not parse, so that
 * the types beside it stay in step. */
static bool
request_member (JsonString name, JsonReader *r, Arena *arena, void *out)
{
  WireRequest *wire = out;
  void *items = NULL;
  size_t n = 0, room = 0;
  bool addrs = json_string_equal (name, "Endpoints");

  if (!addrs && !json_string_equal (name, "EndpointTypes"))
    return false;
  for (json_reader_enter_array (r); json_reader_next_element (r); n++) {
    void *item
        = record_list_add (arena, &items, n, &room, addrs ? sizeof (IpPort) : sizeof (int64_t));
    if (n >= RECORD_LIST_MAX) {
      json_reader_fail (r, "a list is too long");
    } else if (addrs) {
      JsonString s = json_reader_string (r);
      if (!ip_port_parse (s.text, s.length, item))
        *(IpPort *)item = (IpPort){0};
    } else {
      *(int64_t *)item = json_reader_i64 (r);
    }
  }
  if (addrs) {
    wire->addrs = items;
    wire->n_addrs = n;
  } else {
    wire->types = items;
    wire->n_types = n;
  }
  return true;
}

void
map_request_init (MapRequest *request)
{
  *request = (MapRequest){0};
}

void
map_request_encode (const MapRequest *request, JsonWriter *w)
{
  WireRequest wire = {.request = *request};

  json_writer_begin_object (w);
  record_encode_members (&request_type, &wire, w);
  if (request->n_endpoints > 0) {
    json_writer_name (w, "Endpoints");
    json_writer_begin_array (w);
    for (size_t i = 0; i < request->n_endpoints; i++)
      json_writer_addr_port (w, &request->endpoints[i].addr);
    json_writer_end_array (w);
    json_writer_name (w, "EndpointTypes");
    json_writer_begin_array (w);
    for (size_t i = 0; i < request->n_endpoints; i++)
      json_writer_i64 (w, request->endpoints[i].type);
    json_writer_end_array (w);
  }
  json_writer_end_object (w);
}

static void
join_endpoints (const WireRequest *wire, Arena *arena, MapRequest *request)
{
  MapEndpoint *list = arena_array (arena, MapEndpoint, wire->n_addrs);
  size_t n = 0;

  for (size_t i = 0; i < wire->n_addrs; i++) {
    int64_t type = i < wire->n_types ? wire->types[i] : ENDPOINT_UNKNOWN;
    if (wire->addrs[i].addr.family == 0)
      continue;
    if (type < ENDPOINT_UNKNOWN || type > ENDPOINT_EXPLICIT)
      type = ENDPOINT_UNKNOWN;
    list[n++] = (MapEndpoint){wire->addrs[i], (EndpointType)type};
  }
  request->endpoints = list;
  request->n_endpoints = n;
}

bool
map_request_decode (const void *data, size_t size, Arena *arena, MapRequest *request,
                    const char **error)
{
  WireRequest wire = {0};
  JsonReader r;

  json_reader_init (&r, data, size);
  bool good = json_reader_peek (&r) == JSON_OBJECT
              && record_decode (&request_type, &r, arena, &wire) && json_reader_end (&r);
  if (good) {
    *request = wire.request;
    join_endpoints (&wire, arena, request);
  }
  if (error)
    *error = good ? NULL : r.error ? r.error : "an object was expected";
  json_reader_clear (&r);
  return good;
}
