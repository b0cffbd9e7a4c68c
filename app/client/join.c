#include "client/join.h"

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
  const char *hostname = g_task_get_task_data (task);
  GError *error = NULL;
  g_autofree char *key = warren_network_create_key_finish (network, result, &error);
  GVariantDict options;

  if (key == NULL) {
    g_task_return_error (task, error);
    return;
  }
  g_variant_dict_init (&options, NULL);
  g_variant_dict_insert (&options, "AuthKey", "s", key);
  if (hostname != NULL && *hostname != '\0')
    g_variant_dict_insert (&options, "Hostname", "s", hostname);
  warren_client_create_session_async (g_task_get_source_object (task),
                                      warren_network_get_url (network),
                                      g_variant_dict_end (&options), g_task_get_cancellable (task),
                                      on_session, g_object_ref (task));
}

void
warren_join_own_network_async (WarrenClient *client, const char *hostname,
                               GCancellable *cancellable, GAsyncReadyCallback callback,
                               gpointer user_data)
{
  GTask *task = g_task_new (client, cancellable, callback, user_data);
  GVariantDict options;

  g_task_set_task_data (task, g_strdup (hostname), g_free);
  g_variant_dict_init (&options, NULL);
  warren_network_create_key_async (warren_client_get_network (client),
                                   g_variant_dict_end (&options), cancellable, on_key, task);
}

char *
warren_join_own_network_finish (WarrenClient *client, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}
