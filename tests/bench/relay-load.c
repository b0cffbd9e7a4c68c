/* Many relay clients in one process, for tests/bench/relay: real logins over TLS, real frames.
 *
 *   relay-load storm ADDRESS:PORT COUNT [AT-ONCE]      prints "logged-in COUNT SECONDS", then stays
 *                                                      until its input ends
 *   relay-load pairs ADDRESS:PORT COUNT SECONDS        COUNT senders to as many receivers: prints
 *                                                      "relayed MBIT-PER-SECOND LOST-PERCENT"
 *   relay-load latency ADDRESS:PORT COUNT              single packets, one after the other: prints
 *                                                      "latency MEDIAN-US P99-US"
 *
 * Certificates are not judged. One thread. */
#include "base/clock.h"
#include "base/memory.h"
#include "derp/client.h"
#include "derp/meta.h"
#include "wire/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET    1312           /* a full tunnel packet */
#define WINDOW    (192 * PACKET) /* a sender's bytes on their way */
#define STALL_US  (200 * USEC_PER_MSEC)
#define LIMIT_US  (300 * USEC_PER_SEC)
#define OUT_MAX   65536
#define QUEUE_MAX (DERP_QUEUE_PACKETS - 1)

typedef struct
{
  int fd;
  Tls *tls;
  Buffer out;
  DerpClient *client;
  NodePublic key;
  bool connected;
  bool up;
  bool wants_write;
  uint64_t sent, received; /* bytes of packets */
  int64_t moved_us;        /* when RECEIVED changed */
  int64_t arrived_us;
} Node;

static IpPort relay_address;
static TlsContext *context;
static int epoll_fd;
static Node *nodes;
static size_t n_nodes, n_open, n_up;

static void
fail (const char *what)
{
  perror (what);
  exit (1);
}

static void
node_open (Node *n)
{
  static const TlsClientOptions options = {.server_name = "relay.lab", .verify = TLS_VERIFY_NONE};
  struct sockaddr_storage address;
  uint8_t private_key[32];
  socklen_t size = ip_port_to_sockaddr (&relay_address, &address);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = n};
  int one = 1;

  key_generate (random_system (), private_key);
  key_public (private_key, n->key.bytes);
  n->client = derp_client_new (&(DerpClientConfig){.node_private = private_key,
                                                   .host = "relay.lab",
                                                   .port = relay_address.port,
                                                   .user_agent = "warren-load",
                                                   .home = true},
                               random_system ());
  n->fd = socket (address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (n->fd < 0)
    fail ("socket");
  setsockopt (n->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect (n->fd, (struct sockaddr *)&address, size) != 0 && errno != EINPROGRESS)
    fail ("connect");
  n->tls = tls_client_new (context, &options);
  n->wants_write = true;
  if (epoll_ctl (epoll_fd, EPOLL_CTL_ADD, n->fd, &event) != 0)
    fail ("epoll_ctl");
  n_open++;
}

static void
node_clear (Node *n)
{
  if (!n->client)
    return;
  derp_client_free (n->client);
  tls_free (n->tls);
  buffer_free (&n->out);
  close (n->fd);
}

static void
flush (Node *n, int64_t now_us)
{
  uint8_t record[DERP_RECORD_SIZE];
  struct epoll_event event = {.data.ptr = n};

  while (n->connected && n->out.size < OUT_MAX && derp_client_wants_write (n->client)) {
    size_t size = derp_client_pull (n->client, record, sizeof record, now_us);
    if (size == 0)
      break;
    tls_write (n->tls, record, size);
    tls_take (n->tls, &n->out);
  }
  tls_take (n->tls, &n->out);
  while (n->out.size > 0) {
    ssize_t written = send (n->fd, n->out.data, n->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written <= 0 && errno != EAGAIN && errno != ENOTCONN)
      fail ("send");
    if (written <= 0)
      break;
    buffer_consume (&n->out, (size_t)written);
  }
  bool wants = n->out.size > 0;
  if (wants != n->wants_write) {
    n->wants_write = wants;
    event.events = EPOLLIN | (wants ? EPOLLOUT : 0);
    epoll_ctl (epoll_fd, EPOLL_CTL_MOD, n->fd, &event);
  }
  if (!wants)
    buffer_free (&n->out);
}

static void
take_actions (Node *n, int64_t now_us)
{
  DerpClientAction a;

  while (derp_client_next_action (n->client, &a, now_us))
    switch (a.type) {
      case DERP_CLIENT_ACTION_UP:
        n->up = true;
        n_up++;
        break;
      case DERP_CLIENT_ACTION_PACKET:
        n->received += a.packet.size;
        n->moved_us = n->arrived_us = now_us;
        break;
      case DERP_CLIENT_ACTION_CLOSE:
        fprintf (stderr, "relay-load: closed: %s\n", a.close.text);
        exit (1);
      case DERP_CLIENT_ACTION_PEER_GONE:
      case DERP_CLIENT_ACTION_HEALTH:
        break;
    }
}

