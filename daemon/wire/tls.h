/* TLS over byte strings (OpenSSL without sockets), client and server role: control-protocol.md
 * §4.3, derp.md §3.3.
 *
 * No sockets here: ciphertext from the peer goes in with tls_feed, ciphertext for the peer comes
 * out with tls_take, plaintext by tls_write and tls_read. No session resumption, TLS 1.2 at least,
 * never ALPN "h2". A context is shared by any number of connections of one thread; it and its
 * connections belong to that thread. */
#pragma once

#include "wire/buffer.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_PIN_SIZE 32 /* SHA-256 of a certificate's DER */

typedef struct TlsContext TlsContext;
typedef struct Tls Tls;

/* How a client judges the server's certificate. */
typedef enum
{
  TLS_VERIFY_FULL, /* chain, name and date must be right */
  TLS_VERIFY_WARN, /* the same, but a wrong certificate is only noted (tls_certificate_problem) */
  TLS_VERIFY_PIN,  /* the leaf must be the pinned one; rules of derp.md §3.3, no chain */
  TLS_VERIFY_NONE, /* nothing is checked */
} TlsVerify;

/* What is wrong with a certificate, for texts and for Problem codes. */
typedef enum
{
  TLS_CERT_OK,
  TLS_CERT_UNTRUSTED,
  TLS_CERT_EXPIRED, /* or not yet valid */
  TLS_CERT_WRONG_NAME,
  TLS_CERT_WRONG_PIN,
} TlsCertProblem;

typedef enum
{
  TLS_HANDSHAKING,
  TLS_OPEN,
  TLS_CLOSED, /* the peer ended the stream properly */
  TLS_FAILED, /* tls_error says why */
} TlsState;

typedef struct
{
  const char *server_name; /* sent as SNI unless it is an IP literal */
  const char *check_name;  /* name or IP the certificate must have; NULL: server_name */
  TlsVerify verify;
  uint8_t pin[TLS_PIN_SIZE]; /* TLS_VERIFY_PIN */
  bool alpn_http1;           /* offer ALPN "http/1.1"; otherwise none */
} TlsClientOptions;

/* The client role. CA_FILE: PEM file of roots, or NULL for the system's. NULL and *ERROR (malloc'd,
 * if ERROR is not NULL) when the file cannot be read. */
TlsContext *tls_client_context_new (const char *ca_file, char **error);

/* The server role with a PEM chain and key. NULL and *ERROR when they cannot be used together. */
TlsContext *tls_server_context_new (const char *certificate_pem, const char *key_pem, char **error);

/* Server: one more certificate (DER) sent behind the chain, such as the relay's meta certificate.
 */
bool tls_server_context_add_certificate (TlsContext *context, const uint8_t *der, size_t size);
void tls_context_free (TlsContext *context);

/* A connection; the context must outlive it. The client's first flight is ready for tls_take. */
Tls *tls_client_new (TlsContext *context, const TlsClientOptions *options);
Tls *tls_server_new (TlsContext *context);
void tls_free (Tls *tls);

/* Ciphertext from the peer. Follow with tls_read. */
void tls_feed (Tls *tls, const void *ciphertext, size_t size);

/* Both in one: as if CIPHERTEXT were fed and read, without a copy of it. */
TlsState tls_receive (Tls *tls, const void *ciphertext, size_t size, Buffer *plain);

/* Drives the handshake and appends every plaintext byte that is ready to PLAIN (NULL: only the
 * handshake). With TLS_VERIFY_FULL and _PIN the state does not become TLS_OPEN, and so not a byte
 * of plaintext is sent or given out, before the certificate has passed. */
TlsState tls_read (Tls *tls, Buffer *plain);

/* Encrypts SIZE bytes; false unless the state is TLS_OPEN. */
bool tls_write (Tls *tls, const void *plain, size_t size);

/* As tls_write, and appends what is to be sent to CIPHERTEXT, like tls_take. */
bool tls_write_to (Tls *tls, const void *plain, size_t size, Buffer *ciphertext);

/* Ends the stream: a close_notify for the peer. */
void tls_close (Tls *tls);

/* Appends to CIPHERTEXT whatever must be sent to the peer; true when that was anything. */
bool tls_take (Tls *tls, Buffer *ciphertext);

TlsState tls_state (const Tls *tls);

/* Text for a person, "certificate has expired"; "" when nothing failed. */
const char *tls_error (const Tls *tls);

/* What is wrong with the certificate; with TLS_VERIFY_WARN also while the state is TLS_OPEN. */
TlsCertProblem tls_certificate_problem (const Tls *tls);

/* Client: number of certificates the server sent, and one of them (borrowed). Index 0 is the leaf.
 */
size_t tls_peer_certificates (const Tls *tls);
X509 *tls_peer_certificate (const Tls *tls, size_t index);

/* 0x0303 or 0x0304 once open. */
int tls_version (const Tls *tls);
