#include "api/coordinator-link.h"

#include "base/log.h"
#include "wire/command.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define ANSWER_MAX   (32u << 20) /* bytes */
#define READ_SIZE    65536
#define TRY_MS       50
#define TRIES        100 /* of a socket that is about to be there */

struct CoordinatorLink
{
  GDBusConnection *bus;
  char *program, *dir;
  bool by_unit;
  GCancellable *cancellable;
  GSubprocess *child; /* NULL: none, or it is the unit's */
};

/* One command, from the connection to its answer. */
typedef struct
{
  CoordinatorLink *link;
  GCancellable *cancellable;
  GByteArray *bytes; /* request, then answer */
  CoordinatorAnswer answer;
  CoordinatorStream stream; /* instead of answer */
  void *user_data;
  GSocketConnection *connection;
  unsigned tries; /* more of them, for a start */
  uint8_t first;
} Exchange;

/* By the unit where systemd runs this computer; its own bus knows. */
static bool
has_systemd (GDBusConnection *bus)
{
  struct stat info;

  if (stat ("/run/systemd/system", &info) != 0)
    return false;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_sync (bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "NameHasOwner",
                                     g_variant_new ("(s)", SYSTEMD_NAME), G_VARIANT_TYPE ("(b)"),
                                     G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
  gboolean owned = FALSE;
  if (reply)
    g_variant_get (reply, "(b)", &owned);
  return owned;
}

CoordinatorLink *
coordinator_link_new (GDBusConnection *bus, const char *program, const char *dir)
{
  CoordinatorLink *link = g_new0 (CoordinatorLink, 1);

  link->bus = g_object_ref (bus);
  link->program = g_strdup (program);
  link->dir = g_strdup (dir);
  link->by_unit = has_systemd (bus);
  link->cancellable = g_cancellable_new ();
  return link;
}

void
coordinator_link_free (CoordinatorLink *link)
{
  g_cancellable_cancel (link->cancellable);
  g_object_unref (link->cancellable);
  if (link->child) {
    g_subprocess_send_signal (link->child, SIGTERM);
    g_subprocess_wait (link->child, NULL, NULL);
    g_object_unref (link->child);
  }
  g_object_unref (link->bus);
  g_free (link->program);
  g_free (link->dir);
  g_free (link);
}

bool
coordinator_link_is_installed (CoordinatorLink *link)
{
  return access (link->program, X_OK) == 0;
}

bool
coordinator_link_has_child (CoordinatorLink *link)
{
  return link->child != NULL;
}

/* ---- a command ---- */

static void
exchange_free (Exchange *exchange)
{
  g_clear_object (&exchange->connection);
  g_object_unref (exchange->cancellable);
  g_byte_array_unref (exchange->bytes);
  g_free (exchange);
}

static void
fail (Exchange *exchange, const GError *error)
{
  if (exchange->stream)
    exchange->stream (-1, error, exchange->user_data);
  else
    exchange->answer (-1, NULL, error, exchange->user_data);
  exchange_free (exchange);
}

static void
finish (Exchange *exchange)
{
  g_autofree char *text = NULL;

  if (exchange->bytes->len == 0) {
    g_autoptr (GError) error
        = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_CLOSED, "the coordinator ended");
    fail (exchange, error);
    return;
  }
  text = g_utf8_make_valid ((const char *)exchange->bytes->data + 1, exchange->bytes->len - 1);
  if (exchange->stream) {
    g_autoptr (GError) error
        = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_FAILED, g_strchomp (text));
    fail (exchange, error);
    return;
  }
  exchange->answer (exchange->bytes->data[0], text, NULL, exchange->user_data);
  exchange_free (exchange);
}

static void read_more (Exchange *exchange);

