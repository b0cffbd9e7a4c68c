/* Runs over real sockets of the loopback interface: segmentation, aggregation, and every way down
 * when the kernel or the path refuses. */
#include "base/random.h"
#include "tunnel/udp.h"

#include <errno.h>
#include <glib.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>

#define SEED 20261123

static UdpSocket sender, receiver;
static UdpBatch *batch;
static uint8_t buffer[70000];
static int refuse_with; /* errno of segmented sends; 0: none is refused */
static unsigned sends;  /* segmented ones that were tried */
static uint32_t largest_run;
static uint32_t sentinels;

static ssize_t
fake_send (int fd, const struct msghdr *message, int flags)
{
  sends++;
  sentinels += message->msg_iovlen == 2;
  if (refuse_with != 0) {
    errno = refuse_with;
    return -1;
  }
  return sendmsg (fd, message, flags);
}

static void
set_up (uint8_t family, bool gso, bool gro, bool guard)
{
  UdpOptions options = {.gso = gso, .gro = gro, .equal_tail_guard = guard};

  g_assert_true (udp_open (&sender, family, &options));
  g_assert_true (udp_open (&receiver, family, &options));
  sender.send_one = fake_send;
  refuse_with = 0;
  sends = sentinels = 0;
}

static void
tear_down (void)
{
  udp_close (&sender);
  udp_close (&receiver);
}

static IpPort
loopback (uint8_t family, uint16_t port)
{
  IpPort to = {.port = port};

  to.addr.family = family;
  if (family == 4)
    to.addr = ip_from_v4 (0x7f000001);
  else
    to.addr.bytes[15] = 1;
  return to;
}

/* Receives until TOTAL bytes came, and checks that they are the datagrams of RUN in order. Returns
 * the number of messages that the kernel gave. */
static unsigned
expect_run (const uint8_t *data, const Run *run)
{
  uint32_t k = 0;
  unsigned given = 0;

  while (k < run->n) {
    struct pollfd p = {receiver.fd, POLLIN, 0};
    UdpMessage *messages;
    int error;
    unsigned n;

    g_assert_cmpint (poll (&p, 1, 5000), ==, 1);
    n = udp_receive (&receiver, batch, &messages, &error);
    g_assert_cmpint (error, ==, 0);
    given += n;
    for (unsigned i = 0; i < n; i++) {
      largest_run
          = MAX (largest_run, (messages[i].size + messages[i].segment - 1) / messages[i].segment);
      for (uint32_t at = 0; at < messages[i].size; at += messages[i].segment) {
        uint32_t size = MIN (messages[i].segment, messages[i].size - at);

        if (size == 1 && messages[i].data[at] == 7 && sentinels > 0)
          continue;
        g_assert_cmpuint (k, <, run->n);
        g_assert_cmpmem (messages[i].data + at, size, data + (size_t)k * run->segment,
                         k + 1 < run->n ? run->segment : run->last);
        k++;
      }
    }
  }
  return given;
}

static void
send_and_expect (uint8_t family, uint32_t n, uint32_t segment, uint32_t last)
{
  IpPort to = loopback (family, receiver.port);
  Run run = {buffer, n, segment, last};
  UdpTarget target;
  uint32_t done = 0;
  int error;

  udp_target_init (&target, &to);
  g_assert_cmpint (udp_send_run (&sender, &target, &run, &done, 1000, &error), ==, UDP_SENT);
  g_assert_cmpuint (done, ==, n);
  expect_run (buffer, &run);
}

static void
test_runs (gconstpointer data)
{
  uint8_t family = (uint8_t)GPOINTER_TO_INT (data);
  SeededRandom random;

  seeded_random_init (&random, SEED);
  random_fill (&random.base, buffer, sizeof buffer);
  set_up (family, true, true, false);
  largest_run = 0;
  for (int i = 0; i < 300; i++) {
    uint32_t segment = 33 + (uint32_t)random_below (&random.base, 1400);
    uint32_t most = MIN (UDP_RUN_SEGMENTS_MAX, UDP_RUN_SIZE_MAX / segment);

    send_and_expect (family, 1 + (uint32_t)random_below (&random.base, most), segment,
                     33 + (uint32_t)random_below (&random.base, segment - 32));
  }
  g_assert_cmpuint (largest_run, >, 30);
  tear_down ();
}

static void
test_largest (void)
{
  set_up (4, true, true, false);
  send_and_expect (4, 64, 1023, 1023);
  send_and_expect (4, 49, 1312, 1312);
  g_assert_cmpuint (sends, ==, 2);
  tear_down ();
}

