#include "tray/dbus-menu.h"

#include <string.h>

#define INTERFACE      "com.canonical.dbusmenu"
#define MENU_VERSION   3 /* of the protocol; it is not the revision of the layout */
#define COALESCE_MS    250
#define OPEN_MAX_MS    3000 /* GTK hosts never say that the root was closed */
#define BATCH_ID_LIMIT 4096

struct _DbusMenu
{
  GDBusConnection *connection;
  guint registration;
  DbusMenuClicked clicked;
  gpointer user_data;

  MenuItem *tree;
  MenuItem *pending; /* structure that waits */
  guint revision;
  GHashTable *changed_at; /* parent id → revision of its last structural change */
  GHashTable *fetched_at; /* parent id → revision when a host last fetched its children */
  gboolean notice;
  gboolean open;
  guint open_id;     /* the menu counts as closed when this fires */
  guint coalesce_id; /* structure was changed less than COALESCE_MS ago */
};

static const char xml[]
    = "<node><interface name='com.canonical.dbusmenu'>"
      "<property name='Version' type='u' access='read'/>"
      "<property name='TextDirection' type='s' access='read'/>"
      "<property name='Status' type='s' access='read'/>"
      "<property name='IconThemePath' type='as' access='read'/>"
      "<method name='GetLayout'><arg type='i' name='parentId' direction='in'/>"
      "<arg type='i' name='recursionDepth' direction='in'/>"
      "<arg type='as' name='propertyNames' direction='in'/>"
      "<arg type='u' name='revision' direction='out'/>"
      "<arg type='(ia{sv}av)' name='layout' direction='out'/></method>"
      "<method name='GetGroupProperties'><arg type='ai' name='ids' direction='in'/>"
      "<arg type='as' name='propertyNames' direction='in'/>"
      "<arg type='a(ia{sv})' name='properties' direction='out'/></method>"
      "<method name='GetProperty'><arg type='i' name='id' direction='in'/>"
      "<arg type='s' name='name' direction='in'/>"
      "<arg type='v' name='value' direction='out'/></method>"
      "<method name='Event'><arg type='i' name='id' direction='in'/>"
      "<arg type='s' name='eventId' direction='in'/><arg type='v' name='data' direction='in'/>"
      "<arg type='u' name='timestamp' direction='in'/></method>"
      "<method name='EventGroup'><arg type='a(isvu)' name='events' direction='in'/>"
      "<arg type='ai' name='idErrors' direction='out'/></method>"
      "<method name='AboutToShow'><arg type='i' name='id' direction='in'/>"
      "<arg type='b' name='needUpdate' direction='out'/></method>"
      "<method name='AboutToShowGroup'><arg type='ai' name='ids' direction='in'/>"
      "<arg type='ai' name='updatesNeeded' direction='out'/>"
      "<arg type='ai' name='idErrors' direction='out'/></method>"
      "<signal name='ItemsPropertiesUpdated'><arg type='a(ia{sv})' name='updatedProps'/>"
      "<arg type='a(ias)' name='removedProps'/></signal>"
      "<signal name='LayoutUpdated'><arg type='u' name='revision'/><arg type='i' name='parent'/>"
      "</signal>"
      "<signal name='ItemActivationRequested'><arg type='i' name='id'/>"
      "<arg type='u' name='timestamp'/></signal>"
      "</interface></node>";

static void flush_structure (DbusMenu *menu);

/* --- properties of items ------------------------------------------------------------------------
 */

static void
put (GVariantDict *dict, const char *const *names, const char *name, GVariant *value)
{
  g_autoptr (GVariant) held = g_variant_ref_sink (value);

  if (names == NULL || names[0] == NULL || g_strv_contains (names, name))
    g_variant_dict_insert_value (dict, name, held);
}

static const char *
toggle_type (MenuShape shape)
{
  return shape == MENU_SHAPE_CHECK ? "checkmark" : shape == MENU_SHAPE_RADIO ? "radio" : NULL;
}

