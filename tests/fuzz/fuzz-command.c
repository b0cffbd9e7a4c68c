/* What comes in at the coordinator's command socket: words in their frame, and what they do to a
 * network. Whatever is said gets one answer, or none yet. */
#include "coordinator/command.h"
#include "wire/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
add_device (State *state, const char *name, UserId user)
{
  CoNode *node
      = model_add_node (&state->model, name, (WallTime){.seconds = 1800000000}, state->random);
  IpPrefix route = {ip_from_v4 (0x0a000000u), 24};
  Hostinfo hostinfo;

  hostinfo_init (&hostinfo);
  hostinfo.hostname = name;
  hostinfo.routable_ips = &route;
  hostinfo.n_routable_ips = 1;
  co_node_set_hostinfo (node, &hostinfo);
  node->user = user;
  node->approved = true;
  NodePublic key = {{(uint8_t)node->id}};
  model_set_key (&state->model, node, &key);
}

static void
obey (const CommandRequest *request)
{
  StateConfig config = {.url = "https://net.example"};
  SeededRandom random;
  StateAction action;
  unsigned answers = 0;

  seeded_random_init (&random, 1);
  State *state = state_new (&config, &random.base);
  state_start (state, (WallTime){.seconds = 1800000000}, USEC_PER_SEC);
  add_device (state, "web", state->model.users[0]->id);
  add_device (state, "db", state->model.users[0]->id);
  StateEvent event = {
      .type = STATE_EVENT_COMMAND,
      .request = 7,
      .wall = {.seconds = 1800000001},
      .command = {(const char *const *)request->words, request->n_words, request->input},
  };
  state_input (state, &event, 2 * USEC_PER_SEC);
  StateEvent tick = {.type = STATE_EVENT_TICK, .wall = {.seconds = 1800000009}};
  state_input (state, &tick, 9 * USEC_PER_SEC);
  while (state_next_action (state, &action)) {
    answers += action.type == STATE_ACTION_REPLY && action.request == 7;
    state_action_clear (&action);
  }
  assert (answers <= 1);
  state_free (state);
}

/* Written again it is the same request. */
static void
check_frame (const CommandRequest *request)
{
  CommandRequest again = {0};
  Buffer out = {0};

  command_request_write ((const char *const *)request->words, request->n_words, request->input,
                         &out);
  assert (command_request_read (out.data, out.size, &again) == COMMAND_READY);
  assert (again.n_words == request->n_words && !again.input == !request->input);
  for (size_t i = 0; i < again.n_words; i++)
    assert (strcmp (again.words[i], request->words[i]) == 0);
  command_request_clear (&again);
  buffer_free (&out);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CommandRequest request = {0};

  if (command_request_read (data, size, &request) == COMMAND_READY) {
    check_frame (&request);
    obey (&request);
    command_request_clear (&request);
  }
  return 0;
}
