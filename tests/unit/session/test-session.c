/* The session core: events in, actions out, with the disk played by the test. */
#include "session/session.h"

#include "netmap/map-message.h"

#include <stdlib.h>
#include <string.h>

#define NODE_KEY "nodekey:1111111111111111111111111111111111111111111111111111111111111111"

typedef struct
{
  Session *s;
  LocalFacts *facts;
  SeededRandom random;
  LinkState *link;
  Netmap *map; /* what the server said last */
  int64_t now_us;
  int64_t now_s;
  bool disk_fails;
  /* what came out since the last look */
  unsigned control[CONTROL_EVENT_CLOSED + 1];
  unsigned saves, applies, drops, cached, logged_out;
  bool applied_plan; /* the last APPLY had a plan */
  bool saved_ok;     /* of the last CONTROL_EVENT_SAVED */
} World;

static void
look_at (World *w, const SessionAction *action)
{
  switch (action->type) {
    case SESSION_ACTION_SAVE: {
      w->saves++;
      SessionEvent event = {.type = SESSION_EVENT_SAVED,
                            .wall = {.seconds = w->now_s},
                            .saved = {.serial = action->serial,
                                      .ok = !w->disk_fails,
                                      .full = w->disk_fails,
                                      .text = "no space"}};
      session_input (w->s, &event, w->now_us);
      break;
    }
    case SESSION_ACTION_CONTROL:
      w->control[action->control.type]++;
      if (action->control.type == CONTROL_EVENT_SAVED)
        w->saved_ok = action->control.saved.ok;
      break;
    case SESSION_ACTION_APPLY:
      w->applies++;
      w->applied_plan = session_plan (w->s) != NULL;
      break;
    case SESSION_ACTION_SAVE_NETMAP:
      w->cached++;
      break;
    case SESSION_ACTION_DROP_NETMAP:
      w->drops++;
      break;
    case SESSION_ACTION_LOGGED_OUT:
      w->logged_out++;
      break;
    case SESSION_ACTION_OPEN_URL:
      break;
  }
}

static void
forget_seen (World *w)
{
  memset (w->control, 0, sizeof w->control);
  w->saves = w->applies = w->drops = w->cached = w->logged_out = 0;
}

static void
feed (World *w, SessionEvent event)
{
  event.wall.seconds = w->now_s;
  w->now_us += 1000;
  session_input (w->s, &event, w->now_us);
  SessionAction action;
  while (session_next_action (w->s, &action))
    look_at (w, &action);
}

static void
feed_type (World *w, SessionEventType type)
{
  feed (w, (SessionEvent){.type = type});
}

static void
feed_control (World *w, ControlAction action)
{
  feed (w, (SessionEvent){.type = SESSION_EVENT_CONTROL, .control = &action});
}

static void
control_is (World *w, ControlState state, bool online)
{
  feed_control (w, (ControlAction){.type = CONTROL_ACTION_STATE,
                                   .state = {.state = state, .online = online}});
}

static void
link_is (World *w, bool up)
{
  link_state_unref (w->link);
  w->link = calloc (1, sizeof *w->link);
  w->link->references = 1;
  if (up) {
    w->link->interfaces = calloc (1, sizeof *w->link->interfaces);
    w->link->n_interfaces = 1;
    w->link->interfaces[0] = (LinkInterface){.name = "eth0", .index = 2, .up = true};
    w->link->addresses = calloc (1, sizeof *w->link->addresses);
    w->link->n_addresses = 1;
    w->link->addresses[0].interface = 2;
    g_assert_true (ip_prefix_parse ("192.168.7.5/24", 14, &w->link->addresses[0].prefix));
    w->link->have4 = true;
    w->link->default4 = 2;
  }
  feed (w, (SessionEvent){.type = SESSION_EVENT_LINK, .link = {.state = w->link, .major = true}});
}

