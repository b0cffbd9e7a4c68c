#include "host/sysctl-journal.h"

#include "host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define FORMAT       1
#define GROUP_HEADER "journal"
#define GROUP_SYSCTL "sysctl"

struct SysctlJournal
{
  char *path;
};

SysctlJournal *
sysctl_journal_new (const char *state_dir)
{
  SysctlJournal *journal = g_new0 (SysctlJournal, 1);

  journal->path = g_build_filename (state_dir, "host.journal", NULL);
  return journal;
}

void
sysctl_journal_free (SysctlJournal *journal)
{
  g_free (journal->path);
  g_free (journal);
}

static bool
write_sysctl (const char *name, const char *value, GError **error)
{
  g_autofree char *path = g_build_filename ("/proc/sys", name, NULL);
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  ssize_t size = (ssize_t)strlen (value);
  bool ok = fd >= 0 && write (fd, value, (size_t)size) == size;
  int saved = errno;

  if (fd >= 0)
    close (fd);
  if (!ok)
    g_set_error (error, HOST_ERROR, HOST_ERROR_FAILED, "could not set %s to %s: %s", name, value,
                 g_strerror (saved));
  return ok;
}

static char *
read_sysctl (const char *name)
{
  g_autofree char *path = g_build_filename ("/proc/sys", name, NULL);
  char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return NULL;
  return g_strstrip (text);
}

/* An absent journal is an empty one. */
static GKeyFile *
load (const SysctlJournal *journal, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) local = NULL;

  if (!g_key_file_load_from_file (file, journal->path, G_KEY_FILE_NONE, &local)) {
    if (!g_error_matches (local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      g_propagate_prefixed_error (error, g_steal_pointer (&local),
                                  "could not read %s: ", journal->path);
      return NULL;
    }
    g_key_file_set_integer (file, GROUP_HEADER, "format", FORMAT);
  }
  if (g_key_file_get_integer (file, GROUP_HEADER, "format", NULL) != FORMAT) {
    g_set_error (error, HOST_ERROR, HOST_ERROR_FAILED,
                 "%s has a format that this version does not know", journal->path);
    return NULL;
  }
  return g_steal_pointer (&file);
}

/* Writes FILE over the journal, durably; a journal without anything in it is none. */
static bool
save (const SysctlJournal *journal, GKeyFile *file, GError **error)
{
  gsize length, n = 0;

  g_strfreev (g_key_file_get_keys (file, GROUP_SYSCTL, &n, NULL));
  if (n == 0)
    return g_unlink (journal->path) == 0 || errno == ENOENT;
  g_autofree char *text = g_key_file_to_data (file, &length, NULL);
  return g_file_set_contents_full (journal->path, text, (gssize)length,
                                   G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                   0600, error);
}

bool
sysctl_journal_set (SysctlJournal *journal, const char *name, const char *value, GError **error)
{
  g_autofree char *old = read_sysctl (name);

  if (!old) {
    g_set_error (error, HOST_ERROR, HOST_ERROR_FAILED, "could not read %s", name);
    return false;
  }
  if (strcmp (old, value) == 0)
    return true;
  g_autoptr (GKeyFile) file = load (journal, error);
  if (!file)
    return false;
  if (!g_key_file_has_key (file, GROUP_SYSCTL, name, NULL)) {
    g_key_file_set_string (file, GROUP_SYSCTL, name, old);
    if (!save (journal, file, error))
      return false;
  }
  return write_sysctl (name, value, error);
}

/* What belongs to an interface that is gone needs no value. */
static bool
restore_sysctl (const char *name, const char *value, GError **error)
{
  g_autofree char *now = read_sysctl (name);

  return !now || strcmp (now, value) == 0 || write_sysctl (name, value, error);
}

bool
sysctl_journal_put_back (SysctlJournal *journal, const char *name, GError **error)
{
  g_autoptr (GKeyFile) file = load (journal, error);

  if (!file)
    return false;
  g_autofree char *value = g_key_file_get_string (file, GROUP_SYSCTL, name, NULL);
  if (!value)
    return true;
  if (!restore_sysctl (name, value, error))
    return false;
  g_key_file_remove_key (file, GROUP_SYSCTL, name, NULL);
  return save (journal, file, error);
}

bool
sysctl_journal_restore (SysctlJournal *journal, GError **error)
{
  g_autoptr (GKeyFile) file = load (journal, error);
  bool ok = true;

  if (!file)
    return false;
  g_auto (GStrv) names = g_key_file_get_keys (file, GROUP_SYSCTL, NULL, NULL);
  for (char **name = names; name && *name; name++) {
    g_autofree char *value = g_key_file_get_string (file, GROUP_SYSCTL, *name, NULL);
    if (!restore_sysctl (*name, value, ok ? error : NULL))
      ok = false;
  }
  if (ok)
    g_unlink (journal->path);
  return ok;
}
