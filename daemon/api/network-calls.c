#include "api/network-calls.h"

#include "api/network-object.h"
#include "wire/command.h"
#include "wire/json-reader.h"

#include <string.h>
#include <unistd.h>

#define TRY_MS 50
#define TRIES  200 /* of a coordinator that starts, ends or becomes another */
#define DAY_S  86400
#define WORDS  4096 /* bytes of one word */

/* ---- commands ---- */

/* A command that failed, as an error of the bus. */
static void
refuse (Call *call, const char *text)
{
  g_autofree char *reason = g_strchomp (g_strdup (text));
  BusError code = strstr (reason, "already")                  ? BUS_ERROR_CONFLICT
                  : g_str_has_prefix (reason, "There is no ") ? BUS_ERROR_NOT_FOUND
                                                              : BUS_ERROR_INVALID_ARGUMENT;

  call_fail (call, code, "%s", reason);
}

static void
unreachable (Call *call, const GError *error)
{
  call_fail (call, BUS_ERROR_WRONG_STATE, "the private network does not run: %s", error->message);
}

static CoordinatorLink *
link_of (Call *call)
{
  return network_object_link (call->service->network);
}

/* True when there is an answer to go on with; else the call is answered. */
static bool
went_well (Call *call, int code, const char *text, const GError *error)
{
  if (code < 0)
    unreachable (call, error);
  else if (code > 0)
    refuse (call, text);
  return code == 0;
}

static void
on_done (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (went_well (call, code, text, error))
    call_return (call, NULL);
}

static void
run_words (Call *call, CoordinatorAnswer answer, const char *const *words)
{
  coordinator_link_run (link_of (call), words, NULL, answer, call);
}

/* ---- waiting until the coordinator is what it was made to be ---- */

typedef enum
{
  UNTIL_SERVING,
  UNTIL_IDLE, /* or gone: it has no network any more */
  UNTIL_GONE,
} Until;

typedef struct
{
  Call *call;
  Until until;
  unsigned tries;
  void (*then) (Call *call, const NetworkStatus *status);
} Wait;

static void look (Wait *wait);

static gboolean
on_look (void *user_data)
{
  look (user_data);
  return G_SOURCE_REMOVE;
}

static void
on_looked (int code, const char *text, const GError *error, void *user_data)
{
  Wait *wait = user_data;
  NetworkStatus status = {0};
  bool answers = code == 0 && network_status_parse (text, &status);
  bool done = wait->until == UNTIL_SERVING ? answers && status.exists
              : wait->until == UNTIL_IDLE
                  ? answers ? !status.exists : wait->tries == 0
                  : code < 0 && !coordinator_link_has_child (link_of (wait->call));

  if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
    g_free (wait);
    return;
  }
  if (done) {
    wait->then (wait->call, &status);
    g_free (wait);
  } else if (wait->tries-- == 0) {
    call_fail (wait->call, BUS_ERROR_TIMEOUT, "the coordinator did not do so in time");
    g_free (wait);
  } else {
    g_timeout_add (TRY_MS, on_look, wait);
  }
  network_status_clear (&status);
}

static void
look (Wait *wait)
{
  static const char *const words[] = {"status", "--json", NULL};

  coordinator_link_run (link_of (wait->call), words, NULL, on_looked, wait);
}

static void
wait_until (Call *call, Until until, void (*then) (Call *, const NetworkStatus *))
{
  Wait *wait = g_new (Wait, 1);

  *wait = (Wait){call, until, TRIES, then};
  look (wait);
}

/* ---- Manager.CreateNetwork ---- */

static void
created (Call *call, const NetworkStatus *status)
{
  network_object_follow (call->service->network, status);
  call_return (call, g_variant_new ("(o)", network_object_path (call->service->network)));
}

static void
on_created (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (went_well (call, code, text, error))
    wait_until (call, UNTIL_SERVING, created);
}

