/* DERP in WebSocket messages (spec/derp.md §3.6). */
#include "relay-rig.h"

#include "base/bytes.h"
#include "derp/client.h"

#include <glib.h>
#include <string.h>

#define REQUEST                                                                                    \
  "GET /derp HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                 \
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: derp\r\n"                                  \
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* A masked frame with this payload. */
static void
add_frame (GByteArray *bytes, uint8_t first, const void *payload, size_t size)
{
  static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0x44};
  uint8_t head[8] = {first, 0x80 | 126};
  const uint8_t *data = payload;

  if (size < 126) {
    head[1] = (uint8_t)(0x80 | size);
    g_byte_array_append (bytes, head, 2);
  } else {
    store_be16 (head + 2, (uint16_t)size);
    g_byte_array_append (bytes, head, 4);
  }
  g_byte_array_append (bytes, mask, 4);
  for (size_t i = 0; i < size; i++) {
    uint8_t byte = data[i] ^ mask[i % 4];
    g_byte_array_append (bytes, &byte, 1);
  }
}

static void
test_accept (void)
{
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_feed (&rig, REQUEST, strlen (REQUEST), &event);
  relay_rig_take (&rig);
  /* The example of RFC 6455. */
  g_assert_nonnull (memmem (rig.out.data, rig.out.size, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28));
  const uint8_t *end = memmem (rig.out.data, rig.out.size, "\r\n\r\n", 4);
  g_assert_cmpmem (end + 4, 7, "\x82\x2d\1\0\0\0\x28", 7);
  relay_rig_clear (&rig);
}

static void
test_login (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  uint8_t info[1024], packet[DERP_SEND_OVERHEAD + 500] = {0};
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  size_t size = relay_rig_info (&rig, "{\"version\":2}", info, sizeof info);
  derp_send_packet_head (&rig.b, 500, packet);
  /* Borders of messages are not those of frames; a ping between. */
  add_frame (bytes, 0x02, info, 30);
  add_frame (bytes, 0x89, "hi", 2);
  add_frame (bytes, 0x80, info + 30, size - 30);
  add_frame (bytes, 0x82, packet, sizeof packet);
  for (size_t step = 1; step < 300; step += 7) {
    unsigned packets = 0, logins = 0;
    relay_client_clear (&rig.client);
    relay_client_init (&rig.client, &rig.identity);
    relay_rig_feed (&rig, REQUEST, strlen (REQUEST), &event);
    for (size_t at = 0; at < bytes->len; at += step) {
      RelayEventType type
          = relay_rig_feed (&rig, bytes->data + at, MIN (step, bytes->len - at), &event);
      for (; type != RELAY_EVENT_NONE; type = relay_rig_next (&rig, &event)) {
        logins += type == RELAY_EVENT_LOGIN;
        packets += type == RELAY_EVENT_PACKETS ? event.n : 0;
        if (type == RELAY_EVENT_LOGIN)
          relay_client_accept (&rig.client, rig.now_us);
      }
    }
    g_assert_cmpuint (logins, ==, 1);
    g_assert_cmpuint (packets, ==, 1);
    relay_rig_take (&rig);
    g_assert_nonnull (memmem (rig.out.data, rig.out.size, "\x8a\2hi", 4));
  }
  relay_rig_clear (&rig);
}

static void
test_messages_out (void)
{
  uint8_t info[1024];
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree uint8_t *frame = g_malloc0 (DERP_SEND_OVERHEAD + 20000);
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_feed (&rig, REQUEST, strlen (REQUEST), &event);
  add_frame (bytes, 0x82, info, relay_rig_info (&rig, "{}", info, sizeof info));
  g_assert_cmpint (relay_rig_feed (&rig, bytes->data, bytes->len, &event), ==, RELAY_EVENT_LOGIN);
  relay_client_accept (&rig.client, rig.now_us);
  relay_rig_take (&rig);
  derp_recv_packet_head (&rig.b, 20000, frame);
  relay_client_deliver (&rig.client, &rig.b, frame, DERP_SEND_OVERHEAD + 20000);
  relay_rig_take (&rig);
  g_assert_cmpmem (rig.out.data, 4, "\x82\x7e\x40\0", 4); /* 16,384 bytes, then the rest */
  g_assert_cmpuint (rig.out.size, ==, DERP_SEND_OVERHEAD + 20000 + 8);
  relay_rig_clear (&rig);
}

