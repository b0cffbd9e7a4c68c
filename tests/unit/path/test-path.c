/* The per-peer state machine through the face of the core: spec/path-finding.md §6, §20. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define PEER_AT "203.0.113.7:41641"

static const unsigned one_region[] = {1};

/* A core that knows its own endpoints, is connected to its home relay 1 and has one peer. */
typedef struct
{
  Rig *rig;
  RigPeer *peer;
  IpPort at;
  uint32_t relay;
} Fixture;

static Fixture
fixture_new (const char *endpoint)
{
  Fixture f = {.rig = rig_new (), .at = rig_address (PEER_AT)};

  rig_set_map (f.rig, rig_map (one_region, 1));
  f.peer = rig_add_peer (f.rig, endpoint, 1);
  rig_tell_peers (f.rig);
  rig_run (f.rig, SECOND);
  f.relay = rig_relay_up (f.rig);
  rig_clear (f.rig);
  return f;
}

/* The peer answers our ping: the path becomes direct. */
static void
go_direct (Fixture *f)
{
  rig_sent (f->rig, f->peer);
  g_assert_true (rig_pong (f->rig, f->peer, &f->at));
  g_assert_true (rig_destination (f->rig, f->peer).trusted);
}

static unsigned
pings (const Fixture *f)
{
  return rig_disco (f->rig, f->peer, DISCO_PING, false, NULL, NULL);
}

static unsigned
calls (const Fixture *f)
{
  return rig_disco (f->rig, f->peer, DISCO_CALL_ME_MAYBE, true, NULL, NULL);
}

/* Answers each heartbeat at once while sending. */
static void
run_answered (Fixture *f, int64_t span_us)
{
  for (int64_t left = span_us; left > 0; left -= SECOND) {
    rig_clear (f->rig);
    rig_sent (f->rig, f->peer);
    rig_run (f->rig, MIN (left, SECOND));
    rig_pong (f->rig, f->peer, &f->at);
  }
}

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
  g_assert_cmpuint (pings (&f), ==, 1); /* 5 s between pings */
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

  go_direct (&f);
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
  g_assert_cmpuint (pings (&f), >=, 3);
  g_assert_cmpuint (pings (&f), <=, 5);
  g_assert_cmpuint (calls (&f), >=, 3);
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_free (f.rig);
}

static void
test_trust_ends_idle (void)
{
  Fixture f = fixture_new (PEER_AT);

  go_direct (&f);
  rig_run (f.rig, 60 * SECOND);
  rig_clear (f.rig);
  /* asleep: untrusted, but not forgotten; no timer of the peer is left */
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_false (d.trusted);
  rig_run (f.rig, 600 * SECOND);
  g_assert_cmpuint (pings (&f), ==, 0);
  g_assert_cmpuint (calls (&f), ==, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SET_DESTINATION), ==, 0);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SEND_UDP), ==, 0);
  rig_free (f.rig);
}

static void
test_heartbeats (void)
{
  Fixture f = fixture_new (PEER_AT);
  unsigned count = 0;

  go_direct (&f);
  for (int i = 0; i < 30; i++) {
    run_answered (&f, SECOND);
    count += pings (&f);
    g_assert_true (rig_destination (f.rig, f.peer).trusted);
    g_assert_cmpuint (calls (&f), ==, 0);
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
  g_assert_cmpuint (pings (&f), ==, 0);
  rig_free (f.rig);
}

static void
test_ping_is_answered (void)
{
  Fixture f = fixture_new (NULL);
  IpPort from = rig_address ("198.51.100.99:7777");
  DiscoMessage m;
  const PathAction *action;

  rig_ping (f.rig, f.peer, &from, 1);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, &m, &action), ==, 1);
  g_assert_true (ip_port_equal (&m.source, &from));
  g_assert_true (ip_port_equal (&action->send_udp.destination, &from));
  g_assert_cmpuint (pings (&f), ==, 1); /* and pinged back at once: its NAT lets us in now */
  rig_ping (f.rig, f.peer, &from, 1);   /* the same TxID again: ignored */
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, NULL), ==, 1);
  rig_ping (f.rig, f.peer, &from, 2);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, NULL), ==, 2);
  g_assert_cmpuint (pings (&f), ==, 1); /* at most one a second */
  rig_free (f.rig);
}

