#include "derp/carrier.h"

#include <string.h>

#define HEAD_MAX    16   /* of a message, its mask included */
#define ANSWERS_MAX 2048 /* a server that asks for more and reads nothing is broken */

void
derp_carrier_clear (DerpCarrier *carrier)
{
  buffer_free (&carrier->answers);
}

void
derp_carrier_ask (DerpCarrier *carrier, Random *random, Buffer *out)
{
  if (!carrier->wanted) {
    buffer_append_text (out, "Upgrade: DERP\r\n\r\n");
    return;
  }
  web_socket_key (random, carrier->key);
  buffer_append_format (out,
                        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Protocol: derp\r\nSec-WebSocket-Key: %s\r\n\r\n",
                        carrier->key);
}

bool
derp_carrier_granted (DerpCarrier *carrier, const Http1Head *head)
{
  carrier->on = carrier->wanted;
  return !carrier->wanted || web_socket_accepted (head, carrier->key, "derp");
}

bool
derp_carrier_read (DerpCarrier *carrier, const void *data, size_t size, Random *random, Buffer *in)
{
  if (!carrier->on) {
    buffer_append (in, data, size);
    return true;
  }
  return web_socket_read (&carrier->socket, data, size, random, in, &carrier->answers)
         && carrier->answers.size <= ANSWERS_MAX;
}

size_t
derp_carrier_room (const DerpCarrier *carrier, size_t capacity)
{
  return carrier->on ? capacity - carrier->answers.size - HEAD_MAX : capacity;
}

size_t
derp_carrier_write (DerpCarrier *carrier, const uint8_t *frames, size_t size, Random *random,
                    uint8_t *out, size_t capacity)
{
  Buffer message = {0};

  buffer_append (&message, carrier->answers.data, carrier->answers.size);
  buffer_free (&carrier->answers);
  if (size > 0)
    web_socket_write (&message, frames, size, random);
  size_t n = message.size < capacity ? message.size : capacity;
  if (n > 0)
    memcpy (out, message.data, n);
  buffer_free (&message);
  return n;
}
