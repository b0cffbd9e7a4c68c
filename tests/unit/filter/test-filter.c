#include "packets.h"

#include "filter/filter.h"
#include "netmap/map-message.h"

#define SELF4 "100.64.0.9"
#define SELF6 "fd7a:115c:a1e0::9"

/* A filter of class KLASS out of a MapResponse, whose node is ours. */
static Netmap *
netmap_of (const char *json)
{
  const char *error;
  MapMessage *m = map_message_decode (json, strlen (json), &error);

  if (!m)
    g_error ("%s: %s", error, json);
  Netmap *map = netmap_apply (NULL, m, (WallTime){1795000000, 0}, NULL);
  map_message_free (m);
  return map;
}

static void
fill_config (FilterConfig *config, FilterClass klass, const Netmap *map, IpPrefix *local)
{
  IpAddr self4 = packet_addr (SELF4), self6 = packet_addr (SELF6);

  local[0] = ip_single (&self4);
  local[1] = ip_single (&self6);
  *config = (FilterConfig){.klass = klass, .local = local, .n_local = 2, .netmap = map};
  config->lists = netmap_filters (map, &config->n_lists);
}

static Filter *
compile (FilterClass klass, const Netmap *map)
{
  FilterConfig config;
  IpPrefix local[2];

  fill_config (&config, klass, map, local);
  return filter_compile (&config);
}

/* A filter of one list of RULES. */
static Filter *
filter_of (const char *rules)
{
  g_autofree char *json = g_strdup_printf ("{\"PacketFilter\":[%s]}", rules);
  Netmap *map = netmap_of (json);
  Filter *f = compile (FILTER_NORMAL, map);

  netmap_unref (map);
  return f;
}

static FilterVerdict
in (const Filter *f, FlowTable *flows, const char *line, bool jailed)
{
  IpPacket p = packet_parse (line);
  FlowTable *own = flows ? flows : flow_table_new (8);
  FilterVerdict verdict = filter_in (f, own, &p, jailed, 0);

  if (!flows)
    flow_table_free (own);
  return verdict;
}

typedef struct
{
  const char *line;
  FilterVerdict verdict;
} Row;

static void
check_rows (const Filter *f, const Row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    g_test_message ("%s", rows[i].line);
    g_assert_cmpstr (filter_verdict_name (in (f, NULL, rows[i].line, false)), ==,
                     filter_verdict_name (rows[i].verdict));
  }
}

#define RULE(srcs, dsts, more) "{\"SrcIPs\":[" srcs "],\"DstPorts\":[" dsts "]" more "}"
#define DST(ip, first, last)                                                                       \
  "{\"IP\":\"" ip "\",\"Ports\":{\"First\":" #first ",\"Last\":" #last "}}"

