/* Guessing the ports of our own hard NAT: spec/path-finding.md §16.2, §16.3. */
#include "fixture.h"

#include "path/birthday.h"

#include <string.h>

static const unsigned two_regions[] = {1, 2};

/* A core that has sent for a while to a peer that it hears through the relay alone. */
static Fixture
behind_hard_nat (int64_t span_us)
{
  Fixture f = {.rig = rig_new (), .at = rig_address (PEER_AT)};
  DiscoMessage ping = {.type = DISCO_PING};

  f.rig->reflexive_per_server = true;
  f.rig->stun_latency = 5 * MSEC;
  rig_set_map (f.rig, rig_map (two_regions, 2));
  f.peer = rig_add_peer (f.rig, PEER_AT, 1);
  rig_tell_peers (f.rig);
  rig_run (f.rig, 10 * MSEC);
  f.relay = rig_relay_up (f.rig);
  rig_run (f.rig, SECOND);
  rig_clear (f.rig);
  ping.node_key = f.peer->key;
  rig_sent (f.rig, f.peer);
  rig_from_relay (f.rig, f.peer, &ping, f.relay);
  rig_run_sending (f.rig, f.peer, span_us);
  return f;
}

static const PathAction *
find_spray (const Fixture *f, uint32_t side)
{
  for (guint i = 0; i < f->rig->actions->len; i++) {
    const PathAction *a = &g_array_index (f->rig->actions, PathAction, i);
    if (a->type == PATH_ACTION_SEND_UDP && a->send_udp.side == side
        && a->send_udp.size == DISCO_PING_SIZE)
      return a;
  }
  return NULL;
}

static uint32_t
first_side (const Fixture *f)
{
  const PathAction *open = rig_last (f->rig, PATH_ACTION_SIDE_OPEN);

  g_assert_nonnull (open);
  g_assert_cmpuint (open->side_open.count, ==, BIRTHDAY_SOCKETS);
  return open->side_open.first;
}

/* The calls since the last rig_clear that list guesses; their ports are counted in SEEN. */
static unsigned
count_guesses (const Fixture *f, uint8_t seen[65536])
{
  unsigned calls = 0;

  for (guint i = 0; i < f->rig->actions->len; i++) {
    Rig one = *f->rig;
    DiscoMessage m;
    one.actions = g_array_new (FALSE, FALSE, sizeof (PathAction));
    g_array_append_val (one.actions, g_array_index (f->rig->actions, PathAction, i));
    bool call = rig_disco (&one, f->peer, DISCO_CALL_ME_MAYBE, true, &m, NULL) == 1;
    g_array_unref (one.actions);
    if (!call || m.n_endpoints < 100)
      continue;
    calls++;
    for (size_t k = m.n_endpoints - BIRTHDAY_GUESSES; k < m.n_endpoints; k++) {
      IpPort at = disco_message_endpoint (&m, k);
      g_assert_true (ip_equal (&at.addr, &f->rig->reflexive.addr));
      seen[at.port]++;
    }
  }
  return calls;
}

static void
test_attempt (void)
{
  Fixture f = behind_hard_nat (12 * SECOND);
  g_autofree uint8_t *seen = g_malloc0 (65536);
  uint32_t first = first_side (&f);
  DiscoMessage m;

  for (uint32_t i = 0; i < BIRTHDAY_SOCKETS; i++) {
    const PathAction *ping = find_spray (&f, first + i);
    g_assert_nonnull (ping);
    g_assert_true (ip_port_equal (&ping->send_udp.destination, &f.at));
  }
  g_assert_cmpuint (count_guesses (&f, seen), ==, BIRTHDAY_ROUNDS);
  for (unsigned port = 0; port < 65536; port++)
    g_assert_cmpuint (seen[port], <=, port < 1024 ? 0 : 1);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SIDE_CLOSE), ==, 1);
  const PathAction *closed = rig_last (f.rig, PATH_ACTION_SIDE_CLOSE);
  g_assert_cmpuint (closed->side_close.first, ==, first);
  g_assert_cmpuint (closed->side_close.count, ==, BIRTHDAY_SOCKETS);
  /* in the end the peer is told to forget all guesses */
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_CALL_ME_MAYBE, true, &m, NULL), >,
                    BIRTHDAY_ROUNDS);
  g_assert_cmpuint (m.n_endpoints, <, 10);
  rig_clear (f.rig);
  rig_run_sending (f.rig, f.peer, 60 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SIDE_OPEN), ==, 0);
  rig_free (f.rig);
}