static void
test_odd_pings (void)
{
  Fixture f = fixture_new (NULL);
  IpPort from = rig_address ("198.51.100.99:7777");
  DiscoMessage m = {.type = DISCO_PING, .node_key = f.peer->key, .padding = 900};

  rig_from_udp (f.rig, f.peer, &m, &from);
  m.tx_id.bytes[0] = 1;
  m.version = 1;
  rig_from_udp (f.rig, f.peer, &m, &from);
  m.tx_id.bytes[0] = 2;
  m.node_key = (NodePublic){{9}}; /* not the peer's: the disco key decides */
  rig_from_udp (f.rig, f.peer, &m, &from);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, NULL), ==, 3);
  rig_free (f.rig);
}

static void
test_ping_over_relay (void)
{
  Fixture f = fixture_new (NULL);
  DiscoMessage m = {.type = DISCO_PING, .node_key = f.peer->key};
  const PathAction *action;
  PathPeerStatus status;

  rig_from_relay (f.rig, f.peer, &m, f.relay);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, true, &m, &action), ==, 1);
  IpPort pseudo = rig_address ("127.3.3.40:1");
  g_assert_true (ip_port_equal (&m.source, &pseudo));
  g_assert_true (path_peer_status (f.rig->path, &f.peer->key, &status));
  g_assert_cmpuint (status.n_candidates, ==, 0);
  g_assert_cmpuint (pings (&f), ==, 0);
  rig_free (f.rig);
}

static void
test_call (void)
{
  Fixture f = fixture_new (PEER_AT);
  IpPort list[] = {rig_address ("203.0.113.9:1000"), rig_address ("[fe80::1]:1000"),
                   rig_address ("192.168.7.7:1000")};
  DiscoMessage m = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = list, .n_endpoints = 3};

  rig_sent (f.rig, f.peer);
  rig_run (f.rig, SECOND);
  rig_clear (f.rig);
  rig_from_relay (f.rig, f.peer, &m, f.relay);
  /* everything is pinged, also what was pinged 1 s ago; link-local addresses are not */
  g_assert_cmpuint (pings (&f), ==, 3);
  g_assert_cmpuint (calls (&f), ==, 0);
  /* over UDP it means nothing */
  rig_clear (f.rig);
  rig_run (f.rig, SECOND);
  rig_from_udp (f.rig, f.peer, &m, &f.at);
  g_assert_cmpuint (pings (&f), ==, 0);
  rig_free (f.rig);
}

static void
test_call_from_another_node (void)
{
  Fixture f = fixture_new (NULL);
  RigPeer *other = rig_add_peer (f.rig, NULL, 1);
  IpPort at = rig_address ("203.0.113.9:1000");
  DiscoMessage m = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = &at, .n_endpoints = 1};
  RigPeer forged = *other;

  rig_tell_peers (f.rig);
  rig_clear (f.rig);
  forged.key = f.peer->key; /* the relay names a node that has another disco key */
  rig_from_relay (f.rig, &forged, &m, f.relay);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SEND_UDP), ==, 0);
  rig_from_relay (f.rig, other, &m, f.relay);
  g_assert_cmpuint (rig_disco (f.rig, other, DISCO_PING, false, NULL, NULL), ==, 1);
  rig_free (f.rig);
}

static void
test_call_replaces (void)
{
  Fixture f = fixture_new (NULL);
  IpPort first = rig_address ("203.0.113.9:1000"), second = rig_address ("203.0.113.9:2000");
  DiscoMessage m = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = &first, .n_endpoints = 1};

  rig_from_relay (f.rig, f.peer, &m, f.relay);
  g_assert_true (rig_pong (f.rig, f.peer, &first));
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_run (f.rig, SECOND);
  m.encode_endpoints = &second;
  rig_from_relay (f.rig, f.peer, &m, f.relay);
  PathDestination d = rig_destination (f.rig, f.peer); /* the best one went with the list */
  g_assert_false (d.trusted);
  g_assert_cmpint (d.udp.addr.family, ==, 0);
  g_assert_cmpint (d.region, ==, 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 0);
  rig_free (f.rig);
}