static void
on_read (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes
      = g_input_stream_read_bytes_finish (G_INPUT_STREAM (source), result, &error);

  if (!bytes) {
    fail (exchange, error);
  } else if (g_bytes_get_size (bytes) == 0) {
    finish (exchange);
  } else if (exchange->bytes->len + g_bytes_get_size (bytes) > ANSWER_MAX) {
    g_set_error_literal (&error, G_IO_ERROR, G_IO_ERROR_MESSAGE_TOO_LARGE,
                         "the answer is too large");
    fail (exchange, error);
  } else {
    g_byte_array_append (exchange->bytes, g_bytes_get_data (bytes, NULL),
                         (guint)g_bytes_get_size (bytes));
    read_more (exchange);
  }
}

static void
read_more (Exchange *exchange)
{
  GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (exchange->connection));

  g_input_stream_read_bytes_async (in, READ_SIZE, G_PRIORITY_DEFAULT, exchange->cancellable,
                                   on_read, exchange);
}

/* The exit code of a stream: what follows it is handed over where it is. */
static void
on_first_byte (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  g_autoptr (GError) error = NULL;
  gssize n = g_input_stream_read_finish (G_INPUT_STREAM (source), result, &error);

  if (n < 0) {
    fail (exchange, error);
    return;
  }
  g_byte_array_append (exchange->bytes, &exchange->first, (guint)n);
  if (n == 0 || exchange->first != 0) {
    read_more (exchange);
    return;
  }
  GSocket *socket = g_socket_connection_get_socket (exchange->connection);
  int fd = dup (g_socket_get_fd (socket));
  g_socket_set_blocking (socket, TRUE); /* shared with the copy */
  exchange->stream (fd, NULL, exchange->user_data);
  exchange_free (exchange);
}

static void
on_written (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  g_autoptr (GError) error = NULL;

  if (!g_output_stream_write_all_finish (G_OUTPUT_STREAM (source), result, NULL, &error)) {
    fail (exchange, error);
    return;
  }
  g_byte_array_set_size (exchange->bytes, 0);
  if (!exchange->stream) {
    read_more (exchange);
    return;
  }
  g_input_stream_read_async (g_io_stream_get_input_stream (G_IO_STREAM (exchange->connection)),
                             &exchange->first, 1, G_PRIORITY_DEFAULT, exchange->cancellable,
                             on_first_byte, exchange);
}

static void connect_now (Exchange *exchange);

static gboolean
on_try_again (void *user_data)
{
  connect_now (user_data);
  return G_SOURCE_REMOVE;
}

static void
on_connected (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Exchange *exchange = user_data;
  g_autoptr (GError) error = NULL;

  exchange->connection = g_socket_client_connect_finish (G_SOCKET_CLIENT (source), result, &error);
  if (exchange->connection) {
    g_output_stream_write_all_async (
        g_io_stream_get_output_stream (G_IO_STREAM (exchange->connection)), exchange->bytes->data,
        exchange->bytes->len, G_PRIORITY_DEFAULT, exchange->cancellable, on_written, exchange);
  } else if (exchange->tries == 0 || g_cancellable_is_cancelled (exchange->cancellable)) {
    fail (exchange, error);
  } else {
    exchange->tries--;
    g_timeout_add (TRY_MS, on_try_again, exchange);
  }
}

static void
connect_now (Exchange *exchange)
{
  CoordinatorLink *link = exchange->link;
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GError) error = NULL;

  if (g_cancellable_set_error_if_cancelled (exchange->cancellable, &error)) {
    fail (exchange, error);
    return;
  }
  g_autofree char *path = link->by_unit ? g_strdup (COORDINATOR_SOCKET)
                                        : g_build_filename (link->dir, "control.sock", NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_connect_async (client, G_SOCKET_CONNECTABLE (address), exchange->cancellable,
                                 on_connected, exchange);
}

static Exchange *
exchange_new (CoordinatorLink *link, const char *const *words, const char *input, void *user_data)
{
  Exchange *exchange = g_new0 (Exchange, 1);
  Buffer request = {0};

  command_request_write (words, g_strv_length ((char **)words), input, &request);
  exchange->bytes = g_byte_array_new ();
  g_byte_array_append (exchange->bytes, request.data, (guint)request.size);
  buffer_free (&request);
  exchange->link = link;
  exchange->cancellable = g_object_ref (link->cancellable);
  exchange->user_data = user_data;
  return exchange;
}