static void
test_limits (void)
{
  Fixture f = behind_hard_nat (12 * SECOND);
  unsigned pings = 0;

  for (guint i = 0; i < f.rig->actions->len; i++) {
    const PathAction *a = &g_array_index (f.rig->actions, PathAction, i);
    pings += a->type == PATH_ACTION_SEND_UDP && a->send_udp.side != 0;
  }
  g_assert_cmpuint (pings, <=, 600);
  rig_free (f.rig);
}

static void
test_hit (void)
{
  Fixture f = behind_hard_nat (4 * SECOND);
  IpPort seen_at = rig_address ("203.0.113.1:23456");
  DiscoMessage ping = {.type = DISCO_PING, .node_key = f.peer->key}, m;
  DiscoMessage pong = {.type = DISCO_PONG, .source = seen_at};
  uint32_t side = first_side (&f) + 100;
  const PathAction *action;
  bool listed = false;

  rig_clear (f.rig);
  f.rig->side = side;
  rig_from_udp (f.rig, f.peer, &ping, &f.at);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PONG, false, NULL, &action), ==, 1);
  g_assert_cmpuint (action->send_udp.side, ==, side);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, false, &m, &action), ==, 1);
  g_assert_cmpuint (action->send_udp.side, ==, side);
  pong.tx_id = m.tx_id;
  rig_clear (f.rig);
  rig_from_udp (f.rig, f.peer, &pong, &f.at);
  PathDestination d = rig_destination (f.rig, f.peer);
  g_assert_true (d.trusted && ip_port_equal (&d.udp, &f.at));
  g_assert_cmpuint (d.side, ==, side);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SIDE_CLOSE), ==, 2);
  g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_CALL_ME_MAYBE, true, &m, NULL), ==, 1);
  for (size_t i = 0; i < m.n_endpoints; i++) {
    IpPort at = disco_message_endpoint (&m, i);
    listed |= ip_port_equal (&at, &seen_at);
  }
  g_assert_true (listed);
  g_assert_cmpuint (m.n_endpoints, <, 10);
  /* heartbeats keep it; without answers it goes, and its socket with it */
  rig_clear (f.rig);
  rig_run_sending (f.rig, f.peer, 4 * SECOND);
  g_assert_nonnull (find_spray (&f, side));
  rig_run_sending (f.rig, f.peer, 12 * SECOND);
  const PathAction *closed = rig_last (f.rig, PATH_ACTION_SIDE_CLOSE);
  g_assert_nonnull (closed);
  g_assert_cmpuint (closed->side_close.first, ==, side);
  g_assert_cmpuint (closed->side_close.count, ==, 1);
  g_assert_cmpint (rig_destination (f.rig, f.peer).udp.addr.family, ==, 0);
  rig_free (f.rig);
}

