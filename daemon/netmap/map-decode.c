#include "base/memory.h"
#include "netmap/map-message-record.h"
#include "netmap/node-record.h"

#include <stdlib.h>
#include <string.h>

/* The members of a MapResponse that mean something to us. Those up to PacketFilters are lists (or
 * an object of lists) that are read one element at a time. */
typedef enum
{
  MEMBER_Peers,
  MEMBER_PeersChanged,
  MEMBER_PeersChangedPatch,
  MEMBER_UserProfiles,
  MEMBER_PacketFilter,
  MEMBER_PacketFilters,
  MEMBER_KeepAlive,
  MEMBER_PingRequest,
  MEMBER_PopBrowserURL,
  MEMBER_ControlTime,
  MEMBER_ControlDialPlan,
  MEMBER_Debug,
  MEMBER_MapSessionHandle,
  MEMBER_Seq,
  MEMBER_Node,
  MEMBER_DERPMap,
  MEMBER_PeersRemoved,
  MEMBER_PeerSeenChange,
  MEMBER_OnlineChange,
  MEMBER_DNSConfig,
  MEMBER_Domain,
  MEMBER_CollectServices,
  MEMBER_Health,
  MEMBER_DisplayMessages,
  MEMBER_SSHPolicy,
  MEMBER_TKAInfo,
  N_MEMBERS
} Member;

static const char *const member_names[N_MEMBERS] = {
    [MEMBER_Peers] = "Peers",
    [MEMBER_PeersChanged] = "PeersChanged",
    [MEMBER_PeersChangedPatch] = "PeersChangedPatch",
    [MEMBER_UserProfiles] = "UserProfiles",
    [MEMBER_PacketFilter] = "PacketFilter",
    [MEMBER_PacketFilters] = "PacketFilters",
    [MEMBER_KeepAlive] = "KeepAlive",
    [MEMBER_PingRequest] = "PingRequest",
    [MEMBER_PopBrowserURL] = "PopBrowserURL",
    [MEMBER_ControlTime] = "ControlTime",
    [MEMBER_ControlDialPlan] = "ControlDialPlan",
    [MEMBER_Debug] = "Debug",
    [MEMBER_MapSessionHandle] = "MapSessionHandle",
    [MEMBER_Seq] = "Seq",
    [MEMBER_Node] = "Node",
    [MEMBER_DERPMap] = "DERPMap",
    [MEMBER_PeersRemoved] = "PeersRemoved",
    [MEMBER_PeerSeenChange] = "PeerSeenChange",
    [MEMBER_OnlineChange] = "OnlineChange",
    [MEMBER_DNSConfig] = "DNSConfig",
    [MEMBER_Domain] = "Domain",
    [MEMBER_CollectServices] = "CollectServices",
    [MEMBER_Health] = "Health",
    [MEMBER_DisplayMessages] = "DisplayMessages",
    [MEMBER_SSHPolicy] = "SSHPolicy",
    [MEMBER_TKAInfo] = "TKAInfo",
};

struct MapDecoder
{
  JsonStream *stream;
  MapMessage *message;
  Arena scratch;             /* for one node */
  Member member;             /* being read */
  FilterRulesBuilder *rules; /* the list being read */
  char *filter_name;         /* of it, within PacketFilters */
  size_t room_peers, room_changed, room_patches, room_users, room_filters;
  const char *error;
};

MapDecoder *
map_decoder_new (void)
{
  return mem_new (sizeof (MapDecoder));
}

static void
reset (MapDecoder *d)
{
  json_stream_free (d->stream);
  map_message_free (d->message);
  arena_reset (&d->scratch);
  if (d->rules)
    filter_rules_unref (filter_rules_builder_finish (d->rules));
  free (d->filter_name);
  Arena scratch = d->scratch;
  const char *error = d->error;
  *d = (MapDecoder){.scratch = scratch, .error = error};
}

