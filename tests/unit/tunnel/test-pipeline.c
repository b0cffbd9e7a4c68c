/* What happens to a packet between two TUN devices: spec/wireguard-dataplane.md §6.3 and
 * spec/netmap-and-policy.md B.8, with two real tunnels in this process. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/ip-packet.h"
#include "base/log.h"
#include "two-ends.h"
#include "tunnel/checksum.h"
#include "tunnel/vnet.h"

#include <dirent.h>
#include <glib.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENT_MS 150 /* for what must not come */

static void
send_syn (End *end, const IpAddr *src, const IpAddr *dst, uint16_t dst_port)
{
  uint8_t packet[2048];

  end_write (end, packet, make_packet (packet, src, dst, 40000, dst_port, TCP_SYN, 0));
}

static void
expect_nothing (End *end)
{
  uint8_t packet[2048];

  g_assert_cmpuint (end_read (end, packet, SILENT_MS), ==, 0);
}

static uint64_t
drops_in (End *end, TunnelDrop why)
{
  TunnelStats stats;

  tunnel_stats (end->tunnel, &stats);
  return stats.drops_in[why];
}

static uint64_t
drops_out (End *end, TunnelDrop why)
{
  TunnelStats stats;

  tunnel_stats (end->tunnel, &stats);
  return stats.drops_out[why];
}

static void
test_first_packet (void)
{
  set_up ();
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  send_udp (&a, &a.address6, &b.address6, 1, 2);
  expect (&b, &a.address6, &b.address6);
  send_udp (&b, &b.address4, &a.address4, 2, 1);
  expect (&a, &b.address4, &a.address4);
  tear_down ();
}

/* A asks for nothing new: it still has a session. */
static void
test_restart (void)
{
  uint8_t packet[2048];
  size_t size = 0;

  set_up ();
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  end_restart (&b, 1);
  g_assert_true (ends_connect (&b, &a));
  for (int i = 0; i < 20 && size == 0; i++) {
    send_udp (&a, &a.address4, &b.address4, 1, 2);
    size = end_read (&b, packet, 100);
  }
  g_assert_cmpuint (size, >, 0);
  g_assert_true (packet_intact (packet, size));
  tear_down ();
}

static void
test_source (void)
{
  IpAddr stranger = ip_from_v4 (0x64400063);
  IpPrefix wide = {ip_from_v4 (0x64400000), 24}, narrow = ip_single (&stranger);
  TunnelPeer peers[2];
  Filter *filter = end_filter (false);
  TunnelSettings settings;

  set_up ();
  send_udp (&a, &stranger, &b.address4, 1, 2);
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_SOURCE), ==, 1);
  /* Another peer has a narrower route inside this one's: it is its alone. */
  settings = end_settings (&b, filter);
  peers[0] = peer_at (&b);
  peers[0].sources = &wide;
  peers[0].n_sources = 1;
  peers[1] = peers[0];
  peers[1].id = 2;
  peers[1].key.bytes[3] ^= 1;
  peers[1].sources = peers[1].routes = &narrow;
  peers[1].n_routes = 1;
  g_assert_true (end_apply (&b, &settings, peers, 2));
  send_udp (&a, &stranger, &b.address4, 1, 2);
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_SOURCE), ==, 2);
  filter_unref (filter);
  tear_down ();
}

/* Two peers with one source prefix: the one that came later holds it, and the other has it again
 * when that one goes. */
static void
test_same_source (void)
{
  Filter *filter = end_filter (false);
  TunnelSettings settings;
  TunnelPeer peers[2];

  set_up ();
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  settings = end_settings (&b, filter);
  peers[0] = peers[1] = peer_at (&b);
  peers[1].id = 2;
  peers[1].key.bytes[3] ^= 1;
  g_assert_true (end_apply (&b, &settings, peers, 2));
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect_nothing (&b);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_SOURCE), ==, 1);
  g_assert_true (end_apply (&b, &settings, peers, 1));
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  filter_unref (filter);
  tear_down ();
}

