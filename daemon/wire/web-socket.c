#include "wire/web-socket.h"

#include "base/bytes.h"

#include <openssl/sha.h>
#include <string.h>

typedef enum
{
  OP_CONTINUATION = 0,
  OP_BINARY = 2,
  OP_CLOSE = 8,
  OP_PING = 9,
  OP_PONG = 10,
} Opcode;

#define FINAL  0x80
#define MASKED 0x80

void
web_socket_key (Random *random, char out[WEB_SOCKET_KEY_SIZE])
{
  uint8_t bytes[16];

  random_fill (random, bytes, sizeof bytes);
  base64_encode (bytes, sizeof bytes, out);
}

bool
web_socket_accepted (const Http1Head *head, const char *key, const char *protocol)
{
  static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t joined[WEB_SOCKET_KEY_SIZE - 1 + sizeof magic - 1], hash[SHA_DIGEST_LENGTH];
  char wanted[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];
  Http1Text accept = http1_field (head, "Sec-WebSocket-Accept");

  memcpy (joined, key, WEB_SOCKET_KEY_SIZE - 1);
  memcpy (joined + WEB_SOCKET_KEY_SIZE - 1, magic, sizeof magic - 1);
  SHA1 (joined, sizeof joined, hash);
  base64_encode (hash, sizeof hash, wanted);
  return head->status == 101 && http1_text_is (http1_field (head, "Upgrade"), "websocket")
         && accept.length == strlen (wanted) && memcmp (accept.text, wanted, accept.length) == 0
         && http1_text_is (http1_field (head, "Sec-WebSocket-Protocol"), protocol);
}

/* ---- writing ---- */

static void
write_frame (Buffer *out, Opcode opcode, const uint8_t *data, size_t size, Random *random)
{
  uint8_t head[14] = {(uint8_t)(FINAL | opcode)}, *mask, *body;
  size_t n = 2;

  if (size < 126) {
    head[1] = (uint8_t)size;
  } else if (size <= UINT16_MAX) {
    head[1] = 126;
    store_be16 (head + 2, (uint16_t)size);
    n = 4;
  } else {
    head[1] = 127;
    store_be64 (head + 2, size);
    n = 10;
  }
  head[1] |= MASKED;
  mask = head + n;
  random_fill (random, mask, 4);
  buffer_append (out, head, n + 4);
  if (size == 0)
    return;
  body = buffer_reserve (out, size);
  for (size_t i = 0; i < size; i++)
    body[i] = data[i] ^ mask[i & 3];
  buffer_commit (out, size);
}

void
web_socket_write (Buffer *out, const void *data, size_t size, Random *random)
{
  write_frame (out, OP_BINARY, data, size, random);
}

/* ---- reading ---- */

static size_t
head_needed (const WebSocket *ws)
{
  unsigned length = ws->head_size < 2 ? 0 : ws->head[1] & 0x7f;

  return length == 127 ? 10 : length == 126 ? 4 : 2;
}

/* The head is complete. False: no frame that we take. */
static bool
begin_frame (WebSocket *ws)
{
  unsigned length = ws->head[1] & 0x7f;

  ws->opcode = ws->head[0] & 0x0f;
  ws->left = length == 127   ? load_be64 (ws->head + 2)
             : length == 126 ? load_be16 (ws->head + 2)
                             : length;
  ws->control_size = 0;
  ws->in_frame = true;
  if ((ws->head[0] & 0x70) != 0 || (ws->head[1] & MASKED) != 0 || ws->left > WEB_SOCKET_FRAME_MAX)
    return false;
  switch (ws->opcode) {
    case OP_CONTINUATION:
    case OP_BINARY:
      return true;
    case OP_CLOSE:
    case OP_PING:
    case OP_PONG:
      return (ws->head[0] & FINAL) != 0 && ws->left <= WEB_SOCKET_CONTROL_MAX;
    default:
      return false;
  }
}

/* The frame is complete; false: it was the last. */
static bool
end_frame (WebSocket *ws, Random *random, Buffer *answers)
{
  ws->in_frame = false;
  ws->head_size = 0;
  if (ws->opcode == OP_PING)
    write_frame (answers, OP_PONG, ws->control, ws->control_size, random);
  if (ws->opcode == OP_CLOSE)
    write_frame (answers, OP_CLOSE, ws->control, ws->control_size >= 2 ? 2 : 0, random);
  return ws->opcode != OP_CLOSE;
}

bool
web_socket_read (WebSocket *ws, const void *data, size_t size, Random *random, Buffer *plain,
                 Buffer *answers)
{
  const uint8_t *bytes = data;
  size_t at = 0;

  while (at < size) {
    if (!ws->in_frame) {
      ws->head[ws->head_size++] = bytes[at++];
      if (ws->head_size < 2 || ws->head_size < head_needed (ws))
        continue;
      if (!begin_frame (ws))
        return false;
    }
    size_t n = ws->left < size - at ? (size_t)ws->left : size - at;
    if (ws->opcode < OP_CLOSE) {
      buffer_append (plain, bytes + at, n);
    } else {
      memcpy (ws->control + ws->control_size, bytes + at, n);
      ws->control_size = (uint8_t)(ws->control_size + n);
    }
    at += n;
    ws->left -= n;
    if (ws->left == 0 && !end_frame (ws, random, answers))
      return false;
  }
  return true;
}
