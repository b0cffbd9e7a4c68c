/* What the coordinator keeps, one JSON document a record (DESIGN, the coordinator). */

#include "coordinator/state-private.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
push_record (State *state, const char *table, const char *name, JsonWriter *w)
{
  StateAction *action = state_push (state, STATE_ACTION_RECORD, 0);

  action->record.table = table;
  action->record.name = mem_strndup (name, strlen (name));
  action->record.value = w ? json_writer_take (w, NULL) : NULL;
}

static void
write_strings (JsonWriter *w, const char *name, char *const *strings, size_t n)
{
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < n; i++)
    json_writer_string (w, strings[i]);
  json_writer_end_array (w);
}

static void
write_i64 (JsonWriter *w, const char *name, int64_t value)
{
  json_writer_name (w, name);
  json_writer_i64 (w, value);
}

static void
write_bool (JsonWriter *w, const char *name, bool value)
{
  json_writer_name (w, name);
  json_writer_bool (w, value);
}

static void
write_string (JsonWriter *w, const char *name, const char *value)
{
  json_writer_name (w, name);
  json_writer_string (w, value);
}

static void
write_time (JsonWriter *w, const char *name, WallTime value)
{
  json_writer_name (w, name);
  json_writer_time (w, value);
}

static void
node_name (const CoNode *node, char out[24])
{
  snprintf (out, 24, "%lld", (long long)node->id);
}

void
state_save_node (State *state, const CoNode *node)
{
  char name[24];
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  write_i64 (&w, "id", node->id);
  write_string (&w, "stableId", node->stable_id);
  write_string (&w, "name", node->name);
  write_bool (&w, "renamed", node->renamed);
  write_i64 (&w, "user", node->user);
  write_strings (&w, "tags", node->tags, node->n_tags);
  json_writer_name (&w, "machine");
  json_writer_key (&w, KEY_MACHINE_PUBLIC, node->machine.bytes);
  json_writer_name (&w, "key");
  json_writer_key (&w, KEY_NODE_PUBLIC, node->key.bytes);
  json_writer_name (&w, "disco");
  json_writer_key (&w, KEY_DISCO_PUBLIC, node->disco_key.bytes);
  json_writer_name (&w, "endpoints");
  json_writer_begin_array (&w);
  for (size_t i = 0; i < node->n_endpoints; i++)
    json_writer_addr_port (&w, &node->endpoints[i]);
  json_writer_end_array (&w);
  json_writer_name (&w, "addr4");
  json_writer_addr (&w, &node->addr4);
  json_writer_name (&w, "addr6");
  json_writer_addr (&w, &node->addr6);
  write_time (&w, "created", node->created);
  write_time (&w, "expiry", node->expiry);
  write_time (&w, "lastSeen", node->last_seen);
  write_bool (&w, "ephemeral", node->ephemeral);
  write_bool (&w, "approved", node->approved);
  write_i64 (&w, "capability", node->capability_version);
  json_writer_name (&w, "routes");
  json_writer_begin_array (&w);
  for (size_t i = 0; i < node->n_approved_routes; i++)
    json_writer_prefix (&w, &node->approved_routes[i]);
  json_writer_end_array (&w);
  json_writer_name (&w, "hostinfo");
  hostinfo_encode (&node->hostinfo, &w);
  json_writer_end_object (&w);
  node_name (node, name);
  push_record (state, "node", name, &w);
  json_writer_clear (&w);
}

void
state_delete_node_record (State *state, const CoNode *node)
{
  char name[24];

  node_name (node, name);
  push_record (state, "node", name, NULL);
}

const char *
state_role_name (PolicyRole role)
{
  static const char *const roles[]
      = {"member", "owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor"};

  return roles[role];
}

