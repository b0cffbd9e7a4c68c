#include "client/network-records.h"

#include "client/device.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define FINGERPRINT_DIGITS 16

struct _WarrenNetworkNode
{
  GObject parent;
  WarrenNodeFacts facts;
};

struct _WarrenNetworkKey
{
  GObject parent;
  WarrenKeyFacts facts;
};

struct _WarrenNetworkUser
{
  GObject parent;
  WarrenUserFacts facts;
};

G_DEFINE_FINAL_TYPE (WarrenNetworkNode, warren_network_node, G_TYPE_OBJECT)
G_DEFINE_FINAL_TYPE (WarrenNetworkKey, warren_network_key, G_TYPE_OBJECT)
G_DEFINE_FINAL_TYPE (WarrenNetworkUser, warren_network_user, G_TYPE_OBJECT)

static guint node_changed;

/* --- reading documents
 * ------------------------------------------------------------------------------------ */

static JsonNode *
lookup (JsonObject *object, const char *name, JsonNodeType type)
{
  JsonNode *node = json_object_get_member (object, name);

  return node != NULL && json_node_get_node_type (node) == type ? node : NULL;
}

static JsonNode *
lookup_value (JsonObject *object, const char *name, GType type)
{
  JsonNode *node = lookup (object, name, JSON_NODE_VALUE);

  return node != NULL && json_node_get_value_type (node) == type ? node : NULL;
}

static char *
dup_string (JsonObject *object, const char *name)
{
  JsonNode *node = lookup_value (object, name, G_TYPE_STRING);

  return g_strdup (node != NULL ? json_node_get_string (node) : "");
}

/* An id may be written as a number. */
static char *
dup_id (JsonObject *object, const char *name)
{
  JsonNode *node = lookup_value (object, name, G_TYPE_INT64);

  return node != NULL ? g_strdup_printf ("%" G_GINT64_FORMAT, json_node_get_int (node))
                      : dup_string (object, name);
}

static gboolean
get_flag (JsonObject *object, const char *name)
{
  JsonNode *node = lookup_value (object, name, G_TYPE_BOOLEAN);

  return node != NULL && json_node_get_boolean (node);
}

static gint64
get_int (JsonObject *object, const char *name)
{
  JsonNode *node = lookup_value (object, name, G_TYPE_INT64);

  return node != NULL ? json_node_get_int (node) : 0;
}

/* A date as in RFC 3339, or Unix seconds. */
static gint64
get_time (JsonObject *object, const char *name)
{
  g_autofree char *text = dup_string (object, name);
  g_autoptr (GDateTime) date = g_date_time_new_from_iso8601 (text, NULL);

  if (date == NULL)
    return get_int (object, name);
  return g_date_time_get_year (date) > 1 ? g_date_time_to_unix (date) : 0;
}

static char **
dup_strings (JsonObject *object, const char *name)
{
  JsonNode *node = lookup (object, name, JSON_NODE_ARRAY);
  JsonArray *array = node != NULL ? json_node_get_array (node) : NULL;
  GStrvBuilder *builder = g_strv_builder_new ();
  char **result;

  for (guint i = 0; array != NULL && i < json_array_get_length (array); i++) {
    JsonNode *element = json_array_get_element (array, i);

    if (JSON_NODE_HOLDS_VALUE (element) && json_node_get_value_type (element) == G_TYPE_STRING)
      g_strv_builder_add (builder, json_node_get_string (element));
  }
  result = g_strv_builder_end (builder);
  g_strv_builder_unref (builder);
  return result;
}

static JsonNode *
parse (const char *text, JsonNodeType type, GError **error)
{
  g_autoptr (JsonNode) root = json_from_string (text, error);

  if (root == NULL || json_node_get_node_type (root) != type) {
    if (error != NULL && *error == NULL)
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "not the document expected");
    return NULL;
  }
  return g_steal_pointer (&root);
}

