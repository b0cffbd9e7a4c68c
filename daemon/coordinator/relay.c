#include "coordinator/relay.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/memory.h"
#include "coordinator/relay-certificate.h"
#include "coordinator/relay-client.h"
#include "path/stun.h"
#include "wire/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOMAIN    "relay"
#define EVENTS    128
#define READ_SIZE 65536
/* Ciphertext waiting for a socket; packets wait in their queues. */
#define SOCKET_AHEAD    (64u << 10)
#define RECORD_BYTES    16384
#define LOGIN_US        (10 * USEC_PER_SEC)
#define SWEEP_US        USEC_PER_SEC
#define BUCKETS         65536
#define NOT_SENT_LOW    65536
#define USER_TIMEOUT_MS 15000

typedef struct Peer Peer;
struct Peer
{
  int fd;
  Tls *tls;
  RelayClient client;
  Buffer cipher; /* for the socket */
  bool wants_write;
  bool closing;
  bool listed;      /* in the table of keys */
  int64_t until_us; /* limit for the login */
  Peer *next_same;  /* in the bucket; the one that spoke last is first among equal keys */
  Peer *next, *previous;
};

/* A key that may use the relay. */
typedef struct Member Member;
struct Member
{
  NodePublic key;
  Member *next;
};

struct Relay
{
  int epoll, listener, wake, stun;
  pthread_t thread;
  bool running;
  TlsContext *tls;
  RelayIdentity identity;
  Peer *peers;
  Peer *table[BUCKETS]; /* by the first two bytes of the key: keys are uniform */
  pthread_mutex_t lock; /* of what other threads touch: members, stop, check */
  Member *members[BUCKETS];
  bool stop;
  bool check; /* a member was taken away: look at everybody */
};

static size_t
bucket_of (const NodePublic *key)
{
  return (size_t)key->bytes[0] << 8 | key->bytes[1];
}

static bool
same_key (const NodePublic *a, const NodePublic *b)
{
  return memcmp (a->bytes, b->bytes, KEY_SIZE) == 0;
}

/* ---- members ---- */

static bool
is_member (Relay *relay, const NodePublic *key)
{
  bool found = false;

  pthread_mutex_lock (&relay->lock);
  for (Member *member = relay->members[bucket_of (key)]; member && !found; member = member->next)
    found = same_key (&member->key, key);
  pthread_mutex_unlock (&relay->lock);
  return found;
}

void
relay_admit (Relay *relay, const NodePublic *key, bool allowed)
{
  Member **link = &relay->members[bucket_of (key)];
  uint64_t one = 1;

  pthread_mutex_lock (&relay->lock);
  while (*link && !same_key (&(*link)->key, key))
    link = &(*link)->next;
  Member *found = *link;
  if (allowed && !found) {
    Member *member = mem_new (sizeof *member);
    member->key = *key;
    *link = member;
  } else if (!allowed && found) {
    *link = found->next;
    free (found);
    relay->check = true;
  }
  pthread_mutex_unlock (&relay->lock);
  if (!allowed && write (relay->wake, &one, sizeof one) < 0)
    return; /* the counter is full, so the thread is woken anyway */
}

/* ---- peers by key ---- */

static Peer *
find_peer (Relay *relay, const NodePublic *key)
{
  for (Peer *peer = relay->table[bucket_of (key)]; peer; peer = peer->next_same)
    if (same_key (&peer->client.key, key))
      return peer;
  return NULL;
}

static void
unlist (Relay *relay, Peer *peer)
{
  Peer **link = &relay->table[bucket_of (&peer->client.key)];

  while (*link && *link != peer)
    link = &(*link)->next_same;
  if (*link)
    *link = peer->next_same;
  peer->listed = false;
}

/* The connection of a key that spoke last gets its packets. */
static void
list_first (Relay *relay, Peer *peer)
{
  Peer **bucket = &relay->table[bucket_of (&peer->client.key)];

  if (peer->listed)
    unlist (relay, peer);
  peer->next_same = *bucket;
  *bucket = peer;
  peer->listed = true;
}

/* ---- writing ---- */

