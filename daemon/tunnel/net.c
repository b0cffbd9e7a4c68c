/* The loop of the net thread: commands from main, reports from workers, relays, deadlines. */
#include "tunnel/net.h"

#include "base/memory.h"
#include "path/classify.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RING_COMMANDS (64 * 1024)
#define RING_EVENTS   (64 * 1024)
#define REPORTS_MAX   256 /* packets of one worker in one round */
#define STACK_SIZE    (512 * 1024)
#define RETRY_US      (10 * USEC_PER_MSEC) /* while something waits for other threads */
#define TIMER_SLACK   (1 * USEC_PER_MSEC)
#define PING_SLACK    (500 * USEC_PER_MSEC)

void
net_event (Net *net, const TunnelEvent *event)
{
  mailbox_post (&net->events, event, sizeof *event);
}

void
net_order (Net *net, unsigned worker, const Order *order)
{
  mailbox_post (&net->workers[worker]->orders, order, sizeof *order);
}

bool
net_order_packet (Net *net, unsigned worker, const Order *order, const void *data, size_t size)
{
  Ring *ring = net->workers[worker]->packets_from_net;
  Order *room = ring_reserve (ring, sizeof *order + size);

  if (room == NULL)
    return false;
  *room = *order;
  memcpy (room + 1, data, size);
  ring_commit_quietly (ring, sizeof *order + size);
  net->rung |= 1u << worker;
  return true;
}

void
net_ring_workers (Net *net)
{
  for (unsigned i = 0; net->rung != 0; i++, net->rung >>= 1)
    if ((net->rung & 1) != 0)
      bell_ring (&net->workers[i]->bell);
}

/* ---- reports of workers ---- */

static void
handle_datagram (Net *net, const Report *report, const uint8_t *data)
{
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};
  WgEvent message = {.type = WG_EVENT_DATAGRAM};

  if (packet_classify (data, report->size) == PACKET_WIREGUARD) {
    message.datagram.bytes = data;
    message.datagram.size = report->size;
    message.datagram.source.kind = WG_SOURCE_UDP;
    message.datagram.source.addr = report->address;
    net_feed_device (net, &message);
  } else {
    event.datagram.data = data;
    event.datagram.size = report->size;
    event.datagram.source = report->address;
    net_feed_path (net, &event);
  }
}

static void
feed_sent (Net *net, const LivePeer *peer)
{
  PathEvent event = {.type = PATH_EVENT_SENT};

  event.sent.peer = peer->key;
  net_feed_path (net, &event);
}

static void
handle_relay (Net *net, const Report *report, const uint8_t *data)
{
  if (report->region != 0
      && net_relay_send (net, report->region, &report->peer->key, data, report->size))
    return;
  /* Path may open the relay, or know a way that was not published yet. */
  feed_sent (net, report->peer);
  net_run_actions (net);
  if (report->region != 0)
    net_relay_send (net, report->region, &report->peer->key, data, report->size);
  else
    net_send_peer (net, &report->peer->key, data, report->size);
}

static void
handle_packet_report (Net *net, const Report *report, const uint8_t *data)
{
  PathEvent event = {.type = PATH_EVENT_SEND_ERROR};

  switch (report->type) {
    case REPORT_DATAGRAM:
      handle_datagram (net, report, data);
      break;
    case REPORT_STRANGER:
      net_heal_address (net, &report->address);
      break;
    case REPORT_RELAY:
      handle_relay (net, report, data);
      break;
    case REPORT_INNER:
      net_inner (net, report->peer, data, report->size);
      break;
    case REPORT_SEND_ERROR:
      event.send_error.destination = report->address;
      event.send_error.error = report->error;
      net_feed_path (net, &event);
      break;
    default:
      break;
  }
}

static void
free_session (void *session)
{
  wg_session_free (session);
}

static void
free_active (void *active)
{
  free (active);
}

static void
retire_session (Net *net, const Report *report)
{
  WgEvent event = {.type = WG_EVENT_SESSION_ERASED, .local_index = report->session->local_index};

  net_feed_device (net, &event);
  epoch_retire (net->shared->epochs, report->session, free_session);
}

static void
want_handshake (Net *net, const Report *report)
{
  WgEvent event = {.type = WG_EVENT_WANT_HANDSHAKE};

  event.want.peer = report->peer->key;
  event.want.asked_us = report->time_us;
  net_feed_device (net, &event);
}

