/* The configuration file: what it sets, and which line is to blame. */
#include "coordinator/config.h"

#include <glib.h>
#include <string.h>

static const char whole[] = "# a network\n"
                            "[server]\n"
                            "data-dir = /srv/warren\r\n"
                            "  url=https://vpn.example.org\n"
                            "listen = [::]:443\n"
                            "tls-certificate = /etc/warren/cert.pem\n"
                            "tls-key = /etc/warren/key.pem\n"
                            "metrics = 127.0.0.1:9090\n"
                            "\n"
                            "[network]\n"
                            "name = burrow\n"
                            "domain = burrow.internal\n"
                            "prefix4 = 100.80.1.7/16\n"
                            "prefix6 = fd7a:115c:a1e0:1::/64\n"
                            "key-expiry = 180d\n"
                            "; the relay\n"
                            "[relay]\n"
                            "url = https://relay.example.org\n"
                            "listen = 0.0.0.0:8443\n"
                            "stun-port = 0\n"
                            "open = true\n"
                            "mesh-key-file = /etc/warren/mesh\n"
                            "peers = 192.0.2.1:443; 192.0.2.2:443\n"
                            "plain = true\n"
                            "rate = 1000000\n"
                            "[oidc]\n"
                            "issuer = https://id.example.org\n"
                            "client-id = warren\n"
                            "allowed-domains = example.org; example.com ;;\n"
                            "expiry = 30d";

static void
test_whole (void)
{
  Config config;
  char *error = NULL;
  char prefix[IP_PREFIX_TEXT_MAX];

  config_init (&config);
  g_assert_true (config_read (&config, whole, strlen (whole), &error));
  g_assert_null (error);
  const ServerOptions *options = &config.options;
  g_assert_cmpstr (options->data_dir, ==, "/srv/warren");
  g_assert_cmpstr (options->url, ==, "https://vpn.example.org");
  g_assert_cmpstr (options->listen, ==, "[::]:443");
  g_assert_cmpstr (options->metrics, ==, "127.0.0.1:9090");
  g_assert_cmpstr (options->name, ==, "burrow");
  g_assert_cmpint (options->key_days, ==, 180);
  g_assert_cmpuint (options->stun_port, ==, 0);
  g_assert_true (options->relay_open);
  g_assert_cmpstr (options->relay_mesh_key_file, ==, "/etc/warren/mesh");
  g_assert_cmpstr (options->relay_peers[1], ==, "192.0.2.2:443");
  g_assert_true (options->relay_plain);
  g_assert_cmpuint (options->relay_rate, ==, 1000000);
  g_assert_cmpstr (options->oidc.issuer, ==, "https://id.example.org");
  g_assert_cmpstr (options->oidc.allowed_domains[1], ==, "example.com");
  g_assert_null (options->oidc.allowed_domains[2]);
  g_assert_cmpint (options->oidc.expiry_days, ==, 30);
  ip_prefix_format (&options->prefix4, prefix);
  g_assert_cmpstr (prefix, ==, "100.80.0.0/16");
  g_assert_null (config_check (&config));
  config_clear (&config);
}

