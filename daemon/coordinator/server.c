#include "coordinator/server-private.h"

#include "base/log.h"
#include "base/memory.h"
#include "coordinator/server-files.h"
#include "wire/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOMAIN  "coordinator"
#define EVENTS  64
#define BACKLOG 4096
#define LOOK_US (CERTIFICATE_LOOK_MS * USEC_PER_MSEC)

static void
worked_ready (Server *server, Watch *watch, uint32_t events)
{
  WorkResult result;

  while (work_next (server->work, &result)) {
    StateEvent event = {.type = STATE_EVENT_WORKED, .worked = &result};
    server_input (server, &event);
    work_result_clear (&result);
  }
}

static void
signal_ready (Server *server, Watch *watch, uint32_t events)
{
  server->stopping = true;
}

/* ---- state ---- */

void
server_input (Server *server, StateEvent *event)
{
  event->wall = wall_time_now ();
  state_input (server->state, event, clock_now_us ());
}

static void
deliver_reply (Server *server, const StateAction *action)
{
  Client *client = server_client (server, (uint32_t)(action->request >> 32));
  int32_t stream = (int32_t)(uint32_t)action->request;

  if (!client)
    return;
  server_mark (server, client);
  if (client->is_command) {
    uint8_t code = (uint8_t)action->reply.status;
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
      server_handle_requests (server, client);
  }
}

static void
deliver_message (Server *server, const StateAction *action)
{
  Client *client = server_client (server, (uint32_t)(action->request >> 32));
  int32_t stream = (int32_t)(uint32_t)action->request;

  if (!client || !client->connection)
    return;
  server_mark (server, client);
  if (action->type == STATE_ACTION_OPEN) {
    server_connection_open (client->connection, stream);
    return;
  }
  server_metrics_message (server->metrics, action->message.rope->size);
  server_connection_send (client->connection, stream, action->message.rope);
}

static void
deliver (Server *server, StateAction *action)
{
  Client *client;

  switch (action->type) {
    case STATE_ACTION_REPLY:
      deliver_reply (server, action);
      break;
    case STATE_ACTION_OPEN:
    case STATE_ACTION_MESSAGE:
      deliver_message (server, action);
      break;
    case STATE_ACTION_END:
      client = server_client (server, (uint32_t)(action->request >> 32));
      if (!client || !client->connection)
        break;
      server_connection_end (client->connection, (int32_t)(uint32_t)action->request);
      server_mark (server, client);
      break;
    case STATE_ACTION_ADMIT:
      relay_registry_allow (server->members, &action->admit.key, action->admit.allowed);
      if (server->relay)
        relay_admit (server->relay, &action->admit.key, action->admit.allowed);
      break;
    case STATE_ACTION_WORK:
      work_start (server->work, &action->work);
      break;
    case STATE_ACTION_RECORD:
      break;
  }
}

/* Everything that one round brought about. */
typedef struct
{
  StateAction *actions;
  size_t n, room;
  StoreRecord *records;
  size_t n_records, records_room;
} Round;

static void
collect (Server *server, Round *round)
{
  StateAction action;

  while (state_next_action (server->state, &action)) {
    round->actions = mem_grow (round->actions, round->n, &round->room, sizeof action);
    round->actions[round->n++] = action;
    if (action.type != STATE_ACTION_RECORD)
      continue;
    round->records
        = mem_grow (round->records, round->n_records, &round->records_room, sizeof *round->records);
    round->records[round->n_records++]
        = (StoreRecord){action.record.table, action.record.name, action.record.value};
  }
}

/* A change that is not on disk yet is not promised; it is made, and kept when there is room. */
static void
deny_promise (Server *server, StateAction *action)
{
  Client *client = server_client (server, (uint32_t)(action->request >> 32));
  char text[512];
  int n = snprintf (text, sizeof text,
                    "%s: the change is not kept yet, and lost if the server ends before it is\n",
                    keep_problem (server->keep));

  free (action->reply.body);
  free (action->reply.headers);
  action->reply.status = client && client->is_command ? 1 : 503;
  action->reply.type = "text/plain; charset=utf-8";
  action->reply.headers = NULL;
  action->reply.size = n < (int)sizeof text ? (size_t)n : sizeof text - 1;
  action->reply.body = mem_strndup (text, action->reply.size);
}

/* What was promised is on disk before anybody hears of it. */
static void
settle (Server *server)
{
  Round round = {0};
  int64_t start_us = clock_now_us ();

  collect (server, &round);
  keep_retry (server->keep, start_us);
  bool kept = keep_records (server->keep, round.records, round.n_records, start_us);
  if (round.n_records > 0)
    server_metrics_commit (server->metrics, round.n_records, clock_now_us () - start_us);
  for (size_t i = 0; i < round.n; i++) {
    StateAction *action = &round.actions[i];
    if (!kept && action->type == STATE_ACTION_REPLY && !action->reply.no_promise)
      deny_promise (server, action);
    deliver (server, action);
    state_action_clear (&round.actions[i]);
  }
  free (round.actions);
  free (round.records);
  server_write_marked (server);
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
  for (const Client *client = server->clients; client; client = client->next) {
    figures.connections += !client->is_command;
    figures.queued_bytes += client->out.size;
  }
  server_metrics_set (server->metrics, &figures);
}

