/* Netcheck alone, and what path makes of its reports: spec/path-finding.md §8. */
#include "path/netcheck-plan.h"
#include "path/netcheck-report.h"
#include "rig.h"

#include "netmap/derp-map.h"

#include <string.h>

static const unsigned five[] = {1, 2, 3, 4, 5};

typedef struct
{
  Netcheck *netcheck;
  SeededRandom random;
  DerpMap *map;
  int64_t now;
  NetcheckReport *report;
  int64_t latency[8]; /* of region, 0: silent */
  IpPort mapped;
  bool per_server;
  GArray *answers;
  unsigned sent[8]; /* STUN requests to region */
  GArray *slow;     /* NetcheckAction */
} Lab;

typedef struct
{
  int64_t due_us;
  IpPort server;
  uint8_t bytes[STUN_RESPONSE_MAX];
  size_t size;
} Answer;

static Lab *
lab_new (const unsigned *ids, size_t n)
{
  Lab *lab = g_new0 (Lab, 1);

  seeded_random_init (&lab->random, 3);
  lab->netcheck = netcheck_new (&lab->random.base);
  lab->map = rig_map (ids, n);
  lab->now = START;
  lab->mapped = rig_address ("203.0.113.1:41641");
  lab->answers = g_array_new (FALSE, TRUE, sizeof (Answer));
  lab->slow = g_array_new (FALSE, TRUE, sizeof (NetcheckAction));
  return lab;
}

static void
lab_free (Lab *lab)
{
  netcheck_free (lab->netcheck);
  netcheck_report_free (lab->report);
  derp_map_unref (lab->map);
  g_array_unref (lab->answers);
  g_array_unref (lab->slow);
  g_free (lab);
}

static void
on_send (Lab *lab, const NetcheckAction *action)
{
  unsigned region = action->send.destination.addr.bytes[3];
  Answer answer = {.due_us = lab->now + lab->latency[region], .server = action->send.destination};
  IpPort mapped = lab->mapped;
  StunTxId tx_id;

  lab->sent[region]++;
  g_assert_true (stun_parse_request (action->send.request, STUN_REQUEST_SIZE, &tx_id));
  if (lab->per_server)
    mapped.port += region;
  answer.size = stun_encode_response (&tx_id, &mapped, answer.bytes);
  if (lab->latency[region] > 0)
    g_array_append_val (lab->answers, answer);
}

static void
drain (Lab *lab)
{
  NetcheckAction action;

  while (netcheck_next_action (lab->netcheck, &action)) {
    if (action.type == NETCHECK_ACTION_SEND)
      on_send (lab, &action);
    else if (action.type == NETCHECK_ACTION_REPORT)
      lab->report = action.report;
    else
      g_array_append_val (lab->slow, action);
  }
}

static void
step (Lab *lab)
{
  int64_t due = netcheck_next_deadline (lab->netcheck);
  guint next = G_MAXUINT;

  for (guint i = 0; i < lab->answers->len; i++)
    if (g_array_index (lab->answers, Answer, i).due_us <= due) {
      due = g_array_index (lab->answers, Answer, i).due_us;
      next = i;
    }
  g_assert_cmpint (due, <, TIME_NEVER);
  lab->now = MAX (lab->now, due);
  if (next == G_MAXUINT) {
    netcheck_tick (lab->netcheck, lab->now);
  } else {
    Answer a = g_array_index (lab->answers, Answer, next);
    g_array_remove_index (lab->answers, next);
    netcheck_stun (lab->netcheck, a.bytes, a.size, &a.server, lab->now);
  }
  drain (lab);
}

/* Starts a run, after LAST when FULL is not set, and lets it end. */
static void
run (Lab *lab, bool full, uint16_t home)
{
  NetcheckReport *last = lab->report;
  NetcheckRequest request = {.map = lab->map,
                             .last = full ? NULL : last,
                             .home_region = home,
                             .full = full,
                             .have4 = true,
                             .os_has_ipv6 = true};

  lab->report = NULL;
  memset (lab->sent, 0, sizeof lab->sent);
  g_array_set_size (lab->answers, 0);
  g_array_set_size (lab->slow, 0);
  netcheck_start (lab->netcheck, &request, lab->now);
  drain (lab);
  while (!lab->report && lab->slow->len == 0)
    step (lab);
  netcheck_report_free (last);
}

