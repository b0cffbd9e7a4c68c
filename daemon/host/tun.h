/* Opens the TUN device (spec/wireguard-dataplane.md §8.1). What is read from and written to it is
 * tunnel's business. Main thread. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct
{
  int fds[8]; /* one per queue, non-blocking, close-on-exec */
  unsigned n_fds;
  uint32_t ifindex;
  bool vnet_header; /* every packet has a 10-byte virtio_net_hdr in front */
  bool tcp_merged;  /* the device takes merged TCP packets, as some kernels do not */
  bool udp_merged;  /* and merged UDP packets */
  char name[16];
} TunDevice;

typedef enum
{
  TUN_ERROR_BUSY,        /* another process holds the device */
  TUN_ERROR_UNAVAILABLE, /* no /dev/net/tun */
  TUN_ERROR_PERMISSION,  /* CAP_NET_ADMIN is missing */
  TUN_ERROR_FAILED,
} TunError;

#define TUN_ERROR tun_error_quark ()
GQuark tun_error_quark (void);

/* Creates device NAME with QUEUES (1..8) queues, MTU 1280, txqueuelen 256, link down. */
bool tun_open (const char *name, unsigned queues, TunDevice *out, GError **error);
void tun_close (TunDevice *tun);

/* Whether the kernel takes merged packets from FD, a device with a virtio header that is down or
 * up: one that is worth nothing is written. */
bool tun_probe_merged (int fd);
