/* What a stream is told: the whole map first, then what differs (spec/control-protocol.md §17.7,
 * §17.8; spec/netmap-and-policy.md §8). */

#include "coordinator/state-private.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "netmap/map-message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
hash_of (const void *data, size_t size)
{
  uint8_t hash[BLAKE2S_SIZE];

  blake2s (&(Slice){data, size}, 1, hash);
  return load_le64 (hash) | 1; /* never 0, which stands for "nothing" */
}

/* ---- nodes ---- */

static void
fill_hostinfo (const CoNode *node, NodeHostinfo *out)
{
  const Hostinfo *info = &node->hostinfo;

  *out = (NodeHostinfo){
      .os = info->os ? info->os : "",
      .os_version = info->os_version ? info->os_version : "",
      .distro = "",
      .distro_version = "",
      .device_model = "",
      .hostname = info->hostname ? info->hostname : "",
      .services = info->services,
      .n_services = (uint16_t)info->n_services,
      .routable_ips = info->routable_ips,
      .n_routable_ips = (uint16_t)info->n_routable_ips,
      .ssh_host_keys = info->ssh_host_keys,
      .n_ssh_host_keys = (uint16_t)info->n_ssh_host_keys,
      .location = info->location,
      .shields_up = info->shields_up,
  };
}

/* Endpoints that another computer can use. */
static size_t
usable_endpoints (const CoNode *node, IpPort out[MODEL_ENDPOINTS_MAX])
{
  size_t n = 0;

  for (size_t i = 0; i < node->n_endpoints; i++)
    if (!(node->endpoints[i].addr.family == 6 && ip_is_link_local (&node->endpoints[i].addr)))
      out[n++] = node->endpoints[i];
  return n;
}

/* NODE as a viewer gets it with ALLOWED; its primary routes are the subnets among them. */
static Node *
make_node (State *state, const CoNode *node, const IpPrefix *allowed, size_t n_allowed,
           Arena *arena)
{
  IpPort endpoints[MODEL_ENDPOINTS_MAX];
  NodeHostinfo hostinfo;
  IpPrefix addresses[2], *primary = NULL;
  size_t n_primary = 0;
  Node draft;

  node_draft_init (&draft);
  fill_hostinfo (node, &hostinfo);
  addresses[0] = ip_single (&node->addr4);
  addresses[1] = ip_single (&node->addr6);
  for (size_t i = 0; i < n_allowed; i++)
    if (!ip_prefix_is_default (&allowed[i]) && !ip_prefix_equal (&allowed[i], &addresses[0])
        && !ip_prefix_equal (&allowed[i], &addresses[1]))
      arena_append (arena, primary, n_primary, allowed[i]);
  draft.id = node->id;
  draft.stable_id = node->stable_id;
  draft.name = arena_printf (arena, "%s.%s.", node->name, state->model.settings.domain);
  draft.user = node->user ? node->user : MODEL_TAGGED_USER;
  draft.key = node->key;
  draft.key_expiry = node->expiry;
  draft.machine = node->machine;
  draft.disco_key = node->disco_key;
  draft.addresses = addresses;
  draft.n_addresses = 2;
  draft.allowed_ips = allowed;
  draft.n_allowed_ips = (uint16_t)n_allowed;
  draft.primary_routes = primary;
  draft.n_primary_routes = (uint16_t)n_primary;
  draft.endpoints = endpoints;
  draft.n_endpoints = (uint16_t)usable_endpoints (node, endpoints);
  draft.home_derp = node->hostinfo.net_info ? node->hostinfo.net_info->preferred_derp : 0;
  draft.hostinfo = &hostinfo;
  draft.created = node->created;
  draft.cap = node->capability_version;
  draft.tags = (const char *const *)node->tags;
  draft.n_tags = (uint16_t)node->n_tags;
  draft.online = node->online ? TRI_TRUE : TRI_FALSE;
  draft.last_seen = node->online ? wall_time_unset () : node->last_seen;
  draft.expired = draft.expired_by_server = state_node_expired (state, node);
  draft.machine_authorized = node->approved && !draft.expired;
  return node_pack (&draft);
}

static int
compare_caps (const void *a, const void *b)
{
  return strcmp (((const NodeCap *)a)->name, ((const NodeCap *)b)->name);
}

