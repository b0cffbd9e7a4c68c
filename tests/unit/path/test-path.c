/* The per-peer state machine through the face of the core: spec/path-finding.md §6, §20. */
#include "fixture.h"

static const unsigned one_region[] = {1};

static void
test_first_packet (void)
{
  Fixture f = fixture_new (PEER_AT);
  DiscoMessage m;
  const PathAction *action;

  rig_sent (f.rig, f.peer);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_cmpint (d.udp.addr.family, ==, 0);
  g_assert_cmpint (d.region, ==, 1);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, false, &m, &action), ==, 1);
  g_assert_true (ip_port_equal (&action->send_udp.destination, &f.at));
  g_assert_cmpuint (action->send_udp.size, ==, DISCO_PING_SIZE);
  g_assert_true (key_same (&m.node_key, &f.rig->node));
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_CALL_ME_MAYBE, true, &m, &action), ==, 1);
  g_assert_cmpint (action->send_relay.region, ==, 1);
  g_assert_cmpuint (m.n_endpoints, ==, 2); /* STUN and local */
  rig_sent (f.rig, f.peer);
  g_assert_cmpuint (fixture_pings (&f), ==, 1); /* 5 s between pings */
  rig_free (f.rig);
}

static void
test_upgrade (void)
{
  Fixture f = fixture_new (PEER_AT);

  rig_sent (f.rig, f.peer);
  rig_clear (f.rig);
  rig_run (f.rig, 20 * MSEC);
  g_assert_false (rig_pong (f.rig, f.peer, &f.at)); /* cleared: nothing to answer */
  rig_run (f.rig, 5 * SECOND);
  rig_sent (f.rig, f.peer);
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  const PathAction *set = rig_last (f.rig, PATH_ACTION_SET_DESTINATION);
  g_assert_nonnull (set);
  g_assert_true (ip_port_equal (&set->set_destination.destination.udp, &f.at));
  g_assert_cmpint (set->set_destination.destination.region, ==, 0);
  g_assert_true (set->set_destination.destination.trusted);
  rig_free (f.rig);
}

static void
test_trust_ends (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  int64_t pong = f.rig->now;
  rig_clear (f.rig);
  /* sending goes on, nothing comes back: both ways are used, long before trust ends */
  while (rig_destination (f.rig, f.peer).trusted)
    rig_run_sending (f.rig, f.peer, 100 * MSEC);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_cmpint (f.rig->now - pong, <=, 5 * SECOND);
  g_assert_cmpint (d.udp.addr.family, ==, 4);
  g_assert_cmpint (d.region, ==, 1);
  while (rig_destination (f.rig, f.peer).udp.addr.family != 0)
    rig_run_sending (f.rig, f.peer, 100 * MSEC);
  g_assert_cmpint (f.rig->now - pong, >, 6500 * MSEC);
  g_assert_cmpint (f.rig->now - pong, <=, 9 * SECOND);
  g_assert_cmpint (rig_destination (f.rig, f.peer).region, ==, 1);
  /* and the candidate is tried again every five seconds, with a call */
  rig_clear (f.rig);
  rig_run_sending (f.rig, f.peer, 20 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), >=, 3);
  g_assert_cmpuint (fixture_pings (&f), <=, 5);
  g_assert_cmpuint (fixture_calls (&f), >=, 3);
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_free (f.rig);
}

static void
test_trust_ends_idle (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  rig_run (f.rig, 60 * SECOND);
  rig_clear (f.rig);
  /* asleep: untrusted, but not forgotten; no timer of the peer is left */
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_false (d.trusted);
  rig_run (f.rig, 600 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), ==, 0);
  g_assert_cmpuint (fixture_calls (&f), ==, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SET_DESTINATION), ==, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SEND_UDP), ==, 0);
  rig_free (f.rig);
}

static void
test_heartbeats (void)
{
  Fixture f = fixture_new (PEER_AT);
  unsigned count = 0;

  fixture_go_direct (&f);
  for (int i = 0; i < 30; i++) {
    fixture_run_answered (&f, SECOND);
    count += fixture_pings (&f);
    g_assert_true (rig_destination (f.rig, f.peer).trusted);
    g_assert_cmpuint (fixture_calls (&f), ==, 0);
  }
  g_assert_cmpuint (count, >=, 9);
  g_assert_cmpuint (count, <=, 11);
  /* they stop 45 s after the last packet */
  for (int i = 0; i < 46; i++) {
    rig_clear (f.rig);
    rig_run (f.rig, SECOND);
    rig_pong (f.rig, f.peer, &f.at);
  }
  rig_clear (f.rig);
  rig_run (f.rig, 600 * SECOND);
  g_assert_cmpuint (fixture_pings (&f), ==, 0);
  rig_free (f.rig);
}

