/* Makes key pairs, key sets and tokens as an identity provider does, and as a forger would. For
 * tests of jwt.h and oidc.h. */
#pragma once

#include <glib.h>
#include <openssl/evp.h>
#include <stdbool.h>

typedef struct
{
  EVP_PKEY *key;
  const char *id;
  const char *algorithm; /* "RS256", "ES256" */
} TokenKey;

TokenKey token_key_new (const char *algorithm, const char *id);
void token_key_clear (TokenKey *key);

/* {"keys":[…]} of N keys; free with g_free. */
char *token_key_set (const TokenKey *keys, size_t n);

/* "header.payload.signature", signed as KEY's algorithm says whatever HEADER does. HEADER NULL: the
 * right one. */
char *token_make (const TokenKey *key, const char *header, const char *payload);
/* The same with HMAC-SHA256 by the bytes of SECRET. */
char *token_make_hmac (const char *secret, const char *header, const char *payload);
/* The same without a signature. */
char *token_make_unsigned (const char *header, const char *payload);
