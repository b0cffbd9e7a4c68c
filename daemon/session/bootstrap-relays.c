#include "session/bootstrap-relays.h"

static void
add (GPtrArray *relays, const DerpNode *node)
{
  if (node->stun_only || (node->ipv4.family == 0 && node->ipv6.family == 0))
    return;
  BootstrapRelay *relay = g_new0 (BootstrapRelay, 1);
  *relay = (BootstrapRelay){.host = g_strdup (node->host_name),
                            .cert_name = g_strdup (node->cert_name),
                            .ip4 = node->ipv4,
                            .ip6 = node->ipv6,
                            .port = node->derp_port,
                            .insecure = node->insecure_for_tests};
  g_ptr_array_add (relays, relay);
}

GPtrArray *
bootstrap_relays_of (const DerpMap *map)
{
  GPtrArray *relays = g_ptr_array_new_with_free_func (bootstrap_relay_free);
  for (size_t i = 0; map && i < map->n_regions; i++)
    for (size_t k = 0; k < map->regions[i].n_nodes; k++)
      add (relays, &map->regions[i].nodes[k]);
  return relays;
}
