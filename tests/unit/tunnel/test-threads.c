/* Two whole tunnels in one process under load: net threads, workers, rings, configurations that
 * change meanwhile. For the thread sanitizer, so without GLib, whose locks it does not know; the
 * TUN devices are socket pairs and the network is the loopback interface. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "netmap/filter-rule.h"
#include "tunnel/checksum.h"
#include "tunnel/split.h"
#include "tunnel/tunnel.h"
#include "tunnel/vnet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUES     2
#define SEED       20261123
#define BACKGROUND 200 /* peers that nobody talks to */
#define PAYLOAD    600
#define HEADER     (VNET_HEADER_SIZE + 28)
#define RUN_US     (3 * USEC_PER_SEC)

/* One end: a tunnel, the other side of its TUN queues, and what came out of them. */
typedef struct
{
  Tunnel *tunnel;
  NodePrivate key;
  NodePublic public_key;
  IpAddr address;
  uint16_t port;
  int tun[QUEUES];
  _Atomic uint64_t received;
  _Atomic uint64_t broken;
  uint64_t applied;
  uint64_t wanted;
  unsigned pongs;
} End;

static End ends[2];
static _Atomic bool stop;
static int failures;
static int tests;

static void
ok (bool condition, const char *name)
{
  printf ("%s %d %s\n", condition ? "ok" : "not ok", ++tests, name);
  failures += !condition;
}

static Filter *
open_filter (bool shields_up)
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

static TunnelPeer *
peer_of (const End *end, int64_t id)
{
  IpPort at = {ip_from_v4 (0x7f000001), end->port};
  IpPrefix prefix = ip_single (&end->address);
  const TunnelPeer fields = {.id = id,
                             .key = end->public_key,
                             .address4 = end->address,
                             .routes = &prefix,
                             .n_routes = 1,
                             .sources = &prefix,
                             .n_sources = 1,
                             .endpoints = &at,
                             .n_endpoints = 1,
                             .wireguard_only = true};

  return tunnel_peer_new (&fields);
}

static TunnelPeer *
background_peer (Random *random, int64_t id)
{
  IpAddr address = ip_from_v4 (0x64500000u + (uint32_t)id);
  IpPrefix prefix = ip_single (&address);
  TunnelPeer fields = {.id = id,
                       .address4 = address,
                       .routes = &prefix,
                       .n_routes = 1,
                       .sources = &prefix,
                       .n_sources = 1,
                       .home_region = 1,
                       .jailed = random_below (random, 8) == 0};

  random_fill (random, fields.key.bytes, KEY_SIZE);
  return tunnel_peer_new (&fields);
}

static TunnelSettings
settings_of (const End *end, Filter *filter)
{
  return (TunnelSettings){.self_key = end->public_key,
                          .address4 = end->address,
                          .filter = filter,
                          .mtu = TUNNEL_MTU_DEFAULT};
}

/* Packets of several flows into one queue, as fast as it takes them. */
static void *
send_packets (void *data)
{
  End *end = data, *other = end == &ends[0] ? &ends[1] : &ends[0];
  uint8_t packet[HEADER + PAYLOAD] = {0};
  uint8_t *ip = packet + VNET_HEADER_SIZE;
  SeededRandom random;

  seeded_random_init (&random, SEED + end->port);
  ip[0] = 0x45;
  store_be16 (ip + 2, 28 + PAYLOAD);
  ip[8] = 64;
  ip[9] = 17;
  memcpy (ip + 12, end->address.bytes, 4);
  memcpy (ip + 16, other->address.bytes, 4);
  checksum_store (ip + 10, checksum_add (0, ip, 20));
  store_be16 (ip + 22, 7);
  store_be16 (ip + 24, 8 + PAYLOAD);
  while (!stop) {
    uint64_t sum;

    store_be16 (ip + 20, (uint16_t)(1000 + random_below (&random.base, 8)));
    random_fill (&random.base, ip + 28, 16);
    ip[26] = ip[27] = 0;
    sum = checksum_pseudo (ip + 12, 8, 17, 8 + PAYLOAD);
    checksum_store (ip + 26, checksum_add (sum, ip + 20, 8 + PAYLOAD));
    if (send (end->tun[random_below (&random.base, QUEUES)], packet, sizeof packet, MSG_DONTWAIT)
        < 0)
      usleep (200);
  }
  return NULL;
}