static void
test_full (void)
{
  Lab *lab = lab_new (five, 5);

  for (int i = 1; i <= 5; i++)
    lab->latency[i] = i * 10 * MSEC;
  run (lab, true, 0);
  g_assert_true (lab->report->udp && lab->report->ipv4 && lab->report->ipv4_can_send);
  g_assert_false (lab->report->ipv6);
  g_assert_cmpint (netcheck_report_region (lab->report, 1)->latency_us, ==, 10 * MSEC);
  g_assert_cmpint (netcheck_report_region (lab->report, 1)->latency4_us, ==, 10 * MSEC);
  g_assert_cmpint (lab->report->mapping_varies, ==, TRISTATE_FALSE);
  g_assert_true (ip_port_equal (&lab->report->global4, &lab->mapped));
  g_assert_cmpuint (lab->sent[1], ==, 1); /* the first answer ends the set */
  g_assert_cmpint (lab->now - START, <=, 100 * MSEC);
  lab_free (lab);
}

static void
test_one_region (void)
{
  static const unsigned one[] = {7};
  Lab *lab = lab_new (one, 1);

  lab->latency[7] = MSEC;
  run (lab, true, 0);
  g_assert_cmpint (lab->now - START, ==, MSEC); /* nothing is waited for */
  g_assert_cmpint (lab->report->mapping_varies, ==, TRISTATE_UNSET);
  lab_free (lab);
}

static void
test_hard_nat (void)
{
  Lab *lab = lab_new (five, 3);

  lab->per_server = true;
  for (int i = 1; i <= 3; i++)
    lab->latency[i] = i * 10 * MSEC;
  run (lab, true, 0);
  g_assert_cmpint (lab->report->mapping_varies, ==, TRISTATE_TRUE);
  g_assert_cmpuint (lab->report->n_mapped4, ==, 3);
  g_assert_cmpuint (lab->report->mapped4[0].seen, ==, 1);
  lab_free (lab);
}

static void
test_incremental (void)
{
  Lab *lab = lab_new (five, 5);

  for (int i = 1; i <= 5; i++)
    lab->latency[i] = i * 10 * MSEC;
  run (lab, true, 0);
  /* home is the slowest; it is asked all the same, and three others at most */
  for (int i = 1; i <= 5; i++)
    lab->latency[i] = 0;
  int64_t start = lab->now;
  run (lab, false, 5);
  g_assert_cmpuint (lab->sent[1], ==, 2);
  g_assert_cmpuint (lab->sent[2], ==, 2);
  g_assert_cmpuint (lab->sent[3], ==, 1);
  g_assert_cmpuint (lab->sent[4], ==, 0);
  g_assert_cmpuint (lab->sent[5], ==, 4);
  /* no answer at all: three seconds, then HTTPS for every region */
  g_assert_cmpint (lab->now - start, ==, NETCHECK_STUN_US);
  unsigned https = 0, icmp = 0;
  for (guint i = 0; i < lab->slow->len; i++) {
    const NetcheckAction *a = &g_array_index (lab->slow, NetcheckAction, i);
    https += a->type == NETCHECK_ACTION_HTTPS;
    icmp += a->type == NETCHECK_ACTION_ICMP;
  }
  g_assert_cmpuint (https, ==, 5);
  g_assert_cmpuint (icmp, ==, 5);
  while (!lab->report)
    step (lab);
  g_assert_cmpint (lab->now - start, ==, NETCHECK_TOTAL_US);
  g_assert_false (lab->report->udp);
  lab_free (lab);
}

static void
test_https (void)
{
  Lab *lab = lab_new (five, 2);

  run (lab, true, 0);
  for (guint i = 0; i < lab->slow->len; i++) {
    const NetcheckAction *a = &g_array_index (lab->slow, NetcheckAction, i);
    if (a->type == NETCHECK_ACTION_HTTPS)
      netcheck_https_latency (lab->netcheck, a->https.probe,
                              a->https.region == 1 ? 30 * MSEC : NETCHECK_NO_LATENCY, false,
                              lab->now);
    else
      netcheck_icmp_latency (lab->netcheck, a->icmp.probe, NETCHECK_NO_LATENCY, lab->now);
  }
  drain (lab);
  g_assert_nonnull (lab->report);
  g_assert_cmpint (netcheck_report_region (lab->report, 1)->latency_us, ==, 30 * MSEC);
  g_assert_null (netcheck_report_region (lab->report, 2));
  g_assert_false (lab->report->udp);
  g_assert_true (lab->report->ipv4);
  lab_free (lab);
}