static const struct
{
  const char *key, *option;
} create_options[] = {
    {"Name", "name"},          {"Domain", "domain"},
    {"Prefix4", "prefix4"},    {"Prefix6", "prefix6"},
    {"PublicUrl", "url"},      {"Listen", "listen"},
    {"RelayUrl", "relay-url"}, {"RelayListen", "relay-listen"},
};

/* "--name=home" for Name and so on; NULL after the call has been answered. */
static GPtrArray *
create_words (Call *call)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GVariantIter) iter = NULL;
  const char *key;
  GVariant *value;

  g_ptr_array_add (words, g_strdup ("create"));
  g_variant_get (call->params, "(a{sv})", &iter);
  while (g_variant_iter_loop (iter, "{&sv}", &key, &value)) {
    const char *option = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS (create_options); i++)
      if (strcmp (create_options[i].key, key) == 0)
        option = create_options[i].option;
    if (!option || !g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
      call_fail (call, BUS_ERROR_INVALID_ARGUMENT, option ? "%s: wrong type" : "unknown option %s",
                 key);
      g_variant_unref (value);
      return NULL;
    }
    if (*g_variant_get_string (value, NULL) != '\0')
      g_ptr_array_add (words,
                       g_strdup_printf ("--%s=%s", option, g_variant_get_string (value, NULL)));
  }
  g_ptr_array_add (words, NULL);
  return g_steal_pointer (&words);
}

static void
on_ready_to_create (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;
  NetworkStatus status;

  if (!went_well (call, code, text, error))
    return;
  if (network_status_parse (text, &status) && status.exists) {
    network_object_follow (call->service->network, &status);
    call_fail (call, BUS_ERROR_CONFLICT, "there is a network on this computer already");
  } else {
    g_autoptr (GPtrArray) words = create_words (call);
    if (words)
      run_words (call, on_created, (const char *const *)words->pdata);
  }
  network_status_clear (&status);
}

void
network_call_create (Call *call)
{
  NetworkObject *network = call->service->network;

  if (!network_object_is_installed (network)) {
    call_fail (call, BUS_ERROR_UNSUPPORTED, "warren-coordinator is not installed");
    return;
  }
  if (strcmp (network_object_path (network), "/") != 0) {
    call_fail (call, BUS_ERROR_CONFLICT, "there is a network on this computer already");
    return;
  }
  coordinator_link_start (link_of (call), on_ready_to_create, call);
}

/* ---- life of the network ---- */

static void
started (Call *call, const NetworkStatus *status)
{
  network_object_follow (call->service->network, status);
  call_return (call, NULL);
}

static void
on_started (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (went_well (call, code, text, error))
    wait_until (call, UNTIL_SERVING, started);
}

static void
start (Call *call)
{
  coordinator_link_start (link_of (call), on_started, call);
}

static void
stopped (Call *call, const NetworkStatus *status)
{
  call_return (call, NULL);
}

static void
on_stopped (int code, const char *text, const GError *error, void *user_data)
{
  wait_until (user_data, UNTIL_GONE, stopped);
}

static void
stop (Call *call)
{
  static const char *const words[] = {"stop", NULL};

  /* Not wanted first: nobody starts it again when it ends. */
  network_object_stopped (call->service->network);
  run_words (call, on_stopped, words);
}

static void
deleted (Call *call, const NetworkStatus *status)
{
  static const char *const words[] = {"stop", NULL};

  network_object_forget (call->service->network);
  run_words (call, on_stopped, words);
}

static void
on_deleted (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (went_well (call, code, text, error))
    wait_until (call, UNTIL_IDLE, deleted);
}

static void
ready_to_delete (Call *call, const NetworkStatus *status)
{
  static const char *const words[] = {"delete", "--yes", NULL};

  run_words (call, on_deleted, words);
}

static void
on_started_to_delete (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (went_well (call, code, text, error))
    wait_until (call, UNTIL_SERVING, ready_to_delete);
}

static void delete (Call *call)
{
  coordinator_link_start (link_of (call), on_started_to_delete, call);
}

/* ---- keys and devices ---- */

