/* The whole relay on loopback, with several workers: what clients see, and that the threads agree.
 */
#include "relay-loopback.h"

#include <pthread.h>
#include <string.h>

/* ---- what clients see ---- */

/* Every client to every one, over all pairs of workers. */
static void
test_everybody (void)
{
  enum
  {
    N = 6,
  };
  uint8_t packet[1312] = {4};
  DerpNode nodes[N];
  RelayStatus status;
  size_t arrived = 0;
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 3});
  loopback_open (&rig, nodes, N, NULL);
  for (size_t i = 0; i < N; i++)
    for (size_t j = 0; j < N; j++)
      for (size_t k = 0; k < 10; k++)
        derp_node_send (&nodes[i], &nodes[j].key, packet, sizeof packet, clock_now_us ());
  for (int64_t until = clock_now_us () + LOOPBACK_LIMIT_US;
       arrived < 10 * N * N && clock_now_us () < until;) {
    derp_nodes_pump (nodes, N, 10);
    arrived = 0;
    for (size_t i = 0; i < N; i++)
      arrived += nodes[i].packets;
  }
  g_assert_cmpuint (arrived, ==, 10 * N * N);
  relay_status (rig.relay, &status);
  g_assert_cmpuint (status.packets_in, ==, 10 * N * N);
  g_assert_cmpuint (status.packets_out, ==, 10 * N * N);
  g_assert_cmpuint (status.clients, ==, N);
  g_assert_cmpuint (status.queued_bytes, ==, 0);
  loopback_close (nodes, N);
  loopback_clear (&rig);
}

static void
test_gone (void)
{
  uint8_t disco[100] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
  DerpNode nodes[3];
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 2});
  loopback_open (&rig, nodes, 3, NULL);
  derp_node_send (&nodes[0], &nodes[1].key, "a", 1, clock_now_us ());
  WAIT_FOR (nodes, 3, nodes[1].packets == 1);
  NodePublic gone = nodes[0].key;
  derp_node_close (&nodes[0]);
  WAIT_FOR (nodes + 1, 2, nodes[1].gone == 1);
  g_assert_true (key_same (&nodes[1].last_gone, &gone));
  derp_node_send (&nodes[1], &gone, disco, sizeof disco, clock_now_us ());
  WAIT_FOR (nodes + 1, 2, nodes[1].gone == 2);
  /* Who heard nothing is told nothing. */
  g_assert_cmpuint (nodes[2].gone, ==, 0);
  loopback_close (nodes, 3);
  loopback_clear (&rig);
}

static void
test_same_key (void)
{
  uint8_t key[32];
  DerpNode nodes[3];
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 2});
  key_generate (random_system (), key);
  loopback_open (&rig, nodes, 1, key);
  loopback_open (&rig, nodes + 1, 1, key);
  loopback_open (&rig, nodes + 2, 1, NULL);
  derp_node_send (&nodes[2], &nodes[0].key, "x", 1, clock_now_us ());
  WAIT_FOR (nodes, 3, nodes[0].packets + nodes[1].packets == 1);
  g_assert_cmpuint (nodes[1].packets, ==, 1);
  /* The first speaks and gets the next one. */
  derp_node_send (&nodes[0], &nodes[2].key, "y", 1, clock_now_us ());
  WAIT_FOR (nodes, 3, nodes[2].packets == 1);
  derp_node_send (&nodes[2], &nodes[0].key, "x", 1, clock_now_us ());
  WAIT_FOR (nodes, 3, nodes[0].packets == 1);
  derp_node_close (&nodes[0]);
  for (int i = 0; i < 5; i++)
    derp_nodes_pump (nodes + 1, 2, 10);
  g_assert_cmpuint (nodes[2].gone, ==, 0);
  derp_node_send (&nodes[2], &nodes[1].key, "x", 1, clock_now_us ());
  WAIT_FOR (nodes + 1, 2, nodes[1].packets == 2);
  derp_node_close (&nodes[1]);
  WAIT_FOR (nodes + 2, 1, nodes[2].gone == 1);
  loopback_close (nodes, 3);
  loopback_clear (&rig);
}

static void
test_members (void)
{
  uint8_t key[32], other[32];
  NodePublic member;
  DerpNode nodes[2];
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.workers = 2});
  key_generate (random_system (), key);
  key_generate (random_system (), other);
  key_public (key, member.bytes);
  relay_admit (rig.relay, &member, true);
  loopback_open (&rig, nodes, 1, key);
  g_assert_true (derp_node_open (&nodes[1], rig.context, &rig.at, other));
  int64_t start = clock_now_us ();
  WAIT_FOR (nodes, 2, nodes[1].closed);
  /* Not at once, so that it does not come back at once. */
  g_assert_cmpint (clock_now_us () - start, >, 1500 * USEC_PER_MSEC);
  g_assert_false (nodes[1].up || nodes[0].closed);
  relay_admit (rig.relay, &member, false);
  WAIT_FOR (nodes, 1, nodes[0].closed);
  loopback_close (nodes, 2);
  loopback_clear (&rig);
}