static void
read_in (Node *n, int64_t now_us)
{
  static uint8_t data[1 << 18];
  static Buffer plain;
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};
  ssize_t size = recv (n->fd, data, sizeof data, MSG_DONTWAIT);

  if (size < 0 && (errno == EAGAIN || errno == ENOTCONN))
    return;
  if (size <= 0)
    fail ("recv");
  tls_feed (n->tls, data, (size_t)size);
  buffer_reset (&plain);
  if (tls_read (n->tls, &plain) == TLS_FAILED) {
    fprintf (stderr, "relay-load: TLS: %s\n", tls_error (n->tls));
    exit (1);
  }
  if (!n->connected && tls_state (n->tls) == TLS_OPEN) {
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
}

static void
pump (int timeout_ms)
{
  struct epoll_event events[256];
  int n = epoll_wait (epoll_fd, events, 256, timeout_ms);
  int64_t now_us = clock_now_us ();

  for (int i = 0; i < n; i++) {
    Node *node = events[i].data.ptr;
    read_in (node, now_us);
    flush (node, now_us);
  }
}

/* Logs everybody in, AT_ONCE at a time; seconds. */
static double
log_in (size_t at_once)
{
  int64_t start = clock_now_us ();

  while (n_up < n_nodes) {
    while (n_open < n_nodes && n_open - n_up < at_once)
      node_open (&nodes[n_open]);
    pump (100);
    if (clock_now_us () - start > LIMIT_US) {
      fprintf (stderr, "relay-load: %zu of %zu logged in\n", n_up, n_nodes);
      exit (1);
    }
  }
  return (double)(clock_now_us () - start) / 1e6;
}

static void
send_packet (Node *from, const Node *to, int64_t now_us)
{
  static uint8_t packet[PACKET] = {4};
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND};

  event.send.peer = to->key;
  event.send.data = packet;
  event.send.size = sizeof packet;
  derp_client_input (from->client, &event, now_us);
  from->sent += sizeof packet;
}

/* Even nodes send to odd ones; what stays away for long counts as lost. */
static void
run_pairs (int seconds)
{
  int64_t start = clock_now_us (), until = start + seconds * USEC_PER_SEC, now_us;
  uint64_t received = 0, lost = 0;

  while ((now_us = clock_now_us ()) < until) {
    for (size_t i = 0; i < n_nodes; i += 2) {
      Node *a = &nodes[i], *b = &nodes[i + 1];
      if (a->sent - b->received >= WINDOW && now_us - b->moved_us > STALL_US) {
        lost += a->sent - b->received;
        a->sent = b->received;
        b->moved_us = now_us;
      }
      for (int n = 0; n < QUEUE_MAX && a->sent - b->received < WINDOW && a->out.size < OUT_MAX; n++)
        send_packet (a, b, now_us);
      flush (a, now_us);
    }
    pump (1);
  }
  for (size_t i = 1; i < n_nodes; i += 2)
    received += nodes[i].received;
  printf ("relayed %.0f %.2f\n", (double)received * 8 / (double)(now_us - start),
          100.0 * (double)lost / (double)(received + lost + 1));
}

static int
compare (const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return (x > y) - (x < y);
}

static void
run_latency (size_t count)
{
  int64_t *took = mem_new (count * sizeof *took);
  Node *a = &nodes[0], *b = &nodes[1];

  for (size_t i = 0; i < count; i++) {
    int64_t start = clock_now_us ();
    b->arrived_us = 0;
    send_packet (a, b, start);
    flush (a, start);
    while (b->arrived_us == 0 && clock_now_us () - start < USEC_PER_SEC)
      pump (10);
    took[i] = clock_now_us () - start;
  }
  qsort (took, count, sizeof *took, compare);
  printf ("latency %ld %ld\n", (long)took[count / 2], (long)took[count * 99 / 100]);
  free (took);
}

int
main (int argc, char **argv)
{
  char *error = NULL, byte;

  if (argc < 4 || !ip_port_parse (argv[2], strlen (argv[2]), &relay_address)) {
    fprintf (stderr, "usage: relay-load storm|pairs|latency ADDRESS:PORT COUNT …\n");
    return 2;
  }
  context = tls_client_context_new (NULL, &error);
  epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  size_t count = strtoul (argv[3], NULL, 10);
  int number = argc > 4 ? atoi (argv[4]) : 0;
  bool storm = strcmp (argv[1], "storm") == 0, pairs = strcmp (argv[1], "pairs") == 0;
  n_nodes = storm ? count : pairs ? 2 * count : 2;
  nodes = mem_new (n_nodes * sizeof *nodes);
  double seconds = log_in (storm && number > 0 ? (size_t)number : 256);
  if (storm)
    printf ("logged-in %zu %.3f\n", n_nodes, seconds);
  else if (pairs)
    run_pairs (number > 0 ? number : 5);
  else
    run_latency (count);
  fflush (stdout);
  while (storm && read (STDIN_FILENO, &byte, 1) > 0)
    continue;
  for (size_t i = 0; i < n_nodes; i++)
    node_clear (&nodes[i]);
  free (nodes);
  tls_context_free (context);
  return 0;
}
