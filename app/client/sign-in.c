#include "client/sign-in.h"

#include "client/error.h"

GAppLaunchContext *
warren_launch_context_new (const char *token)
{
  GAppLaunchContext *context = g_app_launch_context_new ();

  if (token != NULL) {
    g_app_launch_context_setenv (context, "XDG_ACTIVATION_TOKEN", token);
    g_app_launch_context_setenv (context, "DESKTOP_STARTUP_ID", token);
  }
  return context;
}

gboolean
warren_url_is_openable (const char *url, const char *server_url)
{
  g_autofree char *scheme = g_uri_parse_scheme (url);
  g_autofree char *server_scheme = server_url != NULL ? g_uri_parse_scheme (server_url) : NULL;

  if (g_strcmp0 (scheme, "https") == 0)
    return TRUE;
  return g_strcmp0 (scheme, "http") == 0 && g_strcmp0 (server_scheme, "http") == 0;
}

static void
on_launched (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (g_app_info_launch_default_for_uri_finish (result, &error))
    g_task_return_boolean (task, TRUE);
  else
    g_task_return_error (task, error);
}

static void
on_url (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  WarrenSession *session = WARREN_SESSION (source);
  GError *error = NULL;
  g_autofree char *url = warren_session_get_login_url_finish (session, result, &error);

  if (url == NULL) {
    g_task_return_error (task, error);
    return;
  }
  if (!warren_url_is_openable (url, warren_session_get_server_url (session))) {
    g_task_return_new_error (task, WARREN_ERROR, WARREN_ERROR_FAILED,
                             "the server named a page that is no web page");
    return;
  }
  g_app_info_launch_default_for_uri_async (url, g_task_get_task_data (task),
                                           g_task_get_cancellable (task), on_launched,
                                           g_object_ref (task));
}

static void
fetch_page (WarrenSession *session, GTask *task)
{
  warren_session_get_login_url_async (session, g_task_get_cancellable (task), on_url,
                                      g_object_ref (task));
}

static void
on_login (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;

  if (warren_session_call_finish (WARREN_SESSION (source), result, &error))
    fetch_page (WARREN_SESSION (source), task);
  else
    g_task_return_error (task, error);
}

static GTask *
new_task (GAppLaunchContext *context, GCancellable *cancellable, GAsyncReadyCallback callback,
          gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);

  if (context != NULL)
    g_task_set_task_data (task, g_object_ref (context), g_object_unref);
  return task;
}

void
warren_sign_in_async (WarrenSession *session, GAppLaunchContext *context, GCancellable *cancellable,
                      GAsyncReadyCallback callback, gpointer user_data)
{
  warren_session_login_async (session, NULL, FALSE, cancellable, on_login,
                              new_task (context, cancellable, callback, user_data));
}

void
warren_open_login_page_async (WarrenSession *session, GAppLaunchContext *context,
                              GCancellable *cancellable, GAsyncReadyCallback callback,
                              gpointer user_data)
{
  g_autoptr (GTask) task = new_task (context, cancellable, callback, user_data);

  fetch_page (session, task);
}

gboolean
warren_sign_in_finish (GAsyncResult *result, GError **error)
{
  return g_task_propagate_boolean (G_TASK (result), error);
}