static void
wait_ping (End *end)
{
  for (int i = 0; i < 1000 && end->ping.type != TUNNEL_EVENT_PING; i++) {
    end_take_events (end);
    g_usleep (5000);
  }
}

static void
test_tsmp (void)
{
  uint8_t packet[TSMP_PACKET_MAX];

  set_up ();
  tunnel_ping (a.tunnel, 7, &b.public_key, TUNNEL_PING_TSMP, 0, 3000);
  wait_ping (&a);
  g_assert_cmpuint (a.ping.ping.id, ==, 7);
  g_assert_true (a.ping.ping.answered);
  g_assert_cmpint (a.ping.ping.latency_us, >, 0);
  expect_nothing (&b);
  expect_nothing (&a);
  /* The host cannot speak TSMP itself. */
  end_write (&a, packet,
             tsmp_build_disco (&a.address4, &b.address4, &(DiscoPublic){.bytes = {1}}, packet));
  expect_nothing (&b);
  g_assert_cmpuint (drops_out (&a, TUNNEL_DROP_TSMP), ==, 1);
  tear_down ();
}

/* By disco, not by a fixed endpoint: the two find each other on the loopback interface. */
static void
test_priority (void)
{
  TunnelPeer peer;

  end_start (&a, 0, 1, END_DEVICE_FULL);
  end_start (&b, 1, 1, END_DEVICE_FULL);
  peer = peer_at (&a);
  peer.wireguard_only = false;
  peer.disco_key = b.disco_key;
  apply (&a, false, &peer);
  peer = peer_at (&b);
  peer.wireguard_only = false;
  peer.disco_key = a.disco_key;
  apply (&b, false, &peer);
  for (int i = 0; i < 1000 && b.learned.type != TUNNEL_EVENT_DISCO_KEY; i++) {
    if (i % 50 == 0)
      send_udp (&a, &a.address4, &b.address4, 1, 2);
    end_take_events (&b);
    g_usleep (10000);
  }
  g_assert_cmpint (b.learned.type, ==, TUNNEL_EVENT_DISCO_KEY);
  g_assert_true (key_same (&b.learned.disco_key.key, &a.disco_key));
  g_assert_true (key_same (&b.learned.disco_key.peer, &a.public_key));
  expect (&b, &a.address4, &b.address4);
  /* The side that answered tells its own as soon as the session is proven. */
  for (int i = 0; i < 1000 && a.learned.type != TUNNEL_EVENT_DISCO_KEY; i++) {
    end_take_events (&a);
    g_usleep (10000);
  }
  g_assert_true (key_same (&a.learned.disco_key.key, &b.disco_key));
  tear_down ();
}

static void
test_icmp_ping (void)
{
  uint8_t packet[2048];
  size_t size;
  IpPacket p;

  set_up ();
  tunnel_ping (a.tunnel, 8, &b.public_key, TUNNEL_PING_ICMP, 0, 3000);
  size = end_read (&b, packet, SOON_MS);
  g_assert_cmpuint (size, >, 0);
  ip_packet_parse (&p, packet, size);
  g_assert_true (ip_packet_echo_reply (&p, packet));
  end_write (&b, packet, size);
  wait_ping (&a);
  g_assert_true (a.ping.ping.answered);
  expect_nothing (&a);
  tear_down ();
}

static void
test_ping_timeout (void)
{
  set_up ();
  tunnel_ping (a.tunnel, 9, &b.public_key, TUNNEL_PING_ICMP, 0, 100);
  wait_ping (&a);
  g_assert_false (a.ping.ping.answered);
  g_assert_cmpstr (a.ping.ping.error, ==, "timed out");
  tear_down ();
}

static void
test_service_echo (void)
{
  IpAddr service;
  uint8_t packet[2048];
  size_t size;
  IpPacket p;

  g_assert_true (ip_parse ("100.100.100.100", 15, &service));
  set_up ();
  size = ip_packet_build_echo (&a.address4, &service, 1, 2, 32, packet);
  end_write (&a, packet, size);
  g_assert_cmpuint (end_read (&a, packet, SOON_MS), ==, size);
  ip_packet_parse (&p, packet, size);
  g_assert_true (ip_equal (&p.src, &service));
  g_assert_cmpuint (p.icmp_type, ==, 0);
  tear_down ();
}

