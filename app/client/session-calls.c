/* The calls of session.h. A password dialog may stay open for minutes, so no call has a time limit
 * and each carries the flag that allows the dialog (spec/desktop.md §8.6). */
#include "client/error.h"
#include "client/session.h"

#define FLAGS   G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION
#define TIMEOUT G_MAXINT

typedef gboolean (*CallFinish) (WarrenBusSession *, GAsyncResult *, GError **);

static void
return_call (GObject *source, GAsyncResult *result, GTask *task, CallFinish finish)
{
  GError *error = NULL;

  if (finish (WARREN_BUS_SESSION (source), result, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
  g_object_unref (task);
}

gboolean
warren_session_call_finish (WarrenSession *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}

static GTask *
new_task (WarrenSession *self, GCancellable *cancellable, GAsyncReadyCallback callback,
          gpointer user_data)
{
  warren_error_quark (); /* registers the names of the errors */
  return g_task_new (self, cancellable, callback, user_data);
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer task)
{
  return_call (source, result, task, warren_bus_session_call_connect_finish);
}

void
warren_session_connect_async (WarrenSession *self, GCancellable *cancellable,
                              GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = new_task (self, cancellable, callback, user_data);

  warren_bus_session_call_connect (warren_session_get_bus (self), FLAGS, TIMEOUT, cancellable,
                                   on_connected, task);
}

static void
on_disconnected (GObject *source, GAsyncResult *result, gpointer task)
{
  return_call (source, result, task, warren_bus_session_call_disconnect_finish);
}

void
warren_session_disconnect_async (WarrenSession *self, GCancellable *cancellable,
                                 GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = new_task (self, cancellable, callback, user_data);

  warren_bus_session_call_disconnect (warren_session_get_bus (self), FLAGS, TIMEOUT, cancellable,
                                      on_disconnected, task);
}

static void
on_login_cancelled (GObject *source, GAsyncResult *result, gpointer task)
{
  return_call (source, result, task, warren_bus_session_call_cancel_login_finish);
}

void
warren_session_cancel_login_async (WarrenSession *self, GCancellable *cancellable,
                                   GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = new_task (self, cancellable, callback, user_data);

  warren_bus_session_call_cancel_login (warren_session_get_bus (self), FLAGS, TIMEOUT, cancellable,
                                        on_login_cancelled, task);
}

static void
on_logged_out (GObject *source, GAsyncResult *result, gpointer task)
{
  return_call (source, result, task, warren_bus_session_call_logout_finish);
}

void
warren_session_logout_async (WarrenSession *self, GCancellable *cancellable,
                             GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = new_task (self, cancellable, callback, user_data);

  warren_bus_session_call_logout (warren_session_get_bus (self), FLAGS, TIMEOUT, cancellable,
                                  on_logged_out, task);
}

static void
on_logged_in (GObject *source, GAsyncResult *result, gpointer task)
{
  return_call (source, result, task, warren_bus_session_call_login_finish);
}

void
warren_session_login_async (WarrenSession *self, const char *auth_key, gboolean force,
                            GCancellable *cancellable, GAsyncReadyCallback callback,
                            gpointer user_data)
{
  GTask *task = new_task (self, cancellable, callback, user_data);
  GVariantDict options;

  g_variant_dict_init (&options, NULL);
  if (auth_key != NULL)
    g_variant_dict_insert (&options, "AuthKey", "s", auth_key);
  if (force)
    g_variant_dict_insert (&options, "Force", "b", TRUE);
  warren_bus_session_call_login (warren_session_get_bus (self), g_variant_dict_end (&options),
                                 FLAGS, TIMEOUT, cancellable, on_logged_in, task);
}

static void
on_preferences_set (GObject *source, GAsyncResult *result, gpointer task)
{
  return_call (source, result, task, warren_bus_session_call_set_preferences_finish);
}

void
warren_session_set_preferences_async (WarrenSession *self, GVariant *changes,
                                      GCancellable *cancellable, GAsyncReadyCallback callback,
                                      gpointer user_data)
{
  GTask *task = new_task (self, cancellable, callback, user_data);

  warren_bus_session_call_set_preferences (warren_session_get_bus (self), changes, FLAGS, TIMEOUT,
                                           cancellable, on_preferences_set, task);
}

void
warren_session_set_exit_node_async (WarrenSession *self, const char *node,
                                    GCancellable *cancellable, GAsyncReadyCallback callback,
                                    gpointer user_data)
{
  GVariantDict changes;

  g_variant_dict_init (&changes, NULL);
  g_variant_dict_insert (&changes, "ExitNode", "s", node);
  warren_session_set_preferences_async (self, g_variant_dict_end (&changes), cancellable, callback,
                                        user_data);
}

/* --- the sign-in page ------------------------------------------------------------------------- */

static void
on_login_url (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  char *url = NULL;
  GError *error = NULL;

  if (warren_bus_session_call_get_login_url_finish (WARREN_BUS_SESSION (source), &url, result,
                                                    &error))
    g_task_return_pointer (task, url, g_free);
  else
    g_task_return_error (task, error);
}

/* Ends the wait in one of three ways: a page, a reason why there will be none, cancelled. */
static void
check_login (WarrenSession *self, GTask *task)
{
  const char *text;
  const char *problem = warren_session_get_problem (self, &text);
  const char *state = warren_session_get_state (self);
  const WarrenProblemInfo *info = warren_problem_info (problem);

  if (g_task_get_completed (task))
    return;
  if (warren_session_get_login_pending (self)) {
    g_signal_handlers_disconnect_by_data (self, task);
    warren_bus_session_call_get_login_url (warren_session_get_bus (self), FLAGS, TIMEOUT,
                                           g_task_get_cancellable (task), on_login_url,
                                           g_object_ref (task));
  } else if (info != NULL && info->needs_sign_in && g_str_equal (state, "needs-login")
             && (g_str_equal (problem, "login-denied") || g_str_equal (problem, "login-expired"))) {
    g_signal_handlers_disconnect_by_data (self, task);
    g_task_return_new_error (task, WARREN_ERROR, WARREN_ERROR_SERVER_REFUSED, "%s", text);
  } else if (g_str_equal (state, "running") && g_task_get_task_data (task) == NULL) {
    g_signal_handlers_disconnect_by_data (self, task);
    g_task_return_new_error (task, WARREN_ERROR, WARREN_ERROR_WRONG_STATE, "already signed in");
  }
}

static void
on_cancelled (GCancellable *cancellable, GTask *task)
{
  WarrenSession *self = g_task_get_source_object (task);

  g_signal_handlers_disconnect_by_data (self, task);
  g_task_return_error_if_cancelled (task);
}

void
warren_session_get_login_url_async (WarrenSession *self, GCancellable *cancellable,
                                    GAsyncReadyCallback callback, gpointer user_data)
{
  g_autoptr (GTask) task = new_task (self, cancellable, callback, user_data);

  if (g_task_return_error_if_cancelled (task))
    return;
  /* A sign-in that is renewed while it still holds runs all the time. */
  if (g_str_equal (warren_session_get_state (self), "running"))
    g_task_set_task_data (task, self, NULL);
  g_signal_connect_data (self, "changed", G_CALLBACK (check_login), g_object_ref (task),
                         (GClosureNotify)(void (*) (void))g_object_unref, 0);
  if (cancellable != NULL)
    g_signal_connect_object (cancellable, "cancelled", G_CALLBACK (on_cancelled), task, 0);
  check_login (self, task);
}

char *
warren_session_get_login_url_finish (WarrenSession *self, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
