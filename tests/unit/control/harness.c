#include "harness.h"

#include <string.h>

const char harness_registered[]
    = "{\"User\":{\"ID\":7,\"DisplayName\":\"Hazel\"},\"Login\":{\"ID\":7,\"Provider\":\"\","
      "\"LoginName\":\"hazel@burrow\",\"DisplayName\":\"Hazel\"},\"NodeKeyExpired\":false,"
      "\"MachineAuthorized\":true,\"AuthURL\":\"\",\"NodeKeySignature\":null,\"Error\":\"\"}\n";

const char harness_first_map[]
    = "{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"brambles.burrow.internal.\",\"User\":7,"
      "\"Key\":\"nodekey:493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d\","
      "\"Addresses\":[\"100.64.0.1/32\"],\"AllowedIPs\":[\"100.64.0.1/32\"],"
      "\"MachineAuthorized\":true},\"Domain\":\"burrow.internal\"}";

char *
harness_self (const char *more)
{
  return g_strdup_printf (
      "{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"brambles.burrow.internal.\",\"User\":7,"
      "\"Key\":\"nodekey:493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d\","
      "\"Addresses\":[\"100.64.0.1/32\"],\"AllowedIPs\":[\"100.64.0.1/32\"]%s%s}}",
      *more ? "," : "", more);
}

/* --- The network --------------------------------------------------------------------------- */

static void
free_connection (void *data)
{
  HarnessConnection *connection = data;

  fake_control_free (connection->server);
  g_free (connection);
}

static HarnessConnection *
find (Harness *h, uint32_t id)
{
  for (guint i = 0; i < h->connections->len; i++) {
    HarnessConnection *connection = g_ptr_array_index (h->connections, i);
    if (connection->id == id)
      return connection;
  }
  return NULL;
}

static void
input (Harness *h, ControlEvent *event)
{
  event->wall = (WallTime){.seconds = HARNESS_EPOCH + h->now / USEC_PER_SEC + h->wall_offset};
  control_input (h->control, event, h->now);
}

static void
fail_dial (Harness *h, uint32_t id, ControlDialFailure failure, const char *text)
{
  ControlEvent event = {.type = CONTROL_EVENT_DIAL_FAILED};

  event.dial_failed.connection = id;
  event.dial_failed.failure = failure;
  event.dial_failed.text = text;
  input (h, &event);
}

static void
dial (Harness *h, const ControlAction *action)
{
  NetBehaviour behaviour = action->dial.tls ? h->tls : h->plain;
  uint32_t id = action->dial.connection;
  char ip[IP_TEXT_MAX] = "";

  if (action->dial.ip.family != 0)
    ip_format (&action->dial.ip, ip);
  g_string_append_printf (h->dials, "%s%s%s:%u%s ", ip, *ip ? "/" : "",
                          action->dial.tls ? "tls" : "plain", action->dial.port,
                          action->dial.strict ? "!" : "");
  if (behaviour == NET_REFUSE) {
    fail_dial (h, id, CONTROL_DIAL_REFUSED, "connection refused");
    return;
  }
  if (behaviour == NET_UNTRUSTED && action->dial.strict) {
    fail_dial (h, id, CONTROL_DIAL_TLS_UNTRUSTED, "self-signed certificate");
    return;
  }
  HarnessConnection *connection = g_new0 (HarnessConnection, 1);
  connection->id = id;
  g_ptr_array_add (h->connections, connection);
  if (behaviour == NET_HANG)
    return;
  ControlEvent event = {.type = CONTROL_EVENT_DIALED, .dialed.connection = id};
  if (behaviour != NET_EOF)
    connection->server = fake_control_new (&h->server, &h->random.base);
  ip_parse ("192.168.1.5", 11, &event.dialed.local);
  input (h, &event);
  if (behaviour == NET_EOF) {
    event = (ControlEvent){.type = CONTROL_EVENT_CLOSED, .closed.connection = id};
    input (h, &event);
  }
}

/* --- What session is told ------------------------------------------------------------------ */

