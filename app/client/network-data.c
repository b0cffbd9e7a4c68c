#include "client/network-data.h"

#include "client/error.h"

#include <glib/gi18n-lib.h>

#define N_LISTS 5

typedef struct
{
  char **words;
  char *input;
  GObject *view; /* kept alive */
  WarrenNetworkAnswer answer;
} Command;

struct _WarrenNetworkData
{
  GObject parent;

  WarrenNetwork *network;
  GQueue commands;  /* of Command; the first one is under way */
  gboolean running; /* it is */
  guint wanted[N_LISTS];
  WarrenNetworkLists asked; /* their commands are in the queue */
  guint64 revisions[N_LISTS];
  WarrenNetworkLists known;
  char *error;

  GListStore *nodes;
  GListStore *waiting;
  GListStore *keys;
  GListStore *users;
  WarrenDnsFacts *dns;
  char *policy;
};

enum
{
  SIGNAL_CHANGED,
  N_SIGNALS,
};

static guint signals[N_SIGNALS];

G_DEFINE_FINAL_TYPE (WarrenNetworkData, warren_network_data, G_TYPE_OBJECT)

static const char *const list_words[N_LISTS][4] = {
    {"nodes", "list", "--json"}, {"keys", "list", "--json"}, {"users", "list", "--json"},
    {"dns", "get", "--json"},    {"policy", "get"},
};

/* --- commands
 * --------------------------------------------------------------------------------------------- */

static void run_next (WarrenNetworkData *self);

static void
free_command (Command *command)
{
  g_strfreev (command->words);
  g_free (command->input);
  g_object_unref (command->view);
  g_free (command);
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (WarrenNetworkData) self = user_data;
  Command *command = g_queue_pop_head (&self->commands);
  g_autoptr (GError) error = NULL;
  int code = 0;
  g_autofree char *text
      = warren_network_run_finish (WARREN_NETWORK (source), result, &code, &error);

  self->running = FALSE;
  if (text == NULL)
    text = warren_error_is_silent (error) ? g_strdup ("") : warren_error_describe (error, NULL);
  if (error != NULL || code != 0)
    g_strchomp (text);
  command->answer (command->view, error == NULL && code == 0, text);
  free_command (command);
  run_next (self);
}

static void
run_next (WarrenNetworkData *self)
{
  Command *command = g_queue_peek_head (&self->commands);

  if (command == NULL || self->running)
    return;
  self->running = TRUE;
  warren_network_run_async (self->network, (const char *const *)command->words, command->input,
                            NULL, on_answer, g_object_ref (self));
}

void
warren_network_data_run (WarrenNetworkData *self, const char *const *words, const char *input,
                         gpointer view, WarrenNetworkAnswer answer)
{
  Command *command = g_new (Command, 1);

  *command = (Command){g_strdupv ((char **)words), g_strdup (input), g_object_ref (view), answer};
  g_queue_push_tail (&self->commands, command);
  run_next (self);
}

/* --- lists
 * ------------------------------------------------------------------------------------------------
 */

static WarrenNetworkNode *
find_node (GListStore *store, const char *id)
{
  guint n = g_list_model_get_n_items (G_LIST_MODEL (store));

  for (guint i = 0; i < n; i++) {
    g_autoptr (WarrenNetworkNode) node = g_list_model_get_item (G_LIST_MODEL (store), i);

    if (g_str_equal (warren_network_node_get (node)->id, id))
      return g_steal_pointer (&node);
  }
  return NULL;
}

/* Objects stay what they were as long as their device is there: a view may hold one. */
static void
show_nodes (GListStore *store, GPtrArray *list, gboolean waiting)
{
  g_autoptr (GPtrArray) kept = g_ptr_array_new_with_free_func (g_object_unref);
  guint n = g_list_model_get_n_items (G_LIST_MODEL (store));
  gboolean same = TRUE;

  for (guint i = 0; i < list->len; i++) {
    WarrenNetworkNode *fresh = list->pdata[i];
    const WarrenNodeFacts *facts = warren_network_node_get (fresh);
    g_autoptr (WarrenNetworkNode) old = NULL;

    if (facts->waiting != waiting)
      continue;
    /* Usually nothing moved, so that the first place looked at is the right one. */
    if (kept->len < n)
      old = g_list_model_get_item (G_LIST_MODEL (store), kept->len);
    if (old == NULL || !g_str_equal (warren_network_node_get (old)->id, facts->id)) {
      same = FALSE;
      g_clear_object (&old);
      old = find_node (store, facts->id);
    }
    if (old != NULL)
      warren_network_node_update (old, fresh);
    g_ptr_array_add (kept, old != NULL ? g_steal_pointer (&old) : g_object_ref (fresh));
  }
  if (!same || kept->len != n)
    g_list_store_splice (store, 0, n, kept->pdata, kept->len);
}