/* What every node gets, what its owner's role gives, what the policy gives; sorted, each once. */
static NodeCap *
self_caps (State *state, const CoNode *node, Arena *arena, size_t *n)
{
  static const NodeCap baseline[] = {
      {.name = "default-auto-update", .values = "[false]"},
      {.name = "https://tailscale.com/cap/file-sharing"},
      {.name = "https://tailscale.com/cap/ssh"},
  };
  const CoUser *user = model_user (&state->model, node->user);
  NodeCap *caps = NULL;
  size_t n_policy, n_all = 0;
  const NodeCap *policy = policy_view_caps (state_view (state), node->index, &n_policy);

  for (size_t i = 0; i < sizeof baseline / sizeof baseline[0]; i++)
    arena_append (arena, caps, n_all, baseline[i]);
  if (user && (user->role == ROLE_OWNER || user->role == ROLE_ADMIN))
    arena_append (arena, caps, n_all, ((NodeCap){.name = "https://tailscale.com/cap/is-admin"}));
  NodeCap name = {.name = "tailnet-display-name"};
  name.values = arena_printf (arena, "[\"%s\"]", state->model.settings.domain);
  arena_append (arena, caps, n_all, name);
  for (size_t i = 0; i < n_policy; i++)
    arena_append (arena, caps, n_all, policy[i]);
  qsort (caps, n_all, sizeof *caps, compare_caps);
  *n = 0;
  for (size_t i = 0; i < n_all; i++)
    if (*n == 0 || strcmp (caps[*n - 1].name, caps[i].name) != 0)
      caps[(*n)++] = caps[i];
  return caps;
}

/* The viewer itself, with its own routes and what it may do. */
static Node *
make_self (State *state, const CoNode *node, Arena *arena)
{
  size_t n_routes, n_allowed = 0, n_caps;
  const IpPrefix *routes = policy_view_routes (state_view (state), node->index, &n_routes);
  IpPrefix *allowed = NULL;

  arena_append (arena, allowed, n_allowed, ip_single (&node->addr4));
  arena_append (arena, allowed, n_allowed, ip_single (&node->addr6));
  for (size_t i = 0; i < n_routes; i++)
    arena_append (arena, allowed, n_allowed, routes[i]);
  Node *plain = make_node (state, node, allowed, n_allowed, arena);
  Node draft = *plain;
  draft.caps = self_caps (state, node, arena, &n_caps);
  draft.n_caps = (uint16_t)n_caps;
  Node *self = node_pack (&draft);
  node_unref (plain);
  return self;
}

/* ---- the rest of the map ---- */

static void
add_filter (State *state, Stream *stream, const CoNode *node, MapMessage *message)
{
  PolicyRules rules = policy_view_filter (state_view (state), node->index);
  JsonWriter w;
  JsonReader r;

  json_writer_init (&w);
  policy_rules_write (&rules, &w);
  uint64_t hash = hash_of (w.data, w.size);
  if (hash != stream->filter) {
    stream->filter = hash;
    json_reader_init (&r, w.data, w.size);
    NamedFilterUpdate *update = arena_array (&message->arena, NamedFilterUpdate, 1);
    *update = (NamedFilterUpdate){.name = "base", .rules = filter_rules_decode (&r)};
    message->filters = update;
    message->n_filters = 1;
    json_reader_clear (&r);
    JsonWriter ssh;
    json_writer_init (&ssh);
    if (policy_view_write_ssh (state_view (state), node->index, &ssh))
      message->ssh_policy = arena_strndup (&message->arena, ssh.data, ssh.size);
    json_writer_clear (&ssh);
  }
  json_writer_clear (&w);
}

/* The profile of a user, once for each stream and before its nodes. */
static void
add_user (State *state, Stream *stream, UserId id, MapMessage *message)
{
  size_t index = 0;
  UserProfile *profile;

  while (index < state->model.n_users && state->model.users[index]->id != id)
    index++;
  /* Behind the real users there is the owner of all tagged nodes. */
  if (index >= stream->n_users_told) {
    size_t n = state->model.n_users + 1;
    stream->users_told = mem_resize (stream->users_told, n * sizeof *stream->users_told);
    memset (stream->users_told + stream->n_users_told, 0, n - stream->n_users_told);
    stream->n_users_told = n;
  }
  if (stream->users_told[index])
    return;
  stream->users_told[index] = true;
  if (index < state->model.n_users) {
    const CoUser *user = state->model.users[index];
    profile = user_profile_new (user->id, user->login, user->display_name, "");
  } else {
    profile = user_profile_new (MODEL_TAGGED_USER, "tagged-devices", "Tagged Devices", "");
  }
  arena_append (&message->arena, message->users, message->n_users, profile);
}

/* ---- peers ---- */

/* A message that is being put together. */
typedef struct
{
  MapMessage *message;
  NodePatch *patches;
  NodeId *removed;
} Draft;

