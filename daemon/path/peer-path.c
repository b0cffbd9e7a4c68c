#include "path/internal.h"

#include "base/memory.h"
#include "path/wireguard-only.h"

#include <stdlib.h>
#include <string.h>

#define PING_LIMIT_SPARE 8 /* pings under way beyond two per candidate */

static bool
is_trusted (const Path *path, const PeerPath *p)
{
  return way_is_set (&p->best) && path->now_us <= p->trust_until_us;
}

/* The best address alone is enough. */
static bool
relies_on_best (const Path *path, const PeerPath *p)
{
  return is_trusted (path, p) && !p->suspect && p->unanswered == 0;
}

bool
peer_path_is_direct (const Path *path, const PeerPath *p)
{
  return is_trusted (path, p) && !p->suspect && p->best.vni == 0;
}

static bool
is_active (const Path *path, const PeerPath *p)
{
  return path->now_us - p->last_sent_us <= PATH_SESSION_IDLE_US;
}

static bool
does_disco (const Path *path, const PeerPath *p)
{
  return !p->record->wireguard_only && !p->record->expired && path_udp_allowed (path)
         && !key_zero (&p->record->disco_key);
}

PeerPath *
peer_path_new (Path *path, PeerRecord *record)
{
  PeerPath *p = mem_new (sizeof *p);

  timer_node_init (&p->timer, 0);
  p->record = record;
  p->next = path->paths;
  if (p->next)
    p->next->prev = p;
  path->paths = p;
  record->path = p;
  p->trust_until_us = p->last_sent_us = p->last_received_us = p->last_full_ping_us = LONG_AGO;
  p->last_call_us = p->last_got_call_us = p->last_pong_us = p->last_heard_us = LONG_AGO;
  p->one_way_us = p->heartbeat_us = p->seeking_us = TIME_NEVER;
  p->next_guess_us = LONG_AGO;
  candidates_set_netmap (&p->candidates, record->endpoints, record->n_endpoints, NULL,
                         path->now_us);
  return p;
}

void
peer_path_free (Path *path, PeerPath *p)
{
  birthday_stop (path, p);
  birthday_release (path, p);
  timer_wheel_remove (&path->wheel, &p->timer);
  if (p->prev)
    p->prev->next = p->next;
  else
    path->paths = p->next;
  if (p->next)
    p->next->prev = p->prev;
  p->record->path = NULL;
  candidates_clear (&p->candidates);
  pings_clear (&p->pings);
  wireguard_only_free (p->wireguard_only);
  free (p->replay);
  free (p);
}

/* ---- what follows from the state: destination and timer ---- */

bool
peer_path_destination (const Path *path, const PeerRecord *record, PathDestination *out)
{
  const PeerPath *p = record->path;

  *out = (PathDestination){0};
  if (record->expired)
    return false;
  if (record->wireguard_only) {
    if (p && way_is_set (&p->best))
      out->udp = p->best.at;
    else if (record->n_endpoints > 0)
      out->udp = record->endpoints[0];
    out->trusted = true;
    return path_udp_allowed (path) && out->udp.addr.family != 0;
  }
  if (p && way_is_set (&p->best) && path_udp_allowed (path)) {
    out->udp = p->best.at;
    out->side = p->best.side;
    out->trusted = relies_on_best (path, p);
  }
  if (!out->trusted)
    out->region
        = relays_region_for (path->relays, record->home_region, p ? p->route_connection : 0);
  return true;
}

static bool
same_destination (const PathDestination *a, const PathDestination *b)
{
  return ip_port_equal (&a->udp, &b->udp) && a->region == b->region && a->side == b->side
         && a->trusted == b->trusted;
}

static void
rearm (Path *path, PeerPath *p)
{
  int64_t deadline = time_min (p->heartbeat_us, pings_next_deadline (&p->pings));

  if (p->published.trusted && !p->record->wireguard_only)
    deadline = time_min (deadline, p->trust_until_us + 1);
  timer_wheel_set (&path->wheel, &p->timer, deadline);
}

void
peer_path_publish (Path *path, PeerPath *p)
{
  PathDestination destination;

  (void)peer_path_destination (path, p->record, &destination);
  if (!p->has_published || !same_destination (&destination, &p->published)) {
    PathAction *action = actions_add (&path->actions, PATH_ACTION_SET_DESTINATION);
    action->set_destination.peer = p->record->key;
    action->set_destination.destination = destination;
    p->published = destination;
    p->has_published = true;
  }
  if (p->best.side != p->side)
    birthday_release (path, p);
  rearm (path, p);
}

