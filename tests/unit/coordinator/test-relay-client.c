/* One client of the relay: login, frames and limits (spec/derp.md §14, server). */
#include "relay-rig.h"

#include "base/bytes.h"

#include <glib.h>
#include <string.h>

#define PACKET "04000000785634120000000000000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
#define INFO   "{\"version\":2,\"CanAckPings\":true}"

static void
assert_hex (const void *bytes, size_t size, const char *expected)
{
  g_autofree char *text = g_malloc (2 * size + 1);

  hex_encode (bytes, size, text);
  g_assert_cmpstr (text, ==, expected);
}

static bool
contains (const Buffer *buffer, const char *text)
{
  return buffer->size > 0 && memmem (buffer->data, buffer->size, text, strlen (text)) != NULL;
}

static void
assert_over (const RelayRig *rig)
{
  g_assert_cmpint (rig->client.stage, ==, RELAY_OVER);
}

/* ---- login ---- */

static void
test_fast_start (void)
{
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_feed (&rig, RIG_FAST, strlen (RIG_FAST), &event);
  relay_rig_take (&rig);
  assert_hex (rig.out.data, rig.out.size,
              "010000002844455250f09f949161e469479afd62bcdcc586e4b77d5fb9e4f8d84a7827e0420d13f893d1"
              "eb1940");
  relay_rig_clear (&rig);
}

static void
test_upgrade (void)
{
  static const char *const requests[] = {
      "GET /derp HTTP/1.1\r\nHost: x\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n",
      ("POST /derp HTTP/1.1\r\nhost: 1.2.3.4\r\nupgrade: derp\r\nconnection: upgrade\r\n"
       "content-length: 0\r\n\r\n"),
      "GET /derp HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n",
  };
  RelayRig rig;
  RelayEvent event;

  for (size_t i = 0; i < G_N_ELEMENTS (requests); i++) {
    relay_rig_init (&rig);
    relay_rig_feed (&rig, requests[i], strlen (requests[i]), &event);
    relay_rig_take (&rig);
    g_assert_cmpuint (rig.out.size, ==, 172 + 45);
    g_assert_cmpmem (rig.out.data, 34, "HTTP/1.1 101 Switching Protocols\r\n", 34);
    g_assert_cmpmem (rig.out.data + 172, 5, "\1\0\0\0\x28", 5);
    g_assert_cmpint (rig.client.stage, ==, RELAY_LOGIN);
    relay_rig_clear (&rig);
  }
}

static void
test_no_upgrade (void)
{
  static const char request[] = "GET /derp HTTP/1.1\r\nHost: x\r\n\r\n";
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_feed (&rig, request, strlen (request), &event);
  relay_rig_take (&rig);
  g_assert_true (contains (&rig.out, "426 "));
  g_assert_true (contains (&rig.out, "DERP requires connection upgrade"));
  relay_rig_clear (&rig);
}

static void
test_one_flight (void)
{
  uint8_t flight[1024], preferred[6] = {7, 0, 0, 0, 1, 1};
  size_t size = strlen (RIG_FAST);
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  memcpy (flight, RIG_FAST, size);
  size += relay_rig_info (&rig, INFO, flight + size, sizeof flight - size);
  memcpy (flight + size, preferred, sizeof preferred);
  size += sizeof preferred;
  /* Cut at every place: nothing may depend on how bytes arrive. */
  for (size_t cut = 0; cut <= size; cut++) {
    relay_client_clear (&rig.client);
    relay_client_init (&rig.client, &rig.identity);
    RelayEventType type = relay_rig_feed (&rig, flight, cut, &event);
    if (type == RELAY_EVENT_NONE)
      type = relay_rig_feed (&rig, flight + cut, size - cut, &event);
    g_assert_cmpint (type, ==, RELAY_EVENT_LOGIN);
    g_assert_true (key_same (&rig.client.key, &rig.a));
    relay_client_accept (&rig.client, rig.now_us);
    if (relay_rig_next (&rig, &event) == RELAY_EVENT_NONE && !rig.client.preferred)
      relay_rig_feed (&rig, flight + cut, size - cut, &event);
    g_assert_true (rig.client.preferred && rig.client.takes_news);
    relay_rig_take (&rig);
    g_assert_cmpint (rig.out.data[45], ==, DERP_SERVER_INFO);
  }
  relay_rig_clear (&rig);
}

