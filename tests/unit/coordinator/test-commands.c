/* The table of commands: what each says and changes, what is refused with which exit code. */
#include "coordinator/command.h"

#include <glib.h>
#include <sodium.h>
#include <string.h>

typedef struct
{
  State *state;
  Random *random;
  uint64_t request;
  char *body; /* of the last answer */
  unsigned records, messages;
} Rig;

static void
drain (Rig *rig, int *code)
{
  StateAction action;

  while (state_next_action (rig->state, &action)) {
    if (action.type == STATE_ACTION_REPLY && action.request == rig->request) {
      *code = action.reply.status;
      g_free (rig->body);
      rig->body = g_strndup (action.reply.body, action.reply.size);
    }
    rig->records += action.type == STATE_ACTION_RECORD;
    rig->messages += action.type == STATE_ACTION_MESSAGE;
    state_action_clear (&action);
  }
}

/* LINE is cut at blanks; -1: no answer yet. */
static int
say_with (Rig *rig, const char *line, const char *input)
{
  g_auto (GStrv) words = g_strsplit (line, " ", -1);
  StateEvent event = {
      .type = STATE_EVENT_COMMAND,
      .request = ++rig->request,
      .wall = {1800000000, 0},
      .command = {(const char *const *)words, g_strv_length (words), input},
  };
  int code = -1;

  g_test_message ("%s", line);
  state_input (rig->state, &event, (int64_t)rig->request * USEC_PER_SEC);
  drain (rig, &code);
  return code;
}

static int
say (Rig *rig, const char *line)
{
  return say_with (rig, line, NULL);
}

#define assert_says(rig, line, text)                                                               \
  do {                                                                                             \
    g_assert_cmpint (say (rig, line), ==, 0);                                                      \
    g_assert_nonnull (strstr ((rig)->body, text));                                                 \
  } while (0)

static CoNode *
add_node (Rig *rig, const char *name)
{
  CoNode *node = model_add_node (&rig->state->model, name, (WallTime){1800000000, 0}, rig->random);

  node->user = rig->state->model.users[0]->id;
  node->approved = true;
  return node;
}

static void
rig_init (Rig *rig)
{
  int code;

  *rig = (Rig){.random = random_system ()};
  rig->state = state_new (&(StateConfig){.url = "http://10.0.0.1:8080"}, rig->random);
  state_start (rig->state, (WallTime){1800000000, 0}, 0);
  drain (rig, &code);
  rig->records = 0;
}

static void
rig_clear (Rig *rig)
{
  state_free (rig->state);
  g_free (rig->body);
}

static void
test_table (void)
{
  size_t n, used;
  const CommandRow *rows = command_table (&n);

  for (size_t i = 0; i < n; i++) {
    g_auto (GStrv) words = g_strsplit (rows[i].name, " ", -1);
    g_test_message ("%s", rows[i].name);
    g_assert_true (command_find ((const char *const *)words, g_strv_length (words), &used)
                   == &rows[i]);
    g_assert_cmpuint (used, ==, g_strv_length (words));
    g_assert_cmpuint (rows[i].min, <=, rows[i].max);
    g_assert_true (rows[i].options[0] == '\0' || g_str_has_prefix (rows[i].options, "--"));
    g_assert_nonnull (rows[i].run);
  }
}

/* An option counts wherever it stands among others, and as two words or one. */
static void
test_options (void)
{
  Rig rig;

  rig_init (&rig);
  assert_says (&rig, "keys create --reusable --json", "\"reusable\":true");
  g_assert_nonnull (strstr (rig.body, "\"ephemeral\":false"));
  assert_says (&rig, "keys create --ephemeral --reusable --json", "\"ephemeral\":true");
  g_assert_nonnull (strstr (rig.body, "\"reusable\":true"));
  assert_says (&rig, "keys create --expires 1h --json", "\"expires\":\"2027-01-15T09:00:00Z\"");
  assert_says (&rig, "keys create --json --expires=1h", "\"expires\":\"2027-01-15T09:00:00Z\"");
  rig_clear (&rig);
}

/* Every command with --json answers one JSON document when it goes well. */
static void
test_json (void)
{
  Rig rig;
  size_t n;
  const CommandRow *rows = command_table (&n);

  rig_init (&rig);
  add_node (&rig, "loom");
  for (size_t i = 0; i < n; i++) {
    g_autofree char *line = g_strconcat (rows[i].name, " --json", NULL);
    if (rows[i].min > 0)
      continue;
    if (say_with (&rig, line, "{}") != 0)
      continue;
    JsonReader r;
    json_reader_init (&r, rig.body, strlen (rig.body));
    json_reader_skip (&r);
    g_assert_true (json_reader_ok (&r) && json_reader_end (&r));
    json_reader_clear (&r);
  }
  rig_clear (&rig);
}

