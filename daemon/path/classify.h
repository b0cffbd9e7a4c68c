/* What a datagram on the shared UDP socket is: STUN, disco, or WireGuard; and the Geneve header of
 * peer relays. spec/path-finding.md §2.1, §2.2. Pure functions; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GENEVE_HEADER_SIZE        8
#define GENEVE_PROTOCOL_DISCO     0x7a11
#define GENEVE_PROTOCOL_WIREGUARD 0x7a12

typedef enum
{
  PACKET_WIREGUARD,        /* everything that is nothing else, also a datagram of one byte */
  PACKET_GENEVE_WIREGUARD, /* WireGuard behind 8 bytes of Geneve */
  PACKET_STUN,
  PACKET_DISCO,
  PACKET_GENEVE_DISCO,
} PacketKind;

typedef struct
{
  uint16_t protocol;
  uint32_t vni;
  bool control;
} GeneveHeader;

PacketKind packet_classify (const void *bytes, size_t size);

/* True and the fields when BYTES start with a Geneve header as peer relays use it. */
bool geneve_parse (const void *bytes, size_t size, GeneveHeader *out);
void geneve_encode (const GeneveHeader *header, uint8_t out[GENEVE_HEADER_SIZE]);
