/* Those who are connected to the server: control connections, by TLS or in the clear, and commands.
 */
#include "coordinator/server-private.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOMAIN    "coordinator"
#define READ_SIZE 65536
#define WRITE_AHEAD                                                                                \
  (32u << 10) /* bytes taken from a connection at a time: what a socket that is                    \
               * full leaves behind is kept, for each of thousands */
#define SWEEP_US (USEC_PER_SEC / 2) /* for those that are late */
#define LOGIN_US (10 * USEC_PER_SEC)
#define IDLE_US  (60 * USEC_PER_SEC) /* a control connection without a request may stay so long */

uint64_t
client_request (const Client *client, int32_t stream)
{
  return (uint64_t)client->id << 32 | (uint32_t)stream;
}

static bool
has_id (const void *value, const void *key)
{
  return ((const Client *)value)->id == *(const uint32_t *)key;
}

Client *
client_find (Worker *worker, uint32_t id)
{
  return hash_index_find (&worker->clients_by_id, hash_index_number (id), has_id, &id);
}

static void
tell_gone (Worker *worker, const Client *client, int32_t stream)
{
  server_event_post (worker->server,
                     server_event_new (STATE_EVENT_GONE, client_request (client, stream)));
}

/* Tells the state about everything that was open on the connection. */
static void
announce_gone (Worker *worker, Client *client)
{
  if (!client->connection) {
    tell_gone (worker, client, 0);
    return;
  }
  for (int32_t stream; (stream = server_connection_abandon (client->connection)) != 0;)
    tell_gone (worker, client, stream);
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

/* A stream that is whole ends as TLS wants it; whoever does not read it does not hold us up. */
static void
end_tls (Client *client)
{
  Buffer last = {0};

  if (tls_state (client->tls) == TLS_OPEN && client->out.size == 0) {
    tls_close (client->tls);
    tls_take (client->tls, &last);
    send_some (client, &last);
    buffer_free (&last);
  }
  tls_free (client->tls);
}

void
client_free (Worker *worker, Client *client)
{
  hash_index_remove (&worker->clients_by_id, hash_index_number (client->id), client);
  if (client->connection)
    atomic_fetch_sub_explicit (&worker->connections, 1, memory_order_relaxed);
  if (client->tls)
    end_tls (client);
  /* A copy of the descriptor may live on, as that of a backup does; epoll would go on telling. */
  worker_watch (worker, &client->watch, EPOLL_CTL_DEL, 0);
  close (client->watch.fd);
  if (client->connection)
    server_connection_free (client->connection);
  buffer_free (&client->in);
  buffer_free (&client->out);
  free (client);
}

/* It is we who are late: what the peer said has not been read yet. Were it put out, it would come
 * back and make us later still. */
static bool
has_unread (const Client *client)
{
  uint8_t byte;

  return !client->closing && recv (client->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void
clients_sweep (Worker *worker, int64_t now_us)
{
  if (!worker->sweep && now_us < worker->swept_us + SWEEP_US)
    return;
  worker->sweep = false;
  worker->swept_us = now_us;
  size_t queued = 0;
  for (Client **link = &worker->clients; *link;) {
    Client *client = *link;
    if (client->connection && server_connection_is_busy (client->connection))
      client->until_us = now_us + IDLE_US;
    bool late = client->until_us <= now_us;
    if (late && client->until_us > 0 && has_unread (client)) {
      client->until_us = now_us + USEC_PER_SEC;
      late = false;
    }
    if (!late && !(client->closing && client->out.size == 0)) {
      queued += client->out.size;
      link = &client->next;
      continue;
    }
    announce_gone (worker, client);
    *link = client->next;
    client_free (worker, client);
  }
  atomic_store_explicit (&worker->queued_bytes, queued, memory_order_relaxed);
}

/* What the connection has to say, as it goes over the wire. False: nothing now. */
static bool
take_output (Worker *worker, Client *client, Buffer *out)
{
  if (!client->tls)
    return server_connection_take (client->connection, &worker->scratch, out, WRITE_AHEAD);
  tls_take (client->tls, out);
  buffer_reset (&worker->plain);
  if (tls_state (client->tls) == TLS_OPEN
      && server_connection_take (client->connection, &worker->scratch, &worker->plain, WRITE_AHEAD))
    tls_write_to (client->tls, worker->plain.data, worker->plain.size, out);
  return out->size > 0;
}

/* What the peer said reaches the connection. False: nothing more comes of it. */
static bool
take_input (Worker *worker, Client *client, const uint8_t *data, size_t size)
{
  if (!client->tls)
    return server_connection_feed (client->connection, data, size);
  buffer_reset (&worker->plain);
  TlsState state = tls_receive (client->tls, data, size, &worker->plain);
  bool ok = worker->plain.size == 0
            || server_connection_feed (client->connection, worker->plain.data, worker->plain.size);
  if (state == TLS_FAILED)
    log_debug (DOMAIN, "a TLS connection failed: %s", tls_error (client->tls));
  return ok && (state == TLS_OPEN || state == TLS_HANDSHAKING);
}

/* Bytes are sealed in a buffer that all share: a connection with nothing to write holds none. */
static void
write_out (Worker *worker, Client *client)
{
  bool ok = send_some (client, &client->out);

  while (ok && client->out.size == 0 && client->connection) {
    buffer_reset (&worker->sealed);
    if (!take_output (worker, client, &worker->sealed))
      break;
    ok = send_some (client, &worker->sealed);
    buffer_append (&client->out, worker->sealed.data, worker->sealed.size);
  }
  if (!ok)
    client->closing = true;
  if (!ok || client->out.size == 0)
    buffer_free (&client->out);
  if (client->connection && server_connection_is_over (client->connection))
    client->closing = true;
  worker->sweep |= client->closing;
  bool wants_write = client->out.size > 0;
  if (wants_write != client->wants_write) {
    client->wants_write = wants_write;
    worker_watch (worker, &client->watch, EPOLL_CTL_MOD, EPOLLIN | (wants_write ? EPOLLOUT : 0));
  }
}

void
client_mark (Worker *worker, Client *client)
{
  if (client->marked)
    return;
  client->marked = true;
  worker->marked
      = mem_grow (worker->marked, worker->n_marked, &worker->marked_room, sizeof (Client *));
  worker->marked[worker->n_marked++] = client;
}

void
clients_write (Worker *worker)
{
  for (size_t i = 0; i < worker->n_marked; i++) {
    worker->marked[i]->marked = false;
    write_out (worker, worker->marked[i]);
  }
  worker->n_marked = 0;
}

static void
run_command (Worker *worker, Client *client)
{
  CommandRequest request;

  switch (command_request_read (client->in.data, client->in.size, &request)) {
    case COMMAND_MORE:
      break;
    case COMMAND_BAD:
      client->closing = true;
      break;
    case COMMAND_READY: {
      if (server_intercept (worker, client, &request))
        break;
      ServerEvent *event = server_event_new (STATE_EVENT_COMMAND, client_request (client, 0));
      event->command = mem_dup (&request, sizeof request);
      event->event.command.words = (const char *const *)event->command->words;
      event->event.command.n_words = request.n_words;
      event->event.command.input = request.input;
      client->until_us = TIME_NEVER; /* the answer may be a long time coming */
      buffer_reset (&client->in);
      server_event_post (worker->server, event);
    }
  }
}

static void
client_ready (Worker *worker, Watch *watch, uint32_t events)
{
  Client *client = (Client *)watch;
  uint8_t data[READ_SIZE];

  if (worker->deaf) {
    write_out (worker, client);
    return;
  }
  ssize_t n = recv (watch->fd, data, sizeof data, 0);

  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
    client->closing = worker->sweep = true;
    buffer_reset (&client->out);
    worker_watch (worker, watch, EPOLL_CTL_DEL, 0);
    return;
  }
  if (n > 0 && client->is_command) {
    buffer_append (&client->in, data, (size_t)n);
    run_command (worker, client);
  } else if (n > 0) {
    if (!take_input (worker, client, data, (size_t)n))
      client->closing = true;
    server_handle_requests (worker, client);
  }
  write_out (worker, client);
}

void
client_add (Worker *worker, int fd, const IpAddr *from, bool is_command)
{
  Client *client = mem_new (sizeof *client);

  client->watch = (Watch){fd, client_ready};
  do
    client->id = ++worker->next_id * SERVER_WORKERS_MAX + worker->number;
  while (client_find (worker, client->id));
  client->is_command = is_command;
  client->from = *from;
  client->until_us = clock_now_us () + LOGIN_US;
  if (!is_command) {
    client->connection = server_connection_new (worker->server->key, random_system ());
    atomic_fetch_add_explicit (&worker->connections, 1, memory_order_relaxed);
  }
  if (!is_command && worker->tls)
    client->tls = tls_server_new (worker->tls);
  client->next = worker->clients;
  worker->clients = client;
  hash_index_add (&worker->clients_by_id, hash_index_number (client->id), client);
  worker_watch (worker, &client->watch, EPOLL_CTL_ADD, EPOLLIN);
}