/* Every row of B.5 that rules decide, both families. */
static void
test_rules (void)
{
  static const Row rows[] = {
      {"tcp 100.64.0.7 1000 " SELF4 " 22 S", FILTER_ACCEPT},
      {"tcp 100.64.0.7 1000 " SELF4 " 23 S", FILTER_DROP_ACL},
      {"tcp 100.64.0.8 1000 " SELF4 " 22 S", FILTER_DROP_ACL},
      {"tcp 100.64.0.7 1000 100.64.0.10 22 S", FILTER_DROP_ACL},
      {"tcp 100.64.0.8 1000 " SELF4 " 23 SA", FILTER_ACCEPT},
      {"tcp 100.64.0.8 1000 " SELF4 " 23 A", FILTER_ACCEPT},
      {"tcp 100.64.0.8 1000 " SELF4 " 23 R", FILTER_ACCEPT},
      {"tcp 100.64.0.8 1000 100.64.0.10 23 A", FILTER_DROP_ACL},
      {"udp 100.64.0.7 1000 " SELF4 " 22", FILTER_DROP_ACL},
      {"icmp 100.64.0.7 8 " SELF4 " 0", FILTER_ACCEPT},
      {"icmp 100.64.0.8 8 " SELF4 " 0", FILTER_DROP_ACL},
      {"icmp 100.64.0.8 0 " SELF4 " 0", FILTER_ACCEPT},
      {"icmp 100.64.0.8 0 " SELF4 " 1", FILTER_DROP_ACL},
      {"icmp 100.64.0.8 3 " SELF4 " 1", FILTER_ACCEPT},
      {"icmp 100.64.0.8 11 " SELF4 " 0", FILTER_ACCEPT},
      {"icmp 100.64.0.8 12 " SELF4 " 0", FILTER_ACCEPT},
      {"icmp 100.64.0.8 18 " SELF4 " 0", FILTER_DROP_ACL},
      {"icmp 100.64.0.8 3 " SELF4 " 1 len=4", FILTER_DROP_ACL},
      {"tsmp 100.64.0.8 0 " SELF4 " 0", FILTER_ACCEPT},
      {"tsmp 100.64.0.8 0 100.64.0.10 0", FILTER_DROP_ACL},
      {"47 100.64.0.7 0 " SELF4 " 0", FILTER_DROP_ACL},
      {"icmp6 100.64.0.7 128 " SELF4 " 0", FILTER_DROP_ACL},
      {"tcp fd7a:115c:a1e0::7 1000 " SELF6 " 22 S", FILTER_ACCEPT},
      {"tcp fd7a:115c:a1e0::7 1000 " SELF6 " 21 S", FILTER_DROP_ACL},
      {"tcp fd7a:115c:a1e0::8 1000 " SELF6 " 22 S", FILTER_DROP_ACL},
      {"tcp fd7a:115c:a1e0::8 1000 " SELF6 " 22 A", FILTER_ACCEPT},
      {"icmp6 fd7a:115c:a1e0::7 128 " SELF6 " 0", FILTER_ACCEPT},
      {"icmp6 fd7a:115c:a1e0::8 128 " SELF6 " 0", FILTER_DROP_ACL},
      {"icmp6 fd7a:115c:a1e0::8 129 " SELF6 " 0", FILTER_ACCEPT},
      {"icmp6 fd7a:115c:a1e0::8 1 " SELF6 " 0", FILTER_ACCEPT},
      {"icmp6 fd7a:115c:a1e0::8 4 " SELF6 " 0", FILTER_ACCEPT},
      {"icmp6 fd7a:115c:a1e0::8 5 " SELF6 " 0", FILTER_DROP_ACL},
      {"icmp6 fd7a:115c:a1e0::8 2 " SELF6 " 0 len=7", FILTER_DROP_ACL},
      {"icmp fd7a:115c:a1e0::7 8 " SELF6 " 0", FILTER_DROP_ACL},
      /* What comes before the rules. */
      {"udp 100.64.0.7 1 224.0.0.251 5353", FILTER_DROP_MULTICAST},
      {"udp fd7a:115c:a1e0::7 1 ff02::fb 5353", FILTER_DROP_MULTICAST},
      {"udp 100.64.0.7 1 169.254.1.1 53", FILTER_DROP_LINK_LOCAL},
      {"udp fd7a:115c:a1e0::7 1 fe80::1 53", FILTER_DROP_LINK_LOCAL},
      {"udp 100.64.0.7 1 169.254.169.254 53", FILTER_DROP_ACL},
      {"udp 100.64.0.7 1 " SELF4 " 22 frag=1", FILTER_DROP_UNKNOWN_PROTOCOL},
      {"udp 100.64.0.7 1 " SELF4 " 22 frag=9", FILTER_DROP_UNKNOWN_PROTOCOL},
      {"udp 100.64.0.7 1 " SELF4 " 22 frag=10", FILTER_ACCEPT},
      {"udp 100.64.0.7 1 100.64.0.10 22 frag=10", FILTER_DROP_FRAGMENT},
      {"tcp 100.64.0.7 1 " SELF4 " 22 S frag=0", FILTER_ACCEPT},
      {"tcp fd7a:115c:a1e0::7 1 " SELF6 " 22 S frag=0", FILTER_ACCEPT},
      {"tcp fd7a:115c:a1e0::7 1 " SELF6 " 23 S frag=0", FILTER_DROP_ACL},
      {"0 fd7a:115c:a1e0::7 1 " SELF6 " 22", FILTER_DROP_UNKNOWN_PROTOCOL},
      {"43 fd7a:115c:a1e0::7 1 " SELF6 " 22", FILTER_DROP_ACL},
  };
  Filter *f = filter_of (RULE ("\"100.64.0.7\",\"fd7a:115c:a1e0::7\"",
                               DST (SELF4, 22, 22) "," DST (SELF6, 22, 22), ",\"IPProto\":[6]"));

  check_rows (f, rows, G_N_ELEMENTS (rows));
  filter_unref (f);
}

