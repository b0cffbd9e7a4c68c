/* The table of commands with which people and programs manage a network. Each answers text for a
 * person, or JSON with --json; the same words serve every way in. */

#include "coordinator/state-private.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_MAX 32

/* A command at work. */
typedef struct
{
  State *state;
  const StateEvent *event;
  const char *const *words; /* behind the command's own two words, flags taken out */
  size_t n_words;
  bool json;
  bool reusable, ephemeral;
  const char *tags, *expires, *user;
  Buffer out;
  bool failed;
} Command;

static void
fail (Command *c, const char *format, const char *what)
{
  buffer_reset (&c->out);
  buffer_append_format (&c->out, format, what);
  c->failed = true;
}

static const char *
word (const Command *c, size_t i)
{
  return i < c->n_words ? c->words[i] : "";
}

static CoNode *
named_node (Command *c, size_t i)
{
  CoNode *node = i < c->n_words ? model_find_node (&c->state->model, c->words[i]) : NULL;

  if (!node)
    fail (c, i < c->n_words ? "There is no device \"%s\"." : "Name a device.%s", word (c, i));
  return node;
}

static void
say (Command *c, const char *text)
{
  if (!c->json)
    buffer_append_text (&c->out, text);
}

static void
append_json (Command *c, JsonWriter *w)
{
  size_t size;
  char *text = json_writer_take (w, &size);

  buffer_append (&c->out, text, size);
  buffer_append_text (&c->out, "\n");
  free (text);
}

/* "a,b" or "a b"; false when a tag is not one of the policy's. */
static size_t
split_tags (Command *c, const char *text, char copy[1024], const char *tags[TAGS_MAX])
{
  size_t n = 0;
  char *rest;

  snprintf (copy, 1024, "%s", text);
  for (char *tag = strtok_r (copy, ", ", &rest); tag && n < TAGS_MAX;
       tag = strtok_r (NULL, ", ", &rest)) {
    if (!policy_tag (c->state->policy, tag)) {
      fail (c, "\"%s\" is not defined under \"tagOwners\" of the policy.", tag);
      return 0;
    }
    tags[n++] = tag;
  }
  return n;
}

/* "90d", "24h", "30m"; 0 for nonsense. */
static int64_t
parse_duration_s (const char *text)
{
  char *end;
  long long value = strtoll (text, &end, 10);

  if (value <= 0 || value > 100000 || end[0] == '\0' || end[1] != '\0')
    return 0;
  return value * (*end == 'd' ? 86400 : *end == 'h' ? 3600 : *end == 'm' ? 60 : 0);
}

/* ---- keys ---- */

static void
keys_create (Command *c)
{
  State *state = c->state;
  const CoUser *user = c->user                    ? model_user_by_login (&state->model, c->user)
                       : state->model.n_users > 0 ? state->model.users[0]
                                                  : NULL;
  const char *tags[TAGS_MAX];
  char copy[1024], text[MODEL_KEY_TEXT_MAX];
  size_t n_tags = c->tags ? split_tags (c, c->tags, copy, tags) : 0;
  int64_t life_s = c->expires ? parse_duration_s (c->expires) : 0;

  if (c->failed)
    return;
  if (!user) {
    fail (c, "There is no user \"%s\".", c->user ? c->user : "");
    return;
  }
  if (c->expires && life_s == 0) {
    fail (c, "\"%s\" is not a time like 90d, 24h or 30m.", c->expires);
    return;
  }
  CoAuthKey *key
      = model_add_key (&state->model, user->id, tags, n_tags, state->wall, state->random, text);
  key->reusable = c->reusable;
  key->ephemeral = c->ephemeral;
  if (life_s > 0)
    key->expiry = wall_time_add_us (state->wall, life_s * USEC_PER_SEC);
  state_save_key (state, key);
  buffer_append_format (&c->out, "%s\n", text);
}

static void
keys_list (Command *c)
{
  const CoModel *model = &c->state->model;
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < model->n_keys; i++) {
    const CoAuthKey *key = model->keys[i];
    const char *state = key->revoked ? "revoked" : key->used && !key->reusable ? "used" : "valid";
    json_writer_begin_object (&w);
    json_writer_name (&w, "id");
    json_writer_string (&w, key->id);
    json_writer_name (&w, "reusable");
    json_writer_bool (&w, key->reusable);
    json_writer_name (&w, "ephemeral");
    json_writer_bool (&w, key->ephemeral);
    json_writer_name (&w, "state");
    json_writer_string (&w, state);
    json_writer_opt_time (&w, "expires", key->expiry);
    json_writer_end_object (&w);
    if (!c->json)
      buffer_append_format (&c->out, "%s  %-9s %-9s %s\n", key->id,
                            key->reusable ? "reusable" : "one-shot",
                            key->ephemeral ? "ephemeral" : "", state);
  }
  json_writer_end_array (&w);
  if (c->json)
    append_json (c, &w);
  json_writer_clear (&w);
}

