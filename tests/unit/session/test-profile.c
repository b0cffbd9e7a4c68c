/* Profiles and their file; the form of server addresses. */
#include "session/profile.h"

#include <string.h>

static Profile *
full_profile (void)
{
  SeededRandom random;
  seeded_random_init (&random, 7);
  Profile *p = profile_new ("https://vpn.example.org", 1000, 1800000000, &random.base);
  key_generate (&random.base, p->secrets->node.bytes);
  key_generate (&random.base, p->secrets->pending.bytes);
  lock_key_generate (&random.base, &p->secrets->lock);
  random_fill (&random.base, p->old_node_key.bytes, KEY_SIZE);
  random_fill (&random.base, p->server_key.bytes, KEY_SIZE);
  random_fill (&random.base, p->handshake_time, sizeof p->handshake_time);
  p->pending_url = g_strdup ("https://vpn.example.org/register/x?a=%20b");
  p->pending_since_s = 1800000001;
  p->server_key_since_s = 1800000002;
  p->user_id = -5;
  profile_set_text (&p->user_login, "ada@example.org");
  profile_set_text (&p->user_name, "Ada\nLovelace %");
  profile_set_text (&p->user_picture, "https://example.org/ada.png");
  profile_set_text (&p->node_id, "n7Kp2CNTRL");
  profile_set_text (&p->tailnet, "example.org");
  p->lock_seen = true;
  p->preferences.wanted = true;
  p->preferences.logged_out = false;
  p->preferences.exit_node_mode = EXIT_NODE_BY_ID;
  g_strlcpy (p->preferences.exit_node_id, "n9", sizeof p->preferences.exit_node_id);
  p->preferences.shields_up = true;
  p->preferences.auto_connect = false;
  p->preferences.port = 41641;
  p->preferences.mtu = 1400;
  g_strlcpy (p->preferences.hostname, "loom", sizeof p->preferences.hostname);
  g_strlcpy (p->preferences.proxy, "http://ann:%41@proxy", sizeof p->preferences.proxy);
  p->preferences.tags = calloc (2, sizeof *p->preferences.tags);
  p->preferences.n_tags = 2;
  strcpy (p->preferences.tags[0], "tag:a");
  strcpy (p->preferences.tags[1], "tag:b");
  p->preferences.advertise_exit_node = true;
  p->preferences.snat_routes = false;
  for (uint8_t i = 0; i < 2; i++) {
    IpPrefix route = {.addr = ip_from_v4 (0xc0a80000U + (i << 8)), .bits = 24};
    g_assert_true (preferences_offer_route (&p->preferences, &route));
  }
  return p;
}

static size_t
encode (const Profile *p, uint8_t *buffer, size_t size)
{
  ByteWriter w = byte_writer (buffer, size);
  profile_encode (p, &w);
  g_assert_false (w.failed);
  return w.pos;
}

static void
test_round_trip (void)
{
  g_autoptr (Profile) p = full_profile ();
  uint8_t one[8192], two[8192];
  size_t size = encode (p, one, sizeof one);
  ProfileResult result;
  g_autoptr (Profile) q = profile_decode (one, size, &result);
  g_assert_cmpint (result, ==, PROFILE_OK);
  g_assert_true (preferences_equal (&p->preferences, &q->preferences));
  g_assert_cmpmem (p->secrets, sizeof *p->secrets, q->secrets, sizeof *q->secrets);
  g_assert_cmpstr (p->user_name, ==, q->user_name);
  g_assert_cmpstr (p->pending_url, ==, q->pending_url);
  g_assert_cmpmem (two, encode (q, two, sizeof two), one, size);
}

static void
test_exit_node_forms (void)
{
  g_autoptr (Profile) p = full_profile ();
  for (int mode = EXIT_NODE_NONE; mode <= EXIT_NODE_AUTO; mode++) {
    p->preferences.exit_node_mode = mode;
    memset (p->preferences.exit_node_id, 0, sizeof p->preferences.exit_node_id);
    memset (&p->preferences.exit_node_addr, 0, sizeof p->preferences.exit_node_addr);
    if (mode == EXIT_NODE_BY_ID)
      strcpy (p->preferences.exit_node_id, "n1");
    if (mode == EXIT_NODE_BY_ADDRESS)
      p->preferences.exit_node_addr = ip_from_v4 (0x64400001);
    uint8_t data[8192];
    ProfileResult result;
    g_autoptr (Profile) q = profile_decode (data, encode (p, data, sizeof data), &result);
    g_assert_nonnull (q);
    g_assert_true (preferences_equal (&p->preferences, &q->preferences));
  }
}

