/* A menu as a value: items with stable ids, and the ids themselves. spec/desktop.md §3.1, §3.2.
 *
 * Not the D-Bus side (dbus-menu.h) and no opinion about content (menu-model.h). Main thread. */
#pragma once

#include <glib.h>

typedef enum
{
  MENU_SHAPE_ITEM,
  MENU_SHAPE_CHECK,
  MENU_SHAPE_RADIO,
  MENU_SHAPE_SUBMENU,
  MENU_SHAPE_SEPARATOR,
} MenuShape;

typedef struct
{
  int id;
  MenuShape shape; /* of an id for ever: hosts read it once */
  char *label;
  gboolean enabled;
  gboolean visible;
  gboolean on;         /* of CHECK and RADIO */
  gboolean warning;    /* disposition */
  GPtrArray *children; /* of MenuItem, SUBMENU only */
} MenuItem;

/* LABEL is copied as it is; see menu_label. */
MenuItem *menu_item_new (int id, MenuShape shape, const char *label);
void menu_item_free (MenuItem *item);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (MenuItem, menu_item_free)

/* Takes CHILD and returns it. */
MenuItem *menu_item_add (MenuItem *parent, MenuItem *child);

/* The item with ID in the tree under ROOT, or NULL; PARENT gets its parent if not NULL. */
MenuItem *menu_item_find (MenuItem *root, int id, MenuItem **parent);

/* TRUE if both have the same child ids in the same order. */
gboolean menu_item_same_children (const MenuItem *a, const MenuItem *b);

/* Text of users and servers for a label: one line, at most 40 characters (cut in the middle), and
 * a low line that no host takes for a mnemonic (§3.2 rules 10 and 11). */
char *menu_label (const char *text);

/* Ids for items that come and go: a key keeps its id while the process lives. */
typedef struct _MenuIds MenuIds;
MenuIds *menu_ids_new (void);
void menu_ids_free (MenuIds *ids);
int menu_ids_get (MenuIds *ids, const char *kind, const char *key);

/* The key of ID if it is of KIND ("exit"), else NULL. Borrowed. */
const char *menu_ids_lookup (MenuIds *ids, const char *kind, int id);