static void
test_upgrade_search (void)
{
  Fixture f = fixture_new (PEER_AT);
  IpPort other = rig_address ("192.168.1.77:41641");

  rig_peer_endpoint (f.peer, "192.168.1.77:41641");
  rig_tell_peer (f.rig, f.peer);
  rig_sent (f.rig, f.peer);
  f.rig->now += 20 * MSEC;
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  /* slower than 5 ms: others are tried once a minute; a better one takes over */
  unsigned tried = 0;
  for (int i = 0; i < 130; i++) {
    rig_clear (f.rig);
    rig_sent (f.rig, f.peer);
    rig_run (f.rig, 980 * MSEC);
    f.rig->now += 20 * MSEC;
    rig_pong (f.rig, f.peer, &f.at);
    for (guint k = 0; k < f.rig->actions->len; k++) {
      const PathAction *a = &g_array_index (f.rig->actions, PathAction, k);
      tried += a->type == PATH_ACTION_SEND_UDP && ip_port_equal (&a->send_udp.destination, &other);
    }
  }
  g_assert_cmpuint (tried, ==, 2);
  g_assert_cmpuint (fixture_calls (&f), ==, 0);
  rig_free (f.rig);
}

static void
test_no_answer (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_NO_ANSWER};

  fixture_go_direct (&f);
  event.no_answer.peer = f.peer->key;
  rig_input (f.rig, &event);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_true (ip_port_equal (&d.udp, &f.at)); /* both ways */
  g_assert_cmpint (d.region, ==, 1);
  event = (PathEvent){.type = PATH_EVENT_RECEIVED};
  event.received.peer = f.peer->key;
  event.received.source = f.at;
  rig_input (f.rig, &event);
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_free (f.rig);
}

static void
test_learned_candidate_goes (void)
{
  Fixture f = fixture_new (NULL);
  IpPort from = rig_address ("198.51.100.99:7777");
  PathPeerStatus status;

  rig_ping (f.rig, f.peer, &from, 1);
  path_peer_status (f.rig->path, &f.peer->key, &status);
  g_assert_cmpuint (status.n_candidates, ==, 1);
  rig_run (f.rig, 46 * SECOND);
  rig_sent (f.rig, f.peer);
  path_peer_status (f.rig->path, &f.peer->key, &status);
  g_assert_cmpuint (status.n_candidates, ==, 0);
  rig_free (f.rig);
}

static void
test_ping_command (void)
{
  Fixture f = fixture_new (PEER_AT);
  DiscoMessage m, pong = {.type = DISCO_PONG};
  const PathAction *result;

  fixture_command (&f, 1, 0);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, true, &m, NULL), ==, 1);
  g_assert_cmpuint (fixture_pings (&f), >=, 1);
  pong.tx_id = m.tx_id;
  f.rig->now += 3 * MSEC;
  rig_from_relay (f.rig, f.peer, &pong, f.relay);
  result = rig_last (f.rig, PATH_ACTION_PING_RESULT);
  g_assert_nonnull (result);
  g_assert_cmpint (result->ping_result.outcome, ==, PING_BY_RELAY);
  g_assert_cmpint (result->ping_result.region, ==, 1);
  g_assert_cmpint (result->ping_result.latency_us, ==, 3 * MSEC);
  g_assert_false (rig_destination (f.rig, f.peer).trusted); /* proves no path */
  rig_clear (f.rig);
  fixture_command (&f, 2, 0);
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PING_RESULT), ==, 1);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_PING_RESULT)->ping_result.outcome, ==,
                   PING_BY_DIRECT);
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_clear (f.rig);
  fixture_command (&f, 3, 1400); /* trusted and direct: only that */
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, true, NULL, NULL), ==, 0);
  g_assert_cmpuint (rig_last (f.rig, PATH_ACTION_SEND_UDP)->send_udp.size, ==, 1400);
  rig_run (f.rig, 6 * SECOND);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_PING_RESULT)->ping_result.outcome, ==,
                   PING_TIMED_OUT);
  rig_clear (f.rig);
  f.peer->expired = true;
  rig_tell_peer (f.rig, f.peer);
  fixture_command (&f, 4, 0);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_PING_RESULT)->ping_result.outcome, ==,
                   PING_EXPIRED);
  rig_free (f.rig);
}

