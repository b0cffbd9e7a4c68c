/* What an identity provider tells of itself (OpenID Connect Discovery 1.0 §3). Used by oidc.c
 * alone; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define OIDC_URL_MAX 2048

/* Empty texts: not told. */
typedef struct
{
  char authorize_url[OIDC_URL_MAX], token_url[OIDC_URL_MAX];
  char keys_url[OIDC_URL_MAX], userinfo_url[OIDC_URL_MAX];
  bool secret_in_form; /* our secret goes into the form, not into a header */
} OidcProvider;

/* Reads the metadata of ISSUER. False when it is not its, or what we need is missing or less safe
 * than the issuer's own address. */
bool oidc_provider_read (OidcProvider *provider, const char *issuer, const void *data, size_t size);
