#include "certificates.h"
#include "wire/tls.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <openssl/x509.h>
#include <openssl/pem.h>
#include <string.h>

static TestCertificate ca, good, expired, future, other_name, by_ip, stranger;
static char *ca_file;

static void
make_certificates (void)
{
  int fd = g_file_open_tmp ("warren-ca-XXXXXX", &ca_file, NULL);

  g_assert_cmpint (fd, >=, 0);
  g_close (fd, NULL);
  ca = test_certificate_new ("Test CA", NULL, true, -1, 10);
  good = test_certificate_new ("derp.lab", &ca, false, -1, 10);
  expired = test_certificate_new ("derp.lab", &ca, false, -10, -1);
  future = test_certificate_new ("derp.lab", &ca, false, 1, 2);
  other_name = test_certificate_new ("other.lab", &ca, false, -1, 10);
  by_ip = test_certificate_new ("192.0.2.7", &ca, false, -1, 10);
  stranger = test_certificate_new ("derp.lab", NULL, false, -1, 10);
  g_assert_true (g_file_set_contents (ca_file, ca.certificate, -1, NULL));
}

typedef struct
{
  TlsContext *client_context, *server_context;
  Tls *client, *server;
} Pair;

static Pair
pair_new (const TestCertificate *certificate, const TlsClientOptions *options)
{
  Pair pair = {
      .client_context = tls_client_context_new (ca_file, NULL),
      .server_context = tls_server_context_new (certificate->certificate, certificate->key, NULL),
  };

  g_assert_nonnull (pair.client_context);
  g_assert_nonnull (pair.server_context);
  pair.client = tls_client_new (pair.client_context, options);
  pair.server = tls_server_new (pair.server_context);
  return pair;
}

static void
pair_free (Pair *pair)
{
  tls_free (pair->client);
  tls_free (pair->server);
  tls_context_free (pair->client_context);
  tls_context_free (pair->server_context);
}

/* Carries ciphertext both ways in pieces of STEP bytes until nothing moves. */
static void
carry (Pair *pair, size_t step, Buffer *at_client, Buffer *at_server)
{
  bool moved = true;

  while (moved) {
    Buffer up = {0}, down = {0};
    moved = tls_take (pair->client, &up);
    moved |= tls_take (pair->server, &down);
    for (size_t i = 0; i < up.size; i += step) {
      tls_feed (pair->server, up.data + i, MIN (step, up.size - i));
      tls_read (pair->server, at_server);
    }
    for (size_t i = 0; i < down.size; i += step) {
      tls_feed (pair->client, down.data + i, MIN (step, down.size - i));
      tls_read (pair->client, at_client);
    }
    buffer_free (&up);
    buffer_free (&down);
  }
}

static void
test_stream (void)
{
  for (size_t step = 1; step < 100000; step *= 97) {
    TlsClientOptions options = {.server_name = "derp.lab", .verify = TLS_VERIFY_FULL};
    Pair pair = pair_new (&good, &options);
    Buffer at_client = {0}, at_server = {0};
    g_autofree uint8_t *bulk = g_malloc (100000);

    memset (bulk, 'w', 100000);
    g_assert_false (tls_write (pair.client, "early", 5));
    carry (&pair, step, &at_client, &at_server);
    g_assert_cmpint (tls_state (pair.client), ==, TLS_OPEN);
    g_assert_cmpint (tls_state (pair.server), ==, TLS_OPEN);
    g_assert_cmpint (tls_version (pair.client), ==, 0x0304);
    g_assert_true (tls_write (pair.client, "ping", 4));
    g_assert_true (tls_write (pair.server, bulk, 100000));
    carry (&pair, step, &at_client, &at_server);
    g_assert_cmpmem (at_server.data, at_server.size, "ping", 4);
    g_assert_cmpmem (at_client.data, at_client.size, bulk, 100000);
    tls_close (pair.client);
    carry (&pair, step, &at_client, &at_server);
    g_assert_cmpint (tls_state (pair.server), ==, TLS_CLOSED);
    buffer_free (&at_client);
    buffer_free (&at_server);
    pair_free (&pair);
  }
}

static void
check (const TestCertificate *certificate, TlsClientOptions options, TlsState state,
       TlsCertProblem problem)
{
  Pair pair = pair_new (certificate, &options);
  Buffer at_client = {0}, at_server = {0};

  carry (&pair, 100000, &at_client, &at_server);
  g_assert_cmpint (tls_state (pair.client), ==, state);
  g_assert_cmpint (tls_certificate_problem (pair.client), ==, problem);
  g_assert_cmpint (strlen (tls_error (pair.client)) == 0, ==, problem == TLS_CERT_OK);
  g_assert_cmpint (tls_write (pair.client, "x", 1), ==, state == TLS_OPEN);
  buffer_free (&at_client);
  buffer_free (&at_server);
  pair_free (&pair);
}

