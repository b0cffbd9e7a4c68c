/* Commands on devices and the routes that they offer. */

#include "coordinator/command.h"
#include "coordinator/pending.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists ---- */

static void
write_prefixes (JsonWriter *w, const char *name, const IpPrefix *prefixes, size_t n)
{
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < n; i++)
    json_writer_prefix (w, &prefixes[i]);
  json_writer_end_array (w);
}

static void
write_string (JsonWriter *w, const char *name, const char *value)
{
  json_writer_name (w, name);
  json_writer_string (w, value ? value : "");
}

static void
write_bool (JsonWriter *w, const char *name, bool value)
{
  json_writer_name (w, name);
  json_writer_bool (w, value);
}

static void
write_node (Command *c, const CoNode *node, JsonWriter *w)
{
  const CoUser *user = model_user (&c->state->model, node->user);
  const Hostinfo *hostinfo = &node->hostinfo;

  json_writer_begin_object (w);
  json_writer_name (w, "id");
  json_writer_i64 (w, node->id);
  write_string (w, "name", node->name);
  write_string (w, "hostname", hostinfo->hostname);
  write_string (w, "os", hostinfo->os);
  json_writer_opt_string (w, "version", hostinfo->ipn_version);
  write_string (w, "user", user ? user->login : "");
  json_writer_name (w, "tags");
  json_writer_begin_array (w);
  for (size_t i = 0; i < node->n_tags; i++)
    json_writer_string (w, node->tags[i]);
  json_writer_end_array (w);
  json_writer_name (w, "addresses");
  json_writer_begin_array (w);
  json_writer_addr (w, &node->addr4);
  json_writer_addr (w, &node->addr6);
  json_writer_end_array (w);
  write_prefixes (w, "advertisedRoutes", hostinfo->routable_ips, hostinfo->n_routable_ips);
  write_prefixes (w, "approvedRoutes", node->approved_routes, node->n_approved_routes);
  write_bool (w, "online", node->online);
  write_bool (w, "approved", node->approved);
  write_bool (w, "expired", state_node_expired (c->state, node));
  json_writer_opt_bool (w, "ephemeral", node->ephemeral);
  json_writer_opt_time (w, "created", node->created);
  json_writer_opt_time (w, "keyExpiry", node->expiry);
  json_writer_opt_time (w, "lastSeen", node->last_seen);
  json_writer_name (w, "nodeKey");
  json_writer_key (w, KEY_NODE_PUBLIC, node->key.bytes);
  json_writer_end_object (w);
}

static void
list_pending (Command *c, JsonWriter *w)
{
  for (size_t i = 0; i < c->state->n_pending; i++) {
    const Pending *pending = c->state->pending[i];
    if (pending->outcome != PENDING_WAITS)
      continue;
    int64_t age_us = PENDING_LIFE_US - (pending->until_us - c->state->now_us);
    char label[MODEL_LABEL_MAX + 1];
    model_label (pending->hostinfo.hostname, label);
    json_writer_begin_object (w);
    write_string (w, "name", label);
    write_string (w, "pending", pending->id);
    write_string (w, "hostname", pending->hostinfo.hostname);
    write_string (w, "os", pending->hostinfo.os);
    write_bool (w, "approved", false);
    json_writer_opt_time (w, "since", wall_time_add_us (c->state->wall, -age_us));
    json_writer_name (w, "nodeKey");
    json_writer_key (w, KEY_NODE_PUBLIC, pending->key.bytes);
    json_writer_end_object (w);
    command_say (c, "%-16s %-24s waits for approval\n", "-", label);
  }
}

void
command_nodes_list (Command *c)
{
  const CoModel *model = &c->state->model;
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < model->n_nodes; i++) {
    const CoNode *node = model->nodes[i];
    char address[IP_TEXT_MAX];
    write_node (c, node, &w);
    ip_format (&node->addr4, address);
    command_say (c, "%-16s %-24s %s\n", address, node->name,
                 state_node_expired (c->state, node) ? "expired"
                 : !node->approved                   ? "waits for approval"
                 : node->online                      ? "online"
                                                     : "offline");
  }
  list_pending (c, &w);
  json_writer_end_array (&w);
  command_json (c, &w);
}

/* ---- changes ---- */

