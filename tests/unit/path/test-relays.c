/* Which relay connections exist, through the face of the core: spec/derp.md §5. */
#include "rig.h"

#include "netmap/derp-map.h"

#include <string.h>

static const unsigned three[] = {1, 2, 3};

typedef struct
{
  Rig *rig;
  RigPeer *peer; /* with home 2 */
  uint32_t home; /* connection to region 1 */
} Fixture;

/* Home is region 1: only it answers STUN quickly enough to be kept. */
static Fixture
fixture_new (void)
{
  Fixture f = {.rig = rig_new ()};

  rig_set_map (f.rig, rig_map (three, 1));
  f.peer = rig_add_peer (f.rig, NULL, 2);
  rig_tell_peers (f.rig);
  rig_run (f.rig, SECOND);
  f.home = rig_relay_up (f.rig);
  rig_set_map (f.rig, rig_map (three, 3));
  rig_run (f.rig, SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  rig_clear (f.rig);
  return f;
}

static void
closed (Rig *rig, uint32_t connection, PathRelayClosed reason)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_CLOSED};

  event.relay_closed.connection = connection;
  event.relay_closed.reason = reason;
  event.relay_closed.text = "test";
  rig_input (rig, &event);
}

static void
heard (Fixture *f, uint32_t connection)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_PACKET};
  static const uint8_t data[32] = {4};

  event.relay_packet.connection = connection;
  event.relay_packet.source = f->peer->key;
  event.relay_packet.data = data;
  event.relay_packet.size = sizeof data;
  rig_input (f->rig, &event);
}

static void
test_on_demand (void)
{
  Fixture f = fixture_new ();

  rig_sent (f.rig, f.peer);
  const PathAction *a = rig_last (f.rig, PATH_ACTION_RELAY_CONNECT);
  g_assert_nonnull (a);
  g_assert_cmpint (a->relay_connect.node.region, ==, 2);
  g_assert_false (a->relay_connect.home);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 2); /* queued there */
  uint32_t connection = rig_relay_up (f.rig);
  rig_clear (f.rig);
  rig_run (f.rig, 46 * SECOND); /* heartbeats: the peer is called through its relay */
  rig_run (f.rig, 50 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  rig_run (f.rig, 16 * SECOND); /* idle: closed; home never */
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  g_assert_cmpuint (rig_last (f.rig, PATH_ACTION_RELAY_CLOSE)->relay_close, ==, connection);
  rig_run (f.rig, 3600 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  rig_free (f.rig);
}

static void
test_learned_route (void)
{
  Fixture f = fixture_new ();
  PathEvent gone = {.type = PATH_EVENT_RELAY_PEER_GONE};

  heard (&f, f.home);
  rig_sent (f.rig, f.peer);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT), ==, 0);
  gone.relay_peer_gone.connection = f.home;
  gone.relay_peer_gone.peer = f.peer->key;
  rig_input (f.rig, &gone);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 2);
  heard (&f, f.home); /* learned again on the same connection */
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 1);
  closed (f.rig, f.home, RELAY_CLOSED_LOST);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 2);
  rig_free (f.rig);
}

static void
test_no_home_of_peer (void)
{
  Fixture f = fixture_new ();

  f.peer->home = 0;
  rig_tell_peer (f.rig, f.peer);
  rig_sent (f.rig, f.peer);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 0);
  heard (&f, f.home);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 1);
  f.peer->home = 77; /* not in the map */
  rig_tell_peer (f.rig, f.peer);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 0);
  rig_free (f.rig);
}

static void
test_backoff (void)
{
  Fixture f = fixture_new ();
  int64_t longest = 0;

  closed (f.rig, f.home, RELAY_CLOSED_LOST);
  for (int i = 0; i < 40; i++) {
    int64_t before = f.rig->now;
    rig_clear (f.rig);
    while (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT) == 0)
      rig_run (f.rig, MSEC);
    longest = MAX (longest, f.rig->now - before);
    int64_t n = i + 1, law = MIN (n * n * 10 * MSEC, 5 * SECOND);
    g_assert_cmpint (f.rig->now - before, <=, law * 3 / 2 + MSEC);
    g_assert_cmpint (f.rig->now - before + MSEC, >=, law / 2);
    closed (f.rig, rig_last (f.rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.connection,
            RELAY_CLOSED_TCP);
  }
  g_assert_cmpint (longest, >, 4 * SECOND);
  rig_free (f.rig);
}

