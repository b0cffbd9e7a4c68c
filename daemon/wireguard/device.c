#include "base/memory.h"
#include "wireguard/device-internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MIN_QUEUE 16

WgAction *
wg_device_push (WgDevice *device, WgActionType type, const WgActivePeer *peer)
{
  if (device->queue_count == device->queue_capacity) {
    size_t capacity = device->queue_capacity ? 2 * device->queue_capacity : MIN_QUEUE;
    WgAction *queue = mem_new (capacity * sizeof *queue);
    for (size_t i = 0; i < device->queue_count; i++)
      queue[i] = device->queue[(device->queue_first + i) % device->queue_capacity];
    if (device->queue)
      sodium_memzero (device->queue, device->queue_capacity * sizeof *queue);
    free (device->queue);
    device->queue = queue;
    device->queue_capacity = capacity;
    device->queue_first = 0;
  }
  WgAction *action
      = &device->queue[(device->queue_first + device->queue_count) % device->queue_capacity];
  device->queue_count++;
  *action = (WgAction){.type = type};
  if (peer) {
    action->peer = peer->remote.public_key;
    action->worker = peer->worker;
  }
  return action;
}

bool
wg_device_next_action (WgDevice *device, WgAction *action)
{
  if (device->queue_count == 0)
    return false;
  WgAction *first = &device->queue[device->queue_first];
  *action = *first;
  wg_action_clear (first);
  device->queue_first = (device->queue_first + 1) % device->queue_capacity;
  device->queue_count--;
  return true;
}

void
wg_action_clear (WgAction *action)
{
  sodium_memzero (action, sizeof *action);
}

unsigned
wg_peer_worker (const NodePublic *key, unsigned n_workers)
{
  return load_le32 (key->bytes) % n_workers;
}

WgActivePeer *
wg_device_by_index (const WgDevice *device, uint32_t index)
{
  unsigned worker = wg_index_worker (index);

  return worker < device->n_workers ? wg_index_table_get (device->indices[worker], index) : NULL;
}

WgActivePeer *
wg_device_activate (WgDevice *device, WgKnownPeer *known, const WgRemote *remote)
{
  if (known->active)
    return known->active;
  WgActivePeer *peer = mem_new (sizeof *peer);
  timer_node_init (&peer->timer, 0);
  peer->remote = *remote;
  peer->worker = wg_peer_worker (&known->key, device->n_workers);
  peer->next = &device->active;
  peer->prev = device->active.prev;
  peer->prev->next = peer;
  peer->next->prev = peer;
  known->active = peer;
  device->stats.active_peers++;
  return peer;
}

static void
destroy (WgDevice *device, WgActivePeer *peer)
{
  peer->prev->next = peer->next;
  peer->next->prev = peer->prev;
  sodium_memzero (peer, sizeof *peer);
  free (peer);
  device->stats.active_peers--;
}

void
wg_device_drop_initiator (WgDevice *device, WgActivePeer *peer)
{
  if (!peer->initiator_set)
    return;
  wg_index_table_remove (device->indices[peer->worker], peer->initiator.local_index);
  sodium_memzero (&peer->initiator, sizeof peer->initiator);
  peer->initiator_set = false;
}

void
wg_device_release (WgDevice *device, WgActivePeer *peer)
{
  if (peer->n_sessions > 0 || peer->attempt != WG_TRY_NONE)
    return;
  wg_device_drop_initiator (device, peer);
  if (!peer->detached)
    wg_known_peers_find (&device->known, &peer->remote.public_key)->active = NULL;
  destroy (device, peer);
}

/* The node may not talk any more, or our own key changed: nothing of it may be used again. Indices
 * stay taken until the worker has forgotten them. */
static void
detach (WgDevice *device, WgActivePeer *peer)
{
  wg_device_push (device, WG_ACTION_ERASE, peer);
  wg_known_peers_find (&device->known, &peer->remote.public_key)->active = NULL;
  wg_device_drop_initiator (device, peer);
  timer_wheel_remove (&device->wheel, &peer->timer);
  peer->attempt = WG_TRY_NONE;
  peer->detached = true;
  sodium_memzero (&peer->remote, sizeof peer->remote);
  sodium_memzero (&peer->jar, sizeof peer->jar);
  wg_device_release (device, peer);
}

void
wg_device_attempt_done (WgDevice *device, WgActivePeer *peer, int64_t now_us)
{
  peer->attempt = WG_TRY_NONE;
  peer->ready_us = now_us;
  timer_wheel_remove (&device->wheel, &peer->timer);
}

static int64_t
jitter (WgDevice *device)
{
  return random_between (device->random, 0, WG_JITTER_US);
}

static void
give_up (WgDevice *device, WgActivePeer *peer)
{
  wg_device_push (device, WG_ACTION_GIVE_UP, peer);
  device->stats.gave_up++;
  peer->attempt = WG_TRY_NONE;
  wg_device_drop_initiator (device, peer);
  wg_device_release (device, peer);
}

