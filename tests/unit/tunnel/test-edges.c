/* Receives and devices at their edges: a kernel that takes no merged packets, messages of two
 * sessions in one receive (spec/wireguard-dataplane.md §8.4, §9.3). */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "two-ends.h"
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

/* ---- a kernel that takes no merged packets ---- */

static _Atomic bool refuses_merged;

/* Stands in front of the C library's own. */
ssize_t write (int fd, const void *data, size_t size);

ssize_t
write (int fd, const void *data, size_t size)
{
  const VnetHeader *vnet = data;
  int type = 0;
  socklen_t length = sizeof type;

  if (refuses_merged && size > VNET_HEADER_SIZE
      && getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET
      && vnet->gso_type != VNET_GSO_NONE) {
    errno = EINVAL;
    return -1;
  }
  return syscall (SYS_write, fd, data, size);
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
  g_test_add_func ("/tunnel/edges/a-device-that-refuses-merged-packets-gets-them-one-by-one",
                   test_refused_merging);
  g_test_add_func ("/tunnel/edges/messages-of-two-sessions-may-come-as-one", test_mixed_sessions);
  return g_test_run ();
}