static void
keys_revoke (Command *c)
{
  CoAuthKey *key = model_key (&c->state->model, word (c, 0));

  if (!key) {
    fail (c, "There is no key \"%s\".", word (c, 0));
    return;
  }
  key->revoked = true;
  state_save_key (c->state, key);
  say (c, "Revoked. Devices that joined by it stay.\n");
}

/* ---- nodes ---- */

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
write_node (Command *c, const CoNode *node, JsonWriter *w)
{
  const CoUser *user = model_user (&c->state->model, node->user);

  json_writer_begin_object (w);
  json_writer_name (w, "id");
  json_writer_i64 (w, node->id);
  json_writer_name (w, "name");
  json_writer_string (w, node->name);
  json_writer_name (w, "user");
  json_writer_string (w, user ? user->login : "");
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
  write_prefixes (w, "advertisedRoutes", node->hostinfo.routable_ips,
                  node->hostinfo.n_routable_ips);
  write_prefixes (w, "approvedRoutes", node->approved_routes, node->n_approved_routes);
  json_writer_name (w, "online");
  json_writer_bool (w, node->online);
  json_writer_name (w, "approved");
  json_writer_bool (w, node->approved);
  json_writer_name (w, "expired");
  json_writer_bool (w, state_node_expired (c->state, node));
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
    const char *hostname = pending->hostinfo.hostname ? pending->hostinfo.hostname : "";
    char label[MODEL_LABEL_MAX + 1];
    model_label (hostname, label);
    json_writer_begin_object (w);
    json_writer_name (w, "name");
    json_writer_string (w, label);
    json_writer_name (w, "pending");
    json_writer_string (w, pending->id);
    json_writer_name (w, "approved");
    json_writer_bool (w, false);
    json_writer_end_object (w);
    if (!c->json)
      buffer_append_format (&c->out, "%-16s %-24s waits for approval\n", "-", label);
  }
}

static void
nodes_list (Command *c)
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
    if (!c->json)
      buffer_append_format (&c->out, "%-16s %-24s %s\n", address, node->name,
                            state_node_expired (c->state, node) ? "expired"
                            : node->online                      ? "online"
                                                                : "offline");
  }
  list_pending (c, &w);
  json_writer_end_array (&w);
  if (c->json)
    append_json (c, &w);
  json_writer_clear (&w);
}

/* NAME is a waiting device's name or the id in its sign-in link. */
static void
nodes_approve (Command *c)
{
  State *state = c->state;
  const CoUser *user = c->user                    ? model_user_by_login (&state->model, c->user)
                       : state->model.n_users > 0 ? state->model.users[0]
                                                  : NULL;

  for (size_t i = 0; user && i < state->n_pending; i++) {
    const Pending *pending = state->pending[i];
    char label[MODEL_LABEL_MAX + 1];
    model_label (pending->hostinfo.hostname, label);
    if (strcmp (pending->id, word (c, 0)) != 0 && strcmp (label, word (c, 0)) != 0)
      continue;
    if (state_approve_pending (state, pending->id, user))
      say (c, "Approved.\n");
    else
      fail (c, "No address is left in this network.%s", "");
    return;
  }
  CoNode *node = named_node (c, 0);
  if (!node)
    return;
  if (!node->approved) {
    node->approved = true;
    state_save_node (state, node);
    state_changed (state, node, true);
  }
  say (c, "Approved.\n");
}

static void
nodes_rename (Command *c)
{
  CoNode *node = named_node (c, 0);
  char label[MODEL_LABEL_MAX + 1];

  if (!node)
    return;
  model_label (word (c, 1), label);
  if (c->n_words < 2 || strcmp (label, word (c, 1)) != 0) {
    fail (c, "\"%s\" is not a name of letters, digits and hyphens.", word (c, 1));
    return;
  }
  model_name_node (&c->state->model, node, label);
  node->renamed = true;
  state_save_node (c->state, node);
  state_changed (c->state, node, true);
  say (c, "Renamed.\n");
}

static void
nodes_expire (Command *c)
{
  CoNode *node = named_node (c, 0);

  if (!node)
    return;
  node->expiry = c->state->wall;
  state_save_node (c->state, node);
  state_changed (c->state, node, true);
  StateAction *action = state_push (c->state, STATE_ACTION_ADMIT, 0);
  action->admit.key = node->key;
  say (c, "Expired. The device must sign in again.\n");
}