static gboolean
read_nodes (WarrenNetworkData *self, const char *text, GError **error)
{
  g_autoptr (GPtrArray) list = warren_network_parse_nodes (text, error);

  if (list == NULL)
    return FALSE;
  show_nodes (self->waiting, list, TRUE);
  show_nodes (self->nodes, list, FALSE);
  return TRUE;
}

static gboolean
read_plain (GListStore *store, GPtrArray *list)
{
  g_autoptr (GPtrArray) held = list;

  if (held != NULL)
    g_list_store_splice (store, 0, g_list_model_get_n_items (G_LIST_MODEL (store)), held->pdata,
                         held->len);
  return held != NULL;
}

static gboolean
read_list (WarrenNetworkData *self, WarrenNetworkLists list, const char *text, GError **error)
{
  WarrenDnsFacts *dns;

  switch (list) {
    case WARREN_NETWORK_NODES:
      return read_nodes (self, text, error);
    case WARREN_NETWORK_KEYS:
      return read_plain (self->keys, warren_network_parse_keys (text, error));
    case WARREN_NETWORK_USERS:
      return read_plain (self->users, warren_network_parse_users (text, error));
    case WARREN_NETWORK_DNS:
      dns = warren_network_parse_dns (text, error);
      if (dns == NULL)
        return FALSE;
      g_clear_pointer (&self->dns, warren_dns_facts_free);
      self->dns = dns;
      return TRUE;
    case WARREN_NETWORK_POLICY:
    default:
      g_free (self->policy);
      self->policy = g_strdup (text);
      return TRUE;
  }
}

static void refresh (WarrenNetworkData *self);

static void
end_list (WarrenNetworkData *self, WarrenNetworkLists list, gboolean ok, const char *text)
{
  g_autoptr (GError) error = NULL;

  self->asked &= ~list;
  g_clear_pointer (&self->error, g_free);
  if (!ok)
    self->error = g_strdup (*text != '\0' ? text : _ ("You did not allow it."));
  else if (read_list (self, list, text, &error))
    self->known |= list;
  else
    self->error = g_strdup_printf (_ ("The answer was not understood: %s"), error->message);
  g_signal_emit (self, signals[SIGNAL_CHANGED], 0, (guint)list);
  refresh (self); /* the network may have changed meanwhile */
}

/* One function a list: the answer does not say which it is. */
static void
on_nodes (gpointer self, gboolean ok, const char *text)
{
  end_list (self, WARREN_NETWORK_NODES, ok, text);
}

static void
on_keys (gpointer self, gboolean ok, const char *text)
{
  end_list (self, WARREN_NETWORK_KEYS, ok, text);
}

static void
on_users (gpointer self, gboolean ok, const char *text)
{
  end_list (self, WARREN_NETWORK_USERS, ok, text);
}

static void
on_dns (gpointer self, gboolean ok, const char *text)
{
  end_list (self, WARREN_NETWORK_DNS, ok, text);
}

static void
on_policy (gpointer self, gboolean ok, const char *text)
{
  end_list (self, WARREN_NETWORK_POLICY, ok, text);
}

/* Asks for what is wanted and older than the network; nothing while an error waits for a retry. */
static void
refresh (WarrenNetworkData *self)
{
  static const WarrenNetworkAnswer answers[N_LISTS]
      = {on_nodes, on_keys, on_users, on_dns, on_policy};
  guint64 revision = warren_network_get_revision (self->network);

  if (!warren_network_is_running (self->network) || self->error != NULL)
    return;
  for (guint i = 0; i < N_LISTS; i++) {
    WarrenNetworkLists list = 1 << i;

    if (self->wanted[i] == 0 || (self->asked & list) != 0
        || ((self->known & list) != 0 && self->revisions[i] == revision))
      continue;
    self->asked |= list;
    self->revisions[i] = revision;
    warren_network_data_run (self, list_words[i], NULL, self, answers[i]);
  }
}

