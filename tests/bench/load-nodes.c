/* warren-load: simulated nodes on real sockets, at most 5,000 in a process.
 *
 *   warren-load --to ADDRESS:PORT --first I --count N --total T [--auth-key KEY]
 *               [--seconds S --change PERCENT --whole PERCENT] [--check K] [--ledger FILE]
 *
 * Connects all at once. With --auth-key they only join; else they open their map streams, say
 * "ready", and on a line of input the changes begin. Prints one JSON object at the end. */

#include "load-ledger.h"
#include "load-node.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS     256
#define READ_SIZE  65536
#define GRACE_US   (5 * USEC_PER_SEC)   /* for the last news to come, at the end */
#define SETUP_US   (300 * USEC_PER_SEC) /* until everybody has a map */
#define RECONNECTS 5

typedef struct
{
  const char *to, *auth_key, *ledger;
  uint32_t first, count, total, check;
  int seconds;
  double change, whole; /* percent of the nodes a second, percent of the changes */
} Options;

typedef struct
{
  LoadNode node;
  int fd;
  unsigned tries;
  bool wants_write;
  int64_t first_map_us;
} Peer;

typedef struct
{
  Options options;
  struct sockaddr_storage address;
  socklen_t address_size;
  MachinePublic server;
  int epoll;
  Peer *peers;
  LoadLedger *ledger;
  int64_t start_us;
  uint32_t with_map, registered, answers, refused, reconnects, bad;
  uint32_t next_change;
  uint32_t changes;
  long fewest_peers;
} Load;

/* ---- connections ---- */

static void
open_peer (Load *load, Peer *peer)
{
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = peer};
  int size = 256 << 10;

  peer->fd = socket (load->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (peer->fd < 0) {
    perror ("socket");
    exit (1);
  }
  setsockopt (peer->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (connect (peer->fd, (struct sockaddr *)&load->address, load->address_size) != 0
      && errno != EINPROGRESS) {
    perror ("connect");
    exit (1);
  }
  peer->wants_write = true;
  epoll_ctl (load->epoll, EPOLL_CTL_ADD, peer->fd, &event);
  load_node_connect (&peer->node, &load->server);
}

static void
reopen_peer (Load *load, Peer *peer)
{
  close (peer->fd);
  load->reconnects++;
  if (peer->node.has_first_map)
    load->with_map--;
  if (++peer->tries <= RECONNECTS)
    open_peer (load, peer);
  else
    peer->fd = -1;
}

static bool
flush_peer (Load *load, Peer *peer)
{
  Buffer *out = &peer->node.out;

  while (out->size > 0) {
    ssize_t n = send (peer->fd, out->data, out->size, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
      break;
    if (n <= 0)
      return false;
    buffer_consume (out, (size_t)n);
  }
  bool wants_write = out->size > 0;
  if (!wants_write)
    buffer_free (out);
  if (wants_write != peer->wants_write) {
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = peer};
    peer->wants_write = wants_write;
    epoll_ctl (load->epoll, EPOLL_CTL_MOD, peer->fd, &event);
  }
  return true;
}

static bool
read_peer (Load *load, Peer *peer)
{
  static uint8_t data[READ_SIZE];
  bool upgrading = peer->node.state == LOAD_UPGRADING;
  ssize_t n = recv (peer->fd, data, sizeof data, 0);

  if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN))
    return true;
  if (n <= 0 || !load_node_feed (&peer->node, data, (size_t)n))
    return false;
  if (upgrading && peer->node.state == LOAD_OPEN) {
    if (load->options.auth_key)
      load_node_register (&peer->node, load->options.auth_key);
    else
      load_node_poll (&peer->node);
  }
  return true;
}

static void
serve (Load *load, int64_t until_us)
{
  struct epoll_event events[EVENTS];
  int64_t now_us = clock_now_us ();
  int wait_ms = until_us > now_us ? (int)((until_us - now_us) / USEC_PER_MSEC) : 0;
  int n = epoll_wait (load->epoll, events, EVENTS, wait_ms < 10 ? wait_ms : 10);

  for (int i = 0; i < n; i++) {
    Peer *peer = events[i].data.ptr;
    if (peer->fd >= 0 && (!read_peer (load, peer) || !flush_peer (load, peer)))
      reopen_peer (load, peer);
  }
}

