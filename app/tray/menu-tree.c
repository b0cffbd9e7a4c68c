#include "tray/menu-tree.h"

#include <string.h>

#define FIRST_DYNAMIC_ID 1000
#define LABEL_MAX        40 /* characters */

struct _MenuIds
{
  GHashTable *by_key; /* "kind:key" → id */
  GHashTable *by_id;  /* id → "kind:key", owned by by_key */
  int next;
};

MenuItem *
menu_item_new (int id, MenuShape shape, const char *label)
{
  MenuItem *item = g_new0 (MenuItem, 1);

  item->id = id;
  item->shape = shape;
  item->label = g_strdup (label != NULL ? label : "");
  item->enabled = TRUE;
  item->visible = TRUE;
  if (shape == MENU_SHAPE_SUBMENU)
    item->children = g_ptr_array_new_with_free_func ((GDestroyNotify)menu_item_free);
  return item;
}

void
menu_item_free (MenuItem *item)
{
  g_clear_pointer (&item->children, g_ptr_array_unref);
  g_free (item->label);
  g_free (item);
}

MenuItem *
menu_item_add (MenuItem *parent, MenuItem *child)
{
  g_ptr_array_add (parent->children, child);
  return child;
}

MenuItem *
menu_item_find (MenuItem *root, int id, MenuItem **parent)
{
  if (root->id == id) {
    if (parent != NULL)
      *parent = NULL;
    return root;
  }
  for (guint i = 0; root->children != NULL && i < root->children->len; i++) {
    MenuItem *child = root->children->pdata[i];
    MenuItem *found;

    if (child->id == id) {
      if (parent != NULL)
        *parent = root;
      return child;
    }
    found = child->children != NULL ? menu_item_find (child, id, parent) : NULL;
    if (found != NULL)
      return found;
  }
  return NULL;
}

gboolean
menu_item_same_children (const MenuItem *a, const MenuItem *b)
{
  guint n = a->children != NULL ? a->children->len : 0;

  if (n != (b->children != NULL ? b->children->len : 0))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (((MenuItem *)a->children->pdata[i])->id != ((MenuItem *)b->children->pdata[i])->id)
      return FALSE;
  return TRUE;
}

char *
menu_label (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *label = g_string_new (NULL);
  glong n = g_utf8_strlen (valid, -1);
  glong head = n > LABEL_MAX ? LABEL_MAX / 2 : n;
  glong tail = n > LABEL_MAX ? n - (LABEL_MAX - LABEL_MAX / 2 - 1) : n;
  glong i = 0;

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p), i++) {
    gunichar c = g_utf8_get_char (p);

    if (i == head && n > LABEL_MAX)
      g_string_append (label, "…");
    if (i >= head && i < tail)
      continue;
    if (c == '_')
      c = 0x02cd;
    g_string_append_unichar (label, g_unichar_iscntrl (c) ? ' ' : c);
  }
  return g_string_free (label, FALSE);
}

MenuIds *
menu_ids_new (void)
{
  MenuIds *ids = g_new0 (MenuIds, 1);

  ids->by_key = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  ids->by_id = g_hash_table_new (NULL, NULL);
  ids->next = FIRST_DYNAMIC_ID;
  return ids;
}

void
menu_ids_free (MenuIds *ids)
{
  g_hash_table_unref (ids->by_id);
  g_hash_table_unref (ids->by_key);
  g_free (ids);
}

int
menu_ids_get (MenuIds *ids, const char *kind, const char *key)
{
  char *name = g_strconcat (kind, ":", key, NULL);
  int id = GPOINTER_TO_INT (g_hash_table_lookup (ids->by_key, name));

  if (id != 0) {
    g_free (name);
    return id;
  }
  id = ids->next++;
  g_hash_table_insert (ids->by_key, name, GINT_TO_POINTER (id));
  g_hash_table_insert (ids->by_id, GINT_TO_POINTER (id), name);
  return id;
}

const char *
menu_ids_lookup (MenuIds *ids, const char *kind, int id)
{
  const char *name = g_hash_table_lookup (ids->by_id, GINT_TO_POINTER (id));
  gsize n = strlen (kind);

  if (name == NULL || strncmp (name, kind, n) != 0 || name[n] != ':')
    return NULL;
  return name + n + 1;
}