static void
want_relay (Path *path, PeerPath *p)
{
  if (p->published.region != 0)
    relays_want (path->relays, p->published.region, path->now_us);
}

static void
clear_best (PeerPath *p)
{
  p->best = (PathWay){0};
  p->trust_until_us = LONG_AGO;
  p->suspect = false;
  p->missed = 0;
  p->challenger = (IpPort){0};
}

/* The best address stays only while something speaks for it. */
static void
drop_lost_best (PeerPath *p)
{
  if (way_is_set (&p->best) && !p->record->wireguard_only
      && !candidates_find (&p->candidates, &p->best.at))
    clear_best (p);
}

/* ---- sending disco ---- */

/* SIDE 0: from where the best address is reached, if it is that one. */
static bool
send_ping_from (Path *path, PeerPath *p, uint32_t side, const IpPort *to, PingPurpose purpose,
                uint32_t command, size_t size)
{
  size_t limit = 2 * p->candidates.count + PING_LIMIT_SPARE;
  DiscoMessage m = {.type = DISCO_PING, .node_key = path->node_key};
  SentPing ping = {.to = *to,
                   .side = side,
                   .purpose = purpose,
                   .command = command,
                   .wire_mtu = WAY_DEFAULT_MTU,
                   .sent_us = path->now_us,
                   .miss_us = TIME_NEVER};

  if ((to->addr.family == 4 ? path->port4 : path->port6) == 0)
    return false;
  if (side == 0 && ip_port_equal (to, &p->best.at))
    ping.side = p->best.side;
  random_fill (path->random, &m.tx_id, sizeof m.tx_id);
  ping.tx_id = m.tx_id;
  if (size > DISCO_PING_SIZE) {
    m.padding = size - DISCO_PING_SIZE;
    ping.wire_mtu = (uint16_t)(size + (to->addr.family == 4 ? 28 : 48));
  }
  if (purpose == PING_HEARTBEAT) {
    int64_t wait = 4 * p->best.latency_us;
    wait = wait < PING_MISS_MIN_US ? PING_MISS_MIN_US : time_min (wait, PING_MISS_MAX_US);
    ping.miss_us = path->now_us + wait;
  }
  Candidate *candidate = candidates_find (&p->candidates, to);
  if (candidate && purpose != PING_COMMAND)
    candidate->last_ping_us = path->now_us;
  if (birthday_runs_for (path, p))
    limit += 2 * BIRTHDAY_SOCKETS;
  pings_add (&p->pings, &ping, limit);
  path_send_disco (path, p->record, &m, to, ping.side);
  return true;
}

static bool
send_ping (Path *path, PeerPath *p, const IpPort *to, PingPurpose purpose, uint32_t command,
           size_t size)
{
  return send_ping_from (path, p, 0, to, purpose, command, size);
}

void
peer_path_ping (Path *path, PeerPath *p, const IpPort *at, uint32_t side)
{
  if (does_disco (path, p))
    send_ping_from (path, p, side, at, PING_DISCOVERY, 0, 0);
}

void
peer_path_call (Path *path, PeerPath *p, const IpPort *extra, size_t n_extra)
{
  IpPort list[ENDPOINTS_MAX + BIRTHDAY_GUESSES + 1];
  size_t count;
  const Endpoint *endpoints = discovery_endpoints (path, &count);
  uint16_t region = relays_region_for (path->relays, p->record->home_region, p->route_connection);

  if (count == 0 || region == 0)
    return; /* an empty call would take from the peer what it has */
  count = count < ENDPOINTS_MAX ? count : ENDPOINTS_MAX;
  for (size_t i = 0; i < count; i++)
    list[i] = endpoints[i].at;
  if (p->side != 0) /* valid for this peer alone, and gone from it with the first call without */
    list[count++] = p->seen_at;
  for (size_t i = 0; i < n_extra; i++)
    list[count++] = extra[i];
  DiscoMessage m = {.type = DISCO_CALL_ME_MAYBE, .encode_endpoints = list, .n_endpoints = count};
  p->last_call_us = path->now_us;
  p->wants_call = false;
  path_relay_disco (path, p->record, &m, region);
}

static void
send_call (Path *path, PeerPath *p)
{
  /* Else the peer would forget the guesses that it is trying. */
  if (!birthday_runs_for (path, p))
    peer_path_call (path, p, NULL, 0);
}