void
state_save_user (State *state, const CoUser *user)
{
  char name[24], code[65];
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  write_i64 (&w, "id", user->id);
  write_string (&w, "login", user->login);
  write_string (&w, "displayName", user->display_name);
  write_string (&w, "role", state_role_name (user->role));
  write_time (&w, "created", user->created);
  json_writer_opt_string (&w, "password", user->password);
  json_writer_opt_string (&w, "subject", user->subject);
  if (!wall_time_is_unset (user->code_until)) {
    hex_encode (user->code_hash, sizeof user->code_hash, code);
    write_string (&w, "code", code);
    write_time (&w, "codeUntil", user->code_until);
  }
  json_writer_end_object (&w);
  snprintf (name, sizeof name, "%lld", (long long)user->id);
  push_record (state, "user", name, &w);
  json_writer_clear (&w);
}

void
state_remove_user (State *state, CoUser *user)
{
  CoModel *model = &state->model;
  char name[24];

  for (size_t i = 0; i < model->n_keys; i++)
    if (model->keys[i]->user == user->id && !model->keys[i]->revoked) {
      model->keys[i]->revoked = true;
      state_save_key (state, model->keys[i]);
    }
  sign_in_forget_user (state, user->id);
  snprintf (name, sizeof name, "%lld", (long long)user->id);
  push_record (state, "user", name, NULL);
  model_remove_user (model, user);
  state_save_settings (state); /* ids are never given twice */
  state_view_changed (state);
}

void
state_save_key (State *state, const CoAuthKey *key)
{
  char hash[65];
  JsonWriter w;

  hex_encode (key->hash, sizeof key->hash, hash);
  json_writer_init (&w);
  json_writer_begin_object (&w);
  write_string (&w, "id", key->id);
  write_string (&w, "hash", hash);
  write_i64 (&w, "user", key->user);
  write_strings (&w, "tags", key->tags, key->n_tags);
  write_bool (&w, "reusable", key->reusable);
  write_bool (&w, "ephemeral", key->ephemeral);
  write_bool (&w, "used", key->used);
  write_bool (&w, "revoked", key->revoked);
  write_time (&w, "created", key->created);
  write_time (&w, "expiry", key->expiry);
  json_writer_end_object (&w);
  push_record (state, "key", key->id, &w);
  json_writer_clear (&w);
}

void
state_save_settings (State *state)
{
  const CoSettings *settings = &state->model.settings;
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  settings_write (settings, &w);
  write_i64 (&w, "nextNode", state->model.next_node);
  write_i64 (&w, "nextUser", state->model.next_user);
  json_writer_end_object (&w);
  push_record (state, "setting", "network", &w);
  json_writer_clear (&w);
}

void
state_save_policy (State *state)
{
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  write_string (&w, "text", state->model.policy_text);
  json_writer_end_object (&w);
  push_record (state, "setting", "policy", &w);
  json_writer_clear (&w);
}

/* ---- reading ---- */

static char *
read_text (JsonReader *r)
{
  JsonString s = json_reader_string (r);

  return mem_strndup (s.text ? s.text : "", s.length);
}

static void
read_into (JsonReader *r, char *out, size_t size)
{
  JsonString s = json_reader_string (r);

  snprintf (out, size, "%.*s", (int)s.length, s.text ? s.text : "");
}

static char **
read_texts (JsonReader *r, size_t *n)
{
  char **texts = NULL;
  size_t room = 0;

  *n = 0;
  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    texts = mem_grow (texts, *n, &room, sizeof *texts);
    texts[(*n)++] = read_text (r);
  }
  return texts;
}

static void
read_addr (JsonReader *r, IpAddr *out)
{
  JsonString s = json_reader_string (r);

  if (!ip_parse (s.text, s.length, out))
    json_reader_fail (r, "an address is wrong");
}

static void
read_endpoints (JsonReader *r, CoNode *node)
{
  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    JsonString s = json_reader_string (r);
    IpPort endpoint;
    if (node->n_endpoints < MODEL_ENDPOINTS_MAX && ip_port_parse (s.text, s.length, &endpoint))
      node->endpoints[node->n_endpoints++] = endpoint;
  }
}

static void
read_routes (JsonReader *r, CoNode *node)
{
  size_t room = 0;

  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    JsonString s = json_reader_string (r);
    IpPrefix prefix;
    if (!ip_prefix_parse (s.text, s.length, &prefix)) {
      json_reader_fail (r, "a route is wrong");
      return;
    }
    node->approved_routes = mem_grow (node->approved_routes, node->n_approved_routes, &room,
                                      sizeof *node->approved_routes);
    node->approved_routes[node->n_approved_routes++] = prefix;
  }
}

