#include "wireguard/handshake.h"

#include <sodium.h>
#include <string.h>

#define CONSTRUCTION "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
#define IDENTIFIER   "WireGuard v1 zx2c4 Jason@zx2c4.com"
#define LABEL_MAC1   "mac1----"
#define LABEL_COOKIE "cookie--"

static const uint8_t zero_nonce[AEAD_NONCE_SIZE];

static void
mix_hash (uint8_t hash[BLAKE2S_SIZE], const void *data, size_t size)
{
  blake2s ((Slice[]){{hash, BLAKE2S_SIZE}, {data, size}}, 2, hash);
}

/* Mixes INPUT into CHAIN; with KEY not NULL also derives a key. */
static void
mix_key (uint8_t chain[BLAKE2S_SIZE], const void *input, size_t size, uint8_t key[AEAD_KEY_SIZE])
{
  uint8_t out[2][BLAKE2S_SIZE];

  kdf_blake2s (chain, input, size, out, key ? 2 : 1);
  memcpy (chain, out[0], BLAKE2S_SIZE);
  if (key)
    memcpy (key, out[1], AEAD_KEY_SIZE);
  sodium_memzero (out, sizeof out);
}

static bool
mix_dh (uint8_t chain[BLAKE2S_SIZE], const uint8_t private_key[KEY_SIZE],
        const uint8_t public_key[KEY_SIZE], uint8_t key[AEAD_KEY_SIZE])
{
  uint8_t shared[KEY_SIZE];

  bool ok = x25519 (private_key, public_key, shared);
  if (ok)
    mix_key (chain, shared, sizeof shared, key);
  sodium_memzero (shared, sizeof shared);
  return ok;
}

static void
start_chain (uint8_t chain[BLAKE2S_SIZE])
{
  blake2s (&(Slice){CONSTRUCTION, sizeof CONSTRUCTION - 1}, 1, chain);
}

/* The values that depend on nothing but the public key of whoever responds. */
static void
derive_public (const NodePublic *key, uint8_t hash[BLAKE2S_SIZE], uint8_t mac1_key[BLAKE2S_SIZE],
               uint8_t cookie_key[BLAKE2S_SIZE])
{
  start_chain (hash);
  mix_hash (hash, IDENTIFIER, sizeof IDENTIFIER - 1);
  mix_hash (hash, key->bytes, KEY_SIZE);
  blake2s ((Slice[]){{LABEL_MAC1, sizeof LABEL_MAC1 - 1}, {key->bytes, KEY_SIZE}}, 2, mac1_key);
  blake2s ((Slice[]){{LABEL_COOKIE, sizeof LABEL_COOKIE - 1}, {key->bytes, KEY_SIZE}}, 2,
           cookie_key);
}

void
wg_ephemeral_init (WgEphemeral *ephemeral, const uint8_t private_key[KEY_SIZE])
{
  memcpy (ephemeral->private_key, private_key, KEY_SIZE);
  key_public (private_key, ephemeral->public_key);
}

void
wg_identity_init (WgIdentity *identity, const NodePrivate *private_key)
{
  identity->private_key = *private_key;
  key_public (private_key->bytes, identity->public_key.bytes);
  derive_public (&identity->public_key, identity->hash, identity->mac1_key, identity->cookie_key);
}

bool
wg_remote_init (WgRemote *remote, const WgIdentity *identity, const NodePublic *public_key)
{
  remote->public_key = *public_key;
  derive_public (public_key, remote->hash, remote->mac1_key, remote->cookie_key);
  return x25519 (identity->private_key.bytes, public_key->bytes, remote->static_shared);
}

bool
wg_initiation_create (const WgIdentity *identity, const WgRemote *remote,
                      const WgEphemeral *ephemeral, const uint8_t timestamp[WG_TIMESTAMP_SIZE],
                      uint32_t local_index, WgInitiation *message, WgInitiator *state)
{
  uint8_t key[AEAD_KEY_SIZE];

  memset (message, 0, sizeof *message);
  store_le32 (&message->type, WG_MESSAGE_INITIATION);
  store_le32 (&message->sender, local_index);
  memcpy (message->ephemeral, ephemeral->public_key, KEY_SIZE);
  memcpy (state->ephemeral_private, ephemeral->private_key, KEY_SIZE);
  memcpy (state->hash, remote->hash, BLAKE2S_SIZE);
  start_chain (state->chain);
  state->local_index = local_index;

  mix_key (state->chain, message->ephemeral, KEY_SIZE, NULL);
  mix_hash (state->hash, message->ephemeral, KEY_SIZE);
  bool ok = mix_dh (state->chain, ephemeral->private_key, remote->public_key.bytes, key);
  if (ok) {
    aead_seal (key, zero_nonce, state->hash, BLAKE2S_SIZE, identity->public_key.bytes, KEY_SIZE,
               message->sealed_static);
    mix_hash (state->hash, message->sealed_static, sizeof message->sealed_static);
    mix_key (state->chain, remote->static_shared, KEY_SIZE, key);
    aead_seal (key, zero_nonce, state->hash, BLAKE2S_SIZE, timestamp, WG_TIMESTAMP_SIZE,
               message->sealed_timestamp);
    mix_hash (state->hash, message->sealed_timestamp, sizeof message->sealed_timestamp);
  }
  sodium_memzero (key, sizeof key);
  return ok;
}

