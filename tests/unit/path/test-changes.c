/* What the netmap, the network, switches and the computer do to paths (spec/path-finding.md §13,
 * §14).
 */
#include "fixture.h"

#include <errno.h>
static const unsigned one_region[] = {1};

static void
test_netmap_delta_keeps_path (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  g_array_set_size (f.peer->endpoints, 0);
  rig_peer_endpoint (f.peer, "203.0.113.200:1");
  f.peer->home = 2;
  rig_tell_peer (f.rig, f.peer);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_true (d.trusted);
  g_assert_true (ip_port_equal (&d.udp, &f.at));
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 0);
  rig_free (f.rig);
}

static void
new_disco_key (Fixture *f)
{
  key_generate (&f->rig->random.base, f->peer->disco_private);
  key_public (f->peer->disco_private, f->peer->disco.bytes);
}

static void
test_disco_key_forgotten (void)
{
  Fixture f = fixture_new (PEER_AT);
  DiscoPublic key = f.peer->disco;

  fixture_go_direct (&f);
  f.peer->disco = (DiscoPublic){0};
  rig_clear (f.rig);
  rig_tell_peer (f.rig, f.peer);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 0);
  f.peer->disco = key;
  rig_tell_peer (f.rig, f.peer);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 1);
  rig_free (f.rig);
}

static void
test_disco_key_change (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  new_disco_key (&f);
  rig_clear (f.rig);
  rig_tell_peer (f.rig, f.peer);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 1);
  g_assert_true (rig_destination (f.rig, f.peer).trusted); /* addresses stay */
  rig_run_sending (f.rig, f.peer, 4 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), >, 0); /* under the new key */
  /* told inside the tunnel: the session lives already */
  new_disco_key (&f);
  rig_clear (f.rig);
  PathEvent event = {.type = PATH_EVENT_DISCO_KEY};
  event.disco_key.peer = f.peer->key;
  event.disco_key.key = f.peer->disco;
  rig_input (f.rig, &event);
  rig_tell_peer (f.rig, f.peer); /* the netmap says the same later */
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 0);
  rig_run_sending (f.rig, f.peer, 4 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), >, 0);
  rig_free (f.rig);
}

static void
test_own_disco_key_rotates (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_IDENTITY};

  fixture_go_direct (&f);
  rig_clear (f.rig);
  key_generate (&f.rig->random.base, f.rig->disco_private);
  key_public (f.rig->disco_private, f.rig->disco.bytes);
  event.identity.disco_private = f.rig->disco_private;
  event.identity.node_key = f.rig->node;
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 0);
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_run_sending (f.rig, f.peer, 4 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), >, 0); /* under the new key */
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  rig_free (f.rig);
}

static void
test_rebind (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_SEND_ERROR};

  fixture_go_direct (&f);
  rig_clear (f.rig);
  event.send_error.destination = f.at;
  event.send_error.error = EPERM;
  event.send_error.data = true;
  for (int i = 0; i < 10; i++) {
    rig_input (f.rig, &event);
    rig_run (f.rig, 400 * MSEC);
  }
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_REBIND), ==, 1);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_REBIND)->rebind.port, ==, 41641);
  rig_run (f.rig, 2 * SECOND);
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_REBIND), ==, 2);
  rig_clear (f.rig);
  event = (PathEvent){.type = PATH_EVENT_SOCKETS};
  event.sockets.port4 = event.sockets.port6 = 41641;
  rig_input (f.rig, &event);
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  g_assert_cmpuint (fixture_pings (&f), ==, 1); /* the peer is in use: look at once */
  rig_free (f.rig);
}

static void
test_unreachable (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_SEND_ERROR};

  fixture_go_direct (&f);
  rig_clear (f.rig);
  event.send_error.destination = f.at;
  event.send_error.error = EHOSTUNREACH;
  event.send_error.data = true;
  rig_input (f.rig, &event);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_cmpint (d.udp.addr.family, ==, 0);
  g_assert_cmpint (d.region, ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_REBIND), ==, 0);
  rig_free (f.rig);
}

static void
test_suspend (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  fixture_run_answered (&f, 10 * SECOND);
  rig_clear (f.rig);
  f.rig->now += 3600 * SECOND;
  rig_input (f.rig, &(PathEvent){.type = PATH_EVENT_SUSPENDED, .slept_us = 3600 * SECOND});
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  g_assert_cmpuint (fixture_pings (&f), ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_PING), ==, 1);
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_free (f.rig);
}

static void
test_only_tcp_443 (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_KNOBS, .knobs = {.only_tcp_443 = true}};

  fixture_go_direct (&f);
  rig_clear (f.rig);
  rig_input (f.rig, &event);
  rig_run_sending (f.rig, f.peer, 60 * SECOND);
  rig_ping (f.rig, f.peer, &f.at, 1);
  fixture_command (&f, 1, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SEND_UDP), ==, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_ICMP_PING), ==, 0);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 1);
  g_assert_cmpint (rig_destination (f.rig, f.peer).udp.addr.family, ==, 0);
  rig_free (f.rig);
}

