/* Records and the early payload from a client's side. The first byte chooses: raw bytes as records,
 * or the rest sealed properly and then read back with one byte changed. Also the handshakes. */
#include "wire/noise-record.h"

#include <stdlib.h>
#include <string.h>

static const NoiseKeys keys = {.send_key = {1}, .receive_key = {1}};

static void
read_records (const uint8_t *data, size_t size)
{
  NoiseRecords records;
  Buffer plain = {0};
  size_t skip = 0;

  noise_records_init (&records, &keys);
  for (size_t i = 0; i < size; i += 7)
    noise_records_open (&records, data + i, size - i < 7 ? size - i : 7, &plain);
  noise_early_take (&plain, &skip);
  noise_records_clear (&records);
  buffer_free (&plain);
}

static void
seal_and_change (const uint8_t *data, size_t size)
{
  NoiseRecords sender, receiver;
  Buffer wire = {0}, plain = {0};
  size_t at = size > 0 ? data[0] : 0;

  noise_records_init (&sender, &keys);
  noise_records_init (&receiver, &keys);
  noise_records_seal (&sender, data, size, &wire);
  if (at == 0) {
    if (!noise_records_open (&receiver, wire.data, wire.size, &plain) || plain.size != size
        || (size > 0 && memcmp (plain.data, data, size) != 0))
      abort ();
  } else {
    wire.data[at % wire.size] ^= 1;
    if (noise_records_open (&receiver, wire.data, wire.size, &plain) && plain.size == size)
      abort ();
  }
  /* the last nonce is never used */
  sender.send_counter = receiver.receive_counter = UINT64_MAX;
  sender.failed = receiver.failed = false;
  receiver.partial_size = 0;
  if ((at == 0 && noise_records_open (&receiver, wire.data, wire.size, &plain))
      || noise_records_seal (&sender, "x", 1, &wire))
    abort ();
  noise_records_clear (&sender);
  noise_records_clear (&receiver);
  buffer_free (&wire);
  buffer_free (&plain);
}

static void
early (const uint8_t *data, size_t size)
{
  Buffer plain = {0};
  size_t skip = 0;
  NoiseEarlyResult result = NOISE_EARLY_MORE;

  for (size_t i = 0; i < size && result == NOISE_EARLY_MORE; i++) {
    buffer_append (&plain, data + i, 1);
    result = noise_early_take (&plain, &skip);
  }
  buffer_free (&plain);
}

static void
handshakes (const uint8_t *data, size_t size)
{
  uint8_t initiation[NOISE_INITIATION_SIZE] = {0}, response[NOISE_RESPONSE_SIZE] = {0};
  MachinePrivate private_key = {{8, 1}};
  MachinePublic public_key;
  NoiseInitiator initiator = {0};
  NoiseKeys out;
  uint16_t version;

  memcpy (initiation, data, size < sizeof initiation ? size : sizeof initiation);
  memcpy (response, data, size < sizeof response ? size : sizeof response);
  noise_respond (&private_key, initiation, random_system (), &public_key, &version, response, &out);
  noise_initiator_finish (&initiator, response, &out);
}

/* A real handshake with one byte changed on the way: only the unchanged one may succeed. */
static void
change_handshake (const uint8_t *data, size_t size)
{
  uint8_t initiation[NOISE_INITIATION_SIZE], response[NOISE_RESPONSE_SIZE];
  uint8_t frame[NOISE_HEADER_SIZE + NOISE_ERROR_MAX];
  MachinePrivate server = {{8, 1}}, machine = {{16, 2}};
  MachinePublic server_public, client;
  NoiseInitiator initiator;
  NoiseKeys up, down;
  Buffer plain = {0};
  uint16_t version;

  if (size < 3)
    return;
  server.bytes[31] = machine.bytes[31] = 0x40;
  key_public (server.bytes, server_public.bytes);
  if (!noise_initiator_start (&initiator, &machine, &server_public, 131, random_system (),
                              initiation))
    abort ();
  initiation[data[0] % sizeof initiation] ^= data[1];
  NoiseResult result
      = noise_respond (&server, initiation, random_system (), &client, &version, response, &up);
  if ((result == NOISE_OK) != (data[1] == 0))
    abort ();
  if (result == NOISE_OK) {
    response[data[0] % sizeof response] ^= data[2];
    if (noise_initiator_finish (&initiator, response, &down) != (data[2] == 0))
      abort ();
  }
  noise_initiator_clear (&initiator);
  noise_keys_clear (&up);
  noise_error_frame ("refused", frame);
  noise_early_append (server_public.bytes, &plain);
  buffer_free (&plain);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  if (size < 1)
    return 0;
  switch (data[0] % 5) {
    case 0:
      read_records (data + 1, size - 1);
      break;
    case 1:
      seal_and_change (data + 1, size - 1);
      break;
    case 2:
      early (data + 1, size - 1);
      break;
    case 3:
      handshakes (data + 1, size - 1);
      break;
    case 4:
      change_handshake (data + 1, size - 1);
      break;
  }
  return 0;
}