/* ---- what nodes tell ---- */

static void
check_map (Load *load, const void *data, size_t size)
{
  long peers = load_ledger_check_map (data, size);

  if (peers < 0)
    load->bad++;
  else if (load->fewest_peers < 0 || peers < load->fewest_peers)
    load->fewest_peers = peers;
}

static void
sink (void *user_data, LoadNode *node, LoadEventType type, const void *data, size_t size)
{
  Load *load = user_data;
  Peer *peer = &load->peers[node->index - load->options.first];

  switch (type) {
    case LOAD_REGISTERED:
      load->registered++;
      break;
    case LOAD_FIRST_MAP:
      load->with_map++;
      peer->first_map_us = clock_now_us ();
      if (node->keep_messages)
        check_map (load, data, size);
      break;
    case LOAD_MESSAGE:
      if (!load_ledger_told (load->ledger, data, size, clock_now_us ()))
        load->bad++;
      break;
    case LOAD_ANSWER:
      load->answers++;
      break;
    case LOAD_REFUSED:
      load->refused++;
      node->state = LOAD_FAILED;
      break;
  }
}

/* ---- phases ---- */

static bool
is_ready (const Load *load)
{
  return (load->options.auth_key ? load->registered : load->with_map) == load->options.count;
}

static void
connect_all (Load *load)
{
  load->peers = mem_new (load->options.count * sizeof *load->peers);
  load->start_us = clock_now_us ();
  for (uint32_t i = 0; i < load->options.count; i++) {
    Peer *peer = &load->peers[i];
    load_node_init (&peer->node, load->options.first + i, sink, load);
    peer->node.keep_messages = load->options.check > 0 && i % load->options.check == 0;
    open_peer (load, peer);
    if (i % 64 == 0)
      serve (load, 0);
  }
  while (!is_ready (load) && clock_now_us () < load->start_us + SETUP_US)
    serve (load, clock_now_us () + 10 * USEC_PER_MSEC);
}

static void
change_one (Load *load)
{
  Peer *peer = &load->peers[load->next_change++ % load->options.count];
  bool whole = load->changes++ % 100 < (uint32_t)load->options.whole;

  if (peer->fd < 0 || peer->node.state != LOAD_OPEN || peer->node.changes + 1 >= LEDGER_CHANGES_MAX)
    return;
  load_node_change (&peer->node, whole);
  load_ledger_sent (load->ledger, peer->node.index, peer->node.changes, clock_now_us ());
  if (!flush_peer (load, peer))
    reopen_peer (load, peer);
}

static void
change_for_a_while (Load *load)
{
  int64_t start_us = clock_now_us (), now_us = start_us;
  int64_t end_us = start_us + load->options.seconds * USEC_PER_SEC;
  double rate = load->options.count * load->options.change / 100.0;

  while ((now_us = clock_now_us ()) < end_us) {
    double due = (double)(now_us - start_us) * rate / USEC_PER_SEC;
    for (int burst = 0; load->changes < due && burst < 16; burst++)
      change_one (load);
    serve (load, now_us + 10 * USEC_PER_MSEC);
  }
  while (clock_now_us () < end_us + GRACE_US)
    serve (load, end_us + GRACE_US);
}

/* ---- results ---- */

static int
compare_times (const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return x < y ? -1 : x > y;
}

static void
report (Load *load)
{
  int64_t *times = mem_new ((load->options.count + 1) * sizeof *times);
  uint64_t bytes = 0, messages, different, digest = 0;
  size_t n = 0;

  for (uint32_t i = 0; i < load->options.count; i++) {
    const Peer *peer = &load->peers[i];
    bytes += peer->node.map_bytes;
    digest ^= peer->node.digest;
    if (peer->first_map_us)
      times[n++] = peer->first_map_us - load->start_us;
  }
  qsort (times, n, sizeof *times, compare_times);
  load_ledger_counts (load->ledger, &messages, &different);
  printf ("{\"nodes\":%u,\"first_maps\":%zu,\"first_p50_ms\":%" PRId64 ",\"first_last_ms\":%" PRId64
          ",\"map_bytes\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"different\":%" PRIu64
          ",\"changes\":%u,\"answers\":%u,\"registered\":%u,\"refused\":%u,\"reconnects\":%u,"
          "\"bad\":%u,\"fewest_peers\":%ld,\"digest\":\"%016" PRIx64 "\"}\n",
          load->options.count, n, n ? times[n / 2] / 1000 : -1, n ? times[n - 1] / 1000 : -1, bytes,
          messages, different, load->changes, load->answers, load->registered, load->refused,
          load->reconnects, load->bad, load->fewest_peers, digest);
  free (times);
}

