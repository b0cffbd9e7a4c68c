/* host/firewalld against a stand-in for firewalld on a bus of the test's own. */

#include "host/firewalld.h"

#include <stdbool.h>

#define BUS_NAME "org.fedoraproject.FirewallD1"
#define PATH     "/org/fedoraproject/FirewallD1"

static const char xml[] = "<node><interface name='" BUS_NAME ".zone'>"
                          "<method name='changeZoneOfInterface'><arg type='s' direction='in'/>"
                          "<arg type='s' direction='in'/><arg type='s' direction='out'/></method>"
                          "<method name='removeInterface'><arg type='s' direction='in'/>"
                          "<arg type='s' direction='in'/><arg type='s' direction='out'/></method>"
                          "</interface></node>";

static unsigned claims, removals;

static void
on_call (GDBusConnection *bus, const char *sender, const char *path, const char *interface,
         const char *method, GVariant *parameters, GDBusMethodInvocation *invocation,
         void *user_data)
{
  const char *zone, *device;

  g_variant_get (parameters, "(&s&s)", &zone, &device);
  g_assert_cmpstr (zone, ==, "trusted");
  g_assert_cmpstr (device, ==, "warren0");
  if (g_str_equal (method, "changeZoneOfInterface"))
    claims++;
  else
    removals++;
  g_dbus_method_invocation_return_value (invocation, g_variant_new ("(s)", zone));
}

static void
wait_for (unsigned *counter, unsigned value)
{
  while (*counter < value)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpuint (*counter, ==, value);
}

static GDBusConnection *
connect_to (GTestDBus *dbus)
{
  g_autoptr (GError) error = NULL;
  GDBusConnection *bus = g_dbus_connection_new_for_address_sync (
      g_test_dbus_get_bus_address (dbus),
      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
          | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
      NULL, NULL, &error);

  g_assert_no_error (error);
  return bus;
}

static void
test_zone (void)
{
  static const GDBusInterfaceVTable vtable = {.method_call = on_call};
  g_autoptr (GTestDBus) dbus = g_test_dbus_new (G_TEST_DBUS_NONE);
  g_autoptr (GDBusNodeInfo) node = g_dbus_node_info_new_for_xml (xml, NULL);
  g_autoptr (GError) error = NULL;

  g_test_dbus_up (dbus);
  GDBusConnection *server = connect_to (dbus), *client = connect_to (dbus);
  g_dbus_connection_register_object (server, PATH, node->interfaces[0], &vtable, NULL, NULL,
                                     &error);
  g_assert_no_error (error);
  Firewalld *firewalld = firewalld_new (client, "warren0");
  guint owner = g_bus_own_name_on_connection (server, BUS_NAME, G_BUS_NAME_OWNER_FLAGS_NONE, NULL,
                                              NULL, NULL, NULL);
  wait_for (&claims, 1);
  g_dbus_connection_emit_signal (server, NULL, PATH, BUS_NAME, "Reloaded", NULL, &error);
  g_assert_no_error (error);
  wait_for (&claims, 2);
  firewalld_free (firewalld);
  wait_for (&removals, 1);
  g_bus_unown_name (owner);
  g_clear_object (&client);
  g_clear_object (&server);
  g_test_dbus_down (dbus);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/host/firewalld/the-device-is-trusted-again-after-a-reload", test_zone);
  return g_test_run ();
}