static void
tell_offload_off (Net *net, const Report *report)
{
  TunnelEvent event = {.type = TUNNEL_EVENT_OFFLOAD};

  snprintf (event.text, sizeof event.text,
            "this kernel refuses merged packets (%s): merging into the tunnel device is off",
            strerror (report->error));
  net_event (net, &event);
}

static void
handle_report (Net *net, unsigned worker, const Report *report)
{
  PathEvent path = {0};
  WgEvent wg = {.type = WG_EVENT_SESSION_CONFIRMED};
  TunnelEvent event = {.type = TUNNEL_EVENT_TUN_LOST};

  switch (report->type) {
    case REPORT_WANT_HANDSHAKE:
      want_handshake (net, report);
      break;
    case REPORT_CONFIRMED:
      wg.local_index = report->index;
      net_feed_device (net, &wg);
      break;
    case REPORT_RETIRED:
      retire_session (net, report);
      break;
    case REPORT_IDLE:
      epoch_retire (net->shared->epochs, report->active, free_active);
      break;
    case REPORT_FORGOTTEN:
      net_peer_forgotten (net, report->peer);
      break;
    case REPORT_SENT:
      feed_sent (net, report->peer);
      break;
    case REPORT_RECEIVED:
      path.type = PATH_EVENT_RECEIVED;
      path.received.peer = report->peer->key;
      path.received.source = report->address;
      net_feed_path (net, &path);
      break;
    case REPORT_SUSPECT:
      path.type = PATH_EVENT_NO_ANSWER;
      path.no_answer.peer = report->peer->key;
      net_feed_path (net, &path);
      break;
    case REPORT_SOCKETS:
      net_sockets_answer (net, report->sockets);
      break;
    case REPORT_FENCE:
      net_fence_answer (net, worker, report->number);
      break;
    case REPORT_OFFLOAD_OFF:
      tell_offload_off (net, report);
      break;
    case REPORT_TUN_LOST:
      net_event (net, &event);
      break;
    default:
      break;
  }
}

static void
take_reports (Net *net)
{
  size_t size;
  Report *report;

  for (unsigned i = 0; i < net->shared->n_workers; i++) {
    Worker *w = net->workers[i];

    /* Packets first: a peer that is reported as forgotten is in none of them any more. */
    for (int k = 0; k < REPORTS_MAX; k++) {
      report = ring_peek (w->packets_to_net, &size);
      if (report == NULL)
        break;
      handle_packet_report (net, report, (const uint8_t *)(report + 1));
      net_run_actions (net);
      ring_pop (w->packets_to_net);
    }
    while ((report = ring_peek (w->reports.ring, &size)) != NULL) {
      handle_report (net, i, report);
      net_run_actions (net);
      ring_pop (w->reports.ring);
    }
  }
}

/* ---- commands of main ---- */

static void
set_link (Net *net, const Command *command)
{
  free (net->link_addresses);
  net->link_addresses = command->link.addresses;
  net->link = command->link.link;
  net->link.addresses = net->link_addresses;
  net_tell_link (net, command->link.link.major);
}

static void
resumed (Net *net, const Command *command)
{
  PathEvent event = {.type = PATH_EVENT_SUSPENDED, .slept_us = command->slept_us};
  WgEvent wall = {.type = WG_EVENT_WALL_TIME, .wall_time = wall_time_now ()};
  Order order = {.type = ORDER_RESUMED};

  net_feed_device (net, &wall);
  net_feed_path (net, &event);
  for (unsigned i = 0; i < net->shared->n_workers; i++)
    net_order (net, i, &order);
}

static void
resolved (Net *net, const Command *command)
{
  PathEvent event = {.type = PATH_EVENT_RESOLVED};

  if (net_stream_resolved (net, command->id, command->resolved.addresses, command->resolved.n))
    return;
  event.resolved.query = (uint32_t)command->id;
  event.resolved.addresses = command->resolved.addresses;
  event.resolved.n_addresses = command->resolved.n;
  net_feed_path (net, &event);
}

