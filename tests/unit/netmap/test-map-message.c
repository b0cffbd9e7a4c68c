#include "sample.h"

#include "base/random.h"

#include <malloc.h>

/* spec/live-peers.md (d): the first message of a self-hosted server, trimmed. */
static const char live_first[]
    = "{\"Node\":{\"ID\":2,\"StableID\":\"2\",\"Name\":\"pyc.lab.test.\",\"User\":1,\"Key\":"
      "\"nodekey:"
      "0885d005acecc20c7a578397793c175a334ec980251050d7334fb2dedf63ec11\",\"Machine\":\"mkey:"
      "1ff1ebf2bed58f21f4f50a52c280edf617d15b64c3c3a80a9ae1ddec86f20d09\",\"DiscoKey\":\"discokey:"
      "4e6dd52e4c0792aa8c996ea5fc6ab34a8358568bfd8ddd904e52c1cc0e0f3d6f\",\"Addresses\":["
      "\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"],\"AllowedIPs\":[\"100.64.0.2/32\","
      "\"fd7a:115c:a1e0::2/128\"],\"Hostinfo\":{\"IPNVersion\":\"0.1.0-warren\",\"OS\":\"linux\","
      "\"Desktop\":true,\"Hostname\":\"pyc\"},\"Created\":\"2026-11-23T04:06:35.862719005Z\","
      "\"Cap\":131,"
      "\"Online\":true,\"MachineAuthorized\":true,\"CapMap\":{\"default-auto-update\":[false],"
      "\"https://tailscale.com/cap/file-sharing\":[],\"https://tailscale.com/cap/is-admin\":[]}},"
      "\"DERPMap\":{\"Regions\":{\"900\":{\"RegionID\":900,\"RegionCode\":\"lab\",\"RegionName\":"
      "\"Lab\","
      "\"Nodes\":[{\"Name\":\"900a\",\"RegionID\":900,\"HostName\":\"derp.lab\",\"IPv4\":\"203.0."
      "113.1\","
      "\"IPv6\":\"none\",\"STUNPort\":3478,\"DERPPort\":443,\"InsecureForTests\":true}]}}},"
      "\"Peers\":[{\"ID\":1,"
      "\"StableID\":\"1\",\"Name\":\"a.lab.test.\",\"User\":1,\"Key\":\"nodekey:"
      "eb35f25108a2f9ead60e370f9556213976de539a341cb7ab90e79d7df03f9a41\",\"Addresses\":["
      "\"100.64.0.1/32\"],\"AllowedIPs\":[\"0.0.0.0/0\",\"100.64.0.1/32\",\"192.168.77.0/24\",\"::/"
      "0\"],"
      "\"PrimaryRoutes\":[\"192.168.77.0/24\"],\"Tags\":[\"tag:srv\"],\"Endpoints\":["
      "\"203.0.113.11:35478\"],\"HomeDERP\":900,\"Hostinfo\":{\"OS\":\"linux\",\"Services\":[{"
      "\"Proto\":"
      "\"peerapi4\",\"Port\":58436},{\"Proto\":\"peerapi6\",\"Port\":59780},{\"Proto\":\"peerapi-"
      "dns-proxy\","
      "\"Port\":1}],\"NetInfo\":{\"PreferredDERP\":900,\"DERPLatency\":{\"900-v4\":0.000504177}}},"
      "\"Cap\":131,"
      "\"Online\":true,\"MachineAuthorized\":true}],\"DNSConfig\":{\"Routes\":{"
      "\"0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa\":[],\"64.100.in-addr.arpa\":[]},\"Domains\":[\"lab."
      "test\"],"
      "\"Proxied\":true},\"Domain\":\"203.0.113.1\",\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*"
      "\"],"
      "\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]},\"UserProfiles\":[{"
      "\"ID\":1,"
      "\"LoginName\":\"lab\",\"DisplayName\":\"lab\"}],\"ControlTime\":\"2026-11-23T04:06:56."
      "277599128Z\"}\n";