void
peer_path_full_ping (Path *path, PeerPath *p, bool call, int64_t interval_us)
{
  bool any = false;

  if (!does_disco (path, p))
    return;
  p->last_full_ping_us = path->now_us;
  candidates_drop_dead (&p->candidates, is_trusted (path, p) ? &p->best.at : NULL, path->now_us);
  drop_lost_best (p);
  for (size_t i = 0; i < p->candidates.count; i++) {
    const Candidate *candidate = &p->candidates.items[i];
    if (path->now_us - candidate->last_ping_us >= interval_us) {
      IpPort at = candidate->at;
      any |= send_ping (path, p, &at, PING_DISCOVERY, 0, 0);
    }
  }
  /* A peer that tells no endpoints, or whose calls make us ping all the time, has to be called all
   * the same: it pings us then, at addresses of ours that may be new. */
  if (!peer_path_is_direct (path, p) && path->now_us - p->last_call_us >= interval_us)
    any = true;
  if (!any || !call)
    return;
  if (discovery_fresh (path))
    send_call (path, p);
  else
    p->wants_call = true;
}

void
peer_path_endpoints_ready (Path *path, PeerPath *p)
{
  if (!p->wants_call)
    return;
  p->wants_call = false;
  if (does_disco (path, p))
    send_call (path, p);
}

void
peer_path_endpoints_changed (Path *path, PeerPath *p)
{
  if (p->seeking_us != TIME_NEVER && does_disco (path, p))
    send_call (path, p);
}

/* ---- the tunnel's news ---- */

static void
seek (const Path *path, PeerPath *p)
{
  if (p->seeking_us == TIME_NEVER && !peer_path_is_direct (path, p))
    p->seeking_us = path->now_us;
}

static void
start_heartbeat (Path *path, PeerPath *p)
{
  if (p->heartbeat_us == TIME_NEVER && does_disco (path, p) && !path->knobs.silent_disco)
    p->heartbeat_us = path->now_us + PATH_HEARTBEAT_US;
}

void
peer_path_sent (Path *path, PeerPath *p)
{
  p->last_sent_us = path->now_us;
  if (p->one_way_us == TIME_NEVER)
    p->one_way_us = path->now_us;
  seek (path, p);
  if (p->record->wireguard_only) {
    wireguard_only_sent (path, p);
  } else {
    if (!relies_on_best (path, p))
      peer_path_full_ping (path, p, true, PATH_PING_INTERVAL_US);
    start_heartbeat (path, p);
  }
  peer_path_publish (path, p);
  want_relay (path, p);
}

void
peer_path_received (Path *path, PeerPath *p, const IpPort *source)
{
  p->last_received_us = path->now_us;
  p->one_way_us = TIME_NEVER;
  p->unanswered = 0;
  if (source && p->record->wireguard_only)
    wireguard_only_received (path, p, source);
  else if (source && path->knobs.silent_disco && ip_port_equal (source, &p->best.at))
    p->trust_until_us = path->now_us + PATH_TRUST_US;
  peer_path_publish (path, p);
}

/* From now on both ways are used, until a pong or WireGuard itself shows that one is enough. */
static void
become_suspicious (Path *path, PeerPath *p)
{
  p->suspect = true;
  discovery_path_lost (path);
  peer_path_full_ping (path, p, true, PATH_TRIGGERED_US);
  peer_path_publish (path, p);
  want_relay (path, p);
}

void
peer_path_no_answer (Path *path, PeerPath *p)
{
  p->unanswered++;
  if (!p->record->wireguard_only)
    peer_path_full_ping (path, p, true, PATH_PING_INTERVAL_US);
  peer_path_publish (path, p);
  want_relay (path, p);
}

/* ---- time ---- */

static void
on_missed (Path *path, PeerPath *p, const IpPort *to)
{
  if (!ip_port_equal (to, &p->best.at))
    return;
  p->missed++;
  bool one_way = p->one_way_us != TIME_NEVER && path->now_us - p->one_way_us >= PATH_ONE_WAY_US;
  if (p->suspect)
    return;
  if (p->missed >= 2 || one_way)
    become_suspicious (path, p);
  else
    send_ping (path, p, &p->best.at, PING_HEARTBEAT, 0, 0);
}

static void
finish_command (Path *path, PeerPath *p, uint32_t id, PathPingOutcome outcome)
{
  PathAction *action = actions_add (&path->actions, PATH_ACTION_PING_RESULT);

  action->ping_result = (PathPingResult){.id = id, .peer = p->record->key, .outcome = outcome};
}

static void
on_ping_expired (Path *path, PeerPath *p, const SentPing *ping)
{
  if (ping->purpose == PING_COMMAND && !pings_has_command (&p->pings, ping->command))
    finish_command (path, p, ping->command, PING_TIMED_OUT);
  if (ping->to.addr.family != 0 && ip_port_equal (&ping->to, &p->best.at) && !is_trusted (path, p))
    clear_best (p);
}

