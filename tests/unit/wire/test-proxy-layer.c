#include "wire/proxy-layer.h"

#include "certificates.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

static ProxyLayer *
layer_for (const char *url, TlsContext *tls, const char *host, uint16_t port)
{
  Proxy proxy;

  g_assert_true (proxy_parse (url, &proxy));
  return proxy_layer_new (&proxy, tls, host, port);
}

/* What the layer wants to send, as hexadecimal. */
static char *
taken (ProxyLayer *layer)
{
  Buffer out = {0};
  GString *text = g_string_new (NULL);

  proxy_layer_take (layer, &out);
  for (size_t i = 0; i < out.size; i++)
    g_string_append_printf (text, "%02x", out.data[i]);
  buffer_free (&out);
  return g_string_free (text, FALSE);
}

static void
assert_sends (ProxyLayer *layer, const char *hex)
{
  g_autofree char *sent = taken (layer);

  g_assert_cmpstr (sent, ==, hex);
}

/* Feeds byte by byte: an answer may come in any pieces. */
static ProxyLayerState
feed (ProxyLayer *layer, const void *data, size_t size, Buffer *in)
{
  const uint8_t *bytes = data;
  ProxyLayerState state = proxy_layer_state (layer);

  for (size_t i = 0; i < size; i++)
    state = proxy_layer_feed (layer, bytes + i, 1, in);
  return state;
}

static void
assert_text_arrived (Buffer *in, const char *text)
{
  g_assert_cmpmem (in->data, in->size, text, strlen (text));
  buffer_reset (in);
}

static void
test_connect (void)
{
  static const char answer[] = "HTTP/1.1 200 Connection established\r\nX: y\r\n\r\nfirst words";
  ProxyLayer *layer = layer_for ("http://user:password@proxy:3128", NULL, "fd00::1", 443);
  Buffer in = {0}, out = {0};

  proxy_layer_take (layer, &out);
  buffer_append (&out, "", 1);
  g_assert_cmpstr ((char *)out.data, ==,
                   "CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n"
                   "Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n\r\n");
  g_assert_cmpint (proxy_layer_state (layer), ==, PROXY_LAYER_OPENING);
  g_assert_cmpint (proxy_layer_feed (layer, answer, strlen (answer), &in), ==, PROXY_LAYER_OPEN);
  assert_text_arrived (&in, "first words");
  proxy_layer_send (layer, "hello", 5);
  assert_sends (layer, "68656c6c6f");
  proxy_layer_feed (layer, "more", 4, &in);
  assert_text_arrived (&in, "more");
  buffer_free (&in);
  buffer_free (&out);
  proxy_layer_free (layer);
}