void
map_decoder_free (MapDecoder *d)
{
  if (!d)
    return;
  reset (d);
  arena_clear (&d->scratch);
  free (d);
}

/* ---- members that are read whole ---- */

static void
decode_flags (JsonReader *r, Arena *arena, const NodeFlag **flags, size_t *n)
{
  void *list = NULL;
  size_t room = 0;
  JsonString name;

  *n = 0;
  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    NodeFlag flag = {0};
    bool good = json_string_i64 (name, &flag.id) && json_reader_peek (r) == JSON_BOOL;
    if (!good) {
      json_reader_skip (r);
      continue;
    }
    flag.value = json_reader_bool (r);
    if (*n == MAP_NODES_MAX)
      json_reader_fail (r, "too many nodes");
    else
      *(NodeFlag *)record_list_add (arena, &list, (*n)++, &room, sizeof flag) = flag;
  }
  *flags = list;
}

static void
decode_removed (JsonReader *r, MapMessage *m)
{
  void *list = NULL;
  size_t room = 0;

  m->n_peers_removed = 0;
  for (json_reader_enter_array (r); json_reader_next_element (r);) {
    int64_t id = json_reader_i64 (r);
    if (m->n_peers_removed == MAP_NODES_MAX)
      json_reader_fail (r, "too many nodes");
    else
      *(int64_t *)record_list_add (&m->arena, &list, m->n_peers_removed++, &room, sizeof id) = id;
  }
  m->peers_removed = list;
}

static void
decode_dial_plan (JsonReader *r, MapMessage *m)
{
  void *list = NULL;
  size_t room = 0;
  JsonString name;

  m->has_dial_plan = true;
  m->n_dial_plan = 0;
  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    if (!json_string_equal (name, "Candidates")) {
      json_reader_skip (r);
      continue;
    }
    for (json_reader_enter_array (r); json_reader_next_element (r);)
      record_decode (&dial_candidate_type, r, &m->arena,
                     record_list_add (&m->arena, &list, m->n_dial_plan++, &room,
                                      sizeof (DialCandidate)));
  }
  m->dial_plan = list;
}

static void
decode_debug (JsonReader *r, MapMessage *m)
{
  JsonString name;

  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    if (json_string_equal (name, "SleepSeconds")) {
      m->debug_sleep_s = json_reader_double (r);
    } else if (json_string_equal (name, "Exit") && json_reader_peek (r) == JSON_NUMBER) {
      m->has_debug_exit = true;
      m->debug_exit = json_reader_i64 (r);
    } else {
      json_reader_skip (r);
    }
  }
}

static void
decode_health (JsonReader *r, MapMessage *m)
{
  void *list = NULL;
  size_t room = 0;

  m->has_health = true;
  m->n_health = 0;
  for (json_reader_enter_array (r); json_reader_next_element (r); m->n_health++)
    *(const char **)record_list_add (&m->arena, &list, m->n_health, &room, sizeof (char *))
        = record_text (r, &m->arena);
  m->health = list;
}

static Notice
decode_notice (JsonReader *r, Arena *arena)
{
  WireNotice wire = {0};
  Notice notice = {.severity = NOTICE_MEDIUM, .action_url = "", .action_label = ""};

  record_decode (&wire_notice_type, r, arena, &wire);
  notice.title = wire.title;
  notice.text = wire.text;
  notice.impacts_connectivity = wire.impacts_connectivity;
  if (strcmp (wire.severity, "high") == 0)
    notice.severity = NOTICE_HIGH;
  else if (strcmp (wire.severity, "low") == 0)
    notice.severity = NOTICE_LOW;
  if (wire.action && *wire.action->url) {
    notice.action_url = wire.action->url;
    notice.action_label = wire.action->label;
  }
  return notice;
}

