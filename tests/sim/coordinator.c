#include "coordinator.h"

#include "fake-control.h"
#include "relay.h"
#include "session.h"
#include "stream.h"

#include "netmap/map-message.h"
#include "netmap/map-request.h"
#include "netmap/register.h"

#include <glib.h>
#include <string.h>

#define USER_ID       7
#define TAILNET       0x64400000u /* 100.64.0.0 */
#define KEEP_ALIVE_US (50 * USEC_PER_SEC)
#define NEWS_US       (100 * USEC_PER_MSEC) /* gathered before they are passed on */

/* What a node has announced. */
typedef struct
{
  MachinePublic machine;
  NodePublic key; /* zero: not registered yet */
  DiscoPublic disco_key;
  uint16_t home_region;
  IpPort *endpoints;
  size_t n_endpoints;
  uint32_t version; /* grows with every change */
} Record;

typedef struct
{
  FakeControl *server;
  int node;                     /* whose connection it is; -1: not known yet */
  int32_t map_stream;           /* an open map stream, or 0 */
  uint32_t told[SIM_MAX_NODES]; /* versions of the records that this stream has */
} Conn;

struct SimCoordinator
{
  FakeControlConfig config;
  SeededRandom random;
  bool up;
  bool news_planned;
  int64_t down_us;
  int64_t up_us;
  Record records[SIM_MAX_NODES];
  GHashTable *by_key; /* node key -> number + 1 */
  DerpMap map;
  DerpRegion regions[SIM_RELAYS];
  DerpNode nodes[SIM_RELAYS];
  char names[SIM_RELAYS][3][16];
};

static void
make_map (SimCoordinator *c)
{
  for (unsigned i = 0; i < SIM_RELAYS; i++) {
    g_snprintf (c->names[i][0], sizeof c->names[i][0], "relay%u", i);
    g_snprintf (c->names[i][1], sizeof c->names[i][1], "%ua", i + 1);
    g_snprintf (c->names[i][2], sizeof c->names[i][2], "relay%u.sim", i);
    c->nodes[i] = (DerpNode){.name = c->names[i][1], .host_name = c->names[i][2]};
    c->nodes[i].ipv4 = sim_relay_address (i);
    c->nodes[i].no_ipv6 = true;
    c->nodes[i].stun_port = SIM_STUN_PORT;
    c->nodes[i].derp_port = SIM_RELAY_PORT;
    c->regions[i] = (DerpRegion){.id = (uint16_t)(i + 1), .code = c->names[i][0]};
    c->regions[i].name = c->names[i][0];
    c->regions[i].score = 1.0;
    c->regions[i].nodes = &c->nodes[i];
    c->regions[i].n_nodes = 1;
  }
  /* One reference is ours for ever: the map is part of this struct. */
  c->map = (DerpMap){.references = 1, .regions = c->regions, .n_regions = SIM_RELAYS};
  c->map.has_regions = true;
}

static guint
key_hash (gconstpointer key)
{
  return load_le32 (key);
}

static gboolean
keys_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, KEY_SIZE) == 0;
}

SimCoordinator *
sim_coordinator_new (Sim *sim)
{
  SimCoordinator *c = g_new0 (SimCoordinator, 1);

  seeded_random_init (&c->random, sim->options.seed ^ 0xc0);
  key_generate (&c->random.base, c->config.key.bytes);
  c->config.early_payload = true;
  c->up = true;
  c->by_key = g_hash_table_new (key_hash, keys_equal);
  for (unsigned i = 0; i < sim->options.n_nodes; i++) {
    MachinePrivate machine;
    sim_session_machine_key (sim->options.seed, i, &machine);
    key_public (machine.bytes, c->records[i].machine.bytes);
  }
  make_map (c);
  sim_plan (sim, SIM_CONTROL_KEEP_ALIVE, 0, 0, KEEP_ALIVE_US);
  return c;
}

void
sim_coordinator_free (SimCoordinator *c)
{
  for (unsigned i = 0; i < SIM_MAX_NODES; i++)
    g_free (c->records[i].endpoints);
  g_hash_table_unref (c->by_key);
  g_free (c);
}

