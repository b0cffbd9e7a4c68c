/* One connection of a worker: what is read becomes events, what is for it becomes records. */
#include "coordinator/relay-private.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOMAIN        "relay"
#define RECORD_BYTES  16384
#define RECORD_FULL   (RECORD_BYTES - 1400) /* one more packet would hardly fit */
#define SEND_BYTES    65536                 /* ciphertext for one call */
#define DIRECT_BYTES  4096                  /* runs that are worth records of their own */
#define FLUSH_BYTES   32768                 /* queued: do not wait for the end of the turn */
#define STALL_US      (2 * USEC_PER_SEC)
#define MESH_STALL_US (30 * USEC_PER_SEC)
#define REFUSED_US    (2 * USEC_PER_SEC) /* at least, and twice as much at most */
#define EVERYBODY     64                 /* connections of a key that another relay wants closed */

RelayConnection *
relay_connection_new (RelayWorker *worker, int fd, const IpPort *from)
{
  RelayConnection *c = mem_new (sizeof *c);

  c->fd = fd;
  c->from = *from;
  c->tls = worker->tls ? tls_server_new (worker->tls) : NULL;
  c->until_us = worker->now_us + RELAY_LOGIN_US;
  timer_node_init (&c->timer, RELAY_TIMER_CONNECTION);
  timer_wheel_set (&worker->wheel, &c->timer, c->until_us);
  relay_client_init (&c->client, &worker->relay->identity);
  return c;
}

RelayConnection *
relay_connection_link (RelayWorker *worker, int fd, RelayLink *link,
                       const TlsClientOptions *options)
{
  RelayConnection *c = mem_new (sizeof *c);

  c->link = link;
  c->fd = fd;
  c->from = link->at;
  c->tls = tls_client_new (worker->link_tls, options);
  c->until_us = worker->now_us + RELAY_LOGIN_US;
  timer_node_init (&c->timer, RELAY_TIMER_CONNECTION);
  timer_wheel_set (&worker->wheel, &c->timer, c->until_us);
  relay_client_init (&c->client, &worker->relay->identity);
  c->client.stage = RELAY_UP;
  c->client.mesh = true;
  return c;
}

static void
leave (RelayWorker *worker, RelayConnection *c)
{
  Relay *relay = worker->relay;
  RelayHeard heard;

  if (c->client.mesh)
    relay_unwatch (relay, relay_worker_handle (worker, c));
  if (relay_registry_leave (relay->registry, c->presence, &heard))
    relay_tell_watchers (relay, &c->client.key, NULL, 0);
  relay_tell_heard (relay, &c->client.key, &heard);
}

void
relay_connection_free (RelayWorker *worker, RelayConnection *c)
{
  if (c->presence)
    leave (worker, c);
  if (c->link)
    relay_link_closed (worker, c);
  timer_wheel_remove (&worker->wheel, &c->timer);
  close (c->fd);
  tls_free (c->tls);
  relay_client_clear (&c->client);
  buffer_free (&c->cipher);
  free (c);
}

bool
relay_connection_handshaking (const RelayConnection *c)
{
  return c->client.stage != RELAY_UP;
}

/* ---- writing ---- */