static void
test_misuse (void)
{
  static const char *const lines[] = {
      "",
      "nonsense",
      "nodes nonsense",
      "keys create --nonsense",
      "keys create --reusable=yes",
      "keys create --tags",
      "keys create --expires=1y",
      "nodes rename",
      "nodes rename a",
      "nodes rename a b c",
      "dns magic perhaps",
      "users create x --role=king",
  };
  Rig rig;

  rig_init (&rig);
  for (size_t i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_assert_cmpint (say (&rig, lines[i]), ==, COMMAND_MISUSED);
    g_assert_true (g_str_has_suffix (rig.body, "\n"));
  }
  g_assert_cmpuint (rig.records, ==, 0);
  rig_clear (&rig);
}

static void
test_near (void)
{
  Rig rig;

  rig_init (&rig);
  add_node (&rig, "loom");
  add_node (&rig, "mill");
  add_node (&rig, "millstone");
  g_assert_cmpint (say (&rig, "rename lom x"), ==, COMMAND_FAILED);
  g_assert_cmpstr (rig.body, ==, "There is no device \"lom\". Did you mean \"loom\"?\n");
  g_assert_cmpint (say (&rig, "expire mil"), ==, COMMAND_FAILED);
  g_assert_cmpstr (rig.body, ==,
                   "There is no device \"mil\". Did you mean \"mill\", \"millstone\"?\n");
  g_assert_cmpint (say (&rig, "expire zebra"), ==, COMMAND_FAILED);
  g_assert_cmpstr (rig.body, ==, "There is no device \"zebra\".\n");
  rig_clear (&rig);
}

static void
test_nodes (void)
{
  Rig rig;

  rig_init (&rig);
  CoNode *node = add_node (&rig, "loom");
  add_node (&rig, "mill");
  g_assert_cmpint (say (&rig, "nodes rename loom mill"), ==, COMMAND_FAILED);
  g_assert_cmpint (say (&rig, "nodes rename loom Not_So"), ==, COMMAND_FAILED);
  assert_says (&rig, "nodes rename loom weaver", "Renamed");
  g_assert_cmpstr (node->name, ==, "weaver");
  assert_says (&rig, "users create bob --role admin", "Created");
  assert_says (&rig, "move weaver bob", "Moved");
  assert_says (&rig, "nodes list --json", "\"user\":\"bob\"");
  g_assert_cmpint (say (&rig, "move weaver carol"), ==, COMMAND_FAILED);
  assert_says (&rig, "nodes expire weaver --in 2h", "Set");
  g_assert_cmpint (node->expiry.seconds, ==, 1800000000 + 7200);
  assert_says (&rig, "nodes expire weaver --never", "Set");
  g_assert_true (wall_time_is_unset (node->expiry));
  assert_says (&rig, "nodes expire weaver", "sign in again");
  g_assert_true (state_node_expired (rig.state, node));
  assert_says (&rig, "routes approve mill 10.1.0.7/24", "Approved");
  assert_says (&rig, "routes", "10.1.0.0/24");
  assert_says (&rig, "remove mill", "Removed");
  g_assert_cmpint (say (&rig, "remove mill"), ==, COMMAND_FAILED);
  rig_clear (&rig);
}

static void
test_dns (void)
{
  Rig rig;

  rig_init (&rig);
  assert_says (&rig, "dns set 9.9.9.9 https://dns.example/q", "Set");
  g_assert_cmpint (say (&rig, "dns set here"), ==, COMMAND_FAILED);
  assert_says (&rig, "dns split corp.example 10.1.0.53", "Set");
  assert_says (&rig, "dns record printer.home.internal 10.1.0.9 fd00::9", "Set");
  assert_says (&rig, "dns search corp.example", "Set");
  assert_says (&rig, "dns override off", "Set");
  assert_says (&rig, "dns domain burrow.internal", "Set");
  g_assert_cmpint (say (&rig, "dns domain a..b"), ==, COMMAND_FAILED);
  assert_says (&rig, "dns get --json", "\"splitDns\":{\"corp.example\":[\"10.1.0.53\"]}");
  NetmapDns *dns = settings_dns (&rig.state->model.settings);
  g_assert_cmpuint (dns->n_resolvers, ==, 0);
  g_assert_cmpuint (dns->n_fallback_resolvers, ==, 2);
  g_assert_cmpuint (dns->n_routes, ==, 2);
  g_assert_cmpstr (dns->routes[0].suffix, ==, "burrow.internal");
  g_assert_cmpuint (dns->routes[0].n_servers, ==, 0);
  g_assert_cmpuint (dns->n_extra_records, ==, 2);
  g_assert_cmpstr (dns->extra_records[1].value, ==, "fd00::9");
  g_assert_cmpuint (dns->n_domains, ==, 2);
  netmap_dns_unref (dns);
  assert_says (&rig, "dns record printer.home.internal", "Removed");
  assert_says (&rig, "dns split corp.example", "Removed");
  assert_says (&rig, "dns get --json", "\"splitDns\":{},\"extraRecords\":{}");
  rig_clear (&rig);
}