static void
test_info_first (void)
{
  uint8_t info[1024], frame[DERP_SEND_OVERHEAD + 4] = {0};
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_feed (&rig, RIG_FAST, strlen (RIG_FAST), &event);
  relay_rig_feed (&rig, info, relay_rig_info (&rig, INFO, info, sizeof info), &event);
  relay_client_accept (&rig.client, rig.now_us);
  derp_recv_packet_head (&rig.b, 4, frame);
  relay_client_deliver (&rig.client, &rig.b, frame, sizeof frame);
  relay_rig_take (&rig);
  g_assert_cmpint (rig.out.data[0], ==, DERP_SERVER_KEY);
  g_assert_cmpint (rig.out.data[45], ==, DERP_SERVER_INFO);
  g_assert_cmpint (rig.out.data[45 + 58], ==, DERP_RECV_PACKET);
  relay_rig_clear (&rig);
}

/* JSON of a login; whether it is good. */
static void
test_info_texts (void)
{
  static const struct
  {
    const char *json;
    bool good, mesh;
  } cases[] = {
      {INFO, true, false},
      {"{\"VERSION\":2,\"canackpings\":true,\"future\":[1,{}]}", true, false},
      {"{\"can_ack_pings\":false,\"is_prober\":false,\"mesh_key\":\"none\",\"version\":2}", true,
       false},
      {"{\"version\":2,\"meshKey\":\"\"}", true, false},
      {"{\"version\":2,\"meshKey\":\"0707\"}", false, false},
      {"{\"version\":2,\"meshKey\":"
       "\"0707070707070707070707070707070707070707070707070707070707070707\"}",
       true, true},
      {"{\"version\":2,\"meshkey\":"
       "\"0807070707070707070707070707070707070707070707070707070707070707\"}",
       true, false},
      {"[]", false, false},
      {"{\"version\":2", false, false},
      {"{} {}", false, false},
  };
  uint8_t info[1024];
  RelayRig rig;
  RelayEvent event;

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    relay_rig_init (&rig);
    memset (rig.identity.mesh_key, 7, KEY_SIZE);
    relay_rig_feed (&rig, RIG_FAST, strlen (RIG_FAST), &event);
    size_t size = relay_rig_info (&rig, cases[i].json, info, sizeof info);
    RelayEventType type = relay_rig_feed (&rig, info, size, &event);
    g_assert_cmpint (type, ==, cases[i].good ? RELAY_EVENT_LOGIN : RELAY_EVENT_NONE);
    g_assert_cmpint (rig.client.refused, ==, !cases[i].good);
    g_assert_cmpint (rig.client.mesh, ==, cases[i].mesh);
    relay_rig_clear (&rig);
  }
}

static void
test_zero_mesh_key (void)
{
  RelayRig rig;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, "{\"meshKey\":"
                          "\"0000000000000000000000000000000000000000000000000000000000000000\"}");
  g_assert_false (rig.client.mesh);
  relay_rig_clear (&rig);
}

static void
test_bad_logins (void)
{
  uint8_t info[1024];
  RelayRig rig;
  RelayEvent event;

  for (int way = 0; way < 5; way++) {
    relay_rig_init (&rig);
    relay_rig_feed (&rig, RIG_FAST, strlen (RIG_FAST), &event);
    size_t size = relay_rig_info (&rig, INFO, info, sizeof info);
    if (way == 0)
      info[70] ^= 1; /* the box */
    else if (way == 1)
      memset (info + DERP_HEADER_SIZE, 0, KEY_SIZE); /* the key */
    else if (way == 2)
      derp_header_encode (DERP_CLIENT_INFO, 55, info);
    else if (way == 3)
      derp_header_encode (DERP_CLIENT_INFO, RELAY_INFO_MAX + 1, info);
    else
      info[0] = DERP_PING;
    g_assert_cmpint (relay_rig_feed (&rig, info, size, &event), ==, RELAY_EVENT_NONE);
    assert_over (&rig);
    g_assert_true (rig.client.refused);
    relay_rig_clear (&rig);
  }
}

/* ---- HTTP ---- */

