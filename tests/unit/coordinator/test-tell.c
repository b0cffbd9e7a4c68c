/* What streams are told, held against what the policy says pair by pair: whatever happens, in
 * whatever order, each node's map becomes the one it should have, by way of messages that never
 * speak of anybody it must not see. */
#include "coordinator/state-private.h"

#include "base/bytes.h"
#include "state-rig.h"

#include <glib.h>
#include <sodium.h>
#include <string.h>

#define NODES 40
#define STEPS 400

typedef struct
{
  uint64_t request; /* of its open stream, or 0 */
  bool compressed;
  bool opened;
  Netmap *map; /* as its stream told it */
  uint16_t port;
  unsigned services;
  bool routes;
} Device;

typedef struct
{
  SeededRandom random;
  State *state;
  Device devices[NODES];
  char key[MODEL_KEY_TEXT_MAX];
  uint64_t next_request;
  int64_t now_us;
  WallTime wall;
  unsigned messages;
} World;

static const char *const policies[] = {
    "{}",
    "{\"acls\":[]}",
    "{\"nodeAttrs\":[{\"target\":[\"tag:a\"],\"attr\":[\"disable-ipv4\"]}],\"tagOwners\":{\"tag:"
    "a\":[]}}",
    "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[\"*:*\"]}]}",
    "{\"acls\":[{\"action\":\"accept\",\"src\":[\"autogroup:member\"],\"dst\":[\"autogroup:self:*"
    "\"]}]}",
    "{\"tagOwners\":{\"tag:a\":[],\"tag:b\":[]},\"acls\":[{\"action\":\"accept\",\"src\":[\"tag:"
    "a\"],"
    "\"dst\":[\"tag:b:22\"]},{\"action\":\"accept\",\"src\":[\"user1@\"],\"dst\":[\"tag:a:*\"]}]}",
    "{\"tagOwners\":{\"tag:a\":[]},\"grants\":[{\"src\":[\"autogroup:member\"],\"dst\":[\"10.7.0.0/"
    "16\"],"
    "\"ip\":[\"*\"],\"via\":[\"tag:a\"]},{\"src\":[\"owner@\"],\"dst\":[\"autogroup:tagged\"],"
    "\"ip\":[\"tcp:443\"]}]}",
};

/* ---- devices ---- */

static void
device_key (unsigned i, char kind, uint8_t key[KEY_SIZE])
{
  memset (key, 0, KEY_SIZE);
  key[0] = (uint8_t)(i + 1);
  key[1] = (uint8_t)kind;
}

static CoNode *
node_of (World *world, unsigned i)
{
  NodePublic key;

  device_key (i, 'n', key.bytes);
  return model_node_by_key (&world->state->model, &key);
}

static void
describe (const World *world, unsigned i, Hostinfo *info, NetInfo *net, NodeService *service,
          IpPrefix *route, char name[32])
{
  const Device *device = &world->devices[i];
  IpAddr addr = ip_from_v4 (0x0a070000u + (i % 3 << 8));

  hostinfo_init (info);
  net_info_init (net);
  g_snprintf (name, 32, "device%u", i % 7);
  *service = (NodeService){.proto = "peerapi4", .description = ""};
  service->port = (uint16_t)(1000 + device->services);
  info->hostname = name;
  info->os = "linux";
  info->services = service;
  info->n_services = 1;
  info->net_info = net;
  net->preferred_derp = device->port % 3;
  if (device->routes) {
    *route = (IpPrefix){addr, 24};
    info->routable_ips = route;
    info->n_routable_ips = 1;
  }
}

static void settle (World *world);

static void
input (World *world, StateEvent *event)
{
  event->wall = world->wall;
  state_input (world->state, event, world->now_us);
  settle (world);
}

static void
join (World *world, unsigned i)
{
  RegisterRequest body;
  Hostinfo info;
  NetInfo net;
  NodeService service;
  IpPrefix route;
  char name[32];
  StateEvent event = {.type = STATE_EVENT_REGISTER, .request = ++world->next_request};

  describe (world, i, &info, &net, &service, &route, name);
  register_request_init (&body);
  body.version = 131;
  body.auth_key = world->key;
  body.hostinfo = &info;
  device_key (i, 'n', body.node_key.bytes);
  device_key (i, 'm', event.registration.machine.bytes);
  event.registration.body = &body;
  input (world, &event);
}