static void
test_set_up_limit (void)
{
  Fixture f = fixture_new ();

  rig_sent (f.rig, f.peer);
  rig_run (f.rig, 9900 * MSEC);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  rig_run (f.rig, 200 * MSEC);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT), ==, 2);
  rig_free (f.rig);
}

static void
set_json (Rig *rig, const char *nodes)
{
  g_autofree char *json = g_strdup_printf (
      "{\"Regions\":{\"1\":{\"RegionID\":1,\"RegionCode\":\"a\",\"Nodes\":[%s]},\"2\":null}}",
      nodes);
  JsonReader r;

  json_reader_init (&r, json, strlen (json));
  DerpMap *map = derp_map_decode (&r);
  json_reader_clear (&r);
  g_assert_nonnull (map);
  rig_set_map (rig, map);
}

#define NODE_A                                                                                     \
  "{\"Name\":\"1a\",\"HostName\":\"a.test\",\"IPv4\":\"198.51.100.1\",\"IPv6\":\"none\"}"
#define NODE_B                                                                                     \
  "{\"Name\":\"1b\",\"HostName\":\"b.test\",\"IPv4\":\"198.51.100.2\",\"DERPPort\":8443,"          \
  "\"InsecureForTests\":true}"
#define NODE_STUN "{\"Name\":\"1s\",\"HostName\":\"s.test\",\"STUNOnly\":true}"
#define NODE_NONE "{\"Name\":\"1n\",\"HostName\":\"n.test\",\"IPv4\":\"none\",\"IPv6\":\"none\"}"

static const PathRelayNode *
connecting (Rig *rig)
{
  return &rig_last (rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.node;
}

static void
test_nodes (void)
{
  Rig *rig = rig_new ();

  set_json (rig, NODE_STUN "," NODE_NONE "," NODE_A "," NODE_B);
  rig_run (rig, SECOND);
  g_assert_cmpstr (connecting (rig)->node_name, ==, "1a");
  g_assert_cmpint (connecting (rig)->addr4.family, ==, 4);
  g_assert_false (connecting (rig)->resolve4 || connecting (rig)->resolve6);
  g_assert_null (connecting (rig)->ideal_node);
  g_assert_true (rig_last (rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.home);
  /* the next node serves when the first fails anywhere before the login */
  closed (rig, rig_last (rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.connection,
          RELAY_CLOSED_TLS);
  rig_run (rig, 100 * MSEC);
  g_assert_cmpstr (connecting (rig)->node_name, ==, "1b");
  g_assert_cmpstr (connecting (rig)->ideal_node, ==, "1a");
  g_assert_cmpint (connecting (rig)->port, ==, 8443);
  g_assert_true (connecting (rig)->insecure);
  g_assert_true (connecting (rig)->resolve6);
  closed (rig, rig_last (rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.connection,
          RELAY_CLOSED_TCP);
  rig_run (rig, 200 * MSEC);
  g_assert_cmpstr (connecting (rig)->node_name, ==, "1a");
  rig_free (rig);
}

static void
test_map_change (void)
{
  Rig *rig = rig_new ();

  set_json (rig, NODE_A "," NODE_B);
  rig_run (rig, SECOND);
  rig_relay_up (rig);
  rig_clear (rig);
  set_json (rig, NODE_B "," NODE_A); /* another order */
  rig_run (rig, SECOND);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  set_json (rig, NODE_B); /* the connected node is gone */
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  g_assert_cmpstr (connecting (rig)->node_name, ==, "1b");
  rig_relay_up (rig);
  rig_clear (rig);
  rig_set_map (rig, rig_map (three + 1, 1)); /* the region is gone */
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  rig_run (rig, SECOND);
  g_assert_cmpint (connecting (rig)->region, ==, 2);
  rig_free (rig);
}

static void
test_key_change (void)
{
  Fixture f = fixture_new ();
  PathEvent event = {.type = PATH_EVENT_IDENTITY};

  event.identity.disco_private = f.rig->disco_private;
  memset (event.identity.node_key.bytes, 0xbb, 32);
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT), ==, 1);
  rig_run (f.rig, SECOND); /* control hears everything again */
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_ENDPOINTS), ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_NET_INFO), ==, 1);
  rig_free (f.rig);
}