/* What is set survives a restart. */
static void
test_kept (void)
{
  Rig rig, again;
  StateAction action;
  g_autofree char *kept = NULL, *dns = NULL;

  rig_init (&rig);
  assert_says (&rig, "dns split corp.example 10.1.0.53", "Set");
  state_configure (rig.state, &(StateNetwork){.name = "burrow", .key_days = -1});
  state_save_settings (rig.state);
  while (state_next_action (rig.state, &action)) {
    if (action.type == STATE_ACTION_RECORD && strcmp (action.record.name, "network") == 0) {
      g_free (kept);
      kept = g_strdup (action.record.value);
    }
    state_action_clear (&action);
  }
  g_assert_cmpint (say (&rig, "dns get --json"), ==, 0);
  dns = g_strdup (rig.body);
  rig_init (&again);
  g_assert_true (state_load (again.state, "setting", "network", kept, NULL));
  g_assert_cmpint (say (&again, "dns get --json"), ==, 0);
  g_assert_cmpstr (again.body, ==, dns);
  assert_says (&again, "status --json", "\"name\":\"burrow\"");
  rig_clear (&rig);
  rig_clear (&again);
}

static void
test_derp (void)
{
  static const char map[] = "{\"Regions\":{\"7\":{\"RegionID\":7,\"RegionCode\":\"far\","
                            "\"RegionName\":\"Far\",\"Nodes\":[{\"Name\":\"7a\",\"RegionID\":7,"
                            "\"HostName\":\"relay.example\"}]}}}";
  Rig rig;

  rig_init (&rig);
  g_assert_cmpint (say_with (&rig, "derp set f", "{\"Regions\":7}"), ==, COMMAND_FAILED);
  g_assert_cmpint (say_with (&rig, "derp set f", map), ==, 0);
  assert_says (&rig, "derp get", "relay.example:443");
  g_assert_cmpint (say_with (&rig, "derp set f", "{}"), ==, 0);
  g_assert_cmpint (say (&rig, "derp get"), ==, 0);
  g_assert_cmpstr (rig.body, ==, "");
  rig_clear (&rig);
}

static void
test_policy (void)
{
  Rig rig;

  rig_init (&rig);
  g_assert_cmpint (say_with (&rig, "policy check --json", "{\"acls\": 5}"), ==, COMMAND_FAILED);
  g_assert_true (g_str_has_prefix (rig.body, "{\"ok\":false,\"issues\":[{\"line\":1"));
  g_assert_cmpint (say_with (&rig, "policy check", "{\"acls\": []}"), ==, 0);
  g_assert_cmpint (say (&rig, "policy get"), ==, 0);
  g_assert_cmpstr (rig.body, ==, "{}\n");
  g_assert_cmpint (say_with (&rig, "policy set", "{/* none */}"), ==, 0);
  assert_says (&rig, "policy get", "/* none */");
  rig_clear (&rig);
}

/* A reply to --wait is held back until something has changed, and comes once. */
static void
test_wait (void)
{
  Rig rig;

  rig_init (&rig);
  g_assert_cmpint (say (&rig, "status --wait=0"), ==, 0);
  g_autofree char *line = g_strdup_printf ("status --wait=%" G_GUINT64_FORMAT, rig.state->revision);
  g_assert_cmpint (say (&rig, line), ==, -1);
  uint64_t waiting = rig.request;
  add_node (&rig, "loom");
  StateEvent event = {.type = STATE_EVENT_TICK};
  state_changed (rig.state, rig.state->model.nodes[0], true);
  state_input (rig.state, &event, 100 * USEC_PER_SEC);
  int code = -1;
  rig.request = waiting;
  drain (&rig, &code);
  g_assert_cmpint (code, ==, 0);
  g_assert_nonnull (strstr (rig.body, "\"nodes\":1"));
  rig_clear (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (sodium_init (), >=, 0);
  g_test_add_func ("/coordinator/commands/every-row-is-found-by-its-name", test_table);
  g_test_add_func ("/coordinator/commands/each-answers-in-json", test_json);
  g_test_add_func ("/coordinator/commands/what-is-said-wrongly-is-told-and-changes-nothing",
                   test_misuse);
  g_test_add_func ("/coordinator/commands/options-stand-in-any-order", test_options);
  g_test_add_func ("/coordinator/commands/an-unknown-name-gets-those-near-it", test_near);
  g_test_add_func ("/coordinator/commands/devices-are-renamed-moved-expired-and-removed",
                   test_nodes);
  g_test_add_func ("/coordinator/commands/dns-settings-become-what-devices-are-told", test_dns);
  g_test_add_func ("/coordinator/commands/settings-survive-a-restart", test_kept);
  g_test_add_func ("/coordinator/commands/relays-of-others-are-added", test_derp);
  g_test_add_func ("/coordinator/commands/a-policy-is-tried-without-being-set", test_policy);
  g_test_add_func ("/coordinator/commands/whoever-waits-is-told-of-a-change", test_wait);
  return g_test_run ();
}
