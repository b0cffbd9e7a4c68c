#include "host/config.h"

#include <stdlib.h>
#include <string.h>

struct HostConfigBuilder
{
  HostConfig *config;
  size_t room_addresses;
  size_t room_routes;
  size_t room_peers4;
};

/* Room for one more element of SIZE bytes behind COUNT; aborts when there is no memory, as there is
 * nothing sensible to do without a configuration. */
static void *
grow (void *array, size_t count, size_t *room, size_t size)
{
  if (count < *room)
    return array;
  *room = *room ? *room * 2 : 8;
  array = realloc (array, *room * size);
  if (!array)
    abort ();
  return array;
}

HostConfigBuilder *
host_config_builder_new (void)
{
  HostConfigBuilder *b = calloc (1, sizeof *b);

  if (!b || !(b->config = calloc (1, sizeof *b->config)))
    abort ();
  b->config->references = 1;
  b->config->mtu = HOST_MTU_MIN;
  return b;
}

void
host_config_builder_set_mtu (HostConfigBuilder *b, uint32_t mtu)
{
  b->config->mtu = mtu < HOST_MTU_MIN ? HOST_MTU_MIN : mtu;
}

void
host_config_builder_set_kill_switch (HostConfigBuilder *b, bool on)
{
  b->config->kill_switch = on;
}

void
host_config_builder_set_guard_dns (HostConfigBuilder *b, bool on)
{
  b->config->guard_dns = on;
}

void
host_config_builder_set_drop_spoofed (HostConfigBuilder *b, bool on)
{
  b->config->drop_spoofed = on;
}

void
host_config_builder_set_forward (HostConfigBuilder *b, bool ipv4, bool ipv6, bool snat)
{
  b->config->forward4 = ipv4;
  b->config->forward6 = ipv6;
  b->config->snat = snat && (ipv4 || ipv6);
}

void
host_config_builder_add_address (HostConfigBuilder *b, const IpAddr *address)
{
  HostConfig *c = b->config;

  c->addresses = grow (c->addresses, c->n_addresses, &b->room_addresses, sizeof *c->addresses);
  c->addresses[c->n_addresses++] = ip_single (address);
}

void
host_config_builder_add_route (HostConfigBuilder *b, const IpPrefix *prefix, HostRouteType type)
{
  HostConfig *c = b->config;

  c->routes = grow (c->routes, c->n_routes, &b->room_routes, sizeof *c->routes);
  c->routes[c->n_routes++] = (HostRoute){.prefix = ip_prefix_mask (*prefix), .type = type};
}

void
host_config_builder_add_peer (HostConfigBuilder *b, const IpAddr *address)
{
  HostConfig *c = b->config;

  if (address->family != 4)
    return;
  c->peers4 = grow (c->peers4, c->n_peers4, &b->room_peers4, sizeof *c->peers4);
  c->peers4[c->n_peers4++] = *address;
}

static int
compare_prefixes (const void *a, const void *b)
{
  return ip_prefix_compare (a, b);
}

static int
compare_addresses (const void *a, const void *b)
{
  return ip_compare (a, b);
}

/* Which of two routes of one prefix wins: the first after sorting. */
static int
route_rank (HostRouteType type)
{
  static const int ranks[]
      = {[HOST_ROUTE_THROW] = 0, [HOST_ROUTE_UNREACHABLE] = 1, [HOST_ROUTE_TUNNEL] = 2};

  return ranks[type];
}

static int
compare_routes (const void *a, const void *b)
{
  const HostRoute *ra = a, *rb = b;
  int order = ip_prefix_compare (&ra->prefix, &rb->prefix);

  return order != 0 ? order : route_rank (ra->type) - route_rank (rb->type);
}

HostConfig *
host_config_build (HostConfigBuilder *b)
{
  HostConfig *c = b->config;
  size_t n = 0;

  free (b);
  if (c->n_addresses > 0)
    qsort (c->addresses, c->n_addresses, sizeof *c->addresses, compare_prefixes);
  if (c->n_peers4 > 0)
    qsort (c->peers4, c->n_peers4, sizeof *c->peers4, compare_addresses);
  if (c->n_routes > 0)
    qsort (c->routes, c->n_routes, sizeof *c->routes, compare_routes);
  for (size_t i = 0; i < c->n_routes; i++)
    if (n == 0 || !ip_prefix_equal (&c->routes[n - 1].prefix, &c->routes[i].prefix))
      c->routes[n++] = c->routes[i];
  c->n_routes = n;
  n = 0;
  for (size_t i = 0; i < c->n_peers4; i++)
    if (n == 0 || !ip_equal (&c->peers4[n - 1], &c->peers4[i]))
      c->peers4[n++] = c->peers4[i];
  c->n_peers4 = n;
  return c;
}

HostConfig *
host_config_ref (HostConfig *config)
{
  config->references++;
  return config;
}

void
host_config_unref (HostConfig *config)
{
  if (!config || --config->references > 0)
    return;
  free (config->addresses);
  free (config->routes);
  free (config->peers4);
  free (config);
}

bool
host_config_equal (const HostConfig *a, const HostConfig *b)
{
  if (a == b)
    return true;
  if (a->mtu != b->mtu || a->kill_switch != b->kill_switch || a->guard_dns != b->guard_dns
      || a->drop_spoofed != b->drop_spoofed || a->forward4 != b->forward4
      || a->forward6 != b->forward6 || a->snat != b->snat || a->n_addresses != b->n_addresses
      || a->n_routes != b->n_routes || a->n_peers4 != b->n_peers4)
    return false;
  for (size_t i = 0; i < a->n_addresses; i++)
    if (!ip_prefix_equal (&a->addresses[i], &b->addresses[i]))
      return false;
  for (size_t i = 0; i < a->n_routes; i++)
    if (compare_routes (&a->routes[i], &b->routes[i]) != 0)
      return false;
  for (size_t i = 0; i < a->n_peers4; i++)
    if (!ip_equal (&a->peers4[i], &b->peers4[i]))
      return false;
  return true;
}