static void
watch (Relay *relay, Peer *peer, int operation)
{
  struct epoll_event event
      = {.events = EPOLLIN | (peer->wants_write ? EPOLLOUT : 0), .data.ptr = peer};

  epoll_ctl (relay->epoll, operation, peer->fd, &event);
}

static void
send_cipher (Peer *peer)
{
  while (peer->cipher.size > 0) {
    ssize_t n = send (peer->fd, peer->cipher.data, peer->cipher.size, MSG_NOSIGNAL);
    if (n > 0) {
      buffer_consume (&peer->cipher, (size_t)n);
    } else {
      if (n < 0 && errno != EAGAIN && errno != EINTR)
        peer->closing = true;
      return;
    }
  }
}

/* As many frames as the socket takes, packed into full records. */
static void
flush_peer (Relay *relay, Peer *peer)
{
  Buffer plain = {0};

  tls_take (peer->tls, &peer->cipher);
  send_cipher (peer);
  while (!peer->closing && peer->cipher.size < SOCKET_AHEAD && tls_state (peer->tls) == TLS_OPEN) {
    relay_client_take (&peer->client, &plain, RECORD_BYTES - 2048);
    if (plain.size == 0)
      break;
    tls_write (peer->tls, plain.data, plain.size);
    buffer_reset (&plain);
    tls_take (peer->tls, &peer->cipher);
    send_cipher (peer);
  }
  buffer_free (&plain);
  if (peer->cipher.size == 0)
    buffer_free (&peer->cipher); /* idle clients keep nothing */
  if (peer->client.stage == RELAY_OVER && peer->cipher.size == 0)
    peer->closing = true;
  bool wants_write = peer->cipher.size > 0;
  if (wants_write != peer->wants_write) {
    peer->wants_write = wants_write;
    watch (relay, peer, EPOLL_CTL_MOD);
  }
}

/* ---- packets ---- */

static void
note_heard (RelayClient *client, const NodePublic *key)
{
  for (size_t i = client->n_heard; i > 0; i--)
    if (same_key (&client->heard[i - 1], key))
      return;
  if (client->n_heard < RELAY_HEARD_MAX)
    client->heard[client->n_heard++] = *key;
}

static void
forward (Relay *relay, Peer *from, const RelayEvent *event)
{
  Peer *to = find_peer (relay, &event->destination);

  if (!to) {
    if (derp_packet_is_disco (event->packet, event->size))
      relay_client_gone (&from->client, &event->destination, DERP_GONE_NOT_HERE);
    return;
  }
  note_heard (&from->client, &event->destination);
  relay_client_deliver (&to->client, &from->client.key, event->packet, event->size);
  if (to != from && !to->wants_write)
    flush_peer (relay, to);
}

static void
log_in (Relay *relay, Peer *peer)
{
  char name[KEY_SHORT_MAX];

  key_short (KEY_NODE_PUBLIC, peer->client.key.bytes, name);
  if (!is_member (relay, &peer->client.key)) {
    log_debug (DOMAIN, "%s is not a member", name);
    peer->client.stage = RELAY_OVER;
    return;
  }
  relay_client_accept (&peer->client, clock_now_us ());
  list_first (relay, peer);
  log_debug (DOMAIN, "%s is here", name);
}

static void
read_peer (Relay *relay, Peer *peer, const uint8_t *data, size_t size)
{
  Buffer plain = {0};
  RelayEvent event;
  RelayEventType type;

  tls_feed (peer->tls, data, size);
  TlsState state = tls_read (peer->tls, &plain);
  if (plain.size > 0) {
    relay_client_feed (&peer->client, plain.data, plain.size);
    while ((type = relay_client_next (&peer->client, &event)) != RELAY_EVENT_NONE) {
      if (type == RELAY_EVENT_LOGIN)
        log_in (relay, peer);
      else
        forward (relay, peer, &event);
    }
    if (peer->listed && peer->client.stage == RELAY_UP
        && find_peer (relay, &peer->client.key) != peer)
      list_first (relay, peer);
  }
  buffer_free (&plain);
  if (state == TLS_CLOSED || state == TLS_FAILED)
    peer->closing = true;
  flush_peer (relay, peer);
}

/* ---- connections ---- */

