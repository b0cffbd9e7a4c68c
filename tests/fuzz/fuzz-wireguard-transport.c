/* Headers of data messages, the counters in them, and what a decrypted message may claim to be. */
#include "wireguard/session.h"

#include <assert.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* The first eight bytes move the session's age and window, the rest is one datagram. */
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  WgSessionKeys keys = {.created_us = 0};
  ByteReader r = byte_reader (data, size);
  int64_t now_us = byte_reader_le32 (&r) * INT64_C (1000);
  uint64_t seen = (uint64_t)byte_reader_le32 (&r) << (byte_reader_u8 (&r) % 33);
  size_t left = byte_reader_left (&r);
  const uint8_t *message = byte_reader_take (&r, left);
  WgTransport transport;
  WgSession *session = wg_session_new (&keys, NULL);

  if (wg_session_check (session, seen, now_us) == WG_RECEIVE_OK)
    assert (wg_session_accept (session, seen));
  if (message && wg_transport_parse (message, left, &transport)) {
    assert (transport.sealed_offset + transport.sealed_size == left);
    assert (transport.sealed_size >= AEAD_TAG_SIZE);
    WgReceiveCheck check = wg_session_check (session, transport.counter, now_us);
    uint64_t greatest = session->replay.greatest;
    bool accepted = check == WG_RECEIVE_OK && wg_session_accept (session, transport.counter);
    assert (accepted == (check == WG_RECEIVE_OK));
    assert (session->replay.greatest >= greatest);
    assert (wg_session_check (session, transport.counter, now_us) != WG_RECEIVE_OK);
    uint8_t header[WG_TRANSPORT_HEADER_SIZE];
    wg_transport_write (header, transport.receiver, transport.counter);
    for (size_t i = 0; i < sizeof header; i++)
      assert (header[i] == message[i]);
  } else if (message) {
    assert (wg_message_classify (message, left) != WG_MESSAGE_DATA);
  }
  for (size_t offset = 0; message && offset < left && offset < 64; offset += 8) {
    ptrdiff_t inner = wg_inner_size (message + offset, left - offset);
    assert (inner >= -1 && inner <= (ptrdiff_t)(left - offset));
    assert (wg_padded_size (left - offset, 1280) >= left - offset);
  }
  wg_session_free (session);
  return 0;
}
