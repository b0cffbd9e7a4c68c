#include "session.h"

#include "coordinator.h"
#include "stream.h"

#include "control/control.h"

#include <glib.h>
#include <string.h>

#define MAX_CONNECTIONS 8
#define MAX_ENDPOINTS   64
#define AUTH_KEY        "tskey-auth-sim"

typedef struct
{
  uint32_t connection; /* the core's number */
  uint32_t stream;
  bool used;
  bool open;
} Connection;

struct SimSession
{
  Sim *sim;
  unsigned node;
  Random *random;
  Control *control; /* NULL: the process does not run */
  int64_t wall_error_us;
  ControlIdentity disk;
  Netmap *cache; /* the last map, on disk */
  Connection connections[MAX_CONNECTIONS];
  DiscoPublic disco_key;
  IpPort endpoints[MAX_ENDPOINTS];
  uint8_t types[MAX_ENDPOINTS];
  size_t n_endpoints;
  uint16_t home_region;
  bool draining;
};

void
sim_session_machine_key (uint64_t seed, unsigned i, MachinePrivate *out)
{
  SeededRandom random;

  seeded_random_init (&random, seed ^ (UINT64_C (0xac) << 32 | i));
  key_generate (&random.base, out->bytes);
}

SimSession *
sim_session_new (Sim *sim, unsigned node, Random *random)
{
  SimSession *session = g_new0 (SimSession, 1);

  session->sim = sim;
  session->node = node;
  session->random = random;
  return session;
}

void
sim_session_free (SimSession *session)
{
  sim_session_stop (session);
  control_identity_clear (&session->disk);
  if (session->cache)
    netmap_unref (session->cache);
  g_free (session);
}

static SimNode *
node_of (const SimSession *session)
{
  return session->sim->nodes[session->node];
}

static void drain (SimSession *session, int64_t now_us);

static void
input (SimSession *session, ControlEvent *event, int64_t now_us)
{
  if (!session->control)
    return;
  event->wall
      = wall_time_add_us (session->sim->wall, session->sim->now_us + session->wall_error_us);
  control_input (session->control, event, now_us);
  drain (session, now_us);
}

static Connection *
find (SimSession *session, uint32_t connection)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (session->connections[i].used && session->connections[i].connection == connection)
      return &session->connections[i];
  return NULL;
}

static Connection *
find_stream (const SimSession *session, uint32_t stream)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++)
    if (session->connections[i].used && session->connections[i].stream == stream)
      return (Connection *)&session->connections[i];
  return NULL;
}

static void
dial (SimSession *session, uint32_t connection)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    Connection *c = &session->connections[i];
    if (c->used)
      continue;
    *c = (Connection){.used = true, .connection = connection};
    c->stream = sim_stream_dial (session->sim, node_of (session), SIM_COORDINATOR);
    return;
  }
  sim_fail (session->sim, "node %u has more than %d control connections", session->node,
            MAX_CONNECTIONS);
}

/* The identity is on disk: what follows from it may be done. */
static void
save (SimSession *session, const ControlAction *action, int64_t now_us)
{
  ControlEvent event = {.type = CONTROL_EVENT_SAVED};

  control_identity_clear (&session->disk);
  control_identity_copy (&session->disk, &action->save.identity);
  event.saved.serial = action->save.serial;
  event.saved.ok = true;
  input (session, &event, now_us);
}

static void
take_netmap (SimSession *session, const ControlAction *action)
{
  if (session->cache)
    netmap_unref (session->cache);
  session->cache = netmap_ref (action->netmap.netmap);
  sim_node_netmap (node_of (session), session->cache);
}

static void
perform (SimSession *session, const ControlAction *action, int64_t now_us)
{
  Connection *c;

  switch (action->type) {
    case CONTROL_ACTION_DIAL:
      dial (session, action->dial.connection);
      break;
    case CONTROL_ACTION_SEND:
      if ((c = find (session, action->send.connection)))
        sim_stream_send (session->sim, c->stream, action->send.data, action->send.size);
      break;
    case CONTROL_ACTION_CLOSE:
      if ((c = find (session, action->close.connection))) {
        sim_stream_close (session->sim, c->stream);
        c->used = false;
      }
      break;
    case CONTROL_ACTION_SAVE:
      save (session, action, now_us);
      break;
    case CONTROL_ACTION_STATE:
      sim_node_online (node_of (session), action->state.online);
      break;
    case CONTROL_ACTION_REGISTERED:
      sim_node_identity (node_of (session), &session->disk.node_key);
      break;
    case CONTROL_ACTION_NETMAP:
      take_netmap (session, action);
      break;
    case CONTROL_ACTION_PROBLEM:
      sim_log (session->sim, "node %u: control problem %s: %s", session->node,
               control_problem_name (action->problem.problem),
               action->problem.text ? action->problem.text : "");
      break;
    case CONTROL_ACTION_LOGIN_URL:
    case CONTROL_ACTION_LOGGED_OUT:
    case CONTROL_ACTION_PING:
    case CONTROL_ACTION_POP_URL:
      break;
  }
}

