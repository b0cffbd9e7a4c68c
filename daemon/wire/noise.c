#include "wire/noise.h"

#include "base/bytes.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* h and ck of the Noise specification, and the key of the next encryption, which is used once. */
typedef struct
{
  uint8_t hash[BLAKE2S_SIZE];
  uint8_t chaining_key[BLAKE2S_SIZE];
  uint8_t key[AEAD_KEY_SIZE];
} Symmetric;

static const uint8_t zero_nonce[AEAD_NONCE_SIZE];

static void
mix_hash (Symmetric *s, const void *data, size_t size)
{
  blake2s ((Slice[]){{s->hash, BLAKE2S_SIZE}, {data, size}}, 2, s->hash);
}

static bool
mix_key (Symmetric *s, const uint8_t private_key[KEY_SIZE], const uint8_t public_key[KEY_SIZE])
{
  uint8_t shared[KEY_SIZE], out[2][BLAKE2S_SIZE];

  if (!x25519 (private_key, public_key, shared))
    return false;
  kdf_blake2s (s->chaining_key, shared, sizeof shared, out, 2);
  memcpy (s->chaining_key, out[0], BLAKE2S_SIZE);
  memcpy (s->key, out[1], AEAD_KEY_SIZE);
  sodium_memzero (shared, sizeof shared);
  sodium_memzero (out, sizeof out);
  return true;
}

/* Writes SIZE + 16 bytes. */
static void
seal_and_hash (Symmetric *s, const void *plain, size_t size, uint8_t *out)
{
  aead_seal (s->key, zero_nonce, s->hash, BLAKE2S_SIZE, plain, size, out);
  mix_hash (s, out, size + AEAD_TAG_SIZE);
}

/* SIZE includes the tag. */
static bool
open_and_hash (Symmetric *s, const uint8_t *in, size_t size, void *plain)
{
  if (!aead_open (s->key, zero_nonce, s->hash, BLAKE2S_SIZE, in, size, plain))
    return false;
  mix_hash (s, in, size);
  return true;
}

/* Up to and including "MixHash (server static)", the same on both sides. */
static void
start (Symmetric *s, uint16_t version, const uint8_t server[KEY_SIZE])
{
  static const char name[] = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
  char prologue[48];
  int length = snprintf (prologue, sizeof prologue, "Tailscale Control Protocol v%u", version);

  blake2s (&(Slice){name, sizeof name - 1}, 1, s->hash);
  memcpy (s->chaining_key, s->hash, BLAKE2S_SIZE);
  mix_hash (s, prologue, (size_t)length);
  mix_hash (s, server, KEY_SIZE);
}

static void
split (const Symmetric *s, bool initiator, NoiseKeys *keys)
{
  uint8_t out[2][BLAKE2S_SIZE];

  kdf_blake2s (s->chaining_key, NULL, 0, out, 2);
  memcpy (keys->send_key, out[initiator ? 0 : 1], AEAD_KEY_SIZE);
  memcpy (keys->receive_key, out[initiator ? 1 : 0], AEAD_KEY_SIZE);
  memcpy (keys->hash, s->hash, BLAKE2S_SIZE);
  sodium_memzero (out, sizeof out);
}

void
noise_keys_clear (NoiseKeys *keys)
{
  sodium_memzero (keys, sizeof *keys);
}

/* --- Client -------------------------------------------------------------------------------- */

bool
noise_initiator_start (NoiseInitiator *n, const MachinePrivate *machine,
                       const MachinePublic *server, uint16_t version, Random *random,
                       uint8_t out[NOISE_INITIATION_SIZE])
{
  ByteWriter w = byte_writer (out, NOISE_INITIATION_SIZE);
  uint8_t ephemeral[KEY_SIZE], machine_public[KEY_SIZE];
  Symmetric s;

  n->machine = *machine;
  key_generate (random, n->ephemeral);
  key_public (n->ephemeral, ephemeral);
  key_public (machine->bytes, machine_public);

  start (&s, version, server->bytes);
  byte_writer_be16 (&w, version);
  byte_writer_u8 (&w, NOISE_TYPE_INITIATION);
  byte_writer_be16 (&w, KEY_SIZE + KEY_SIZE + AEAD_TAG_SIZE + AEAD_TAG_SIZE);
  byte_writer_copy (&w, ephemeral, KEY_SIZE);
  mix_hash (&s, ephemeral, KEY_SIZE);
  bool ok = mix_key (&s, n->ephemeral, server->bytes);
  if (ok) {
    seal_and_hash (&s, machine_public, KEY_SIZE, byte_writer_take (&w, KEY_SIZE + AEAD_TAG_SIZE));
    ok = mix_key (&s, machine->bytes, server->bytes);
  }
  if (ok)
    seal_and_hash (&s, NULL, 0, byte_writer_take (&w, AEAD_TAG_SIZE));
  memcpy (n->hash, s.hash, sizeof n->hash);
  memcpy (n->chaining_key, s.chaining_key, sizeof n->chaining_key);
  sodium_memzero (&s, sizeof s);
  return ok;
}

