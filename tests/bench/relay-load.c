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
 * Certificates are not judged, and the logins of a storm are as cheap as can be (quick-login.h).
 * One thread. */
#include "base/memory.h"
#include "derp-node.h"
#include "derp/meta.h"
#include "quick-login.h"

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
static size_t n_nodes, n_up;

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

static void
settle (Node *n)
{
  if (n->derp.closed) {
    fprintf (stderr, "relay-load: closed: %s\n", n->derp.text);
    exit (1);
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

static void
check_time (int64_t start_us, size_t up, size_t all)
{
  if (clock_now_us () - start_us <= LIMIT_US)
    return;
  fprintf (stderr, "relay-load: %zu of %zu logged in\n", up, all);
  exit (1);
}

static void
log_in (void)
{
  int64_t start = clock_now_us ();

  nodes = mem_new (n_nodes * sizeof *nodes);
  for (size_t i = 0; i < n_nodes; i++) {
    derp_node_init (&nodes[i].derp, &relay_address, NULL);
    node_open (&nodes[i]);
  }
  while (n_up < n_nodes) {
    pump (100);
    check_time (start, n_up, n_nodes);
  }
}

static void
log_out (void)
{
  for (size_t i = 0; i < n_nodes; i++)
    derp_node_close (&nodes[i].derp);
  free (nodes);
}

/* ---- storms ---- */

static QuickLogin *quick;
static size_t n_quick, n_open, n_quick_up, n_again;

/* By an ordinary login. */
static DerpPublic
ask_server_key (void)
{
  DerpPublic key;

  n_nodes = 1;
  log_in ();
  if (!derp_fast_start_key (nodes[0].derp.tls, &key)) {
    fprintf (stderr, "relay-load: the relay does not tell its key by its certificate\n");
    exit (1);
  }
  log_out ();
  return key;
}

static void
quick_open (QuickLogin *q)
{
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = q};

  if (!quick_login_dial (q) || epoll_ctl (epoll_fd, EPOLL_CTL_ADD, q->fd, &event) != 0)
    fail ("socket");
}

/* One that was refused for want of time comes back at once, as real ones do. */
static void
quick_io (QuickLogin *q)
{
  bool was_up = q->stage == QUICK_UP;

  quick_login_io (q);
  n_quick_up += q->stage == QUICK_UP && !was_up;
  if (q->stage != QUICK_FAILED)
    return;
  if (was_up) {
    fprintf (stderr, "relay-load: one that was logged in was closed\n");
    exit (1);
  }
  quick_login_close (q);
  n_again++;
  quick_open (q);
}

/* Logs COUNT clients in, AT_ONCE at a time, and stays with them until the input ends. */
static void
run_storm (size_t count, size_t at_once)
{
  struct epoll_event events[256];
  DerpPublic key = ask_server_key ();
  char byte;

  n_quick = count;
  quick = mem_new (count * sizeof *quick);
  if (!quick_login_begin (&relay_address, &key))
    fail ("OpenSSL");
  /* Whoever comes back has a key already. */
  for (size_t i = 0; i < count; i++)
    quick_login_init (&quick[i]);
  int64_t start = clock_now_us ();
  while (n_quick_up < count) {
    while (n_open < count && n_open - n_quick_up < at_once)
      quick_open (&quick[n_open++]);
    int n = epoll_wait (epoll_fd, events, 256, 100);
    for (int i = 0; i < n; i++)
      quick_io (events[i].data.ptr);
    check_time (start, n_quick_up, count);
  }
  printf ("logged-in %zu %.3f %zu\n", count, (double)(clock_now_us () - start) / 1e6, n_again);
  fflush (stdout);
  while (read (STDIN_FILENO, &byte, 1) > 0)
    continue;
  for (size_t i = 0; i < count; i++)
    quick_login_close (&quick[i]);
  free (quick);
}

/* ---- packets ---- */

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
  char *error = NULL;

  if (argc < 4 || !ip_port_parse (argv[2], strlen (argv[2]), &relay_address)) {
    fprintf (stderr, "usage: relay-load storm|pairs|latency ADDRESS:PORT COUNT …\n");
    return 2;
  }
  context = tls_client_context_new (NULL, &error);
  epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  size_t count = strtoul (argv[3], NULL, 10);
  int number = argc > 4 ? atoi (argv[4]) : 0;
  bool pairs = strcmp (argv[1], "pairs") == 0;
  if (strcmp (argv[1], "storm") == 0) {
    run_storm (count, number > 0 ? (size_t)number : 256);
  } else {
    n_nodes = pairs ? 2 * count : 2;
    log_in ();
    if (pairs)
      run_pairs (number > 0 ? number : 5);
    else
      run_latency (count);
    log_out ();
  }
  tls_context_free (context);
  return 0;
}