static void
test_live (void)
{
  Netmap *map = apply_at (NULL, live_first, "2026-11-23T04:06:57Z", NULL);
  const Node *peer = netmap_peer (map, 1), *self = netmap_self (map);
  IpAddr addr = node_address (peer, 4), expected = ip_from_v4 (0x64400001);

  g_assert_cmpint (self->created.nanos, ==, 862719005);
  g_assert_cmpstr (node_cap (self, "default-auto-update")->values, ==, "[false]");
  g_assert_true (node_offers_exit (peer));
  g_assert_true (ip_equal (&addr, &expected));
  g_assert_cmpint (node_service_port (peer, "peerapi6"), ==, 59780);
  g_assert_cmpuint (peer->n_primary_routes, ==, 1);
  g_assert_cmpuint (netmap_dns (map)->n_routes, ==, 2);
  g_assert_cmpuint (netmap_dns (map)->routes[0].n_servers, ==, 0);
  g_assert_cmpint (netmap_control_delta_us (map), ==, 0);
  const DerpNode *relay = &derp_map_region (netmap_derp_map (map), 900)->nodes[0];
  g_assert_true (relay->no_ipv6 && relay->insecure_for_tests && !relay->no_ipv4);
  netmap_unref (map);
}

static char *
encode (const MapMessage *m)
{
  JsonWriter w;

  json_writer_init (&w);
  map_message_encode (m, &w);
  return json_writer_take (&w, NULL);
}

static void
test_pieces (void)
{
  MapMessage *whole = message (live_first);
  g_autofree char *expected = encode (whole);
  MapDecoder *d = map_decoder_new ();
  SeededRandom random;

  seeded_random_init (&random, 9);
  for (int round = 0; round < 60; round++) {
    for (size_t at = 0; at < strlen (live_first);) {
      size_t n = 1 + random_below (&random.base, round % 2 ? 7 : 900);
      n = MIN (n, strlen (live_first) - at);
      g_autofree char *piece = g_memdup2 (live_first + at, n);
      g_assert_true (map_decoder_feed (d, piece, n));
      at += n;
    }
    MapMessage *m = map_decoder_finish (d);
    g_assert_nonnull (m);
    g_autofree char *text = encode (m);
    g_assert_cmpstr (text, ==, expected);
    map_message_free (m);
  }
  map_decoder_free (d);
  map_message_free (whole);
}

static void
test_refuses (void)
{
  static const char *const bad[] = {"",
                                    "[]",
                                    "{",
                                    "{\"Node\":[]}",
                                    "{\"Node\":{\"ID\":\"x\"}}",
                                    "{\"Peers\":{}}",
                                    "{\"Peers\":[1]}",
                                    "{\"PacketFilters\":{\"base\":7}}",
                                    "{\"PacketFilters\":[]}",
                                    "{\"PeersRemoved\":[1.5]}",
                                    "{\"KeepAlive\":1}",
                                    "{\"Node\":{}}}",
                                    "{\"Peers\":[{\"ID\":1,\"CapMap\":{\"x\":1}}]}",
                                    "{\"DERPMap\":{\"Regions\":[]}}"};
  MapDecoder *d = map_decoder_new ();

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_test_message ("%s", bad[i]);
    map_decoder_feed (d, bad[i], strlen (bad[i]));
    g_assert_null (map_decoder_finish (d));
    g_assert_nonnull (map_decoder_error (d));
    /* The next message is none the worse. */
    g_assert_true (map_decoder_feed (d, "{}", 2));
    MapMessage *m = map_decoder_finish (d);
    g_assert_nonnull (m);
    map_message_free (m);
  }
  map_decoder_free (d);
}

