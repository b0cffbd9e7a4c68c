/* A certificate and its key in two PEM files that somebody renews while they are in use.
 *
 * The renewal may write one before the other: what does not fit together is not used, and looked at
 * again when the other changes. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <time.h>

#define CERTIFICATE_LOOK_MS 5000 /* between looks at the files */

typedef struct
{
  const char *certificate, *key; /* paths, borrowed; NULL: none */
  struct timespec certificate_time, key_time;
} CertificateFiles;

/* True when one of the files is another one than at the last call. */
bool certificate_files_changed (CertificateFiles *files);

/* Both texts, malloc'd; false and *ERROR (malloc'd) when they cannot be read. */
bool certificate_files_read (const CertificateFiles *files, char **certificate_pem, char **key_pem,
                             char **error);

/* Frees what certificate_files_read gave; the key is wiped. */
void certificate_files_clear (char *certificate_pem, char *key_pem);
