#include "base/bytes.h"
#include "base/key.h"

#include <glib.h>
#include <string.h>

/* Vectors of spec/control-protocol.md §2. */
static void
ascending (uint8_t start, uint8_t out[KEY_SIZE])
{
  for (int i = 0; i < KEY_SIZE; i++)
    out[i] = (uint8_t)(start + i);
  out[0] &= 0xf8;
  out[31] = (uint8_t)((out[31] & 0x7f) | 0x40);
}

static void
test_vectors (void)
{
  static const struct
  {
    uint8_t start;
    KeyKind kind;
    const char *public_text;
    const char *short_text;
  } vectors[] = {
      {0x10, KEY_MACHINE_PUBLIC,
       "mkey:d89e3bad79437dbed9f843418304f460ff05c7fe81fe4a9577a804cb9367ff66", "[2J47r]"},
      {0x80, KEY_NODE_PUBLIC,
       "nodekey:493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d", "[ST6C/]"},
      {0xc0, KEY_DISCO_PUBLIC,
       "discokey:dc2cca31e8e43bbd91dff7e475cca3347eb478107d5bd765aba4ae4a30c35d44",
       "d:dc2cca31e8e43bbd"},
      {0xd0, KEY_CHALLENGE_PUBLIC,
       "chalpub:6b3ee67463583cbe3dc08fe9d0765c2666ff5210dd527c9d8705e44927c80d55", NULL},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (vectors); i++) {
    uint8_t private_key[KEY_SIZE], public_key[KEY_SIZE], parsed[KEY_SIZE];
    char text[KEY_TEXT_MAX], short_text[KEY_SHORT_MAX];

    ascending (vectors[i].start, private_key);
    key_public (private_key, public_key);
    g_assert_cmpuint (key_format (vectors[i].kind, public_key, text), ==, strlen (text));
    g_assert_cmpstr (text, ==, vectors[i].public_text);
    g_assert_true (key_parse (vectors[i].kind, text, strlen (text), parsed));
    g_assert_cmpmem (parsed, KEY_SIZE, public_key, KEY_SIZE);
    if (vectors[i].short_text) {
      key_short (vectors[i].kind, public_key, short_text);
      g_assert_cmpstr (short_text, ==, vectors[i].short_text);
    }
  }
}

static void
test_refuses (void)
{
  static const char good[]
      = "nodekey:493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d";
  uint8_t out[KEY_SIZE];

  g_assert_true (key_parse (KEY_NODE_PUBLIC, good, strlen (good), out));
  g_assert_false (key_parse (KEY_MACHINE_PUBLIC, good, strlen (good), out));
  g_assert_false (key_parse (KEY_NODE_PUBLIC, good, strlen (good) - 1, out));
  g_assert_false (key_parse (KEY_NODE_PUBLIC, good + 8, strlen (good) - 8, out));
  g_assert_false (key_parse (KEY_NODE_PUBLIC, "", 0, out));
  g_autofree char *upper = g_ascii_strup (good + 8, -1);
  g_autofree char *mixed = g_strconcat ("nodekey:", upper, NULL);
  g_assert_true (key_parse (KEY_NODE_PUBLIC, mixed, strlen (mixed), out));
  mixed[0] = 'N';
  g_assert_false (key_parse (KEY_NODE_PUBLIC, mixed, strlen (mixed), out));
  mixed[0] = 'n';
  mixed[20] = 'g';
  g_assert_false (key_parse (KEY_NODE_PUBLIC, mixed, strlen (mixed), out));
}

static void
test_lock_key (void)
{
  static const char text[]
      = "nlpriv:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
  LockPrivate private_key;
  LockPublic public_key, parsed;
  char formatted[KEY_TEXT_MAX];

  g_assert_true (key_parse (KEY_LOCK_PRIVATE, text, strlen (text), private_key.bytes));
  lock_key_public (&private_key, &public_key);
  key_format (KEY_LOCK_PUBLIC, public_key.bytes, formatted);
  g_assert_cmpstr (formatted, ==,
                   "nlpub:03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
  formatted[0] = 't';
  g_assert_true (key_parse (KEY_LOCK_PUBLIC, formatted, strlen (formatted), parsed.bytes));
  g_assert_true (key_same (&parsed, &public_key));
}

static void
test_zero (void)
{
  NodePublic zero = {0};
  char short_text[KEY_SHORT_MAX];

  g_assert_true (key_zero (&zero));
  key_short (KEY_NODE_PUBLIC, zero.bytes, short_text);
  g_assert_cmpstr (short_text, ==, "");
  zero.bytes[31] = 1;
  g_assert_false (key_zero (&zero));
}

static void
test_generated_is_clamped (void)
{
  SeededRandom random;
  uint8_t a[KEY_SIZE], b[KEY_SIZE];

  seeded_random_init (&random, 1);
  for (int i = 0; i < 50; i++) {
    key_generate (&random.base, a);
    g_assert_cmpint (a[0] & 7, ==, 0);
    g_assert_cmpint (a[31] & 0xc0, ==, 0x40);
  }
  key_generate (&random.base, b);
  g_assert_false (key_equal (a, b, KEY_SIZE));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/key/vectors-match-the-specification", test_vectors);
  g_test_add_func ("/base/key/wrong-prefix-length-or-digit-is-refused", test_refuses);
  g_test_add_func ("/base/key/lock-key-is-read-with-both-prefixes", test_lock_key);
  g_test_add_func ("/base/key/zero-key-is-absent", test_zero);
  g_test_add_func ("/base/key/generated-keys-are-clamped", test_generated_is_clamped);
  return g_test_run ();
}