static void
test_called_all_the_time (void)
{
  Fixture f = fixture_new (NULL);
  IpPort at = rig_address ("203.0.113.9:1000");
  DiscoMessage m = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = &at, .n_endpoints = 1};
  unsigned stun = 0;

  /* long idle, and then the peer calls every 4 s: no candidate ever waits for 5 s */
  rig_run (f.rig, 120 * SECOND);
  rig_clear (f.rig);
  f.rig->reflexive = rig_address ("203.0.113.1:5555");
  for (int i = 0; i < 10; i++) {
    rig_from_relay (f.rig, f.peer, &m, f.relay);
    rig_run_sending (f.rig, f.peer, 4 * SECOND);
  }
  g_assert_cmpuint (calls (&f), >=, 4);
  g_assert_cmpuint (calls (&f), <=, 9);
  for (guint i = 0; i < f.rig->actions->len; i++) {
    const PathAction *a = &g_array_index (f.rig->actions, PathAction, i);
    stun += a->type == PATH_ACTION_SEND_UDP && a->send_udp.size == 40;
  }
  g_assert_cmpuint (stun, >=, 2); /* at once, and by the clock again */
  rig_disco (f.rig, f.peer, DISCO_CALL_ME_MAYBE, true, &m, NULL);
  IpPort told = disco_message_endpoint (&m, 0);
  g_assert_true (ip_port_equal (&told, &f.rig->reflexive));
  rig_free (f.rig);
}

static void
test_fresh_endpoints_for_call (void)
{
  Fixture f = fixture_new (PEER_AT);

  rig_run (f.rig, 40 * SECOND); /* idle: no STUN by the clock */
  rig_clear (f.rig);
  f.rig->reflexive = rig_address ("203.0.113.1:5555");
  rig_sent (f.rig, f.peer);
  g_assert_cmpuint (pings (&f), ==, 1);
  g_assert_cmpuint (calls (&f), ==, 0);
  DiscoMessage m;
  rig_run (f.rig, 500 * MSEC);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_CALL_ME_MAYBE, true, &m, NULL), ==, 1);
  IpPort told = disco_message_endpoint (&m, 0);
  g_assert_true (ip_port_equal (&told, &f.rig->reflexive));
  rig_free (f.rig);
}

static void
test_wrong_pongs (void)
{
  Fixture f = fixture_new (PEER_AT);
  RigPeer *other = rig_add_peer (f.rig, NULL, 1);
  DiscoMessage ping, pong = {.type = DISCO_PONG, .source = f.at};

  rig_tell_peers (f.rig);
  rig_sent (f.rig, f.peer);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, false, &ping, NULL), ==, 1);
  rig_from_udp (f.rig, f.peer, &pong, &f.at); /* unknown TxID */
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  pong.tx_id = ping.tx_id;
  rig_from_udp (f.rig, other, &pong, &f.at); /* sealed by another peer */
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  rig_from_relay (f.rig, f.peer, &pong, f.relay); /* back by another way */
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  rig_free (f.rig);
}

static void
test_pong_from_another_source (void)
{
  Fixture f = fixture_new (PEER_AT);
  DiscoMessage ping, pong = {.type = DISCO_PONG, .source = f.at};
  IpPort other = rig_address ("203.0.113.8:41641");

  rig_sent (f.rig, f.peer);
  rig_disco (f.rig, f.peer, DISCO_PING, false, &ping, NULL);
  pong.tx_id = ping.tx_id;
  rig_from_udp (f.rig, f.peer, &pong, &other);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_true (ip_port_equal (&d.udp, &f.at)); /* what was pinged, not where it came from */
  rig_free (f.rig);
}