/* READ makes an object of each element, which may be NULL to leave it out. */
static GPtrArray *
parse_list (const char *text, gpointer (*read) (JsonObject *), GDestroyNotify free_item,
            GError **error)
{
  g_autoptr (JsonNode) root = parse (text, JSON_NODE_ARRAY, error);
  JsonArray *array;
  GPtrArray *list;

  if (root == NULL)
    return NULL;
  array = json_node_get_array (root);
  list = g_ptr_array_new_with_free_func (free_item);
  for (guint i = 0; i < json_array_get_length (array); i++) {
    JsonNode *element = json_array_get_element (array, i);

    if (JSON_NODE_HOLDS_OBJECT (element))
      g_ptr_array_add (list, read (json_node_get_object (element)));
  }
  return list;
}

/* --- devices
 * ---------------------------------------------------------------------------------------------- */

static void
clear_node (WarrenNodeFacts *facts)
{
  g_free (facts->id);
  g_free (facts->name);
  g_free (facts->hostname);
  g_free (facts->os);
  g_free (facts->user);
  g_free (facts->node_key);
  g_strfreev (facts->tags);
  g_strfreev (facts->addresses);
  g_strfreev (facts->advertised);
  g_strfreev (facts->routes);
  *facts = (WarrenNodeFacts){0};
}

static gpointer
read_node (JsonObject *object)
{
  WarrenNetworkNode *node = g_object_new (WARREN_TYPE_NETWORK_NODE, NULL);
  WarrenNodeFacts *facts = &node->facts;

  facts->waiting = lookup_value (object, "pending", G_TYPE_STRING) != NULL;
  facts->id = facts->waiting ? dup_string (object, "pending") : dup_id (object, "id");
  facts->name = dup_string (object, "name");
  facts->hostname = dup_string (object, "hostname");
  facts->os = dup_string (object, "os");
  facts->user = dup_string (object, "user");
  facts->node_key = dup_string (object, "nodeKey");
  facts->tags = dup_strings (object, "tags");
  facts->addresses = dup_strings (object, "addresses");
  facts->advertised = dup_strings (object, "advertisedRoutes");
  facts->routes = dup_strings (object, "approvedRoutes");
  facts->online = get_flag (object, "online");
  facts->expired = get_flag (object, "expired");
  facts->key_expiry = get_time (object, "keyExpiry");
  facts->last_seen = get_time (object, "lastSeen");
  facts->since = get_time (object, "since");
  if (!facts->waiting && json_object_has_member (object, "approved"))
    facts->waiting = !get_flag (object, "approved");
  return node;
}

GPtrArray *
warren_network_parse_nodes (const char *text, GError **error)
{
  return parse_list (text, read_node, g_object_unref, error);
}

const WarrenNodeFacts *
warren_network_node_get (WarrenNetworkNode *self)
{
  return &self->facts;
}

static gboolean
same_node (const WarrenNodeFacts *a, const WarrenNodeFacts *b)
{
  return g_str_equal (a->name, b->name) && g_str_equal (a->hostname, b->hostname)
         && g_str_equal (a->os, b->os) && g_str_equal (a->user, b->user)
         && g_str_equal (a->node_key, b->node_key)
         && g_strv_equal ((const char *const *)a->tags, (const char *const *)b->tags)
         && g_strv_equal ((const char *const *)a->addresses, (const char *const *)b->addresses)
         && g_strv_equal ((const char *const *)a->advertised, (const char *const *)b->advertised)
         && g_strv_equal ((const char *const *)a->routes, (const char *const *)b->routes)
         && a->online == b->online && a->expired == b->expired && a->waiting == b->waiting
         && a->key_expiry == b->key_expiry && a->last_seen == b->last_seen;
}

void
warren_network_node_update (WarrenNetworkNode *self, WarrenNetworkNode *source)
{
  WarrenNodeFacts old = self->facts;

  if (self == source || same_node (&self->facts, &source->facts))
    return;
  self->facts = source->facts;
  source->facts = old;
  g_signal_emit (self, node_changed, 0);
}

