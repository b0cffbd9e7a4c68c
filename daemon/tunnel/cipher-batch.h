/* ChaCha20-Poly1305 of up to sixteen messages of one size and one key at once, for processors with
 * AVX-512 and its 52-bit multiply-add; others use OpenSSL (seal.c, open.c).
 *
 * One message per lane: sixteen lanes of ChaCha20, twice eight of Poly1305 in limbs of 44 bits. No
 * branch and no address depends on secrets. spec/wireguard-dataplane.md §11.3. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CIPHER_BATCH 16

bool cipher_batch_available (void);

/* A batch costs the same however many lanes are in use: is it cheaper for N messages of SIZE bytes
 * than OpenSSL, one by one? From measurements. */
static inline bool
cipher_batch_pays (size_t n, size_t size)
{
  return n * (500 + size / 2) > 600 + 5 * size;
}

/* Encrypts N (1..16) messages of SIZE bytes in place, message I with the nonce 0^32 ‖ COUNTERS[I],
 * and writes the tag behind each. */
void cipher_batch_seal (const uint8_t key[32], uint8_t *const *messages, const uint64_t *counters,
                        size_t n, size_t size);

/* The reverse; bit I of the result tells that message I was authentic. The others hold garbage. */
uint32_t cipher_batch_open (const uint8_t key[32], uint8_t *const *messages,
                            const uint64_t *counters, size_t n, size_t size);
