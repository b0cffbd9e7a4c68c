#include "api/bus-service.h"

#include "api/call.h"
#include "api/diagnostics-calls.h"
#include "api/manager-calls.h"
#include "api/network-object.h"
#include "api/peer-feed.h"
#include "api/peers-calls.h"
#include "api/session-object.h"

static void
session_added (Session *session, void *user_data)
{
  BusService *service = user_data;
  g_hash_table_insert (service->sessions, session, session_object_new (service, session));
  manager_update (service);
}

static void
session_removed (Session *session, void *user_data)
{
  BusService *service = user_data;
  SessionObject *object = g_hash_table_lookup (service->sessions, session);
  if (!object)
    return;
  g_hash_table_remove (service->sessions, session);
  session_object_free (object);
  manager_update (service);
}

static void
session_changed (Session *session, unsigned changes, void *user_data)
{
  BusService *service = user_data;
  SessionObject *object = g_hash_table_lookup (service->sessions, session);
  if (object)
    session_object_update (object, changes);
}

static void
path_changed (Session *session, const NodePublic *peer, void *user_data)
{
  BusService *service = user_data;
  SessionObject *object = g_hash_table_lookup (service->sessions, session);
  if (object)
    peer_feed_peer_changed (object->feed, peer);
}

static void
manager_changed (void *user_data)
{
  manager_update (user_data);
}

static void
permissions_changed (void *user_data)
{
  BusService *service = user_data;
  warren_bus_manager_emit_permissions_changed (service->manager);
}

BusService *
bus_service_new (Engine *engine, GDBusConnection *bus, const BusServiceOptions *options)
{
  BusService *service = g_new0 (BusService, 1);
  service->engine = engine;
  service->bus = g_object_ref (bus);
  service->objects = g_dbus_object_manager_server_new (BUS_PATH);
  service->manager = warren_bus_manager_skeleton_new ();
  service->sessions = g_hash_table_new (NULL, NULL);
  service->calls = g_hash_table_new (NULL, NULL);
  service->watches = g_hash_table_new (NULL, NULL);
  service->authority = authority_new (bus, permissions_changed, service);
  service->diagnostics = warren_bus_diagnostics_skeleton_new ();
  manager_calls_connect (service);
  diagnostics_calls_connect (service, NULL, service->diagnostics);
  service->network = network_object_new (service, options->coordinator, options->state_dir);

  const GPtrArray *sessions = engine_sessions (engine);
  for (guint i = 0; i < sessions->len; i++)
    session_added (g_ptr_array_index (sessions, i), service);
  manager_update (service);
  g_autoptr (WarrenBusObjectSkeleton) object = warren_bus_object_skeleton_new (OBJECT_PATH_MANAGER);
  warren_bus_object_skeleton_set_manager (object, service->manager);
  warren_bus_object_skeleton_set_diagnostics (object, service->diagnostics);
  g_dbus_object_manager_server_export (service->objects, G_DBUS_OBJECT_SKELETON (object));
  g_dbus_object_manager_server_set_connection (service->objects, bus);

  EngineListener listener = {.session_added = session_added,
                             .session_removed = session_removed,
                             .session_changed = session_changed,
                             .path_changed = path_changed,
                             .active_changed = manager_changed,
                             .network_changed = manager_changed};
  engine_set_listener (engine, &listener, service);
  return service;
}

void
bus_service_free (BusService *service)
{
  if (!service)
    return;
  EngineListener none = {NULL};
  engine_set_listener (service->engine, &none, NULL);
  g_dbus_object_manager_server_set_connection (service->objects, NULL);
  authority_free (service->authority);
  network_object_free (service->network);
  calls_drop_all (service);
  GHashTableIter iter;
  SessionObject *object;
  g_hash_table_iter_init (&iter, service->sessions);
  while (g_hash_table_iter_next (&iter, NULL, (void **)&object))
    session_object_free (object);
  g_hash_table_unref (service->sessions);
  g_hash_table_unref (service->calls);
  g_hash_table_unref (service->watches);
  g_object_unref (service->manager);
  g_object_unref (service->diagnostics);
  g_object_unref (service->objects);
  g_object_unref (service->bus);
  g_free (service);
}
