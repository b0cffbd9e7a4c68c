/* warrend: options, the one instance, capabilities, bus name, signals, shutdown. */
#include "api/bus-service.h"
#include "base/log.h"
#include "capabilities.h"
#include "host/host.h"
#include "instance-lock.h"
#include "log-sink.h"
#include "session/engine.h"

#include <glib-unix.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_DIR_DEFAULT "/var/lib/warren"
#define TUN_NAME_DEFAULT  "warren0"

typedef struct
{
  char *state_dir;
  char *tun_name;
  char *bus_address;
  char *coordinator;
  int port;
  gboolean verbose;
  gboolean cleanup;
  gboolean version;
} Options;

typedef struct
{
  GMainLoop *loop;
  bool failed;
} Daemon;

static bool
parse_options (int argc, char **argv, Options *options)
{
  const GOptionEntry entries[] = {
      {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->state_dir,
       "Keep keys and settings in DIR (" STATE_DIR_DEFAULT ")", "DIR"},
      {"tun", 0, 0, G_OPTION_ARG_STRING, &options->tun_name,
       "Name of the tunnel device (" TUN_NAME_DEFAULT ")", "NAME"},
      {"port", 0, 0, G_OPTION_ARG_INT, &options->port, "UDP port for peers", "N"},
      {"bus", 0, 0, G_OPTION_ARG_STRING, &options->bus_address,
       "Serve this message bus instead of the system's", "ADDRESS"},
      {"coordinator", 0, 0, G_OPTION_ARG_FILENAME, &options->coordinator,
       "Run private networks by PROGRAM (" COORDINATOR_DEFAULT ")", "PROGRAM"},
      {"verbose", 'v', 0, G_OPTION_ARG_NONE, &options->verbose, "Log debug messages", NULL},
      {"cleanup", 0, 0, G_OPTION_ARG_NONE, &options->cleanup,
       "Undo what a killed daemon left on this computer, and exit", NULL},
      {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Show the version, and exit", NULL},
      G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  g_option_context_set_summary (context, "Connects this computer to a private network.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    fprintf (stderr, "warrend: %s\n", error->message);
    return false;
  }
  if (argc > 1) {
    fprintf (stderr, "warrend: unexpected argument “%s”\n", argv[1]);
    return false;
  }
  if (options->port < 0 || options->port > UINT16_MAX) {
    fprintf (stderr, "warrend: %d is not a port\n", options->port);
    return false;
  }
  if (!options->state_dir) {
    const char *given = g_getenv ("STATE_DIRECTORY"); /* set by systemd */
    options->state_dir = g_strdup (given && *given ? given : STATE_DIR_DEFAULT);
  }
  if (!options->coordinator)
    options->coordinator = g_strdup (COORDINATOR_DEFAULT);
  if (!options->tun_name)
    options->tun_name = g_strdup (TUN_NAME_DEFAULT);
  if (*options->tun_name == '\0' || strlen (options->tun_name) >= LINK_NAME_MAX
      || strpbrk (options->tun_name, "/ %\"")) {
    fprintf (stderr, "warrend: “%s” is not a name for a device\n", options->tun_name);
    return false;
  }
  if (!options->bus_address)
    options->bus_address = g_strdup (g_getenv ("WARREN_BUS"));
  return true;
}

static void
clear_options (Options *options)
{
  g_free (options->state_dir);
  g_free (options->tun_name);
  g_free (options->bus_address);
  g_free (options->coordinator);
}

static GDBusConnection *
connect_bus (const Options *options, GError **error)
{
  g_autofree char *system = NULL;
  const char *address = options->bus_address;
  if (!address || *address == '\0')
    address = system = g_dbus_address_get_for_bus_sync (G_BUS_TYPE_SYSTEM, NULL, error);
  if (!address)
    return NULL;
  return g_dbus_connection_new_for_address_sync (
      address,
      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT
          | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
      NULL, NULL, error);
}

static bool
own_name (GDBusConnection *bus, GError **error)
{
  const unsigned do_not_queue = 4, primary_owner = 1;
  g_autoptr (GVariant) reply = g_dbus_connection_call_sync (
      bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
      g_variant_new ("(su)", BUS_NAME, do_not_queue), G_VARIANT_TYPE ("(u)"),
      G_DBUS_CALL_FLAGS_NONE, -1, NULL, error);
  if (!reply)
    return false;
  unsigned result = 0;
  g_variant_get (reply, "(u)", &result);
  if (result == primary_owner)
    return true;
  g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_EXISTS,
                       "another process owns " BUS_NAME " on this bus");
  return false;
}

static gboolean
stop (void *user_data)
{
  Daemon *daemon = user_data;
  log_info ("main", "stopping");
  g_main_loop_quit (daemon->loop);
  return G_SOURCE_CONTINUE;
}

static void
bus_closed (GDBusConnection *bus, gboolean by_peer, GError *error, void *user_data)
{
  Daemon *daemon = user_data;
  if (!by_peer)
    return;
  log_error ("main", "the message bus is gone");
  daemon->failed = true;
  g_main_loop_quit (daemon->loop);
}

static bool
serve (const Options *options, GDBusConnection *bus, GError **error)
{
  EngineOptions engine_options = {.state_dir = options->state_dir,
                                  .tun_name = options->tun_name,
                                  .bus = bus,
                                  .port = (uint16_t)options->port};
  Engine *engine = engine_new (&engine_options, error);
  if (!engine)
    return false;
  BusServiceOptions service_options
      = {.state_dir = options->state_dir, .coordinator = options->coordinator};
  BusService *service = bus_service_new (engine, bus, &service_options);
  Daemon daemon = {.loop = g_main_loop_new (NULL, FALSE)};
  bool started = own_name (bus, error) && engine_start (engine, error);
  if (started) {
    g_signal_connect (bus, "closed", G_CALLBACK (bus_closed), &daemon);
    guint term = g_unix_signal_add (SIGTERM, stop, &daemon);
    guint interrupt = g_unix_signal_add (SIGINT, stop, &daemon);
    g_main_loop_run (daemon.loop);
    g_source_remove (term);
    g_source_remove (interrupt);
    g_signal_handlers_disconnect_by_data (bus, &daemon);
  }
  engine_stop (engine);
  bus_service_free (service);
  engine_free (engine);
  g_main_loop_unref (daemon.loop);
  if (started && daemon.failed)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "lost the message bus");
  return started && !daemon.failed;
}

