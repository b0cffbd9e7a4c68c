/* Noise_IK_25519_ChaChaPoly_BLAKE2s as the control protocol uses it, both roles
 * (control-protocol.md §5.2, §5.3).
 *
 * Only the handshake: bytes of the two messages with their frame headers in and out, transport keys
 * as the result. The record layer is noise-record.h; WireGuard's handshake is another one and lives
 * in wireguard/. Any thread. */
#pragma once

#include "base/crypto.h"
#include "base/key.h"
#include "base/random.h"

#define NOISE_INITIATION_SIZE 101
#define NOISE_RESPONSE_SIZE   51
#define NOISE_HEADER_SIZE     3 /* type and length of every frame but the initiation */
#define NOISE_ERROR_MAX       1024

#define NOISE_TYPE_INITIATION 1
#define NOISE_TYPE_RESPONSE   2
#define NOISE_TYPE_ERROR      3
#define NOISE_TYPE_RECORD     4

/* The result of a handshake, for one side. */
typedef struct
{
  uint8_t send_key[AEAD_KEY_SIZE];
  uint8_t receive_key[AEAD_KEY_SIZE];
  uint8_t hash[BLAKE2S_SIZE]; /* channel binding */
} NoiseKeys;

void noise_keys_clear (NoiseKeys *keys);

/* The client between its two messages. Wipe with noise_initiator_clear. */
typedef struct
{
  uint8_t hash[BLAKE2S_SIZE];
  uint8_t chaining_key[BLAKE2S_SIZE];
  uint8_t ephemeral[KEY_SIZE];
  MachinePrivate machine;
} NoiseInitiator;

/* Writes the initiation for capability VERSION with a fresh ephemeral key. False when SERVER is a
 * point of small order. */
bool noise_initiator_start (NoiseInitiator *n, const MachinePrivate *machine,
                            const MachinePublic *server, uint16_t version, Random *random,
                            uint8_t out[NOISE_INITIATION_SIZE]);

/* Checks the server's response (with its header). False: not authentic, close. */
bool noise_initiator_finish (NoiseInitiator *n, const uint8_t response[NOISE_RESPONSE_SIZE],
                             NoiseKeys *out);
void noise_initiator_clear (NoiseInitiator *n);

typedef enum
{
  NOISE_OK,
  NOISE_BAD_TYPE,   /* "unexpected handshake message type" */
  NOISE_BAD_LENGTH, /* "wrong handshake initiation length" */
  NOISE_BAD_CRYPTO, /* not meant for this server, or tampered with */
} NoiseResult;

/* The whole server side: checks INITIATION and writes the response. On NOISE_OK *client and
 * *version are the client's. */
NoiseResult
noise_respond (const MachinePrivate *server, const uint8_t initiation[NOISE_INITIATION_SIZE],
               Random *random, MachinePublic *client, uint16_t *version,
               uint8_t out[NOISE_RESPONSE_SIZE], NoiseKeys *keys);

/* Writes an error frame with TEXT (cut at NOISE_ERROR_MAX); returns its size. */
size_t noise_error_frame (const char *text, uint8_t out[NOISE_HEADER_SIZE + NOISE_ERROR_MAX]);
