#include "path/disco.h"

#include "base/bytes.h"

#include <string.h>

#define INNER_HEADER_SIZE 2
#define RELAY_FIXED_SIZE  124
#define BIND_SIZE         72

static const uint8_t disco_magic[DISCO_MAGIC_SIZE] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};

bool
disco_looks_like (const void *bytes, size_t size)
{
  return size >= DISCO_HEADER_SIZE && memcmp (bytes, disco_magic, DISCO_MAGIC_SIZE) == 0;
}

bool
disco_sender (const void *bytes, size_t size, DiscoPublic *out)
{
  if (!disco_looks_like (bytes, size))
    return false;
  memcpy (out->bytes, (const uint8_t *)bytes + DISCO_MAGIC_SIZE, KEY_SIZE);
  return true;
}

static void
read_endpoint (ByteReader *r, IpPort *out)
{
  uint8_t addr[16];

  byte_reader_copy (r, addr, sizeof addr);
  out->addr = ip_from_mapped (addr);
  out->port = byte_reader_be16 (r);
}

static void
write_endpoint (ByteWriter *w, const IpPort *at)
{
  uint8_t addr[16];

  ip_to_mapped (&at->addr, addr);
  byte_writer_copy (w, addr, sizeof addr);
  byte_writer_be16 (w, at->port);
}

IpPort
disco_message_endpoint (const DiscoMessage *message, size_t i)
{
  ByteReader r = byte_reader (message->endpoints + i * DISCO_ENDPOINT_SIZE, DISCO_ENDPOINT_SIZE);
  IpPort at;

  read_endpoint (&r, &at);
  return at;
}

/* The rest of the message is a list of endpoints; at most DISCO_ENDPOINTS_MAX are looked at. */
static void
parse_endpoints (ByteReader *r, DiscoMessage *out)
{
  size_t count = byte_reader_left (r) / DISCO_ENDPOINT_SIZE;

  out->n_endpoints = count < DISCO_ENDPOINTS_MAX ? count : DISCO_ENDPOINTS_MAX;
  out->endpoints = byte_reader_take (r, count * DISCO_ENDPOINT_SIZE);
}

static bool
parse_ping (ByteReader *r, DiscoMessage *out)
{
  byte_reader_copy (r, out->tx_id.bytes, DISCO_TX_ID_SIZE);
  if (byte_reader_left (r) >= KEY_SIZE)
    byte_reader_copy (r, out->node_key.bytes, KEY_SIZE);
  out->padding = byte_reader_left (r);
  return !r->failed;
}

static bool
parse_pong (ByteReader *r, DiscoMessage *out)
{
  byte_reader_copy (r, out->tx_id.bytes, DISCO_TX_ID_SIZE);
  read_endpoint (r, &out->source);
  return !r->failed;
}

/* What does not fit the format is a valid message with no endpoints. */
static bool
parse_call_me_maybe (ByteReader *r, DiscoMessage *out)
{
  if (out->version == 0 && byte_reader_left (r) % DISCO_ENDPOINT_SIZE == 0)
    parse_endpoints (r, out);
  return true;
}

static bool
parse_bind (ByteReader *r, DiscoMessage *out)
{
  out->bind.vni = byte_reader_be32 (r);
  out->bind.generation = byte_reader_be32 (r);
  byte_reader_copy (r, out->bind.remote_key.bytes, KEY_SIZE);
  byte_reader_copy (r, out->bind.challenge, sizeof out->bind.challenge);
  return !r->failed;
}

static bool
parse_relay (ByteReader *r, DiscoMessage *out)
{
  size_t left = byte_reader_left (r);

  if (out->version != 0 || left < RELAY_FIXED_SIZE + DISCO_ENDPOINT_SIZE
      || (left - RELAY_FIXED_SIZE) % DISCO_ENDPOINT_SIZE != 0)
    return false;
  byte_reader_copy (r, out->relay.server_key.bytes, KEY_SIZE);
  byte_reader_copy (r, out->relay.client_keys[0].bytes, KEY_SIZE);
  byte_reader_copy (r, out->relay.client_keys[1].bytes, KEY_SIZE);
  out->relay.lamport_id = byte_reader_be64 (r);
  out->relay.vni = byte_reader_be32 (r);
  out->relay.bind_lifetime_ns = byte_reader_be64 (r);
  out->relay.steady_state_lifetime_ns = byte_reader_be64 (r);
  parse_endpoints (r, out);
  return !r->failed;
}

static bool
parse_allocate_request (ByteReader *r, DiscoMessage *out)
{
  byte_reader_copy (r, out->client_keys[0].bytes, KEY_SIZE);
  byte_reader_copy (r, out->client_keys[1].bytes, KEY_SIZE);
  out->generation = byte_reader_be32 (r);
  return !r->failed && out->version == 0;
}

bool
disco_parse (const void *inner, size_t size, DiscoMessage *out)
{
  ByteReader r = byte_reader (inner, size);

  memset (out, 0, sizeof *out);
  out->type = byte_reader_u8 (&r);
  out->version = byte_reader_u8 (&r);
  if (r.failed)
    return false;
  switch (out->type) {
    case DISCO_PING:
      return parse_ping (&r, out);
    case DISCO_PONG:
      return parse_pong (&r, out);
    case DISCO_CALL_ME_MAYBE:
      return parse_call_me_maybe (&r, out);
    case DISCO_BIND:
    case DISCO_BIND_CHALLENGE:
    case DISCO_BIND_ANSWER:
      return parse_bind (&r, out);
    case DISCO_CALL_ME_MAYBE_VIA:
      return parse_relay (&r, out);
    case DISCO_ALLOCATE_REQUEST:
      return parse_allocate_request (&r, out);
    case DISCO_ALLOCATE_RESPONSE:
      out->generation = byte_reader_be32 (&r);
      return parse_relay (&r, out);
  }
  return false;
}

