#include "wg-host.h"

#include <stdlib.h>
#include <string.h>

typedef struct
{
  size_t size;
  uint8_t bytes[WG_HOST_PACKET_MAX];
} Staged;

struct WgHostPeer
{
  WgPeer peer; /* first member */
  NodePublic key;
  WgHostPeer *next;
  Staged *staged[WG_HOST_STAGED_MAX]; /* oldest first */
  size_t n_staged;
  unsigned busy; /* calls of handle_todo on the stack: an answer of the device may come back here */
  bool idle;     /* goes when none is left */
};

struct WgHost
{
  WgDevice *device;
  TimerWheel wheel;
  WgIndexTable *sessions;
  WgPeerContext context;
  WgHostPeer *peers;
  WgHostCallbacks callbacks;
  WgHostStats stats;
};

static void handle_todo (WgHost *host, WgHostPeer *peer, WgTodo todo, int64_t now_us);

static WgHostPeer *
find_peer (const WgHost *host, const NodePublic *key)
{
  for (WgHostPeer *peer = host->peers; peer; peer = peer->next)
    if (memcmp (peer->key.bytes, key->bytes, KEY_SIZE) == 0)
      return peer;
  return NULL;
}

static WgHostPeer *
make_peer (WgHost *host, const NodePublic *key)
{
  WgHostPeer *peer = find_peer (host, key);

  if (peer) {
    peer->idle = false;
    return peer;
  }
  peer = aligned_alloc (64, (sizeof *peer + 63) / 64 * 64);
  if (!peer)
    abort ();
  memset (peer, 0, sizeof *peer);
  wg_peer_init (&peer->peer, &host->context, 0);
  peer->key = *key;
  peer->next = host->peers;
  host->peers = peer;
  return peer;
}

static void
drop_staged (WgHost *host, WgHostPeer *peer)
{
  for (size_t i = 0; i < peer->n_staged; i++)
    free (peer->staged[i]);
  host->stats.dropped_staged += peer->n_staged;
  peer->n_staged = 0;
}

static void
remove_peer (WgHost *host, WgHostPeer *peer)
{
  WgHostPeer **link = &host->peers;

  while (*link != peer)
    link = &(*link)->next;
  *link = peer->next;
  drop_staged (host, peer);
  wg_peer_clear (&peer->peer);
  free (peer);
}

static void
notify (WgHost *host, WgHostNotice notice, const NodePublic *peer, const WgSource *source)
{
  if (host->callbacks.notice)
    host->callbacks.notice (host->callbacks.data, notice, peer, source);
}

static bool
seal_and_send (WgHost *host, WgHostPeer *peer, const uint8_t *packet, size_t size, int64_t now_us)
{
  uint8_t message[WG_TRANSPORT_OVERHEAD + WG_HOST_PACKET_MAX + WG_PADDING] = {0};
  uint8_t nonce[AEAD_NONCE_SIZE] = {0};
  WgSession *session = wg_peer_current (&peer->peer, now_us);
  uint64_t counter;

  if (!session || wg_session_reserve (session, now_us, 1, &counter) != 1)
    return false;
  size_t padded = wg_padded_size (size, WG_HOST_PACKET_MAX);
  if (size > 0)
    memcpy (message + WG_TRANSPORT_HEADER_SIZE, packet, size);
  wg_transport_write (message, session->remote_index, counter);
  store_le64 (nonce + 4, counter);
  aead_seal (session->send_key, nonce, NULL, 0, message + WG_TRANSPORT_HEADER_SIZE, padded,
             message + WG_TRANSPORT_HEADER_SIZE);
  host->callbacks.send (host->callbacks.data, &peer->key, NULL, message,
                        padded + WG_TRANSPORT_OVERHEAD);
  if (size > 0)
    host->stats.sent++;
  else
    host->stats.keepalives_sent++;
  handle_todo (host, peer, wg_peer_sent (&peer->peer, session, size > 0, now_us), now_us);
  return true;
}

static void
run_action (WgHost *host, const WgAction *action, int64_t now_us)
{
  WgHostPeer *peer = find_peer (host, &action->peer);

  switch (action->type) {
    case WG_ACTION_SEND:
      host->callbacks.send (host->callbacks.data, action->send.to_source ? NULL : &action->peer,
                            &action->send.source, action->send.bytes, action->send.size);
      break;
    case WG_ACTION_INSTALL:
      peer = make_peer (host, &action->peer);
      handle_todo (host, peer, wg_peer_install (&peer->peer, &action->install, now_us), now_us);
      break;
    case WG_ACTION_ERASE:
      if (peer)
        handle_todo (host, peer, wg_peer_erase (&peer->peer), now_us);
      break;
    case WG_ACTION_GIVE_UP:
      notify (host, WG_HOST_GIVE_UP, &action->peer, NULL);
      if (peer) {
        drop_staged (host, peer);
        handle_todo (host, peer, wg_peer_give_up (&peer->peer), now_us);
      }
      break;
    case WG_ACTION_AUTHENTIC:
      notify (host, WG_HOST_AUTHENTIC, &action->peer, &action->authentic);
      break;
    case WG_ACTION_RETRY:
      notify (host, WG_HOST_RETRY, &action->peer, NULL);
      break;
    case WG_ACTION_SAVE_TIMESTAMP:
      if (host->callbacks.save_timestamp)
        host->callbacks.save_timestamp (host->callbacks.data, action->timestamp);
      break;
  }
}