static void
poll_map (World *world, unsigned i, bool stream)
{
  Device *device = &world->devices[i];
  MapRequest body;
  MapEndpoint endpoint = {.addr = {.addr = ip_from_v4 (0xc0a80000u + i), .port = device->port}};
  Hostinfo info;
  NetInfo net;
  NodeService service;
  IpPrefix route;
  char name[32];
  StateEvent event = {.type = STATE_EVENT_MAP, .request = ++world->next_request};

  if (stream) {
    device->request = event.request;
    device->compressed = random_below (&world->random.base, 2);
    device->opened = false;
    netmap_unref (device->map);
    device->map = NULL;
  }
  describe (world, i, &info, &net, &service, &route, name);
  map_request_init (&body);
  body.version = 131;
  body.stream = stream;
  body.omit_peers = !stream;
  body.keep_alive = true;
  body.compress = device->compressed ? "zstd" : "";
  body.hostinfo = &info;
  body.endpoints = &endpoint;
  body.n_endpoints = 1;
  device_key (i, 'n', body.node_key.bytes);
  device_key (i, 'd', body.disco_key.bytes);
  device_key (i, 'm', event.map.machine.bytes);
  event.map.body = &body;
  input (world, &event);
}

/* ---- what they hear ---- */

static bool
speaks_of (const MapMessage *message, const Netmap *map, UserId user)
{
  if (message->node ? message->node->user == user : netmap_self (map)->user == user)
    return true;
  for (size_t i = 0; i < message->n_peers; i++)
    if (message->peers[i]->user == user)
      return true;
  for (size_t i = 0; i < message->n_peers_changed; i++)
    if (message->peers_changed[i]->user == user)
      return true;
  return false;
}

/* Nothing in it is about somebody whom the map does not hold. */
static void
check_discretion (const MapMessage *message, const Netmap *map, NodeId self)
{
  for (size_t i = 0; i < message->n_patches; i++)
    g_assert_nonnull (netmap_peer (map, message->patches[i].id));
  for (size_t i = 0; i < message->n_peers_removed; i++)
    g_assert_nonnull (netmap_peer (map, message->peers_removed[i]));
  for (size_t i = 0; i < message->n_users; i++)
    g_assert_true (speaks_of (message, map, message->users[i]->id));
  for (size_t i = 0; i < message->n_peers_changed; i++)
    g_assert_cmpint (message->peers_changed[i]->id, !=, self);
  for (size_t i = 0; i < message->n_peers; i++)
    g_assert_cmpint (message->peers[i]->id, !=, self);
}

static void
hear (World *world, unsigned i, const Rope *rope)
{
  Device *device = &world->devices[i];
  MapMessage *message = rig_decode (rope, device->compressed);

  g_assert_true (device->opened);
  if (!message->keep_alive) {
    if (!device->map) {
      g_assert_nonnull (message->node);
      g_assert_nonnull (message->dns);
      g_assert_cmpuint (message->n_filters, ==, 1);
      g_assert_cmpuint (message->n_peers_changed + message->n_patches, ==, 0);
    }
    check_discretion (message, device->map, node_of (world, i)->id);
    Netmap *map = netmap_apply (device->map, message, world->wall, NULL);
    g_assert_nonnull (map);
    netmap_unref (device->map);
    device->map = map;
    world->messages++;
  }
  map_message_free (message);
}

static void
settle (World *world)
{
  StateAction action;

  while (state_next_action (world->state, &action)) {
    for (unsigned i = 0; i < NODES; i++) {
      Device *device = &world->devices[i];
      if (action.request == 0 || device->request != action.request)
        continue;
      if (action.type == STATE_ACTION_OPEN)
        device->opened = true;
      else if (action.type == STATE_ACTION_MESSAGE)
        hear (world, i, action.message.rope);
      else if (action.type == STATE_ACTION_END || action.type == STATE_ACTION_REPLY)
        device->request = 0;
    }
    state_action_clear (&action);
  }
}

static void
pass_time (World *world, int64_t us)
{
  StateEvent tick = {.type = STATE_EVENT_TICK};
  int64_t until_us = world->now_us + us;

  while (world->now_us < until_us) {
    int64_t next_us = state_next_deadline (world->state);
    int64_t to_us = next_us < world->now_us ? world->now_us : time_min (next_us, until_us);
    world->wall = wall_time_add_us (world->wall, to_us - world->now_us);
    world->now_us = to_us;
    input (world, &tick);
  }
}

