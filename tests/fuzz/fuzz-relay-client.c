/* What a stranger or a client may send to the relay: requests, WebSocket messages, frames. The
 * first byte says how far the connection is, the second how the rest is cut. */
#include "base/bytes.h"
#include "coordinator/relay-client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define INFO "{\"version\":2,\"CanAckPings\":true}"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static SeededRandom seeded;
static RelayBudget budget = {.limit = 1 << 20};
static RelayIdentity identity = {.private_key = {8}, .mesh_key = {7}, .budget = &budget};
static Buffer plain;

/* The frames of a run fill it exactly and are the receiver's. */
static void
check_frames (const RelayEvent *event)
{
  size_t at = 0;
  unsigned n = 0;

  assert (event->frames >= plain.data && event->frames + event->size <= plain.data + plain.size);
  for (; at < event->size; n++) {
    assert (event->frames[at] == DERP_RECV_PACKET);
    assert (memcmp (event->frames + at + DERP_HEADER_SIZE, event->source.bytes, KEY_SIZE) == 0);
    at += DERP_HEADER_SIZE + load_be32 (event->frames + at + 1);
  }
  assert (at == event->size && n == event->n);
}

static void
feed (RelayClient *client, const uint8_t *data, size_t size, int64_t now_us)
{
  RelayEvent event;
  RelayEventType type;

  buffer_reset (&plain);
  relay_client_rest (client, &plain);
  buffer_append (&plain, data, size);
  relay_client_feed (client, plain.data, plain.size);
  while ((type = relay_client_next (client, &event, now_us)) != RELAY_EVENT_NONE) {
    if (type == RELAY_EVENT_LOGIN)
      relay_client_accept (client, now_us);
    if (type != RELAY_EVENT_PACKETS && type != RELAY_EVENT_FORWARD)
      continue;
    check_frames (&event);
    /* To oneself. */
    relay_client_deliver (client, &event.source, event.frames, event.size);
    relay_client_not_here (client, &event.destination, now_us);
  }
  /* What is kept of a peer's bytes has a limit. */
  assert (client->rest.size <= DERP_HEADER_SIZE + 2 * KEY_SIZE + DERP_PACKET_MAX);
}

static void
log_in (RelayClient *client, bool mesh, bool web_socket)
{
  static const char request[] = "GET /derp HTTP/1.1\r\nUpgrade: DERP\r\nDerp-Fast-Start: 1\r\n\r\n";
  static const char upgrade[]
      = "GET /derp HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: derp\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  static const uint8_t private_key[KEY_SIZE] = {16};
  uint8_t shared[32], nonce[BOX_NONCE_SIZE] = {1}, info[8 + 256] = {0x82, 126, 0, 0};
  NodePublic key;

  key_public (private_key, key.bytes);
  assert (box_shared (private_key, identity.server_key.bytes, shared));
  size_t size = derp_client_info_encode (&key, shared, nonce, INFO, strlen (INFO), info + 8,
                                         sizeof info - 8);
  if (web_socket) {
    info[1] |= 0x80; /* masked by zeros */
    store_be16 (info + 2, (uint16_t)size);
    feed (client, (const uint8_t *)upgrade, strlen (upgrade), 0);
    feed (client, info, size + 8, 0);
  } else {
    feed (client, (const uint8_t *)request, strlen (request), 0);
    feed (client, info + 8, size, 0);
  }
  assert (client->stage == RELAY_UP);
  client->mesh = mesh;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  RelayClient client;
  Buffer out = {0};
  int64_t now_us = USEC_PER_SEC;

  if (size < 2)
    return 0;
  seeded_random_init (&seeded, 1);
  identity.random = &seeded.base;
  identity.rate = data[0] & 8 ? 1000 : 0;
  key_public (identity.private_key, identity.server_key.bytes);
  relay_client_init (&client, &identity);
  if (data[0] % 4 > 0)
    log_in (&client, data[0] % 4 == 2, data[0] % 4 == 3);
  size_t step = data[1] == 0 ? size : data[1];
  for (size_t at = 2; at < size; at += step, now_us += USEC_PER_SEC) {
    feed (&client, data + at, size - at < step ? size - at : step, now_us);
    relay_client_tick (&client, now_us);
    (void)relay_client_pause (&client, now_us);
    if (at % 3 == 0)
      relay_client_take (&client, &out, 1000);
  }
  relay_client_take (&client, &out, 1 << 20);
  relay_client_clear (&client);
  buffer_free (&out);
  assert (budget.bytes == 0);
  return 0;
}
