/* The body of POST /machine/map, both roles (spec/control-protocol.md §10.1).
 *
 * Every request carries disco key, endpoints and the whole Hostinfo: servers may take what is
 * missing for gone (spec/live-peers.md (b)). Texts as in netmap/register.h. */
#pragma once

#include "base/arena.h"
#include "netmap/hostinfo.h"

typedef enum
{
  ENDPOINT_UNKNOWN = 0,
  ENDPOINT_LOCAL = 1,
  ENDPOINT_STUN = 2,
  ENDPOINT_PORT_MAPPED = 3,
  ENDPOINT_STUN_LOCAL_PORT = 4, /* public address, local port: behind a hard NAT */
  ENDPOINT_EXPLICIT = 5,
} EndpointType;

typedef struct
{
  IpPort addr;
  EndpointType type;
} MapEndpoint;

typedef struct
{
  int32_t version;
  NodePublic node_key;
  DiscoPublic disco_key;
  bool stream;
  bool omit_peers;
  bool keep_alive;
  bool read_only;       /* decoded only */
  const char *compress; /* "zstd", NULL or "": plain JSON */
  const Hostinfo *hostinfo;
  const MapEndpoint *endpoints;
  size_t n_endpoints;
  const char *tka_head; /* NULL or "": none */
  const char *const *debug_flags;
  size_t n_debug_flags;
} MapRequest;

void map_request_init (MapRequest *request);
void map_request_encode (const MapRequest *request, JsonWriter *w);
bool map_request_decode (const void *data, size_t size, Arena *arena, MapRequest *request,
                         const char **error);
