#include "control/core.h"

#include "base/log.h"
#include "base/memory.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_RETRY_US (5 * USEC_PER_SEC)

/* --- Life ---------------------------------------------------------------------------------- */

char *
control_strdup (const char *text)
{
  return text ? mem_strndup (text, strlen (text)) : NULL;
}

Control *
control_new (const ControlConfig *config, Random *random, const char **error)
{
  ControlUrl url;

  if (!control_url_parse (config->server_url, &url)) {
    *error = "not a valid server address";
    return NULL;
  }
  Control *c = mem_new (sizeof *c);
  c->random = random;
  c->url = url;
  c->ports = control_url_ports (&url);
  if (config->tls_only && url.http.https)
    c->ports.plain = 0;
  c->machine_key = config->machine_key;
  c->tailnet = control_strdup (config->tailnet);
  c->ephemeral = config->ephemeral;
  if (asprintf (&c->user_agent, "Warren/%s", config->client_version) < 0)
    abort ();
  c->identity = secret_new (sizeof *c->identity);
  c->login.refresh_at = TIME_NEVER;
  c->expire_at = TIME_NEVER;
  c->save_retry_at = TIME_NEVER;
  c->map.watchdog = TIME_NEVER;
  c->link.ping_deadline = TIME_NEVER;
  c->last = &c->first;
  hostinfo_init (&c->hostinfo);
  return c;
}

void
control_free (Control *c)
{
  ControlAction action;

  if (!c)
    return;
  c->running = false;
  logout_finish (c, false);
  login_suspend (c);
  map_stop (c);
  dial_cancel (c);
  fetch_cancel_all (c);
  link_close (c, NULL);
  while (control_next_action (c, &action))
    control_action_clear (&action);
  for (size_t i = 0; i < PINGS_MAX; i++)
    buffer_free (&c->pings[i].body);
  exchange_clear (&c->lite.exchange);
  netmap_unref (c->netmap);
  arena_clear (&c->local_arena);
  control_identity_clear (c->identity);
  secret_free (c->identity);
  sodium_memzero (&c->machine_key, sizeof c->machine_key);
  if (c->login.auth_key)
    sodium_memzero (c->login.auth_key, strlen (c->login.auth_key));
  free (c->login.auth_key);
  free (c->user_agent);
  free (c->tailnet);
  free (c->endpoints);
  free (c->dial_plan);
  free (c->last_ping_url);
  free (c->last_pop_url);
  free (c->connection_problem.text);
  free (c->login_problem.text);
  free (c->told_problem.text);
  free (c);
}

/* --- Actions ------------------------------------------------------------------------------- */

ControlAction *
control_push (Control *c, ControlActionType type)
{
  QueuedAction *queued = mem_new (sizeof *queued);

  queued->action.type = type;
  *c->last = queued;
  c->last = &queued->next;
  return &queued->action;
}

bool
control_next_action (Control *c, ControlAction *action)
{
  QueuedAction *queued = c->first;

  if (!queued)
    return false;
  *action = queued->action;
  c->first = queued->next;
  if (!c->first)
    c->last = &c->first;
  sodium_memzero (queued, sizeof *queued);
  free (queued);
  return true;
}

void
control_action_clear (ControlAction *action)
{
  switch (action->type) {
    case CONTROL_ACTION_DIAL:
      free (action->dial.owned_host);
      break;
    case CONTROL_ACTION_SEND:
      free (action->send.data);
      break;
    case CONTROL_ACTION_SAVE:
      control_identity_clear (&action->save.identity);
      break;
    case CONTROL_ACTION_LOGIN_URL:
      free (action->login_url.url);
      break;
    case CONTROL_ACTION_REGISTERED:
      free (action->registered.login_name);
      free (action->registered.display_name);
      free (action->registered.picture_url);
      break;
    case CONTROL_ACTION_NETMAP:
      netmap_unref (action->netmap.netmap);
      netmap_changes_clear (&action->netmap.changes);
      break;
    case CONTROL_ACTION_PROBLEM:
      free (action->problem.text);
      break;
    case CONTROL_ACTION_PING:
      free (action->ping.types);
      break;
    case CONTROL_ACTION_POP_URL:
      free (action->pop_url.url);
      break;
    case CONTROL_ACTION_CLOSE:
    case CONTROL_ACTION_STATE:
    case CONTROL_ACTION_LOGGED_OUT:
      break;
  }
  memset (action, 0, sizeof *action);
}

uint32_t
control_dial (Control *c, const char *host, const IpAddr *ip, uint16_t port, bool tls, bool strict,
              int64_t timeout_us)
{
  ControlAction *action = control_push (c, CONTROL_ACTION_DIAL);

  if (++c->next_connection == 0)
    c->next_connection++;
  action->dial.connection = c->next_connection;
  action->dial.owned_host = control_strdup (host);
  action->dial.host = action->dial.owned_host;
  if (ip)
    action->dial.ip = *ip;
  action->dial.port = port;
  action->dial.tls = tls;
  action->dial.strict = strict;
  action->dial.timeout_us = timeout_us;
  return c->next_connection;
}

