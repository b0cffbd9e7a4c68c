#include "derp-node.h"

#include "base/memory.h"
#include "derp/meta.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX   65536
#define READ_SIZE (1 << 18)

static void
end (DerpNode *n, const char *text)
{
  if (!n->closed)
    snprintf (n->text, sizeof n->text, "%s", text);
  n->closed = true;
}

void
derp_node_init (DerpNode *n, const IpPort *at, const uint8_t *private_key)
{
  uint8_t fresh[32];

  *n = (DerpNode){.fd = -1, .wants_write = true};
  if (!private_key) {
    key_generate (random_system (), fresh);
    private_key = fresh;
  }
  key_public (private_key, n->key.bytes);
  n->client = derp_client_new (&(DerpClientConfig){.node_private = private_key,
                                                   .host = "relay.lab",
                                                   .port = at->port,
                                                   .user_agent = "warren-test",
                                                   .home = true},
                               random_system ());
}

bool
derp_node_dial (DerpNode *n, TlsContext *context, const IpPort *at)
{
  static const TlsClientOptions options = {.server_name = "relay.lab", .verify = TLS_VERIFY_NONE};
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (at, &address);
  int one = 1;

  n->fd = socket (address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (n->fd < 0)
    return false;
  setsockopt (n->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect (n->fd, (struct sockaddr *)&address, size) != 0 && errno != EINPROGRESS)
    end (n, strerror (errno));
  n->tls = tls_client_new (context, &options);
  return true;
}

bool
derp_node_open (DerpNode *n, TlsContext *context, const IpPort *at, const uint8_t *private_key)
{
  derp_node_init (n, at, private_key);
  return derp_node_dial (n, context, at);
}

void
derp_node_close (DerpNode *n)
{
  if (!n->client)
    return;
  derp_client_free (n->client);
  tls_free (n->tls);
  buffer_free (&n->out);
  if (n->fd >= 0)
    close (n->fd);
  n->client = NULL;
}

static void
take_actions (DerpNode *n, int64_t now_us)
{
  DerpClientAction a;

  while (derp_client_next_action (n->client, &a, now_us))
    switch (a.type) {
      case DERP_CLIENT_ACTION_UP:
        n->up = true;
        break;
      case DERP_CLIENT_ACTION_PACKET:
        n->packets++;
        n->received += a.packet.size;
        n->last_source = a.packet.source;
        n->arrived_us = now_us;
        break;
      case DERP_CLIENT_ACTION_PEER_GONE:
        n->gone++;
        n->last_gone = a.peer_gone.peer;
        break;
      case DERP_CLIENT_ACTION_PEER_PRESENT:
        break;
      case DERP_CLIENT_ACTION_HEALTH:
        n->health++;
        break;
      case DERP_CLIENT_ACTION_RESTARTING:
        n->restart_us = a.restart_us;
        break;
      case DERP_CLIENT_ACTION_CLOSE:
        end (n, a.close.text);
        break;
    }
}

static void
feed (DerpNode *n, const uint8_t *data, size_t size, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};
  Buffer plain = {0};
  TlsState state = tls_receive (n->tls, data, size, &plain);

  if (state == TLS_OPEN && !n->connected) {
    n->connected = true;
    event.connected.fast_start = derp_fast_start_key (n->tls, &event.connected.server_key);
    derp_client_input (n->client, &event, now_us);
  }
  if (plain.size > 0) {
    event = (DerpClientEvent){.type = DERP_CLIENT_EVENT_BYTES};
    event.bytes.data = plain.data;
    event.bytes.size = plain.size;
    derp_client_input (n->client, &event, now_us);
  }
  take_actions (n, now_us);
  buffer_free (&plain);
  if (state == TLS_FAILED || state == TLS_CLOSED)
    end (n, state == TLS_FAILED ? tls_error (n->tls) : "closed");
}

void
derp_node_flush (DerpNode *n, int64_t now_us)
{
  uint8_t record[DERP_RECORD_SIZE];

  if (n->closed)
    return;
  while (n->connected && n->out.size < OUT_MAX && derp_client_wants_write (n->client)) {
    size_t size = derp_client_pull (n->client, record, sizeof record, now_us);
    if (size == 0)
      break;
    tls_write_to (n->tls, record, size, &n->out);
  }
  tls_take (n->tls, &n->out);
  while (n->out.size > 0) {
    ssize_t written = send (n->fd, n->out.data, n->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written > 0) {
      buffer_consume (&n->out, (size_t)written);
      continue;
    }
    if (errno != EAGAIN && errno != ENOTCONN)
      end (n, strerror (errno));
    break;
  }
  n->wants_write = n->out.size > 0;
  if (!n->wants_write)
    buffer_free (&n->out);
}

void
derp_node_io (DerpNode *n, int64_t now_us)
{
  static __thread uint8_t data[READ_SIZE];
  ssize_t size = n->closed ? -1 : recv (n->fd, data, sizeof data, MSG_DONTWAIT);

  if (n->closed)
    return;
  if (size > 0)
    feed (n, data, (size_t)size, now_us);
  else if (size == 0)
    end (n, "the relay closed the connection");
  else if (errno != EAGAIN && errno != ENOTCONN)
    end (n, strerror (errno));
  derp_node_flush (n, now_us);
}

void
derp_node_send (DerpNode *n, const NodePublic *to, const void *data, size_t size, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND};

  event.send.peer = *to;
  event.send.data = data;
  event.send.size = size;
  derp_client_input (n->client, &event, now_us);
  n->sent += size;
}

void
derp_nodes_pump (DerpNode *nodes, size_t count, int timeout_ms)
{
  struct pollfd *fds = mem_new (count * sizeof *fds);

  for (size_t i = 0; i < count; i++) {
    derp_node_flush (&nodes[i], clock_now_us ());
    fds[i] = (struct pollfd){.fd = nodes[i].closed ? -1 : nodes[i].fd,
                             .events = (short)(POLLIN | (nodes[i].wants_write ? POLLOUT : 0))};
  }
  poll (fds, count, timeout_ms);
  for (size_t i = 0; i < count; i++)
    if (fds[i].revents != 0)
      derp_node_io (&nodes[i], clock_now_us ());
  free (fds);
}
