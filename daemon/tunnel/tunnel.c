#include "tunnel/tunnel.h"

#include "base/memory.h"
#include "tunnel/net.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVE_US (120 * USEC_PER_SEC)

struct Tunnel
{
  Shared shared;
  Net net;
  unsigned reader; /* main, in shared.epochs */
  TunnelConfig *config;
  uint64_t number; /* of config */
};

static Tunnel *
tunnel_make (const TunnelOptions *options)
{
  Tunnel *tunnel = aligned_alloc (64, (sizeof *tunnel + 63) / 64 * 64);
  Random *random = random_system ();

  if (tunnel == NULL)
    abort ();
  memset (tunnel, 0, sizeof *tunnel);
  tunnel->shared.epochs = epoch_domain_new ();
  tunnel->shared.n_workers = options->n_tun_fds;
  tunnel->shared.vnet = options->vnet_header;
  tunnel->shared.tcp_merged = options->vnet_header && options->tcp_merged;
  tunnel->shared.udp_merged = options->vnet_header && options->udp_merged;
  key_public (options->disco_key.bytes, tunnel->shared.disco.bytes);
  atomic_init (&tunnel->shared.view, view_new_empty ());
  tunnel->reader = epoch_reader_add (tunnel->shared.epochs);
  if (!bell_init (&tunnel->shared.net_bell)
      || !net_init (&tunnel->net, &tunnel->shared, options, random))
    abort ();
  for (unsigned i = 0; i < options->n_tun_fds; i++)
    tunnel->net.workers[i] = worker_new (&tunnel->shared, i, options->tun_fds[i], random);
  return tunnel;
}

Tunnel *
tunnel_new (const TunnelOptions *options)
{
  Tunnel *tunnel;

  if (options->n_tun_fds == 0 || options->n_tun_fds > TUNNEL_WORKERS_MAX) {
    errno = EINVAL;
    return NULL;
  }
  tunnel = tunnel_make (options);
  for (unsigned i = 0; i < options->n_tun_fds; i++)
    if (!worker_start (tunnel->net.workers[i], tunnel->net.workers))
      abort ();
  if (!net_start (&tunnel->net))
    abort ();
  return tunnel;
}

static void
send_command (Tunnel *tunnel, const Command *command)
{
  mailbox_post (&tunnel->net.commands, command, sizeof *command);
}

static void
stop_threads (Tunnel *tunnel)
{
  Command stop = {.type = COMMAND_STOP};
  Order order = {.type = ORDER_STOP};

  send_command (tunnel, &stop);
  while (mailbox_waiting (&tunnel->net.commands))
    mailbox_flush (&tunnel->net.commands);
  pthread_join (tunnel->net.thread, NULL);
  for (unsigned i = 0; i < tunnel->shared.n_workers; i++) {
    Worker *w = tunnel->net.workers[i];

    mailbox_post (&w->orders, &order, sizeof order);
    while (mailbox_waiting (&w->orders))
      mailbox_flush (&w->orders);
    pthread_join (w->thread, NULL);
  }
  for (unsigned i = 0; i < tunnel->shared.n_workers; i++)
    owned_clear (tunnel->net.workers[i]);
}

void
tunnel_free (Tunnel *tunnel)
{
  if (tunnel == NULL)
    return;
  stop_threads (tunnel);
  net_clear (&tunnel->net);
  for (unsigned i = 0; i < tunnel->shared.n_workers; i++)
    worker_free (tunnel->net.workers[i]);
  view_free (atomic_load (&tunnel->shared.view));
  tunnel_config_unref (tunnel->config);
  epoch_domain_free (tunnel->shared.epochs);
  bell_clear (&tunnel->shared.net_bell);
  free (tunnel);
}

uint64_t
tunnel_apply (Tunnel *tunnel, TunnelConfig *config)
{
  Command command = {.type = COMMAND_CONFIG};

  if (tunnel_config_equal (tunnel->config, config))
    return tunnel->number;
  tunnel_config_unref (tunnel->config);
  tunnel->config = tunnel_config_ref (config);
  command.config = tunnel_config_ref (config);
  command.id = ++tunnel->number;
  send_command (tunnel, &command);
  return tunnel->number;
}

uint64_t
tunnel_applied (const Tunnel *tunnel)
{
  return atomic_load (&tunnel->net.applied);
}

void
tunnel_set_node_key (Tunnel *tunnel, const NodePrivate *key)
{
  Command command = {.type = COMMAND_NODE_KEY, .node_key = *key};

  send_command (tunnel, &command);
  sodium_memzero (&command, sizeof command);
}

void
tunnel_set_link (Tunnel *tunnel, const TunnelLink *link)
{
  Command command = {.type = COMMAND_LINK};

  command.link.link = *link;
  command.link.addresses = mem_dup (link->addresses, link->n_addresses * sizeof *link->addresses);
  send_command (tunnel, &command);
}

void
tunnel_rebind (Tunnel *tunnel)
{
  Command command = {.type = COMMAND_REBIND};

  send_command (tunnel, &command);
}

void
tunnel_resumed (Tunnel *tunnel, int64_t slept_us)
{
  Command command = {.type = COMMAND_RESUMED, .slept_us = slept_us};

  send_command (tunnel, &command);
}

void
tunnel_set_online (Tunnel *tunnel, bool online)
{
  Command command = {.type = COMMAND_ONLINE, .online = online};

  send_command (tunnel, &command);
}

void
tunnel_ping (Tunnel *tunnel, uint64_t id, const NodePublic *peer, TunnelPingType type, size_t size,
             int timeout_ms)
{
  Command command = {.type = COMMAND_PING, .id = id};

  command.ping.peer = *peer;
  command.ping.type = type;
  command.ping.size = size;
  command.ping.timeout_us = timeout_ms * USEC_PER_MSEC;
  send_command (tunnel, &command);
}

