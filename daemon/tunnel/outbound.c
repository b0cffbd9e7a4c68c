/* From the TUN device to the peers: spec/wireguard-dataplane.md §6.3, §8.3, §10.3, §10.4. */
#include "tunnel/worker.h"

#include "base/bytes.h"
#include "base/ip-packet.h"
#include "path/disco.h"
#include "tunnel/checksum.h"
#include "tunnel/vnet.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SEND_BUDGET     (128 * 1024) /* bytes in one round */
#define FOREIGN_RUN_MAX 42 /* (W - 1) runs must fit the smallest replay window there is (§10.3) */

/* ---- sending what has gathered ---- */

static void
send_by_relay (Worker *w, LivePeer *peer, uint16_t region, const Run *run)
{
  const uint8_t *message = run->data;

  for (uint32_t i = 0; i < run->n; i++, message += run->segment) {
    uint32_t size = i + 1 < run->n ? run->segment : run->last;
    Report report = {.type = REPORT_RELAY, .size = size, .peer = peer, .region = region};

    if (!worker_report_packet (w, &report, message, size))
      drop_out (w, TUNNEL_DROP_RING, 1);
  }
  bell_ring (&w->shared->net_bell);
}

static void
report_send_error (Worker *w, LivePeer *peer, const IpPort *to, int error)
{
  Report report = {.type = REPORT_SEND_ERROR, .peer = peer, .address = *to, .error = error};

  worker_report_packet (w, &report, NULL, 0);
  bell_ring (&w->shared->net_bell);
}

/* Through the peer's own socket. What does not fit into its buffer is lost: nobody waits for it. */
static void
send_aside (Worker *w, Destination *to, const Run *run)
{
  UdpSocket socket = {.fd = atomic_load (&to->side->fd),
                      .gso = atomic_load_explicit (&to->side->gso, memory_order_relaxed),
                      .send_one = sendmsg};
  uint32_t done = 0;
  int error;

  if (udp_send_run (&socket, &to->target, run, &done, w->now_us, &error) != UDP_SENT)
    drop_out (w, TUNNEL_DROP_SEND, 1);
  if (!socket.gso)
    atomic_store_explicit (&to->side->gso, false, memory_order_relaxed);
}

/* Sends the encrypted run, or what is left of it. False when the socket is full. */
static bool
send_run (Worker *w)
{
  PendingRun *p = &w->pending;
  Destination *to = atomic_load (&p->peer->destination);
  UdpSocket *socket;
  int error;

  if (to == NULL) {
    /* Net finds a way, or drops them. */
    send_by_relay (w, p->peer, 0, &p->run);
    return true;
  }
  if (to->region != 0 && w->blocked_done == 0)
    send_by_relay (w, p->peer, to->region, &p->run);
  if (to->side != NULL) {
    send_aside (w, to, &p->run);
    return true;
  }
  if (to->udp.addr.family == 0 || w->sockets == NULL)
    return true;
  socket = sockets_for (w->sockets, w->number, to->udp.addr.family);
  switch (udp_send_run (socket, &to->target, &p->run, &w->blocked_done, w->now_us, &error)) {
    case UDP_SENT:
      return true;
    case UDP_AGAIN:
      w->blocked_family = to->udp.addr.family;
      return false;
    case UDP_UNUSABLE:
      report_send_error (w, p->peer, &to->udp, error);
      break;
    case UDP_LOST:
      break;
  }
  drop_out (w, TUNNEL_DROP_SEND, 1);
  return true;
}

static void
account_sent (Worker *w, PendingRun *p)
{
  ActivePeer *active = atomic_load (&p->peer->active);

  if (p->data) {
    counter_add (&w->counters.tx_packets, p->run.n);
    counter_add (&w->counters.tx_bytes, p->bytes);
    atomic_fetch_add_explicit (&p->peer->tx_bytes, p->bytes, memory_order_relaxed);
  }
  atomic_store_explicit (&p->peer->last_send_us, w->now_us, memory_order_relaxed);
  if (active == NULL)
    return;
  if (p->owned) {
    owned_note_sent (w, active);
    owned_todo (w, active, wg_peer_sent (&active->wg, p->session, p->data, w->now_us));
  } else if (wg_peer_sent_foreign (&active->wg, p->session, w->now_us)) {
    Handover note = {.type = HANDOVER_SENT, .peer = p->peer};

    worker_hand_over (w, p->peer->owner, &note, NULL, 0);
  }
}

