/* The host's network as path finding needs it: a value that the tunnel makes from host's LinkState,
 * so that path knows nothing of host. spec/path-finding.md §5.2, §14. */
#pragma once

#include "base/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct
{
  IpPrefix prefix; /* address with its on-link prefix length, host bits kept */
  char interface[16];
  bool loopback;      /* of a loopback interface */
  bool default_route; /* its interface carries a default route */
} PathAddress;

/* Addresses of interfaces that are up; our own tunnel is not among them. */
typedef struct
{
  const PathAddress *addresses;
  size_t n_addresses;
  IpAddr gateway4; /* router to the IPv4 internet, family 0: none */
  bool up;         /* some way out exists */
} PathLink;