static Netmap *
apply (Netmap *old, const char *json, NetmapChanges *changes)
{
  const char *error = NULL;
  MapMessage *message = map_message_decode (json, strlen (json), &error);
  g_assert_cmpstr (error, ==, NULL);
  Netmap *empty = old ? NULL : netmap_new (NULL);
  Netmap *map = netmap_apply (old ? old : empty, message, wall_time_now (), changes);
  if (empty)
    netmap_unref (empty);
  map_message_free (message);
  return map;
}

/* One message of the server, as control hands it on. */
static void
server_says (World *w, const char *json)
{
  ControlAction action = {.type = CONTROL_ACTION_NETMAP};
  netmap_changes_init (&action.netmap.changes);
  Netmap *map = apply (w->map, json, &action.netmap.changes);
  if (w->map)
    netmap_unref (w->map);
  w->map = map;
  action.netmap.netmap = map;
  feed_control (w, action);
  netmap_changes_clear (&action.netmap.changes);
}

static char *
self_json (const char *more)
{
  return g_strdup_printf (
      "{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"loom.lab.\",\"User\":5,\"Key\":"
      "\"" NODE_KEY "\",\"Addresses\":[\"100.64.0.1/32\"],\"MachineAuthorized\":true%s},"
      "\"Domain\":\"lab\",\"DERPMap\":{\"Regions\":{\"9\":{\"RegionID\":9,\"RegionCode\":\"x\","
      "\"Nodes\":[{\"Name\":\"9a\",\"RegionID\":9,\"HostName\":\"d\"}]}}}}",
      more);
}

static void
server_says_self (World *w, const char *more)
{
  g_autofree char *json = self_json (more);
  server_says (w, json);
}

static World *
world_new (void)
{
  World *w = g_new0 (World, 1);
  seeded_random_init (&w->random, 3);
  w->now_us = 1000000;
  w->now_s = wall_time_now ().seconds;
  w->facts = local_facts_new ();
  w->link = calloc (1, sizeof *w->link);
  w->link->references = 1;
  Profile *profile = profile_new ("https://vpn.example.org", 1000, w->now_s, &w->random.base);
  w->s = session_new (profile, w->facts, &w->random.base);
  return w;
}

static void
world_free (World *w)
{
  session_free (w->s);
  if (w->map)
    netmap_unref (w->map);
  link_state_unref (w->link);
  local_facts_free (w->facts);
  g_free (w);
}

static void
activate (World *w, Netmap *cached)
{
  feed (w, (SessionEvent){.type = SESSION_EVENT_ACTIVATE, .activate = {.netmap = cached}});
}

static void
save_key (World *w, uint32_t serial)
{
  ControlAction action = {.type = CONTROL_ACTION_SAVE, .save = {.serial = serial}};
  memset (action.save.identity.node_key.bytes, 7, KEY_SIZE);
  action.save.identity.server_key_seen = wall_time_unset ();
  feed_control (w, action);
}

static void
relay_is (World *w, bool up)
{
  TunnelEvent event
      = {.type = TUNNEL_EVENT_RELAY, .relay = {.region = 9, .home = true, .connected = up}};
  feed (w, (SessionEvent){.type = SESSION_EVENT_TUNNEL, .tunnel = &event});
}

/* Signed in with an auth key and Running. */
static World *
running_world (void)
{
  World *w = world_new ();
  link_is (w, true);
  activate (w, NULL);
  feed (w, (SessionEvent){.type = SESSION_EVENT_LOGIN, .login = {.auth_key = "k"}});
  save_key (w, 1);
  feed_control (w, (ControlAction){.type = CONTROL_ACTION_REGISTERED,
                                   .registered = {.user_id = 5,
                                                  .login_name = (char *)"ada",
                                                  .display_name = (char *)"Ada",
                                                  .picture_url = (char *)""}});
  control_is (w, CONTROL_RUNNING, true);
  server_says_self (w, "");
  relay_is (w, true);
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);
  forget_seen (w);
  return w;
}

