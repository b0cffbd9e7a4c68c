/* What the user set for tray and window, not for the network. spec/desktop.md §10.5.
 *
 * Works without an installed schema (everything has its default and nothing is kept), so that a
 * program runs from its build directory. Main thread. */
#pragma once

#include <gio/gio.h>

/* The settings, or NULL without the schema. A new reference. */
GSettings *warren_settings_new (void);

gboolean warren_settings_get_flag (GSettings *settings, const char *key, gboolean fallback);

/* The nodes used last, newest first; never NULL. Free with g_strfreev. */
char **warren_settings_get_recent_exit_nodes (GSettings *settings);
void warren_settings_add_recent_exit_node (GSettings *settings, const char *id);
