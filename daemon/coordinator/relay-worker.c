/* A worker of the relay: an epoll loop that owns its connections. */
#include "coordinator/relay-private.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS            128
#define HANDSHAKES        4    /* in one turn: packets of others wait a millisecond at most */
#define HANDSHAKES_MAX    3000 /* connections that are not logged in: a second of work */
#define RING_BYTES        (1 << 20)
#define BUFFER_KEPT       (1 << 18) /* a buffer that grew beyond is given back */
#define RESTART_MS        100       /* until clients are to come back */
#define RESTART_SPREAD_MS 10000     /* over which they spread then, a thousand in a second */
#define NO_SLOT           UINT32_MAX

void
relay_worker_init (Relay *relay, unsigned number)
{
  RelayWorker *worker = &relay->workers[number];

  worker->relay = relay;
  worker->number = number;
  worker->epoll = -1;
  worker->bell.fd = -1;
  worker->free_slot = NO_SLOT;
  worker->orders_end = &worker->orders;
  worker->waiting_end = &worker->waiting;
  worker->input = mem_new (RELAY_READ_SIZE);
  pthread_mutex_init (&worker->lock, NULL);
}

/* ---- connections ---- */

RelayHandle
relay_worker_handle (const RelayWorker *worker, const RelayConnection *c)
{
  return (RelayHandle){worker->number, c->slot, worker->slots[c->slot].generation};
}

RelayConnection *
relay_worker_find (RelayWorker *worker, RelayHandle handle)
{
  const RelaySlot *slot = &worker->slots[handle.slot];

  return handle.slot < worker->n_slots && slot->generation == handle.generation ? slot->connection
                                                                                : NULL;
}

static void
take_slot (RelayWorker *worker, RelayConnection *c)
{
  if (worker->free_slot == NO_SLOT) {
    worker->slots
        = mem_grow (worker->slots, worker->n_slots, &worker->room_slots, sizeof *worker->slots);
    worker->slots[worker->n_slots] = (RelaySlot){.next_free = NO_SLOT};
    worker->free_slot = worker->n_slots++;
  }
  c->slot = worker->free_slot;
  worker->free_slot = worker->slots[c->slot].next_free;
  worker->slots[c->slot].connection = c;
}

static void
drop_connection (RelayWorker *worker, RelayConnection *c)
{
  uint32_t slot = c->slot;

  if (c->presence == NULL && c->link == NULL)
    worker->n_handshakes--;
  /* Its handle is taken back first: nothing is to be given to it any more. */
  relay_connection_free (worker, c);
  worker->slots[slot].connection = NULL;
  worker->slots[slot].generation++;
  worker->slots[slot].next_free = worker->free_slot;
  worker->free_slot = slot;
  atomic_fetch_sub_explicit (&worker->n_connections, 1, memory_order_relaxed);
}

