/* Two whole tunnels under load while their configurations change: net threads, workers, rings. For
 * the thread sanitizer, so without GLib, whose locks it does not know. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "ends.h"
#include "tunnel/split.h"
#include "tunnel/vnet.h"

#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUES     2
#define SEED       20261123
#define BACKGROUND 200 /* peers that nobody talks to */
#define PAYLOAD    600
#define RUN_US     (3 * USEC_PER_SEC)

static End ends[2];
static _Atomic uint64_t received[2];
static _Atomic uint64_t broken[2];
static _Atomic bool stop;
static int failures;
static int tests;

static void
ok (bool condition, const char *name)
{
  printf ("%s %d %s\n", condition ? "ok" : "not ok", ++tests, name);
  failures += !condition;
}

/* Packets of several flows into any queue, as fast as it takes them. */
static void *
send_packets (void *data)
{
  End *end = data;
  const End *other = end == &ends[0] ? &ends[1] : &ends[0];
  uint8_t packet[VNET_HEADER_SIZE + 28 + PAYLOAD] = {0};
  SeededRandom random;

  seeded_random_init (&random, SEED + end->port);
  while (!stop) {
    uint16_t port = (uint16_t)(1000 + random_below (&random.base, 8));

    make_packet (packet + VNET_HEADER_SIZE, &end->address4, &other->address4, port, 7, 0, PAYLOAD);
    if (send (end->tun[random_below (&random.base, QUEUES)], packet, sizeof packet, MSG_DONTWAIT)
        < 0)
      usleep (200);
  }
  return NULL;
}

static void
count (int number, uint8_t *data, size_t size)
{
  uint8_t out[2048];
  SuperPacket super;

  if (!super_packet_parse (&super, data, size, true)) {
    broken[number]++;
    return;
  }
  for (uint32_t k = 0; k < super.n_segments; k++) {
    size_t n = super_packet_segment_size (&super, k);

    if (n > sizeof out || super_packet_write (&super, k, out) != n || !packet_intact (out, n))
      broken[number]++;
    else
      received[number]++;
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
        count ((int)(end - ends), buffer, (size_t)n);
    }
  }
  return NULL;
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

static void
apply (End *end, TunnelConfig *next)
{
  tunnel_config_unref (end->config);
  end->config = next;
  end->wanted = tunnel_apply (end->tunnel, next);
}

/* One change of the configuration: peers come, change and go. */
static void
change (End *end, Random *random)
{
  TunnelPeer *put[4];
  int64_t gone[4];
  size_t n_put = random_below (random, 5), n_gone = random_below (random, 5);

  for (size_t i = 0; i < n_put; i++)
    put[i] = background_peer (random, 100 + (int64_t)random_below (random, BACKGROUND));
  for (size_t i = 0; i < n_gone; i++)
    gone[i] = 100 + (int64_t)random_below (random, BACKGROUND);
  apply (end, tunnel_config_update (end->config, tunnel_config_settings (end->config), put, n_put,
                                    gone, n_gone));
  for (size_t i = 0; i < n_put; i++)
    tunnel_peer_unref (put[i]);
}

static void
disturb (End *end, Random *random, int round)
{
  const NodePublic *other = &ends[end == &ends[0]].public_key;
  TunnelPeerStatus status;
  TunnelStats stats;

  change (end, random);
  tunnel_peer_status (end->tunnel, other, &status);
  tunnel_stats (end->tunnel, &stats);
  if (round % 20 == 7)
    tunnel_ping (end->tunnel, (uint64_t)round, other, TUNNEL_PING_TSMP, 0, 2000);
  if (round % 50 == 30)
    tunnel_rebind (end->tunnel);
  if (round % 97 == 40)
    tunnel_resumed (end->tunnel, USEC_PER_SEC);
  end_take_events (end);
}

/* The peer is taken away and given back while packets flow: its sessions go, new ones come. */
static void
remove_and_return (End *end, const End *other)
{
  const TunnelSettings *settings = tunnel_config_settings (end->config);
  int64_t id = 1;
  IpPrefix prefixes[2];
  IpPort endpoint;
  const TunnelPeer fields = end_peer (other, prefixes, &endpoint);
  TunnelPeer *peer = tunnel_peer_new (&fields);

  apply (end, tunnel_config_update (end->config, settings, NULL, 0, &id, 1));
  settings = tunnel_config_settings (end->config);
  apply (end, tunnel_config_update (end->config, settings, &peer, 1, NULL, 0));
  tunnel_peer_unref (peer);
}

static void
run_load (void)
{
  SeededRandom random;
  int64_t begin = clock_now_us ();
  uint64_t before;

  seeded_random_init (&random, SEED);
  for (int round = 0; clock_now_us () - begin < RUN_US; round++) {
    for (int i = 0; i < 2; i++)
      disturb (&ends[i], &random.base, round);
    usleep (5000);
  }
  ok (received[0] > 100 && received[1] > 100, "packets arrive in both directions");
  ok (end_wait_applied (&ends[0]) && end_wait_applied (&ends[1]),
      "every configuration comes into force");
  for (int i = 0; i < 200 && (ends[0].pongs == 0 || ends[1].pongs == 0); i++) {
    end_take_events (&ends[0]);
    end_take_events (&ends[1]);
    usleep (10000);
  }
  ok (ends[0].pongs > 0 && ends[1].pongs > 0, "pings through the tunnel are answered");
  remove_and_return (&ends[0], &ends[1]);
  ok (end_wait_applied (&ends[0]), "a removed peer is forgotten by every worker");
  before = received[1];
  for (int i = 0; i < 2000 && received[1] < before + 100; i++)
    usleep (10000);
  ok (received[1] >= before + 100, "a returned peer gets a new session");
}

int
main (void)
{
  pthread_t threads[4];

  if (sodium_init () < 0)
    return 1;
  log_set_level (LOG_LEVEL_ERROR);
  for (int i = 0; i < 2; i++)
    end_start (&ends[i], i, QUEUES, END_DEVICE_FULL);
  ok (ends_connect (&ends[0], &ends[1]), "the first configuration comes into force");
  for (int i = 0; i < 2; i++) {
    pthread_create (&threads[2 * i], NULL, send_packets, &ends[i]);
    pthread_create (&threads[2 * i + 1], NULL, receive_packets, &ends[i]);
  }
  run_load ();
  stop = true;
  for (int i = 0; i < 4; i++)
    pthread_join (threads[i], NULL);
  ok (broken[0] == 0 && broken[1] == 0, "no packet is damaged");
  fprintf (stderr, "# received %llu and %llu, pongs %u and %u\n", (unsigned long long)received[0],
           (unsigned long long)received[1], ends[0].pongs, ends[1].pongs);
  for (int i = 0; i < 2; i++)
    end_stop (&ends[i]);
  printf ("1..%d\n", tests);
  return failures > 0;
}