static bool
fetch_key (Load *load)
{
  static const char request[]
      = "GET /key?v=131 HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n";
  char answer[2048] = "";
  size_t size = 0;
  ssize_t n;
  int fd = socket (load->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (connect (fd, (struct sockaddr *)&load->address, load->address_size) == 0
      && write (fd, request, sizeof request - 1) == sizeof request - 1)
    while (size < sizeof answer - 1 && (n = read (fd, answer + size, sizeof answer - 1 - size)) > 0)
      size += (size_t)n;
  close (fd);
  char *key = strstr (answer, "\"publicKey\":\"");
  return key
         && key_parse (KEY_MACHINE_PUBLIC, key + 13, strcspn (key + 13, "\""), load->server.bytes);
}

static bool
parse (int argc, char **argv, Options *options)
{
  static const struct option names[] = {
      {"to", required_argument, NULL, 't'},
      {"first", required_argument, NULL, 'f'},
      {"count", required_argument, NULL, 'n'},
      {"total", required_argument, NULL, 'T'},
      {"auth-key", required_argument, NULL, 'k'},
      {"seconds", required_argument, NULL, 's'},
      {"change", required_argument, NULL, 'c'},
      {"whole", required_argument, NULL, 'w'},
      {"check", required_argument, NULL, 'C'},
      {"ledger", required_argument, NULL, 'l'},
      {0},
  };
  int c;

  while ((c = getopt_long (argc, argv, "", names, NULL)) != -1) {
    switch (c) {
      case 't':
        options->to = optarg;
        break;
      case 'f':
        options->first = (uint32_t)atoi (optarg);
        break;
      case 'n':
        options->count = (uint32_t)atoi (optarg);
        break;
      case 'T':
        options->total = (uint32_t)atoi (optarg);
        break;
      case 'k':
        options->auth_key = optarg;
        break;
      case 's':
        options->seconds = atoi (optarg);
        break;
      case 'c':
        options->change = atof (optarg);
        break;
      case 'w':
        options->whole = atof (optarg);
        break;
      case 'C':
        options->check = (uint32_t)atoi (optarg);
        break;
      case 'l':
        options->ledger = optarg;
        break;
      default:
        return false;
    }
  }
  return options->to && options->count > 0 && options->total >= options->first + options->count;
}

int
main (int argc, char **argv)
{
  static Load load = {.fewest_peers = -1}; /* its nodes are there until the process ends */
  char line[16];
  IpPort to;

  load.epoll = epoll_create1 (EPOLL_CLOEXEC);

  if (sodium_init () < 0 || !parse (argc, argv, &load.options)
      || !ip_port_parse (load.options.to, strlen (load.options.to), &to)) {
    fputs ("usage: warren-load --to ADDRESS:PORT --first I --count N --total T …\n", stderr);
    return 2;
  }
  load.address_size = ip_port_to_sockaddr (&to, &load.address);
  load.ledger = load_ledger_new (load.options.total);
  if (!fetch_key (&load)) {
    fprintf (stderr, "warren-load: no coordinator at %s\n", load.options.to);
    return 1;
  }
  connect_all (&load);
  printf ("ready\n");
  fflush (stdout);
  if (load.options.seconds > 0 && is_ready (&load)) {
    fcntl (0, F_SETFL, O_NONBLOCK);
    while (read (0, line, sizeof line) < 0 && errno == EAGAIN)
      serve (&load, clock_now_us () + 10 * USEC_PER_MSEC);
    change_for_a_while (&load);
  }
  report (&load);
  FILE *file = load.options.ledger ? fopen (load.options.ledger, "we") : NULL;
  if (file) {
    load_ledger_write (load.ledger, file);
    fclose (file);
  }
  return is_ready (&load) && load.bad == 0 ? 0 : 1;
}
