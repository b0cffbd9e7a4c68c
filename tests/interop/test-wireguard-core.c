/* The WireGuard cores against wireguard-go on a plain UDP link, in a network namespace of their
 * own.
 *
 * Our side is the device and its peers with a UDP socket and no TUN: it writes and answers ICMP
 * echo by itself, and its clock can be moved, so that rekeys need no waiting. */
#include "base/bytes.h"
#include "wg-host.h"
#include "wireguard/cookie.h"
#include "wireguard/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TUN         "wrgo0"
#define THEIR_PORT  51820
#define THEIR_IP    0x0a630001 /* 10.99.0.1 */
#define OUR_IP      0x0a630002
#define THEIR_QUEUE 1024
#define UAPI        "/run/wireguard/" TUN ".sock"
#define PING_MAX    (1280 - 28)

typedef struct
{
  GPid pid;
  int udp;
  uint16_t port;
  int64_t offset_us; /* of our clock */
  Random *random;
  NodePrivate our_key, their_key;
  NodePublic our_public, their_public;
  WgHost *host;
  bool under_load; /* keep our device busy */
  unsigned echo_replies;
  unsigned echo_requests;
  unsigned cookies_received;
  unsigned established;
  uint8_t last_initiation[WG_INITIATION_SIZE];
  uint8_t timestamp[WG_TIMESTAMP_SIZE];
} Probe;

static Probe probe;

static int64_t
now (void)
{
  return clock_now_us () + probe.offset_us;
}

static uint16_t
checksum (const uint8_t *data, size_t size)
{
  uint32_t sum = 0;

  for (size_t i = 0; i < size; i++)
    sum += (uint32_t)data[i] << (i % 2 ? 0 : 8);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static void
send_echo (bool reply, uint32_t id_and_sequence, size_t payload)
{
  uint8_t packet[1500] = {0x45};
  size_t size = 28 + payload;

  store_be16 (packet + 2, (uint16_t)size);
  packet[8] = 64;
  packet[9] = IPPROTO_ICMP;
  store_be32 (packet + 12, OUR_IP);
  store_be32 (packet + 16, THEIR_IP);
  store_be16 (packet + 10, checksum (packet, 20));
  packet[20] = reply ? 0 : 8;
  store_be32 (packet + 24, id_and_sequence);
  store_be16 (packet + 22, checksum (packet + 20, size - 20));
  wg_host_send (probe.host, &probe.their_public, packet, size, now ());
}

static void
on_receive (void *data, const NodePublic *peer, const uint8_t *packet, size_t size)
{
  if (size < 28 || packet[9] != IPPROTO_ICMP || load_be32 (packet + 12) != THEIR_IP)
    return;
  if (packet[20] == 0)
    probe.echo_replies++;
  if (packet[20] == 8) {
    /* The payload of a request comes back as zeros of the same length: ping -p 00 agrees. */
    probe.echo_requests++;
    send_echo (true, load_be32 (packet + 24), size - 28);
  }
}

static void
on_send (void *data, const NodePublic *peer, const WgSource *source, const uint8_t *bytes,
         size_t size)
{
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons (THEIR_PORT)};

  if (!peer && source->addr.port != THEIR_PORT)
    return; /* a cookie for those who only keep us busy */
  to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  if (wg_message_classify (bytes, size) == WG_MESSAGE_INITIATION)
    memcpy (probe.last_initiation, bytes, size);
  ssize_t n = sendto (probe.udp, bytes, size, 0, (struct sockaddr *)&to, sizeof to);
  g_assert_true (n == (ssize_t)size || errno == ECONNREFUSED);
}

static void
on_notice (void *data, WgHostNotice notice, const NodePublic *peer, const WgSource *source)
{
  if (notice == WG_HOST_ESTABLISHED)
    probe.established++;
}

static void
on_save (void *data, const uint8_t timestamp[WG_TIMESTAMP_SIZE])
{
  memcpy (probe.timestamp, timestamp, WG_TIMESTAMP_SIZE);
}

static void
start_host (void)
{
  WgDeviceConfig config = {.private_key = probe.our_key, .n_workers = 1};
  WgHostCallbacks callbacks = {.send = on_send, .receive = on_receive, .notice = on_notice};

  callbacks.save_timestamp = on_save;
  config.now_us = now ();
  config.wall_time = wall_time_now ();
  memcpy (config.timestamp_floor, probe.timestamp, WG_TIMESTAMP_SIZE);
  wg_host_free (probe.host);
  probe.host = wg_host_new (&config, probe.random, &callbacks);
  wg_host_change_peer (probe.host, &probe.their_public, WG_PEER_ALLOW, now ());
}

