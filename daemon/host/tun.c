#include "host/tun.h"

#include "host/config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TX_QUEUE_LENGTH  256 /* packets of up to 64 KiB; spec/wireguard-dataplane.md §10.5 */
#define VNET_HEADER_SIZE 10

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
  tun->udp_gso = ioctl (fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) == 0;
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
