#include "host/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH_BYTES    (48 * 1024)
#define REQUEST_BYTES  1024 /* no request of ours is longer */
#define BATCH_REQUESTS 400
#define RECEIVE_BYTES  (32 * 1024)
#define ANSWER_SECONDS 10

struct Netlink
{
  struct mnl_socket *socket;
  uint32_t port_id;
  uint32_t sequence;       /* of the last request begun */
  uint32_t first_sequence; /* of the batch */
  size_t used;             /* bytes queued in batch */
  size_t count;            /* requests queued */
  NetlinkTolerance tolerance[BATCH_REQUESTS];
  int first_error;
  char batch[BATCH_BYTES + REQUEST_BYTES] __attribute__ ((aligned (8)));
  char receive[RECEIVE_BYTES] __attribute__ ((aligned (8)));
};

Netlink *
netlink_new (int bus)
{
  struct mnl_socket *socket = mnl_socket_open2 (bus, SOCK_CLOEXEC);
  struct timeval timeout = {.tv_sec = ANSWER_SECONDS};
  int one = 1, size = 1 << 20;

  if (!socket)
    return NULL;
  if (mnl_socket_bind (socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    mnl_socket_close (socket);
    return NULL;
  }
  mnl_socket_setsockopt (socket, NETLINK_CAP_ACK, &one, sizeof one);
  mnl_socket_setsockopt (socket, NETLINK_GET_STRICT_CHK, &one, sizeof one);
  int fd = mnl_socket_get_fd (socket);
  setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  Netlink *netlink = g_new0 (Netlink, 1);
  netlink->socket = socket;
  netlink->port_id = mnl_socket_get_portid (socket);
  netlink->sequence = (uint32_t)time (NULL);
  return netlink;
}

void
netlink_free (Netlink *netlink)
{
  if (!netlink)
    return;
  mnl_socket_close (netlink->socket);
  g_free (netlink);
}

struct nlmsghdr *
netlink_begin (Netlink *netlink, uint16_t type, uint16_t flags)
{
  struct nlmsghdr *nlh = mnl_nlmsg_put_header (netlink->batch + netlink->used);

  nlh->nlmsg_type = type;
  nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
  nlh->nlmsg_seq = ++netlink->sequence;
  if (netlink->count == 0)
    netlink->first_sequence = nlh->nlmsg_seq;
  return nlh;
}

static bool
is_tolerated (NetlinkTolerance tolerance, int error)
{
  switch (tolerance) {
    case NETLINK_MAY_EXIST:
      return error == EEXIST;
    case NETLINK_MAY_BE_GONE:
      return error == ENOENT || error == ESRCH || error == EADDRNOTAVAIL;
    default:
      return false;
  }
}

/* Reads answers until the last request of the batch is acknowledged. */
static int
read_answers (Netlink *netlink)
{
  uint32_t last = netlink->sequence;

  for (;;) {
    ssize_t n = mnl_socket_recvfrom (netlink->socket, netlink->receive, sizeof netlink->receive);
    if (n < 0)
      return errno == EAGAIN ? ETIMEDOUT : errno;
    struct nlmsghdr *nlh = (struct nlmsghdr *)netlink->receive;
    int left = (int)n;
    for (; mnl_nlmsg_ok (nlh, left); nlh = mnl_nlmsg_next (nlh, &left)) {
      uint32_t index = nlh->nlmsg_seq - netlink->first_sequence;
      if (nlh->nlmsg_type != NLMSG_ERROR || index >= netlink->count)
        continue;
      const struct nlmsgerr *answer = mnl_nlmsg_get_payload (nlh);
      int error = -answer->error;
      if (error != 0 && netlink->first_error == 0
          && !is_tolerated (netlink->tolerance[index], error))
        netlink->first_error = error;
      if (nlh->nlmsg_seq == last)
        return 0;
    }
  }
}

static void
send_batch (Netlink *netlink)
{
  int error;

  if (netlink->count == 0)
    return;
  if (mnl_socket_sendto (netlink->socket, netlink->batch, netlink->used) < 0)
    error = errno;
  else
    error = read_answers (netlink);
  if (error != 0 && netlink->first_error == 0)
    netlink->first_error = error;
  netlink->used = 0;
  netlink->count = 0;
}

void
netlink_commit (Netlink *netlink, NetlinkTolerance tolerance)
{
  struct nlmsghdr *nlh = (struct nlmsghdr *)(netlink->batch + netlink->used);

  netlink->tolerance[netlink->count++] = tolerance;
  netlink->used += MNL_ALIGN (nlh->nlmsg_len);
  if (netlink->count == BATCH_REQUESTS || netlink->used >= BATCH_BYTES) {
    nlh->nlmsg_flags |= NLM_F_ACK;
    send_batch (netlink);
  }
}

int
netlink_flush (Netlink *netlink)
{
  if (netlink->count > 0) {
    /* An acknowledgement is asked of the last request only; find it. */
    struct nlmsghdr *nlh = (struct nlmsghdr *)netlink->batch;
    for (size_t i = 1; i < netlink->count; i++)
      nlh = (struct nlmsghdr *)((char *)nlh + MNL_ALIGN (nlh->nlmsg_len));
    nlh->nlmsg_flags |= NLM_F_ACK;
    send_batch (netlink);
  }
  int error = netlink->first_error;
  netlink->first_error = 0;
  return error;
}

bool
netlink_dump (Netlink *netlink, const struct nlmsghdr *request, mnl_cb_t callback, void *user_data)
{
  struct nlmsghdr *nlh = (struct nlmsghdr *)netlink->batch;

  g_assert (netlink->count == 0);
  memcpy (nlh, request, request->nlmsg_len);
  nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  nlh->nlmsg_seq = ++netlink->sequence;
  if (mnl_socket_sendto (netlink->socket, nlh, nlh->nlmsg_len) < 0)
    return false;
  for (;;) {
    ssize_t n = mnl_socket_recvfrom (netlink->socket, netlink->receive, sizeof netlink->receive);
    if (n < 0)
      return false;
    int result = mnl_cb_run (netlink->receive, (size_t)n, nlh->nlmsg_seq, netlink->port_id,
                             callback, user_data);
    if (result < 0)
      return false;
    if (result == MNL_CB_STOP)
      return true;
  }
}

bool
netlink_query (Netlink *netlink, struct nlmsghdr *request, mnl_cb_t callback, void *user_data)
{
  g_assert (netlink->count == 0);
  request->nlmsg_flags = NLM_F_REQUEST;
  request->nlmsg_seq = ++netlink->sequence;
  if (mnl_socket_sendto (netlink->socket, request, request->nlmsg_len) < 0)
    return false;
  ssize_t n = mnl_socket_recvfrom (netlink->socket, netlink->receive, sizeof netlink->receive);
  if (n < 0)
    return false;
  return mnl_cb_run (netlink->receive, (size_t)n, request->nlmsg_seq, netlink->port_id, callback,
                     user_data)
         >= 0;
}
