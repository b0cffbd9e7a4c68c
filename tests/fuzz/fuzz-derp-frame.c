/* A stream of relay frames, each given to every reader that might get it. */
#include "derp/frame.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
read_every_way (const DerpFrame *frame)
{
  static const uint8_t shared[32] = {7};
  uint8_t json[512];
  NodePublic key;
  DerpPublic server;
  DerpGoneReason reason;
  uint32_t reconnect_ms, try_ms;
  const uint8_t *a, *b;
  size_t n;

  (void)derp_server_key_parse (frame, &server);
  if (derp_client_info_parse (frame, &key, &a, &b, &n))
    assert (b >= frame->body && b + n == frame->body + frame->size);
  (void)derp_server_info_open (frame, shared, json, sizeof json);
  if (derp_packet_parse (frame, &key, &a, &n)) {
    assert (a + n == frame->body + frame->size);
    (void)derp_packet_is_disco (a, n);
  }
  (void)derp_peer_gone_parse (frame, &key, &reason);
  (void)derp_restarting_parse (frame, &reconnect_ms, &try_ms);
}

static DerpFrame
only_frame (const uint8_t *bytes, size_t size)
{
  DerpFrame frame;
  size_t used;

  assert (derp_frame_read (bytes, size, DERP_BODY_MAX, &frame, &used) == DERP_READ_FRAME);
  assert (used == size);
  return frame;
}

/* What one role writes from the input, the other role reads. */
static void
write_every_way (const uint8_t *data, size_t size)
{
  static const uint8_t shared[32] = {7};
  uint8_t out[1024], json[512], nonce[BOX_NONCE_SIZE] = {1};
  NodePublic key = {{1}}, got;
  DerpPublic server = {{2}}, got_server;
  DerpGoneReason reason;
  const uint8_t *a, *b;
  size_t n;
  uint32_t reconnect_ms, try_ms;
  IpPort at = {{.family = 4, .bytes = {10, 0, 0, 1}}, 1};

  size = size < sizeof json ? size : sizeof json;
  derp_server_key_encode (&server, out);
  DerpFrame frame = only_frame (out, DERP_SERVER_KEY_SIZE);
  assert (derp_server_key_parse (&frame, &got_server) && key_same (&server, &got_server));
  n = derp_client_info_encode (&key, shared, nonce, data, size, out, sizeof out);
  frame = only_frame (out, n);
  assert (derp_client_info_parse (&frame, &got, &a, &b, &n) && n == size + BOX_TAG_SIZE);
  n = derp_server_info_encode (shared, nonce, data, size, out, sizeof out);
  frame = only_frame (out, n);
  assert (derp_server_info_open (&frame, shared, json, sizeof json) == size);
  derp_send_packet_head (&key, size, out);
  memcpy (out + DERP_SEND_OVERHEAD, data, size);
  derp_recv_packet_head (&key, size, out);
  frame = only_frame (out, DERP_SEND_OVERHEAD + size);
  assert (derp_packet_parse (&frame, &got, &a, &n) && n == size);
  derp_peer_gone_encode (&key, DERP_GONE_NOT_HERE, out);
  frame = only_frame (out, DERP_PEER_GONE_SIZE);
  assert (derp_peer_gone_parse (&frame, &got, &reason) && reason == DERP_GONE_NOT_HERE);
  derp_peer_present_encode (&key, &at, DERP_PRESENT_REGULAR, out);
  frame = only_frame (out, DERP_PEER_PRESENT_SIZE);
  assert (frame.type == DERP_PEER_PRESENT);
  derp_restarting_encode ((uint32_t)size, UINT32_MAX, out);
  frame = only_frame (out, DERP_RESTARTING_SIZE);
  assert (derp_restarting_parse (&frame, &reconnect_ms, &try_ms) && reconnect_ms == size
          && try_ms == UINT32_MAX);
  derp_forward_packet_head (&key, &key, size, out);
  frame = only_frame (out, DERP_FORWARD_OVERHEAD + size);
  assert (frame.type == DERP_FORWARD_PACKET && frame.size == 2 * KEY_SIZE + size);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  DerpFrame frame;
  size_t used;

  if (size > 0)
    write_every_way (data, size);
  while (derp_frame_read (data, size, DERP_BODY_MAX, &frame, &used) == DERP_READ_FRAME) {
    assert (used == DERP_HEADER_SIZE + frame.size && used <= size);
    read_every_way (&frame);
    data += used;
    size -= used;
  }
  return 0;
}
