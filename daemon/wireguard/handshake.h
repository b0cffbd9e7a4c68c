/* The cryptography of the handshake: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, step by step.
 *
 * Pure functions over messages and keys; who may talk, when, and how often is decided in device.c.
 * Fills and reads everything of a message but mac1 and mac2 (wireguard/cookie.h).
 * spec/wireguard-dataplane.md §3. Net thread. */
#pragma once

#include "wireguard/messages.h"
#include "wireguard/session.h"

/* Our static key and what follows from it. Wiped by its owner. */
typedef struct
{
  NodePrivate private_key;
  NodePublic public_key;
  uint8_t hash[BLAKE2S_SIZE]; /* of a handshake in which we respond, before message 1 */
  uint8_t mac1_key[BLAKE2S_SIZE];
  uint8_t cookie_key[BLAKE2S_SIZE];
} WgIdentity;

/* A peer's static key and what follows from it together with ours. Wiped by its owner. */
typedef struct
{
  NodePublic public_key;
  uint8_t static_shared[KEY_SIZE]; /* X25519 of both static keys */
  uint8_t hash[BLAKE2S_SIZE];      /* of a handshake in which the peer responds */
  uint8_t mac1_key[BLAKE2S_SIZE];
  uint8_t cookie_key[BLAKE2S_SIZE];
} WgRemote;

/* The key pair of one handshake. Wiped by its owner. */
typedef struct
{
  uint8_t private_key[KEY_SIZE];
  uint8_t public_key[KEY_SIZE];
} WgEphemeral;

/* What the initiator keeps between message 1 and message 2. */
typedef struct
{
  uint8_t ephemeral_private[KEY_SIZE];
  uint8_t hash[BLAKE2S_SIZE];
  uint8_t chain[BLAKE2S_SIZE];
  uint32_t local_index;
} WgInitiator;

/* What the responder has learned from message 1. */
typedef struct
{
  uint8_t ephemeral[KEY_SIZE];
  uint8_t hash[BLAKE2S_SIZE];
  uint8_t chain[BLAKE2S_SIZE];
  NodePublic static_key;
  uint8_t timestamp[WG_TIMESTAMP_SIZE];
  uint32_t remote_index;
} WgResponder;

/* The pair of PRIVATE_KEY. One X25519. */
void wg_ephemeral_init (WgEphemeral *ephemeral, const uint8_t private_key[KEY_SIZE]);

void wg_identity_init (WgIdentity *identity, const NodePrivate *private_key);

/* False when the peer's key is a point that no honest peer has. */
bool wg_remote_init (WgRemote *remote, const WgIdentity *identity, const NodePublic *public_key);

/* Message 1. All functions below return false when a Diffie-Hellman result is zero or a part is not
 * authentic; outputs are then unspecified and hold no secret worth keeping. */
bool wg_initiation_create (const WgIdentity *identity, const WgRemote *remote,
                           const WgEphemeral *ephemeral, const uint8_t timestamp[WG_TIMESTAMP_SIZE],
                           uint32_t local_index, WgInitiation *message, WgInitiator *state);

/* Message 1, first part: who claims to send it (steps 2-4). One X25519. */
bool wg_initiation_open_static (const WgIdentity *identity, const WgInitiation *message,
                                WgResponder *state);

/* Message 1, second part: proof that it is REMOTE, and the timestamp (step 5). */
bool wg_initiation_open_timestamp (const WgRemote *remote, const WgInitiation *message,
                                   WgResponder *state);

/* Message 2 and the session's keys; keys->created_us is left to the caller. */
bool wg_response_create (const WgRemote *remote, const WgResponder *state,
                         const WgEphemeral *ephemeral, const uint8_t psk[WG_PSK_SIZE],
                         uint32_t local_index, WgResponse *message, WgSessionKeys *keys);

/* Message 2 at the initiator. STATE is not changed: a forged answer spoils nothing. */
bool
wg_response_open (const WgIdentity *identity, const WgInitiator *state,
                  const uint8_t psk[WG_PSK_SIZE], const WgResponse *message, WgSessionKeys *keys);
