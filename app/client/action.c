#include "client/action.h"

#include "client/error.h"
#include "client/sign-in.h"

typedef struct
{
  GObject *view;
  WarrenReport report;
} Reporter;

gpointer
warren_reporter_new (gpointer view, WarrenReport report)
{
  Reporter *reporter = g_new (Reporter, 1);

  reporter->view = g_object_ref (view);
  reporter->report = report;
  return reporter;
}

void
warren_report_failure (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Reporter *reporter = user_data;
  g_autoptr (GObject) view = reporter->view;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  if (g_task_propagate_boolean (G_TASK (result), &error) || warren_error_is_silent (error))
    return;
  text = warren_error_describe (error, NULL);
  reporter->report (view, text);
}

static gboolean
do_session_action (WarrenSession *session, WarrenUiAction action, GCancellable *cancellable,
                   gpointer view, WarrenReport report)
{
  switch (action) {
    case WARREN_ACTION_CONNECT:
      warren_session_connect_async (session, cancellable, warren_report_failure,
                                    warren_reporter_new (view, report));
      return TRUE;
    case WARREN_ACTION_DISCONNECT:
    case WARREN_ACTION_CANCEL:
      warren_session_disconnect_async (session, cancellable, warren_report_failure,
                                       warren_reporter_new (view, report));
      return TRUE;
    case WARREN_ACTION_CANCEL_LOGIN:
      warren_session_cancel_login_async (session, cancellable, warren_report_failure,
                                         warren_reporter_new (view, report));
      return TRUE;
    case WARREN_ACTION_STOP_EXIT_NODE:
      warren_session_set_exit_node_async (session, "", cancellable, warren_report_failure,
                                          warren_reporter_new (view, report));
      return TRUE;
    case WARREN_ACTION_NONE:
    case WARREN_ACTION_SIGN_IN:
    case WARREN_ACTION_OPEN_LOGIN_PAGE:
    case WARREN_ACTION_COPY_LOGIN_LINK:
    case WARREN_ACTION_OPEN_APPROVAL_PAGE:
    case WARREN_ACTION_SET_UP:
    case WARREN_ACTION_START_SERVICE:
    case WARREN_ACTION_RESTART_SERVICE:
    case WARREN_ACTION_SWITCH_ACCOUNT:
    case WARREN_ACTION_OPEN_PORTAL:
    case WARREN_ACTION_CHOOSE_EXIT_NODE:
    case WARREN_ACTION_SHOW_DETAILS:
    case WARREN_ACTION_OPEN_URL:
    case WARREN_ACTION_REVIEW_DEVICES:
    default:
      return FALSE;
  }
}

gboolean
warren_client_do_action (WarrenClient *client, WarrenUiAction action, GCancellable *cancellable,
                         gpointer view, WarrenReport report)
{
  WarrenSession *session = warren_client_get_session (client);

  if (action == WARREN_ACTION_START_SERVICE)
    warren_client_start_service_async (client, cancellable, warren_report_failure,
                                       warren_reporter_new (view, report));
  else if (action == WARREN_ACTION_RESTART_SERVICE)
    warren_client_restart_service_async (client, cancellable, warren_report_failure,
                                         warren_reporter_new (view, report));
  else
    return session != NULL && do_session_action (session, action, cancellable, view, report);
  return TRUE;
}

void
warren_session_allow_lan (WarrenSession *session, gboolean allowed, GCancellable *cancellable,
                          gpointer view, WarrenReport report)
{
  GVariantDict changes;

  g_variant_dict_init (&changes, NULL);
  g_variant_dict_insert (&changes, "ExitNodeAllowLan", "b", allowed);
  warren_session_set_preferences_async (session, g_variant_dict_end (&changes), cancellable,
                                        warren_report_failure, warren_reporter_new (view, report));
}

const char *
warren_client_get_action_url (WarrenClient *client, WarrenUiAction action)
{
  WarrenSession *session = warren_client_get_session (client);
  const char *url = NULL;

  if (session == NULL)
    return NULL;
  if (action == WARREN_ACTION_OPEN_APPROVAL_PAGE)
    url = warren_bus_session_get_approval_url (warren_session_get_bus (session));
  else if (action == WARREN_ACTION_OPEN_URL)
    url = warren_client_get_ui_state (client)->notice_url;
  return url != NULL && warren_url_is_openable (url, warren_session_get_server_url (session))
             ? url
             : NULL;
}
