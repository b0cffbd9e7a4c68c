#include "session/exit-node.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EARTH_RADIUS_M 6371000.0
#define NEAR_M         100000.0 /* candidates so much farther than the nearest count as equal */
#define RADIANS        (M_PI / 180)

/* ---- the selected one ---- */

static bool
offers_any_default (const Node *node)
{
  for (size_t i = 0; i < node->n_allowed_ips; i++)
    if (ip_prefix_is_default (&node->allowed_ips[i]))
      return true;
  return false;
}

const Node *
exit_node_find (const Preferences *prefs, const Netmap *netmap, ExitNodeState *state)
{
  ExitNodeState ignored, *out = state ? state : &ignored;
  const Node *node = NULL;

  *out = EXIT_NODE_STATE_OFF;
  if (prefs->exit_node_mode == EXIT_NODE_NONE)
    return NULL;
  *out = EXIT_NODE_STATE_UNRESOLVED;
  if (prefs->exit_node_mode == EXIT_NODE_BY_ADDRESS)
    node = netmap_node_by_address (netmap, &prefs->exit_node_addr);
  else if (*prefs->exit_node_id)
    node = netmap_peer_by_stable_id (netmap, prefs->exit_node_id);
  else
    return NULL;
  if (!node && prefs->exit_node_mode == EXIT_NODE_BY_ADDRESS)
    return NULL;
  *out = EXIT_NODE_STATE_MISSING;
  if (!node || node == netmap_self (netmap) || !node_is_usable (node)
      || netmap_peer_is_duplicate (netmap, node))
    return NULL;
  *out = EXIT_NODE_STATE_NOT_OFFERING;
  if (!offers_any_default (node))
    return NULL;
  *out = node->online == TRI_FALSE ? EXIT_NODE_STATE_OFFLINE : EXIT_NODE_STATE_ON;
  return node;
}

/* ---- suggestion ---- */

double
exit_node_distance (double latitude1, double longitude1, double latitude2, double longitude2)
{
  double a = sin ((latitude2 - latitude1) * RADIANS / 2);
  double b = sin ((longitude2 - longitude1) * RADIANS / 2);
  double h = a * a + cos (latitude1 * RADIANS) * cos (latitude2 * RADIANS) * b * b;

  return 2 * EARTH_RADIUS_M * asin (fmin (1, sqrt (h)));
}

