#include "api/network-object.h"

#include "api/manager-calls.h"
#include "api/network-calls.h"
#include "base/log.h"
#include "wire/json-reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PATH_NETWORK BUS_PATH "/Network"
#define FILE_NAME    "own-network"
#define GROUP        "network"
#define FORMAT       1
#define PAUSE_MS     250  /* between two looks at a network that changes all the time */
#define RETRY_MS     1000 /* until one that ended is started again */

struct NetworkObject
{
  BusService *service;
  CoordinatorLink *link;
  char *file;
  bool wanted;
  bool following; /* a question is under way, or timer_id is set */
  guint timer_id;
  uint64_t revision;
  WarrenBusObjectSkeleton *object; /* NULL: no network here */
  WarrenBusNetwork *bus;
};

static void ask (NetworkObject *network);
static void start (NetworkObject *network);

/* ---- status ---- */

static void
read_text (JsonReader *r, char **out)
{
  JsonString s = json_reader_string (r);

  g_free (*out);
  *out = g_strndup (s.text ? s.text : "", s.length);
}

bool
network_status_parse (const char *text, NetworkStatus *out)
{
  JsonReader r;
  JsonString name;

  *out = (NetworkStatus){.exists = true};
  json_reader_init (&r, text, strlen (text));
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (json_string_equal (name, "exists"))
      out->exists = json_reader_bool (&r);
    else if (json_string_equal (name, "name"))
      read_text (&r, &out->name);
    else if (json_string_equal (name, "url"))
      read_text (&r, &out->url);
    else if (json_string_equal (name, "listen"))
      read_text (&r, &out->listen);
    else if (json_string_equal (name, "domain"))
      read_text (&r, &out->domain);
    else if (json_string_equal (name, "prefix4"))
      read_text (&r, &out->prefix4);
    else if (json_string_equal (name, "prefix6"))
      read_text (&r, &out->prefix6);
    else if (json_string_equal (name, "nodes"))
      out->nodes = (uint32_t)json_reader_i64 (&r);
    else if (json_string_equal (name, "online"))
      out->online = (uint32_t)json_reader_i64 (&r);
    else if (json_string_equal (name, "pending"))
      out->pending = (uint32_t)json_reader_i64 (&r);
    else if (json_string_equal (name, "revision"))
      out->revision = (uint64_t)json_reader_i64 (&r);
    else
      json_reader_skip (&r);
  }
  bool ok = json_reader_ok (&r);
  json_reader_clear (&r);
  if (!ok)
    network_status_clear (out);
  return ok;
}

void
network_status_clear (NetworkStatus *status)
{
  g_free (status->name);
  g_free (status->url);
  g_free (status->listen);
  g_free (status->domain);
  g_free (status->prefix4);
  g_free (status->prefix6);
  *status = (NetworkStatus){0};
}

static const char *
or_empty (const char *text)
{
  return text ? text : "";
}

static void
show_status (NetworkObject *network, const NetworkStatus *status)
{
  WarrenBusNetwork *bus = network->bus;
  const char *const listen[] = {status->listen, NULL};

  network->revision = status->revision;
  warren_bus_network_set_name (bus, or_empty (status->name));
  warren_bus_network_set_domain (bus, or_empty (status->domain));
  warren_bus_network_set_prefix4 (bus, or_empty (status->prefix4));
  warren_bus_network_set_prefix6 (bus, or_empty (status->prefix6));
  warren_bus_network_set_url (bus, or_empty (status->url));
  warren_bus_network_set_listen (bus, listen);
  warren_bus_network_set_devices (bus, status->nodes);
  warren_bus_network_set_online (bus, status->online);
  warren_bus_network_set_pending (bus, status->pending);
  warren_bus_network_set_revision (bus, status->revision);
  warren_bus_network_set_running (bus, TRUE);
}

static void
show_stopped (NetworkObject *network)
{
  if (!network->object)
    return;
  warren_bus_network_set_running (network->bus, FALSE);
  warren_bus_network_set_online (network->bus, 0);
  warren_bus_network_set_pending (network->bus, 0);
}

/* ---- the object ---- */

static void
show (NetworkObject *network)
{
  static const char *const none[] = {NULL};

  if (network->object)
    return;
  network->bus = warren_bus_network_skeleton_new ();
  warren_bus_network_set_listen (network->bus, none);
  network_calls_connect (network->service, network->bus);
  network->object = warren_bus_object_skeleton_new (PATH_NETWORK);
  warren_bus_object_skeleton_set_network (network->object, network->bus);
  g_dbus_object_manager_server_export (network->service->objects,
                                       G_DBUS_OBJECT_SKELETON (network->object));
  manager_update (network->service);
}

static void
hide (NetworkObject *network)
{
  if (!network->object)
    return;
  g_dbus_object_manager_server_unexport (network->service->objects, PATH_NETWORK);
  g_clear_object (&network->object);
  g_clear_object (&network->bus);
}

