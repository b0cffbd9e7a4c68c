/* STUN messages, as a client and as a server reads them. */
#include "path/stun.h"

#include <assert.h>
#include <string.h>

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
  if (size >= STUN_TX_ID_SIZE) {
    uint8_t own[STUN_REQUEST_SIZE];
    memcpy (&tx_id, data, sizeof tx_id);
    stun_encode_request (&tx_id, own);
    assert (stun_parse_request (own, sizeof own, &tx_id));
    assert (memcmp (&tx_id, data, sizeof tx_id) == 0);
  }
  return 0;
}