/* Checklist 26, 27, 34. */
static void
test_protocols (void)
{
  static const Row standard[] = {
      {"tcp 100.64.0.7 1 " SELF4 " 22 S", FILTER_ACCEPT},
      {"udp 100.64.0.7 1 " SELF4 " 22", FILTER_ACCEPT},
      {"icmp 100.64.0.7 8 " SELF4 " 0", FILTER_ACCEPT},
      {"icmp6 fd7a:115c:a1e0::7 128 " SELF6 " 0", FILTER_ACCEPT},
      {"sctp 100.64.0.7 1 " SELF4 " 22", FILTER_DROP_ACL},
      {"47 100.64.0.7 0 " SELF4 " 0", FILTER_DROP_ACL},
      {"icmp6 100.64.0.7 128 " SELF4 " 0", FILTER_ACCEPT},
  };
  static const Row other[] = {
      {"47 100.64.0.7 0 " SELF4 " 0", FILTER_ACCEPT},
      {"47 100.64.0.8 0 " SELF4 " 0", FILTER_DROP_ACL},
      {"43 fd7a:115c:a1e0::7 0 " SELF6 " 0", FILTER_ACCEPT},
      {"sctp 100.64.0.7 1 " SELF4 " 22", FILTER_ACCEPT},
      {"tcp 100.64.0.7 1 " SELF4 " 22 S", FILTER_DROP_ACL},
  };
  static const Row nothing[] = {
      {"tcp 100.64.0.7 1 " SELF4 " 22 S", FILTER_DROP_ACL},
      {"44 100.64.0.7 1 " SELF4 " 22", FILTER_DROP_ACL},
      {"47 100.64.0.7 0 " SELF4 " 0", FILTER_DROP_ACL},
  };
  Filter *f = filter_of (RULE ("\"*\"", DST ("*", 0, 65535), ""));
  check_rows (f, standard, G_N_ELEMENTS (standard));
  filter_unref (f);
  f = filter_of (RULE ("\"100.64.0.7\",\"fd7a:115c:a1e0::7\"", DST ("*", 0, 65535),
                       ",\"IPProto\":[47,43,132]"));
  check_rows (f, other, G_N_ELEMENTS (other));
  filter_unref (f);
  f = filter_of (RULE ("\"*\"", DST ("*", 0, 65535), ",\"IPProto\":[300]") "," RULE (
      "\"*\"", DST ("*", 1, 65535), ",\"IPProto\":[47]"));
  check_rows (f, nothing, G_N_ELEMENTS (nothing));
  filter_unref (f);
}