static void
test_login (void)
{
  World *w = world_new ();
  g_assert_cmpint (session_state (w->s), ==, SESSION_NEEDS_LOGIN);
  activate (w, NULL);
  g_assert_cmpuint (w->control[CONTROL_EVENT_START], ==, 1);
  g_assert_cmpuint (w->control[CONTROL_EVENT_RESUME], ==, 0); /* no network, nobody wants in */
  link_is (w, true);
  g_assert_cmpuint (w->control[CONTROL_EVENT_RESUME], ==, 0);
  feed (w, (SessionEvent){.type = SESSION_EVENT_LOGIN, .login = {.auth_key = "k"}});
  g_assert_cmpuint (w->control[CONTROL_EVENT_LOGIN], ==, 1);
  g_assert_cmpuint (w->control[CONTROL_EVENT_RESUME], ==, 1);
  g_assert_cmpuint (w->control[CONTROL_EVENT_LOCAL_STATE], ==, 1);
  g_assert_cmpint (session_state (w->s), ==, SESSION_STARTING);
  g_assert_cmpstr (session_waiting (w->s), ==, "server");
  save_key (w, 42);
  g_assert_cmpuint (w->control[CONTROL_EVENT_SAVED], ==, 1);
  g_assert_true (w->saved_ok);
  world_free (w);

  w = running_world ();
  g_assert_true (session_profile (w->s)->preferences.wanted);
  g_assert_false (session_profile (w->s)->preferences.logged_out);
  g_assert_cmpstr (session_profile (w->s)->user_login, ==, "ada");
  g_assert_cmpstr (session_profile (w->s)->node_id, ==, "n1");
  world_free (w);
}

static void
test_page (void)
{
  World *w = world_new ();
  link_is (w, true);
  activate (w, NULL);
  feed_type (w, SESSION_EVENT_LOGIN);
  ControlAction save = {.type = CONTROL_ACTION_SAVE, .save = {.serial = 1}};
  save.save.identity.pending_url = (char *)"https://vpn.example.org/register/x";
  memset (save.save.identity.pending_key.bytes, 9, KEY_SIZE);
  feed_control (w, save);
  control_is (w, CONTROL_NEEDS_LOGIN, false);
  int64_t expires_s = 0;
  g_assert_cmpstr (session_login_url (w->s, &expires_s), ==, "https://vpn.example.org/register/x");
  g_assert_cmpint (expires_s, ==, w->now_s + SESSION_LOGIN_URL_AGE_S);
  g_assert_cmpint (session_state (w->s), ==, SESSION_NEEDS_LOGIN);
  feed_type (w, SESSION_EVENT_CANCEL_LOGIN);
  g_assert_cmpuint (w->control[CONTROL_EVENT_CANCEL_LOGIN], ==, 1);
  g_assert_false (session_profile (w->s)->preferences.wanted);
  /* As a new profile is made: it is wanted from the first moment on. */
  feed_type (w, SESSION_EVENT_CONNECT);
  feed_type (w, SESSION_EVENT_LOGIN);
  g_assert_true (session_profile (w->s)->preferences.wanted);
  feed_type (w, SESSION_EVENT_CANCEL_LOGIN);
  g_assert_false (session_profile (w->s)->preferences.wanted);
  world_free (w);
}

/* The stream under the old key may tell of the new one before the registration is answered. */
static void
test_rotation (void)
{
  World *w = running_world ();
  g_autofree char *json = self_json ("");
  char *key = strstr (json, NODE_KEY);

  key[strlen (NODE_KEY) - 1] = key[strlen (NODE_KEY) - 1] == '1' ? '2' : '1';
  server_says (w, json);
  forget_seen (w);
  ControlAction save = {.type = CONTROL_ACTION_SAVE, .save = {.serial = 2}};
  memset (save.save.identity.node_key.bytes, 8, KEY_SIZE);
  save.save.identity.server_key_seen = wall_time_unset ();
  feed_control (w, save);
  feed_control (w, (ControlAction){.type = CONTROL_ACTION_REGISTERED,
                                   .registered = {.user_id = 5,
                                                  .login_name = (char *)"ada",
                                                  .display_name = (char *)"Ada",
                                                  .picture_url = (char *)"",
                                                  .key_changed = true}});
  g_assert_cmpuint (w->applies, ==, 1);
  server_says (w, json);
  g_assert_cmpuint (w->applies, ==, 1);
  world_free (w);
}

