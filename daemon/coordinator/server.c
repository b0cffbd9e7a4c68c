#include "coordinator/server-private.h"

#include "base/log.h"
#include "base/memory.h"
#include "coordinator/server-files.h"
#include "wire/command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

#define DOMAIN    "coordinator"
#define EVENTS    64
#define READ_SIZE 65536
#define WRITE_AHEAD                                                                                \
  (32u << 10) /* bytes taken from a connection at a time: what a socket that is                    \
               * full leaves behind is kept, for each of thousands */
#define SWEEP_US (USEC_PER_SEC / 2) /* for those that are late */
#define LOGIN_US (10 * USEC_PER_SEC)
#define BACKLOG  4096

#define IDLE_US (60 * USEC_PER_SEC) /* a control connection without a request may stay so long */

/* ---- clients ---- */

uint64_t
server_request_number (const Client *client, int32_t stream)
{
  return (uint64_t)client->id << 32 | (uint32_t)stream;
}

static bool
has_id (const void *value, const void *key)
{
  return ((const Client *)value)->id == *(const uint32_t *)key;
}

Client *
server_client (Server *server, uint32_t id)
{
  return hash_index_find (&server->clients_by_id, hash_index_number (id), has_id, &id);
}

static void
watch_for (Server *server, Watch *watch, int operation, uint32_t events)
{
  struct epoll_event event = {.events = events, .data.ptr = watch};

  epoll_ctl (server->epoll, operation, watch->fd, &event);
}

/* Tells the state about everything that was open on the connection. */
static void
announce_gone (Server *server, Client *client)
{
  if (!client->connection) {
    StateEvent event = {.type = STATE_EVENT_GONE, .request = server_request_number (client, 0)};
    server_input (server, &event);
    return;
  }
  for (int32_t stream; (stream = server_connection_abandon (client->connection)) != 0;) {
    StateEvent event
        = {.type = STATE_EVENT_GONE, .request = server_request_number (client, stream)};
    server_input (server, &event);
  }
}

static void
client_free (Client *client)
{
  close (client->watch.fd);
  if (client->connection)
    server_connection_free (client->connection);
  buffer_free (&client->in);
  buffer_free (&client->out);
  free (client);
}

/* Frees those that are done; only between rounds, so that nobody holds one. */
static void
sweep_clients (Server *server, int64_t now_us)
{
  if (!server->sweep && now_us < server->swept_us + SWEEP_US)
    return;
  server->sweep = false;
  server->swept_us = now_us;
  for (Client **link = &server->clients; *link;) {
    Client *client = *link;
    if (client->connection && server_connection_is_busy (client->connection))
      client->until_us = now_us + IDLE_US;
    bool late = client->until_us <= now_us;
    if (!late && !(client->closing && client->out.size == 0)) {
      link = &client->next;
      continue;
    }
    announce_gone (server, client);
    *link = client->next;
    hash_index_remove (&server->clients_by_id, hash_index_number (client->id), client);
    client_free (client);
  }
}

/* Writes what there is; what the socket does not take is kept. False: the socket is broken. */
static bool
send_some (Client *client, Buffer *data)
{
  while (data->size > 0) {
    ssize_t n = send (client->watch.fd, data->data, data->size, MSG_NOSIGNAL);
    if (n > 0) {
      buffer_consume (data, (size_t)n);
      continue;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
  }
  return true;
}

/* Bytes are sealed in a buffer that all share: a connection with nothing to write holds none. */
static void
write_out (Server *server, Client *client)
{
  bool ok = send_some (client, &client->out);

  while (ok && client->out.size == 0 && client->connection) {
    buffer_reset (&server->sealed);
    if (!server_connection_take (client->connection, &server->scratch, &server->sealed,
                                 WRITE_AHEAD))
      break;
    ok = send_some (client, &server->sealed);
    buffer_append (&client->out, server->sealed.data, server->sealed.size);
  }
  if (!ok)
    client->closing = true;
  if (!ok || client->out.size == 0)
    buffer_free (&client->out);
  if (client->connection && server_connection_is_over (client->connection))
    client->closing = true;
  server->sweep |= client->closing;
  bool wants_write = client->out.size > 0;
  if (wants_write != client->wants_write) {
    client->wants_write = wants_write;
    watch_for (server, &client->watch, EPOLL_CTL_MOD, EPOLLIN | (wants_write ? EPOLLOUT : 0));
  }
}

/* The client has something to write when the round is over. */
static void
mark (Server *server, Client *client)
{
  if (client->marked)
    return;
  client->marked = true;
  server->marked
      = mem_grow (server->marked, server->n_marked, &server->marked_room, sizeof (Client *));
  server->marked[server->n_marked++] = client;
}

static void
write_marked (Server *server)
{
  for (size_t i = 0; i < server->n_marked; i++) {
    server->marked[i]->marked = false;
    write_out (server, server->marked[i]);
  }
  server->n_marked = 0;
}

static void
run_command (Server *server, Client *client)
{
  CommandRequest request;

  switch (command_request_read (client->in.data, client->in.size, &request)) {
    case COMMAND_MORE:
      break;
    case COMMAND_BAD:
      client->closing = true;
      break;
    case COMMAND_READY: {
      if (server_intercept (server, client, &request))
        break;
      StateEvent event = {
          .type = STATE_EVENT_COMMAND,
          .request = server_request_number (client, 0),
          .command = {(const char *const *)request.words, request.n_words, request.input},
      };
      client->until_us = TIME_NEVER; /* the answer may be a long time coming */
      server_input (server, &event);
      command_request_clear (&request);
      buffer_reset (&client->in);
    }
  }
}

static void
client_ready (Server *server, Watch *watch, uint32_t events)
{
  Client *client = (Client *)watch;
  uint8_t data[READ_SIZE];
  ssize_t n = recv (watch->fd, data, sizeof data, 0);

  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
    client->closing = server->sweep = true;
    buffer_reset (&client->out);
    watch_for (server, watch, EPOLL_CTL_DEL, 0);
    return;
  }
  if (n > 0 && client->is_command) {
    buffer_append (&client->in, data, (size_t)n);
    run_command (server, client);
  } else if (n > 0) {
    if (!server_connection_feed (client->connection, data, (size_t)n))
      client->closing = true;
    server_handle_requests (server, client);
  }
  write_out (server, client);
}