static void
forget_run (Worker *w)
{
  w->pending = (PendingRun){.run.data = w->run_buffer};
  w->blocked_done = 0;
}

void
outbound_flush (Worker *w)
{
  PendingRun run = w->pending;
  uint64_t first;
  uint32_t granted;

  if (run.session == NULL || w->blocked)
    return;
  granted = wg_session_reserve (run.session, w->now_us, run.run.n, &first);
  if (granted < run.run.n) {
    /* Only the last packets of a session that is used up; the next ones start a handshake. */
    drop_out (w, TUNNEL_DROP_OLD_SESSION, run.run.n - granted);
    if (granted == 0) {
      forget_run (w);
      return;
    }
    w->pending.run.last = run.run.segment;
    w->pending.run.n = granted;
    run = w->pending;
  }
  seal_run (w->sealer, run.session->send_key, run.session->remote_index, first, &run.run);
  w->blocked = !send_run (w);
  if (!w->blocked)
    forget_run (w);
  else
    worker_watch (w);
  account_sent (w, &run);
}

void
outbound_unblock (Worker *w)
{
  if (!w->blocked || !send_run (w))
    return;
  w->blocked = false;
  forget_run (w);
  worker_watch (w);
}

/* ---- gathering ---- */

/* The place for a message of SIZE bytes to PEER on SESSION, header included. Sends what cannot go
 * together with it. NULL: no room while a run is blocked. */
static uint8_t *
run_room (Worker *w, LivePeer *peer, WgSession *session, uint32_t size)
{
  PendingRun *p = &w->pending;
  bool owned = peer->owner == w->number;
  uint32_t most = owned ? UDP_RUN_SEGMENTS_MAX - 1 : FOREIGN_RUN_MAX;
  size_t used = run_size (&p->run);

  if (p->session != NULL
      && (p->session != session || p->run.n >= most || p->run.last != p->run.segment
          || size > p->run.segment || used + size > UDP_RUN_SIZE_MAX)) {
    outbound_flush (w);
    used = 0;
  }
  if (w->blocked || size > UDP_RUN_SIZE_MAX)
    return NULL;
  if (p->session == NULL) {
    p->session = session;
    p->peer = peer;
    p->owned = owned;
    p->run.segment = size;
    used = 0;
  }
  p->run.n++;
  p->run.last = size;
  return p->run.data + used;
}

static void
append_super (Worker *w, LivePeer *peer, WgSession *session, const SuperPacket *super)
{
  size_t mtu = w->view->settings.mtu;

  for (uint32_t k = 0; k < super->n_segments; k++) {
    size_t size = super_packet_segment_size (super, k);
    size_t padded = wg_padded_size (size, mtu);
    uint8_t *room = run_room (w, peer, session, (uint32_t)(padded + WG_TRANSPORT_OVERHEAD));

    if (room == NULL) {
      drop_out (w, TUNNEL_DROP_SEND, super->n_segments - k);
      return;
    }
    super_packet_write (super, k, room + WG_TRANSPORT_HEADER_SIZE);
    memset (room + WG_TRANSPORT_HEADER_SIZE + size, 0, padded - size);
    w->pending.bytes += size;
    w->pending.data = true;
  }
}

void
outbound_keepalive (Worker *w, ActivePeer *active)
{
  WgSession *session = wg_peer_current (&active->wg, w->now_us);

  outbound_flush (w);
  if (session == NULL || run_room (w, active->peer, session, WG_TRANSPORT_OVERHEAD) == NULL)
    return;
  outbound_flush (w);
}

/* Sends a packet whose peer is known: encrypted here if there is a session, else staged with, or
 * handed to, the owner. RAW is what was read from the TUN device. */
