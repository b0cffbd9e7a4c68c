/* The relay's front thread: deals new connections out to the workers and answers STUN. */
#include "coordinator/relay-private.h"

#include "base/log.h"
#include "path/stun.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOMAIN       "relay"
#define BACKLOG      4096
#define NOT_SENT_LOW 131072
#define USER_TIMEOUT 15000 /* milliseconds */
#define KEEP_ALIVE   600   /* seconds */
#define ACCEPTS      64    /* before STUN is looked at again */
#define BATCH        32    /* STUN requests in one system call */
#define STUN_SIZE    1500
#define CONTROL      64  /* bytes: the address that was asked */
#define BREATH_MS    100 /* when there are no descriptors left */

static void
set_option (int fd, int level, int option, int value)
{
  setsockopt (fd, level, option, &value, sizeof value);
}

/* What connections inherit from their listener. */
static void
set_options (int fd)
{
  set_option (fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT);
  set_option (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_LOW);
  set_option (fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option (fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_ALIVE);
}

static int
open_socket (const IpPort *at, int type)
{
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (at, &address);
  int fd = socket (address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (type == SOCK_STREAM)
    set_options (fd);
  if (bind (fd, (struct sockaddr *)&address, size) == 0
      && (type != SOCK_STREAM || listen (fd, BACKLOG) == 0))
    return fd;
  int saved = errno;
  close (fd);
  errno = saved;
  return -1;
}

static void
watch (const RelayFront *front, const int *fd)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)(uintptr_t)fd};

  if (*fd >= 0)
    epoll_ctl (front->epoll, EPOLL_CTL_ADD, *fd, &event);
}

bool
relay_front_open (Relay *relay, const RelayOptions *options, char **error)
{
  RelayFront *front = &relay->front;
  IpPort at;
  int one = 1;

  front->epoll = epoll_create1 (EPOLL_CLOEXEC);
  front->stop = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  front->limit = relay_limit_new ();
  errno = EINVAL;
  if (!ip_port_parse (options->listen, strlen (options->listen), &at)
      || (front->listener = open_socket (&at, SOCK_STREAM)) < 0) {
    if (asprintf (error, "could not relay at %s: %s", options->listen, strerror (errno)) < 0)
      *error = NULL;
    return false;
  }
  if (options->stun_port) {
    at.port = options->stun_port;
    front->stun_v6 = at.addr.family == 6;
    front->stun = open_socket (&at, SOCK_DGRAM);
    if (front->stun < 0) {
      if (asprintf (error, "could not answer STUN at port %u: %s", at.port, strerror (errno)) < 0)
        *error = NULL;
      return false;
    }
    setsockopt (front->stun, front->stun_v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                front->stun_v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &one, sizeof one);
  }
  front->files.certificate = options->key_file ? options->certificate_file : NULL;
  front->files.key = options->key_file;
  certificate_files_changed (&front->files);
  watch (front, &front->listener);
  watch (front, &front->stun);
  watch (front, &front->stop);
  return true;
}

/* ---- new connections ---- */