static void
test_ping_command_in_doubt (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  /* Nothing is answered any more: in doubt, although the trust has not run out. */
  for (int i = 0; i < 20 && rig_destination (f.rig, f.peer).trusted; i++)
    rig_run_sending (f.rig, f.peer, SECOND / 4);
  g_assert_cmpint (rig_destination (f.rig, f.peer).udp.addr.family, !=, 0);
  rig_clear (f.rig);
  fixture_command (&f, 1, 0);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, true, NULL, NULL), ==, 1);
  g_assert_cmpuint (fixture_pings (&f), ==, 1);
  rig_free (f.rig);
}

static void
test_thousand_peers (void)
{
  Rig *rig = rig_new ();
  RigPeer *active[3];
  unsigned stray = 0;

  rig_set_map (rig, rig_map (one_region, 1));
  for (int i = 0; i < 1000; i++) {
    g_autofree char *at = g_strdup_printf ("203.0.%d.%d:41641", 113 + i / 250, i % 250 + 1);
    rig_add_peer (rig, at, 1);
  }
  for (int i = 0; i < 3; i++)
    active[i] = g_ptr_array_index (rig->peers, i * 300);
  rig_tell_peers (rig);
  rig_run (rig, SECOND);
  rig_relay_up (rig);
  rig_clear (rig);
  for (int t = 0; t < 30; t++) {
    for (int i = 0; i < 3; i++)
      rig_sent (rig, active[i]);
    rig_run (rig, SECOND);
  }
  for (guint i = 0; i < rig->actions->len; i++) {
    const PathAction *a = &g_array_index (rig->actions, PathAction, i);
    if (a->type == PATH_ACTION_SET_DESTINATION || a->type == PATH_ACTION_SEND_RELAY) {
      const NodePublic *key
          = a->type == PATH_ACTION_SEND_RELAY ? &a->send_relay.peer : &a->set_destination.peer;
      bool known = false;
      for (int k = 0; k < 3; k++)
        known |= key_same (key, &active[k]->key);
      stray += !known;
    } else if (a->type == PATH_ACTION_SEND_UDP && a->send_udp.size == DISCO_PING_SIZE) {
      bool known = false;
      for (int k = 0; k < 3; k++)
        known |= ip_port_equal (&a->send_udp.destination, (IpPort *)active[k]->endpoints->data);
      stray += !known;
    }
  }
  g_assert_cmpuint (stray, ==, 0);
  /* asleep: not even one timer */
  rig_run (rig, 120 * SECOND);
  rig_clear (rig);
  rig_run (rig, 3600 * SECOND);
  g_assert_cmpuint (rig->actions->len, ==, 0);
  rig_free (rig);
}

static void
test_external_address_moves (void)
{
  Fixture f = fixture_new (PEER_AT);

  fixture_go_direct (&f);
  fixture_run_answered (&f, 5 * SECOND);
  /* the NAT got another address: nothing of ours arrives any more */
  f.rig->reflexive = rig_address ("203.0.113.99:41641");
  rig_clear (f.rig);
  int64_t moved = f.rig->now;
  DiscoMessage m;
  bool told = false;
  while (!told && f.rig->now - moved < 10 * SECOND) {
    rig_run_sending (f.rig, f.peer, 200 * MSEC);
    if (rig_disco (f.rig, f.peer, DISCO_CALL_ME_MAYBE, true, &m, NULL) > 0) {
      IpPort first = disco_message_endpoint (&m, 0);
      told = ip_port_equal (&first, &f.rig->reflexive);
    }
  }
  g_assert_true (told);
  g_assert_cmpint (f.rig->now - moved, <=, 6 * SECOND);
  rig_free (f.rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/path/peer/" name, test)
  ADD ("first-packet-goes-by-relay-and-starts-the-search", test_first_packet);
  ADD ("upgrades-to-direct-when-pong-arrives", test_upgrade);
  ADD ("uses-both-ways-when-pongs-stop-and-then-the-relay", test_trust_ends);
  ADD ("leaves-no-timer-when-idle", test_trust_ends_idle);
  ADD ("one-heartbeat-in-3-s-until-45-s-after-the-last-packet", test_heartbeats);
  ADD ("learned-candidate-goes-after-45-s", test_learned_candidate_goes);
  ADD ("unanswered-handshakes-go-both-ways", test_no_answer);
  ADD ("ping-command-reports-the-first-way", test_ping_command);
  ADD ("ping-command-of-a-doubtful-path-goes-by-relay-too", test_ping_command_in_doubt);
  ADD ("idle-peers-cost-nothing", test_thousand_peers);
  ADD ("moved-address-is-told-within-seconds", test_external_address_moves);
  ADD ("slow-paths-look-for-better-ones-once-a-minute", test_upgrade_search);
  return g_test_run ();
}