/* ---- what they should have heard ---- */

static void
check_peer (World *world, const CoNode *self, const CoNode *peer, const Node *seen)
{
  size_t n;
  const IpPrefix *allowed
      = policy_view_allowed_ips (state_view (world->state), self->index, peer->index, &n);

  g_assert_nonnull (seen);
  g_assert_cmpint (seen->online, ==, peer->online ? TRI_TRUE : TRI_FALSE);
  g_assert_cmpint (seen->home_derp, ==, peer->hostinfo.net_info->preferred_derp);
  g_assert_cmpuint (seen->n_endpoints, ==, peer->n_endpoints);
  if (peer->n_endpoints > 0)
    g_assert_true (ip_port_equal (&seen->endpoints[0], &peer->endpoints[0]));
  g_assert_true (key_same (&seen->disco_key, &peer->disco_key));
  g_assert_true (g_str_has_prefix (seen->name, peer->name));
  g_assert_cmpuint (seen->hostinfo->services[0].port, ==, peer->hostinfo.services[0].port);
  g_assert_cmpuint (seen->n_tags, ==, peer->n_tags);
  g_assert_cmpuint (seen->n_allowed_ips, ==, n);
  for (size_t i = 0; i < n; i++) {
    bool found = false;
    for (size_t j = 0; j < n; j++)
      found |= ip_prefix_equal (&seen->allowed_ips[j], &allowed[i]);
    g_assert_true (found);
  }
}

static void
check_world (World *world)
{
  CoModel *model = &world->state->model;

  do
    pass_time (world, USEC_PER_SEC);
  while (world->state->flush_us != TIME_NEVER);
  for (unsigned i = 0; i < NODES; i++) {
    const CoNode *self = node_of (world, i);
    Device *device = &world->devices[i];
    if (!device->request)
      continue;
    g_assert_nonnull (self);
    g_assert_nonnull (device->map);
    size_t n = 0;
    for (size_t j = 0; j < model->n_nodes; j++) {
      const CoNode *peer = model->nodes[j];
      const Node *seen = netmap_peer (device->map, peer->id);
      if (peer == self || !peer->approved
          || !policy_view_are_peers (state_view (world->state), self->index, j)) {
        g_assert_null (seen);
        continue;
      }
      n++;
      check_peer (world, self, peer, seen);
      g_assert_nonnull (netmap_user (device->map, seen->user));
    }
    g_assert_cmpuint (netmap_n_peers (device->map), ==, n);
  }
}

/* ---- what happens ---- */

static void
command (World *world, ...)
{
  StateEvent event = {.type = STATE_EVENT_COMMAND, .request = ++world->next_request};
  const char *words[8], *word;
  va_list args;

  va_start (args, world);
  while ((word = va_arg (args, const char *)))
    words[event.command.n_words++] = word;
  va_end (args);
  event.command.words = words;
  input (world, &event);
}

static void
set_policy (World *world, const char *text)
{
  const char *words[] = {"policy", "set"};
  StateEvent event = {
      .type = STATE_EVENT_COMMAND, .request = ++world->next_request, .command = {words, 2, text}};

  input (world, &event);
}

static void
hang_up (World *world, unsigned i)
{
  StateEvent event = {.type = STATE_EVENT_GONE, .request = world->devices[i].request};

  world->devices[i].request = 0;
  input (world, &event);
}

static void
happen_to (World *world, unsigned i)
{
  static const char *const tags[] = {"tag:a", "tag:b", "tag:a,tag:b"};
  Device *device = &world->devices[i];
  CoNode *node = node_of (world, i);
  char id[16] = "";

  if (!node) {
    join (world, i);
    return;
  }
  g_snprintf (id, sizeof id, "%d", (int)node->id);
  switch (random_below (&world->random.base, 12)) {
    case 0:
    case 1:
    case 2:
      poll_map (world, i, true);
      break;
    case 3:
    case 4:
    case 5:
      device->port++;
      poll_map (world, i, false);
      break;
    case 6:
      device->services++;
      poll_map (world, i, false);
      break;
    case 7:
      device->routes = !device->routes;
      poll_map (world, i, false);
      command (world, "routes", "approve", id, "10.7.0.0/24", "10.7.1.0/24", "10.7.2.0/24", NULL);
      break;
    case 8:
      if (device->request)
        hang_up (world, i);
      break;
    case 9:
      command (world, "nodes", "tag", id, tags[random_below (&world->random.base, 3)], NULL);
      break;
    case 10:
      command (world, "nodes", "rename", id, i % 2 ? "other" : "another", NULL);
      break;
    case 11:
      if (random_below (&world->random.base, 4) == 0)
        command (world, "nodes", "remove", id, NULL);
      break;
  }
}

