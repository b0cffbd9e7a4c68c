/* Which changes of the state deserve a notification. spec/desktop.md §5.4.
 *
 * Never at the start, never for what the user just did. The buttons come back as WarrenUiAction.
 * Main thread. */
#pragma once

#include "client/ui-state.h"
#include "tray/notifier.h"

typedef void (*AlertsAction) (WarrenUiAction action, const char *token, gpointer user_data);

typedef struct _Alerts Alerts;

/* SETTINGS may be NULL. */
Alerts *alerts_new (GDBusConnection *session_bus, GSettings *settings, AlertsAction callback,
                    gpointer user_data);
void alerts_free (Alerts *alerts);

/* EXIT_NAME and NETWORK may be NULL. */
void
alerts_update (Alerts *alerts, const WarrenUiState *ui, const char *network, const char *exit_name);

/* N devices wait to join NETWORK, which this computer runs. */
void alerts_waiting (Alerts *alerts, guint n, const char *network);

/* The user did something here; what follows is no surprise. */
void alerts_user_acted (Alerts *alerts);

/* An action of the user's failed with TEXT. */
void alerts_failed (Alerts *alerts, const char *text);