static void
test_silent_disco (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_KNOBS, .knobs = {.silent_disco = true}};

  rig_input (f.rig, &event);
  rig_run (f.rig, SECOND);
  fixture_go_direct (&f);
  rig_clear (f.rig);
  event = (PathEvent){.type = PATH_EVENT_RECEIVED};
  event.received.peer = f.peer->key;
  event.received.source = f.at;
  for (int i = 0; i < 20; i++) {
    rig_run_sending (f.rig, f.peer, SECOND);
    rig_input (f.rig, &event);
  }
  g_assert_cmpuint (fixture_pings (&f), ==, 0);
  g_assert_true (rig_destination (f.rig, f.peer).trusted); /* by data alone */
  rig_free (f.rig);
}

static void
test_wireguard_only (void)
{
  Rig *rig = rig_new ();
  RigPeer *peer = rig_add_peer (rig, "203.0.113.7:51820", 0);
  const PathAction *action;
  PathEvent event = {.type = PATH_EVENT_ICMP_LATENCY};

  rig_set_map (rig, rig_map (one_region, 1));
  rig_peer_endpoint (peer, "203.0.113.8:51820");
  peer->wireguard_only = true;
  peer->disco = (DiscoPublic){0};
  rig_tell_peers (rig);
  rig_run (rig, SECOND);
  rig_clear (rig);
  rig_sent (rig, peer);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_ICMP_PING), ==, 2);
  g_assert_cmpint (rig_destination (rig, peer).udp.addr.family, ==, 4);
  g_assert_cmpint (rig_destination (rig, peer).region, ==, 0);
  for (guint i = 0; i < rig->actions->len; i++) {
    action = &g_array_index (rig->actions, PathAction, i);
    if (action->type != PATH_ACTION_ICMP_PING)
      continue;
    event.icmp_latency.probe = action->icmp_ping.probe;
    event.icmp_latency.latency_us
        = action->icmp_ping.destination.bytes[3] == 8 ? 5 * MSEC : 50 * MSEC;
    rig_input (rig, &event);
  }
  rig_run (rig, 2 * SECOND);
  rig_sent (rig, peer);
  PathDestination d = rig_destination (rig, peer);
  IpPort fast = rig_address ("203.0.113.8:51820"), heard = rig_address ("203.0.113.7:51820");
  g_assert_true (ip_port_equal (&d.udp, &fast));
  event = (PathEvent){.type = PATH_EVENT_RECEIVED};
  event.received.peer = peer->key;
  event.received.source = heard;
  rig_input (rig, &event);
  d = rig_destination (rig, peer);
  g_assert_true (ip_port_equal (&d.udp, &heard));
  g_assert_cmpuint (rig_disco (rig, peer, DISCO_PING, false, NULL, NULL), ==, 0);
  rig_free (rig);
}

static void
test_logged_out (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_IDENTITY};

  fixture_go_direct (&f);
  rig_clear (f.rig);
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_RELAY_CLOSE), ==, 1);
  rig_clear (f.rig);
  rig_ping (f.rig, f.peer, &f.at, 3);
  rig_sent (f.rig, f.peer);
  rig_run (f.rig, 120 * SECOND);
  g_assert_cmpuint (f.rig->actions->len, ==, 0);
  rig_free (f.rig);
}

static void
test_expired_peer (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathDestination d;

  fixture_go_direct (&f);
  f.peer->expired = true;
  rig_clear (f.rig);
  rig_tell_peer (f.rig, f.peer);
  g_assert_false (path_destination (f.rig->path, &f.peer->key, &d));
  const PathAction *set = rig_last (f.rig, PATH_ACTION_SET_DESTINATION);
  g_assert_nonnull (set);
  g_assert_cmpint (set->set_destination.destination.udp.addr.family, ==, 0);
  g_assert_cmpint (set->set_destination.destination.region, ==, 0);
  rig_clear (f.rig);
  rig_run_sending (f.rig, f.peer, 20 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), ==, 0);
  rig_free (f.rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/path/changes/" name, test)
  ADD ("netmap-delta-keeps-a-working-path", test_netmap_delta_keeps_path);
  ADD ("disco-key-change-is-followed", test_disco_key_change);
  ADD ("disco-key-that-was-gone-means-a-new-session", test_disco_key_forgotten);
  ADD ("own-disco-key-rotates", test_own_disco_key_rotates);
  ADD ("send-errors-rebind-at-most-once-in-5-s", test_rebind);
  ADD ("unreachable-host-clears-the-path", test_unreachable);
  ADD ("direct-again-right-after-a-suspend", test_suspend);
  ADD ("only-tcp-443-sends-no-datagram", test_only_tcp_443);
  ADD ("silent-disco-trusts-data", test_silent_disco);
  ADD ("wireguard-only-peers-are-reached-by-latency", test_wireguard_only);
  ADD ("logged-out-is-silent", test_logged_out);
  ADD ("expired-peer-gets-nothing", test_expired_peer);
  return g_test_run ();
}
