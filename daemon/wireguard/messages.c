#include "wireguard/messages.h"

#define IPV4_HEADER_MIN 20
#define IPV6_HEADER     40

WgMessageType
wg_message_classify (const void *data, size_t size)
{
  if (size < WG_TRANSPORT_MIN_SIZE)
    return WG_MESSAGE_NONE;
  switch (load_le32 (data)) {
    case WG_MESSAGE_INITIATION:
      return size == WG_INITIATION_SIZE ? WG_MESSAGE_INITIATION : WG_MESSAGE_NONE;
    case WG_MESSAGE_RESPONSE:
      return size == WG_RESPONSE_SIZE ? WG_MESSAGE_RESPONSE : WG_MESSAGE_NONE;
    case WG_MESSAGE_COOKIE:
      return size == WG_COOKIE_REPLY_SIZE ? WG_MESSAGE_COOKIE : WG_MESSAGE_NONE;
    case WG_MESSAGE_DATA:
      return WG_MESSAGE_DATA;
    default:
      return WG_MESSAGE_NONE;
  }
}

bool
wg_transport_parse (const void *data, size_t size, WgTransport *out)
{
  if (wg_message_classify (data, size) != WG_MESSAGE_DATA)
    return false;
  ByteReader r = byte_reader (data, size);
  byte_reader_skip (&r, 4);
  out->receiver = byte_reader_le32 (&r);
  out->counter = byte_reader_le64 (&r);
  out->sealed_offset = WG_TRANSPORT_HEADER_SIZE;
  out->sealed_size = byte_reader_left (&r);
  return true;
}

void
wg_transport_write (void *out, uint32_t receiver, uint64_t counter)
{
  ByteWriter w = byte_writer (out, WG_TRANSPORT_HEADER_SIZE);
  byte_writer_le32 (&w, WG_MESSAGE_DATA);
  byte_writer_le32 (&w, receiver);
  byte_writer_le64 (&w, counter);
}

size_t
wg_padded_size (size_t size, size_t mtu)
{
  size_t padded = (size + WG_PADDING - 1) / WG_PADDING * WG_PADDING;

  if (padded > mtu)
    padded = mtu;
  return padded > size ? padded : size;
}

ptrdiff_t
wg_inner_size (const void *plain, size_t size)
{
  size_t total;

  if (size == 0)
    return 0;
  ByteReader r = byte_reader (plain, size);
  switch (byte_reader_u8 (&r) >> 4) {
    case 4:
      if (size < IPV4_HEADER_MIN)
        return -1;
      byte_reader_skip (&r, 1);
      total = byte_reader_be16 (&r);
      if (total < IPV4_HEADER_MIN || total > size)
        return -1;
      return (ptrdiff_t)total;
    case 6:
      if (size < IPV6_HEADER)
        return -1;
      byte_reader_skip (&r, 3);
      total = (size_t)byte_reader_be16 (&r) + IPV6_HEADER;
      if (total > size)
        return -1;
      return (ptrdiff_t)total;
    default:
      return -1;
  }
}
