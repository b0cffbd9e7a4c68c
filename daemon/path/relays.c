#include "path/relays.h"

#include "base/log.h"
#include "base/memory.h"
#include "path/relay-node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_STEP_US (10 * USEC_PER_MSEC)
#define BACKOFF_STEPS   32 /* n² · 10 ms is beyond the maximum by then */
#define IPV6_HEAD_START (200 * USEC_PER_MSEC)
#define STABLE_US       (10 * USEC_PER_SEC) /* up so long: a loss starts the back-off anew */
#define BAD_NODES       8                   /* of a region, remembered at once */
#define ERROR_MAX       160

typedef enum
{
  RELAY_CONNECTING,
  RELAY_UP,
  RELAY_BACKOFF,
} RelayState;

typedef struct
{
  char *name;
  int64_t until_us;
} BadNode;

/* A region that has a connection or is about to have one. */
typedef struct
{
  uint16_t region;
  RelayState state;
  uint32_t connection; /* of this attempt, 0 in back-off */
  char *node_name;     /* connected or being connected to */
  DerpMap *map;        /* that the node came from */
  int64_t deadline_us; /* CONNECTING: give up; BACKOFF: try again */
  int64_t wanted_us;   /* last packet for it */
  int64_t up_us;       /* since when it is UP */
  int64_t frame_us;    /* last frame from it, 0: none */
  unsigned failures;   /* in a row */
  IpAddr local;        /* of the TCP connection */
  BadNode bad[BAD_NODES];
} Relay;

struct Relays
{
  PathActions *actions;
  Random *random;
  DerpMap *map;
  Relay **items;
  size_t count;
  size_t room;
  bool running;
  bool ipv6_works;
  uint16_t home;
  int64_t home_since_us;
  uint32_t last_connection;
  unsigned refusals; /* of home's login, running */
  char error[ERROR_MAX];
};

Relays *
relays_new (PathActions *actions, Random *random)
{
  Relays *r = mem_new (sizeof *r);

  r->actions = actions;
  r->random = random;
  return r;
}

static void
relay_free (Relay *relay)
{
  for (size_t i = 0; i < BAD_NODES; i++)
    free (relay->bad[i].name);
  free (relay->node_name);
  if (relay->map)
    derp_map_unref (relay->map);
  free (relay);
}

void
relays_free (Relays *r)
{
  if (!r)
    return;
  for (size_t i = 0; i < r->count; i++)
    relay_free (r->items[i]);
  if (r->map)
    derp_map_unref (r->map);
  free (r->items);
  free (r);
}

static Relay *
find (const Relays *r, uint16_t region)
{
  for (size_t i = 0; i < r->count; i++)
    if (r->items[i]->region == region)
      return r->items[i];
  return NULL;
}

static Relay *
find_connection (const Relays *r, uint32_t connection)
{
  for (size_t i = 0; connection != 0 && i < r->count; i++)
    if (r->items[i]->connection == connection)
      return r->items[i];
  return NULL;
}

/* ---- which node of a region ---- */

static bool
is_bad (const Relay *relay, const char *name, int64_t now_us)
{
  for (size_t i = 0; i < BAD_NODES; i++)
    if (relay->bad[i].name && strcmp (relay->bad[i].name, name) == 0
        && now_us < relay->bad[i].until_us)
      return true;
  return false;
}

static void
mark_bad (Relay *relay, const char *name, int64_t now_us)
{
  BadNode *oldest = &relay->bad[0];

  for (size_t i = 0; i < BAD_NODES; i++) {
    BadNode *bad = &relay->bad[i];
    if (bad->name && strcmp (bad->name, name) == 0) {
      oldest = bad;
      break;
    }
    if (bad->until_us < oldest->until_us)
      oldest = bad;
  }
  char *copy = mem_strndup (name, strlen (name));
  free (oldest->name);
  *oldest = (BadNode){.name = copy, .until_us = now_us + RELAYS_BAD_NODE_US};
}

/* The first node that did not fail lately; when all did, the first that relays at all. */
static const DerpNode *
choose_node (const Relay *relay, const DerpRegion *region, int64_t now_us)
{
  for (size_t i = 0; i < region->n_nodes; i++)
    if (relay_node_usable (&region->nodes[i]) && !is_bad (relay, region->nodes[i].name, now_us))
      return &region->nodes[i];
  return relay_node_first (region);
}

