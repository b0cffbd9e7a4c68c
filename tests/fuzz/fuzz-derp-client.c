/* What a hostile relay may write, in pieces of any size, with sends, ticks and pings in between.
 * The first byte picks fast start; then pieces: one byte of length and kind each. */
#include "derp/client.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const uint8_t node_private[32] = {8, [31] = 0x40};
static const uint8_t server_private[32] = {16, [31] = 0x40};
static const uint8_t mesh_key[32] = {24};

static void
drain (DerpClient *client, int64_t now_us)
{
  DerpClientAction action;
  uint8_t out[DERP_RECORD_SIZE];

  while (derp_client_next_action (client, &action, now_us))
    if (action.type == DERP_CLIENT_ACTION_PACKET)
      assert (action.packet.size <= 65535);
  while (derp_client_wants_write (client)) {
    size_t n = derp_client_pull (client, out, sizeof out, now_us);
    assert (n <= sizeof out);
    if (n == 0)
      break;
  }
  (void)derp_client_next_deadline (client);
}

static void
step (DerpClient *client, uint8_t kind, const uint8_t *piece, size_t size, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  if (kind == 0) {
    event.type = DERP_CLIENT_EVENT_SEND;
    event.send.data = piece;
    event.send.size = size;
  } else if (kind == 1) {
    static const DerpClientEventType types[]
        = {DERP_CLIENT_EVENT_TICK, DERP_CLIENT_EVENT_PING, DERP_CLIENT_EVENT_HOME,
           DERP_CLIENT_EVENT_TICK, DERP_CLIENT_EVENT_END};
    event.type = types[size > 0 ? piece[0] % 5 : 0];
    event.home = size > 1;
  } else {
    event.bytes.data = piece;
    event.bytes.size = size;
  }
  derp_client_input (client, &event, now_us);
}

/* A relay that is let in: what comes after the login is reached too. */
static void
feed_login (DerpClient *client, const uint8_t *node_public, int64_t now_us)
{
  static const char json[] = "{\"version\":2,\"TokenBucketBytesPerSecond\":2000,"
                             "\"TokenBucketBytesBurst\":4000,\"other\":[1]}";
  uint8_t shared[32], nonce[24] = {1}, frame[256];

  if (!box_shared (server_private, node_public, shared))
    return;
  size_t n = derp_server_info_encode (shared, nonce, json, strlen (json), frame, sizeof frame);
  step (client, 7, frame, n, now_us);
  drain (client, now_us);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  SeededRandom random;
  uint8_t node_public[32];
  int64_t now_us = 1000 * USEC_PER_SEC;
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  if (size == 0)
    return 0;
  seeded_random_init (&random, 1);
  key_public (node_private, node_public);
  DerpClient *client
      = derp_client_new (&(DerpClientConfig){.node_private = node_private,
                                             .host = "relay",
                                             .port = data[0] & 4 ? 443 : 8443,
                                             .ideal_node = data[0] & 8 ? "1a" : NULL,
                                             .user_agent = "warren/1",
                                             .home = true,
                                             .mesh_key = data[0] & 16 ? mesh_key : NULL},
                         &random.base);
  event.connected.fast_start = data[0] & 1;
  key_public (server_private, event.connected.server_key.bytes);
  derp_client_input (client, &event, now_us);
  drain (client, now_us);
  if ((data[0] & 3) == 3)
    feed_login (client, node_public, now_us);
  for (size_t pos = 1; pos < size;) {
    uint8_t head = data[pos++];
    size_t n = head & 0x3f ? (size_t)(head & 0x1f) * 4 : 1;
    n = n < size - pos ? n : size - pos;
    step (client, head >> 5, data + pos, n, now_us);
    drain (client, now_us);
    pos += n;
    now_us += 250 * USEC_PER_MSEC;
  }
  DerpClientStatus status;
  derp_client_status (client, &status);
  assert (!status.up || status.last_frame_us != 0);
  derp_client_free (client);
  return 0;
}
