/* Sockets beside the shared ones, for peers that a hard NAT of ours hides from: net opens many,
 * reads them all, and keeps the one that path chose. Workers send through it; what comes in by it
 * they get as what comes by a relay. spec/path-finding.md §16.3. */
#include "tunnel/net.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "path/birthday.h"
#include "path/classify.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SOCKETS_MAX (BIRTHDAY_SOCKETS + PATH_SIDES_MAX + 1) /* that of the port mapper */
#define EVENTS_MAX  16
#define BATCHES_MAX 8 /* of one socket in one round */

typedef struct
{
  uint32_t number; /* 0: free */
  bool raw;        /* path reads everything itself */
  UdpSocket socket;
} Side;

struct SideSockets
{
  int epoll;
  UdpBatch *batch;
  Side open[SOCKETS_MAX];
  SideWay ways[PATH_SIDES_MAX];
};

static bool
start (Net *net)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = &net->sides};
  int epoll = epoll_create1 (EPOLL_CLOEXEC);

  if (epoll < 0 || epoll_ctl (net->epoll, EPOLL_CTL_ADD, epoll, &event) != 0) {
    if (epoll >= 0)
      close (epoll);
    return false;
  }
  net->sides = mem_new (sizeof *net->sides);
  net->sides->epoll = epoll;
  net->sides->batch = udp_batch_new ();
  for (size_t i = 0; i < PATH_SIDES_MAX; i++)
    atomic_init (&net->sides->ways[i].fd, -1);
  return true;
}

void
net_side_open (Net *net, uint32_t first, uint32_t count, bool raw)
{
  UdpOptions options = {.gso = true, .mark = net->mark};

  if (net->sides == NULL && !start (net))
    return;
  for (size_t i = 0; i < SOCKETS_MAX && count > 0; i++) {
    Side *side = &net->sides->open[i];
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

    if (side->number != 0)
      continue;
    if (!udp_open (&side->socket, 4, &options))
      return; /* as many as there may be */
    side->number = first++;
    side->raw = raw;
    count--;
    epoll_ctl (net->sides->epoll, EPOLL_CTL_ADD, side->socket.fd, &event);
  }
}

static Side *
find (const Net *net, uint32_t number)
{
  for (size_t i = 0; net->sides != NULL && i < SOCKETS_MAX; i++)
    if (net->sides->open[i].number == number)
      return &net->sides->open[i];
  return NULL;
}

/* ---- closing ---- */

static void
close_retired (void *data)
{
  int *fd = data;

  close (*fd);
  free (fd);
}

/* A worker may be about to send through it: only the number of the file must not be used anew. */
static void
close_side (Net *net, Side *side)
{
  int *fd = mem_dup (&side->socket.fd, sizeof *fd);

  epoll_ctl (net->sides->epoll, EPOLL_CTL_DEL, *fd, NULL);
  for (size_t i = 0; i < PATH_SIDES_MAX; i++) {
    SideWay *way = &net->sides->ways[i];

    if (way->number != side->number)
      continue;
    atomic_store (&way->fd, -1);
    way->number = 0;
  }
  side->number = 0;
  epoch_retire (net->shared->epochs, fd, close_retired);
}

void
net_side_close (Net *net, uint32_t first, uint32_t count)
{
  for (size_t i = 0; net->sides != NULL && i < SOCKETS_MAX; i++) {
    Side *side = &net->sides->open[i];

    if (side->number != 0 && side->number - first < count)
      close_side (net, side);
  }
}

void
net_side_clear (Net *net)
{
  if (net->sides == NULL)
    return;
  for (size_t i = 0; i < SOCKETS_MAX; i++)
    if (net->sides->open[i].number != 0)
      udp_close (&net->sides->open[i].socket);
  udp_batch_free (net->sides->batch);
  close (net->sides->epoll);
  free (net->sides);
  net->sides = NULL;
}

/* ---- sending ---- */

void
net_side_send (Net *net, uint32_t number, const IpPort *to, const void *data, size_t size)
{
  Side *side = find (net, number);
  int error;

  if (side != NULL)
    udp_send (&side->socket, to, data, size, &error);
}

SideWay *
net_side_way (Net *net, uint32_t number, const IpPort *remote)
{
  Side *side = find (net, number);
  SideWay *free_way = NULL;

  if (side == NULL)
    return NULL;
  for (size_t i = 0; i < PATH_SIDES_MAX; i++) {
    SideWay *way = &net->sides->ways[i];

    if (way->number == number)
      return way;
    if (way->number == 0 && free_way == NULL)
      free_way = way;
  }
  if (free_way == NULL)
    return NULL;
  free_way->number = number;
  free_way->remote = *remote;
  atomic_store (&free_way->gso, atomic_load (&side->socket.gso));
  atomic_store (&free_way->fd, side->socket.fd);
  return free_way;
}

uint32_t
net_side_to (const Net *net, const IpPort *remote)
{
  for (size_t i = 0; net->sides != NULL && i < PATH_SIDES_MAX; i++) {
    const SideWay *way = &net->sides->ways[i];

    if (way->number != 0 && ip_port_equal (&way->remote, remote))
      return way->number;
  }
  return 0;
}

/* ---- receiving ---- */

static void
handle_data (Net *net, const uint8_t *data, size_t size, const IpPort *from)
{
  Order order = {.type = ORDER_DATAGRAM, .size = (uint32_t)size};
  uint32_t index = load_le32 (data + 4);
  unsigned worker = wg_index_worker (index);

  if (net->device == NULL || !wg_device_has_index (net->device, index))
    net_heal_address (net, from);
  else if (worker < net->shared->n_workers)
    net_order_packet (net, worker, &order, data, size);
}

static void
handle_datagram (Net *net, const Side *side, const uint8_t *data, size_t size, const IpPort *from)
{
  PathEvent event = {.type = PATH_EVENT_DATAGRAM};
  WgEvent message = {.type = WG_EVENT_DATAGRAM};

  if (side->raw || packet_classify (data, size) != PACKET_WIREGUARD) {
    event.datagram.data = data;
    event.datagram.size = size;
    event.datagram.source = *from;
    event.datagram.side = side->number;
    net_feed_path (net, &event);
  } else if (wg_message_classify (data, size) == WG_MESSAGE_DATA) {
    handle_data (net, data, size, from);
  } else {
    message.datagram.bytes = data;
    message.datagram.size = size;
    message.datagram.source.kind = WG_SOURCE_UDP;
    message.datagram.source.addr = *from;
    net_feed_device (net, &message);
  }
}

/* False when nothing is left. What comes in may close the socket. */
static bool
read_batch (Net *net, Side *side)
{
  UdpMessage *messages;
  int error;
  unsigned n = udp_receive (&side->socket, net->sides->batch, &messages, &error);
  uint32_t number = side->number;

  for (unsigned i = 0; i < n && side->number == number; i++) {
    const UdpMessage *m = &messages[i];
    IpPort from;

    if (m->truncated
        || !ip_port_from_sockaddr ((const struct sockaddr *)&m->from, sizeof m->from, &from))
      continue;
    handle_datagram (net, side, m->data, m->size, &from);
    net_run_actions (net);
  }
  return n == UDP_BATCH && side->number == number;
}

void
net_side_read (Net *net)
{
  struct epoll_event events[EVENTS_MAX];
  int n = epoll_wait (net->sides->epoll, events, EVENTS_MAX, 0);

  for (int i = 0; i < n; i++) {
    Side *side = &net->sides->open[events[i].data.u32];

    for (int k = 0; side->number != 0 && k < BATCHES_MAX && read_batch (net, side); k++)
      ;
  }
}
