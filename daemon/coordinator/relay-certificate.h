/* The relay's self-made certificate, pinned in the relay map (spec/derp.md §6.7). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  char *certificate_pem; /* malloc'd */
  char *key_pem;         /* malloc'd; wiped by relay_certificate_clear */
  char pin[80];          /* "sha256-raw:<hex>" */
} RelayCertificate;

/* ECDSA P-256 for HOST (a name or an address), one year from yesterday. False when the library
 * fails. */
bool relay_certificate_make (const char *host, RelayCertificate *out);

/* The certificate in PEM texts: fills the pin. False when they are not a pair or expire within 30
 * days. */
bool
relay_certificate_load (const char *certificate_pem, const char *key_pem, RelayCertificate *out);
/* The meta certificate that tells the relay's key in the TLS handshake (§3.4): DER, malloc'd. */
bool relay_certificate_meta (const uint8_t server_key[32], uint8_t **der, size_t *size);
void relay_certificate_clear (RelayCertificate *certificate);