static void
send_to_peer (Worker *w, LivePeer *peer, const SuperPacket *super, const uint8_t *raw, size_t size)
{
  bool owned = peer->owner == w->number;
  ActivePeer *active = owned ? owned_active (w, peer) : atomic_load (&peer->active);
  WgSession *session = active != NULL ? wg_peer_current (&active->wg, w->now_us) : NULL;

  if (session != NULL) {
    append_super (w, peer, session, super);
  } else if (owned) {
    owned_stage (w, active, raw, size);
  } else {
    Handover handover = {.type = HANDOVER_INNER, .size = (uint32_t)size, .peer = peer};

    if (!worker_hand_over (w, peer->owner, &handover, raw, size))
      drop_out (w, TUNNEL_DROP_RING, super->n_segments);
  }
}

void
outbound_passed (Worker *w, ActivePeer *active, uint8_t *data, size_t size)
{
  SuperPacket super;

  if (super_packet_parse (&super, data, size, w->shared->vnet))
    send_to_peer (w, active->peer, &super, data, size);
}

void
outbound_inject (Worker *w, LivePeer *peer, uint8_t *packet, size_t size)
{
  uint8_t raw[VNET_HEADER_SIZE + TSMP_PACKET_MAX + 1500] = {0};
  size_t head = w->shared->vnet ? VNET_HEADER_SIZE : 0;
  SuperPacket super;

  if (size > sizeof raw - head)
    return;
  memcpy (raw + head, packet, size);
  if (super_packet_parse (&super, raw, head + size, w->shared->vnet))
    send_to_peer (w, peer, &super, raw, head + size);
}

/* ---- from the TUN device ---- */

static LivePeer *
find_peer (Worker *w, const IpAddr *dst)
{
  uint64_t value;

  /* Bulk traffic goes where it went before. */
  if (w->last_known && w->last_view == w->view->number && ip_equal (dst, &w->last_dst))
    return w->last_peer;
  if (!prefix_table_lookup (w->view->routes, dst, &value))
    return NULL;
  w->last_known = true;
  w->last_view = w->view->number;
  w->last_dst = *dst;
  w->last_peer = (LivePeer *)(uintptr_t)value;
  return w->last_peer;
}

/* Our own disco must never run inside the tunnel. */
static bool
is_own_disco (const SuperPacket *super, const IpPacket *packet)
{
  size_t at = packet->header_size + 8u;

  return packet->protocol == IP_PROTO_UDP && packet->klass == PACKET_OK && super->size >= at + 6
         && disco_looks_like (super->packet + at, super->size - at);
}

/* What is not for a peer: true when PACKET was dealt with. */
static bool
intercept (Worker *w, const SuperPacket *super, IpPacket *packet)
{
  if (packet->protocol == IP_PROTO_TSMP || is_own_disco (super, packet)) {
    drop_out (w, TUNNEL_DROP_TSMP, 1);
    return true;
  }
  if (!ip_is_service (&packet->dst))
    return false;
  if (super->n_segments == 1 && ip_packet_echo_reply (packet, super->packet))
    inbound_write_tun (w, super->packet, super->size);
  else
    drop_out (w, TUNNEL_DROP_NO_PEER, super->n_segments);
  return true;
}

static TunnelDrop
drop_of_verdict (FilterVerdict verdict)
{
  static const TunnelDrop drops[FILTER_N_VERDICTS] = {
      [FILTER_DROP_ACL] = TUNNEL_DROP_ACL,
      [FILTER_DROP_MULTICAST] = TUNNEL_DROP_MULTICAST,
      [FILTER_DROP_LINK_LOCAL] = TUNNEL_DROP_LINK_LOCAL,
      [FILTER_DROP_TOO_SHORT] = TUNNEL_DROP_TOO_SHORT,
      [FILTER_DROP_FRAGMENT] = TUNNEL_DROP_FRAGMENT,
      [FILTER_DROP_UNKNOWN_PROTOCOL] = TUNNEL_DROP_UNKNOWN_PROTOCOL,
      [FILTER_DROP_ERROR] = TUNNEL_DROP_ERROR,
  };

  return drops[verdict];
}

