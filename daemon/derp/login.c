#include "derp/login.h"

#include "base/bytes.h"
#include "wire/json-reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_INFO_MAX 65536

static const char client_info[] = "{\"version\":2,\"CanAckPings\":true}";
static const char relay_info[] = "{\"version\":2,\"meshKey\":\"%s\"}";

size_t
derp_login_encode (const NodePublic *key, const uint8_t shared[32],
                   const uint8_t nonce[BOX_NONCE_SIZE], const uint8_t *mesh_key, void *out,
                   size_t capacity)
{
  char hex[2 * KEY_SIZE + 1], json[sizeof relay_info + sizeof hex];

  if (!mesh_key)
    return derp_client_info_encode (key, shared, nonce, client_info, strlen (client_info), out,
                                    capacity);
  hex_encode (mesh_key, KEY_SIZE, hex);
  int n = snprintf (json, sizeof json, relay_info, hex);
  size_t size = derp_client_info_encode (key, shared, nonce, json, (size_t)n, out, capacity);
  explicit_bzero (hex, sizeof hex);
  explicit_bzero (json, sizeof json);
  return size;
}

static bool
read_info (const void *json, size_t size, DerpServerInfo *out)
{
  JsonReader r;
  JsonString name;

  json_reader_init (&r, json, size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &name)) {
    if (json_string_equal (name, "version"))
      out->version = json_reader_i64 (&r);
    else if (json_string_equal (name, "TokenBucketBytesPerSecond"))
      out->bytes_per_second = json_reader_i64 (&r);
    else if (json_string_equal (name, "TokenBucketBytesBurst"))
      out->bytes_burst = json_reader_i64 (&r);
    else
      json_reader_skip (&r);
  }
  bool ok = json_reader_ok (&r);
  json_reader_clear (&r);
  return ok;
}

bool
derp_server_info_parse (const DerpFrame *frame, const uint8_t shared[32], DerpServerInfo *out)
{
  *out = (DerpServerInfo){0};
  if (frame->size > SERVER_INFO_MAX)
    return false;
  uint8_t *json = malloc (SERVER_INFO_MAX);
  size_t size = json ? derp_server_info_open (frame, shared, json, SERVER_INFO_MAX) : 0;
  bool ok = size > 0 && read_info (json, size, out);
  free (json);
  return ok;
}
