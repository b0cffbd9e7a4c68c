/* Answers of NAT-PMP and PCP, as a router on a foreign network may send them. */
#include "path/portmap-wire.h"

#include <assert.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  uint8_t request[PORTMAP_REQUEST_MAX];
  PortmapAnswer answer;

  if (portmap_parse (data, size, &answer)) {
    PcpMap map = {.own = ip_from_v4 (0xc0a80114),
                  .internal = answer.internal,
                  .external = answer.external,
                  .lifetime_s = answer.lifetime_s};
    assert (answer.type <= PORTMAP_PCP_MAP);
    assert (answer.address.family == 0 || answer.address.family == 4);
    assert (portmap_encode_pcp_map (&map, request) == 60);
    assert (portmap_encode_pmp_map (answer.internal, answer.external, 1, request) == 12);
    assert (portmap_encode_pcp_announce (&map.own, request) == 24);
    assert (portmap_encode_pmp_address (request) == 2);
    assert (!portmap_parse (request, 2, &answer));
  }
  return 0;
}
