#include "wire/h2.h"

#include "base/bytes.h"

#include <glib.h>
#include <string.h>

/* Carries bytes both ways in pieces of STEP until nothing moves. */
static void
carry (H2 *client, H2 *server, size_t step)
{
  bool moved = true;

  while (moved) {
    Buffer up = {0}, down = {0};
    moved = h2_take (client, &up, 1 << 20);
    moved |= h2_take (server, &down, 1 << 20);
    for (size_t i = 0; i < up.size; i += step)
      h2_feed (server, up.data + i, MIN (step, up.size - i));
    for (size_t i = 0; i < down.size; i += step)
      h2_feed (client, down.data + i, MIN (step, down.size - i));
    buffer_free (&up);
    buffer_free (&down);
  }
}

/* Takes the next event, which must be of TYPE on STREAM. */
static H2Event
expect (H2 *h2, H2EventType type, int32_t stream)
{
  H2Event event;

  g_assert_true (h2_next_event (h2, &event));
  g_assert_cmpint (event.type, ==, type);
  g_assert_cmpint (event.stream, ==, stream);
  return event;
}

static void
expect_nothing (H2 *h2)
{
  H2Event event;

  g_assert_false (h2_next_event (h2, &event));
}

static void
expect_and_clear (H2 *h2, H2EventType type, int32_t stream)
{
  H2Event event = expect (h2, type, stream);

  h2_event_clear (&event);
}

/* Takes DATA events of STREAM until they make up TEXT. */
static void
expect_data (H2 *h2, int32_t stream, const char *text)
{
  g_autoptr (GString) got = g_string_new (NULL);

  while (got->len < strlen (text)) {
    H2Event event = expect (h2, H2_EVENT_DATA, stream);
    g_string_append_len (got, (const char *)event.data, (gssize)event.size);
    h2_event_clear (&event);
  }
  g_assert_cmpstr (got->str, ==, text);
}

static int32_t
post (H2 *client, const char *path, const char *body)
{
  H2Header headers[]
      = {{"ts-lb", "nodekey:00"}, {"ts-lb", "nodekey:11"}, {"user-agent", "Warren/0.1"}};

  return h2_request (client, "POST", "https", "control.example:8080", path, headers, 3, body,
                     strlen (body));
}

static void
test_round_trip (void)
{
  for (size_t step = 1; step < 10000; step *= 70) {
    H2 *client = h2_client_new (), *server = h2_server_new ();
    int32_t stream = post (client, "/machine/register", "{\"Version\":131}");
    carry (client, server, step);

    H2Event event = expect (server, H2_EVENT_HEADERS, stream);
    g_assert_cmpstr (h2_event_header (&event, ":method"), ==, "POST");
    g_assert_cmpstr (h2_event_header (&event, ":scheme"), ==, "https");
    g_assert_cmpstr (h2_event_header (&event, ":authority"), ==, "control.example:8080");
    g_assert_cmpstr (h2_event_header (&event, ":path"), ==, "/machine/register");
    g_assert_cmpstr (h2_event_header (&event, "ts-lb"), ==, "nodekey:00");
    g_assert_cmpstr (h2_event_header (&event, "content-length"), ==, "15");
    h2_event_clear (&event);
    expect_data (server, stream, "{\"Version\":131}");
    expect_and_clear (server, H2_EVENT_END, stream);

    H2Header type = {"content-type", "application/json"};
    g_assert_true (h2_respond (server, stream, 200, &type, 1));
    g_assert_true (h2_send (server, stream, "{}", 2, true));
    g_assert_false (h2_send (server, stream, "more", 4, true));
    carry (client, server, step);
    event = expect (client, H2_EVENT_HEADERS, stream);
    g_assert_cmpint (event.status, ==, 200);
    g_assert_cmpstr (h2_event_header (&event, "content-type"), ==, "application/json");
    h2_event_clear (&event);
    expect_data (client, stream, "{}");
    expect_and_clear (client, H2_EVENT_END, stream);
    expect_nothing (client);
    expect_nothing (server);
    h2_free (client);
    h2_free (server);
  }
}