static bool
is_intact (const uint8_t *ip, size_t size)
{
  return size == 28 + PAYLOAD && checksum_fold (checksum_add (0, ip, 20)) == 0xffff
         && checksum_fold (checksum_add (checksum_pseudo (ip + 12, 8, 17, (uint32_t)size - 20),
                                         ip + 20, size - 20))
                == 0xffff;
}

static void
count (End *end, uint8_t *data, size_t size)
{
  uint8_t out[2048];
  SuperPacket super;

  if (!super_packet_parse (&super, data, size, true)) {
    end->broken++;
    return;
  }
  for (uint32_t k = 0; k < super.n_segments; k++) {
    size_t n = super_packet_segment_size (&super, k);

    if (n > sizeof out || super_packet_write (&super, k, out) != n)
      end->broken++;
    else if (out[9] == 17 && !is_intact (out, n))
      end->broken++;
    else
      end->received++;
  }
}

static void *
receive_packets (void *data)
{
  static _Thread_local uint8_t buffer[70000];
  End *end = data;

  while (!stop) {
    struct pollfd fds[QUEUES];

    for (int i = 0; i < QUEUES; i++)
      fds[i] = (struct pollfd){end->tun[i], POLLIN, 0};
    if (poll (fds, QUEUES, 20) <= 0)
      continue;
    for (int i = 0; i < QUEUES; i++) {
      ssize_t n = recv (end->tun[i], buffer, sizeof buffer, MSG_DONTWAIT);

      if (n > 0)
        count (end, buffer, (size_t)n);
    }
  }
  return NULL;
}

static void
take_events (End *end)
{
  TunnelEvent event;

  while (tunnel_next_event (end->tunnel, &event)) {
    if (event.type == TUNNEL_EVENT_SOCKETS && event.sockets.port4 != 0)
      end->port = event.sockets.port4;
    if (event.type == TUNNEL_EVENT_APPLIED)
      end->applied = event.number;
    if (event.type == TUNNEL_EVENT_PING && event.ping.answered)
      end->pongs++;
  }
}

static void
start (End *end, int number)
{
  TunnelOptions options = {.vnet_header = true, .udp_gso = true, .n_tun_fds = QUEUES};

  for (int i = 0; i < QUEUES; i++) {
    int pair[2];

    if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
      abort ();
    options.tun_fds[i] = pair[0];
    end->tun[i] = pair[1];
  }
  end->key.bytes[0] = (uint8_t)(8 * (number + 1));
  end->key.bytes[31] = 64;
  key_public (end->key.bytes, end->public_key.bytes);
  end->address = ip_from_v4 (0x64400001u + (uint32_t)number);
  end->tunnel = tunnel_new (&options);
  if (end->tunnel == NULL)
    abort ();
  for (int i = 0; i < 500 && end->port == 0; i++) {
    take_events (end);
    usleep (10000);
  }
}

static TunnelConfig *
first_config (End *end)
{
  End *other = end == &ends[0] ? &ends[1] : &ends[0];
  Filter *filter = open_filter (false);
  TunnelSettings settings = settings_of (end, filter);
  TunnelPeer *peer = peer_of (other, 1);
  TunnelConfig *config = tunnel_config_update (NULL, &settings, &peer, 1, NULL, 0);
  TunnelLink link = {.up = true, .have4 = true};

  tunnel_set_link (end->tunnel, &link);
  tunnel_set_online (end->tunnel, true);
  tunnel_set_node_key (end->tunnel, &end->key);
  end->wanted = tunnel_apply (end->tunnel, config);
  tunnel_peer_unref (peer);
  filter_unref (filter);
  return config;
}

/* One change of the configuration: peers come, change and go. */
static TunnelConfig *
change (End *end, TunnelConfig *config, Random *random)
{
  TunnelPeer *put[4];
  int64_t gone[4];
  size_t n_put = random_below (random, 5), n_gone = random_below (random, 5);
  TunnelConfig *next;

  for (size_t i = 0; i < n_put; i++)
    put[i] = background_peer (random, 100 + (int64_t)random_below (random, BACKGROUND));
  for (size_t i = 0; i < n_gone; i++)
    gone[i] = 100 + (int64_t)random_below (random, BACKGROUND);
  next = tunnel_config_update (config, tunnel_config_settings (config), put, n_put, gone, n_gone);
  for (size_t i = 0; i < n_put; i++)
    tunnel_peer_unref (put[i]);
  tunnel_config_unref (config);
  end->wanted = tunnel_apply (end->tunnel, next);
  return next;
}