static void
on_key (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;
  g_autofree char *key = NULL;

  if (!went_well (call, code, text, error))
    return;
  key = g_strchomp (g_strdup (text));
  call_return (call, g_variant_new ("(s)", key));
}

/* Whole minutes or hours until EXPIRES. */
static char *
life_until (int64_t expires)
{
  int64_t minutes = (expires - g_get_real_time () / G_USEC_PER_SEC + 59) / 60;

  if (minutes < 1)
    return NULL;
  if (minutes <= 60 * 24)
    return g_strdup_printf ("--expires=%dm", (int)minutes);
  return g_strdup_printf ("--expires=%dh", (int)MIN (minutes / 60, 100000));
}

/* One option of CreateKey into WORDS; false for one that is unknown, or wrong. */
static bool
add_key_option (GPtrArray *words, const char *key, GVariant *value)
{
  bool is_flag = g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN);

  if (is_flag && (strcmp (key, "Reusable") == 0 || strcmp (key, "Ephemeral") == 0)) {
    if (g_variant_get_boolean (value))
      g_ptr_array_add (words, g_strdup (*key == 'R' ? "--reusable" : "--ephemeral"));
    return true;
  }
  if (strcmp (key, "Expires") == 0 && g_variant_is_of_type (value, G_VARIANT_TYPE_INT64)) {
    char *life = g_variant_get_int64 (value) != 0 ? life_until (g_variant_get_int64 (value)) : NULL;
    if (life)
      g_ptr_array_add (words, life);
    return life || g_variant_get_int64 (value) == 0;
  }
  if (strcmp (key, "User") == 0 && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING)) {
    g_ptr_array_add (words, g_strdup_printf ("--user=%s", g_variant_get_string (value, NULL)));
    return true;
  }
  if (strcmp (key, "Tags") == 0 && g_variant_is_of_type (value, G_VARIANT_TYPE_STRING_ARRAY)) {
    g_autofree const char **tags = g_variant_get_strv (value, NULL);
    g_autofree char *joined = g_strjoinv (",", (char **)tags);
    g_ptr_array_add (words, g_strdup_printf ("--tags=%s", joined));
    return true;
  }
  return false;
}

static void
create_key (Call *call)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GVariantIter) iter = NULL;
  bool expires = false;
  const char *key;
  GVariant *value;

  g_ptr_array_add (words, g_strdup ("keys"));
  g_ptr_array_add (words, g_strdup ("create"));
  g_variant_get (call->params, "(a{sv})", &iter);
  while (g_variant_iter_loop (iter, "{&sv}", &key, &value)) {
    expires |= strcmp (key, "Expires") == 0;
    if (add_key_option (words, key, value))
      continue;
    call_fail (call, BUS_ERROR_INVALID_ARGUMENT, "%s: unknown option, or a wrong value", key);
    g_variant_unref (value);
    return;
  }
  if (!expires)
    g_ptr_array_add (words, life_until (g_get_real_time () / G_USEC_PER_SEC + DAY_S));
  g_ptr_array_add (words, NULL);
  run_words (call, on_key, (const char *const *)words->pdata);
}

/* A row of ListNodes from an object of "nodes list --json". */
static void
add_row (JsonReader *r, GVariantBuilder *rows)
{
  g_autofree char *id = NULL, *name = NULL, *user = NULL;
  bool approved = false, online = false;
  WallTime seen = wall_time_unset ();
  JsonString member;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &member)) {
    if (json_string_equal (member, "id"))
      id = g_strdup_printf ("%" G_GINT64_FORMAT, json_reader_i64 (r));
    else if (json_string_equal (member, "approved"))
      approved = json_reader_bool (r);
    else if (json_string_equal (member, "online"))
      online = json_reader_bool (r);
    else if (json_string_equal (member, "lastSeen"))
      json_reader_time (r, &seen);
    else {
      char **text = json_string_equal (member, "pending") ? &id
                    : json_string_equal (member, "name")  ? &name
                    : json_string_equal (member, "user")  ? &user
                                                          : NULL;
      if (!text || *text) {
        json_reader_skip (r);
        continue;
      }
      JsonString s = json_reader_string (r);
      *text = g_strndup (s.text ? s.text : "", s.length);
    }
  }
  bool known = !online && !wall_time_is_unset (seen);
  g_variant_builder_add (rows, "(sssbx)", id ? id : "", name ? name : "", user ? user : "",
                         approved, known ? seen.seconds : (int64_t)0);
}