static void
test_probes_keep_alive (void)
{
  static const char request[] = "GET /derp/latency-check HTTP/1.1\r\nHost: x\r\n\r\n"
                                "HEAD /derp/probe HTTP/1.1\r\nHost: x\r\n\r\n";
  static const char post[] = "POST /derp/probe HTTP/1.1\r\nHost: x\r\n\r\n";
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  for (int i = 0; i < RELAY_REQUESTS / 2; i++) {
    g_assert_cmpint (rig.client.stage, ==, RELAY_HEAD);
    relay_rig_feed (&rig, request, strlen (request), &event);
    relay_rig_take (&rig);
    g_assert_true (contains (&rig.out, "200 OK"));
    g_assert_true (contains (&rig.out, "Access-Control-Allow-Origin: *\r\n"));
  }
  assert_over (&rig);
  relay_rig_clear (&rig);
  relay_rig_init (&rig);
  relay_rig_feed (&rig, post, strlen (post), &event);
  relay_rig_take (&rig);
  g_assert_true (contains (&rig.out, "405 "));
  g_assert_true (contains (&rig.out, "bogus probe method"));
  relay_rig_clear (&rig);
}

static void
test_challenge (void)
{
  static const struct
  {
    const char *challenge;
    bool echoed;
  } cases[] = {
      {"ts_relay.example:1-2", true},
      {"two words", false},
      {"<script>", false},
      {"0123456789012345678901234567890123456789012345678901234567890123", true},
      {"01234567890123456789012345678901234567890123456789012345678901234", false},
  };
  RelayRig rig;
  RelayEvent event;

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *request
        = g_strdup_printf ("GET /generate_204?t=1 HTTP/1.1\r\nX-Tailscale-Challenge: %s\r\n\r\n",
                           cases[i].challenge);
    relay_rig_init (&rig);
    relay_rig_feed (&rig, request, strlen (request), &event);
    relay_rig_take (&rig);
    g_assert_true (contains (&rig.out, "204 No Content"));
    g_assert_cmpint (contains (&rig.out, "X-Tailscale-Response: response "), ==, cases[i].echoed);
    relay_rig_clear (&rig);
  }
}

static void
test_other_pages (void)
{
  static const char *const pages[][2] = {
      {"/", "200 OK"},
      {"/robots.txt", "Disallow: /"},
      {"/bootstrap-dns?q=x", "\r\n\r\n{}"},
      {"/debug/vars", "404 "},
  };
  RelayRig rig;
  RelayEvent event;

  for (size_t i = 0; i < G_N_ELEMENTS (pages); i++) {
    g_autofree char *request = g_strdup_printf ("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", pages[i][0]);
    relay_rig_init (&rig);
    relay_rig_feed (&rig, request, strlen (request), &event);
    relay_rig_take (&rig);
    g_assert_true (contains (&rig.out, pages[i][1]));
    relay_rig_clear (&rig);
  }
}

/* Our own names and no others, each once; an address is no name. */
static void
test_names (void)
{
  static const char *const names[] = {"localhost", "192.0.2.1", "localhost", NULL};
  static const char request[] = "GET /bootstrap-dns?q=example.org HTTP/1.1\r\nHost: x\r\n\r\n";
  bool told = false;
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  rig.identity.names = relay_names_new (names);
  for (int i = 0; i < 300 && !told; i++) {
    relay_client_clear (&rig.client);
    relay_client_init (&rig.client, &rig.identity);
    relay_rig_feed (&rig, request, strlen (request), &event);
    relay_rig_take (&rig);
    told = contains (&rig.out, "\r\n\r\n{\"localhost\":[\"");
    g_usleep (told ? 0 : 100000);
  }
  g_assert_true (told);
  g_assert_cmpint (rig.client.stage, ==, RELAY_OVER);
  g_assert_false (contains (&rig.out, "192.0.2.1"));
  relay_names_free (rig.identity.names);
  relay_rig_clear (&rig);
}

static void
test_long_head (void)
{
  g_autofree char *head = g_strnfill (RELAY_HEAD_MAX + 1, 'x');
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_feed (&rig, head, strlen (head), &event);
  assert_over (&rig);
  g_assert_cmpuint (rig.client.rest.size, ==, 0);
  relay_rig_clear (&rig);
}

/* ---- packets ---- */

