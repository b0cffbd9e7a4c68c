/* What a session looks like from outside: nothing here changes anything. */
#include "session/session-private.h"

const Profile *
session_profile (const Session *s)
{
  return s->profile;
}

bool
session_is_active (const Session *s)
{
  return s->active;
}

bool
session_is_refused (const Session *s)
{
  return s->refused;
}

SessionState
session_state (const Session *s)
{
  return s->state;
}

bool
session_online (const Session *s)
{
  return s->online;
}

const char *
session_waiting (const Session *s)
{
  if (s->state != SESSION_STARTING)
    return "";
  if (!s->netmap)
    return s->control_state == CONTROL_SYNCHRONISING ? "netmap" : "server";
  return session_is_live (s) ? "" : "relay";
}

const Problem *
session_problem (const Session *s)
{
  if (problem_is_fatal (s->local_problem.code))
    return &s->local_problem;
  if (s->control_problem.code != PROBLEM_NONE)
    return &s->control_problem;
  return s->disk_problem.code != PROBLEM_NONE ? &s->disk_problem : &s->local_problem;
}

const char *
session_login_url (const Session *s, int64_t *expires_s)
{
  if (expires_s)
    *expires_s
        = s->profile->pending_url ? s->profile->pending_since_s + SESSION_LOGIN_URL_AGE_S : 0;
  return s->profile->pending_url;
}

Netmap *
session_netmap (const Session *s)
{
  return s->netmap;
}

Plan *
session_plan (const Session *s)
{
  return s->plan;
}

const TunnelEndpoint *
session_endpoints (const Session *s, size_t *n)
{
  *n = s->n_endpoints;
  return s->endpoints;
}

const TunnelNetReport *
session_net_report (const Session *s)
{
  return s->have_net_report ? &s->net_report : NULL;
}

bool
session_relay_is_up (const Session *s)
{
  return s->n_relays_up > 0;
}

unsigned
session_take_changes (Session *s)
{
  unsigned changes = s->changes;
  s->changes = 0;
  return changes;
}

const Health *
session_health (const Session *s)
{
  return &s->health;
}

const NodeId *
session_take_changed_peers (Session *s, size_t *n)
{
  *n = s->changed_peers->len;
  s->peers_taken = true;
  return (const NodeId *)(void *)s->changed_peers->data;
}