static void
make_ephemeral (WgDevice *device, WgEphemeral *out)
{
  uint8_t private_key[KEY_SIZE];

  key_generate (device->random, private_key);
  wg_ephemeral_init (out, private_key);
  sodium_memzero (private_key, sizeof private_key);
}

void
wg_device_take_ephemeral (WgDevice *device, WgEphemeral *out)
{
  device->spare_used = true;
  if (device->n_spare == 0) {
    make_ephemeral (device, out);
    return;
  }
  *out = device->spare[--device->n_spare];
  sodium_memzero (&device->spare[device->n_spare], sizeof *out);
}

bool
wg_device_wants_idle (const WgDevice *device)
{
  return device->spare_used;
}

void
wg_device_initiate (WgDevice *device, WgActivePeer *peer, int64_t now_us)
{
  WgEphemeral ephemeral;
  uint8_t timestamp[WG_TIMESTAMP_SIZE], reserved[WG_TIMESTAMP_SIZE];
  WgInitiation message;

  wg_device_drop_initiator (device, peer);
  uint32_t index = wg_index_table_allocate (device->indices[peer->worker], device->random, peer);
  if (index == 0) {
    give_up (device, peer);
    return;
  }
  wg_device_take_ephemeral (device, &ephemeral);
  if (wg_timestamps_next (&device->timestamps, now_us, timestamp, reserved))
    memcpy (wg_device_push (device, WG_ACTION_SAVE_TIMESTAMP, NULL)->timestamp, reserved,
            sizeof reserved);
  peer->initiator_set = true;
  bool ok = wg_initiation_create (&device->identity, &peer->remote, &ephemeral, timestamp, index,
                                  &message, &peer->initiator);
  sodium_memzero (&ephemeral, sizeof ephemeral);
  if (!ok) {
    give_up (device, peer);
    return;
  }
  wg_macs_add (&peer->remote, &peer->jar, (uint8_t *)&message, sizeof message, now_us);
  WgAction *action = wg_device_push (device, WG_ACTION_SEND, peer);
  memcpy (action->send.bytes, &message, sizeof message);
  action->send.size = sizeof message;
  peer->sent_us = now_us;
  peer->attempt = WG_TRY_SENT;
  timer_wheel_set (&device->wheel, &peer->timer, now_us + WG_REKEY_TIMEOUT_US + jitter (device));
  device->stats.initiations_sent++;
}

/* The active state of a node that may talk, or NULL. */
static WgActivePeer *
activate_key (WgDevice *device, const NodePublic *key)
{
  WgKnownPeer *known = wg_known_peers_find (&device->known, key);
  WgRemote remote;

  if (!known || !known->allowed)
    return NULL;
  if (known->active)
    return known->active;
  WgActivePeer *peer = NULL;
  if (wg_remote_init (&remote, &device->identity, key))
    peer = wg_device_activate (device, known, &remote);
  sodium_memzero (&remote, sizeof remote);
  return peer;
}

static void
want_handshake (WgDevice *device, const NodePublic *key, int64_t asked_us, int64_t now_us)
{
  WgActivePeer *peer = activate_key (device, key);

  if (!peer) {
    WgAction *action = wg_device_push (device, WG_ACTION_GIVE_UP, NULL);
    action->peer = *key;
    action->worker = wg_peer_worker (key, device->n_workers);
    return;
  }
  if (asked_us < peer->ready_us)
    return;
  peer->wanted_us = now_us;
  if (peer->attempt != WG_TRY_NONE)
    return;
  if (peer->sent_us && now_us - peer->sent_us < WG_REKEY_TIMEOUT_US) {
    peer->attempt = WG_TRY_DEFERRED;
    timer_wheel_set (&device->wheel, &peer->timer,
                     peer->sent_us + WG_REKEY_TIMEOUT_US + jitter (device));
    return;
  }
  wg_device_initiate (device, peer, now_us);
}

static void
session_confirmed (WgDevice *device, uint32_t index, int64_t now_us)
{
  WgActivePeer *peer = wg_device_by_index (device, index);

  if (peer && !peer->detached)
    wg_device_attempt_done (device, peer, now_us);
}

static void
session_erased (WgDevice *device, uint32_t index)
{
  WgActivePeer *peer = wg_device_by_index (device, index);

  if (!peer || (peer->initiator_set && peer->initiator.local_index == index))
    return;
  wg_index_table_remove (device->indices[wg_index_worker (index)], index);
  peer->n_sessions--;
  wg_device_release (device, peer);
}

static void
change_peer (WgDevice *device, const WgPeerChange *change)
{
  WgKnownPeer *known;

  switch (change->op) {
    case WG_PEER_ALLOW:
      wg_known_peers_add (&device->known, &change->key)->allowed = true;
      break;
    case WG_PEER_BLOCK:
    case WG_PEER_REMOVE:
      known = wg_known_peers_find (&device->known, &change->key);
      if (!known)
        break;
      known->allowed = false;
      if (known->active)
        detach (device, known->active);
      if (change->op == WG_PEER_REMOVE)
        wg_known_peers_remove (&device->known, &change->key);
      break;
  }
}