static void
handle_command (Net *net, const Command *command)
{
  PathEvent event = {.type = PATH_EVENT_NETCHECK, .netcheck = (uint32_t)command->id};

  switch (command->type) {
    case COMMAND_CONFIG:
      net_apply (net, command->config, command->id);
      break;
    case COMMAND_NODE_KEY:
      net_set_node_key (net, &command->node_key);
      break;
    case COMMAND_LINK:
      set_link (net, command);
      break;
    case COMMAND_REBIND:
      net_open_sockets (net, net->wanted_port);
      break;
    case COMMAND_RESUMED:
      resumed (net, command);
      break;
    case COMMAND_ONLINE:
      if (net->online != command->online) {
        net->online = command->online;
        net_tell_link (net, false);
      }
      break;
    case COMMAND_PING:
      net_ping (net, command);
      break;
    case COMMAND_NETCHECK:
      net_feed_path (net, &event);
      break;
    case COMMAND_RESOLVED:
      resolved (net, command);
      break;
    case COMMAND_PROXIES:
      net_set_proxies (net, command->proxies.https_proxy, command->proxies.no_proxy);
      break;
    case COMMAND_STOP:
      net->stop = true;
      break;
  }
}

static void
take_commands (Net *net)
{
  size_t size;
  Command *command;

  while (!net->stop && (command = ring_peek (net->commands.ring, &size)) != NULL) {
    handle_command (net, command);
    net_run_actions (net);
    sodium_memzero (command, sizeof *command);
    ring_pop (net->commands.ring);
  }
}

/* ---- the loop ---- */

static int64_t
next_deadline (Net *net)
{
  int64_t deadline = path_next_deadline (net->path);

  if (net->device != NULL)
    deadline = time_min (deadline, wg_device_next_deadline (net->device));
  deadline = time_min (deadline, net_relay_deadline (net));
  return time_min (deadline, net_ping_deadline (net));
}

static bool
somebody_waits (Net *net)
{
  bool waiting = epoch_reclaim (net->shared->epochs) || mailbox_waiting (&net->events);

  for (unsigned i = 0; i < net->shared->n_workers; i++)
    waiting = waiting || mailbox_waiting (&net->workers[i]->orders);
  return waiting;
}

