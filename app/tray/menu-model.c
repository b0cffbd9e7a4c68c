#include "tray/menu-model.h"

#include <glib/gi18n-lib.h>
#include <string.h>

#define NOTICE_LINE 56 /* characters */

static MenuItem *
add (MenuItem *parent, int id, MenuShape shape, const char *label)
{
  return menu_item_add (parent, menu_item_new (id, shape, label));
}

static MenuItem *
add_if (MenuItem *parent, int id, MenuShape shape, const char *label, gboolean visible)
{
  MenuItem *item = add (parent, id, shape, label);

  item->visible = visible;
  return item;
}

WarrenUiAction
menu_model_toggle (const WarrenUiState *ui)
{
  switch (ui->kind) {
    case WARREN_UI_STOPPED:
      return WARREN_ACTION_CONNECT;
    case WARREN_UI_CONNECTING:
      return WARREN_ACTION_CANCEL;
    case WARREN_UI_NO_NETWORK:
    case WARREN_UI_CAPTIVE_PORTAL:
    case WARREN_UI_EXIT_UNREACHABLE:
    case WARREN_UI_DEGRADED:
    case WARREN_UI_EXIT_ACTIVE:
    case WARREN_UI_CONNECTED:
      return WARREN_ACTION_DISCONNECT;
    case WARREN_UI_DAEMON_MISSING:
    case WARREN_UI_DAEMON_OLD:
    case WARREN_UI_FIRST_RUN:
    case WARREN_UI_IN_USE:
    case WARREN_UI_ERROR:
    case WARREN_UI_KEY_EXPIRED:
    case WARREN_UI_WAITING_BROWSER:
    case WARREN_UI_NEEDS_LOGIN:
    case WARREN_UI_NEEDS_APPROVAL:
    default:
      return WARREN_ACTION_NONE;
  }
}

/* The session is somebody else's, or there is none: only headline, window and quit are left. */
static gboolean
has_own_session (const MenuFacts *f)
{
  return f->ui->kind > WARREN_UI_IN_USE;
}

static char *
headline (const MenuFacts *f)
{
  gboolean connected = warren_ui_kind_is_connected (f->ui->kind);

  if (connected && f->network != NULL && *f->network != '\0') {
    g_autofree char *text = g_strdup_printf ("%s · %s", f->ui->headline, f->network);

    return menu_label (text);
  }
  return menu_label (f->ui->headline);
}

/* Takes the words of one line from *TEXT, which moves on. A low line would be a mnemonic. */
static char *
take_line (const char **text)
{
  GString *line = g_string_new (NULL);
  const char *p = *text;

  while (*p != '\0') {
    gsize n = strcspn (p, " \n");
    glong length = g_utf8_strlen (p, n);

    if (line->len > 0 && g_utf8_strlen (line->str, -1) + 1 + length > NOTICE_LINE)
      break;
    if (line->len > 0)
      g_string_append_c (line, ' ');
    g_string_append_len (line, p, n);
    p += n;
    p += strspn (p, " \n");
  }
  *text = p;
  g_string_replace (line, "_", "\u02cd", 0);
  return g_string_free (line, FALSE);
}

/* A notice is a sentence or two that say what to do: lines of a menu are items. */
static void
add_notice (MenuItem *root, const char *notice)
{
  const char *rest = notice != NULL ? notice : "";

  for (int i = 0; i < MENU_NOTICE_LINES; i++) {
    gboolean visible = *rest != '\0';
    g_autofree char *line = take_line (&rest);
    gboolean cut = i == MENU_NOTICE_LINES - 1 && *rest != '\0';
    g_autofree char *label = g_strdup_printf (i == 0 ? "⚠ %s%s" : "%s%s", line, cut ? "…" : "");
    MenuItem *item = add_if (root, i == 0 ? MENU_NOTICE : MENU_NOTICE_MORE + i - 1, MENU_SHAPE_ITEM,
                             label, visible);

    item->warning = TRUE;
  }
}

static void
add_waiting (MenuItem *root, guint n)
{
  g_autofree char *label = g_strdup_printf (
      ngettext ("%u Device Waits for Approval…", "%u Devices Wait for Approval…", n), n);
  MenuItem *item = add_if (root, MENU_WAITING, MENU_SHAPE_ITEM, label, n > 0);

  item->warning = TRUE;
}

