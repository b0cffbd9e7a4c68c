/* Ports that the router lets through: spec/path-finding.md §9, §18. */
#include "fixture.h"

#include "path/portmap.h"

#include "base/bytes.h"

#include <string.h>

#define GATEWAY "192.168.1.1:5351"
#define OUTSIDE 0xcb007132u /* 203.0.113.50 */

typedef struct
{
  Rig *rig;
  RigPeer *peer;
  uint32_t relay;
  bool pmp;
  bool pcp;
  uint32_t epoch_s;  /* of the router's clock at the start of the test */
  unsigned refusals; /* requests for a mapping still to be refused */
  unsigned maps;     /* requests for a mapping */
  unsigned deletes;
  unsigned probes;
  guint seen; /* actions looked at */
} Router;

static void
answer (Router *r, uint32_t side, const uint8_t *bytes, size_t size)
{
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};

  event.datagram.data = bytes;
  event.datagram.size = size;
  event.datagram.source = rig_address (GATEWAY);
  event.datagram.side = side;
  rig_input (r->rig, &event);
}

static uint32_t
epoch (const Router *r)
{
  return r->epoch_s + (uint32_t)((r->rig->now - START) / SECOND);
}

static void
answer_pmp (Router *r, uint32_t side, const uint8_t *request, size_t size)
{
  uint8_t out[16] = {0, 0x80 | request[1]};

  store_be32 (out + 4, epoch (r));
  if (size == 2) {
    r->probes++;
    store_be32 (out + 8, OUTSIDE);
    answer (r, side, out, 12);
    return;
  }
  if (load_be32 (request + 8) == 0) {
    r->deletes++;
    return;
  }
  r->maps++;
  memcpy (out + 8, request + 4, 8);
  if (r->refusals > 0) {
    r->refusals--;
    out[3] = 4;
    answer (r, side, out, 8);
    return;
  }
  answer (r, side, out, 16);
}

static void
answer_pcp (Router *r, uint32_t side, const uint8_t *request, size_t size)
{
  uint8_t out[60] = {2, 0x80 | request[1]};

  store_be32 (out + 8, epoch (r));
  if (size == 24) {
    answer (r, side, out, 24);
    return;
  }
  r->maps++;
  store_be32 (out + 4, load_be32 (request + 4));
  memcpy (out + 24, request + 24, 36);
  store_be16 (out + 42, 50000);
  store_be32 (out + 56, OUTSIDE);
  answer (r, side, out, 60);
}

/* Answers what was asked since the last time. */
static void
serve (Router *r)
{
  IpPort gateway = rig_address (GATEWAY);

  for (; r->seen < r->rig->actions->len; r->seen++) {
    PathAction a = g_array_index (r->rig->actions, PathAction, r->seen);
    if (a.type != PATH_ACTION_SEND_UDP || !ip_port_equal (&a.send_udp.destination, &gateway))
      continue;
    g_assert_cmpuint (a.send_udp.side, !=, 0);
    if (a.send_udp.data[0] == 0 && r->pmp)
      answer_pmp (r, a.send_udp.side, a.send_udp.data, a.send_udp.size);
    else if (a.send_udp.data[0] == 2 && r->pcp)
      answer_pcp (r, a.send_udp.side, a.send_udp.data, a.send_udp.size);
  }
}

static void
run (Router *r, int64_t span_us)
{
  for (int64_t left = span_us; left > 0; left -= 10 * MSEC) {
    serve (r);
    rig_run (r->rig, 10 * MSEC);
  }
  serve (r);
}

static void
set_link (Rig *rig, const char *gateway)
{
  PathAddress address = {.interface = "eth0", .default_route = true};
  PathEvent event = {.type = PATH_EVENT_LINK};

  g_assert_true (ip_prefix_parse ("192.168.1.20/24", 15, &address.prefix));
  event.link.link = (PathLink){.addresses = &address, .n_addresses = 1, .up = true};
  if (gateway)
    event.link.link.gateway4 = rig_address (gateway).addr;
  rig_input (rig, &event);
}

static Router
router_new (bool pmp, bool pcp)
{
  static const unsigned one_region[] = {1};
  Router r = {.rig = rig_new (), .pmp = pmp, .pcp = pcp, .epoch_s = 1000};

  set_link (r.rig, GATEWAY);
  rig_set_map (r.rig, rig_map (one_region, 1));
  r.peer = rig_add_peer (r.rig, PEER_AT, 1);
  rig_tell_peers (r.rig);
  return r;
}

