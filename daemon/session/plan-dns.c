#include "base/arena.h"
#include "session/plan-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REVERSE_V4_FIRST 64 /* 64.100.in-addr.arpa … 127.100.in-addr.arpa are 100.64.0.0/10 */
#define REVERSE_V4_LAST  127
#define REVERSE_V6       "0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa"
#define URL_MAX          80

/* A configuration in the making; its parts belong to the netmap or to the arena. */
typedef struct
{
  const PlanInput *in;
  const NetmapDns *dns;
  Arena arena;
  DnsConfig draft;
  DnsRoute *routes;
  size_t n_routes;
} Names;

/* ---- routes ---- */

static void
add_route (Names *n, const char *suffix, const DnsServer *servers, size_t n_servers)
{
  n->routes[n->n_routes++] = (DnsRoute){suffix, servers, n_servers};
}

static int
compare_suffixes (const void *a, const void *b)
{
  return strcmp (((const DnsRoute *)a)->suffix, ((const DnsRoute *)b)->suffix);
}

/* By suffix; of equal ones those with servers first. */
static int
compare_routes (const void *a, const void *b)
{
  const DnsRoute *x = a, *y = b;
  int order = compare_suffixes (a, b);

  return order != 0 ? order : (x->n_servers == 0) - (y->n_servers == 0);
}

/* Sorts the routes and keeps one of each suffix: one that has servers wins. */
static void
tidy_routes (Names *n)
{
  size_t kept = 0;

  if (n->n_routes > 1)
    qsort (n->routes, n->n_routes, sizeof *n->routes, compare_routes);
  for (size_t i = 0; i < n->n_routes; i++)
    if (kept == 0 || compare_suffixes (&n->routes[kept - 1], &n->routes[i]) != 0)
      n->routes[kept++] = n->routes[i];
  n->n_routes = kept;
}

/* Some of the first N_SORTED routes is for NAME or a part behind one of its dots. */
static bool
is_covered (const Names *n, size_t n_sorted, const char *name)
{
  for (const char *at = name; at; at = strchr (at, '.') ? strchr (at, '.') + 1 : NULL) {
    DnsRoute key = {.suffix = at};
    if (n_sorted > 0 && bsearch (&key, n->routes, n_sorted, sizeof key, compare_suffixes) != NULL)
      return true;
  }
  return false;
}

/* Names that we answer ourselves: the tailnet's, and its addresses. */
static void
add_own_zones (Names *n)
{
  const char *suffix = netmap_magic_dns_suffix (n->in->netmap);

  if (*suffix)
    add_route (n, suffix, NULL, 0);
  for (int i = REVERSE_V4_FIRST; i <= REVERSE_V4_LAST; i++) {
    char zone[32];
    int length = snprintf (zone, sizeof zone, "%d.100.in-addr.arpa", i);
    add_route (n, arena_strndup (&n->arena, zone, (size_t)length), NULL, 0);
  }
  add_route (n, REVERSE_V6, NULL, 0);
}

/* Every added name that no route covers needs one of its own (row 9). */
static void
add_host_routes (Names *n)
{
  size_t n_sorted;

  tidy_routes (n);
  n_sorted = n->n_routes;
  for (size_t i = 0; i < n->draft.n_hosts; i++)
    if (!is_covered (n, n_sorted, n->draft.hosts[i].name))
      add_route (n, n->draft.hosts[i].name, NULL, 0);
  tidy_routes (n);
}

/* ---- servers ---- */

/* Those of N servers that go on being used with an exit node. */
static const DnsServer *
with_exit_node (Names *n, const DnsServer *servers, size_t n_servers, size_t *kept)
{
  DnsServer *list = arena_array (&n->arena, DnsServer, n_servers);

  *kept = 0;
  for (size_t i = 0; i < n_servers; i++)
    if (servers[i].use_with_exit_node)
      list[(*kept)++] = servers[i];
  return list;
}

/* The address of the exit node's own resolver, NULL when it has none. */
static const char *
exit_node_resolver (Names *n)
{
  const Node *exit = n->in->exit_node;
  char url[URL_MAX], text[IP_TEXT_MAX];

  if (!exit
      || (exit->cap < NODE_CAP_EXIT_DNS && node_service_port (exit, "peerapi-dns-proxy") == 0))
    return NULL;
  for (int family = 4; family <= 6; family += 2) {
    IpAddr addr = node_address (exit, family);
    uint16_t port = node_service_port (exit, family == 4 ? "peerapi4" : "peerapi6");
    if (port == 0 || addr.family == 0 || node_address (n->in->self, family).family == 0)
      continue;
    ip_format (&addr, text);
    int length = snprintf (url, sizeof url,
                           family == 4 ? "http://%s:%u/dns-query" : "http://[%s]:%u/dns-query",
                           text, port);
    return arena_strndup (&n->arena, url, (size_t)length);
  }
  return NULL;
}

