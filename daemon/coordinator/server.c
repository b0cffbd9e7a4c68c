/* The state thread: takes events, asks the state, and hands on what it decided; and setting up. */
#include "coordinator/server-private.h"

#include "base/log.h"
#include "base/memory.h"
#include "coordinator/server-files.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOMAIN  "coordinator"
#define BACKLOG 4096
#define EVENTS  64 /* of one round */
#define LOOK_US (CERTIFICATE_LOOK_MS * USEC_PER_MSEC)

/* ---- events and what comes of them ---- */

static void
input (Server *server, StateEvent *event)
{
  event->wall = wall_time_now ();
  state_input (server->state, event, clock_now_us ());
}

static void
take_events (Server *server)
{
  if (!server->backlog)
    server->backlog = mailbox_take (&server->events);
  for (int i = 0; server->backlog && i < EVENTS; i++) {
    ServerEvent *event = (ServerEvent *)server->backlog;
    server->backlog = event->item.next;
    input (server, &event->event);
    atomic_fetch_sub_explicit (&server->waiting_bytes, event->size, memory_order_relaxed);
    server_event_free (event);
  }
}

static void
take_results (Server *server)
{
  WorkResult result;

  while (work_next (server->work, &result)) {
    StateEvent event = {.type = STATE_EVENT_WORKED, .worked = &result};
    input (server, &event);
    work_result_clear (&result);
  }
}

static bool
is_for_worker (const StateAction *action)
{
  return action->type != STATE_ACTION_RECORD && action->type != STATE_ACTION_ADMIT
         && action->type != STATE_ACTION_WORK;
}

/* What was promised is on disk before anybody hears of it: all of it goes by the store thread. */
static void
hand_on (Server *server)
{
  ServerRound *round = NULL;
  StateAction action;

  while (state_next_action (server->state, &action)) {
    if (!round)
      round = mem_new (sizeof *round);
    round->n_records += action.type == STATE_ACTION_RECORD;
    if (!is_for_worker (&action)) {
      round->actions = mem_grow (round->actions, round->n, &round->room, sizeof action);
      round->actions[round->n++] = action;
      continue;
    }
    WorkerOrder **order = &round->orders[worker_of (server, action.request)];
    if (!*order)
      *order = worker_order_new (WORKER_DELIVER);
    (*order)->actions = mem_grow ((*order)->actions, (*order)->n, &(*order)->room, sizeof action);
    (*order)->actions[(*order)->n++] = action;
  }
  if (round)
    server_store_put (server->store_thread, round);
}

static void
show_figures (Server *server, int64_t now_us)
{
  if (now_us < server->figures_us)
    return;
  server->figures_us = now_us + USEC_PER_SEC;
  StateFigures state = state_figures (server->state);
  ServerFigures figures = {
      .nodes = state.nodes,
      .online = state.online,
      .users = state.users,
      .pending = state.pending,
      .streams = state.streams,
  };
  for (unsigned i = 0; i < server->n_workers; i++) {
    Worker *worker = &server->workers[i];
    figures.connections += atomic_load_explicit (&worker->connections, memory_order_relaxed);
    figures.queued_bytes += atomic_load_explicit (&worker->queued_bytes, memory_order_relaxed);
  }
  server_metrics_set (server->metrics, &figures);
}

/* ---- the certificate ---- */

/* Each worker gets a context of its own. False: nobody did. */
static bool
give_certificate (Server *server, char **error)
{
  TlsContext *contexts[SERVER_WORKERS_MAX] = {0};
  bool ok = true;

  for (unsigned i = 0; i < server->n_workers && ok; i++)
    ok = (contexts[i] = server_load_tls (&server->certificate, error)) != NULL;
  for (unsigned i = 0; i < server->n_workers; i++) {
    if (!ok) {
      tls_context_free (contexts[i]);
      continue;
    }
    WorkerOrder *order = worker_order_new (WORKER_TLS);
    order->tls = contexts[i];
    mailbox_push (&server->workers[i].orders, &order->item);
  }
  return ok;
}

