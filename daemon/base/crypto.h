/* The primitives that Noise, WireGuard and disco are made of, under the names their papers use.
 *
 * BLAKE2s and ChaCha20-Poly1305 come from OpenSSL, X25519 and NaCl boxes from libsodium. Contexts
 * are kept per thread, so that no call allocates after the first one of its thread. Bulk encryption
 * of packets is tunnel's business and does not go through here. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLAKE2S_SIZE    32
#define AEAD_KEY_SIZE   32
#define AEAD_TAG_SIZE   16
#define AEAD_NONCE_SIZE 12
#define BOX_NONCE_SIZE  24
#define BOX_TAG_SIZE    16

/* One piece of a message that is hashed as if its pieces were joined. */
typedef struct
{
  const void *data;
  size_t size;
} Slice;

/* Unkeyed BLAKE2s-256 over COUNT slices. */
void blake2s (const Slice *slices, size_t count, uint8_t out[BLAKE2S_SIZE]);

/* Keyed BLAKE2s with an output of 16 bytes; KEY_SIZE 1..32. WireGuard's MAC. */
void blake2s_mac (const void *key, size_t key_size, const void *data, size_t size, uint8_t out[16]);

/* HMAC (RFC 2104) over BLAKE2s-256. */
void hmac_blake2s (const void *key, size_t key_size, const Slice *slices, size_t count,
                   uint8_t out[BLAKE2S_SIZE]);

/* HKDF as Noise and WireGuard use it: the first COUNT (1..3) outputs from chaining key and input.
 */
void kdf_blake2s (const uint8_t chaining_key[BLAKE2S_SIZE], const void *input, size_t input_size,
                  uint8_t (*out)[BLAKE2S_SIZE], size_t count);

/* ChaCha20-Poly1305 (RFC 8439). Seal writes SIZE + 16 bytes, open SIZE - 16; in and out may be the
 * same address. Open returns false on a wrong tag or SIZE < 16, and then OUT is all zeros. */
void aead_seal (const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
                const void *ad, size_t ad_size, const void *in, size_t size, void *out);
bool aead_open (const uint8_t key[AEAD_KEY_SIZE], const uint8_t nonce[AEAD_NONCE_SIZE],
                const void *ad, size_t ad_size, const void *in, size_t size, void *out);

/* XChaCha20-Poly1305 with a nonce of 24 bytes (cookie replies). Same rules. */
void xaead_seal (const uint8_t key[32], const uint8_t nonce[24], const void *ad, size_t ad_size,
                 const void *in, size_t size, void *out);
bool xaead_open (const uint8_t key[32], const uint8_t nonce[24], const void *ad, size_t ad_size,
                 const void *in, size_t size, void *out);

/* X25519; false when the result is all zeros, which every protocol here must refuse. */
bool x25519 (const uint8_t private_key[32], const uint8_t public_key[32], uint8_t out[32]);

/* NaCl crypto_box. box_shared computes the key of a pair once; seal writes tag then ciphertext,
 * SIZE + 16 bytes; open writes SIZE - 16 and returns false when the box is not authentic. */
bool box_shared (const uint8_t private_key[32], const uint8_t public_key[32], uint8_t out[32]);
void box_seal (const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE], const void *in,
               size_t size, void *out);
bool box_open (const uint8_t shared[32], const uint8_t nonce[BOX_NONCE_SIZE], const void *in,
               size_t size, void *out);
