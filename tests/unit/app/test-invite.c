/* The invite link: what is made is understood, and nothing else is. */
#include "client/invite.h"

static void
test_round_trip (void)
{
  g_autofree char *link
      = warren_invite_format ("https://home.example.org:8443/a b", "wkey-auth-0a-ff&key=x#?%");
  g_autofree char *server = NULL, *key = NULL;

  g_assert_true (g_str_has_prefix (link, "warren://join?server=https%3A%2F%2Fhome.example.org"));
  g_assert_true (warren_invite_parse (link, &server, &key));
  g_assert_cmpstr (server, ==, "https://home.example.org:8443/a b");
  g_assert_cmpstr (key, ==, "wkey-auth-0a-ff&key=x#?%");
}

static void
test_without_key (void)
{
  g_autofree char *server = NULL, *key = NULL;

  g_assert_true (warren_invite_parse ("warren://join?server=http%3A%2F%2F10.0.0.1", &server, &key));
  g_assert_cmpstr (server, ==, "http://10.0.0.1");
  g_assert_cmpstr (key, ==, "");
}

static void
test_others (void)
{
  static const char *const links[] = {
      "",
      "warren://join",
      "warren://join?",
      "warren://join?key=a",
      "warren://join?server=file%3A%2F%2F%2Fetc%2Fpasswd",
      "warren://join?server=%zz",
      "warren://joins?server=http%3A%2F%2Fx",
      "https://join?server=http%3A%2F%2Fx",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (links); i++) {
    char *server = NULL, *key = NULL;
    g_test_message ("%s", links[i]);
    g_assert_false (warren_invite_parse (links[i], &server, &key));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/client/invite/what-is-made-is-understood", test_round_trip);
  g_test_add_func ("/client/invite/a-key-may-be-left-out", test_without_key);
  g_test_add_func ("/client/invite/other-links-are-refused", test_others);
  return g_test_run ();
}
