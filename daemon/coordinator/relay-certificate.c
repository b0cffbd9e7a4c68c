#include "coordinator/relay-certificate.h"

#include "base/bytes.h"
#include "base/ip.h"
#include "base/memory.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY  86400L
#define LIFE (365 * DAY)

static bool
add_extension (X509 *certificate, int nid, const char *value)
{
  X509_EXTENSION *extension = X509V3_EXT_conf_nid (NULL, NULL, nid, value);
  bool ok = extension && X509_add_ext (certificate, extension, -1) == 1;

  X509_EXTENSION_free (extension);
  return ok;
}

static bool
add_extensions (X509 *certificate, const char *host)
{
  char names[400];
  IpAddr addr;
  const char *kind = ip_parse (host, strlen (host), &addr) ? "IP" : "DNS";

  snprintf (names, sizeof names, "%s:%s", kind, host);
  return add_extension (certificate, NID_basic_constraints, "critical,CA:FALSE")
         && add_extension (certificate, NID_key_usage, "critical,digitalSignature")
         && add_extension (certificate, NID_ext_key_usage, "serverAuth")
         && add_extension (certificate, NID_subject_alt_name, names);
}

static bool
set_serial (X509 *certificate)
{
  uint8_t bytes[16];
  BIGNUM *number;

  if (RAND_bytes (bytes, sizeof bytes) != 1)
    return false;
  bytes[0] &= 0x7f;
  number = BN_bin2bn (bytes, sizeof bytes, NULL);
  bool ok = number && BN_to_ASN1_INTEGER (number, X509_get_serialNumber (certificate));
  BN_free (number);
  return ok;
}

static char *
bio_text (BIO *bio)
{
  char *data;
  long size = BIO_get_mem_data (bio, &data);

  return mem_strndup (data, (size_t)size);
}

static bool
set_pin (X509 *certificate, RelayCertificate *out)
{
  uint8_t *der = NULL, hash[SHA256_DIGEST_LENGTH];
  int size = i2d_X509 (certificate, &der);

  if (size < 0)
    return false;
  SHA256 (der, (size_t)size, hash);
  OPENSSL_free (der);
  strcpy (out->pin, "sha256-raw:");
  hex_encode (hash, sizeof hash, out->pin + strlen (out->pin));
  return true;
}

static bool
write_pem (X509 *certificate, EVP_PKEY *key, RelayCertificate *out)
{
  BIO *a = BIO_new (BIO_s_mem ()), *b = BIO_new (BIO_s_secmem ());
  bool ok = a && b && PEM_write_bio_X509 (a, certificate) == 1
            && PEM_write_bio_PrivateKey (b, key, NULL, NULL, 0, NULL, NULL) == 1;

  if (ok) {
    out->certificate_pem = bio_text (a);
    out->key_pem = bio_text (b);
  }
  BIO_free (a);
  BIO_free (b);
  return ok;
}

bool
relay_certificate_make (const char *host, RelayCertificate *out)
{
  EVP_PKEY *key = EVP_EC_gen ("P-256");
  X509 *certificate = X509_new ();
  bool ok = key && certificate && X509_set_version (certificate, X509_VERSION_3) == 1
            && set_serial (certificate) && X509_gmtime_adj (X509_getm_notBefore (certificate), -DAY)
            && X509_gmtime_adj (X509_getm_notAfter (certificate), LIFE - DAY)
            && X509_NAME_add_entry_by_txt (X509_get_subject_name (certificate), "CN", MBSTRING_UTF8,
                                           (const unsigned char *)host, -1, -1, 0)
                   == 1
            && X509_set_issuer_name (certificate, X509_get_subject_name (certificate)) == 1
            && X509_set_pubkey (certificate, key) == 1 && add_extensions (certificate, host)
            && X509_sign (certificate, key, EVP_sha256 ()) > 0;

  *out = (RelayCertificate){0};
  ok = ok && write_pem (certificate, key, out) && set_pin (certificate, out);
  X509_free (certificate);
  EVP_PKEY_free (key);
  return ok;
}

bool
relay_certificate_load (const char *certificate_pem, const char *key_pem, RelayCertificate *out)
{
  BIO *a = BIO_new_mem_buf (certificate_pem, -1), *b = BIO_new_mem_buf (key_pem, -1);
  X509 *certificate = a ? PEM_read_bio_X509 (a, NULL, NULL, NULL) : NULL;
  EVP_PKEY *key = b ? PEM_read_bio_PrivateKey (b, NULL, NULL, NULL) : NULL;
  time_t soon = time (NULL) + 30 * DAY;
  bool ok = certificate && key && X509_check_private_key (certificate, key) == 1
            && X509_cmp_time (X509_get0_notAfter (certificate), &soon) > 0;

  *out = (RelayCertificate){0};
  if (ok && set_pin (certificate, out)) {
    out->certificate_pem = mem_strndup (certificate_pem, strlen (certificate_pem));
    out->key_pem = mem_strndup (key_pem, strlen (key_pem));
  }
  X509_free (certificate);
  EVP_PKEY_free (key);
  BIO_free (a);
  BIO_free (b);
  return ok;
}

void
relay_certificate_clear (RelayCertificate *certificate)
{
  if (certificate->key_pem)
    sodium_memzero (certificate->key_pem, strlen (certificate->key_pem));
  free (certificate->certificate_pem);
  free (certificate->key_pem);
  *certificate = (RelayCertificate){0};
}

bool
relay_certificate_meta (const uint8_t server_key[32], uint8_t **der, size_t *size)
{
  EVP_PKEY *key = EVP_PKEY_Q_keygen (NULL, NULL, "ED25519");
  X509 *certificate = X509_new ();
  char name[80] = "derpkey";
  uint8_t *bytes = NULL;
  int n = -1;

  hex_encode (server_key, 32, name + strlen (name));
  X509_NAME *subject = certificate ? X509_get_subject_name (certificate) : NULL;
  /* The name is longer than X.520 allows: a raw string type is not measured. */
  if (key && subject && X509_set_version (certificate, X509_VERSION_3) == 1
      && ASN1_INTEGER_set (X509_get_serialNumber (certificate), 2) == 1
      && X509_gmtime_adj (X509_getm_notBefore (certificate), -30 * DAY)
      && X509_gmtime_adj (X509_getm_notAfter (certificate), 30 * DAY)
      && X509_NAME_add_entry_by_NID (subject, NID_commonName, V_ASN1_PRINTABLESTRING,
                                     (const unsigned char *)name, -1, -1, 0)
             == 1
      && X509_set_issuer_name (certificate, subject) == 1 && X509_set_pubkey (certificate, key) == 1
      && add_extension (certificate, NID_basic_constraints, "critical,CA:FALSE")
      && X509_sign (certificate, key, NULL) > 0)
    n = i2d_X509 (certificate, &bytes);
  if (n > 0) {
    *der = mem_dup (bytes, (size_t)n);
    *size = (size_t)n;
  }
  OPENSSL_free (bytes);
  X509_free (certificate);
  EVP_PKEY_free (key);
  return n > 0;
}