static void
tell_link (Rig *rig, const char *prefix, bool up)
{
  PathAddress address = {.interface = "eth0", .default_route = true};
  PathEvent event = {.type = PATH_EVENT_LINK};

  g_assert_true (ip_prefix_parse (prefix, strlen (prefix), &address.prefix));
  event.link.link = (PathLink){.addresses = &address, .n_addresses = up, .up = up};
  event.link.major = true;
  rig_input (rig, &event);
}

static void
test_link_change (void)
{
  Fixture f = fixture_new ();

  tell_link (f.rig, "192.168.1.20/24", true); /* the same address: only a ping */
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_PING), ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_REBIND), ==, 1);
  rig_clear (f.rig);
  tell_link (f.rig, "10.0.0.9/24", true); /* ours is gone: home anew at once */
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT), ==, 1);
  rig_clear (f.rig);
  tell_link (f.rig, "10.0.0.9/24", false);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  rig_run (f.rig, 60 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT), ==, 0);
  tell_link (f.rig, "10.0.0.9/24", true);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CONNECT), ==, 1);
  rig_free (f.rig);
}

/* Either relay is told on the connection that is open. */
static void
test_home_moves (void)
{
  Fixture f = fixture_new ();
  PathEvent check = {.type = PATH_EVENT_NETCHECK};

  rig_set_map (f.rig, rig_map (three, 2));
  rig_sent (f.rig, f.peer);
  uint32_t other = rig_relay_up (f.rig);
  rig_clear (f.rig);
  f.rig->stun_down = 1;
  rig_run (f.rig, 20 * SECOND);
  rig_input (f.rig, &check);
  rig_run (f.rig, 10 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_HOME), ==, 2);
  g_assert_cmpuint (rig_last (f.rig, PATH_ACTION_RELAY_HOME)->relay_home.connection, ==, other);
  g_assert_true (rig_last (f.rig, PATH_ACTION_RELAY_HOME)->relay_home.home);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  rig_free (f.rig);
}

/* Whoever has slept asks every relay whether it is still there. */
static void
test_woken (void)
{
  Fixture f = fixture_new ();
  PathEvent event = {.type = PATH_EVENT_SUSPENDED, .slept_us = 3600 * SECOND};

  rig_sent (f.rig, f.peer);
  rig_relay_up (f.rig);
  rig_clear (f.rig);
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_PING), ==, 2);
  rig_free (f.rig);
}

static void
test_home_lost_while_control_is_away (void)
{
  Fixture f = fixture_new ();
  PathEvent event = {.type = PATH_EVENT_CONTROL};

  rig_input (f.rig, &event);
  closed (f.rig, f.home, RELAY_CLOSED_LOST);
  f.rig->stun_down = 1;
  rig_run (f.rig, 300 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_NET_INFO), ==, 0);
  event.control_connected = true; /* idle, but unreachable without a home */
  rig_input (f.rig, &event);
  rig_run (f.rig, 5 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_NET_INFO), ==, 1);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_NET_INFO)->net_info.home_region, !=, 1);
  rig_free (f.rig);
}