static void
test_verify (void)
{
  TlsClientOptions lab = {.server_name = "derp.lab", .verify = TLS_VERIFY_FULL};
  TlsClientOptions ip = {.server_name = "192.0.2.7", .verify = TLS_VERIFY_FULL};
  TlsClientOptions renamed
      = {.server_name = "derp.lab", .check_name = "other.lab", .verify = TLS_VERIFY_FULL};

  check (&good, lab, TLS_OPEN, TLS_CERT_OK);
  check (&expired, lab, TLS_FAILED, TLS_CERT_EXPIRED);
  check (&future, lab, TLS_FAILED, TLS_CERT_EXPIRED);
  check (&other_name, lab, TLS_FAILED, TLS_CERT_WRONG_NAME);
  check (&stranger, lab, TLS_FAILED, TLS_CERT_UNTRUSTED);
  check (&by_ip, ip, TLS_OPEN, TLS_CERT_OK);
  check (&good, ip, TLS_FAILED, TLS_CERT_WRONG_NAME);
  check (&other_name, renamed, TLS_OPEN, TLS_CERT_OK);
  check (&good, renamed, TLS_FAILED, TLS_CERT_WRONG_NAME);
}

static void
test_warn (void)
{
  TlsClientOptions lab = {.server_name = "derp.lab", .verify = TLS_VERIFY_WARN};

  check (&good, lab, TLS_OPEN, TLS_CERT_OK);
  check (&stranger, lab, TLS_OPEN, TLS_CERT_UNTRUSTED);
  check (&expired, lab, TLS_OPEN, TLS_CERT_EXPIRED);
  lab.verify = TLS_VERIFY_NONE;
  check (&stranger, lab, TLS_OPEN, TLS_CERT_OK);
}

static void
test_pin (void)
{
  TlsClientOptions lab = {.server_name = "derp.lab", .verify = TLS_VERIFY_PIN};

  memcpy (lab.pin, stranger.digest, sizeof lab.pin);
  check (&stranger, lab, TLS_OPEN, TLS_CERT_OK);
  check (&good, lab, TLS_FAILED, TLS_CERT_WRONG_PIN);
  memcpy (lab.pin, other_name.digest, sizeof lab.pin);
  check (&other_name, lab, TLS_FAILED, TLS_CERT_WRONG_NAME);
  memcpy (lab.pin, expired.digest, sizeof lab.pin);
  check (&expired, lab, TLS_FAILED, TLS_CERT_EXPIRED);
}

/* derp.md §3.4: the fixed meta certificate. */
static const char meta_hex[]
    = "3082016330820115a003020102020102300506032b657030523150304e0603550403134764657270"
      "6b65793631653436393437396164663236326463636335383665346237376435666239653466386438"
      "3461373832376530343230643133663839336431656231393430301e170d32363038303130303030"
      "30305a170d3236303933303030303030305a30523150304e06035504031347646572706b65793631"
      "6534363934373961646632363264636363353836653462373764356662396534663864383461373832"
      "3765303432306431336638393364316562313934303"
      "02a300506032b657003210003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc86641255"
      "31b8a310300e300c0603551d130101ff04023000300506032b6570034100fd064646eaf21851965e27"
      "9bffef6b0d145ee0f2090c39d19b7915ae12e34490e67fb5d11a885bc483d2116261fdbde377064ea6"
      "7246bc51127bf38ee8807d0e";

static GBytes *
meta_certificate (void)
{
  size_t size = strlen (meta_hex) / 2;
  uint8_t *der = g_malloc (size);

  for (size_t i = 0; i < size; i++)
    der[i] = (uint8_t)(g_ascii_xdigit_value (meta_hex[2 * i]) << 4
                       | g_ascii_xdigit_value (meta_hex[2 * i + 1]));
  return g_bytes_new_take (der, size);
}

static void
check_with_extra (const TestCertificate *leaf, GBytes *extra, const uint8_t pin[32], TlsState state,
                  TlsCertProblem problem)
{
  TlsClientOptions options = {.server_name = "derp.lab", .verify = TLS_VERIFY_PIN};
  Buffer plain = {0};

  memcpy (options.pin, pin, TLS_PIN_SIZE);
  Pair pair = pair_new (leaf, &options);
  g_assert_true (tls_server_context_add_certificate (
      pair.server_context, g_bytes_get_data (extra, NULL), g_bytes_get_size (extra)));
  tls_free (pair.server);
  pair.server = tls_server_new (pair.server_context);
  carry (&pair, 100000, &plain, &plain);
  g_assert_cmpint (tls_state (pair.client), ==, state);
  g_assert_cmpint (tls_certificate_problem (pair.client), ==, problem);
  g_assert_cmpuint (tls_peer_certificates (pair.client), ==, 2);
  if (problem == TLS_CERT_OK)
    g_assert_cmpint (
        ASN1_INTEGER_get (X509_get0_serialNumber (tls_peer_certificate (pair.client, 1))), ==, 2);
  buffer_free (&plain);
  pair_free (&pair);
}