bool
wg_initiation_open_static (const WgIdentity *identity, const WgInitiation *message,
                           WgResponder *state)
{
  uint8_t key[AEAD_KEY_SIZE];

  memcpy (state->ephemeral, message->ephemeral, KEY_SIZE);
  memcpy (state->hash, identity->hash, BLAKE2S_SIZE);
  start_chain (state->chain);
  state->remote_index = load_le32 (&message->sender);
  mix_key (state->chain, message->ephemeral, KEY_SIZE, NULL);
  mix_hash (state->hash, message->ephemeral, KEY_SIZE);
  bool ok = mix_dh (state->chain, identity->private_key.bytes, message->ephemeral, key)
            && aead_open (key, zero_nonce, state->hash, BLAKE2S_SIZE, message->sealed_static,
                          sizeof message->sealed_static, state->static_key.bytes);
  mix_hash (state->hash, message->sealed_static, sizeof message->sealed_static);
  sodium_memzero (key, sizeof key);
  return ok;
}

bool
wg_initiation_open_timestamp (const WgRemote *remote, const WgInitiation *message,
                              WgResponder *state)
{
  uint8_t key[AEAD_KEY_SIZE];

  mix_key (state->chain, remote->static_shared, KEY_SIZE, key);
  bool ok = aead_open (key, zero_nonce, state->hash, BLAKE2S_SIZE, message->sealed_timestamp,
                       sizeof message->sealed_timestamp, state->timestamp);
  mix_hash (state->hash, message->sealed_timestamp, sizeof message->sealed_timestamp);
  sodium_memzero (key, sizeof key);
  return ok;
}

/* Step 8 but for the AEAD: mixes the pre-shared key and yields the key of the empty payload. */
static void
mix_psk (uint8_t chain[BLAKE2S_SIZE], uint8_t hash[BLAKE2S_SIZE], const uint8_t psk[WG_PSK_SIZE],
         uint8_t key[AEAD_KEY_SIZE])
{
  uint8_t out[3][BLAKE2S_SIZE];

  kdf_blake2s (chain, psk, WG_PSK_SIZE, out, 3);
  memcpy (chain, out[0], BLAKE2S_SIZE);
  mix_hash (hash, out[1], BLAKE2S_SIZE);
  memcpy (key, out[2], AEAD_KEY_SIZE);
  sodium_memzero (out, sizeof out);
}

/* Step 9: the first key is the initiator's sending key. */
static void
split (const uint8_t chain[BLAKE2S_SIZE], bool initiator, WgSessionKeys *keys)
{
  uint8_t out[2][BLAKE2S_SIZE];

  kdf_blake2s (chain, NULL, 0, out, 2);
  memcpy (keys->send_key, out[initiator ? 0 : 1], AEAD_KEY_SIZE);
  memcpy (keys->receive_key, out[initiator ? 1 : 0], AEAD_KEY_SIZE);
  keys->initiator = initiator;
  sodium_memzero (out, sizeof out);
}

bool
wg_response_create (const WgRemote *remote, const WgResponder *state, const WgEphemeral *ephemeral,
                    const uint8_t psk[WG_PSK_SIZE], uint32_t local_index, WgResponse *message,
                    WgSessionKeys *keys)
{
  uint8_t chain[BLAKE2S_SIZE], hash[BLAKE2S_SIZE], key[AEAD_KEY_SIZE];

  memcpy (chain, state->chain, sizeof chain);
  memcpy (hash, state->hash, sizeof hash);
  memset (message, 0, sizeof *message);
  store_le32 (&message->type, WG_MESSAGE_RESPONSE);
  store_le32 (&message->sender, local_index);
  store_le32 (&message->receiver, state->remote_index);
  memcpy (message->ephemeral, ephemeral->public_key, KEY_SIZE);

  mix_key (chain, message->ephemeral, KEY_SIZE, NULL);
  mix_hash (hash, message->ephemeral, KEY_SIZE);
  bool ok = mix_dh (chain, ephemeral->private_key, state->ephemeral, NULL)
            && mix_dh (chain, ephemeral->private_key, remote->public_key.bytes, NULL);
  if (ok) {
    mix_psk (chain, hash, psk, key);
    aead_seal (key, zero_nonce, hash, BLAKE2S_SIZE, NULL, 0, message->sealed_nothing);
    split (chain, false, keys);
    keys->local_index = local_index;
    keys->remote_index = state->remote_index;
  }
  sodium_memzero (chain, sizeof chain);
  sodium_memzero (key, sizeof key);
  return ok;
}

bool
wg_response_open (const WgIdentity *identity, const WgInitiator *state,
                  const uint8_t psk[WG_PSK_SIZE], const WgResponse *message, WgSessionKeys *keys)
{
  uint8_t chain[BLAKE2S_SIZE], hash[BLAKE2S_SIZE], key[AEAD_KEY_SIZE] = {0};
  uint8_t nothing[1];

  memcpy (chain, state->chain, sizeof chain);
  memcpy (hash, state->hash, sizeof hash);
  mix_key (chain, message->ephemeral, KEY_SIZE, NULL);
  mix_hash (hash, message->ephemeral, KEY_SIZE);
  bool ok = mix_dh (chain, state->ephemeral_private, message->ephemeral, NULL)
            && mix_dh (chain, identity->private_key.bytes, message->ephemeral, NULL);
  if (ok) {
    mix_psk (chain, hash, psk, key);
    ok = aead_open (key, zero_nonce, hash, BLAKE2S_SIZE, message->sealed_nothing,
                    sizeof message->sealed_nothing, nothing);
  }
  if (ok) {
    split (chain, true, keys);
    keys->local_index = state->local_index;
    keys->remote_index = load_le32 (&message->sender);
  }
  sodium_memzero (chain, sizeof chain);
  sodium_memzero (key, sizeof key);
  return ok;
}
