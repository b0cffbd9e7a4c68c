#include "path/classify.h"

#include "base/bytes.h"
#include "path/disco.h"
#include "path/stun.h"

#include <string.h>

bool
geneve_parse (const void *bytes, size_t size, GeneveHeader *out)
{
  const uint8_t *b = bytes;

  if (size < GENEVE_HEADER_SIZE || (b[0] & 0xc0) != 0 || (b[1] & 0x3f) != 0 || b[7] != 0)
    return false;
  out->protocol = load_be16 (b + 2);
  out->vni = load_be32 (b + 4) >> 8;
  out->control = (b[1] & 0x80) != 0;
  return out->protocol == GENEVE_PROTOCOL_DISCO || out->protocol == GENEVE_PROTOCOL_WIREGUARD;
}

void
geneve_encode (const GeneveHeader *header, uint8_t out[GENEVE_HEADER_SIZE])
{
  out[0] = 0;
  out[1] = header->control ? 0x80 : 0;
  store_be16 (out + 2, header->protocol);
  store_be32 (out + 4, header->vni << 8);
}

PacketKind
packet_classify (const void *bytes, size_t size)
{
  const uint8_t *b = bytes;
  GeneveHeader geneve;

  if (stun_looks_like (bytes, size))
    return PACKET_STUN;
  if (geneve_parse (bytes, size, &geneve)) {
    if (geneve.protocol == GENEVE_PROTOCOL_WIREGUARD)
      return PACKET_GENEVE_WIREGUARD;
    if (disco_looks_like (b + GENEVE_HEADER_SIZE, size - GENEVE_HEADER_SIZE))
      return PACKET_GENEVE_DISCO;
    return PACKET_WIREGUARD;
  }
  return disco_looks_like (bytes, size) ? PACKET_DISCO : PACKET_WIREGUARD;
}