/* Row 6: the exit node resolves everything but what the tailnet itself knows. */
static void
use_exit_node_resolver (Names *n, const char *url)
{
  const NetmapDns *dns = n->dns;

  n->draft.defaults = with_exit_node (n, dns->resolvers, dns->n_resolvers, &n->draft.n_defaults);
  if (n->draft.n_defaults == 0) {
    DnsServer *server = arena_array (&n->arena, DnsServer, 1);
    *server = (DnsServer){.addr = url};
    n->draft.defaults = server;
    n->draft.n_defaults = 1;
    n->draft.exit_node_proxy = true;
  }
  for (size_t i = 0; i < dns->n_routes; i++) {
    const NetmapDnsRoute *route = &dns->routes[i];
    size_t kept;
    const DnsServer *servers = with_exit_node (n, route->servers, route->n_servers, &kept);
    if (route->n_servers == 0 || kept > 0)
      add_route (n, route->suffix, servers, kept);
  }
}

/* Rows 7 and 8. */
static void
use_own_servers (Names *n)
{
  const NetmapDns *dns = n->dns;
  const Node *exit = n->in->exit_node;

  n->draft.defaults = dns->resolvers;
  n->draft.n_defaults = dns->n_resolvers;
  if (n->draft.n_defaults == 0 && exit && exit->wireguard_only) {
    n->draft.defaults = exit->exit_node_dns;
    n->draft.n_defaults = exit->n_exit_node_dns;
  }
  for (size_t i = 0; i < dns->n_routes; i++)
    add_route (n, dns->routes[i].suffix, dns->routes[i].servers, dns->routes[i].n_servers);
  if (n->draft.n_defaults == 0 && n->in->exit_selected) {
    n->draft.defaults = dns->fallback_resolvers;
    n->draft.n_defaults = dns->n_fallback_resolvers;
  }
}

/* ---- added names ---- */

static void
add_hosts (Names *n)
{
  DnsHost *hosts = arena_array (&n->arena, DnsHost, n->dns->n_extra_records);

  for (size_t i = 0; i < n->dns->n_extra_records; i++) {
    const NetmapDnsRecord *r = &n->dns->extra_records[i];
    IpAddr addr;
    if (!*r->name || !ip_parse (r->value, strlen (r->value), &addr))
      continue;
    if (!*r->type || (strcmp (r->type, "A") == 0 && addr.family == 4)
        || (strcmp (r->type, "AAAA") == 0 && addr.family == 6))
      hosts[n->draft.n_hosts++] = (DnsHost){r->name, addr};
  }
  n->draft.hosts = hosts;
}

static void
fill (Names *n)
{
  const PlanInput *in = n->in;
  const char *url = exit_node_resolver (n);

  n->draft.enabled = true;
  n->draft.for_host = in->prefs->accept_dns;
  n->draft.magic_dns = n->dns->proxied;
  n->draft.only_ipv6 = node_address (in->self, 4).family == 0;
  n->draft.only_ipv4_service = node_has_cap (in->self, "force-register-magicdns-ipv4-only");
  n->draft.answer_aaaa = node_has_cap (in->self, "magicdns-aaaa");
  n->draft.suffix = netmap_magic_dns_suffix (in->netmap);
  n->draft.search = n->dns->domains;
  n->draft.n_search = n->dns->n_domains;
  add_hosts (n);
  n->routes = arena_array (&n->arena, DnsRoute,
                           n->dns->n_routes + n->draft.n_hosts + REVERSE_V4_LAST + 2);
  if (n->dns->proxied)
    add_own_zones (n);
  if (url)
    use_exit_node_resolver (n, url);
  else
    use_own_servers (n);
  add_host_routes (n);
  n->draft.routes = n->routes;
  n->draft.n_routes = n->n_routes;
}

DnsConfig *
plan_dns (const PlanInput *in)
{
  static const NetmapDns nothing;
  Names n = {.in = in, .dns = netmap_dns (in->netmap), .draft = {.suffix = ""}};

  if (!n.dns)
    n.dns = &nothing;
  /* With the own key expired a resolver inside the tailnet would cut off all names (A.9). */
  if (!in->self->expired)
    fill (&n);
  DnsConfig *config = dns_config_pack (&n.draft);
  arena_clear (&n.arena);
  return config;
}
