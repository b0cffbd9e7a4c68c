#include "derp/frame.h"

#include "base/bytes.h"

#include <string.h>

#define DISCO_LOOKING_MIN 62 /* magic, key, nonce */

static const uint8_t derp_magic[DERP_MAGIC_SIZE] = {'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91};
static const uint8_t disco_magic[6] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};

DerpReadResult
derp_frame_read (const void *bytes, size_t size, size_t body_max, DerpFrame *frame, size_t *used)
{
  const uint8_t *b = bytes;

  *used = 0;
  if (size < DERP_HEADER_SIZE)
    return DERP_READ_MORE;
  size_t body_size = load_be32 (b + 1);
  if (body_size > body_max)
    return DERP_READ_ERROR;
  if (size - DERP_HEADER_SIZE < body_size)
    return DERP_READ_MORE;
  frame->type = b[0];
  frame->body = b + DERP_HEADER_SIZE;
  frame->size = body_size;
  *used = DERP_HEADER_SIZE + body_size;
  return DERP_READ_FRAME;
}

void
derp_header_encode (DerpFrameType type, size_t body_size, uint8_t out[DERP_HEADER_SIZE])
{
  out[0] = (uint8_t)type;
  store_be32 (out + 1, (uint32_t)body_size);
}

void
derp_server_key_encode (const DerpPublic *key, uint8_t out[DERP_SERVER_KEY_SIZE])
{
  derp_header_encode (DERP_SERVER_KEY, DERP_MAGIC_SIZE + KEY_SIZE, out);
  memcpy (out + DERP_HEADER_SIZE, derp_magic, DERP_MAGIC_SIZE);
  memcpy (out + DERP_HEADER_SIZE + DERP_MAGIC_SIZE, key->bytes, KEY_SIZE);
}

bool
derp_server_key_parse (const DerpFrame *frame, DerpPublic *key)
{
  ByteReader r = byte_reader (frame->body, frame->size);
  const uint8_t *magic = byte_reader_take (&r, DERP_MAGIC_SIZE);

  byte_reader_copy (&r, key->bytes, KEY_SIZE);
  return frame->type == DERP_SERVER_KEY && !r.failed
         && memcmp (magic, derp_magic, DERP_MAGIC_SIZE) == 0;
}

/* Nonce and sealed JSON, in both information frames. */
static void
write_sealed (ByteWriter *w, const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE],
              const void *json, size_t json_size)
{
  byte_writer_copy (w, nonce, BOX_NONCE_SIZE);
  uint8_t *box = byte_writer_take (w, json_size + BOX_TAG_SIZE);
  if (box)
    box_seal (shared, nonce, json, json_size, box);
}

size_t
derp_client_info_encode (const NodePublic *key, const uint8_t shared[32],
                         const uint8_t nonce[BOX_NONCE_SIZE], const void *json, size_t json_size,
                         void *out, size_t capacity)
{
  ByteWriter w = byte_writer (out, capacity);
  uint8_t *header = byte_writer_take (&w, DERP_HEADER_SIZE);

  byte_writer_copy (&w, key->bytes, KEY_SIZE);
  write_sealed (&w, shared, nonce, json, json_size);
  if (w.failed)
    return 0;
  derp_header_encode (DERP_CLIENT_INFO, w.pos - DERP_HEADER_SIZE, header);
  return w.pos;
}

bool
derp_client_info_parse (const DerpFrame *frame, NodePublic *key, const uint8_t **nonce,
                        const uint8_t **box, size_t *box_size)
{
  ByteReader r = byte_reader (frame->body, frame->size);

  if (frame->type != DERP_CLIENT_INFO || frame->size > DERP_INFO_MAX)
    return false;
  byte_reader_copy (&r, key->bytes, KEY_SIZE);
  *nonce = byte_reader_take (&r, BOX_NONCE_SIZE);
  *box_size = byte_reader_left (&r);
  *box = byte_reader_take (&r, *box_size);
  return !r.failed && !key_zero (key);
}

size_t
derp_server_info_encode (const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE],
                         const void *json, size_t json_size, void *out, size_t capacity)
{
  ByteWriter w = byte_writer (out, capacity);
  uint8_t *header = byte_writer_take (&w, DERP_HEADER_SIZE);

  write_sealed (&w, shared, nonce, json, json_size);
  if (w.failed)
    return 0;
  derp_header_encode (DERP_SERVER_INFO, w.pos - DERP_HEADER_SIZE, header);
  return w.pos;
}