/* Properties that have their default are left out. NAMES empty: all. */
static GVariant *
item_properties (const MenuItem *item, const char *const *names)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, NULL);
  if (item->shape == MENU_SHAPE_SEPARATOR)
    put (&dict, names, "type", g_variant_new_string ("separator"));
  else if (item->id != 0)
    put (&dict, names, "label", g_variant_new_string (item->label));
  if (!item->enabled)
    put (&dict, names, "enabled", g_variant_new_boolean (FALSE));
  if (!item->visible)
    put (&dict, names, "visible", g_variant_new_boolean (FALSE));
  if (toggle_type (item->shape) != NULL) {
    put (&dict, names, "toggle-type", g_variant_new_string (toggle_type (item->shape)));
    put (&dict, names, "toggle-state", g_variant_new_int32 (item->on));
  }
  if (item->children != NULL)
    put (&dict, names, "children-display", g_variant_new_string ("submenu"));
  if (item->warning)
    put (&dict, names, "disposition", g_variant_new_string ("warning"));
  return g_variant_dict_end (&dict);
}

static GVariant *
item_layout (DbusMenu *menu, const MenuItem *item, int depth, const char *const *names)
{
  GVariantBuilder children;

  g_variant_builder_init (&children, G_VARIANT_TYPE ("av"));
  if (item->children != NULL && depth != 0) {
    g_hash_table_insert (menu->fetched_at, GINT_TO_POINTER (item->id),
                         GUINT_TO_POINTER (menu->revision));
    for (guint i = 0; i < item->children->len; i++)
      g_variant_builder_add (&children, "v",
                             item_layout (menu, item->children->pdata[i],
                                          depth < 0 ? -1 : depth - 1, names));
  }
  return g_variant_new ("(i@a{sv}av)", item->id, item_properties (item, names), &children);
}

/* --- telling changes
 * ------------------------------------------------------------------------------ */

static void
emit (DbusMenu *menu, const char *signal, GVariant *args)
{
  g_dbus_connection_emit_signal (menu->connection, NULL, DBUS_MENU_PATH, INTERFACE, signal, args,
                                 NULL);
}

/* Copies what may change about an item, and notes how. Shapes of an id never change. */
static void
update_item (MenuItem *from, MenuItem *to, GVariantBuilder *updated, GVariantBuilder *removed)
{
  g_autoptr (GVariant) before = g_variant_ref_sink (item_properties (from, NULL));
  g_autoptr (GVariant) after = g_variant_ref_sink (item_properties (to, NULL));
  GVariantDict changes;
  GVariantBuilder gone;
  GVariantIter iter;
  const char *name;
  GVariant *value;
  guint n_gone = 0;

  g_assert (from->shape == to->shape);
  if (g_variant_equal (before, after))
    return;
  g_variant_dict_init (&changes, NULL);
  g_variant_builder_init (&gone, G_VARIANT_TYPE_STRING_ARRAY);
  g_variant_iter_init (&iter, after);
  while (g_variant_iter_next (&iter, "{&sv}", &name, &value)) {
    g_autoptr (GVariant) held = value;
    g_autoptr (GVariant) old = g_variant_lookup_value (before, name, NULL);

    if (old == NULL || !g_variant_equal (old, held))
      g_variant_dict_insert_value (&changes, name, held);
  }
  g_variant_iter_init (&iter, before);
  while (g_variant_iter_next (&iter, "{&s@v}", &name, NULL)) {
    g_autoptr (GVariant) still = g_variant_lookup_value (after, name, NULL);

    if (still != NULL)
      continue;
    g_variant_builder_add (&gone, "s", name);
    n_gone++;
  }
  value = g_variant_ref_sink (g_variant_dict_end (&changes));
  if (g_variant_n_children (value) > 0)
    g_variant_builder_add (updated, "(i@a{sv})", from->id, value);
  g_variant_unref (value);
  if (n_gone > 0)
    g_variant_builder_add (removed, "(i@as)", from->id, g_variant_builder_end (&gone));
  else
    g_variant_builder_clear (&gone);
  g_free (from->label);
  from->label = g_strdup (to->label);
  from->enabled = to->enabled;
  from->visible = to->visible;
  from->on = to->on;
  from->warning = to->warning;
}

/* Walks what both trees have; returns whether any parent's children differ. */
static gboolean
update_tree (MenuItem *from, MenuItem *to, GVariantBuilder *updated, GVariantBuilder *removed)
{
  gboolean differs = !menu_item_same_children (from, to);

  update_item (from, to, updated, removed);
  for (guint i = 0; from->children != NULL && i < from->children->len; i++) {
    MenuItem *child = from->children->pdata[i];
    MenuItem *match = menu_item_find (to, child->id, NULL);

    if (match != NULL)
      differs = update_tree (child, match, updated, removed) || differs;
  }
  return differs;
}

