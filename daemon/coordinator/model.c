#include "coordinator/model.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY_PREFIX    "wkey-auth-"
#define ADDRESS_TRIES 64 /* random ones, before the pool is searched from its start */

void
model_init (CoModel *model)
{
  *model = (CoModel){.next_node = 1, .next_user = 1};
  settings_init (&model->settings);
}

static void
free_strings (char **strings, size_t n)
{
  for (size_t i = 0; i < n; i++)
    free (strings[i]);
  free (strings);
}

static char **
copy_strings (const char *const *strings, size_t n)
{
  char **copy = mem_new ((n + 1) * sizeof *copy);

  for (size_t i = 0; i < n; i++)
    copy[i] = mem_strndup (strings[i], strlen (strings[i]));
  return copy;
}

static void
user_free (CoUser *user)
{
  free (user->login);
  free (user->display_name);
  free (user->password);
  free (user->subject);
  free (user);
}

static void
key_free (CoAuthKey *key)
{
  free_strings (key->tags, key->n_tags);
  free (key);
}

CoNode *
co_node_new (void)
{
  CoNode *node = mem_new (sizeof *node);

  node->created = node->expiry = node->last_seen = wall_time_unset ();
  node->offline_us = node->delete_us = TIME_NEVER;
  hostinfo_init (&node->hostinfo);
  return node;
}

void
co_node_free (CoNode *node)
{
  free_strings (node->tags, node->n_tags);
  free (node->approved_routes);
  arena_clear (&node->arena);
  chunk_unref (node->text);
  free (node);
}

void
model_clear (CoModel *model)
{
  for (size_t i = 0; i < model->n_users; i++)
    user_free (model->users[i]);
  for (size_t i = 0; i < model->n_nodes; i++)
    co_node_free (model->nodes[i]);
  for (size_t i = 0; i < model->n_keys; i++)
    key_free (model->keys[i]);
  hash_index_clear (&model->nodes_by_key);
  free (model->slots);
  free (model->slot_ids);
  free (model->retired);
  free (model->free_slots);
  free (model->users);
  free (model->nodes);
  free (model->keys);
  settings_clear (&model->settings);
  free (model->policy_text);
}

/* ---- users ---- */

CoUser *
model_add_user (CoModel *model, const char *login, const char *display_name, PolicyRole role,
                WallTime now)
{
  CoUser *user = mem_new (sizeof *user);

  user->id = model->next_user++;
  user->login = mem_strndup (login, strlen (login));
  user->display_name = mem_strndup (display_name, strlen (display_name));
  user->role = role;
  user->created = now;
  user->code_until = wall_time_unset ();
  model->users = mem_grow (model->users, model->n_users, &model->users_room, sizeof *model->users);
  model->users[model->n_users++] = user;
  return user;
}

void
model_remove_user (CoModel *model, CoUser *user)
{
  size_t at = 0;

  while (model->users[at] != user)
    at++;
  model->n_users--;
  memmove (model->users + at, model->users + at + 1, (model->n_users - at) * sizeof *model->users);
  user_free (user);
}

CoUser *
model_user (const CoModel *model, UserId id)
{
  for (size_t i = 0; i < model->n_users; i++)
    if (model->users[i]->id == id)
      return model->users[i];
  return NULL;
}

CoUser *
model_user_by_login (const CoModel *model, const char *login)
{
  for (size_t i = 0; i < model->n_users; i++)
    if (strcasecmp (model->users[i]->login, login) == 0)
      return model->users[i];
  return NULL;
}

/* ---- names ---- */

static bool
cut_suffix (char *text, const char *suffix)
{
  size_t n = strlen (text), m = strlen (suffix);

  if (n < m || strcasecmp (text + n - m, suffix) != 0)
    return false;
  text[n - m] = '\0';
  return true;
}

void
model_label (const char *hostname, char out[MODEL_LABEL_MAX + 1])
{
  char copy[256];
  size_t n = 0;

  snprintf (copy, sizeof copy, "%s", hostname ? hostname : "");
  cut_suffix (copy, ".local");
  cut_suffix (copy, ".localdomain");
  cut_suffix (copy, ".lan");
  copy[MODEL_LABEL_MAX] = '\0';
  const char *start = copy, *end = copy + strlen (copy);
  while (start < end && !isalnum ((unsigned char)*start))
    start++;
  while (end > start && !isalnum ((unsigned char)end[-1]))
    end--;
  for (; start < end; start++) {
    char c = *start;
    if (strchr (" .@_", c))
      c = '-';
    if ((isalnum ((unsigned char)c) && (unsigned char)c < 128) || c == '-')
      out[n++] = (char)tolower ((unsigned char)c);
  }
  out[n] = '\0';
  if (n == 0)
    strcpy (out, "node");
}

