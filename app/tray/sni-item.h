/* org.kde.StatusNotifierItem: the icon in the panel, and its registration with whatever watcher
 * comes and goes. spec/desktop.md §2.
 *
 * Owns no name and implements no watcher of its own. Main thread. */
#pragma once

#include <gio/gio.h>

#define SNI_ITEM_PATH "/StatusNotifierItem"

typedef struct _SniItem SniItem;

typedef struct
{
  void (*activate) (gpointer user_data);           /* left click */
  void (*secondary_activate) (gpointer user_data); /* middle click */
} SniItemCallbacks;

/* Exports the item and registers it, now and whenever a watcher appears. ICON_DIR is NULL for an
 * installed program (icons by name from the theme). NULL with ERROR. */
SniItem *sni_item_new (GDBusConnection *connection, const char *icon_dir,
                       const SniItemCallbacks *callbacks, gpointer user_data, GError **error);
void sni_item_free (SniItem *item);

/* ICON is a name, TITLE and TEXT the tool tip, DESCRIPTION is for screen readers. Before the first
 * call the item is not registered. Signals go out at most every 100 ms. */
void sni_item_set (SniItem *item, const char *icon, const char *status, const char *title,
                   const char *text, const char *description);

/* The token of the last click if it is not older than 5 s, else NULL. Borrowed. */
const char *sni_item_get_activation_token (SniItem *item);
