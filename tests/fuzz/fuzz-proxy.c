/* What a proxy may answer: the first byte chooses the kind of proxy and the size of the pieces. */
#include "wire/proxy-layer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
parse_setting (const uint8_t *data, size_t size)
{
  char authorization[PROXY_AUTHORIZATION_MAX];
  char *text = strndup ((const char *)data, size);
  const ProxySettings settings = {.https_proxy = text, .no_proxy = text};
  Proxy proxy;

  if (proxy_parse (text, &proxy))
    proxy_authorization (&proxy, authorization);
  proxy_choose (&settings, true, "192.0.2.7", 443, &proxy);
  proxy_choose (&settings, true, "control.example", 443, &proxy);
  free (text);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const char *const urls[]
      = {"http://proxy", "http://u:p@proxy", "socks5://proxy", "socks5://u:p@proxy"};
  static const char *const hosts[] = {"control.example", "192.0.2.7", "fd00::1"};
  Buffer in = {0}, out = {0};
  Proxy proxy;

  if (size == 0)
    return 0;
  parse_setting (data + 1, size - 1);
  proxy_parse (urls[data[0] & 3], &proxy);
  ProxyLayer *layer = proxy_layer_new (&proxy, NULL, hosts[(data[0] >> 2) % 3], 443);
  size_t step = (data[0] >> 4) + 1u;
  for (size_t at = 1; at < size; at += step)
    if (proxy_layer_feed (layer, data + at, size - at < step ? size - at : step, &in)
        == PROXY_LAYER_FAILED)
      break;
  proxy_layer_send (layer, data, size);
  proxy_layer_take (layer, &out);
  if (in.size > size)
    __builtin_trap ();
  if (proxy_layer_state (layer) == PROXY_LAYER_FAILED && proxy_layer_error (layer)[0] == '\0')
    __builtin_trap ();
  buffer_free (&in);
  buffer_free (&out);
  proxy_layer_free (layer);
  return 0;
}
