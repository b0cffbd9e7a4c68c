#include "relay-rig.h"

#include "base/bytes.h"

#include <glib.h>
#include <string.h>

static void
from_hex (const char *text, uint8_t *out)
{
  g_assert_true (hex_decode (text, strlen (text), out, strlen (text) / 2));
}

void
relay_rig_init (RelayRig *rig)
{
  *rig = (RelayRig){.now_us = 1000 * USEC_PER_SEC};
  seeded_random_init (&rig->random, 1);
  rig->budget.limit = 1 << 30;
  rig->identity.budget = &rig->budget;
  rig->identity.random = &rig->random.base;
  from_hex ("c804316cc342926197514ee20f88ffb4ed4980cf0ec6a62f44baf6ffeb3c9154",
            rig->identity.private_key);
  key_public (rig->identity.private_key, rig->identity.server_key.bytes);
  from_hex ("0031a851a816d8ece5367a26f6b393c460670ffd1d7ff759abba09d53555e97d", rig->a_private);
  from_hex (RIG_A_PUBLIC, rig->a.bytes);
  from_hex (RIG_B_PUBLIC, rig->b.bytes);
  g_assert_true (box_shared (rig->a_private, rig->identity.server_key.bytes, rig->shared));
  relay_client_init (&rig->client, &rig->identity);
}

void
relay_rig_clear (RelayRig *rig)
{
  relay_client_clear (&rig->client);
  buffer_free (&rig->plain);
  buffer_free (&rig->out);
  g_assert_cmpuint (rig->budget.bytes, ==, 0);
}

RelayEventType
relay_rig_next (RelayRig *rig, RelayEvent *event)
{
  return relay_client_next (&rig->client, event, rig->now_us);
}

RelayEventType
relay_rig_feed (RelayRig *rig, const void *data, size_t size, RelayEvent *event)
{
  buffer_reset (&rig->plain);
  relay_client_rest (&rig->client, &rig->plain);
  buffer_append (&rig->plain, data, size);
  relay_client_feed (&rig->client, rig->plain.data, rig->plain.size);
  return relay_rig_next (rig, event);
}

RelayEventType
relay_rig_frame (RelayRig *rig, uint8_t type, const void *body, size_t size, RelayEvent *event)
{
  g_autofree uint8_t *frame = g_malloc0 (DERP_HEADER_SIZE + size);

  derp_header_encode (type, size, frame);
  if (body)
    memcpy (frame + DERP_HEADER_SIZE, body, size);
  return relay_rig_feed (rig, frame, DERP_HEADER_SIZE + size, event);
}

void
relay_rig_take (RelayRig *rig)
{
  buffer_reset (&rig->out);
  relay_client_take (&rig->client, &rig->out, 1 << 20);
}

size_t
relay_rig_info (const RelayRig *rig, const char *json, uint8_t *out, size_t room)
{
  uint8_t nonce[BOX_NONCE_SIZE];

  for (size_t i = 0; i < sizeof nonce; i++)
    nonce[i] = (uint8_t)i;
  return derp_client_info_encode (&rig->a, rig->shared, nonce, json, strlen (json), out, room);
}

void
relay_rig_log_in (RelayRig *rig, const char *json)
{
  uint8_t info[1024];
  RelayEvent event;

  g_assert_cmpint (relay_rig_feed (rig, RIG_FAST, strlen (RIG_FAST), &event), ==, RELAY_EVENT_NONE);
  size_t size = relay_rig_info (rig, json, info, sizeof info);
  g_assert_cmpint (relay_rig_feed (rig, info, size, &event), ==, RELAY_EVENT_LOGIN);
  relay_client_accept (&rig->client, rig->now_us);
  g_assert_cmpint (relay_rig_next (rig, &event), ==, RELAY_EVENT_NONE);
  relay_rig_take (rig);
  buffer_reset (&rig->out);
}
