#include "host/tun.h"

#include "base/bytes.h"
#include "base/ip-packet.h"
#include "base/log.h"
#include "host/config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TX_QUEUE_LENGTH  256 /* packets of up to 64 KiB; spec/wireguard-dataplane.md §10.5 */
#define VNET_HEADER_SIZE 10
#define PROBE_ADDRESS    0x64646464 /* 100.100.100.100, which is nobody's but our own */
#define PROBE_SEGMENT    23

G_DEFINE_QUARK (warren - tun - error, tun_error)

static TunError
error_code (int error)
{
  switch (error) {
    case EBUSY:
      return TUN_ERROR_BUSY;
    case ENOENT:
    case ENODEV:
      return TUN_ERROR_UNAVAILABLE;
    case EPERM:
    case EACCES:
      return TUN_ERROR_PERMISSION;
    default:
      return TUN_ERROR_FAILED;
  }
}

static bool
fail (GError **error, const char *what, const char *name)
{
  int saved = errno;

  g_set_error (error, TUN_ERROR, error_code (saved), "%s %s: %s", what, name, g_strerror (saved));
  return false;
}

/* Sets one integer of the interface by an old-style ioctl, which needs any socket. */
static bool
set_interface (const char *name, unsigned long request, int value)
{
  struct ifreq ifr = {.ifr_ifru.ifru_ivalue = value};
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return false;
  g_strlcpy (ifr.ifr_name, name, sizeof ifr.ifr_name);
  bool ok = ioctl (fd, request, &ifr) == 0;
  int saved = errno;
  close (fd);
  errno = saved;
  return ok;
}

bool
tun_probe_merged (int fd)
{
  enum
  {
    HEADERS = 20 + 20,
    SIZE = HEADERS + 2 * PROBE_SEGMENT,
  };
  struct virtio_net_hdr vnet = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                .hdr_len = HEADERS,
                                .gso_size = PROBE_SEGMENT,
                                .csum_start = 20,
                                .csum_offset = 16};
  uint8_t bytes[VNET_HEADER_SIZE + SIZE] = {0}, *ip = bytes + VNET_HEADER_SIZE;
  uint32_t sum = 0;

  memcpy (bytes, &vnet, VNET_HEADER_SIZE);
  ip[0] = 0x45;
  store_be16 (ip + 2, SIZE);
  ip[9] = IP_PROTO_TCP; /* and no time to live: it goes nowhere */
  store_be32 (ip + 12, PROBE_ADDRESS);
  store_be32 (ip + 16, PROBE_ADDRESS);
  for (size_t i = 0; i < 20; i += 2)
    sum += load_be16 (ip + i);
  store_be16 (ip + 10, (uint16_t) ~(sum + (sum >> 16)));
  ip[32] = 0x50;
  ip[33] = 0x10; /* ACK */
  /* A device that is down judges the header first and refuses the packet with EIO then. */
  return write (fd, bytes, sizeof bytes) >= 0 || errno != EINVAL;
}

/* Before 6.8.5 merged UDP packets vanished where they went on into VXLAN or Geneve. */
static bool
kernel_forwards_merged_udp (void)
{
  struct utsname name;
  unsigned major = 0, minor = 0, patch = 0;

  if (uname (&name) != 0 || sscanf (name.release, "%u.%u.%u", &major, &minor, &patch) < 2)
    return false;
  return major > 6 || (major == 6 && (minor > 8 || (minor == 8 && patch >= 5)));
}

static bool
open_queue (const char *name, short flags, TunDevice *tun, GError **error)
{
  struct ifreq ifr = {.ifr_flags = flags};
  int size = VNET_HEADER_SIZE;
  unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

  int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail (error, "could not open /dev/net/tun for", name);
  tun->fds[tun->n_fds++] = fd;
  g_strlcpy (ifr.ifr_name, name, sizeof ifr.ifr_name);
  if (ioctl (fd, TUNSETIFF, &ifr) < 0)
    return fail (error, "could not create the tunnel device", name);
  g_strlcpy (tun->name, ifr.ifr_name, sizeof tun->name);
  if (ioctl (fd, TUNSETVNETHDRSZ, &size) < 0 || ioctl (fd, TUNSETOFFLOAD, offload) < 0)
    return fail (error, "could not switch offloads on for", name);
  tun->vnet_header = true;
  tun->udp_merged = ioctl (fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) == 0
                    && kernel_forwards_merged_udp ();
  return true;
}

bool
tun_open (const char *name, unsigned queues, TunDevice *out, GError **error)
{
  short flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;

  memset (out, 0, sizeof *out);
  if (queues > 1)
    flags |= IFF_MULTI_QUEUE;
  for (unsigned i = 0; i < queues; i++) {
    if (!open_queue (name, flags, out, error)) {
      tun_close (out);
      return false;
    }
  }
  out->tcp_merged = tun_probe_merged (out->fds[0]);
  if (!out->tcp_merged) {
    out->udp_merged = false;
    log_info ("host", "this kernel refuses merged packets: merging into %s is off", out->name);
  }
  out->ifindex = if_nametoindex (out->name);
  if (!set_interface (out->name, SIOCSIFMTU, HOST_MTU_MIN)
      || !set_interface (out->name, SIOCSIFTXQLEN, TX_QUEUE_LENGTH)) {
    fail (error, "could not set MTU and queue length of", name);
    tun_close (out);
    return false;
  }
  return true;
}

void
tun_close (TunDevice *tun)
{
  for (unsigned i = 0; i < tun->n_fds; i++)
    close (tun->fds[i]);
  tun->n_fds = 0;
}