static void
log_action (Harness *h, const ControlAction *action)
{
  static const char *const states[]
      = {"off", "connecting", "needs-login", "needs-approval", "synchronising", "running"};
  GString *log = h->log;

  switch (action->type) {
    case CONTROL_ACTION_STATE:
      g_string_append_printf (log, "state %s%s\n", states[action->state.state],
                              action->state.online ? " online" : "");
      break;
    case CONTROL_ACTION_LOGIN_URL:
      g_string_append_printf (log, "url %s%s\n",
                              action->login_url.url ? action->login_url.url : "-",
                              action->login_url.by_user ? " by-user" : "");
      break;
    case CONTROL_ACTION_REGISTERED:
      g_string_append_printf (log, "registered %d %s%s\n", (int)action->registered.user_id,
                              action->registered.login_name,
                              action->registered.key_changed ? " new-key" : "");
      break;
    case CONTROL_ACTION_LOGGED_OUT:
      g_string_append_printf (log, "logged-out%s\n", action->logged_out.server_told ? " told" : "");
      break;
    case CONTROL_ACTION_NETMAP:
      g_string_append_printf (log, "netmap %zu\n", netmap_n_peers (action->netmap.netmap));
      break;
    case CONTROL_ACTION_PROBLEM:
      g_string_append_printf (log, "problem %s%s: %s\n",
                              control_problem_name (action->problem.problem),
                              action->problem.retrying ? " retrying" : "", action->problem.text);
      break;
    case CONTROL_ACTION_PING:
      h->last_ping = action->ping.ping;
      g_string_append_printf (log, "ping %s\n", action->ping.types);
      break;
    case CONTROL_ACTION_POP_URL:
      g_string_append_printf (log, "pop %s\n", action->pop_url.url);
      break;
    default:
      break;
  }
}

static void
save (Harness *h, const ControlAction *action)
{
  ControlEvent event = {.type = CONTROL_EVENT_SAVED};

  h->held_save = action->save.serial;
  if (h->hold_saves)
    return;
  event.saved.serial = action->save.serial;
  event.saved.ok = !h->fail_saves;
  event.saved.text = h->fail_saves ? "no space left on device" : NULL;
  if (event.saved.ok) {
    control_identity_clear (&h->disk);
    control_identity_copy (&h->disk, &action->save.identity);
  }
  input (h, &event);
}

static void
perform (Harness *h, ControlAction *action)
{
  HarnessConnection *connection;

  switch (action->type) {
    case CONTROL_ACTION_DIAL:
      dial (h, action);
      break;
    case CONTROL_ACTION_SEND:
      if ((connection = find (h, action->send.connection)) && connection->server)
        fake_control_feed (connection->server, action->send.data, action->send.size);
      break;
    case CONTROL_ACTION_CLOSE:
      if ((connection = find (h, action->close.connection)))
        g_ptr_array_remove (h->connections, connection);
      break;
    case CONTROL_ACTION_SAVE:
      save (h, action);
      break;
    default:
      log_action (h, action);
      break;
  }
}

/* --- Delivery ------------------------------------------------------------------------------ */

static void
deliver (Harness *h, uint32_t id, const Buffer *bytes)
{
  size_t step = h->byte_by_byte ? 1 : bytes->size;

  for (size_t i = 0; i < bytes->size; i += step) {
    ControlEvent event = {.type = CONTROL_EVENT_BYTES};
    event.bytes.connection = id;
    event.bytes.data = bytes->data + i;
    event.bytes.size = step;
    input (h, &event);
  }
}

/* What one server has to say; true when that was anything. */
static bool
carry (Harness *h, HarnessConnection *connection)
{
  Buffer bytes = {0};
  uint32_t id = connection->id;

  fake_control_take (connection->server, &bytes);
  bool moved = bytes.size > 0, closed = fake_control_closed (connection->server);
  deliver (h, id, &bytes);
  buffer_free (&bytes);
  if (!closed || !find (h, id))
    return moved;
  ControlEvent event = {.type = CONTROL_EVENT_CLOSED, .closed.connection = id};
  g_ptr_array_remove (h->connections, connection);
  input (h, &event);
  return true;
}

void
harness_pump (Harness *h)
{
  bool moved = true;

  while (moved) {
    ControlAction action;
    moved = false;
    while (control_next_action (h->control, &action)) {
      perform (h, &action);
      control_action_clear (&action);
    }
    for (guint i = 0; i < h->connections->len && !moved; i++) {
      HarnessConnection *connection = g_ptr_array_index (h->connections, i);
      moved = connection->server && carry (h, connection);
    }
  }
}

