#include "tunnel/udp.h"

#include "base/bytes.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RECEIVE_BUFFER (7 << 20)              /* absorbs a gap in our scheduling */
#define SEND_BUFFER    (1 << 20)              /* more would only be latency */
#define MESSAGE_ROOM   (UDP_MESSAGE_MAX + 64) /* headroom before, end aligned */
#define HEADROOM       16
#define GUARDED_MIN    8 /* runs below it are sent singly under equal_tail_guard */

struct UdpBatch
{
  struct mmsghdr headers[UDP_BATCH];
  struct iovec vectors[UDP_BATCH];
  UdpMessage messages[UDP_BATCH];
  alignas (struct cmsghdr) uint8_t control[UDP_BATCH][128];
  uint8_t *buffers;
};

static void
set_int (int fd, int level, int option, int value)
{
  setsockopt (fd, level, option, &value, sizeof value);
}

static void
set_buffer (int fd, int force, int plain, int size)
{
  if (setsockopt (fd, SOL_SOCKET, force, &size, sizeof size) != 0)
    set_int (fd, SOL_SOCKET, plain, size);
}

static bool
bind_any (UdpSocket *s, uint16_t port)
{
  IpPort any = {.addr.family = s->family, .port = port};
  struct sockaddr_storage address;
  socklen_t length = ip_port_to_sockaddr (&any, &address);
  IpPort bound;

  if (bind (s->fd, (struct sockaddr *)&address, length) != 0)
    return false;
  length = sizeof address;
  if (getsockname (s->fd, (struct sockaddr *)&address, &length) != 0
      || !ip_port_from_sockaddr ((struct sockaddr *)&address, length, &bound))
    return false;
  s->port = bound.port;
  return true;
}