static const Endpoint *
mapped_endpoint (const Rig *rig)
{
  const PathAction *action = rig_last (rig, PATH_ACTION_ENDPOINTS);

  for (size_t i = 0; action && i < action->endpoints.count; i++)
    if (action->endpoints.list[i].type == ENDPOINT_PORTMAPPED)
      return &action->endpoints.list[i];
  return NULL;
}

static void
test_pmp (void)
{
  Router r = router_new (true, false);

  run (&r, SECOND);
  const Endpoint *endpoint = mapped_endpoint (r.rig);
  g_assert_nonnull (endpoint);
  g_assert_cmpuint (ip_v4 (&endpoint->at.addr), ==, OUTSIDE);
  g_assert_cmpuint (endpoint->at.port, ==, 41641);
  g_assert_cmpuint (r.maps, ==, 1);
  const PathAction *info = rig_last (r.rig, PATH_ACTION_NET_INFO);
  g_assert_true (info->net_info.report->port_mapped);
  g_assert_cmpint (info->net_info.report->pmp, ==, TRISTATE_TRUE);
  rig_free (r.rig);
}

static void
test_pcp (void)
{
  Router r = router_new (false, true);

  run (&r, SECOND);
  const Endpoint *endpoint = mapped_endpoint (r.rig);
  g_assert_nonnull (endpoint);
  g_assert_cmpuint (ip_v4 (&endpoint->at.addr), ==, OUTSIDE);
  g_assert_cmpuint (endpoint->at.port, ==, 50000);
  rig_free (r.rig);
}

static void
test_renewal (void)
{
  Router r = router_new (true, false);

  run (&r, SECOND);
  for (int i = 0; i < 5 * 7300; i++) {
    serve (&r);
    rig_run (r.rig, 200 * MSEC);
  }
  g_assert_cmpuint (r.maps, ==, 3); /* at half of two hours */
  r.pmp = false;                    /* the router is gone */
  rig_clear (r.rig);
  r.seen = 0;
  for (int i = 0; i < 8; i++)
    rig_run (r.rig, 900 * SECOND);
  const PathAction *info = rig_last (r.rig, PATH_ACTION_NET_INFO);
  g_assert_nonnull (info);
  g_assert_false (info->net_info.report->port_mapped);
  rig_free (r.rig);
}

static void
test_router_restarted (void)
{
  Router r = router_new (true, false);

  run (&r, SECOND);
  r.epoch_s = 0;
  for (int i = 0; i < 120; i++) {
    rig_sent (r.rig, r.peer);
    run (&r, SECOND);
  }
  g_assert_cmpuint (r.maps, ==, 2);
  rig_free (r.rig);
}

static void
test_refusal (void)
{
  Router r = router_new (true, false);

  r.refusals = 1;
  run (&r, SECOND);
  const Endpoint *endpoint = mapped_endpoint (r.rig);
  g_assert_nonnull (endpoint);
  g_assert_cmpuint (endpoint->at.port, !=, 41641);
  g_assert_cmpuint (endpoint->at.port, >=, 1024);
  rig_free (r.rig);
}

static unsigned
asked (Router *r, int64_t span_us)
{
  IpPort gateway = rig_address (GATEWAY);
  unsigned n = 0;

  rig_clear (r->rig);
  for (int64_t left = span_us; left > 0; left -= SECOND) {
    rig_sent (r->rig, r->peer);
    rig_run (r->rig, SECOND);
  }
  for (guint i = 0; i < r->rig->actions->len; i++) {
    const PathAction *a = &g_array_index (r->rig->actions, PathAction, i);
    n += a->type == PATH_ACTION_SEND_UDP && ip_port_equal (&a->send_udp.destination, &gateway);
  }
  return n;
}

static void
test_absent (void)
{
  Router r = router_new (false, false);

  g_assert_cmpuint (asked (&r, 5 * SECOND), <=, 6);
  g_assert_cmpuint (asked (&r, 1800 * SECOND), <=, 6 * 8); /* 1, 2, 4, 8, 10, 10 … minutes */
  rig_free (r.rig);
}

