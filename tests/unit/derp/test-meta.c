#include "base/bytes.h"
#include "derp/meta.h"

#include <glib.h>
#include <openssl/x509.h>
#include <string.h>

/* The deterministic certificate of spec/derp.md §3.4. */
static const char vector[]
    = "3082016330820115a003020102020102300506032b657030523150304e06035504031347646572706b657936"
      "3165343639343739616664363262636463633538366534623737643566623965346638643834613738323765"
      "30343230643133663839336431656231393430301e170d3236303830313030303030305a170d323630393330"
      "3030303030305a30523150304e06035504031347646572706b65793631653436393437396166643632626364"
      "6363353836653462373764356662396534663864383461373832376530343230643133663839336431656231"
      "393430302a300506032b657003210003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc866412"
      "5531b8a310300e300c0603551d130101ff04023000300506032b6570034100fd064646eaf21851965e279bff"
      "ef6b0d145ee0f2090c39d19b7915ae12e34490e67fb5d11a885bc483d2116261fdbde377064ea67246bc5112"
      "7bf38ee8807d0e";

static size_t
der (uint8_t out[512])
{
  size_t size = strlen (vector) / 2;

  g_assert_true (hex_decode (vector, strlen (vector), out, size));
  return size;
}

static bool
key_of (const uint8_t *bytes, size_t size, DerpPublic *key)
{
  X509 *certificate = d2i_X509 (NULL, &bytes, (long)size);

  g_assert_nonnull (certificate);
  bool found = derp_meta_key (certificate, key);
  X509_free (certificate);
  return found;
}

static void
test_vector (void)
{
  uint8_t bytes[512];
  size_t size = der (bytes);
  DerpPublic key;
  char text[65];
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, bytes, size);

  g_assert_cmpuint (size, ==, 359);
  g_assert_cmpstr (sum, ==, "8e0f2500f9195a07841ee7df7d7ca71bde5ef84519f13fda0dcd8b9c650008ac");
  g_assert_true (key_of (bytes, size, &key));
  hex_encode (key.bytes, 32, text);
  g_assert_cmpstr (text, ==, "61e469479afd62bcdcc586e4b77d5fb9e4f8d84a7827e0420d13f893d1eb1940");
}

/* Changes one byte of the certificate, counted from the first TEXT in it. */
static void
refuse_with (const char *text, size_t offset, uint8_t value)
{
  uint8_t bytes[512];
  size_t size = der (bytes);
  DerpPublic key;
  uint8_t *at;

  for (at = bytes + size - strlen (text); at > bytes && memcmp (at, text, strlen (text)); at--)
    ;
  at[offset] = value;
  g_assert_false (key_of (bytes, size, &key));
}

static void
test_others (void)
{
  uint8_t bytes[512];
  size_t size = der (bytes);
  DerpPublic key;

  refuse_with ("derpkey", 0, 'D');  /* the subject stands behind the issuer */
  refuse_with ("derpkey", 10, 'g'); /* not hex */
  bytes[15] = 0;                    /* serial 0 */
  g_assert_false (key_of (bytes, size, &key));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/derp/meta/reads-the-vector", test_vector);
  g_test_add_func ("/derp/meta/refuses-other-certificates", test_others);
  return g_test_run ();
}
