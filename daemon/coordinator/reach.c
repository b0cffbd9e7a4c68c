#include "coordinator/state-private.h"

#include "base/memory.h"

#include <stdlib.h>

Reach *
reach_new (State *state)
{
  const CoModel *model = &state->model;
  PolicyView *view = state_view (state);
  Reach *reach = mem_new (sizeof *reach);
  uint32_t *numbers = mem_new ((model->n_nodes + 1) * sizeof *numbers);

  reach->words = (model->n_slots + 63) / 64;
  reach->members = mem_new ((reach->words + 1) * sizeof *reach->members);
  for (size_t i = 0; i < model->n_nodes; i++) {
    const CoNode *node = model->nodes[i];
    numbers[i] = node->slot;
    if (node->approved && !state_node_expired (state, node))
      reach->members[node->slot / 64] |= UINT64_C (1) << node->slot % 64;
  }
  reach->open = policy_view_is_open (view);
  if (!reach->open) {
    reach->rows = mem_new ((reach->words * 64 * reach->words + 1) * sizeof *reach->rows);
    policy_view_reach (view, numbers, reach->words, reach->rows);
  }
  free (numbers);
  return reach;
}

void
reach_free (Reach *reach)
{
  if (!reach)
    return;
  free (reach->members);
  free (reach->rows);
  free (reach);
}

uint64_t
reach_word (const Reach *reach, uint32_t slot, size_t w)
{
  if (!reach || w >= reach->words || slot / 64 >= reach->words
      || !(reach->members[slot / 64] >> slot % 64 & 1))
    return 0;
  return reach->open ? reach->members[w] : reach->rows[slot * reach->words + w];
}