static void
load_node (CoModel *model, JsonReader *r)
{
  CoNode *node = co_node_new ();
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (json_string_equal (name, "id"))
      node->id = json_reader_i64 (r);
    else if (json_string_equal (name, "stableId"))
      read_into (r, node->stable_id, sizeof node->stable_id);
    else if (json_string_equal (name, "name"))
      read_into (r, node->name, sizeof node->name);
    else if (json_string_equal (name, "renamed"))
      node->renamed = json_reader_bool (r);
    else if (json_string_equal (name, "user"))
      node->user = json_reader_i64 (r);
    else if (json_string_equal (name, "tags") && !node->tags)
      node->tags = read_texts (r, &node->n_tags);
    else if (json_string_equal (name, "machine"))
      json_reader_key (r, KEY_MACHINE_PUBLIC, node->machine.bytes);
    else if (json_string_equal (name, "key"))
      json_reader_key (r, KEY_NODE_PUBLIC, node->key.bytes);
    else if (json_string_equal (name, "disco"))
      json_reader_key (r, KEY_DISCO_PUBLIC, node->disco_key.bytes);
    else if (json_string_equal (name, "endpoints"))
      read_endpoints (r, node);
    else if (json_string_equal (name, "addr4"))
      read_addr (r, &node->addr4);
    else if (json_string_equal (name, "addr6"))
      read_addr (r, &node->addr6);
    else if (json_string_equal (name, "created"))
      json_reader_time (r, &node->created);
    else if (json_string_equal (name, "expiry"))
      json_reader_time (r, &node->expiry);
    else if (json_string_equal (name, "lastSeen"))
      json_reader_time (r, &node->last_seen);
    else if (json_string_equal (name, "ephemeral"))
      node->ephemeral = json_reader_bool (r);
    else if (json_string_equal (name, "approved"))
      node->approved = json_reader_bool (r);
    else if (json_string_equal (name, "capability"))
      node->capability_version = (int32_t)json_reader_i64 (r);
    else if (json_string_equal (name, "routes"))
      read_routes (r, node);
    else if (json_string_equal (name, "hostinfo"))
      hostinfo_decode (r, &node->arena, &node->hostinfo);
    else
      json_reader_skip (r);
  }

  if (node->id <= 0 || !node->name[0] || node->addr4.family != 4 || node->addr6.family != 6)
    json_reader_fail (r, "a node lacks its number, name or address");
  if (json_reader_ok (r))
    model_insert_node (model, node);
  else
    co_node_free (node);
}

/* A user as it was written; its texts are moved to the model's. */
static void
read_user (JsonReader *r, CoUser *user)
{
  char text[80];
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (json_string_equal (name, "id"))
      user->id = json_reader_i64 (r);
    else if (json_string_equal (name, "login") && !user->login)
      user->login = read_text (r);
    else if (json_string_equal (name, "displayName") && !user->display_name)
      user->display_name = read_text (r);
    else if (json_string_equal (name, "role")) {
      read_into (r, text, sizeof text);
      policy_role_parse (text, &user->role);
    } else if (json_string_equal (name, "created"))
      json_reader_time (r, &user->created);
    else if (json_string_equal (name, "password") && !user->password)
      user->password = read_text (r);
    else if (json_string_equal (name, "subject") && !user->subject)
      user->subject = read_text (r);
    else if (json_string_equal (name, "code")) {
      read_into (r, text, sizeof text);
      if (!hex_decode (text, strlen (text), user->code_hash, sizeof user->code_hash))
        json_reader_fail (r, "a code's hash is wrong");
    } else if (json_string_equal (name, "codeUntil"))
      json_reader_time (r, &user->code_until);
    else
      json_reader_skip (r);
  }
}

