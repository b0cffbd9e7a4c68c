#include "harness.h"

#include "base/bytes.h"
#include "netmap/map-request.h"
#include "wire/zstd-frames.h"

#include <string.h>

#define MS  USEC_PER_MSEC
#define S   USEC_PER_SEC
#define URL HARNESS_URL

#define PEER(id)                                                                                   \
  "{\"ID\":" #id ",\"StableID\":\"n" #id "\",\"Name\":\"p" #id ".burrow.internal.\",\"User\":7,"   \
  "\"Key\":\"nodekey:493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d53" #id "\","     \
  "\"Addresses\":[\"100.64.0." #id "/32\"],\"AllowedIPs\":[\"100.64.0." #id "/32\"],"              \
  "\"MachineAuthorized\":true}"

static Harness *
start (void)
{
  Harness *h = harness_new (URL);

  h->tls = NET_REFUSE;
  key_generate (&h->random.base, h->disk.node_key.bytes);
  lock_key_generate (&h->random.base, &h->disk.lock_key);
  key_public (h->server.key.bytes, h->disk.server_key.bytes);
  harness_start (h);
  return h;
}

/* Registered, with both map requests waiting for an answer. */
static void
register_node (Harness *h, HarnessRequest *map, HarnessRequest *lite)
{
  g_auto (HarnessRequest) reg = harness_take (h, "/machine/register");

  harness_reply (h, &reg, 200, harness_registered);
  *map = harness_take (h, "/machine/map");
  *lite = harness_take (h, "/machine/map");
  harness_forget (h);
}

static const char *const complete[] = {
    "\"DiscoKey\":\"discokey:d1d1", "\"Hostname\":\"brambles\"",
    "\"PreferredDERP\":900",        "\"Endpoints\":[\"192.168.1.5:41641\"]",
    "\"EndpointTypes\":[1]",        "\"KeepAlive\":true",
    "\"Compress\":\"zstd\"",        "\"Version\":131",
};

static void
test_both_requests (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};

  register_node (h, &map, &lite);
  g_assert_nonnull (strstr (map.body, "\"Stream\":true"));
  g_assert_null (strstr (map.body, "OmitPeers"));
  g_assert_nonnull (strstr (lite.body, "\"OmitPeers\":true"));
  g_assert_null (strstr (lite.body, "Stream\":true"));
  for (size_t i = 0; i < G_N_ELEMENTS (complete); i++) {
    g_assert_nonnull (strstr (map.body, complete[i]));
    g_assert_nonnull (strstr (lite.body, complete[i]));
  }
  char text[KEY_TEXT_MAX];
  NodePublic key;
  key_public (h->disk.node_key.bytes, key.bytes);
  key_format (KEY_NODE_PUBLIC, key.bytes, text);
  g_assert_cmpstr (map.request.hints[0], ==, text);
  g_assert_cmpstr (lite.request.hints[0], ==, text);
}

static void
test_lite_serial (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};

  register_node (h, &map, &lite);
  harness_open_map (h, &map, harness_first_map);
  harness_announce (h, 1001, 0.01);
  harness_announce (h, 1002, 0.01);
  harness_quiet (h); /* one is under way */
  harness_reply (h, &lite, 200, "");
  g_auto (HarnessRequest) second = harness_take (h, "/machine/map");
  g_assert_nonnull (strstr (second.body, "192.168.1.5:1002")); /* the newest state */
  harness_reply (h, &second, 200, "");
  harness_quiet (h);
  /* the same again, and the same but for latency: nothing is sent */
  harness_announce (h, 1002, 0.01);
  harness_announce (h, 1002, 0.02);
  harness_run (h, 60 * S);
  harness_quiet (h);
  g_assert_cmpint (fake_control_next_reset (map.server), ==, 0);
}

static void
test_lite_retried (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};

  register_node (h, &map, &lite);
  harness_open_map (h, &map, harness_first_map);
  harness_reply (h, &lite, 500, "not now");
  harness_quiet (h);
  harness_run (h, 20 * MS);
  harness_expect (h, "/machine/map");
  harness_run (h, 31 * S); /* no answer at all */
  g_auto (HarnessRequest) third = harness_take (h, "/machine/map");
  harness_reply (h, &third, 200, "");
  harness_run (h, 60 * S);
  harness_quiet (h);
}