/* Checklist 40, 41, 42. */
static void
test_sources (void)
{
  static const struct
  {
    const char *srcs, *inside, *outside;
  } rows[] = {
      {"\"100.64.0.5-100.64.0.9\"", "100.64.0.5", "100.64.0.4"},
      {"\"100.64.0.5-100.64.0.9\"", "100.64.0.9", "100.64.0.10"},
      {"\"100.64.0.0/24\"", "100.64.0.255", "100.64.1.0"},
      {"\"0.0.0.0-255.255.255.255\"", "255.255.255.254", "fd7a::1"},
      {"\"fd7a::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\"", "fd7a::", "100.64.0.1"},
      {"\"nonsense\",\"10.0.0.1/8\",\"9-1\",\"cap\",\"10.0.0.9-10.0.0.1\",\"100.64.0.1-fd7a::1\","
       "\"100.64.0.3\"",
       "100.64.0.3", "10.0.0.1"},
      {"\"*\"", "8.8.8.8", NULL},
      {"\"100.64.0.0/32\",\"100.64.0.1\"", "100.64.0.1", "100.64.0.2"},
      {"\"100.64.0.0-100.115.91.255\"", "100.115.91.255", "100.115.92.0"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *rule = g_strdup_printf (RULE ("%s", DST ("*", 0, 65535), ""), rows[i].srcs);
    Filter *f = filter_of (rule);
    for (int k = 0; k < 2; k++) {
      const char *src = k == 0 ? rows[i].inside : rows[i].outside;
      if (!src)
        continue;
      g_autofree char *line
          = g_strdup_printf ("tcp %s 1 %s 80 S", src, strchr (src, ':') ? SELF6 : SELF4);
      g_test_message ("%s: %s", rows[i].srcs, line);
      g_assert_cmpint (in (f, NULL, line, false), ==, k == 0 ? FILTER_ACCEPT : FILTER_DROP_ACL);
    }
    filter_unref (f);
  }
}

static void
test_covering_sources (void)
{
  static const Row rows[] = {
      {"tcp 10.1.2.3 1 " SELF4 " 80 S", FILTER_ACCEPT},
      {"tcp 10.1.2.3 1 " SELF4 " 81 S", FILTER_ACCEPT},
      {"tcp 10.1.3.3 1 " SELF4 " 80 S", FILTER_ACCEPT},
      {"tcp 10.1.3.3 1 " SELF4 " 81 S", FILTER_DROP_ACL},
      {"tcp 10.1.2.3 1 " SELF4 " 82 S", FILTER_ACCEPT},
      {"tcp 11.1.2.3 1 " SELF4 " 80 S", FILTER_DROP_ACL},
      {"tcp 11.1.2.3 1 " SELF4 " 82 S", FILTER_ACCEPT},
  };
  Filter *f = filter_of (RULE ("\"10.0.0.0/8\"", DST ("*", 80, 80),
                               "") "," RULE ("\"10.1.2.0/24\",\"10.1.2.3\"", DST ("*", 81, 81),
                                             "") "," RULE ("\"*\"", DST ("*", 82, 82), ""));

  check_rows (f, rows, G_N_ELEMENTS (rows));
  filter_unref (f);
}

static void
test_destinations (void)
{
  static const Row rows[] = {
      {"tcp 100.64.0.7 1 " SELF4 " 80 S", FILTER_ACCEPT},
      {"tcp 100.64.0.7 1 " SELF4 " 90 S", FILTER_ACCEPT},
      {"tcp 100.64.0.7 1 " SELF4 " 91 S", FILTER_DROP_ACL},
      {"tcp 100.64.0.7 1 " SELF4 " 100 S", FILTER_DROP_ACL},
      {"icmp 100.64.0.7 8 " SELF4 " 0", FILTER_ACCEPT},
  };
  /* Wrong entries fall out one by one; a "cap:" is none of a destination. */
  Filter *f = filter_of (
      RULE ("\"*\"",
            DST ("100.64.0.0/24", 80, 90) "," DST ("100.64.0.9/8", 100, 100) "," DST (
                "cap:x", 100, 100) "," DST ("100.64.0.10", 100, 100) "," DST ("*", 100, 99),
            ""));

  check_rows (f, rows, G_N_ELEMENTS (rows));
  filter_unref (f);
}

static void
send_out (const Filter *f, FlowTable *flows, const char *line, int64_t now_us,
          FilterVerdict expected)
{
  IpPacket p = packet_parse (line);

  g_assert_cmpstr (filter_verdict_name (filter_out (f, flows, &p, now_us)), ==,
                   filter_verdict_name (expected));
}

/* Checklist 30, 31, 37. */
static void
test_flows (void)
{
  static const char *const pairs[][2] = {{"100.64.0.7", SELF4}, {"fd7a:115c:a1e0::7", SELF6}};
  Filter *f = filter_of (""), *other = filter_of (RULE ("\"1.2.3.4\"", DST ("*", 1, 2), ""));
  FlowTable *flows = flow_table_new (0);

  for (size_t i = 0; i < 2; i++) {
    for (int k = 0; k < 2; k++) {
      const char *protocol = k == 0 ? "udp" : "sctp";
      g_autofree char *out
          = g_strdup_printf ("%s %s 5000 %s 53", protocol, pairs[i][1], pairs[i][0]);
      g_autofree char *back
          = g_strdup_printf ("%s %s 53 %s 5000", protocol, pairs[i][0], pairs[i][1]);
      g_autofree char *port
          = g_strdup_printf ("%s %s 54 %s 5000", protocol, pairs[i][0], pairs[i][1]);
      g_autofree char *mine
          = g_strdup_printf ("%s %s 53 %s 5001", protocol, pairs[i][0], pairs[i][1]);
      g_assert_cmpint (in (f, flows, back, false), ==, FILTER_DROP_ACL);
      send_out (f, flows, out, 0, FILTER_ACCEPT);
      g_assert_cmpint (in (f, flows, back, false), ==, FILTER_ACCEPT);
      g_assert_cmpint (in (other, flows, back, false), ==, FILTER_ACCEPT);
      g_assert_cmpint (in (f, flows, port, false), ==, FILTER_DROP_ACL);
      g_assert_cmpint (in (f, flows, mine, false), ==, FILTER_DROP_ACL);
    }
  }
  send_out (f, flows, "udp " SELF4 " 1 224.0.0.1 2", 0, FILTER_DROP_MULTICAST);
  send_out (f, flows, "udp " SELF6 " 1 fe80::1 2", 0, FILTER_DROP_LINK_LOCAL);
  send_out (f, flows, "udp " SELF4 " 1 169.254.169.254 53", 0, FILTER_ACCEPT);
  send_out (f, flows, "tcp " SELF4 " 1 100.64.0.7 22 S", 0, FILTER_ACCEPT);
  send_out (f, flows, "udp " SELF4 " 1 100.64.0.7 22 frag=2", 0, FILTER_DROP_UNKNOWN_PROTOCOL);
  send_out (f, flows, "udp " SELF4 " 1 100.64.0.7 22 frag=20", 0, FILTER_ACCEPT);
  flow_table_free (flows);
  filter_unref (f);
  filter_unref (other);
}

/* Checklist 43, 44 and B.6. */
static void
test_classes (void)
{
  static const char everything[]
      = "{\"PacketFilter\":[" RULE ("\"*\"", DST ("*", 0, 65535), "") "]}";
  Netmap *map = netmap_of (everything);
  FlowTable *flows = flow_table_new (8);
  static const char *const starts[]
      = {"tcp 100.64.0.7 1 " SELF4 " 22 S", "udp 100.64.0.7 1 " SELF4 " 22",
         "icmp 100.64.0.7 8 " SELF4 " 0", "47 100.64.0.7 0 " SELF4 " 0"};
  static const char *const answers[]
      = {"tcp 100.64.0.7 1 " SELF4 " 22 A", "icmp 100.64.0.7 0 " SELF4 " 0",
         "udp 100.64.0.7 53 " SELF4 " 5000"};
  Filter *normal = compile (FILTER_NORMAL, map), *up = compile (FILTER_SHIELDS_UP, map),
         *none = compile (FILTER_NONE, map);

  send_out (up, flows, "udp " SELF4 " 5000 100.64.0.7 53", 0, FILTER_ACCEPT);
  for (size_t i = 0; i < 3; i++) {
    g_assert_cmpint (in (normal, flows, starts[i], false), ==, FILTER_ACCEPT);
    g_assert_cmpint (in (normal, flows, starts[i], true), ==, FILTER_DROP_ACL);
    g_assert_cmpint (in (up, flows, starts[i], false), ==, FILTER_DROP_ACL);
    g_assert_cmpint (in (normal, flows, answers[i], true), ==, FILTER_ACCEPT);
    g_assert_cmpint (in (up, flows, answers[i], false), ==, FILTER_ACCEPT);
    g_assert_cmpint (in (none, flows, answers[i], false), ==, FILTER_DROP_ACL);
  }
  g_assert_cmpint (filter_reject_reason (normal, false), ==, 'A');
  g_assert_cmpint (filter_reject_reason (normal, true), ==, 'S');
  g_assert_cmpint (filter_reject_reason (up, false), ==, 'S');
  filter_unref (normal);
  filter_unref (up);
  filter_unref (none);
  flow_table_free (flows);
  netmap_unref (map);
}

#define KEY(n)    "\"nodekey:00000000000000000000000000000000000000000000000000000000000000" #n "\""
#define CAP_RULES "\"PacketFilter\":[" RULE ("\"cap:x\"", DST (SELF4, 22, 22), "") "]"

/* Checklist 38. */
static void
test_cap_sources (void)
{
  static const char json[] = "{" CAP_RULES ",\"Peers\":[{\"ID\":7,\"Key\":" KEY (
      07) ",\"Addresses\":[\"100.64.0.7/32\"],"
          "\"AllowedIPs\":[\"100.64.0.7/32\",\"10.0.0.0/"
          "8\"],\"CapMap\":{\"x\":null}},{\"ID\":8,\"Key\":" KEY (
              08) ",\"Addresses\":[\"100.64.0.8/"
                  "32\"],\"CapMap\":{\"y\":null}},{\"ID\":6,"
                  "\"Key\":" KEY (06) ",\"Addresses\":[\"100.64.0.6/"
                                      "32\"],\"CapMap\":{\"x\":null},"
                                      "\"UnsignedPeerAPIOnly\":true}]}";
  static const Row rows[] = {
      {"tcp 100.64.0.7 1 " SELF4 " 22 S", FILTER_ACCEPT},
      {"tcp 100.64.0.7 1 " SELF4 " 23 S", FILTER_DROP_ACL},
      {"tcp 10.0.0.1 1 " SELF4 " 22 S", FILTER_DROP_ACL},
      {"tcp 100.64.0.8 1 " SELF4 " 22 S", FILTER_DROP_ACL},
      {"tcp 100.64.0.6 1 " SELF4 " 22 S", FILTER_DROP_ACL},
      {"icmp 100.64.0.7 8 " SELF4 " 0", FILTER_ACCEPT},
      {"icmp fd7a:115c:a1e0::7 8 " SELF6 " 0", FILTER_DROP_ACL},
  };
  Netmap *map = netmap_of (json), *next;
  Filter *f = compile (FILTER_NORMAL, map), *updated;
  FilterConfig config;
  IpPrefix local[2];
  NetmapChanges changes;

  check_rows (f, rows, G_N_ELEMENTS (rows));
  static const struct
  {
    const char *json;
    bool same, passes;
  } steps[] = {
      {"{\"PeersChangedPatch\":[{\"NodeID\":7,\"Online\":true}]}", true, true},
      {"{\"PeersChangedPatch\":[{\"NodeID\":8,\"CapMap\":{}}]}", true, true},
      {"{\"PeersChangedPatch\":[{\"NodeID\":7,\"CapMap\":{\"z\":[]}}]}", false, false},
      {"{\"PeersChangedPatch\":[{\"NodeID\":7,\"CapMap\":{\"x\":[1]}}]}", false, true},
      {"{\"PeersRemoved\":[8]}", true, true},
      {"{\"PeersRemoved\":[7]}", false, false},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (steps); i++) {
    MapMessage *m = map_message_decode (steps[i].json, strlen (steps[i].json), NULL);
    next = netmap_apply (map, m, (WallTime){1795000000, 0}, &changes);
    fill_config (&config, FILTER_NORMAL, next, local);
    updated = filter_update (f, &config, &changes);
    g_assert_cmpint (updated == f, ==, steps[i].same);
    g_assert_cmpint (in (updated, NULL, rows[0].line, false), ==,
                     steps[i].passes ? FILTER_ACCEPT : FILTER_DROP_ACL);
    netmap_changes_clear (&changes);
    map_message_free (m);
    netmap_unref (map);
    filter_unref (f);
    map = next;
    f = updated;
  }
  filter_unref (f);
  netmap_unref (map);
}

/* Checklist 39. */
static void
test_poison (void)
{
  static const char *const rules[]
      = {RULE ("\"*\"", DST ("*", 0, 65535), "") "," RULE ("\"100.64.0.7\"", DST ("*", 1, 2),
                                                           ",\"SrcBits\":[32]"),
         RULE ("\"*\"", DST ("*", 0, 65535),
               "") ",{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Bits\":8,"
                   "\"Ports\":{\"First\":0,\"Last\":1}}]}"};

  for (size_t i = 0; i < G_N_ELEMENTS (rules); i++) {
    Filter *f = filter_of (rules[i]);
    g_assert_nonnull (filter_warning (f));
    g_assert_cmpint (in (f, NULL, "tcp 100.64.0.7 1 " SELF4 " 22 S", false), ==, FILTER_DROP_ACL);
    g_assert_cmpint (in (f, NULL, "tcp 100.64.0.7 1 " SELF4 " 22 A", false), ==, FILTER_ACCEPT);
    filter_unref (f);
  }
  Filter *f = filter_of (RULE ("\"*\"", DST ("*", 0, 65535), ",\"SrcBits\":[]"));
  g_assert_null (filter_warning (f));
  filter_unref (f);
}

/* Checklist 45. */
static void
test_unsigned (void)
{
  static const struct
  {
    const char *rules;
    bool refused;
  } rows[] = {
      {RULE ("\"*\"", DST ("*", 0, 65535), ""), true},
      {RULE ("\"100.64.0.0/24\"", DST ("*", 0, 65535), ""), true},
      {RULE ("\"100.64.0.6\"", DST (SELF4, 22, 22), ""), true},
      {RULE ("\"100.64.0.7-100.64.0.9\"", DST (SELF4, 22, 22), ""), false},
      {"{\"SrcIPs\":[\"*\"],\"CapGrant\":[{\"Dsts\":[\"" SELF4 "/32\"],\"CapMap\":{\"x\":null}}]}",
       false},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *json = g_strdup_printf (
        "{\"PacketFilter\":[%s],\"Peers\":[{\"ID\":6,\"Key\":" KEY (
            06) ",\"Addresses\":[\"100.64.0.6/32\"],\"AllowedIPs\":[\"10.0.0.0/8\"],"
                "\"UnsignedPeerAPIOnly\":true}]}",
        rows[i].rules);
    Netmap *map = netmap_of (json);
    Filter *f = compile (FILTER_NORMAL, map);
    g_assert_cmpint (filter_warning (f) != NULL, ==, rows[i].refused);
    g_assert_cmpint (in (f, NULL, "tcp 100.64.0.8 1 " SELF4 " 22 S", false), ==,
                     rows[i].refused || i == 4 ? FILTER_DROP_ACL : FILTER_ACCEPT);
    filter_unref (f);
    netmap_unref (map);
  }
}

static char *
caps (const Filter *f, const char *src, const char *dst, bool unsigned_peer)
{
  IpAddr s = packet_addr (src), d = packet_addr (dst);
  JsonWriter w;

  json_writer_init (&w);
  filter_peer_caps (f, &s, &d, unsigned_peer, &w);
  return json_writer_take (&w, NULL);
}

/* Checklist 49 and 25. */
static void
test_whois (void)
{
  static const char rules[]
      = "{\"SrcIPs\":[\"100.64.0.7\"],\"CapGrant\":[{\"Dsts\":[\"" SELF4
        "/32\"],\"CapMap\":{\"e.com/x\":[{\"a\":1}],\"e.com/"
        "n\":null}},{\"Dsts\":[\"100.64.0.10/32\"],"
        "\"CapMap\":{\"e.com/no\":null}}]},{\"SrcIPs\":[\"100.64.0.0/"
        "10\"],\"CapGrant\":[{\"Dsts\":[\"" SELF4 "/32\"],\"CapMap\":{\"e.com/"
        "x\":[2,3]},\"Caps\":[\"old\"]},{\"Dsts\":[\"0.0.0.0/0\"],\"Caps\":["
        "\"https://tailscale.com/cap/ingress\"]}]}";
  g_autofree char *json = g_strdup_printf ("{\"PacketFilter\":[%s]}", rules);
  Netmap *map = netmap_of (json);
  Filter *f = compile (FILTER_NORMAL, map), *up = compile (FILTER_SHIELDS_UP, map);
  IpAddr src = packet_addr ("100.64.0.7"), dst = packet_addr (SELF4);

  g_autofree char *both = caps (f, "100.64.0.7", SELF4, false);
  g_assert_cmpstr (both, ==,
                   "{\"e.com/n\":[],\"e.com/x\":[{\"a\":1},2,3],"
                   "\"https://tailscale.com/cap/ingress\":[]}");
  g_autofree char *one = caps (f, "100.64.0.8", SELF4, false);
  g_assert_cmpstr (one, ==, "{\"e.com/x\":[2,3],\"https://tailscale.com/cap/ingress\":[]}");
  g_autofree char *six = caps (f, "fd7a:115c:a1e0::7", SELF6, false);
  g_assert_cmpstr (six, ==, "{}");
  g_autofree char *only = caps (f, "100.64.0.7", SELF4, true);
  g_assert_cmpstr (only, ==, "{\"https://tailscale.com/cap/ingress\":[]}");
  g_autofree char *shields = caps (up, "100.64.0.7", SELF4, false);
  g_assert_cmpstr (shields, ==, "{}");
  g_assert_true (filter_peer_has_cap (f, &src, &dst, false, "e.com/n"));
  g_assert_false (filter_peer_has_cap (f, &src, &dst, false, "e.com/no"));
  g_assert_false (filter_peer_has_cap (f, &src, &dst, true, "e.com/n"));
  filter_unref (f);
  filter_unref (up);
  netmap_unref (map);
}

static void
test_explain (void)
{
  Filter *f = filter_of (
      RULE ("\"100.64.0.7\"", DST (SELF4, 22, 22), "") "," RULE ("\"*\"", DST (SELF4, 22, 80), ""));
  IpAddr src = packet_addr ("100.64.0.8"), dst = packet_addr (SELF4),
         far = packet_addr ("10.0.0.1");
  FilterWitness witness;

  g_assert_true (filter_explain (f, IP_PROTO_TCP, &src, &dst, 22, &witness));
  g_assert_cmpstr (witness.list, ==, "base");
  g_assert_cmpuint (witness.rule, ==, 1);
  src = packet_addr ("100.64.0.7");
  g_assert_true (filter_explain (f, IP_PROTO_TCP, &src, &dst, 22, &witness));
  g_assert_cmpuint (witness.rule, ==, 0);
  g_assert_false (filter_explain (f, IP_PROTO_TCP, &src, &dst, 81, &witness));
  g_assert_false (filter_explain (f, IP_PROTO_TCP, &src, &far, 22, &witness));
  g_assert_true (filter_explain (f, IP_PROTO_ICMP4, &src, &dst, 0, &witness));
  filter_unref (f);
}

/* A router's local set is large enough for the table. */
static void
test_router (void)
{
  Netmap *map = netmap_of ("{\"PacketFilter\":[" RULE ("\"*\"", DST ("*", 0, 65535), "") "]}");
  FilterConfig config;
  IpPrefix local[12];

  fill_config (&config, FILTER_NORMAL, map, local);
  for (uint8_t i = 2; i < 12; i++)
    local[i] = (IpPrefix){ip_from_v4 (0xc0a80000 + (uint32_t)i * 256), 24};
  config.n_local = 12;
  Filter *f = filter_compile (&config);
  g_assert_cmpint (in (f, NULL, "tcp 100.64.0.7 1 192.168.11.77 22 S", false), ==, FILTER_ACCEPT);
  g_assert_cmpint (in (f, NULL, "tcp 100.64.0.7 1 192.168.12.77 22 S", false), ==, FILTER_DROP_ACL);
  g_assert_cmpint (in (f, NULL, "tcp 100.64.0.7 1 " SELF4 " 22 S", false), ==, FILTER_ACCEPT);
  filter_unref (f);
  netmap_unref (map);
}

/* Checklist 50: replies do not wait for rules, however many there are. The times are shown, not
 * judged. */
static void
test_many_rules (void)
{
  static const unsigned counts[] = {1, 5000};
  FlowTable *flows = flow_table_new (8);
  IpPacket established = packet_parse ("tcp 100.64.0.7 1 " SELF4 " 22 A");
  IpPacket syn = packet_parse ("tcp 100.65.0.7 1 " SELF4 " 22 S");

  for (size_t i = 0; i < G_N_ELEMENTS (counts); i++) {
    g_autoptr (GString) rules = g_string_new (NULL);
    for (unsigned k = 0; k < counts[i]; k++)
      g_string_append_printf (
          rules,
          "%s{\"SrcIPs\":[\"100.%u.%u.%u\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
          "\"First\":%u,\"Last\":%u}}]}",
          k ? "," : "", 64 + k % 60, k % 251, k % 253, k, k);
    Filter *f = filter_of (rules->str);
    gint64 start = g_get_monotonic_time ();
    for (int n = 0; n < 200000; n++)
      g_assert_true (filter_in (f, flows, &established, false, 0) == FILTER_ACCEPT);
    gint64 middle = g_get_monotonic_time ();
    for (int n = 0; n < 200000; n++)
      g_assert_true (filter_in (f, flows, &syn, false, 0) == FILTER_DROP_ACL);
    g_test_message ("%u rules: %.1f ns established, %.1f ns for a new connection", counts[i],
                    (double)(middle - start) / 200,
                    (double)(g_get_monotonic_time () - middle) / 200);
    filter_unref (f);
  }
  flow_table_free (flows);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/filter/verdicts-of-the-table", test_rules);
  g_test_add_func ("/filter/protocols-without-and-with-a-list", test_protocols);
  g_test_add_func ("/filter/sources-of-every-form", test_sources);
  g_test_add_func ("/filter/rules-of-covering-sources-add-up", test_covering_sources);
  g_test_add_func ("/filter/wrong-destinations-fall-out", test_destinations);
  g_test_add_func ("/filter/answers-to-flows-pass", test_flows);
  g_test_add_func ("/filter/shields-and-jail-let-only-answers-in", test_classes);
  g_test_add_func ("/filter/capability-sources-follow-the-map", test_cap_sources);
  g_test_add_func ("/filter/forms-of-old-deny-all", test_poison);
  g_test_add_func ("/filter/rules-for-unsigned-peers-are-refused", test_unsigned);
  g_test_add_func ("/filter/whois-merges-capabilities", test_whois);
  g_test_add_func ("/filter/explains-what-lets-in", test_explain);
  g_test_add_func ("/filter/large-local-sets", test_router);
  g_test_add_func ("/filter/established-tcp-waits-for-no-rule", test_many_rules);
  return g_test_run ();
}
