/* What a server may send in a WebSocket, in pieces of any size. */
#include "wire/web-socket.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  SeededRandom random;
  WebSocket ws = {0};
  Buffer plain = {0}, answers = {0};
  size_t step = size > 0 ? data[0] % 7 + 1u : 1;
  Http1Head head;

  seeded_random_init (&random, size);
  http1_head_init (&head, false);
  if (http1_head_parse (&head, data, size) == HTTP1_DONE)
    web_socket_accepted (&head, "dGhlIHNhbXBsZSBub25jZQ==", "chat");
  for (size_t at = 1; at < size; at += step) {
    size_t n = size - at < step ? size - at : step;

    if (!web_socket_read (&ws, data + at, n, &random.base, &plain, &answers))
      break;
  }
  if (plain.size > size)
    __builtin_trap ();
  web_socket_write (&answers, data, size, &random.base);
  buffer_free (&plain);
  buffer_free (&answers);
  return 0;
}