static void
test_ends (void)
{
  static const struct
  {
    uint8_t first;
    uint16_t code;
  } cases[] = {{0x81, 1003}, {0xc2, 1002}, {0x83, 1002}, {0x09, 1002}, {0x88, 0}};
  RelayRig rig;
  RelayEvent event;

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    relay_rig_init (&rig);
    relay_rig_feed (&rig, REQUEST, strlen (REQUEST), &event);
    relay_rig_take (&rig);
    add_frame (bytes, cases[i].first, "xy", 2);
    relay_rig_feed (&rig, bytes->data, bytes->len, &event);
    g_assert_cmpint (rig.client.stage, ==, RELAY_OVER);
    relay_rig_take (&rig);
    g_assert_cmpint (rig.out.data[0], ==, 0x88);
    if (cases[i].code)
      g_assert_cmpint (load_be16 (rig.out.data + 2), ==, cases[i].code);
    relay_rig_clear (&rig);
  }
}

/* Everything that the client has for the relay; the next event of it. */
static RelayEventType
to_relay (RelayRig *rig, DerpClient *client, RelayEvent *event)
{
  uint8_t bytes[DERP_RECORD_SIZE];
  size_t n = derp_client_pull (client, bytes, sizeof bytes, rig->now_us);

  return relay_rig_feed (rig, bytes, n, event);
}

static void
to_client (RelayRig *rig, DerpClient *client)
{
  DerpClientEvent event = {.type = DERP_CLIENT_EVENT_BYTES};

  relay_rig_take (rig);
  event.bytes.data = rig->out.data;
  event.bytes.size = rig->out.size;
  derp_client_input (client, &event, rig->now_us);
}

static void
test_our_client (void)
{
  const DerpClientConfig config = {.host = "relay.lab",
                                   .port = 443,
                                   .user_agent = "test",
                                   .home = true,
                                   .web_socket = true,
                                   .node_private = (const uint8_t[32]){16}};
  static const uint8_t ping[] = {0x89, 2, 'h', 'i'};
  DerpClientEvent input = {.type = DERP_CLIENT_EVENT_CONNECTED};
  uint8_t packet[9000] = {4};
  DerpClientAction action;
  RelayEvent event;
  RelayRig rig;

  relay_rig_init (&rig);
  DerpClient *client = derp_client_new (&config, &rig.random.base);
  input.connected.fast_start = true; /* is not used */
  input.connected.server_key = rig.identity.server_key;
  derp_client_input (client, &input, rig.now_us);
  g_assert_cmpint (to_relay (&rig, client, &event), ==, RELAY_EVENT_NONE);
  to_client (&rig, client);
  g_assert_false (derp_client_next_action (client, &action, rig.now_us));
  g_assert_cmpint (to_relay (&rig, client, &event), ==, RELAY_EVENT_LOGIN);
  relay_client_accept (&rig.client, rig.now_us);
  g_assert_cmpint (relay_rig_next (&rig, &event), ==, RELAY_EVENT_NONE);
  g_assert_true (rig.client.preferred);
  to_client (&rig, client);
  g_assert_true (derp_client_next_action (client, &action, rig.now_us));
  g_assert_cmpint (action.type, ==, DERP_CLIENT_ACTION_UP);

  input = (DerpClientEvent){.type = DERP_CLIENT_EVENT_SEND};
  input.send.peer = rig.client.key;
  input.send.data = packet;
  input.send.size = sizeof packet;
  derp_client_input (client, &input, rig.now_us);
  g_assert_cmpint (to_relay (&rig, client, &event), ==, RELAY_EVENT_PACKETS);
  relay_client_deliver (&rig.client, &event.source, event.frames, event.size);
  g_assert_cmpint (relay_rig_next (&rig, &event), ==, RELAY_EVENT_NONE);
  to_client (&rig, client);
  g_assert_true (derp_client_next_action (client, &action, rig.now_us));
  g_assert_cmpint (action.type, ==, DERP_CLIENT_ACTION_PACKET);
  g_assert_cmpmem (action.packet.data, action.packet.size, packet, sizeof packet);
  g_assert_false (derp_client_next_action (client, &action, rig.now_us));

  input = (DerpClientEvent){.type = DERP_CLIENT_EVENT_BYTES};
  input.bytes.data = ping;
  input.bytes.size = sizeof ping;
  derp_client_input (client, &input, rig.now_us);
  g_assert_true (derp_client_wants_write (client));
  derp_client_free (client);
  relay_rig_clear (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relay-web-socket/upgrade-is-answered-and-the-key-follows", test_accept);
  g_test_add_func ("/relay-web-socket/login-comes-in-any-messages", test_login);
  g_test_add_func ("/relay-web-socket/our-messages-are-small", test_messages_out);
  g_test_add_func ("/relay-web-socket/text-and-broken-frames-end-it", test_ends);
  g_test_add_func ("/relay-web-socket/our-client-speaks-it-too", test_our_client);
  return g_test_run ();
}
