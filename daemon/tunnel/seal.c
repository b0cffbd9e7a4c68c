#include "tunnel/seal.h"

#include "base/bytes.h"
#include "wireguard/messages.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct Sealer
{
  EVP_CIPHER *cipher;
  EVP_CIPHER_CTX *context;
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

void
seal_run (Sealer *sealer, const uint8_t key[32], uint32_t remote_index, uint64_t first,
          const Run *run)
{
  uint8_t nonce[AEAD_NONCE_SIZE] = {0};
  uint8_t *message = run->data;
  int length;

  for (uint32_t i = 0; i < run->n; i++, message += run->segment) {
    uint32_t size = i + 1 < run->n ? run->segment : run->last;
    int plain = (int)(size - WG_TRANSPORT_OVERHEAD);
    uint8_t *body = message + WG_TRANSPORT_HEADER_SIZE;

    wg_transport_write (message, remote_index, first + i);
    store_le64 (nonce + 4, first + i);
    must (EVP_EncryptInit_ex2 (sealer->context, NULL, i == 0 ? key : NULL, nonce, NULL));
    must (EVP_EncryptUpdate (sealer->context, body, &length, body, plain));
    must (EVP_EncryptFinal_ex (sealer->context, body + plain, &length));
    must (
        EVP_CIPHER_CTX_ctrl (sealer->context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, body + plain));
  }
}

void
sealer_forget (Sealer *sealer)
{
  const uint8_t zero[AEAD_KEY_SIZE] = {0};

  must (EVP_EncryptInit_ex2 (sealer->context, NULL, zero, zero, NULL));
}
