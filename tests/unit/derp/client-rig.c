#include "client-rig.h"

#include "base/bytes.h"

#include <string.h>

static void
ascending_fill (Random *random, void *out, size_t size)
{
  for (size_t i = 0; i < size; i++)
    ((uint8_t *)out)[i] = (uint8_t)i;
}

static void
from_hex (const char *text, uint8_t *out)
{
  g_assert_true (hex_decode (text, strlen (text), out, strlen (text) / 2));
}

Rig *
rig_new (bool home)
{
  Rig *rig = g_new0 (Rig, 1);

  rig->now = START;
  rig->fixed.fill = ascending_fill;
  from_hex ("c804316cc342926197514ee20f88ffb4ed4980cf0ec6a62f44baf6ffeb3c9154",
            rig->server_private);
  from_hex ("0031a851a816d8ece5367a26f6b393c460670ffd1d7ff759abba09d53555e97d", rig->node_private);
  from_hex ("f401e8ca72886a1f087a5bd8f20a3af7f7bfd9144f0b38ccf8b61c86330b0332", rig->peer.bytes);
  key_public (rig->server_private, rig->server_public.bytes);
  key_public (rig->node_private, rig->node_public.bytes);
  g_assert_true (box_shared (rig->server_private, rig->node_public.bytes, rig->shared));
  rig->client = derp_client_new (&(DerpClientConfig){.node_private = rig->node_private,
                                                     .host = "relay.example.net",
                                                     .port = 443,
                                                     .user_agent = "warren/1",
                                                     .home = home},
                                 &rig->fixed);
  return rig;
}

void
rig_free (Rig *rig)
{
  derp_client_free (rig->client);
  g_free (rig);
}

void
input (Rig *rig, const DerpClientEvent *event)
{
  derp_client_input (rig->client, event, rig->now);
}

void
connected (Rig *rig, bool fast_start)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_CONNECTED};

  event.connected.fast_start = fast_start;
  if (fast_start)
    event.connected.server_key = rig->server_public;
  input (rig, &event);
}

void
feed (Rig *rig, const void *data, size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  event.bytes.data = data;
  event.bytes.size = size;
  input (rig, &event);
}

void
feed_frame (Rig *rig, uint8_t type, const void *body, size_t size)
{
  g_autofree uint8_t *frame = g_malloc (size + DERP_HEADER_SIZE);

  derp_header_encode (type, size, frame);
  if (size > 0)
    memcpy (frame + DERP_HEADER_SIZE, body, size);
  feed (rig, frame, size + DERP_HEADER_SIZE);
}

void
feed_server_info (Rig *rig, const char *json)
{
  uint8_t frame[512], nonce[24] = {9};
  size_t size = derp_server_info_encode (rig->shared, nonce, json, strlen (json), frame, 512);

  feed (rig, frame, size);
}

bool
next (Rig *rig, DerpClientAction *action)
{
  return derp_client_next_action (rig->client, action, rig->now);
}

void
assert_nothing (Rig *rig)
{
  DerpClientAction action;

  g_assert_false (next (rig, &action));
}

void
expect (Rig *rig, DerpClientActionType type, DerpClientAction *action)
{
  g_assert_true (next (rig, action));
  g_assert_cmpint (action->type, ==, type);
}

void
expect_close (Rig *rig, DerpCloseReason reason)
{
  DerpClientAction action;

  expect (rig, DERP_CLIENT_ACTION_CLOSE, &action);
  g_assert_cmpint (action.close.reason, ==, reason);
  g_assert_cmpuint (strlen (action.close.text), >, 0);
  assert_nothing (rig);
  g_assert_cmpint (derp_client_next_deadline (rig->client), ==, TIME_NEVER);
}

/* Everything the client has to write. */
void
pull (Rig *rig)
{
  rig->n_written = 0;
  while (derp_client_wants_write (rig->client)) {
    size_t n
        = derp_client_pull (rig->client, rig->written + rig->n_written, DERP_RECORD_SIZE, rig->now);
    if (n == 0)
      break;
    rig->n_written += n;
    g_assert_cmpuint (rig->n_written, <, ROOM - DERP_RECORD_SIZE);
  }
}

void
log_in (Rig *rig)
{
  DerpClientAction action;

  connected (rig, true);
  pull (rig);
  feed_server_info (rig, SERVER_JSON);
  expect (rig, DERP_CLIENT_ACTION_UP, &action);
  assert_nothing (rig);
}

void
send_packet (Rig *rig, const void *data, size_t size)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_SEND};

  event.send.peer = rig->peer;
  event.send.data = data;
  event.send.size = size;
  input (rig, &event);
}

/* Number of frames of TYPE among what was written; the body of the last one in *LAST. */
unsigned
count_frames (Rig *rig, uint8_t type, DerpFrame *last)
{
  size_t pos = 0, used;
  unsigned count = 0;
  DerpFrame frame;

  while (derp_frame_read (rig->written + pos, rig->n_written - pos, DERP_BODY_MAX, &frame, &used)
         == DERP_READ_FRAME) {
    pos += used;
    if (frame.type == type) {
      count++;
      if (last)
        *last = frame;
    }
  }
  g_assert_cmpuint (pos, ==, rig->n_written);
  return count;
}
