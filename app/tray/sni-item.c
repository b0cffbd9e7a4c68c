#include "tray/sni-item.h"

#include <string.h>

#define INTERFACE       "org.kde.StatusNotifierItem"
#define WATCHER         "org.kde.StatusNotifierWatcher"
#define WATCHER_PATH    "/StatusNotifierWatcher"
#define ITEM_ID         "org.warrenvpn.Warren" /* for ever: hosts store settings under it */
#define SIGNAL_GAP_MS   100
#define TOKEN_LIFE_USEC (5 * G_USEC_PER_SEC)

/* Which values changed since the last signals. */
enum
{
  DIRTY_ICON = 1,
  DIRTY_STATUS = 2,
  DIRTY_TOOLTIP = 4,
};

struct _SniItem
{
  GDBusConnection *connection;
  guint registration;
  guint watch_id;
  char *watcher; /* unique name of the present watcher, or NULL */
  GCancellable *cancellable;
  SniItemCallbacks callbacks;
  gpointer user_data;
  char *icon_dir;

  char *icon;
  char *status;
  char *title;
  char *text;
  char *description;
  guint dirty;
  guint signal_id; /* signals were sent less than SIGNAL_GAP_MS ago */

  char *token;
  gint64 token_at_us;
};

#define PROPERTY(name, type)                                                                       \
  "<property name='" name "' type='" type "' access='read'>"                                       \
  "<annotation name='org.freedesktop.DBus.Property.EmitsChangedSignal' value='false'/></property>"

static const char xml_head[] = "<node><interface name='org.kde.StatusNotifierItem'>" PROPERTY (
    "Category", "s") PROPERTY ("Id", "s") PROPERTY ("Title", "s") PROPERTY ("Status", "s")
    PROPERTY ("WindowId", "i") PROPERTY ("IconThemePath", "s") PROPERTY ("Menu", "o")
        PROPERTY ("ItemIsMenu", "b") PROPERTY ("IconName", "s") PROPERTY ("IconPixmap", "a(iiay)")
            PROPERTY ("OverlayIconName", "s") PROPERTY ("OverlayIconPixmap", "a(iiay)")
                PROPERTY ("AttentionIconName", "s") PROPERTY ("AttentionIconPixmap", "a(iiay)")
                    PROPERTY ("AttentionMovieName", "s") PROPERTY ("ToolTip", "(sa(iiay)ss)")
                        PROPERTY ("IconAccessibleDesc", "s")
                            PROPERTY ("AttentionAccessibleDesc", "s");

/* Newer GNOME hosts delay the menu by the time of a double click if this is listed. */
static const char xml_activate[] = "<method name='Activate'><arg type='i' name='x' direction='in'/>"
                                   "<arg type='i' name='y' direction='in'/></method>";

static const char xml_tail[]
    = "<method name='SecondaryActivate'><arg type='i' name='x' direction='in'/>"
      "<arg type='i' name='y' direction='in'/></method>"
      "<method name='ContextMenu'><arg type='i' name='x' direction='in'/>"
      "<arg type='i' name='y' direction='in'/></method>"
      "<method name='Scroll'><arg type='i' name='delta' direction='in'/>"
      "<arg type='s' name='orientation' direction='in'/></method>"
      "<method name='ProvideXdgActivationToken'><arg type='s' name='token' "
      "direction='in'/></method>"
      "<signal name='NewTitle'/><signal name='NewIcon'/><signal name='NewAttentionIcon'/>"
      "<signal name='NewOverlayIcon'/><signal name='NewMenu'/><signal name='NewToolTip'/>"
      "<signal name='NewStatus'><arg type='s' name='status'/></signal>"
      "<signal name='NewIconThemePath'><arg type='s' name='icon_theme_path'/></signal>"
      "</interface></node>";

/* --- what hosts read
 * -------------------------------------------------------------------------------- */

static GVariant *
no_pixmap (void)
{
  return g_variant_new_array (G_VARIANT_TYPE ("(iiay)"), NULL, 0);
}

