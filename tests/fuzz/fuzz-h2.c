/* HTTP/2 bytes into a client with two open streams, or into a server that answers everything. */
#include "wire/h2.h"

static void
answer (H2 *h2, const H2Event *event)
{
  H2Header header = {"content-type", "text/plain"};

  if (event->type == H2_EVENT_HEADERS)
    h2_event_header (event, ":path");
  if (event->type != H2_EVENT_END)
    return;
  h2_respond (h2, event->stream, 200, &header, 1);
  h2_send (h2, event->stream, "answer", 6, event->stream % 4 == 1);
  h2_queued (h2, event->stream);
}

/* What the application does by itself, one thing for each value of WHAT. */
static void
act (H2 *h2, bool server, uint8_t what, Buffer *out)
{
  switch (what) {
    case 0:
      h2_ping (h2);
      break;
    case 1:
      h2_shutdown (h2);
      break;
    case 2:
      h2_send (h2, 1, "more", 4, false); /* to a body that waits for more */
      break;
    case 3:
      h2_take (h2, out, 1);
      h2_reset (h2, 1, H2_CANCEL);
      break;
    default:
      break;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  Buffer out = {0};
  H2Event event;

  if (size < 2)
    return 0;
  bool server = data[0] & 1;
  size_t step = data[1] % 64 + 1;
  H2 *h2 = server ? h2_server_new () : h2_client_new ();
  if (server)
    h2_feed (h2, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
  else {
    H2Header hint = {"ts-lb", "nodekey:00"};
    h2_request (h2, "POST", "https", "host", "/machine/map", &hint, 1, "{}", 2);
    h2_request (h2, "POST", "https", "host", "/machine/register", &hint, 1, "", 0);
  }
  for (size_t i = 2; i < size; i += step) {
    bool ok = h2_feed (h2, data + i, size - i < step ? size - i : step);
    while (h2_next_event (h2, &event)) {
      if (server)
        answer (h2, &event);
      else if (event.type == H2_EVENT_DATA && event.size == 3)
        h2_reset (h2, event.stream, H2_CANCEL);
      h2_event_clear (&event);
    }
    h2_take (h2, &out, 65536);
    buffer_reset (&out);
    if (!ok)
      break;
    act (h2, server, data[0] >> 1, &out);
  }
  buffer_free (&out);
  h2_free (h2);
  return 0;
}
