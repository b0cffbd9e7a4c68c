/* Disco messages that come in: what is answered, believed, and ignored (spec/path-finding.md §4).
 */
#include "fixture.h"

#include <string.h>

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
  g_assert_cmpuint (fixture_pings (&f), ==,
                    1);               /* and pinged back at once: its NAT lets us in now */
  rig_ping (f.rig, f.peer, &from, 1); /* the same TxID again: ignored */
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, NULL), ==, 1);
  rig_ping (f.rig, f.peer, &from, 2);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, NULL), ==, 2);
  g_assert_cmpuint (fixture_pings (&f), ==, 1); /* at most one a second */
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
  g_assert_cmpuint (fixture_pings (&f), ==, 0);
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
  g_assert_cmpuint (fixture_pings (&f), ==, 3);
  g_assert_cmpuint (fixture_calls (&f), ==, 0);
  /* over UDP it means nothing */
  rig_clear (f.rig);
  rig_run (f.rig, SECOND);
  rig_from_udp (f.rig, f.peer, &m, &f.at);
  g_assert_cmpuint (fixture_pings (&f), ==, 0);
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
  f.rig->reflexive = rig_address ("203.0.113.2:41641");
  for (int i = 0; i < 10; i++) {
    rig_from_relay (f.rig, f.peer, &m, f.relay);
    rig_run_sending (f.rig, f.peer, 4 * SECOND);
  }
  g_assert_cmpuint (fixture_calls (&f), >=, 4);
  g_assert_cmpuint (fixture_calls (&f), <=, 9);
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
  g_assert_cmpuint (fixture_pings (&f), ==, 1);
  g_assert_cmpuint (fixture_calls (&f), ==, 0);
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

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/path/messages/" name, test)
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
  ADD ("nodes-that-share-a-disco-key-are-told-apart", test_shared_disco_key);
  return g_test_run ();
}
