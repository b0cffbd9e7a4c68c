/* A stream of relay frames, each given to every reader that might get it. */
#include "derp/frame.h"

#include <assert.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
read_every_way (const DerpFrame *frame)
{
  static const uint8_t shared[32] = {7};
  uint8_t json[512];
  NodePublic key;
  DerpPublic server;
  DerpGoneReason reason;
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
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  DerpFrame frame;
  size_t used;

  while (derp_frame_read (data, size, DERP_BODY_MAX, &frame, &used) == DERP_READ_FRAME) {
    assert (used == DERP_HEADER_SIZE + frame.size && used <= size);
    read_every_way (&frame);
    data += used;
    size -= used;
  }
  return 0;
}
