/* From the peers to the TUN device: spec/wireguard-dataplane.md §6.3, §8.4, §9.3;
 * spec/netmap-and-policy.md B.8. */
#include "tunnel/worker.h"

#include "base/bytes.h"
#include "base/ip-packet.h"
#include "path/disco.h"
#include "tunnel/vnet.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define REJECTS_MAX      10 /* TSMP rejects to one peer in a second */
#define STRANGER_GAP_US  (50 * USEC_PER_MSEC)
#define ICMP4_ECHO_REPLY 0
#define ICMP6_ECHO_REPLY 129

/* ---- to the TUN device ---- */

static void
switch_merging_off (Worker *w, int error)
{
  MergeOptions options = *merge_options (w->merge);
  Report report = {.type = REPORT_OFFLOAD_OFF, .error = error};

  options.tcp = options.udp = false;
  merge_set_options (w->merge, &options);
  worker_note_offloads (w);
  worker_report (w, &report);
}

static void
flush_tun (Worker *w)
{
  const uint8_t *data;
  size_t size;

  while (merge_next (w->merge, &data, &size)) {
    if (write (w->tun, data, size) >= 0)
      continue;
    if (errno == EINVAL && merge_next_singly (w->merge))
      switch_merging_off (w, EINVAL);
    else
      drop_in (w, TUNNEL_DROP_TUN_WRITE);
  }
  merge_reset (w->merge);
  w->accepted.peer = NULL;
}

static void
to_tun (Worker *w, uint8_t *packet, size_t size)
{
  if (merge_add (w->merge, packet, size))
    return;
  flush_tun (w);
  merge_add (w->merge, packet, size);
}

void
inbound_write_tun (Worker *w, uint8_t *packet, size_t size)
{
  size_t head = w->shared->vnet ? VNET_HEADER_SIZE : 0;

  memset (packet - head, 0, head);
  if (write (w->tun, packet - head, head + size) < 0)
    drop_in (w, TUNNEL_DROP_TUN_WRITE);
}

/* ---- one inner packet ---- */

/* Addresses and ports of a TCP segment that opens nothing; false for everything else. */
static bool
plain_tcp_flow (const uint8_t *p, size_t size, uint8_t flow[36])
{
  if (p[0] == 0x45) {
    if (size < 40 || p[9] != IP_PROTO_TCP || (load_be16 (p + 6) & 0x3fff) != 0
        || (p[33] & TCP_SYN) != 0)
      return false;
    memcpy (flow, p + 12, 12);
    memset (flow + 12, 0, 24);
    return true;
  }
  if (p[0] >> 4 != 6 || size < 60 || p[6] != IP_PROTO_TCP || (p[53] & TCP_SYN) != 0)
    return false;
  memcpy (flow, p + 8, 36);
  return true;
}

static bool
was_accepted (const Worker *w, const LivePeer *peer, const uint8_t *packet, size_t size)
{
  uint8_t flow[36];

  return w->accepted.peer == peer && packet[0] >> 4 == w->accepted.version
         && plain_tcp_flow (packet, size, flow) && memcmp (flow, w->accepted.flow, 36) == 0;
}

static void
remember_accepted (Worker *w, const LivePeer *peer, const uint8_t *packet, size_t size)
{
  if (w->view->attributes || !plain_tcp_flow (packet, size, w->accepted.flow))
    return;
  w->accepted.peer = peer;
  w->accepted.version = packet[0] >> 4;
}

/* The peer may send from this address: the longest prefix of all peers that holds it is its. */
static bool
source_is_peers (const Worker *w, const LivePeer *peer, const IpAddr *src)
{
  uint64_t value;

  return prefix_table_lookup (w->view->sources, src, &value)
         && (LivePeer *)(uintptr_t)value == peer;
}

static void
unmasquerade (const Worker *w, const TunnelPeer *config, IpPacket *packet, uint8_t *data)
{
  bool v4 = packet->dst.family == 4;
  const IpAddr *as = v4 ? &config->masquerade4 : &config->masquerade6;
  const IpAddr *native = v4 ? &w->view->settings.address4 : &w->view->settings.address6;

  if (as->family != 0 && native->family != 0 && ip_equal (&packet->dst, as))
    ip_packet_set_dst (packet, data, native);
}

