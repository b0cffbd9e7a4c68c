#include "dns/config.h"

#include "base/arena.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The value and the memory of its parts. */
typedef struct
{
  DnsConfig config;
  Arena arena;
} Packed;

static const char *
copy_text (Arena *arena, const char *text)
{
  return text && *text ? arena_strndup (arena, text, strlen (text)) : "";
}

static const DnsServer *
copy_servers (Arena *arena, const DnsServer *from, size_t n)
{
  DnsServer *to = arena_array (arena, DnsServer, n);

  for (size_t i = 0; i < n; i++) {
    to[i] = from[i];
    to[i].addr = copy_text (arena, from[i].addr);
    to[i].bootstrap
        = arena_dup (arena, from[i].bootstrap, from[i].n_bootstrap * sizeof *from[i].bootstrap);
  }
  return to;
}

DnsConfig *
dns_config_pack (const DnsConfig *draft)
{
  Packed *packed = mem_new (sizeof *packed);
  DnsConfig *c = &packed->config;
  Arena *arena = &packed->arena;
  DnsRoute *routes = arena_array (arena, DnsRoute, draft->n_routes);
  DnsHost *hosts = arena_array (arena, DnsHost, draft->n_hosts);
  const char **search = arena_array (arena, const char *, draft->n_search);

  memcpy (c, draft, sizeof *c);
  atomic_init (&c->references, 1);
  c->suffix = copy_text (arena, draft->suffix);
  c->defaults = copy_servers (arena, draft->defaults, draft->n_defaults);
  for (size_t i = 0; i < draft->n_routes; i++) {
    routes[i].suffix = copy_text (arena, draft->routes[i].suffix);
    routes[i].servers = copy_servers (arena, draft->routes[i].servers, draft->routes[i].n_servers);
    routes[i].n_servers = draft->routes[i].n_servers;
  }
  c->routes = routes;
  for (size_t i = 0; i < draft->n_search; i++)
    search[i] = copy_text (arena, draft->search[i]);
  c->search = search;
  for (size_t i = 0; i < draft->n_hosts; i++)
    hosts[i] = (DnsHost){copy_text (arena, draft->hosts[i].name), draft->hosts[i].addr};
  c->hosts = hosts;
  return c;
}

DnsConfig *
dns_config_ref (const DnsConfig *config)
{
  DnsConfig *c = (DnsConfig *)config;

  if (c)
    atomic_fetch_add_explicit (&c->references, 1, memory_order_relaxed);
  return c;
}

void
dns_config_unref (const DnsConfig *config)
{
  Packed *packed = (Packed *)config;

  if (!packed
      || atomic_fetch_sub_explicit (&packed->config.references, 1, memory_order_acq_rel) > 1)
    return;
  arena_clear (&packed->arena);
  free (packed);
}

static bool
same_servers (const DnsServer *a, size_t n_a, const DnsServer *b, size_t n_b)
{
  if (n_a != n_b)
    return false;
  for (size_t i = 0; i < n_a; i++)
    if (strcmp (a[i].addr, b[i].addr) != 0 || a[i].use_with_exit_node != b[i].use_with_exit_node
        || a[i].n_bootstrap != b[i].n_bootstrap
        || (a[i].n_bootstrap > 0
            && memcmp (a[i].bootstrap, b[i].bootstrap, a[i].n_bootstrap * sizeof *a[i].bootstrap)
                   != 0))
      return false;
  return true;
}

static bool
same_flags (const DnsConfig *a, const DnsConfig *b)
{
  return a->enabled == b->enabled && a->for_host == b->for_host && a->magic_dns == b->magic_dns
         && a->only_ipv6 == b->only_ipv6 && a->only_ipv4_service == b->only_ipv4_service
         && a->answer_aaaa == b->answer_aaaa && a->exit_node_proxy == b->exit_node_proxy;
}

bool
dns_config_equal (const DnsConfig *a, const DnsConfig *b)
{
  if (a == b)
    return true;
  if (!same_flags (a, b) || strcmp (a->suffix, b->suffix) != 0 || a->n_routes != b->n_routes
      || a->n_search != b->n_search || a->n_hosts != b->n_hosts
      || !same_servers (a->defaults, a->n_defaults, b->defaults, b->n_defaults))
    return false;
  for (size_t i = 0; i < a->n_routes; i++)
    if (strcmp (a->routes[i].suffix, b->routes[i].suffix) != 0
        || !same_servers (a->routes[i].servers, a->routes[i].n_servers, b->routes[i].servers,
                          b->routes[i].n_servers))
      return false;
  for (size_t i = 0; i < a->n_search; i++)
    if (strcmp (a->search[i], b->search[i]) != 0)
      return false;
  for (size_t i = 0; i < a->n_hosts; i++)
    if (strcmp (a->hosts[i].name, b->hosts[i].name) != 0
        || !ip_equal (&a->hosts[i].addr, &b->hosts[i].addr))
      return false;
  return true;
}