void
tunnel_netcheck (Tunnel *tunnel, uint64_t id)
{
  Command command = {.type = COMMAND_NETCHECK, .id = id};

  send_command (tunnel, &command);
}

void
tunnel_resolved (Tunnel *tunnel, uint64_t id, const IpAddr *addresses, size_t n)
{
  Command command = {.type = COMMAND_RESOLVED, .id = id};

  command.resolved.n = n < COMMAND_ADDRESSES_MAX ? n : COMMAND_ADDRESSES_MAX;
  if (n > 0)
    memcpy (command.resolved.addresses, addresses, command.resolved.n * sizeof *addresses);
  send_command (tunnel, &command);
}

static char *
copy_text (const char *text)
{
  return text == NULL ? NULL : mem_strndup (text, strlen (text));
}

void
tunnel_set_proxies (Tunnel *tunnel, const char *https_proxy, const char *no_proxy)
{
  Command command = {.type = COMMAND_PROXIES};

  command.proxies.https_proxy = copy_text (https_proxy);
  command.proxies.no_proxy = copy_text (no_proxy);
  send_command (tunnel, &command);
}

int
tunnel_event_fd (const Tunnel *tunnel)
{
  return tunnel->net.main_bell.fd;
}

bool
tunnel_next_event (Tunnel *tunnel, TunnelEvent *event)
{
  Bell *bell = &tunnel->net.main_bell;
  size_t size;
  const void *record;

  mailbox_flush (&tunnel->net.commands);
  bell_wake (bell);
  record = ring_peek (tunnel->net.events.ring, &size);
  if (record == NULL) {
    bell_sleep (bell);
    record = ring_peek (tunnel->net.events.ring, &size);
    if (record == NULL)
      return false;
    bell_wake (bell);
  }
  memcpy (event, record, sizeof *event);
  ring_pop (tunnel->net.events.ring);
  return true;
}

/* ---- status ---- */

static TunnelSession
session_state (LivePeer *peer, int64_t now_us)
{
  ActivePeer *active = atomic_load (&peer->active);

  if (active == NULL)
    return TUNNEL_SESSION_NONE;
  switch (wg_peer_state (&active->wg, now_us)) {
    case WG_STATE_HANDSHAKE:
      return TUNNEL_SESSION_HANDSHAKE;
    case WG_STATE_ESTABLISHED:
      return TUNNEL_SESSION_ESTABLISHED;
    case WG_STATE_EXPIRED:
      return TUNNEL_SESSION_EXPIRED;
    case WG_STATE_NONE:
      break;
  }
  return TUNNEL_SESSION_NONE;
}

static void
read_status (LivePeer *peer, TunnelPeerStatus *out)
{
  int64_t now_us = clock_now_us ();
  const Destination *to = atomic_load (&peer->destination);

  *out = (TunnelPeerStatus){
      .session = session_state (peer, now_us),
      .rx_bytes = atomic_load (&peer->rx_bytes),
      .tx_bytes = atomic_load (&peer->tx_bytes),
      .last_handshake_us = atomic_load (&peer->last_handshake_us),
      .last_receive_us = atomic_load (&peer->last_receive_us),
      .last_send_us = atomic_load (&peer->last_send_us),
  };
  if (to != NULL && to->trusted)
    out->udp = to->udp;
  if (to != NULL)
    out->region = to->region;
  out->active = out->last_send_us != 0 && now_us - out->last_send_us < ACTIVE_US;
}

bool
tunnel_peer_status (Tunnel *tunnel, const NodePublic *key, TunnelPeerStatus *out)
{
  LivePeer *peer;

  epoch_quiescent (tunnel->shared.epochs, tunnel->reader);
  peer = view_peer (atomic_load (&tunnel->shared.view), key);
  if (peer != NULL)
    read_status (peer, out);
  epoch_offline (tunnel->shared.epochs, tunnel->reader);
  return peer != NULL;
}

static void
add_counters (const Worker *w, TunnelStats *out)
{
  const WorkerCounters *c = &w->counters;

  out->rx_packets += atomic_load_explicit (&c->rx_packets, memory_order_relaxed);
  out->rx_bytes += atomic_load_explicit (&c->rx_bytes, memory_order_relaxed);
  out->tx_packets += atomic_load_explicit (&c->tx_packets, memory_order_relaxed);
  out->tx_bytes += atomic_load_explicit (&c->tx_bytes, memory_order_relaxed);
  for (int i = 0; i < TUNNEL_N_DROPS; i++) {
    out->drops_in[i] += atomic_load_explicit (&c->in[i], memory_order_relaxed);
    out->drops_out[i] += atomic_load_explicit (&c->out[i], memory_order_relaxed);
  }
  out->socket_overflows += atomic_load_explicit (&c->overflows, memory_order_relaxed);
}

void
tunnel_stats (const Tunnel *tunnel, TunnelStats *out)
{
  const Worker *first = tunnel->net.workers[0];
  unsigned offloads = atomic_load (&first->offloads);

  memset (out, 0, sizeof *out);
  out->workers = tunnel->shared.n_workers;
  for (unsigned i = 0; i < tunnel->shared.n_workers; i++)
    add_counters (tunnel->net.workers[i], out);
  out->gso4 = (offloads & OFFLOAD_GSO4) != 0;
  out->gso6 = (offloads & OFFLOAD_GSO6) != 0;
  out->gro = (offloads & OFFLOAD_GRO) != 0;
  out->tun_tcp_gro = (offloads & OFFLOAD_TUN_TCP) != 0;
  out->tun_udp_gro = (offloads & OFFLOAD_TUN_UDP) != 0;
}