static void
add_state (MenuItem *root, const MenuFacts *f)
{
  WarrenUiAction toggle = menu_model_toggle (f->ui);
  WarrenUiAction primary = f->ui->primary != toggle ? f->ui->primary : WARREN_ACTION_NONE;
  WarrenUiAction secondary = f->ui->secondary;
  g_autofree char *first = headline (f);
  MenuItem *item;

  if (primary == WARREN_ACTION_SHOW_DETAILS)
    primary = WARREN_ACTION_NONE; /* that is "Open Warren" */
  item = add (root, MENU_HEADLINE, MENU_SHAPE_ITEM, first);
  item->enabled = FALSE;
  add_if (root, MENU_TOGGLE, MENU_SHAPE_ITEM, warren_ui_action_label (toggle),
          toggle != WARREN_ACTION_NONE && f->may_connect);
  add_if (root, MENU_PRIMARY, MENU_SHAPE_ITEM, warren_ui_action_label (primary),
          primary != WARREN_ACTION_NONE);
  add_if (root, MENU_COPY_LINK, MENU_SHAPE_ITEM,
          warren_ui_action_label (WARREN_ACTION_COPY_LOGIN_LINK),
          f->ui->kind == WARREN_UI_WAITING_BROWSER);
  add_if (root, MENU_SECONDARY, MENU_SHAPE_ITEM, warren_ui_action_label (secondary),
          secondary != WARREN_ACTION_NONE);
  add_notice (root, f->ui->notice);
  add_waiting (root, f->n_waiting);
}

static void
add_device (MenuItem *menu, WarrenDevice *device, MenuIds *ids)
{
  g_autofree char *name = menu_label (warren_device_get_name (device));
  g_autofree char *label = NULL;

  if (warren_device_is_online (device))
    label = g_strdup_printf ("%s · %s", name, warren_device_get_address (device));
  else
    label = g_strdup_printf (_ ("%s (offline)"), name);
  add (menu, menu_ids_get (ids, "device", warren_device_get_id (device)), MENU_SHAPE_ITEM, label);
}

static void
add_devices (MenuItem *root, const MenuFacts *f, MenuIds *ids)
{
  gboolean visible = has_own_session (f) && f->own_address != NULL;
  g_autofree char *name = menu_label (f->own_name != NULL ? f->own_name : "");
  g_autofree char *own = g_strdup_printf (_ ("This Device: %s (%s)"), name,
                                          f->own_address != NULL ? f->own_address : "");
  guint shown = MIN (f->n_devices, MENU_DEVICES_MAX);
  MenuItem *menu;
  MenuItem *item;

  add_if (root, MENU_SEPARATOR_DEVICES, MENU_SHAPE_SEPARATOR, NULL, visible);
  add_if (root, MENU_THIS_DEVICE, MENU_SHAPE_ITEM, own, visible);
  menu = add_if (root, MENU_DEVICES, MENU_SHAPE_SUBMENU, _ ("Devices"), visible);
  for (guint i = 0; i < shown; i++)
    add_device (menu, f->devices[i], ids);
  item = add_if (menu, MENU_NO_DEVICES, MENU_SHAPE_ITEM, _ ("No Other Devices"), shown == 0);
  item->enabled = FALSE;
  add (menu, MENU_DEVICES_SEPARATOR, MENU_SHAPE_SEPARATOR, NULL);
  item = add (menu, MENU_COPY_NAMES, MENU_SHAPE_CHECK, _ ("Copy Names Instead of Addresses"));
  item->on = f->copy_names;
  add (menu, MENU_ALL_DEVICES, MENU_SHAPE_ITEM, _ ("All Devices…"));
}

static void
add_exit_node (MenuItem *menu, const MenuFacts *f, WarrenDevice *node, MenuIds *ids)
{
  const char *id = warren_device_get_id (node);
  g_autofree char *label = warren_device_dup_exit_label (node);
  g_autofree char *safe = menu_label (label);
  g_autofree char *text = warren_device_is_online (node)
                              ? g_strdup (safe)
                              : g_strdup_printf (_ ("%s (offline)"), safe);
  MenuItem *item = add (menu, menu_ids_get (ids, "exit", id), MENU_SHAPE_RADIO, text);

  item->on = f->exit_set && !f->exit_automatic && g_strcmp0 (f->exit_id, id) == 0;
}