static gboolean
has_default_route (char **routes)
{
  return g_strv_contains ((const char *const *)routes, "0.0.0.0/0")
         || g_strv_contains ((const char *const *)routes, "::/0");
}

gboolean
warren_network_node_offers_exit (WarrenNetworkNode *self)
{
  return has_default_route (self->facts.advertised);
}

gboolean
warren_network_node_is_exit (WarrenNetworkNode *self)
{
  return has_default_route (self->facts.advertised) && has_default_route (self->facts.routes);
}

char *
warren_network_node_dup_fingerprint (WarrenNetworkNode *self)
{
  const char *digits = strchr (self->facts.node_key, ':');
  GString *text = g_string_new (NULL);

  digits = digits != NULL ? digits + 1 : self->facts.node_key;
  for (gsize i = 0; i < FINGERPRINT_DIGITS && digits[i] != '\0'; i++) {
    if (i > 0 && i % 4 == 0)
      g_string_append_c (text, ' ');
    g_string_append_c (text, digits[i]);
  }
  return g_string_free (text, FALSE);
}

static gboolean
contains (const char *text, const char *needle)
{
  g_autofree char *folded = warren_search_fold (text);

  return strstr (folded, needle) != NULL;
}

static gboolean
any_contains (char **texts, const char *needle)
{
  for (gsize i = 0; texts[i] != NULL; i++)
    if (contains (texts[i], needle))
      return TRUE;
  return FALSE;
}

gboolean
warren_network_node_matches (WarrenNetworkNode *self, const char *needle)
{
  const WarrenNodeFacts *facts = &self->facts;

  return *needle == '\0' || contains (facts->name, needle) || contains (facts->hostname, needle)
         || contains (facts->user, needle) || contains (facts->os, needle)
         || any_contains (facts->addresses, needle) || any_contains (facts->tags, needle);
}

static void
warren_network_node_finalize (GObject *object)
{
  clear_node (&WARREN_NETWORK_NODE (object)->facts);
  G_OBJECT_CLASS (warren_network_node_parent_class)->finalize (object);
}

static void
warren_network_node_class_init (WarrenNetworkNodeClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_network_node_finalize;
  node_changed = g_signal_new ("changed", WARREN_TYPE_NETWORK_NODE, G_SIGNAL_RUN_LAST, 0, NULL,
                               NULL, NULL, G_TYPE_NONE, 0);
}

static void
warren_network_node_init (WarrenNetworkNode *self)
{
}

/* --- keys
 * -------------------------------------------------------------------------------------------------
 */

static gpointer
read_key (JsonObject *object)
{
  WarrenNetworkKey *key = g_object_new (WARREN_TYPE_NETWORK_KEY, NULL);

  key->facts = (WarrenKeyFacts){
      .id = dup_id (object, "id"),
      .user = dup_string (object, "user"),
      .state = dup_string (object, "state"),
      .tags = dup_strings (object, "tags"),
      .reusable = get_flag (object, "reusable"),
      .ephemeral = get_flag (object, "ephemeral"),
      .expires = get_time (object, "expires"),
  };
  return key;
}

GPtrArray *
warren_network_parse_keys (const char *text, GError **error)
{
  return parse_list (text, read_key, g_object_unref, error);
}

const WarrenKeyFacts *
warren_network_key_get (WarrenNetworkKey *self)
{
  return &self->facts;
}

static void
warren_network_key_finalize (GObject *object)
{
  WarrenKeyFacts *facts = &WARREN_NETWORK_KEY (object)->facts;

  g_free (facts->id);
  g_free (facts->user);
  g_free (facts->state);
  g_strfreev (facts->tags);
  G_OBJECT_CLASS (warren_network_key_parent_class)->finalize (object);
}