static void
test_features (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};
  Buffer wire = {0};

  register_node (h, &map, &lite);
  fake_control_answer (map.server, map.request.stream, 200, NULL, NULL, 0, false);
  /* keep-alives may come first */
  harness_map (h, &map, "{\"KeepAlive\":true}");
  harness_assert_log (h, "");
  harness_map (h, &map, "{\"Node\":" PEER (10) ",\"Peers\":[" PEER (11) "," PEER (12) "]}");
  harness_assert_log (h, "netmap 2\nstate running online\n");
  harness_map (h, &map, "{\"Peers\":[]}");
  harness_assert_log (h, "");
  harness_map (h, &map, "{\"PeersRemoved\":[11,99]}");
  harness_assert_log (h, "netmap 1\n");
  harness_map (h, &map, "{\"PeersChangedPatch\":[{\"NodeID\":99,\"Online\":true}]}");
  harness_assert_log (h, "");
  /* two messages in one piece, and one in many */
  zstd_frames_append (&wire, "{\"PeersChanged\":[" PEER (13) "]}", 17 + strlen (PEER (13)) + 2,
                      true);
  zstd_frames_append (&wire, "{\"KeepAlive\":true}", 18, true);
  for (size_t i = 0; i < wire.size; i++) {
    fake_control_send (map.server, map.request.stream, wire.data + i, 1, false);
    harness_pump (h);
  }
  harness_assert_log (h, "netmap 2\n");
  buffer_free (&wire);
}

/* A peer that restarted told its new disco key through the tunnel; the server learns it later. */
static void
test_told_disco_key (void)
{
  static const char stale[]
      = "{\"PeersChangedPatch\":[{\"NodeID\":11,\"DiscoKey\":\"discokey:"
        "0500000000000000000000000000000000000000000000000000000000000000\",\"Online\":false,"
        "\"LastSeen\":\"2020-01-01T00:00:00Z\"}]}";
  static const char late[]
      = "{\"PeersChangedPatch\":[{\"NodeID\":11,\"DiscoKey\":\"discokey:"
        "0700000000000000000000000000000000000000000000000000000000000000\"}]}";
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};
  ControlEvent event = {.type = CONTROL_EVENT_DISCO_KEY, .disco_key.key = {{7}}};

  register_node (h, &map, &lite);
  harness_open_map (h, &map, "{\"Node\":" PEER (10) ",\"Peers\":[" PEER (11) "]}");
  harness_forget (h);
  key_parse (KEY_NODE_PUBLIC,
             "nodekey:493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d5311", 72,
             &event.disco_key.peer);
  harness_send (h, &event);
  harness_assert_log (h, "netmap 1\n");
  harness_map (h, &map, late);
  harness_assert_log (h, "");
  harness_map (h, &map, stale);
  harness_assert_log (h, "netmap 1\n"); /* offline and last seen, but not the key */
  harness_map (h, &map, late);
  harness_assert_log (h, "");
}

static void
test_identical_map (void)
{
  g_autoptr (Harness) h = start ();
  harness_bring_up_only (h);
  ControlEvent event = {.type = CONTROL_EVENT_LINK, .link.major = true};

  harness_forget (h);
  harness_send (h, &event);
  g_auto (HarnessRequest) again = harness_take (h, "/machine/map");
  harness_assert_log (h, "state running\n");
  harness_open_map (h, &again, harness_first_map);
  /* the same map once more is no news */
  harness_assert_log (h, "state running online\n");
  harness_quiet (h);
}

static void
test_no_node (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};

  register_node (h, &map, &lite);
  harness_open_map (h, &map, "{\"Domain\":\"burrow.internal\"}");
  harness_assert_log (h, "");
  harness_quiet (h);
  harness_run (h, 20 * MS);
  harness_expect (h, "/machine/map");
}