static void
set_private_key (WgDevice *device, const WgEvent *event, int64_t now_us)
{
  WallTime wall_time
      = wall_time_add_us (device->timestamps.base, now_us - device->timestamps.base_us);
  WgActivePeer *next;

  for (WgActivePeer *peer = device->active.next; peer != &device->active; peer = next) {
    next = peer->next;
    if (!peer->detached)
      detach (device, peer);
  }
  wg_identity_init (&device->identity, event->private_key.key);
  wg_timestamps_init (&device->timestamps, wall_time, now_us, event->private_key.timestamp_floor);
  wg_cookie_secret_init (&device->cookie_secret);
}

static void
expire_timers (WgDevice *device, int64_t now_us)
{
  TimerNode *node;

  while ((node = timer_wheel_expire (&device->wheel, now_us))) {
    WgActivePeer *peer = (WgActivePeer *)node;
    if (peer->attempt == WG_TRY_SENT && now_us - peer->wanted_us >= WG_REKEY_ATTEMPT_TIME_US) {
      give_up (device, peer);
      continue;
    }
    if (peer->attempt == WG_TRY_SENT)
      wg_device_push (device, WG_ACTION_RETRY, peer);
    wg_device_initiate (device, peer, now_us);
  }
}

static void
make_spare (WgDevice *device)
{
  if (!wg_device_wants_idle (device))
    return;
  make_ephemeral (device, &device->spare[device->n_spare++]);
  device->spare_used = device->n_spare < WG_SPARE_KEYS;
}

void
wg_device_input (WgDevice *device, const WgEvent *event, int64_t now_us)
{
  switch (event->type) {
    case WG_EVENT_TICK:
      break;
    case WG_EVENT_DATAGRAM:
      wg_device_datagram (device, event->datagram.bytes, event->datagram.size,
                          &event->datagram.source, now_us);
      break;
    case WG_EVENT_WANT_HANDSHAKE:
      want_handshake (device, &event->want.peer, event->want.asked_us, now_us);
      break;
    case WG_EVENT_SESSION_CONFIRMED:
      session_confirmed (device, event->local_index, now_us);
      break;
    case WG_EVENT_SESSION_ERASED:
      session_erased (device, event->local_index);
      break;
    case WG_EVENT_PEERS:
      for (size_t i = 0; i < event->peers.n_changes; i++)
        change_peer (device, &event->peers.changes[i]);
      break;
    case WG_EVENT_PRIVATE_KEY:
      set_private_key (device, event, now_us);
      break;
    case WG_EVENT_IDLE:
      make_spare (device);
      break;
    case WG_EVENT_WALL_TIME:
      wg_timestamps_set_clock (&device->timestamps, event->wall_time, now_us);
      break;
  }
  expire_timers (device, now_us);
}

bool
wg_device_has_index (const WgDevice *device, uint32_t index)
{
  return wg_device_by_index (device, index) != NULL;
}

int64_t
wg_device_next_deadline (WgDevice *device)
{
  return timer_wheel_next (&device->wheel);
}

WgDevice *
wg_device_new (const WgDeviceConfig *config, Random *random)
{
  WgDevice *device = secret_new (sizeof *device);

  if (config->n_workers < 1 || config->n_workers > WG_INDEX_MAX_WORKERS)
    abort ();
  memset (device, 0, sizeof *device);
  wg_identity_init (&device->identity, &config->private_key);
  device->random = random;
  wg_known_peers_init (&device->known, random);
  device->active.next = &device->active;
  device->active.prev = &device->active;
  device->n_workers = config->n_workers;
  for (unsigned i = 0; i < config->n_workers; i++)
    device->indices[i] = wg_index_table_new (i);
  timer_wheel_init (&device->wheel, config->now_us);
  wg_timestamps_init (&device->timestamps, config->wall_time, config->now_us,
                      config->timestamp_floor);
  wg_cookie_secret_init (&device->cookie_secret);
  wg_load_init (&device->load, random, config->now_us);
  return device;
}

void
wg_device_free (WgDevice *device)
{
  if (!device)
    return;
  while (device->active.next != &device->active)
    destroy (device, device->active.next);
  for (unsigned i = 0; i < device->n_workers; i++)
    wg_index_table_free (device->indices[i]);
  wg_known_peers_clear (&device->known);
  if (device->queue)
    sodium_memzero (device->queue, device->queue_capacity * sizeof *device->queue);
  free (device->queue);
  secret_free (device);
}

void
wg_device_timestamp (const WgDevice *device, uint8_t out[WG_TIMESTAMP_SIZE])
{
  if (wall_time_is_unset (device->timestamps.last))
    memset (out, 0, WG_TIMESTAMP_SIZE);
  else
    wg_timestamp_write (device->timestamps.last, out);
}

WgDeviceStats
wg_device_stats (const WgDevice *device)
{
  WgDeviceStats stats = device->stats;

  stats.known_peers = device->known.count;
  for (unsigned i = 0; i < device->n_workers; i++)
    stats.indices += wg_index_table_count (device->indices[i]);
  return stats;
}