static void
test_full_disk (void)
{
  World *w = running_world ();
  w->disk_fails = true;
  save_key (w, 2);
  g_assert_cmpuint (w->control[CONTROL_EVENT_SAVED], ==, 1);
  g_assert_false (w->saved_ok); /* so control sends nothing */
  g_assert_cmpint (session_problem (w->s)->code, ==, PROBLEM_DISK_FULL);
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);

  Preferences prefs;
  preferences_copy (&prefs, &session_profile (w->s)->preferences);
  prefs.shields_up = true;
  feed (w, (SessionEvent){.type = SESSION_EVENT_PREFERENCES, .preferences = &prefs});
  g_assert_false (session_profile (w->s)->preferences.shields_up); /* all or nothing */
  feed_type (w, SESSION_EVENT_DISCONNECT);
  g_assert_cmpint (session_state (w->s), ==, SESSION_STOPPED); /* a wish holds all the same */

  w->disk_fails = false;
  feed (w, (SessionEvent){.type = SESSION_EVENT_PREFERENCES, .preferences = &prefs});
  g_assert_true (session_profile (w->s)->preferences.shields_up);
  g_assert_cmpint (session_problem (w->s)->code, ==, PROBLEM_NONE);
  preferences_clear (&prefs);
  world_free (w);
}

static void
test_disconnect (void)
{
  World *w = running_world ();
  feed_type (w, SESSION_EVENT_DISCONNECT);
  g_assert_cmpint (session_state (w->s), ==, SESSION_STOPPED);
  g_assert_cmpuint (w->applies, ==, 1);
  g_assert_false (w->applied_plan);
  g_assert_cmpuint (w->control[CONTROL_EVENT_PAUSE], ==, 1);
  g_assert_nonnull (session_netmap (w->s)); /* still to be looked at */
  forget_seen (w);
  feed_type (w, SESSION_EVENT_CONNECT);
  g_assert_cmpuint (w->control[CONTROL_EVENT_RESUME], ==, 1);
  g_assert_true (w->applied_plan);
  g_assert_cmpuint (w->saves, ==, 1);
  feed_type (w, SESSION_EVENT_CONNECT);
  g_assert_cmpuint (w->saves, ==, 1); /* nothing new to store */
  world_free (w);
}

static void
test_network (void)
{
  World *w = running_world ();
  link_is (w, false);
  g_assert_cmpuint (w->control[CONTROL_EVENT_PAUSE], ==, 1);
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING); /* connections may survive */
  w->now_us += 6 * USEC_PER_SEC;
  feed_type (w, SESSION_EVENT_TICK);
  g_assert_true (health_is_visible (session_health (w->s), HEALTH_NETWORK_DOWN, w->now_us));
  link_is (w, true);
  g_assert_cmpuint (w->control[CONTROL_EVENT_RESUME], ==, 1);
  g_assert_false (health_is_visible (session_health (w->s), HEALTH_NETWORK_DOWN, w->now_us));
  world_free (w);
}

static void
test_expiry (void)
{
  World *w = running_world ();
  server_says_self (w, ",\"KeyExpiry\":\"2020-01-01T00:00:00Z\",\"Expired\":true");
  g_assert_cmpint (session_state (w->s), ==, SESSION_NEEDS_LOGIN);
  g_assert_false (w->applied_plan);
  server_says_self (w, "");
  g_assert_true (w->applied_plan);
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);
  world_free (w);
}

static void
test_approval (void)
{
  World *w = running_world ();
  server_says (w, "{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"loom.lab.\",\"User\":5,"
                  "\"Key\":\"" NODE_KEY "\",\"Addresses\":[\"100.64.0.1/32\"]}}");
  g_assert_cmpint (session_state (w->s), ==, SESSION_NEEDS_APPROVAL);
  g_assert_false (w->applied_plan);
  server_says_self (w, "");
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);
  world_free (w);
}

