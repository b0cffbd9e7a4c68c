/* Disco packets as they come from a socket: sealed ones, and inner messages as a peer's key would
 * open them. What is parsed must encode to something that parses to the same. */
#include "path/classify.h"
#include "path/disco.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
parse_inner (const uint8_t *inner, size_t size)
{
  DiscoMessage m, again;
  uint8_t out[65536];
  IpPort list[DISCO_ENDPOINTS_MAX];

  if (!disco_parse (inner, size, &m))
    return;
  assert (m.n_endpoints <= DISCO_ENDPOINTS_MAX);
  for (size_t i = 0; i < m.n_endpoints; i++)
    list[i] = disco_message_endpoint (&m, i);
  m.encode_endpoints = list;
  size_t n = disco_encode (&m, out, sizeof out);
  assert (n > 0 || size > 60000);
  if (n > 0) {
    assert (disco_parse (out, n, &again));
    assert (again.type == m.type && again.n_endpoints == m.n_endpoints);
    assert (n + DISCO_HEADER_SIZE + BOX_TAG_SIZE == disco_sealed_size (&m));
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const uint8_t shared[32] = {7};
  DiscoPublic sender;
  GeneveHeader geneve;

  if (size > 60000)
    return 0;
  uint8_t *inner = malloc (size + 1);
  (void)packet_classify (data, size);
  if (geneve_parse (data, size, &geneve)) {
    uint8_t header[GENEVE_HEADER_SIZE];
    GeneveHeader again;
    geneve_encode (&geneve, header);
    assert (geneve_parse (header, sizeof header, &again));
    assert (again.vni == geneve.vni && again.control == geneve.control);
  }
  if (disco_sender (data, size, &sender))
    (void)disco_open (data, size, shared, inner);
  free (inner);
  parse_inner (data, size);
  return 0;
}
