/* A connection to another relay of the region: who is there can be reached through it (spec/derp.md
 * §6.6). All links belong to the first worker. */
#include "coordinator/relay-private.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/memory.h"
#include "derp/meta.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DOMAIN     "relay"
#define RETRY_US   (5 * USEC_PER_SEC)
#define PIN_PREFIX "=sha256-raw:"

bool
relay_link_init (RelayLink *link, const char *text)
{
  const char *pin = strstr (text, PIN_PREFIX);
  size_t length = pin ? (size_t)(pin - text) : strlen (text);

  *link = (RelayLink){0};
  timer_node_init (&link->timer, RELAY_TIMER_LINK);
  link->pinned = pin != NULL;
  if (pin)
    pin += strlen (PIN_PREFIX);
  return ip_port_parse (text, length, &link->at)
         && (!pin || hex_decode (pin, strlen (pin), link->pin, TLS_PIN_SIZE));
}

void
relay_link_clear (RelayLink *link)
{
  derp_client_free (link->client);
  free (link->keys);
}

static void
retry (RelayWorker *worker, RelayLink *link)
{
  if (!link->self)
    timer_wheel_set (&worker->wheel, &link->timer, worker->now_us + RETRY_US);
}

void
relay_link_open (RelayWorker *worker, RelayLink *link)
{
  const RelayIdentity *identity = &worker->relay->identity;
  TlsClientOptions options = {.verify = link->pinned ? TLS_VERIFY_PIN : TLS_VERIFY_FULL};
  struct sockaddr_storage address;
  socklen_t size = ip_port_to_sockaddr (&link->at, &address);
  char host[IP_TEXT_MAX];
  int fd = socket (address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (fd < 0 || (connect (fd, (struct sockaddr *)&address, size) != 0 && errno != EINPROGRESS)) {
    if (fd >= 0)
      close (fd);
    retry (worker, link);
    return;
  }
  ip_format (&link->at.addr, host);
  options.server_name = host;
  memcpy (options.pin, link->pin, TLS_PIN_SIZE);
  link->connected = false;
  link->client = derp_client_new (&(DerpClientConfig){.node_private = identity->private_key,
                                                      .host = host,
                                                      .port = link->at.port,
                                                      .user_agent = "warren-relay",
                                                      .mesh_key = identity->mesh_key},
                                  identity->random);
  relay_worker_adopt (worker, relay_connection_link (worker, fd, link, &options));
}

/* ---- who is there ---- */

static void
add_key (RelayWorker *worker, RelayConnection *c, const NodePublic *key)
{
  RelayLink *link = c->link;

  if (key_same (key, &worker->relay->identity.server_key))
    return;
  for (size_t i = 0; i < link->n_keys; i++)
    if (key_same (&link->keys[i], key))
      return;
  link->keys = mem_grow (link->keys, link->n_keys, &link->room_keys, sizeof *link->keys);
  link->keys[link->n_keys++] = *key;
  relay_registry_forward (worker->relay->registry, key, relay_worker_handle (worker, c));
}

static void
remove_key (RelayWorker *worker, RelayConnection *c, const NodePublic *key)
{
  RelayLink *link = c->link;
  NodePublic gone = *key;
  RelayHeard heard;

  for (size_t i = 0; i < link->n_keys; i++)
    if (key_same (&link->keys[i], &gone)) {
      link->keys[i] = link->keys[--link->n_keys];
      relay_registry_unforward (worker->relay->registry, &gone, relay_worker_handle (worker, c),
                                &heard);
      relay_tell_heard (worker->relay, &gone, &heard);
      return;
    }
}

void
relay_link_closed (RelayWorker *worker, RelayConnection *c)
{
  RelayLink *link = c->link;
  char name[IP_PORT_TEXT_MAX];

  while (link->n_keys > 0)
    remove_key (worker, c, &link->keys[link->n_keys - 1]);
  ip_port_format (&link->at, name);
  if (!link->told)
    log_warning (DOMAIN, "no connection to the relay %s: %s", name,
                 link->text[0]                      ? link->text
                 : tls_state (c->tls) == TLS_FAILED ? tls_error (c->tls)
                                                    : "it does not answer");
  link->told = true; /* once, until it was reached again */
  derp_client_free (link->client);
  link->client = NULL;
  retry (worker, link);
}

/* ---- bytes and time ---- */

static void
take_actions (RelayWorker *worker, RelayConnection *c)
{
  DerpClientAction action;
  char name[IP_PORT_TEXT_MAX];

  while (derp_client_next_action (c->link->client, &action, worker->now_us))
    switch (action.type) {
      case DERP_CLIENT_ACTION_UP:
        ip_port_format (&c->link->at, name);
        log_info (DOMAIN, "connected to the relay %s", name);
        c->link->told = false;
        break;
      case DERP_CLIENT_ACTION_PEER_PRESENT:
        add_key (worker, c, &action.peer_present);
        break;
      case DERP_CLIENT_ACTION_PEER_GONE:
        remove_key (worker, c, &action.peer_gone.peer);
        break;
      case DERP_CLIENT_ACTION_CLOSE:
        snprintf (c->link->text, sizeof c->link->text, "%s", action.close.text);
        relay_worker_close (worker, c);
        break;
      case DERP_CLIENT_ACTION_PACKET:
      case DERP_CLIENT_ACTION_HEALTH:
      case DERP_CLIENT_ACTION_RESTARTING: /* it is tried again soon in any case */
        break;
    }
}

/* The relay at the other end may be this one, by another address: then that was that. */
static void
say_connected (RelayWorker *worker, RelayConnection *c)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  c->link->connected = true;
  event.connected.fast_start = derp_fast_start_key (c->tls, &event.connected.server_key);
  if (event.connected.fast_start
      && key_same (&event.connected.server_key, &worker->relay->identity.server_key)) {
    c->link->self = true;
    relay_worker_close (worker, c);
    return;
  }
  derp_client_input (c->link->client, &event, worker->now_us);
}