static void
device_event (WgHost *host, const WgEvent *event, int64_t now_us)
{
  WgAction action;

  wg_device_input (host->device, event, now_us);
  while (wg_device_next_action (host->device, &action)) {
    run_action (host, &action, now_us);
    wg_action_clear (&action);
  }
}

static bool
flush_staged (WgHost *host, WgHostPeer *peer, int64_t now_us)
{
  bool sent = false;

  while (peer->n_staged > 0) {
    Staged *first = peer->staged[0];
    if (!seal_and_send (host, peer, first->bytes, first->size, now_us))
      break;
    memmove (peer->staged, peer->staged + 1, (peer->n_staged - 1) * sizeof first);
    peer->n_staged--;
    free (first);
    sent = true;
  }
  return sent;
}

static void
handle_todo (WgHost *host, WgHostPeer *peer, WgTodo todo, int64_t now_us)
{
  bool sent = false;

  peer->busy++;
  if (todo & WG_TODO_RETIRED) {
    WgSession *session;
    while ((session = wg_peer_take_retired (&peer->peer))) {
      WgEvent event = {.type = WG_EVENT_SESSION_ERASED, .local_index = session->local_index};
      wg_session_free (session);
      device_event (host, &event, now_us);
    }
  }
  if (todo & WG_TODO_SESSION_READY) {
    notify (host, WG_HOST_ESTABLISHED, &peer->key, NULL);
    sent = flush_staged (host, peer, now_us);
  }
  WgSession *current = wg_peer_current (&peer->peer, now_us);
  if (todo & WG_TODO_CONFIRMED && current) {
    WgEvent event = {.type = WG_EVENT_SESSION_CONFIRMED, .local_index = current->local_index};
    device_event (host, &event, now_us);
  }
  if (todo & WG_TODO_KEEPALIVE && !sent)
    seal_and_send (host, peer, NULL, 0, now_us);
  if (todo & WG_TODO_HANDSHAKE) {
    WgEvent event = {.type = WG_EVENT_WANT_HANDSHAKE, .want = {peer->key, now_us}};
    device_event (host, &event, now_us);
  }
  if (todo & WG_TODO_PATH_SUSPECT)
    notify (host, WG_HOST_PATH_SUSPECT, &peer->key, NULL);
  if (todo & WG_TODO_IDLE) {
    notify (host, WG_HOST_IDLE, &peer->key, NULL);
    peer->idle = true;
  }
  if (--peer->busy == 0 && peer->idle)
    remove_peer (host, peer);
}

void
wg_host_send (WgHost *host, const NodePublic *key, const uint8_t *packet, size_t size,
              int64_t now_us)
{
  WgHostPeer *peer = make_peer (host, key);

  if (size == 0 || size > WG_HOST_PACKET_MAX)
    abort ();
  if (seal_and_send (host, peer, packet, size, now_us))
    return;
  if (peer->n_staged == WG_HOST_STAGED_MAX) {
    free (peer->staged[0]);
    memmove (peer->staged, peer->staged + 1, (WG_HOST_STAGED_MAX - 1) * sizeof peer->staged[0]);
    peer->n_staged--;
    host->stats.dropped_staged++;
  }
  Staged *staged = malloc (sizeof *staged);
  if (!staged)
    abort ();
  memcpy (staged->bytes, packet, size);
  staged->size = size;
  peer->staged[peer->n_staged++] = staged;
  handle_todo (host, peer, wg_peer_no_session (&peer->peer, now_us), now_us);
}

/* Decrypts a data message to PLAIN; returns the session and the plaintext's size, or NULL. */
static WgSession *
open_message (WgHost *host, const uint8_t *bytes, const WgTransport *t, uint8_t *plain,
              int64_t now_us)
{
  uint8_t nonce[AEAD_NONCE_SIZE] = {0};
  WgSession *session = wg_index_table_get (host->sessions, t->receiver);

  if (!session) {
    host->stats.unknown_index++;
    return NULL;
  }
  switch (wg_session_check (session, t->counter, now_us)) {
    case WG_RECEIVE_OK:
      break;
    case WG_RECEIVE_REPLAY:
      host->stats.replayed++;
      return NULL;
    default:
      host->stats.expired++;
      return NULL;
  }
  store_le64 (nonce + 4, t->counter);
  if (!aead_open (session->receive_key, nonce, NULL, 0, bytes + t->sealed_offset, t->sealed_size,
                  plain)) {
    host->stats.not_authentic++;
    return NULL;
  }
  if (!wg_session_accept (session, t->counter)) {
    host->stats.replayed++;
    return NULL;
  }
  return session;
}