static void
forget (WarrenNetworkData *self)
{
  self->known = 0;
  g_list_store_remove_all (self->nodes);
  g_list_store_remove_all (self->waiting);
  g_list_store_remove_all (self->keys);
  g_list_store_remove_all (self->users);
  g_clear_pointer (&self->dns, warren_dns_facts_free);
  g_clear_pointer (&self->policy, g_free);
  g_clear_pointer (&self->error, g_free);
}

static void
on_network_changed (WarrenNetworkData *self)
{
  if (!warren_network_exists (self->network))
    forget (self);
  refresh (self);
}

void
warren_network_data_want (WarrenNetworkData *self, WarrenNetworkLists lists)
{
  for (guint i = 0; i < N_LISTS; i++)
    if ((lists & (1 << i)) != 0)
      self->wanted[i]++;
  refresh (self);
}

void
warren_network_data_drop (WarrenNetworkData *self, WarrenNetworkLists lists)
{
  for (guint i = 0; i < N_LISTS; i++)
    if ((lists & (1 << i)) != 0)
      self->wanted[i]--;
}

const char *
warren_network_data_get_error (WarrenNetworkData *self)
{
  return self->error;
}

void
warren_network_data_retry (WarrenNetworkData *self)
{
  g_clear_pointer (&self->error, g_free);
  self->known = 0;
  refresh (self);
}

WarrenNetwork *
warren_network_data_get_network (WarrenNetworkData *self)
{
  return self->network;
}

GListModel *
warren_network_data_get_nodes (WarrenNetworkData *self)
{
  return G_LIST_MODEL (self->nodes);
}

GListModel *
warren_network_data_get_waiting (WarrenNetworkData *self)
{
  return G_LIST_MODEL (self->waiting);
}

GListModel *
warren_network_data_get_keys (WarrenNetworkData *self)
{
  return G_LIST_MODEL (self->keys);
}

GListModel *
warren_network_data_get_users (WarrenNetworkData *self)
{
  return G_LIST_MODEL (self->users);
}

const WarrenDnsFacts *
warren_network_data_get_dns (WarrenNetworkData *self)
{
  return self->dns;
}

const char *
warren_network_data_get_policy (WarrenNetworkData *self)
{
  return self->policy;
}

/* --- object
 * -----------------------------------------------------------------------------------------------
 */

WarrenNetworkData *
warren_network_data_new (WarrenNetwork *network)
{
  WarrenNetworkData *self = g_object_new (WARREN_TYPE_NETWORK_DATA, NULL);

  self->network = g_object_ref (network);
  g_signal_connect_object (network, "changed", G_CALLBACK (on_network_changed), self,
                           G_CONNECT_SWAPPED);
  return self;
}

/* Commands that change something are never taken back: only who asked is gone. */
static void
warren_network_data_finalize (GObject *object)
{
  WarrenNetworkData *self = WARREN_NETWORK_DATA (object);

  g_clear_object (&self->network);
  g_clear_object (&self->nodes);
  g_clear_object (&self->waiting);
  g_clear_object (&self->keys);
  g_clear_object (&self->users);
  g_clear_pointer (&self->dns, warren_dns_facts_free);
  g_free (self->policy);
  g_free (self->error);
  G_OBJECT_CLASS (warren_network_data_parent_class)->finalize (object);
}

static void
warren_network_data_class_init (WarrenNetworkDataClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = warren_network_data_finalize;
  signals[SIGNAL_CHANGED] = g_signal_new ("changed", WARREN_TYPE_NETWORK_DATA, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_UINT);
}

static void
warren_network_data_init (WarrenNetworkData *self)
{
  g_queue_init (&self->commands);
  self->nodes = g_list_store_new (WARREN_TYPE_NETWORK_NODE);
  self->waiting = g_list_store_new (WARREN_TYPE_NETWORK_NODE);
  self->keys = g_list_store_new (WARREN_TYPE_NETWORK_KEY);
  self->users = g_list_store_new (WARREN_TYPE_NETWORK_USER);
}