static bool
label_is_free (const CoModel *model, const CoNode *node, const char *label)
{
  for (size_t i = 0; i < model->n_nodes; i++)
    if (model->nodes[i] != node && strcmp (model->nodes[i]->name, label) == 0)
      return false;
  return true;
}

void
model_name_node (CoModel *model, CoNode *node, const char *name)
{
  char base[MODEL_LABEL_MAX + 1], label[MODEL_LABEL_MAX + 1];

  model_label (name, base);
  strcpy (label, base);
  for (unsigned i = 1; !label_is_free (model, node, label); i++) {
    char number[16];
    int n = snprintf (number, sizeof number, "-%u", i);
    snprintf (label, sizeof label, "%.*s%s", MODEL_LABEL_MAX - n, base, number);
  }
  strcpy (node->name, label);
}

/* ---- addresses ---- */

static bool
address_is_usable (const CoModel *model, uint32_t address)
{
  IpAddr addr = ip_from_v4 (address);

  if (!ip_is_tailnet (&addr) || (address & 0xffffff00u) == 0x64646400u
      || (address & 0xffffff00u) == 0x64640000u || address == 0x64656667u || (address & 0xff) == 0
      || (address & 0xff) == 0xff)
    return false;
  for (size_t i = 0; i < model->n_nodes; i++)
    if (ip_equal (&model->nodes[i]->addr4, &addr))
      return false;
  return true;
}

/* The IPv6 address beside an IPv4 one: its last three bytes behind the prefix (§17.6). */
static IpAddr
address6_for (const CoModel *model, uint32_t address)
{
  IpAddr addr = model->settings.pool6.addr;

  addr.bytes[13] = (uint8_t)(address >> 16);
  addr.bytes[14] = (uint8_t)(address >> 8);
  addr.bytes[15] = (uint8_t)address;
  return addr;
}

/* Random ones first, so that two tailnets that meet rarely clash; then whatever is left. */
static bool
allocate_addresses (const CoModel *model, CoNode *node, Random *random)
{
  const IpPrefix *pool = &model->settings.pool4;
  uint32_t start = load_be32 (pool->addr.bytes), size = 1u << (32 - pool->bits), found = 0;

  for (int i = 0; i < ADDRESS_TRIES && !found; i++) {
    uint32_t address = start + (uint32_t)random_below (random, size);
    if (address_is_usable (model, address))
      found = address;
  }
  for (uint32_t address = start; address - start < size && !found; address++)
    if (address_is_usable (model, address))
      found = address;
  if (!found)
    return false;
  node->addr4 = ip_from_v4 (found);
  node->addr6 = address6_for (model, found);
  return true;
}

/* ---- nodes ---- */

static void
make_stable_id (Random *random, char out[MODEL_STABLE_ID_SIZE])
{
  static const char alphabet[] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ123456789";

  out[0] = 'n';
  for (size_t i = 1; i < MODEL_STABLE_ID_SIZE - 1; i++)
    out[i] = alphabet[random_below (random, sizeof alphabet - 1)];
  out[MODEL_STABLE_ID_SIZE - 1] = '\0';
}

/* ---- slots and keys ---- */

static void
take_slot (CoModel *model, CoNode *node)
{
  if (model->n_free_slots > 0) {
    node->slot = model->free_slots[--model->n_free_slots];
  } else {
    model->slots
        = mem_grow (model->slots, model->n_slots, &model->slots_room, sizeof *model->slots);
    model->slot_ids = mem_grow (model->slot_ids, model->n_slots, &model->slot_ids_room,
                                sizeof *model->slot_ids);
    node->slot = (uint32_t)model->n_slots++;
  }
  model->slots[node->slot] = node;
  model->slot_ids[node->slot] = node->id;
}

static void
retire_slot (CoModel *model, const CoNode *node)
{
  model->slots[node->slot] = NULL;
  model->retired
      = mem_grow (model->retired, model->n_retired, &model->retired_room, sizeof *model->retired);
  model->retired[model->n_retired++] = node->slot;
}