static void
add_exit_nodes (MenuItem *root, const MenuFacts *f, MenuIds *ids)
{
  g_autofree char *chosen = menu_label (f->exit_label != NULL ? f->exit_label : "");
  g_autofree char *label = NULL;
  gboolean any = f->n_exit_nodes > 0 || f->exit_set;
  MenuItem *menu;
  MenuItem *item;

  if (!f->exit_set)
    label = g_strdup (_ ("Exit Node: None"));
  else if (f->exit_automatic)
    label = g_strdup_printf (_ ("Exit Node: %s (Automatic)"), *chosen != '\0' ? chosen : "…");
  else
    label = g_strdup_printf (_ ("Exit Node: %s"), chosen);
  menu = add_if (root, MENU_EXIT, MENU_SHAPE_SUBMENU, label,
                 has_own_session (f) && f->may_choose_exit && any);
  item = add (menu, MENU_EXIT_NONE, MENU_SHAPE_RADIO, _ ("None"));
  item->on = !f->exit_set;
  item = add (menu, MENU_EXIT_AUTOMATIC, MENU_SHAPE_RADIO, _ ("Automatic (Best)"));
  item->on = f->exit_set && f->exit_automatic;
  for (guint i = 0; i < MIN (f->n_exit_nodes, MENU_EXIT_NODES_MAX); i++)
    add_exit_node (menu, f, f->exit_nodes[i], ids);
  add (menu, MENU_EXIT_SEPARATOR, MENU_SHAPE_SEPARATOR, NULL);
  item = add (menu, MENU_EXIT_ALLOW_LAN, MENU_SHAPE_CHECK, _ ("Allow Local Network"));
  item->on = f->exit_allow_lan;
  add (menu, MENU_EXIT_CHOOSE, MENU_SHAPE_ITEM, _ ("Choose Another…"));
}

static void
add_accounts (MenuItem *root, const MenuFacts *f, MenuIds *ids)
{
  const char *active = "";
  g_autofree char *label = NULL;
  g_autofree char *safe = NULL;
  MenuItem *menu;

  for (guint i = 0; i < f->n_accounts; i++)
    if (f->accounts[i].active)
      active = f->accounts[i].account;
  safe = menu_label (active);
  label = g_strdup_printf (_ ("Account: %s"), safe);
  menu = add_if (root, MENU_ACCOUNT, MENU_SHAPE_SUBMENU, label,
                 has_own_session (f) && f->may_switch && f->n_accounts > 0);
  for (guint i = 0; i < MIN (f->n_accounts, MENU_ACCOUNTS_MAX); i++) {
    g_autofree char *name = menu_label (f->accounts[i].label);
    MenuItem *item
        = add (menu, menu_ids_get (ids, "account", f->accounts[i].path), MENU_SHAPE_RADIO, name);

    item->on = f->accounts[i].active;
  }
  add (menu, MENU_ACCOUNT_SEPARATOR, MENU_SHAPE_SEPARATOR, NULL);
  add (menu, MENU_ADD_ACCOUNT, MENU_SHAPE_ITEM, _ ("Add Account…"));
}

MenuItem *
menu_model_build (const MenuFacts *f, MenuIds *ids)
{
  MenuItem *root = menu_item_new (MENU_ROOT, MENU_SHAPE_SUBMENU, NULL);

  if (f->open_first)
    add (root, MENU_OPEN, MENU_SHAPE_ITEM, _ ("Open Warren"));
  add_state (root, f);
  add_devices (root, f, ids);
  add_exit_nodes (root, f, ids);
  add_accounts (root, f, ids);
  add (root, MENU_SEPARATOR_WINDOW, MENU_SHAPE_SEPARATOR, NULL);
  if (!f->open_first)
    add (root, MENU_OPEN, MENU_SHAPE_ITEM, _ ("Open Warren"));
  add (root, MENU_QUIT, MENU_SHAPE_ITEM, _ ("Quit (Connection Stays On)"));
  return root;
}