/* What the client's first bytes must contain: settings as control-protocol.md §7 asks. */
static void
test_settings (void)
{
  H2 *client = h2_client_new ();
  Buffer out = {0};
  uint32_t window = 0, frame = 0, push = 1, update = 0;

  h2_take (client, &out, 1 << 20);
  g_assert_cmpmem (out.data, 24, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
  for (size_t at = 24; at < out.size;) {
    size_t length = load_be32 (out.data + at) >> 8;
    const uint8_t *payload = out.data + at + 9;
    if (out.data[at + 3] == 4)
      for (size_t i = 0; i + 6 <= length; i += 6) {
        uint32_t value = load_be32 (payload + i + 2);
        switch (load_be16 (payload + i)) {
          case 2:
            push = value;
            break;
          case 4:
            window = value;
            break;
          case 5:
            frame = value;
            break;
        }
      }
    else if (out.data[at + 3] == 8)
      update = load_be32 (payload);
    at += 9 + length;
  }
  g_assert_cmpuint (push, ==, 0);
  g_assert_cmpuint (window, >=, 1 << 20);
  g_assert_cmpuint (frame, ==, 1 << 20);
  g_assert_cmpuint (update, >=, 16 << 20);
  buffer_free (&out);
  h2_free (client);
}

static void
test_backpressure (void)
{
  H2 *client = h2_client_new (), *server = h2_server_new ();
  size_t size = 3 * H2_WINDOW_SIZE, received = 0;
  g_autofree uint8_t *bulk = g_malloc (size);
  int32_t stream = post (client, "/machine/map", "{}");
  H2Event event;

  for (size_t i = 0; i < size; i++)
    bulk[i] = (uint8_t)(i * 7 >> 3);
  carry (client, server, 65536);
  while (h2_next_event (server, &event))
    h2_event_clear (&event);
  h2_respond (server, stream, 200, NULL, 0);
  carry (client, server, 65536);
  g_assert_true (h2_send (server, stream, bulk, size, false));
  carry (client, server, 65536);
  /* nobody takes the events: one window is all that may have left */
  g_assert_cmpuint (h2_queued (server, stream), ==, size - H2_WINDOW_SIZE);
  expect_and_clear (client, H2_EVENT_HEADERS, stream);
  while (received < size) {
    while (h2_next_event (client, &event)) {
      g_assert_cmpint (event.type, ==, H2_EVENT_DATA);
      g_assert_cmpmem (event.data, event.size, bulk + received, event.size);
      received += event.size;
      h2_event_clear (&event);
    }
    carry (client, server, 65536);
  }
  g_assert_cmpuint (h2_queued (server, stream), ==, 0);
  h2_free (client);
  h2_free (server);
}

static void
test_reset (void)
{
  H2 *client = h2_client_new (), *server = h2_server_new ();
  int32_t first = post (client, "/machine/map", "{}"), second = post (client, "/machine/map", "{}");
  H2Event event;

  carry (client, server, 1000);
  while (h2_next_event (server, &event))
    h2_event_clear (&event);
  h2_respond (server, first, 200, NULL, 0);
  h2_send (server, first, "map", 3, false);
  h2_respond (server, second, 200, NULL, 0);
  h2_send (server, second, "map", 3, false);
  carry (client, server, 1000);

  h2_reset (client, first, H2_CANCEL);
  carry (client, server, 1000);
  event = expect (server, H2_EVENT_RESET, first);
  g_assert_cmpuint (event.code, ==, H2_CANCEL);
  h2_event_clear (&event);
  g_assert_false (h2_send (server, first, "x", 1, false));
  expect_and_clear (client, H2_EVENT_HEADERS, second);
  expect_and_clear (client, H2_EVENT_DATA, second);
  expect_nothing (client);

  h2_reset (server, second, 2);
  carry (client, server, 1000);
  event = expect (client, H2_EVENT_RESET, second);
  g_assert_cmpuint (event.code, ==, 2);
  h2_event_clear (&event);
  g_assert_true (h2_usable (client));
  h2_free (client);
  h2_free (server);
}

static void
test_goaway (void)
{
  H2 *client = h2_client_new (), *server = h2_server_new ();
  int32_t kept = post (client, "/a", "{}");
  H2Event event;

  carry (client, server, 1000);
  while (h2_next_event (server, &event))
    h2_event_clear (&event);
  h2_shutdown (server);
  int32_t lost = post (client, "/b", "{}"); /* crosses the GOAWAY */
  carry (client, server, 1000);
  event = expect (client, H2_EVENT_GOAWAY, 0);
  g_assert_cmpuint (event.code, ==, H2_NO_ERROR);
  h2_event_clear (&event);
  expect_and_clear (client, H2_EVENT_RESET, lost);
  g_assert_false (h2_usable (client));
  g_assert_cmpint (post (client, "/c", "{}"), ==, -1);
  h2_respond (server, kept, 200, NULL, 0);
  h2_send (server, kept, "done", 4, true);
  carry (client, server, 1000);
  expect_and_clear (client, H2_EVENT_HEADERS, kept);
  expect_and_clear (client, H2_EVENT_DATA, kept);
  expect_and_clear (client, H2_EVENT_END, kept);
  h2_free (client);
  h2_free (server);
}

static void
test_ping (void)
{
  H2 *client = h2_client_new (), *server = h2_server_new ();

  h2_ping (client);
  carry (client, server, 1);
  expect_and_clear (client, H2_EVENT_PING_ACK, 0);
  expect_nothing (server);
  h2_free (client);
  h2_free (server);
}

static void
test_get_with_body (void)
{
  H2 *client = h2_client_new (), *server = h2_server_new ();
  int32_t stream
      = h2_request (client, "GET", "https", "unused", "/machine/tka/bootstrap", NULL, 0, "{}", 2);

  carry (client, server, 1000);
  expect_and_clear (server, H2_EVENT_HEADERS, stream);
  expect_and_clear (server, H2_EVENT_DATA, stream);
  expect_and_clear (server, H2_EVENT_END, stream);
  h2_free (client);
  h2_free (server);
}

/* Unknown settings (0x9 = 1) and DATA frames above 16 KiB, as live servers send them. */
static void
test_live_server (void)
{
  H2 *client = h2_client_new ();
  Buffer wire = {0}, out = {0};
  static const uint8_t settings[]
      = {0, 0, 12, 4, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 5, 0, 16, 0, 0};
  static const uint8_t ack[] = {0, 0, 0, 4, 1, 0, 0, 0, 0};
  static const uint8_t response[] = {0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88};
  static const uint8_t data[] = {0, 0x9c, 0x40, 0, 0, 0, 0, 0, 1};
  int32_t stream = post (client, "/machine/map", "{}");

  h2_take (client, &out, 1 << 20);
  buffer_append (&wire, settings, sizeof settings);
  buffer_append (&wire, ack, sizeof ack);
  buffer_append (&wire, response, sizeof response);
  buffer_append (&wire, data, sizeof data);
  memset (buffer_reserve (&wire, 40000), 'm', 40000);
  buffer_commit (&wire, 40000);
  g_assert_true (h2_feed (client, wire.data, wire.size));
  expect_and_clear (client, H2_EVENT_HEADERS, stream);
  H2Event event = expect (client, H2_EVENT_DATA, stream);
  g_assert_cmpuint (event.size, ==, 40000);
  h2_event_clear (&event);
  buffer_free (&wire);
  buffer_free (&out);
  h2_free (client);
}

static void
test_garbage (void)
{
  H2 *client = h2_client_new ();
  Buffer out = {0};

  h2_take (client, &out, 1 << 20);
  h2_feed (client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
  g_assert_true (h2_take (client, &out, 1 << 20));
  g_assert_false (h2_usable (client));
  g_assert_false (h2_feed (client, "more", 4));
  buffer_free (&out);
  h2_free (client);
}

static void
test_header_limits (void)
{
  H2 *client = h2_client_new (), *server = h2_server_new ();
  g_autofree char *value = g_strnfill (10000, 'v');
  H2Header headers[8];

  for (size_t i = 0; i < 8; i++)
    headers[i] = (H2Header){"x-long", value};
  int32_t stream = h2_request (client, "POST", "https", "a", "/", headers, 8, "", 0);
  g_assert_cmpint (stream, >, 0);
  carry (client, server, 65536);
  H2Event event;
  while (h2_next_event (server, &event)) {
    g_assert_cmpint (event.type, !=, H2_EVENT_HEADERS);
    h2_event_clear (&event);
  }
  h2_free (client);
  h2_free (server);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/h2/carries-a-request-and-its-answer", test_round_trip);
  g_test_add_func ("/wire/h2/announces-large-windows-and-no-push", test_settings);
  g_test_add_func ("/wire/h2/stops-the-sender-when-nobody-reads", test_backpressure);
  g_test_add_func ("/wire/h2/reset-ends-one-stream-only", test_reset);
  g_test_add_func ("/wire/h2/goaway-loses-later-requests-and-keeps-earlier-ones", test_goaway);
  g_test_add_func ("/wire/h2/ping-is-answered", test_ping);
  g_test_add_func ("/wire/h2/server-reads-the-body-of-a-get", test_get_with_body);
  g_test_add_func ("/wire/h2/takes-unknown-settings-and-large-frames", test_live_server);
  g_test_add_func ("/wire/h2/fails-on-what-is-not-http2", test_garbage);
  g_test_add_func ("/wire/h2/bounds-the-headers-of-a-message", test_header_limits);
  return g_test_run ();
}