static uint16_t
peerapi_port (const Worker *w, uint8_t family)
{
  return family == 4 ? w->view->settings.peerapi_port4 : w->view->settings.peerapi_port6;
}

static void
tell_net (Worker *w, LivePeer *peer, const uint8_t *data, size_t size)
{
  Report report = {.type = REPORT_INNER, .size = (uint32_t)size, .peer = peer};

  if (!worker_report_packet (w, &report, data, size))
    drop_in (w, TUNNEL_DROP_RING);
  bell_ring (&w->shared->net_bell);
}

static bool
is_own_echo_reply (const Worker *w, const IpPacket *packet, const uint8_t *data)
{
  uint16_t id = atomic_load_explicit (&w->shared->echo_id, memory_order_relaxed);
  bool reply = (packet->protocol == IP_PROTO_ICMP4 && packet->icmp_type == ICMP4_ECHO_REPLY)
               || (packet->protocol == IP_PROTO_ICMP6 && packet->icmp_type == ICMP6_ECHO_REPLY);

  return id != 0 && reply && packet->klass == PACKET_OK && packet->size >= packet->header_size + 8u
         && load_be16 (data + packet->header_size + 4) == id;
}

/* What never reaches the TUN device nor the filter: true when it was one of these. */
static bool
intercept (Worker *w, LivePeer *peer, const IpPacket *packet, const uint8_t *data, size_t size)
{
  uint8_t pong[TSMP_PACKET_MAX];
  size_t at = packet->header_size + 8u;
  TsmpMessage tsmp;

  if (packet->protocol == IP_PROTO_TSMP) {
    tsmp_parse (packet, data, &tsmp);
    if (tsmp.type == TSMP_PING)
      outbound_inject (w, peer, pong,
                       tsmp_build_pong (packet, data, peerapi_port (w, packet->dst.family), pong));
    else if (tsmp.type != TSMP_NONE)
      tell_net (w, peer, data, size);
    /* A reject for an unknown app connector address is for the application. */
    return tsmp.type != TSMP_REJECT || tsmp.reason != TSMP_REASON_UNKNOWN_ADDRESS;
  }
  if (is_own_echo_reply (w, packet, data)) {
    tell_net (w, peer, data, size);
    return true;
  }
  if (packet->protocol == IP_PROTO_UDP && packet->klass == PACKET_OK && size >= at
      && disco_looks_like (data + at, size - at)) {
    drop_in (w, TUNNEL_DROP_TSMP);
    return true;
  }
  return false;
}

static void
reject (Worker *w, ActivePeer *active, const IpPacket *packet, bool jailed)
{
  uint8_t out[TSMP_PACKET_MAX];

  if (w->now_us - active->reject_us >= USEC_PER_SEC) {
    active->reject_us = w->now_us;
    active->rejects = REJECTS_MAX;
  }
  if (active->rejects == 0)
    return;
  active->rejects--;
  outbound_inject (w, active->peer, out,
                   tsmp_build_reject (packet,
                                      filter_reject_reason (w->view->settings.filter, jailed),
                                      false, out));
}

static TunnelDrop
drop_of_verdict (FilterVerdict verdict)
{
  switch (verdict) {
    case FILTER_DROP_MULTICAST:
      return TUNNEL_DROP_MULTICAST;
    case FILTER_DROP_LINK_LOCAL:
      return TUNNEL_DROP_LINK_LOCAL;
    case FILTER_DROP_TOO_SHORT:
      return TUNNEL_DROP_TOO_SHORT;
    case FILTER_DROP_FRAGMENT:
      return TUNNEL_DROP_FRAGMENT;
    case FILTER_DROP_UNKNOWN_PROTOCOL:
      return TUNNEL_DROP_UNKNOWN_PROTOCOL;
    case FILTER_DROP_ERROR:
      return TUNNEL_DROP_ERROR;
    default:
      return TUNNEL_DROP_ACL;
  }
}

