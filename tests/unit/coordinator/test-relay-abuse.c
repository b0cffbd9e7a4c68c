/* Who means ill gets nowhere at the relay: refused, with bounded memory, and two members who talk
 * notice nothing (spec/derp.md §9.6). */
#include "relay-loopback.h"

#include "base/bytes.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAST_START                                                                                 \
  "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: "        \
  "DERP\r\n\r\n"
#define INFO_FRAME (DERP_HEADER_SIZE + KEY_SIZE + BOX_NONCE_SIZE + BOX_TAG_SIZE + 32)

typedef struct
{
  Loopback relay;
  DerpNode members[2];
} Scene;

static void
scene_init (Scene *scene, RelayOptions options)
{
  options.open = true;
  options.workers = 2;
  loopback_init (&scene->relay, options);
  loopback_open (&scene->relay, scene->members, 2, NULL);
}

static void
scene_clear (Scene *scene)
{
  loopback_close (scene->members, 2);
  loopback_clear (&scene->relay);
}

/* A packet passes between the members; what the relay holds for others is little. */
static void
others_notice_nothing_beside (Scene *scene, size_t connections)
{
  uint64_t had = scene->members[1].packets;
  uint8_t packet[1312] = {4};
  RelayStatus status;

  derp_node_send (&scene->members[0], &scene->members[1].key, packet, sizeof packet,
                  clock_now_us ());
  WAIT_FOR (scene->members, 2, scene->members[1].packets > had);
  relay_status (scene->relay.relay, &status);
  g_assert_cmpuint (status.connections, ==, connections);
  g_assert_cmpuint (status.queued_bytes, <, 1 << 20);
}

static void
others_notice_nothing (Scene *scene)
{
  others_notice_nothing_beside (scene, 2);
}

