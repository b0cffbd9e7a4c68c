/* What is asked of the kernel before packets are merged into its TUN device. */
#include "host/tun.h"

#include "base/bytes.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refuse_with; /* errno; 0: takes it */
static uint8_t seen[2048];
static size_t seen_size;

/* Stands in front of the C library's own. */
ssize_t write (int fd, const void *data, size_t size);

ssize_t
write (int fd, const void *data, size_t size)
{
  int type = 0;
  socklen_t length = sizeof type;

  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET)
    return syscall (SYS_write, fd, data, size);
  seen_size = MIN (size, sizeof seen);
  memcpy (seen, data, seen_size);
  errno = refuse_with;
  return refuse_with != 0 ? -1 : (ssize_t)size;
}

static void
test_probe (void)
{
  static const struct
  {
    int error;
    bool takes;
  } cases[] = {{0, true}, {EIO, true}, {EINVAL, false}};
  int pair[2];

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    refuse_with = cases[i].error;
    g_assert_true (tun_probe_merged (pair[0]) == cases[i].takes);
  }
  close (pair[0]);
  close (pair[1]);
}

/* It must be of no use to anybody but be a merged packet in every respect. */
static void
test_probe_packet (void)
{
  const uint8_t *ip = seen + 10;
  uint32_t sum = 0;
  uint16_t segment;

  g_assert_cmpuint (seen_size, ==, 10 + 40 + 2 * 23);
  memcpy (&segment, seen + 4, 2);
  g_assert_cmpuint (seen[1], ==, 1);
  g_assert_cmpuint (segment, ==, 23);
  g_assert_cmpuint (load_be16 (ip + 2), ==, seen_size - 10);
  g_assert_cmpuint (ip[8], ==, 0);
  g_assert_cmpmem (ip + 12, 4, ip + 16, 4);
  for (size_t i = 0; i < 20; i += 2)
    sum += load_be16 (ip + i);
  g_assert_cmphex ((sum & 0xffff) + (sum >> 16), ==, 0xffff);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/host/tun/einval-alone-means-that-merged-packets-are-refused", test_probe);
  g_test_add_func ("/host/tun/the-probe-goes-nowhere", test_probe_packet);
  return g_test_run ();
}
