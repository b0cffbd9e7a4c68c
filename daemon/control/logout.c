#include "control/core.h"

#include "netmap/register.h"

#include <sodium.h>
#include <string.h>

#define LOGOUT_US (5 * USEC_PER_SEC)
#define BODY_MAX  65536

void
logout_start (Control *c)
{
  if (!c->started || c->logout.active)
    return;
  login_suspend (c);
  map_stop (c);
  c->logout.active = true;
  c->logout.deadline = c->now + LOGOUT_US;
  if (key_zero (&c->identity->node_key) || !c->have_local)
    logout_finish (c, false);
}

bool
logout_wants_link (const Control *c)
{
  return c->logout.active && c->logout.exchange.stream == 0;
}

void
logout_send (Control *c)
{
  /* a date far in the past is what says "log out" (§9.7) */
  int32_t stream = register_send (c, &c->identity->node_key, &c->identity->old_node_key, NULL, NULL,
                                  (WallTime){.seconds = 123});

  if (stream != 0)
    exchange_begin (&c->logout.exchange, stream, c->logout.deadline);
}

void
logout_stream_event (Control *c, const H2Event *event)
{
  Exchange *exchange = &c->logout.exchange;
  RegisterResponse response;
  Arena arena = {0};

  if (!exchange_event (exchange, event, BODY_MAX))
    return;
  bool told = exchange->status == 200
              && register_response_decode (exchange->body.data, exchange->body.size, &arena,
                                           &response, NULL)
              && response.error[0] == '\0';
  arena_clear (&arena);
  logout_finish (c, told);
}

/* Forgets who we were to this server; the machine key and the server's own key stay. */
void
logout_finish (Control *c, bool told)
{
  ControlIdentity *id = c->identity;

  if (!c->logout.active)
    return;
  link_reset (c, &c->logout.exchange.stream);
  exchange_clear (&c->logout.exchange);
  c->logout.active = false;
  login_set_url (c, NULL);
  sodium_memzero (&id->node_key, sizeof id->node_key);
  sodium_memzero (&id->old_node_key, sizeof id->old_node_key);
  sodium_memzero (&id->pending_key, sizeof id->pending_key);
  sodium_memzero (&id->lock_key, sizeof id->lock_key);
  control_save (c);
  netmap_hold_set (c, NULL);
  dial_set_plan (c, NULL, 0);
  problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
  problem_connection (c, CONTROL_PROBLEM_NONE, NULL, false);
  dial_cancel (c);
  fetch_cancel_all (c);
  link_doom (c, "logged out");
  c->running = false;
  control_push (c, CONTROL_ACTION_LOGGED_OUT)->logged_out.server_told = told;
}
