/* What a peer may send in a WebSocket, in pieces of any size: to a client, or to a server when the
 * first byte is 128 or more. */
#include "wire/web-socket.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
change_protocol (const uint8_t *data, size_t size, bool server)
{
  Buffer out = {0};
  Http1Head head;

  http1_head_init (&head, server);
  if (http1_head_parse (&head, data, size) != HTTP1_DONE)
    return;
  if (server)
    web_socket_accept (&head, "chat", &out);
  else
    web_socket_accepted (&head, "dGhlIHNhbXBsZSBub25jZQ==", "chat");
  buffer_free (&out);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  SeededRandom random;
  WebSocket ws = {.server = size > 0 && data[0] >= 128};
  Buffer plain = {0}, answers = {0};
  size_t step = size > 0 ? data[0] % 7 + 1u : 1;
  uint8_t head[10];

  seeded_random_init (&random, size);
  change_protocol (data, size, false);
  change_protocol (data, size, true);
  for (size_t at = 1; at < size; at += step) {
    size_t n = size - at < step ? size - at : step;

    if (!web_socket_read (&ws, data + at, n, &random.base, &plain, &answers))
      break;
  }
  if (plain.size > size || web_socket_head (size, head) > sizeof head)
    __builtin_trap ();
  web_socket_write (&answers, data, size, &random.base);
  buffer_free (&plain);
  buffer_free (&answers);
  return 0;
}
