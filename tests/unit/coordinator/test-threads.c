/* The whole server in this process, under load: simulated nodes on sockets join, change and come
 * back while others manage the network, and it is stopped in the midst of it. Without GLib, for the
 * thread sanitizer. */
#include "load-node.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/log.h"
#include "coordinator/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODES      60
#define READ_SIZE  65536
#define LOAD_US    (2 * USEC_PER_SEC)
#define PATIENCE_S 60

typedef struct
{
  LoadNode node;
  int fd;
  unsigned messages; /* since it came (back) */
} Peer;

static char dir[] = "/tmp/warren-threads-XXXXXX";
static struct sockaddr_storage address;
static socklen_t address_size;
static ServerOptions options;
static MachinePublic server_key;
static char auth_key[128];
static Peer peers[NODES];
static unsigned with_map, refused, wrong;
static bool last_is_deaf; /* the last of them reads nothing */
static atomic_bool managing;
static atomic_uint commands, commands_failed;
static int tests, failures;

static void
ok (bool passed, const char *statement)
{
  tests++;
  failures += !passed;
  printf ("%sok %d - %s\n", passed ? "" : "not ", tests, statement);
  fflush (stdout);
}

/* ---- the server ---- */

static void *
serve (void *data)
{
  *(int *)data = server_run (&options);
  return NULL;
}

/* The exit code of a command; its answer goes to TEXT. */
static int
command (const char *const *words, char *text, size_t size)
{
  unsigned n = 0;
  int out = memfd_create ("answer", MFD_CLOEXEC);

  while (words[n])
    n++;
  int code = server_command (&options, words, n, NULL, out);
  ssize_t got = pread (out, text, size - 1, 0);
  text[got > 0 ? got : 0] = '\0';
  close (out);
  return code;
}

/* Other people who manage the network meanwhile. */
static void *
manage (void *data)
{
  char text[65536], name[32];

  for (unsigned i = 0; atomic_load (&managing); i++) {
    snprintf (name, sizeof name, "%s%u", (const char *)data, i);
    const char *create[] = {"users", "create", name, NULL};
    const char *list[] = {"nodes", "list", "--json", NULL};
    atomic_fetch_add (&commands_failed, command (create, text, sizeof text) != 0);
    atomic_fetch_add (&commands_failed, command (list, text, sizeof text) != 0);
    atomic_fetch_add (&commands, 2);
  }
  return NULL;
}