bool
udp_open (UdpSocket *s, uint8_t family, const UdpOptions *options)
{
  int one = 1, saved;

  memset (s, 0, sizeof *s);
  s->family = family;
  s->send_one = sendmsg;
  s->equal_tail_guard = options->equal_tail_guard;
  s->fd = socket (family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s->fd < 0)
    return false;
  if (family == 6)
    set_int (s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options->reuse_port)
    set_int (s->fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (options->successor)
    set_int (s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if ((options->mark != NULL && !options->mark (s->fd)) || !bind_any (s, options->port)) {
    saved = errno;
    udp_close (s);
    errno = saved;
    return false;
  }
  /* Only in passing: no other program may join the port. */
  if (options->successor)
    set_int (s->fd, SOL_SOCKET, SO_REUSEADDR, 0);
  set_buffer (s->fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER);
  set_buffer (s->fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
  set_int (s->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  s->gro = options->gro && setsockopt (s->fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one) == 0;
  if (options->gso) {
    int size;
    socklen_t length = sizeof size;

    s->gso = getsockopt (s->fd, IPPROTO_UDP, UDP_SEGMENT, &size, &length) == 0;
  }
  return true;
}

void
udp_close (UdpSocket *s)
{
  if (s->fd >= 0)
    close (s->fd);
  s->fd = -1;
}

void
udp_allow_successor (const UdpSocket *s)
{
  if (s->fd >= 0)
    set_int (s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

bool
udp_steer (const UdpSocket *s, unsigned n)
{
  /* A = first byte; 4 and 3 carry our index at 4, 2 at 8; its low three bits name the worker. All
   * else, and an index that names no worker of ours, goes to worker 0. */
  struct sock_filter code[] = {
      BPF_STMT (BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, 4, 3, 0),
      BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, 3, 2, 0),
      BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, 2, 3, 0),
      BPF_STMT (BPF_RET | BPF_K, 0),
      BPF_STMT (BPF_LD | BPF_B | BPF_ABS, 4),
      BPF_JUMP (BPF_JMP | BPF_JA, 1, 0, 0),
      BPF_STMT (BPF_LD | BPF_B | BPF_ABS, 8),
      BPF_STMT (BPF_ALU | BPF_AND | BPF_K, 7),
      BPF_JUMP (BPF_JMP | BPF_JGE | BPF_K, n, 1, 0),
      BPF_STMT (BPF_RET | BPF_A, 0),
      BPF_STMT (BPF_RET | BPF_K, 0),
  };
  struct sock_fprog program = {sizeof code / sizeof code[0], code};

  return setsockopt (s->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

void
udp_target_init (UdpTarget *target, const IpPort *to)
{
  target->length = ip_port_to_sockaddr (to, &target->address);
  atomic_init (&target->no_gso_until_us, 0);
}

static UdpResult
judge (int error)
{
  switch (error) {
    case EAGAIN:
      return UDP_AGAIN;
    case ENOBUFS:
    case ENOMEM:
    case EINTR:
    case EMSGSIZE:
    case ECONNREFUSED:
      return UDP_LOST;
    default:
      return UDP_UNUSABLE;
  }
}

/* Messages of RUN from FIRST on, each a datagram of its own, with as few system calls as can be. */
static UdpResult
send_singly (UdpSocket *s, UdpTarget *target, const Run *run, uint32_t *done, int *error)
{
  struct mmsghdr headers[UDP_RUN_SEGMENTS_MAX];
  struct iovec vectors[UDP_RUN_SEGMENTS_MAX];
  uint32_t n = run->n - *done;

  for (uint32_t i = 0; i < n; i++) {
    uint32_t k = *done + i;

    vectors[i].iov_base = run->data + (size_t)k * run->segment;
    vectors[i].iov_len = k + 1 < run->n ? run->segment : run->last;
    headers[i].msg_hdr = (struct msghdr){
        .msg_name = &target->address,
        .msg_namelen = target->length,
        .msg_iov = &vectors[i],
        .msg_iovlen = 1,
    };
  }
  for (uint32_t sent = 0; sent < n;) {
    int count = sendmmsg (s->fd, headers + sent, n - sent, 0);

    if (count < 0) {
      UdpResult result = judge (errno);

      *error = errno;
      if (result != UDP_LOST)
        return result;
      count = 1;
    }
    sent += (uint32_t)count;
    *done += (uint32_t)count;
  }
  return UDP_SENT;
}

/* One datagram that the kernel takes apart. 0, or an errno. */
static int
send_segmented (UdpSocket *s, UdpTarget *target, const Run *run)
{
  static const uint8_t sentinel[1] = {7};
  alignas (struct cmsghdr) uint8_t control[CMSG_SPACE (sizeof (uint16_t))] = {0};
  struct iovec vectors[2] = {{run->data, run_size (run)}, {(void *)(uintptr_t)sentinel, 1}};
  struct msghdr message = {
      .msg_name = &target->address,
      .msg_namelen = target->length,
      .msg_iov = vectors,
      .msg_iovlen = s->equal_tail_guard && run->last == run->segment ? 2 : 1,
      .msg_control = control,
      .msg_controllen = sizeof control,
  };
  struct cmsghdr *c = CMSG_FIRSTHDR (&message);
  uint16_t segment = (uint16_t)run->segment;

  c->cmsg_level = IPPROTO_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN (sizeof segment);
  memcpy (CMSG_DATA (c), &segment, sizeof segment);
  return s->send_one (s->fd, &message, 0) < 0 ? errno : 0;
}

UdpResult
udp_send_run (UdpSocket *s, UdpTarget *target, const Run *run, uint32_t *done, int64_t now_us,
              int *error)
{
  uint32_t least = s->equal_tail_guard ? GUARDED_MIN : 2;
  bool segmented
      = *done == 0 && run->n >= least && run->n + s->equal_tail_guard <= UDP_RUN_SEGMENTS_MAX
        && atomic_load_explicit (&s->gso, memory_order_relaxed)
        && atomic_load_explicit (&target->no_gso_until_us, memory_order_relaxed) <= now_us;
  UdpResult result;

  *error = 0;
  if (s->fd < 0) {
    *error = ENETUNREACH;
    return UDP_UNUSABLE;
  }
  if (!segmented)
    return send_singly (s, target, run, done, error);
  *error = send_segmented (s, target, run);
  switch (*error) {
    case 0:
      *done = run->n;
      return UDP_SENT;
    case EIO:
      atomic_store_explicit (&s->gso, false, memory_order_relaxed);
      return send_singly (s, target, run, done, error);
    case EMSGSIZE:
    case EINVAL:
      atomic_store_explicit (&target->no_gso_until_us, now_us + UDP_NO_GSO_US,
                             memory_order_relaxed);
      return send_singly (s, target, run, done, error);
    default:
      result = judge (*error);
      if (result != UDP_AGAIN)
        *done = run->n;
      return result;
  }
}

UdpResult
udp_send (UdpSocket *s, const IpPort *to, const void *data, size_t size, int *error)
{
  struct sockaddr_storage address;
  socklen_t length = ip_port_to_sockaddr (to, &address);

  *error = s->fd < 0 ? ENETUNREACH : 0;
  if (s->fd >= 0 && sendto (s->fd, data, size, 0, (const struct sockaddr *)&address, length) < 0)
    *error = errno;
  return *error == 0 ? UDP_SENT : judge (*error);
}

UdpBatch *
udp_batch_new (void)
{
  UdpBatch *batch = calloc (1, sizeof *batch);
  void *memory = mmap (NULL, (size_t)UDP_BATCH * MESSAGE_ROOM, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  if (batch == NULL || memory == MAP_FAILED)
    abort ();
  batch->buffers = memory;
  for (unsigned i = 0; i < UDP_BATCH; i++) {
    uint8_t *buffer = batch->buffers + (size_t)i * MESSAGE_ROOM + HEADROOM;

    batch->messages[i].data = buffer;
    batch->vectors[i] = (struct iovec){buffer, UDP_MESSAGE_MAX};
  }
  return batch;
}

void
udp_batch_free (UdpBatch *batch)
{
  if (batch == NULL)
    return;
  munmap (batch->buffers, (size_t)UDP_BATCH * MESSAGE_ROOM);
  free (batch);
}

static void
read_control (UdpSocket *s, struct msghdr *header, UdpMessage *message)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (header); c != NULL; c = CMSG_NXTHDR (header, c)) {
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO
        && c->cmsg_len >= CMSG_LEN (sizeof (int))) {
      int segment;

      memcpy (&segment, CMSG_DATA (c), sizeof segment);
      if (segment > 0 && (uint32_t)segment < message->size)
        message->segment = (uint32_t)segment;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL
               && c->cmsg_len >= CMSG_LEN (sizeof (uint32_t))) {
      uint32_t overflows;

      memcpy (&overflows, CMSG_DATA (c), sizeof overflows);
      atomic_store_explicit (&s->overflows, overflows, memory_order_relaxed);
    }
  }
}

unsigned
udp_receive (UdpSocket *s, UdpBatch *batch, UdpMessage **messages, int *error)
{
  int count;

  *error = 0;
  *messages = batch->messages;
  for (unsigned i = 0; i < UDP_BATCH; i++)
    batch->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &batch->messages[i].from,
        .msg_namelen = sizeof batch->messages[i].from,
        .msg_iov = &batch->vectors[i],
        .msg_iovlen = 1,
        .msg_control = batch->control[i],
        .msg_controllen = sizeof batch->control[i],
    };
  count = recvmmsg (s->fd, batch->headers, UDP_BATCH, MSG_DONTWAIT, NULL);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR)
      *error = errno;
    return 0;
  }
  for (int i = 0; i < count; i++) {
    UdpMessage *message = &batch->messages[i];

    message->size = batch->headers[i].msg_len;
    message->segment = message->size;
    message->truncated = (batch->headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    read_control (s, &batch->headers[i].msg_hdr, message);
  }
  return (unsigned)count;
}
