#include "base/bytes.h"
#include "path/stun.h"

#include <glib.h>
#include <string.h>

typedef struct
{
  const char *tx_id;
  const char *request;
  const char *from4;
  const char *response4;
  const char *from6;
  const char *response6;
  const char *mapped4; /* IPv4 told as family 2, as derper on a dual-stack socket does */
} Vector;

static const Vector vectors[] = {
    {"101112131415161718191a1b",
     "000100142112a442101112131415161718191a1b802200087461696c6e6f646580280004ac276261",
     "203.0.113.7:41641", "0101000c2112a442101112131415161718191a1b00200008000183bbea12d545",
     "[2001:db8::7]:41641",
     "010100182112a442101112131415161718191a1b00200014000283bb0113a9fa101112131415161718191a1c",
     "010100182112a442101112131415161718191a1b00200014000283bb2112a442101112131415e9e8d3196b1c"},
    {"000102030405060708090a0b",
     "000100142112a442000102030405060708090a0b802200087461696c6e6f6465802800048aabad90",
     "192.0.2.10:41641", "0101000c2112a442000102030405060708090a0b00200008000183bbe112a648",
     "[2001:db8::5]:41641",
     "010100182112a442000102030405060708090a0b00200014000283bb0113a9fa000102030405060708090a0e",
     "010100182112a442000102030405060708090a0b00200014000283bb2112a442000102030405f9f8c8090801"},
};

static size_t
from_hex (const char *text, uint8_t *out)
{
  size_t size = strlen (text) / 2;

  g_assert_true (hex_decode (text, strlen (text), out, size));
  return size;
}

static void
assert_response (const char *hex, const char *from)
{
  uint8_t bytes[256];
  size_t size = from_hex (hex, bytes);
  StunTxId tx_id;
  IpPort mapped;
  char text[IP_PORT_TEXT_MAX];

  g_assert_true (stun_parse_response (bytes, size, &tx_id, &mapped));
  ip_port_format (&mapped, text);
  g_assert_cmpstr (text, ==, from);
  /* bytes beyond the length do not matter */
  g_assert_true (stun_parse_response (bytes, size + 7, &tx_id, &mapped));
  g_assert_false (stun_parse_response (bytes, size - 1, &tx_id, &mapped));
}

static void
test_vectors (void)
{
  for (size_t i = 0; i < G_N_ELEMENTS (vectors); i++) {
    const Vector *v = &vectors[i];
    StunTxId tx_id, parsed;
    uint8_t request[STUN_REQUEST_SIZE], response[STUN_RESPONSE_MAX];
    char text[128];
    IpPort at;

    from_hex (v->tx_id, tx_id.bytes);
    stun_encode_request (&tx_id, request);
    hex_encode (request, sizeof request, text);
    g_assert_cmpstr (text, ==, v->request);
    g_assert_true (stun_parse_request (request, sizeof request, &parsed));
    g_assert_cmpmem (&parsed, 12, &tx_id, 12);
    ip_port_parse (v->from4, strlen (v->from4), &at);
    hex_encode (response, stun_encode_response (&tx_id, &at, response), text);
    g_assert_cmpstr (text, ==, v->response4);
    ip_port_parse (v->from6, strlen (v->from6), &at);
    hex_encode (response, stun_encode_response (&tx_id, &at, response), text);
    g_assert_cmpstr (text, ==, v->response6);
    assert_response (v->response4, v->from4);
    assert_response (v->response6, v->from6);
    assert_response (v->mapped4, v->from4);
  }
}

static void
test_server_is_silent (void)
{
  uint8_t request[64];
  StunTxId tx_id;
  size_t size = from_hex (vectors[0].request, request);

  for (size_t i = 0; i < size; i++) {
    request[i] ^= 1;
    g_assert_false (stun_parse_request (request, size, &tx_id) && i >= 20);
    if (i < 8)
      g_assert_false (stun_parse_request (request, size, &tx_id));
    request[i] ^= 1;
  }
  g_assert_true (stun_parse_request (request, size, &tx_id));
  g_assert_false (stun_parse_request (request, size - 1, &tx_id));
  /* FINGERPRINT before SOFTWARE */
  uint8_t moved[64];
  memcpy (moved, request, 20);
  memcpy (moved + 20, request + 32, 8);
  memcpy (moved + 28, request + 20, 12);
  g_assert_false (stun_parse_request (moved, size, &tx_id));
  /* no SOFTWARE */
  memcpy (moved + 20, request + 32, 8);
  store_be16 (moved + 2, 8);
  g_assert_false (stun_parse_request (moved, 28, &tx_id));
}

static void
test_old_servers (void)
{
  StunTxId tx_id;
  IpPort mapped;
  uint8_t bytes[256];
  size_t size
      = from_hex ("0101000c2112a442101112131415161718191a1b000100080001a2a9cb007107", bytes);
  char text[IP_PORT_TEXT_MAX];

  g_assert_true (stun_parse_response (bytes, size, &tx_id, &mapped));
  ip_port_format (&mapped, text);
  g_assert_cmpstr (text, ==, "203.0.113.7:41641");
  assert_response ("0101000c2112a442101112131415161718191a1b80200008000183bbea12d545",
                   "203.0.113.7:41641");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/path/stun/vectors-are-byte-exact", test_vectors);
  g_test_add_func ("/path/stun/server-is-silent-on-anything-else", test_server_is_silent);
  g_test_add_func ("/path/stun/reads-what-old-servers-say", test_old_servers);
  return g_test_run ();
}