static void
changed (Command *c, CoNode *node, const char *sentence)
{
  state_save_node (c->state, node);
  state_changed (c->state, node, true);
  command_done (c, sentence);
}

/* The waiting device with this id in its sign-in link, or with this name: its newest request. Names
 * are what strangers say of themselves, so two machines of one name are told apart by their ids;
 * *AMBIGUOUS then. */
static Pending *
named_pending (Command *c, const char *name, bool *ambiguous)
{
  Pending *found = NULL;

  *ambiguous = false;
  for (size_t i = 0; i < c->state->n_pending; i++) {
    Pending *pending = c->state->pending[i];
    char label[MODEL_LABEL_MAX + 1];
    model_label (pending->hostinfo.hostname, label);
    if (pending->outcome != PENDING_WAITS)
      continue;
    if (strcmp (pending->id, name) == 0) {
      *ambiguous = false;
      return pending;
    }
    if (strcmp (label, name) != 0)
      continue;
    *ambiguous
        |= found && memcmp (found->machine.bytes, pending->machine.bytes, sizeof found->machine);
    found = pending;
  }
  return *ambiguous ? NULL : found;
}

static void
fail_ambiguous (Command *c)
{
  command_fail (c,
                "Several devices that wait call themselves \"%s\"; name the one you mean by the id "
                "in its sign-in link.",
                command_word (c, 0));
}

void
command_nodes_approve (Command *c)
{
  const CoUser *user = command_user (c);

  if (!user)
    return;
  if (c->n_words == 0) {
    command_users_code (c);
    return;
  }
  bool ambiguous;
  Pending *pending = named_pending (c, command_word (c, 0), &ambiguous);
  if (ambiguous) {
    fail_ambiguous (c);
    return;
  }
  if (pending) {
    const char *error = pending_approve (c->state, pending, user);
    if (error)
      command_fail (c, "The device cannot be let in: %s.", error);
    else
      command_done (c, "Approved.");
    return;
  }
  CoNode *node = command_node (c, 0);
  if (!node)
    return;
  node->approved = true;
  changed (c, node, "Approved.");
}

void
command_nodes_deny (Command *c)
{
  bool ambiguous;
  Pending *pending = named_pending (c, command_word (c, 0), &ambiguous);

  if (ambiguous) {
    fail_ambiguous (c);
    return;
  }
  if (!pending) {
    command_fail (c, "No device \"%s\" waits to be let in.", command_word (c, 0));
    return;
  }
  pending_deny (c->state, pending);
  command_done (c, "Refused.");
}

void
command_nodes_rename (Command *c)
{
  CoNode *node = command_node (c, 0);
  char label[MODEL_LABEL_MAX + 1];

  if (!node)
    return;
  model_label (command_word (c, 1), label);
  if (strcmp (label, command_word (c, 1)) != 0) {
    command_fail (c, "\"%s\" is not a name of small letters, digits and hyphens.",
                  command_word (c, 1));
    return;
  }
  const CoNode *other = model_find_node (&c->state->model, label);
  if (other && other != node && strcmp (other->name, label) == 0) {
    command_fail (c, "There is a device \"%s\" already.", label);
    return;
  }
  model_name_node (&c->state->model, node, label);
  node->renamed = true;
  changed (c, node, "Renamed.");
}

void
command_nodes_tag (Command *c)
{
  CoNode *node = command_node (c, 0);
  const char *tags[COMMAND_TAGS_MAX];
  char copy[1024];

  if (!node)
    return;
  size_t n = command_tags (c, command_word (c, 1), copy, tags);
  if (c->code != 0)
    return;
  co_node_set_tags (node, tags, n);
  if (n > 0) {
    node->user = 0;
    node->expiry = wall_time_unset ();
  } else if (node->user == 0 && c->state->model.n_users > 0) {
    node->user = c->state->model.users[0]->id;
  }
  changed (c, node, n > 0 ? "Tagged." : "It has no tags any more.");
}

void
command_nodes_move (Command *c)
{
  CoNode *node = command_node (c, 0);
  const CoUser *user = node ? model_user_by_login (&c->state->model, command_word (c, 1)) : NULL;

  if (!node)
    return;
  if (!user) {
    command_fail (c, "There is no user \"%s\".", command_word (c, 1));
    return;
  }
  co_node_set_tags (node, NULL, 0);
  node->user = user->id;
  changed (c, node, "Moved.");
}