static void
load_user (CoModel *model, JsonReader *r)
{
  CoUser read = {.created = wall_time_unset (), .code_until = wall_time_unset ()};

  read_user (r, &read);
  if (json_reader_ok (r) && read.id > 0) {
    UserId next = model->next_user;
    model->next_user = read.id;
    CoUser *user
        = model_add_user (model, read.login ? read.login : "",
                          read.display_name ? read.display_name : "", read.role, read.created);
    user->password = read.password;
    user->subject = read.subject;
    memcpy (user->code_hash, read.code_hash, sizeof user->code_hash);
    user->code_until = read.code_until;
    model->next_user = next > read.id ? next : read.id + 1;
  } else {
    free (read.password);
    free (read.subject);
  }
  free (read.login);
  free (read.display_name);
}

static void
load_key (CoModel *model, JsonReader *r)
{
  CoAuthKey *key = mem_new (sizeof *key);
  char hash[80] = "";
  JsonString name;

  key->created = key->expiry = wall_time_unset ();
  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (json_string_equal (name, "id"))
      read_into (r, key->id, sizeof key->id);
    else if (json_string_equal (name, "hash"))
      read_into (r, hash, sizeof hash);
    else if (json_string_equal (name, "user"))
      key->user = json_reader_i64 (r);
    else if (json_string_equal (name, "tags") && !key->tags)
      key->tags = read_texts (r, &key->n_tags);
    else if (json_string_equal (name, "reusable"))
      key->reusable = json_reader_bool (r);
    else if (json_string_equal (name, "ephemeral"))
      key->ephemeral = json_reader_bool (r);
    else if (json_string_equal (name, "used"))
      key->used = json_reader_bool (r);
    else if (json_string_equal (name, "revoked"))
      key->revoked = json_reader_bool (r);
    else if (json_string_equal (name, "created"))
      json_reader_time (r, &key->created);
    else if (json_string_equal (name, "expiry"))
      json_reader_time (r, &key->expiry);
    else
      json_reader_skip (r);
  }
  if (!hex_decode (hash, strlen (hash), key->hash, sizeof key->hash))
    json_reader_fail (r, "a key's hash is wrong");
  model_insert_key (model, key); /* a damaged one stops the start, and is freed with the model */
}

static void
load_network (CoModel *model, JsonReader *r)
{
  CoSettings *settings = &model->settings;
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (settings_read_member (settings, name, r))
      continue;
    if (json_string_equal (name, "nextNode")) {
      NodeId next = json_reader_i64 (r);
      if (next > model->next_node)
        model->next_node = next;
    } else if (json_string_equal (name, "nextUser")) {
      UserId next = json_reader_i64 (r);
      if (next > model->next_user)
        model->next_user = next;
    } else
      json_reader_skip (r);
  }
}

/* A policy that was in force comes into force again, whatever its tests say now. */
static void
load_policy (State *state, JsonReader *r)
{
  JsonString name;

  json_reader_enter_object (r);
  while (json_reader_next_member (r, &name)) {
    if (!json_string_equal (name, "text")) {
      json_reader_skip (r);
      continue;
    }
    char *text = read_text (r);
    PolicyIssues issues;
    policy_issues_init (&issues);
    Policy *policy = policy_parse (text, strlen (text), &issues);
    policy_issues_clear (&issues);
    if (policy) {
      policy_free (state->policy);
      state->policy = policy;
    } else {
      json_reader_fail (r, "the policy is damaged");
    }
    free (state->model.policy_text);
    state->model.policy_text = text;
  }
}

bool
state_load (State *state, const char *table, const char *name, const char *value,
            const char **error)
{
  JsonReader r;

  json_reader_init (&r, value, strlen (value));
  if (strcmp (table, "node") == 0)
    load_node (&state->model, &r);
  else if (strcmp (table, "user") == 0)
    load_user (&state->model, &r);
  else if (strcmp (table, "key") == 0)
    load_key (&state->model, &r);
  else if (strcmp (name, "network") == 0)
    load_network (&state->model, &r);
  else if (strcmp (name, "policy") == 0)
    load_policy (state, &r);
  else
    json_reader_skip (&r);
  bool ok = json_reader_ok (&r);
  if (!ok && error)
    *error = r.error;
  json_reader_clear (&r);
  return ok;
}
