/* Takes a command apart, finds its row, runs it and answers; and what the commands share. */

#include "coordinator/command.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAR_MAX      3 /* names that are offered for one that is unknown */
#define NEAR_DISTANCE 2 /* typing errors */

/* ---- what commands share ---- */

const char *
command_word (const Command *c, size_t i)
{
  return i < c->n_words ? c->words[i] : "";
}

const char *
command_option (const Command *c, const char *name)
{
  for (size_t i = 0; i < c->n_options; i++)
    if (strcspn (c->options[i].name, "= ") == strlen (name)
        && strncmp (c->options[i].name, name, strlen (name)) == 0)
      return c->options[i].value;
  return NULL;
}

static void
end (Command *c, int code, const char *format, va_list args)
{
  char text[1024];

  vsnprintf (text, sizeof text, format, args);
  buffer_reset (&c->out);
  buffer_append_text (&c->out, text);
  c->code = code;
}

void
command_fail (Command *c, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  end (c, COMMAND_FAILED, format, args);
  va_end (args);
}

void
command_misused (Command *c, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  end (c, COMMAND_MISUSED, format, args);
  va_end (args);
}

void
command_say (Command *c, const char *format, ...)
{
  char text[2048];
  va_list args;

  if (c->json)
    return;
  va_start (args, format);
  vsnprintf (text, sizeof text, format, args);
  va_end (args);
  buffer_append_text (&c->out, text);
}

void
command_json (Command *c, JsonWriter *w)
{
  if (c->json) {
    buffer_append (&c->out, w->data, w->size);
    buffer_append_text (&c->out, "\n");
  }
  json_writer_clear (w);
}

void
command_done (Command *c, const char *sentence)
{
  command_say (c, "%s\n", sentence);
  if (c->json)
    buffer_append_text (&c->out, "{\"ok\":true}\n");
}

/* How many letters must be changed, added or left out to come from A to B; at most 63 letters. */
static unsigned
distance (const char *a, const char *b)
{
  unsigned row[MODEL_LABEL_MAX + 2];
  size_t n = strlen (b);

  if (n > MODEL_LABEL_MAX || strlen (a) > MODEL_LABEL_MAX)
    return NEAR_DISTANCE + 1;
  for (unsigned j = 0; j <= n; j++)
    row[j] = j;
  for (; *a; a++) {
    unsigned diagonal = row[0]++;
    for (size_t j = 1; j <= n; j++) {
      unsigned change = diagonal + (*a != b[j - 1]);
      unsigned best = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
      diagonal = row[j];
      row[j] = change < best ? change : best;
    }
  }
  return row[n];
}

static void
append_near (const CoModel *model, const char *text, char *out, size_t size)
{
  unsigned n = 0;

  for (size_t i = 0; i < model->n_nodes && n < NEAR_MAX; i++) {
    const char *name = model->nodes[i]->name;
    bool begins = *text && strncmp (name, text, strlen (text)) == 0;
    if (!begins && distance (text, name) > NEAR_DISTANCE)
      continue;
    size_t used = strlen (out);
    snprintf (out + used, size - used, "%s\"%s\"", n == 0 ? " Did you mean " : ", ", name);
    n++;
  }
  if (n > 0)
    strncat (out, "?", size - strlen (out) - 1);
}

CoNode *
command_node (Command *c, size_t i)
{
  const char *text = command_word (c, i);
  CoNode *node = *text ? model_find_node (&c->state->model, text) : NULL;
  char near[512] = "";

  if (node)
    return node;
  append_near (&c->state->model, text, near, sizeof near);
  command_fail (c, "There is no device \"%s\".%s", text, near);
  return NULL;
}

const CoUser *
command_user (Command *c)
{
  const CoModel *model = &c->state->model;
  const char *login = command_option (c, "user");
  const CoUser *user = login                ? model_user_by_login (model, login)
                       : model->n_users > 0 ? model->users[0]
                                            : NULL;

  if (!user)
    command_fail (c, "There is no user \"%s\".", login ? login : "");
  return user;
}

int64_t
command_duration_s (Command *c, const char *text)
{
  char *rest;
  long long value = strtoll (text, &rest, 10);
  int64_t unit = strcmp (rest, "d") == 0   ? 86400
                 : strcmp (rest, "h") == 0 ? 3600
                 : strcmp (rest, "m") == 0 ? 60
                 : strcmp (rest, "s") == 0 ? 1
                                           : 0;

  if (value > 0 && value <= 100000 && unit > 0)
    return value * unit;
  command_misused (c, "\"%s\" is not a time like 90d, 24h, 30m or 45s.", text);
  return 0;
}