void
coordinator_link_run (CoordinatorLink *link, const char *const *words, const char *input,
                      CoordinatorAnswer answer, void *user_data)
{
  Exchange *exchange = exchange_new (link, words, input, user_data);

  exchange->answer = answer;
  connect_now (exchange);
}

void
coordinator_link_open (CoordinatorLink *link, const char *const *words, CoordinatorStream stream,
                       void *user_data)
{
  Exchange *exchange = exchange_new (link, words, NULL, user_data);

  exchange->stream = stream;
  connect_now (exchange);
}

/* ---- the process ---- */

/* In the child, before it becomes the coordinator. What cannot be given up here for want of
 * CAP_SETPCAP is not there to be had: no_new_privs holds already. */
static void
give_up_capabilities (void *user_data)
{
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

  prctl (PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (unsigned long cap = 0; cap <= CAP_LAST_CAP; cap++)
    prctl (PR_CAPBSET_DROP, cap, 0, 0, 0);
  memset (none, 0, sizeof none);
  syscall (SYS_capset, &header, none);
}

static void
on_child_ended (GObject *source, GAsyncResult *result, gpointer user_data)
{
  CoordinatorLink *link = user_data;
  g_autoptr (GError) error = NULL;

  g_subprocess_wait_finish (G_SUBPROCESS (source), result, &error);
  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return; /* the link is gone */
  log_info ("api", "the coordinator ended");
  g_clear_object (&link->child);
}

static bool
start_child (CoordinatorLink *link, GError **error)
{
  if (link->child)
    return true;
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_NONE);
  g_subprocess_launcher_set_child_setup (launcher, give_up_capabilities, NULL, NULL);
  g_subprocess_launcher_unsetenv (launcher, "STATE_DIRECTORY");
  link->child = g_subprocess_launcher_spawn (launcher, error, link->program, "serve", "--idle",
                                             "--data-dir", link->dir, NULL);
  if (!link->child)
    return false;
  g_subprocess_wait_async (link->child, link->cancellable, on_child_ended, link);
  return true;
}

static void
ask_until_there (CoordinatorLink *link, CoordinatorAnswer answer, void *user_data)
{
  static const char *const words[] = {"status", "--json", NULL};
  Exchange *exchange = exchange_new (link, words, NULL, user_data);

  exchange->answer = answer;
  exchange->tries = TRIES;
  connect_now (exchange);
}

typedef struct
{
  CoordinatorLink *link;
  CoordinatorAnswer answer;
  void *user_data;
} Start;

static void
on_unit_started (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autofree Start *start = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply
      = g_dbus_connection_call_finish (G_DBUS_CONNECTION (source), result, &error);

  if (reply)
    ask_until_there (start->link, start->answer, start->user_data);
  else
    start->answer (-1, NULL, error, start->user_data);
}

void
coordinator_link_start (CoordinatorLink *link, CoordinatorAnswer answer, void *user_data)
{
  g_autoptr (GError) error = NULL;

  if (!link->by_unit) {
    if (start_child (link, &error))
      ask_until_there (link, answer, user_data);
    else
      answer (-1, NULL, error, user_data);
    return;
  }
  Start *start = g_new (Start, 1);
  *start = (Start){link, answer, user_data};
  g_dbus_connection_call (link->bus, SYSTEMD_NAME, "/org/freedesktop/systemd1",
                          SYSTEMD_NAME ".Manager", "StartUnit",
                          g_variant_new ("(ss)", COORDINATOR_UNIT, "replace"),
                          G_VARIANT_TYPE ("(o)"), G_DBUS_CALL_FLAGS_NONE, -1, link->cancellable,
                          on_unit_started, start);
}