/* Those who come from now on get the new one. */
static void
look_at_certificate (Server *server, int64_t now_us)
{
  char *error = NULL;

  if (!server->tls || now_us < server->look_us)
    return;
  server->look_us = now_us + LOOK_US;
  if (!certificate_files_changed (&server->certificate))
    return;
  TlsContext *tls = server_load_tls (&server->certificate, &error);
  if (tls) {
    tls_context_free (server->tls);
    server->tls = tls;
    log_info (DOMAIN, "the certificate %s was read again", server->certificate.certificate);
  } else {
    log_warning (DOMAIN, "the certificate %s is not used: %s", server->certificate.certificate,
                 error ? error : "unknown error");
  }
  free (error);
}

static void
loop (Server *server)
{
  struct epoll_event events[EVENTS];

  while (!server->stopping) {
    int64_t now_us = clock_now_us ();
    int64_t deadline = time_min (state_next_deadline (server->state), now_us + USEC_PER_SEC);
    int64_t wait_ms = deadline > now_us ? (deadline - now_us) / USEC_PER_MSEC + 1 : 0;
    int n = epoll_wait (server->epoll, events, EVENTS, (int)wait_ms);
    for (int i = 0; i < n; i++) {
      Watch *watch = events[i].data.ptr;
      watch->ready (server, watch, events[i].events);
    }
    StateEvent tick = {.type = STATE_EVENT_TICK};
    server_input (server, &tick);
    settle (server);
    server_sweep_clients (server, clock_now_us ());
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
    server->keep = keep_new (server->store);
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
  server->tls = server_load_tls (&server->certificate, &error);
  if (!server->tls)
    fprintf (stderr, "warren-coordinator: the certificate %s: %s\n",
             server->certificate.certificate, error ? error : "unknown error");
  free (error);
  return server->tls != NULL;
}

static bool
open_sockets (Server *server)
{
  server->epoll = epoll_create1 (EPOLL_CLOEXEC);
  server->spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  server->listener = (Watch){listen_tcp (server->options->listen), server_accept};
  server->commands = (Watch){server_listen_commands (server->options), server_accept};
  server->signals = (Watch){open_signals (), signal_ready};
  server->work = work_new ();
  if (server->listener.fd < 0 || server->commands.fd < 0 || server->signals.fd < 0 || !server->work)
    return false;
  server->worked = (Watch){work_fd (server->work), worked_ready};
  server_watch (server, &server->worked, EPOLL_CTL_ADD, EPOLLIN);
  server_watch (server, &server->listener, EPOLL_CTL_ADD, EPOLLIN);
  server_watch (server, &server->commands, EPOLL_CTL_ADD, EPOLLIN);
  server_watch (server, &server->signals, EPOLL_CTL_ADD, EPOLLIN);
  return true;
}

static void
close_all (Server *server)
{
  while (server->clients) {
    Client *client = server->clients;
    server->clients = client->next;
    server_client_free (client);
  }
  tls_context_free (server->tls);
  server_metrics_free (server->metrics);
  if (server->relay)
    relay_free (server->relay);
  if (server->members)
    relay_registry_free (server->members);
  work_free (server->work);
  if (server->state)
    state_free (server->state);
  keep_free (server->keep);
  store_close (server->store);
  if (server->key)
    secret_free (server->key);
  buffer_free (&server->scratch);
  buffer_free (&server->plain);
  buffer_free (&server->sealed);
  free (server->marked);
  hash_index_clear (&server->clients_by_id);
  close (server->listener.fd);
  close (server->commands.fd);
  close (server->signals.fd);
  close (server->spare);
  close (server->epoll);
}

int
server_run (const ServerOptions *options)
{
  Server server = {.options = options, .epoll = -1};

  server.listener.fd = server.commands.fd = server.signals.fd = -1;
  if (sodium_init () < 0)
    return 1;
  if (mkdir (options->data_dir, 0700) != 0 && errno != EEXIST) {
    fprintf (stderr, "warren-coordinator: %s: %s\n", options->data_dir, strerror (errno));
    return 1;
  }
  bool ok = open_tls (&server) && open_sockets (&server) && open_state (&server);
  if (ok) {
    settle (&server);
    log_info (DOMAIN, "serving %s", options->url);
    loop (&server);
  }
  close_all (&server);
  return !ok ? SERVER_FAILED : server.deleted ? SERVER_DELETED : SERVER_ENDED;
}