static void
test_packet (void)
{
  uint8_t body[64];
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, INFO);
  memcpy (body, rig.b.bytes, KEY_SIZE);
  g_assert_true (hex_decode (PACKET, 64, body + KEY_SIZE, 32));
  g_assert_cmpint (relay_rig_frame (&rig, DERP_SEND_PACKET, body, sizeof body, &event), ==,
                   RELAY_EVENT_PACKETS);
  g_assert_true (key_same (&event.destination, &rig.b) && key_same (&event.source, &rig.a));
  assert_hex (event.frames, event.size, "0500000040" RIG_A_PUBLIC PACKET);
  g_assert_cmpuint (event.n, ==, 1);
  /* An empty one. */
  g_assert_cmpint (relay_rig_frame (&rig, DERP_SEND_PACKET, body, KEY_SIZE, &event), ==,
                   RELAY_EVENT_PACKETS);
  assert_hex (event.frames, event.size, "0500000020" RIG_A_PUBLIC);
  relay_rig_clear (&rig);
}

static void
add_packet (GByteArray *bytes, const NodePublic *to, size_t size)
{
  g_autofree uint8_t *frame = g_malloc0 (DERP_SEND_OVERHEAD + size);

  derp_send_packet_head (to, size, frame);
  g_byte_array_append (bytes, frame, (guint)(DERP_SEND_OVERHEAD + size));
}

static void
test_runs (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  unsigned to_a = 0, to_b = 0, runs = 0;
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, INFO);
  for (int i = 0; i < 30; i++)
    add_packet (bytes, i < 10 || i >= 20 ? &rig.b : &rig.a, 100);
  /* In pieces: no packet is lost or counted twice. */
  for (size_t at = 0; at < bytes->len; at += 1000) {
    size_t n = MIN (1000, bytes->len - at);
    RelayEventType type = relay_rig_feed (&rig, bytes->data + at, n, &event);
    for (; type == RELAY_EVENT_PACKETS; type = relay_rig_next (&rig, &event), runs++) {
      g_assert_cmpuint (event.size, ==, event.n * (DERP_SEND_OVERHEAD + 100));
      *(key_same (&event.destination, &rig.a) ? &to_a : &to_b) += event.n;
    }
  }
  g_assert_cmpuint (to_a, ==, 10);
  g_assert_cmpuint (to_b, ==, 20);
  g_assert_cmpuint (runs, <, 10);
  relay_rig_clear (&rig);
}

static void
test_broken_frames (void)
{
  static const struct
  {
    uint8_t type;
    size_t size;
  } cases[] = {
      {DERP_SEND_PACKET, 31},
      {DERP_SEND_PACKET, 65569},
      {DERP_NOTE_PREFERRED, 2},
      {DERP_NOTE_PREFERRED, 0},
      {DERP_PING, 7},
      {DERP_PING, 1001},
      {DERP_WATCH_CONNS, 0},
      {DERP_CLOSE_PEER, 32},
      {DERP_FORWARD_PACKET, 64},
      {0x7f, DERP_BODY_MAX + 1},
  };
  RelayRig rig;
  RelayEvent event;

  for (size_t i = 0; i < G_N_ELEMENTS (cases); i++) {
    relay_rig_init (&rig);
    relay_rig_log_in (&rig, INFO);
    g_assert_cmpint (relay_rig_frame (&rig, cases[i].type, NULL, cases[i].size, &event), ==,
                     RELAY_EVENT_NONE);
    assert_over (&rig);
    g_assert_false (rig.client.refused);
    relay_rig_clear (&rig);
  }
}

static void
test_unknown_frames (void)
{
  uint8_t ping[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, INFO);
  relay_rig_frame (&rig, 0x7f, NULL, 10, &event);
  relay_rig_frame (&rig, DERP_CLIENT_INFO, NULL, 100000, &event);
  g_assert_cmpuint (rig.client.rest.size, ==, 0);
  relay_rig_frame (&rig, DERP_PING, ping, sizeof ping, &event);
  relay_rig_take (&rig);
  assert_hex (rig.out.data, rig.out.size, "13000000080102030405060708");
  for (int i = 0; i < RELAY_UNKNOWN_MAX; i++)
    relay_rig_frame (&rig, 0x7f, NULL, 0, &event);
  assert_over (&rig);
  relay_rig_clear (&rig);
}

