#include "client/join.h"

#include "client/error.h"

#define APPEARS_S 10 /* a network that was just made is known here after a moment */

typedef struct
{
  char *hostname;
  gulong changed_id;
  guint timeout_id;
} Join;

static void
free_join (Join *join)
{
  g_free (join->hostname);
  g_free (join);
}

static void
on_session (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  GError *error = NULL;
  char *path = warren_client_create_session_finish (WARREN_CLIENT (source), result, &error);

  if (path != NULL)
    g_task_return_pointer (task, path, g_free);
  else
    g_task_return_error (task, error);
}

static void
on_key (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  WarrenNetwork *network = WARREN_NETWORK (source);
  Join *join = g_task_get_task_data (task);
  GError *error = NULL;
  g_autofree char *key = warren_network_create_key_finish (network, result, &error);
  GVariantDict options;

  if (key == NULL) {
    g_task_return_error (task, error);
    return;
  }
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "AuthKey", "s", key);
  if (join->hostname != NULL && *join->hostname != '\0')
    g_variant_dict_insert (&options, "Hostname", "s", join->hostname);
  warren_client_create_session_async (g_task_get_source_object (task),
                                      warren_network_get_url (network),
                                      g_variant_dict_end (&options), g_task_get_cancellable (task),
                                      on_session, g_object_ref (task));
}

static void
ask_for_key (WarrenNetwork *network, GTask *task)
{
  GVariantDict options;

  g_variant_dict_init (&options, NULL);
  warren_network_create_key_async (network, g_variant_dict_end (&options),
                                   g_task_get_cancellable (task), on_key, g_object_ref (task));
}

static void
stop_waiting (WarrenNetwork *network, Join *join)
{
  g_clear_signal_handler (&join->changed_id, network);
  g_clear_handle_id (&join->timeout_id, g_source_remove);
}

static void
on_network_changed (WarrenNetwork *network, GTask *task)
{
  g_autoptr (GTask) held = g_object_ref (task);

  if (!warren_network_exists (network))
    return;
  stop_waiting (network, g_task_get_task_data (task));
  ask_for_key (network, task);
}

static gboolean
on_no_network (gpointer data)
{
  g_autoptr (GTask) task = g_object_ref (data);
  Join *join = g_task_get_task_data (task);

  join->timeout_id = 0;
  stop_waiting (warren_client_get_network (g_task_get_source_object (task)), join);
  g_task_return_new_error (task, WARREN_ERROR, WARREN_ERROR_NOT_FOUND,
                           "there is no private network on this computer");
  return G_SOURCE_REMOVE;
}

void
warren_join_own_network_async (WarrenClient *client, const char *hostname,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  g_autoptr (GTask) task = g_task_new (client, cancellable, callback, user_data);
  WarrenNetwork *network = warren_client_get_network (client);
  Join *join = g_new0 (Join, 1);

  join->hostname = g_strdup (hostname);
  g_task_set_task_data (task, join, (GDestroyNotify)free_join);
  if (warren_network_exists (network)) {
    ask_for_key (network, task);
    return;
  }
  join->changed_id = g_signal_connect_data (network, "changed", G_CALLBACK (on_network_changed),
                                            g_object_ref (task),
                                            (GClosureNotify)(void (*) (void))g_object_unref, 0);
  join->timeout_id = g_timeout_add_seconds (APPEARS_S, on_no_network, task);
}

char *
warren_join_own_network_finish (WarrenClient *client, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
