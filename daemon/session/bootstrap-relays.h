/* The relays of a network map, as far as the resolver can ask them for the address of the control
 * server when name servers fail (spec/control-protocol.md §4.4). Main thread. */
#pragma once

#include "host/bootstrap-dns.h"
#include "netmap/derp-map.h"

/* A new array of BootstrapRelay; MAP may be NULL. */
GPtrArray *bootstrap_relays_of (const DerpMap *map);
