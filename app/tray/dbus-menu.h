/* com.canonical.dbusmenu: shows a menu tree to whatever host asks, and tells it what changed.
 * spec/desktop.md §3.
 *
 * Structure changes at most every 250 ms and never under the pointer of somebody who has the menu
 * open; property changes go out at once. Not the content (menu-model.h). Main thread. */
#pragma once

#include "tray/menu-tree.h"

#include <gio/gio.h>

#define DBUS_MENU_PATH "/MenuBar"

typedef struct _DbusMenu DbusMenu;
typedef void (*DbusMenuClicked) (int id, gpointer user_data);

/* Exports at DBUS_MENU_PATH; NULL with ERROR. TREE is taken. */
DbusMenu *dbus_menu_new (GDBusConnection *connection, MenuItem *tree, DbusMenuClicked clicked,
                         gpointer user_data, GError **error);
void dbus_menu_free (DbusMenu *menu);

/* Takes TREE as what is to be shown from now on. */
void dbus_menu_set_tree (DbusMenu *menu, MenuItem *tree);

/* "notice" in the property Status when the user should look. */
void dbus_menu_set_notice (DbusMenu *menu, gboolean notice);