static void
test_late_pong (void)
{
  Fixture f = behind_hard_nat (4 * SECOND);
  DiscoMessage m, pong = {.type = DISCO_PONG, .source = rig_address ("203.0.113.1:23456")};
  DiscoMessage other = pong;
  uint32_t first = first_side (&f);
  const PathAction *action = find_spray (&f, first + 7);

  g_assert_nonnull (action);
  rig_clear (f.rig);
  for (f.rig->side = first; f.rig->side < first + 2; f.rig->side++) {
    DiscoMessage ping = {.type = DISCO_PING, .node_key = f.peer->key};
    ping.tx_id.bytes[0] = (uint8_t)f.rig->side;
    rig_from_udp (f.rig, f.peer, &ping, &f.at);
    g_assert_cmpuint (rig_disco (f.rig, f.peer, DISCO_PING, false, &m, NULL), >, 0);
    if (f.rig->side == first)
      pong.tx_id = m.tx_id;
    else
      other.tx_id = m.tx_id;
  }
  f.rig->side = first + 1;
  rig_from_udp (f.rig, f.peer, &other, &f.at);
  f.rig->side = first; /* closed by now */
  rig_from_udp (f.rig, f.peer, &pong, &f.at);
  g_assert_cmpuint (rig_destination (f.rig, f.peer).side, ==, first + 1);
  rig_free (f.rig);
}

static void
test_block (void)
{
  Fixture f = behind_hard_nat (2 * SECOND);
  g_autofree uint8_t *seen = g_malloc0 (65536);
  unsigned inside = 0;

  f.rig->side_port = 20000;
  rig_run_sending (f.rig, f.peer, 2 * SECOND);
  uint32_t first = first_side (&f);
  g_assert_cmpuint (count_guesses (&f, seen), ==, 1);
  for (unsigned port = 0; port < 65536; port++) {
    if (seen[port])
      g_assert_true (port + 100 >= 20000 + first && port <= 20000 + first + BIRTHDAY_SOCKETS + 100);
    inside += seen[port] && port >= 20000 + first && port < 20000 + first + BIRTHDAY_SOCKETS;
  }
  g_assert_cmpuint (inside, >, BIRTHDAY_GUESSES / 2);
  rig_free (f.rig);
}

static void
test_easy (void)
{
  Fixture f = fixture_new (PEER_AT);
  DiscoMessage ping = {.type = DISCO_PING, .node_key = f.peer->key};

  rig_from_relay (f.rig, f.peer, &ping, f.relay);
  rig_run_sending (f.rig, f.peer, 9 * SECOND);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SIDE_OPEN), ==, 0);
  rig_free (f.rig);
}

static void
test_rebind (void)
{
  Fixture f = behind_hard_nat (4 * SECOND);
  PathEvent event = {.type = PATH_EVENT_SOCKETS};

  event.sockets.port4 = 41642;
  rig_clear (f.rig);
  rig_input (f.rig, &event);
  g_assert_cmpuint (rig_count (f.rig, PATH_ACTION_SIDE_CLOSE), ==, 1);
  rig_free (f.rig);
}

static void
test_many_candidates (void)
{
  Fixture f = fixture_new (PEER_AT);
  IpPort list[BIRTHDAY_GUESSES];
  DiscoMessage call
      = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = list, .n_endpoints = BIRTHDAY_GUESSES};

  for (unsigned i = 0; i < BIRTHDAY_GUESSES; i++) {
    list[i] = rig_address ("198.51.100.77:1");
    list[i].port = (uint16_t)(20000 + 7 * i);
  }
  rig_clear (f.rig);
  rig_from_relay (f.rig, f.peer, &call, f.relay);
  g_assert_cmpuint (fixture_pings (&f), >=, BIRTHDAY_GUESSES);
  rig_free (f.rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/birthday/guesses-in-rounds-that-never-repeat-a-port", test_attempt);
  g_test_add_func ("/path/birthday/an-attempt-has-its-limits", test_limits);
  g_test_add_func ("/path/birthday/a-hit-becomes-the-path-and-the-peer-is-told", test_hit);
  g_test_add_func ("/path/birthday/the-first-hit-wins", test_late_pong);
  g_test_add_func ("/path/birthday/ports-that-lie-together-are-guessed-together", test_block);
  g_test_add_func ("/path/birthday/an-easy-nat-is-not-guessed-at", test_easy);
  g_test_add_func ("/path/birthday/ends-when-the-sockets-change", test_rebind);
  g_test_add_func ("/path/birthday/all-guesses-of-a-peer-are-pinged", test_many_candidates);
  return g_test_run ();
}