static void
test_names (void)
{
  static const char json[]
      = "{\"Regions\":{\"1\":{\"RegionID\":1,\"RegionCode\":\"a\",\"Nodes\":[{\"Name\":\"1a\","
        "\"RegionID\":1,\"HostName\":\"derp.test\"}]}}}";
  Lab *lab = lab_new (five, 1);
  JsonReader r;
  NetcheckRequest request = {.full = true, .have4 = true, .have6 = true};
  IpAddr addr = rig_address ("198.51.100.6:1").addr;

  derp_map_unref (lab->map);
  json_reader_init (&r, json, strlen (json));
  lab->map = derp_map_decode (&r);
  json_reader_clear (&r);
  request.map = lab->map;
  lab->latency[6] = 5 * MSEC;
  netcheck_start (lab->netcheck, &request, lab->now);
  drain (lab);
  g_assert_cmpuint (lab->slow->len, ==, 1); /* asked once for both families */
  const NetcheckAction *a = &g_array_index (lab->slow, NetcheckAction, 0);
  g_assert_cmpint (a->type, ==, NETCHECK_ACTION_RESOLVE);
  g_assert_cmpint (netcheck_next_deadline (lab->netcheck), >, lab->now);
  lab->now += 300 * MSEC;
  netcheck_resolved (lab->netcheck, a->resolve.query, &addr, 1, lab->now);
  drain (lab);
  g_assert_cmpuint (lab->sent[6], ==, 3);
  while (!lab->report)
    step (lab);
  g_assert_cmpint (netcheck_report_region (lab->report, 1)->latency_us, ==, 5 * MSEC);
  lab_free (lab);
}

static void
test_strays (void)
{
  Lab *lab = lab_new (five, 1);
  NetcheckRequest request = {.map = lab->map, .full = true, .have4 = true};
  NetcheckAction action;
  StunTxId tx_id;
  uint8_t answer[STUN_RESPONSE_MAX];

  netcheck_start (lab->netcheck, &request, lab->now);
  g_assert_true (netcheck_next_action (lab->netcheck, &action));
  stun_parse_request (action.send.request, STUN_REQUEST_SIZE, &tx_id);
  size_t n = stun_encode_response (&tx_id, &lab->mapped, answer);
  IpPort elsewhere = rig_address ("198.51.100.77:3478");
  g_assert_false (netcheck_stun (lab->netcheck, answer, n, &elsewhere, lab->now));
  answer[19] ^= 1;
  g_assert_false (netcheck_stun (lab->netcheck, answer, n, &action.send.destination, lab->now));
  answer[19] ^= 1;
  g_assert_true (netcheck_stun (lab->netcheck, answer, n, &action.send.destination, lab->now));
  g_assert_false (netcheck_stun (lab->netcheck, answer, n, &action.send.destination, lab->now));
  drain (lab);
  lab_free (lab);
}

/* ---- through path ---- */

static void
test_net_info (void)
{
  Rig *rig = rig_new ();
  const PathAction *info;

  rig_set_map (rig, rig_map (five, 5));
  RigPeer *peer = rig_add_peer (rig, NULL, 1);
  rig_tell_peers (rig);
  rig_run (rig, SECOND);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_NET_INFO), ==, 1);
  info = rig_last (rig, PATH_ACTION_NET_INFO);
  g_assert_cmpint (info->net_info.home_region, !=, 0);
  g_assert_true (info->net_info.report->udp);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_ENDPOINTS), ==, 1);
  const PathAction *endpoints = rig_last (rig, PATH_ACTION_ENDPOINTS);
  g_assert_cmpuint (endpoints->endpoints.count, ==, 2);
  g_assert_cmpint (endpoints->endpoints.list[0].type, ==, ENDPOINT_STUN);
  rig_relay_up (rig);
  rig_clear (rig);
  /* other latencies are not worth a message; a mapping that varies is */
  rig->stun_latency = 12 * MSEC;
  rig_run_sending (rig, peer, 60 * SECOND);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_NET_INFO), ==, 0);
  rig->reflexive_per_server = true;
  rig_run_sending (rig, peer, 60 * SECOND);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_NET_INFO), ==, 1);
  rig_free (rig);
}

