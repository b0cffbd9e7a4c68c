#include "tunnel/relay.h"

#include "base/memory.h"
#include "derp/meta.h"

#include <stdlib.h>
#include <string.h>

#define PLAIN_KEPT_MIN 4096
#define PLAIN_KEPT_MAX (256 * 1024)

static void
say_connected (Relay *r, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};
  const Tls *tls = r->stream.tls;

  r->connected = true;
  event.connected.fast_start = derp_fast_start_key (tls, &event.connected.server_key);
  derp_client_input (r->client, &event, now_us);
}

static void
feed_plain (Relay *r, int64_t now_us)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  if (r->stream.plain.size == 0)
    return;
  event.bytes.data = r->stream.plain.data;
  event.bytes.size = r->stream.plain.size;
  derp_client_input (r->client, &event, now_us);
  /* Under load the next bytes will need it again; an idle connection keeps nothing. */
  if (event.bytes.size > PLAIN_KEPT_MIN && r->stream.plain.capacity <= PLAIN_KEPT_MAX)
    buffer_reset (&r->stream.plain);
  else
    buffer_free (&r->stream.plain);
}

Relay *
relay_new (const StreamContext *context, uint32_t connection, const PathRelayNode *node, bool home,
           bool web_socket, const uint8_t node_private[32], int64_t now_us, bool *resolve)
{
  Relay *r = mem_new (sizeof *r);
  const DerpClientConfig config = {.node_private = node_private,
                                   .host = node->host,
                                   .port = node->port,
                                   .ideal_node = node->ideal_node,
                                   .user_agent = context->user_agent,
                                   .home = home,
                                   .web_socket = web_socket};

  r->connection = connection;
  r->region = node->region;
  r->home = home;
  r->client = derp_client_new (&config, context->random);
  *resolve = stream_init (&r->stream, context, STREAM_OF_RELAY, r, node, now_us);
  return r;
}

void
relay_free (Relay *r)
{
  if (r == NULL)
    return;
  stream_clear (&r->stream);
  derp_client_free (r->client);
  free (r);
}

void
relay_drive (Relay *r, int64_t now_us)
{
  DerpClientEvent tick = {.type = DERP_CLIENT_EVENT_TICK};

  if (r->stream.state == STREAM_OPEN && !r->connected)
    say_connected (r, now_us);
  if (r->connected) {
    feed_plain (r, now_us);
    if (derp_client_next_deadline (r->client) <= now_us)
      derp_client_input (r->client, &tick, now_us);
  }
}

void
relay_push (Relay *r, int64_t now_us)
{
  uint8_t record[DERP_RECORD_SIZE];

  r->queued = false;
  while (r->stream.state == STREAM_OPEN && stream_waiting (&r->stream) < STREAM_OUT_MAX
         && derp_client_wants_write (r->client)) {
    size_t n, before = stream_waiting (&r->stream);

    /* Several records for one call of the system. */
    while (stream_waiting (&r->stream) < STREAM_OUT_MAX
           && (n = derp_client_pull (r->client, record, sizeof record, now_us)) > 0)
      stream_write (&r->stream, record, n);
    if (stream_waiting (&r->stream) == before)
      break;
    stream_flush (&r->stream);
  }
}

bool
relay_next (Relay *r, DerpClientAction *action, int64_t now_us)
{
  if (!derp_client_next_action (r->client, action, now_us))
    return false;
  if (action->type == DERP_CLIENT_ACTION_UP)
    r->stream.up = true;
  else if (action->type == DERP_CLIENT_ACTION_CLOSE)
    stream_fail (&r->stream, r->stream.up ? RELAY_CLOSED_LOST : RELAY_CLOSED_LOGIN, "%s: %s",
                 r->stream.host, action->close.text);
  return true;
}

static void
input (Relay *r, DerpClientEvent event, int64_t now_us)
{
  derp_client_input (r->client, &event, now_us);
  r->queued = true;
}

void
relay_send (Relay *r, const NodePublic *peer, const void *data, size_t size, int64_t now_us)
{
  input (r,
         (DerpClientEvent){.type = DERP_CLIENT_EVENT_SEND,
                           .send = {.peer = *peer, .data = data, .size = size}},
         now_us);
}

void
relay_set_home (Relay *r, bool home, int64_t now_us)
{
  r->home = home;
  input (r, (DerpClientEvent){.type = DERP_CLIENT_EVENT_HOME, .home = home}, now_us);
}

void
relay_ping (Relay *r, int64_t now_us)
{
  input (r, (DerpClientEvent){.type = DERP_CLIENT_EVENT_PING}, now_us);
}

int64_t
relay_deadline (const Relay *r)
{
  return time_min (stream_deadline (&r->stream), derp_client_next_deadline (r->client));
}