static void
test_session_members (void)
{
  MapMessage *m = message (
      "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":\"https://c/"
      "p\",\"Types\":\"disco,TSMP\",\"IP\":"
      "\"100.64.0.4\",\"Payload\":\"AQI=\"},\"PopBrowserURL\":\"https://x\",\"ControlTime\":"
      "\"2026-11-22T10:00:00+01:00\",\"ControlDialPlan\":{\"Candidates\":[{\"IP\":\"192.0.2.1\","
      "\"DialStartDelaySec\":0.5,\"Priority\":2},{\"ACEHost\":\"a\"}]},\"Debug\":{\"SleepSeconds\":"
      "10000,"
      "\"Exit\":3,\"DisableLogTail\":true},\"CollectServices\":false,\"Unknown\":[{\"x\":\"]\"}]}");

  g_assert_true (m->keep_alive);
  g_assert_cmpstr (m->ping.types, ==, "disco,TSMP");
  g_assert_cmpuint (m->ping.payload_size, ==, 2);
  g_assert_cmpint (m->ping.ip.family, ==, 4);
  g_assert_cmpstr (m->pop_browser_url, ==, "https://x");
  g_assert_cmpint (m->control_time.seconds, ==, date ("2026-11-22T09:00:00Z").seconds);
  g_assert_cmpuint (m->n_dial_plan, ==, 2);
  g_assert_cmpfloat (m->dial_plan[0].start_delay_s, ==, 0.5);
  g_assert_cmpstr (m->dial_plan[1].ace_host, ==, "a");
  g_assert_cmpfloat (m->debug_sleep_s, ==, 10000);
  g_assert_true (m->has_debug_exit);
  g_assert_cmpint (m->collect_services, ==, TRI_FALSE);
  map_message_free (m);
  m = message ("{}");
  g_assert_cmpstr (m->ping.url, ==, "");
  g_assert_cmpint (m->collect_services, ==, TRI_UNKNOWN);
  g_assert_null (m->lock);
  g_assert_true (wall_time_is_unset (m->control_time));
  map_message_free (m);
}

/* null says nothing and [] says "none", where the protocol tells them apart. */
static void
test_null_and_empty (void)
{
  MapMessage *m = message ("{\"Peers\":null,\"PacketFilter\":null,\"PacketFilters\":{\"*\":[],"
                           "\"x\":null},\"Health\":null,"
                           "\"DNSConfig\":null,\"DERPMap\":null,\"SSHPolicy\":null,\"TKAInfo\":"
                           "null,\"Node\":null,\"PeersChanged\":"
                           "[null],\"PeersChangedPatch\":[{\"NodeID\":1,\"Endpoints\":null,"
                           "\"CapMap\":null,\"Key\":null}]}");

  g_assert_null (m->packet_filter);
  g_assert_false (m->clear_filters);
  g_assert_cmpuint (m->n_filters, ==, 1);
  g_assert_null (m->filters[0].rules);
  g_assert_false (m->has_health);
  g_assert_true (!m->dns && !m->derp_map && !m->ssh_policy && !m->lock && !m->node);
  g_assert_cmpuint (m->n_peers_changed, ==, 0);
  const NodePatch *p = &m->patches[0];
  g_assert_false (p->has_endpoints || p->has_caps || p->has_key);
  map_message_free (m);
  m = message (
      "{\"PacketFilter\":[],\"PacketFilters\":{\"*\":null,\"y\":[]},\"Health\":[],\"DNSConfig\":{},"
      "\"PeersChangedPatch\":[{\"NodeID\":1,\"Endpoints\":[],\"CapMap\":{}}]}");
  g_assert_nonnull (m->packet_filter);
  g_assert_true (m->clear_filters);
  g_assert_cmpuint (m->filters[0].rules->n_rules, ==, 0);
  g_assert_true (m->has_health);
  g_assert_nonnull (m->dns);
  g_assert_true (m->patches[0].has_endpoints && m->patches[0].has_caps);
  g_autofree char *text = encode (m);
  g_assert_cmpstr (
      text, ==,
      "{\"DNSConfig\":{},\"PeersChangedPatch\":[{\"NodeID\":1,\"CapMap\":{},\"Endpoints\":[]}],"
      "\"PacketFilter\":[],\"PacketFilters\":{\"*\":null,\"y\":[]},\"Health\":[]}");
  map_message_free (m);
}

