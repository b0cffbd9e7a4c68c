#include "token-maker.h"

#include "base/bytes.h"
#include "coordinator/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <string.h>

TokenKey
token_key_new (const char *algorithm, const char *id)
{
  bool rsa = strcmp (algorithm, "RS256") == 0;
  EVP_PKEY *key = rsa ? EVP_RSA_gen (2048) : EVP_EC_gen ("P-256");

  g_assert_nonnull (key);
  return (TokenKey){key, id, algorithm};
}

void
token_key_clear (TokenKey *key)
{
  EVP_PKEY_free (key->key);
}

static char *
encode (const void *data, size_t size)
{
  char *text = g_malloc (base64_encoded_size (size) + 1);

  base64url_encode (data, size, text);
  return text;
}

static char *
number (EVP_PKEY *key, const char *name, int size)
{
  BIGNUM *value = NULL;
  uint8_t bytes[512];

  g_assert_true (EVP_PKEY_get_bn_param (key, name, &value));
  int n = size ? size : BN_num_bytes (value);
  g_assert_true (BN_bn2binpad (value, bytes, n) == n);
  BN_free (value);
  return encode (bytes, (size_t)n);
}

char *
token_key_set (const TokenKey *keys, size_t n)
{
  GString *out = g_string_new ("{\"keys\":[");

  for (size_t i = 0; i < n; i++) {
    bool rsa = strcmp (keys[i].algorithm, "RS256") == 0;
    g_autofree char *first
        = number (keys[i].key, rsa ? OSSL_PKEY_PARAM_RSA_N : OSSL_PKEY_PARAM_EC_PUB_X,
                  rsa ? 0 : 32);
    g_autofree char *second
        = number (keys[i].key, rsa ? OSSL_PKEY_PARAM_RSA_E : OSSL_PKEY_PARAM_EC_PUB_Y,
                  rsa ? 0 : 32);
    g_string_append_printf (out, "%s{\"kid\":\"%s\",\"use\":\"sig\",", i > 0 ? "," : "",
                            keys[i].id);
    g_string_append_printf (out,
                            rsa ? "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}"
                                : "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
                            first, second);
  }
  g_string_append (out, "]}");
  return g_string_free (out, FALSE);
}

static char *
signing_input (const char *header, const char *payload)
{
  g_autofree char *first = encode (header, strlen (header));
  g_autofree char *second = encode (payload, strlen (payload));

  return g_strdup_printf ("%s.%s", first, second);
}

/* r and s side by side instead of DER. */
static size_t
flatten (uint8_t *signature, size_t size)
{
  const uint8_t *at = signature;
  ECDSA_SIG *both = d2i_ECDSA_SIG (NULL, &at, (long)size);

  g_assert_nonnull (both);
  BN_bn2binpad (ECDSA_SIG_get0_r (both), signature, 32);
  BN_bn2binpad (ECDSA_SIG_get0_s (both), signature + 32, 32);
  ECDSA_SIG_free (both);
  return 64;
}

char *
token_make (const TokenKey *key, const char *header, const char *payload)
{
  g_autofree char *right
      = g_strdup_printf ("{\"alg\":\"%s\",\"kid\":\"%s\"}", key->algorithm, key->id);
  g_autofree char *input = signing_input (header ? header : right, payload);
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  uint8_t signature[512];
  size_t size = sizeof signature;

  g_assert_true (EVP_DigestSignInit (context, NULL, EVP_sha256 (), NULL, key->key) == 1);
  g_assert_true (EVP_DigestSign (context, signature, &size, (uint8_t *)input, strlen (input)) == 1);
  EVP_MD_CTX_free (context);
  if (strcmp (key->algorithm, "ES256") == 0)
    size = flatten (signature, size);
  g_autofree char *last = encode (signature, size);
  return g_strdup_printf ("%s.%s", input, last);
}

char *
token_make_hmac (const char *secret, const char *header, const char *payload)
{
  g_autofree char *input = signing_input (header, payload);
  uint8_t mac[32];
  unsigned size = sizeof mac;

  HMAC (EVP_sha256 (), secret, (int)strlen (secret), (uint8_t *)input, strlen (input), mac, &size);
  g_autofree char *last = encode (mac, size);
  return g_strdup_printf ("%s.%s", input, last);
}

char *
token_make_unsigned (const char *header, const char *payload)
{
  g_autofree char *input = signing_input (header, payload);

  return g_strdup_printf ("%s.", input);
}