static void
drain (SimSession *session, int64_t now_us)
{
  ControlAction action;

  if (session->draining)
    return;
  session->draining = true;
  while (control_next_action (session->control, &action)) {
    perform (session, &action, now_us);
    control_action_clear (&action);
  }
  session->draining = false;
}

static void
tell_local_state (SimSession *session, int64_t now_us)
{
  ControlEvent event = {.type = CONTROL_EVENT_LOCAL_STATE};
  char name[32];
  NetInfo net_info;
  Hostinfo info;

  g_snprintf (name, sizeof name, "node%u", session->node);
  net_info_init (&net_info);
  net_info.preferred_derp = session->home_region;
  hostinfo_init (&info);
  info.hostname = name;
  info.os = "linux";
  info.net_info = &net_info;
  event.local_state.hostinfo = &info;
  event.local_state.endpoints = session->endpoints;
  event.local_state.endpoint_types = session->types;
  event.local_state.n_endpoints = session->n_endpoints;
  event.local_state.disco_key = session->disco_key;
  input (session, &event, now_us);
}

void
sim_session_announce (SimSession *session, const DiscoPublic *disco_key, const IpPort *endpoints,
                      const uint8_t *types, size_t n_endpoints, uint16_t home_region)
{
  session->disco_key = *disco_key;
  session->n_endpoints = MIN (n_endpoints, MAX_ENDPOINTS);
  for (size_t i = 0; i < session->n_endpoints; i++) {
    session->endpoints[i] = endpoints[i];
    session->types[i] = types[i];
  }
  session->home_region = home_region;
  if (session->control)
    tell_local_state (session, sim_node_now (node_of (session)));
}

void
sim_session_start (SimSession *session, int64_t now_us, int64_t wall_error_us)
{
  ControlConfig config = {.server_url = "http://control.sim", .client_version = "sim"};
  ControlEvent event = {.type = CONTROL_EVENT_START};
  bool known = !key_zero (&session->disk.node_key);
  const char *error;

  sim_session_machine_key (session->sim->options.seed, session->node, &config.machine_key);
  session->wall_error_us = wall_error_us;
  session->control = control_new (&config, session->random, &error);
  g_assert_nonnull (session->control);
  event.start.identity = &session->disk;
  event.start.netmap = session->cache;
  if (known)
    sim_node_identity (node_of (session), &session->disk.node_key);
  input (session, &event, now_us);
  tell_local_state (session, now_us);
  event = (ControlEvent){.type = CONTROL_EVENT_RESUME};
  input (session, &event, now_us);
  if (known)
    return;
  event = (ControlEvent){.type = CONTROL_EVENT_LOGIN, .login = {.auth_key = AUTH_KEY}};
  input (session, &event, now_us);
}

void
sim_session_stop (SimSession *session)
{
  for (int i = 0; i < MAX_CONNECTIONS; i++) {
    if (session->connections[i].used)
      sim_stream_close (session->sim, session->connections[i].stream);
    session->connections[i].used = false;
  }
  if (session->control)
    control_free (session->control);
  session->control = NULL;
}

void
sim_session_link (SimSession *session, int64_t now_us, bool woke)
{
  ControlEvent event = {.type = CONTROL_EVENT_LINK};
  IpAddr address = sim_node_address (node_of (session));

  event.link.major = !woke;
  event.link.woke = woke;
  event.link.addresses = &address;
  event.link.n_addresses = 1;
  input (session, &event, now_us);
}

void
sim_session_tick (SimSession *session, int64_t now_us)
{
  ControlEvent event = {.type = CONTROL_EVENT_TICK};

  if (sim_session_deadline (session) <= now_us)
    input (session, &event, now_us);
}

int64_t
sim_session_deadline (const SimSession *session)
{
  return session->control ? control_next_deadline (session->control) : TIME_NEVER;
}

bool
sim_session_has_stream (const SimSession *session, uint32_t stream)
{
  return find_stream (session, stream) != NULL;
}

void
sim_session_stream_open (SimSession *session, uint32_t stream, bool ok, int64_t now_us)
{
  Connection *c = find_stream (session, stream);
  ControlEvent event = {.type = CONTROL_EVENT_DIALED};

  c->open = ok;
  if (ok) {
    event.dialed.connection = c->connection;
    event.dialed.local = sim_node_address (node_of (session));
  } else {
    event.type = CONTROL_EVENT_DIAL_FAILED;
    event.dial_failed.connection = c->connection;
    event.dial_failed.failure = CONTROL_DIAL_REFUSED;
    event.dial_failed.text = "connection refused";
    c->used = false;
  }
  input (session, &event, now_us);
}

void
sim_session_stream_bytes (SimSession *session, uint32_t stream, const uint8_t *bytes, size_t size,
                          int64_t now_us)
{
  Connection *c = find_stream (session, stream);
  ControlEvent event = {.type = CONTROL_EVENT_BYTES, .bytes = {c->connection, bytes, size}};

  input (session, &event, now_us);
}

void
sim_session_stream_end (SimSession *session, uint32_t stream, int64_t now_us)
{
  Connection *c = find_stream (session, stream);
  ControlEvent event = {.type = CONTROL_EVENT_CLOSED, .closed = {c->connection, NULL}};

  c->used = false;
  input (session, &event, now_us);
}