static void
test_blame (void)
{
  static const struct
  {
    const char *text, *error;
  } rows[] = {
      {"[server]\nurl = vpn", "line 2: url: \"vpn\" is not http://… or https://…"},
      {"\n[servers]\n", "line 2: there is no section [servers]"},
      {"[server\n", "line 1: \"[server\" is not a section"},
      {"[", "line 1: \"[\" is not a section"},
      {"url = http://a", "line 1: there is no key \"url\" in section []"},
      {"[relay]\nurl", "line 2: \"url\" is neither [SECTION] nor KEY = VALUE"},
      {"[relay]\nstun-port = 65536", "line 2: stun-port: \"65536\" is not a port"},
      {"[relay]\nstun-port = -1", "line 2: stun-port: \"-1\" is not a port"},
      {"[relay]\nopen = yes", "line 2: open: \"yes\" is not true or false"},
      {"[relay]\nlisten = 8443", "line 2: listen: \"8443\" is not ADDRESS:PORT"},
      {"[network]\nprefix4 = 10.0.0.0/8",
       "line 2: prefix4: \"10.0.0.0/8\" is not a part of 100.64.0.0/10"},
      {"[network]\nprefix6 = fd00::/64",
       "line 2: prefix6: \"fd00::/64\" is not a part of fd7a:115c:a1e0::/48"},
      {"[network]\ndomain = a b", "line 2: domain: \"a b\" is not a domain name"},
      {"[network]\nkey-expiry = 1y", "line 2: key-expiry: \"1y\" is not days, like 180d"},
      {"[network]\nname =", "line 2: name: \"\" is not a text"},
  };

  for (size_t i = 0; i < G_N_ELEMENTS (rows); i++) {
    Config config;
    char *error = NULL;
    config_init (&config);
    g_assert_false (config_read (&config, rows[i].text, strlen (rows[i].text), &error));
    g_assert_cmpstr (error, ==, rows[i].error);
    free (error);
    config_clear (&config);
  }
}

static void
test_options (void)
{
  Config config;
  char *error = NULL;

  config_init (&config);
  g_assert_true (config_set_option (&config, "relay-listen", "127.0.0.1:1", &error));
  g_assert_cmpstr (config.options.relay_listen, ==, "127.0.0.1:1");
  g_assert_false (config_set_option (&config, "relay-port", "1", &error));
  g_assert_cmpstr (error, ==, "there is no option --relay-port");
  free (error);
  config_clear (&config);
}

static void
test_check (void)
{
  static const char *const options[][3] = {
      {"data-dir", "/d", "address"},
      {"url", "http://a", "address"},
      {"listen", "1.2.3.4:5", NULL},
      {"relay-url", "http://a", "both"},
      {"relay-listen", "1.2.3.4:5", "https"},
      {"relay-url", "https://a", NULL},
      {"tls-key", "k", "TLS"},
      {"tls-certificate", "c", "https"},
      {"url", "https://a", NULL},
  };
  Config config;
  char *error = NULL;

  config_init (&config);
  g_assert_nonnull (config_check (&config));
  for (size_t i = 0; i < G_N_ELEMENTS (options); i++) {
    g_assert_true (config_set_option (&config, options[i][0], options[i][1], &error));
    const char *wrong = config_check (&config);
    g_test_message ("%s: %s", options[i][0], wrong ? wrong : "well");
    if (options[i][2])
      g_assert_nonnull (strstr (wrong, options[i][2]));
    else
      g_assert_null (wrong);
  }
  config_clear (&config);
}

/* The file that is installed, with everything that it shows switched on. */
static void
test_example (void)
{
  g_autofree char *text = NULL;
  g_autoptr (GString) on = g_string_new (NULL);
  Config config;
  char *error = NULL;
  size_t n;
  const ConfigKey *keys = config_keys (&n);

  g_assert_true (g_file_get_contents (g_getenv ("WARREN_EXAMPLE"), &text, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (size_t i = 0; lines[i]; i++) {
    bool is_off = lines[i][0] == '#' && lines[i][1] != ' ';
    g_string_append_printf (on, "%s\n", lines[i] + is_off);
  }
  for (size_t i = 0; i < n; i++) {
    g_autofree char *line = g_strdup_printf ("\n%s = ", keys[i].key);
    g_test_message ("%s", keys[i].option);
    g_assert_nonnull (strstr (on->str, line));
  }
  config_init (&config);
  bool ok = config_read (&config, on->str, on->len, &error);
  g_assert_cmpstr (error, ==, NULL);
  g_assert_true (ok);
  g_assert_null (config_check (&config));
  config_clear (&config);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/coordinator/config/a-whole-file-is-read", test_whole);
  g_test_add_func ("/coordinator/config/an-error-names-its-line", test_blame);
  g_test_add_func ("/coordinator/config/each-key-is-an-option-too", test_options);
  g_test_add_func ("/coordinator/config/what-is-missing-is-told", test_check);
  g_test_add_func ("/coordinator/config/the-example-shows-every-key-and-is-valid", test_example);
  return g_test_run ();
}
