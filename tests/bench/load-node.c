#include "load-node.h"

#include "base/bytes.h"
#include "base/ip.h"
#include "netmap/map-request.h"
#include "netmap/register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORT_BASE   1024
#define FRAME_HEAD  9
#define FRAME_MAX   (1u << 20)
#define END_STREAM  1
#define ACK         1
#define END_HEADERS 4
#define STATUS_200  0x88

enum
{
  FRAME_DATA = 0,
  FRAME_HEADERS = 1,
  FRAME_RST = 3,
  FRAME_SETTINGS = 4,
  FRAME_PING = 6,
  FRAME_GOAWAY = 7,
};

/* ---- who a node is ---- */

static void
make_key (uint32_t index, char kind, uint8_t key[KEY_SIZE])
{
  SeededRandom random;

  seeded_random_init (&random, (uint64_t)index << 8 | (uint8_t)kind);
  key_generate (&random.base, key);
}

static void
make_public (uint32_t index, char kind, uint8_t key[KEY_SIZE])
{
  uint8_t secret[KEY_SIZE];

  make_key (index, kind, secret);
  key_public (secret, key);
}

static IpPort
endpoint_of (const LoadNode *node)
{
  IpPort endpoint = {.addr = ip_from_v4 (0x0a000000u | node->index)};

  endpoint.port = (uint16_t)(PORT_BASE + node->changes);
  return endpoint;
}

bool
load_endpoint_parse (const uint8_t address[4], uint16_t port, uint32_t *index, uint32_t *change)
{
  *index = (uint32_t)address[1] << 16 | (uint32_t)address[2] << 8 | address[3];
  *change = (uint32_t)port - PORT_BASE;
  return address[0] == 10 && port >= PORT_BASE;
}

void
load_node_init (LoadNode *node, uint32_t index, LoadSink sink, void *user_data)
{
  *node = (LoadNode){.index = index, .sink = sink, .user_data = user_data};
}

void
load_node_clear (LoadNode *node)
{
  noise_records_clear (&node->records);
  buffer_free (&node->out);
  buffer_free (&node->head);
  buffer_free (&node->plain);
  buffer_free (&node->message);
}

void
load_node_connect (LoadNode *node, const MachinePublic *server)
{
  uint8_t initiation[NOISE_INITIATION_SIZE];
  char text[160];
  MachinePrivate machine;

  load_node_clear (node);
  node->state = LOAD_UPGRADING;
  node->early_done = node->has_first_map = false;
  node->early_skip = node->length_size = node->message_left = 0;
  node->map_stream = node->register_stream = 0;
  node->next_stream = 1;
  make_key (node->index, 'm', machine.bytes);
  noise_initiator_start (&node->initiator, &machine, server, LOAD_VERSION, random_system (),
                         initiation);
  base64_encode (initiation, sizeof initiation, text);
  buffer_append_format (&node->out,
                        "POST /ts2021 HTTP/1.1\r\nHost: load\r\nConnection: upgrade\r\n"
                        "Upgrade: tailscale-control-protocol\r\n"
                        "X-Tailscale-Handshake: %s\r\nContent-Length: 0\r\n\r\n",
                        text);
}

/* ---- sending ---- */

