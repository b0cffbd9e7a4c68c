#include "tunnel/open.h"

#include "base/bytes.h"
#include "base/crypto.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct Opener
{
  EVP_CIPHER *cipher;
  EVP_CIPHER_CTX *context;
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

void
open_batch (Opener *opener, const uint8_t key[32], OpenItem *items, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    items[i].ok = open_one (opener, i == 0 ? key : NULL, &items[i]);
    if (!items[i].ok)
      memset (items[i].data, 0, items[i].size);
  }
}

void
opener_forget (Opener *opener)
{
  const uint8_t zero[AEAD_KEY_SIZE] = {0};

  EVP_DecryptInit_ex2 (opener->context, NULL, zero, zero, NULL);
}
