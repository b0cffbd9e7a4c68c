#include "coordinator/relay-info.h"

#include "base/bytes.h"
#include "wire/json-reader.h"

#include <string.h>
#include <strings.h>

static bool
named (JsonString name, const char *text)
{
  return name.length == strlen (text) && strncasecmp (name.text, text, name.length) == 0;
}

/* An empty text counts as none. */
static bool
read_mesh_key (JsonReader *r, RelayClientInfo *out)
{
  JsonString text = json_reader_string (r);

  if (text.length == 0)
    return true;
  out->has_mesh_key = hex_decode (text.text, text.length, out->mesh_key, KEY_SIZE);
  return out->has_mesh_key;
}

bool
relay_client_info_parse (const void *json, size_t size, RelayClientInfo *out)
{
  JsonReader r;
  JsonString name;
  bool ok;

  *out = (RelayClientInfo){0};
  json_reader_init (&r, json, size);
  ok = json_reader_peek (&r) == JSON_OBJECT;
  json_reader_enter_object (&r);
  while (ok && json_reader_next_member (&r, &name)) {
    if (named (name, "meshKey"))
      ok = read_mesh_key (&r, out);
    else if (named (name, "CanAckPings"))
      out->can_ack_pings = json_reader_bool (&r);
    else if (named (name, "IsProber"))
      out->prober = json_reader_bool (&r);
    else
      json_reader_skip (&r);
  }
  ok = ok && json_reader_ok (&r) && json_reader_end (&r);
  json_reader_clear (&r);
  return ok;
}