/* 10,000 peers like those of a real tailnet: what they cost, and what a delta of one costs. */
static void
test_large (void)
{
  MapDecoder *d = map_decoder_new ();
  static const char start[] = "{\"Node\":{\"ID\":1},\"Peers\":[";
  size_t fed = 0, bytes = 0;
  const Node *node;

  map_decoder_feed (d, start, strlen (start));
  struct mallinfo2 before = mallinfo2 ();
  for (int i = 2; i < 10002; i++) {
    g_autofree char *peer = g_strdup_printf (
        "%s{\"ID\":%d,\"StableID\":\"n%dCNTRL\",\"Name\":\"host-%d.tail1234.ts.net.\",\"User\":%d,"
        "\"Key\":"
        "\"nodekey:%064x\",\"Machine\":\"mkey:%064x\",\"DiscoKey\":\"discokey:%064x\","
        "\"Addresses\":["
        "\"100.64.%d.%d/32\",\"fd7a:115c:a1e0::%x/128\"],\"AllowedIPs\":[\"100.64.%d.%d/32\","
        "\"fd7a:115c:a1e0::%x/128\"],\"Endpoints\":[\"203.0.113.4:41641\",\"192.168.1.7:41641\","
        "\"[2001:db8::7]:41641\"],\"HomeDERP\":%d,\"Hostinfo\":{\"OS\":\"linux\",\"OSVersion\":"
        "\"6.1.0-25-amd64\",\"Hostname\":\"host-%d\",\"Services\":[{\"Proto\":\"peerapi4\","
        "\"Port\":58436},{"
        "\"Proto\":\"peerapi6\",\"Port\":59780}]},\"Created\":\"2026-11-23T04:06:05Z\",\"Cap\":131,"
        "\"Online\":"
        "true,\"MachineAuthorized\":true}",
        i > 2 ? "," : "", i, i, i, i % 100, (unsigned)i, (unsigned)i, (unsigned)i, i / 256, i % 256,
        (unsigned)i, i / 256, i % 256, (unsigned)i, i % 20, i);
    fed += strlen (peer);
    g_assert_true (map_decoder_feed (d, peer, strlen (peer)));
  }
  g_assert_true (map_decoder_feed (d, "]}", 2));
  MapMessage *m = map_decoder_finish (d);
  g_assert_nonnull (m);
  Netmap *map = netmap_apply (NULL, m, date ("2026-11-23T04:06:05Z"), NULL);
  map_message_free (m);
  struct mallinfo2 after = mallinfo2 ();
  for (NetmapIter iter = netmap_iter (map); (node = netmap_iter_next (&iter));)
    bytes += node->size;
  g_test_message ("%zu bytes of JSON, %zu bytes a record, %zu bytes a node in all", fed / 10000,
                  bytes / 10000, (after.uordblks - before.uordblks) / 10000);
  g_assert_cmpuint (netmap_n_peers (map), ==, 10000);
  g_assert_cmpuint (bytes / 10000, <, 1000);
  /* Sanitizers have an allocator of their own. */
  if (after.uordblks > before.uordblks)
    g_assert_cmpuint ((after.uordblks - before.uordblks) / 10000, <, 1400);

  before = mallinfo2 ();
  Netmap *next = netmap_ref (map);
  next = apply (next, "{\"PeersChangedPatch\":[{\"NodeID\":5000,\"DERPRegion\":3}]}");
  after = mallinfo2 ();
  g_test_message ("%zu bytes for a delta of one peer", after.uordblks - before.uordblks);
  g_assert_cmpint ((gssize)after.uordblks - (gssize)before.uordblks, <, 8192);
  netmap_unref (map);
  netmap_unref (next);
  map_decoder_free (d);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/map-message/reads-a-live-first-message", test_live);
  g_test_add_func ("/map-message/reads-the-same-in-any-pieces", test_pieces);
  g_test_add_func ("/map-message/refuses-what-is-none", test_refuses);
  g_test_add_func ("/map-message/session-members", test_session_members);
  g_test_add_func ("/map-message/null-and-empty-differ", test_null_and_empty);
  g_test_add_func ("/map-message/ten-thousand-peers-stay-small", test_large);
  return g_test_run ();
}
