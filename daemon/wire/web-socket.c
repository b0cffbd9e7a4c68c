#include "wire/web-socket.h"

#include "base/bytes.h"

#include <openssl/sha.h>
#include <string.h>

#define ACCEPT_SIZE (4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1)
#define FINAL       0x80
#define MASKED      0x80

typedef enum
{
  OP_CONTINUATION = 0,
  OP_TEXT = 1,
  OP_BINARY = 2,
  OP_CLOSE = 8,
  OP_PING = 9,
  OP_PONG = 10,
} Opcode;

/* Codes of RFC 6455 §7.4.1. */
enum
{
  CLOSE_PROTOCOL = 1002,
  CLOSE_NOT_BINARY = 1003,
};

/* ---- the change of protocol ---- */

void
web_socket_key (Random *random, char out[WEB_SOCKET_KEY_SIZE])
{
  uint8_t bytes[16];

  random_fill (random, bytes, sizeof bytes);
  base64_encode (bytes, sizeof bytes, out);
}

/* What answers KEY (RFC 6455 §4.2.2). */
static void
accept_text (const char *key, char out[ACCEPT_SIZE])
{
  static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  uint8_t joined[WEB_SOCKET_KEY_SIZE - 1 + sizeof magic - 1], hash[SHA_DIGEST_LENGTH];

  memcpy (joined, key, WEB_SOCKET_KEY_SIZE - 1);
  memcpy (joined + WEB_SOCKET_KEY_SIZE - 1, magic, sizeof magic - 1);
  SHA1 (joined, sizeof joined, hash);
  base64_encode (hash, sizeof hash, out);
}

bool
web_socket_accepted (const Http1Head *head, const char *key, const char *protocol)
{
  Http1Text accept = http1_field (head, "Sec-WebSocket-Accept");
  char wanted[ACCEPT_SIZE];

  accept_text (key, wanted);
  return head->status == 101 && http1_text_is (http1_field (head, "Upgrade"), "websocket")
         && accept.length == strlen (wanted) && memcmp (accept.text, wanted, accept.length) == 0
         && http1_text_is (http1_field (head, "Sec-WebSocket-Protocol"), protocol);
}

bool
web_socket_accept (const Http1Head *head, const char *protocol, Buffer *out)
{
  Http1Text key = http1_field (head, "Sec-WebSocket-Key");
  char text[ACCEPT_SIZE];

  if (!http1_text_is (head->method, "GET") || key.length != WEB_SOCKET_KEY_SIZE - 1
      || !http1_text_is (http1_field (head, "Sec-WebSocket-Version"), "13"))
    return false;
  accept_text (key.text, text);
  buffer_append_format (out,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                        "Sec-WebSocket-Protocol: %s\r\n\r\n",
                        text, protocol);
  return true;
}

/* ---- writing ---- */

static size_t
write_head (Opcode opcode, size_t size, uint8_t head[10])
{
  head[0] = (uint8_t)(FINAL | opcode);
  if (size < 126) {
    head[1] = (uint8_t)size;
    return 2;
  }
  if (size <= UINT16_MAX) {
    head[1] = 126;
    store_be16 (head + 2, (uint16_t)size);
    return 4;
  }
  head[1] = 127;
  store_be64 (head + 2, size);
  return 10;
}

static void
write_masked (Buffer *out, Opcode opcode, const uint8_t *data, size_t size, Random *random)
{
  uint8_t head[WEB_SOCKET_HEAD_MAX];
  size_t n = write_head (opcode, size, head);
  uint8_t *mask = head + n;

  head[1] |= MASKED;
  random_fill (random, mask, 4);
  buffer_append (out, head, n + 4);
  if (size == 0)
    return;
  uint8_t *body = buffer_reserve (out, size);
  for (size_t i = 0; i < size; i++)
    body[i] = data[i] ^ mask[i & 3];
  buffer_commit (out, size);
}

void
web_socket_write (Buffer *out, const void *data, size_t size, Random *random)
{
  write_masked (out, OP_BINARY, data, size, random);
}

size_t
web_socket_head (size_t size, uint8_t out[10])
{
  return write_head (OP_BINARY, size, out);
}

static void
write_control (const WebSocket *ws, Opcode opcode, const uint8_t *data, size_t size, Random *random,
               Buffer *answers)
{
  uint8_t head[10];

  if (!ws->server) {
    write_masked (answers, opcode, data, size, random);
    return;
  }
  buffer_append (answers, head, write_head (opcode, size, head));
  buffer_append (answers, data, size);
}

/* ---- reading ---- */

