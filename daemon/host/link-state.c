#include "host/link-state.h"

#include <stdlib.h>
#include <string.h>

LinkState *
link_state_ref (LinkState *state)
{
  state->references++;
  return state;
}

void
link_state_unref (LinkState *state)
{
  if (!state || --state->references > 0)
    return;
  free (state->interfaces);
  free (state->addresses);
  free (state);
}

const LinkInterface *
link_state_interface (const LinkState *state, uint32_t index)
{
  for (size_t i = 0; i < state->n_interfaces; i++)
    if (state->interfaces[i].index == index)
      return &state->interfaces[i];
  return NULL;
}

static bool
address_is_usable (const LinkState *state, const LinkAddress *address)
{
  const LinkInterface *interface = link_state_interface (state, address->interface);
  const IpAddr *addr = &address->prefix.addr;

  return interface && interface->up && !interface->loopback && !ip_is_loopback (addr)
         && !ip_is_link_local (addr) && !(addr->family == 6 && ip_is_tailnet (addr));
}

bool
link_state_is_up (const LinkState *state)
{
  for (size_t i = 0; i < state->n_addresses; i++)
    if (address_is_usable (state, &state->addresses[i]))
      return true;
  return false;
}

static bool
interfaces_equal (const LinkInterface *a, const LinkInterface *b)
{
  return strcmp (a->name, b->name) == 0 && a->index == b->index && a->mtu == b->mtu
         && a->up == b->up && a->loopback == b->loopback && a->point_to_point == b->point_to_point;
}

static bool
addresses_equal (const LinkState *a, const LinkState *b)
{
  if (a->n_addresses != b->n_addresses)
    return false;
  for (size_t i = 0; i < a->n_addresses; i++)
    if (!ip_prefix_equal (&a->addresses[i].prefix, &b->addresses[i].prefix)
        || a->addresses[i].interface != b->addresses[i].interface)
      return false;
  return true;
}

bool
link_state_equal (const LinkState *a, const LinkState *b)
{
  if (a->n_interfaces != b->n_interfaces || a->default4 != b->default4 || a->default6 != b->default6
      || !ip_equal (&a->gateway4, &b->gateway4) || a->have4 != b->have4 || a->have6 != b->have6
      || a->ipv6_enabled != b->ipv6_enabled)
    return false;
  for (size_t i = 0; i < a->n_interfaces; i++)
    if (!interfaces_equal (&a->interfaces[i], &b->interfaces[i]))
      return false;
  return addresses_equal (a, b);
}

/* The usable addresses of A that B does not have in use. */
static bool
lost_usable_address (const LinkState *a, const LinkState *b)
{
  for (size_t i = 0; i < a->n_addresses; i++) {
    bool found = false;
    if (!address_is_usable (a, &a->addresses[i]))
      continue;
    for (size_t j = 0; j < b->n_addresses && !found; j++)
      found = a->addresses[i].interface == b->addresses[j].interface
              && ip_prefix_equal (&a->addresses[i].prefix, &b->addresses[j].prefix)
              && address_is_usable (b, &b->addresses[j]);
    if (!found)
      return true;
  }
  return false;
}

bool
link_state_is_major_change (const LinkState *a, const LinkState *b)
{
  if (!link_state_is_up (b))
    return false;
  if (!a)
    return true;
  return a->default4 != b->default4 || a->default6 != b->default6 || a->have4 != b->have4
         || a->have6 != b->have6 || lost_usable_address (a, b) || lost_usable_address (b, a);
}