size_t
command_tags (Command *c, const char *text, char copy[1024], const char *tags[COMMAND_TAGS_MAX])
{
  size_t n = 0;
  char *rest;

  snprintf (copy, 1024, "%s", text);
  for (char *tag = strtok_r (copy, ", ", &rest); tag && n < COMMAND_TAGS_MAX;
       tag = strtok_r (NULL, ", ", &rest)) {
    if (!policy_tag (c->state->policy, tag)) {
      command_fail (c, "\"%s\" is not defined under \"tagOwners\" of the policy.", tag);
      return 0;
    }
    tags[n++] = tag;
  }
  return n;
}

void
command_commands (Command *c)
{
  size_t n;
  const CommandRow *rows = command_table (&n);
  JsonWriter w;

  json_writer_init (&w);
  json_writer_begin_array (&w);
  for (size_t i = 0; i < n; i++) {
    const CommandRow *row = &rows[i];
    json_writer_begin_object (&w);
    json_writer_name (&w, "name");
    json_writer_string (&w, row->name);
    json_writer_opt_string (&w, "alias", row->alias);
    json_writer_opt_string (&w, "arguments", row->arguments);
    json_writer_opt_string (&w, "options", row->options);
    json_writer_name (&w, "summary");
    json_writer_string (&w, row->summary);
    json_writer_opt_bool (&w, "changes", row->changes);
    json_writer_opt_bool (&w, "reads", row->reads);
    json_writer_end_object (&w);
    command_say (c, "%s %s\n    %s\n", row->name, row->arguments, row->summary);
  }
  json_writer_end_array (&w);
  command_json (c, &w);
}

void
command_elsewhere (Command *c)
{
  command_fail (c, "\"%s\" is not possible here.", c->row->name);
}

/* ---- taking apart ---- */

/* The option NAME (without hyphens, NAME_LENGTH long) in the row's list; it takes a value when a
 * "=" follows there. NULL when the command has no such option. */
static const char *
known_option (const CommandRow *row, const char *name, size_t length)
{
  for (const char *option = row->options; *option;) {
    size_t size = strcspn (option, " ");
    const char *known = option + 2; /* behind the hyphens */
    if (strcspn (known, "= ") == length && strncmp (known, name, length) == 0)
      return known;
    option += size;
    option += *option == ' ';
  }
  return NULL;
}

/* Takes the option at WORDS[I]; returns how many words it was, 0 after a failure. */
static size_t
take_option (Command *c, const char *const *words, size_t n, size_t i)
{
  const char *name = words[i] + 2, *equals = strchr (name, '=');
  size_t length = equals ? (size_t)(equals - name) : strlen (name), used = 1;
  const char *known = known_option (c->row, name, length), *value = "";

  if (length == 4 && strncmp (name, "json", 4) == 0 && !equals) {
    c->json = true;
    return 1;
  }
  bool wants_value = known && known[length] == '=';
  if (!known || (equals && !wants_value) || c->n_options == COMMAND_OPTIONS_MAX) {
    command_misused (c, "\"%s\" has no option --%.*s.", c->row->name, (int)length, name);
    return 0;
  }
  if (equals) {
    value = equals + 1;
  } else if (wants_value) {
    if (i + 1 == n) {
      command_misused (c, "--%s needs a value.", name);
      return 0;
    }
    value = words[i + 1];
    used = 2;
  }
  c->options[c->n_options].name = known;
  c->options[c->n_options++].value = value;
  return used;
}

static void
take_words (Command *c, const char *const *words, size_t n)
{
  size_t used = 1;

  for (size_t i = 0; i < n && used > 0; i += used) {
    if (strncmp (words[i], "--", 2) == 0) {
      used = take_option (c, words, n, i);
      continue;
    }
    c->words[c->n_words++] = words[i];
    used = 1;
  }
  if (c->code == 0 && (c->n_words < c->row->min || c->n_words > c->row->max))
    command_misused (c, "Say it so: %s %s", c->row->name, c->row->arguments);
}

static void
run (Command *c, const char *const *words, size_t n)
{
  size_t used;

  c->row = command_find (words, n, &used);
  if (!c->row) {
    command_misused (c, "There is no command \"%s%s%s\".", n > 0 ? words[0] : "", n > 1 ? " " : "",
                     n > 1 ? words[1] : "");
    return;
  }
  take_words (c, words + used, n - used);
  if (c->code == 0)
    c->row->run (c);
}

void
state_command (State *state, const StateEvent *event)
{
  Command c = {.state = state, .event = event};

  c.words = mem_new ((event->command.n_words + 1) * sizeof *c.words);
  run (&c, event->command.words, event->command.n_words);
  if (c.code != 0 && c.out.size > 0 && c.out.data[c.out.size - 1] != '\n')
    buffer_append_text (&c.out, "\n");
  if (!c.deferred) {
    StateAction *action = state_push (state, STATE_ACTION_REPLY, event->request);
    action->reply.status = c.code;
    action->reply.body = mem_strndup (c.out.size > 0 ? (const char *)c.out.data : "", c.out.size);
    action->reply.size = c.out.size;
  }
  buffer_free (&c.out);
  free (c.words);
}
