/* The one place where received packets are decrypted, and the counterpart of seal.h. One Opener per
 * worker. spec/wireguard-dataplane.md §11.2. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One message: ciphertext and tag in place. */
typedef struct
{
  uint8_t *data;    /* ciphertext, becomes plaintext */
  uint32_t size;    /* with the tag, >= 16 */
  uint64_t counter; /* nonce */
  bool ok;          /* result: authentic. If not, the bytes are zeroed */
} OpenItem;

typedef struct Opener Opener;

Opener *opener_new (void);
void opener_free (Opener *opener);

/* Decrypts N messages of one session. */
void open_batch (Opener *opener, const uint8_t key[32], OpenItem *items, size_t n);

/* Forgets the last key. */
void opener_forget (Opener *opener);
