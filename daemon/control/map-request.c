#include "control/core.h"

#include <stdio.h>
#include <stdlib.h>

/* Both kinds carry everything, always: servers take what is missing for gone. */
int32_t
map_request_send (Control *c, bool stream)
{
  MapRequest request;
  JsonWriter w;
  char path[CONTROL_PATH_MAX + 24];
  size_t size;

  map_request_init (&request);
  request.version = CONTROL_CAPABILITY_VERSION;
  key_public (c->identity->node_key.bytes, request.node_key.bytes);
  request.disco_key = c->disco_key;
  request.stream = stream;
  request.omit_peers = !stream;
  request.keep_alive = true;
  request.compress = "zstd";
  request.hostinfo = &c->hostinfo;
  request.endpoints = c->endpoints;
  request.n_endpoints = c->n_endpoints;
  json_writer_init (&w);
  map_request_encode (&request, &w);
  char *json = json_writer_take (&w, &size);
  snprintf (path, sizeof path, "%s/machine/map", c->url.path);
  int32_t id = link_request (c, "POST", path, &request.node_key, NULL, json, size);
  free (json);
  return id;
}