static void
add_client (Server *server, int fd, const IpPort *from, bool is_command)
{
  Client *client = mem_new (sizeof *client);

  client->watch = (Watch){fd, client_ready};
  client->id = ++server->next_id;
  client->is_command = is_command;
  client->from = from->addr;
  client->until_us = clock_now_us () + LOGIN_US;
  if (!is_command)
    client->connection = server_connection_new (server->key, random_system ());
  client->next = server->clients;
  server->clients = client;
  hash_index_add (&server->clients_by_id, hash_index_number (client->id), client);
  watch_for (server, &client->watch, EPOLL_CTL_ADD, EPOLLIN);
}

/* No descriptor is left: those who hold one the longest without a request give theirs; where all
 * are in use, the new one is turned away. */
static void
make_room (Server *server, Watch *watch)
{
  Client *oldest = NULL;

  for (Client *client = server->clients; client; client = client->next)
    if (client->connection && !client->closing && !server_connection_is_busy (client->connection))
      oldest = client;
  if (oldest) {
    oldest->until_us = 0;
    return;
  }
  close (server->spare);
  int fd = accept4 (watch->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0)
    close (fd);
  server->spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
accept_ready (Server *server, Watch *watch, uint32_t events)
{
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  int fd, one = 1;

  while (
      (fd = accept4 (watch->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC))
      >= 0) {
    bool is_command = watch == &server->commands;
    IpPort from = {0};
    if (!is_command && !ip_port_from_sockaddr ((struct sockaddr *)&address, size, &from))
      from = (IpPort){0};
    size = sizeof address;
    if (!is_command)
      setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    add_client (server, fd, &from, is_command);
  }
  if (errno == EMFILE || errno == ENFILE)
    make_room (server, watch);
}

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
  mark (server, client);
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
  mark (server, client);
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
      mark (server, client);
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
  write_marked (server);
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
    sweep_clients (server, clock_now_us ());
    show_figures (server, clock_now_us ());
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
open_sockets (Server *server)
{
  server->epoll = epoll_create1 (EPOLL_CLOEXEC);
  server->spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  server->listener = (Watch){listen_tcp (server->options->listen), accept_ready};
  server->commands = (Watch){server_listen_commands (server->options), accept_ready};
  server->signals = (Watch){open_signals (), signal_ready};
  server->work = work_new ();
  if (server->listener.fd < 0 || server->commands.fd < 0 || server->signals.fd < 0 || !server->work)
    return false;
  server->worked = (Watch){work_fd (server->work), worked_ready};
  watch_for (server, &server->worked, EPOLL_CTL_ADD, EPOLLIN);
  watch_for (server, &server->listener, EPOLL_CTL_ADD, EPOLLIN);
  watch_for (server, &server->commands, EPOLL_CTL_ADD, EPOLLIN);
  watch_for (server, &server->signals, EPOLL_CTL_ADD, EPOLLIN);
  return true;
}

static void
close_all (Server *server)
{
  while (server->clients) {
    Client *client = server->clients;
    server->clients = client->next;
    client_free (client);
  }
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
  bool ok = open_sockets (&server) && open_state (&server);
  if (ok) {
    settle (&server);
    log_info (DOMAIN, "serving %s", options->url);
    loop (&server);
  }
  close_all (&server);
  return !ok ? SERVER_FAILED : server.deleted ? SERVER_DELETED : SERVER_ENDED;
}
