#include "two-ends.h"

#include "base/ip-packet.h"
#include "tunnel/checksum.h"
#include "tunnel/vnet.h"

#include <glib.h>
#include <string.h>

End a, b;

void
set_up (void)
{
  end_start (&a, 0, 1, END_DEVICE_FULL);
  end_start (&b, 1, 1, END_DEVICE_FULL);
  g_assert_true (ends_connect (&a, &b));
}

void
tear_down (void)
{
  end_stop (&a);
  end_stop (&b);
}

/* Sends UDP from SRC to DST at END. */
void
send_udp (End *end, const IpAddr *src, const IpAddr *dst, uint16_t src_port, uint16_t dst_port)
{
  uint8_t packet[2048];

  end_write (end, packet, make_packet (packet, src, dst, src_port, dst_port, 0, 100));
}

/* The next packet at END must have these addresses (and be intact). */
void
expect (End *end, const IpAddr *src, const IpAddr *dst)
{
  uint8_t packet[2048];
  size_t size = end_read (end, packet, SOON_MS);
  IpPacket p;

  g_assert_cmpuint (size, >, 0);
  g_assert_true (packet_intact (packet, size));
  ip_packet_parse (&p, packet, size);
  g_assert_true (ip_equal (&p.src, src));
  g_assert_true (ip_equal (&p.dst, dst));
}

/* Applies END's ordinary configuration with changes by the caller: *PEER is the other end. */
static IpPrefix prefixes[2];
static IpPort endpoint;

TunnelPeer
peer_at (const End *end)
{
  return end_peer (end == &a ? &b : &a, prefixes, &endpoint);
}

void
apply (End *end, bool shields_up, const TunnelPeer *peer)
{
  Filter *filter = end_filter (shields_up);
  TunnelSettings settings = end_settings (end, filter);

  g_assert_true (end_apply (end, &settings, peer, 1));
  filter_unref (filter);
}

/* A super-packet as the kernel gives it, with a checksum that is to be completed. */
size_t
make_super (uint8_t *out, const IpAddr *src, const IpAddr *dst, size_t payload, uint16_t mss)
{
  uint8_t *ip = out + VNET_HEADER_SIZE, *l4 = ip + 20;
  size_t size = make_packet (ip, src, dst, 1000, 2000, TCP_ACK, payload);
  VnetHeader vnet = {.flags = VNET_NEEDS_CSUM,
                     .gso_type = mss > 0 ? VNET_GSO_TCPV4 : VNET_GSO_NONE,
                     .hdr_len = 40,
                     .gso_size = mss,
                     .csum_start = 20,
                     .csum_offset = 16};
  uint16_t field = checksum_fold (checksum_pseudo (ip + 12, 8, 6, (uint32_t)size - 20));

  memcpy (l4 + 16, &field, 2);
  memcpy (out, &vnet, sizeof vnet);
  return VNET_HEADER_SIZE + size;
}