static void
warren_network_key_class_init (WarrenNetworkKeyClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_network_key_finalize;
}

static void
warren_network_key_init (WarrenNetworkKey *self)
{
}

char *
warren_network_parse_new_key (const char *text)
{
  g_autoptr (JsonNode) root = json_from_string (text, NULL);
  g_autofree char *key = NULL;

  if (root != NULL && JSON_NODE_HOLDS_OBJECT (root))
    key = dup_string (json_node_get_object (root), "key");
  else
    key = g_strstrip (g_strdup (text));
  return *key != '\0' && strpbrk (key, " \n{") == NULL ? g_steal_pointer (&key) : NULL;
}

/* --- users
 * ------------------------------------------------------------------------------------------------
 */

static gpointer
read_user (JsonObject *object)
{
  WarrenNetworkUser *user = g_object_new (WARREN_TYPE_NETWORK_USER, NULL);

  user->facts = (WarrenUserFacts){
      .id = dup_id (object, "id"),
      .login = dup_string (object, "login"),
      .role = dup_string (object, "role"),
      .devices = MAX (0, get_int (object, "devices")),
  };
  return user;
}

GPtrArray *
warren_network_parse_users (const char *text, GError **error)
{
  return parse_list (text, read_user, g_object_unref, error);
}

const WarrenUserFacts *
warren_network_user_get (WarrenNetworkUser *self)
{
  return &self->facts;
}

static void
warren_network_user_finalize (GObject *object)
{
  WarrenUserFacts *facts = &WARREN_NETWORK_USER (object)->facts;

  g_free (facts->id);
  g_free (facts->login);
  g_free (facts->role);
  G_OBJECT_CLASS (warren_network_user_parent_class)->finalize (object);
}

static void
warren_network_user_class_init (WarrenNetworkUserClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_network_user_finalize;
}

static void
warren_network_user_init (WarrenNetworkUser *self)
{
}

/* --- name service and policy
 * ------------------------------------------------------------------------------ */

WarrenDnsFacts *
warren_network_parse_dns (const char *text, GError **error)
{
  g_autoptr (JsonNode) root = parse (text, JSON_NODE_OBJECT, error);
  JsonObject *object = root != NULL ? json_node_get_object (root) : NULL;
  WarrenDnsFacts *dns;

  if (object == NULL)
    return NULL;
  dns = g_new0 (WarrenDnsFacts, 1);
  dns->domain = dup_string (object, "domain");
  dns->nameservers = dup_strings (object, "nameservers");
  dns->magic = get_flag (object, "magicDns");
  return dns;
}

void
warren_dns_facts_free (WarrenDnsFacts *dns)
{
  g_free (dns->domain);
  g_strfreev (dns->nameservers);
  g_free (dns);
}

static void
free_issue (gpointer data)
{
  WarrenPolicyIssue *issue = data;

  g_free (issue->path);
  g_free (issue->text);
  g_free (issue);
}

static gpointer
read_issue (JsonObject *object)
{
  WarrenPolicyIssue *issue = g_new0 (WarrenPolicyIssue, 1);

  issue->line = CLAMP (get_int (object, "line"), 0, G_MAXINT);
  issue->column = CLAMP (get_int (object, "column"), 0, G_MAXINT);
  issue->warning = get_flag (object, "warning");
  issue->path = dup_string (object, "path");
  issue->text = dup_string (object, "text");
  return issue;
}

GPtrArray *
warren_network_parse_issues (const char *text, GError **error)
{
  g_autoptr (JsonNode) root = parse (text, JSON_NODE_OBJECT, error);
  JsonNode *issues
      = root != NULL ? lookup (json_node_get_object (root), "issues", JSON_NODE_ARRAY) : NULL;
  g_autofree char *list = issues != NULL ? json_to_string (issues, FALSE) : NULL;

  if (root == NULL)
    return NULL;
  return parse_list (list != NULL ? list : "[]", read_issue, free_issue, error);
}