static bool
clean_up (const Options *options)
{
  g_autoptr (GError) error = NULL;
  if (host_cleanup (options->state_dir, false, &error))
    return true;
  fprintf (stderr, "warrend: %s\n", error->message);
  return false;
}

static bool
be_the_only_one (void)
{
  int pid = 0;
  if (instance_lock (&pid))
    return true;
  if (pid > 0)
    fprintf (stderr, "warrend: another Warren daemon manages this network namespace (pid %d)\n",
             pid);
  else
    fprintf (stderr, "warrend: another Warren daemon manages this network namespace\n");
  return false;
}

int
main (int argc, char **argv)
{
  Options options = {NULL};
  setlocale (LC_ALL, "");
  if (!parse_options (argc, argv, &options)) {
    clear_options (&options);
    return 2;
  }
  if (options.version) {
    puts (WARREN_VERSION);
    clear_options (&options);
    return 0;
  }
  log_set_sink (log_sink_write);
  log_set_level (options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
  signal (SIGPIPE, SIG_IGN);
  mallopt (M_ARENA_MAX, 2); /* the packet threads have their memory; two arenas do for the rest */
  mallopt (M_TRIM_THRESHOLD, 32 * 1024); /* what a map or a handshake needed in passing goes back */
  if (sodium_init () < 0 || !be_the_only_one ()) {
    clear_options (&options);
    return 1;
  }
  capabilities_reduce ();
  bool ok;
  if (options.cleanup) {
    ok = clean_up (&options);
  } else {
    g_autoptr (GError) error = NULL;
    g_autoptr (GDBusConnection) bus = connect_bus (&options, &error);
    ok = bus && serve (&options, bus, &error);
    if (!ok)
      fprintf (stderr, "warrend: %s\n", error->message);
    if (bus)
      g_dbus_connection_close_sync (bus, NULL, NULL);
  }
  clear_options (&options);
  return ok ? 0 : 1;
}
