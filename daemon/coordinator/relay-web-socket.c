#include "coordinator/relay-web-socket.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TEXT    24 /* 16 bytes in base64 */
#define HEAD_MAX    14
#define CONTROL_MAX 125
#define MESSAGE_MAX (1 << 20)

typedef enum
{
  OP_CONTINUATION = 0,
  OP_TEXT = 1,
  OP_BINARY = 2,
  OP_CLOSE = 8,
  OP_PING = 9,
  OP_PONG = 10,
} Opcode;

struct RelayWebSocket
{
  uint8_t head[HEAD_MAX];
  size_t head_size; /* bytes of it that have come */
  bool in_frame;
  bool over; /* nothing is read any more */
  uint8_t opcode;
  uint64_t left; /* of the frame's payload */
  uint8_t mask[4];
  unsigned mask_at;
  uint8_t control[CONTROL_MAX];
  size_t control_size;
};

bool
relay_web_socket_accept (const Http1Head *head, Buffer *out)
{
  static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  Http1Text key = http1_field (head, "sec-websocket-key");
  Http1Text version = http1_field (head, "sec-websocket-version");
  uint8_t joined[KEY_TEXT + sizeof magic - 1], hash[SHA_DIGEST_LENGTH];
  uint8_t text[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];

  if (!http1_text_is (head->method, "GET") || key.length != KEY_TEXT
      || !http1_text_is (version, "13"))
    return false;
  memcpy (joined, key.text, KEY_TEXT);
  memcpy (joined + KEY_TEXT, magic, sizeof magic - 1);
  SHA1 (joined, sizeof joined, hash);
  EVP_EncodeBlock (text, hash, sizeof hash);
  buffer_append_format (out,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                        "Sec-WebSocket-Protocol: derp\r\n\r\n",
                        (const char *)text);
  return true;
}

RelayWebSocket *
relay_web_socket_new (void)
{
  return mem_new (sizeof (RelayWebSocket));
}

void
relay_web_socket_free (RelayWebSocket *ws)
{
  free (ws);
}

static void
write_control (Buffer *out, Opcode opcode, const uint8_t *data, size_t size)
{
  uint8_t head[2] = {(uint8_t)(0x80 | opcode), (uint8_t)size};

  buffer_append (out, head, sizeof head);
  buffer_append (out, data, size);
}

static void
write_close (Buffer *out, uint16_t code)
{
  uint8_t body[2];

  store_be16 (body, code);
  write_control (out, OP_CLOSE, body, sizeof body);
}

/* The size of the head that begins with these bytes, as far as they tell. */
static size_t
head_needed (const RelayWebSocket *ws)
{
  unsigned length = ws->head_size < 2 ? 0 : ws->head[1] & 0x7f;

  return ws->head_size < 2 ? 2 : length == 127 ? 14 : length == 126 ? 8 : 6;
}

/* The head is complete; 0, or the code to close with. */
static uint16_t
begin_frame (RelayWebSocket *ws)
{
  unsigned length = ws->head[1] & 0x7f;
  bool final = (ws->head[0] & 0x80) != 0;

  ws->opcode = ws->head[0] & 0x0f;
  ws->left = length == 127   ? load_be64 (ws->head + 2)
             : length == 126 ? load_be16 (ws->head + 2)
                             : length;
  memcpy (ws->mask, ws->head + head_needed (ws) - 4, 4);
  ws->mask_at = 0;
  ws->control_size = 0;
  ws->in_frame = true;
  if ((ws->head[0] & 0x70) != 0 || (ws->head[1] & 0x80) == 0 || ws->left > MESSAGE_MAX)
    return 1002;
  switch (ws->opcode) {
    case OP_CONTINUATION:
    case OP_BINARY:
      return 0;
    case OP_CLOSE:
    case OP_PING:
    case OP_PONG:
      return final && ws->left <= CONTROL_MAX ? 0 : 1002;
    case OP_TEXT:
      return 1003;
    default:
      return 1002;
  }
}

static void
unmask (RelayWebSocket *ws, uint8_t *data, size_t size)
{
  for (size_t i = 0; i < size; i++)
    data[i] ^= ws->mask[ws->mask_at++ & 3];
}

/* The frame is complete; false: it was the last. */
static bool
end_frame (RelayWebSocket *ws, Buffer *out)
{
  ws->in_frame = false;
  ws->head_size = 0;
  if (ws->opcode == OP_PING)
    write_control (out, OP_PONG, ws->control, ws->control_size);
  if (ws->opcode == OP_CLOSE)
    write_control (out, OP_CLOSE, ws->control, ws->control_size >= 2 ? 2 : 0);
  return ws->opcode != OP_CLOSE;
}

/* Up to SIZE bytes of the head; how many it took. */
static size_t
read_head (RelayWebSocket *ws, const uint8_t *data, size_t size, uint16_t *code)
{
  size_t n = 0;

  while (n < size && ws->head_size < head_needed (ws))
    ws->head[ws->head_size++] = data[n++];
  if (ws->head_size >= 2 && ws->head_size == head_needed (ws))
    *code = begin_frame (ws);
  return n;
}

bool
relay_web_socket_read (RelayWebSocket *ws, uint8_t *data, size_t size, size_t *carried, Buffer *out)
{
  size_t at = 0;
  uint16_t code = 0;

  *carried = 0;
  while (!ws->over && code == 0 && (at < size || (ws->in_frame && ws->left == 0))) {
    if (!ws->in_frame) {
      at += read_head (ws, data + at, size - at, &code);
      continue;
    }
    size_t n = ws->left < size - at ? (size_t)ws->left : size - at;
    unmask (ws, data + at, n);
    if (ws->opcode >= OP_CLOSE) {
      memcpy (ws->control + ws->control_size, data + at, n);
      ws->control_size += n;
    } else {
      memmove (data + *carried, data + at, n);
      *carried += n;
    }
    at += n;
    ws->left -= n;
    if (ws->left == 0)
      ws->over = !end_frame (ws, out);
  }
  if (code != 0)
    write_close (out, code);
  ws->over |= code != 0;
  return !ws->over;
}

size_t
relay_web_socket_head (size_t size, uint8_t out[10])
{
  out[0] = 0x80 | OP_BINARY;
  if (size < 126) {
    out[1] = (uint8_t)size;
    return 2;
  }
  if (size <= UINT16_MAX) {
    out[1] = 126;
    store_be16 (out + 2, (uint16_t)size);
    return 4;
  }
  out[1] = 127;
  store_be64 (out + 2, size);
  return 10;
}
