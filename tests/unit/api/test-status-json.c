/* The official Status document for the sample map of spec/netmap-and-policy.md A.11. */

#include "api/status-json.h"

#include "../netmap/sample.h"

static bool
peer_status (const NodePublic *key, TunnelPeerStatus *out, void *user_data)
{
  char text[KEY_TEXT_MAX];

  key_format (KEY_NODE_PUBLIC, key->bytes, text);
  if (strcmp (text, KEY_WEB) != 0)
    return false;
  *out = (TunnelPeerStatus){
      .rx_bytes = 5120,
      .tx_bytes = 4096,
      .last_handshake_us = 40 * INT64_C (1000000),
      .last_send_us = 95 * INT64_C (1000000),
  };
  g_assert_true (ip_port_parse ("198.51.100.4:41641", 18, &out->udp));
  return true;
}

static char *
render (const StatusInput *input)
{
  JsonReader r;
  JsonWriter w;

  json_writer_init (&w);
  status_json_write (input, &w);
  json_reader_init (&r, w.data, w.size);
  json_reader_skip (&r);
  g_assert_true (json_reader_end (&r));
  json_reader_clear (&r);
  char *text = g_strndup (w.data, w.size);
  json_writer_clear (&w);
  return text;
}

/* The document says each of these, and none of those behind the first NULL. */
static void
assert_says (const char *document, const char *const *texts)
{
  bool wanted = true;

  for (size_t i = 0, nulls = 0; nulls < 2; i++) {
    if (!texts[i]) {
      nulls++;
      wanted = false;
    } else if ((strstr (document, texts[i]) != NULL) != wanted) {
      g_error ("%s in the document: %s\n%s", wanted ? "not" : "wrongly", texts[i], document);
    }
  }
}

static StatusInput
input_for (const Netmap *map)
{
  StatusInput input = {
      .version = "0.1.0-warren",
      .backend_state = "Running",
      .auth_url = "",
      .have_node_key = true,
      .netmap = map,
      .host_name = "ada-laptop",
      .online = true,
      .home_region = 900,
      .exit_node_id = "",
      .with_peers = true,
      .peer_status = peer_status,
      .now_us = 100 * INT64_C (1000000),
  };

  g_assert_true (wall_time_parse ("2026-11-22T10:00:00Z", 20, &input.now));
  return input;
}

static void
test_running (void)
{
  static const char *const texts[] = {
      "\"BackendState\":\"Running\",\"HaveNodeKey\":true,\"AuthURL\":\"\"",
      "\"MagicDNSSuffix\":\"corn.ts.net\",\"MagicDNSEnabled\":true",
      "\"Self\":{\"ID\":\"n11CNTRL\",\"NodeID\":11,\"PublicKey\":\"" KEY_SELF
      "\",\"HostName\":\"ada-laptop\",\"DNSName\":\"ada-laptop.corn.ts.net.\",\"OS\":\"linux\"",
      "\"Addrs\":null,\"CurAddr\":\"\",\"Relay\":\"home\"",
      "\"KeyExpiry\":\"2027-01-10T08:00:00Z\"",
      "\"" KEY_WEB "\":{\"ID\":\"n14CNTRL\",\"NodeID\":14",
      "\"Tags\":[\"tag:web\"]",
      "\"CurAddr\":\"198.51.100.4:41641\",\"Relay\":\"home\",\"PeerRelay\":\"\","
      "\"RxBytes\":5120,\"TxBytes\":4096",
      "\"LastSeen\":\"0001-01-01T00:00:00Z\",\"LastHandshake\":\"2026-11-22T09:59:00Z\","
      "\"Online\":true,\"ExitNode\":false,\"ExitNodeOption\":false,\"Active\":true",
      "\"PrimaryRoutes\":[\"192.168.7.0/24\"]",
      "\"9\":{\"ID\":9,\"LoginName\":\"tagged-devices\",\"DisplayName\":\"Tagged Devices\"",
      "\"ClientVersion\":null",
      NULL,
      "ExitNodeStatus",
      NULL,
  };
  Netmap *map = apply_at (NULL, sample_map, "2026-11-22T10:00:00Z", NULL);
  StatusInput input = input_for (map);
  g_autofree char *document = render (&input);

  assert_says (document, texts);
  netmap_unref (map);
}

static void
test_without_peers (void)
{
  static const char *const texts[] = {
      "\"Peer\":null,\"User\":{\"1\":{\"ID\":1",
      NULL,
      "tagged-devices",
      NULL,
  };
  Netmap *map = apply_at (NULL, sample_map, "2026-11-22T10:00:00Z", NULL);
  StatusInput input = input_for (map);

  input.with_peers = false;
  g_autofree char *document = render (&input);
  assert_says (document, texts);
  netmap_unref (map);
}

static void
test_without_map (void)
{
  static const char *const health[] = {"first", "second", NULL};
  static const char *const texts[] = {
      "\"BackendState\":\"NeedsLogin\",\"AuthURL\":\"\",\"TailscaleIPs\":null",
      "\"HostName\":\"ada-laptop\"",
      "\"Health\":[\"first\",\"second\"]",
      "\"CurrentTailnet\":null",
      "\"Peer\":null,\"User\":null",
      NULL,
      "HaveNodeKey",
      NULL,
  };
  StatusInput input = input_for (NULL);

  input.backend_state = "NeedsLogin";
  input.have_node_key = false;
  input.health = health;
  g_autofree char *document = render (&input);
  assert_says (document, texts);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/api/status-json/shows-self-peers-and-users", test_running);
  g_test_add_func ("/api/status-json/leaves-peers-out-when-asked", test_without_peers);
  g_test_add_func ("/api/status-json/knows-only-this-computer-before-the-first-map",
                   test_without_map);
  return g_test_run ();
}