int
sim_node_by_key (const Sim *sim, const NodePublic *key)
{
  gpointer found = g_hash_table_lookup (sim->coordinator->by_key, key->bytes);

  return GPOINTER_TO_INT (found) - 1;
}

/* --- maps --- */

static Node *
make_node (const Sim *sim, unsigned i)
{
  const Record *record = &sim->coordinator->records[i];
  IpAddr address = ip_from_v4 (TAILNET + 1 + i);
  IpPrefix prefix = ip_single (&address);
  char name[32], id[16];
  Node draft;

  node_draft_init (&draft);
  g_snprintf (name, sizeof name, "node%u.sim.", i);
  g_snprintf (id, sizeof id, "n%u", i + 1);
  draft.id = i + 1;
  draft.stable_id = id;
  draft.name = name;
  draft.user = USER_ID;
  draft.key = record->key;
  draft.machine = record->machine;
  draft.disco_key = record->disco_key;
  draft.home_derp = record->home_region;
  draft.cap = 131;
  draft.machine_authorized = true;
  draft.created = sim->wall;
  draft.addresses = draft.allowed_ips = &prefix;
  draft.n_addresses = draft.n_allowed_ips = 1;
  draft.endpoints = record->endpoints;
  draft.n_endpoints = (uint16_t)record->n_endpoints;
  return node_pack (&draft);
}

static bool
is_listed (const Sim *sim, unsigned i)
{
  const Record *record = &sim->coordinator->records[i];

  return !key_zero (&record->key) && !key_zero (&record->disco_key);
}

static void
send_map (Sim *sim, Conn *conn, const MapMessage *message)
{
  JsonWriter w;

  json_writer_init (&w);
  map_message_encode (message, &w);
  fake_control_map (conn->server, conn->map_stream, w.data, false);
  json_writer_clear (&w);
}

/* The first message of a stream: everything. */
static void
send_whole_map (Sim *sim, Conn *conn)
{
  MapMessage *message = map_message_new ();
  unsigned self = (unsigned)conn->node;

  message->node = make_node (sim, self);
  message->derp_map = derp_map_ref (&sim->coordinator->map);
  message->domain = "sim";
  message->peers = arena_array (&message->arena, Node *, sim->options.n_nodes);
  for (unsigned i = 0; i < sim->options.n_nodes; i++) {
    conn->told[i] = is_listed (sim, i) ? sim->coordinator->records[i].version : 0;
    if (i != self && is_listed (sim, i))
      message->peers[message->n_peers++] = make_node (sim, i);
  }
  send_map (sim, conn, message);
  map_message_free (message);
}

/* What changed since: whole nodes, or patches, as servers do one or the other. */
static bool
send_news (Sim *sim, Conn *conn)
{
  MapMessage *message = map_message_new ();
  unsigned n_nodes = sim->options.n_nodes;
  NodePatch *patches = arena_array (&message->arena, NodePatch, n_nodes);

  message->peers_changed = arena_array (&message->arena, Node *, n_nodes);
  for (unsigned i = 0; i < n_nodes; i++) {
    const Record *record = &sim->coordinator->records[i];
    if ((int)i == conn->node || conn->told[i] == record->version || !is_listed (sim, i))
      continue;
    if (conn->told[i] == 0 || record->version % 3 == 0) {
      message->peers_changed[message->n_peers_changed++] = make_node (sim, i);
    } else {
      NodePatch *patch = &patches[message->n_patches++];
      *patch = (NodePatch){.id = i + 1, .online = TRI_TRUE, .home_derp = record->home_region};
      patch->has_endpoints = patch->has_disco_key = true;
      patch->endpoints = record->endpoints;
      patch->n_endpoints = record->n_endpoints;
      patch->disco_key = record->disco_key;
    }
    conn->told[i] = record->version;
  }
  message->patches = patches;
  bool any = message->n_peers_changed + message->n_patches > 0;
  if (any)
    send_map (sim, conn, message);
  map_message_free (message);
  return any;
}

