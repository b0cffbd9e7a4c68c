/* A control session against a server that says anything: the bytes are register answers, map
 * messages, HTTP heads and events, chosen by their first byte and carried through real Noise and
 * HTTP/2. */
#include "control/control.h"
#include "fake-control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct
{
  Control *control;
  SeededRandom random;
  FakeControlConfig config;
  FakeControl *server; /* of the newest connection */
  uint32_t connection;
  int32_t register_stream, map_stream;
  int64_t now;
} World;

static void
input (World *w, ControlEvent *event)
{
  event->wall.seconds = 1790000000 + w->now / USEC_PER_SEC;
  control_input (w->control, event, w->now);
}

static void
take_requests (World *w)
{
  FakeRequest request;

  while (w->server && fake_control_next (w->server, &request)) {
    if (request.stream != 0 && strcmp (request.path, "/machine/register") == 0)
      w->register_stream = request.stream;
    if (request.stream != 0 && strcmp (request.path, "/machine/map") == 0) {
      buffer_append (&request.body, "", 1);
      if (strstr ((char *)request.body.data, "\"Stream\":true")) {
        w->map_stream = request.stream;
        fake_control_answer (w->server, request.stream, 200, NULL, NULL, 0, false);
      }
    }
    fake_request_clear (&request);
  }
}

static void
act (World *w, ControlAction *action)
{
  ControlEvent event = {0};

  switch (action->type) {
    case CONTROL_ACTION_DIAL:
      fake_control_free (w->server);
      w->server = fake_control_new (&w->config, &w->random.base);
      w->connection = action->dial.connection;
      event.type = CONTROL_EVENT_DIALED;
      event.dialed.connection = w->connection;
      input (w, &event);
      break;
    case CONTROL_ACTION_SEND:
      if (action->send.connection == w->connection)
        fake_control_feed (w->server, action->send.data, action->send.size);
      break;
    case CONTROL_ACTION_SAVE:
      event.type = CONTROL_EVENT_SAVED;
      event.saved.serial = action->save.serial;
      event.saved.ok = true;
      input (w, &event);
      break;
    default:
      break;
  }
}

static void
pump (World *w)
{
  for (int rounds = 0; rounds < 100; rounds++) {
    ControlAction action;
    Buffer bytes = {0};
    while (control_next_action (w->control, &action)) {
      act (w, &action);
      control_action_clear (&action);
    }
    if (w->server) {
      take_requests (w);
      fake_control_take (w->server, &bytes);
    }
    if (bytes.size == 0)
      return;
    ControlEvent event = {.type = CONTROL_EVENT_BYTES};
    event.bytes.connection = w->connection;
    event.bytes.data = bytes.data;
    event.bytes.size = bytes.size;
    input (w, &event);
    buffer_free (&bytes);
  }
}

static void
start (World *w)
{
  ControlConfig config = {.server_url = "http://127.0.0.1:3000", .client_version = "0"};
  ControlIdentity identity = {0};
  Hostinfo info;
  const char *error;

  seeded_random_init (&w->random, 1);
  memset (w->config.key.bytes, 0x40, KEY_SIZE);
  memset (config.machine_key.bytes, 0x48, KEY_SIZE);
  memset (identity.node_key.bytes, 0x50, KEY_SIZE);
  key_public (w->config.key.bytes, identity.server_key.bytes);
  w->now = USEC_PER_SEC;
  w->control = control_new (&config, &w->random.base, &error);
  ControlEvent event = {.type = CONTROL_EVENT_START, .start.identity = &identity};
  input (w, &event);
  hostinfo_init (&info);
  event = (ControlEvent){.type = CONTROL_EVENT_LOCAL_STATE, .local_state.hostinfo = &info};
  input (w, &event);
  event = (ControlEvent){.type = CONTROL_EVENT_RESUME};
  input (w, &event);
  pump (w);
}

static void
move (World *w, uint8_t what, const uint8_t *data, size_t size)
{
  ControlEvent event = {.type = CONTROL_EVENT_TICK};
  char text[512];

  snprintf (text, sizeof text, "%.*s", (int)(size < 500 ? size : 500), (const char *)data);
  switch (what % 8) {
    case 0:
      fake_control_answer (w->server, w->register_stream, 200, NULL, data, size, true);
      break;
    case 1:
      if (size > 0)
        fake_control_map (w->server, w->map_stream, text, false);
      break;
    case 2:
      fake_control_send (w->server, w->map_stream, data, size, false);
      break;
    case 3:
      fake_control_answer (w->server, w->register_stream, 400 + what, text, data, size, true);
      break;
    case 4: /* bytes that the server never sealed, whatever stage the connection is in */
      event.type = CONTROL_EVENT_BYTES;
      event.bytes.connection = w->connection;
      event.bytes.data = data;
      event.bytes.size = size;
      break;
    case 5:
      event.type = CONTROL_EVENT_CLOSED;
      event.closed.connection = w->connection;
      break;
    case 6:
      event.type = what & 64   ? CONTROL_EVENT_LOGIN
                   : what & 32 ? CONTROL_EVENT_LOGOUT
                               : CONTROL_EVENT_LINK;
      if (event.type == CONTROL_EVENT_LOGIN) {
        event.login.auth_key = what & 16 ? text : NULL;
        event.login.force = what & 8;
      } else
        event.link = (typeof (event.link)){.major = what & 8, .woke = what & 16};
      break;
    case 7:
      w->now += USEC_PER_SEC << (what >> 4);
      break;
  }
  input (w, &event);
  pump (w);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  World w = {0};

  start (&w);
  /* a sequence of {what, length le16, bytes} */
  for (int moves = 0; size >= 3 && moves < 16; moves++) {
    size_t n = data[1] | (size_t)data[2] << 8;
    if (n > size - 3)
      n = size - 3;
    if (w.server && fake_control_has_noise (w.server))
      move (&w, data[0], data + 3, n);
    else
      move (&w, data[0] | 4, data + 3, n);
    data += 3 + n;
    size -= 3 + n;
  }
  control_free (w.control);
  fake_control_free (w.server);
  return 0;
}