static void
test_replay_from_elsewhere (void)
{
  Fixture f = fixture_new (NULL);
  uint8_t shared[32], nonce[24] = {5}, packet[200];
  DiscoMessage m = {.type = DISCO_PING, .node_key = f.peer->key};
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};

  g_assert_true (box_shared (f.peer->disco_private, f.rig->disco.bytes, shared));
  event.datagram.data = packet;
  event.datagram.size = disco_seal (&m, &f.peer->disco, shared, nonce, packet, sizeof packet);
  event.datagram.source = rig_address ("198.51.100.99:7777");
  rig_input (f.rig, &event);
  event.datagram.source = rig_address ("198.51.100.66:6666");
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, NULL), ==, 1);
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
test_netmap_delta_keeps_path (void)
{
  Fixture f = fixture_new (PEER_AT);

  go_direct (&f);
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
test_disco_key_change (void)
{
  Fixture f = fixture_new (PEER_AT);

  go_direct (&f);
  new_disco_key (&f);
  rig_clear (f.rig);
  rig_tell_peer (f.rig, f.peer);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PEER_RESTARTED), ==, 1);
  g_assert_true (rig_destination (f.rig, f.peer).trusted); /* addresses stay */
  rig_run_sending (f.rig, f.peer, 4 * SECOND);
  g_assert_cmpuint (pings (&f), >, 0); /* under the new key */
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
  g_assert_cmpuint (pings (&f), >, 0);
  rig_free (f.rig);
}

static void
test_rebind (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_SEND_ERROR};

  go_direct (&f);
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
  g_assert_cmpuint (pings (&f), ==, 1); /* the peer is in use: look at once */
  rig_free (f.rig);
}

static void
test_unreachable (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_SEND_ERROR};

  go_direct (&f);
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
test_no_answer (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_NO_ANSWER};

  go_direct (&f);
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
test_shared_disco_key (void)
{
  Fixture f = fixture_new (NULL);
  RigPeer *twin = rig_add_peer (f.rig, NULL, 1);
  IpPort from = rig_address ("198.51.100.99:7777");
  DiscoMessage m = {.type = DISCO_PING};
  PathPeerStatus status;

  memcpy (twin->disco_private, f.peer->disco_private, 32);
  twin->disco = f.peer->disco;
  rig_tell_peers (f.rig);
  rig_ping (f.rig, f.peer, &from, 1); /* names its node */
  path_peer_status (f.rig->path, &f.peer->key, &status);
  g_assert_cmpuint (status.n_candidates, ==, 1);
  path_peer_status (f.rig->path, &twin->key, &status);
  g_assert_cmpuint (status.n_candidates, ==, 0);
  m.tx_id.bytes[0] = 9; /* names none: a candidate of both */
  rig_from_udp (f.rig, f.peer, &m, &from);
  path_peer_status (f.rig->path, &twin->key, &status);
  g_assert_cmpuint (status.n_candidates, ==, 1);
  /* a pong finds the one that asked */
  rig_clear (f.rig);
  rig_run (f.rig, 2 * SECOND);
  rig_sent (f.rig, twin);
  rig_run (f.rig, 4 * SECOND);
  g_assert_true (rig_pong (f.rig, twin, &from));
  g_assert_true (rig_destination (f.rig, twin).trusted);
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  rig_free (f.rig);
}

static void
command (Fixture *f, uint32_t id, size_t size)
{
  PathEvent event = {.type = PATH_EVENT_PING};

  event.ping.id = id;
  event.ping.peer = f->peer->key;
  event.ping.size = size;
  rig_input (f->rig, &event);
}

static void
test_ping_command (void)
{
  Fixture f = fixture_new (PEER_AT);
  DiscoMessage m, pong = {.type = DISCO_PONG};
  const PathAction *result;

  command (&f, 1, 0);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, true, &m, NULL), ==, 1);
  g_assert_cmpuint (pings (&f), >=, 1);
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
  command (&f, 2, 0);
  g_assert_true (rig_pong (f.rig, f.peer, &f.at));
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_PING_RESULT), ==, 1);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_PING_RESULT)->ping_result.outcome, ==,
                   PING_BY_DIRECT);
  g_assert_true (rig_destination (f.rig, f.peer).trusted);
  rig_clear (f.rig);
  command (&f, 3, 1400); /* trusted and direct: only that */
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, true, NULL, NULL), ==, 0);
  g_assert_cmpuint (rig_last (f.rig, PATH_ACTION_SEND_UDP)->send_udp.size, ==, 1400);
  rig_run (f.rig, 6 * SECOND);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_PING_RESULT)->ping_result.outcome, ==,
                   PING_TIMED_OUT);
  rig_clear (f.rig);
  f.peer->expired = true;
  rig_tell_peer (f.rig, f.peer);
  command (&f, 4, 0);
  g_assert_cmpint (rig_last (f.rig, PATH_ACTION_PING_RESULT)->ping_result.outcome, ==,
                   PING_EXPIRED);
  rig_free (f.rig);
}