static void
test_lock (void)
{
  World *w = running_world ();
  server_says (w, "{\"TKAInfo\":{\"Head\":\"AAAA\"}}");
  g_assert_cmpint (session_state (w->s), ==, SESSION_ERROR);
  g_assert_cmpint (session_problem (w->s)->code, ==, PROBLEM_LOCK_UNSUPPORTED);
  g_assert_false (w->applied_plan);
  g_assert_true (session_profile (w->s)->lock_seen);
  g_assert_cmpuint (w->saves, >=, 1);

  /* A server that does not speak of it any more does not open the tunnel, nor does a restart. */
  feed_type (w, SESSION_EVENT_DEACTIVATE);
  g_clear_pointer (&w->map, netmap_unref);
  g_autofree char *json = self_json ("");
  Netmap *cached = apply (NULL, json, NULL);
  activate (w, cached);
  netmap_unref (cached);
  relay_is (w, true);
  g_assert_cmpint (session_state (w->s), ==, SESSION_ERROR);
  server_says_self (w, "");
  g_assert_cmpint (session_state (w->s), ==, SESSION_ERROR);
  g_assert_false (w->applied_plan);
  server_says (w, "{\"TKAInfo\":{\"Disabled\":true}}");
  g_assert_false (session_profile (w->s)->lock_seen);
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);
  world_free (w);
}

static void
test_host_problem (void)
{
  World *w = running_world ();
  feed (w, (SessionEvent){.type = SESSION_EVENT_HOST,
                          .host = {.problem = PROBLEM_TUN_UNAVAILABLE, .text = "no /dev/net/tun"}});
  g_assert_cmpint (session_state (w->s), ==, SESSION_ERROR);
  g_assert_cmpstr (session_problem (w->s)->text, ==, "no /dev/net/tun");
  feed (w, (SessionEvent){.type = SESSION_EVENT_HOST});
  g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);
  world_free (w);
}

static void
test_restart (void)
{
  g_autofree char *json = self_json ("");
  Netmap *cached = apply (NULL, json, NULL);
  for (int wanted = 0; wanted < 2; wanted++)
    for (int with_cache = 0; with_cache < 2; with_cache++) {
      World *w = running_world ();
      if (!wanted)
        feed_type (w, SESSION_EVENT_DISCONNECT);
      feed_type (w, SESSION_EVENT_DEACTIVATE);
      forget_seen (w);
      g_assert_cmpint (session_state (w->s), ==, SESSION_STOPPED);
      activate (w, with_cache ? cached : NULL);
      /* Off with a map: quiet. Off without one: fetches one. On: comes up on what was known. */
      g_assert_cmpuint (w->control[CONTROL_EVENT_RESUME], ==, wanted || !with_cache);
      g_assert_cmpint (session_state (w->s), ==, wanted ? SESSION_STARTING : SESSION_STOPPED);
      g_assert_true (w->applied_plan == (wanted && with_cache));
      relay_is (w, true);
      if (wanted && with_cache)
        g_assert_cmpint (session_state (w->s), ==, SESSION_RUNNING);
      g_assert_false (session_online (w->s));
      world_free (w);
    }
  netmap_unref (cached);
}

static void
test_cache (void)
{
  World *w = running_world ();
  g_assert_cmpint (session_next_deadline (w->s), <=, w->now_us + SESSION_SAVE_DELAY_US);
  w->now_us += SESSION_SAVE_DELAY_US;
  feed_type (w, SESSION_EVENT_TICK);
  g_assert_cmpuint (w->cached, ==, 1);
  server_says_self (w, ",\"Tags\":[\"tag:x\"]");
  feed_type (w, SESSION_EVENT_TICK);
  g_assert_cmpuint (w->cached, ==, 1); /* not again so soon */
  w->now_us += SESSION_CACHE_INTERVAL_US;
  feed_type (w, SESSION_EVENT_TICK);
  g_assert_cmpuint (w->cached, ==, 2);
  server_says_self (w, "");
  feed_type (w, SESSION_EVENT_DEACTIVATE);
  g_assert_cmpuint (w->cached, ==, 3); /* a clean stop loses nothing */
  g_assert_false (w->applied_plan);
  world_free (w);
}

