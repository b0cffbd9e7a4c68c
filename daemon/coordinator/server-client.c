/* Those who are connected to the server: control connections, by TLS or in the clear, and commands.
 */
#include "coordinator/server-private.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

void
server_watch (Server *server, Watch *watch, int operation, uint32_t events)
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
server_client_free (Client *client)
{
  if (client->tls)
    end_tls (client);
  close (client->watch.fd);
  if (client->connection)
    server_connection_free (client->connection);
  buffer_free (&client->in);
  buffer_free (&client->out);
  free (client);
}

void
server_sweep_clients (Server *server, int64_t now_us)
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
    server_client_free (client);
  }
}

/* What the connection has to say, as it goes over the wire. False: nothing now. */
static bool
take_output (Server *server, Client *client, Buffer *out)
{
  if (!client->tls)
    return server_connection_take (client->connection, &server->scratch, out, WRITE_AHEAD);
  tls_take (client->tls, out);
  buffer_reset (&server->plain);
  if (tls_state (client->tls) == TLS_OPEN
      && server_connection_take (client->connection, &server->scratch, &server->plain, WRITE_AHEAD))
    tls_write_to (client->tls, server->plain.data, server->plain.size, out);
  return out->size > 0;
}

/* What the peer said reaches the connection. False: nothing more comes of it. */
static bool
take_input (Server *server, Client *client, const uint8_t *data, size_t size)
{
  if (!client->tls)
    return server_connection_feed (client->connection, data, size);
  buffer_reset (&server->plain);
  TlsState state = tls_receive (client->tls, data, size, &server->plain);
  bool ok = server->plain.size == 0
            || server_connection_feed (client->connection, server->plain.data, server->plain.size);
  if (state == TLS_FAILED)
    log_debug (DOMAIN, "a TLS connection failed: %s", tls_error (client->tls));
  return ok && (state == TLS_OPEN || state == TLS_HANDSHAKING);
}

/* Bytes are sealed in a buffer that all share: a connection with nothing to write holds none. */
static void
write_out (Server *server, Client *client)
{
  bool ok = send_some (client, &client->out);

  while (ok && client->out.size == 0 && client->connection) {
    buffer_reset (&server->sealed);
    if (!take_output (server, client, &server->sealed))
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
    server_watch (server, &client->watch, EPOLL_CTL_MOD, EPOLLIN | (wants_write ? EPOLLOUT : 0));
  }
}

void
server_mark (Server *server, Client *client)
{
  if (client->marked)
    return;
  client->marked = true;
  server->marked
      = mem_grow (server->marked, server->n_marked, &server->marked_room, sizeof (Client *));
  server->marked[server->n_marked++] = client;
}

void
server_write_marked (Server *server)
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
    server_watch (server, watch, EPOLL_CTL_DEL, 0);
    return;
  }
  if (n > 0 && client->is_command) {
    buffer_append (&client->in, data, (size_t)n);
    run_command (server, client);
  } else if (n > 0) {
    if (!take_input (server, client, data, (size_t)n))
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
  if (!is_command && server->tls)
    client->tls = tls_server_new (server->tls);
  client->next = server->clients;
  server->clients = client;
  hash_index_add (&server->clients_by_id, hash_index_number (client->id), client);
  server_watch (server, &client->watch, EPOLL_CTL_ADD, EPOLLIN);
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
    server->sweep = true;
    return;
  }
  close (server->spare);
  int fd = accept4 (watch->fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0)
    close (fd);
  server->spare = open ("/dev/null", O_RDONLY | O_CLOEXEC);
}

void
server_accept (Server *server, Watch *watch, uint32_t events)
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