static void
nodes_remove (Command *c)
{
  CoNode *node = named_node (c, 0);

  if (!node)
    return;
  state_remove_node (c->state, node);
  say (c, "Removed.\n");
}

static void
nodes_tag (Command *c)
{
  CoNode *node = named_node (c, 0);
  const char *tags[TAGS_MAX];
  char copy[1024];

  if (!node)
    return;
  size_t n = split_tags (c, word (c, 1), copy, tags);
  if (c->failed)
    return;
  co_node_set_tags (node, tags, n);
  if (n > 0) {
    node->user = 0;
    node->expiry = wall_time_unset ();
  } else if (node->user == 0 && c->state->model.n_users > 0) {
    node->user = c->state->model.users[0]->id;
  }
  state_save_node (c->state, node);
  state_changed (c->state, node, true);
  say (c, "Tagged.\n");
}

/* ---- routes ---- */

static void
routes_approve (Command *c)
{
  CoNode *node = named_node (c, 0);
  size_t n = 0, room = 0;
  IpPrefix *routes = NULL;

  if (!node)
    return;
  for (size_t i = 1; i < c->n_words; i++) {
    IpPrefix prefix;
    if (!ip_prefix_parse (c->words[i], strlen (c->words[i]), &prefix)) {
      fail (c, "\"%s\" is not a prefix like 192.168.1.0/24.", c->words[i]);
      free (routes);
      return;
    }
    routes = mem_grow (routes, n, &room, sizeof *routes);
    routes[n++] = ip_prefix_mask (prefix);
  }
  free (node->approved_routes);
  node->approved_routes = routes;
  node->n_approved_routes = n;
  state_save_node (c->state, node);
  state_changed (c->state, node, true);
  say (c, n > 0 ? "Approved.\n" : "No route of this device is approved any more.\n");
}

/* ---- users, policy, DNS, status ---- */

static void
users_list (Command *c)
{
  const CoModel *model = &c->state->model;
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < model->n_users; i++) {
    json_writer_begin_object (&w);
    json_writer_name (&w, "id");
    json_writer_i64 (&w, model->users[i]->id);
    json_writer_name (&w, "login");
    json_writer_string (&w, model->users[i]->login);
    json_writer_end_object (&w);
    if (!c->json)
      buffer_append_format (&c->out, "%s\n", model->users[i]->login);
  }
  json_writer_end_array (&w);
  if (c->json)
    append_json (c, &w);
  json_writer_clear (&w);
}

static void
users_create (Command *c)
{
  State *state = c->state;

  if (c->n_words < 1 || model_user_by_login (&state->model, word (c, 0))) {
    fail (c, c->n_words < 1 ? "Name the new user.%s" : "There is a user \"%s\" already.",
          word (c, 0));
    return;
  }
  state_save_user (state, model_add_user (&state->model, word (c, 0), word (c, 0), ROLE_MEMBER,
                                          state->wall));
  say (c, "Created.\n");
}

static void
append_issues (Command *c, const PolicyIssues *issues)
{
  for (size_t i = 0; i < issues->n; i++) {
    const PolicyIssue *issue = &issues->list[i];
    buffer_append_format (&c->out, "%u:%u: %s%s%s%s\n", issue->line, issue->column,
                          issue->warning ? "warning: " : "", issue->path,
                          issue->path[0] ? ": " : "", issue->text);
  }
}

bool
state_set_policy (State *state, const char *text, PolicyIssues *issues)
{
  Policy *policy = policy_parse (text, strlen (text), issues);
  Policy *old = state->policy;

  if (!policy)
    return false;
  state->policy = policy;
  state_view_changed (state);
  if (!policy_view_run_tests (state_view (state), issues)) {
    state->policy = old;
    state_view_changed (state);
    policy_free (policy);
    return false;
  }
  policy_free (old);
  free (state->model.policy_text);
  state->model.policy_text = mem_strndup (text, strlen (text));
  state_save_policy (state);
  /* What nodes are told of themselves (attributes) may differ too. */
  for (size_t i = 0; i < state->model.n_nodes; i++)
    state->model.nodes[i]->version++;
  return true;
}

static void
policy_set (Command *c)
{
  PolicyIssues issues;

  policy_issues_init (&issues);
  c->failed = !state_set_policy (c->state, c->event->command.input ? c->event->command.input : "",
                                 &issues);
  append_issues (c, &issues);
  policy_issues_clear (&issues);
  if (!c->failed)
    say (c, "The policy is in force.\n");
}

static void
policy_get (Command *c)
{
  buffer_append_text (&c->out, c->state->model.policy_text ? c->state->model.policy_text : "{}\n");
}

