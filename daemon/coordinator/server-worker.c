/* A worker: owns connections, turns what comes by them into events and writes what it is ordered.
 */
#include "coordinator/server-private.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS    64
#define ORDERS    16   /* that may wait before the store thread does */
#define WAKE_MS   1000 /* for those that are late */
#define BREATH_MS 1    /* while the state is behind */

void
worker_watch (Worker *worker, Watch *watch, int operation, uint32_t events)
{
  struct epoll_event event = {.events = events, .data.ptr = watch};

  epoll_ctl (worker->epoll, operation, watch->fd, &event);
}

unsigned
worker_of (const Server *server, uint64_t request)
{
  return (unsigned)(request >> 32) % SERVER_WORKERS_MAX;
}

WorkerOrder *
worker_order_new (WorkerOrderType type)
{
  WorkerOrder *order = mem_new (sizeof *order);

  order->type = type;
  return order;
}

/* ---- connections ---- */

/* Who holds a connection the longest without a request gives it up. False: all are in use. */
static bool
give_room (Worker *worker)
{
  Client *oldest = NULL;

  for (Client *client = worker->clients; client; client = client->next)
    if (client->connection && !client->closing && !server_connection_is_busy (client->connection))
      oldest = client;
  if (!oldest)
    return false;
  oldest->until_us = 0;
  worker->sweep = true;
  return true;
}

/* No descriptor is left: one of ours is given up for the new one, or one of another worker; where
 * all are in use, the new one is turned away. */
