#include "wire/tls-verify.h"

#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static TlsCertProblem
verdict (TlsCertProblem problem, char *error, size_t error_size, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  vsnprintf (error, error_size, format, args);
  va_end (args);
  return problem;
}

TlsCertProblem
tls_verify_chain (SSL *ssl, const char *name, char *error, size_t error_size)
{
  long result = SSL_get_verify_result (ssl);
  const char *reason = X509_verify_cert_error_string (result);

  if (!SSL_get0_peer_certificate (ssl))
    return verdict (TLS_CERT_UNTRUSTED, error, error_size, "the server sent no certificate");
  switch (result) {
    case X509_V_OK:
      return TLS_CERT_OK;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return verdict (TLS_CERT_EXPIRED, error, error_size, "%s", reason);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return verdict (TLS_CERT_WRONG_NAME, error, error_size, "the certificate is not for %s",
                      name ? name : "this server");
    default:
      return verdict (TLS_CERT_UNTRUSTED, error, error_size, "%s", reason);
  }
}

/* The relay's meta certificate is recognised by its subject alone. */
static bool
is_meta (X509 *certificate)
{
  char name[128];

  return X509_NAME_get_text_by_NID (X509_get_subject_name (certificate), NID_commonName, name,
                                    sizeof name)
             > 0
         && strncmp (name, "derpkey", 7) == 0;
}

static bool
has_fingerprint (X509 *certificate, const uint8_t pin[TLS_PIN_SIZE])
{
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;

  return X509_digest (certificate, EVP_sha256 (), digest, &size) == 1 && size == TLS_PIN_SIZE
         && memcmp (digest, pin, TLS_PIN_SIZE) == 0;
}

TlsCertProblem
tls_verify_pin (SSL *ssl, const uint8_t pin[TLS_PIN_SIZE], const char *sni, char *error,
                size_t error_size)
{
  STACK_OF (X509) *chain = SSL_get_peer_cert_chain (ssl);
  X509 *leaf = chain ? sk_X509_value (chain, 0) : NULL;

  /* Only the leaf's key signed this handshake, so only the leaf may carry the pin. */
  if (!leaf || !has_fingerprint (leaf, pin))
    return verdict (TLS_CERT_WRONG_PIN, error, error_size,
                    "the server's certificate is not the pinned one");
  for (int i = 1; i < sk_X509_num (chain); i++)
    if (!is_meta (sk_X509_value (chain, i)))
      return verdict (TLS_CERT_WRONG_PIN, error, error_size,
                      "the server sent other certificates beside the pinned one");
  if (sni && X509_check_host (leaf, sni, strlen (sni), 0, NULL) != 1)
    return verdict (TLS_CERT_WRONG_NAME, error, error_size, "the certificate is not for %s", sni);
  if (X509_cmp_current_time (X509_get0_notBefore (leaf)) > 0
      || X509_cmp_current_time (X509_get0_notAfter (leaf)) < 0)
    return verdict (TLS_CERT_EXPIRED, error, error_size, "the pinned certificate is not valid now");
  return TLS_CERT_OK;
}