static void
watch (RelayWorker *worker, RelayConnection *c)
{
  bool in = c->client.stage != RELAY_OVER && relay_client_pause (&c->client, worker->now_us) == 0;
  uint32_t edge = in && relay_connection_handshaking (c) ? EPOLLET : 0;
  struct epoll_event event
      = {.events = (in ? EPOLLIN : 0) | (c->cipher.size > 0 ? EPOLLOUT : 0) | edge, .data.ptr = c};

  if (event.events == c->events)
    return;
  c->events = event.events;
  epoll_ctl (worker->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

/* As much as the socket takes; how much that was. */
static size_t
send_some (RelayWorker *worker, RelayConnection *c, const uint8_t *data, size_t size)
{
  size_t sent = 0;

  while (sent < size) {
    ssize_t n = send (c->fd, data + sent, size - sent, MSG_NOSIGNAL);
    if (n > 0)
      sent += (size_t)n;
    else if (n < 0 && errno == EINTR)
      continue;
    else {
      if (n < 0 && errno != EAGAIN)
        relay_worker_close (worker, c);
      break;
    }
  }
  return sent;
}

/* Sends ciphertext and keeps what the socket does not take. */
static void
send_or_keep (RelayWorker *worker, RelayConnection *c, const uint8_t *data, size_t size)
{
  size_t sent = send_some (worker, c, data, size);

  if (sent == size || c->closing)
    return;
  buffer_append (&c->cipher, data + sent, size - sent);
  c->stalled_us = worker->now_us;
  if (c->timer.deadline_us > worker->now_us + STALL_US)
    timer_wheel_set (&worker->wheel, &c->timer, worker->now_us + STALL_US);
}

static void
send_kept (RelayWorker *worker, RelayConnection *c)
{
  size_t sent = send_some (worker, c, c->cipher.data, c->cipher.size);

  if (sent > 0)
    c->stalled_us = worker->now_us;
  buffer_consume (&c->cipher, sent);
  if (c->cipher.size == 0)
    buffer_free (&c->cipher); /* idle clients keep nothing */
}

/* Encrypts into the worker's buffer, where it is until it is sent. */
static void
seal (RelayWorker *worker, RelayConnection *c, const uint8_t *plain, size_t size)
{
  if (!c->tls)
    buffer_append (&worker->cipher, plain, size);
  else if (!tls_write_to (c->tls, plain, size, &worker->cipher))
    relay_worker_close (worker, c);
}

/* What waits, packed into full records, as long as the socket takes it. */
static void
write_queued (RelayWorker *worker, RelayConnection *c)
{
  bool open = !c->tls || tls_state (c->tls) == TLS_OPEN;

  do {
    buffer_reset (&worker->cipher);
    if (c->tls)
      tls_take (c->tls, &worker->cipher);
    while (open && worker->cipher.size < SEND_BYTES && !c->closing) {
      buffer_reset (&worker->packed);
      if (c->link)
        relay_link_take (worker, c, &worker->packed);
      else
        relay_client_take (&c->client, &worker->packed, RECORD_FULL);
      if (worker->packed.size == 0)
        break;
      seal (worker, c, worker->packed.data, worker->packed.size);
    }
    send_or_keep (worker, c, worker->cipher.data, worker->cipher.size);
  } while (worker->cipher.size >= SEND_BYTES && c->cipher.size == 0 && !c->closing);
}

/* Tells the peer that nothing follows. */
static void
end_stream (RelayWorker *worker, RelayConnection *c)
{
  if (!c->tls)
    return;
  buffer_reset (&worker->cipher);
  tls_close (c->tls);
  tls_take (c->tls, &worker->cipher);
  send_some (worker, c, worker->cipher.data, worker->cipher.size);
}

/* A connection that is over ends properly, unless its user is to wait a little. */
static void
finish (RelayWorker *worker, RelayConnection *c)
{
  if (c->client.stage != RELAY_OVER || c->client.refused || c->cipher.size > 0 || c->closing)
    return;
  end_stream (worker, c);
  relay_worker_close (worker, c);
}

void
relay_connection_flush (RelayWorker *worker, RelayConnection *c)
{
  if (c->closing)
    return;
  if (c->cipher.size > 0)
    send_kept (worker, c);
  if (c->cipher.size == 0 && !c->closing)
    write_queued (worker, c);
  finish (worker, c);
  if (!c->closing)
    watch (worker, c);
}

void
relay_connection_dismiss (RelayWorker *worker, RelayConnection *c, uint32_t reconnect_ms)
{
  relay_client_restarting (&c->client, reconnect_ms);
  relay_connection_flush (worker, c);
  if (!c->closing && c->cipher.size == 0)
    end_stream (worker, c);
}

/* ---- packets ---- */

static void
deliver_forward (RelayWorker *worker, RelayConnection *c, const RelayParcel *parcel,
                 const uint8_t *frames)
{
  for (size_t at = 0; at < parcel->size;) {
    size_t body = load_be32 (frames + at + 1);
    unsigned dropped = relay_client_forward (&c->client, &parcel->source, &parcel->destination,
                                             frames + at + DERP_SEND_OVERHEAD, body - KEY_SIZE);
    relay_count (&worker->counters.dropped_full, dropped);
    at += DERP_HEADER_SIZE + body;
  }
}

void
relay_connection_deliver (RelayWorker *worker, RelayConnection *c, const RelayParcel *parcel,
                          const uint8_t *frames)
{
  if (c->closing || c->client.stage != RELAY_UP) {
    relay_count (&worker->counters.dropped_gone, parcel->n);
    return;
  }
  relay_count (&worker->counters.packets_out, parcel->n);
  relay_count (&worker->counters.bytes_out, parcel->size);
  if (!parcel->forward && parcel->size >= DIRECT_BYTES && c->cipher.size == 0
      && relay_client_idle (&c->client)) {
    buffer_reset (&worker->cipher);
    seal (worker, c, frames, parcel->size);
    send_or_keep (worker, c, worker->cipher.data, worker->cipher.size);
    if (c->cipher.size > 0)
      watch (worker, c);
    return;
  }
  if (c->link)
    relay_link_forward (worker, c, parcel, frames);
  else if (parcel->forward)
    deliver_forward (worker, c, parcel, frames);
  else
    relay_count (&worker->counters.dropped_full,
                 relay_client_deliver (&c->client, &parcel->source, frames, parcel->size));
  if (c->cipher.size == 0 && c->client.queue && relay_queue_bytes (c->client.queue) >= FLUSH_BYTES)
    relay_connection_flush (worker, c);
  else if (c->cipher.size == 0)
    relay_worker_soil (worker, c);
}

static bool
any_disco (const uint8_t *frames, size_t size)
{
  while (size > 0) {
    size_t n = DERP_HEADER_SIZE + load_be32 (frames + 1);
    if (derp_packet_is_disco (frames + DERP_SEND_OVERHEAD, n - DERP_SEND_OVERHEAD))
      return true;
    frames += n;
    size -= n;
  }
  return false;
}

static void
pass_on (RelayWorker *worker, RelayConnection *c, const RelayEvent *event)
{
  RelayParcel parcel = {.source = event->source,
                        .destination = event->destination,
                        .size = (uint32_t)event->size,
                        .n = event->n};
  bool from_relay = event->type == RELAY_EVENT_FORWARD;
  RelayWhere where = relay_registry_find (worker->relay->registry, &event->destination, &parcel.to);

  relay_count (&worker->counters.packets_in, event->n);
  relay_count (&worker->counters.bytes_in, event->size);
  parcel.forward = where == RELAY_FORWARD;
  if (where == RELAY_NOWHERE || (from_relay && parcel.forward)) {
    relay_count (&worker->counters.dropped_unknown, event->n);
    if (any_disco (event->frames, event->size))
      relay_client_not_here (&c->client, &event->destination, worker->now_us);
    return;
  }
  if (!from_relay && memcmp (c->last_heard.bytes, event->destination.bytes, KEY_SIZE) != 0) {
    c->last_heard = event->destination;
    relay_registry_heard (worker->relay->registry, c->presence, &event->destination);
  } else if (from_relay) {
    relay_registry_heard_from (worker->relay->registry, &event->source, &event->destination);
  }
  relay_worker_send (worker, &parcel, event->frames);
}

/* ---- events ---- */

static void
log_in (RelayWorker *worker, RelayConnection *c)
{
  Relay *relay = worker->relay;
  const RelayClient *client = &c->client;
  uint8_t flags = (client->mesh ? DERP_PRESENT_MESH : 0)
                  | (client->prober ? DERP_PRESENT_PROBER : 0)
                  | (client->not_ideal ? DERP_PRESENT_NOT_IDEAL : 0);
  char name[KEY_SHORT_MAX];

  key_short (KEY_NODE_PUBLIC, client->key.bytes, name);
  if (!client->mesh && !relay_registry_allowed (relay->registry, &client->key)) {
    log_debug (DOMAIN, "%s is not a member", name);
    relay_client_refuse (&c->client);
    return;
  }
  flags = flags ? flags : DERP_PRESENT_REGULAR;
  /* Its first frame must be the answer to its login, before packets from others. */
  relay_client_accept (&c->client, worker->now_us);
  c->presence = relay_registry_join (relay->registry, &client->key, relay_worker_handle (worker, c),
                                     &c->from, flags);
  timer_wheel_set (&worker->wheel, &c->timer, c->client.keep_alive_us);
  worker->n_handshakes--;
  relay_count (&worker->counters.logins, 1);
  relay_tell_watchers (relay, &client->key, &c->from, flags);
  log_debug (DOMAIN, "%s is here", name);
}

/* Closes every connection of a key, for another relay of the region. */
static void
close_key (Relay *relay, const NodePublic *key)
{
  RelayHandle handles[EVERYBODY];
  RelayOrder order = {.type = RELAY_ORDER_CLOSE, .key = *key};
  size_t n = relay_registry_connections (relay->registry, key, handles, EVERYBODY);

  for (size_t i = 0; i < n; i++) {
    order.to = handles[i];
    relay_order (relay, &order);
  }
}

static void
handle_events (RelayWorker *worker, RelayConnection *c)
{
  RelayEvent event;

  while (!c->closing)
    switch (relay_client_next (&c->client, &event, worker->now_us)) {
      case RELAY_EVENT_NONE:
        return;
      case RELAY_EVENT_LOGIN:
        log_in (worker, c);
        break;
      case RELAY_EVENT_PACKETS:
      case RELAY_EVENT_FORWARD:
        pass_on (worker, c, &event);
        break;
      case RELAY_EVENT_WATCH:
        relay_watch (worker->relay, relay_worker_handle (worker, c));
        break;
      case RELAY_EVENT_CLOSE:
        close_key (worker->relay, &event.destination);
        break;
    }
}

/* Of several connections of a key the one that speaks gets the packets. */
static void
speak (RelayWorker *worker, RelayConnection *c)
{
  if (!c->presence || !atomic_load_explicit (&c->presence->shared, memory_order_relaxed)
      || !relay_registry_spoke (worker->relay->registry, c->presence, worker->now_us))
    return;
  char name[KEY_SHORT_MAX];
  key_short (KEY_NODE_PUBLIC, c->client.key.bytes, name);
  log_warning (DOMAIN, "the key %s is in use on two devices", name);
  relay_client_health (&c->client, "this device's key is in use on two machines");
}

static bool
decrypt (RelayWorker *worker, RelayConnection *c, const uint8_t *data, size_t size)
{
  if (!c->tls) {
    buffer_append (&worker->plain, data, size);
    return true;
  }
  TlsState state = tls_receive (c->tls, data, size, &worker->plain);
  return state == TLS_OPEN || state == TLS_HANDSHAKING;
}

/* The login failed: its user is left waiting, as most would try again at once. */
static void
let_wait (RelayWorker *worker, RelayConnection *c)
{
  relay_count (&worker->counters.refused, 1);
  c->until_us = worker->now_us + REFUSED_US + random_between (random_system (), 0, REFUSED_US);
  timer_wheel_set (&worker->wheel, &c->timer, c->until_us);
}

void
relay_connection_read (RelayWorker *worker, RelayConnection *c)
{
  ssize_t n = c->closing ? -1 : recv (c->fd, worker->input, RELAY_READ_SIZE, 0);
  bool was_over = c->client.stage == RELAY_OVER, more;

  if (c->closing || (n < 0 && (errno == EAGAIN || errno == EINTR)))
    return;
  if (n <= 0) {
    relay_worker_close (worker, c);
    return;
  }
  buffer_reset (&worker->plain);
  relay_client_rest (&c->client, &worker->plain);
  more = decrypt (worker, c, worker->input, (size_t)n);
  if (c->link) {
    relay_link_read (worker, c, &worker->plain);
    if (!more)
      relay_worker_close (worker, c);
    relay_worker_soil (worker, c);
    return;
  }
  relay_client_feed (&c->client, worker->plain.data, worker->plain.size);
  if (worker->plain.size > 0)
    speak (worker, c);
  handle_events (worker, c);
  if (c->client.stage == RELAY_OVER && !was_over && c->client.refused)
    let_wait (worker, c);
  if (!more)
    relay_worker_close (worker, c);
  int64_t pause_us = relay_client_pause (&c->client, worker->now_us);
  if (pause_us > 0 && pause_us < c->timer.deadline_us)
    timer_wheel_set (&worker->wheel, &c->timer, pause_us);
  relay_worker_soil (worker, c);
}

/* ---- time ---- */

void
relay_connection_tick (RelayWorker *worker, RelayConnection *c)
{
  int64_t now_us = worker->now_us, deadline_us = TIME_NEVER;
  int64_t patience_us = c->client.mesh ? MESH_STALL_US : STALL_US;

  if (c->link) {
    deadline_us = relay_link_tick (worker, c);
    relay_worker_soil (worker, c);
  } else if (c->client.stage == RELAY_UP) {
    deadline_us = relay_client_tick (&c->client, now_us);
    relay_worker_soil (worker, c);
  } else if (c->until_us <= now_us) {
    relay_worker_close (worker, c);
  } else {
    deadline_us = c->until_us;
  }
  if (c->cipher.size > 0 && c->stalled_us + patience_us <= now_us) {
    relay_count (&worker->counters.stalled, 1);
    relay_worker_close (worker, c);
  } else if (c->cipher.size > 0) {
    deadline_us = time_min (deadline_us, c->stalled_us + patience_us);
  }
  int64_t pause_us = relay_client_pause (&c->client, now_us);
  if (pause_us > 0)
    deadline_us = time_min (deadline_us, pause_us);
  if (!c->closing)
    timer_wheel_set (&worker->wheel, &c->timer, deadline_us);
}
