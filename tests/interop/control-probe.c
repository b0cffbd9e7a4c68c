/* The control session alone against a real coordination server: registers, prints what it is told,
 * line by line. Built, not installed; a person or a script reads it.
 *
 *   control-probe URL [--auth-key KEY] [--login] [--force] [--logout] [--hostname NAME]
 *                 [--state FILE] [--seconds N] [--update-after N] */
#include "control/control-io.h"

#include "base/log.h"

#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

static char *option_auth_key, *option_hostname = (char *)"probe", *option_state;
static gboolean option_login, option_force, option_logout;
static int option_seconds = 10, option_update_after;

static const GOptionEntry entries[] = {
    {"auth-key", 0, 0, G_OPTION_ARG_STRING, &option_auth_key, "log in with it", "KEY"},
    {"login", 0, 0, G_OPTION_ARG_NONE, &option_login, "log in in a browser", NULL},
    {"force", 0, 0, G_OPTION_ARG_NONE, &option_force, "with a new key", NULL},
    {"logout", 0, 0, G_OPTION_ARG_NONE, &option_logout, "log out at the end", NULL},
    {"hostname", 0, 0, G_OPTION_ARG_STRING, &option_hostname, "announce it", "NAME"},
    {"state", 0, 0, G_OPTION_ARG_FILENAME, &option_state, "keep the identity there", "FILE"},
    {"seconds", 0, 0, G_OPTION_ARG_INT, &option_seconds, "how long to run", "N"},
    {"update-after", 0, 0, G_OPTION_ARG_INT, &option_update_after, "change the endpoints then",
     "N"},
    {NULL},
};

static GMainLoop *loop;
static ControlIo *io;
static MachinePrivate machine_key;
static DiscoPublic disco_key;
static int64_t started_us;

static void say (const char *format, ...) G_GNUC_PRINTF (1, 2);

static void
say (const char *format, ...)
{
  va_list args;

  printf ("%8.3f ", (double)(clock_now_us () - started_us) / 1e6);
  va_start (args, format);
  vprintf (format, args);
  va_end (args);
  printf ("\n");
  fflush (stdout);
}

/* --- The identity as a key file ------------------------------------------------------------ */

static void
set_key (GKeyFile *file, const char *name, KeyKind kind, const void *key)
{
  char text[KEY_TEXT_MAX];

  key_format (kind, key, text);
  g_key_file_set_string (file, "identity", name, text);
}

static void
get_key (GKeyFile *file, const char *name, KeyKind kind, void *key)
{
  g_autofree char *text = g_key_file_get_string (file, "identity", name, NULL);

  if (text)
    key_parse (kind, text, strlen (text), key);
}

static bool
save (const ControlIdentity *identity)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();

  if (!option_state)
    return true;
  set_key (file, "machine", KEY_PRIVATE, machine_key.bytes);
  set_key (file, "node", KEY_PRIVATE, identity->node_key.bytes);
  set_key (file, "old", KEY_NODE_PUBLIC, identity->old_node_key.bytes);
  set_key (file, "pending", KEY_PRIVATE, identity->pending_key.bytes);
  set_key (file, "lock", KEY_LOCK_PRIVATE, identity->lock_key.bytes);
  set_key (file, "server", KEY_MACHINE_PUBLIC, identity->server_key.bytes);
  if (identity->pending_url)
    g_key_file_set_string (file, "identity", "url", identity->pending_url);
  return g_key_file_save_to_file (file, option_state, NULL);
}

static ControlIdentity
load (void)
{
  ControlIdentity identity = {0};
  g_autoptr (GKeyFile) file = g_key_file_new ();

  if (option_state && g_key_file_load_from_file (file, option_state, G_KEY_FILE_NONE, NULL)) {
    get_key (file, "machine", KEY_PRIVATE, machine_key.bytes);
    get_key (file, "node", KEY_PRIVATE, identity.node_key.bytes);
    get_key (file, "old", KEY_NODE_PUBLIC, identity.old_node_key.bytes);
    get_key (file, "pending", KEY_PRIVATE, identity.pending_key.bytes);
    get_key (file, "lock", KEY_LOCK_PRIVATE, identity.lock_key.bytes);
    get_key (file, "server", KEY_MACHINE_PUBLIC, identity.server_key.bytes);
    g_autofree char *url = g_key_file_get_string (file, "identity", "url", NULL);
    if (url)
      identity.pending_url = strdup (url);
  }
  if (key_zero (&machine_key))
    key_generate (random_system (), machine_key.bytes);
  return identity;
}

/* --- What the core says -------------------------------------------------------------------- */

static void
say_node (const char *what, const Node *node)
{
  char key[KEY_SHORT_MAX], address[IP_PREFIX_TEXT_MAX] = "";

  key_short (KEY_NODE_PUBLIC, node->key.bytes, key);
  if (node->n_addresses > 0)
    ip_prefix_format (&node->addresses[0], address);
  say ("  %s %" G_GINT64_FORMAT " %s %s %s derp=%d endpoints=%zu online=%d cap=%d", what, node->id,
       node->name, key, address, node->home_derp, (size_t)node->n_endpoints, node->online,
       node->cap);
}