static int
dial (const Scene *scene)
{
  const struct timeval patience = {.tv_sec = 30};
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (&scene->relay.at, &address);
  int fd = socket (AF_INET, SOCK_STREAM, 0);

  g_assert_cmpint (connect (fd, (struct sockaddr *)&address, size), ==, 0);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

/* The relay ends the connection. */
static void
expect_end (int fd)
{
  uint8_t bytes[4096];
  ssize_t n;

  while ((n = recv (fd, bytes, sizeof bytes, 0)) > 0)
    continue;
  g_assert_true (n == 0 || errno == ECONNRESET);
}

/* One who has come as far as TLS. */
typedef struct
{
  int fd;
  Tls *tls;
} Stranger;

static void
say (const Stranger *stranger, const void *data, size_t size)
{
  Buffer out = {0};

  if (size > 0)
    g_assert_true (tls_write_to (stranger->tls, data, size, &out));
  else
    tls_take (stranger->tls, &out);
  if (out.size > 0)
    g_assert_cmpint (send (stranger->fd, out.data, out.size, MSG_NOSIGNAL), ==, (ssize_t)out.size);
  buffer_free (&out);
}

static Stranger
stranger_new (const Scene *scene)
{
  const TlsClientOptions options = {.server_name = "x", .verify = TLS_VERIFY_NONE};
  Stranger stranger = {dial (scene), tls_client_new (scene->relay.context, &options)};
  uint8_t bytes[8192];

  while (tls_state (stranger.tls) == TLS_HANDSHAKING) {
    say (&stranger, NULL, 0);
    ssize_t n = recv (stranger.fd, bytes, sizeof bytes, 0);
    g_assert_cmpint (n, >, 0);
    tls_receive (stranger.tls, bytes, (size_t)n, NULL);
  }
  return stranger;
}

static void
stranger_free (Stranger *stranger)
{
  tls_free (stranger->tls);
  close (stranger->fd);
}

/* ---- logins ---- */

static void
test_bad_boxes (void)
{
  enum
  {
    N = 100,
  };
  uint8_t flight[sizeof FAST_START - 1 + INFO_FRAME];
  Stranger strangers[N];
  RelayStatus status;
  Scene scene;

  scene_init (&scene, (RelayOptions){0});
  for (unsigned i = 0; i < N; i++) {
    uint8_t *frame = flight + sizeof FAST_START - 1;
    memcpy (flight, FAST_START, sizeof FAST_START - 1);
    random_fill (random_system (), frame, INFO_FRAME);
    derp_header_encode (DERP_CLIENT_INFO, INFO_FRAME - DERP_HEADER_SIZE, frame);
    strangers[i] = stranger_new (&scene);
    say (&strangers[i], flight, sizeof flight);
    if (i % 10 == 0)
      others_notice_nothing (&scene);
  }
  do {
    others_notice_nothing (&scene);
    relay_status (scene.relay.relay, &status);
  } while (status.refused < N);
  for (unsigned i = 0; i < N; i++) {
    expect_end (strangers[i].fd);
    stranger_free (&strangers[i]);
  }
  others_notice_nothing (&scene);
  scene_clear (&scene);
}

/* ---- before the login ---- */

/* Nothing, the begin of TLS, what is not TLS, the begin of a request, endless requests. */
static void
test_half_open (void)
{
  enum
  {
    N = 60,
  };
  static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
  g_autofree char *line = g_strnfill (20000, 'x');
  int fds[N];
  Stranger slow[N];
  Scene scene;

  scene_init (&scene, (RelayOptions){0});
  int64_t start_us = clock_now_us ();
  for (unsigned i = 0; i < N; i++) {
    fds[i] = dial (&scene);
    if (i % 3 == 1)
      g_assert_cmpint (send (fds[i], hello, sizeof hello - 1, 0), >, 0);
    else if (i % 3 == 2)
      g_assert_cmpint (send (fds[i], "GET / HTTP/1.1\r\n\r\n", 18, 0), >, 0);
    slow[i] = stranger_new (&scene);
    if (i % 2 == 0)
      say (&slow[i], "GET /derp HTTP/1.1\r\nHost:", 25);
    else
      say (&slow[i], line, 20000);
  }
  for (unsigned i = 0; i < N; i++) {
    others_notice_nothing (&scene);
    expect_end (fds[i]);
    expect_end (slow[i].fd);
    close (fds[i]);
    stranger_free (&slow[i]);
  }
  /* The limit is ten seconds; the rest is for a busy machine. */
  g_assert_cmpint (clock_now_us () - start_us, <, 40 * USEC_PER_SEC);
  others_notice_nothing (&scene);
  scene_clear (&scene);
}

/* ---- after the login ---- */

static void
test_frames (void)
{
  static const struct
  {
    uint8_t type;
    uint32_t size;
  } frames[] = {
      {DERP_SEND_PACKET, UINT32_MAX},
      {DERP_SEND_PACKET, KEY_SIZE + DERP_PACKET_MAX + 1},
      {DERP_SEND_PACKET, KEY_SIZE - 1},
      {DERP_FORWARD_PACKET, 2 * KEY_SIZE},
      {DERP_WATCH_CONNS, 0},
      {DERP_CLOSE_PEER, KEY_SIZE},
      {DERP_PING, 1001},
      {DERP_NOTE_PREFERRED, 2},
      {0x7f, DERP_BODY_MAX + 1},
      {0x7f, UINT32_MAX},
  };
  uint8_t bytes[DERP_HEADER_SIZE + 2 * KEY_SIZE] = {0};
  Scene scene;

  scene_init (&scene, (RelayOptions){0});
  for (size_t i = 0; i < G_N_ELEMENTS (frames); i++) {
    DerpNode bad;
    loopback_open (&scene.relay, &bad, 1, NULL);
    derp_header_encode (frames[i].type, frames[i].size, bytes);
    tls_write_to (bad.tls, bytes, sizeof bytes, &bad.out);
    WAIT_FOR (&bad, 1, bad.closed);
    derp_node_close (&bad);
    others_notice_nothing (&scene);
  }
  scene_clear (&scene);
}

/* One sends all it can to one that takes it, in excess of its rate: it is held back, not closed,
 * and loses nothing. */
static void
test_rate (void)
{
  enum
  {
    RATE = 400000,
    N = 600,
    WINDOW = DERP_QUEUE_STANDING / 2, /* what is on the way drops nothing */
  };
  uint8_t packet[1312] = {4};
  DerpNode pair[2];
  Scene scene;

  scene_init (&scene, (RelayOptions){.rate = RATE});
  loopback_open (&scene.relay, pair, 2, NULL);
  int64_t start_us = clock_now_us ();
  for (uint64_t sent = 0; pair[1].packets < N;) {
    for (; sent < N && sent - pair[1].packets < WINDOW; sent++)
      derp_node_send (&pair[0], &pair[1].key, packet, sizeof packet, clock_now_us ());
    derp_nodes_pump (pair, 2, 10);
    if (sent == N / 2)
      others_notice_nothing_beside (&scene, 4);
    g_assert_cmpint (clock_now_us () - start_us, <, LOOPBACK_LIMIT_US);
  }
  /* 800 KB, of which 131 KB at once. */
  g_assert_cmpint (clock_now_us () - start_us, >, 1500 * USEC_PER_MSEC);
  g_assert_false (pair[0].closed);
  loopback_close (pair, 2);
  scene_clear (&scene);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relay/abuse/logins-that-prove-nothing-are-held-and-ended", test_bad_boxes);
  g_test_add_func ("/relay/abuse/who-does-not-log-in-is-ended", test_half_open);
  g_test_add_func ("/relay/abuse/frames-beyond-the-limits-end-the-connection", test_frames);
  g_test_add_func ("/relay/abuse/who-sends-above-the-rate-is-held-back", test_rate);
  return g_test_run ();
}