static char *
relay_name (const DerpNode *node)
{
  const char *name = node->name ? node->name : "";

  return mem_strndup (name, strlen (name));
}

/* ---- life of a connection ---- */

static void
disconnect (Relays *r, Relay *relay)
{
  if (relay->connection != 0)
    actions_add (r->actions, PATH_ACTION_RELAY_CLOSE)->relay_close = relay->connection;
  relay->connection = 0;
}

static void
forget (Relays *r, Relay *relay)
{
  for (size_t i = 0; i < r->count; i++)
    if (r->items[i] == relay) {
      r->items[i] = r->items[--r->count];
      break;
    }
  relay_free (relay);
}

static bool
is_wanted (const Relays *r, const Relay *relay, int64_t now_us)
{
  return relay->region == r->home || now_us - relay->wanted_us < RELAYS_IDLE_US;
}

static void
back_off (Relays *r, Relay *relay, int64_t now_us)
{
  int64_t n = relay->failures < BACKOFF_STEPS ? relay->failures : BACKOFF_STEPS;
  int64_t wait = time_min (n * n * BACKOFF_STEP_US, RELAYS_BACKOFF_MAX_US);

  relay->state = RELAY_BACKOFF;
  relay->connection = 0;
  relay->frame_us = 0;
  relay->deadline_us = now_us + (wait > 0 ? random_between (r->random, wait / 2, wait * 3 / 2) : 0);
}

static void
connect_relay (Relays *r, Relay *relay, int64_t now_us)
{
  const DerpRegion *region = r->map ? derp_map_region (r->map, relay->region) : NULL;
  const DerpNode *node = region ? choose_node (relay, region, now_us) : NULL;

  if (!node) {
    forget (r, relay);
    return;
  }
  free (relay->node_name);
  relay->node_name = relay_name (node);
  if (relay->map)
    derp_map_unref (relay->map);
  relay->map = derp_map_ref (r->map);
  relay->state = RELAY_CONNECTING;
  relay->deadline_us = now_us + RELAYS_SETUP_US;
  relay->connection = ++r->last_connection;
  PathAction *action = actions_add (r->actions, PATH_ACTION_RELAY_CONNECT);
  action->relay_connect.connection = relay->connection;
  action->relay_connect.home = relay->region == r->home;
  relay_node_describe (region, node, &action->relay_connect.node);
  if (r->ipv6_works)
    action->relay_connect.node.ipv4_delay_us = IPV6_HEAD_START;
}

static void
start (Relays *r, uint16_t region, int64_t now_us)
{
  const DerpRegion *known = r->map ? derp_map_region (r->map, region) : NULL;

  if (!r->running || region == 0 || find (r, region) || !known || !relay_node_first (known))
    return;
  r->items = mem_grow (r->items, r->count, &r->room, sizeof *r->items);
  Relay *relay = mem_new (sizeof *relay);
  r->items[r->count++] = relay;
  relay->region = region;
  relay->wanted_us = now_us;
  connect_relay (r, relay, now_us);
}

static void
stop (Relays *r, Relay *relay)
{
  disconnect (r, relay);
  forget (r, relay);
}

static void
stop_all (Relays *r)
{
  while (r->count > 0)
    stop (r, r->items[0]);
}

/* Room for one more: the longest unused goes. */
static void
evict (Relays *r)
{
  Relay *idlest = NULL;
  size_t n = 0;

  for (size_t i = 0; i < r->count; i++) {
    Relay *relay = r->items[i];
    if (relay->region == r->home)
      continue;
    n++;
    if (!idlest || relay->wanted_us < idlest->wanted_us)
      idlest = relay;
  }
  if (n >= RELAYS_MAX)
    stop (r, idlest);
}

void
relays_want (Relays *r, uint16_t region, int64_t now_us)
{
  Relay *relay = find (r, region);

  if (relay) {
    relay->wanted_us = now_us;
    return;
  }
  if (region != r->home)
    evict (r);
  start (r, region, now_us);
}

uint16_t
relays_region_for (const Relays *r, uint16_t home, uint32_t connection)
{
  const Relay *relay = find (r, home);
  const Relay *heard = find_connection (r, connection);
  bool known = r->map && home != 0 && derp_map_region (r->map, home);

  if (!known && home != 0)
    return 0;
  if (known && relay && relay->state == RELAY_UP)
    return home;
  if (heard && heard->state == RELAY_UP)
    return heard->region;
  return known ? home : 0;
}