void
harness_send (Harness *h, ControlEvent *event)
{
  input (h, event);
  harness_pump (h);
}

void
harness_event (Harness *h, ControlEventType type)
{
  ControlEvent event = {.type = type};

  harness_send (h, &event);
}

void
harness_run (Harness *h, int64_t us)
{
  int64_t until = h->now + us;

  harness_pump (h);
  for (int rounds = 0; control_next_deadline (h->control) <= until; rounds++) {
    g_assert_cmpint (rounds, <, 100000);
    h->now = MAX (h->now, control_next_deadline (h->control));
    harness_event (h, CONTROL_EVENT_TICK);
  }
  h->now = until;
}

/* --- Life ---------------------------------------------------------------------------------- */

static void
make_control (Harness *h, const char *url)
{
  ControlConfig config = {.server_url = url, .client_version = "0.1.0"};
  const char *error;

  memset (config.machine_key.bytes, 0x40, KEY_SIZE);
  h->control = control_new (&config, &h->random.base, &error);
  g_assert_nonnull (h->control);
}

Harness *
harness_new (const char *url)
{
  Harness *h = g_new0 (Harness, 1);

  seeded_random_init (&h->random, 1);
  key_generate (&h->random.base, h->server.key.bytes);
  h->now = 1000 * USEC_PER_SEC;
  h->connections = g_ptr_array_new_with_free_func (free_connection);
  h->dials = g_string_new (NULL);
  h->log = g_string_new (NULL);
  h->port = 41641;
  h->url = g_strdup (url);
  make_control (h, url);
  return h;
}

Harness *
harness_new_fresh (void)
{
  Harness *h = harness_new (HARNESS_URL);

  h->tls = NET_REFUSE;
  harness_start (h);
  return h;
}

Harness *
harness_new_known (void)
{
  Harness *h = harness_new (HARNESS_URL);

  h->tls = NET_REFUSE;
  key_generate (&h->random.base, h->disk.node_key.bytes);
  lock_key_generate (&h->random.base, &h->disk.lock_key);
  key_public (h->server.key.bytes, h->disk.server_key.bytes);
  return h;
}

void
harness_free (Harness *h)
{
  control_free (h->control);
  control_identity_clear (&h->disk);
  g_ptr_array_unref (h->connections);
  g_string_free (h->dials, TRUE);
  g_string_free (h->log, TRUE);
  g_free (h->url);
  g_free (h);
}

void
harness_restart (Harness *h)
{
  control_free (h->control);
  g_ptr_array_set_size (h->connections, 0);
  g_string_truncate (h->dials, 0);
  g_string_truncate (h->log, 0);
  make_control (h, h->url);
  harness_start (h);
}

void
harness_start (Harness *h)
{
  ControlEvent event = {.type = CONTROL_EVENT_START, .start.identity = &h->disk};

  harness_send (h, &event);
  harness_announce (h, h->port, 0.01);
  harness_event (h, CONTROL_EVENT_RESUME);
}

void
harness_login (Harness *h, const char *auth_key, bool force)
{
  ControlEvent event = {.type = CONTROL_EVENT_LOGIN};

  event.login.auth_key = auth_key;
  event.login.force = force;
  harness_send (h, &event);
}

void
harness_announce (Harness *h, uint16_t port, double latency)
{
  DerpLatency latencies[] = {{"900-v4", latency}};
  IpPort endpoint = {.port = port};
  uint8_t type = ENDPOINT_LOCAL;
  ControlEvent event = {.type = CONTROL_EVENT_LOCAL_STATE};
  NetInfo net_info;
  Hostinfo info;

  net_info_init (&net_info);
  net_info.preferred_derp = 900;
  net_info.derp_latency = latencies;
  net_info.n_derp_latency = 1;
  hostinfo_init (&info);
  info.hostname = "brambles";
  info.os = "linux";
  info.net_info = &net_info;
  ip_parse ("192.168.1.5", 11, &endpoint.addr);
  event.local_state.hostinfo = &info;
  event.local_state.endpoints = &endpoint;
  event.local_state.endpoint_types = &type;
  event.local_state.n_endpoints = 1;
  memset (event.local_state.disco_key.bytes, 0xd1, KEY_SIZE);
  harness_send (h, &event);
}

/* --- Requests ------------------------------------------------------------------------------ */