/* True when there may be more. */
static bool
accept_one (Relay *relay)
{
  RelayFront *front = &relay->front;
  RelayOrder order = {.type = RELAY_ORDER_ACCEPT};
  struct sockaddr_storage from;
  socklen_t size = sizeof from;

  order.fd
      = accept4 (front->listener, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (order.fd < 0) {
    /* Without descriptors the listener stays ready: do not spin. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
      usleep (BREATH_MS * 1000);
    return false;
  }
  if (!ip_port_from_sockaddr ((struct sockaddr *)&from, size, &order.from)
      || !relay_limit_take (front->limit, &order.from.addr, clock_now_us ())) {
    close (order.fd);
    return true;
  }
  order.to.worker = front->next_worker;
  front->next_worker = (front->next_worker + 1) % relay->n_workers;
  relay_order (relay, &order);
  return true;
}

/* ---- STUN ---- */

typedef struct
{
  struct mmsghdr messages[BATCH];
  struct iovec pieces[BATCH];
  struct sockaddr_storage from[BATCH];
  uint8_t control[BATCH][CONTROL];
  uint8_t bytes[BATCH][STUN_SIZE];
} Batch;

static void
prepare (Batch *batch)
{
  for (int i = 0; i < BATCH; i++) {
    batch->pieces[i] = (struct iovec){batch->bytes[i], STUN_SIZE};
    batch->messages[i].msg_hdr = (struct msghdr){
        .msg_name = &batch->from[i],
        .msg_namelen = sizeof batch->from[i],
        .msg_iov = &batch->pieces[i],
        .msg_iovlen = 1,
        .msg_control = batch->control[i],
        .msg_controllen = CONTROL,
    };
  }
}

/* Answers go out from the address that was asked, but by whatever interface leads back. */
static void
keep_address (struct msghdr *message)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR (message); c; c = CMSG_NXTHDR (message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA (c);
      info->ipi_spec_dst = info->ipi_addr;
      info->ipi_ifindex = 0;
    }
  }
}

static void
answer_stun (const RelayFront *front)
{
  static Batch batch; /* of the one front thread that a process has */
  int n, answers = 0;

  prepare (&batch);
  n = recvmmsg (front->stun, batch.messages, BATCH, MSG_DONTWAIT, NULL);
  for (int i = 0; i < n; i++) {
    struct mmsghdr *message = &batch.messages[i];
    uint8_t answer[STUN_RESPONSE_MAX];
    StunTxId id;
    IpPort source;
    if (!stun_parse_request (message->msg_hdr.msg_iov->iov_base, message->msg_len, &id)
        || !ip_port_from_sockaddr (message->msg_hdr.msg_name, message->msg_hdr.msg_namelen,
                                   &source))
      continue;
    keep_address (&message->msg_hdr);
    message->msg_hdr.msg_iov->iov_len = stun_encode_response (&id, &source, answer);
    memcpy (message->msg_hdr.msg_iov->iov_base, answer, sizeof answer);
    batch.messages[answers++] = *message;
  }
  if (answers > 0)
    sendmmsg (front->stun, batch.messages, (unsigned)answers, MSG_DONTWAIT);
}

/* ---- certificates ---- */

static void
look_at_certificate (Relay *relay)
{
  RelayFront *front = &relay->front;
  char *certificate = NULL, *key = NULL, *error = NULL;

  if (!certificate_files_changed (&front->files))
    return;
  if (certificate_files_read (&front->files, &certificate, &key, &error)
      && relay_set_certificate (relay, certificate, key, &error))
    log_info (DOMAIN, "the certificate %s was read again", front->files.certificate);
  else
    log_warning (DOMAIN, "the certificate %s is not used: %s", front->files.certificate,
                 error ? error : "it could not be read");
  certificate_files_clear (certificate, key);
  free (error);
}

/* ---- the loop ---- */

static void *
run (void *data)
{
  Relay *relay = data;
  RelayFront *front = &relay->front;
  struct epoll_event events[4];
  bool stop = false;

  while (!stop) {
    int n
        = epoll_wait (front->epoll, events, 4, front->files.certificate ? CERTIFICATE_LOOK_MS : -1);
    if (front->files.certificate)
      look_at_certificate (relay);
    for (int i = 0; i < n; i++) {
      const int *fd = events[i].data.ptr;
      if (fd == &front->stop)
        stop = true;
      else if (fd == &front->stun)
        answer_stun (front);
      else
        for (int k = 0; k < ACCEPTS && accept_one (relay); k++)
          continue;
    }
  }
  return NULL;
}

bool
relay_front_start (Relay *relay)
{
  relay->front.started = pthread_create (&relay->front.thread, NULL, run, relay) == 0;
  return relay->front.started;
}

void
relay_front_close (Relay *relay)
{
  RelayFront *front = &relay->front;
  uint64_t one = 1;

  if (front->started && write (front->stop, &one, sizeof one) > 0)
    pthread_join (front->thread, NULL);
  close (front->epoll);
  close (front->stop);
  if (front->listener >= 0)
    close (front->listener);
  if (front->stun >= 0)
    close (front->stun);
  relay_limit_free (front->limit);
}