/* ---- what is wanted ---- */

static bool
still_fits (const Relays *r, const Relay *relay)
{
  const DerpNode *before = relay_node_find (relay->map, relay->region, relay->node_name);
  const DerpNode *now = relay_node_find (r->map, relay->region, relay->node_name);

  return before && now && relay_node_same (before, now);
}

void
relays_set_map (Relays *r, DerpMap *map, int64_t now_us)
{
  DerpMap *old = r->map;

  r->map = map ? derp_map_ref (map) : NULL;
  for (size_t i = r->count; i-- > 0;)
    if (!still_fits (r, r->items[i]))
      stop (r, r->items[i]);
  if (old)
    derp_map_unref (old);
  start (r, r->home, now_us);
}

void
relays_set_running (Relays *r, bool running, int64_t now_us)
{
  if (r->running == running)
    return;
  r->running = running;
  if (running)
    start (r, r->home, now_us);
  else
    stop_all (r);
}

static void
tell_home (Relays *r, uint16_t region, bool home)
{
  const Relay *relay = find (r, region);

  if (!relay || relay->connection == 0)
    return;
  PathAction *action = actions_add (r->actions, PATH_ACTION_RELAY_HOME);
  action->relay_home.connection = relay->connection;
  action->relay_home.home = home;
}

void
relays_set_home (Relays *r, uint16_t region, int64_t now_us)
{
  uint16_t old = r->home;

  if (old == region)
    return;
  r->home = region;
  r->home_since_us = now_us;
  log_debug ("relay", "home is region %u", region);
  r->refusals = 0;
  r->error[0] = '\0';
  tell_home (r, old, false);
  tell_home (r, region, true);
  start (r, region, now_us);
}

uint16_t
relays_home (const Relays *r)
{
  return r->home;
}

bool
relays_home_is_up (const Relays *r)
{
  const Relay *relay = find (r, r->home);

  return relay && relay->state == RELAY_UP;
}

void
relays_set_ipv6 (Relays *r, bool works)
{
  r->ipv6_works = works;
}

void
relays_restart (Relays *r, int64_t now_us)
{
  stop_all (r);
  start (r, r->home, now_us);
}

/* ---- events of connections ---- */

bool
relays_on_up (Relays *r, uint32_t connection, const IpAddr *local, int64_t now_us)
{
  Relay *relay = find_connection (r, connection);

  if (!relay)
    return false;
  relay->state = RELAY_UP;
  relay->deadline_us = TIME_NEVER;
  relay->up_us = relay->frame_us = now_us;
  relay->local = *local;
  log_debug ("relay", "region %u is up (%s)", relay->region, relay->node_name);
  if (relay->region == r->home) {
    r->refusals = 0;
    r->error[0] = '\0';
  }
  return true;
}

static void
note_failure (Relays *r, const Relay *relay, PathRelayClosed reason, const char *text)
{
  if (relay->region != r->home)
    return;
  r->refusals = reason == RELAY_CLOSED_REFUSED ? r->refusals + 1 : 0;
  snprintf (r->error, sizeof r->error, "%s", text ? text : "");
}

static void
on_failed (Relays *r, Relay *relay, PathRelayClosed reason, const char *text, int64_t now_us)
{
  note_failure (r, relay, reason, text);
  log_debug ("relay", "region %u (%s): %s", relay->region, relay->node_name, text ? text : "lost");
  if (relay->state == RELAY_CONNECTING)
    mark_bad (relay, relay->node_name, now_us);
  else if (now_us - relay->up_us >= STABLE_US)
    relay->failures = 0;
  relay->failures++;
  if (is_wanted (r, relay, now_us))
    back_off (r, relay, now_us);
  else
    forget (r, relay);
}

bool
relays_on_closed (Relays *r, uint32_t connection, PathRelayClosed reason, const char *text,
                  int64_t now_us)
{
  Relay *relay = find_connection (r, connection);

  if (!relay)
    return false;
  on_failed (r, relay, reason, text, now_us);
  return true;
}