static Told *
find_told (Stream *stream, NodeId id)
{
  size_t low = 0, high = stream->n_told;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (stream->told[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low < stream->n_told && stream->told[low].id == id ? &stream->told[low] : NULL;
}

static NodePatch
make_patch (State *state, const CoNode *node, Arena *arena)
{
  IpPort *endpoints = arena_array (arena, IpPort, MODEL_ENDPOINTS_MAX);

  return (NodePatch){
      .id = node->id,
      .home_derp = node->hostinfo.net_info ? node->hostinfo.net_info->preferred_derp : 0,
      .has_endpoints = true,
      .endpoints = endpoints,
      .n_endpoints = usable_endpoints (node, endpoints),
      .has_disco_key = !key_zero (&node->disco_key),
      .disco_key = node->disco_key,
      .online = node->online ? TRI_TRUE : TRI_FALSE,
      .has_last_seen = !node->online && !wall_time_is_unset (node->last_seen),
      .last_seen = node->last_seen,
  };
}

/* What there is to say about one peer that the stream's node sees. */
static void
add_peer (State *state, Stream *stream, const CoNode *self, const CoNode *peer, Told *now,
          Draft *draft)
{
  MapMessage *message = draft->message;
  PolicyView *view = state_view (state);
  const Told *before = find_told (stream, peer->id);
  size_t n;
  IpPrefix *allowed = policy_view_allowed_ips (view, self->index, peer->index, &n);

  *now = (Told){
      .id = peer->id,
      .version = peer->version,
      .light = peer->light,
      .routes = hash_of (allowed, n * sizeof *allowed),
  };
  if (before && before->version == now->version && before->routes == now->routes) {
    if (before->light != now->light) {
      NodePatch patch = make_patch (state, peer, &message->arena);
      arena_append (&message->arena, draft->patches, message->n_patches, patch);
    }
    return;
  }
  add_user (state, stream, peer->user ? peer->user : MODEL_TAGGED_USER, message);
  Node *node = make_node (state, peer, allowed, n, &message->arena);
  if (stream->fresh)
    arena_append (&message->arena, message->peers, message->n_peers, node);
  else
    arena_append (&message->arena, message->peers_changed, message->n_peers_changed, node);
}

static void
add_peers (State *state, Stream *stream, const CoNode *self, MapMessage *message)
{
  Draft draft = {.message = message};
  PolicyView *view = state_view (state);
  Told *told = mem_new ((state->model.n_nodes + 1) * sizeof *told);
  size_t n = 0;

  for (size_t i = 0; i < state->model.n_nodes; i++) {
    const CoNode *peer = state->model.nodes[i];
    if (peer != self && peer->approved && policy_view_are_peers (view, self->index, i))
      add_peer (state, stream, self, peer, &told[n++], &draft);
  }
  for (size_t i = 0, j = 0; i < stream->n_told; i++) {
    while (j < n && told[j].id < stream->told[i].id)
      j++;
    if (j == n || told[j].id != stream->told[i].id)
      arena_append (&message->arena, draft.removed, message->n_peers_removed, stream->told[i].id);
  }
  message->patches = draft.patches;
  message->peers_removed = draft.removed;
  free (stream->told);
  stream->told = told;
  stream->n_told = n;
}

static bool
is_worth_sending (const Stream *stream, const MapMessage *message)
{
  return stream->fresh || message->node || message->n_peers_changed || message->n_peers_removed
         || message->n_patches || message->n_filters || message->dns || message->derp_map;
}

static void
send_message (State *state, Stream *stream, MapMessage *message)
{
  JsonWriter w;

  message->control_time = state->wall;
  json_writer_init (&w);
  map_message_encode (message, &w);
  StateAction *action = state_push (state, STATE_ACTION_MESSAGE, stream->request);
  action->message.compressed = stream->compressed;
  action->message.json = json_writer_take (&w, &action->message.size);
}

void
stream_update (State *state, Stream *stream)
{
  CoNode *self = model_node (&state->model, stream->node);
  MapMessage *message = map_message_new ();

  if (stream->self_version != self->version || stream->fresh) {
    stream->self_version = self->version;
    message->node = make_self (state, self, &message->arena);
    add_user (state, stream, self->user ? self->user : MODEL_TAGGED_USER, message);
  }
  if (self->approved && !state_node_expired (state, self))
    add_peers (state, stream, self, message);
  add_filter (state, stream, self, message);
  if (stream->settings != state->settings) {
    stream->settings = state->settings;
    message->dns = settings_dns (&state->model.settings);
    message->domain = arena_strdup (&message->arena, state->model.settings.domain);
    message->derp_map = settings_derp_map (&state->model.settings, state->derp_map);
  }
  if (is_worth_sending (stream, message))
    send_message (state, stream, message);
  stream->fresh = false;
  map_message_free (message);
}