void
relay_link_read (RelayWorker *worker, RelayConnection *c, const Buffer *plain)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  if (!c->link->connected && tls_state (c->tls) == TLS_OPEN)
    say_connected (worker, c);
  event.bytes.data = plain->data;
  event.bytes.size = plain->size;
  if (plain->size > 0)
    derp_client_input (c->link->client, &event, worker->now_us);
  take_actions (worker, c);
}

void
relay_link_take (RelayWorker *worker, RelayConnection *c, Buffer *out)
{
  uint8_t *room = buffer_reserve (out, DERP_RECORD_SIZE);

  if (c->link->connected)
    buffer_commit (out, derp_client_pull (c->link->client, room, DERP_RECORD_SIZE, worker->now_us));
}

void
relay_link_forward (RelayWorker *worker, RelayConnection *c, const RelayParcel *parcel,
                    const uint8_t *frames)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_FORWARD};

  event.send.source = parcel->source;
  event.send.peer = parcel->destination;
  for (size_t at = 0; at < parcel->size;) {
    size_t n = DERP_HEADER_SIZE + load_be32 (frames + at + 1);
    event.send.data = frames + at + DERP_SEND_OVERHEAD;
    event.send.size = n - DERP_SEND_OVERHEAD;
    derp_client_input (c->link->client, &event, worker->now_us);
    at += n;
  }
}

int64_t
relay_link_tick (RelayWorker *worker, RelayConnection *c)
{
  DerpClientEvent tick = {.type = DERP_CLIENT_EVENT_TICK};

  if (!c->link->connected && c->until_us <= worker->now_us)
    relay_worker_close (worker, c);
  if (derp_client_next_deadline (c->link->client) <= worker->now_us) {
    derp_client_input (c->link->client, &tick, worker->now_us);
    take_actions (worker, c);
  }
  return time_min (derp_client_next_deadline (c->link->client),
                   c->link->connected ? worker->now_us + RELAY_LOGIN_US : c->until_us);
}