void
command_nodes_expire (Command *c)
{
  CoNode *node = command_node (c, 0);
  const char *in = command_option (c, "in");
  int64_t life_s = node && in ? command_duration_s (c, in) : 0;

  if (!node || c->code != 0)
    return;
  bool now = !in && !command_option (c, "never");
  node->expiry = command_option (c, "never")
                     ? wall_time_unset ()
                     : wall_time_add_us (c->state->wall, life_s * USEC_PER_SEC);
  StateAction *action = state_push (c->state, STATE_ACTION_ADMIT, 0);
  action->admit.key = node->key;
  action->admit.allowed = !now;
  changed (c, node, now ? "Expired. The device must sign in again." : "Set.");
}

void
command_nodes_remove (Command *c)
{
  CoNode *node = command_node (c, 0);

  if (!node)
    return;
  state_remove_node (c->state, node);
  command_done (c, "Removed.");
}

/* ---- routes ---- */

static bool
is_among (const IpPrefix *prefix, const IpPrefix *list, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (ip_prefix_equal (prefix, &list[i]))
      return true;
  return false;
}

static void
list_route (Command *c, const CoNode *node, const IpPrefix *prefix, bool advertised, JsonWriter *w)
{
  bool approved = is_among (prefix, node->approved_routes, node->n_approved_routes);
  char text[IP_PREFIX_TEXT_MAX];

  json_writer_begin_object (w);
  write_string (w, "node", node->name);
  json_writer_name (w, "prefix");
  json_writer_prefix (w, prefix);
  write_bool (w, "advertised", advertised);
  write_bool (w, "approved", approved);
  json_writer_end_object (w);
  ip_prefix_format (prefix, text);
  command_say (c, "%-24s %-24s %s\n", node->name, text,
               !advertised ? "approved, not offered"
               : approved  ? "approved"
                           : "waits for approval");
}

void
command_routes_list (Command *c)
{
  const CoModel *model = &c->state->model;
  const CoNode *only = c->n_words > 0 ? command_node (c, 0) : NULL;
  JsonWriter w;

  if (c->code != 0)
    return;
  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < model->n_nodes; i++) {
    const CoNode *node = model->nodes[i];
    const Hostinfo *hostinfo = &node->hostinfo;
    if (only && node != only)
      continue;
    for (size_t j = 0; j < hostinfo->n_routable_ips; j++)
      list_route (c, node, &hostinfo->routable_ips[j], true, &w);
    for (size_t j = 0; j < node->n_approved_routes; j++)
      if (!is_among (&node->approved_routes[j], hostinfo->routable_ips, hostinfo->n_routable_ips))
        list_route (c, node, &node->approved_routes[j], false, &w);
  }
  json_writer_end_array (&w);
  command_json (c, &w);
}

static IpPrefix *
read_routes (Command *c, size_t *n)
{
  IpPrefix *routes = NULL;
  size_t room = 0;

  for (size_t i = 1; i < c->n_words; i++) {
    IpPrefix prefix;
    if (!ip_prefix_parse (c->words[i], strlen (c->words[i]), &prefix)) {
      command_fail (c, "\"%s\" is not a prefix like 192.168.1.0/24.", c->words[i]);
      break;
    }
    routes = mem_grow (routes, *n, &room, sizeof *routes);
    routes[(*n)++] = ip_prefix_mask (prefix);
  }
  return routes;
}

void
command_routes_approve (Command *c)
{
  CoNode *node = command_node (c, 0);
  size_t n = 0;

  if (!node)
    return;
  IpPrefix *routes = read_routes (c, &n);
  if (c->code == 0 && command_option (c, "all")) {
    free (routes);
    n = node->hostinfo.n_routable_ips;
    routes = mem_dup (node->hostinfo.routable_ips, n * sizeof *routes);
  }
  if (c->code != 0) {
    free (routes);
    return;
  }
  free (node->approved_routes);
  node->approved_routes = routes;
  node->n_approved_routes = n;
  changed (c, node, n > 0 ? "Approved." : "No route of this device is approved any more.");
}