static void
dns_set (Command *c)
{
  CoSettings *settings = &c->state->model.settings;

  for (size_t i = 0; i < settings->n_nameservers; i++)
    free (settings->nameservers[i]);
  free (settings->nameservers);
  settings->nameservers = mem_new ((c->n_words + 1) * sizeof *settings->nameservers);
  settings->n_nameservers = 0;
  for (size_t i = 0; i < c->n_words; i++) {
    IpAddr addr;
    if (!ip_parse (c->words[i], strlen (c->words[i]), &addr)) {
      fail (c, "\"%s\" is not the address of a name server.", c->words[i]);
      return;
    }
    settings->nameservers[settings->n_nameservers++]
        = mem_strndup (c->words[i], strlen (c->words[i]));
  }
  c->state->settings++;
  c->state->flush_us = c->state->now_us;
  state_save_settings (c->state);
  say (c, "Set.\n");
}

static void
show_status (Command *c)
{
  const CoModel *model = &c->state->model;
  size_t online = 0;

  for (size_t i = 0; i < model->n_nodes; i++)
    online += model->nodes[i]->online;
  if (c->json)
    buffer_append_format (&c->out,
                          "{\"url\":\"%s\",\"domain\":\"%s\",\"nodes\":%zu,\"online\":%zu,"
                          "\"pending\":%zu}\n",
                          c->state->url, model->settings.domain, model->n_nodes, online,
                          c->state->n_pending);
  else
    buffer_append_format (&c->out, "%s  %s\n%zu devices, %zu online, %zu waiting for approval\n",
                          c->state->url, model->settings.domain, model->n_nodes, online,
                          c->state->n_pending);
}

static const struct
{
  const char *noun, *verb;
  void (*run) (Command *c);
} table[] = {
    {"keys", "create", keys_create},
    {"keys", "list", keys_list},
    {"keys", "revoke", keys_revoke},
    {"nodes", "list", nodes_list},
    {"nodes", "approve", nodes_approve},
    {"nodes", "rename", nodes_rename},
    {"nodes", "expire", nodes_expire},
    {"nodes", "remove", nodes_remove},
    {"nodes", "tag", nodes_tag},
    {"routes", "approve", routes_approve},
    {"users", "list", users_list},
    {"users", "create", users_create},
    {"policy", "get", policy_get},
    {"policy", "set", policy_set},
    {"dns", "set", dns_set},
    {"status", "", show_status},
};

/* Takes a flag into C; false when it is not one. */
static bool
take_flag (Command *c, const char *text)
{
  static const char tags[] = "--tags=", expires[] = "--expires=", user[] = "--user=";

  if (strcmp (text, "--json") == 0)
    c->json = true;
  else if (strcmp (text, "--reusable") == 0)
    c->reusable = true;
  else if (strcmp (text, "--ephemeral") == 0)
    c->ephemeral = true;
  else if (strncmp (text, tags, sizeof tags - 1) == 0)
    c->tags = text + sizeof tags - 1;
  else if (strncmp (text, expires, sizeof expires - 1) == 0)
    c->expires = text + sizeof expires - 1;
  else if (strncmp (text, user, sizeof user - 1) == 0)
    c->user = text + sizeof user - 1;
  else
    return false;
  return true;
}

static void
run (Command *c, size_t n, const char *const *words)
{
  const char *noun = n > 0 ? words[0] : "", *verb = n > 1 ? words[1] : "";

  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    bool single = table[i].verb[0] == '\0';
    if (strcmp (noun, table[i].noun) != 0 || (!single && strcmp (verb, table[i].verb) != 0))
      continue;
    size_t skip = single ? 1 : 2;
    c->words = words + skip;
    c->n_words = n - skip;
    table[i].run (c);
    return;
  }
  fail (c, "There is no command \"%s\".", noun);
}

void
state_command (State *state, const StateEvent *event)
{
  Command c = {.state = state, .event = event};
  const char **words = mem_new ((event->command.n_words + 1) * sizeof *words);
  size_t n = 0;

  for (size_t i = 0; i < event->command.n_words && !c.failed; i++) {
    const char *text = event->command.words[i];
    if (strncmp (text, "--", 2) != 0)
      words[n++] = text;
    else if (!take_flag (&c, text))
      fail (&c, "There is no option \"%s\".", text);
  }
  if (!c.failed)
    run (&c, n, words);
  if (c.failed && c.out.size > 0 && c.out.data[c.out.size - 1] != '\n')
    buffer_append_text (&c.out, "\n");
  StateAction *action = state_push (state, STATE_ACTION_REPLY, event->request);
  action->reply.status = c.failed;
  action->reply.body = mem_strndup ((const char *)c.out.data, c.out.size);
  action->reply.size = c.out.size;
  buffer_free (&c.out);
  free (words);
}
