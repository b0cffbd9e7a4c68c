/* Commands on auth keys (spec/control-protocol.md §17.5). */

#include "coordinator/command.h"

static const char *
state_of (const CoAuthKey *key, WallTime now)
{
  if (key->revoked)
    return "revoked";
  if (key->used && !key->reusable)
    return "used";
  if (!wall_time_is_unset (key->expiry) && wall_time_compare (key->expiry, now) <= 0)
    return "expired";
  return "valid";
}

static void
write_key (Command *c, const CoAuthKey *key, const char *text, JsonWriter *w)
{
  const CoUser *user = model_user (&c->state->model, key->user);

  json_writer_begin_object (w);
  json_writer_name (w, "id");
  json_writer_string (w, key->id);
  json_writer_opt_string (w, "key", text);
  json_writer_name (w, "user");
  json_writer_string (w, user ? user->login : "");
  json_writer_name (w, "tags");
  json_writer_begin_array (w);
  for (size_t i = 0; i < key->n_tags; i++)
    json_writer_string (w, key->tags[i]);
  json_writer_end_array (w);
  json_writer_name (w, "reusable");
  json_writer_bool (w, key->reusable);
  json_writer_name (w, "ephemeral");
  json_writer_bool (w, key->ephemeral);
  json_writer_name (w, "state");
  json_writer_string (w, state_of (key, c->state->wall));
  json_writer_opt_time (w, "created", key->created);
  json_writer_opt_time (w, "expires", key->expiry);
  json_writer_end_object (w);
}

void
command_keys_create (Command *c)
{
  State *state = c->state;
  const CoUser *user = command_user (c);
  const char *tag_text = command_option (c, "tags"), *expires = command_option (c, "expires");
  const char *tags[COMMAND_TAGS_MAX];
  char copy[1024], text[MODEL_KEY_TEXT_MAX];
  size_t n_tags = user && tag_text ? command_tags (c, tag_text, copy, tags) : 0;
  int64_t life_s = c->code == 0 && expires ? command_duration_s (c, expires) : 0;
  JsonWriter w;

  if (c->code != 0)
    return;
  CoAuthKey *key
      = model_add_key (&state->model, user->id, tags, n_tags, state->wall, state->random, text);
  key->reusable = command_option (c, "reusable") != NULL;
  key->ephemeral = command_option (c, "ephemeral") != NULL;
  if (life_s > 0)
    key->expiry = wall_time_add_us (state->wall, life_s * USEC_PER_SEC);
  state_save_key (state, key);
  json_writer_init (&w);
  write_key (c, key, text, &w);
  command_json (c, &w);
  command_say (c, "%s\n", text);
}

void
command_keys_list (Command *c)
{
  const CoModel *model = &c->state->model;
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < model->n_keys; i++) {
    const CoAuthKey *key = model->keys[i];
    write_key (c, key, NULL, &w);
    command_say (c, "%s  %-9s %-9s %s\n", key->id, key->reusable ? "reusable" : "one-shot",
                 key->ephemeral ? "ephemeral" : "", state_of (key, c->state->wall));
  }
  json_writer_end_array (&w);
  command_json (c, &w);
}

void
command_keys_revoke (Command *c)
{
  CoAuthKey *key = model_key (&c->state->model, command_word (c, 0));

  if (!key) {
    command_fail (c, "There is no key \"%s\".", command_word (c, 0));
    return;
  }
  key->revoked = true;
  state_save_key (c->state, key);
  command_done (c, "Revoked. Devices that joined by it stay.");
}
