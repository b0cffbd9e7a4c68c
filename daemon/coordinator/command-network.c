/* Commands on the network as a whole: what it is, names, relays. */

#include "coordinator/command.h"
#include "coordinator/pending.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define DERP_TEXT_MAX (1u << 20)

/* ---- status ---- */

StateFigures
state_figures (const State *state)
{
  StateFigures figures = {
      .nodes = state->model.n_nodes,
      .users = state->model.n_users,
      .pending = pending_count (state),
      .streams = state->n_streams,
  };

  for (size_t i = 0; i < state->model.n_nodes; i++)
    figures.online += state->model.nodes[i]->online;
  return figures;
}

static void
write_status (const State *state, JsonWriter *w)
{
  const CoSettings *settings = &state->model.settings;
  StateFigures figures = state_figures (state);

  json_writer_begin_object (w);
  json_writer_name (w, "name");
  json_writer_string (w, settings->name);
  json_writer_name (w, "url");
  json_writer_string (w, state->url);
  json_writer_opt_string (w, "listen", state->listen);
  json_writer_name (w, "domain");
  json_writer_string (w, settings->domain);
  json_writer_name (w, "prefix4");
  json_writer_prefix (w, &settings->pool4);
  json_writer_name (w, "prefix6");
  json_writer_prefix (w, &settings->pool6);
  json_writer_name (w, "nodes");
  json_writer_i64 (w, (int64_t)state->model.n_nodes);
  json_writer_name (w, "online");
  json_writer_i64 (w, (int64_t)figures.online);
  json_writer_name (w, "pending");
  json_writer_i64 (w, (int64_t)pending_count (state));
  json_writer_name (w, "revision");
  json_writer_i64 (w, (int64_t)state->revision);
  json_writer_end_object (w);
}

void
command_status (Command *c)
{
  const CoModel *model = &c->state->model;
  const char *wait = command_option (c, "wait");
  StateFigures figures = state_figures (c->state);
  JsonWriter w;

  if (wait && strtoull (wait, NULL, 10) == c->state->revision
      && state_watch (c->state, c->event->request)) {
    c->deferred = true;
    return;
  }
  c->json |= wait != NULL;
  json_writer_init (&w);
  write_status (c->state, &w);
  command_json (c, &w);
  command_say (c, "%s  %s\n%zu devices, %zu online, %zu waiting for approval\n", c->state->url,
               model->settings.domain, figures.nodes, figures.online, figures.pending);
}

/* ---- who waits for a change ---- */

bool
state_watch (State *state, uint64_t request)
{
  if (state->n_watchers == STATE_WATCHERS_MAX)
    return false;
  state->watchers[state->n_watchers++] = request;
  return true;
}

void
state_forget_watcher (State *state, uint64_t request)
{
  for (size_t i = 0; i < state->n_watchers; i++)
    if (state->watchers[i] == request)
      state->watchers[i--] = state->watchers[--state->n_watchers];
}

void
state_answer_watchers (State *state)
{
  JsonWriter w;

  if (state->watched_pending != pending_count (state))
    state->revision++;
  state->watched_pending = pending_count (state);
  if (state->watched_revision == state->revision)
    return;
  state->watched_revision = state->revision;
  for (size_t i = 0; i < state->n_watchers; i++) {
    json_writer_init (&w);
    write_status (state, &w);
    state_reply_json (state, state->watchers[i], 0, &w);
    json_writer_clear (&w);
  }
  state->n_watchers = 0;
}

/* ---- names ---- */

static void
settings_changed (Command *c, const char *sentence)
{
  c->state->settings++;
  c->state->flush_us = c->state->now_us;
  state_save_settings (c->state);
  command_done (c, sentence);
}

static void
say_texts (Command *c, const char *title, const Texts *texts)
{
  if (texts->n == 0)
    return;
  command_say (c, "%-20s", title);
  for (size_t i = 0; i < texts->n; i++)
    command_say (c, " %s", texts->list[i]);
  command_say (c, "\n");
}

void
command_dns_get (Command *c)
{
  const CoSettings *settings = &c->state->model.settings;
  JsonWriter w;

  json_writer_init (&w);
  settings_write_dns (settings, &w);
  command_json (c, &w);
  command_say (c, "%-20s %s\n%-20s %s\n", "domain", settings->domain, "magic",
               settings->magic_dns ? "on" : "off");
  say_texts (c, settings->override_local ? "name servers" : "fallback servers",
             &settings->nameservers);
  say_texts (c, "search", &settings->search);
  for (size_t i = 0; i < settings->split.n; i++)
    say_texts (c, settings->split.list[i].name, &settings->split.list[i].values);
  for (size_t i = 0; i < settings->records.n; i++)
    say_texts (c, settings->records.list[i].name, &settings->records.list[i].values);
}

static bool
is_address (const char *text)
{
  IpAddr addr;

  return ip_parse (text, strlen (text), &addr);
}

