#include "cli/status-document.h"

#include <gio/gunixfdlist.h>
#include <gio/gunixinputstream.h>
#include <gio/gunixoutputstream.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The daemon hands over a sealed memfd: as large as it needs to be, and nobody changes it. */
static GInputStream *
open_document (Cli *cli, WarrenSession *session, gboolean peers, WarrenExitCode *code)
{
  GDBusProxy *proxy = session != NULL ? G_DBUS_PROXY (warren_session_get_bus (session))
                                      : G_DBUS_PROXY (warren_client_get_manager (cli->client));
  g_auto (GVariantDict) options = G_VARIANT_DICT_INIT (NULL);
  g_autoptr (GUnixFDList) fds = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GError) error = NULL;
  int fd = -1;
  int index;

  g_variant_dict_insert (&options, "Peers", "b", peers);
  reply = g_dbus_connection_call_with_unix_fd_list_sync (
      g_dbus_proxy_get_connection (proxy), g_dbus_proxy_get_name (proxy),
      g_dbus_proxy_get_object_path (proxy), WARREN_DAEMON_NAME ".Diagnostics", "GetStatus",
      g_variant_new ("(@a{sv})", g_variant_dict_end (&options)), G_VARIANT_TYPE ("(h)"),
      CLI_CALL_FLAGS, CLI_CALL_TIMEOUT, NULL, &fds, NULL, &error);
  if (reply != NULL) {
    g_variant_get (reply, "(h)", &index);
    fd = fds != NULL ? g_unix_fd_list_get (fds, index, &error) : -1;
  }
  if (error != NULL || fd < 0) {
    *code = error != NULL ? cli_fail (cli, error, "status") : WARREN_EXIT_FAILED;
    return NULL;
  }
  lseek (fd, 0, SEEK_SET);
  return g_unix_input_stream_new (fd, TRUE);
}

void
status_clear (StatusDocument *doc)
{
  g_clear_object (&doc->parser);
}

gboolean
status_read (Cli *cli, WarrenSession *session, StatusDocument *doc, WarrenExitCode *code)
{
  g_autoptr (GInputStream) stream = open_document (cli, session, TRUE, code);
  g_autoptr (GError) error = NULL;
  JsonNode *root;

  if (stream == NULL)
    return FALSE;
  doc->parser = json_parser_new_immutable ();
  if (json_parser_load_from_stream (doc->parser, stream, NULL, &error)) {
    root = json_parser_get_root (doc->parser);
    if (root != NULL && JSON_NODE_HOLDS_OBJECT (root)) {
      doc->root = json_node_get_object (root);
      return TRUE;
    }
  }
  cli_complain ("Status: %s", error != NULL ? error->message : "no object");
  *code = WARREN_EXIT_FAILED;
  return FALSE;
}

WarrenExitCode
status_copy (Cli *cli, WarrenSession *session, gboolean peers)
{
  WarrenExitCode code = WARREN_EXIT_FAILED;
  g_autoptr (GInputStream) from = open_document (cli, session, peers, &code);
  g_autoptr (GOutputStream) to = g_unix_output_stream_new (STDOUT_FILENO, FALSE);
  g_autoptr (GError) error = NULL;

  if (from == NULL)
    return code;
  if (g_output_stream_splice (to, from, G_OUTPUT_STREAM_SPLICE_NONE, NULL, &error) >= 0)
    return WARREN_EXIT_OK;
  cli_complain ("%s", error->message);
  return WARREN_EXIT_FAILED;
}

static JsonNode *
lookup (JsonObject *object, const char *name, JsonNodeType type)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && json_node_get_node_type (node) == type ? node : NULL;
}

const char *
status_string (JsonObject *object, const char *name)
{
  JsonNode *node = lookup (object, name, JSON_NODE_VALUE);
  const char *text = node != NULL && json_node_get_value_type (node) == G_TYPE_STRING
                         ? json_node_get_string (node)
                         : NULL;

  return text != NULL ? text : "";
}

gint64
status_number (JsonObject *object, const char *name)
{
  JsonNode *node = lookup (object, name, JSON_NODE_VALUE);

  return node != NULL ? json_node_get_int (node) : 0;
}

