/* NAT-PMP and PCP: how a router is asked to let a port of ours in (RFC 6886, RFC 6887).
 *
 * Codec only, as much as one UDP mapping over IPv4 needs. spec/path-finding.md §9.2, §9.3. Any
 * thread. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTMAP_PORT        5351
#define PORTMAP_REQUEST_MAX 60
#define PORTMAP_NONCE_SIZE  12

/* Each returns the size of the request that it wrote. */
size_t portmap_encode_pmp_address (uint8_t out[PORTMAP_REQUEST_MAX]);
size_t portmap_encode_pmp_map (uint16_t internal, uint16_t external, uint32_t lifetime_s,
                               uint8_t out[PORTMAP_REQUEST_MAX]);
size_t portmap_encode_pcp_announce (const IpAddr *own, uint8_t out[PORTMAP_REQUEST_MAX]);

typedef struct
{
  IpAddr own; /* IPv4 */
  uint8_t nonce[PORTMAP_NONCE_SIZE];
  uint16_t internal;
  uint16_t external;   /* wished */
  uint32_t lifetime_s; /* 0: delete */
} PcpMap;

size_t portmap_encode_pcp_map (const PcpMap *map, uint8_t out[PORTMAP_REQUEST_MAX]);

typedef enum
{
  PORTMAP_PMP_ADDRESS,
  PORTMAP_PMP_MAP,
  PORTMAP_PCP_ANNOUNCE,
  PORTMAP_PCP_MAP,
} PortmapAnswerType;

typedef struct
{
  PortmapAnswerType type;
  unsigned result; /* 0: success; else only TYPE and epoch mean anything */
  uint32_t epoch_s;
  IpAddr address; /* outside; family 0: unknown. Of PMP_ADDRESS and PCP_MAP */
  uint16_t internal;
  uint16_t external;
  uint32_t lifetime_s;
  uint8_t nonce[PORTMAP_NONCE_SIZE]; /* PCP_MAP */
} PortmapAnswer;

/* Reads an answer of a router; false: it is none. */
bool portmap_parse (const void *bytes, size_t size, PortmapAnswer *out);
