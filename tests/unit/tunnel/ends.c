#include "ends.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "netmap/filter-rule.h"
#include "tunnel/checksum.h"
#include "tunnel/split.h"
#include "tunnel/vnet.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_STEP_US 5000
#define WAIT_STEPS   2000

/* What is left of a merged packet that end_read gives out one by one. */
struct EndUnread
{
  uint8_t bytes[70000];
  SuperPacket super;
  uint32_t next;
};

void
end_take_events (End *end)
{
  TunnelEvent event;

  while (tunnel_next_event (end->tunnel, &event)) {
    if (event.type == TUNNEL_EVENT_SOCKETS && event.sockets.port4 != 0)
      end->port = event.sockets.port4;
    if (event.type == TUNNEL_EVENT_APPLIED)
      end->applied = event.number;
    if (event.type == TUNNEL_EVENT_PING) {
      end->ping = event;
      end->pongs += event.ping.answered;
    }
    if (event.type == TUNNEL_EVENT_DISCO_KEY)
      end->learned = event;
    if (event.type == TUNNEL_EVENT_REJECTED) {
      end->rejected = event;
      end->rejects++;
    }
  }
}

static void
start (End *end, int number, unsigned queues, EndDevice device, uint16_t port)
{
  bool vnet = device != END_DEVICE_PLAIN;
  TunnelOptions options = {.vnet_header = vnet,
                           .tcp_merged = device == END_DEVICE_NO_UDP || device == END_DEVICE_FULL,
                           .udp_merged = device == END_DEVICE_FULL,
                           .n_tun_fds = queues,
                           .port = port};
  uint8_t address6[16] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};
  TunnelLink link = {.up = true, .have4 = true};

  memset (end, 0, sizeof *end);
  for (unsigned i = 0; i < queues; i++) {
    int pair[2];

    if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
      abort ();
    options.tun_fds[i] = pair[0];
    end->tun[i] = pair[1];
  }
  end->unread = calloc (1, sizeof *end->unread);
  end->vnet = vnet;
  end->device = device;
  end->n_queues = queues;
  end->key.bytes[0] = (uint8_t)(8 * (number + 1));
  end->key.bytes[31] = 64;
  key_public (end->key.bytes, end->public_key.bytes);
  options.disco_key.bytes[1] = (uint8_t)(number + 1);
  options.disco_key.bytes[31] = 64;
  key_public (options.disco_key.bytes, end->disco_key.bytes);
  end->address4 = ip_from_v4 (0x64400001u + (uint32_t)number);
  address6[15] = (uint8_t)(number + 1);
  end->address6 = ip_from_mapped (address6);
  end->tunnel = tunnel_new (&options);
  if (end->tunnel == NULL)
    abort ();
  tunnel_set_link (end->tunnel, &link);
  tunnel_set_online (end->tunnel, true);
  tunnel_set_node_key (end->tunnel, &end->key);
  for (int i = 0; i < WAIT_STEPS && end->port == 0; i++) {
    end_take_events (end);
    usleep (WAIT_STEP_US);
  }
}

void
end_start (End *end, int number, unsigned queues, EndDevice device)
{
  start (end, number, queues, device, 0);
}

void
end_restart (End *end, int number)
{
  End old = *end;

  end_stop (&old);
  start (end, number, old.n_queues, old.device, old.port);
}

void
end_stop (End *end)
{
  tunnel_free (end->tunnel);
  tunnel_config_unref (end->config);
  free (end->unread);
  for (unsigned i = 0; i < end->n_queues; i++)
    close (end->tun[i]);
}

Filter *
end_filter (bool shields_up)
{
  static const IpRange any;
  static const FilterDst everywhere = {.first_port = 0, .last_port = 65535};
  static const FilterRule rule = {.srcs = &any, .n_srcs = 1, .dsts = &everywhere, .n_dsts = 1};
  static FilterRules rules = {.references = 1000000, .rules = &rule, .n_rules = 1};
  static const NamedFilter list = {"base", &rules};
  static const IpPrefix local[] = {{{.family = 4}, 0}, {{.family = 6}, 0}};
  const FilterConfig config = {.klass = shields_up ? FILTER_SHIELDS_UP : FILTER_NORMAL,
                               .lists = &list,
                               .n_lists = 1,
                               .local = local,
                               .n_local = 2};

  return filter_compile (&config);
}

TunnelSettings
end_settings (const End *end, Filter *filter)
{
  return (TunnelSettings){.self_key = end->public_key,
                          .address4 = end->address4,
                          .address6 = end->address6,
                          .filter = filter,
                          .mtu = TUNNEL_MTU_DEFAULT};
}

TunnelPeer
end_peer (const End *other, IpPrefix prefixes[2], IpPort *endpoint)
{
  prefixes[0] = ip_single (&other->address4);
  prefixes[1] = ip_single (&other->address6);
  *endpoint = (IpPort){ip_from_v4 (0x7f000001), other->port};
  return (TunnelPeer){.id = 1,
                      .key = other->public_key,
                      .address4 = other->address4,
                      .address6 = other->address6,
                      .routes = prefixes,
                      .n_routes = 2,
                      .sources = prefixes,
                      .n_sources = 2,
                      .endpoints = endpoint,
                      .n_endpoints = 1,
                      .wireguard_only = true};
}