/* One that reads nothing is closed, and does not keep others from theirs. */
static void
test_slow_reader (void)
{
  uint8_t packet[1312] = {4};
  DerpNode nodes[3];
  RelayStatus status;
  int64_t slowest_us = 0;
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 2});
  loopback_open (&rig, nodes, 3, NULL);
  NodePublic deaf = nodes[2].key;
  for (int64_t until = clock_now_us () + LOOPBACK_LIMIT_US; clock_now_us () < until;) {
    int64_t start = clock_now_us ();
    uint64_t had = nodes[1].packets;
    for (int i = 0; i < 50; i++)
      derp_node_send (&nodes[0], &deaf, packet, sizeof packet, start);
    derp_node_send (&nodes[0], &nodes[1].key, packet, sizeof packet, start);
    WAIT_FOR (nodes, 2, nodes[1].packets > had);
    slowest_us = MAX (slowest_us, clock_now_us () - start);
    relay_status (rig.relay, &status);
    g_assert_cmpuint (status.queued_bytes, <=, 300000);
    if (status.stalled > 0)
      break;
  }
  g_test_message ("slowest packet: %ld us", (long)slowest_us);
  g_assert_cmpuint (status.stalled, ==, 1);
  g_assert_cmpuint (status.dropped_full, >, 0);
  loopback_close (nodes, 3);
  loopback_clear (&rig);
}

static void
test_certificate (void)
{
  RelayCertificate second;
  char *error = NULL;
  DerpNode nodes[2];
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 2});
  g_assert_true (relay_certificate_make ("relay.lab", &second));
  loopback_open (&rig, nodes, 1, NULL);
  g_assert_true (relay_set_certificate (rig.relay, second.certificate_pem, second.key_pem, &error));
  /* Until every worker has it. */
  bool seen = false;
  for (int64_t until = clock_now_us () + LOOPBACK_LIMIT_US; !seen && clock_now_us () < until;) {
    loopback_open (&rig, nodes + 1, 1, NULL);
    seen = X509_cmp (tls_peer_certificate (nodes[0].tls, 0), tls_peer_certificate (nodes[1].tls, 0))
           != 0;
    derp_node_send (&nodes[0], &nodes[1].key, "x", 1, clock_now_us ());
    WAIT_FOR (nodes, 2, nodes[1].packets == 1);
    derp_node_close (&nodes[1]);
  }
  g_assert_true (seen);
  g_assert_false (
      relay_set_certificate (rig.relay, second.certificate_pem, rig.certificate.key_pem, &error));
  free (error);
  relay_certificate_clear (&second);
  loopback_close (nodes, 1);
  loopback_clear (&rig);
}

/* Two relays of one region: who is at one reaches who is at the other. */
static void
test_mesh (void)
{
  uint8_t mesh_key[32] = {7}, disco[100] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
  const char *peers[2][2] = {{NULL}};
  Loopback rigs[2];
  DerpNode nodes[2];
  NodePublic keys[2];

  for (int i = 0; i < 2; i++)
    loopback_prepare (&rigs[i]);
  for (int i = 0; i < 2; i++) {
    peers[i][0]
        = g_strdup_printf ("127.0.0.1:%u=%s", rigs[1 - i].at.port, rigs[1 - i].certificate.pin);
    loopback_start (
        &rigs[i],
        (RelayOptions){.open = true, .workers = 2, .mesh_key = mesh_key, .peers = peers[i]});
    loopback_open (&rigs[i], &nodes[i], 1, NULL);
    keys[i] = nodes[i].key;
  }
  /* The links come up by themselves, the first after a retry. */
  for (int64_t until = clock_now_us () + LOOPBACK_LIMIT_US;
       (nodes[0].packets == 0 || nodes[1].packets == 0) && clock_now_us () < until;) {
    derp_node_send (&nodes[0], &keys[1], "over", 4, clock_now_us ());
    derp_node_send (&nodes[1], &keys[0], "back", 4, clock_now_us ());
    derp_nodes_pump (nodes, 2, 50);
  }
  g_assert_cmpuint (nodes[0].packets, >, 0);
  g_assert_cmpuint (nodes[1].packets, >, 0);
  g_assert_true (key_same (&nodes[0].last_source, &keys[1]));
  g_assert_true (key_same (&nodes[1].last_source, &keys[0]));
  /* By now either relay knows the other's clients. */
  uint64_t had = nodes[0].packets;
  derp_node_send (&nodes[1], &keys[0], "back", 4, clock_now_us ());
  WAIT_FOR (nodes, 2, nodes[0].packets > had);
  /* One goes: who heard from it at the other relay is told without asking. */
  derp_node_close (&nodes[1]);
  WAIT_FOR (nodes, 1, nodes[0].gone == 1);
  g_assert_true (key_same (&nodes[0].last_gone, &keys[1]));
  for (int64_t until = clock_now_us () + LOOPBACK_LIMIT_US;
       nodes[0].gone == 1 && clock_now_us () < until;) {
    derp_node_send (&nodes[0], &keys[1], disco, sizeof disco, clock_now_us ());
    derp_nodes_pump (nodes, 1, 50);
  }
  g_assert_cmpuint (nodes[0].gone, >, 1);
  derp_node_close (&nodes[0]);
  for (int i = 0; i < 2; i++) {
    loopback_clear (&rigs[i]);
    g_free ((char *)peers[i][0]);
  }
}

