/* What window.c and window-actions.c share. */
#pragma once

#include "window/login-page.h"
#include "window/main-page.h"
#include "window/welcome-page.h"
#include "window/window.h"

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

  WarrenClient *client;
  GSettings *settings;
  GCancellable *cancellable;
  gboolean adding_account; /* the welcome page is shown although there is a session */
};

/* Adds "win.…" and the keys are the application's. */
void warren_window_install_actions (WarrenWindow *window);

/* Those that depend on the state. */
void warren_window_update_actions (WarrenWindow *window);

void warren_window_toast (WarrenWindow *window, const char *text);
void warren_window_do (WarrenWindow *window, WarrenUiAction action);

/* Shows the page that fits. */
void warren_window_update (WarrenWindow *window);
