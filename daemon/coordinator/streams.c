/* Map streams: who listens, when they are told, who is online (spec/control-protocol.md §17.7). */

#include "coordinator/state-private.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define STREAMS_PER_NODE 3

void
stream_free (Stream *stream)
{
  free (stream->routes);
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

static bool
same_text (const char *a, const char *b)
{
  return strcmp (a ? a : "", b ? b : "") == 0;
}

/* True when a policy may look at what differs. */
static bool
hostinfo_decides (const Hostinfo *a, const Hostinfo *b)
{
  bool routes = a->n_routable_ips != b->n_routable_ips;

  for (size_t i = 0; i < a->n_routable_ips && !routes; i++)
    routes = !ip_prefix_equal (&a->routable_ips[i], &b->routable_ips[i]);
  return routes || !same_text (a->os, b->os) || !same_text (a->ipn_version, b->ipn_version);
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
  bool decides = hostinfo_decides (&node->hostinfo, hostinfo);
  int home = home_of (&node->hostinfo);
  co_node_set_hostinfo (node, hostinfo);
  if (whole && !node->renamed) {
    char label[MODEL_LABEL_MAX + 1];
    model_label (hostinfo->hostname, label);
    if (strncmp (node->name, label, strlen (label)) != 0)
      model_name_node (&state->model, node, hostinfo->hostname);
  }
  if (!whole && home == home_of (&node->hostinfo))
    return;
  whole |= home_of (&node->hostinfo) == 0; /* a patch cannot say "none" */
  if (decides)
    state_changed (state, node, true);
  else
    state_touched (state, node, whole ? NODE_CHANGED_WHOLE : NODE_CHANGED_HOME);
  state_save_node (state, node);
}

/* Disco key and endpoints are kept on disk too: after a restart peers must not be told that a node
 * that has not spoken yet cannot be reached. */
static void
apply_request (State *state, CoNode *node, const MapRequest *body)
{
  size_t n = body->n_endpoints < MODEL_ENDPOINTS_MAX ? body->n_endpoints : MODEL_ENDPOINTS_MAX;
  unsigned changes = 0;

  if (node->capability_version != body->version)
    changes |= NODE_CHANGED_WHOLE;
  node->capability_version = body->version;
  if (!key_zero (&body->disco_key) && !key_same (&body->disco_key, &node->disco_key)) {
    node->disco_key = body->disco_key;
    changes |= NODE_CHANGED_DISCO;
  }
  if (!same_endpoints (node, body, n)) {
    for (size_t i = 0; i < n; i++)
      node->endpoints[i] = body->endpoints[i].addr;
    node->n_endpoints = n;
    changes |= NODE_CHANGED_ENDPOINTS;
  }
  if (changes) {
    state_touched (state, node, changes);
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
  if (node->hostinfo.n_routable_ips > 0)
    state_changed (state, node, true);
  else
    state_touched (state, node, NODE_CHANGED_ONLINE);
}

static int64_t
next_keep_alive (State *state)
{
  return state->now_us + random_between (state->random, KEEP_ALIVE_MIN_US, KEEP_ALIVE_MAX_US);
}

static bool
is_request (const void *value, const void *key)
{
  return ((const Stream *)value)->request == *(const uint64_t *)key;
}

static void
drop_stream (State *state, Stream *stream)
{
  CoNode *node = model_node (&state->model, stream->node);

  if (node && --node->streams == 0) {
    node->offline_us = state->now_us + OFFLINE_US;
    if (node->ephemeral)
      node->delete_us = state->now_us + EPHEMERAL_US;
    state_want_tick (state, node->offline_us);
  }
  hash_index_remove (&state->streams_by_request, hash_index_number (stream->request), stream);
  Stream *last = state->streams[--state->n_streams];
  state->streams[stream->place] = last;
  last->place = stream->place;
  stream_free (stream);
}

void
state_end_streams_of (State *state, NodeId id)
{
  const CoNode *node = model_node (&state->model, id);

  for (size_t i = 0; node && node->streams > 0 && i < state->n_streams; i++) {
    if (state->streams[i]->node != id)
      continue;
    state_push (state, STATE_ACTION_END, state->streams[i]->request);
    drop_stream (state, state->streams[i--]);
  }
}

bool
state_stream_gone (State *state, uint64_t request)
{
  Stream *stream = hash_index_find (&state->streams_by_request, hash_index_number (request),
                                    is_request, &request);

  if (stream)
    drop_stream (state, stream);
  return stream != NULL;
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

/* The whole map goes out with the next round, the same for all who came meanwhile. */
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
  stream->place = state->n_streams;
  state->streams
      = mem_grow (state->streams, state->n_streams, &state->streams_room, sizeof *state->streams);
  state->streams[state->n_streams++] = stream;
  hash_index_add (&state->streams_by_request, hash_index_number (stream->request), stream);
  node->streams++;
  node->offline_us = node->delete_us = TIME_NEVER;
  set_online (state, node, true);
  state_push (state, STATE_ACTION_OPEN, stream->request);
  state_want_flush (state);
  state_want_tick (state, stream->keep_alive_us);
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
    state_acknowledge (state, event->request);
}

/* ---- time ---- */

Rope *
state_keep_alive (State *state, bool compressed)
{
  static const char text[] = "{\"KeepAlive\":true}";
  Rope **rope = &state->keep_alive[compressed];
  MapParts parts;

  if (!*rope) {
    map_parts_init (&parts, state->packer, compressed);
    json_writer_raw (&parts.text, text, sizeof text - 1);
    *rope = map_parts_finish (&parts, false);
  }
  return rope_ref (*rope);
}

/* Expiry is told when its time has come, whether or not anything else happens. */
static void
expire_node (State *state, CoNode *node)
{
  bool expired = state_node_expired (state, node);

  if (expired != node->expired)
    state_changed (state, node, true);
  if (expired && !node->expired)
    state_push (state, STATE_ACTION_ADMIT, 0)->admit.key = node->key;
  node->expired = expired;
}

static void
node_ticks (State *state)
{
  for (size_t i = 0; i < state->model.n_nodes; i++) {
    CoNode *node = state->model.nodes[i];
    expire_node (state, node);
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

static void
stream_ticks (State *state)
{
  for (size_t i = 0; i < state->n_streams; i++) {
    Stream *stream = state->streams[i];
    if (stream->keep_alive_us > state->now_us)
      continue;
    stream->keep_alive_us = next_keep_alive (state);
    if (stream->keep_alive && !stream->fresh)
      state_push (state, STATE_ACTION_MESSAGE, stream->request)->message.rope
          = state_keep_alive (state, stream->compressed);
  }
}

/* When the key of NODE expires, in the time of deadlines. */
static int64_t
expiry_us (const State *state, const CoNode *node)
{
  if (wall_time_is_unset (node->expiry) || node->expired)
    return TIME_NEVER;
  int64_t left_us = (node->expiry.seconds - state->wall.seconds + 1) * USEC_PER_SEC;
  return left_us < 86400 * USEC_PER_SEC ? state->now_us + left_us : TIME_NEVER;
}

/* Looks at everybody, but only when something is due, and seldom enough to cost nothing. */
void
state_stream_ticks (State *state)
{
  int64_t deadline = state->now_us + 3600 * USEC_PER_SEC;

  if (state->now_us < state->tick_us)
    return;
  node_ticks (state);
  stream_ticks (state);
  for (size_t i = 0; i < state->n_streams; i++)
    deadline = time_min (deadline, state->streams[i]->keep_alive_us);
  for (size_t i = 0; i < state->model.n_nodes; i++) {
    const CoNode *node = state->model.nodes[i];
    deadline = time_min (deadline, time_min (node->offline_us, node->delete_us));
    deadline = time_min (deadline, expiry_us (state, node));
  }
  int64_t soon_us = state->now_us + TICK_US;
  state->tick_us = deadline > soon_us ? deadline : soon_us;
}

int64_t
state_stream_deadline (const State *state)
{
  return state->tick_us;
}