/* Everything that must end the stream and the connection with it. */
static void
test_ends (void)
{
  static const struct
  {
    const char *bytes;
    size_t size;
    bool end;
  } cases[] = {
      {"", 0, true},                               /* END_STREAM of a server on its way down */
      {"\0\0\0\0", 4, false},                      /* an empty message */
      {"\1\0\0\4", 4, false},                      /* a message above the limit */
      {"\5\0\0\0hello", 9, false},                 /* not zstd */
      {"\x1b\0\0\0\x28\xb5\x2f\xfd\x20", 9, true}, /* cut in the middle */
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Harness) h = start ();
    g_auto (HarnessRequest) map = harness_bring_up (h);
    harness_forget (h);
    fake_control_send (map.server, map.request.stream, cases[i].bytes, cases[i].size, cases[i].end);
    harness_pump (h);
    harness_assert_log (h, "state running\n");
    g_assert_cmpuint (h->connections->len, ==, 0);
    harness_run (h, 20 * MS);
    harness_assert_dials (h, "plain:3000");
    harness_expect (h, "/machine/map");
    g_assert_nonnull (control_netmap (h->control));
  }
}

static void
test_bad_json (void)
{
  static const char *bad[]
      = {"[]", "{", "{\"Node\":[]}", "{\"Node\":{\"ID\":\"x\"}}", "{\"Peers\":{}}", "\"x\"", "{}}"};

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (Harness) h = start ();
    g_auto (HarnessRequest) map = harness_bring_up (h);
    harness_forget (h);
    harness_map (h, &map, bad[i]);
    harness_assert_log (h, "state running\n");
    harness_run (h, 20 * MS);
    harness_expect (h, "/machine/map");
  }
}

static void
test_refused (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};

  register_node (h, &map, &lite);
  for (int i = 0; i < 3; i++) {
    harness_reply (h, &map, 500, "internal server error");
    harness_run (h, 150 * MS);
    harness_request_clear (&map);
    map = harness_take (h, "/machine/map");
    harness_expect (h, "/machine/map");
  }
  harness_reply (h, &map, 400, "unsupported client version: x (131)");
  g_autofree char *log = harness_log (h);
  g_assert_nonnull (strstr (log, "problem version-refused retrying: "));
}

static void
test_watchdog (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = harness_bring_up (h);

  harness_forget (h);
  harness_run (h, 119 * S);
  harness_map (h, &map, "{\"KeepAlive\":true}");
  harness_run (h, 119 * S);
  harness_assert_log (h, "");
  harness_run (h, 2 * S);
  harness_assert_log (h, "state running\n");
  harness_expect (h, "/machine/map");
  g_assert_nonnull (control_netmap (h->control));
}

static void
test_approval (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};
  g_autofree char *waiting = harness_self ("\"MachineAuthorized\":false");
  g_autofree char *approved = harness_self ("\"MachineAuthorized\":true");

  register_node (h, &map, &lite);
  harness_open_map (h, &map, waiting);
  harness_assert_log (h, "netmap 0\nstate needs-approval online\n");
  harness_map (h, &map, approved);
  harness_assert_log (h, "netmap 0\nstate running online\n");
}

/* Expiry comes with the time, the stream stays, and an extension brings the service back. */
static void
test_expiry (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = {0}, lite = {0};
  WallTime soon = {.seconds = HARNESS_EPOCH + h->now / S + 60};
  WallTime later = {.seconds = soon.seconds + 86400};
  char text[WALL_TIME_TEXT_MAX];

  register_node (h, &map, &lite);
  wall_time_format (soon, text);
  g_autofree char *fields
      = g_strdup_printf ("\"MachineAuthorized\":true,\"KeyExpiry\":\"%s\"", text);
  g_autofree char *first = harness_self (fields);
  harness_reply (h, &lite, 200, "");
  harness_open_map (h, &map, first);
  harness_assert_log (h, "netmap 0\nstate running online\n");
  harness_run (h, 55 * S);
  harness_map (h, &map, "{\"KeepAlive\":true}");
  harness_assert_log (h, "");
  harness_run (h, 30 * S);
  harness_assert_log (h, "netmap 0\nproblem key-expired: \nstate needs-login online\n");
  wall_time_format (later, text);
  g_autofree char *more = g_strdup_printf ("\"MachineAuthorized\":true,\"KeyExpiry\":\"%s\"", text);
  g_autofree char *extended = harness_self (more);
  harness_map (h, &map, extended);
  harness_assert_log (h, "netmap 0\nproblem : \nstate running online\n");
  harness_quiet (h);
}