static void
test_refused (gconstpointer data)
{
  int error = GPOINTER_TO_INT (data);

  set_up (4, true, true, false);
  refuse_with = error;
  send_and_expect (4, 20, 500, 100);
  g_assert_cmpuint (sends, ==, 1);
  /* EIO is the socket's fault and for good, the others are this path's. */
  g_assert_true (sender.gso == (error != EIO));
  tear_down ();
}

static void
test_path_memory (void)
{
  IpPort to;
  Run run = {buffer, 10, 400, 400};
  UdpTarget target;
  uint32_t done = 0;
  int error;

  set_up (4, true, true, false);
  to = loopback (4, receiver.port);
  udp_target_init (&target, &to);
  refuse_with = EMSGSIZE;
  g_assert_cmpint (udp_send_run (&sender, &target, &run, &done, 0, &error), ==, UDP_SENT);
  refuse_with = 0;
  done = 0;
  udp_send_run (&sender, &target, &run, &done, UDP_NO_GSO_US - 1, &error);
  g_assert_cmpuint (sends, ==, 1);
  done = 0;
  udp_send_run (&sender, &target, &run, &done, UDP_NO_GSO_US, &error);
  g_assert_cmpuint (sends, ==, 2);
  tear_down ();
}

static void
test_unreachable (void)
{
  Run run = {buffer, 10, 400, 400};
  IpPort to = loopback (4, 9);
  UdpTarget target;
  uint32_t done = 0;
  int error;

  set_up (4, true, true, false);
  udp_target_init (&target, &to);
  refuse_with = EHOSTUNREACH;
  g_assert_cmpint (udp_send_run (&sender, &target, &run, &done, 0, &error), ==, UDP_UNUSABLE);
  g_assert_cmpint (error, ==, EHOSTUNREACH);
  refuse_with = EAGAIN;
  done = 0;
  g_assert_cmpint (udp_send_run (&sender, &target, &run, &done, 0, &error), ==, UDP_AGAIN);
  g_assert_cmpuint (done, ==, 0);
  refuse_with = ENOBUFS;
  g_assert_cmpint (udp_send_run (&sender, &target, &run, &done, 0, &error), ==, UDP_LOST);
  tear_down ();
}

static void
test_guard (void)
{
  set_up (4, true, true, true);
  send_and_expect (4, 20, 500, 500);
  g_assert_cmpuint (sentinels, ==, 1);
  send_and_expect (4, 20, 500, 300);
  g_assert_cmpuint (sentinels, ==, 1);
  g_assert_cmpuint (sends, ==, 2);
  send_and_expect (4, 7, 500, 500);
  g_assert_cmpuint (sends, ==, 2);
  send_and_expect (4, 64, 500, 500);
  g_assert_cmpuint (sends, ==, 2);
  tear_down ();
}

static void
test_without_gro (void)
{
  set_up (4, true, false, false);
  send_and_expect (4, 40, 700, 650);
  tear_down ();
}

static void
test_successor (void)
{
  UdpOptions options = {.gso = true, .gro = true};
  UdpSocket next, stranger;

  set_up (4, true, true, false);
  options.port = receiver.port;
  g_assert_false (udp_open (&stranger, 4, &options));
  options.successor = true;
  udp_allow_successor (&receiver);
  g_assert_true (udp_open (&next, 4, &options));
  g_assert_cmpuint (next.port, ==, receiver.port);
  udp_close (&receiver);
  receiver = next;
  send_and_expect (4, 10, 500, 500);
  g_assert_false (udp_open (&stranger, 4, &options));
  tear_down ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  batch = udp_batch_new ();
  g_test_add_data_func ("/tunnel/udp/runs-arrive-as-sent-by-ipv4", GINT_TO_POINTER (4), test_runs);
  g_test_add_data_func ("/tunnel/udp/runs-arrive-as-sent-by-ipv6", GINT_TO_POINTER (6), test_runs);
  g_test_add_func ("/tunnel/udp/largest-runs-take-one-call", test_largest);
  g_test_add_data_func ("/tunnel/udp/eio-sends-singly-for-good", GINT_TO_POINTER (EIO),
                        test_refused);
  g_test_add_data_func ("/tunnel/udp/emsgsize-sends-singly", GINT_TO_POINTER (EMSGSIZE),
                        test_refused);
  g_test_add_data_func ("/tunnel/udp/einval-sends-singly", GINT_TO_POINTER (EINVAL), test_refused);
  g_test_add_func ("/tunnel/udp/a-path-that-refused-is-tried-again-later", test_path_memory);
  g_test_add_func ("/tunnel/udp/other-errors-are-told-apart", test_unreachable);
  g_test_add_func ("/tunnel/udp/guard-never-sends-equal-segments", test_guard);
  g_test_add_func ("/tunnel/udp/works-without-aggregation", test_without_gro);
  g_test_add_func ("/tunnel/udp/successor-takes-the-port-over", test_successor);
  return g_test_run ();
}