/* Those who come from now on get the new one. */
static void
look_at_certificate (Server *server, int64_t now_us)
{
  char *error = NULL;

  if (!server->certificate.certificate || now_us < server->look_us)
    return;
  server->look_us = now_us + LOOK_US;
  if (!certificate_files_changed (&server->certificate))
    return;
  if (give_certificate (server, &error))
    log_info (DOMAIN, "the certificate %s was read again", server->certificate.certificate);
  else
    log_warning (DOMAIN, "the certificate %s is not used: %s", server->certificate.certificate,
                 error ? error : "unknown error");
  free (error);
}

/* ---- the loop ---- */

static void
loop (Server *server)
{
  struct pollfd polls[] = {
      {server->events.fd, POLLIN, 0},
      {work_fd (server->work), POLLIN, 0},
      {server->signals, POLLIN, 0},
  };

  while (!atomic_load (&server->stopping)) {
    int64_t now_us = clock_now_us ();
    int64_t deadline = time_min (state_next_deadline (server->state), now_us + USEC_PER_SEC);
    int64_t wait_ms = deadline > now_us ? (deadline - now_us) / USEC_PER_MSEC + 1 : 0;
    poll (polls, sizeof polls / sizeof polls[0], server->backlog ? 0 : (int)wait_ms);
    if (polls[2].revents)
      server_stop (server, false);
    take_events (server);
    take_results (server);
    StateEvent tick = {.type = STATE_EVENT_TICK};
    input (server, &tick);
    hand_on (server);
    show_figures (server, clock_now_us ());
    look_at_certificate (server, clock_now_us ());
  }
}

/* ---- setting up ---- */

static int
listen_tcp (const char *text)
{
  struct sockaddr_storage address;
  IpPort ap;
  int one = 1;

  if (!ip_port_parse (text, strlen (text), &ap)) {
    fprintf (stderr, "warren-coordinator: \"%s\" is not ADDRESS:PORT\n", text);
    return -1;
  }
  socklen_t size = ip_port_to_sockaddr (&ap, &address);
  int fd = socket (address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind (fd, (struct sockaddr *)&address, size) == 0 && listen (fd, BACKLOG) == 0)
    return fd;
  fprintf (stderr, "warren-coordinator: could not listen at %s: %s\n", text, strerror (errno));
  close (fd);
  return -1;
}

