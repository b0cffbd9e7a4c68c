#include "path/relay-node.h"

#include "base/memory.h"

#include <string.h>

static bool
family_usable (const DerpNode *node, unsigned family)
{
  IpAddr literal;

  if (family == 4 ? node->no_ipv4 : node->no_ipv6)
    return false;
  if ((family == 4 ? node->ipv4 : node->ipv6).family != 0)
    return true;
  /* a host name that is an address is of one family only */
  if (ip_parse (node->host_name, strlen (node->host_name), &literal))
    return literal.family == family;
  return true;
}

bool
relay_node_usable (const DerpNode *node)
{
  return !node->stun_only && (family_usable (node, 4) || family_usable (node, 6));
}

const DerpNode *
relay_node_first (const DerpRegion *region)
{
  for (size_t i = 0; i < region->n_nodes; i++)
    if (relay_node_usable (&region->nodes[i]))
      return &region->nodes[i];
  return NULL;
}

static char *
copy_text (const char *text)
{
  return text ? mem_strndup (text, strlen (text)) : NULL;
}

static void
describe_family (const DerpNode *node, unsigned family, IpAddr *addr, bool *resolve)
{
  IpAddr literal;

  if (!family_usable (node, family))
    return;
  *addr = family == 4 ? node->ipv4 : node->ipv6;
  if (addr->family == 0 && ip_parse (node->host_name, strlen (node->host_name), &literal))
    *addr = literal;
  *resolve = addr->family == 0;
}

void
relay_node_describe (const DerpRegion *region, const DerpNode *node, PathRelayNode *out)
{
  const DerpNode *first = relay_node_first (region);

  *out = (PathRelayNode){.region = region->id,
                         .node_name = copy_text (node->name ? node->name : ""),
                         .host = copy_text (node->host_name),
                         .cert_name = copy_text (node->cert_name),
                         .port = node->derp_port,
                         .insecure = node->insecure_for_tests};
  if (first && first != node)
    out->ideal_node = copy_text (first->name);
  describe_family (node, 4, &out->addr4, &out->resolve4);
  describe_family (node, 6, &out->addr6, &out->resolve6);
}

static bool
same_text (const char *a, const char *b)
{
  return a == b || (a && b && strcmp (a, b) == 0);
}

bool
relay_node_same (const DerpNode *a, const DerpNode *b)
{
  return same_text (a->host_name, b->host_name) && same_text (a->cert_name, b->cert_name)
         && ip_equal (&a->ipv4, &b->ipv4) && ip_equal (&a->ipv6, &b->ipv6)
         && a->no_ipv4 == b->no_ipv4 && a->no_ipv6 == b->no_ipv6 && a->derp_port == b->derp_port
         && a->stun_only == b->stun_only && a->insecure_for_tests == b->insecure_for_tests;
}

const DerpNode *
relay_node_find (const DerpMap *map, uint16_t id, const char *name)
{
  const DerpRegion *region = map ? derp_map_region (map, id) : NULL;

  for (size_t i = 0; region && i < region->n_nodes; i++)
    if (same_text (region->nodes[i].name ? region->nodes[i].name : "", name))
      return &region->nodes[i];
  return NULL;
}