size_t
derp_server_info_open (const DerpFrame *frame, const uint8_t shared[32], void *json,
                       size_t capacity)
{
  ByteReader r = byte_reader (frame->body, frame->size);
  const uint8_t *nonce = byte_reader_take (&r, BOX_NONCE_SIZE);
  size_t box_size = byte_reader_left (&r);

  if (r.failed || frame->type != DERP_SERVER_INFO || box_size <= BOX_TAG_SIZE
      || box_size - BOX_TAG_SIZE > capacity)
    return 0;
  if (!box_open (shared, nonce, byte_reader_take (&r, box_size), box_size, json))
    return 0;
  return box_size - BOX_TAG_SIZE;
}

static void
packet_head (DerpFrameType type, const NodePublic *key, size_t packet_size,
             uint8_t out[DERP_SEND_OVERHEAD])
{
  derp_header_encode (type, KEY_SIZE + packet_size, out);
  memcpy (out + DERP_HEADER_SIZE, key->bytes, KEY_SIZE);
}

void
derp_send_packet_head (const NodePublic *destination, size_t packet_size,
                       uint8_t out[DERP_SEND_OVERHEAD])
{
  packet_head (DERP_SEND_PACKET, destination, packet_size, out);
}

void
derp_recv_packet_head (const NodePublic *source, size_t packet_size,
                       uint8_t out[DERP_SEND_OVERHEAD])
{
  packet_head (DERP_RECV_PACKET, source, packet_size, out);
}

void
derp_forward_packet_head (const NodePublic *source, const NodePublic *destination,
                          size_t packet_size, uint8_t out[DERP_FORWARD_OVERHEAD])
{
  packet_head (DERP_FORWARD_PACKET, source, KEY_SIZE + packet_size, out);
  memcpy (out + DERP_SEND_OVERHEAD, destination->bytes, KEY_SIZE);
}

bool
derp_packet_parse (const DerpFrame *frame, NodePublic *key, const uint8_t **packet,
                   size_t *packet_size)
{
  if (frame->size < KEY_SIZE || frame->size > KEY_SIZE + DERP_PACKET_MAX)
    return false;
  memcpy (key->bytes, frame->body, KEY_SIZE);
  *packet = frame->body + KEY_SIZE;
  *packet_size = frame->size - KEY_SIZE;
  return true;
}

bool
derp_peer_gone_parse (const DerpFrame *frame, NodePublic *key, DerpGoneReason *reason)
{
  if (frame->size < KEY_SIZE)
    return false;
  memcpy (key->bytes, frame->body, KEY_SIZE);
  *reason = frame->size > KEY_SIZE ? (DerpGoneReason)frame->body[KEY_SIZE] : DERP_GONE_DISCONNECTED;
  return true;
}

void
derp_peer_gone_encode (const NodePublic *key, DerpGoneReason reason,
                       uint8_t out[DERP_PEER_GONE_SIZE])
{
  packet_head (DERP_PEER_GONE, key, 1, out);
  out[DERP_PEER_GONE_SIZE - 1] = (uint8_t)reason;
}

bool
derp_restarting_parse (const DerpFrame *frame, uint32_t *reconnect_ms, uint32_t *try_ms)
{
  if (frame->type != DERP_RESTARTING || frame->size < 8)
    return false;
  *reconnect_ms = load_be32 (frame->body);
  *try_ms = load_be32 (frame->body + 4);
  return true;
}

void
derp_restarting_encode (uint32_t reconnect_ms, uint32_t try_ms, uint8_t out[DERP_RESTARTING_SIZE])
{
  derp_header_encode (DERP_RESTARTING, 8, out);
  store_be32 (out + DERP_HEADER_SIZE, reconnect_ms);
  store_be32 (out + DERP_HEADER_SIZE + 4, try_ms);
}

void
derp_peer_present_encode (const NodePublic *key, const IpPort *at, uint8_t flags,
                          uint8_t out[DERP_PEER_PRESENT_SIZE])
{
  uint8_t *tail = out + DERP_SEND_OVERHEAD;

  packet_head (DERP_PEER_PRESENT, key, DERP_PEER_PRESENT_SIZE - DERP_SEND_OVERHEAD, out);
  memset (tail, 0, 16);
  if (at->addr.family != 0)
    ip_to_mapped (&at->addr, tail);
  store_be16 (tail + 16, at->port);
  tail[18] = flags;
}

bool
derp_packet_is_disco (const void *packet, size_t size)
{
  return size >= DISCO_LOOKING_MIN && memcmp (packet, disco_magic, sizeof disco_magic) == 0;
}