static void
on_nodes (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;
  GVariantBuilder rows;
  JsonReader r;

  if (!went_well (call, code, text, error))
    return;
  g_variant_builder_init (&rows, G_VARIANT_TYPE ("a(sssbx)"));
  json_reader_init (&r, text, strlen (text));
  json_reader_enter_array (&r);
  while (json_reader_next_element (&r))
    add_row (&r, &rows);
  json_reader_clear (&r);
  call_return (call, g_variant_new ("(a(sssbx))", &rows));
}

static void
list_nodes (Call *call)
{
  static const char *const words[] = {"nodes", "list", "--json", NULL};

  run_words (call, on_nodes, words);
}

/* A name that begins with hyphens would be an option there. */
static bool
is_word (Call *call, const char *text)
{
  if (*text != '\0' && *text != '-' && strlen (text) <= WORDS)
    return true;
  call_fail (call, BUS_ERROR_INVALID_ARGUMENT, "that is not the name of a device");
  return false;
}

static void
change_node (Call *call, const char *verb)
{
  const char *node;

  g_variant_get (call->params, "(&s)", &node);
  const char *const words[] = {"nodes", verb, node, NULL};
  if (is_word (call, node))
    run_words (call, on_done, words);
}

static void
approve (Call *call)
{
  change_node (call, "approve");
}

static void
remove_node (Call *call)
{
  change_node (call, "remove");
}

static void
rename_node (Call *call)
{
  const char *node, *name;

  g_variant_get (call->params, "(&s&s)", &node, &name);
  const char *const words[] = {"nodes", "rename", node, name, NULL};
  if (is_word (call, node) && is_word (call, name))
    run_words (call, on_done, words);
}

/* ---- everything else ---- */

static void
on_output (int code, const char *text, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (code < 0)
    unreachable (call, error);
  else
    call_return (call, g_variant_new ("(is)", code, text));
}

/* What has a method of its own, because the daemon has a part in it. */
static bool
has_method (const char *word)
{
  static const char *const words[] = {"create", "stop", "delete", "backup", "restore", NULL};

  return word && g_strv_contains (words, word);
}

static void
run_command (Call *call)
{
  g_autofree const char **words = NULL;
  const char *input;

  g_variant_get (call->params, "(^a&s&s)", &words, &input);
  if (has_method (words[0]))
    call_fail (call, BUS_ERROR_UNSUPPORTED, "\"%s\" has a method of its own", words[0]);
  else if (g_strv_length ((char **)words) > COMMAND_WORDS_MAX)
    call_fail (call, BUS_ERROR_LIMIT_EXCEEDED, "there are too many words");
  else
    coordinator_link_run (link_of (call), words, input, on_output, call);
}

static void
on_backup (int fd, const GError *error, void *user_data)
{
  Call *call = user_data;

  if (fd < 0)
    unreachable (call, error);
  else
    call_return_fd (call, fd);
}

static void
backup (Call *call)
{
  static const char *const words[] = {"backup", NULL};

  coordinator_link_open (link_of (call), words, on_backup, call);
}

void
network_calls_connect (BusService *service, WarrenBusNetwork *bus)
{
  static const CallRow rows[] = {
      {"Start", start},          {"Stop", stop},       {"CreateKey", create_key},
      {"ListNodes", list_nodes}, {"Approve", approve}, {"Remove", remove_node},
      {"Rename", rename_node},   {"Delete", delete},   {"RunCommand", run_command},
      {"Backup", backup},
  };

  call_connect (service, NULL, G_DBUS_INTERFACE_SKELETON (bus), "Network", rows,
                G_N_ELEMENTS (rows));
}
