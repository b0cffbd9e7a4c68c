/* The UDP sockets under the tunnel: one for each family, segmentation offload on send, aggregation
 * on receive, and what to do where the kernel or a path cannot do it.
 *
 * spec/wireguard-dataplane.md §9, spec/path-finding.md §2.3, §11. A socket is read by one worker;
 * several threads may send. */
#pragma once

#include "base/ip.h"
#include "tunnel/seal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define UDP_RUN_SEGMENTS_MAX 64
#define UDP_RUN_SIZE_MAX     65507
#define UDP_MESSAGE_MAX      65536
#define UDP_BATCH            8                         /* messages in one receive */
#define UDP_NO_GSO_US        (600 * INT64_C (1000000)) /* a path that refused is tried again after */

typedef struct UdpSocket UdpSocket;
struct UdpSocket
{
  int fd; /* -1: not open */
  uint8_t family;
  uint16_t port;
  _Atomic bool gso; /* false for good after EIO; a new socket tries again */
  bool gro;
  bool equal_tail_guard;      /* never a run of equal segments (§9.5) */
  _Atomic uint32_t overflows; /* SO_RXQ_OVFL, cumulative */
  uint32_t overflows_seen;    /* the reader's */
  ssize_t (*send_one) (int fd, const struct msghdr *message, int flags); /* sendmsg; tests differ */
};

typedef struct
{
  uint16_t port; /* wanted, 0: any */
  bool gso;
  bool gro;
  bool equal_tail_guard;
  bool reuse_port;       /* one of several workers' sockets */
  bool successor;        /* takes over the port of a socket of ours that is still open */
  bool (*mark) (int fd); /* NULL: none */
} UdpOptions;

/* Opens and binds to all addresses. False with errno, and then SOCKET->fd is -1. */
bool udp_open (UdpSocket *socket, uint8_t family, const UdpOptions *options);
void udp_close (UdpSocket *socket);

/* Lets a successor bind to the same port before this socket is closed, so that nothing that arrives
 * in between is refused. */
void udp_allow_successor (const UdpSocket *socket);

/* Steers datagrams of a group of N sockets to the worker that their receiver index names (§10.2).
 * Called once on any socket of the group, when all are bound. */
bool udp_steer (const UdpSocket *socket, unsigned n);

/* A destination, ready for the kernel. */
typedef struct
{
  struct sockaddr_storage address;
  socklen_t length;
  _Atomic int64_t no_gso_until_us; /* this path refused segmented sends */
} UdpTarget;

void udp_target_init (UdpTarget *target, const IpPort *to);

typedef enum
{
  UDP_SENT,
  UDP_AGAIN,    /* the socket's buffer is full: wait until it is writable. Nothing was sent, or
                 *DONE messages of the run were */
  UDP_LOST,     /* ENOBUFS and the like: dropped, nobody's fault */
  UDP_UNUSABLE, /* *ERROR tells the path finder why this destination cannot be reached */
} UdpResult;

/* Sends the messages of RUN from *DONE on, as one segmented datagram where that works. */
UdpResult udp_send_run (UdpSocket *socket, UdpTarget *target, const Run *run, uint32_t *done,
                        int64_t now_us, int *error);

/* Sends one datagram. */
UdpResult udp_send (UdpSocket *socket, const IpPort *to, const void *data, size_t size, int *error);

/* One message as received: SIZE bytes that are datagrams of SEGMENT bytes each, the last perhaps
 * shorter. */
typedef struct
{
  uint8_t *data;
  uint32_t size;
  uint32_t segment;
  bool truncated; /* larger than the buffer: to be dropped whole */
  struct sockaddr_storage from;
} UdpMessage;

/* Buffers for one batch: UDP_BATCH messages of UDP_MESSAGE_MAX bytes, touched as they are used,
 * with 16 writable bytes before each. */
typedef struct UdpBatch UdpBatch;

UdpBatch *udp_batch_new (void);
void udp_batch_free (UdpBatch *batch);

/* Receives what is there, up to UDP_BATCH messages. Returns their number, 0 when there is none
 * (with *ERROR set when the socket is broken). */
unsigned udp_receive (UdpSocket *socket, UdpBatch *batch, UdpMessage **messages, int *error);
