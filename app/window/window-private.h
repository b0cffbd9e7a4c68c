/* What window.c and window-actions.c share. */
#pragma once

#include "window/create-network-page.h"
#include "window/login-page.h"
#include "window/main-page.h"
#include "window/network-page.h"
#include "window/welcome-page.h"
#include "window/window.h"

/* What the user asked to see instead of what the state shows. */
typedef enum
{
  WARREN_VIEW_STATE,
  WARREN_VIEW_ADD_ACCOUNT,
  WARREN_VIEW_CREATE_NETWORK,
  WARREN_VIEW_NETWORK,
} WarrenView;

struct _WarrenWindow
{
  AdwApplicationWindow parent;

  AdwToastOverlay *toasts;
  GtkStack *pages;
  AdwStatusPage *service_page;
  GtkButton *service_button;
  GtkLabel *service_hint;
  WarrenWelcomePage *welcome_page;
  WarrenLoginPage *login_page;
  WarrenMainPage *main_page;
  WarrenCreateNetworkPage *create_page;
  WarrenNetworkPage *network_page;

  WarrenClient *client;
  GSettings *settings;
  GCancellable *cancellable;
  WarrenView view;
  char *invite_server; /* an invitation that is not shown yet, or NULL */
  char *invite_key;
  gboolean network_expected; /* asked for before the network was known */
};

/* Adds "win.…" and the keys are the application's. */
void warren_window_install_actions (WarrenWindow *window);

/* Those that depend on the state. */
void warren_window_update_actions (WarrenWindow *window);

void warren_window_toast (WarrenWindow *window, const char *text);
void warren_window_do (WarrenWindow *window, WarrenUiAction action);

void warren_window_set_view (WarrenWindow *window, WarrenView view);

/* Shows the page that fits. */
void warren_window_update (WarrenWindow *window);
