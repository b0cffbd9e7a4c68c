/* What the host's network looks like: interfaces, addresses, the way out.
 *
 * An immutable, reference-counted snapshot made by host/link-monitor (spec/linux-host.md §9); input
 * of session/plan and, through tunnel, of path finding. Our own TUN device is left out. Any thread.
 */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_NAME_MAX 16

typedef struct
{
  char name[LINK_NAME_MAX];
  uint32_t index;
  uint32_t mtu;
  bool up;
  bool loopback;
  bool point_to_point;
} LinkInterface;

typedef struct
{
  IpPrefix prefix;    /* the address with its on-link prefix length, host bits kept */
  uint32_t interface; /* index of its interface */
} LinkAddress;

typedef struct LinkState LinkState;
struct LinkState
{
  _Atomic unsigned references;
  LinkInterface *interfaces; /* sorted by index */
  size_t n_interfaces;
  LinkAddress *addresses; /* sorted */
  size_t n_addresses;
  uint32_t
      default4; /* interface index of the way to the IPv4 internet by a marked packet, 0 none */
  uint32_t default6;
  IpAddr gateway4; /* family 0: none */
  bool have4;      /* a usable address of the family on an interface that is up */
  bool have6;
  bool ipv6_enabled; /* the kernel accepts IPv6 addresses, routes and rules */
};

LinkState *link_state_ref (LinkState *state);
void link_state_unref (LinkState *state);
bool link_state_equal (const LinkState *a, const LinkState *b);

/* The interface with INDEX, or NULL. */
const LinkInterface *link_state_interface (const LinkState *state, uint32_t index);

/* True when any interface but loopback is up and has a usable address. */
bool link_state_is_up (const LinkState *state);

/* True when the change from A (may be NULL) to B calls for new sockets and fresh probing: spec §9
 * "Major". */
bool link_state_is_major_change (const LinkState *a, const LinkState *b);