/* The size of the head that begins with these bytes, as far as they tell. */
static size_t
head_needed (const WebSocket *ws)
{
  unsigned length = ws->head_size < 2 ? 0 : ws->head[1] & 0x7f;
  size_t mask = ws->server ? 4 : 0;

  return ws->head_size < 2 ? 2 : mask + (length == 127 ? 10 : length == 126 ? 4 : 2);
}

/* The head is complete; 0, or the code to close with. */
static uint16_t
begin_frame (WebSocket *ws)
{
  unsigned length = ws->head[1] & 0x7f;
  bool final = (ws->head[0] & FINAL) != 0, masked = (ws->head[1] & MASKED) != 0;

  ws->opcode = ws->head[0] & 0x0f;
  ws->left = length == 127   ? load_be64 (ws->head + 2)
             : length == 126 ? load_be16 (ws->head + 2)
                             : length;
  ws->mask_at = ws->control_size = 0;
  if (ws->server)
    memcpy (ws->mask, ws->head + ws->head_size - sizeof ws->mask, sizeof ws->mask);
  ws->in_frame = true;
  if ((ws->head[0] & 0x70) != 0 || masked != ws->server
      || ws->left > (ws->server ? WEB_SOCKET_CLIENT_MAX : WEB_SOCKET_SERVER_MAX))
    return CLOSE_PROTOCOL;
  switch (ws->opcode) {
    case OP_CONTINUATION:
    case OP_BINARY:
      return 0;
    case OP_CLOSE:
    case OP_PING:
    case OP_PONG:
      return final && ws->left <= WEB_SOCKET_CONTROL_MAX ? 0 : CLOSE_PROTOCOL;
    case OP_TEXT:
      return CLOSE_NOT_BINARY;
    default:
      return CLOSE_PROTOCOL;
  }
}

/* The frame is complete; false: it was the last. */
static bool
end_frame (WebSocket *ws, Random *random, Buffer *answers)
{
  ws->in_frame = false;
  ws->head_size = 0;
  if (ws->opcode == OP_PING)
    write_control (ws, OP_PONG, ws->control, ws->control_size, random, answers);
  if (ws->opcode == OP_CLOSE)
    write_control (ws, OP_CLOSE, ws->control, ws->control_size >= 2 ? 2 : 0, random, answers);
  return ws->opcode != OP_CLOSE;
}

/* Up to SIZE bytes of the head; how many it took. */
static size_t
read_head (WebSocket *ws, const uint8_t *data, size_t size, uint16_t *code)
{
  size_t n = 0;

  while (n < size && ws->head_size < head_needed (ws))
    ws->head[ws->head_size++] = data[n++];
  if (ws->head_size >= 2 && ws->head_size == head_needed (ws))
    *code = begin_frame (ws);
  return n;
}

/* SIZE bytes of a payload, which move to TO where they are carried; the number of those. */
static size_t
read_payload (WebSocket *ws, uint8_t *data, size_t size, uint8_t *to)
{
  if (ws->server)
    for (size_t i = 0; i < size; i++)
      data[i] ^= ws->mask[ws->mask_at++ & 3];
  ws->left -= size;
  if (ws->opcode < OP_CLOSE) {
    memmove (to, data, size);
    return size;
  }
  memcpy (ws->control + ws->control_size, data, size);
  ws->control_size = (uint8_t)(ws->control_size + size);
  return 0;
}

bool
web_socket_open (WebSocket *ws, void *data, size_t size, Random *random, size_t *carried,
                 Buffer *answers)
{
  uint8_t *bytes = data, body[2];
  uint16_t code = 0;
  size_t at = 0;

  *carried = 0;
  while (!ws->over && code == 0 && (at < size || (ws->in_frame && ws->left == 0))) {
    if (!ws->in_frame) {
      at += read_head (ws, bytes + at, size - at, &code);
      continue;
    }
    size_t n = ws->left < size - at ? (size_t)ws->left : size - at;
    *carried += read_payload (ws, bytes + at, n, bytes + *carried);
    at += n;
    if (ws->left == 0)
      ws->over = !end_frame (ws, random, answers);
  }
  if (code != 0) {
    store_be16 (body, code);
    write_control (ws, OP_CLOSE, body, sizeof body, random, answers);
    ws->over = true;
  }
  return !ws->over;
}

bool
web_socket_read (WebSocket *ws, const void *data, size_t size, Random *random, Buffer *plain,
                 Buffer *answers)
{
  size_t carried = 0;

  if (size == 0)
    return !ws->over;
  uint8_t *room = buffer_reserve (plain, size);
  memcpy (room, data, size);
  bool open = web_socket_open (ws, room, size, random, &carried, answers);
  buffer_commit (plain, carried);
  return open;
}
