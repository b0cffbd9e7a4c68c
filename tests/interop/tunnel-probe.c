/* The data plane alone, with a configuration from the command line: for measurements and for plain
 * WireGuard peers, without control server, daemon or bus.
 *
 *   tunnel-probe --tun NAME --port N --private HEX --address IP [--address IP] [--queues N]
 *                [--plain] [--peer PUBHEX,IP:PORT,IP]...
 *
 * Makes the device and leaves addresses and routes to the caller. Every packet of a peer may come
 * in. Writes what happens to stderr, counters at the end (SIGTERM, SIGINT). */
#include "base/bytes.h"
#include "base/crypto.h"
#include "netmap/filter-rule.h"
#include "tunnel/tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PEERS_MAX 16

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static volatile sig_atomic_t stopping;

static void
on_signal (int number)
{
  stopping = 1;
}

static void
die (const char *what)
{
  perror (what);
  exit (1);
}

static int
open_queue (const char *name, bool vnet, bool many, TunnelOptions *options)
{
  struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

  if (fd < 0)
    die ("/dev/net/tun");
  ifr.ifr_flags |= (vnet ? IFF_VNET_HDR : 0) | (many ? IFF_MULTI_QUEUE : 0);
  snprintf (ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
  if (ioctl (fd, TUNSETIFF, &ifr) < 0)
    die ("TUNSETIFF");
  options->tcp_merged = vnet;
  options->udp_merged = false;
  if (vnet) {
    if (ioctl (fd, TUNSETOFFLOAD, offload) < 0)
      die ("TUNSETOFFLOAD");
    options->udp_merged = ioctl (fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) == 0;
  }
  return fd;
}

static IpAddr
parse_ip (const char *text, size_t length)
{
  IpAddr address;

  if (!ip_parse (text, length, &address)) {
    fprintf (stderr, "not an address: %s\n", text);
    exit (2);
  }
  return address;
}

/* Every packet from anywhere to anywhere. */
static Filter *
open_filter (void)
{
  static const IpRange any;
  static const FilterDst everywhere = {.first_port = 0, .last_port = 65535};
  static const FilterRule rule = {.srcs = &any, .n_srcs = 1, .dsts = &everywhere, .n_dsts = 1};
  static FilterRules rules = {.references = 1000000, .rules = &rule, .n_rules = 1};
  static const NamedFilter list = {"base", &rules};
  static const IpPrefix local[] = {{{.family = 4}, 0}, {{.family = 6}, 0}};
  const FilterConfig config
      = {.klass = FILTER_NORMAL, .lists = &list, .n_lists = 1, .local = local, .n_local = 2};

  return filter_compile (&config);
}

static TunnelPeer *
parse_peer (char *text, int64_t id)
{
  char *endpoint = strchr (text, ','), *address = endpoint ? strchr (endpoint + 1, ',') : NULL;
  TunnelPeer fields = {.id = id, .wireguard_only = true};
  IpPort at;
  IpPrefix allowed;

  if (address == NULL || !hex_decode (text, 64, fields.key.bytes, KEY_SIZE)
      || !ip_port_parse (endpoint + 1, (size_t)(address - endpoint - 1), &at)
      || !ip_prefix_parse (address + 1, strlen (address + 1), &allowed)) {
    fprintf (stderr, "not a peer: %s\n", text);
    exit (2);
  }
  if (allowed.addr.family == 4)
    fields.address4 = allowed.addr;
  else
    fields.address6 = allowed.addr;
  fields.endpoints = &at;
  fields.n_endpoints = at.addr.family != 0;
  fields.routes = fields.sources = &allowed;
  fields.n_routes = fields.n_sources = 1;
  return tunnel_peer_new (&fields);
}

static void
print_event (const TunnelEvent *event)
{
  char text[IP_PORT_TEXT_MAX] = "";

  switch (event->type) {
    case TUNNEL_EVENT_SOCKETS:
      fprintf (stderr, "sockets %u %u\n", event->sockets.port4, event->sockets.port6);
      break;
    case TUNNEL_EVENT_APPLIED:
      fprintf (stderr, "applied %llu\n", (unsigned long long)event->number);
      break;
    case TUNNEL_EVENT_PATH:
      ip_port_format (&event->path.udp, text);
      fprintf (stderr, "path %s region %u\n", text, event->path.region);
      break;
    case TUNNEL_EVENT_OFFLOAD:
      fprintf (stderr, "%s\n", event->text);
      break;
    default:
      fprintf (stderr, "event %d\n", event->type);
      break;
  }
}

static void
print_stats (const Tunnel *tunnel)
{
  TunnelStats s;

  tunnel_stats (tunnel, &s);
  fprintf (stderr, "rx %llu packets %llu bytes, tx %llu packets %llu bytes, overflows %llu\n",
           (unsigned long long)s.rx_packets, (unsigned long long)s.rx_bytes,
           (unsigned long long)s.tx_packets, (unsigned long long)s.tx_bytes,
           (unsigned long long)s.socket_overflows);
  for (int i = 0; i < TUNNEL_N_DROPS; i++)
    if (s.drops_in[i] + s.drops_out[i] > 0)
      fprintf (stderr, "drop %d: in %llu out %llu\n", i, (unsigned long long)s.drops_in[i],
               (unsigned long long)s.drops_out[i]);
  fprintf (stderr, "gso4 %d gso6 %d gro %d tcp %d udp %d\n", s.gso4, s.gso6, s.gro, s.tun_tcp_gro,
           s.tun_udp_gro);
}

int
main (int argc, char **argv)
{
  TunnelOptions options = {.vnet_header = true};
  TunnelSettings settings = {.mtu = TUNNEL_MTU_DEFAULT};
  TunnelPeer *peers[PEERS_MAX];
  const char *tun = "wr0";
  NodePrivate key = {0};
  size_t n_peers = 0;
  unsigned queues = 1;

  if (sodium_init () < 0)
    return 1;
  for (int i = 1; i < argc; i++) {
    char *value = i + 1 < argc ? argv[i + 1] : argv[i];

    if (strcmp (argv[i], "--plain") == 0) {
      options.vnet_header = false;
      continue;
    }
    i++;
    if (strcmp (argv[i - 1], "--tun") == 0)
      tun = value;
    else if (strcmp (argv[i - 1], "--port") == 0)
      options.port = (uint16_t)atoi (value);
    else if (strcmp (argv[i - 1], "--queues") == 0)
      queues = (unsigned)atoi (value);
    else if (strcmp (argv[i - 1], "--mtu") == 0)
      settings.mtu = (uint32_t)atoi (value);
    else if (strcmp (argv[i - 1], "--private") == 0)
      hex_decode (value, 64, key.bytes, KEY_SIZE);
    else if (strcmp (argv[i - 1], "--peer") == 0 && n_peers < PEERS_MAX)
      peers[n_peers] = parse_peer (value, (int64_t)n_peers + 1), n_peers++;
    else if (strcmp (argv[i - 1], "--address") == 0) {
      IpAddr address = parse_ip (value, strlen (value));

      *(address.family == 4 ? &settings.address4 : &settings.address6) = address;
    } else {
      fprintf (stderr, "unknown option %s\n", argv[i - 1]);
      return 2;
    }
  }
  for (unsigned i = 0; i < queues; i++)
    options.tun_fds[options.n_tun_fds++]
        = open_queue (tun, options.vnet_header, queues > 1, &options);
  random_fill (random_system (), options.disco_key.bytes, KEY_SIZE);
  key_public (key.bytes, settings.self_key.bytes);
  settings.filter = open_filter ();

  Tunnel *tunnel = tunnel_new (&options);
  if (tunnel == NULL)
    die ("tunnel_new");
  TunnelConfig *config = tunnel_config_update (NULL, &settings, peers, n_peers, NULL, 0);
  TunnelLink link = {.up = true, .have4 = true, .have6 = true};
  tunnel_set_node_key (tunnel, &key);
  tunnel_set_link (tunnel, &link);
  tunnel_set_online (tunnel, true);
  tunnel_apply (tunnel, config);
  signal (SIGTERM, on_signal);
  signal (SIGINT, on_signal);
  while (!stopping) {
    struct pollfd p = {.fd = tunnel_event_fd (tunnel), .events = POLLIN};
    TunnelEvent event;

    while (tunnel_next_event (tunnel, &event))
      print_event (&event);
    poll (&p, 1, -1);
  }
  print_stats (tunnel);
  tunnel_free (tunnel);
  tunnel_config_unref (config);
  return 0;
}