gboolean
status_flag (JsonObject *object, const char *name)
{
  JsonNode *node = lookup (object, name, JSON_NODE_VALUE);

  return node != NULL && json_node_get_value_type (node) == G_TYPE_BOOLEAN
         && json_node_get_boolean (node);
}

JsonObject *
status_object (JsonObject *object, const char *name)
{
  JsonNode *node = lookup (object, name, JSON_NODE_OBJECT);

  return node != NULL ? json_node_get_object (node) : NULL;
}

JsonArray *
status_array (JsonObject *object, const char *name)
{
  JsonNode *node = lookup (object, name, JSON_NODE_ARRAY);

  return node != NULL ? json_node_get_array (node) : NULL;
}

const char *
status_first_address (JsonObject *node)
{
  JsonArray *addresses = status_array (node, "TailscaleIPs");

  return addresses != NULL && json_array_get_length (addresses) > 0
             ? json_array_get_string_element (addresses, 0)
             : "";
}

static char *
without_final_dot (const char *name)
{
  gsize n = strlen (name);

  return g_strndup (name, n > 0 && name[n - 1] == '.' ? n - 1 : n);
}

char *
status_base_name (const StatusDocument *doc, JsonObject *node)
{
  g_autofree char *name = without_final_dot (status_string (node, "DNSName"));
  g_autofree char *suffix = g_strconcat (".", status_string (doc->root, "MagicDNSSuffix"), NULL);

  if (*name == '\0')
    return g_strdup_printf ("(\"%s\")", status_string (node, "HostName"));
  if (strlen (suffix) > 1 && g_str_has_suffix (name, suffix))
    name[strlen (name) - strlen (suffix)] = '\0';
  return g_steal_pointer (&name);
}

static int
compare_nodes (gconstpointer a, gconstpointer b)
{
  JsonObject *x = *(JsonObject *const *)a;
  JsonObject *y = *(JsonObject *const *)b;
  static const char *const keys[] = {"DNSName", "HostName"};
  int order;

  for (gsize i = 0; i < G_N_ELEMENTS (keys); i++) {
    order = strcmp (status_string (x, keys[i]), status_string (y, keys[i]));
    if (order != 0)
      return order;
  }
  order = strcmp (status_first_address (x), status_first_address (y));
  return order != 0 ? order
                    : strcmp (status_string (x, "PublicKey"), status_string (y, "PublicKey"));
}

GPtrArray *
status_sorted_peers (const StatusDocument *doc)
{
  GPtrArray *peers = g_ptr_array_new ();
  JsonObject *map = status_object (doc->root, "Peer");
  JsonObjectIter iter;
  JsonNode *node;

  if (map == NULL)
    return peers;
  json_object_iter_init (&iter, map);
  while (json_object_iter_next (&iter, NULL, &node))
    if (JSON_NODE_HOLDS_OBJECT (node))
      g_ptr_array_add (peers, json_node_get_object (node));
  g_ptr_array_sort (peers, compare_nodes);
  return peers;
}

static gboolean
node_is (const StatusDocument *doc, JsonObject *node, const char *word)
{
  g_autofree char *base = status_base_name (doc, node);
  g_autofree char *name = without_final_dot (status_string (node, "DNSName"));
  g_autofree char *wanted = without_final_dot (word);
  JsonArray *addresses = status_array (node, "TailscaleIPs");

  for (guint i = 0; addresses != NULL && i < json_array_get_length (addresses); i++)
    if (g_strcmp0 (json_array_get_string_element (addresses, i), word) == 0)
      return TRUE;
  return g_ascii_strcasecmp (base, wanted) == 0 || g_ascii_strcasecmp (name, wanted) == 0;
}

JsonObject *
status_find_node (const StatusDocument *doc, const char *word)
{
  g_autoptr (GPtrArray) peers = status_sorted_peers (doc);
  JsonObject *self = status_object (doc->root, "Self");

  if (self != NULL && node_is (doc, self, word))
    return self;
  for (guint i = 0; i < peers->len; i++)
    if (node_is (doc, peers->pdata[i], word))
      return peers->pdata[i];
  return NULL;
}
