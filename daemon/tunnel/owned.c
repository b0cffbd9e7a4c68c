/* The peers that a worker owns: their sessions, timers and staged packets. */
#include "tunnel/worker.h"

#include "base/ip-packet.h"
#include "base/memory.h"
#include "path/path.h"

#include <sodium.h>
#include <stdlib.h>

ActivePeer *
owned_active (Worker *w, LivePeer *peer)
{
  ActivePeer *active = atomic_load_explicit (&peer->active, memory_order_relaxed);

  if (active != NULL)
    return active;
  active = mem_new (sizeof *active);
  active->peer = peer;
  wg_peer_init (&active->wg, &w->context, 0);
  atomic_store (&peer->active, active);
  return active;
}

static void
report_peer (Worker *w, ReportType type, LivePeer *peer)
{
  Report report = {.type = type, .peer = peer, .time_us = w->now_us};

  worker_report (w, &report);
}

void
owned_stage (Worker *w, ActivePeer *active, const void *data, size_t size)
{
  stage_add (&active->stage, &w->staged, data, size);
  drop_out (w, TUNNEL_DROP_NO_SESSION, w->staged.dropped - w->staged_drops_seen);
  w->staged_drops_seen = w->staged.dropped;
  owned_note_sent (w, active);
  owned_todo (w, active, wg_peer_no_session (&active->wg, w->now_us));
}

static void
drop_staged (Worker *w, ActivePeer *active)
{
  size_t size;
  uint64_t n = 0;

  while (stage_first (active->stage, &size) != NULL) {
    stage_pop (active->stage, &w->staged);
    n++;
  }
  drop_out (w, TUNNEL_DROP_NO_SESSION, n);
  stage_free (active->stage, &w->staged);
  active->stage = NULL;
}

static void
send_staged (Worker *w, ActivePeer *active)
{
  Stage *stage = active->stage;
  uint8_t *data;
  size_t size;

  /* Taken off first: a packet that finds no session must not come back to the same stage. */
  active->stage = NULL;
  while ((data = stage_first (stage, &size)) != NULL) {
    outbound_passed (w, active, data, size);
    stage_pop (stage, &w->staged);
  }
  outbound_flush (w);
  stage_free (stage, &w->staged);
}

/* Tells the peer our disco key first of all in a new session, so that it does not take the key that
 * the control server tells it later for a restart, and the session for dead
 * (spec/wireguard-dataplane.md §6.2). False when this peer is not to be told. */
static bool
send_priority (Worker *w, ActivePeer *active)
{
  const TunnelPeer *config = atomic_load (&active->peer->config);
  const TunnelSettings *s = &w->view->settings;
  uint8_t packet[TSMP_PACKET_MAX];
  size_t size;

  if (config->wireguard_only || s->shut)
    return false;
  if (s->address4.family != 0 && config->address4.family != 0)
    size = tsmp_build_disco (config->masquerade4.family != 0 ? &config->masquerade4 : &s->address4,
                             &config->address4, &w->shared->disco, packet);
  else if (s->address6.family != 0 && config->address6.family != 0)
    size = tsmp_build_disco (config->masquerade6.family != 0 ? &config->masquerade6 : &s->address6,
                             &config->address6, &w->shared->disco, packet);
  else
    return false;
  outbound_inject (w, active->peer, packet, size);
  outbound_flush (w);
  return true;
}

void
owned_note_sent (Worker *w, ActivePeer *active)
{
  if (active->told_sent_us != 0 && w->now_us - active->told_sent_us < PATH_ACTIVITY_US)
    return;
  active->told_sent_us = w->now_us;
  report_peer (w, REPORT_SENT, active->peer);
}

void
owned_note_received (Worker *w, ActivePeer *active, const IpPort *from)
{
  Report report = {.type = REPORT_RECEIVED, .peer = active->peer, .address = *from};

  if (active->told_received_us != 0 && w->now_us - active->told_received_us < PATH_ACTIVITY_US
      && ip_port_equal (from, &active->told_source))
    return;
  active->told_received_us = w->now_us;
  active->told_source = *from;
  worker_report (w, &report);
}

/* Sessions that left their slots: net frees them when no worker can hold them. */
static void
retire_sessions (Worker *w, ActivePeer *active)
{
  WgSession *session;

  while ((session = wg_peer_take_retired (&active->wg)) != NULL) {
    Report report = {.type = REPORT_RETIRED, .peer = active->peer, .session = session};

    if (w->pending.session == session)
      outbound_flush (w);
    worker_report (w, &report);
  }
}

static void
set_idle (Worker *w, ActivePeer *active)
{
  Report report = {.type = REPORT_IDLE, .peer = active->peer, .active = active};

  drop_staged (w, active);
  wg_peer_erase (&active->wg);
  retire_sessions (w, active);
  timer_wheel_remove (&w->wheel, &active->wg.timer);
  atomic_store (&active->peer->active, NULL);
  worker_report (w, &report);
}