static void
receive_data (WgHost *host, const uint8_t *bytes, size_t size, const WgSource *source,
              int64_t now_us)
{
  uint8_t plain[WG_HOST_PACKET_MAX + WG_PADDING];
  WgTransport t;

  if (!wg_transport_parse (bytes, size, &t) || t.sealed_size - AEAD_TAG_SIZE > sizeof plain)
    return;
  WgSession *session = open_message (host, bytes, &t, plain, now_us);
  if (!session)
    return;
  WgHostPeer *peer = (WgHostPeer *)session->peer;
  NodePublic key = peer->key;
  ptrdiff_t inner = wg_inner_size (plain, t.sealed_size - AEAD_TAG_SIZE);
  bool data = t.sealed_size > AEAD_TAG_SIZE;
  if (data)
    host->stats.received++;
  else
    host->stats.keepalives_received++;
  notify (host, WG_HOST_AUTHENTIC, &key, source);
  handle_todo (host, peer, wg_peer_received (&peer->peer, session, data, now_us), now_us);
  if (inner > 0)
    host->callbacks.receive (host->callbacks.data, &key, plain, (size_t)inner);
  else if (inner < 0)
    host->stats.bad_inner++;
}

void
wg_host_datagram (WgHost *host, const uint8_t *bytes, size_t size, const WgSource *source,
                  int64_t now_us)
{
  if (wg_message_classify (bytes, size) == WG_MESSAGE_DATA) {
    receive_data (host, bytes, size, source, now_us);
    return;
  }
  WgEvent event = {.type = WG_EVENT_DATAGRAM, .datagram = {bytes, size, *source}};
  device_event (host, &event, now_us);
}

void
wg_host_change_peer (WgHost *host, const NodePublic *key, WgPeerOp op, int64_t now_us)
{
  WgPeerChange change = {.key = *key, .op = op};
  WgEvent event = {.type = WG_EVENT_PEERS, .peers = {&change, 1}};

  device_event (host, &event, now_us);
}

void
wg_host_handshake_on_data (WgHost *host, const NodePublic *key)
{
  WgHostPeer *peer = find_peer (host, key);

  if (peer)
    wg_peer_handshake_on_data (&peer->peer);
}

void
wg_host_woke (WgHost *host)
{
  for (WgHostPeer *peer = host->peers; peer; peer = peer->next)
    wg_peer_handshake_on_data (&peer->peer);
}

void
wg_host_tick (WgHost *host, int64_t now_us)
{
  TimerNode *timer;

  while ((timer = timer_wheel_expire (&host->wheel, now_us))) {
    WgPeer *peer = wg_peer_from_timer (timer);
    handle_todo (host, (WgHostPeer *)peer, wg_peer_tick (peer, now_us), now_us);
  }
  device_event (host, &(WgEvent){.type = WG_EVENT_TICK}, now_us);
}

int64_t
wg_host_next_deadline (WgHost *host)
{
  return time_min (timer_wheel_next (&host->wheel), wg_device_next_deadline (host->device));
}

WgHost *
wg_host_new (const WgDeviceConfig *config, Random *random, const WgHostCallbacks *callbacks)
{
  WgHost *host = calloc (1, sizeof *host);

  if (!host || config->n_workers != 1)
    abort ();
  host->device = wg_device_new (config, random);
  host->sessions = wg_index_table_new (0);
  timer_wheel_init (&host->wheel, config->now_us);
  host->context = (WgPeerContext){&host->wheel, host->sessions, random};
  host->callbacks = *callbacks;
  return host;
}

void
wg_host_free (WgHost *host)
{
  if (!host)
    return;
  while (host->peers)
    remove_peer (host, host->peers);
  wg_device_free (host->device);
  wg_index_table_free (host->sessions);
  free (host);
}

WgDevice *
wg_host_device (WgHost *host)
{
  return host->device;
}

const WgHostStats *
wg_host_stats (const WgHost *host)
{
  return &host->stats;
}

void
wg_host_drop_staged (WgHost *host, const NodePublic *key)
{
  WgHostPeer *peer = find_peer (host, key);

  if (peer)
    drop_staged (host, peer);
}

WgPeer *
wg_host_peer (WgHost *host, const NodePublic *key)
{
  WgHostPeer *peer = find_peer (host, key);

  return peer ? &peer->peer : NULL;
}

size_t
wg_host_n_peers (const WgHost *host)
{
  size_t n = 0;

  for (const WgHostPeer *peer = host->peers; peer; peer = peer->next)
    n++;
  return n;
}

size_t
wg_host_n_staged (const WgHost *host)
{
  size_t n = 0;

  for (const WgHostPeer *peer = host->peers; peer; peer = peer->next)
    n += peer->n_staged;
  return n;
}
