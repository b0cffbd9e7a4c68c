#include "tunnel/seal.h"

#include "base/bytes.h"
#include "tunnel/cipher-batch.h"
#include "wireguard/messages.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct Sealer
{
  EVP_CIPHER *cipher;
  EVP_CIPHER_CTX *context;
  bool batches; /* this processor can do many at once */
};

Sealer *
sealer_new (void)
{
  const uint8_t zero[AEAD_KEY_SIZE] = {0};
  Sealer *sealer = calloc (1, sizeof *sealer);

  if (sealer == NULL)
    abort ();
  sealer->cipher = EVP_CIPHER_fetch (NULL, "ChaCha20-Poly1305", NULL);
  sealer->context = EVP_CIPHER_CTX_new ();
  sealer->batches = cipher_batch_available ();
  if (sealer->cipher == NULL || sealer->context == NULL
      || EVP_EncryptInit_ex2 (sealer->context, sealer->cipher, zero, zero, NULL) != 1)
    abort ();
  return sealer;
}

void
sealer_free (Sealer *sealer)
{
  if (sealer == NULL)
    return;
  EVP_CIPHER_CTX_free (sealer->context);
  EVP_CIPHER_free (sealer->cipher);
  free (sealer);
}

/* OpenSSL fails here only when it is misused: no input can cause it. */
static void
must (int result)
{
  if (result != 1)
    abort ();
}

static void
seal_one (Sealer *sealer, const uint8_t *key, uint8_t *body, size_t size, uint64_t counter)
{
  uint8_t nonce[AEAD_NONCE_SIZE] = {0};
  int plain = (int)size, length;

  store_le64 (nonce + 4, counter);
  must (EVP_EncryptInit_ex2 (sealer->context, NULL, key, nonce, NULL));
  must (EVP_EncryptUpdate (sealer->context, body, &length, body, plain));
  must (EVP_EncryptFinal_ex (sealer->context, body + plain, &length));
  must (EVP_CIPHER_CTX_ctrl (sealer->context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, body + plain));
}

void
seal_run (Sealer *sealer, const uint8_t key[32], uint32_t remote_index, uint64_t first,
          const Run *run)
{
  uint32_t equal = run->last == run->segment ? run->n : run->n - 1;
  uint32_t i = 0;
  bool keyed = false;

  for (uint32_t k = 0; k < run->n; k++)
    wg_transport_write (run->data + (size_t)k * run->segment, remote_index, first + k);
  while (sealer->batches && i < equal) {
    uint8_t *messages[CIPHER_BATCH];
    uint64_t counters[CIPHER_BATCH];
    uint32_t n = equal - i < CIPHER_BATCH ? equal - i : CIPHER_BATCH;

    if (!cipher_batch_pays (n, run->segment - WG_TRANSPORT_OVERHEAD))
      break;
    for (uint32_t k = 0; k < n; k++) {
      messages[k] = run->data + (size_t)(i + k) * run->segment + WG_TRANSPORT_HEADER_SIZE;
      counters[k] = first + i + k;
    }
    cipher_batch_seal (key, messages, counters, n, run->segment - WG_TRANSPORT_OVERHEAD);
    i += n;
  }
  for (; i < run->n; i++) {
    uint32_t size = i + 1 < run->n ? run->segment : run->last;

    seal_one (sealer, keyed ? NULL : key,
              run->data + (size_t)i * run->segment + WG_TRANSPORT_HEADER_SIZE,
              size - WG_TRANSPORT_OVERHEAD, first + i);
    keyed = true;
  }
}

void
sealer_forget (Sealer *sealer)
{
  const uint8_t zero[AEAD_KEY_SIZE] = {0};

  must (EVP_EncryptInit_ex2 (sealer->context, NULL, zero, zero, NULL));
}