void
control_send (Control *c, uint32_t connection, Buffer *bytes)
{
  if (bytes->size == 0)
    return;
  ControlAction *action = control_push (c, CONTROL_ACTION_SEND);
  action->send.connection = connection;
  action->send.size = buffer_steal (bytes, &action->send.data);
}

void
control_close_connection (Control *c, uint32_t connection)
{
  if (connection != 0)
    control_push (c, CONTROL_ACTION_CLOSE)->close.connection = connection;
}

/* --- The identity on disk ------------------------------------------------------------------ */

uint32_t
control_save (Control *c)
{
  ControlAction *action = control_push (c, CONTROL_ACTION_SAVE);

  action->save.serial = ++c->save_serial;
  control_identity_copy (&action->save.identity, c->identity);
  return c->save_serial;
}

bool
control_is_saved (const Control *c, uint32_t serial)
{
  return (int32_t)(c->saved_serial - serial) >= 0;
}

static void
handle_saved (Control *c, const ControlEvent *event)
{
  if (!event->saved.ok) {
    problem_login (c, CONTROL_PROBLEM_STATE_UNWRITABLE, event->saved.text, true);
    c->save_retry_at = c->now + SAVE_RETRY_US;
    return;
  }
  c->saved_serial = event->saved.serial;
  c->save_retry_at = TIME_NEVER;
  if (c->login_problem.problem == CONTROL_PROBLEM_STATE_UNWRITABLE)
    problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
  login_saved (c);
}

/* --- Events of session --------------------------------------------------------------------- */

static void
handle_start (Control *c, const ControlEvent *event)
{
  control_identity_clear (c->identity);
  control_identity_copy (c->identity, event->start.identity);
  c->started = true;
  if (event->start.netmap)
    netmap_hold_set (c, netmap_ref (event->start.netmap));
}

static void
pause_all (Control *c)
{
  c->running = false;
  login_suspend (c);
  map_stop (c);
  dial_cancel (c);
  fetch_cancel_all (c);
  link_close (c, NULL);
}

static void
hurry (Control *c)
{
  backoff_reset (&c->login.backoff);
  backoff_reset (&c->map.backoff);
  backoff_reset (&c->lite.backoff);
}

static void
handle_resume (Control *c)
{
  if (c->running || !c->started)
    return;
  c->running = true;
  hurry (c);
  login_resume (c);
}

/* Latencies alone are no reason for an update. */
static bool
same_hostinfo (const Hostinfo *a, const Hostinfo *b)
{
  Hostinfo bare_a = *a, bare_b = *b;

  bare_a.net_info = bare_b.net_info = NULL;
  if (!hostinfo_equal (&bare_a, &bare_b) || !a->net_info != !b->net_info)
    return false;
  return !a->net_info || net_info_equal_but_latency (a->net_info, b->net_info);
}

static void
handle_local_state (Control *c, const ControlEvent *event)
{
  const Hostinfo *info = event->local_state.hostinfo;
  size_t n = event->local_state.n_endpoints;
  bool changed = !c->have_local || !key_same (&c->disco_key, &event->local_state.disco_key)
                 || n != c->n_endpoints || !same_hostinfo (info, &c->hostinfo);

  for (size_t i = 0; i < n && !changed; i++)
    changed = !ip_port_equal (&c->endpoints[i].addr, &event->local_state.endpoints[i])
              || c->endpoints[i].type != event->local_state.endpoint_types[i];

  Arena arena = {0};
  Hostinfo copy;
  hostinfo_copy (&copy, info, &arena);
  arena_clear (&c->local_arena);
  c->local_arena = arena;
  c->hostinfo = copy;
  c->endpoints = mem_resize (c->endpoints, (n > 0 ? n : 1) * sizeof *c->endpoints);
  for (size_t i = 0; i < n; i++)
    c->endpoints[i]
        = (MapEndpoint){event->local_state.endpoints[i], event->local_state.endpoint_types[i]};
  c->n_endpoints = n;
  c->disco_key = event->local_state.disco_key;
  c->have_local = true;
  if (changed)
    lite_want (c);
}

static void
handle_link (Control *c, const ControlEvent *event)
{
  bool lost = false;

  if (event->link.n_addresses > 0 && c->link.connection != 0 && c->link.local.family != 0) {
    lost = true;
    for (size_t i = 0; i < event->link.n_addresses && lost; i++)
      lost = !ip_equal (&event->link.addresses[i], &c->link.local);
  }
  if (event->link.major || lost) {
    dial_cancel (c);
    fetch_cancel_all (c);
    link_close (c, "the network changed");
  } else
    link_check (c);
  /* a new network may have what the old one lacked: nobody waits any longer */
  if (event->link.major || event->link.woke || lost)
    hurry (c);
}

