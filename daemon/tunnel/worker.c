/* The loop of a worker: orders, packets in both directions, timers, sleep. */
#include "tunnel/worker.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RING_ORDERS   (64 * 1024)
#define RING_REPORTS  (64 * 1024)
#define RING_PACKETS  (1024 * 1024) /* each way: several bursts of a fast relay */
#define PACKETS_MAX   256           /* from net in one round */
#define HANDOVERS_MAX 8192          /* more than a ring holds: a round empties it */
#define RUN_HEADROOM  16
#define STACK_SIZE    (256 * 1024)

/* What an epoll event is about. */
typedef enum
{
  WATCH_BELL,
  WATCH_TIMER,
  WATCH_TUN,
  WATCH_UDP4,
  WATCH_UDP6,
} Watch;

void
worker_report (Worker *w, const Report *report)
{
  mailbox_post (&w->reports, report, sizeof *report);
}

bool
worker_report_packet (Worker *w, const Report *report, const void *data, size_t size)
{
  Report *room = ring_reserve (w->packets_to_net, sizeof *report + size);

  if (room == NULL)
    return false;
  *room = *report;
  if (size > 0)
    memcpy (room + 1, data, size);
  ring_commit_quietly (w->packets_to_net, sizeof *report + size);
  return true;
}

bool
worker_hand_over (Worker *w, unsigned to, const Handover *handover, const void *data, size_t size)
{
  Ring *ring = w->workers[to]->from_worker[w->number];
  Handover *room = ring_reserve (ring, sizeof *handover + size);

  if (room == NULL)
    return false;
  *room = *handover;
  if (size > 0)
    memcpy (room + 1, data, size);
  ring_commit (ring, sizeof *handover + size);
  return true;
}

/* ---- what is waited for ---- */