static void
test_shields (void)
{
  TunnelPeer peer;

  set_up ();
  peer = peer_at (&b);
  apply (&b, true, &peer);
  send_syn (&a, &a.address4, &b.address4, 22);
  expect_nothing (&b);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_ACL), ==, 1);
  for (int i = 0; i < 1000 && a.rejects == 0; i++) {
    end_take_events (&a);
    g_usleep (5000);
  }
  g_assert_cmpuint (a.rejects, ==, 1);
  g_assert_cmpuint (a.rejected.rejected.reason, ==, 'S');
  g_assert_cmpuint (a.rejected.rejected.remote.port, ==, 22);
  g_assert_true (ip_equal (&a.rejected.rejected.remote.addr, &b.address4));
  expect_nothing (&a);
  /* Answers come in. */
  send_udp (&b, &b.address4, &a.address4, 5000, 53);
  expect (&a, &b.address4, &a.address4);
  send_udp (&a, &a.address4, &b.address4, 53, 5000);
  expect (&b, &a.address4, &b.address4);
  send_udp (&a, &a.address4, &b.address4, 53, 5001);
  expect_nothing (&b);
  tear_down ();
}

static void
test_peerapi (void)
{
  Filter *filter = end_filter (true);
  TunnelSettings settings;
  TunnelPeer peer;

  set_up ();
  peer = peer_at (&b);
  settings = end_settings (&b, filter);
  settings.peerapi_port4 = 8080;
  g_assert_true (end_apply (&b, &settings, &peer, 1));
  send_syn (&a, &a.address4, &b.address4, 8081);
  send_syn (&a, &a.address4, &b.address4, 8080);
  expect (&b, &a.address4, &b.address4);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_ACL), ==, 1);
  filter_unref (filter);
  tear_down ();
}

static void
test_jailed (void)
{
  TunnelPeer peer;

  set_up ();
  peer = peer_at (&b);
  peer.jailed = true;
  apply (&b, false, &peer);
  send_syn (&a, &a.address4, &b.address4, 22);
  send_udp (&a, &a.address4, &b.address4, 53, 5000);
  expect_nothing (&b);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_ACL), ==, 2);
  send_udp (&b, &b.address4, &a.address4, 5000, 53);
  expect (&a, &b.address4, &a.address4);
  send_udp (&a, &a.address4, &b.address4, 53, 5000);
  expect (&b, &a.address4, &b.address4);
  tear_down ();
}

static void
test_masquerade (void)
{
  static uint8_t super[70000];
  IpAddr as = ip_from_v4 (0x64400777), forwarded = ip_from_v4 (0x0a000001);
  IpPrefix known[2];
  TunnelPeer peer;
  size_t size;

  set_up ();
  peer = peer_at (&b);
  peer.masquerade4 = as;
  apply (&b, false, &peer);
  /* A knows B by that address, and by another one that B only forwards for. */
  peer = peer_at (&a);
  known[0] = ip_single (&as);
  known[1] = ip_single (&forwarded);
  peer.routes = peer.sources = known;
  apply (&a, false, &peer);
  send_udp (&b, &b.address4, &a.address4, 1, 2);
  expect (&a, &as, &a.address4);
  send_udp (&a, &a.address4, &as, 2, 1);
  expect (&b, &a.address4, &b.address4);
  send_udp (&b, &forwarded, &a.address4, 1, 2);
  expect (&a, &forwarded, &a.address4);
  /* One rewrite of the super-packet's header serves all its segments. */
  size = make_super (super, &b.address4, &a.address4, 5000, 1000);
  g_assert_cmpint (send (b.tun[0], super, size, 0), ==, (int)size);
  for (int i = 0; i < 5; i++)
    expect (&a, &as, &a.address4);
  size = make_super (super, &b.address4, &a.address4, 500, 0);
  g_assert_cmpint (send (b.tun[0], super, size, 0), ==, (int)size);
  expect (&a, &as, &a.address4);
  tear_down ();
}

