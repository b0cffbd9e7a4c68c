#include "tunnel/open.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "tunnel/cipher-batch.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct Opener
{
  EVP_CIPHER *cipher;
  EVP_CIPHER_CTX *context;
  bool batches; /* this processor can do many at once */
};

Opener *
opener_new (void)
{
  const uint8_t zero[AEAD_KEY_SIZE] = {0};
  Opener *opener = calloc (1, sizeof *opener);

  if (opener == NULL)
    abort ();
  opener->cipher = EVP_CIPHER_fetch (NULL, "ChaCha20-Poly1305", NULL);
  opener->context = EVP_CIPHER_CTX_new ();
  opener->batches = cipher_batch_available ();
  if (opener->cipher == NULL || opener->context == NULL
      || EVP_DecryptInit_ex2 (opener->context, opener->cipher, zero, zero, NULL) != 1)
    abort ();
  return opener;
}

void
opener_free (Opener *opener)
{
  if (opener == NULL)
    return;
  EVP_CIPHER_CTX_free (opener->context);
  EVP_CIPHER_free (opener->cipher);
  free (opener);
}

static bool
open_one (Opener *opener, const uint8_t *key, OpenItem *item)
{
  uint8_t nonce[AEAD_NONCE_SIZE] = {0};
  int size = (int)(item->size - AEAD_TAG_SIZE);
  int length;

  store_le64 (nonce + 4, item->counter);
  return EVP_DecryptInit_ex2 (opener->context, NULL, key, nonce, NULL) == 1
         && EVP_CIPHER_CTX_ctrl (opener->context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE,
                                 item->data + size)
                == 1
         && EVP_DecryptUpdate (opener->context, item->data, &length, item->data, size) == 1
         && EVP_DecryptFinal_ex (opener->context, item->data + size, &length) == 1;
}

/* How many of the items from the first on have its size, up to a batch. */
static size_t
equal_sizes (const OpenItem *items, size_t n)
{
  size_t equal = 1;

  while (equal < n && equal < CIPHER_BATCH && items[equal].size == items[0].size)
    equal++;
  return equal;
}

static void
open_equal (const uint8_t *key, OpenItem *items, size_t n)
{
  uint8_t *messages[CIPHER_BATCH];
  uint64_t counters[CIPHER_BATCH];
  uint32_t good;

  for (size_t i = 0; i < n; i++) {
    messages[i] = items[i].data;
    counters[i] = items[i].counter;
  }
  good = cipher_batch_open (key, messages, counters, n, items[0].size - AEAD_TAG_SIZE);
  for (size_t i = 0; i < n; i++)
    items[i].ok = (good >> i & 1) != 0;
}

void
open_batch (Opener *opener, const uint8_t key[32], OpenItem *items, size_t n)
{
  bool keyed = false;

  for (size_t i = 0, step; i < n; i += step) {
    step = opener->batches ? equal_sizes (items + i, n - i) : 1;
    if (opener->batches && cipher_batch_pays (step, items[i].size - AEAD_TAG_SIZE)) {
      open_equal (key, items + i, step);
      continue;
    }
    step = 1;
    items[i].ok = open_one (opener, keyed ? NULL : key, &items[i]);
    keyed = true;
  }
  for (size_t i = 0; i < n; i++)
    if (!items[i].ok)
      memset (items[i].data, 0, items[i].size);
}

void
opener_forget (Opener *opener)
{
  const uint8_t zero[AEAD_KEY_SIZE] = {0};

  EVP_DecryptInit_ex2 (opener->context, NULL, zero, zero, NULL);
}