static void
write_relay (ByteWriter *w, const DiscoRelayEndpoint *relay)
{
  byte_writer_copy (w, relay->server_key.bytes, KEY_SIZE);
  byte_writer_copy (w, relay->client_keys[0].bytes, KEY_SIZE);
  byte_writer_copy (w, relay->client_keys[1].bytes, KEY_SIZE);
  byte_writer_be64 (w, relay->lamport_id);
  byte_writer_be32 (w, relay->vni);
  byte_writer_be64 (w, relay->bind_lifetime_ns);
  byte_writer_be64 (w, relay->steady_state_lifetime_ns);
}

static void
write_payload (ByteWriter *w, const DiscoMessage *m)
{
  switch (m->type) {
    case DISCO_PING:
      byte_writer_copy (w, m->tx_id.bytes, DISCO_TX_ID_SIZE);
      byte_writer_copy (w, m->node_key.bytes, KEY_SIZE);
      byte_writer_zero (w, m->padding);
      return;
    case DISCO_PONG:
      byte_writer_copy (w, m->tx_id.bytes, DISCO_TX_ID_SIZE);
      write_endpoint (w, &m->source);
      return;
    case DISCO_BIND:
    case DISCO_BIND_CHALLENGE:
    case DISCO_BIND_ANSWER:
      byte_writer_be32 (w, m->bind.vni);
      byte_writer_be32 (w, m->bind.generation);
      byte_writer_copy (w, m->bind.remote_key.bytes, KEY_SIZE);
      byte_writer_copy (w, m->bind.challenge, sizeof m->bind.challenge);
      return;
    case DISCO_ALLOCATE_REQUEST:
      byte_writer_copy (w, m->client_keys[0].bytes, KEY_SIZE);
      byte_writer_copy (w, m->client_keys[1].bytes, KEY_SIZE);
      byte_writer_be32 (w, m->generation);
      return;
    case DISCO_ALLOCATE_RESPONSE:
      byte_writer_be32 (w, m->generation);
      write_relay (w, &m->relay);
      break;
    case DISCO_CALL_ME_MAYBE_VIA:
      write_relay (w, &m->relay);
      break;
    case DISCO_CALL_ME_MAYBE:
      break;
  }
  for (size_t i = 0; i < m->n_endpoints; i++)
    write_endpoint (w, &m->encode_endpoints[i]);
}

size_t
disco_encode (const DiscoMessage *message, void *out, size_t capacity)
{
  ByteWriter w = byte_writer (out, capacity);

  byte_writer_u8 (&w, (uint8_t)message->type);
  byte_writer_u8 (&w, message->version);
  write_payload (&w, message);
  return w.failed ? 0 : w.pos;
}

static size_t
payload_size (const DiscoMessage *m)
{
  size_t endpoints = m->n_endpoints * DISCO_ENDPOINT_SIZE;

  switch (m->type) {
    case DISCO_PING:
      return DISCO_TX_ID_SIZE + KEY_SIZE + m->padding;
    case DISCO_PONG:
      return DISCO_TX_ID_SIZE + DISCO_ENDPOINT_SIZE;
    case DISCO_CALL_ME_MAYBE:
      return endpoints;
    case DISCO_BIND:
    case DISCO_BIND_CHALLENGE:
    case DISCO_BIND_ANSWER:
      return BIND_SIZE;
    case DISCO_CALL_ME_MAYBE_VIA:
      return RELAY_FIXED_SIZE + endpoints;
    case DISCO_ALLOCATE_REQUEST:
      return 2 * KEY_SIZE + 4;
    case DISCO_ALLOCATE_RESPONSE:
      return 4 + RELAY_FIXED_SIZE + endpoints;
  }
  return 0;
}

size_t
disco_sealed_size (const DiscoMessage *message)
{
  return DISCO_OVERHEAD + payload_size (message);
}

size_t
disco_seal (const DiscoMessage *message, const DiscoPublic *own_key, const uint8_t shared[32],
            const uint8_t nonce[BOX_NONCE_SIZE], void *out, size_t capacity)
{
  size_t size = disco_sealed_size (message);
  size_t inner_size = size - DISCO_HEADER_SIZE - BOX_TAG_SIZE;
  uint8_t *packet = out;
  uint8_t *box = packet + DISCO_HEADER_SIZE;

  if (size > capacity || size > DISCO_PACKET_MAX)
    return 0;
  memcpy (packet, disco_magic, DISCO_MAGIC_SIZE);
  memcpy (packet + DISCO_MAGIC_SIZE, own_key->bytes, KEY_SIZE);
  memcpy (packet + DISCO_MAGIC_SIZE + KEY_SIZE, nonce, BOX_NONCE_SIZE);
  /* The plaintext is written where the ciphertext will be; libsodium allows the overlap. */
  if (disco_encode (message, box + BOX_TAG_SIZE, inner_size) != inner_size)
    return 0;
  box_seal (shared, nonce, box + BOX_TAG_SIZE, inner_size, box);
  return size;
}

size_t
disco_open (const void *packet, size_t size, const uint8_t shared[32], void *inner)
{
  const uint8_t *bytes = packet;

  if (size < DISCO_OVERHEAD || !disco_looks_like (packet, size))
    return 0;
  if (!box_open (shared, bytes + DISCO_MAGIC_SIZE + KEY_SIZE, bytes + DISCO_HEADER_SIZE,
                 size - DISCO_HEADER_SIZE, inner))
    return 0;
  return size - DISCO_HEADER_SIZE - BOX_TAG_SIZE;
}