/* --- requests --- */

static void
changed (Sim *sim, Record *record)
{
  record->version++;
  if (!sim->coordinator->news_planned)
    sim_plan (sim, SIM_CONTROL_NEWS, 0, 0, NEWS_US);
  sim->coordinator->news_planned = true;
}

static int
node_by_machine (const Sim *sim, const MachinePublic *machine)
{
  for (unsigned i = 0; i < sim->options.n_nodes; i++)
    if (key_same (&sim->coordinator->records[i].machine, machine))
      return (int)i;
  return -1;
}

static void
answer_register (Sim *sim, Conn *conn, const FakeRequest *request)
{
  SimCoordinator *c = sim->coordinator;
  Record *record = &c->records[conn->node];
  RegisterRequest body;
  RegisterResponse response;
  const char *error = NULL;
  Arena arena = {0};
  JsonWriter w;

  if (!register_request_decode (request->body.data, request->body.size, &arena, &body, &error)) {
    sim_fail (sim, "node %d: register: %s", conn->node, error);
  } else if (!key_same (&record->key, &body.node_key)) {
    g_hash_table_remove (c->by_key, record->key.bytes);
    record->key = body.node_key;
    g_hash_table_insert (c->by_key, record->key.bytes, GINT_TO_POINTER (conn->node + 1));
    changed (sim, record);
  }
  register_response_init (&response);
  response.user_id = response.login_id = USER_ID;
  response.user_display_name = response.login_name = "sim";
  response.machine_authorized = true;
  json_writer_init (&w);
  register_response_encode (&response, &w);
  fake_control_answer (conn->server, request->stream, 200, NULL, w.data, w.size, true);
  json_writer_clear (&w);
  arena_clear (&arena);
}

static bool
same_endpoints (const Record *record, const MapRequest *body)
{
  if (record->n_endpoints != body->n_endpoints)
    return false;
  for (size_t i = 0; i < record->n_endpoints; i++)
    if (!ip_port_equal (&record->endpoints[i], &body->endpoints[i].addr))
      return false;
  return true;
}

/* Takes over what a map request says about its sender. */
static void
note_state (Sim *sim, Record *record, const MapRequest *body)
{
  const NetInfo *net_info = body->hostinfo ? body->hostinfo->net_info : NULL;
  uint16_t home = net_info ? (uint16_t)net_info->preferred_derp : 0;

  if (same_endpoints (record, body) && home == record->home_region
      && key_same (&body->disco_key, &record->disco_key))
    return;
  record->home_region = home;
  record->disco_key = body->disco_key;
  record->endpoints = g_renew (IpPort, record->endpoints, body->n_endpoints);
  record->n_endpoints = body->n_endpoints;
  for (size_t i = 0; i < body->n_endpoints; i++)
    record->endpoints[i] = body->endpoints[i].addr;
  changed (sim, record);
}

static void
answer_map (Sim *sim, Conn *conn, const FakeRequest *request)
{
  Record *record = &sim->coordinator->records[conn->node];
  const char *error = NULL;
  Arena arena = {0};
  MapRequest body;

  if (!map_request_decode (request->body.data, request->body.size, &arena, &body, &error))
    sim_fail (sim, "node %d: map: %s", conn->node, error);
  else if (!key_same (&body.node_key, &record->key))
    fake_control_answer (conn->server, request->stream, 404, NULL, "node not found", 14, true);
  else {
    note_state (sim, record, &body);
    fake_control_answer (conn->server, request->stream, 200, NULL, NULL, 0, !body.stream);
    if (body.stream) {
      conn->map_stream = request->stream;
      send_whole_map (sim, conn);
    }
  }
  arena_clear (&arena);
}

static void
answer (Sim *sim, Conn *conn, const FakeRequest *request)
{
  MachinePublic machine = fake_control_client (conn->server);

  conn->node = node_by_machine (sim, &machine);
  if (conn->node < 0)
    sim_fail (sim, "a computer that nobody knows asks for %s", request->path);
  else if (strcmp (request->path, "/machine/register") == 0)
    answer_register (sim, conn, request);
  else if (strcmp (request->path, "/machine/map") == 0)
    answer_map (sim, conn, request);
  else
    fake_control_answer (conn->server, request->stream, 404, NULL, NULL, 0, true);
}