void
relay_worker_adopt (RelayWorker *worker, RelayConnection *c)
{
  /* Of one that waits in the line of handshakes nothing is to be heard again each turn. */
  struct epoll_event event = {.events = EPOLLIN | (c->link ? EPOLLOUT : EPOLLET), .data.ptr = c};

  atomic_fetch_add_explicit (&worker->n_connections, 1, memory_order_relaxed);
  take_slot (worker, c);
  c->events = event.events;
  if (epoll_ctl (worker->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
    relay_worker_close (worker, c);
}

static void
accept_connection (RelayWorker *worker, const RelayOrder *order)
{
  relay_count (&worker->counters.accepted, 1);
  if (worker->n_handshakes >= HANDSHAKES_MAX) {
    close (order->fd); /* before any work was done for it: it will come back */
    return;
  }
  worker->n_handshakes++;
  relay_worker_adopt (worker, relay_connection_new (worker, order->fd, &order->from));
}

void
relay_worker_close (RelayWorker *worker, RelayConnection *c)
{
  if (c->closing)
    return;
  c->closing = true;
  c->next_closing = worker->closing;
  worker->closing = c;
}

void
relay_worker_soil (RelayWorker *worker, RelayConnection *c)
{
  if (c->dirty || c->closing)
    return;
  c->dirty = true;
  c->next_dirty = worker->dirty;
  worker->dirty = c;
}

static void
flush_dirty (RelayWorker *worker)
{
  while (worker->dirty) {
    RelayConnection *c = worker->dirty;
    worker->dirty = c->next_dirty;
    c->dirty = false;
    relay_connection_flush (worker, c);
  }
}

/* Takes a connection out of the line of handshakes. */
static void
stop_waiting (RelayWorker *worker, RelayConnection *c)
{
  RelayConnection **link = &worker->waiting;

  while (*link != c)
    link = &(*link)->next_waiting;
  *link = c->next_waiting;
  if (!*link)
    worker->waiting_end = link;
  c->waiting = false;
}

static void
bury (RelayWorker *worker)
{
  while (worker->closing) {
    RelayConnection *c = worker->closing;
    worker->closing = c->next_closing;
    if (c->waiting)
      stop_waiting (worker, c);
    drop_connection (worker, c);
  }
}

/* ---- between workers ---- */

void
relay_worker_send (RelayWorker *worker, const RelayParcel *parcel, const uint8_t *frames)
{
  RelayWorker *other = &worker->relay->workers[parcel->to.worker];

  if (other == worker) {
    RelayConnection *c = relay_worker_find (worker, parcel->to);
    if (c)
      relay_connection_deliver (worker, c, parcel, frames);
    else
      relay_count (&worker->counters.dropped_gone, parcel->n);
    return;
  }
  RelayParcel *record = ring_reserve (other->from[worker->number], sizeof *record + parcel->size);
  if (!record) {
    relay_count (&worker->counters.dropped_full, parcel->n);
    return;
  }
  *record = *parcel;
  memcpy (record + 1, frames, parcel->size);
  ring_commit_quietly (other->from[worker->number], sizeof *record + parcel->size);
  worker->rung[other->number] = true;
}

static void
ring_others (RelayWorker *worker)
{
  for (unsigned i = 0; i < worker->relay->n_workers; i++)
    if (worker->rung[i]) {
      worker->rung[i] = false;
      bell_ring (&worker->relay->workers[i].bell);
    }
}

/* True when there was something. */
static bool
take_parcels (RelayWorker *worker)
{
  bool any = false;
  size_t size;

  for (unsigned i = 0; i < worker->relay->n_workers; i++) {
    const RelayParcel *parcel;
    /* Not more than was there at first is taken in one turn. */
    for (size_t left = RING_BYTES;
         left > 0 && worker->from[i] && (parcel = ring_peek (worker->from[i], &size)) != NULL;
         left -= size < left ? size : left) {
      RelayConnection *c = relay_worker_find (worker, parcel->to);
      if (c)
        relay_connection_deliver (worker, c, parcel, (const uint8_t *)(parcel + 1));
      else
        relay_count (&worker->counters.dropped_gone, parcel->n);
      ring_pop (worker->from[i]);
      any = true;
    }
  }
  return any;
}

static void
obey (RelayWorker *worker, const RelayOrder *order)
{
  RelayConnection *c;

  switch (order->type) {
    case RELAY_ORDER_ACCEPT:
      accept_connection (worker, order);
      return;
    case RELAY_ORDER_TLS:
      tls_context_free (worker->tls);
      worker->tls = order->tls;
      return;
    case RELAY_ORDER_STOP:
      worker->stop = true;
      return;
    case RELAY_ORDER_CLOSE:
    case RELAY_ORDER_GONE:
    case RELAY_ORDER_PRESENT:
      break;
  }
  c = relay_worker_find (worker, order->to);
  if (!c || c->closing)
    return;
  if (order->type == RELAY_ORDER_CLOSE)
    relay_worker_close (worker, c);
  else if (order->type == RELAY_ORDER_GONE)
    relay_client_gone (&c->client, &order->key);
  else
    relay_client_present (&c->client, &order->key, &order->from, order->flags);
  relay_worker_soil (worker, c);
}

static void
take_orders (RelayWorker *worker)
{
  pthread_mutex_lock (&worker->lock);
  RelayOrder *order = worker->orders;
  worker->orders = NULL;
  worker->orders_end = &worker->orders;
  pthread_mutex_unlock (&worker->lock);
  while (order) {
    RelayOrder *next = order->next;
    obey (worker, order);
    free (order);
    order = next;
  }
}

static bool
has_orders (RelayWorker *worker)
{
  pthread_mutex_lock (&worker->lock);
  bool any = worker->orders != NULL;
  pthread_mutex_unlock (&worker->lock);
  return any;
}

/* ---- the loop ---- */

static void
wait_in_line (RelayWorker *worker, RelayConnection *c)
{
  if (c->waiting)
    return;
  c->waiting = true;
  c->next_waiting = NULL;
  *worker->waiting_end = c;
  worker->waiting_end = &c->next_waiting;
}

static void
shake_hands (RelayWorker *worker)
{
  for (int i = 0; i < HANDSHAKES && worker->waiting; i++) {
    RelayConnection *c = worker->waiting;
    stop_waiting (worker, c);
    relay_connection_read (worker, c);
  }
}

static void
connection_ready (RelayWorker *worker, RelayConnection *c, uint32_t events)
{
  if ((events & (EPOLLHUP | EPOLLERR)) != 0)
    relay_worker_close (worker, c);
  else if ((events & EPOLLIN) != 0 && relay_connection_handshaking (c))
    wait_in_line (worker, c);
  else if ((events & EPOLLIN) != 0)
    relay_connection_read (worker, c);
  if ((events & EPOLLOUT) != 0)
    relay_worker_soil (worker, c);
}

static void
expire (RelayWorker *worker)
{
  TimerNode *node;

  while ((node = timer_wheel_expire (&worker->wheel, worker->now_us)) != NULL)
    if (node->kind == RELAY_TIMER_LINK)
      relay_link_open (worker, (RelayLink *)((char *)node - offsetof (RelayLink, timer)));
    else
      relay_connection_tick (worker,
                             (RelayConnection *)((char *)node - offsetof (RelayConnection, timer)));
}

/* How long to sleep, in milliseconds. */
static int
patience (RelayWorker *worker)
{
  if (worker->waiting)
    return 0;
  int64_t next_us = timer_wheel_next (&worker->wheel), now_us = clock_now_us ();

  if (next_us <= now_us)
    return 0;
  return next_us - now_us > 60 * USEC_PER_SEC ? 60000 : (int)((next_us - now_us) / 1000 + 1);
}

/* A burst of large packets should not be paid for for ever. */
static void
trim (Buffer *buffer)
{
  if (buffer->capacity > BUFFER_KEPT)
    buffer_free (buffer);
}

static int
wait_for_events (RelayWorker *worker, struct epoll_event *events)
{
  int timeout = patience (worker);

  if (timeout > 0) {
    bell_sleep (&worker->bell);
    if (take_parcels (worker) || has_orders (worker) || worker->dirty)
      timeout = 0;
  }
  int n = epoll_wait (worker->epoll, events, EVENTS, timeout);
  bell_wake (&worker->bell);
  worker->now_us = clock_now_us ();
  return n;
}

/* Clients come back one after the other, and not before there can be a relay again. */
static void
dismiss_all (RelayWorker *worker)
{
  uint32_t n = atomic_load_explicit (&worker->n_connections, memory_order_relaxed);
  int64_t spread_ms = n < RESTART_SPREAD_MS ? n : RESTART_SPREAD_MS;

  for (uint32_t i = 0; i < worker->n_slots; i++)
    if (worker->slots[i].connection)
      relay_connection_dismiss (worker, worker->slots[i].connection,
                                (uint32_t)random_between (random_system (), RESTART_MS,
                                                          RESTART_MS + spread_ms));
}

static void *
run (void *data)
{
  RelayWorker *worker = data;
  struct epoll_event events[EVENTS];

  while (!worker->stop) {
    int n = wait_for_events (worker, events);
    for (int i = 0; i < n; i++)
      if (events[i].data.ptr != &worker->bell)
        connection_ready (worker, events[i].data.ptr, events[i].events);
    take_parcels (worker);
    take_orders (worker);
    shake_hands (worker);
    expire (worker);
    flush_dirty (worker);
    ring_others (worker);
    bury (worker);
    trim (&worker->plain);
    trim (&worker->packed);
    trim (&worker->cipher);
  }
  dismiss_all (worker);
  return NULL;
}

bool
relay_worker_open (RelayWorker *worker)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = &worker->bell};

  worker->now_us = clock_now_us ();
  timer_wheel_init (&worker->wheel, worker->now_us);
  worker->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (worker->epoll < 0 || !bell_init (&worker->bell)
      || epoll_ctl (worker->epoll, EPOLL_CTL_ADD, worker->bell.fd, &event) != 0)
    return false;
  for (unsigned i = 0; i < worker->relay->n_workers; i++)
    if (i != worker->number)
      worker->from[i] = ring_new (RING_BYTES, &worker->bell);
  return true;
}

bool
relay_worker_start (RelayWorker *worker)
{
  worker->started = pthread_create (&worker->thread, NULL, run, worker) == 0;
  return worker->started;
}

void
relay_worker_end (RelayWorker *worker)
{
  take_orders (worker);
  for (uint32_t i = 0; i < worker->n_slots; i++)
    if (worker->slots[i].connection)
      relay_worker_close (worker, worker->slots[i].connection);
  bury (worker);
}

void
relay_worker_clear (RelayWorker *worker)
{
  take_orders (worker);
  for (unsigned i = 0; i < RELAY_WORKERS_MAX; i++)
    if (worker->from[i])
      ring_free (worker->from[i]);
  for (size_t i = 0; i < worker->n_links; i++)
    relay_link_clear (&worker->links[i]);
  free (worker->links);
  tls_context_free (worker->link_tls);
  tls_context_free (worker->tls);
  bell_clear (&worker->bell);
  if (worker->epoll >= 0)
    close (worker->epoll);
  buffer_free (&worker->plain);
  buffer_free (&worker->packed);
  buffer_free (&worker->cipher);
  free (worker->slots);
  free (worker->input);
  pthread_mutex_destroy (&worker->lock);
}