void
model_recycle_slots (CoModel *model)
{
  for (size_t i = 0; i < model->n_retired; i++) {
    model->free_slots = mem_grow (model->free_slots, model->n_free_slots, &model->free_slots_room,
                                  sizeof *model->free_slots);
    model->free_slots[model->n_free_slots++] = model->retired[i];
  }
  model->n_retired = 0;
}

static void
index_key (CoModel *model, CoNode *node)
{
  if (!key_zero (&node->key))
    hash_index_add (&model->nodes_by_key, hash_index_key (node->key.bytes, KEY_SIZE), node);
}

static void
unindex_key (CoModel *model, const CoNode *node)
{
  hash_index_remove (&model->nodes_by_key, hash_index_key (node->key.bytes, KEY_SIZE), node);
}

void
model_set_key (CoModel *model, CoNode *node, const NodePublic *key)
{
  unindex_key (model, node);
  node->key = *key;
  index_key (model, node);
}

/* ---- nodes in and out ---- */

void
model_insert_node (CoModel *model, CoNode *node)
{
  size_t at = model->n_nodes;

  model->nodes = mem_grow (model->nodes, model->n_nodes, &model->nodes_room, sizeof *model->nodes);
  while (at > 0 && model->nodes[at - 1]->id > node->id)
    at--;
  memmove (model->nodes + at + 1, model->nodes + at, (model->n_nodes - at) * sizeof *model->nodes);
  model->nodes[at] = node;
  model->n_nodes++;
  for (size_t i = at; i < model->n_nodes; i++)
    model->nodes[i]->index = i;
  if (node->id >= model->next_node)
    model->next_node = node->id + 1;
  take_slot (model, node);
  index_key (model, node);
}

CoNode *
model_add_node (CoModel *model, const char *hostname, WallTime now, Random *random)
{
  CoNode *node = co_node_new ();

  if (!allocate_addresses (model, node, random)) {
    co_node_free (node);
    return NULL;
  }
  node->id = model->next_node;
  node->created = now;
  make_stable_id (random, node->stable_id);
  model_insert_node (model, node);
  model_name_node (model, node, hostname);
  return node;
}

void
model_remove_node (CoModel *model, CoNode *node)
{
  size_t at = node->index;

  retire_slot (model, node);
  unindex_key (model, node);
  model->n_nodes--;
  memmove (model->nodes + at, model->nodes + at + 1, (model->n_nodes - at) * sizeof *model->nodes);
  for (size_t i = at; i < model->n_nodes; i++)
    model->nodes[i]->index = i;
  co_node_free (node);
}