void
harness_request_clear (HarnessRequest *request)
{
  fake_request_clear (&request->request);
  g_clear_pointer (&request->body, g_free);
}

static bool
next_request (Harness *h, HarnessRequest *out)
{
  for (guint i = 0; i < h->connections->len; i++) {
    HarnessConnection *connection = g_ptr_array_index (h->connections, i);
    if (!connection->server || !fake_control_next (connection->server, &out->request))
      continue;
    out->server = connection->server;
    out->body = g_strndup ((char *)out->request.body.data, out->request.body.size);
    return true;
  }
  return false;
}

HarnessRequest
harness_take (Harness *h, const char *path)
{
  HarnessRequest request = {0};

  harness_pump (h);
  if (!next_request (h, &request))
    g_error ("no request where one for %s should be; log:\n%s", path, h->log->str);
  g_assert_cmpstr (request.request.path, ==, path);
  return request;
}

void
harness_expect (Harness *h, const char *path)
{
  HarnessRequest request = harness_take (h, path);

  harness_request_clear (&request);
}

bool
harness_has_request (Harness *h)
{
  harness_pump (h);
  for (guint i = 0; i < h->connections->len; i++) {
    HarnessConnection *connection = g_ptr_array_index (h->connections, i);
    if (connection->server && fake_control_has_request (connection->server))
      return true;
  }
  return false;
}

void
harness_quiet (Harness *h)
{
  HarnessRequest request = {0};

  harness_pump (h);
  if (next_request (h, &request))
    g_error ("unexpected request %s %s %s", request.request.method, request.request.path,
             request.body);
}

void
harness_reply (Harness *h, const HarnessRequest *request, int status, const char *body)
{
  fake_control_answer (request->server, request->request.stream, status, NULL, body, strlen (body),
                       true);
  harness_pump (h);
}

const char *const harness_urls[2] = {HARNESS_URL "/register/one", HARNESS_URL "/register/two"};

void
harness_reply_url (Harness *h, const HarnessRequest *request, const char *url)
{
  g_autofree char *body = g_strdup_printf ("{\"AuthURL\":\"%s\"}", url);

  harness_reply (h, request, 200, body);
}

HarnessRegistration
harness_decode (const HarnessRequest *request)
{
  HarnessRegistration decoded = {0};

  g_assert_true (register_request_decode (request->body, strlen (request->body), &decoded.arena,
                                          &decoded.request, NULL));
  return decoded;
}

char *
harness_node_key (const HarnessRequest *request)
{
  HarnessRegistration decoded = harness_decode (request);
  char text[KEY_TEXT_MAX];

  key_format (KEY_NODE_PUBLIC, decoded.request.node_key.bytes, text);
  arena_clear (&decoded.arena);
  return g_strdup (text);
}

void
harness_map (Harness *h, const HarnessRequest *request, const char *json)
{
  fake_control_map (request->server, request->request.stream, json, false);
  harness_pump (h);
}

void
harness_open_map (Harness *h, const HarnessRequest *request, const char *json)
{
  g_assert_nonnull (strstr (request->body, "\"Stream\":true"));
  fake_control_answer (request->server, request->request.stream, 200, NULL, NULL, 0, false);
  harness_map (h, request, json);
}

HarnessRequest
harness_bring_up (Harness *h)
{
  g_auto (HarnessRequest) reg = harness_take (h, "/machine/register");
  harness_reply (h, &reg, 200, harness_registered);
  HarnessRequest map = harness_take (h, "/machine/map");
  g_auto (HarnessRequest) lite = harness_take (h, "/machine/map");
  harness_reply (h, &lite, 200, "");
  harness_open_map (h, &map, harness_first_map);
  harness_quiet (h);
  return map;
}

void
harness_bring_up_only (Harness *h)
{
  HarnessRequest map = harness_bring_up (h);

  harness_request_clear (&map);
}

void
harness_forget (Harness *h)
{
  g_string_truncate (h->log, 0);
  g_string_truncate (h->dials, 0);
}

char *
harness_log (Harness *h)
{
  char *log = g_strndup (h->log->str, h->log->len);

  g_string_truncate (h->log, 0);
  return log;
}

char *
harness_dials (Harness *h)
{
  char *dials = g_strdup (g_strchomp (h->dials->str));

  g_string_truncate (h->dials, 0);
  return dials;
}