static void
test_meta (void)
{
  g_autoptr (GBytes) meta = meta_certificate ();

  g_assert_cmpuint (g_bytes_get_size (meta), ==, 359);
  check_with_extra (&stranger, meta, stranger.digest, TLS_OPEN, TLS_CERT_OK);
}

static void
test_pin_pitfall (void)
{
  /* the genuine pinned certificate behind a leaf whose key the attacker holds */
  BIO *bio = BIO_new_mem_buf (stranger.certificate, -1);
  X509 *pinned = PEM_read_bio_X509 (bio, NULL, NULL, NULL);
  uint8_t *der = NULL;
  int size = i2d_X509 (pinned, &der);
  g_autoptr (GBytes) extra = g_bytes_new (der, (gsize)size);
  TestCertificate attacker = test_certificate_new ("derpkey0000", NULL, false, -1, 1);

  check_with_extra (&attacker, extra, stranger.digest, TLS_FAILED, TLS_CERT_WRONG_PIN);
  check_with_extra (&good, extra, good.digest, TLS_FAILED, TLS_CERT_WRONG_PIN);
  test_certificate_clear (&attacker);
  OPENSSL_free (der);
  X509_free (pinned);
  BIO_free (bio);
}

/* The extensions of a ClientHello, as far as a test asks. */
static bool
hello_has (const Buffer *hello, uint16_t wanted)
{
  const uint8_t *p = hello->data + 5 + 4 + 2 + 32, *end = hello->data + hello->size;

  p += 1 + p[0];
  p += 2 + (p[0] << 8 | p[1]);
  p += 1 + p[0];
  p += 2;
  while (p + 4 <= end) {
    if ((p[0] << 8 | p[1]) == wanted)
      return true;
    p += 4 + (p[2] << 8 | p[3]);
  }
  return false;
}

static void
test_hello (void)
{
  static const struct
  {
    const char *name;
    bool alpn, sni;
  } cases[] = {
      {"derp.lab", false, true}, {"derp.lab", true, true}, {"192.0.2.7", false, false},
      {"fd7a::1", false, false}, {NULL, false, false},
  };
  TlsContext *context = tls_client_context_new (NULL, NULL);

  g_assert_nonnull (context);
  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    TlsClientOptions options
        = {.server_name = cases[i].name, .alpn_http1 = cases[i].alpn, .verify = TLS_VERIFY_WARN};
    Tls *client = tls_client_new (context, &options);
    Buffer hello = {0};
    g_assert_true (tls_take (client, &hello));
    g_assert_cmpint (hello_has (&hello, 0), ==, cases[i].sni);
    g_assert_cmpint (hello_has (&hello, 16), ==, cases[i].alpn);
    g_assert_null (memmem (hello.data, hello.size, "\x02h2", 3));
    buffer_free (&hello);
    tls_free (client);
  }
  tls_context_free (context);
}

static void
test_garbage (void)
{
  TlsClientOptions options = {.server_name = "derp.lab", .verify = TLS_VERIFY_FULL};
  Pair pair = pair_new (&good, &options);
  g_autofree char *error = NULL;
  Buffer plain = {0};

  tls_feed (pair.client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
  g_assert_cmpint (tls_read (pair.client, &plain), ==, TLS_FAILED);
  g_assert_cmpstr (tls_error (pair.client), !=, "");
  g_assert_null (tls_client_context_new ("/nonexistent/file", &error));
  g_assert_nonnull (error);
  g_assert_null (tls_server_context_new (good.certificate, ca.key, NULL));
  buffer_free (&plain);
  pair_free (&pair);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  make_certificates ();
  g_test_add_func ("/wire/tls/carries-a-stream-in-pieces-of-any-size", test_stream);
  g_test_add_func ("/wire/tls/checks-chain-name-and-date", test_verify);
  g_test_add_func ("/wire/tls/warns-and-goes-on-where-told", test_warn);
  g_test_add_func ("/wire/tls/accepts-the-pinned-leaf-only", test_pin);
  g_test_add_func ("/wire/tls/shows-the-meta-certificate", test_meta);
  g_test_add_func ("/wire/tls/refuses-a-pinned-certificate-that-is-not-the-leaf", test_pin_pitfall);
  g_test_add_func ("/wire/tls/sends-sni-for-names-only-and-never-h2", test_hello);
  g_test_add_func ("/wire/tls/fails-on-garbage-and-bad-files", test_garbage);
  int result = g_test_run ();
  g_unlink (ca_file);
  return result;
}