static void
decode_notices (JsonReader *r, MapMessage *m)
{
  void *set = NULL, *removed = NULL;
  size_t room = 0, room_removed = 0;
  JsonString name;

  m->n_notices = m->n_removed_notices = 0;
  for (json_reader_enter_object (r); json_reader_next_member (r, &name);) {
    const char *id = arena_strndup (&m->arena, name.text, name.length);
    bool null = json_reader_peek (r) == JSON_NULL;
    if (strcmp (id, "*") == 0) {
      m->clear_notices = m->clear_notices || null;
      json_reader_skip (r);
    } else if (null) {
      json_reader_skip (r);
      *(const char **)record_list_add (&m->arena, &removed, m->n_removed_notices++, &room_removed,
                                       sizeof id)
          = id;
    } else {
      Notice *notice = record_list_add (&m->arena, &set, m->n_notices++, &room, sizeof *notice);
      *notice = decode_notice (r, &m->arena);
      notice->id = id;
    }
  }
  m->notices = set;
  m->removed_notices = removed;
}

static void
decode_ssh_policy (JsonReader *r, MapMessage *m)
{
  JsonWriter w;

  json_writer_init (&w);
  json_writer_copy (&w, r);
  m->ssh_policy = arena_strndup (&m->arena, w.data, w.size);
  json_writer_clear (&w);
}

static void
decode_lock (JsonReader *r, MapMessage *m)
{
  LockInfo *lock = arena_alloc (&m->arena, sizeof *lock);

  record_decode (&lock_info_type, r, &m->arena, lock);
  m->lock = lock;
}

/* Members about the message and the session itself; false when MEMBER is none of them. */
static bool
decode_session_member (MapDecoder *d, JsonReader *r)
{
  MapMessage *m = d->message;

  switch (d->member) {
    case MEMBER_KeepAlive:
      m->keep_alive = json_reader_bool (r);
      return true;
    case MEMBER_PingRequest:
      record_decode (&ping_request_type, r, &m->arena, &m->ping);
      return true;
    case MEMBER_PopBrowserURL:
      m->pop_browser_url = record_text (r, &m->arena);
      return true;
    case MEMBER_ControlTime:
      json_reader_time (r, &m->control_time);
      return true;
    case MEMBER_ControlDialPlan:
      decode_dial_plan (r, m);
      return true;
    case MEMBER_Debug:
      decode_debug (r, m);
      return true;
    case MEMBER_MapSessionHandle:
      m->session_handle = record_text (r, &m->arena);
      return true;
    case MEMBER_Seq:
      m->seq = json_reader_i64 (r);
      return true;
    case MEMBER_CollectServices:
      m->collect_services = json_reader_bool (r) ? TRI_TRUE : TRI_FALSE;
      return true;
    default:
      return false;
  }
}

static void
decode_member (MapDecoder *d, JsonReader *r)
{
  MapMessage *m = d->message;

  /* A null says nothing, whatever the member is. */
  if (json_reader_null (r) || decode_session_member (d, r))
    return;
  switch (d->member) {
    case MEMBER_Node:
      node_unref (m->node);
      m->node = node_decode_with (r, &d->scratch);
      break;
    case MEMBER_DERPMap:
      derp_map_unref (m->derp_map);
      m->derp_map = derp_map_decode (r);
      break;
    case MEMBER_PeersRemoved:
      decode_removed (r, m);
      break;
    case MEMBER_PeerSeenChange:
      decode_flags (r, &m->arena, &m->peer_seen, &m->n_peer_seen);
      break;
    case MEMBER_OnlineChange:
      decode_flags (r, &m->arena, &m->online, &m->n_online);
      break;
    case MEMBER_DNSConfig:
      netmap_dns_unref (m->dns);
      m->dns = netmap_dns_decode (r);
      break;
    case MEMBER_Domain:
      m->domain = record_text (r, &m->arena);
      break;
    case MEMBER_Health:
      decode_health (r, m);
      break;
    case MEMBER_DisplayMessages:
      decode_notices (r, m);
      break;
    case MEMBER_SSHPolicy:
      decode_ssh_policy (r, m);
      break;
    case MEMBER_TKAInfo:
      decode_lock (r, m);
      break;
    default:
      json_reader_fail (r, "a list was expected");
      break;
  }
}

