#include "coordinator/certificate-files.h"

#include "coordinator/server-files.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool
same_time (const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
certificate_files_changed (CertificateFiles *files)
{
  struct stat certificate, key;

  if (!files->certificate || stat (files->certificate, &certificate) != 0
      || stat (files->key, &key) != 0)
    return false;
  bool changed = !same_time (&certificate.st_mtim, &files->certificate_time)
                 || !same_time (&key.st_mtim, &files->key_time);
  files->certificate_time = certificate.st_mtim;
  files->key_time = key.st_mtim;
  return changed;
}

static bool
read_one (const char *path, char **text, char **error)
{
  *text = server_read_file (path);
  if (!*text && asprintf (error, "could not read %s: %s", path, strerror (errno)) < 0)
    *error = NULL;
  return *text != NULL;
}

bool
certificate_files_read (const CertificateFiles *files, char **certificate_pem, char **key_pem,
                        char **error)
{
  *key_pem = NULL;
  if (read_one (files->certificate, certificate_pem, error)
      && read_one (files->key, key_pem, error))
    return true;
  certificate_files_clear (*certificate_pem, *key_pem);
  *certificate_pem = *key_pem = NULL;
  return false;
}

void
certificate_files_clear (char *certificate_pem, char *key_pem)
{
  if (key_pem)
    sodium_memzero (key_pem, strlen (key_pem));
  free (certificate_pem);
  free (key_pem);
}