static void
test_suspend (void)
{
  Fixture f = fixture_new (PEER_AT);

  go_direct (&f);
  run_answered (&f, 10 * SECOND);
  rig_clear (f.rig);
  f.rig->now += 3600 * SECOND;
  rig_input (f.rig, &(PathEvent){.type = PATH_EVENT_SUSPENDED, .slept_us = 3600 * SECOND});
  g_assert_false (rig_destination (f.rig, f.peer).trusted);
  g_assert_cmpuint (pings (&f), ==, 1);
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

  go_direct (&f);
  rig_clear (f.rig);
  rig_input (f.rig, &event);
  rig_run_sending (f.rig, f.peer, 60 * SECOND);
  rig_ping (f.rig, f.peer, &f.at, 1);
  command (&f, 1, 0);
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
  go_direct (&f);
  rig_clear (f.rig);
  event = (PathEvent){.type = PATH_EVENT_RECEIVED};
  event.received.peer = f.peer->key;
  event.received.source = f.at;
  for (int i = 0; i < 20; i++) {
    rig_run_sending (f.rig, f.peer, SECOND);
    rig_input (f.rig, &event);
  }
  g_assert_cmpuint (pings (&f), ==, 0);
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
test_logged_out (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathEvent event = {.type = PATH_EVENT_IDENTITY};

  go_direct (&f);
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
test_external_address_moves (void)
{
  Fixture f = fixture_new (PEER_AT);

  go_direct (&f);
  run_answered (&f, 5 * SECOND);
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

static void
test_expired_peer (void)
{
  Fixture f = fixture_new (PEER_AT);
  PathDestination d;

  go_direct (&f);
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
  g_assert_cmpuint (pings (&f), ==, 0);
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
  g_assert_cmpuint (calls (&f), ==, 0);
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
  ADD ("answers-each-ping-once-and-pings-back", test_ping_is_answered);
  ADD ("answers-padded-future-and-misnamed-pings", test_odd_pings);
  ADD ("ping-over-relay-makes-no-candidate", test_ping_over_relay);
  ADD ("call-pings-everything-and-is-not-answered-by-a-call", test_call);
  ADD ("call-of-a-node-with-another-disco-key-is-ignored", test_call_from_another_node);
  ADD ("call-replaces-the-one-before", test_call_replaces);
  ADD ("call-tells-fresh-endpoints", test_fresh_endpoints_for_call);
  ADD ("peer-that-calls-all-the-time-is-called-back", test_called_all_the_time);
  ADD ("pongs-that-do-not-fit-change-nothing", test_wrong_pongs);
  ADD ("pong-proves-the-address-that-was-pinged", test_pong_from_another_source);
  ADD ("copied-ping-from-elsewhere-is-not-answered", test_replay_from_elsewhere);
  ADD ("learned-candidate-goes-after-45-s", test_learned_candidate_goes);
  ADD ("netmap-delta-keeps-a-working-path", test_netmap_delta_keeps_path);
  ADD ("disco-key-change-is-followed", test_disco_key_change);
  ADD ("send-errors-rebind-at-most-once-in-5-s", test_rebind);
  ADD ("unreachable-host-clears-the-path", test_unreachable);
  ADD ("unanswered-handshakes-go-both-ways", test_no_answer);
  ADD ("nodes-that-share-a-disco-key-are-told-apart", test_shared_disco_key);
  ADD ("ping-command-reports-the-first-way", test_ping_command);
  ADD ("direct-again-right-after-a-suspend", test_suspend);
  ADD ("only-tcp-443-sends-no-datagram", test_only_tcp_443);
  ADD ("silent-disco-trusts-data", test_silent_disco);
  ADD ("wireguard-only-peers-are-reached-by-latency", test_wireguard_only);
  ADD ("idle-peers-cost-nothing", test_thousand_peers);
  ADD ("logged-out-is-silent", test_logged_out);
  ADD ("moved-address-is-told-within-seconds", test_external_address_moves);
  ADD ("expired-peer-gets-nothing", test_expired_peer);
  ADD ("slow-paths-look-for-better-ones-once-a-minute", test_upgrade_search);
  return g_test_run ();
}