/* ---- lists that are read one element at a time ---- */

static void
add_node (MapDecoder *d, JsonReader *r, Node ***list, size_t *n, size_t *room)
{
  Node *node = json_reader_null (r) ? NULL : node_decode_with (r, &d->scratch);

  if (!node)
    return;
  if (*n == MAP_NODES_MAX) {
    json_reader_fail (r, "too many nodes");
    node_unref (node);
    return;
  }
  *(Node **)record_list_add (&d->message->arena, (void **)list, *n, room, sizeof node) = node;
  (*n)++;
}

static void
add_user (MapDecoder *d, JsonReader *r)
{
  MapMessage *m = d->message;
  UserProfile user = {0};

  if (json_reader_null (r) || !record_decode (&user_profile_type, r, &d->scratch, &user))
    return;
  if (m->n_users == MAP_NODES_MAX) {
    json_reader_fail (r, "too many users");
    return;
  }
  *(UserProfile **)record_list_add (&m->arena, (void **)&m->users, m->n_users, &d->room_users,
                                    sizeof (UserProfile *))
      = user_profile_new (user.id, user.login_name, user.display_name, user.picture_url);
  m->n_users++;
}

static void
add_patch (MapDecoder *d, JsonReader *r)
{
  MapMessage *m = d->message;

  if (json_reader_null (r))
    return;
  if (m->n_patches == MAP_NODES_MAX) {
    json_reader_fail (r, "too many nodes");
    return;
  }
  record_decode (&node_patch_type, r, &m->arena,
                 record_list_add (&m->arena, (void **)&m->patches, m->n_patches, &d->room_patches,
                                  sizeof (NodePatch)));
  m->n_patches++;
}

static void
add_filter (MapDecoder *d, const char *name, FilterRules *rules)
{
  MapMessage *m = d->message;
  NamedFilterUpdate *update = record_list_add (&m->arena, (void **)&m->filters, m->n_filters,
                                               &d->room_filters, sizeof *update);

  update->name = name;
  update->rules = rules;
  m->n_filters++;
}

static void
decode_element (MapDecoder *d, JsonReader *r)
{
  MapMessage *m = d->message;

  arena_reset (&d->scratch);
  switch (d->member) {
    case MEMBER_Peers:
      add_node (d, r, &m->peers, &m->n_peers, &d->room_peers);
      break;
    case MEMBER_PeersChanged:
      add_node (d, r, &m->peers_changed, &m->n_peers_changed, &d->room_changed);
      break;
    case MEMBER_PeersChangedPatch:
      add_patch (d, r);
      break;
    case MEMBER_UserProfiles:
      add_user (d, r);
      break;
    default:
      filter_rules_builder_add (d->rules, r);
      break;
  }
}

/* ---- the stream ---- */

/* Decides what to do with the value that begins. */
static void
begin (MapDecoder *d)
{
  JsonStream *s = d->stream;
  JsonString name = json_stream_name (s);
  JsonType type = json_stream_type (s);

  switch (json_stream_depth (s)) {
    case 0:
      if (type == JSON_OBJECT)
        json_stream_descend (s);
      return;
    case 1:
      for (d->member = 0; d->member < N_MEMBERS; d->member++)
        if (json_string_equal (name, member_names[d->member]))
          break;
      if (d->member == N_MEMBERS)
        json_stream_discard (s);
      else if (d->member < MEMBER_PacketFilter && type == JSON_ARRAY)
        json_stream_descend (s);
      else if (d->member == MEMBER_PacketFilter && type == JSON_ARRAY) {
        d->rules = filter_rules_builder_new ();
        json_stream_descend (s);
      } else if (d->member == MEMBER_PacketFilters && type == JSON_OBJECT)
        json_stream_descend (s);
      return;
    case 2:
      if (d->member != MEMBER_PacketFilters)
        return;
      free (d->filter_name);
      d->filter_name = mem_strndup (name.text, name.length);
      if (type == JSON_ARRAY && strcmp (d->filter_name, "*") != 0) {
        d->rules = filter_rules_builder_new ();
        json_stream_descend (s);
      }
      return;
    default:
      return;
  }
}