static bool
fetch_key (void)
{
  static const char request[] = "GET /key?v=131 HTTP/1.1\r\nConnection: close\r\n\r\n";
  char answer[2048] = "";
  size_t size = 0;
  ssize_t n;
  int fd = socket (address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

  if (connect (fd, (struct sockaddr *)&address, address_size) == 0
      && write (fd, request, sizeof request - 1) == sizeof request - 1)
    while (size < sizeof answer - 1 && (n = read (fd, answer + size, sizeof answer - 1 - size)) > 0)
      size += (size_t)n;
  close (fd);
  char *key = strstr (answer, "\"publicKey\":\"");
  return key
         && key_parse (KEY_MACHINE_PUBLIC, key + 13, strcspn (key + 13, "\""), server_key.bytes);
}

/* ---- the nodes ---- */

static void
sink (void *user_data, LoadNode *node, LoadEventType type, const void *data, size_t size)
{
  Peer *peer = user_data;

  if (type == LOAD_REGISTERED)
    load_node_poll (node);
  with_map += type == LOAD_FIRST_MAP;
  peer->messages += type == LOAD_MESSAGE;
  refused += type == LOAD_REFUSED;
}

static void
open_peer (Peer *peer)
{
  peer->fd = socket (address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  wrong += connect (peer->fd, (struct sockaddr *)&address, address_size) != 0;
  fcntl (peer->fd, F_SETFL, O_NONBLOCK);
  load_node_connect (&peer->node, &server_key);
  peer->messages = 0;
}

static void
flush_peer (Peer *peer)
{
  Buffer *out = &peer->node.out;

  while (out->size > 0) {
    ssize_t n = send (peer->fd, out->data, out->size, MSG_NOSIGNAL);
    if (n <= 0)
      break;
    buffer_consume (out, (size_t)n);
  }
}

static void
read_peer (Peer *peer)
{
  static uint8_t data[READ_SIZE];
  bool upgrading = peer->node.state == LOAD_UPGRADING;
  ssize_t n = recv (peer->fd, data, sizeof data, 0);

  if (n < 0 && errno == EAGAIN)
    return;
  if (n <= 0 || !load_node_feed (&peer->node, data, (size_t)n)) {
    wrong++;
    return;
  }
  if (upgrading && peer->node.state == LOAD_OPEN)
    load_node_register (&peer->node, auth_key);
}

static void
serve_peers (void)
{
  struct pollfd polls[NODES];

  for (int i = 0; i < NODES; i++) {
    flush_peer (&peers[i]);
    polls[i] = (struct pollfd){peers[i].fd, POLLIN, 0};
  }
  poll (polls, NODES - last_is_deaf, 10);
  for (int i = 0; i < NODES - last_is_deaf; i++)
    if (polls[i].revents)
      read_peer (&peers[i]);
}

static bool
wait_for_maps (unsigned wanted)
{
  int64_t end_us = clock_now_us () + PATIENCE_S * USEC_PER_SEC;

  while (with_map < wanted && wrong == 0 && clock_now_us () < end_us)
    serve_peers ();
  return with_map == wanted;
}

static bool
all_heard (void)
{
  for (int i = 0; i < NODES - last_is_deaf; i++)
    if (peers[i].messages == 0)
      return false;
  return true;
}

/* Nodes change and come back until the time is over and everybody has heard of something. */
static bool
load (void)
{
  int64_t start_us = clock_now_us (), now_us;

  for (unsigned i = 0; (now_us = clock_now_us ()) < start_us + LOAD_US || !all_heard (); i++) {
    Peer *peer = &peers[i * 7 % NODES];
    if (now_us > start_us + PATIENCE_S * USEC_PER_SEC || wrong > 0)
      return false;
    if (i % 20 == 19 && peer != &peers[NODES - 1]) {
      with_map -= peer->node.has_first_map;
      close (peer->fd);
      open_peer (peer);
    } else if (peer->node.has_first_map && peer->node.changes < 1000) {
      load_node_change (&peer->node, i % 10 == 0);
    }
    serve_peers ();
  }
  return true;
}

/* ---- the story ---- */

static bool
begin (pthread_t *thread, int *result)
{
  static char at[64], url[80];
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
  socklen_t size = sizeof any;
  int probe = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  IpPort to;

  bind (probe, (struct sockaddr *)&any, size);
  getsockname (probe, (struct sockaddr *)&any, &size);
  close (probe);
  snprintf (at, sizeof at, "127.0.0.1:%u", ntohs (any.sin_port));
  snprintf (url, sizeof url, "http://%s", at);
  ip_port_parse (at, strlen (at), &to);
  address_size = ip_port_to_sockaddr (&to, &address);
  options = (ServerOptions){.data_dir = dir, .url = url, .listen = at, .key_days = -1};
  pthread_create (thread, NULL, serve, result);
  for (int i = 0; i < PATIENCE_S * 50; i++) {
    if (fetch_key ())
      return true;
    usleep (20000);
  }
  return false;
}

int
main (void)
{
  const char *create[] = {"keys", "create", "--reusable", NULL}, *stop[] = {"stop", NULL};
  pthread_t server, managers[2];
  char text[256], remove[64], names[2][8] = {"anna", "bert"};
  int result = -1;

  if (sodium_init () < 0 || !mkdtemp (dir))
    return 1;
  log_set_level (LOG_LEVEL_ERROR);
  ok (begin (&server, &result), "the server answers");
  ok (command (create, auth_key, sizeof auth_key) == 0, "it takes commands");
  auth_key[strcspn (auth_key, "\n")] = '\0';
  for (uint32_t i = 0; i < NODES; i++) {
    load_node_init (&peers[i].node, i, sink, &peers[i]);
    open_peer (&peers[i]);
  }
  ok (wait_for_maps (NODES), "all that come at once get a map");
  atomic_store (&managing, true);
  for (int i = 0; i < 2; i++)
    pthread_create (&managers[i], NULL, manage, names[i]);
  last_is_deaf = true;
  ok (load (), "all hear of changes while some come back and one does not read");
  last_is_deaf = false;
  atomic_store (&managing, false);
  for (int i = 0; i < 2; i++)
    pthread_join (managers[i], NULL);
  ok (commands > 0 && commands_failed == 0, "commands are answered meanwhile");
  ok (wait_for_maps (NODES), "those that came back get a map");
  ok (wrong == 0 && refused == 0, "nobody is turned away");
  load_node_change (&peers[0].node, true);
  flush_peer (&peers[0]);
  ok (command (stop, text, sizeof text) == 0, "it is stopped by a command");
  pthread_join (server, NULL);
  ok (result == SERVER_ENDED, "and ends well");
  for (int i = 0; i < NODES; i++) {
    load_node_clear (&peers[i].node);
    close (peers[i].fd);
  }
  fprintf (stderr, "# %u commands\n", commands);
  snprintf (remove, sizeof remove, "rm -r %s", dir);
  failures += system (remove) != 0;
  printf ("1..%d\n", tests);
  return failures > 0;
}