static int
open_signals (void)
{
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGTERM);
  sigaddset (&set, SIGINT);
  sigprocmask (SIG_BLOCK, &set, NULL);
  return signalfd (-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool
load_record (const StoreRecord *record, void *user_data)
{
  Server *server = user_data;
  const char *error = "";

  if (state_load (server->state, record->table, record->name, record->value, &error))
    return true;
  fprintf (stderr, "warren-coordinator: the record %s %s is damaged: %s\n", record->table,
           record->name, error);
  return false;
}

static bool
open_state (Server *server)
{
  const ServerOptions *options = server->options;
  StateNetwork network = {
      .name = options->name,
      .domain = options->domain,
      .prefix4 = options->prefix4.addr.family ? &options->prefix4 : NULL,
      .prefix6 = options->prefix6.addr.family ? &options->prefix6 : NULL,
      .key_days = options->key_days,
  };
  char path[4096], *error = NULL;
  DerpMap *map = NULL;

  snprintf (path, sizeof path, "%s/coordinator.db", server->options->data_dir);
  server->key = secret_new (sizeof *server->key);
  server->members = relay_registry_new (false);
  if (!server_load_key (server->options->data_dir, "server.key", server->key->bytes)
      || !server_open_relay (server->options, &server->relay, &map))
    return false;
  server->state = state_new (&(StateConfig){.url = server->options->url,
                                            .derp_map = map,
                                            .listen = server->options->listen,
                                            .oidc = server->options->oidc},
                             random_system ());
  if (map)
    derp_map_unref (map);
  server->store = store_open (path, &error);
  bool ok = server->store && store_load (server->store, load_record, server, &error);
  if (error)
    fprintf (stderr, "warren-coordinator: %s: %s\n", path, error);
  free (error);
  error = NULL;
  server->metrics = ok ? server_metrics_new (options->metrics, server->relay, &error) : NULL;
  if (error)
    fprintf (stderr, "warren-coordinator: %s\n", error);
  free (error);
  ok = server->metrics != NULL;
  if (ok) {
    state_configure (server->state, &network);
    state_start (server->state, wall_time_now (), clock_now_us ());
  }
  return ok;
}

static bool
open_tls (Server *server)
{
  char *error = NULL;

  server->certificate = (CertificateFiles){.certificate = server->options->tls_certificate,
                                           .key = server->options->tls_key};
  if (!server->options->tls_certificate)
    return true;
  certificate_files_changed (&server->certificate);
  bool ok = give_certificate (server, &error);
  if (!ok)
    fprintf (stderr, "warren-coordinator: the certificate %s: %s\n",
             server->certificate.certificate, error ? error : "unknown error");
  free (error);
  return ok;
}

/* As many as there are processors. */
static bool
open_workers (Server *server)
{
  long n = sysconf (_SC_NPROCESSORS_ONLN);
  unsigned wanted = n < 1 ? 1 : n > SERVER_WORKERS_MAX ? SERVER_WORKERS_MAX : (unsigned)n;

  while (server->n_workers < wanted) {
    unsigned number = server->n_workers++;
    if (!worker_open (&server->workers[number], server, number)) {
      fprintf (stderr, "warren-coordinator: no thread for connections: %s\n", strerror (errno));
      return false;
    }
  }
  return true;
}

static bool
open_sockets (Server *server)
{
  int control = listen_tcp (server->options->listen);
  int commands = control < 0 ? -1 : server_listen_commands (server->options);

  server->signals = open_signals ();
  server->work = work_new ();
  if (commands >= 0) {
    worker_listen (&server->workers[0], control, commands);
    return server->signals >= 0 && server->work;
  }
  if (control >= 0)
    close (control);
  return false;
}

static bool
start_threads (Server *server)
{
  server->store_thread = server_store_new (server, server->store);
  server->store = NULL;
  bool ok = server->store_thread != NULL;
  if (ok)
    hand_on (server);
  for (unsigned i = 0; i < server->n_workers && ok; i++)
    ok = worker_start (&server->workers[i]);
  return ok;
}

/* What was decided is kept, and whoever waits for it is told, before the workers end. */
static void
stop_threads (Server *server)
{
  server_store_free (server->store_thread);
  for (unsigned i = 0; i < server->n_workers; i++)
    worker_stop (&server->workers[i]);
}

static void
close_all (Server *server)
{
  for (unsigned i = 0; i < server->n_workers; i++)
    worker_close (&server->workers[i]);
  for (;;) {
    MailItem *item = server->backlog ? server->backlog : mailbox_take (&server->events);
    if (!item)
      break;
    server->backlog = item->next;
    server_event_free ((ServerEvent *)item);
  }
  mailbox_clear (&server->events);
  server_metrics_free (server->metrics);
  if (server->relay)
    relay_free (server->relay);
  if (server->members)
    relay_registry_free (server->members);
  work_free (server->work);
  if (server->state)
    state_free (server->state);
  store_close (server->store);
  if (server->key)
    secret_free (server->key);
  if (server->signals >= 0)
    close (server->signals);
}

int
server_run (const ServerOptions *options)
{
  Server *server;
  int result = SERVER_FAILED;

  if (sodium_init () < 0)
    return SERVER_FAILED;
  if (mkdir (options->data_dir, 0700) != 0 && errno != EEXIST) {
    fprintf (stderr, "warren-coordinator: %s: %s\n", options->data_dir, strerror (errno));
    return SERVER_FAILED;
  }
  server = mem_new (sizeof *server);
  server->options = options;
  server->signals = -1;
  if (mailbox_init (&server->events, 1) && open_workers (server) && open_tls (server)
      && open_sockets (server) && open_state (server) && start_threads (server)) {
    log_info (DOMAIN, "serving %s", options->url);
    loop (server);
    result = atomic_load (&server->deleted) ? SERVER_DELETED : SERVER_ENDED;
  }
  stop_threads (server);
  close_all (server);
  free (server);
  return result;
}