static void
test_period (void)
{
  Rig *rig = rig_new ();
  unsigned stun = 0;

  rig_set_map (rig, rig_map (five, 1));
  RigPeer *peer = rig_add_peer (rig, NULL, 1);
  rig_tell_peers (rig);
  rig_run (rig, SECOND);
  rig_clear (rig);
  rig_run_sending (rig, peer, 120 * SECOND);
  for (guint i = 0; i < rig->actions->len; i++) {
    const PathAction *a = &g_array_index (rig->actions, PathAction, i);
    stun += a->type == PATH_ACTION_SEND_UDP && a->send_udp.size == STUN_REQUEST_SIZE;
  }
  g_assert_cmpuint (stun, >=, 4);
  g_assert_cmpuint (stun, <=, 8);
  rig_free (rig);
}

static void
test_guess (void)
{
  Rig *rig = rig_new ();
  PathEvent event = {.type = PATH_EVENT_KNOBS, .knobs = {.fixed_port = 41641}};
  const PathAction *a;

  rig->reflexive_per_server = true;
  rig_input (rig, &event);
  rig_set_map (rig, rig_map (five, 3));
  rig_run (rig, SECOND);
  a = rig_last (rig, PATH_ACTION_ENDPOINTS);
  bool guessed = false;
  for (size_t i = 0; i < a->endpoints.count; i++)
    guessed |= a->endpoints.list[i].type == ENDPOINT_STUN4_LOCAL_PORT
               && a->endpoints.list[i].at.port == 41641;
  g_assert_true (guessed);
  rig_free (rig);
}

static void
test_blocked (void)
{
  Rig *rig = rig_new ();
  RigPeer *peer;
  PathPeerStatus status;

  rig->stun_answers = false;
  rig_set_map (rig, rig_map (five, 2));
  peer = rig_add_peer (rig, "203.0.113.7:1", 2);
  rig_tell_peers (rig);
  rig_run (rig, 3500 * MSEC);
  g_assert_cmpuint (rig_count (rig, PATH_ACTION_HTTPS_PROBE), ==, 2);
  for (guint i = 0, n = rig->actions->len; i < n; i++) {
    const PathAction *a = &g_array_index (rig->actions, PathAction, i);
    if (a->type != PATH_ACTION_HTTPS_PROBE)
      continue;
    PathEvent event = {.type = PATH_EVENT_HTTPS_LATENCY};
    event.https_latency.probe = a->https_probe.probe;
    event.https_latency.latency_us = a->https_probe.node.region == 2 ? 5 * MSEC : 50 * MSEC;
    g_assert_cmpint (a->https_probe.node.port, ==, 443);
    rig_input (rig, &event);
  }
  rig_run (rig, 2 * SECOND);
  g_assert_cmpint (rig_last (rig, PATH_ACTION_NET_INFO)->net_info.home_region, ==, 2);
  rig_relay_up (rig);
  rig_sent (rig, peer);
  g_assert_cmpint (rig_destination (rig, peer).region, ==, 2);
  path_peer_status (rig->path, &peer->key, &status);
  g_assert_cmpint (status.relayed, ==, RELAYED_UDP_BLOCKED);
  rig_free (rig);
}

static void
test_command (void)
{
  Rig *rig = rig_new ();

  rig_set_map (rig, rig_map (five, 2));
  rig_run (rig, SECOND);
  rig_clear (rig);
  rig_input (rig, &(PathEvent){.type = PATH_EVENT_NETCHECK, .netcheck = 42});
  rig_run (rig, SECOND);
  const PathAction *a = rig_last (rig, PATH_ACTION_NETCHECK_RESULT);
  g_assert_nonnull (a);
  g_assert_cmpuint (a->netcheck_result.id, ==, 42);
  g_assert_true (a->netcheck_result.report->full);
  rig_free (rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/path/netcheck/" name, test)
  ADD ("full-run-asks-every-region-once", test_full);
  ADD ("one-region-ends-with-its-answer", test_one_region);
  ADD ("hard-nat-is-seen", test_hard_nat);
  ADD ("incremental-run-asks-few-and-ends-in-5-s", test_incremental);
  ADD ("https-stands-in-when-udp-is-blocked", test_https);
  ADD ("names-are-resolved-first", test_names);
  ADD ("stray-answers-do-not-count", test_strays);
  ADD ("net-info-is-told-when-it-matters", test_net_info);
  ADD ("looks-every-20-to-26-s-while-in-use", test_period);
  ADD ("guesses-the-fixed-port-behind-a-hard-nat", test_guess);
  ADD ("blocked-udp-leaves-a-home-and-a-reason", test_blocked);
  ADD ("command-gets-a-full-report", test_command);
  return g_test_run ();
}