void
owned_todo (Worker *w, ActivePeer *active, WgTodo todo)
{
  if (todo == 0)
    return;
  if ((todo & WG_TODO_RETIRED) != 0)
    retire_sessions (w, active);
  if ((todo & WG_TODO_CONFIRMED) != 0) {
    WgSession *session = wg_peer_current (&active->wg, w->now_us);
    Report report = {.type = REPORT_CONFIRMED, .peer = active->peer};

    if (session != NULL) {
      report.index = session->local_index;
      worker_report (w, &report);
    }
  }
  if ((todo & WG_TODO_HANDSHAKE) != 0)
    report_peer (w, REPORT_WANT_HANDSHAKE, active->peer);
  if ((todo & WG_TODO_PATH_SUSPECT) != 0)
    report_peer (w, REPORT_SUSPECT, active->peer);
  if ((todo & WG_TODO_SESSION_READY) != 0 && send_priority (w, active))
    todo &= (WgTodo)~WG_TODO_KEEPALIVE;
  if ((todo & WG_TODO_SESSION_READY) != 0 && stage_bytes (active->stage) > 0)
    send_staged (w, active);
  else if ((todo & WG_TODO_KEEPALIVE) != 0)
    outbound_keepalive (w, active);
  if ((todo & WG_TODO_IDLE) != 0)
    set_idle (w, active);
}

static void
install (Worker *w, LivePeer *peer, const WgSessionKeys *keys)
{
  ActivePeer *active = owned_active (w, peer);

  atomic_store_explicit (&peer->last_handshake_us, keys->created_us, memory_order_relaxed);
  owned_todo (w, active, wg_peer_install (&active->wg, keys, w->now_us));
}

static void
forget (Worker *w, LivePeer *peer)
{
  ActivePeer *active = atomic_load (&peer->active);

  if (active != NULL) {
    outbound_flush (w);
    set_idle (w, active);
  }
  peer->forgotten = true;
  w->last_known = false;
  report_peer (w, REPORT_FORGOTTEN, peer);
}

/* After a sleep: every peer that has a session asks for a new one with the next data. */
static void
resumed (Worker *w)
{
  SharedMapIter iter = shared_map_begin (w->view->by_key);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry)) {
    LivePeer *peer = (LivePeer *)(uintptr_t)entry.value;
    ActivePeer *active = peer->owner == w->number ? atomic_load (&peer->active) : NULL;

    if (active != NULL)
      wg_peer_handshake_on_data (&active->wg);
  }
}

void
owned_handle_order (Worker *w, const Order *order)
{
  ActivePeer *active = order->peer != NULL ? atomic_load (&order->peer->active) : NULL;
  Report report = {.peer = order->peer};

  switch (order->type) {
    case ORDER_INSTALL:
      install (w, order->peer, &order->keys);
      break;
    case ORDER_ERASE:
      if (active != NULL)
        owned_todo (w, active, wg_peer_erase (&active->wg));
      break;
    case ORDER_FORGET:
      forget (w, order->peer);
      break;
    case ORDER_GIVE_UP:
      if (active != NULL) {
        drop_staged (w, active);
        owned_todo (w, active, wg_peer_give_up (&active->wg));
      }
      break;
    case ORDER_HANDSHAKE_ON_DATA:
      if (active != NULL)
        wg_peer_handshake_on_data (&active->wg);
      break;
    case ORDER_RESUMED:
      resumed (w);
      break;
    case ORDER_SOCKETS:
      w->sockets = order->sockets;
      worker_watch (w);
      worker_note_offloads (w);
      report.type = REPORT_SOCKETS;
      report.sockets = order->sockets;
      worker_report (w, &report);
      break;
    case ORDER_FENCE:
      report.type = REPORT_FENCE;
      report.number = order->number;
      worker_report (w, &report);
      break;
    case ORDER_STOP:
      w->stop = true;
      break;
    case ORDER_DATAGRAM:
    case ORDER_INJECT:
      break;
  }
}

void
owned_run_timers (Worker *w)
{
  TimerNode *node;

  while ((node = timer_wheel_expire (&w->wheel, w->now_us)) != NULL) {
    ActivePeer *active = (ActivePeer *)wg_peer_from_timer (node);

    owned_todo (w, active, wg_peer_tick (&active->wg, w->now_us));
  }
}

void
owned_clear (Worker *w)
{
  SharedMapIter iter = shared_map_begin (w->view->by_key);
  SharedMapEntry entry;

  while (shared_map_next (&iter, &entry)) {
    LivePeer *peer = (LivePeer *)(uintptr_t)entry.value;
    ActivePeer *active = peer->owner == w->number ? atomic_load (&peer->active) : NULL;

    if (active == NULL)
      continue;
    drop_staged (w, active);
    atomic_store (&peer->active, NULL);
    wg_peer_clear (&active->wg);
    free (active);
  }
  sealer_forget (w->sealer);
  opener_forget (w->opener);
}