static void
make_room (Worker *worker, Watch *watch)
{
  Server *server = worker->server;

  worker->keeps_next = give_room (worker);
  if (worker->keeps_next)
    return;
  if (++worker->asked < server->n_workers) {
    mailbox_push (&server->workers[worker->asked].orders, &worker_order_new (WORKER_ROOM)->item);
    usleep (BREATH_MS * 1000);
    return;
  }
  worker->asked = 0;
  close (worker->spare);
  int fd = accept4 (watch->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0)
    close (fd);
  worker->spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Commands stay here; connections are dealt out, each worker in its turn. */
static void
deal (Worker *worker, int fd, const IpAddr *from, bool is_command)
{
  Server *server = worker->server;
  bool here = is_command || worker->keeps_next;
  Worker *to = here ? worker : &server->workers[worker->next_worker++ % server->n_workers];

  worker->keeps_next = false;
  worker->asked = 0;
  if (to == worker) {
    client_add (worker, fd, from, is_command);
    return;
  }
  WorkerOrder *order = worker_order_new (WORKER_ADD);
  order->fd = fd;
  order->from = *from;
  order->is_command = is_command;
  mailbox_push (&to->orders, &order->item);
}

static void
accept_ready (Worker *worker, Watch *watch, uint32_t events)
{
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  int fd, one = 1;

  while (
      (fd = accept4 (watch->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC))
      >= 0) {
    bool is_command = watch == &worker->commands;
    IpPort from = {0};
    if (!is_command && !ip_port_from_sockaddr ((struct sockaddr *)&address, size, &from))
      from = (IpPort){0};
    size = sizeof address;
    if (!is_command)
      setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    deal (worker, fd, &from.addr, is_command);
  }
  if (errno == EMFILE || errno == ENFILE)
    make_room (worker, watch);
}

/* ---- orders ---- */

static void
deliver_reply (Worker *worker, const StateAction *action)
{
  Client *client = client_find (worker, (uint32_t)(action->request >> 32));
  int32_t stream = (int32_t)(uint32_t)action->request;

  if (!client)
    return;
  client_mark (worker, client);
  if (client->is_command) {
    int status = action->reply.status;
    uint8_t code = status == SERVER_NOT_KEPT ? 1 : (uint8_t)status;
    buffer_append (&client->out, &code, 1);
    buffer_append (&client->out, action->reply.body, action->reply.size);
    client->closing = true;
  } else {
    server_connection_reply (client->connection, stream, action->reply.status,
                             action->reply.type ? action->reply.type : "application/json",
                             action->reply.headers, action->reply.body, action->reply.size);
    /* What came behind an HTTP/1.1 request waited for this answer. */
    if (stream == 0 && !server_connection_feed (client->connection, "", 0))
      client->closing = true;
    if (stream == 0)
      server_handle_requests (worker, client);
  }
}

static void
deliver_message (Worker *worker, const StateAction *action)
{
  Client *client = client_find (worker, (uint32_t)(action->request >> 32));
  int32_t stream = (int32_t)(uint32_t)action->request;

  if (!client || !client->connection)
    return;
  client_mark (worker, client);
  if (action->type == STATE_ACTION_OPEN) {
    server_connection_open (client->connection, stream);
    return;
  }
  server_metrics_message (worker->server->metrics, action->message.rope->size);
  /* A stream whose queue is full has gone then. */
  if (!server_connection_send (client->connection, stream, action->message.rope))
    server_handle_requests (worker, client);
}

static void
deliver (Worker *worker, StateAction *action)
{
  Client *client;

  switch (action->type) {
    case STATE_ACTION_REPLY:
      deliver_reply (worker, action);
      break;
    case STATE_ACTION_OPEN:
    case STATE_ACTION_MESSAGE:
      deliver_message (worker, action);
      break;
    case STATE_ACTION_END:
      client = client_find (worker, (uint32_t)(action->request >> 32));
      if (!client || !client->connection)
        break;
      server_connection_end (client->connection, (int32_t)(uint32_t)action->request);
      client_mark (worker, client);
      break;
    case STATE_ACTION_ADMIT:
    case STATE_ACTION_WORK:
    case STATE_ACTION_RECORD:
      break;
  }
}

static void
obey (Worker *worker, WorkerOrder *order)
{
  switch (order->type) {
    case WORKER_DELIVER:
      for (size_t i = 0; i < order->n; i++) {
        deliver (worker, &order->actions[i]);
        state_action_clear (&order->actions[i]);
      }
      free (order->actions);
      break;
    case WORKER_ADD:
      client_add (worker, order->fd, &order->from, order->is_command);
      break;
    case WORKER_TLS:
      tls_context_free (worker->tls);
      worker->tls = order->tls;
      break;
    case WORKER_ROOM:
      give_room (worker);
      break;
    case WORKER_STOP:
      worker->stopping = true;
      break;
  }
  free (order);
}

static void
mail_ready (Worker *worker, Watch *watch, uint32_t events)
{
  MailItem *item = mailbox_take (&worker->orders);

  while (item) {
    WorkerOrder *order = (WorkerOrder *)item;
    item = item->next;
    obey (worker, order);
  }
}

/* ---- the loop ---- */

static void *
run (void *data)
{
  Worker *worker = data;
  struct epoll_event events[EVENTS];
  struct pollfd mail = {worker->mail.fd, POLLIN, 0};

  while (!worker->stopping) {
    worker->deaf = server_is_behind (worker->server);
    if (worker->deaf)
      poll (&mail, 1, BREATH_MS);
    int wait_ms = worker->deaf ? 0 : worker->clients ? WAKE_MS : -1;
    int n = epoll_wait (worker->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
      Watch *watch = events[i].data.ptr;
      watch->ready (worker, watch, events[i].events);
    }
    clients_write (worker);
    clients_sweep (worker, clock_now_us ());
  }
  return NULL;
}

bool
worker_open (Worker *worker, Server *server, unsigned number)
{
  worker->server = server;
  worker->number = number;
  worker->epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (worker->epoll < 0 || !mailbox_init (&worker->orders, ORDERS))
    return false;
  worker->mail = (Watch){worker->orders.fd, mail_ready};
  worker_watch (worker, &worker->mail, EPOLL_CTL_ADD, EPOLLIN);
  return true;
}

void
worker_listen (Worker *worker, int control, int commands)
{
  worker->spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  worker->listener = (Watch){control, accept_ready};
  worker->commands = (Watch){commands, accept_ready};
  worker_watch (worker, &worker->listener, EPOLL_CTL_ADD, EPOLLIN);
  worker_watch (worker, &worker->commands, EPOLL_CTL_ADD, EPOLLIN);
}

bool
worker_start (Worker *worker)
{
  worker->started = pthread_create (&worker->thread, NULL, run, worker) == 0;
  return worker->started;
}

void
worker_stop (Worker *worker)
{
  if (!worker->started)
    return;
  mailbox_push (&worker->orders, &worker_order_new (WORKER_STOP)->item);
  pthread_join (worker->thread, NULL);
}

void
worker_close (Worker *worker)
{
  mail_ready (worker, &worker->mail, 0); /* what another worker dealt out last */
  while (worker->clients) {
    Client *client = worker->clients;
    worker->clients = client->next;
    client_free (worker, client);
  }
  if (worker->listener.ready) {
    close (worker->listener.fd);
    close (worker->commands.fd);
    close (worker->spare);
  }
  tls_context_free (worker->tls);
  buffer_free (&worker->scratch);
  buffer_free (&worker->sealed);
  buffer_free (&worker->plain);
  free (worker->marked);
  hash_index_clear (&worker->clients_by_id);
  mailbox_clear (&worker->orders);
  close (worker->epoll);
}