static void
test_logout (void)
{
  World *w = running_world ();
  feed_type (w, SESSION_EVENT_LOGOUT);
  g_assert_cmpuint (w->control[CONTROL_EVENT_LOGOUT], ==, 1);
  g_assert_false (w->applied_plan); /* at once: nothing passes while the server is told */
  feed_control (w, (ControlAction){.type = CONTROL_ACTION_LOGGED_OUT});
  g_assert_cmpuint (w->logged_out, ==, 1);
  g_assert_cmpuint (w->drops, ==, 1);
  g_assert_false (profile_has_key (session_profile (w->s)));
  g_assert_cmpint (session_state (w->s), ==, SESSION_NEEDS_LOGIN);
  g_assert_null (session_netmap (w->s));
  world_free (w);
}

static void
test_refused (void)
{
  World *w = world_new ();
  session_free (w->s);
  w->s = session_new_refused ("0123abcd", "damaged", w->facts, &w->random.base);
  for (int type = SESSION_EVENT_CONNECT; type <= SESSION_EVENT_DEACTIVATE; type++)
    if (type != SESSION_EVENT_PREFERENCES)
      feed_type (w, (SessionEventType)type);
  g_assert_cmpuint (w->saves, ==, 0); /* the file stays as it is */
  g_assert_cmpint (session_state (w->s), ==, SESSION_ERROR);
  g_assert_cmpint (session_problem (w->s)->code, ==, PROBLEM_STATE_UNREADABLE);
  world_free (w);
}

static void
test_quiet (void)
{
  World *w = running_world ();
  server_says_self (w, "");
  session_take_changes (w->s);
  forget_seen (w);
  for (int i = 0; i < 5; i++) {
    server_says_self (w, "");
    relay_is (w, true);
    feed_type (w, SESSION_EVENT_CONNECT);
  }
  g_assert_cmpuint (w->applies + w->saves, ==, 0);
  g_assert_cmpuint (w->control[CONTROL_EVENT_LOCAL_STATE], ==, 0);
  world_free (w);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/core/signs-in-with-a-key-and-runs", test_login);
  g_test_add_func ("/session/core/waits-for-a-page-and-can-be-cancelled", test_page);
  g_test_add_func ("/session/core/gives-the-tunnel-a-renewed-key-at-once", test_rotation);
  g_test_add_func ("/session/core/a-full-disk-stops-keys-and-settings-but-no-wish", test_full_disk);
  g_test_add_func ("/session/core/disconnects-and-connects-again", test_disconnect);
  g_test_add_func ("/session/core/rests-without-a-network-and-says-so", test_network);
  g_test_add_func ("/session/core/an-expired-key-shuts-the-tunnel-until-it-is-extended",
                   test_expiry);
  g_test_add_func ("/session/core/an-unapproved-device-configures-nothing", test_approval);
  g_test_add_func ("/session/core/a-tailnet-lock-closes-and-is-remembered", test_lock);
  g_test_add_func ("/session/core/a-missing-device-is-an-error-that-passes", test_host_problem);
  g_test_add_func ("/session/core/comes-up-from-disk-as-it-was-left", test_restart);
  g_test_add_func ("/session/core/keeps-the-map-on-disk-now-and-then", test_cache);
  g_test_add_func ("/session/core/signing-out-forgets-everything-but-preferences", test_logout);
  g_test_add_func ("/session/core/what-cannot-be-read-is-left-alone", test_refused);
  g_test_add_func ("/session/core/repetition-changes-nothing", test_quiet);
  return g_test_run ();
}