/* Clients learn that it is not for good, and the rest that they have before it. */
static void
test_stop (void)
{
  DerpNode nodes[2];
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 2});
  loopback_open (&rig, nodes, 2, NULL);
  relay_free (rig.relay);
  WAIT_FOR (nodes, 2, nodes[0].closed && nodes[1].closed);
  for (int i = 0; i < 2; i++) {
    g_assert_cmpint (nodes[i].restart_us, >=, 100 * USEC_PER_MSEC);
    g_assert_cmpint (nodes[i].restart_us, <, USEC_PER_SEC);
  }
  loopback_close (nodes, 2);
  loopback_start (&rig, (RelayOptions){.open = true, .workers = 2});
  loopback_open (&rig, nodes, 2, NULL);
  loopback_close (nodes, 2);
  loopback_clear (&rig);
}

/* ---- the threads ---- */

typedef struct
{
  Loopback *rig;
  unsigned number;
  uint64_t packets;
} Crowd;

/* Comes and goes, with keys of its own and one that all share, and talks to its own and the shared.
 */
static void *
be_a_crowd (void *data)
{
  enum
  {
    N = 4,
  };
  Crowd *crowd = data;
  uint8_t shared[32] = {8}, packet[1312] = {4};
  char *error = NULL;
  TlsContext *context = tls_client_context_new (NULL, &error);

  for (int round = 0; round < 4; round++) {
    DerpNode nodes[N];
    for (size_t i = 0; i < N; i++)
      g_assert_true (derp_node_open (&nodes[i], context, &crowd->rig->at, i == 0 ? shared : NULL));
    WAIT_FOR (nodes, N, loopback_all_up (nodes, N));
    for (int64_t until = clock_now_us () + 300 * USEC_PER_MSEC; clock_now_us () < until;) {
      for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < 30; k++)
          derp_node_send (&nodes[i], &nodes[k % N].key, packet, 1 + (k * 97) % sizeof packet,
                          clock_now_us ());
      derp_nodes_pump (nodes, N, 1);
    }
    for (size_t i = 0; i < N; i++) {
      crowd->packets += nodes[i].packets;
      derp_node_close (&nodes[i]);
    }
  }
  tls_context_free (context);
  return NULL;
}

static void
test_crowds (void)
{
  enum
  {
    N = 3,
  };
  pthread_t threads[N];
  Crowd crowds[N];
  char *error = NULL;
  RelayStatus status;
  Loopback rig;

  loopback_init (&rig, (RelayOptions){.open = true, .workers = 4});
  for (unsigned i = 0; i < N; i++) {
    crowds[i] = (Crowd){.rig = &rig, .number = i};
    pthread_create (&threads[i], NULL, be_a_crowd, &crowds[i]);
  }
  for (int i = 0; i < 50; i++) {
    NodePublic key = {{(uint8_t)i}};
    relay_admit (rig.relay, &key, i % 2 == 0);
    relay_status (rig.relay, &status);
    if (i % 10 == 0)
      g_assert_true (relay_set_certificate (rig.relay, rig.certificate.certificate_pem,
                                            rig.certificate.key_pem, &error));
    g_usleep (20000);
  }
  for (unsigned i = 0; i < N; i++) {
    pthread_join (threads[i], NULL);
    g_assert_cmpuint (crowds[i].packets, >, 100);
  }
  relay_status (rig.relay, &status);
  g_assert_cmpuint (status.logins, ==, N * 4 * 4);
  loopback_clear (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relay/packets-pass-between-all-workers", test_everybody);
  g_test_add_func ("/relay/who-heard-of-one-is-told-when-it-goes", test_gone);
  g_test_add_func ("/relay/of-equal-keys-nobody-is-thrown-out", test_same_key);
  g_test_add_func ("/relay/only-members-are-served", test_members);
  g_test_add_func ("/relay/one-that-reads-nothing-is-closed-and-hurts-nobody", test_slow_reader);
  g_test_add_func ("/relay/a-new-certificate-leaves-connections-alone", test_certificate);
  g_test_add_func ("/relay/relays-of-a-region-pass-packets-on", test_mesh);
  g_test_add_func ("/relay/one-that-stops-says-when-to-come-back", test_stop);
  g_test_add_func ("/relay/crowds-come-and-go-on-four-workers", test_crowds);
  return g_test_run ();
}