static gboolean
send_properties (DbusMenu *menu, MenuItem *tree)
{
  GVariantBuilder updated;
  GVariantBuilder removed;
  g_autoptr (GVariant) args = NULL;
  gboolean differs;

  g_variant_builder_init (&updated, G_VARIANT_TYPE ("a(ia{sv})"));
  g_variant_builder_init (&removed, G_VARIANT_TYPE ("a(ias)"));
  differs = update_tree (menu->tree, tree, &updated, &removed);
  args = g_variant_ref_sink (g_variant_new ("(a(ia{sv})a(ias))", &updated, &removed));
  g_autoptr (GVariant) first = g_variant_get_child_value (args, 0);
  g_autoptr (GVariant) second = g_variant_get_child_value (args, 1);
  if (g_variant_n_children (first) > 0 || g_variant_n_children (second) > 0)
    emit (menu, "ItemsPropertiesUpdated", args);
  return differs;
}

/* Every parent whose children changed is named: Qt hosts refresh nothing else. */
static void
collect_changed (MenuItem *from, MenuItem *to, GArray *parents)
{
  if (!menu_item_same_children (from, to))
    g_array_append_val (parents, to->id);
  for (guint i = 0; to->children != NULL && i < to->children->len; i++) {
    MenuItem *child = to->children->pdata[i];
    MenuItem *before = menu_item_find (from, child->id, NULL);

    if (before != NULL && child->children != NULL)
      collect_changed (before, child, parents);
  }
}

static gboolean
on_coalesced (gpointer data)
{
  DbusMenu *menu = data;

  menu->coalesce_id = 0;
  if (!menu->open)
    flush_structure (menu);
  return G_SOURCE_REMOVE;
}

static void
flush_structure (DbusMenu *menu)
{
  g_autoptr (GArray) parents = g_array_new (FALSE, FALSE, sizeof (int));

  if (menu->pending == NULL)
    return;
  collect_changed (menu->tree, menu->pending, parents);
  menu_item_free (menu->tree);
  menu->tree = g_steal_pointer (&menu->pending);
  menu->revision++;
  for (guint i = 0; i < parents->len; i++)
    g_hash_table_insert (menu->changed_at, GINT_TO_POINTER (g_array_index (parents, int, i)),
                         GUINT_TO_POINTER (menu->revision));
  for (guint i = 0; i < parents->len; i++)
    emit (menu, "LayoutUpdated",
          g_variant_new ("(ui)", menu->revision, g_array_index (parents, int, i)));
  if (menu->coalesce_id == 0)
    menu->coalesce_id = g_timeout_add (COALESCE_MS, on_coalesced, menu);
}

void
dbus_menu_set_tree (DbusMenu *menu, MenuItem *tree)
{
  gboolean differs = send_properties (menu, tree);

  g_clear_pointer (&menu->pending, menu_item_free);
  if (!differs) {
    menu_item_free (tree);
    return;
  }
  menu->pending = tree;
  if (!menu->open && menu->coalesce_id == 0)
    flush_structure (menu);
}

/* --- open and closed
 * ------------------------------------------------------------------------------ */

static gboolean
on_open_too_long (gpointer data)
{
  DbusMenu *menu = data;

  menu->open_id = 0;
  menu->open = FALSE;
  flush_structure (menu);
  return G_SOURCE_REMOVE;
}

static void
set_open (DbusMenu *menu, gboolean open)
{
  g_clear_handle_id (&menu->open_id, g_source_remove);
  menu->open = open;
  if (open)
    menu->open_id = g_timeout_add (OPEN_MAX_MS, on_open_too_long, menu);
  else
    flush_structure (menu);
}

/* TRUE if the host's picture of ID's children is older than ours. */
static gboolean
about_to_show (DbusMenu *menu, int id)
{
  guint changed;
  guint fetched;

  if (id == 0 && !menu->open) {
    flush_structure (menu); /* before it is seen is the last good moment */
    set_open (menu, TRUE);
  }
  changed = GPOINTER_TO_UINT (g_hash_table_lookup (menu->changed_at, GINT_TO_POINTER (id)));
  fetched = GPOINTER_TO_UINT (g_hash_table_lookup (menu->fetched_at, GINT_TO_POINTER (id)));
  return changed > fetched;
}