static void
test_connect_refused (void)
{
  static const struct
  {
    const char *proxy, *answer, *error;
  } cases[] = {
      {"http://proxy", "HTTP/1.1 407 No\r\n\r\n",
       "the proxy proxy wants a user name and a password (HTTP status 407)"},
      {"http://user:secret@proxy", "HTTP/1.1 407 No\r\n\r\n",
       "the proxy proxy refused the user name or the password (HTTP status 407)"},
      {"http://proxy", "HTTP/1.1 403 Forbidden\r\n\r\n",
       "the proxy proxy refused: HTTP status 403"},
      {"http://proxy", "SSH-2.0-x\r\n\r\n", "the proxy proxy does not speak HTTP"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ProxyLayer *layer = layer_for (cases[i].proxy, NULL, "control.example", 443);
    Buffer in = {0};
    g_assert_cmpint (feed (layer, cases[i].answer, strlen (cases[i].answer), &in), ==,
                     PROXY_LAYER_FAILED);
    g_assert_cmpstr (proxy_layer_error (layer), ==, cases[i].error);
    g_assert_cmpint (proxy_layer_feed (layer, "x", 1, &in), ==, PROXY_LAYER_FAILED);
    g_assert_cmpuint (in.size, ==, 0);
    proxy_layer_free (layer);
  }
}

static void
test_socks (void)
{
  ProxyLayer *layer = layer_for ("socks5://proxy", NULL, "c.example", 443);
  Buffer in = {0};

  assert_sends (layer, "050100");
  g_assert_cmpint (feed (layer, "\5\0", 2, &in), ==, PROXY_LAYER_OPENING);
  assert_sends (layer, "0501000309632e6578616d706c6501bb");
  g_assert_cmpint (feed (layer, "\5\0\0\1\177\0\0\1\1\273ab", 12, &in), ==, PROXY_LAYER_OPEN);
  assert_text_arrived (&in, "ab");
  proxy_layer_free (layer);

  layer = layer_for ("socks5h://user:pw@proxy", NULL, "192.0.2.7", 80);
  assert_sends (layer, "05020002");
  feed (layer, "\5\2", 2, &in);
  assert_sends (layer, "010475736572027077");
  feed (layer, "\1\0", 2, &in);
  assert_sends (layer, "05010001c00002070050");
  g_assert_cmpint (feed (layer, "\5\0\0\3\1h\0\1", 8, &in), ==, PROXY_LAYER_OPEN);
  proxy_layer_free (layer);

  layer = layer_for ("socks5://proxy", NULL, "fd00::1", 1);
  g_autofree char *offer = taken (layer);
  feed (layer, "\5\0", 2, &in);
  assert_sends (layer, "05010004fd0000000000000000000000000000010001");
  static const uint8_t with_ipv6[4 + 16 + 2] = {5, 0, 0, 4};
  g_assert_cmpint (feed (layer, with_ipv6, sizeof with_ipv6, &in), ==, PROXY_LAYER_OPEN);
  proxy_layer_free (layer);
  buffer_free (&in);
}

static void
test_socks_refused (void)
{
  static const struct
  {
    const char *proxy;
    uint8_t bytes[12];
    size_t size;
    const char *error;
  } cases[] = {
      {"socks5://proxy", {5, 0xff}, 2, "the proxy proxy wants a user name and a password"},
      {"socks5://u:p@proxy", {5, 0xff}, 2, "the proxy proxy wants another way to sign in"},
      {"socks5://proxy", {5, 2}, 2, "the proxy proxy wants another way to sign in"},
      {"socks5://u:p@proxy",
       {5, 2, 1, 1},
       4,
       "the proxy proxy refused the user name or the password"},
      {"socks5://proxy", {4, 0}, 2, "the proxy proxy does not speak SOCKS5"},
      {"socks5://proxy", {5, 0, 4, 0, 0, 1, 0}, 7, "the proxy proxy does not speak SOCKS5"},
      {"socks5://proxy", {5, 0, 5, 0, 0, 2, 0}, 7, "the proxy proxy does not speak SOCKS5"},
      {"socks5://proxy", {5, 0, 5, 5, 0, 1, 0}, 7, "the proxy proxy was refused by the server"},
      {"socks5://proxy",
       {5, 0, 5, 99, 0, 1, 0},
       7,
       "the proxy proxy failed for a reason of its own"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    ProxyLayer *layer = layer_for (cases[i].proxy, NULL, "control.example", 443);
    Buffer in = {0};
    g_assert_cmpint (feed (layer, cases[i].bytes, cases[i].size, &in), ==, PROXY_LAYER_FAILED);
    g_assert_cmpstr (proxy_layer_error (layer), ==, cases[i].error);
    proxy_layer_free (layer);
  }
}

/* --- A proxy behind TLS -------------------------------------------------------------------- */

/* Carries bytes between the layer and the proxy's TLS until neither has anything to say; what the
 * proxy reads goes to HEARD. */
static void
carry (ProxyLayer *layer, Tls *proxy, Buffer *heard, Buffer *in)
{
  Buffer wire = {0};

  for (int i = 0; i < 10; i++) {
    proxy_layer_take (layer, &wire);
    tls_feed (proxy, wire.data, wire.size);
    tls_read (proxy, heard);
    buffer_reset (&wire);
    tls_take (proxy, &wire);
    if (wire.size > 0)
      proxy_layer_feed (layer, wire.data, wire.size, in);
    buffer_reset (&wire);
  }
  buffer_free (&wire);
}

static void
test_tls (void)
{
  TestCertificate certificate = test_certificate_new ("proxy", NULL, true, -1, 1);
  g_autofree char *roots = g_build_filename (g_get_tmp_dir (), "wr-proxy-roots-XXXXXX", NULL);
  int fd = g_mkstemp (roots);
  g_assert_cmpint (fd, >=, 0);
  g_assert_true (g_file_set_contents (roots, certificate.certificate, -1, NULL));
  TlsContext *client = tls_client_context_new (roots, NULL);
  TlsContext *server = tls_server_context_new (certificate.certificate, certificate.key, NULL);
  Tls *proxy = tls_server_new (server);
  ProxyLayer *layer = layer_for ("https://proxy", client, "control.example", 443);
  Buffer heard = {0}, in = {0};

  carry (layer, proxy, &heard, &in);
  assert_text_arrived (&heard,
                       "CONNECT control.example:443 HTTP/1.1\r\nHost: control.example:443\r\n\r\n");
  tls_write (proxy, "HTTP/1.0 200 OK\r\n\r\nhello", 24);
  carry (layer, proxy, &heard, &in);
  g_assert_cmpint (proxy_layer_state (layer), ==, PROXY_LAYER_OPEN);
  assert_text_arrived (&in, "hello");
  proxy_layer_send (layer, "ping", 4);
  carry (layer, proxy, &heard, &in);
  assert_text_arrived (&heard, "ping");
  proxy_layer_free (layer);
  tls_free (proxy);

  /* the same proxy under a name that is not its own */
  proxy = tls_server_new (server);
  layer = layer_for ("https://other", client, NULL, 0);
  carry (layer, proxy, &heard, &in);
  g_assert_cmpint (proxy_layer_state (layer), ==, PROXY_LAYER_FAILED);
  g_assert_nonnull (strstr (proxy_layer_error (layer), "the proxy other cannot be trusted: "));
  g_assert_cmpuint (heard.size, ==, 0);
  proxy_layer_free (layer);
  tls_free (proxy);

  /* whole URLs need no CONNECT */
  proxy = tls_server_new (server);
  layer = layer_for ("https://proxy", client, NULL, 0);
  carry (layer, proxy, &heard, &in);
  g_assert_cmpint (proxy_layer_state (layer), ==, PROXY_LAYER_OPEN);
  proxy_layer_send (layer, "GET http://x/", 13);
  carry (layer, proxy, &heard, &in);
  assert_text_arrived (&heard, "GET http://x/");
  proxy_layer_free (layer);
  tls_free (proxy);

  buffer_free (&heard);
  buffer_free (&in);
  tls_context_free (client);
  tls_context_free (server);
  test_certificate_clear (&certificate);
  g_unlink (roots);
  g_close (fd, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wire/proxy-layer/asks-for-a-tunnel-and-keeps-what-came-behind-the-answer",
                   test_connect);
  g_test_add_func ("/wire/proxy-layer/says-why-the-proxy-refused", test_connect_refused);
  g_test_add_func ("/wire/proxy-layer/speaks-socks5-with-names-addresses-and-passwords",
                   test_socks);
  g_test_add_func ("/wire/proxy-layer/says-why-a-socks-proxy-refused", test_socks_refused);
  g_test_add_func ("/wire/proxy-layer/speaks-tls-with-the-proxy-and-checks-its-name", test_tls);
  return g_test_run ();
}