bool
noise_initiator_finish (NoiseInitiator *n, const uint8_t response[NOISE_RESPONSE_SIZE],
                        NoiseKeys *out)
{
  ByteReader r = byte_reader (response, NOISE_RESPONSE_SIZE);
  Symmetric s;

  if (byte_reader_u8 (&r) != NOISE_TYPE_RESPONSE
      || byte_reader_be16 (&r) != KEY_SIZE + AEAD_TAG_SIZE)
    return false;
  const uint8_t *ephemeral = byte_reader_take (&r, KEY_SIZE);
  const uint8_t *tag = byte_reader_take (&r, AEAD_TAG_SIZE);

  memcpy (s.hash, n->hash, sizeof s.hash);
  memcpy (s.chaining_key, n->chaining_key, sizeof s.chaining_key);
  mix_hash (&s, ephemeral, KEY_SIZE);
  bool ok = mix_key (&s, n->ephemeral, ephemeral) && mix_key (&s, n->machine.bytes, ephemeral)
            && open_and_hash (&s, tag, AEAD_TAG_SIZE, NULL);
  if (ok)
    split (&s, true, out);
  sodium_memzero (&s, sizeof s);
  return ok;
}

void
noise_initiator_clear (NoiseInitiator *n)
{
  sodium_memzero (n, sizeof *n);
}

/* --- Server -------------------------------------------------------------------------------- */

/* Reads the initiation into S and the client's keys. */
static NoiseResult
read_initiation (const MachinePrivate *server, const uint8_t *initiation, Symmetric *s,
                 uint8_t ephemeral[KEY_SIZE], MachinePublic *client, uint16_t *version)
{
  ByteReader r = byte_reader (initiation, NOISE_INITIATION_SIZE);
  uint8_t server_public[KEY_SIZE];

  *version = byte_reader_be16 (&r);
  if (byte_reader_u8 (&r) != NOISE_TYPE_INITIATION)
    return NOISE_BAD_TYPE;
  if (byte_reader_be16 (&r) != KEY_SIZE + KEY_SIZE + AEAD_TAG_SIZE + AEAD_TAG_SIZE)
    return NOISE_BAD_LENGTH;
  byte_reader_copy (&r, ephemeral, KEY_SIZE);
  const uint8_t *sealed_machine = byte_reader_take (&r, KEY_SIZE + AEAD_TAG_SIZE);
  const uint8_t *tag = byte_reader_take (&r, AEAD_TAG_SIZE);

  key_public (server->bytes, server_public);
  start (s, *version, server_public);
  mix_hash (s, ephemeral, KEY_SIZE);
  if (!mix_key (s, server->bytes, ephemeral)
      || !open_and_hash (s, sealed_machine, KEY_SIZE + AEAD_TAG_SIZE, client->bytes)
      || !mix_key (s, server->bytes, client->bytes) || !open_and_hash (s, tag, AEAD_TAG_SIZE, NULL))
    return NOISE_BAD_CRYPTO;
  return NOISE_OK;
}

NoiseResult
noise_respond (const MachinePrivate *server, const uint8_t initiation[NOISE_INITIATION_SIZE],
               Random *random, MachinePublic *client, uint16_t *version,
               uint8_t out[NOISE_RESPONSE_SIZE], NoiseKeys *keys)
{
  uint8_t peer_ephemeral[KEY_SIZE], ephemeral[KEY_SIZE], ephemeral_public[KEY_SIZE];
  ByteWriter w = byte_writer (out, NOISE_RESPONSE_SIZE);
  Symmetric s;

  NoiseResult result = read_initiation (server, initiation, &s, peer_ephemeral, client, version);
  if (result == NOISE_OK) {
    key_generate (random, ephemeral);
    key_public (ephemeral, ephemeral_public);
    byte_writer_u8 (&w, NOISE_TYPE_RESPONSE);
    byte_writer_be16 (&w, KEY_SIZE + AEAD_TAG_SIZE);
    byte_writer_copy (&w, ephemeral_public, KEY_SIZE);
    mix_hash (&s, ephemeral_public, KEY_SIZE);
    if (mix_key (&s, ephemeral, peer_ephemeral) && mix_key (&s, ephemeral, client->bytes)) {
      seal_and_hash (&s, NULL, 0, byte_writer_take (&w, AEAD_TAG_SIZE));
      split (&s, false, keys);
    } else
      result = NOISE_BAD_CRYPTO;
  }
  sodium_memzero (ephemeral, sizeof ephemeral);
  sodium_memzero (&s, sizeof s);
  return result;
}

size_t
noise_error_frame (const char *text, uint8_t out[NOISE_HEADER_SIZE + NOISE_ERROR_MAX])
{
  size_t length = strnlen (text, NOISE_ERROR_MAX);
  ByteWriter w = byte_writer (out, NOISE_HEADER_SIZE + NOISE_ERROR_MAX);

  byte_writer_u8 (&w, NOISE_TYPE_ERROR);
  byte_writer_be16 (&w, (uint16_t)length);
  byte_writer_copy (&w, text, length);
  return w.pos;
}