/* --- connections --- */

static void
flush (Sim *sim, uint32_t id)
{
  Conn *conn = sim_stream_data (sim, id);
  Buffer out = {0};

  fake_control_take (conn->server, &out);
  sim_stream_reply (sim, id, out.data, out.size);
  buffer_free (&out);
  if (fake_control_closed (conn->server))
    sim_stream_hang_up (sim, id);
}

bool
sim_coordinator_accept (Sim *sim, uint32_t id)
{
  SimCoordinator *c = sim->coordinator;

  if (!c->up)
    return false;
  Conn *conn = g_new0 (Conn, 1);
  conn->server = fake_control_new (&c->config, &c->random.base);
  conn->node = -1;
  sim_stream_set_data (sim, id, conn);
  return true;
}

void
sim_coordinator_bytes (Sim *sim, uint32_t id, const uint8_t *bytes, size_t size)
{
  Conn *conn = sim_stream_data (sim, id);
  FakeRequest request = {0};
  int32_t reset;

  fake_control_feed (conn->server, bytes, size);
  while (fake_control_next (conn->server, &request)) {
    answer (sim, conn, &request);
    fake_request_clear (&request);
  }
  while ((reset = fake_control_next_reset (conn->server)) != 0)
    if (reset == conn->map_stream)
      conn->map_stream = 0;
  flush (sim, id);
}

void
sim_coordinator_ended (Sim *sim, uint32_t id)
{
  Conn *conn = sim_stream_data (sim, id);

  fake_control_free (conn->server);
  g_free (conn);
}

/* For each open map stream: news, or a keep-alive. */
static void
to_streams (Sim *sim, bool keep_alive)
{
  for (unsigned n = sim_streams_open (sim, SIM_COORDINATOR); n > 0; n--) {
    uint32_t id = sim_streams_at (sim, SIM_COORDINATOR, n - 1);
    Conn *conn = sim_stream_data (sim, id);
    if (sim_stream_is_stuck (sim, id)) {
      sim_stream_hang_up (sim, id);
      continue;
    }
    if (conn->map_stream == 0)
      continue;
    if (keep_alive)
      fake_control_map (conn->server, conn->map_stream, "{\"KeepAlive\":true}", false);
    if (keep_alive || send_news (sim, conn))
      flush (sim, id);
  }
}

static void
set_up (Sim *sim, bool up)
{
  SimCoordinator *c = sim->coordinator;

  if (c->up == up)
    return;
  c->up = up;
  *(up ? &c->up_us : &c->down_us) = sim->now_us;
  for (unsigned n = sim_streams_open (sim, SIM_COORDINATOR); n > 0; n--)
    sim_stream_hang_up (sim, sim_streams_at (sim, SIM_COORDINATOR, n - 1));
}

void
sim_coordinator_event (Sim *sim, const SimEvent *event)
{
  switch (event->type) {
    case SIM_CONTROL_KEEP_ALIVE:
      to_streams (sim, true);
      sim_plan (sim, SIM_CONTROL_KEEP_ALIVE, 0, 0, KEEP_ALIVE_US);
      break;
    case SIM_CONTROL_NEWS:
      sim->coordinator->news_planned = false;
      to_streams (sim, false);
      break;
    case SIM_CONTROL_DOWN:
    case SIM_CONTROL_UP:
      set_up (sim, event->type == SIM_CONTROL_UP);
      break;
    default:
      break;
  }
}

bool
sim_coordinator_is_up (const Sim *sim)
{
  return sim->coordinator->up;
}

int64_t
sim_coordinator_down_us (const Sim *sim)
{
  return sim->coordinator->down_us;
}

int64_t
sim_coordinator_up_us (const Sim *sim)
{
  return sim->coordinator->up_us;
}