/* FALSE if there is no such item. */
static gboolean
handle_event (DbusMenu *menu, int id, const char *event)
{
  MenuItem *item = menu_item_find (menu->tree, id, NULL);

  if (item == NULL)
    return FALSE;
  if (g_str_equal (event, "opened") && id == 0)
    set_open (menu, TRUE);
  else if (g_str_equal (event, "closed") && id == 0)
    set_open (menu, FALSE);
  else if (g_str_equal (event, "clicked") && item->enabled && item->visible
           && item->children == NULL && item->shape != MENU_SHAPE_SEPARATOR) {
    set_open (menu, FALSE);
    menu->clicked (id, menu->user_data);
  }
  return TRUE;
}

/* --- methods
 * -------------------------------------------------------------------------------------- */

static void
return_no_such_item (GDBusMethodInvocation *call, int id)
{
  g_dbus_method_invocation_return_error (call, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                                         "there is no item %d", id);
}

static void
get_layout (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  g_autofree const char **names = NULL;
  MenuItem *item;
  int id;
  int depth;

  g_variant_get (args, "(ii^a&s)", &id, &depth, &names);
  item = menu_item_find (menu->tree, id, NULL);
  if (item == NULL)
    return_no_such_item (call, id);
  else
    g_dbus_method_invocation_return_value (call,
                                           g_variant_new ("(u@(ia{sv}av))", menu->revision,
                                                          item_layout (menu, item, depth, names)));
}

static void
add_all_properties (const MenuItem *item, const char *const *names, GVariantBuilder *out)
{
  g_variant_builder_add (out, "(i@a{sv})", item->id, item_properties (item, names));
  for (guint i = 0; item->children != NULL && i < item->children->len; i++)
    add_all_properties (item->children->pdata[i], names, out);
}

static void
get_group_properties (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  g_autoptr (GVariant) ids = g_variant_get_child_value (args, 0);
  g_autofree const char **names = NULL;
  GVariantBuilder out;
  gsize n = MIN (g_variant_n_children (ids), BATCH_ID_LIMIT);

  g_variant_get_child (args, 1, "^a&s", &names);
  g_variant_builder_init (&out, G_VARIANT_TYPE ("a(ia{sv})"));
  if (n == 0)
    add_all_properties (menu->tree, names, &out);
  for (gsize i = 0; i < n; i++) {
    MenuItem *item;
    int id;

    g_variant_get_child (ids, i, "i", &id);
    item = menu_item_find (menu->tree, id, NULL);
    if (item != NULL)
      g_variant_builder_add (&out, "(i@a{sv})", id, item_properties (item, names));
  }
  g_dbus_method_invocation_return_value (call, g_variant_new ("(a(ia{sv}))", &out));
}

static void
get_property (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  g_autoptr (GVariant) properties = NULL;
  g_autoptr (GVariant) value = NULL;
  const char *name;
  MenuItem *item;
  int id;

  g_variant_get (args, "(i&s)", &id, &name);
  item = menu_item_find (menu->tree, id, NULL);
  if (item == NULL) {
    return_no_such_item (call, id);
    return;
  }
  properties = g_variant_ref_sink (item_properties (item, NULL));
  value = g_variant_lookup_value (properties, name, NULL);
  if (value == NULL)
    g_dbus_method_invocation_return_error (call, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS,
                                           "item %d has no property %s", id, name);
  else
    g_dbus_method_invocation_return_value (call, g_variant_new ("(v)", value));
}

static void
event_group (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  g_autoptr (GVariant) events = g_variant_get_child_value (args, 0);
  GVariantBuilder missing;
  GVariantIter iter;
  const char *event;
  int id;

  g_variant_builder_init (&missing, G_VARIANT_TYPE ("ai"));
  g_variant_iter_init (&iter, events);
  while (g_variant_iter_next (&iter, "(i&s@vu)", &id, &event, NULL, NULL))
    if (!handle_event (menu, id, event))
      g_variant_builder_add (&missing, "i", id);
  g_dbus_method_invocation_return_value (call, g_variant_new ("(ai)", &missing));
}