static void
test_plain_device (void)
{
  end_start (&a, 0, 1, END_DEVICE_PLAIN);
  end_start (&b, 1, 1, END_DEVICE_FULL);
  g_assert_true (ends_connect (&a, &b));
  for (int i = 0; i < 50; i++) {
    send_udp (&a, &a.address4, &b.address4, 1, 2);
    send_udp (&b, &b.address6, &a.address6, 1, 2);
  }
  for (int i = 0; i < 50; i++) {
    expect (&b, &a.address4, &b.address4);
    expect (&a, &b.address6, &a.address6);
  }
  tear_down ();
}

static void
wait_no_session (End *end, const NodePublic *peer)
{
  TunnelPeerStatus status = {.session = TUNNEL_SESSION_ESTABLISHED};

  for (int i = 0; i < 1000 && status.session != TUNNEL_SESSION_NONE; i++) {
    g_usleep (5000);
    tunnel_peer_status (end->tunnel, peer, &status);
  }
  g_assert_cmpint (status.session, ==, TUNNEL_SESSION_NONE);
}

static void
test_shut (void)
{
  uint8_t packet[2048];
  size_t size = 0;
  Filter *filter = end_filter (false);
  TunnelSettings settings;
  TunnelPeer peer;
  NodePrivate none = {0};

  set_up ();
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  settings = end_settings (&b, filter);
  settings.shut = true;
  peer = peer_at (&b);
  g_assert_true (end_apply (&b, &settings, &peer, 1));
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  send_udp (&b, &b.address4, &a.address4, 1, 2);
  expect_nothing (&b);
  expect_nothing (&a);
  g_assert_cmpuint (drops_in (&b, TUNNEL_DROP_SHUT), ==, 1);
  g_assert_cmpuint (drops_out (&b, TUNNEL_DROP_SHUT), ==, 1);
  apply (&b, false, &peer);
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  /* Without its key nothing passes either. */
  tunnel_set_node_key (b.tunnel, &none);
  wait_no_session (&b, &a.public_key);
  send_udp (&b, &b.address4, &a.address4, 1, 2);
  expect_nothing (&a);
  tunnel_set_node_key (b.tunnel, &b.key);
  for (int i = 0; i < 100 && size == 0; i++) {
    send_udp (&b, &b.address4, &a.address4, 1, 2);
    size = end_read (&a, packet, 100);
  }
  g_assert_cmpuint (size, >, 0);
  filter_unref (filter);
  tear_down ();
}

static void
test_status (void)
{
  const NodePublic unknown = {.bytes = {1}};
  TunnelPeerStatus status;

  set_up ();
  g_assert_false (tunnel_peer_status (a.tunnel, &unknown, &status));
  g_assert_true (tunnel_peer_status (a.tunnel, &b.public_key, &status));
  g_assert_cmpint (status.session, ==, TUNNEL_SESSION_NONE);
  g_assert_cmpint (status.last_handshake_us, ==, 0);
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  send_udp (&b, &b.address4, &a.address4, 2, 1);
  expect (&a, &b.address4, &a.address4);
  g_assert_true (tunnel_peer_status (a.tunnel, &b.public_key, &status));
  g_assert_cmpint (status.session, ==, TUNNEL_SESSION_ESTABLISHED);
  g_assert_cmpuint (status.tx_bytes, ==, 128);
  g_assert_cmpuint (status.rx_bytes, ==, 128);
  g_assert_cmpint (status.last_handshake_us, >, 0);
  g_assert_true (status.active);
  tear_down ();
}

/* ---- costs ---- */

/* A sanitizer has its own allocator. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 1
static _Atomic uint64_t allocations;

extern void *__libc_malloc (size_t size);
extern void *__libc_calloc (size_t n, size_t size);

/* Stand in front of the C library's own. */
void *malloc (size_t size);
void *calloc (size_t n, size_t size);

void *
malloc (size_t size)
{
  allocations++;
  return __libc_malloc (size);
}