static GVariant *
tool_tip (SniItem *item)
{
  return g_variant_new ("(s@a(iiay)ss)", "", no_pixmap (), item->title, item->text);
}

/* The text of a string property, or NULL if NAME is none. */
static const char *
string_property (SniItem *item, const char *name)
{
  const struct
  {
    const char *name;
    const char *value;
  } strings[] = {
      {"Category", "SystemServices"},
      {"Id", ITEM_ID},
      {"Title", "Warren"},
      {"Status", item->status},
      {"IconThemePath", item->icon_dir},
      {"IconName", item->icon},
      {"OverlayIconName", ""},
      {"AttentionIconName", item->icon},
      {"AttentionMovieName", ""},
      {"IconAccessibleDesc", item->description},
      {"AttentionAccessibleDesc", item->description},
  };

  for (gsize i = 0; i < G_N_ELEMENTS (strings); i++)
    if (g_str_equal (strings[i].name, name))
      return strings[i].value;
  return NULL;
}

static GVariant *
on_get_property (GDBusConnection *connection, const char *sender, const char *path,
                 const char *interface, const char *name, GError **error, gpointer user_data)
{
  SniItem *item = user_data;
  const char *text = string_property (item, name);

  if (text != NULL)
    return g_variant_new_string (text);
  if (g_str_equal (name, "WindowId"))
    return g_variant_new_int32 (0);
  if (g_str_equal (name, "Menu"))
    return g_variant_new_object_path ("/MenuBar");
  if (g_str_equal (name, "ItemIsMenu"))
    return g_variant_new_boolean (FALSE);
  return g_str_equal (name, "ToolTip") ? tool_tip (item) : no_pixmap ();
}

static void
on_method_call (GDBusConnection *connection, const char *sender, const char *path,
                const char *interface, const char *method, GVariant *args,
                GDBusMethodInvocation *call, gpointer user_data)
{
  SniItem *item = user_data;

  if (g_str_equal (method, "ProvideXdgActivationToken")) {
    g_free (item->token);
    g_variant_get (args, "(s)", &item->token);
    item->token_at_us = g_get_monotonic_time ();
  } else if (g_str_equal (method, "Activate")) {
    item->callbacks.activate (item->user_data);
  } else if (g_str_equal (method, "SecondaryActivate")) {
    item->callbacks.secondary_activate (item->user_data);
  }
  g_dbus_method_invocation_return_value (call, NULL);
}

const char *
sni_item_get_activation_token (SniItem *item)
{
  if (item->token == NULL || *item->token == '\0'
      || g_get_monotonic_time () - item->token_at_us > TOKEN_LIFE_USEC)
    return NULL;
  return item->token;
}

/* --- telling changes
 * -------------------------------------------------------------------------------- */

static void
emit (SniItem *item, const char *signal, GVariant *args)
{
  g_dbus_connection_emit_signal (item->connection, NULL, SNI_ITEM_PATH, INTERFACE, signal, args,
                                 NULL);
}

static void send_signals (SniItem *item);

static gboolean
on_signal_gap (gpointer data)
{
  SniItem *item = data;

  item->signal_id = 0;
  if (item->dirty != 0)
    send_signals (item);
  return G_SOURCE_REMOVE;
}

/* Hosts fetch everything again after any signal, so signals are spared. */
static void
send_signals (SniItem *item)
{
  guint dirty = item->dirty;

  if (item->signal_id != 0)
    return;
  item->dirty = 0;
  if (dirty & DIRTY_ICON) {
    emit (item, "NewIcon", NULL);
    emit (item, "NewAttentionIcon", NULL);
  }
  if (dirty & DIRTY_STATUS)
    emit (item, "NewStatus", g_variant_new ("(s)", item->status));
  if (dirty & DIRTY_TOOLTIP)
    emit (item, "NewToolTip", NULL);
  item->signal_id = g_timeout_add (SIGNAL_GAP_MS, on_signal_gap, item);
}