/* The filter's word, and what it says nothing about: our PeerAPI decides for itself. */
static bool
may_come_in (Worker *w, ActivePeer *active, const IpPacket *packet, bool jailed)
{
  const TunnelSettings *s = &w->view->settings;
  const IpAddr *own = packet->dst.family == 4 ? &s->address4 : &s->address6;
  FilterVerdict verdict
      = filter_in (s->filter, jailed ? w->jailed_flows : w->flows, packet, jailed, w->now_us);

  if (verdict == FILTER_ACCEPT)
    return true;
  if (ip_packet_is_syn (packet) && packet->dst_port != 0
      && packet->dst_port == peerapi_port (w, packet->dst.family) && ip_equal (&packet->dst, own))
    return true;
  drop_in (w, drop_of_verdict (verdict));
  if (verdict == FILTER_DROP_ACL && ip_packet_is_syn (packet))
    reject (w, active, packet, jailed);
  return false;
}

/* Takes a decrypted IP packet to the TUN device, or not. */
static void
deliver (Worker *w, ActivePeer *active, uint8_t *data, size_t size)
{
  LivePeer *peer = active->peer;
  const TunnelPeer *config = w->view->attributes ? atomic_load (&peer->config) : NULL;
  IpPacket packet;

  if (was_accepted (w, peer, data, size)) {
    to_tun (w, data, size);
    return;
  }
  if (w->view->settings.shut || w->view->settings.filter == NULL) {
    drop_in (w, TUNNEL_DROP_SHUT);
    return;
  }
  ip_packet_parse (&packet, data, size);
  if (!source_is_peers (w, peer, &packet.src)) {
    drop_in (w, TUNNEL_DROP_SOURCE);
    return;
  }
  if (config != NULL)
    unmasquerade (w, config, &packet, data);
  if (intercept (w, peer, &packet, data, size))
    return;
  if (!may_come_in (w, active, &packet, config != NULL && config->jailed))
    return;
  remember_accepted (w, peer, data, size);
  to_tun (w, data, size);
}

/* ---- one group of messages ---- */

/* Delivers what of one message is authentic and new. Returns its inner size, 0 for a keepalive, -1
 * when it does not count as received. */
static ptrdiff_t
accept_item (Worker *w, WgSession *session, const OpenItem *item)
{
  ptrdiff_t size;

  if (!item->ok) {
    drop_in (w, TUNNEL_DROP_AUTH);
    return -1;
  }
  if (!wg_session_accept (session, item->counter)) {
    drop_in (w, TUNNEL_DROP_REPLAY);
    return -1;
  }
  size = wg_inner_size (item->data, item->size - AEAD_TAG_SIZE);
  if (size < 0) {
    drop_in (w, TUNNEL_DROP_ERROR);
    return 0;
  }
  if (size > 0) {
    counter_add (&w->counters.rx_packets, 1);
    deliver (w, (ActivePeer *)session->peer, item->data, (size_t)size);
  }
  return size;
}

static void
finish_group (Worker *w, InboundGroup *group, const IpPort *from)
{
  WgSession *session = group->session;
  ActivePeer *active = session != NULL ? (ActivePeer *)session->peer : NULL;
  bool any = false;
  uint64_t bytes = 0;
  size_t n = group->n;

  group->session = NULL;
  group->n = 0;
  if (n == 0)
    return;
  open_batch (w->opener, session->receive_key, w->items, n);
  for (size_t i = 0; i < n; i++) {
    ptrdiff_t size = accept_item (w, session, &w->items[i]);

    any = any || size >= 0;
    bytes += size > 0 ? (uint64_t)size : 0;
  }
  if (!any)
    return;
  counter_add (&w->counters.rx_bytes, bytes);
  counter_add (&active->peer->rx_bytes, bytes);
  atomic_store_explicit (&active->peer->last_receive_us, w->now_us, memory_order_relaxed);
  owned_note_received (w, active, from);
  owned_todo (w, active, wg_peer_received (&active->wg, session, bytes > 0, w->now_us));
}

static void
refuse (Worker *w, WgReceiveCheck check)
{
  drop_in (w, check == WG_RECEIVE_REPLAY ? TUNNEL_DROP_REPLAY : TUNNEL_DROP_OLD_SESSION);
}

/* Data for a session that this run never had. */
static void
refuse_stranger (Worker *w, const IpPort *from)
{
  Report report = {.type = REPORT_STRANGER, .address = *from};

  drop_in (w, TUNNEL_DROP_INDEX);
  if (from->addr.family == 0 || w->now_us - w->stranger_us < STRANGER_GAP_US)
    return;
  w->stranger_us = w->now_us;
  if (worker_report_packet (w, &report, NULL, 0))
    bell_ring (&w->shared->net_bell);
}

