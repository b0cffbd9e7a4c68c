#include "path/portmap-wire.h"

#include "base/bytes.h"

#include <string.h>

#define PMP_ADDRESS  0
#define PMP_MAP_UDP  1
#define PCP_VERSION  2
#define PCP_ANNOUNCE 0
#define PCP_MAP      1
#define ANSWER       0x80
#define UDP          17

/* addresses of PCP are IPv6, IPv4 mapped */
static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

size_t
portmap_encode_pmp_address (uint8_t out[PORTMAP_REQUEST_MAX])
{
  memset (out, 0, 2);
  return 2;
}

size_t
portmap_encode_pmp_map (uint16_t internal, uint16_t external, uint32_t lifetime_s,
                        uint8_t out[PORTMAP_REQUEST_MAX])
{
  ByteWriter w = byte_writer (out, PORTMAP_REQUEST_MAX);

  byte_writer_be16 (&w, PMP_MAP_UDP);
  byte_writer_be16 (&w, 0);
  byte_writer_be16 (&w, internal);
  byte_writer_be16 (&w, external);
  byte_writer_be32 (&w, lifetime_s);
  return w.pos;
}

static void
write_head (ByteWriter *w, uint8_t opcode, uint32_t lifetime_s, const IpAddr *own)
{
  byte_writer_u8 (w, PCP_VERSION);
  byte_writer_u8 (w, opcode);
  byte_writer_be16 (w, 0);
  byte_writer_be32 (w, lifetime_s);
  byte_writer_copy (w, mapped, sizeof mapped);
  byte_writer_be32 (w, ip_v4 (own));
}

size_t
portmap_encode_pcp_announce (const IpAddr *own, uint8_t out[PORTMAP_REQUEST_MAX])
{
  ByteWriter w = byte_writer (out, PORTMAP_REQUEST_MAX);

  write_head (&w, PCP_ANNOUNCE, 0, own);
  return w.pos;
}

size_t
portmap_encode_pcp_map (const PcpMap *map, uint8_t out[PORTMAP_REQUEST_MAX])
{
  ByteWriter w = byte_writer (out, PORTMAP_REQUEST_MAX);

  write_head (&w, PCP_MAP, map->lifetime_s, &map->own);
  byte_writer_copy (&w, map->nonce, sizeof map->nonce);
  byte_writer_be32 (&w, UDP << 24);
  byte_writer_be16 (&w, map->internal);
  byte_writer_be16 (&w, map->external);
  byte_writer_copy (&w, mapped, sizeof mapped);
  byte_writer_be32 (&w, 0);
  return w.pos;
}

static IpAddr
address_or_none (uint32_t v4)
{
  return v4 != 0 ? ip_from_v4 (v4) : (IpAddr){0};
}

static bool
parse_pmp (ByteReader *r, PortmapAnswer *out)
{
  uint8_t opcode = byte_reader_u8 (r);

  if (opcode != (ANSWER | PMP_ADDRESS) && opcode != (ANSWER | PMP_MAP_UDP))
    return false;
  out->type = opcode == (ANSWER | PMP_ADDRESS) ? PORTMAP_PMP_ADDRESS : PORTMAP_PMP_MAP;
  out->result = byte_reader_be16 (r);
  out->epoch_s = byte_reader_be32 (r);
  if (r->failed || out->result != 0)
    return !r->failed;
  if (out->type == PORTMAP_PMP_ADDRESS) {
    out->address = address_or_none (byte_reader_be32 (r));
    return !r->failed;
  }
  out->internal = byte_reader_be16 (r);
  out->external = byte_reader_be16 (r);
  out->lifetime_s = byte_reader_be32 (r);
  return !r->failed;
}

static bool
parse_pcp (ByteReader *r, PortmapAnswer *out)
{
  uint8_t opcode = byte_reader_u8 (r);
  uint8_t prefix[sizeof mapped];

  if (opcode != (ANSWER | PCP_ANNOUNCE) && opcode != (ANSWER | PCP_MAP))
    return false;
  out->type = opcode == (ANSWER | PCP_ANNOUNCE) ? PORTMAP_PCP_ANNOUNCE : PORTMAP_PCP_MAP;
  byte_reader_skip (r, 1);
  out->result = byte_reader_u8 (r);
  out->lifetime_s = byte_reader_be32 (r);
  out->epoch_s = byte_reader_be32 (r);
  byte_reader_skip (r, 12);
  if (r->failed || out->result != 0 || out->type == PORTMAP_PCP_ANNOUNCE)
    return !r->failed;
  byte_reader_copy (r, out->nonce, sizeof out->nonce);
  uint32_t protocol = byte_reader_be32 (r);
  out->internal = byte_reader_be16 (r);
  out->external = byte_reader_be16 (r);
  byte_reader_copy (r, prefix, sizeof prefix);
  out->address = address_or_none (byte_reader_be32 (r));
  return !r->failed && protocol >> 24 == UDP && memcmp (prefix, mapped, sizeof mapped) == 0;
}

bool
portmap_parse (const void *bytes, size_t size, PortmapAnswer *out)
{
  ByteReader r = byte_reader (bytes, size);
  uint8_t version = byte_reader_u8 (&r);

  *out = (PortmapAnswer){0};
  if (r.failed)
    return false;
  if (version == 0)
    return parse_pmp (&r, out);
  return version == PCP_VERSION && parse_pcp (&r, out);
}
