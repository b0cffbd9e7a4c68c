/* The verdict on a server's certificate: inside of wire/tls (control-protocol.md §4.3, derp.md
 * §3.3). Writes a text for a person into ERROR when the verdict is not TLS_CERT_OK. */
#pragma once

#include "wire/tls.h"

/* Result of the chain and name check that OpenSSL made during the handshake. */
TlsCertProblem tls_verify_chain (SSL *ssl, const char *name, char *error, size_t error_size);

/* The rules for "sha256-raw:" pins. SNI: the name sent, or NULL. */
TlsCertProblem tls_verify_pin (SSL *ssl, const uint8_t pin[TLS_PIN_SIZE], const char *sni,
                               char *error, size_t error_size);
