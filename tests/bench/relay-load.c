/* Many relay clients in one process, for tests/bench/relay: real logins over TLS, real frames.
 *
 *   relay-load storm ADDRESS:PORT COUNT [AT-ONCE]      prints "logged-in COUNT SECONDS AGAIN" (how
 *                                                      many had to come back), then stays until its
 *                                                      input ends
 *   relay-load pairs ADDRESS:PORT COUNT SECONDS        COUNT senders to as many receivers: prints
 *                                                      "relayed MBIT-PER-SECOND LOST-PERCENT"
 *   relay-load latency ADDRESS:PORT COUNT              single packets, one after the other: prints
 *                                                      "latency MEDIAN-US P99-US"
 *
 * Certificates are not judged. One thread. */
#include "base/memory.h"
#include "derp-node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PACKET    1312           /* a full tunnel packet */
#define WINDOW    (192 * PACKET) /* a sender's bytes on their way */
#define STALL_US  (200 * USEC_PER_MSEC)
#define LIMIT_US  (300 * USEC_PER_SEC)
#define OUT_MAX   65536
#define QUEUE_MAX (DERP_QUEUE_STANDING - 1)

typedef struct
{
  DerpNode derp;
  bool was_up;
  bool watches_writing;
} Node;

static IpPort relay_address;
static TlsContext *context;
static int epoll_fd;
static Node *nodes;
static size_t n_nodes, n_open, n_up, n_again;

static void
fail (const char *what)
{
  perror (what);
  exit (1);
}

static void
node_open (Node *n)
{
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = n};

  if (!derp_node_dial (&n->derp, context, &relay_address))
    fail ("socket");
  n->was_up = false;
  n->watches_writing = true;
  if (epoll_ctl (epoll_fd, EPOLL_CTL_ADD, n->derp.fd, &event) != 0)
    fail ("epoll_ctl");
}

static void
watch (Node *n)
{
  bool wants = n->derp.wants_write;
  struct epoll_event event = {.events = EPOLLIN | (wants ? EPOLLOUT : 0), .data.ptr = n};

  if (wants == n->watches_writing)
    return;
  n->watches_writing = wants;
  epoll_ctl (epoll_fd, EPOLL_CTL_MOD, n->derp.fd, &event);
}

static void
flush (Node *n, int64_t now_us)
{
  derp_node_flush (&n->derp, now_us);
  watch (n);
}

/* One that was refused for want of time comes back at once, as real ones do. */
static void
settle (Node *n)
{
  if (n->derp.closed && n->was_up) {
    fprintf (stderr, "relay-load: closed: %s\n", n->derp.text);
    exit (1);
  }
  if (n->derp.closed) {
    derp_node_close (&n->derp);
    n_again++;
    derp_node_init (&n->derp, &relay_address, NULL);
    node_open (n);
    return;
  }
  n_up += n->derp.up && !n->was_up;
  n->was_up = n->derp.up;
  watch (n);
}

static void
pump (int timeout_ms)
{
  struct epoll_event events[256];
  int n = epoll_wait (epoll_fd, events, 256, timeout_ms);
  int64_t now_us = clock_now_us ();

  for (int i = 0; i < n; i++) {
    Node *node = events[i].data.ptr;
    derp_node_io (&node->derp, now_us);
    settle (node);
  }
}

/* Logs everybody in, AT_ONCE at a time; seconds. */
static double
log_in (size_t at_once)
{
  int64_t start = clock_now_us ();

  while (n_up < n_nodes) {
    while (n_open < n_nodes && n_open - n_up < at_once)
      node_open (&nodes[n_open++]);
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

  derp_node_send (&from->derp, &to->derp.key, packet, sizeof packet, now_us);
}

/* Fills the window of one pair; what stayed away for long is counted in LOST. */
static void
fill (Node *from, Node *to, int64_t now_us, uint64_t *lost)
{
  DerpNode *a = &from->derp, *b = &to->derp;

  if (a->sent - b->received >= WINDOW && now_us - b->arrived_us > STALL_US) {
    *lost += a->sent - b->received;
    a->sent = b->received;
    b->arrived_us = now_us;
  }
  for (int n = 0; n < QUEUE_MAX && a->sent - b->received < WINDOW && a->out.size < OUT_MAX; n++)
    send_packet (from, to, now_us);
  flush (from, now_us);
}

/* Even nodes send to odd ones. */
static void
run_pairs (int seconds)
{
  int64_t start = clock_now_us (), until = start + seconds * USEC_PER_SEC, now_us;
  uint64_t received = 0, lost = 0;

  while ((now_us = clock_now_us ()) < until) {
    for (size_t i = 0; i < n_nodes; i += 2)
      fill (&nodes[i], &nodes[i + 1], now_us, &lost);
    pump (1);
  }
  for (size_t i = 1; i < n_nodes; i += 2)
    received += nodes[i].derp.received;
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
    b->derp.arrived_us = 0;
    send_packet (a, b, start);
    flush (a, start);
    while (b->derp.arrived_us == 0 && clock_now_us () - start < USEC_PER_SEC)
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
  /* Whoever comes back has a key already. */
  for (size_t i = 0; i < n_nodes; i++)
    derp_node_init (&nodes[i].derp, &relay_address, NULL);
  double seconds = log_in (storm && number > 0 ? (size_t)number : 256);
  if (storm)
    printf ("logged-in %zu %.3f %zu\n", n_nodes, seconds, n_again);
  else if (pairs)
    run_pairs (number > 0 ? number : 5);
  else
    run_latency (count);
  fflush (stdout);
  while (storm && read (STDIN_FILENO, &byte, 1) > 0)
    continue;
  for (size_t i = 0; i < n_nodes; i++)
    derp_node_close (&nodes[i].derp);
  free (nodes);
  tls_context_free (context);
  return 0;
}
