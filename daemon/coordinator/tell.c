/* Telling streams what is new, all of them in one round (spec/control-protocol.md §17.7, §17.8).
 *
 * After a round every stream that was not fresh knows the same world, each its own part of it; so
 * nothing is remembered for each stream and peer. What differs between two rounds are sets of
 * slots; viewers for whom these sets are equal are one audience, whose message is written and
 * compressed once. */

#include "coordinator/state-private.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define VIEW_SIZE_MAX (64u << 20)

/* What one viewer is to be told, as sets of slots. */
typedef struct
{
  uint64_t *whole;   /* full records */
  uint64_t *light;   /* patches */
  uint64_t *removed; /* gone from sight */
  bool any;
  bool settings;
  bool compressed;
  uint64_t routes; /* hash of the addresses it gets on routers in WHOLE */
} News;

typedef struct
{
  News news; /* its sets are owned */
  uint64_t hash;
  Rope *rope;
} Audience;

typedef struct
{
  State *state;
  size_t words;
  const Reach *before, *now;
  bool view_changed;
  uint64_t *changed_whole, *changed_light;
  uint32_t *routers; /* slots of nodes with routes */
  size_t n_routers;
  News news; /* of the viewer at hand */
  HashIndex audiences;
  Audience **all;
  size_t n, room;
  uint32_t *users; /* by slot: place of its owner among the users, their number for tagged nodes */
  uint8_t *marks;  /* by place */
  Chunk *profiles[2]; /* of everybody, plain and compressed */
} Round;

/* ---- beginning and end ---- */

static void
gather_changes (Round *round)
{
  const CoModel *model = &round->state->model;

  for (size_t i = 0; i < model->n_nodes; i++) {
    const CoNode *node = model->nodes[i];
    uint64_t bit = UINT64_C (1) << node->slot % 64;
    if (node->changes & NODE_CHANGED_WHOLE)
      round->changed_whole[node->slot / 64] |= bit;
    else if (node->changes)
      round->changed_light[node->slot / 64] |= bit;
    if (policy_view_is_special (state_view (round->state), i))
      round->routers[round->n_routers++] = node->slot;
  }
}

static uint64_t *
new_set (const Round *round)
{
  return mem_new ((round->words + 1) * sizeof (uint64_t));
}

static void
round_begin (Round *round, State *state)
{
  *round = (Round){.state = state, .before = state->reach, .view_changed = state->view_changed};
  round->words = (state->model.n_slots + 63) / 64;
  round->now = state->view_changed || !state->reach ? reach_new (state) : state->reach;
  round->changed_whole = new_set (round);
  round->changed_light = new_set (round);
  round->news.whole = new_set (round);
  round->news.light = new_set (round);
  round->news.removed = new_set (round);
  round->routers = mem_new ((state->model.n_nodes + 1) * sizeof *round->routers);
  gather_changes (round);
}

static void
news_clear (News *news)
{
  free (news->whole);
  free (news->light);
  free (news->removed);
}

static void
round_end (Round *round)
{
  State *state = round->state;

  for (size_t i = 0; i < round->n; i++) {
    news_clear (&round->all[i]->news);
    rope_unref (round->all[i]->rope);
    free (round->all[i]);
  }
  free (round->all);
  hash_index_clear (&round->audiences);
  news_clear (&round->news);
  free (round->changed_whole);
  free (round->changed_light);
  free (round->routers);
  free (round->users);
  free (round->marks);
  chunk_unref (round->profiles[0]);
  chunk_unref (round->profiles[1]);
  if (round->now != round->before)
    reach_free (state->reach);
  state->reach = (Reach *)round->now;
  state->view_changed = false;
  for (size_t i = 0; i < state->model.n_nodes; i++)
    state->model.nodes[i]->changes = 0;
  model_recycle_slots (&state->model);
  peer_blocks_rest (state->blocks);
  /* The answers of this round stay in the view: it is made anew when they are too many. */
  if (state->view && policy_view_size (state->view) > VIEW_SIZE_MAX) {
    policy_view_free (state->view);
    state->view = NULL;
  }
}

/* ---- profiles ---- */

static int
compare_user (const void *a, const void *b)
{
  UserId x = *(const UserId *)a, y = (*(CoUser *const *)b)->id;

  return x < y ? -1 : x > y;
}

static int
compare_users (const void *a, const void *b)
{
  return compare_user (&(*(CoUser *const *)a)->id, b);
}

