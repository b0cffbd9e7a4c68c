#include "control/core.h"

static void
schedule_expiry (Control *c)
{
  c->expire_at = TIME_NEVER;
  if (!c->netmap)
    return;
  WallTime at = netmap_next_expiry (c->netmap, c->wall);
  if (wall_time_is_unset (at))
    return;
  int64_t seconds = at.seconds - c->wall.seconds;
  c->expire_at = c->now + (seconds < 30 ? 30 : seconds) * USEC_PER_SEC;
}

/* Puts NEXT (a reference) in force and tells what changed; nothing is told when nothing did. */
static void
replace (Control *c, Netmap *next)
{
  NetmapChanges changes;

  netmap_changes_init (&changes);
  netmap_diff (c->netmap, next, &changes);
  if (changes.flags != 0) {
    ControlAction *action = control_push (c, CONTROL_ACTION_NETMAP);
    action->netmap.netmap = netmap_ref (next);
    action->netmap.changes = changes;
  } else
    netmap_changes_clear (&changes);
  netmap_unref (c->netmap);
  c->netmap = next;
  schedule_expiry (c);
}

static Netmap *
expire (Control *c, Netmap *map)
{
  Netmap *next = netmap_expire (map, netmap_control_time (map, c->wall), NULL);

  netmap_unref (map);
  return next;
}

bool
netmap_hold_expired (const Control *c)
{
  const Node *self = c->netmap ? netmap_self (c->netmap) : NULL;

  return self && self->expired;
}

void
netmap_hold_apply (Control *c, const MapMessage *message, bool first)
{
  bool was_expired = c->login.expired || netmap_hold_expired (c);
  Netmap *base = first ? netmap_new (c->netmap) : netmap_ref (c->netmap);
  Netmap *next = expire (c, netmap_apply (base, message, c->wall, NULL));

  netmap_unref (base);
  replace (c, next);
  if (message->keep_alive || !message->node)
    return;
  if (netmap_hold_expired (c))
    problem_login (c, CONTROL_PROBLEM_KEY_EXPIRED, NULL, false);
  else if (was_expired && c->login_problem.problem == CONTROL_PROBLEM_KEY_EXPIRED) {
    /* an administrator has extended the key */
    c->login.expired = false;
    problem_login (c, CONTROL_PROBLEM_NONE, NULL, false);
  }
}

void
netmap_hold_set (Control *c, Netmap *netmap)
{
  netmap_unref (c->netmap);
  c->netmap = netmap;
  schedule_expiry (c);
}

void
netmap_hold_tick (Control *c)
{
  if (!c->netmap || c->expire_at > c->now)
    return;
  replace (c, expire (c, netmap_ref (c->netmap)));
  if (netmap_hold_expired (c))
    problem_login (c, CONTROL_PROBLEM_KEY_EXPIRED, NULL, false);
}

void
netmap_hold_disco_key (Control *c, const NodePublic *peer, const DiscoPublic *key)
{
  const Node *node = c->netmap ? netmap_peer_by_key (c->netmap, peer) : NULL;

  if (node)
    replace (c, netmap_learn_disco_key (c->netmap, node->id, key, c->wall, NULL));
}
