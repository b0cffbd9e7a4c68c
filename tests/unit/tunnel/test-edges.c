/* Receives and devices at their edges: devices of every kind, kernels that take no merged packets,
 * messages of two sessions or too long for us in one receive (spec/wireguard-dataplane.md §8.4,
 * §9.3). */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "two-ends.h"
#include "tunnel/checksum.h"
#include "tunnel/udp.h"
#include "tunnel/vnet.h"
#include "wireguard/messages.h"

#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what the devices are given ---- */

static _Atomic bool refuses_merged;
static _Atomic unsigned merged_tcp, merged_udp; /* written to any device */

/* Stands in front of the C library's own. */
ssize_t write (int fd, const void *data, size_t size);

ssize_t
write (int fd, const void *data, size_t size)
{
  const VnetHeader *vnet = data;
  int type = 0;
  socklen_t length = sizeof type;

  if (size > VNET_HEADER_SIZE && getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0
      && type == SOCK_SEQPACKET && vnet->gso_type <= VNET_GSO_UDP) {
    merged_tcp += vnet->gso_type == VNET_GSO_TCPV4;
    merged_udp += vnet->gso_type == VNET_GSO_UDP;
    if (refuses_merged && vnet->gso_type != VNET_GSO_NONE) {
      errno = EINVAL;
      return -1;
    }
  }
  return syscall (SYS_write, fd, data, size);
}

/* Five segments of UDP as the kernel gives them. */
static size_t
make_udp_super (uint8_t *out)
{
  uint8_t *ip = out + VNET_HEADER_SIZE;
  size_t size = make_packet (ip, &a.address4, &b.address4, 1, 2, 0, 5 * 600);
  VnetHeader vnet = {.flags = VNET_NEEDS_CSUM,
                     .gso_type = VNET_GSO_UDP,
                     .hdr_len = 28,
                     .gso_size = 600,
                     .csum_start = 20,
                     .csum_offset = 6};
  uint16_t field = checksum_fold (checksum_pseudo (ip + 12, 8, 17, (uint32_t)size - 20));

  memcpy (ip + 26, &field, 2);
  memcpy (out, &vnet, sizeof vnet);
  return VNET_HEADER_SIZE + size;
}

static void
give_supers (void)
{
  static uint8_t super[70000];
  size_t size = make_super (super, &a.address4, &b.address4, 5000, 1000);

  g_assert_cmpint (send (a.tun[0], super, size, 0), ==, (int)size);
  for (int i = 0; i < 5; i++)
    expect (&b, &a.address4, &b.address4);
  size = make_udp_super (super);
  g_assert_cmpint (send (a.tun[0], super, size, 0), ==, (int)size);
  for (int i = 0; i < 5; i++)
    expect (&b, &a.address4, &b.address4);
}

static void
test_devices (void)
{
  for (EndDevice device = END_DEVICE_PLAIN; device <= END_DEVICE_FULL; device++) {
    TunnelStats stats;

    end_start (&a, 0, 1, END_DEVICE_FULL);
    end_start (&b, 1, 1, device);
    g_assert_true (ends_connect (&a, &b));
    send_udp (&a, &a.address4, &b.address4, 1, 2);
    expect (&b, &a.address4, &b.address4);
    merged_tcp = merged_udp = 0;
    give_supers ();
    g_assert_true ((merged_tcp > 0) == (device >= END_DEVICE_NO_UDP));
    g_assert_true ((merged_udp > 0) == (device == END_DEVICE_FULL));
    tunnel_stats (b.tunnel, &stats);
    g_assert_true (stats.tun_tcp_gro == (device >= END_DEVICE_NO_UDP));
    g_assert_true (stats.tun_udp_gro == (device == END_DEVICE_FULL));
    send_udp (&b, &b.address6, &a.address6, 2, 1);
    expect (&a, &b.address6, &a.address6);
    tear_down ();
  }
}

static void
test_refused_merging (void)
{
  static uint8_t super[70000];
  TunnelStats stats;

  set_up ();
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  tunnel_stats (b.tunnel, &stats);
  g_assert_true (stats.tun_tcp_gro);
  refuses_merged = true;
  for (int round = 0; round < 2; round++) {
    size_t size = make_super (super, &a.address4, &b.address4, 5000, 1000);

    g_assert_cmpint (send (a.tun[0], super, size, 0), ==, (int)size);
    for (int i = 0; i < 5; i++)
      expect (&b, &a.address4, &b.address4);
  }
  refuses_merged = false;
  tunnel_stats (b.tunnel, &stats);
  g_assert_false (stats.tun_tcp_gro);
  g_assert_cmpuint (stats.drops_in[TUNNEL_DROP_TUN_WRITE], ==, 0);
  tear_down ();
}

/* ---- messages that are longer than there is room for ---- */

#define TOO_LONG 500

static _Atomic bool truncates;

/* Stands in front of the C library's own. */
int recvmmsg (int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout);

int
recvmmsg (int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
  int count = (int)syscall (SYS_recvmmsg, fd, messages, n, flags, timeout);

  for (int i = 0; i < count; i++)
    if (truncates && messages[i].msg_len > TOO_LONG)
      messages[i].msg_hdr.msg_flags |= MSG_TRUNC;
  return count;
}