static void
test_one_pong (void)
{
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, INFO);
  for (int i = 0; i < 100; i++)
    relay_rig_frame (&rig, DERP_PING, NULL, 8, &event);
  relay_rig_take (&rig);
  g_assert_cmpuint (rig.out.size, ==, 13);
  relay_rig_clear (&rig);
}

static void
test_not_here (void)
{
  RelayRig rig;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, INFO);
  for (int i = 0; i < 10; i++)
    relay_client_not_here (&rig.client, &rig.b, rig.now_us);
  relay_rig_take (&rig);
  g_assert_cmpuint (rig.out.size, ==, 3 * DERP_PEER_GONE_SIZE);
  assert_hex (rig.out.data, DERP_PEER_GONE_SIZE, "0800000021" RIG_B_PUBLIC "01");
  for (int i = 0; i < 10; i++)
    relay_client_not_here (&rig.client, &rig.b, rig.now_us + 2 * USEC_PER_SEC);
  relay_rig_take (&rig);
  g_assert_cmpuint (rig.out.size, ==, 2 * DERP_PEER_GONE_SIZE);
  relay_rig_clear (&rig);
}

static void
test_keep_alive (void)
{
  int64_t shortest = TIME_NEVER, longest = 0;

  for (uint64_t seed = 1; seed < 50; seed++) {
    RelayRig rig;
    relay_rig_init (&rig);
    seeded_random_init (&rig.random, seed);
    relay_rig_log_in (&rig, INFO);
    int64_t next_us = relay_client_tick (&rig.client, rig.now_us) - rig.now_us;
    shortest = MIN (shortest, next_us);
    longest = MAX (longest, next_us);
    relay_client_tick (&rig.client, rig.now_us + next_us);
    relay_rig_take (&rig);
    assert_hex (rig.out.data, rig.out.size, "0600000000");
    relay_rig_clear (&rig);
  }
  g_assert_cmpint (shortest, >=, 60 * USEC_PER_SEC);
  g_assert_cmpint (longest, <=, 65 * USEC_PER_SEC);
  g_assert_cmpint (longest - shortest, >, 3 * USEC_PER_SEC);
}

static void
test_news_for_those_who_take_them (void)
{
  RelayRig rig;

  relay_rig_init (&rig);
  relay_rig_log_in (&rig, "{\"version\":2}");
  relay_client_health (&rig.client, "duplicate");
  relay_client_present (&rig.client, &rig.b, &(IpPort){0}, 1);
  relay_client_restarting (&rig.client, 2000);
  relay_rig_take (&rig);
  g_assert_cmpuint (rig.out.size, ==, 0);
  relay_rig_clear (&rig);
  relay_rig_init (&rig);
  relay_rig_log_in (&rig, INFO);
  relay_client_health (&rig.client, "duplicate");
  relay_rig_take (&rig);
  assert_hex (rig.out.data, rig.out.size, "14000000096475706c6963617465");
  relay_client_restarting (&rig.client, 2000);
  relay_rig_take (&rig);
  assert_hex (rig.out.data, rig.out.size, "1500000008000007d000002710");
  relay_rig_clear (&rig);
}

static void
test_rate (void)
{
  uint8_t body[KEY_SIZE + 1000] = {0};
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  rig.identity.rate = 100000;
  relay_rig_log_in (&rig, INFO);
  g_assert_cmpint (relay_client_pause (&rig.client, rig.now_us), ==, 0);
  for (int i = 0; i < 400; i++)
    relay_rig_frame (&rig, DERP_SEND_PACKET, body, sizeof body, &event);
  /* 412,800 bytes, 131,072 of them at once: the rest takes 2.8 s. */
  int64_t pause_us = relay_client_pause (&rig.client, rig.now_us) - rig.now_us;
  g_assert_cmpint (pause_us, >, 2700 * USEC_PER_MSEC);
  g_assert_cmpint (pause_us, <, 2900 * USEC_PER_MSEC);
  g_assert_cmpint (relay_client_pause (&rig.client, rig.now_us + 3 * USEC_PER_SEC), ==, 0);
  relay_rig_clear (&rig);
}

/* ---- other relays ---- */