uint64_t
exit_node_rank (NodeId self, NodeId peer)
{
  uint8_t bytes[16];
  uint64_t x = UINT64_C (0xcbf29ce484222325);

  store_be64 (bytes, (uint64_t)self);
  store_be64 (bytes + 8, (uint64_t)peer);
  for (size_t i = 0; i < sizeof bytes; i++)
    x = (x ^ bytes[i]) * UINT64_C (0x100000001b3);
  x = (x ^ x >> 30) * UINT64_C (0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C (0x94d049bb133111eb);
  return x ^ x >> 31;
}

typedef struct
{
  const Node **nodes; /* in order of id */
  size_t n, room;
} Candidates;

static void
add_candidate (Candidates *c, const Node *node)
{
  c->nodes = mem_grow (c->nodes, c->n, &c->room, sizeof *c->nodes);
  c->nodes[c->n++] = node;
}

static Candidates
find_candidates (const Netmap *netmap)
{
  const Node *self = netmap_self (netmap), *node;
  bool everyone = node_has_cap (self, "client-side-reachability");
  NetmapIter iter = netmap_iter (netmap);
  Candidates found = {0};

  while ((node = netmap_iter_next (&iter)))
    if ((everyone || node->online == TRI_TRUE) && node_has_cap (node, "suggest-exit-node")
        && node_offers_exit (node) && node_is_usable (node))
      add_candidate (&found, node);
  return found;
}

/* The previous choice if it is among C, else any of them. */
static const Node *
pick (const Candidates *c, const ExitNodeHints *hints)
{
  for (size_t i = 0; i < c->n; i++)
    if (hints->previous && strcmp (c->nodes[i]->stable_id, hints->previous) == 0)
      return c->nodes[i];
  return c->n > 0 ? c->nodes[random_below (hints->random, c->n)] : NULL;
}

static int32_t
priority_of (const Node *node)
{
  bool located = node->hostinfo && node->hostinfo->location;

  return located ? node->hostinfo->location->priority : 0;
}

/* Scores given by the server; equal ones are told apart so that nodes spread. */
static const Node *
suggest_by_score (const Candidates *c, NodeId self)
{
  const Node *best = NULL;

  for (size_t i = 0; i < c->n; i++) {
    const Node *node = c->nodes[i];
    int32_t score = priority_of (node), top = best ? priority_of (best) : 0;
    uint64_t rank = exit_node_rank (self, node->id),
             top_rank = best ? exit_node_rank (self, best->id) : 0;
    if (!best || score > top || (score == top && rank > top_rank)
        || (score == top && rank == top_rank && node->id > best->id))
      best = node;
  }
  return best;
}

static double
latency_of (const ExitNodeHints *hints, unsigned region)
{
  for (size_t i = 0; i < hints->n_latencies; i++)
    if (hints->latencies[i].region == region && hints->latencies[i].seconds > 0)
      return hints->latencies[i].seconds;
  return INFINITY;
}

/* Those in the region of lowest latency. */
static const Node *
suggest_by_region (const Candidates *c, const ExitNodeHints *hints)
{
  Candidates with_home = {0}, inside = {0};
  const Node *chosen, *nearest = NULL;

  for (size_t i = 0; i < c->n; i++)
    if (c->nodes[i]->home_derp != 0)
      add_candidate (&with_home, c->nodes[i]);
  for (size_t i = 0; i < with_home.n; i++) {
    const Node *node = with_home.nodes[i];
    double latency = latency_of (hints, (unsigned)node->home_derp);
    if (isfinite (latency)
        && (!nearest || latency < latency_of (hints, (unsigned)nearest->home_derp)))
      nearest = node;
  }
  /* Nothing measured: any region, the present one if there is one. */
  if (!nearest)
    nearest = pick (&with_home, hints);
  for (size_t i = 0; i < with_home.n; i++)
    if (with_home.nodes[i]->home_derp == nearest->home_derp)
      add_candidate (&inside, with_home.nodes[i]);
  chosen = pick (&inside, hints);
  free (with_home.nodes);
  free (inside.nodes);
  return chosen;
}

static double
distance_to (const DerpRegion *home, const Node *node)
{
  const NodeLocation *place = node->hostinfo ? node->hostinfo->location : NULL;

  if (!home || !place)
    return INFINITY;
  return exit_node_distance (home->latitude, home->longitude, place->latitude, place->longitude);
}

/* The nearest, and of those about as near the ones of highest priority. */
static const Node *
suggest_by_place (const Candidates *c, const DerpRegion *home, const ExitNodeHints *hints)
{
  double nearest = INFINITY;
  Candidates best = {0};
  const Node *chosen;

  for (size_t i = 0; i < c->n; i++)
    nearest = fmin (nearest, distance_to (home, c->nodes[i]));
  if (!isfinite (nearest))
    return pick (c, hints);
  for (size_t i = 0; i < c->n; i++) {
    if (distance_to (home, c->nodes[i]) > nearest + NEAR_M)
      continue;
    if (best.n > 0 && priority_of (c->nodes[i]) > priority_of (best.nodes[0]))
      best.n = 0;
    if (best.n == 0 || priority_of (c->nodes[i]) == priority_of (best.nodes[0]))
      add_candidate (&best, c->nodes[i]);
  }
  chosen = pick (&best, hints);
  free (best.nodes);
  return chosen;
}

const Node *
exit_node_suggest (const Netmap *netmap, const ExitNodeHints *hints)
{
  const Node *self = netmap_self (netmap), *chosen = NULL;
  Candidates c = find_candidates (netmap);
  bool any_home = false;

  for (size_t i = 0; i < c.n; i++)
    any_home = any_home || c.nodes[i]->home_derp != 0;
  if (c.n == 1)
    chosen = c.nodes[0];
  else if (c.n > 0 && node_has_cap (self, "traffic-steering"))
    chosen = suggest_by_score (&c, self->id);
  else if (c.n > 0 && hints->home_region != 0 && any_home)
    chosen = suggest_by_region (&c, hints);
  else if (c.n > 0 && hints->home_region != 0)
    chosen = suggest_by_place (&c, derp_map_region (netmap_derp_map (netmap), hints->home_region),
                               hints);
  free (c.nodes);
  return chosen;
}

/* ---- the preference ---- */

static bool
set_id (Preferences *prefs, const char *id)
{
  if (strlen (id) >= sizeof prefs->exit_node_id || strcmp (prefs->exit_node_id, id) == 0)
    return false;
  memset (prefs->exit_node_id, 0, sizeof prefs->exit_node_id);
  memcpy (prefs->exit_node_id, id, strlen (id));
  return true;
}

/* The present automatic choice may stay while nothing better is known. */
static bool
is_still_allowed (const Preferences *prefs, const Netmap *netmap)
{
  const Node *node = netmap_peer_by_stable_id (netmap, prefs->exit_node_id);

  return node && node_offers_exit (node) && node_is_usable (node)
         && node_has_cap (node, "suggest-exit-node") && node->online != TRI_FALSE;
}

bool
exit_node_resolve (Preferences *prefs, const Netmap *netmap, const ExitNodeHints *hints)
{
  const Node *node;

  if (prefs->exit_node_mode == EXIT_NODE_BY_ADDRESS) {
    node = netmap_node_by_address (netmap, &prefs->exit_node_addr);
    if (!node || node == netmap_self (netmap) || !*node->stable_id
        || strlen (node->stable_id) >= sizeof prefs->exit_node_id)
      return false;
    set_id (prefs, node->stable_id);
    prefs->exit_node_addr = (IpAddr){0};
    prefs->exit_node_mode = EXIT_NODE_BY_ID;
    return true;
  }
  if (prefs->exit_node_mode != EXIT_NODE_AUTO)
    return false;
  ExitNodeHints present = *hints;
  present.previous = prefs->exit_node_id;
  node = exit_node_suggest (netmap, &present);
  if (node)
    return set_id (prefs, node->stable_id);
  return is_still_allowed (prefs, netmap) ? false : set_id (prefs, "");
}

/* ---- by name ---- */

/* Equal without a dot at the end and without regard to case. */
static bool
same_name (const char *a, const char *b, size_t length)
{
  size_t n = strlen (b);

  if (n > 0 && b[n - 1] == '.')
    n--;
  return length > 0 && length == n && strncasecmp (a, b, n) == 0;
}

static bool
is_named (const Netmap *netmap, const Node *node, const char *text)
{
  char base[NETMAP_NAME_MAX];
  size_t length = strlen (node->name);

  if (length > 0 && node->name[length - 1] == '.')
    length--;
  if (same_name (node->name, text, length))
    return true;
  netmap_display_name (netmap, node, base, sizeof base);
  return same_name (base, text, strlen (base));
}

ExitNodeNameResult
exit_node_by_name (const Netmap *netmap, const char *text, const Node **out)
{
  const Node *self = netmap_self (netmap), *found = NULL, *node;
  NetmapIter iter = netmap_iter (netmap);
  IpAddr addr;

  *out = NULL;
  if (ip_parse (text, strlen (text), &addr))
    found = netmap_node_by_address (netmap, &addr);
  else if (is_named (netmap, self, text) || strcmp (self->stable_id, text) == 0)
    found = self;
  else
    found = netmap_peer_by_stable_id (netmap, text);
  while (!found && (node = netmap_iter_next (&iter))) {
    if (!is_named (netmap, node, text))
      continue;
    if (*out)
      return *out = NULL, EXIT_NODE_NAME_AMBIGUOUS;
    *out = node;
  }
  found = found ? found : *out;
  *out = NULL;
  if (!found)
    return EXIT_NODE_NAME_UNKNOWN;
  if (found == self)
    return EXIT_NODE_NAME_SELF;
  if (!node_offers_exit (found))
    return EXIT_NODE_NAME_NOT_OFFERING;
  *out = found;
  return EXIT_NODE_NAME_OK;
}
