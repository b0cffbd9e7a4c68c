/* Who may call what: the one table method -> polkit action (spec/desktop.md §8.6).
 *
 * Pure; a test compares it with the annotations of data/org.warrenvpn.Daemon1.xml. Asking polkit is
 * api/authority's. Main thread. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

#define ACCESS_ACTION_PREFIX "org.warrenvpn.Daemon1."

typedef struct
{
  const char *interface; /* without "org.warrenvpn.Daemon1." */
  const char *method;
  const char *action; /* NULL: free for everybody */
  bool on_session;    /* it changes a session, whose owner matters */
} AccessRow;

const AccessRow *access_table (size_t *n);
const AccessRow *access_find (const char *interface, const char *method);

/* Every action there is, ended by NULL. */
const char *const *access_actions (void);

/* The action for a call with PARAMS by CALLER on what belongs to OWNER (0: this computer's); NULL:
 * free. */
const char *access_decide (const AccessRow *row, uint32_t caller, uint32_t owner, GVariant *params);