CoordinatorLink *
network_object_link (NetworkObject *network)
{
  return network->link;
}

bool
network_object_is_installed (NetworkObject *network)
{
  return coordinator_link_is_installed (network->link);
}

const char *
network_object_path (NetworkObject *network)
{
  return network->object ? PATH_NETWORK : "/";
}

void
network_object_flush (NetworkObject *network)
{
  if (network->bus)
    g_dbus_interface_skeleton_flush (G_DBUS_INTERFACE_SKELETON (network->bus));
}

/* ---- what is kept ---- */

static void
save (NetworkObject *network)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  gsize size;

  g_key_file_set_integer (file, GROUP, "format", FORMAT);
  g_key_file_set_boolean (file, GROUP, "wanted", network->wanted);
  g_key_file_set_string (file, GROUP, "name",
                         or_empty (warren_bus_network_get_name (network->bus)));
  g_key_file_set_string (file, GROUP, "url", or_empty (warren_bus_network_get_url (network->bus)));
  g_autofree char *text = g_key_file_to_data (file, &size, NULL);
  if (!g_file_set_contents_full (network->file, text, (gssize)size,
                                 G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                 &error))
    log_warning ("api", "%s", error->message);
}

static void
load (NetworkObject *network)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();

  if (!g_key_file_load_from_file (file, network->file, G_KEY_FILE_NONE, NULL)
      || g_key_file_get_integer (file, GROUP, "format", NULL) != FORMAT)
    return;
  g_autofree char *name = g_key_file_get_string (file, GROUP, "name", NULL);
  g_autofree char *url = g_key_file_get_string (file, GROUP, "url", NULL);
  network->wanted = g_key_file_get_boolean (file, GROUP, "wanted", NULL);
  show (network);
  warren_bus_network_set_name (network->bus, or_empty (name));
  warren_bus_network_set_url (network->bus, or_empty (url));
}

/* ---- following ---- */

static gboolean
on_pause_over (void *user_data)
{
  NetworkObject *network = user_data;

  network->timer_id = 0;
  network->following = false;
  if (network->object && warren_bus_network_get_running (network->bus))
    ask (network);
  else if (network->wanted)
    start (network);
  return G_SOURCE_REMOVE;
}

static void
pause_for (NetworkObject *network, unsigned ms)
{
  network->following = true;
  if (network->timer_id == 0)
    network->timer_id = g_timeout_add (ms, on_pause_over, network);
}

static void
answered (int code, const char *text, const GError *error, void *user_data)
{
  NetworkObject *network = user_data;
  NetworkStatus status;

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the network is gone */
  network->following = false;
  if (code == 0 && network_status_parse (text, &status)) {
    if (status.exists && network->wanted)
      network_object_follow (network, &status);
    network_status_clear (&status);
    return;
  }
  show_stopped (network);
  if (network->wanted)
    pause_for (network, RETRY_MS);
}

/* Answered when something has changed. */
static void
ask (NetworkObject *network)
{
  g_autofree char *wait = g_strdup_printf ("--wait=%" G_GUINT64_FORMAT, network->revision);
  const char *const words[] = {"status", "--json", wait, NULL};

  if (network->following)
    return;
  network->following = true;
  coordinator_link_run (network->link, words, NULL, answered, network);
}

static void
start (NetworkObject *network)
{
  if (network->following)
    return;
  network->following = true;
  coordinator_link_start (network->link, answered, network);
}

void
network_object_follow (NetworkObject *network, const NetworkStatus *status)
{
  bool is_new = !network->object || !network->wanted;

  show (network);
  bool renamed = g_strcmp0 (status->name, warren_bus_network_get_name (network->bus)) != 0
                 || g_strcmp0 (status->url, warren_bus_network_get_url (network->bus)) != 0;
  show_status (network, status);
  network->wanted = true;
  if (is_new || renamed)
    save (network);
  if (!network->following)
    pause_for (network, PAUSE_MS);
}

void
network_object_stopped (NetworkObject *network)
{
  network->wanted = false;
  show_stopped (network);
  save (network);
}

void
network_object_forget (NetworkObject *network)
{
  network->wanted = false;
  hide (network);
  if (unlink (network->file) != 0 && errno != ENOENT)
    log_warning ("api", "%s: %s", network->file, strerror (errno));
  manager_update (network->service);
}

NetworkObject *
network_object_new (BusService *service, const char *program, const char *state_dir)
{
  NetworkObject *network = g_new0 (NetworkObject, 1);
  g_autofree char *dir = g_build_filename (state_dir, "network", NULL);

  network->service = service;
  network->link = coordinator_link_new (service->bus, program, dir);
  network->file = g_build_filename (state_dir, FILE_NAME, NULL);
  load (network);
  if (network->wanted)
    start (network);
  return network;
}

void
network_object_free (NetworkObject *network)
{
  g_clear_handle_id (&network->timer_id, g_source_remove);
  coordinator_link_free (network->link);
  hide (network);
  g_free (network->file);
  g_free (network);
}
