/* One MapResponse: decoded from chunks as they come off the wire, encoded by servers.
 *
 * Nodes, rules and profiles are decoded one at a time; no document tree and no whole message is in
 * memory. What the fields mean: spec/netmap-and-policy.md A.2; what they do: netmap_apply. Framing
 * and zstd are not here (wire/zstd-frames.h). Any thread; one owner. */
#pragma once

#include "base/arena.h"
#include "netmap/netmap.h"

#define MAP_NODES_MAX 200000 /* nodes of one message */

typedef struct
{
  NodeId id;
  bool value;
} NodeFlag;

/* PeerChange (A.5). */
typedef struct
{
  NodeId id;
  int32_t home_derp; /* 0: unchanged */
  int32_t cap;       /* 0: unchanged */
  bool has_caps, has_endpoints, has_key, has_key_signature, has_disco_key, has_last_seen;
  bool has_key_expiry;
  Tri online;
  const NodeCap *caps; /* sorted by name */
  const IpPort *endpoints;
  const uint8_t *key_signature;
  size_t n_caps, n_endpoints, key_signature_size;
  NodePublic key;
  DiscoPublic disco_key;
  WallTime last_seen, key_expiry;
} NodePatch;

typedef struct
{
  const char *name;
  FilterRules *rules; /* reference; NULL: delete the name */
} NamedFilterUpdate;

typedef struct
{
  const char *url; /* "" : no request */
  bool url_is_noise, log;
  const char *types; /* "", "c2n", or a list of "disco", "TSMP", "ICMP", "peerapi" */
  IpAddr ip;
  const uint8_t *payload;
  size_t payload_size;
} PingRequest;

typedef struct
{
  IpAddr ip;
  const char *ace_host; /* "" none */
  double start_delay_s, timeout_s;
  int32_t priority;
} DialCandidate;

typedef struct MapMessage MapMessage;
struct MapMessage
{
  Arena arena; /* owns all texts and arrays below that are not references */

  /* Acted on for every message, keep-alives too. */
  bool keep_alive;
  PingRequest ping;
  const char *pop_browser_url; /* "" none */
  WallTime control_time;       /* unset: none */
  bool has_dial_plan;
  const DialCandidate *dial_plan;
  size_t n_dial_plan;
  double debug_sleep_s; /* > 0: be quiet for so long (cap 300) before the rest */
  bool has_debug_exit;
  int64_t debug_exit;

  /* Void on a keep-alive. Pointers to counted objects are references; NULL = unchanged. */
  const char *session_handle;
  int64_t seq;
  Node *node;
  DerpMap *derp_map;
  Node **peers; /* the complete list when n_peers > 0 */
  size_t n_peers;
  Node **peers_changed;
  size_t n_peers_changed;
  const NodeId *peers_removed;
  size_t n_peers_removed;
  const NodeFlag *peer_seen;
  size_t n_peer_seen;
  const NodeFlag *online;
  size_t n_online;
  const NodePatch *patches;
  size_t n_patches;
  NetmapDns *dns;
  const char *domain; /* "" unchanged */
  Tri collect_services;
  FilterRules *packet_filter; /* sets the list "base" */
  bool clear_filters;         /* "*": null, before the named ones */
  const NamedFilterUpdate *filters;
  size_t n_filters;
  UserProfile **users;
  size_t n_users;
  bool has_health;
  const char *const *health;
  size_t n_health;
  bool clear_notices;
  const Notice *notices; /* to set */
  size_t n_notices;
  const char *const *removed_notices; /* ids */
  size_t n_removed_notices;
  const char *ssh_policy; /* raw JSON; NULL unchanged */
  const LockInfo *lock;   /* NULL: not said */
};

typedef struct MapDecoder MapDecoder;

MapDecoder *map_decoder_new (void);
void map_decoder_free (MapDecoder *d);

/* More bytes of the message; false once it cannot be decoded any more (map_decoder_error). */
bool map_decoder_feed (MapDecoder *d, const void *data, size_t size);

/* The end of the message was reached: the message, or NULL and map_decoder_error. The decoder is
 * ready for the next message afterwards. */
MapMessage *map_decoder_finish (MapDecoder *d);
const char *map_decoder_error (const MapDecoder *d);

/* All at once. NULL on failure, then *ERROR (may be NULL) is a static text. */
MapMessage *map_message_decode (const void *data, size_t size, const char **error);

/* An empty message, to be filled by a server; texts and arrays from arena_* on its arena, counted
 * objects handed over. */
MapMessage *map_message_new (void);
void map_message_free (MapMessage *message);
void map_message_encode (const MapMessage *message, JsonWriter *w);

UserProfile *user_profile_new (UserId id, const char *login_name, const char *display_name,
                               const char *picture_url);
UserProfile *user_profile_ref (const UserProfile *profile);
void user_profile_unref (const UserProfile *profile);

/* Parts of a message by themselves, for servers that put messages together from shared texts. */
void user_profile_encode (const UserProfile *profile, JsonWriter *w);
void node_patch_encode (const NodePatch *patch, JsonWriter *w);