/* A value of PacketFilters that is not a list of rules. */
static void
decode_filter_null (MapDecoder *d, JsonReader *r)
{
  MapMessage *m = d->message;
  bool star = strcmp (d->filter_name, "*") == 0;

  if (!json_reader_null (r)) {
    if (star)
      json_reader_skip (r);
    else
      json_reader_fail (r, "a list of filter rules was expected");
  } else if (star) {
    m->clear_filters = true;
  } else {
    add_filter (d, arena_strndup (&m->arena, d->filter_name, strlen (d->filter_name)), NULL);
  }
}

static void
value (MapDecoder *d)
{
  JsonString text = json_stream_value (d->stream);
  unsigned depth = json_stream_depth (d->stream);
  JsonReader r;

  json_reader_init (&r, text.text, text.length);
  if (depth == 0)
    json_reader_fail (&r, "an object was expected");
  else if (depth == 1)
    decode_member (d, &r);
  else if (d->member == MEMBER_PacketFilters && depth == 2)
    decode_filter_null (d, &r);
  else
    decode_element (d, &r);
  if (!json_reader_end (&r))
    d->error = r.error;
  json_reader_clear (&r);
}

/* A list of rules may have ended. */
static void
leave (MapDecoder *d)
{
  MapMessage *m = d->message;

  if (!d->rules)
    return;
  FilterRules *rules = filter_rules_builder_finish (d->rules);
  d->rules = NULL;
  if (d->member == MEMBER_PacketFilter) {
    filter_rules_unref (m->packet_filter);
    m->packet_filter = rules;
  } else {
    add_filter (d, arena_strndup (&m->arena, d->filter_name, strlen (d->filter_name)), rules);
  }
}

/* Takes what the stream has; the event that ended that: MORE, DONE or ERROR. */
static JsonStreamEvent
drain (MapDecoder *d)
{
  for (;;) {
    JsonStreamEvent event = json_stream_next (d->stream);
    if (event == JSON_STREAM_BEGIN)
      begin (d);
    else if (event == JSON_STREAM_VALUE)
      value (d);
    else if (event == JSON_STREAM_LEAVE)
      leave (d);
    else if (event == JSON_STREAM_ERROR)
      d->error = json_stream_error (d->stream);
    if (d->error)
      return JSON_STREAM_ERROR;
    if (event == JSON_STREAM_MORE || event == JSON_STREAM_DONE)
      return event;
  }
}

static void
start (MapDecoder *d)
{
  if (d->stream)
    return;
  d->stream = json_stream_new ();
  d->message = map_message_new ();
  d->error = NULL;
}

bool
map_decoder_feed (MapDecoder *d, const void *data, size_t size)
{
  start (d);
  if (d->error)
    return false;
  json_stream_feed (d->stream, data, size);
  return drain (d) != JSON_STREAM_ERROR;
}

MapMessage *
map_decoder_finish (MapDecoder *d)
{
  MapMessage *message = NULL;

  start (d);
  if (!d->error && drain (d) != JSON_STREAM_DONE && !d->error)
    d->error = "the message is cut off";
  if (!d->error) {
    message = d->message;
    d->message = NULL;
  }
  reset (d);
  return message;
}

const char *
map_decoder_error (const MapDecoder *d)
{
  return d->error;
}

MapMessage *
map_message_decode (const void *data, size_t size, const char **error)
{
  MapDecoder *d = map_decoder_new ();

  map_decoder_feed (d, data, size);
  MapMessage *message = map_decoder_finish (d);
  if (error)
    *error = message ? NULL : map_decoder_error (d);
  map_decoder_free (d);
  return message;
}