/* Adds a data message to the group of its session. */
static void
handle_data (Worker *w, InboundGroup *group, uint8_t *data, size_t size, const IpPort *from)
{
  uint32_t index = load_le32 (data + 4);
  uint64_t counter = load_le64 (data + 8);
  WgSession *session = wg_index_table_get (w->sessions, index);
  WgReceiveCheck check;

  /* The first data may overtake the keys, which net posted before it answered the handshake. */
  if (session == NULL && worker_take_orders (w))
    session = wg_index_table_get (w->sessions, index);
  if (session == NULL) {
    Handover handover = {.type = HANDOVER_DATAGRAM, .size = (uint32_t)size, .address = *from};
    unsigned owner = wg_index_worker (index);

    if (owner == w->number || owner >= w->shared->n_workers)
      refuse_stranger (w, from);
    else if (!worker_hand_over (w, owner, &handover, data, size))
      drop_in (w, TUNNEL_DROP_RING);
    return;
  }
  check = wg_session_check (session, counter, w->now_us);
  if (check != WG_RECEIVE_OK) {
    refuse (w, check);
    return;
  }
  if (group->n > 0 && (session != group->session || group->n == UDP_RUN_SEGMENTS_MAX))
    finish_group (w, group, from);
  group->session = session;
  w->items[group->n++] = (OpenItem){
      .data = data + WG_TRANSPORT_HEADER_SIZE,
      .size = (uint32_t)(size - WG_TRANSPORT_HEADER_SIZE),
      .counter = counter,
  };
}

static bool
is_data (const uint8_t *data, size_t size)
{
  return size >= WG_TRANSPORT_MIN_SIZE && load_le32 (data) == WG_MESSAGE_DATA;
}

/* Everything that net looks at: disco, STUN, handshakes. A single byte is a sentinel of official
 * senders (§9.5). */
static void
pass_to_net (Worker *w, const uint8_t *data, size_t size, const IpPort *from)
{
  Report report = {.type = REPORT_DATAGRAM, .size = (uint32_t)size, .address = *from};

  if (size < 20)
    return;
  if (!worker_report_packet (w, &report, data, size))
    drop_in (w, TUNNEL_DROP_RING);
  bell_ring (&w->shared->net_bell);
}

static void
handle_message (Worker *w, UdpMessage *message)
{
  InboundGroup group = {0};
  IpPort from;
  uint32_t size;

  if (message->truncated) {
    drop_in (w, TUNNEL_DROP_TRUNCATED);
    return;
  }
  if (!ip_port_from_sockaddr ((const struct sockaddr *)&message->from, sizeof message->from, &from))
    return;
  for (uint32_t at = 0; at < message->size; at += size) {
    uint8_t *data = message->data + at;

    size = message->size - at < message->segment ? message->size - at : message->segment;
    if (is_data (data, size))
      handle_data (w, &group, data, size, &from);
    else
      pass_to_net (w, data, size, &from);
  }
  finish_group (w, &group, &from);
}

static const IpPort by_relay;

void
inbound_relayed (Worker *w, InboundGroup *group, uint8_t *data, size_t size)
{
  if (is_data (data, size))
    handle_data (w, group, data, size, &by_relay);
}

void
inbound_end_relayed (Worker *w, InboundGroup *group)
{
  finish_group (w, group, &by_relay);
  flush_tun (w);
}

static void
note_overflows (Worker *w, UdpSocket *socket)
{
  uint32_t now = atomic_load_explicit (&socket->overflows, memory_order_relaxed);

  counter_add (&w->counters.overflows, now - socket->overflows_seen);
  socket->overflows_seen = now;
}

void
inbound_receive (Worker *w, UdpSocket *socket)
{
  UdpMessage *messages;
  int error;
  unsigned n = udp_receive (socket, w->batch, &messages, &error);

  for (unsigned i = 0; i < n; i++)
    handle_message (w, &messages[i]);
  note_overflows (w, socket);
  flush_tun (w);
  outbound_flush (w);
}

void
inbound_message (Worker *w, uint8_t *data, size_t size, const IpPort *from)
{
  InboundGroup group = {0};

  if (is_data (data, size))
    handle_data (w, &group, data, size, from);
  finish_group (w, &group, from);
  flush_tun (w);
}
