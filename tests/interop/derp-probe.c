/* The relay client alone against a real relay: logs in as two nodes, sends packets between them and
 * to itself, asks for somebody who is not there, and measures throughput. Says what held, in TAP.
 *
 *   derp-probe ADDRESS:PORT HOST fast|slow|plain [SHA256-OF-CERTIFICATE]
 *
 * fast: TLS and fast start; slow: TLS, as if there were no meta certificate; plain: no TLS. */
#include "base/bytes.h"
#include "base/clock.h"
#include "derp/client.h"
#include "derp/meta.h"
#include "wire/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_US (10 * USEC_PER_SEC)
#define BULK     (8 * 1024 * 1024)
#define CHUNK    1312

typedef struct
{
  int fd;
  Tls *tls; /* NULL: plain */
  Buffer out;
  DerpClient *client;
  NodePublic key;
  bool connected;
  bool fast; /* the login did not wait for the relay */
  bool up;
  bool closed;
  char text[256];
  size_t received; /* bytes in packets */
  unsigned packets;
  NodePublic last_source;
  uint8_t last[65536];
  size_t last_size;
  unsigned gone;
  NodePublic last_gone;
} Node;

static const char *way, *host;
static IpPort relay_address;
static TlsContext *context;
static TlsClientOptions options;
static int number;

static void
result (bool ok, const char *statement)
{
  printf ("%s %d - %s: %s\n", ok ? "ok" : "not ok", ++number, way, statement);
  fflush (stdout);
}

static void
node_open (Node *n, bool home)
{
  struct sockaddr_storage address;
  uint8_t private_key[32];
  socklen_t size = ip_port_to_sockaddr (&relay_address, &address);

  key_generate (random_system (), private_key);
  key_public (private_key, n->key.bytes);
  n->client = derp_client_new (&(DerpClientConfig){.node_private = private_key,
                                                   .host = host,
                                                   .port = relay_address.port,
                                                   .user_agent = "warren-probe",
                                                   .home = home},
                               random_system ());
  n->fd = socket (address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (n->fd < 0 || connect (n->fd, (struct sockaddr *)&address, size) != 0) {
    perror ("connect");
    exit (1);
  }
  if (strcmp (way, "plain") != 0)
    n->tls = tls_client_new (context, &options);
}

static void
node_close (Node *n)
{
  derp_client_free (n->client);
  if (n->tls)
    tls_free (n->tls);
  buffer_free (&n->out);
  close (n->fd);
}

static void
take_actions (Node *n, int64_t now_us)
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
        n->last_size = a.packet.size;
        memcpy (n->last, a.packet.data, a.packet.size);
        break;
      case DERP_CLIENT_ACTION_PEER_GONE:
        n->gone++;
        n->last_gone = a.peer_gone.peer;
        break;
      case DERP_CLIENT_ACTION_HEALTH:
      case DERP_CLIENT_ACTION_RESTARTING:
      case DERP_CLIENT_ACTION_PEER_PRESENT:
        break;
      case DERP_CLIENT_ACTION_CLOSE:
        n->closed = true;
        snprintf (n->text, sizeof n->text, "%s", a.close.text);
        break;
    }
}

static void
say_connected (Node *n, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  n->connected = true;
  if (strcmp (way, "fast") == 0)
    n->fast = event.connected.fast_start
        = derp_fast_start_key (n->tls, &event.connected.server_key);
  derp_client_input (n->client, &event, now_us);
}

static void
feed (Node *n, const uint8_t *data, size_t size, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};
  Buffer plain = {0};
  TlsState state = TLS_OPEN;

  event.bytes.data = data;
  event.bytes.size = size;
  if (n->tls) {
    tls_feed (n->tls, data, size);
    state = tls_read (n->tls, &plain);
    event.bytes.data = plain.data;
    event.bytes.size = plain.size;
  }
  if (state == TLS_FAILED)
    snprintf (n->text, sizeof n->text, "%s", tls_error (n->tls));
  n->closed |= state == TLS_FAILED || state == TLS_CLOSED;
  if (state == TLS_OPEN && !n->connected)
    say_connected (n, now_us);
  if (event.bytes.size > 0)
    derp_client_input (n->client, &event, now_us);
  take_actions (n, now_us);
  buffer_free (&plain);
}

static void
flush (Node *n, int64_t now_us)
{
  uint8_t record[DERP_RECORD_SIZE];

  while (n->connected && n->out.size < 65536 && derp_client_wants_write (n->client)) {
    size_t size = derp_client_pull (n->client, record, sizeof record, now_us);
    if (size == 0)
      break;
    if (!n->tls)
      buffer_append (&n->out, record, size);
    else if (!tls_write (n->tls, record, size))
      n->closed = true;
    if (n->tls)
      tls_take (n->tls, &n->out);
  }
  if (n->tls)
    tls_take (n->tls, &n->out);
  if (n->out.size > 0) {
    ssize_t written = send (n->fd, n->out.data, n->out.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written > 0)
      buffer_consume (&n->out, (size_t)written);
    else if (written < 0 && errno != EAGAIN)
      n->closed = true;
  }
}