/* Whose is which node, looked up once for the round. */
static void
find_owners (Round *round)
{
  const CoModel *model = &round->state->model;

  round->users = mem_new ((model->n_slots + 1) * sizeof *round->users);
  round->marks = mem_new (model->n_users + 1);
  if (model->n_users > 1)
    qsort (model->users, model->n_users, sizeof (CoUser *), compare_users);
  for (size_t i = 0; i < model->n_nodes; i++) {
    const CoNode *node = model->nodes[i];
    CoUser **owner
        = bsearch (&node->user, model->users, model->n_users, sizeof (CoUser *), compare_user);
    round->users[node->slot] = (uint32_t)(owner ? (size_t)(owner - model->users) : model->n_users);
  }
}

/* "UserProfiles" of the owners of SET and of SELF, if any. */
static void
write_profiles (Round *round, const uint64_t *set, const CoNode *self, JsonWriter *w)
{
  const CoModel *model = &round->state->model;
  bool any = false;

  if (!round->users)
    find_owners (round);
  memset (round->marks, 0, model->n_users + 1);
  if (self)
    round->marks[round->users[self->slot]] = 1;
  for (size_t i = 0; i < round->words; i++)
    for (uint64_t left = set[i]; left; left &= left - 1)
      round->marks[round->users[i * 64 + (size_t)__builtin_ctzll (left)]] = 1;
  for (size_t i = 0; i <= model->n_users; i++) {
    if (!round->marks[i])
      continue;
    if (!any) {
      json_writer_name (w, "UserProfiles");
      json_writer_begin_array (w);
    }
    any = true;
    write_profile (round->state, i < model->n_users ? model->users[i]->id : MODEL_TAGGED_USER, w);
  }
  if (any)
    json_writer_end_array (w);
}

/* ---- what is new for a viewer ---- */

static uint64_t
own_bit (const CoNode *self, size_t w)
{
  return self->slot / 64 == w ? UINT64_C (1) << self->slot % 64 : 0;
}

/* Compares what the viewer gets on routers with what it was told; those that differ are told whole.
 */
static void
compare_routes (Round *round, Stream *stream, const CoNode *self)
{
  State *state = round->state;
  RouteTold *told = round->n_routers ? mem_new (round->n_routers * sizeof *told) : NULL;
  size_t n = 0;

  for (size_t i = 0; i < round->n_routers; i++) {
    uint32_t slot = round->routers[i];
    uint64_t bit = UINT64_C (1) << slot % 64, before = 0;
    if (slot == self->slot || !(reach_word (round->now, self->slot, slot / 64) & bit))
      continue;
    for (size_t j = 0; j < stream->n_routes; j++)
      if (stream->routes[j].slot == slot)
        before = stream->routes[j].routes;
    uint64_t routes = peer_routes (state, self, state->model.slots[slot]);
    if (routes != before)
      round->news.whole[slot / 64] |= bit;
    if (routes)
      told[n++] = (RouteTold){slot, routes};
  }
  /* A router that is none any more has its own addresses again. */
  for (size_t j = 0; j < stream->n_routes; j++) {
    const CoNode *node = state->model.slots[stream->routes[j].slot];
    uint32_t slot = stream->routes[j].slot;
    if (node && peer_routes (state, self, node) == 0
        && reach_word (round->now, self->slot, slot / 64) >> slot % 64 & 1)
      round->news.whole[slot / 64] |= UINT64_C (1) << slot % 64;
  }
  free (stream->routes);
  stream->routes = told;
  stream->n_routes = n;
}

/* What the addresses on routers are that the viewer is told of. */
static uint64_t
routes_in_news (const Round *round, const CoNode *self)
{
  uint64_t hash = 0;

  for (size_t i = 0; i < round->n_routers; i++) {
    uint32_t slot = round->routers[i];
    if (round->news.whole[slot / 64] >> slot % 64 & 1)
      hash = hash_index_number (
          hash ^ peer_routes (round->state, self, round->state->model.slots[slot]));
  }
  return hash;
}

static void
find_news (Round *round, Stream *stream, const CoNode *self)
{
  News *news = &round->news;
  uint64_t any = 0;
  bool lacks_v4 = policy_view_lacks_v4 (state_view (round->state), self->index);
  uint64_t others = lacks_v4 == stream->lacks_v4 ? 0 : UINT64_MAX;

  for (size_t w = 0; w < round->words; w++) {
    uint64_t own = own_bit (self, w);
    uint64_t now = reach_word (round->now, self->slot, w) & ~own;
    uint64_t was = round->view_changed ? reach_word (round->before, self->slot, w) & ~own : now;
    news->whole[w] = now & (~was | round->changed_whole[w] | others);
    news->light[w] = now & was & round->changed_light[w] & ~others;
    news->removed[w] = was & ~now;
    any |= news->whole[w] | news->light[w] | news->removed[w];
  }
  if (round->view_changed && (round->n_routers > 0 || stream->n_routes > 0)) {
    compare_routes (round, stream, self);
    for (size_t w = 0; w < round->words; w++) {
      news->light[w] &= ~news->whole[w];
      any |= news->whole[w];
    }
  }
  stream->lacks_v4 = lacks_v4;
  news->settings = stream->settings != round->state->settings;
  stream->settings = round->state->settings;
  news->any = any || news->settings;
  news->compressed = stream->compressed;
  news->routes = any && round->n_routers > 0 ? routes_in_news (round, self) : 0;
  news->routes += lacks_v4;
}