CoNode *
model_node (const CoModel *model, NodeId id)
{
  size_t low = 0, high = model->n_nodes;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (model->nodes[middle]->id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low < model->n_nodes && model->nodes[low]->id == id ? model->nodes[low] : NULL;
}

static bool
has_key (const void *value, const void *key)
{
  return memcmp (((const CoNode *)value)->key.bytes, key, KEY_SIZE) == 0;
}

CoNode *
model_node_by_key (const CoModel *model, const NodePublic *key)
{
  return hash_index_find (&model->nodes_by_key, hash_index_key (key->bytes, KEY_SIZE), has_key,
                          key->bytes);
}

CoNode *
model_node_by_machine (const CoModel *model, const MachinePublic *machine, UserId user)
{
  for (size_t i = 0; i < model->n_nodes; i++)
    if (memcmp (model->nodes[i]->machine.bytes, machine->bytes, KEY_SIZE) == 0
        && model->nodes[i]->user == user)
      return model->nodes[i];
  return NULL;
}

CoNode *
model_find_node (const CoModel *model, const char *text)
{
  size_t label = strcspn (text, ".");
  IpAddr addr;
  bool is_address = ip_parse (text, strlen (text), &addr);

  for (size_t i = 0; i < model->n_nodes; i++) {
    CoNode *node = model->nodes[i];
    char id[24];
    snprintf (id, sizeof id, "%lld", (long long)node->id);
    if (is_address
            ? ip_equal (&addr, &node->addr4) || ip_equal (&addr, &node->addr6)
            : strcmp (id, text) == 0
                  || (strlen (node->name) == label && strncasecmp (node->name, text, label) == 0))
      return node;
  }
  return NULL;
}

void
co_node_set_hostinfo (CoNode *node, const Hostinfo *hostinfo)
{
  Arena fresh = {0};
  Hostinfo copy;

  hostinfo_copy (&copy, hostinfo, &fresh);
  /* A host that does not say where its home relay is keeps the one it told before. */
  if (!copy.net_info && node->hostinfo.net_info) {
    NetInfo *net_info = arena_array (&fresh, NetInfo, 1);
    net_info_copy (net_info, node->hostinfo.net_info, &fresh);
    copy.net_info = net_info;
  }
  arena_clear (&node->arena);
  node->arena = fresh;
  node->hostinfo = copy;
}

void
co_node_set_tags (CoNode *node, const char *const *tags, size_t n)
{
  free_strings (node->tags, node->n_tags);
  node->tags = n > 0 ? copy_strings (tags, n) : NULL;
  node->n_tags = n;
}

void
co_node_approve_route (CoNode *node, const IpPrefix *route)
{
  size_t n = node->n_approved_routes;

  for (size_t i = 0; i < n; i++)
    if (ip_prefix_equal (&node->approved_routes[i], route))
      return;
  node->approved_routes
      = mem_resize (node->approved_routes, (n + 1) * sizeof *node->approved_routes);
  node->approved_routes[n] = *route;
  node->n_approved_routes = n + 1;
}

bool
co_node_has_tag (const CoNode *node, const char *tag)
{
  for (size_t i = 0; i < node->n_tags; i++)
    if (strcmp (node->tags[i], tag) == 0)
      return true;
  return false;
}

/* ---- auth keys ---- */

void
model_insert_key (CoModel *model, CoAuthKey *key)
{
  model->keys = mem_grow (model->keys, model->n_keys, &model->keys_room, sizeof *model->keys);
  model->keys[model->n_keys++] = key;
}

CoAuthKey *
model_add_key (CoModel *model, UserId user, const char *const *tags, size_t n_tags, WallTime now,
               Random *random, char text[MODEL_KEY_TEXT_MAX])
{
  CoAuthKey *key = mem_new (sizeof *key);
  uint8_t id[MODEL_KEY_ID_SIZE / 2], secret[MODEL_KEY_SECRET_SIZE];
  char secret_text[2 * MODEL_KEY_SECRET_SIZE + 1];

  random_fill (random, id, sizeof id);
  random_fill (random, secret, sizeof secret);
  hex_encode (id, sizeof id, key->id);
  hex_encode (secret, sizeof secret, secret_text);
  blake2s (&(Slice){secret, sizeof secret}, 1, key->hash);
  key->user = user;
  key->tags = copy_strings (tags, n_tags);
  key->n_tags = n_tags;
  key->created = now;
  key->expiry = wall_time_unset ();
  model_insert_key (model, key);
  snprintf (text, MODEL_KEY_TEXT_MAX, KEY_PREFIX "%s-%s", key->id, secret_text);
  return key;
}

CoAuthKey *
model_key (const CoModel *model, const char *id)
{
  for (size_t i = 0; i < model->n_keys; i++)
    if (strcmp (model->keys[i]->id, id) == 0)
      return model->keys[i];
  return NULL;
}

CoAuthKey *
model_match_key (const CoModel *model, const char *text)
{
  size_t prefix = strlen (KEY_PREFIX);
  char id[MODEL_KEY_ID_SIZE + 1];
  uint8_t secret[MODEL_KEY_SECRET_SIZE], hash[32];

  if (strlen (text) != prefix + MODEL_KEY_ID_SIZE + 1 + 2 * MODEL_KEY_SECRET_SIZE
      || memcmp (text, KEY_PREFIX, prefix) != 0 || text[prefix + MODEL_KEY_ID_SIZE] != '-'
      || !hex_decode (text + prefix + MODEL_KEY_ID_SIZE + 1, 2 * MODEL_KEY_SECRET_SIZE, secret,
                      sizeof secret))
    return NULL;
  memcpy (id, text + prefix, MODEL_KEY_ID_SIZE);
  id[MODEL_KEY_ID_SIZE] = '\0';
  CoAuthKey *key = model_key (model, id);
  blake2s (&(Slice){secret, sizeof secret}, 1, hash);
  return key && key_equal (hash, key->hash, sizeof hash) ? key : NULL;
}