static void
test_mesh_frames (void)
{
  static const char mesh[]
      = "{\"version\":2,\"meshKey\":"
        "\"0707070707070707070707070707070707070707070707070707070707070707\"}";
  uint8_t body[96];
  IpPort at = {ip_from_v4 (0xc000020a), 49152};
  RelayRig rig;
  RelayEvent event;

  relay_rig_init (&rig);
  memset (rig.identity.mesh_key, 7, KEY_SIZE);
  relay_rig_log_in (&rig, mesh);
  g_assert_cmpint (relay_rig_frame (&rig, DERP_WATCH_CONNS, NULL, 0, &event), ==,
                   RELAY_EVENT_WATCH);
  g_assert_cmpint (relay_rig_frame (&rig, DERP_CLOSE_PEER, rig.b.bytes, KEY_SIZE, &event), ==,
                   RELAY_EVENT_CLOSE);
  g_assert_true (key_same (&event.destination, &rig.b));
  memcpy (body, rig.a.bytes, KEY_SIZE);
  memcpy (body + KEY_SIZE, rig.b.bytes, KEY_SIZE);
  g_assert_true (hex_decode (PACKET, 64, body + 64, 32));
  g_assert_cmpint (relay_rig_frame (&rig, DERP_FORWARD_PACKET, body, sizeof body, &event), ==,
                   RELAY_EVENT_FORWARD);
  g_assert_true (key_same (&event.destination, &rig.b));
  assert_hex (event.frames, event.size, "0500000040" RIG_A_PUBLIC PACKET);
  relay_client_present (&rig.client, &rig.a, &at, DERP_PRESENT_REGULAR);
  relay_rig_take (&rig);
  assert_hex (rig.out.data, rig.out.size,
              "0900000033" RIG_A_PUBLIC "00000000000000000000ffffc000020ac00001");
  relay_client_forward (&rig.client, &rig.a, &rig.b, body + 64, 32);
  relay_rig_take (&rig);
  assert_hex (rig.out.data, rig.out.size, "0a00000060" RIG_A_PUBLIC RIG_B_PUBLIC PACKET);
  relay_rig_clear (&rig);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/relay-client/fast-start-answers-with-the-key-alone", test_fast_start);
  g_test_add_func ("/relay-client/upgrade-is-answered-whoever-asks", test_upgrade);
  g_test_add_func ("/relay-client/no-upgrade-is-refused", test_no_upgrade);
  g_test_add_func ("/relay-client/request-and-login-may-come-in-any-pieces", test_one_flight);
  g_test_add_func ("/relay-client/answer-to-the-login-is-before-packets", test_info_first);
  g_test_add_func ("/relay-client/names-in-the-login-are-read-in-any-case", test_info_texts);
  g_test_add_func ("/relay-client/a-zero-mesh-key-never-counts", test_zero_mesh_key);
  g_test_add_func ("/relay-client/bad-logins-are-refused", test_bad_logins);
  g_test_add_func ("/relay-client/probes-keep-the-connection", test_probes_keep_alive);
  g_test_add_func ("/relay-client/only-harmless-challenges-are-echoed", test_challenge);
  g_test_add_func ("/relay-client/other-pages", test_other_pages);
  g_test_add_func ("/relay-client/addresses-of-our-own-servers-are-told", test_names);
  g_test_add_func ("/relay-client/a-long-head-ends-the-connection", test_long_head);
  g_test_add_func ("/relay-client/a-packet-becomes-its-receivers-frame", test_packet);
  g_test_add_func ("/relay-client/packets-to-one-receiver-come-in-runs", test_runs);
  g_test_add_func ("/relay-client/broken-frames-end-the-connection", test_broken_frames);
  g_test_add_func ("/relay-client/unknown-frames-are-skipped-up-to-a-limit", test_unknown_frames);
  g_test_add_func ("/relay-client/one-pong-at-a-time", test_one_pong);
  g_test_add_func ("/relay-client/absence-is-told-three-times-then-once-a-second", test_not_here);
  g_test_add_func ("/relay-client/keep-alives-are-not-synchronised", test_keep_alive);
  g_test_add_func ("/relay-client/news-only-for-clients-that-take-them",
                   test_news_for_those_who_take_them);
  g_test_add_func ("/relay-client/who-sends-too-much-is-to-wait", test_rate);
  g_test_add_func ("/relay-client/relays-of-a-region-watch-and-forward", test_mesh_frames);
  return g_test_run ();
}
