/* WebSocket: RFC 6455's own examples, and what peers must not do. The server's role is tested with
 * the relay, too (test-relay-web-socket.c). */
#include "wire/web-socket.h"

#include <glib.h>
#include <string.h>

static SeededRandom seeded;

static bool
accepted (const char *text)
{
  Http1Head head;

  http1_head_init (&head, false);
  g_assert_cmpint (http1_head_parse (&head, text, strlen (text)), ==, HTTP1_DONE);
  return web_socket_accepted (&head, "dGhlIHNhbXBsZSBub25jZQ==", "chat");
}

static void
test_accept (void)
{
  g_assert_true (accepted ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Accept: "
                           "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"));
  g_assert_false (accepted ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
  g_assert_false (accepted ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Accept: t3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                            "Sec-WebSocket-Protocol: chat\r\n\r\n"));
}

/* Bytes one by one and at once give the same. */
static bool
read_all (const void *data, size_t size, bool singly, Buffer *plain, Buffer *answers)
{
  WebSocket ws = {0};
  bool open = true;

  if (!singly)
    return web_socket_read (&ws, data, size, &seeded.base, plain, answers);
  for (size_t i = 0; i < size && open; i++)
    open = web_socket_read (&ws, (const uint8_t *)data + i, 1, &seeded.base, plain, answers);
  return open;
}

static void
test_messages (void)
{
  /* "Hel" + "lo" in two frames, a ping "Hello" between them, 200 bytes, an empty message */
  static const uint8_t frames[] = "\x02\x03Hel\x89\x05Hello\x80\x02lo\x82\x7e\x00\xc8";
  uint8_t bytes[sizeof frames - 1 + 200 + 2];
  memcpy (bytes, frames, sizeof frames - 1);
  memset (bytes + sizeof frames - 1, 'x', 200);
  memcpy (bytes + sizeof bytes - 2, "\x82\x00", 2);

  for (int singly = 0; singly < 2; singly++) {
    Buffer plain = {0}, answers = {0};

    g_assert_true (read_all (bytes, sizeof bytes, singly, &plain, &answers));
    g_assert_cmpuint (plain.size, ==, 205);
    g_assert_cmpmem (plain.data, 8, "Helloxxx", 8);
    g_assert_cmpuint (answers.size, ==, 2 + 4 + 5); /* a masked pong */
    g_assert_cmphex (answers.data[0], ==, 0x8a);
    g_assert_cmphex (answers.data[1], ==, 0x85);
    for (int i = 0; i < 5; i++)
      g_assert_cmpint (answers.data[6 + i] ^ answers.data[2 + i % 4], ==, "Hello"[i]);
    buffer_free (&plain);
    buffer_free (&answers);
  }
}

static void
test_refuses (void)
{
  static const struct
  {
    const char *bytes;
    size_t size;
  } bad[] = {
      {"\x81\x01x", 3},                                 /* text */
      {"\x82\x81\x01\x02\x03\x04x", 7},                 /* masked by a server */
      {"\xc2\x01x", 3},                                 /* an extension */
      {"\x09\x00", 2},                                  /* a ping in parts */
      {"\x89\x7e\x00\x7e", 4},                          /* a long ping */
      {"\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00", 10}, /* far too long */
      {"\x83\x00", 2},                                  /* an opcode that nobody knows */
      {"\x88\x02\x03\xe8", 4},                          /* the end */
  };

  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    Buffer plain = {0}, answers = {0};

    g_assert_false (read_all (bad[i].bytes, bad[i].size, i & 1, &plain, &answers));
    g_assert_cmpuint (plain.size, ==, 0);
    buffer_free (&plain);
    buffer_free (&answers);
  }
}

/* Either role reads what the other one writes, and refuses its own. */
static void
test_both_roles (void)
{
  uint8_t data[300], head[10];
  Buffer masked = {0}, bare = {0}, plain = {0}, answers = {0};
  WebSocket client = {0}, server = {.server = true}, again = {.server = true};

  memset (data, 'y', sizeof data);
  web_socket_write (&masked, data, sizeof data, &seeded.base);
  buffer_append (&bare, head, web_socket_head (sizeof data, head));
  buffer_append (&bare, data, sizeof data);
  g_assert_true (web_socket_read (&server, masked.data, masked.size, NULL, &plain, &answers));
  g_assert_true (web_socket_read (&client, bare.data, bare.size, &seeded.base, &plain, &answers));
  g_assert_cmpuint (plain.size, ==, 2 * sizeof data);
  g_assert_cmpmem (plain.data, sizeof data, data, sizeof data);
  g_assert_cmpmem (plain.data + sizeof data, sizeof data, data, sizeof data);
  g_assert_cmpuint (answers.size, ==, 0);
  g_assert_false (web_socket_read (&again, bare.data, bare.size, NULL, &plain, &answers));
  g_assert_cmpmem (answers.data, answers.size, "\x88\x02\x03\xea", 4); /* 1002 */
  buffer_free (&masked);
  buffer_free (&bare);
  buffer_free (&plain);
  buffer_free (&answers);
}

static void
test_writes (void)
{
  static const size_t sizes[] = {1, 125, 126, 65535, 65536};
  static const size_t heads[] = {2, 2, 4, 4, 10};
  g_autofree uint8_t *data = g_malloc (65536);

  for (size_t i = 0; i < 65536; i++)
    data[i] = (uint8_t)i;
  for (size_t i = 0; i < G_N_ELEMENTS (sizes); i++) {
    Buffer out = {0};

    web_socket_write (&out, data, sizes[i], &seeded.base);
    g_assert_cmpuint (out.size, ==, heads[i] + 4 + sizes[i]);
    g_assert_cmphex (out.data[0], ==, 0x82);
    g_assert_true (out.data[1] & 0x80);
    const uint8_t *mask = out.data + heads[i], *body = mask + 4;
    for (size_t k = 0; k < sizes[i]; k++)
      g_assert_cmpint (body[k] ^ mask[k & 3], ==, data[k]);
    buffer_free (&out);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  seeded_random_init (&seeded, 20261123);
  g_test_add_func ("/wire/web-socket/judges-the-answer-as-the-rfc-does", test_accept);
  g_test_add_func ("/wire/web-socket/joins-messages-and-answers-pings", test_messages);
  g_test_add_func ("/wire/web-socket/refuses-what-a-server-must-not-send", test_refuses);
  g_test_add_func ("/wire/web-socket/either-role-reads-the-other", test_both_roles);
  g_test_add_func ("/wire/web-socket/writes-masked-messages-of-any-size", test_writes);
  return g_test_run ();
}