/* Takes back what W got since MARK when the viewer has it already: HASH is of what it has. */
static void
keep_if_new (JsonWriter *w, size_t mark, uint64_t *hash)
{
  size_t comma = w->data[mark] == ',' ? 1 : 0;
  uint64_t now = text_hash (w->data + mark + comma, w->size - mark - comma);

  if (now == *hash) {
    w->size = mark;
    w->comma = comma;
  }
  *hash = now;
}

/* The own record and rules of a viewer, where they differ from what it has. */
static void
write_own (Round *round, Stream *stream, const CoNode *self, JsonWriter *w)
{
  State *state = round->state;
  size_t n, mark = w->size;

  policy_view_routes (state_view (state), self->index, &n);
  if (stream->fresh || (self->changes & NODE_CHANGED_WHOLE) || stream->policy != state->policy_epoch
      || (round->view_changed && n > 0)) {
    json_writer_name (w, "Node");
    write_self (state, self, w);
    keep_if_new (w, mark, &stream->self);
    stream->policy = state->policy_epoch;
  }
  if (stream->fresh || round->view_changed) {
    mark = w->size;
    write_rules (state, self, &stream->ssh, w);
    keep_if_new (w, mark, &stream->filter);
  }
}

/* ---- messages ---- */

static void
write_whole (Round *round, const News *news, const CoNode *self, JsonWriter *w)
{
  json_writer_name (w, "PeersChanged");
  json_writer_begin_array (w);
  for (size_t i = 0; i < round->words; i++)
    for (uint64_t left = news->whole[i]; left; left &= left - 1) {
      CoNode *peer = round->state->model.slots[i * 64 + (size_t)__builtin_ctzll (left)];
      Chunk *text = peer_text (round->state, self, peer);
      json_writer_raw (w, (const char *)text->data, text->size);
      chunk_unref (text);
    }
  json_writer_end_array (w);
}

static bool
is_empty (const uint64_t *set, size_t words)
{
  for (size_t i = 0; i < words; i++)
    if (set[i])
      return false;
  return true;
}

static void
write_news (Round *round, const News *news, const CoNode *self, JsonWriter *w)
{
  const CoModel *model = &round->state->model;

  if (news->settings)
    write_settings (round->state, w);
  if (!is_empty (news->whole, round->words)) {
    write_profiles (round, news->whole, NULL, w);
    write_whole (round, news, self, w);
  }
  if (!is_empty (news->removed, round->words)) {
    json_writer_name (w, "PeersRemoved");
    json_writer_begin_array (w);
    for (size_t i = 0; i < round->words; i++)
      for (uint64_t left = news->removed[i]; left; left &= left - 1)
        json_writer_i64 (w, model->slot_ids[i * 64 + (size_t)__builtin_ctzll (left)]);
    json_writer_end_array (w);
  }
  if (!is_empty (news->light, round->words)) {
    json_writer_name (w, "PeersChangedPatch");
    json_writer_begin_array (w);
    for (size_t i = 0; i < round->words; i++)
      for (uint64_t left = news->light[i]; left; left &= left - 1)
        write_patch (model->slots[i * 64 + (size_t)__builtin_ctzll (left)], w);
    json_writer_end_array (w);
  }
  json_writer_opt_time (w, "ControlTime", round->state->wall);
}

static bool
same_news (const void *value, const void *key)
{
  const News *a = &((const Audience *)value)->news;
  const Round *round = key;
  const News *b = &round->news;
  size_t size = round->words * sizeof (uint64_t);

  return a->settings == b->settings && a->compressed == b->compressed && a->routes == b->routes
         && memcmp (a->whole, b->whole, size) == 0 && memcmp (a->light, b->light, size) == 0
         && memcmp (a->removed, b->removed, size) == 0;
}