static void
test_cut_file (void)
{
  g_autoptr (Profile) p = full_profile ();
  uint8_t data[8192];
  size_t size = encode (p, data, sizeof data);
  for (size_t i = 0; i < size; i++) {
    ProfileResult result;
    g_assert_null (profile_decode (data, i, &result));
    g_assert_cmpint (result, ==, PROFILE_DAMAGED);
  }
}

static void
test_newer_fields (void)
{
  const char *text = "format 1\nid 0123abcd\nserver https://a\nfrom-the-future x\nend\n";
  ProfileResult result;
  g_autoptr (Profile) p = profile_decode (text, strlen (text), &result);
  g_assert_nonnull (p);
  g_assert_true (p->preferences.accept_dns);
  g_assert_false (profile_has_key (p));
}

static void
test_bad_values (void)
{
  static const char *const bad[] = {
      "id 0123ABCD",
      "id ../../etc",
      "owner -1",
      "owner 4294967295",
      "owner x",
      "port 65536",
      "node-key privkey:12",
      "wanted maybe",
      "exit-node",
      "exit-node-address 1.2.3",
      "created 99999999999999999999",
      "handshake-time 00",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *text
        = g_strdup_printf ("format 1\nid 0123abcd\nserver https://a\n%s\nend\n", bad[i]);
    ProfileResult result;
    g_assert_null (profile_decode (text, strlen (text), &result));
    g_assert_cmpint (result, ==, PROFILE_DAMAGED);
  }
}

static void
test_wipe (void)
{
  g_autoptr (Profile) p = full_profile ();
  profile_wipe (p);
  g_assert_true (key_is_zero (p->secrets, sizeof *p->secrets));
  g_assert_cmpstr (p->preferences.hostname, ==, "loom");
  g_assert_null (p->pending_url);
}

static void
test_server_urls (void)
{
  static const struct
  {
    const char *in, *out;
  } good[] = {
      {"", LOGIN_SERVER_DEFAULT},
      {"https://login.tailscale.com", LOGIN_SERVER_DEFAULT},
      {"https://controlplane.tailscale.com/", LOGIN_SERVER_DEFAULT},
      {"vpn.example.org", "https://vpn.example.org"},
      {" HTTPS://VPN.Example.ORG:443/ ", "https://vpn.example.org"},
      {"http://10.0.0.1:80", "http://10.0.0.1"},
      {"http://10.0.0.1:8080//", "http://10.0.0.1:8080"},
      {"http://[FD00::1]:8080", "http://[fd00::1]:8080"},
      {"https://example.org/headscale/", "https://example.org/headscale"},
      {"https://x/a b", "https://x/a%20b"},
      {"https://x/a%0d%0ab", "https://x/a%0D%0Ab"},
  };
  for (size_t i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *out = login_server_normalise (good[i].in, &error);
    g_assert_no_error (error);
    g_assert_cmpstr (out, ==, good[i].out);
  }
  static const char *const bad[] = {
      "file:///etc/passwd",    "https://",      "https://user@host", "ftp://x",
      "https://a b",           "https://x?y=z", "https://x#f",       "https://x:99999",
      "javascript://alert(1)", "http://a\\b",   "https://x;y",       "https://a%3Ab",
      "https://x%0a/",
  };
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (login_server_normalise (bad[i], &error));
    g_assert_nonnull (error);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session/profile/round-trips", test_round_trip);
  g_test_add_func ("/session/profile/every-form-of-exit-node-round-trips", test_exit_node_forms);
  g_test_add_func ("/session/profile/a-cut-file-never-reads-as-a-profile", test_cut_file);
  g_test_add_func ("/session/profile/fields-of-a-later-minor-version-are-ignored",
                   test_newer_fields);
  g_test_add_func ("/session/profile/refuses-bad-values", test_bad_values);
  g_test_add_func ("/session/profile/wiping-leaves-only-preferences", test_wipe);
  g_test_add_func ("/session/profile/server-addresses-have-one-form", test_server_urls);
  return g_test_run ();
}
