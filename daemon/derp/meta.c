#include "derp/meta.h"

#include "base/bytes.h"

#include <openssl/x509.h>
#include <string.h>

static const char meta_prefix[] = "derpkey";

/* The serial number is the protocol version: one byte, not zero. */
static bool
has_version_as_serial (X509 *certificate)
{
  const ASN1_INTEGER *serial = X509_get0_serialNumber (certificate);

  return ASN1_STRING_length (serial) == 1 && ASN1_STRING_get0_data (serial)[0] != 0;
}

bool
derp_meta_key (X509 *certificate, DerpPublic *key)
{
  char name[128];
  size_t prefix = strlen (meta_prefix);
  int length = X509_NAME_get_text_by_NID (X509_get_subject_name (certificate), NID_commonName, name,
                                          sizeof name);

  return length == (int)(prefix + 2 * KEY_SIZE) && strncmp (name, meta_prefix, prefix) == 0
         && has_version_as_serial (certificate)
         && hex_decode (name + prefix, 2 * KEY_SIZE, key->bytes, KEY_SIZE);
}

bool
derp_fast_start_key (const Tls *tls, DerpPublic *key)
{
  if (tls_version (tls) < TLS1_3_VERSION)
    return false;
  for (size_t i = 0; i < tls_peer_certificates (tls); i++)
    if (derp_meta_key (tls_peer_certificate (tls, i), key))
      return true;
  return false;
}