static void
peer_free (Relay *relay, Peer *peer)
{
  if (peer->next)
    peer->next->previous = peer->previous;
  if (peer->previous)
    peer->previous->next = peer->next;
  else
    relay->peers = peer->next;
  close (peer->fd);
  tls_free (peer->tls);
  relay_client_clear (&peer->client);
  buffer_free (&peer->cipher);
  free (peer);
}

/* The last connection of a key is gone: those it wrote to are told. */
static void
close_peer (Relay *relay, Peer *peer)
{
  bool was_listed = peer->listed;

  if (was_listed)
    unlist (relay, peer);
  if (was_listed && !find_peer (relay, &peer->client.key)) {
    for (size_t i = 0; i < peer->client.n_heard; i++) {
      Peer *other = find_peer (relay, &peer->client.heard[i]);
      if (!other)
        continue;
      relay_client_gone (&other->client, &peer->client.key, DERP_GONE_DISCONNECTED);
      flush_peer (relay, other);
    }
  }
  peer_free (relay, peer);
}

static void
accept_peers (Relay *relay)
{
  int fd, one = 1, timeout = USER_TIMEOUT_MS, low = NOT_SENT_LOW;

  while ((fd = accept4 (relay->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
    setsockopt (fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
    Peer *peer = mem_new (sizeof *peer);
    peer->fd = fd;
    peer->tls = tls_server_new (relay->tls);
    peer->until_us = clock_now_us () + LOGIN_US;
    relay_client_init (&peer->client, &relay->identity);
    peer->next = relay->peers;
    if (peer->next)
      peer->next->previous = peer;
    relay->peers = peer;
    watch (relay, peer, EPOLL_CTL_ADD);
  }
}

static void
answer_stun (Relay *relay)
{
  uint8_t request[1500], response[STUN_RESPONSE_MAX];
  struct sockaddr_storage from;
  StunTxId id;
  IpPort source;

  for (int i = 0; i < 64; i++) {
    socklen_t size = sizeof from;
    ssize_t n = recvfrom (relay->stun, request, sizeof request, MSG_DONTWAIT,
                          (struct sockaddr *)&from, &size);
    if (n < 0)
      return;
    if (!stun_parse_request (request, (size_t)n, &id)
        || !ip_port_from_sockaddr ((struct sockaddr *)&from, size, &source))
      continue;
    size_t length = stun_encode_response (&id, &source, response);
    sendto (relay->stun, response, length, MSG_DONTWAIT, (struct sockaddr *)&from, size);
  }
}

static void
peer_ready (Relay *relay, Peer *peer, uint32_t events)
{
  uint8_t data[READ_SIZE];

  if (events & EPOLLOUT)
    flush_peer (relay, peer);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
    return;
  ssize_t n = recv (peer->fd, data, sizeof data, 0);
  if (n > 0)
    read_peer (relay, peer, data, (size_t)n);
  else if (n == 0 || (errno != EAGAIN && errno != EINTR))
    peer->closing = true;
}

/* Closes what is done, late or not a member any more, and sends keep-alives. */
static void
sweep (Relay *relay, bool check, int64_t now_us)
{
  for (Peer *peer = relay->peers; peer;) {
    Peer *next = peer->next;
    bool late = peer->client.stage != RELAY_UP && peer->until_us <= now_us;
    bool stranger
        = check && peer->client.stage == RELAY_UP && !is_member (relay, &peer->client.key);
    if (peer->client.stage == RELAY_UP && peer->client.keep_alive_us <= now_us) {
      relay_client_tick (&peer->client, now_us);
      flush_peer (relay, peer);
    }
    if (peer->closing || late || stranger)
      close_peer (relay, peer);
    peer = next;
  }
}

static bool
take_orders (Relay *relay, bool *check)
{
  uint64_t count;

  if (read (relay->wake, &count, sizeof count) < 0 && errno != EAGAIN)
    return false;
  pthread_mutex_lock (&relay->lock);
  bool stop = relay->stop;
  *check = relay->check;
  relay->check = false;
  pthread_mutex_unlock (&relay->lock);
  return !stop;
}

static void *
run (void *data)
{
  Relay *relay = data;
  struct epoll_event events[EVENTS];
  int64_t sweep_us = 0;
  bool check = false;

  while (take_orders (relay, &check)) {
    int n = epoll_wait (relay->epoll, events, EVENTS, 1000);
    bool closing = check;
    for (int i = 0; i < n; i++) {
      void *what = events[i].data.ptr;
      if (what == &relay->listener)
        accept_peers (relay);
      else if (what == &relay->stun)
        answer_stun (relay);
      else if (what != &relay->wake) {
        peer_ready (relay, what, events[i].events);
        closing |= ((Peer *)what)->closing;
      }
    }
    int64_t now_us = clock_now_us ();
    if (closing || now_us >= sweep_us) {
      sweep (relay, check, now_us);
      sweep_us = now_us + SWEEP_US;
    }
  }
  return NULL;
}

/* ---- setting up ---- */

static int
open_socket (const IpPort *at, int type)
{
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (at, &address);
  int fd = socket (address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind (fd, (struct sockaddr *)&address, size) == 0
      && (type != SOCK_STREAM || listen (fd, 1024) == 0))
    return fd;
  int saved = errno;
  close (fd);
  errno = saved;
  return -1;
}

static void
add (Relay *relay, int *fd)
{
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};

  if (*fd >= 0)
    epoll_ctl (relay->epoll, EPOLL_CTL_ADD, *fd, &event);
}

static bool
open_relay (Relay *relay, const RelayOptions *options, char **error)
{
  uint8_t *meta = NULL;
  size_t meta_size;
  IpPort at;

  if (!ip_port_parse (options->listen, strlen (options->listen), &at)) {
    errno = EINVAL;
    return false;
  }
  relay->tls = tls_server_context_new (options->certificate_pem, options->key_pem, error);
  if (!relay->tls)
    return false;
  if (relay_certificate_meta (relay->identity.server_key.bytes, &meta, &meta_size))
    tls_server_context_add_certificate (relay->tls, meta, meta_size);
  free (meta);
  relay->listener = open_socket (&at, SOCK_STREAM);
  if (relay->listener < 0)
    return false;
  if (options->stun_port) {
    at.port = options->stun_port;
    relay->stun = open_socket (&at, SOCK_DGRAM);
    if (relay->stun < 0)
      return false;
  }
  add (relay, &relay->listener);
  add (relay, &relay->stun);
  add (relay, &relay->wake);
  relay->running = pthread_create (&relay->thread, NULL, run, relay) == 0;
  return relay->running;
}

Relay *
relay_new (const RelayOptions *options, char **error)
{
  Relay *relay = mem_new (sizeof *relay);

  *error = NULL;
  relay->listener = relay->stun = -1;
  relay->epoll = epoll_create1 (EPOLL_CLOEXEC);
  relay->wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  pthread_mutex_init (&relay->lock, NULL);
  memcpy (relay->identity.private_key, options->private_key, KEY_SIZE);
  key_public (relay->identity.private_key, relay->identity.server_key.bytes);
  relay->identity.random = random_system ();
  if (open_relay (relay, options, error))
    return relay;
  if (!*error
      && asprintf (error, "could not relay at %s: %s", options->listen, strerror (errno)) < 0)
    *error = NULL;
  relay_free (relay);
  return NULL;
}

void
relay_free (Relay *relay)
{
  uint64_t one = 1;

  pthread_mutex_lock (&relay->lock);
  relay->stop = true;
  pthread_mutex_unlock (&relay->lock);
  if (relay->running && write (relay->wake, &one, sizeof one) > 0)
    pthread_join (relay->thread, NULL);
  while (relay->peers)
    peer_free (relay, relay->peers);
  for (size_t i = 0; i < BUCKETS; i++) {
    while (relay->members[i]) {
      Member *member = relay->members[i];
      relay->members[i] = member->next;
      free (member);
    }
  }
  if (relay->tls)
    tls_context_free (relay->tls);
  close (relay->epoll);
  close (relay->wake);
  close (relay->listener);
  close (relay->stun);
  pthread_mutex_destroy (&relay->lock);
  explicit_bzero (&relay->identity, sizeof relay->identity);
  free (relay);
}
