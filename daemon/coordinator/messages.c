/* What nodes, settings and rules look like on the wire (spec/control-protocol.md §17.7;
 * spec/netmap-and-policy.md A). */

#include "coordinator/state-private.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "netmap/map-message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t
text_hash (const void *data, size_t size)
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

static int32_t
home_of (const CoNode *node)
{
  return node->hostinfo.net_info ? node->hostinfo.net_info->preferred_derp : 0;
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
  draft.home_derp = home_of (node);
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
void
write_self (State *state, const CoNode *node, JsonWriter *w)
{
  Arena arena = {0};
  size_t n_routes, n_allowed = 0, n_caps;
  const IpPrefix *routes = policy_view_routes (state_view (state), node->index, &n_routes);
  IpPrefix *allowed = NULL;

  arena_append (&arena, allowed, n_allowed, ip_single (&node->addr4));
  arena_append (&arena, allowed, n_allowed, ip_single (&node->addr6));
  for (size_t i = 0; i < n_routes; i++)
    arena_append (&arena, allowed, n_allowed, routes[i]);
  Node *plain = make_node (state, node, allowed, n_allowed, &arena);
  Node draft = *plain;
  draft.caps = self_caps (state, node, &arena, &n_caps);
  draft.n_caps = (uint16_t)n_caps;
  Node *self = node_pack (&draft);
  node_encode (self, w);
  node_unref (self);
  node_unref (plain);
  arena_clear (&arena);
}

/* ---- peers ---- */

uint64_t
peer_routes (State *state, const CoNode *viewer, const CoNode *peer)
{
  PolicyView *view = state_view (state);
  size_t n;

  if (!policy_view_is_special (view, peer->index) && !policy_view_lacks_v4 (view, viewer->index))
    return 0;
  const IpPrefix *allowed = policy_view_allowed_ips (view, viewer->index, peer->index, &n);
  return n == 2 && ip_prefix_is_single (&allowed[0]) && ip_equal (&allowed[0].addr, &peer->addr4)
                 && ip_equal (&allowed[1].addr, &peer->addr6)
             ? 0
             : text_hash (allowed, n * sizeof *allowed);
}

static Chunk *
make_text (State *state, const CoNode *peer, const IpPrefix *allowed, size_t n)
{
  Arena arena = {0};
  JsonWriter w;

  json_writer_init (&w);
  Node *node = make_node (state, peer, allowed, n, &arena);
  node_encode (node, &w);
  Chunk *text = chunk_new (w.data, w.size);
  node_unref (node);
  json_writer_clear (&w);
  arena_clear (&arena);
  return text;
}

Chunk *
peer_text (State *state, const CoNode *viewer, CoNode *peer)
{
  size_t n;

  if (peer_routes (state, viewer, peer) != 0) {
    const IpPrefix *allowed
        = policy_view_allowed_ips (state_view (state), viewer->index, peer->index, &n);
    return make_text (state, peer, allowed, n);
  }
  if (!peer->text) {
    IpPrefix own[] = {ip_single (&peer->addr4), ip_single (&peer->addr6)};
    peer->text = make_text (state, peer, own, 2);
  }
  return chunk_ref (peer->text);
}

void
write_patch (const CoNode *node, JsonWriter *w)
{
  IpPort endpoints[MODEL_ENDPOINTS_MAX];
  unsigned changes = node->changes;
  NodePatch patch = {.id = node->id, .online = TRI_UNKNOWN};

  if (changes & NODE_CHANGED_HOME)
    patch.home_derp = home_of (node);
  if (changes & NODE_CHANGED_ENDPOINTS) {
    patch.has_endpoints = true;
    patch.endpoints = endpoints;
    patch.n_endpoints = usable_endpoints (node, endpoints);
  }
  if (changes & NODE_CHANGED_DISCO) {
    patch.has_disco_key = !key_zero (&node->disco_key);
    patch.disco_key = node->disco_key;
  }
  if (changes & NODE_CHANGED_ONLINE) {
    patch.online = node->online ? TRI_TRUE : TRI_FALSE;
    patch.has_last_seen = !node->online && !wall_time_is_unset (node->last_seen);
    patch.last_seen = node->last_seen;
  }
  node_patch_encode (&patch, w);
}

/* ---- the rest of the map ---- */

void
write_settings (State *state, JsonWriter *w)
{
  NetmapDns *dns = settings_dns (&state->model.settings);

  json_writer_name (w, "DNSConfig");
  netmap_dns_encode (dns, w);
  netmap_dns_unref (dns);
  json_writer_opt_string (w, "Domain", state->model.settings.domain);
  if (state->derp_map) {
    json_writer_name (w, "DERPMap");
    derp_map_encode (state->derp_map, w);
  }
}

void
write_rules (State *state, const CoNode *node, bool *told_ssh, JsonWriter *w)
{
  PolicyRules rules = policy_view_filter (state_view (state), node->index);
  JsonWriter ssh;

  json_writer_name (w, "PacketFilters");
  json_writer_begin_object (w);
  json_writer_name (w, "base");
  policy_rules_write (&rules, w);
  json_writer_end_object (w);
  json_writer_init (&ssh);
  bool has_ssh = policy_view_write_ssh (state_view (state), node->index, &ssh);
  if (has_ssh || *told_ssh) {
    json_writer_name (w, "SSHPolicy");
    if (has_ssh)
      json_writer_raw (w, ssh.data, ssh.size);
    else
      json_writer_raw (w, "{\"rules\":[]}", strlen ("{\"rules\":[]}"));
    *told_ssh = true;
  }
  json_writer_clear (&ssh);
}

void
write_profile (State *state, UserId id, JsonWriter *w)
{
  const CoUser *user = model_user (&state->model, id);
  UserProfile *profile
      = user ? user_profile_new (user->id, user->login, user->display_name, "")
             : user_profile_new (MODEL_TAGGED_USER, "tagged-devices", "Tagged Devices", "");

  user_profile_encode (profile, w);
  user_profile_unref (profile);
}