/* A message 1 to RECEIVER from somebody it does not know: costs it the first half of a handshake.
 */
static void
strange_initiation (const NodePublic *receiver, WgInitiation *message)
{
  uint8_t private_key[KEY_SIZE], timestamp[WG_TIMESTAMP_SIZE] = {0x40};
  WgEphemeral ephemeral;
  NodePrivate stranger;
  WgIdentity identity;
  WgRemote remote;
  WgInitiator state;
  WgCookieJar jar = {0};

  key_generate (probe.random, stranger.bytes);
  key_generate (probe.random, private_key);
  wg_ephemeral_init (&ephemeral, private_key);
  wg_identity_init (&identity, &stranger);
  g_assert_true (wg_remote_init (&remote, &identity, receiver));
  g_assert_true (
      wg_initiation_create (&identity, &remote, &ephemeral, timestamp, 1, message, &state));
  wg_macs_add (&remote, &jar, (uint8_t *)message, sizeof *message, now ());
}

static void
keep_us_busy (void)
{
  static WgInitiation message;
  WgSource source = {.addr = {ip_from_v4 (0x7f000009), 9}};

  if (message.type == 0)
    strange_initiation (&probe.our_public, &message);
  for (int i = 0; i <= WG_LOAD_BURST; i++)
    wg_host_datagram (probe.host, (const uint8_t *)&message, sizeof message, &source, now ());
}

static void
read_socket (void)
{
  uint8_t bytes[2048];
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  ssize_t n;

  while ((n = recvfrom (probe.udp, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from,
                        &length))
         > 0) {
    WgSource source = {.addr = {ip_from_v4 (ntohl (from.sin_addr.s_addr)), ntohs (from.sin_port)}};
    if (wg_message_classify (bytes, (size_t)n) == WG_MESSAGE_COOKIE)
      probe.cookies_received++;
    if (probe.under_load)
      keep_us_busy ();
    wg_host_datagram (probe.host, bytes, (size_t)n, &source, now ());
  }
}

/* Runs for DURATION_MS, or until *COUNTER reaches TARGET; true when it did. */
static bool
pump (int64_t duration_ms, const unsigned *counter, unsigned target)
{
  int64_t end = clock_now_us () + duration_ms * 1000;

  while (clock_now_us () < end) {
    if (counter && *counter >= target)
      return true;
    struct pollfd fd = {.fd = probe.udp, .events = POLLIN};
    poll (&fd, 1, 5);
    read_socket ();
    if (wg_host_next_deadline (probe.host) <= now ())
      wg_host_tick (probe.host, now ());
  }
  return counter && *counter >= target;
}

static void
ping_theirs (unsigned count, int64_t timeout_ms)
{
  unsigned before = probe.echo_replies;

  for (unsigned i = 0; i < count; i++) {
    send_echo (false, 0x77000000u | i, i * 31 % PING_MAX);
    pump (2, NULL, 0);
  }
  if (!pump (timeout_ms, &probe.echo_replies, before + count))
    g_error ("%u of %u echoes answered", probe.echo_replies - before, count);
}

/* The kernel of the namespace pings us through wireguard-go; true when all COUNT were answered. */
static bool
pinged_by_theirs (unsigned count, int64_t timeout_ms)
{
  g_autofree char *command = g_strdup_printf ("ping -n -q -p 00 -i 0.2 -c %u -w %d 10.99.0.2",
                                              count, (int)(timeout_ms / 1000));
  g_auto (GStrv) argv = g_strsplit (command, " ", -1);
  int status = -1;
  GPid pid;

  g_assert_true (
      g_spawn_async (NULL, argv, NULL,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL,
                     NULL, NULL, &pid, NULL));
  while (waitpid (pid, &status, WNOHANG) == 0)
    pump (5, NULL, 0);
  return WIFEXITED (status) && WEXITSTATUS (status) == 0;
}

static void
uapi (const char *text)
{
  struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = UAPI};
  char reply[256] = {0};
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  g_assert_cmpint (connect (fd, (struct sockaddr *)&to, sizeof to), ==, 0);
  g_assert_cmpint (write (fd, text, strlen (text)), ==, (ssize_t)strlen (text));
  g_assert_cmpint (read (fd, reply, sizeof reply - 1), >, 0);
  g_assert_cmpstr (reply, ==, "errno=0\n\n");
  close (fd);
}