static void
test_truncated (void)
{
  uint8_t packet[2048];
  TunnelStats stats = {0};

  set_up ();
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  expect (&b, &a.address4, &b.address4);
  truncates = true;
  end_write (&a, packet, make_packet (packet, &a.address4, &b.address4, 1, 2, 0, TOO_LONG));
  for (int i = 0; i < 30000 && stats.drops_in[TUNNEL_DROP_TRUNCATED] == 0; i++) {
    g_usleep (1000);
    tunnel_stats (b.tunnel, &stats);
  }
  g_assert_cmpuint (stats.drops_in[TUNNEL_DROP_TRUNCATED], ==, 1);
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  g_assert_cmpuint (end_read (&b, packet, SOON_MS), ==, 128);
  truncates = false;
  tear_down ();
}

/* ---- messages of two sessions in one receive ---- */

#define HELD_MAX 8

/* What stands between the two ends, sees every datagram and keeps A's data back when asked to. */
static struct
{
  UdpSocket socket;
  bool holds;
  size_t n, size;
  uint8_t held[HELD_MAX][2048];
} middle;

static void
forward (uint8_t *bytes, size_t size, uint16_t from)
{
  IpPort to = {ip_from_v4 (0x7f000001), from == a.port ? b.port : a.port};
  int error;

  if (from == a.port && middle.holds && bytes[0] == WG_MESSAGE_DATA) {
    if (middle.n < HELD_MAX && size == middle.size)
      memcpy (middle.held[middle.n++], bytes, size);
    return;
  }
  udp_send (&middle.socket, &to, bytes, size, &error);
}

static void
pump (int timeout_ms)
{
  struct pollfd p = {middle.socket.fd, POLLIN, 0};
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  uint8_t bytes[2048];
  ssize_t n;

  while (poll (&p, 1, timeout_ms) == 1) {
    n = recvfrom (middle.socket.fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length);
    if (n > 0)
      forward (bytes, (size_t)n, ntohs (from.sin_port));
  }
}

/* Holds messages of A back, of one session, until there are N. */
static void
hold (size_t n, bool of_new_session)
{
  uint32_t old = middle.n > 0 ? load_le32 (middle.held[0] + 4) : 0;

  for (int i = 0; i < 500 && middle.n < n; i++) {
    send_udp (&a, &a.address4, &b.address4, 1, 2);
    pump (10);
    if (of_new_session && middle.n > 0 && load_le32 (middle.held[middle.n - 1] + 4) == old)
      middle.n--;
  }
  g_assert_cmpuint (middle.n, >=, n);
}

static void
test_mixed_sessions (void)
{
  static uint8_t run[HELD_MAX * 2048];
  UdpOptions options = {.gso = true};
  IpPort at = {ip_from_v4 (0x7f000001), 0}, to;
  TunnelPeer peer;
  UdpTarget target;
  uint32_t done = 0;
  int error;

  memset (&middle, 0, sizeof middle);
  g_assert_true (udp_open (&middle.socket, 4, &options));
  at.port = middle.socket.port;
  set_up ();
  peer = peer_at (&a);
  peer.endpoints = &at;
  apply (&a, false, &peer);
  peer = peer_at (&b);
  peer.endpoints = &at;
  apply (&b, false, &peer);
  send_udp (&a, &a.address4, &b.address4, 1, 2);
  pump (200);
  expect (&b, &a.address4, &b.address4);
  middle.size = (100 + 28 + 15) / 16 * 16 + WG_TRANSPORT_OVERHEAD;
  middle.holds = true;
  hold (3, false);
  tunnel_resumed (a.tunnel, USEC_PER_SEC);
  hold (4, false); /* still of the old one; it asks for the new one */
  middle.n = 3;
  hold (6, true);
  /* old, new, old, … in one run that the receiver gets as one */
  for (size_t i = 0; i < 6; i++)
    memcpy (run + i * middle.size, middle.held[i / 2 + (i & 1) * 3], middle.size);
  to = (IpPort){ip_from_v4 (0x7f000001), b.port};
  udp_target_init (&target, &to);
  g_assert_cmpint (udp_send_run (&middle.socket, &target,
                                 &(Run){run, 6, (uint32_t)middle.size, (uint32_t)middle.size},
                                 &done, 1000, &error),
                   ==, UDP_SENT);
  for (int i = 0; i < 6; i++)
    expect (&b, &a.address4, &b.address4);
  tear_down ();
  udp_close (&middle.socket);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (sodium_init () < 0)
    return 1;
  log_set_level (LOG_LEVEL_ERROR);
  g_test_add_func ("/tunnel/edges/each-device-is-given-what-it-takes", test_devices);
  g_test_add_func ("/tunnel/edges/a-device-that-refuses-merged-packets-gets-them-one-by-one",
                   test_refused_merging);
  g_test_add_func ("/tunnel/edges/a-message-that-was-cut-is-dropped-whole", test_truncated);
  g_test_add_func ("/tunnel/edges/messages-of-two-sessions-may-come-as-one", test_mixed_sessions);
  return g_test_run ();
}