static void
test_given_back (void)
{
  Router r = router_new (true, false);
  PathEvent event = {.type = PATH_EVENT_SOCKETS};

  run (&r, SECOND);
  event.sockets.port4 = event.sockets.port6 = 50001;
  rig_input (r.rig, &event);
  run (&r, SECOND);
  g_assert_cmpuint (r.deletes, ==, 1);
  g_assert_cmpuint (r.maps, ==, 2);
  g_assert_cmpuint (mapped_endpoint (r.rig)->at.port, ==, 50001);
  /* another network: nothing is asked of a router that is gone */
  set_link (r.rig, NULL);
  run (&r, SECOND);
  g_assert_cmpuint (r.deletes, ==, 1);
  g_assert_false (rig_last (r.rig, PATH_ACTION_NET_INFO)->net_info.report->port_mapped);
  rig_free (r.rig);
}

static void
test_strangers (void)
{
  Router r = router_new (false, false);
  uint8_t out[12] = {0, 0x80};
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};

  rig_run (r.rig, 100 * MSEC);
  const PathAction *open = rig_last (r.rig, PATH_ACTION_SIDE_OPEN);
  g_assert_true (open->side_open.raw);
  store_be32 (out + 8, OUTSIDE);
  event.datagram.data = out;
  event.datagram.size = sizeof out;
  event.datagram.source = rig_address ("192.168.1.66:5351");
  event.datagram.side = open->side_open.first;
  rig_clear (r.rig);
  rig_input (r.rig, &event);
  event.datagram.source = rig_address ("192.168.1.1:5352");
  rig_input (r.rig, &event);
  g_assert_cmpuint (r.rig->actions->len, ==, 0);
  rig_free (r.rig);
}

static void
test_vectors (void)
{
  uint8_t out[PORTMAP_REQUEST_MAX], expected[PORTMAP_REQUEST_MAX];
  IpAddr own = rig_address ("192.168.1.20:1").addr;
  PcpMap map = {.own = own, .internal = 41641, .lifetime_s = 7200};
  PortmapAnswer a;

  g_assert_cmpuint (portmap_encode_pmp_address (out), ==, 2);
  g_assert_true (hex_decode ("00010000a2a9a2a900001c20", 24, expected, 12));
  g_assert_cmpmem (out, portmap_encode_pmp_map (41641, 41641, 7200, out), expected, 12);
  g_assert_true (hex_decode ("020000000000000000000000000000000000ffffc0a80114", 48, expected, 24));
  g_assert_cmpmem (out, portmap_encode_pcp_announce (&own, out), expected, 24);
  g_assert_true (hex_decode ("0201000000001c2000000000000000000000ffffc0a80114"
                             "00000000000000000000000011000000a2a9000000000000000000000000ffff"
                             "00000000",
                             120, expected, 60));
  g_assert_cmpmem (out, portmap_encode_pcp_map (&map, out), expected, 60);
  g_assert_true (hex_decode ("008100000000075ca2a9a2a900001c20", 32, expected, 16));
  g_assert_true (portmap_parse (expected, 16, &a));
  g_assert_cmpint (a.type, ==, PORTMAP_PMP_MAP);
  g_assert_cmpuint (a.epoch_s, ==, 0x75c);
  g_assert_cmpuint (a.external, ==, 41641);
  g_assert_cmpuint (a.lifetime_s, ==, 7200);
  g_assert_false (portmap_parse (expected, 15, &a));
  g_assert_true (hex_decode ("0281000000001c200000075d000000000000000000000000"
                             "00000000000000000000000011000000a2aba2ab00000000000000000000ffff"
                             "14000102",
                             120, expected, 60));
  g_assert_true (portmap_parse (expected, 60, &a));
  g_assert_cmpint (a.type, ==, PORTMAP_PCP_MAP);
  g_assert_cmpuint (a.external, ==, 41643);
  g_assert_cmpuint (ip_v4 (&a.address), ==, 0x14000102);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/portmap/packets-are-as-specified", test_vectors);
  g_test_add_func ("/path/portmap/a-port-by-nat-pmp-is-advertised", test_pmp);
  g_test_add_func ("/path/portmap/pcp-is-used-where-it-is-alone", test_pcp);
  g_test_add_func ("/path/portmap/renews-at-half-time-and-withdraws-what-ended", test_renewal);
  g_test_add_func ("/path/portmap/asks-anew-when-the-router-restarted", test_router_restarted);
  g_test_add_func ("/path/portmap/a-refused-port-is-replaced", test_refusal);
  g_test_add_func ("/path/portmap/a-router-without-services-is-seldom-asked", test_absent);
  g_test_add_func ("/path/portmap/another-port-gives-the-old-one-back", test_given_back);
  g_test_add_func ("/path/portmap/only-the-router-is-believed", test_strangers);
  return g_test_run ();
}