void *
calloc (size_t n, size_t size)
{
  allocations++;
  return __libc_calloc (n, size);
}

static void
test_no_allocation (void)
{
  uint8_t packet[2048];
  uint64_t before, after;
  int n = 0;

  set_up ();
  for (int i = 0; i < 100; i++) {
    send_udp (&a, &a.address4, &b.address4, 1, 2);
    expect (&b, &a.address4, &b.address4);
  }
  before = allocations;
  for (int i = 0; i < 20000; i++) {
    send_udp (&a, &a.address4, &b.address4, 1, 2);
    while (end_read (&b, packet, 0) > 0)
      n++;
  }
  after = allocations;
  g_assert_cmpint (n, >, 5000);
  /* Net may hear of the traffic once a second. */
  g_assert_cmpuint (after - before, <, 100);
  tear_down ();
}
#endif

/* Voluntary switches of all threads but this one. */
static uint64_t
wake_ups (void)
{
  GDir *tasks = g_dir_open ("/proc/self/task", 0, NULL);
  const char *name;
  uint64_t sum = 0;

  while ((name = g_dir_read_name (tasks)) != NULL) {
    g_autofree char *path = g_strdup_printf ("/proc/self/task/%s/status", name);
    g_autofree char *text = NULL;
    const char *line;

    if (atoi (name) == getpid () || !g_file_get_contents (path, &text, NULL, NULL))
      continue;
    line = strstr (text, "\nvoluntary_ctxt_switches:");
    if (line != NULL)
      sum += g_ascii_strtoull (line + 25, NULL, 10);
  }
  g_dir_close (tasks);
  return sum;
}

static void
test_idle (void)
{
  uint64_t before;

  set_up ();
  g_usleep (500000);
  before = wake_ups ();
  g_usleep (3000000);
  g_assert_cmpuint (wake_ups () - before, ==, 0);
  tear_down ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (sodium_init () < 0)
    return 1;
  log_set_level (LOG_LEVEL_ERROR);
  g_test_add_func ("/tunnel/pipeline/a-peer-that-did-not-notice-our-restart-is-heard-at-once",
                   test_restart);
  g_test_add_func ("/tunnel/pipeline/the-first-packet-waits-for-its-session", test_first_packet);
  g_test_add_func ("/tunnel/pipeline/drops-what-is-not-from-the-peers-addresses", test_source);
  g_test_add_func ("/tunnel/pipeline/one-peer-holds-a-source-that-two-claim", test_same_source);
  g_test_add_func ("/tunnel/pipeline/tsmp-stays-inside", test_tsmp);
  g_test_add_func ("/tunnel/pipeline/a-session-begins-with-our-disco-key", test_priority);
  g_test_add_func ("/tunnel/pipeline/an-icmp-ping-is-answered-by-the-peers-host", test_icmp_ping);
  g_test_add_func ("/tunnel/pipeline/a-ping-without-answer-times-out", test_ping_timeout);
  g_test_add_func ("/tunnel/pipeline/answers-for-the-service-address", test_service_echo);
  g_test_add_func ("/tunnel/pipeline/shields-up-lets-only-answers-in", test_shields);
  g_test_add_func ("/tunnel/pipeline/peerapi-is-reached-through-the-filter", test_peerapi);
  g_test_add_func ("/tunnel/pipeline/a-jailed-peer-may-only-answer", test_jailed);
  g_test_add_func ("/tunnel/pipeline/masquerade-rewrites-our-own-address-only", test_masquerade);
  g_test_add_func ("/tunnel/pipeline/works-without-offloads-of-the-device", test_plain_device);
  g_test_add_func ("/tunnel/pipeline/a-shut-tunnel-passes-nothing", test_shut);
  g_test_add_func ("/tunnel/pipeline/status-tells-sessions-and-bytes", test_status);
#ifdef COUNTS_ALLOCATIONS
  g_test_add_func ("/tunnel/pipeline/allocates-nothing-per-packet", test_no_allocation);
#endif
  g_test_add_func ("/tunnel/pipeline/an-idle-tunnel-does-not-wake", test_idle);
  return g_test_run ();
}