/* "1.1.1.1", "[2606:4700::]:53", "https://dns.example/query" (spec/netmap-and-policy.md A.7). */
static bool
is_name_server (const char *text)
{
  IpPort ap;

  return is_address (text) || ip_port_parse (text, strlen (text), &ap)
         || strncmp (text, "https://", 8) == 0;
}

/* The words from FIRST on; false after a failure, with nothing in OUT. */
static bool
read_words (Command *c, size_t first, bool (*is_valid) (const char *), const char *what, Texts *out)
{
  for (size_t i = first; i < c->n_words; i++) {
    if (!is_valid (c->words[i])) {
      command_fail (c, "\"%s\" is not %s.", c->words[i], what);
      texts_clear (out);
      return false;
    }
    texts_add (out, c->words[i]);
  }
  return true;
}

void
command_dns_set (Command *c)
{
  CoSettings *settings = &c->state->model.settings;
  Texts servers = {0};

  if (!read_words (c, 0, is_name_server, "the address of a name server", &servers))
    return;
  texts_clear (&settings->nameservers);
  settings->nameservers = servers;
  settings_changed (c, "Set.");
}

void
command_dns_search (Command *c)
{
  CoSettings *settings = &c->state->model.settings;
  Texts domains = {0};

  if (!read_words (c, 0, settings_domain_is_valid, "a domain", &domains))
    return;
  texts_clear (&settings->search);
  settings->search = domains;
  settings_changed (c, "Set.");
}

static bool
read_switch (Command *c, bool *out)
{
  const char *text = command_word (c, 0);

  if (strcmp (text, "on") != 0 && strcmp (text, "off") != 0) {
    command_misused (c, "Say on or off.");
    return false;
  }
  *out = strcmp (text, "on") == 0;
  return true;
}

void
command_dns_override (Command *c)
{
  if (read_switch (c, &c->state->model.settings.override_local))
    settings_changed (c, "Set.");
}

void
command_dns_magic (Command *c)
{
  if (read_switch (c, &c->state->model.settings.magic_dns))
    settings_changed (c, "Set.");
}

void
command_dns_domain (Command *c)
{
  State *state = c->state;
  CoSettings *settings = &state->model.settings;

  if (!settings_domain_is_valid (command_word (c, 0)) || !strchr (command_word (c, 0), '.')) {
    command_fail (c, "\"%s\" is not a domain like home.internal.", command_word (c, 0));
    return;
  }
  free (settings->domain);
  settings->domain = mem_strndup (command_word (c, 0), strlen (command_word (c, 0)));
  for (size_t i = 0; i < state->model.n_nodes; i++)
    state_changed (state, state->model.nodes[i], true); /* each has another full name now */
  settings_changed (c, "Set.");
}

static void
set_named (Command *c, NamedTextsList *list, bool (*is_valid) (const char *), const char *what)
{
  Texts values = {0};

  if (!settings_domain_is_valid (command_word (c, 0))) {
    command_fail (c, "\"%s\" is not a domain name.", command_word (c, 0));
    return;
  }
  if (!read_words (c, 1, is_valid, what, &values))
    return;
  bool removes = values.n == 0;
  if (!named_texts_set (list, command_word (c, 0), &values))
    command_fail (c, "There is no room for another one.");
  else
    settings_changed (c, removes ? "Removed." : "Set.");
}

void
command_dns_split (Command *c)
{
  set_named (c, &c->state->model.settings.split, is_name_server, "the address of a name server");
}

void
command_dns_record (Command *c)
{
  set_named (c, &c->state->model.settings.records, is_address, "an address");
}

/* ---- relays ---- */

void
command_derp_get (Command *c)
{
  DerpMap *map = settings_derp_map (&c->state->model.settings, c->state->derp_map);
  JsonWriter w;

  json_writer_init (&w);
  if (map)
    derp_map_encode (map, &w);
  else
    json_writer_raw (&w, "{}", 2);
  command_json (c, &w);
  for (size_t i = 0; map && i < map->n_regions; i++)
    for (size_t j = 0; j < map->regions[i].n_nodes; j++)
      command_say (c, "%-5u %-8s %-20s %s:%u\n", map->regions[i].id, map->regions[i].code,
                   map->regions[i].name, map->regions[i].nodes[j].host_name,
                   map->regions[i].nodes[j].derp_port);
  if (map)
    derp_map_unref (map);
}

void
command_derp_set (Command *c)
{
  const char *text = c->event->command.input ? c->event->command.input : "{}";
  CoSettings *settings = &c->state->model.settings;
  JsonReader r;

  json_reader_init (&r, text, strlen (text));
  DerpMap *map = strlen (text) <= DERP_TEXT_MAX ? derp_map_decode (&r) : NULL;
  bool ok = map && json_reader_ok (&r) && json_reader_end (&r);
  if (ok) {
    free (settings->derp_text);
    settings->derp_text = map->n_regions > 0 ? mem_strndup (text, strlen (text)) : NULL;
    settings_changed (c, "Set.");
  } else {
    command_fail (c, "That is not a DERP map: %s.", r.error ? r.error : "it is too large");
  }
  json_reader_clear (&r);
  if (map)
    derp_map_unref (map);
}