static void
arm_timer (Net *net)
{
  int64_t deadline = next_deadline (net);
  struct itimerspec spec = {0};

  if (somebody_waits (net))
    deadline = time_min (deadline, net->now_us + RETRY_US);
  if (deadline == net->timer_us)
    return;
  net->timer_us = deadline;
  if (deadline != TIME_NEVER) {
    spec.it_value.tv_sec = deadline / USEC_PER_SEC;
    spec.it_value.tv_nsec = deadline % USEC_PER_SEC * 1000 + 1;
  }
  timerfd_settime (net->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void
tick (Net *net)
{
  PathEvent path = {.type = PATH_EVENT_TICK};
  WgEvent wg = {.type = WG_EVENT_TICK};

  if (path_next_deadline (net->path) <= net->now_us)
    net_feed_path (net, &path);
  if (net->device != NULL && wg_device_next_deadline (net->device) <= net->now_us)
    net_feed_device (net, &wg);
  net_relay_tick (net);
  if (net_ping_deadline (net) <= net->now_us)
    net_ping_tick (net);
  net_run_actions (net);
}

static void
run_round (Net *net, const struct epoll_event *events, int n)
{
  uint64_t count;

  net->now_us = clock_now_us ();
  for (int i = 0; i < n; i++) {
    if (events[i].data.ptr == net) {
      if (read (net->timer, &count, sizeof count) == (ssize_t)sizeof count)
        net->timer_us = TIME_NEVER;
    } else if (events[i].data.ptr == &net->sides) {
      net_side_read (net);
      net_run_actions (net);
    } else if (events[i].data.ptr != NULL) {
      net_stream_event (net, events[i].data.ptr);
      net_run_actions (net);
    }
  }
  net_ring_workers (net);
  take_reports (net);
  take_commands (net);
  tick (net);
  net_relay_push (net);
  net_relay_bury (net);
  mailbox_flush (&net->events);
  for (unsigned i = 0; i < net->shared->n_workers; i++)
    mailbox_flush (&net->workers[i]->orders);
  net_ring_workers (net);
  arm_timer (net);
}

static bool
has_messages (Net *net)
{
  size_t size;

  if (ring_peek (net->commands.ring, &size) != NULL)
    return true;
  for (unsigned i = 0; i < net->shared->n_workers; i++)
    if (ring_peek (net->workers[i]->reports.ring, &size) != NULL
        || ring_peek (net->workers[i]->packets_to_net, &size) != NULL)
      return true;
  return false;
}

/* Nobody waits for net: true when there is more to do in such moments. */
static bool
use_leisure (Net *net)
{
  WgEvent idle = {.type = WG_EVENT_IDLE};

  if (net->device == NULL || !wg_device_wants_idle (net->device))
    return false;
  net_feed_device (net, &idle);
  return wg_device_wants_idle (net->device);
}

static void *
net_main (void *data)
{
  Net *net = data;
  struct epoll_event events[16];
  int n = 0;

  net_open_sockets (net, net->wanted_port);
  while (!net->stop) {
    run_round (net, events, n);
    if (net->stop)
      break;
    bell_sleep (&net->shared->net_bell);
    n = epoll_wait (net->epoll, events, 16, has_messages (net) || use_leisure (net) ? 0 : -1);
    bell_wake (&net->shared->net_bell);
    n = n < 0 ? 0 : n;
  }
  net_relay_close_all (net);
  return NULL;
}

/* ---- making and ending ---- */

static bool
watch (Net *net, int fd, void *what)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

  return epoll_ctl (net->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool
net_init (Net *net, Shared *shared, const TunnelOptions *options, Random *random)
{
  char agent[64];

  net->shared = shared;
  net->random = random;
  net->mark = options->mark;
  net->wanted_port = options->port;
  memcpy (net->timestamp, options->last_timestamp, sizeof net->timestamp);
  net->timer_us = TIME_NEVER;
  net->now_us = net->started_us = clock_now_us ();
  net->epoll = epoll_create1 (EPOLL_CLOEXEC);
  net->timer = timerfd_create (CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  if (net->epoll < 0 || net->timer < 0 || !bell_init (&net->main_bell)
      || !watch (net, net->timer, net) || !watch (net, shared->net_bell.fd, NULL))
    return false;
  bell_sleep (&net->main_bell); /* the main thread waits on it before it takes its first event */
  mailbox_init (&net->commands, RING_COMMANDS, &shared->net_bell);
  mailbox_init (&net->events, RING_EVENTS, &net->main_bell);
  net->node_key = secret_new (sizeof *net->node_key);
  memset (net->node_key, 0, sizeof *net->node_key);
  net->disco_key = secret_new (sizeof *net->disco_key);
  *net->disco_key = options->disco_key;
  net->path = path_new (random);
  net->view = atomic_load (&shared->view);
  random_fill (random, &net->echo_id, sizeof net->echo_id);
  net->echo_id |= 1;
  snprintf (agent, sizeof agent, "%s",
            options->client_name != NULL ? options->client_name : "warren");
  net->stream_context = (StreamContext){
      .epoll = net->epoll,
      .tls = tls_client_context_new (options->ca_file, NULL),
      .random = random,
      .mark = options->mark,
      .user_agent = mem_strndup (agent, strlen (agent)),
  };
  return net->stream_context.tls != NULL;
}

bool
net_start (Net *net)
{
  pthread_attr_t attributes;
  bool started;

  pthread_attr_init (&attributes);
  pthread_attr_setstacksize (&attributes, STACK_SIZE);
  started = pthread_create (&net->thread, &attributes, net_main, net) == 0;
  pthread_attr_destroy (&attributes);
  return started;
}

static void
free_live_peers (Net *net)
{
  SharedMapIter iter;
  SharedMapEntry entry;

  if (net->view == NULL)
    return;
  iter = shared_map_begin (net->view->by_key);
  while (shared_map_next (&iter, &entry))
    live_peer_free ((void *)(uintptr_t)entry.value);
}

void
net_clear (Net *net)
{
  take_reports (net);
  net_relay_close_all (net);
  net_set_proxies (net, NULL, NULL);
  while (epoch_reclaim (net->shared->epochs))
    ;
  free_live_peers (net);
  wg_device_free (net->device);
  net_side_clear (net);
  path_free (net->path);
  tunnel_config_unref (net->config);
  sockets_free (net->sockets);
  sockets_free (net->old_sockets);
  tls_context_free (net->stream_context.tls);
  free ((void *)(uintptr_t)net->stream_context.user_agent);
  free (net->link_addresses);
  secret_free (net->node_key);
  secret_free (net->disco_key);
  mailbox_clear (&net->commands);
  mailbox_clear (&net->events);
  bell_clear (&net->main_bell);
  close (net->epoll);
  close (net->timer);
}