static void
about_to_show_group (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  g_autoptr (GVariant) ids = g_variant_get_child_value (args, 0);
  GVariantBuilder stale;
  GVariantBuilder missing;
  GVariantIter iter;
  int id;

  g_variant_builder_init (&stale, G_VARIANT_TYPE ("ai"));
  g_variant_builder_init (&missing, G_VARIANT_TYPE ("ai"));
  g_variant_iter_init (&iter, ids);
  while (g_variant_iter_next (&iter, "i", &id)) {
    if (menu_item_find (menu->tree, id, NULL) == NULL)
      g_variant_builder_add (&missing, "i", id);
    else if (about_to_show (menu, id))
      g_variant_builder_add (&stale, "i", id);
  }
  g_dbus_method_invocation_return_value (call, g_variant_new ("(aiai)", &stale, &missing));
}

static void
event (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  const char *name;
  int id;

  g_variant_get (args, "(i&s@vu)", &id, &name, NULL, NULL);
  if (handle_event (menu, id, name))
    g_dbus_method_invocation_return_value (call, NULL);
  else
    return_no_such_item (call, id);
}

static void
about_to_show_one (DbusMenu *menu, GVariant *args, GDBusMethodInvocation *call)
{
  int id;

  g_variant_get (args, "(i)", &id);
  if (menu_item_find (menu->tree, id, NULL) == NULL)
    return_no_such_item (call, id);
  else
    g_dbus_method_invocation_return_value (call, g_variant_new ("(b)", about_to_show (menu, id)));
}

static const struct
{
  const char *name;
  void (*handle) (DbusMenu *, GVariant *, GDBusMethodInvocation *);
} methods[] = {
    {"GetLayout", get_layout},
    {"GetGroupProperties", get_group_properties},
    {"GetProperty", get_property},
    {"Event", event},
    {"EventGroup", event_group},
    {"AboutToShow", about_to_show_one},
    {"AboutToShowGroup", about_to_show_group},
};

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path,
                const char *interface, const char *method, GVariant *args,
                GDBusMethodInvocation *call, gpointer user_data)
{
  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++)
    if (g_str_equal (methods[i].name, method)) {
      methods[i].handle (user_data, args, call);
      return;
    }
}

static GVariant *
on_get_property (GDBusConnection *connection, const char *sender, const char *path,
                 const char *interface, const char *name, GError **error, gpointer user_data)
{
  DbusMenu *menu = user_data;

  if (g_str_equal (name, "Version"))
    return g_variant_new_uint32 (MENU_VERSION);
  if (g_str_equal (name, "Status"))
    return g_variant_new_string (menu->notice ? "notice" : "normal");
  if (g_str_equal (name, "IconThemePath"))
    return g_variant_new_strv (NULL, 0);
  /* The translators of GLib know which way a language runs. */
  return g_variant_new_string (
      g_str_equal (g_dgettext ("gtk40", "default:LTR"), "default:RTL") ? "rtl" : "ltr");
}

DbusMenu *
dbus_menu_new (GDBusConnection *connection, MenuItem *tree, DbusMenuClicked clicked,
               gpointer user_data, GError **error)
{
  static const GDBusInterfaceVTable vtable = {on_method_call, on_get_property, NULL, {0}};
  g_autoptr (GDBusNodeInfo) node = g_dbus_node_info_new_for_xml (xml, NULL);
  DbusMenu *menu = g_new0 (DbusMenu, 1);

  menu->connection = g_object_ref (connection);
  menu->clicked = clicked;
  menu->user_data = user_data;
  menu->tree = tree;
  menu->revision = 1;
  menu->changed_at = g_hash_table_new (NULL, NULL);
  menu->fetched_at = g_hash_table_new (NULL, NULL);
  menu->registration
      = g_dbus_connection_register_object (connection, DBUS_MENU_PATH, node->interfaces[0], &vtable,
                                           menu, NULL, error);
  if (menu->registration == 0)
    g_clear_pointer (&menu, dbus_menu_free);
  return menu;
}

void
dbus_menu_free (DbusMenu *menu)
{
  if (menu->registration != 0)
    g_dbus_connection_unregister_object (menu->connection, menu->registration);
  g_clear_handle_id (&menu->open_id, g_source_remove);
  g_clear_handle_id (&menu->coalesce_id, g_source_remove);
  g_clear_pointer (&menu->tree, menu_item_free);
  g_clear_pointer (&menu->pending, menu_item_free);
  g_hash_table_unref (menu->changed_at);
  g_hash_table_unref (menu->fetched_at);
  g_object_unref (menu->connection);
  g_free (menu);
}

void
dbus_menu_set_notice (DbusMenu *menu, gboolean notice)
{
  menu->notice = notice;
}