/* wireguard-go forgets us and learns us anew: what it had of sessions is gone. */
static void
set_us_as_peer (bool forget_first)
{
  char ours[65], theirs[65];

  hex_encode (probe.our_public.bytes, 32, ours);
  hex_encode (probe.their_key.bytes, 32, theirs);
  if (forget_first) {
    g_autofree char *text = g_strdup_printf ("set=1\npublic_key=%s\nremove=true\n\n", ours);
    uapi (text);
  }
  g_autofree char *text = g_strdup_printf ("set=1\nprivate_key=%s\nlisten_port=%d\npublic_key=%s\n"
                                           "endpoint=127.0.0.1:%d\nallowed_ip=10.99.0.2/32\n\n",
                                           theirs, THEIR_PORT, ours, probe.port);
  uapi (text);
}

static void
test_initiator (void)
{
  ping_theirs (50, 3000);
  g_assert_cmpuint (wg_device_stats (wg_host_device (probe.host)).initiations_sent, ==, 1);
  g_assert_true (pinged_by_theirs (3, 5000));
  g_assert_cmpuint (wg_device_stats (wg_host_device (probe.host)).responses_sent, ==, 0);
}

static void
test_responder (void)
{
  start_host ();
  set_us_as_peer (true);
  g_assert_true (pinged_by_theirs (3, 5000));
  WgDeviceStats stats = wg_device_stats (wg_host_device (probe.host));
  g_assert_cmpuint (stats.initiations_sent, ==, 0);
  g_assert_cmpuint (stats.responses_sent, ==, 1);
  ping_theirs (50, 3000);
}

static void
test_rekey_initiator (void)
{
  start_host ();
  ping_theirs (5, 3000);
  for (int i = 0; i < 3; i++) {
    /* Their 5 s rule and 20 ms rule do not see our clock; our session's age is ours alone. */
    probe.offset_us += WG_REKEY_AFTER_TIME_US + USEC_PER_SEC;
    ping_theirs (30, 3000);
    g_assert_cmpuint (wg_device_stats (wg_host_device (probe.host)).initiations_sent, ==,
                      (unsigned)i + 2);
  }
  g_assert_cmpuint (wg_host_stats (probe.host)->expired, ==, 0);
  g_assert_cmpuint (wg_host_stats (probe.host)->unknown_index, ==, 0);
}

/* They start anew while we hold a session: theirs becomes current with its first packet. */
static void
test_rekey_responder (void)
{
  for (int i = 0; i < 3; i++) {
    set_us_as_peer (true);
    g_assert_true (pinged_by_theirs (3, 5000));
    ping_theirs (10, 3000);
    pump (100, NULL, 0);
  }
}

static void
test_restart (void)
{
  for (int i = 0; i < 3; i++) {
    start_host ();
    pump (30, NULL, 0);
    ping_theirs (5, 3000);
  }
}

/* Fills half of wireguard-go's handshake queue: what comes next must have a cookie. */
static void
keep_them_busy (int flood, const WgInitiation *message)
{
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons (THEIR_PORT)};

  to.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  for (int i = 0; i < THEIR_QUEUE / 2; i++)
    sendto (flood, message, sizeof *message, 0, (struct sockaddr *)&to, sizeof to);
}

/* Calls wireguard-go while it is busy until it asks for a cookie. */
static void
get_cookie (int flood, const WgInitiation *message)
{
  probe.cookies_received = 0;
  for (int i = 0; i < 10 && probe.cookies_received == 0; i++) {
    start_host ();
    pump (50, NULL, 0);
    keep_them_busy (flood, message);
    send_echo (false, 1, 10);
    pump (1500, &probe.cookies_received, 1);
  }
  g_assert_cmpuint (probe.cookies_received, >=, 1);
}

/* With the cookie our regular retry is answered although wireguard-go is busy again. */
static void
test_their_cookies (void)
{
  static const uint8_t no_mac2[WG_MAC_SIZE];
  int flood = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  WgInitiation message;

  strange_initiation (&probe.their_public, &message);
  get_cookie (flood, &message);
  unsigned established = probe.established;
  for (int i = 0; i < 4 && probe.established == established; i++) {
    int64_t wait_us = wg_host_next_deadline (probe.host) - now ();
    pump (wait_us / USEC_PER_MSEC - 20, &probe.established, established + 1);
    keep_them_busy (flood, &message);
    pump (1500, &probe.established, established + 1);
  }
  close (flood);
  g_assert_cmpuint (probe.established, >, established);
  g_assert_cmpint (memcmp (probe.last_initiation + 132, no_mac2, WG_MAC_SIZE), !=, 0);
  ping_theirs (3, 3000);
}

