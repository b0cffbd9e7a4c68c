/* Commands on the policy. */

#include "coordinator/command.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static void
show_issues (Command *c, const PolicyIssues *issues)
{
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  json_writer_name (&w, "ok");
  json_writer_bool (&w, c->code == 0);
  json_writer_name (&w, "issues");
  json_writer_begin_array (&w);
  for (size_t i = 0; i < issues->n; i++) {
    const PolicyIssue *issue = &issues->list[i];
    json_writer_begin_object (&w);
    json_writer_name (&w, "line");
    json_writer_i64 (&w, issue->line);
    json_writer_name (&w, "column");
    json_writer_i64 (&w, issue->column);
    json_writer_name (&w, "path");
    json_writer_string (&w, issue->path);
    json_writer_name (&w, "text");
    json_writer_string (&w, issue->text);
    json_writer_name (&w, "warning");
    json_writer_bool (&w, issue->warning);
    json_writer_end_object (&w);
    command_say (c, "%u:%u: %s%s%s%s\n", issue->line, issue->column,
                 issue->warning ? "warning: " : "", issue->path, issue->path[0] ? ": " : "",
                 issue->text);
  }
  json_writer_end_array (&w);
  json_writer_end_object (&w);
  command_json (c, &w);
}

/* TEXT as a policy that its own tests accept with the devices that are here; NULL otherwise. It is
 * in force when this returns it. */
static Policy *
try_policy (State *state, const char *text, PolicyIssues *issues)
{
  Policy *policy = policy_parse (text, strlen (text), issues), *old = state->policy;

  if (!policy)
    return NULL;
  state->policy = policy;
  state_view_changed (state);
  if (policy_view_run_tests (state_view (state), issues))
    return policy;
  state->policy = old;
  state_view_changed (state);
  policy_free (policy);
  return NULL;
}

bool
state_set_policy (State *state, const char *text, PolicyIssues *issues)
{
  Policy *old = state->policy;

  if (!try_policy (state, text, issues))
    return false;
  policy_free (old);
  free (state->model.policy_text);
  state->model.policy_text = mem_strndup (text, strlen (text));
  state_save_policy (state);
  return true;
}

static const char *
input_of (const Command *c)
{
  return c->event->command.input ? c->event->command.input : "";
}

void
command_policy_set (Command *c)
{
  PolicyIssues issues;

  policy_issues_init (&issues);
  c->code = state_set_policy (c->state, input_of (c), &issues) ? 0 : COMMAND_FAILED;
  show_issues (c, &issues);
  policy_issues_clear (&issues);
  if (c->code == 0)
    command_say (c, "The policy is in force.\n");
}

void
command_policy_check (Command *c)
{
  State *state = c->state;
  Policy *old = state->policy;
  PolicyIssues issues;

  policy_issues_init (&issues);
  Policy *policy = try_policy (state, input_of (c), &issues);
  if (policy) {
    state->policy = old;
    state_view_changed (state);
    policy_free (policy);
  }
  c->code = policy ? 0 : COMMAND_FAILED;
  show_issues (c, &issues);
  policy_issues_clear (&issues);
  if (policy)
    command_say (c, "The policy is good.\n");
}

void
command_policy_get (Command *c)
{
  const char *text = c->state->model.policy_text ? c->state->model.policy_text : "{}\n";
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_object (&w);
  json_writer_name (&w, "policy");
  json_writer_string (&w, text);
  json_writer_end_object (&w);
  command_json (c, &w);
  if (!c->json)
    buffer_append_text (&c->out, text); /* longer than what is said */
}