static void
say_netmap (const ControlAction *action)
{
  const Netmap *map = action->netmap.netmap;
  const NetmapChanges *changes = &action->netmap.changes;

  say ("netmap: %zu peers, domain %s, flags 0x%x", netmap_n_peers (map), netmap_domain (map),
       changes->flags);
  if (changes->flags & NETMAP_CHANGED_SELF)
    say_node ("self", netmap_self (map));
  for (size_t i = 0; i < changes->n_peers && i < 20; i++)
    say_node (!changes->peers[i].before  ? "added"
              : !changes->peers[i].after ? "removed"
                                         : "changed",
              changes->peers[i].after ? changes->peers[i].after : changes->peers[i].before);
}

static void
on_action (ControlAction *action, void *data)
{
  static const char *const states[]
      = {"off", "connecting", "needs-login", "needs-approval", "synchronising", "running"};

  switch (action->type) {
    case CONTROL_ACTION_SAVE: {
      ControlEvent event = {.type = CONTROL_EVENT_SAVED};
      event.saved.serial = action->save.serial;
      event.saved.ok = save (&action->save.identity);
      say ("save %u", action->save.serial);
      control_io_input (io, &event);
      break;
    }
    case CONTROL_ACTION_STATE:
      say ("state %s%s", states[action->state.state], action->state.online ? " online" : "");
      break;
    case CONTROL_ACTION_LOGIN_URL:
      say ("login-url %s", action->login_url.url ? action->login_url.url : "(none)");
      break;
    case CONTROL_ACTION_REGISTERED:
      say ("registered user %" G_GINT64_FORMAT " %s \"%s\"%s", action->registered.user_id,
           action->registered.login_name, action->registered.display_name,
           action->registered.key_changed ? " new key" : "");
      break;
    case CONTROL_ACTION_LOGGED_OUT:
      say ("logged-out%s", action->logged_out.server_told ? "" : " (the server was not told)");
      g_main_loop_quit (loop);
      break;
    case CONTROL_ACTION_NETMAP:
      say_netmap (action);
      break;
    case CONTROL_ACTION_PROBLEM:
      say ("problem %s%s: %s", control_problem_name (action->problem.problem),
           action->problem.retrying ? " (retrying)" : "", action->problem.text);
      break;
    case CONTROL_ACTION_PING:
      say ("ping %s", action->ping.types);
      break;
    case CONTROL_ACTION_POP_URL:
      say ("pop-url %s", action->pop_url.url);
      break;
    default:
      break;
  }
}

static void
announce (uint16_t port)
{
  NetInfo net_info;
  Hostinfo info;
  IpPort endpoint = {.port = port};
  uint8_t type = ENDPOINT_LOCAL;
  ControlEvent event = {.type = CONTROL_EVENT_LOCAL_STATE};

  net_info_init (&net_info);
  net_info.preferred_derp = 1;
  net_info.working_udp = TRI_TRUE;
  hostinfo_init (&info);
  info.ipn_version = "0.1.0-warren";
  info.os = "linux";
  info.app = "warren";
  info.hostname = option_hostname;
  info.no_logs_no_support = true;
  info.net_info = &net_info;
  ip_parse ("192.0.2.7", 9, &endpoint.addr);
  event.local_state.hostinfo = &info;
  event.local_state.endpoints = &endpoint;
  event.local_state.endpoint_types = &type;
  event.local_state.n_endpoints = 1;
  event.local_state.disco_key = disco_key;
  control_io_input (io, &event);
}

static gboolean
update (void *data)
{
  say ("announcing another endpoint");
  announce (40000);
  return G_SOURCE_REMOVE;
}

static gboolean
stop (void *data)
{
  ControlEvent event = {.type = CONTROL_EVENT_LOGOUT};

  if (option_logout)
    control_io_input (io, &event);
  else
    g_main_loop_quit (loop);
  return G_SOURCE_REMOVE;
}

static bool
begin (const char *url)
{
  ControlIdentity identity = load ();
  const ControlConfig config
      = {.server_url = url, .machine_key = machine_key, .client_version = "0.1.0"};
  const ControlIoCallbacks callbacks = {on_action};
  const char *error = NULL;
  Control *control = control_new (&config, random_system (), &error);
  ControlEvent event = {.type = CONTROL_EVENT_START, .start.identity = &identity};

  if (!control) {
    say ("%s", error);
    return false;
  }
  io = control_io_new (control, resolver_new (NULL), &callbacks, NULL);
  control_io_input (io, &event);
  control_identity_clear (&identity);
  announce (41641);
  event = (ControlEvent){.type = CONTROL_EVENT_RESUME};
  control_io_input (io, &event);
  if (option_login || option_auth_key) {
    event = (ControlEvent){.type = CONTROL_EVENT_LOGIN};
    event.login.auth_key = option_auth_key;
    event.login.force = option_force;
    control_io_input (io, &event);
  }
  return true;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new ("URL");
  g_autoptr (GError) error = NULL;

  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error) || argc != 2) {
    g_printerr ("%s\n", error ? error->message : "a URL is needed");
    return 2;
  }
  log_set_level (LOG_LEVEL_DEBUG);
  started_us = clock_now_us ();
  random_fill (random_system (), disco_key.bytes, sizeof disco_key.bytes);
  loop = g_main_loop_new (NULL, FALSE);
  if (!begin (argv[1]))
    return 1;
  g_timeout_add (1000 * (guint)option_seconds, stop, NULL);
  if (option_update_after > 0)
    g_timeout_add (1000 * (guint)option_update_after, update, NULL);
  g_unix_signal_add (SIGTERM, stop, NULL);
  g_main_loop_run (loop);
  control_io_free (io);
  return 0;
}
