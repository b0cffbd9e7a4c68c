/* Map streams: who listens, when they are told, who is online (spec/control-protocol.md §17.7). */

#include "coordinator/state-private.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define STREAMS_PER_NODE 3

void
stream_free (Stream *stream)
{
  free (stream->told);
  free (stream->users_told);
  free (stream);
}

static void
refuse (State *state, uint64_t request, const char *text)
{
  state_reply (state, request, 404, text);
}

/* ---- what a request says about its node ---- */

static bool
same_endpoints (const CoNode *node, const MapRequest *body, size_t n)
{
  if (n != node->n_endpoints)
    return false;
  for (size_t i = 0; i < n; i++)
    if (!ip_port_equal (&node->endpoints[i], &body->endpoints[i].addr))
      return false;
  return true;
}

/* True when peers see something of the change beyond what a patch can tell. */
static bool
hostinfo_shows (const Hostinfo *a, const Hostinfo *b)
{
  Hostinfo x = *a, y = *b;

  x.net_info = y.net_info = NULL;
  return !hostinfo_equal (&x, &y);
}

static int
home_of (const Hostinfo *hostinfo)
{
  return hostinfo->net_info ? hostinfo->net_info->preferred_derp : 0;
}

static void
apply_hostinfo (State *state, CoNode *node, const Hostinfo *hostinfo)
{
  if (!hostinfo || hostinfo_equal (&node->hostinfo, hostinfo))
    return;
  bool whole = hostinfo_shows (&node->hostinfo, hostinfo);
  int home = home_of (&node->hostinfo);
  co_node_set_hostinfo (node, hostinfo);
  if (whole && !node->renamed) {
    char label[MODEL_LABEL_MAX + 1];
    model_label (hostinfo->hostname, label);
    if (strncmp (node->name, label, strlen (label)) != 0)
      model_name_node (&state->model, node, hostinfo->hostname);
  }
  if (whole || home != home_of (&node->hostinfo)) {
    state_changed (state, node, whole);
    state_save_node (state, node);
  }
}

/* Disco key and endpoints are kept on disk too: after a restart peers must not be told that a node
 * that has not spoken yet cannot be reached. */
static void
apply_request (State *state, CoNode *node, const MapRequest *body)
{
  size_t n = body->n_endpoints < MODEL_ENDPOINTS_MAX ? body->n_endpoints : MODEL_ENDPOINTS_MAX;
  bool changed = false;

  node->capability_version = body->version;
  if (!key_zero (&body->disco_key) && !key_same (&body->disco_key, &node->disco_key)) {
    node->disco_key = body->disco_key;
    changed = true;
  }
  if (!same_endpoints (node, body, n)) {
    for (size_t i = 0; i < n; i++)
      node->endpoints[i] = body->endpoints[i].addr;
    node->n_endpoints = n;
    changed = true;
  }
  if (changed) {
    state_changed (state, node, false);
    state_save_node (state, node);
  }
  apply_hostinfo (state, node, body->hostinfo);
}

/* ---- streams ---- */

static void
set_online (State *state, CoNode *node, bool online)
{
  if (node->online == online)
    return;
  node->online = online;
  if (!online) {
    node->last_seen = state->wall;
    state_save_node (state, node);
  }
  /* A router that comes or goes moves routes between others. */
  state_changed (state, node, node->n_approved_routes > 0);
}

static int64_t
next_keep_alive (State *state)
{
  return state->now_us + random_between (state->random, KEEP_ALIVE_MIN_US, KEEP_ALIVE_MAX_US);
}

static void
drop_stream (State *state, size_t index)
{
  Stream *stream = state->streams[index];
  CoNode *node = model_node (&state->model, stream->node);

  if (node && --node->streams == 0) {
    node->offline_us = state->now_us + OFFLINE_US;
    if (node->ephemeral)
      node->delete_us = state->now_us + EPHEMERAL_US;
  }
  stream_free (stream);
  state->streams[index] = state->streams[--state->n_streams];
}

void
state_end_streams_of (State *state, NodeId node)
{
  for (size_t i = 0; i < state->n_streams; i++) {
    if (state->streams[i]->node != node)
      continue;
    state_push (state, STATE_ACTION_END, state->streams[i]->request);
    drop_stream (state, i--);
  }
}

