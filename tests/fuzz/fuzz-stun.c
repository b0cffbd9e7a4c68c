/* STUN messages, as a client and as a server reads them. */
#include "path/stun.h"

#include <assert.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  StunTxId tx_id;
  IpPort mapped;
  uint8_t response[STUN_RESPONSE_MAX];

  bool looks = stun_looks_like (data, size);
  bool request = stun_parse_request (data, size, &tx_id);
  bool answer = stun_parse_response (data, size, &tx_id, &mapped);
  assert (looks || (!request && !answer));
  assert (!request || !answer);
  if (answer) {
    StunTxId again_id;
    IpPort again;
    size_t n = stun_encode_response (&tx_id, &mapped, response);
    assert (stun_parse_response (response, n, &again_id, &again));
    assert (ip_port_equal (&again, &mapped));
  }
  return 0;
}