static void
test_many_regions (void)
{
  unsigned ids[40];
  Rig *rig = rig_new ();

  for (unsigned i = 0; i < 40; i++)
    ids[i] = i + 1;
  rig_set_map (rig, rig_map (ids, 40));
  for (unsigned i = 0; i < 40; i++)
    rig_add_peer (rig, NULL, (uint16_t)(i + 1));
  rig_tell_peers (rig);
  rig_run (rig, SECOND);
  rig_relay_up (rig);
  rig_clear (rig);
  for (unsigned i = 0; i < 40; i++) {
    rig_run (rig, 10 * MSEC);
    rig_sent (rig, g_ptr_array_index (rig->peers, i));
  }
  unsigned open
      = rig_count (rig, PATH_ACTION_RELAY_CONNECT) - rig_count (rig, PATH_ACTION_RELAY_CLOSE);
  g_assert_cmpuint (open, ==, 16);
  rig_free (rig);
}

static void
test_refused (void)
{
  Rig *rig = rig_new ();
  PathRelayStatus status;

  rig_set_map (rig, rig_map (three, 1));
  rig_run (rig, SECOND);
  for (int i = 0; i < 3; i++) {
    path_relay_status (rig->path, &status);
    g_assert_false (status.refused);
    closed (rig, rig_last (rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.connection,
            RELAY_CLOSED_REFUSED);
    rig_run (rig, SECOND);
  }
  path_relay_status (rig->path, &status);
  g_assert_true (status.refused);
  g_assert_false (status.home_up);
  g_assert_cmpstr (status.error, ==, "test");
  rig_relay_up (rig);
  path_relay_status (rig->path, &status);
  g_assert_false (status.refused);
  g_assert_true (status.home_up);
  g_assert_cmpstr (status.error, ==, "");
  rig_free (rig);
}

static void
restarting (Rig *rig, int64_t back_us)
{
  PathEvent event = {.type = PATH_EVENT_RELAY_RESTARTING};

  event.relay_restarting.connection
      = rig_last (rig, PATH_ACTION_RELAY_CONNECT)->relay_connect.connection;
  event.relay_restarting.back_us = back_us;
  rig_input (rig, &event);
}

static void
test_restarting (void)
{
  Rig *rig = rig_new ();

  /* Another node of the region is there at once. */
  set_json (rig, NODE_A "," NODE_B);
  rig_run (rig, SECOND);
  rig_relay_up (rig);
  restarting (rig, 2 * SECOND);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  g_assert_cmpstr (connecting (rig)->node_name, ==, "1b");
  rig_free (rig);

  /* The only one is waited for, as long as it says but no longer than is good. */
  for (int i = 0; i < 2; i++) {
    rig = rig_new ();
    set_json (rig, NODE_A);
    rig_run (rig, SECOND);
    rig_relay_up (rig);
    restarting (rig, i == 0 ? 2 * SECOND : 3600 * SECOND);
    rig_clear (rig);
    rig_run (rig, i == 0 ? 1900 * MSEC : 9900 * MSEC);
    g_assert_cmpuint (rig_count (rig, PATH_ACTION_RELAY_CONNECT), ==, 0);
    rig_run (rig, 200 * MSEC);
    g_assert_cmpuint (rig_count (rig, PATH_ACTION_RELAY_CONNECT), ==, 1);
    rig_free (rig);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/path/relays/" name, test)
  ADD ("others-open-on-demand-and-close-when-idle", test_on_demand);
  ADD ("peer-heard-on-our-home-is-answered-there", test_learned_route);
  ADD ("peer-without-home-is-reached-where-it-was-heard", test_no_home_of_peer);
  ADD ("back-off-follows-the-law", test_backoff);
  ADD ("set-up-has-a-limit", test_set_up_limit);
  ADD ("nodes-take-over-from-each-other", test_nodes);
  ADD ("map-change-closes-only-what-changed", test_map_change);
  ADD ("key-change-logs-in-anew", test_key_change);
  ADD ("link-change-keeps-what-lives", test_link_change);
  ADD ("home-that-moves-is-told-to-both", test_home_moves);
  ADD ("after-sleep-all-are-pinged", test_woken);
  ADD ("home-lost-while-control-is-away-is-replaced", test_home_lost_while_control_is_away);
  ADD ("connections-are-limited", test_many_regions);
  ADD ("refusal-is-told", test_refused);
  ADD ("one-that-restarts-is-left-and-found-again", test_restarting);
  return g_test_run ();
}