bool
relays_on_restarting (Relays *r, uint32_t connection, int64_t back_us, int64_t now_us)
{
  Relay *relay = find_connection (r, connection);
  const DerpRegion *region = relay && r->map ? derp_map_region (r->map, relay->region) : NULL;

  if (!relay || !region)
    return false;
  log_debug ("relay", "region %u (%s) restarts", relay->region, relay->node_name);
  disconnect (r, relay);
  mark_bad (relay, relay->node_name, now_us);
  relay->failures = 0;
  if (!is_wanted (r, relay, now_us)) {
    forget (r, relay);
    return true;
  }
  const DerpNode *other = choose_node (relay, region, now_us);
  if (other && !is_bad (relay, other->name, now_us)) {
    connect_relay (r, relay, now_us);
    return true;
  }
  back_off (r, relay, now_us);
  relay->deadline_us = now_us + time_min (back_us, RELAYS_RESTART_MAX_US);
  return true;
}

void
relays_on_frame (Relays *r, uint32_t connection, int64_t now_us)
{
  Relay *relay = find_connection (r, connection);

  if (relay)
    relay->frame_us = now_us;
}

uint16_t
relays_region_of (const Relays *r, uint32_t connection)
{
  const Relay *relay = find_connection (r, connection);

  return relay ? relay->region : 0;
}

int64_t
relays_last_frame_us (const Relays *r, uint16_t region)
{
  const Relay *relay = find (r, region);

  return relay ? relay->frame_us : 0;
}

static bool
link_has (const PathLink *link, const IpAddr *local)
{
  if (local->family == 0 || ip_is_loopback (local))
    return true;
  for (size_t i = 0; i < link->n_addresses; i++)
    if (ip_equal (&link->addresses[i].prefix.addr, local))
      return true;
  return false;
}

void
relays_link_changed (Relays *r, const PathLink *link, int64_t now_us)
{
  for (size_t i = r->count; i-- > 0;) {
    Relay *relay = r->items[i];
    relay->failures = 0;
    if (relay->state == RELAY_UP && link_has (link, &relay->local)) {
      actions_add (r->actions, PATH_ACTION_RELAY_PING)->relay_ping = relay->connection;
      continue;
    }
    /* its address is gone, or an attempt began on the old network: begin anew */
    disconnect (r, relay);
    if (is_wanted (r, relay, now_us))
      connect_relay (r, relay, now_us);
    else
      forget (r, relay);
  }
}

void
relays_ping_all (Relays *r)
{
  for (size_t i = 0; i < r->count; i++)
    if (r->items[i]->state == RELAY_UP)
      actions_add (r->actions, PATH_ACTION_RELAY_PING)->relay_ping = r->items[i]->connection;
}

/* ---- time ---- */

static int64_t
deadline_of (const Relays *r, const Relay *relay)
{
  if (relay->state != RELAY_UP || relay->region == r->home)
    return relay->deadline_us;
  return relay->wanted_us + RELAYS_IDLE_US;
}

static void
tick_one (Relays *r, Relay *relay, int64_t now_us)
{
  switch (relay->state) {
    case RELAY_CONNECTING:
      disconnect (r, relay);
      on_failed (r, relay, RELAY_CLOSED_TCP, "the relay did not answer within 10 s", now_us);
      break;
    case RELAY_BACKOFF:
      if (is_wanted (r, relay, now_us))
        connect_relay (r, relay, now_us);
      else
        forget (r, relay);
      break;
    case RELAY_UP:
      stop (r, relay);
      break;
  }
}

void
relays_tick (Relays *r, int64_t now_us)
{
  for (size_t i = r->count; i-- > 0;)
    if (now_us >= deadline_of (r, r->items[i]))
      tick_one (r, r->items[i], now_us);
}

int64_t
relays_next_deadline (const Relays *r)
{
  int64_t deadline = TIME_NEVER;

  for (size_t i = 0; i < r->count; i++)
    deadline = time_min (deadline, deadline_of (r, r->items[i]));
  return deadline;
}

void
relays_status (const Relays *r, PathRelayStatus *out)
{
  const Relay *home = find (r, r->home);

  *out = (PathRelayStatus){.home_region = r->home,
                           .home_up = relays_home_is_up (r),
                           .home_since_us = r->home_since_us,
                           .home_last_frame_us = home ? home->frame_us : 0,
                           .refused = r->refusals >= RELAYS_REFUSALS};
  snprintf (out->error, sizeof out->error, "%s", r->error);
}