/* We are flooded; wireguard-go gets a cookie and comes back with it. */
static void
test_our_cookies (void)
{
  start_host ();
  set_us_as_peer (true);
  probe.under_load = true;
  bool answered = pinged_by_theirs (40, 20000);
  probe.under_load = false;
  g_test_message ("all answered: %d", answered);
  WgDeviceStats stats = wg_device_stats (wg_host_device (probe.host));
  g_assert_cmpuint (stats.cookies_sent, >=, 1);
  g_assert_cmpuint (stats.responses_sent, >=, 1);
  g_assert_cmpuint (probe.echo_requests, >=, 1);
  ping_theirs (3, 3000);
}

static bool
enter_namespace (void)
{
  if (unshare (CLONE_NEWNET | CLONE_NEWNS) != 0)
    return false;
  if (mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
      || mount ("tmpfs", "/run", "tmpfs", 0, NULL) != 0)
    return false;
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool ok = ioctl (fd, SIOCSIFFLAGS, &request) == 0;
  close (fd);
  return ok;
}

static void
die_with_parent (gpointer data)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

static void
run_ip (const char *arguments)
{
  g_autofree char *command = g_strdup_printf ("ip %s", arguments);
  int status = -1;

  g_assert_true (g_spawn_command_line_sync (command, NULL, NULL, &status, NULL));
  g_assert_cmpint (status, ==, 0);
}

static void
start (const char *program)
{
  g_auto (GStrv) argv = g_strsplit ("wireguard-go -f " TUN, " ", -1);
  struct sockaddr_in here = {.sin_family = AF_INET};
  socklen_t length = sizeof here;

  g_free (argv[0]);
  argv[0] = g_strdup (program);
  g_assert_true (g_spawn_async (NULL, argv, NULL,
                                G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL
                                    | G_SPAWN_STDERR_TO_DEV_NULL,
                                die_with_parent, NULL, &probe.pid, NULL));
  for (int i = 0; i < 200 && access (UAPI, F_OK) != 0; i++)
    g_usleep (20000);
  here.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  probe.udp = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint (bind (probe.udp, (struct sockaddr *)&here, sizeof here), ==, 0);
  getsockname (probe.udp, (struct sockaddr *)&here, &length);
  probe.port = ntohs (here.sin_port);
  probe.random = random_system ();
  key_generate (probe.random, probe.our_key.bytes);
  key_generate (probe.random, probe.their_key.bytes);
  key_public (probe.our_key.bytes, probe.our_public.bytes);
  key_public (probe.their_key.bytes, probe.their_public.bytes);
  set_us_as_peer (false);
  run_ip ("address add 10.99.0.1/24 dev " TUN);
  run_ip ("link set " TUN " mtu 1280 up");
  start_host ();
}

int
main (int argc, char **argv)
{
  const char *bin = g_getenv ("WARREN_PEERS_BIN");
  g_autofree char *program = bin && *bin
                                 ? g_build_filename (bin, "wireguard-go", NULL)
                                 : g_build_filename (g_get_user_cache_dir (), "warren-peers", "bin",
                                                     "wireguard-go", NULL);

  g_test_init (&argc, &argv, NULL);
  if (access (program, X_OK) != 0 || access ("/dev/net/tun", R_OK | W_OK) != 0
      || !enter_namespace ()) {
    g_print ("1..0 # SKIP needs wireguard-go (Go >= 1.26.6), /dev/net/tun and root\n");
    return 0;
  }
  start (program);
#define TEST(name, function) g_test_add_func ("/interop/wireguard-go/" name, function)
  TEST ("answers-our-handshake", test_initiator);
  TEST ("accepts-our-answer", test_responder);
  TEST ("follows-our-rekeys", test_rekey_initiator);
  TEST ("is-followed-in-its-rekeys", test_rekey_responder);
  TEST ("takes-us-back-after-restarts", test_restart);
  TEST ("gives-cookies-that-we-use", test_their_cookies);
  TEST ("uses-cookies-that-we-give", test_our_cookies);
#undef TEST
  int result = g_test_run ();
  kill (probe.pid, SIGTERM);
  waitpid (probe.pid, NULL, 0);
  wg_host_free (probe.host);
  return result;
}
