/* The records of an open TLS 1.3 connection without an SSL object (RFC 8446 §5, §7.2, §7.3).
 *
 * A server that has shaken hands needs two keys and two counters; OpenSSL's object for it is ten
 * times as large. Application data, alerts and key updates; nothing else may come after the
 * handshake. Belongs to wire/tls.c; one thread. */
#pragma once

#include "wire/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_SECRET_MAX 48 /* SHA-384 */

typedef struct TlsRecords TlsRecords;

/* CIPHER is the suite's number (0x1301, 0x1302, 0x1303); the secrets are those of the application
 * data as RFC 8446 §7.1 names them. NULL when the suite is not known. */
TlsRecords *tls_records_new (uint16_t cipher, const uint8_t *read_secret,
                             const uint8_t *write_secret, size_t secret_size);
void tls_records_free (TlsRecords *records);

typedef enum
{
  TLS_RECORDS_MORE,   /* IN has no complete record any more */
  TLS_RECORDS_CLOSED, /* the peer ended the stream properly */
  TLS_RECORDS_FAILED,
} TlsRecordsResult;

/* Opens the records at DATA: *USED bytes of it were taken, plaintext is appended to PLAIN, and what
 * must be answered to OUT. */
TlsRecordsResult tls_records_open (TlsRecords *records, const uint8_t *data, size_t size,
                                   size_t *used, Buffer *plain, Buffer *out);

/* Appends SIZE bytes to OUT in records; false when the library fails. */
bool tls_records_seal (TlsRecords *records, const uint8_t *plain, size_t size, Buffer *out);

/* Appends the alert that ends the stream properly. */
bool tls_records_close (TlsRecords *records, Buffer *out);