/* --- Progress ------------------------------------------------------------------------------ */

/* Gives the link to those who want it, or gets one. */
static void
advance (Control *c)
{
  bool wanted = login_wants_link (c) || map_wants_link (c) || lite_wants_link (c)
                || ping_wants_link (c) || logout_wants_link (c);

  if (!wanted || c->key_blocked)
    return;
  if (link_ready (c)) {
    /* registration first: what the map may say depends on it */
    if (logout_wants_link (c))
      logout_send (c);
    if (login_wants_link (c))
      login_send (c);
    if (map_wants_link (c))
      map_send (c);
    if (lite_wants_link (c))
      lite_send (c);
    ping_send (c);
  } else if (c->link.connection != 0 || c->dial.active || fetch_running (c, FETCH_KEY)) {
    return; /* under way */
  } else if (key_zero (&c->identity->server_key) || c->key_suspect)
    server_key_fetch (c);
  else
    dial_start (c);
}

static void
tick (Control *c)
{
  if (c->save_retry_at <= c->now) {
    c->save_retry_at = TIME_NEVER;
    control_save (c);
  }
  if (c->logout.active && c->logout.deadline <= c->now)
    logout_finish (c, false);
  fetch_tick (c);
  dial_tick (c);
  link_tick (c);
  login_tick (c);
  map_tick (c);
  lite_tick (c);
  ping_tick (c);
  netmap_hold_tick (c);
}

static void
handle (Control *c, const ControlEvent *event)
{
  switch (event->type) {
    case CONTROL_EVENT_START:
      handle_start (c, event);
      break;
    case CONTROL_EVENT_RESUME:
      handle_resume (c);
      break;
    case CONTROL_EVENT_PAUSE:
      pause_all (c);
      break;
    case CONTROL_EVENT_LOGIN:
      login_user (c, event->login.auth_key, event->login.force);
      break;
    case CONTROL_EVENT_CANCEL_LOGIN:
      login_cancel (c);
      break;
    case CONTROL_EVENT_LOGOUT:
      logout_start (c);
      break;
    case CONTROL_EVENT_LOCAL_STATE:
      handle_local_state (c, event);
      break;
    case CONTROL_EVENT_LINK:
      handle_link (c, event);
      break;
    case CONTROL_EVENT_ACCEPT_KEY:
      server_key_accept (c);
      break;
    case CONTROL_EVENT_SAVED:
      handle_saved (c, event);
      break;
    case CONTROL_EVENT_PING_RESULT:
      ping_result (c, event->ping_result.ping, event->ping_result.json, event->ping_result.size);
      break;
    case CONTROL_EVENT_DISCO_KEY:
      netmap_hold_disco_key (c, &event->disco_key.peer, &event->disco_key.key);
      break;
    case CONTROL_EVENT_TICK:
      break;
    case CONTROL_EVENT_DIALED:
    case CONTROL_EVENT_DIAL_FAILED:
    case CONTROL_EVENT_BYTES:
    case CONTROL_EVENT_CLOSED:
      /* an id that nobody knows belongs to a connection that was just closed */
      if (!link_event (c, event) && !dial_event (c, event))
        fetch_event (c, event);
      break;
  }
}

void
control_input (Control *c, const ControlEvent *event, int64_t now_us)
{
  c->now = now_us;
  c->wall = event->wall;
  int64_t offset = c->wall.seconds - now_us / USEC_PER_SEC;
  if (offset - c->wall_offset > 2 || c->wall_offset - offset > 2) {
    c->wall_offset = offset;
    netmap_hold_tick (c); /* the clock was set: expiry is judged anew */
  }
  handle (c, event);
  tick (c);
  link_reap (c);
  advance (c);
  link_flush (c);
  link_reap (c);
  state_update (c);
}

int64_t
control_next_deadline (const Control *c)
{
  int64_t deadline = time_min (c->save_retry_at, c->expire_at);

  if (c->logout.active)
    deadline = time_min (deadline, c->logout.deadline);
  deadline = time_min (deadline, fetch_deadline (c));
  deadline = time_min (deadline, dial_deadline (c));
  deadline = time_min (deadline, link_deadline (c));
  deadline = time_min (deadline, login_deadline (c));
  deadline = time_min (deadline, map_deadline (c));
  deadline = time_min (deadline, lite_deadline (c));
  return time_min (deadline, ping_deadline (c));
}

const Netmap *
control_netmap (const Control *c)
{
  return c->netmap;
}

int64_t
control_clock_offset_us (const Control *c)
{
  return c->netmap ? netmap_control_delta_us (c->netmap) : 0;
}
