/* Sysctls that we change, with what they were before (DESIGN, "Host journal").
 *
 * The old value is on disk before the new one is in the kernel, so that a later start can put it
 * back whatever happened to this process. Main thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct SysctlJournal SysctlJournal;

/* The journal in STATE_DIR; nothing is read or written yet. */
SysctlJournal *sysctl_journal_new (const char *state_dir);
void sysctl_journal_free (SysctlJournal *journal);

/* Sets NAME ("net/ipv4/…", below /proc/sys) to VALUE, remembering the old value if it differs. */
bool
sysctl_journal_set (SysctlJournal *journal, const char *name, const char *value, GError **error);

/* Puts back the remembered value of NAME, if there is one. */
bool sysctl_journal_put_back (SysctlJournal *journal, const char *name, GError **error);

/* Puts every remembered value back and removes the journal. A journal of an unknown format is left
 * alone and reported. */
bool sysctl_journal_restore (SysctlJournal *journal, GError **error);
