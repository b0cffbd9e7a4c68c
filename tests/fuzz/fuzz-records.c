/* Records of the coordinator's database, as a disk or a copy may give them back: one a line, its
 * table and name before it ("node 1 {…}"). What was read is written again, and reads the same. */
#include "base/memory.h"
#include "coordinator/state-private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static State *
new_state (SeededRandom *random)
{
  seeded_random_init (random, 1);
  return state_new (&(StateConfig){.url = "https://net.example"}, &random->base);
}

/* False for a record that stops the start. */
static bool
load_line (State *state, char *line)
{
  static const char *const tables[] = {"node", "user", "key", "setting"};
  char *rest = strchr (line, ' '), *value = rest ? strchr (rest + 1, ' ') : NULL;
  const char *error = NULL;

  if (!value)
    return true;
  *rest = *value = '\0';
  for (size_t i = 0; i < 4; i++)
    if (strcmp (line, tables[i]) == 0
        && !state_load (state, tables[i], rest + 1, value + 1, &error)) {
      assert (error);
      return false;
    }
  return true;
}

static void
save_all (State *state)
{
  CoModel *model = &state->model;

  for (size_t i = 0; i < model->n_nodes; i++)
    state_save_node (state, model->nodes[i]);
  for (size_t i = 0; i < model->n_users; i++)
    state_save_user (state, model->users[i]);
  for (size_t i = 0; i < model->n_keys; i++)
    state_save_key (state, model->keys[i]);
  state_save_settings (state);
  if (model->policy_text)
    state_save_policy (state);
}

/* What STATE writes is read by a second one. */
static void
read_again (State *state)
{
  SeededRandom random;
  State *copy = new_state (&random);
  StateAction action;

  while (state_next_action (state, &action))
    state_action_clear (&action);
  save_all (state);
  while (state_next_action (state, &action)) {
    if (action.type == STATE_ACTION_RECORD && action.record.value)
      assert (
          state_load (copy, action.record.table, action.record.name, action.record.value, NULL));
    state_action_clear (&action);
  }
  assert (copy->model.n_nodes == state->model.n_nodes);
  assert (copy->model.n_users == state->model.n_users);
  assert (copy->model.n_keys == state->model.n_keys);
  state_free (copy);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  SeededRandom random;
  State *state = new_state (&random);
  char *text = mem_strndup ((const char *)data, size), *line, *at = text;

  bool whole = true;
  while (whole && (line = strsep (&at, "\n")))
    whole = load_line (state, line);
  if (whole) {
    StateEvent tick = {.type = STATE_EVENT_TICK, .wall = {.seconds = 1800000001}};
    state_start (state, (WallTime){.seconds = 1800000000}, USEC_PER_SEC);
    read_again (state);
    state_input (state, &tick, 2 * USEC_PER_SEC);
  }
  state_free (state);
  free (text);
  return 0;
}