static TunnelConfig *
disturb (End *end, TunnelConfig *config, Random *random, int round)
{
  const NodePublic *other = &ends[end == &ends[0]].public_key;
  TunnelPeerStatus status;
  TunnelStats stats;

  config = change (end, config, random);
  tunnel_peer_status (end->tunnel, other, &status);
  tunnel_stats (end->tunnel, &stats);
  if (round % 20 == 7)
    tunnel_ping (end->tunnel, (uint64_t)round, other,
                 round % 40 == 7 ? TUNNEL_PING_TSMP : TUNNEL_PING_ICMP, 0, 1000);
  if (round % 50 == 30)
    tunnel_rebind (end->tunnel);
  if (round % 97 == 40)
    tunnel_resumed (end->tunnel, USEC_PER_SEC);
  take_events (end);
  return config;
}

/* The peer is taken away and given back while packets flow: its sessions go, new ones come. */
static TunnelConfig *
remove_and_return (End *end, TunnelConfig *config)
{
  End *other = end == &ends[0] ? &ends[1] : &ends[0];
  const TunnelSettings *settings = tunnel_config_settings (config);
  int64_t id = 1;
  TunnelConfig *without = tunnel_config_update (config, settings, NULL, 0, &id, 1), *with;
  TunnelPeer *peer = peer_of (other, 1);

  tunnel_apply (end->tunnel, without);
  with = tunnel_config_update (without, settings, &peer, 1, NULL, 0);
  end->wanted = tunnel_apply (end->tunnel, with);
  tunnel_peer_unref (peer);
  tunnel_config_unref (without);
  tunnel_config_unref (config);
  return with;
}

static bool
wait_applied (End *end)
{
  for (int i = 0; i < 500 && end->applied < end->wanted; i++) {
    take_events (end);
    usleep (10000);
  }
  return end->applied >= end->wanted && tunnel_applied (end->tunnel) == end->applied;
}

int
main (void)
{
  pthread_t threads[4];
  TunnelConfig *configs[2];
  SeededRandom random;
  int64_t begin;
  uint64_t before;

  if (sodium_init () < 0)
    return 1;
  log_set_level (LOG_LEVEL_ERROR);
  seeded_random_init (&random, SEED);
  for (int i = 0; i < 2; i++)
    start (&ends[i], i);
  for (int i = 0; i < 2; i++)
    configs[i] = first_config (&ends[i]);
  for (int i = 0; i < 2; i++) {
    pthread_create (&threads[2 * i], NULL, send_packets, &ends[i]);
    pthread_create (&threads[2 * i + 1], NULL, receive_packets, &ends[i]);
  }
  begin = clock_now_us ();
  for (int round = 0; clock_now_us () - begin < RUN_US; round++) {
    for (int i = 0; i < 2; i++)
      configs[i] = disturb (&ends[i], configs[i], &random.base, round);
    usleep (5000);
  }
  ok (ends[0].received > 1000 && ends[1].received > 1000, "packets arrive in both directions");
  ok (wait_applied (&ends[0]) && wait_applied (&ends[1]), "every configuration comes into force");
  ok (ends[0].pongs > 0 && ends[1].pongs > 0, "pings through the tunnel are answered");
  /* After a rebind the other side does not know the new port if it changed; here it did not. */
  configs[0] = remove_and_return (&ends[0], configs[0]);
  ok (wait_applied (&ends[0]), "a removed peer is forgotten by every worker");
  before = ends[1].received;
  for (int i = 0; i < 1000 && ends[1].received < before + 100; i++)
    usleep (10000);
  ok (ends[1].received >= before + 100, "a returned peer gets a new session");
  stop = true;
  for (int i = 0; i < 4; i++)
    pthread_join (threads[i], NULL);
  ok (ends[0].broken == 0 && ends[1].broken == 0, "no packet is damaged");
  fprintf (stderr, "# received %llu and %llu, pongs %u and %u\n",
           (unsigned long long)ends[0].received, (unsigned long long)ends[1].received,
           ends[0].pongs, ends[1].pongs);
  for (int i = 0; i < 2; i++) {
    tunnel_free (ends[i].tunnel);
    tunnel_config_unref (configs[i]);
    for (int k = 0; k < QUEUES; k++)
      close (ends[i].tun[k]);
  }
  printf ("1..%d\n", tests);
  return failures > 0;
}