bool
state_stream_gone (State *state, uint64_t request)
{
  for (size_t i = 0; i < state->n_streams; i++) {
    if (state->streams[i]->request == request) {
      drop_stream (state, i);
      return true;
    }
  }
  return false;
}

/* Streams of one node run beside each other (§17.7): a reconnect may come before the end of the one
 * before is known, and a computer may have been copied with its state. Ending the other one would
 * have two such computers drive each other out for ever. */
static void
end_oldest_stream_of (State *state, const CoNode *node)
{
  Stream *oldest = NULL;

  for (size_t i = 0; i < state->n_streams; i++) {
    Stream *stream = state->streams[i];
    if (stream->node == node->id && (!oldest || stream->request < oldest->request))
      oldest = stream;
  }
  if (!oldest)
    return;
  uint64_t request = oldest->request;
  state_push (state, STATE_ACTION_END, request);
  state_stream_gone (state, request);
}

static void
open_stream (State *state, const StateEvent *event, CoNode *node)
{
  const MapRequest *body = event->map.body;
  Stream *stream = mem_new (sizeof *stream);

  if (node->streams >= STREAMS_PER_NODE)
    end_oldest_stream_of (state, node);
  stream->request = event->request;
  stream->node = node->id;
  stream->compressed = body->compress && strcmp (body->compress, "zstd") == 0;
  stream->keep_alive = body->keep_alive;
  stream->fresh = true;
  stream->keep_alive_us = next_keep_alive (state);
  state->streams
      = mem_grow (state->streams, state->n_streams, &state->streams_room, sizeof *state->streams);
  state->streams[state->n_streams++] = stream;
  node->streams++;
  node->offline_us = node->delete_us = TIME_NEVER;
  set_online (state, node, true);
  stream_update (state, stream);
}

void
state_map (State *state, const StateEvent *event)
{
  const MapRequest *body = event->map.body;
  CoNode *node = model_node_by_key (&state->model, &body->node_key);

  if (!node) {
    refuse (state, event->request, "node not found");
    return;
  }
  if (memcmp (node->machine.bytes, event->map.machine.bytes, KEY_SIZE) != 0) {
    refuse (state, event->request,
            "node key in request does not match the one associated with this machine key");
    return;
  }
  /* A stream that says nothing (capability 68 and later may) takes nothing away. */
  if (!body->read_only && (!body->stream || body->hostinfo))
    apply_request (state, node, body);
  if (body->stream)
    open_stream (state, event, node);
  else
    state_reply (state, event->request, 200, "");
}

/* ---- time ---- */

static void
send_keep_alive (State *state, Stream *stream)
{
  static const char text[] = "{\"KeepAlive\":true}";
  StateAction *action = state_push (state, STATE_ACTION_MESSAGE, stream->request);

  action->message.json = mem_strndup (text, sizeof text - 1);
  action->message.size = sizeof text - 1;
  action->message.compressed = stream->compressed;
}

static void
node_ticks (State *state)
{
  for (size_t i = 0; i < state->model.n_nodes; i++) {
    CoNode *node = state->model.nodes[i];
    if (node->offline_us <= state->now_us) {
      node->offline_us = TIME_NEVER;
      set_online (state, node, false);
    }
    if (node->delete_us <= state->now_us) {
      state_remove_node (state, node);
      i--;
    }
  }
}

void
state_stream_ticks (State *state)
{
  node_ticks (state);
  for (size_t i = 0; i < state->n_streams; i++) {
    Stream *stream = state->streams[i];
    if (stream->keep_alive_us > state->now_us)
      continue;
    stream->keep_alive_us = next_keep_alive (state);
    if (stream->keep_alive)
      send_keep_alive (state, stream);
  }
}

int64_t
state_stream_deadline (const State *state)
{
  int64_t deadline = TIME_NEVER;

  for (size_t i = 0; i < state->n_streams; i++)
    deadline = time_min (deadline, state->streams[i]->keep_alive_us);
  for (size_t i = 0; i < state->model.n_nodes; i++)
    deadline = time_min (deadline, time_min (state->model.nodes[i]->offline_us,
                                             state->model.nodes[i]->delete_us));
  return deadline;
}

void
state_flush (State *state)
{
  state->flush_us = TIME_NEVER;
  for (size_t i = 0; i < state->n_streams; i++)
    stream_update (state, state->streams[i]);
}