static void
world_init (World *world, uint64_t seed)
{
  StateConfig config = {.url = "http://example"};

  *world = (World){.now_us = USEC_PER_SEC, .wall = {1795000000, 0}};
  seeded_random_init (&world->random, seed);
  world->state = state_new (&config, &world->random.base);
  state_start (world->state, world->wall, world->now_us);
  settle (world);
  CoAuthKey *key = model_add_key (&world->state->model, world->state->model.users[0]->id, NULL, 0,
                                  world->wall, &world->random.base, world->key);
  key->reusable = true;
  command (world, "users", "create", "user1", NULL);
}

static void
world_clear (World *world)
{
  for (unsigned i = 0; i < NODES; i++)
    netmap_unref (world->devices[i].map);
  state_free (world->state);
}

static void
test_convergence (gconstpointer data)
{
  World world;

  world_init (&world, GPOINTER_TO_UINT (data));
  for (int step = 0; step < STEPS; step++) {
    happen_to (&world, (unsigned)random_below (&world.random.base, NODES));
    if (random_below (&world.random.base, 20) == 0)
      set_policy (&world, policies[random_below (&world.random.base, G_N_ELEMENTS (policies))]);
    if (random_below (&world.random.base, 4) == 0)
      pass_time (&world, random_between (&world.random.base, 1, 20 * USEC_PER_SEC));
    if (step % 10 == 9)
      check_world (&world);
  }
  g_assert_cmpuint (world.messages, >, STEPS);
  world_clear (&world);
}

/* ---- online ---- */

static void
test_overlap (void)
{
  World world;

  world_init (&world, 1);
  for (unsigned i = 0; i < 2; i++) {
    join (&world, i);
    poll_map (&world, i, true);
  }
  pass_time (&world, USEC_PER_SEC);
  uint64_t older = world.devices[0].request;
  poll_map (&world, 0, true);
  pass_time (&world, USEC_PER_SEC);
  StateEvent gone = {.type = STATE_EVENT_GONE, .request = older};
  input (&world, &gone);
  pass_time (&world, 30 * USEC_PER_SEC);
  g_assert_true (node_of (&world, 0)->online);
  hang_up (&world, 0);
  pass_time (&world, 5 * USEC_PER_SEC);
  g_assert_true (node_of (&world, 0)->online);
  poll_map (&world, 0, true);
  pass_time (&world, 30 * USEC_PER_SEC);
  g_assert_true (node_of (&world, 0)->online);
  hang_up (&world, 0);
  pass_time (&world, 12 * USEC_PER_SEC);
  g_assert_false (node_of (&world, 0)->online);
  check_world (&world);
  world_clear (&world);
}

static void
test_ephemeral (void)
{
  World world;

  world_init (&world, 2);
  world.state->model.keys[0]->ephemeral = true;
  join (&world, 0);
  poll_map (&world, 0, true);
  pass_time (&world, 600 * USEC_PER_SEC);
  g_assert_nonnull (node_of (&world, 0));
  hang_up (&world, 0);
  pass_time (&world, 60 * USEC_PER_SEC);
  poll_map (&world, 0, true);
  pass_time (&world, 300 * USEC_PER_SEC);
  g_assert_nonnull (node_of (&world, 0));
  hang_up (&world, 0);
  pass_time (&world, 119 * USEC_PER_SEC);
  g_assert_nonnull (node_of (&world, 0));
  pass_time (&world, 2 * USEC_PER_SEC);
  g_assert_null (node_of (&world, 0));
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_assert_cmpint (sodium_init (), >=, 0);
  for (unsigned seed = 1; seed <= 12; seed++) {
    g_autofree char *name
        = g_strdup_printf ("/coordinator/tell/maps-become-what-the-policy-says-seed-%u", seed);
    g_test_add_data_func (name, GUINT_TO_POINTER (seed), test_convergence);
  }
  g_test_add_func ("/coordinator/tell/overlapping-streams-keep-a-node-online", test_overlap);
  g_test_add_func ("/coordinator/tell/ephemeral-nodes-go-after-the-idle-time-only", test_ephemeral);
  return g_test_run ();
}
