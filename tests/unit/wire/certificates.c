#include "certificates.h"

#include <glib.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char *
bio_text (BIO *bio)
{
  char *data;
  long size = BIO_get_mem_data (bio, &data);
  char *text = g_strndup (data, (gsize)size);

  BIO_free (bio);
  return text;
}

static void
add_extension (X509 *x, int nid, const char *value)
{
  X509V3_CTX ctx;

  X509V3_set_ctx (&ctx, x, x, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid (NULL, &ctx, nid, value);
  g_assert_nonnull (extension);
  X509_add_ext (x, extension, -1);
  X509_EXTENSION_free (extension);
}

static X509 *
read_certificate (const char *pem)
{
  BIO *bio = BIO_new_mem_buf (pem, -1);
  X509 *x = PEM_read_bio_X509 (bio, NULL, NULL, NULL);

  BIO_free (bio);
  return x;
}

static EVP_PKEY *
read_key (const char *pem)
{
  BIO *bio = BIO_new_mem_buf (pem, -1);
  EVP_PKEY *key = PEM_read_bio_PrivateKey (bio, NULL, NULL, NULL);

  BIO_free (bio);
  return key;
}

TestCertificate
test_certificate_new (const char *name, const TestCertificate *issuer, bool is_ca, int from_days,
                      int to_days)
{
  static long serial = 1;
  TestCertificate result = {0};
  EVP_PKEY *key = EVP_EC_gen ("P-256");
  X509 *x = X509_new ();
  X509_NAME *subject = X509_NAME_new ();
  g_autofree char *san
      = g_strdup_printf ("%s:%s", g_hostname_is_ip_address (name) ? "IP" : "DNS", name);

  X509_NAME_add_entry_by_NID (subject, NID_commonName, V_ASN1_PRINTABLESTRING,
                              (const unsigned char *)name, -1, -1, 0);
  X509_set_version (x, X509_VERSION_3);
  ASN1_INTEGER_set (X509_get_serialNumber (x), serial++);
  X509_time_adj_ex (X509_getm_notBefore (x), from_days, 0, NULL);
  X509_time_adj_ex (X509_getm_notAfter (x), to_days, 0, NULL);
  X509_set_subject_name (x, subject);
  X509_set_pubkey (x, key);
  add_extension (x, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension (x, NID_subject_alt_name, san);
  if (issuer) {
    X509 *parent = read_certificate (issuer->certificate);
    EVP_PKEY *parent_key = read_key (issuer->key);
    X509_set_issuer_name (x, X509_get_subject_name (parent));
    g_assert_cmpint (X509_sign (x, parent_key, EVP_sha256 ()), >, 0);
    X509_free (parent);
    EVP_PKEY_free (parent_key);
  } else {
    X509_set_issuer_name (x, subject);
    g_assert_cmpint (X509_sign (x, key, EVP_sha256 ()), >, 0);
  }
  X509_digest (x, EVP_sha256 (), result.digest, NULL);

  BIO *bio = BIO_new (BIO_s_mem ());
  PEM_write_bio_X509 (bio, x);
  result.certificate = bio_text (bio);
  bio = BIO_new (BIO_s_mem ());
  PEM_write_bio_PrivateKey (bio, key, NULL, NULL, 0, NULL, NULL);
  result.key = bio_text (bio);
  X509_NAME_free (subject);
  X509_free (x);
  EVP_PKEY_free (key);
  return result;
}

void
test_certificate_clear (TestCertificate *certificate)
{
  g_free (certificate->certificate);
  g_free (certificate->key);
}