static bool
wants_full_ping (const Path *path, const PeerPath *p)
{
  return !relies_on_best (path, p) || p->best.vni != 0 || p->last_full_ping_us == LONG_AGO
         || (p->best.latency_us > PATH_GOOD_ENOUGH_US
             && path->now_us - p->last_full_ping_us >= PATH_UPGRADE_US);
}

static void
heartbeat (Path *path, PeerPath *p)
{
  if (!is_active (path, p) || !does_disco (path, p) || path->knobs.silent_disco) {
    p->heartbeat_us = p->seeking_us = TIME_NEVER;
    return;
  }
  if (way_is_set (&p->best))
    send_ping (path, p, &p->best.at, PING_HEARTBEAT, 0, 0);
  if (wants_full_ping (path, p))
    peer_path_full_ping (path, p, true, PATH_PING_INTERVAL_US);
  if (!peer_path_is_direct (path, p))
    birthday_consider (path, p);
  p->heartbeat_us = path->now_us + PATH_HEARTBEAT_US;
}

void
peer_path_tick (Path *path, PeerPath *p)
{
  const SentPing *missed;
  SentPing expired;

  while ((missed = pings_next_missed (&p->pings, path->now_us))) {
    IpPort to = missed->to;
    on_missed (path, p, &to);
  }
  while (pings_take_expired (&p->pings, path->now_us, &expired))
    on_ping_expired (path, p, &expired);
  if (path->now_us >= p->heartbeat_us)
    heartbeat (path, p);
  peer_path_publish (path, p);
}

/* ---- commands and changes from outside ---- */

void
peer_path_command (Path *path, PeerPath *p, uint32_t id, size_t size)
{
  DiscoMessage m = {.type = DISCO_PING, .node_key = path->node_key};
  uint16_t region;
  bool sent = false;

  p->last_sent_us = path->now_us;
  seek (path, p);
  if (relies_on_best (path, p) && p->best.vni == 0) {
    sent = send_ping (path, p, &p->best.at, PING_COMMAND, id, size);
  } else {
    for (size_t i = 0; does_disco (path, p) && i < p->candidates.count; i++) {
      IpPort at = p->candidates.items[i].at;
      sent |= send_ping (path, p, &at, PING_COMMAND, id, size);
    }
    region = relays_region_for (path->relays, p->record->home_region, p->route_connection);
    if (region != 0) {
      SentPing ping = {.region = region,
                       .purpose = PING_COMMAND,
                       .command = id,
                       .sent_us = path->now_us,
                       .miss_us = TIME_NEVER};
      random_fill (path->random, &m.tx_id, sizeof m.tx_id);
      ping.tx_id = m.tx_id;
      pings_add (&p->pings, &ping, 2 * p->candidates.count + PING_LIMIT_SPARE);
      path_relay_disco (path, p->record, &m, region);
      sent = true;
    }
    peer_path_full_ping (path, p, true, PATH_PING_INTERVAL_US);
  }
  if (!sent)
    finish_command (path, p, id, PING_TIMED_OUT);
  start_heartbeat (path, p);
  peer_path_publish (path, p);
}

void
peer_path_reset (Path *path, PeerPath *p, bool probe)
{
  birthday_stop (path, p);
  p->next_guess_us = LONG_AGO;
  clear_best (p);
  candidates_reset (&p->candidates);
  if (probe && is_active (path, p))
    peer_path_full_ping (path, p, true, 0);
  peer_path_publish (path, p);
}

void
peer_path_woke (Path *path, PeerPath *p, int64_t slept_us)
{
  p->trust_until_us = time_min (p->trust_until_us, path->now_us - 1);
  if (path->now_us - slept_us - p->last_sent_us <= PATH_WAKE_ACTIVE_US)
    peer_path_full_ping (path, p, true, 0);
  peer_path_publish (path, p);
}

void
peer_path_unreachable (Path *path, PeerPath *p, const IpPort *at)
{
  Candidate *candidate = candidates_find (&p->candidates, at);

  if (candidate)
    candidate_forget (candidate);
  if (ip_port_equal (&p->best.at, at)) {
    clear_best (p);
    peer_path_publish (path, p);
  }
}

void
peer_path_record_changed (Path *path, PeerPath *p)
{
  candidates_set_netmap (&p->candidates, p->record->endpoints, p->record->n_endpoints,
                         is_trusted (path, p) ? &p->best.at : NULL, path->now_us);
  drop_lost_best (p);
  peer_path_publish (path, p);
}