static uint64_t
hash_news (const Round *round)
{
  const News *news = &round->news;
  uint64_t hash = news->routes + news->settings * 2 + news->compressed;

  for (size_t w = 0; w < round->words; w++)
    hash = hash_index_number (hash ^ news->whole[w] ^ news->light[w] * 3 ^ news->removed[w] * 5);
  return hash;
}

/* The message for all who have the same news as the viewer at hand. */
static Rope *
shared_message (Round *round, const CoNode *self)
{
  uint64_t hash = hash_news (round);
  Audience *audience = hash_index_find (&round->audiences, hash, same_news, round);
  MapParts parts;

  if (audience)
    return rope_ref (audience->rope);
  map_parts_init (&parts, round->state->packer, round->news.compressed);
  json_writer_begin_object (&parts.text);
  write_news (round, &round->news, self, &parts.text);
  json_writer_end_object (&parts.text);
  audience = mem_new (sizeof *audience);
  audience->news = round->news;
  audience->hash = hash;
  audience->rope = map_parts_finish (&parts, false);
  round->news.whole = new_set (round);
  round->news.light = new_set (round);
  round->news.removed = new_set (round);
  round->all = mem_grow (round->all, round->n, &round->room, sizeof (Audience *));
  round->all[round->n++] = audience;
  hash_index_add (&round->audiences, hash, audience);
  return rope_ref (audience->rope);
}

static void
send_rope (State *state, const Stream *stream, Rope *rope)
{
  state_push (state, STATE_ACTION_MESSAGE, stream->request)->message.rope = rope;
}

static void
tell_news (Round *round, Stream *stream, const CoNode *self)
{
  MapParts parts;

  find_news (round, stream, self);
  map_parts_init (&parts, round->state->packer, stream->compressed);
  json_writer_begin_object (&parts.text);
  size_t empty = parts.text.size;
  write_own (round, stream, self, &parts.text);
  if (parts.text.size > empty) {
    write_news (round, &round->news, self, &parts.text);
    json_writer_end_object (&parts.text);
    send_rope (round->state, stream, map_parts_finish (&parts, false));
    return;
  }
  json_writer_clear (&parts.text);
  if (round->news.any)
    send_rope (round->state, stream, shared_message (round, self));
}

/* ---- first maps ---- */

/* Where everybody sees everybody, the profiles are the same for all. */
static void
add_profiles (Round *round, const Stream *stream, const CoNode *self, MapParts *parts)
{
  bool open = round->now->open && reach_word (round->now, self->slot, self->slot / 64);
  Chunk **shared = &round->profiles[stream->compressed];
  JsonWriter w;

  if (!open) {
    for (size_t i = 0; i < round->words; i++)
      round->news.whole[i] = reach_word (round->now, self->slot, i);
    write_profiles (round, round->news.whole, self, &parts->text);
    return;
  }
  if (!*shared) {
    json_writer_init (&w);
    w.depth = 1;
    w.comma = true;
    write_profiles (round, round->now->members, NULL, &w);
    *shared = map_pack (round->state->packer, w.data, w.size, stream->compressed, true);
    json_writer_clear (&w);
  }
  map_parts_add (parts, *shared);
}

static void
tell_all (Round *round, Stream *stream, const CoNode *self)
{
  State *state = round->state;
  MapParts parts;

  map_parts_init (&parts, state->packer, stream->compressed);
  json_writer_begin_object (&parts.text);
  write_own (round, stream, self, &parts.text);
  write_settings (state, &parts.text);
  stream->settings = state->settings;
  add_profiles (round, stream, self, &parts);
  json_writer_name (&parts.text, "Peers");
  json_writer_begin_array (&parts.text);
  peer_blocks_add (state, self, round->now, &parts);
  json_writer_end_array (&parts.text);
  json_writer_opt_time (&parts.text, "ControlTime", state->wall);
  json_writer_end_object (&parts.text);
  send_rope (state, stream, map_parts_finish (&parts, false));
  if (round->n_routers > 0)
    compare_routes (round, stream, self);
  stream->lacks_v4 = policy_view_lacks_v4 (state_view (state), self->index);
  stream->fresh = false;
}

void
state_flush (State *state)
{
  Round round;

  state->flush_us = TIME_NEVER;
  state->flushed_us = state->now_us;
  if (state->view_changed)
    state_keep_routes (state);
  round_begin (&round, state);
  for (size_t i = 0; i < state->n_streams; i++) {
    Stream *stream = state->streams[i];
    const CoNode *self = model_node (&state->model, stream->node);
    if (stream->fresh)
      tell_all (&round, stream, self);
    else
      tell_news (&round, stream, self);
  }
  round_end (&round);
}
