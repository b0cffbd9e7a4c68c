/* The nodes of a relay region: which can be used, and how one is reached (spec/derp.md §2.3). Pure,
 * inside path only. */
#pragma once

#include "netmap/derp-map.h"
#include "path/path.h"

/* NODE relays and has an address family that is not turned off. */
bool relay_node_usable (const DerpNode *node);

/* The first usable node of REGION; NULL: none. */
const DerpNode *relay_node_first (const DerpRegion *region);

/* How to reach NODE; the strings are the caller's (path_action_clear frees those of actions). */
void relay_node_describe (const DerpRegion *region, const DerpNode *node, PathRelayNode *out);

/* Whether a connection to A is as good as one to B. */
bool relay_node_same (const DerpNode *a, const DerpNode *b);

/* The node called NAME in region ID of MAP (may be NULL), or NULL. */
const DerpNode *relay_node_find (const DerpMap *map, uint16_t id, const char *name);