static void
replace (SniItem *item, char **field, const char *value, guint dirty)
{
  if (g_strcmp0 (*field, value) == 0)
    return;
  g_free (*field);
  *field = g_strdup (value);
  item->dirty |= dirty;
}

/* --- registration
 * ----------------------------------------------------------------------------------- */

static void
on_registered (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply == NULL && !g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_message ("the panel did not take the icon: %s", error->message);
}

static void
register_item (SniItem *item)
{
  if (item->watcher == NULL || item->icon == NULL)
    return;
  g_dbus_connection_call (
      item->connection, WATCHER, WATCHER_PATH, WATCHER, "RegisterStatusNotifierItem",
      g_variant_new ("(s)", g_dbus_connection_get_unique_name (item->connection)), NULL,
      G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, item->cancellable, on_registered, item);
}

static void
on_watcher_appeared (GDBusConnection *connection, const char *name, const char *owner,
                     gpointer user_data)
{
  SniItem *item = user_data;

  g_free (item->watcher);
  item->watcher = g_strdup (owner);
  register_item (item);
}

static void
on_watcher_vanished (GDBusConnection *connection, const char *name, gpointer user_data)
{
  SniItem *item = user_data;

  g_clear_pointer (&item->watcher, g_free);
}

void
sni_item_set (SniItem *item, const char *icon, const char *status, const char *title,
              const char *text, const char *description)
{
  gboolean first = item->icon == NULL;

  replace (item, &item->icon, icon, DIRTY_ICON);
  replace (item, &item->status, status, DIRTY_STATUS);
  replace (item, &item->title, title, DIRTY_TOOLTIP);
  replace (item, &item->text, text, DIRTY_TOOLTIP);
  replace (item, &item->description, description, DIRTY_ICON);
  if (first) {
    item->dirty = 0;
    register_item (item);
  } else if (item->dirty != 0) {
    send_signals (item);
  }
}

static gboolean
is_gnome (void)
{
  const char *desktop = g_getenv ("XDG_CURRENT_DESKTOP");

  return desktop != NULL && strstr (desktop, "GNOME") != NULL;
}

SniItem *
sni_item_new (GDBusConnection *connection, const char *icon_dir, const SniItemCallbacks *callbacks,
              gpointer user_data, GError **error)
{
  static const GDBusInterfaceVTable vtable = {on_method_call, on_get_property, NULL, {0}};
  g_autofree char *xml = g_strconcat (xml_head, is_gnome () ? "" : xml_activate, xml_tail, NULL);
  g_autoptr (GDBusNodeInfo) node = g_dbus_node_info_new_for_xml (xml, NULL);
  SniItem *item = g_new0 (SniItem, 1);

  item->connection = g_object_ref (connection);
  item->callbacks = *callbacks;
  item->user_data = user_data;
  item->icon_dir = g_strdup (icon_dir != NULL ? icon_dir : "");
  item->cancellable = g_cancellable_new ();
  item->registration
      = g_dbus_connection_register_object (connection, SNI_ITEM_PATH, node->interfaces[0], &vtable,
                                           item, NULL, error);
  if (item->registration == 0) {
    sni_item_free (item);
    return NULL;
  }
  item->watch_id
      = g_bus_watch_name_on_connection (connection, WATCHER, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                        on_watcher_appeared, on_watcher_vanished, item, NULL);
  return item;
}

void
sni_item_free (SniItem *item)
{
  g_cancellable_cancel (item->cancellable);
  g_clear_object (&item->cancellable);
  g_clear_handle_id (&item->watch_id, g_bus_unwatch_name);
  g_clear_handle_id (&item->signal_id, g_source_remove);
  if (item->registration != 0)
    g_dbus_connection_unregister_object (item->connection, item->registration);
  g_free (item->watcher);
  g_free (item->icon_dir);
  g_free (item->icon);
  g_free (item->status);
  g_free (item->title);
  g_free (item->text);
  g_free (item->description);
  g_free (item->token);
  g_object_unref (item->connection);
  g_free (item);
}