static void
test_clock (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = harness_bring_up (h);
  char text[WALL_TIME_TEXT_MAX];

  wall_time_format ((WallTime){.seconds = HARNESS_EPOCH + h->now / S + 3600}, text);
  g_autofree char *json = g_strdup_printf ("{\"KeepAlive\":true,\"ControlTime\":\"%s\"}", text);
  harness_map (h, &map, json);
  g_assert_cmpint (control_clock_offset_us (h->control) / S, ==, 3600);
  harness_map (h, &map, "{\"KeepAlive\":true,\"ControlTime\":\"2020-08-03T00:00:00Z\"}");
  g_assert_cmpint (control_clock_offset_us (h->control) / S, ==, 3600);
}

static void
test_cached_map (void)
{
  g_autoptr (Harness) h = start ();
  harness_bring_up_only (h);
  Netmap *cached = netmap_ref (control_netmap (h->control));
  ControlEvent event = {.type = CONTROL_EVENT_START};

  g_autoptr (Harness) second = harness_new (URL);
  second->plain = NET_REFUSE;
  control_identity_copy (&second->disk, &h->disk);
  event.start.identity = &second->disk;
  event.start.netmap = cached;
  harness_send (second, &event);
  harness_announce (second, 41641, 0.01);
  harness_event (second, CONTROL_EVENT_RESUME);
  /* the server is away, and still there is a map to work with */
  harness_assert_log (second,
                      "state off\nstate running\nproblem server-unreachable retrying: could "
                      "not reach control server 127.0.0.1:3000: connection refused\n");
  second->plain = NET_SERVER;
  second->server.key = h->server.key;
  harness_run (second, 60 * S);
  harness_bring_up_only (second);
  harness_assert_log (second, "registered 7 hazel@burrow\nproblem : \nstate running online\n");
  netmap_unref (cached);
}

static void
test_large_ids (void)
{
  g_autoptr (Harness) h = start ();
  g_auto (HarnessRequest) map = harness_bring_up (h);

  harness_map (h, &map,
               "{\"PeersChanged\":[{\"ID\":9007199254740993,\"StableID\":\"x\",\"Name\":\"x.\","
               "\"User\":9007199254740995,\"Key\":\"nodekey:"
               "493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531e\","
               "\"Addresses\":[\"100.64.0.9/32\"]}]}");
  const Node *peer = netmap_peer (control_netmap (h->control), INT64_C (9007199254740993));
  g_assert_nonnull (peer);
  g_assert_cmpint (peer->user, ==, INT64_C (9007199254740995));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/control/map/sends-stream-and-lite-with-everything-in-both",
                   test_both_requests);
  g_test_add_func ("/control/lite/is-serial-newest-and-never-for-nothing", test_lite_serial);
  g_test_add_func ("/control/lite/is-retried-until-it-succeeds", test_lite_retried);
  g_test_add_func ("/control/map/applies-what-comes", test_features);
  g_test_add_func ("/control/map/a-repeated-map-is-no-news", test_identical_map);
  g_test_add_func ("/control/map/a-peers-own-disco-key-outranks-older-news", test_told_disco_key);
  g_test_add_func ("/control/map/reconnects-when-the-first-map-has-no-node", test_no_node);
  g_test_add_func ("/control/map/any-end-of-the-stream-ends-the-connection", test_ends);
  g_test_add_func ("/control/map/reconnects-after-bad-json", test_bad_json);
  g_test_add_func ("/control/map/backs-off-when-refused", test_refused);
  g_test_add_func ("/control/map/reconnects-after-120-s-of-silence", test_watchdog);
  g_test_add_func ("/control/map/waits-for-approval", test_approval);
  g_test_add_func ("/control/map/expires-and-comes-back", test_expiry);
  g_test_add_func ("/control/map/keeps-the-servers-clock", test_clock);
  g_test_add_func ("/control/map/runs-from-the-cached-map", test_cached_map);
  g_test_add_func ("/control/map/keeps-ids-above-2-to-the-53", test_large_ids);
  return g_test_run ();
}