static void
watch (Worker *w, int fd, uint32_t events, Watch what)
{
  struct epoll_event event = {.events = events, .data.u32 = what};

  if (fd < 0)
    return;
  if (epoll_ctl (w->epoll, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT)
    epoll_ctl (w->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
watch_socket (Worker *w, uint8_t family)
{
  bool wanted = w->blocked && w->blocked_family == family;

  watch (w, sockets_for (w->sockets, w->number, family)->fd, EPOLLIN | (wanted ? EPOLLOUT : 0),
         family == 4 ? WATCH_UDP4 : WATCH_UDP6);
}

void
worker_watch (Worker *w)
{
  if (w->tun_lost)
    epoll_ctl (w->epoll, EPOLL_CTL_DEL, w->tun, NULL);
  else
    watch (w, w->tun, w->blocked ? 0 : EPOLLIN, WATCH_TUN);
  if (w->sockets == NULL)
    return;
  watch_socket (w, 4);
  watch_socket (w, 6);
}

static void
arm_timer (Worker *w)
{
  int64_t deadline = timer_wheel_next (&w->wheel);
  struct itimerspec spec = {0};

  if (mailbox_waiting (&w->reports))
    deadline = time_min (deadline, w->now_us + USEC_PER_MSEC);
  if (deadline == w->timer_us)
    return;
  w->timer_us = deadline;
  if (deadline != TIME_NEVER) {
    spec.it_value.tv_sec = deadline / USEC_PER_SEC;
    spec.it_value.tv_nsec = deadline % USEC_PER_SEC * 1000 + 1;
  }
  timerfd_settime (w->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* ---- messages ---- */

/* The next message that came by a relay; what net injects goes out on the way. NULL: no more. */
static uint8_t *
next_relayed (Worker *w, uint64_t *at, size_t *size)
{
  Order *order;

  while ((order = ring_next (w->packets_from_net, at, size)) != NULL) {
    uint8_t *data = (uint8_t *)(order + 1);

    *size = order->size;
    if (order->type == ORDER_DATAGRAM)
      return data;
    if (order->type == ORDER_INJECT && !order->peer->forgotten)
      outbound_inject (w, order->peer, data, order->size);
  }
  return NULL;
}

bool
worker_take_orders (Worker *w)
{
  bool any = false;
  size_t size;
  Order *order;

  while (!w->stop && (order = ring_peek (w->orders.ring, &size)) != NULL) {
    owned_handle_order (w, order);
    /* It may have held session keys. */
    explicit_bzero (order, sizeof *order);
    ring_pop (w->orders.ring);
    any = true;
  }
  return any;
}

/* Messages that came by a relay are treated like a batch from a socket: together. */
static void
take_packets (Worker *w)
{
  uint64_t start = ring_head (w->packets_from_net), at = start;
  InboundGroup group = {0};
  uint8_t *data;
  size_t size;

  for (int i = 0; i < PACKETS_MAX && (data = next_relayed (w, &at, &size)) != NULL; i++)
    inbound_relayed (w, &group, data, size);
  if (at == start)
    return;
  inbound_end_relayed (w, &group);
  ring_pop_until (w->packets_from_net, at);
}

void
worker_note_offloads (Worker *w)
{
  const MergeOptions *merging = merge_options (w->merge);
  unsigned offloads = (merging->tcp ? OFFLOAD_TUN_TCP : 0) | (merging->udp ? OFFLOAD_TUN_UDP : 0);

  if (w->sockets != NULL) {
    const UdpSocket *v4 = sockets_for (w->sockets, w->number, 4);
    const UdpSocket *v6 = sockets_for (w->sockets, w->number, 6);

    offloads |= (v4->gso ? OFFLOAD_GSO4 : 0) | (v6->gso ? OFFLOAD_GSO6 : 0)
                | (v4->gro ? OFFLOAD_GRO : 0);
  }
  atomic_store_explicit (&w->offloads, offloads, memory_order_relaxed);
}

static void
handle_handover (Worker *w, Handover *h)
{
  uint8_t *data = (uint8_t *)(h + 1);
  ActivePeer *active;

  switch (h->type) {
    case HANDOVER_INNER:
      if (!h->peer->forgotten)
        outbound_passed (w, owned_active (w, h->peer), data, h->size);
      break;
    case HANDOVER_RAW:
      outbound_handle (w, data, h->size);
      break;
    case HANDOVER_DATAGRAM:
      inbound_message (w, data, h->size, &h->address);
      break;
    case HANDOVER_SENT:
      active = atomic_load (&h->peer->active);
      if (active != NULL) {
        owned_note_sent (w, active);
        owned_todo (w, active, wg_peer_sent_elsewhere (&active->wg, w->now_us));
      }
      break;
  }
}

static void
take_handovers (Worker *w)
{
  size_t size;

  for (unsigned i = 0; i < w->shared->n_workers; i++) {
    Ring *ring = w->from_worker[i];

    if (ring == NULL)
      continue;
    for (int k = 0; k < HANDOVERS_MAX; k++) {
      Handover *h = ring_peek (ring, &size);

      if (h == NULL)
        break;
      handle_handover (w, h);
      ring_pop (ring);
    }
  }
}

/* There is something to do that no file descriptor tells of. */
static bool
has_work (Worker *w)
{
  size_t size;

  if (!w->blocked && !flow_queue_empty (w->waiting))
    return true;
  if (ring_peek (w->orders.ring, &size) != NULL || ring_peek (w->packets_from_net, &size) != NULL)
    return true;
  for (unsigned i = 0; i < w->shared->n_workers; i++)
    if (w->from_worker[i] != NULL && ring_peek (w->from_worker[i], &size) != NULL)
      return true;
  return false;
}

/* ---- the loop ---- */

static void
apply_view (Worker *w)
{
  const View *view = atomic_load (&w->shared->view);
  MergeOptions options = *merge_options (w->merge);

  if (view == w->view)
    return;
  w->view = view;
  w->last_known = false;
  if ((view->settings.knobs.disable_tun_tcp_gro && options.tcp)
      || (view->settings.knobs.disable_tun_udp_gro && options.udp)) {
    options.tcp = options.tcp && !view->settings.knobs.disable_tun_tcp_gro;
    options.udp = options.udp && !view->settings.knobs.disable_tun_udp_gro;
    merge_set_options (w->merge, &options);
    worker_note_offloads (w);
  }
}

static void
handle_event (Worker *w, const struct epoll_event *event)
{
  uint64_t count;
  uint8_t family = event->data.u32 == WATCH_UDP4 ? 4 : 6;

  switch ((Watch)event->data.u32) {
    case WATCH_BELL:
      break;
    case WATCH_TIMER:
      if (read (w->timer, &count, sizeof count) == (ssize_t)sizeof count)
        w->timer_us = TIME_NEVER;
      break;
    case WATCH_TUN:
      if (!w->blocked)
        outbound_read_tun (w);
      break;
    case WATCH_UDP4:
    case WATCH_UDP6:
      if (w->sockets == NULL)
        break;
      if ((event->events & EPOLLOUT) != 0)
        outbound_unblock (w);
      if ((event->events & (EPOLLIN | EPOLLERR)) != 0)
        inbound_receive (w, sockets_for (w->sockets, w->number, family));
      break;
  }
}

static void
run_round (Worker *w, const struct epoll_event *events, int n)
{
  epoch_quiescent (w->shared->epochs, w->reader);
  apply_view (w);
  w->now_us = clock_now_us ();
  worker_take_orders (w);
  take_packets (w);
  take_handovers (w);
  for (int i = 0; i < n && !w->stop; i++)
    handle_event (w, &events[i]);
  outbound_send_waiting (w);
  if (timer_wheel_next (&w->wheel) <= w->now_us)
    owned_run_timers (w);
  outbound_flush (w);
  mailbox_flush (&w->reports);
  arm_timer (w);
}

static void *
worker_main (void *data)
{
  Worker *w = data;
  struct epoll_event events[8];
  int n = 0;

  worker_watch (w);
  while (!w->stop) {
    run_round (w, events, n);
    if (w->stop)
      break;
    bell_sleep (&w->bell);
    if (has_work (w)) {
      n = epoll_wait (w->epoll, events, 8, 0);
    } else {
      epoch_offline (w->shared->epochs, w->reader);
      n = epoll_wait (w->epoll, events, 8, -1);
    }
    bell_wake (&w->bell);
    n = n < 0 ? 0 : n;
  }
  epoch_offline (w->shared->epochs, w->reader);
  return NULL;
}

/* ---- making and ending ---- */

static uint8_t *
map_buffer (size_t size)
{
  void *memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (memory == MAP_FAILED)
    abort ();
  return memory;
}

Worker *
worker_new (Shared *shared, unsigned number, int tun, Random *random)
{
  Worker *w = aligned_alloc (64, (sizeof *w + 63) / 64 * 64);
  MergeOptions options = {shared->vnet, shared->tcp_merged, shared->udp_merged};

  if (w == NULL)
    abort ();
  memset (w, 0, sizeof *w);
  w->shared = shared;
  w->number = number;
  w->tun = tun;
  w->reader = epoch_reader_add (shared->epochs);
  w->epoll = epoll_create1 (EPOLL_CLOEXEC);
  w->timer = timerfd_create (CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  w->timer_us = TIME_NEVER;
  if (!bell_init (&w->bell) || w->epoll < 0 || w->timer < 0)
    abort ();
  mailbox_init (&w->orders, RING_ORDERS, &w->bell);
  mailbox_init (&w->reports, RING_REPORTS, &shared->net_bell);
  w->packets_from_net = ring_new (RING_PACKETS, &w->bell);
  w->packets_to_net = ring_new (RING_PACKETS, &shared->net_bell);
  for (unsigned i = 0; i < shared->n_workers; i++)
    w->from_worker[i] = i == number ? NULL : ring_new (WORKER_HANDOVER, &w->bell);
  timer_wheel_init (&w->wheel, clock_now_us ());
  w->sessions = wg_index_table_new (number);
  w->context = (WgPeerContext){&w->wheel, w->sessions, random};
  w->flows = flow_table_new (0);
  w->jailed_flows = flow_table_new (0);
  w->sealer = sealer_new ();
  w->opener = opener_new ();
  w->run_buffer = map_buffer (UDP_RUN_SIZE_MAX + 1 + RUN_HEADROOM) + RUN_HEADROOM;
  w->waiting = flow_queue_new (random_u32 (random));
  w->pending.run.data = w->run_buffer;
  w->batch = udp_batch_new ();
  w->merge = merge_new (&options);
  watch (w, w->bell.fd, EPOLLIN, WATCH_BELL);
  watch (w, w->timer, EPOLLIN, WATCH_TIMER);
  return w;
}

bool
worker_start (Worker *w, Worker *const *workers)
{
  pthread_attr_t attributes;
  bool started;

  w->workers = workers;
  w->view = atomic_load (&w->shared->view);
  pthread_attr_init (&attributes);
  pthread_attr_setstacksize (&attributes, STACK_SIZE);
  started = pthread_create (&w->thread, &attributes, worker_main, w) == 0;
  pthread_attr_destroy (&attributes);
  return started;
}

void
worker_free (Worker *w)
{
  if (w == NULL)
    return;
  close (w->epoll);
  close (w->timer);
  close (w->tun);
  mailbox_clear (&w->orders);
  mailbox_clear (&w->reports);
  ring_free (w->packets_from_net);
  ring_free (w->packets_to_net);
  for (unsigned i = 0; i < TUNNEL_WORKERS_MAX; i++)
    ring_free (w->from_worker[i]);
  wg_index_table_free (w->sessions);
  flow_table_free (w->flows);
  flow_table_free (w->jailed_flows);
  sealer_free (w->sealer);
  opener_free (w->opener);
  munmap (w->run_buffer - RUN_HEADROOM, UDP_RUN_SIZE_MAX + 1 + RUN_HEADROOM);
  flow_queue_free (w->waiting);
  udp_batch_free (w->batch);
  merge_free (w->merge);
  bell_clear (&w->bell);
  free (w);
}