/* One round of reading and writing of all nodes, 10 ms at most. */
static void
pump (Node *nodes, size_t count)
{
  static uint8_t data[65536];
  struct pollfd fds[4];
  int64_t now_us = clock_now_us ();

  for (size_t i = 0; i < count; i++) {
    if (!nodes[i].tls && !nodes[i].connected)
      say_connected (&nodes[i], now_us);
    flush (&nodes[i], now_us);
    fds[i] = (struct pollfd){.fd = nodes[i].fd,
                             .events = (short)(POLLIN | (nodes[i].out.size > 0 ? POLLOUT : 0))};
  }
  poll (fds, (nfds_t)count, 10);
  now_us = clock_now_us ();
  for (size_t i = 0; i < count; i++) {
    ssize_t size = recv (nodes[i].fd, data, sizeof data, MSG_DONTWAIT);
    if (size > 0)
      feed (&nodes[i], data, (size_t)size, now_us);
    else if (size == 0)
      nodes[i].closed = true;
    derp_client_input (nodes[i].client, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_TICK}, now_us);
    take_actions (&nodes[i], now_us);
    flush (&nodes[i], now_us);
  }
}

static void
send_to (Node *from, const NodePublic *to, const void *data, size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND};

  event.send.peer = *to;
  event.send.data = data;
  event.send.size = size;
  derp_client_input (from->client, &event, clock_now_us ());
}

#define WAIT_FOR(nodes, count, condition)                                                          \
  for (int64_t until_ = clock_now_us () + LIMIT_US; !(condition) && clock_now_us () < until_;)     \
  pump (nodes, count)

static void
test_packets (Node *nodes)
{
  Node *a = &nodes[0], *b = &nodes[1];
  static uint8_t large[60000] = {4, 1, 2, 3};
  uint8_t disco[100] = {0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac};
  NodePublic nobody = {{42}};

  send_to (a, &a->key, "to myself", 9);
  WAIT_FOR (nodes, 2, a->packets == 1);
  result (a->packets == 1 && a->last_size == 9 && memcmp (a->last, "to myself", 9) == 0
              && key_same (&a->last_source, &a->key),
          "a packet to oneself comes back");
  send_to (a, &b->key, large, sizeof large);
  WAIT_FOR (nodes, 2, b->packets == 1);
  result (b->last_size == sizeof large && memcmp (b->last, large, sizeof large) == 0
              && key_same (&b->last_source, &a->key),
          "60,000 bytes arrive at another node");
  send_to (b, &a->key, "", 0);
  WAIT_FOR (nodes, 2, a->packets == 2);
  result (a->packets == 2 && a->last_size == 0, "an empty packet arrives");
  send_to (a, &nobody, disco, sizeof disco);
  WAIT_FOR (nodes, 2, a->gone == 1);
  result (a->gone == 1 && key_same (&a->last_gone, &nobody), "the relay says who is not there");
}

static void
test_bulk (Node *nodes)
{
  Node *a = &nodes[0], *b = &nodes[1];
  static uint8_t packet[CHUNK] = {4};
  DerpClientStatus status;
  int64_t start = clock_now_us ();
  size_t sent = 0;

  b->received = 0;
  for (int64_t until = start + LIMIT_US; b->received < BULK && clock_now_us () < until;) {
    /* not more than the queue and the relay hold: this is not a test of what they drop */
    while (sent - b->received < 32 * CHUNK && sent < BULK) {
      send_to (a, &b->key, packet, sizeof packet);
      sent += sizeof packet;
    }
    pump (nodes, 2);
  }
  derp_client_status (a->client, &status);
  double seconds = (double)(clock_now_us () - start) / 1e6;
  printf ("# %.0f Mbit/s\n", (double)b->received * 8 / seconds / 1e6);
  result (b->received >= BULK && status.dropped == 0, "8 MB arrive, none dropped");
}

static void
test_ping_and_leave (Node *nodes)
{
  Node *a = &nodes[0], *b = &nodes[1];

  derp_client_input (a->client, &(DerpClientEvent){.type = DERP_CLIENT_EVENT_PING},
                     clock_now_us ());
  int64_t until = clock_now_us () + USEC_PER_SEC;
  while (clock_now_us () < until
         && derp_client_next_deadline (a->client) < clock_now_us () + 5 * USEC_PER_SEC)
    pump (nodes, 2);
  result (clock_now_us () < until && !a->closed, "a ping is answered");
  a->gone = 0;
  shutdown (b->fd, SHUT_RDWR);
  WAIT_FOR (nodes, 1, a->gone == 1);
  result (a->gone == 1 && key_same (&a->last_gone, &b->key), "a node that leaves is told");
}

int
main (int argc, char **argv)
{
  static Node nodes[2];
  char *error = NULL;

  if (argc < 4 || !ip_port_parse (argv[1], strlen (argv[1]), &relay_address)) {
    fprintf (stderr, "usage: derp-probe ADDRESS:PORT HOST fast|slow|plain [SHA256]\n");
    return 2;
  }
  host = argv[2];
  way = argv[3];
  context = tls_client_context_new (NULL, &error);
  options = (TlsClientOptions){.server_name = host, .verify = TLS_VERIFY_NONE};
  if (argc > 4) {
    options.verify = TLS_VERIFY_PIN;
    if (!hex_decode (argv[4], strlen (argv[4]), options.pin, sizeof options.pin))
      return 2;
  }
  node_open (&nodes[0], true);
  node_open (&nodes[1], false);
  WAIT_FOR (nodes, 2, (nodes[0].up && nodes[1].up) || nodes[0].closed || nodes[1].closed);
  bool up = nodes[0].up && nodes[1].up;
  if (!up)
    printf ("# %s\n", nodes[0].text);
  result (up, "two nodes are logged in");
  result (nodes[0].fast == (strcmp (way, "fast") == 0), "fast start is used as wanted");
  if (up) {
    test_packets (nodes);
    test_bulk (nodes);
    test_ping_and_leave (nodes);
  }
  printf ("1..%d\n", number);
  node_close (&nodes[0]);
  node_close (&nodes[1]);
  tls_context_free (context);
  return 0;
}
