#include "path/stun.h"

#include "base/bytes.h"

#include <string.h>

#define HEADER_SIZE         20
#define TYPE_REQUEST        0x0001
#define TYPE_RESPONSE       0x0101
#define MAGIC_COOKIE        0x2112a442u
#define ATTR_MAPPED         0x0001
#define ATTR_XOR_MAPPED     0x0020
#define ATTR_XOR_MAPPED_OLD 0x8020
#define ATTR_SOFTWARE       0x8022
#define ATTR_FINGERPRINT    0x8028
#define FINGERPRINT_XOR     0x5354554eu
#define FINGERPRINT_SIZE    8 /* with its attribute header */
#define FAMILY_IPV4         1
#define FAMILY_IPV6         2

static const char stun_software[8] = {'t', 'a', 'i', 'l', 'n', 'o', 'd', 'e'};

typedef struct
{
  uint16_t type;
  uint16_t size;
  const uint8_t *value;
} StunAttribute;

/* CRC-32 of IEEE 802.3; messages are tiny, so no table. */
static uint32_t
crc32_ieee (const uint8_t *bytes, size_t size)
{
  uint32_t crc = 0xffffffffu;

  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

bool
stun_looks_like (const void *bytes, size_t size)
{
  const uint8_t *b = bytes;

  return size >= HEADER_SIZE && (b[0] & 0xc0) == 0 && b[1] == 0x01
         && load_be32 (b + 4) == MAGIC_COOKIE;
}

void
stun_encode_request (const StunTxId *tx_id, uint8_t out[STUN_REQUEST_SIZE])
{
  ByteWriter w = byte_writer (out, STUN_REQUEST_SIZE);

  byte_writer_be16 (&w, TYPE_REQUEST);
  byte_writer_be16 (&w, STUN_REQUEST_SIZE - HEADER_SIZE);
  byte_writer_be32 (&w, MAGIC_COOKIE);
  byte_writer_copy (&w, tx_id->bytes, STUN_TX_ID_SIZE);
  byte_writer_be16 (&w, ATTR_SOFTWARE);
  byte_writer_be16 (&w, sizeof stun_software);
  byte_writer_copy (&w, stun_software, sizeof stun_software);
  uint32_t crc = crc32_ieee (out, w.pos);
  byte_writer_be16 (&w, ATTR_FINGERPRINT);
  byte_writer_be16 (&w, 4);
  byte_writer_be32 (&w, crc ^ FINGERPRINT_XOR);
}

/* The next attribute, padding skipped; false at the end and when it is cut short (R failed). */
static bool
next_attribute (ByteReader *r, StunAttribute *out)
{
  if (byte_reader_left (r) == 0)
    return false;
  out->type = byte_reader_be16 (r);
  out->size = byte_reader_be16 (r);
  out->value = byte_reader_take (r, out->size);
  byte_reader_skip (r, (4 - out->size % 4) % 4);
  return !r->failed;
}

/* Checks the header and gives the attributes, which may be followed by other bytes. */
static bool
read_header (const void *bytes, size_t size, uint16_t type, StunTxId *tx_id, ByteReader *attributes)
{
  ByteReader r = byte_reader (bytes, size);

  if (!stun_looks_like (bytes, size) || byte_reader_be16 (&r) != type)
    return false;
  size_t length = byte_reader_be16 (&r);
  byte_reader_skip (&r, 4);
  byte_reader_copy (&r, tx_id->bytes, STUN_TX_ID_SIZE);
  const uint8_t *start = byte_reader_take (&r, length);
  if (!start)
    return false;
  *attributes = byte_reader (start, length);
  return true;
}

bool
stun_parse_request (const void *bytes, size_t size, StunTxId *tx_id)
{
  ByteReader r;
  StunAttribute attribute;
  StunAttribute last = {0};
  bool has_software = false;

  if (!read_header (bytes, size, TYPE_REQUEST, tx_id, &r) || HEADER_SIZE + r.size != size)
    return false;
  while (next_attribute (&r, &attribute)) {
    if (attribute.type == ATTR_SOFTWARE && attribute.size == sizeof stun_software
        && memcmp (attribute.value, stun_software, sizeof stun_software) == 0)
      has_software = true;
    last = attribute;
  }
  if (r.failed || !has_software || last.type != ATTR_FINGERPRINT || last.size != 4)
    return false;
  return load_be32 (last.value) == (crc32_ieee (bytes, size - FINGERPRINT_SIZE) ^ FINGERPRINT_XOR);
}

/* What an address is XORed with: cookie, then transaction id. */
static void
xor_mask (const StunTxId *tx_id, uint8_t out[16])
{
  store_be32 (out, MAGIC_COOKIE);
  memcpy (out + 4, tx_id->bytes, STUN_TX_ID_SIZE);
}

size_t
stun_encode_response (const StunTxId *tx_id, const IpPort *source, uint8_t out[STUN_RESPONSE_MAX])
{
  ByteWriter w = byte_writer (out, STUN_RESPONSE_MAX);
  size_t addr_size = source->addr.family == 4 ? 4 : 16;
  uint8_t mask[16];

  xor_mask (tx_id, mask);
  byte_writer_be16 (&w, TYPE_RESPONSE);
  byte_writer_be16 (&w, (uint16_t)(8 + addr_size));
  byte_writer_be32 (&w, MAGIC_COOKIE);
  byte_writer_copy (&w, tx_id->bytes, STUN_TX_ID_SIZE);
  byte_writer_be16 (&w, ATTR_XOR_MAPPED);
  byte_writer_be16 (&w, (uint16_t)(4 + addr_size));
  byte_writer_u8 (&w, 0);
  byte_writer_u8 (&w, source->addr.family == 4 ? FAMILY_IPV4 : FAMILY_IPV6);
  byte_writer_be16 (&w, source->port ^ (uint16_t)(MAGIC_COOKIE >> 16));
  for (size_t i = 0; i < addr_size; i++)
    byte_writer_u8 (&w, source->addr.bytes[i] ^ mask[i]);
  return w.pos;
}

static bool
read_address (const StunAttribute *attribute, const StunTxId *tx_id, bool xored, IpPort *out)
{
  ByteReader r = byte_reader (attribute->value, attribute->size);
  uint8_t mask[16] = {0};
  uint8_t addr[16];

  byte_reader_skip (&r, 1);
  uint8_t family = byte_reader_u8 (&r);
  out->port = byte_reader_be16 (&r);
  if (family != FAMILY_IPV4 && family != FAMILY_IPV6)
    return false;
  size_t addr_size = family == FAMILY_IPV4 ? 4 : 16;
  byte_reader_copy (&r, addr, addr_size);
  if (r.failed)
    return false;
  if (xored) {
    xor_mask (tx_id, mask);
    out->port ^= (uint16_t)(MAGIC_COOKIE >> 16);
  }
  for (size_t i = 0; i < addr_size; i++)
    addr[i] ^= mask[i];
  /* Servers on a dual-stack socket tell IPv4 clients a mapped address. */
  out->addr = family == FAMILY_IPV4 ? ip_from_v4_bytes (addr) : ip_from_mapped (addr);
  return true;
}

bool
stun_parse_response (const void *bytes, size_t size, StunTxId *tx_id, IpPort *mapped)
{
  ByteReader r;
  StunAttribute attribute;
  bool has_plain = false;
  IpPort at;

  if (!read_header (bytes, size, TYPE_RESPONSE, tx_id, &r))
    return false;
  while (next_attribute (&r, &attribute)) {
    bool xored = attribute.type == ATTR_XOR_MAPPED || attribute.type == ATTR_XOR_MAPPED_OLD;
    if (xored && read_address (&attribute, tx_id, true, mapped))
      return true;
    if (attribute.type == ATTR_MAPPED && read_address (&attribute, tx_id, false, &at)) {
      *mapped = at;
      has_plain = true;
    }
  }
  return has_plain && !r.failed;
}
