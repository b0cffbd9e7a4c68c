/* What a peer's disco messages do to its path. */
#include "path/internal.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/memory.h"

#include <string.h>

static uint32_t
hash_address (const IpPort *at)
{
  uint32_t hash = 2166136261u ^ at->port ^ (uint32_t)at->addr.family << 16;

  for (size_t i = 0; i < sizeof at->addr.bytes; i++)
    hash = (hash ^ at->addr.bytes[i]) * 16777619u;
  return hash;
}

bool
peer_path_is_replay (PeerPath *p, const uint8_t nonce[BOX_NONCE_SIZE], const IpPort *source)
{
  uint32_t start = load_be32 (nonce);
  uint32_t from = hash_address (source);

  if (!p->replay)
    p->replay = mem_new (sizeof *p->replay);
  for (size_t i = 0; i < PATH_REPLAY_NONCES; i++)
    if (p->replay->nonce[i] == start && p->replay->source[i] != 0)
      return p->replay->source[i] != from;
  p->replay->nonce[p->replay->next] = start;
  p->replay->source[p->replay->next] = from;
  p->replay->next = (p->replay->next + 1) % PATH_REPLAY_NONCES;
  return false;
}

/* ---- pings from the peer ---- */

static void
send_pong (Path *path, PeerPath *p, const DiscoTxId *tx_id, const IpPort *source, uint32_t side)
{
  DiscoMessage m = {.type = DISCO_PONG, .tx_id = *tx_id, .source = *source};

  path_send_disco (path, p->record, &m, source, side);
}

void
peer_path_got_ping (Path *path, PeerPath *p, const DiscoTxId *tx_id, const IpPort *source,
                    uint32_t side)
{
  Candidate *candidate = candidates_learn (&p->candidates, source, path->now_us);

  p->last_heard_us = path->now_us;
  if (candidate) {
    if (candidate->last_got_ping_us != LONG_AGO
        && memcmp (&candidate->last_got_tx_id, tx_id, sizeof *tx_id) == 0)
      return; /* the same datagram twice */
    candidate->last_got_ping_us = path->now_us;
    candidate->last_got_tx_id = *tx_id;
  }
  send_pong (path, p, tx_id, source, side);
  /* Its NAT lets us in at this address now: a ping of ours gets through, whenever the last was. */
  if (candidate && !peer_path_is_direct (path, p)
      && (side != 0 || path->now_us - candidate->triggered_us >= PATH_TRIGGERED_US)) {
    candidate->triggered_us = path->now_us;
    peer_path_ping (path, p, source, side);
  }
  peer_path_publish (path, p);
}

/* ---- pongs ---- */

static void
answer_command (Path *path, PeerPath *p, const SentPing *ping)
{
  PathAction *action = actions_add (&path->actions, PATH_ACTION_PING_RESULT);

  action->ping_result = (PathPingResult){
      .id = ping->command,
      .peer = p->record->key,
      .outcome = ping->to.addr.family != 0 ? PING_BY_DIRECT : PING_BY_RELAY,
      .latency_us = path->now_us - ping->sent_us,
      .endpoint = ping->to,
      .region = ping->region,
  };
  pings_drop_command (&p->pings, ping->command);
}

/* Between two ways of one kind a single good sample is noise. */
static bool
may_switch (PeerPath *p, const PathWay *way)
{
  if (!way_better (way, &p->best))
    return false;
  if (!way_same_class (way, &p->best) || ip_port_equal (&way->at, &p->challenger))
    return true;
  p->challenger = way->at;
  return false;
}

static void
log_switch (const PeerPath *p)
{
  char peer[KEY_SHORT_MAX], at[IP_PORT_TEXT_MAX];

  if (!log_enabled (LOG_LEVEL_DEBUG))
    return;
  key_short (KEY_NODE_PUBLIC, p->record->key.bytes, peer);
  ip_port_format (&p->best.at, at);
  log_field (LOG_LEVEL_DEBUG, "path", "PEER", peer, "%s is reached at %s", peer, at);
}

static bool
same_place (const PathWay *a, const PathWay *b)
{
  return ip_port_equal (&a->at, &b->at) && a->side == b->side;
}

static void
take_way (Path *path, PeerPath *p, const PathWay *way)
{
  bool sound = peer_path_is_direct (path, p);

  if (!same_place (way, &p->best) && (!sound || may_switch (p, way))) {
    p->best = *way;
    p->challenger = (IpPort){0};
    log_switch (p);
  }
  if (!same_place (way, &p->best))
    return;
  p->seeking_us = TIME_NEVER;
  p->best.latency_us = way->latency_us;
  if (way->wire_mtu > p->best.wire_mtu)
    p->best.wire_mtu = way->wire_mtu;
  p->trust_until_us = path->now_us + PATH_TRUST_US;
  p->suspect = false;
  p->missed = 0;
  p->one_way_us = TIME_NEVER;
}

bool
peer_path_got_pong (Path *path, PeerPath *p, const DiscoMessage *message, const IpPort *source)
{
  SentPing ping;

  if (!pings_take (&p->pings, &message->tx_id, &ping))
    return false;
  p->last_heard_us = path->now_us;
  if ((source == NULL) != (ping.to.addr.family == 0))
    return true; /* went one way and came back the other: proves nothing */
  if (ping.purpose == PING_COMMAND)
    answer_command (path, p, &ping);
  Candidate *candidate = source ? candidates_find (&p->candidates, &ping.to) : NULL;
  if (candidate) {
    int64_t latency = path->now_us - ping.sent_us;
    PathWay way = {.at = ping.to,
                   .side = ping.side,
                   .latency_us = candidate_add_latency (candidate, latency > 0 ? latency : 1),
                   .wire_mtu = ping.wire_mtu};
    p->last_pong_us = path->now_us;
    take_way (path, p, &way);
    if (way.side != 0 && way.side == p->best.side)
      birthday_won (path, p, way.side, &message->source);
  }
  peer_path_publish (path, p);
  return true;
}

/* ---- CallMeMaybe ---- */

static bool
is_callable (const IpPort *at)
{
  static const uint8_t zeros[16];
  bool fe80 = at->addr.family == 6 && ip_is_link_local (&at->addr);

  return at->port != 0 && !fe80 && !ip_is_multicast (&at->addr)
         && memcmp (at->addr.bytes, zeros, sizeof zeros) != 0;
}

void
peer_path_got_call (Path *path, PeerPath *p, const DiscoMessage *message)
{
  IpPort list[CANDIDATES_CALLED_MAX];
  size_t count = 0;

  for (size_t i = 0; i < message->n_endpoints && count < CANDIDATES_CALLED_MAX; i++) {
    list[count] = disco_message_endpoint (message, i);
    count += is_callable (&list[count]);
  }
  p->last_heard_us = p->last_got_call_us = path->now_us;
  candidates_set_call (&p->candidates, list, count, path->now_us);
  /* All at once, whatever was pinged lately; and never a call in return. */
  peer_path_full_ping (path, p, false, PATH_CALL_AGAIN_US);
  peer_path_publish (path, p);
}