static void
masquerade (const Worker *w, const TunnelPeer *config, SuperPacket *super, IpPacket *packet)
{
  bool v4 = super->version == 4;
  const IpAddr *native = v4 ? &w->view->settings.address4 : &w->view->settings.address6;
  const IpAddr *as = v4 ? &config->masquerade4 : &config->masquerade6;
  size_t l4_size = super->size - super->l4_offset;
  uint16_t field;

  if (as->family == 0 || !ip_equal (&packet->src, native))
    return;
  ip_packet_set_src (packet, super->packet, as);
  if (!super->needs_checksum || super->n_segments > 1)
    return;
  /* The field is not a checksum yet but the pseudo header's sum, which has another sign. */
  field = checksum_fold (
      v4 ? checksum_pseudo (super->packet + 12, 8, packet->protocol, (uint32_t)l4_size)
         : checksum_pseudo (super->packet + 8, 32, packet->protocol, (uint32_t)l4_size));
  memcpy (super->packet + super->l4_offset + super->csum_offset, &field, sizeof field);
}

void
outbound_handle (Worker *w, uint8_t *raw, size_t size)
{
  const View *view = w->view;
  const TunnelPeer *config;
  FilterVerdict verdict;
  SuperPacket super;
  IpPacket packet;
  LivePeer *peer;

  if (!super_packet_parse (&super, raw, size, w->shared->vnet)) {
    drop_out (w, TUNNEL_DROP_ERROR, 1);
    return;
  }
  ip_packet_parse (&packet, super.packet, super.size);
  if (view->settings.shut || view->settings.filter == NULL) {
    drop_out (w, TUNNEL_DROP_SHUT, super.n_segments);
    return;
  }
  if (intercept (w, &super, &packet))
    return;
  peer = find_peer (w, &packet.dst);
  if (peer == NULL) {
    drop_out (w, TUNNEL_DROP_NO_PEER, super.n_segments);
    return;
  }
  /* Replies are handled by the peer's owner: it must know what they answer. TCP needs no memory.
   * The kernel soon gives a two-way flow to the owner's queue by itself. */
  if (peer->owner != w->number && packet.protocol != IP_PROTO_TCP) {
    Handover handover = {.type = HANDOVER_RAW, .size = (uint32_t)size, .peer = peer};

    if (!worker_hand_over (w, peer->owner, &handover, raw, size))
      drop_out (w, TUNNEL_DROP_RING, super.n_segments);
    return;
  }
  config = view->attributes ? atomic_load (&peer->config) : NULL;
  verdict = filter_out (view->settings.filter,
                        config != NULL && config->jailed ? w->jailed_flows : w->flows, &packet,
                        w->now_us);
  if (verdict != FILTER_ACCEPT) {
    drop_out (w, drop_of_verdict (verdict), super.n_segments);
    return;
  }
  if (config != NULL)
    masquerade (w, config, &super, &packet);
  send_to_peer (w, peer, &super, raw, size);
}

void
outbound_read_tun (Worker *w)
{
  uint8_t *room;

  for (int i = 0; i < FLOW_QUEUE_PACKETS && (room = flow_queue_room (w->waiting)) != NULL; i++) {
    ssize_t size = read (w->tun, room, FLOW_QUEUE_PACKET);

    if (size < 0 && errno == EINTR)
      continue;
    if (size < 0 && errno != EAGAIN && errno != EIO) {
      Report report = {.type = REPORT_TUN_LOST, .error = errno};

      worker_report (w, &report);
      w->tun_lost = true;
      worker_watch (w);
    }
    if (size <= 0)
      break;
    flow_queue_add (w->waiting, (size_t)size, w->shared->vnet ? VNET_HEADER_SIZE : 0, w->now_us);
  }
}

void
outbound_send_waiting (Worker *w)
{
  size_t bytes = 0, size;
  uint8_t *data;

  /* Little at a time: what comes meanwhile may go first. */
  while (!w->blocked && bytes < SEND_BUDGET
         && (data = flow_queue_next (w->waiting, w->now_us, &size)) != NULL) {
    outbound_handle (w, data, size);
    bytes += size;
  }
  drop_out (w, TUNNEL_DROP_QUEUE, flow_queue_take_drops (w->waiting));
}
