/* What the tray menu holds: a pure function from what is known to a tree. spec/desktop.md §5.3.
 *
 * Not the way to the host (dbus-menu.h), and it starts nothing. Main thread. */
#pragma once

#include "client/device.h"
#include "client/ui-state.h"
#include "tray/menu-tree.h"

/* Fixed ids; those of items that come and go are made by MenuIds. */
enum
{
  MENU_ROOT = 0,
  MENU_HEADLINE = 1,
  MENU_TOGGLE = 2,
  MENU_PRIMARY = 3,
  MENU_NOTICE = 4,
  MENU_WAITING = 5,
  MENU_SEPARATOR_DEVICES = 6,
  MENU_SECONDARY = 7,
  MENU_COPY_LINK = 8,
  MENU_THIS_DEVICE = 10,
  MENU_DEVICES = 11,
  MENU_NO_DEVICES = 12,
  MENU_DEVICES_SEPARATOR = 17,
  MENU_COPY_NAMES = 18,
  MENU_ALL_DEVICES = 19,
  MENU_EXIT = 20,
  MENU_EXIT_NONE = 21,
  MENU_EXIT_AUTOMATIC = 22,
  MENU_EXIT_SEPARATOR = 24,
  MENU_EXIT_ALLOW_LAN = 25,
  MENU_EXIT_CHOOSE = 26,
  MENU_ACCOUNT = 30,
  MENU_ACCOUNT_SEPARATOR = 37,
  MENU_ADD_ACCOUNT = 38,
  MENU_SEPARATOR_WINDOW = 40,
  MENU_OPEN = 42,
  MENU_QUIT = 44,
  MENU_NOTICE_MORE = 50, /* and the next ones: further lines of the notice */
};

#define MENU_NOTICE_LINES 5

#define MENU_DEVICES_MAX    10
#define MENU_EXIT_NODES_MAX 12
#define MENU_ACCOUNTS_MAX   12

typedef struct
{
  const char *path;
  const char *account; /* "alice@example.com" */
  const char *label;   /* with network and server */
  gboolean active;
} MenuAccount;

/* Everything is borrowed. */
typedef struct
{
  const WarrenUiState *ui;
  const char *network;  /* of the session, or NULL */
  const char *own_name; /* NULL before the first sign-in */
  const char *own_address;
  WarrenDevice *const *devices; /* at most MENU_DEVICES_MAX are shown */
  guint n_devices;
  WarrenDevice *const *exit_nodes;
  guint n_exit_nodes;
  gboolean exit_set;
  gboolean exit_automatic;
  gboolean exit_allow_lan;
  const char *exit_id;
  const char *exit_label;
  const MenuAccount *accounts;
  guint n_accounts;
  guint n_waiting;      /* devices that want to join this computer's network */
  gboolean may_connect; /* what polkit forbids is absent */
  gboolean may_choose_exit;
  gboolean may_switch;
  gboolean copy_names;
  gboolean open_first; /* GNOME: the menu is all there is */
} MenuFacts;

/* A new tree with root MENU_ROOT. */
MenuItem *menu_model_build (const MenuFacts *facts, MenuIds *ids);

/* The call that a click on the primary toggle makes in this state, or NONE. */
WarrenUiAction menu_model_toggle (const WarrenUiState *ui);