bool
end_wait_applied (End *end)
{
  for (int i = 0; i < WAIT_STEPS && end->applied < end->wanted; i++) {
    end_take_events (end);
    usleep (WAIT_STEP_US);
  }
  return end->applied >= end->wanted && tunnel_applied (end->tunnel) == end->applied;
}

bool
end_apply (End *end, const TunnelSettings *settings, const TunnelPeer *peers, size_t n_peers)
{
  TunnelPeer *put[8] = {NULL};
  TunnelConfig *config;

  for (size_t i = 0; i < n_peers; i++)
    put[i] = tunnel_peer_new (&peers[i]);
  config = tunnel_config_update (NULL, settings, put, n_peers, NULL, 0);
  for (size_t i = 0; i < n_peers; i++)
    tunnel_peer_unref (put[i]);
  tunnel_config_unref (end->config);
  end->config = config;
  end->wanted = tunnel_apply (end->tunnel, config);
  return end_wait_applied (end);
}

static bool
connect_to (End *end, const End *other)
{
  IpPrefix prefixes[2];
  IpPort endpoint;
  Filter *filter = end_filter (false);
  TunnelSettings settings = end_settings (end, filter);
  TunnelPeer peer = end_peer (other, prefixes, &endpoint);
  bool ok = end_apply (end, &settings, &peer, 1);

  filter_unref (filter);
  return ok;
}

bool
ends_connect (End *a, End *b)
{
  return connect_to (a, b) && connect_to (b, a);
}

void
end_write (End *end, const void *packet, size_t size)
{
  static _Thread_local uint8_t bytes[70000];
  size_t head = end->vnet ? VNET_HEADER_SIZE : 0;

  memset (bytes, 0, head);
  memcpy (bytes + head, packet, size);
  while (send (end->tun[0], bytes, head + size, MSG_NOSIGNAL) < 0)
    usleep (100);
}

size_t
end_read (End *end, uint8_t out[2048], int timeout_ms)
{
  struct EndUnread *u = end->unread;
  struct pollfd fds[ENDS_QUEUES_MAX];

  if (u->next < u->super.n_segments)
    return super_packet_write (&u->super, u->next++, out);
  for (unsigned i = 0; i < end->n_queues; i++)
    fds[i] = (struct pollfd){end->tun[i], POLLIN, 0};
  if (poll (fds, end->n_queues, timeout_ms) <= 0)
    return 0;
  for (unsigned i = 0; i < end->n_queues; i++) {
    ssize_t n = recv (end->tun[i], u->bytes, sizeof u->bytes, MSG_DONTWAIT);

    if (n <= 0)
      continue;
    if (!super_packet_parse (&u->super, u->bytes, (size_t)n, end->vnet))
      abort ();
    u->next = 1;
    return super_packet_write (&u->super, 0, out);
  }
  return 0;
}

static uint64_t
pseudo (const uint8_t *ip, uint8_t protocol, size_t l4)
{
  return ip[0] >> 4 == 4 ? checksum_pseudo (ip + 12, 8, protocol, (uint32_t)l4)
                         : checksum_pseudo (ip + 8, 32, protocol, (uint32_t)l4);
}

size_t
make_packet (uint8_t *out, const IpAddr *src, const IpAddr *dst, uint16_t src_port,
             uint16_t dst_port, uint8_t tcp_flags, size_t payload)
{
  bool v4 = src->family == 4, tcp = tcp_flags != 0;
  size_t ip_size = v4 ? 20 : 40, l4_size = (tcp ? 20 : 8) + payload, size = ip_size + l4_size;
  uint8_t protocol = tcp ? 6 : 17, *l4 = out + ip_size;

  memset (out, 0, size);
  if (v4) {
    out[0] = 0x45;
    store_be16 (out + 2, (uint16_t)size);
    out[8] = 64;
    out[9] = protocol;
    memcpy (out + 12, src->bytes, 4);
    memcpy (out + 16, dst->bytes, 4);
    checksum_store (out + 10, checksum_add (0, out, 20));
  } else {
    out[0] = 0x60;
    store_be16 (out + 4, (uint16_t)l4_size);
    out[6] = protocol;
    out[7] = 64;
    memcpy (out + 8, src->bytes, 16);
    memcpy (out + 24, dst->bytes, 16);
  }
  store_be16 (l4, src_port);
  store_be16 (l4 + 2, dst_port);
  if (tcp) {
    l4[12] = 0x50;
    l4[13] = tcp_flags;
  } else {
    store_be16 (l4 + 4, (uint16_t)l4_size);
  }
  for (size_t i = 0; i < payload; i++)
    l4[(tcp ? 20 : 8) + i] = (uint8_t)i;
  checksum_store (l4 + (tcp ? 16 : 6), checksum_add (pseudo (out, protocol, l4_size), l4, l4_size));
  return size;
}

bool
packet_intact (const uint8_t *p, size_t size)
{
  bool v4 = p[0] >> 4 == 4;
  size_t at = v4 ? 20 : 40;
  uint8_t protocol = v4 ? p[9] : p[6];

  if (size < at + 8)
    return false;
  if (v4 && (load_be16 (p + 2) != size || checksum_fold (checksum_add (0, p, 20)) != 0xffff))
    return false;
  if (!v4 && load_be16 (p + 4) + 40u != size)
    return false;
  if (protocol != 6 && protocol != 17)
    return true;
  return checksum_fold (checksum_add (pseudo (p, protocol, size - at), p + at, size - at))
         == 0xffff;
}