static void
put_frame (Buffer *out, uint8_t type, uint8_t flags, int32_t stream, const void *data, size_t size)
{
  uint8_t head[FRAME_HEAD]
      = {(uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, type, flags};

  store_be32 (head + 5, (uint32_t)stream);
  buffer_append (out, head, sizeof head);
  buffer_append (out, data, size);
}

static void
seal (LoadNode *node, Buffer *plain)
{
  noise_records_seal (&node->records, plain->data, plain->size, &node->out);
  buffer_free (plain);
}

static void
put_text (Buffer *out, uint8_t field, const char *text)
{
  uint8_t head[2] = {field, (uint8_t)strlen (text)};

  buffer_append (out, head, sizeof head);
  buffer_append_text (out, text);
}

static int32_t
request (LoadNode *node, const char *path, JsonWriter *body)
{
  static const uint8_t post_https[] = {0x83, 0x87};
  Buffer headers = {0}, plain = {0};
  int32_t stream = node->next_stream;

  node->next_stream += 2;
  buffer_append (&headers, post_https, sizeof post_https);
  put_text (&headers, 0x04, path);
  put_text (&headers, 0x01, "load");
  put_frame (&plain, FRAME_HEADERS, END_HEADERS, stream, headers.data, headers.size);
  put_frame (&plain, FRAME_DATA, END_STREAM, stream, body->data, body->size);
  buffer_free (&headers);
  json_writer_clear (body);
  seal (node, &plain);
  return stream;
}

static void
greet (LoadNode *node)
{
  static const uint8_t settings[] = {0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff};
  static const uint8_t window[] = {0x40, 0, 0, 0};
  Buffer plain = {0};

  buffer_append_text (&plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  put_frame (&plain, FRAME_SETTINGS, 0, 0, settings, sizeof settings);
  put_frame (&plain, 8, 0, 0, window, sizeof window);
  seal (node, &plain);
}

/* What a small Linux machine says about itself. */
static void
describe (const LoadNode *node, Hostinfo *info, NetInfo *net, NodeService service[1], char name[32])
{
  snprintf (name, 32, "load-%05u", node->index);
  hostinfo_init (info);
  net_info_init (net);
  net->preferred_derp = 900;
  net->working_udp = TRI_TRUE;
  service[0] = (NodeService){.proto = "peerapi4", .description = "", .port = 40000};
  info->ipn_version = "1.102.5";
  info->os = "linux";
  info->os_version = "6.1.0-25-amd64";
  info->distro = "debian";
  info->distro_version = "12";
  info->machine = "x86_64";
  info->go_arch = "amd64";
  info->hostname = name;
  info->services = service;
  info->n_services = 1;
  info->net_info = net;
}

static int32_t
send_map_request (LoadNode *node, bool stream, uint16_t whole)
{
  MapRequest body;
  MapEndpoint endpoint = {endpoint_of (node), ENDPOINT_LOCAL};
  Hostinfo info;
  NetInfo net;
  NodeService service[1];
  char name[32];
  JsonWriter w;

  describe (node, &info, &net, service, name);
  service[0].port = (uint16_t)(service[0].port + whole);
  map_request_init (&body);
  body.version = LOAD_VERSION;
  make_public (node->index, 'n', body.node_key.bytes);
  make_public (node->index, 'd', body.disco_key.bytes);
  body.stream = stream;
  body.omit_peers = !stream;
  body.keep_alive = true;
  body.compress = "zstd";
  body.hostinfo = &info;
  body.endpoints = &endpoint;
  body.n_endpoints = 1;
  json_writer_init (&w);
  map_request_encode (&body, &w);
  return request (node, "/machine/map", &w);
}

void
load_node_register (LoadNode *node, const char *auth_key)
{
  RegisterRequest body;
  Hostinfo info;
  NetInfo net;
  NodeService service[1];
  char name[32];
  JsonWriter w;

  describe (node, &info, &net, service, name);
  register_request_init (&body);
  body.version = LOAD_VERSION;
  make_public (node->index, 'n', body.node_key.bytes);
  body.auth_key = auth_key;
  body.hostinfo = &info;
  json_writer_init (&w);
  register_request_encode (&body, &w);
  node->register_stream = request (node, "/machine/register", &w);
}

void
load_node_poll (LoadNode *node)
{
  node->map_stream = send_map_request (node, true, 0);
  send_map_request (node, false, 0);
}

void
load_node_change (LoadNode *node, bool whole)
{
  node->changes++;
  send_map_request (node, false, whole ? (uint16_t)node->changes : 0);
}

/* ---- receiving ---- */

static uint64_t
mix (uint64_t digest, const uint8_t *data, size_t size)
{
  for (; size >= 8; size -= 8, data += 8)
    digest = (digest ^ load_le64 (data)) * UINT64_C (0x9e3779b97f4a7c15);
  for (; size > 0; size--, data++)
    digest = (digest ^ *data) * UINT64_C (0x100000001b3);
  return digest ^ digest >> 29;
}

static void
end_message (LoadNode *node)
{
  LoadEventType type = node->has_first_map ? LOAD_MESSAGE : LOAD_FIRST_MAP;

  node->has_first_map = true;
  node->length_size = 0;
  node->sink (node->user_data, node, type, node->message.data, node->message.size);
  buffer_free (&node->message);
}

static void
take_map (LoadNode *node, const uint8_t *data, size_t size)
{
  node->map_bytes += size;
  node->digest = mix (node->digest, data, size);
  while (size > 0) {
    if (node->length_size < sizeof node->length) {
      node->length[node->length_size++] = *data++;
      size--;
      node->message_left = load_le32 (node->length);
      continue;
    }
    size_t n = node->message_left < size ? node->message_left : size;
    if (node->keep_messages || node->has_first_map)
      buffer_append (&node->message, data, n);
    data += n;
    size -= n;
    node->message_left -= n;
    if (node->message_left == 0)
      end_message (node);
  }
}

static void
answer_control (LoadNode *node, uint8_t type, uint8_t flags, const uint8_t *data, size_t size)
{
  Buffer plain = {0};

  if (flags & ACK)
    return;
  put_frame (&plain, type, ACK, 0, type == FRAME_PING ? data : NULL, type == FRAME_PING ? size : 0);
  seal (node, &plain);
}

static void
take_frame (LoadNode *node, const uint8_t *head, const uint8_t *data, size_t size)
{
  int32_t stream = (int32_t)load_be32 (head + 5);
  uint8_t type = head[3], flags = head[4];
  bool over = type <= FRAME_HEADERS && (flags & END_STREAM);

  if (type == FRAME_SETTINGS || type == FRAME_PING)
    answer_control (node, type, flags, data, size);
  if (type == FRAME_DATA && stream == node->map_stream)
    take_map (node, data, size);
  if (type == FRAME_GOAWAY || type == FRAME_RST
      || (type == FRAME_HEADERS && !memchr (data, STATUS_200, size < 2 ? size : 2))
      || (over && stream == node->map_stream))
    node->sink (node->user_data, node, LOAD_REFUSED, data, size);
  else if (over)
    node->sink (node->user_data, node,
                stream == node->register_stream ? LOAD_REGISTERED : LOAD_ANSWER, data, size);
}

static bool
read_frames (LoadNode *node)
{
  while (node->plain.size >= FRAME_HEAD) {
    const uint8_t *head = node->plain.data;
    size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    if (size > FRAME_MAX)
      return false;
    if (node->plain.size < FRAME_HEAD + size)
      break;
    take_frame (node, head, head + FRAME_HEAD, size);
    buffer_consume (&node->plain, FRAME_HEAD + size);
  }
  if (node->plain.size == 0)
    buffer_free (&node->plain);
  return true;
}

static bool
open_records (LoadNode *node, const void *data, size_t size)
{
  if (!noise_records_open (&node->records, data, size, &node->plain))
    return false;
  if (!node->early_done) {
    NoiseEarlyResult result = noise_early_take (&node->plain, &node->early_skip);
    if (result == NOISE_EARLY_MORE)
      return true;
    node->early_done = true;
  }
  return read_frames (node);
}

static bool
finish_upgrade (LoadNode *node)
{
  uint8_t *end = memmem (node->head.data, node->head.size, "\r\n\r\n", 4);
  NoiseKeys keys;

  if (!end || node->head.size - (size_t)(end + 4 - node->head.data) < NOISE_RESPONSE_SIZE)
    return node->head.size < 4096;
  if (memcmp (node->head.data, "HTTP/1.1 101 ", 13) != 0
      || !noise_initiator_finish (&node->initiator, end + 4, &keys))
    return false;
  noise_records_init (&node->records, &keys);
  buffer_consume (&node->head, (size_t)(end + 4 - node->head.data) + NOISE_RESPONSE_SIZE);
  node->state = LOAD_OPEN;
  greet (node);
  bool ok = open_records (node, node->head.data, node->head.size);
  buffer_free (&node->head);
  return ok;
}

bool
load_node_feed (LoadNode *node, const void *data, size_t size)
{
  bool ok = true;

  if (node->state == LOAD_UPGRADING) {
    buffer_append (&node->head, data, size);
    ok = finish_upgrade (node);
  } else {
    ok = open_records (node, data, size);
  }
  if (!ok)
    node->state = LOAD_FAILED;
  return ok;
}
