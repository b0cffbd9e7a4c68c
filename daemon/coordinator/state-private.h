/* Inside of the coordinator's state. */
#pragma once

#include "coordinator/hash-index.h"
#include "coordinator/map-parts.h"
#include "coordinator/policy-view.h"
#include "coordinator/state.h"

#define BATCH_US           (10 * USEC_PER_MSEC)  /* changes are gathered for so long, */
#define BATCH_GAP_US       (50 * USEC_PER_MSEC)  /* and so long after the last were told, */
#define BATCH_STREAM_US    75                    /* longer by so much for each stream, */
#define BATCH_GAP_MAX_US   (800 * USEC_PER_MSEC) /* at most (§17.8) */
#define TICK_US            (250 * USEC_PER_MSEC) /* keep-alives and the like wait for each other */
#define KEEP_ALIVE_MIN_US  (50 * USEC_PER_SEC)
#define KEEP_ALIVE_MAX_US  (60 * USEC_PER_SEC)
#define OFFLINE_US         (10 * USEC_PER_SEC) /* a stream may come back for so long */
#define EPHEMERAL_US       (120 * USEC_PER_SEC)
#define STATE_WATCHERS_MAX 64

/* The allowed addresses with which a stream was told of a router; other nodes have but their own.
 */
typedef struct
{
  uint32_t slot;
  uint64_t routes; /* hash */
} RouteTold;

typedef struct
{
  uint64_t request;
  NodeId node;
  size_t place; /* in State.streams */
  bool compressed;
  bool keep_alive;
  bool fresh;        /* nothing was sent yet */
  bool lacks_v4;     /* it was told its peers without IPv4 */
  uint64_t self;     /* hash of its own Node as it has it */
  uint64_t filter;   /* of the rules it was given */
  bool ssh;          /* it was given rules for SSH */
  uint64_t settings; /* of DNS and relays it was given */
  uint64_t policy;   /* State.policy_epoch that SELF is of */
  RouteTold *routes; /* in order of slot */
  size_t n_routes;
  int64_t keep_alive_us;
} Stream;

typedef struct Pending Pending;
typedef struct SignIn SignIn;

/* Who sees whom: a bit for each slot of the model. */
typedef struct
{
  bool open; /* all members see each other; there are no rows */
  size_t words;
  uint64_t *members;
  uint64_t *rows; /* WORDS for each slot */
} Reach;

typedef struct PeerBlocks PeerBlocks;

struct State
{
  char *url;
  char *listen; /* as it is shown; NULL: unknown */
  DerpMap *derp_map;
  Random *random;
  CoModel model;
  Policy *policy;        /* what is in force */
  PolicyView *view;      /* of policy and nodes; NULL: to be made anew */
  PolicyTailnet tailnet; /* what the view looks at */
  PolicyHolder *holders; /* the routers in use, as of the last view */
  Arena view_arena;
  bool view_changed;     /* since streams were told */
  uint64_t policy_epoch; /* rises when the policy or a role changed */
  Reach *reach;          /* as streams were told */
  PeerBlocks *blocks;
  MapPacker *packer;
  Rope *keep_alive[2]; /* plain, compressed */
  Stream **streams;
  size_t n_streams, streams_room;
  HashIndex streams_by_request;
  Pending **pending; /* oldest first */
  size_t n_pending, pending_room;
  OidcConfig oidc;
  SignIn *sign_in;
  StateAction *actions; /* queue */
  size_t n_actions, actions_room, first_action;
  int64_t flush_us;          /* when gathered changes go out; TIME_NEVER: none */
  int64_t flushed_us;        /* when they last did */
  int64_t tick_us;           /* when nodes and streams are looked at again */
  uint64_t settings;         /* version of DNS and relays */
  uint64_t revision;         /* rises with every change that a list of the network would show */
  uint64_t watched_revision; /* what watchers were told last */
  size_t watched_pending;
  uint64_t watchers[STATE_WATCHERS_MAX]; /* requests that wait for a change */
  size_t n_watchers;
  WallTime wall; /* of the event at hand */
  int64_t now_us;
};

/* ---- actions (state.c) ---- */

StateAction *state_push (State *state, StateActionType type, uint64_t request);
void state_reply (State *state, uint64_t request, int status, const char *text);
void state_acknowledge (State *state, uint64_t request);
void state_reply_json (State *state, uint64_t request, int status, JsonWriter *w);

/* Something that peers are told changed; WHOLE: not by a patch, and visibility may differ. */
void state_changed (State *state, CoNode *node, bool whole);
/* The same for what does not change who sees whom: NODE_CHANGED_… of NODE. */
void state_touched (State *state, CoNode *node, unsigned changes);
/* Gathered changes go out soon. */
void state_want_flush (State *state);
/* Something happens at DEADLINE_US. */
void state_want_tick (State *state, int64_t deadline_us);
/* Who sees whom may differ: nodes, tags, routes or policy changed. */
void state_view_changed (State *state);
PolicyView *state_view (State *state);
/* Remembers what the view in force approved and who serves which route. */
void state_keep_routes (State *state);

/* ---- records (records.c) ---- */

void state_save_node (State *state, const CoNode *node);
void state_delete_node_record (State *state, const CoNode *node);
void state_save_user (State *state, const CoUser *user);
/* Ends the user's sessions and keys; devices must be gone. */
void state_remove_user (State *state, CoUser *user);
void state_save_key (State *state, const CoAuthKey *key);
void state_save_settings (State *state);
void state_save_policy (State *state);
const char *state_role_name (PolicyRole role);

/* ---- registration (registration.c) ---- */

void state_register (State *state, const StateEvent *event);

/* What a device that joins or signs in again brings. */
typedef struct
{
  const MachinePublic *machine;
  const NodePublic *key;
  const NodePublic *old_key;
  const Hostinfo *hostinfo;
  UserId user; /* 0: tagged */
  const char *const *tags;
  size_t n_tags;
  bool ephemeral;
  bool approved;
  int32_t version;
  WallTime expiry; /* that the device wishes; unset: none */
} Joining;

/* Makes the node or gives it its new key. NULL and *ERROR (static) when that must not or cannot be.
 */
CoNode *state_join (State *state, const Joining *joining, const char **error);
/* Whether USER may give a device all the tags that it asks for. */
bool state_may_have_tags (const State *state, const CoUser *user, const Hostinfo *hostinfo);
void state_send_registration (State *state, uint64_t request, const RegisterResponse *response);
void state_accept_registration (State *state, uint64_t request, const CoNode *node);
void state_refuse_registration (State *state, uint64_t request, const char *error);
void state_remove_node (State *state, CoNode *node);
bool state_node_expired (const State *state, const CoNode *node);

/* ---- sign-in (sign-in.c) ---- */

SignIn *sign_in_new (const State *state, Random *random);
void sign_in_free (SignIn *sign_in);
void state_web (State *state, const StateEvent *event);
void state_worked (State *state, const StateEvent *event);
void sign_in_forget_user (State *state, UserId user);
/* Sets USER's password once it is hashed, and answers the command REQUEST then. False: too short,
 * too long, or too much is under way; *ERROR says so. */
bool state_set_password (State *state, uint64_t request, const CoUser *user, const char *password,
                         const char **error);

/* ---- streams (streams.c, messages.c) ---- */

void state_map (State *state, const StateEvent *event);
bool state_stream_gone (State *state, uint64_t request);
void state_flush (State *state);
void state_stream_ticks (State *state);
int64_t state_stream_deadline (const State *state);
void state_end_streams_of (State *state, NodeId node);
void stream_free (Stream *stream);
/* A reference to the message that says nothing. */
Rope *state_keep_alive (State *state, bool compressed);

/* ---- who sees whom (reach.c) ---- */

Reach *reach_new (State *state);
void reach_free (Reach *reach);
/* Word W of those whom SLOT sees; its own bit may be set. */
uint64_t reach_word (const Reach *reach, uint32_t slot, size_t w);

/* ---- texts (messages.c) ---- */

/* PEER as VIEWER gets it. A reference; ROUTES gets a hash of its addresses, 0 for the usual ones.
 */
Chunk *peer_text (State *state, const CoNode *viewer, CoNode *peer);
/* A hash of the addresses that VIEWER gets on PEER, 0 for no more than PEER's own. */
uint64_t peer_routes (State *state, const CoNode *viewer, const CoNode *peer);
void write_patch (const CoNode *node, JsonWriter *w);
void write_self (State *state, const CoNode *node, JsonWriter *w);
/* Members of an open object. */
void write_settings (State *state, JsonWriter *w);
/* TOLD_SSH: the node has rules for SSH, which an absent member would leave in force; true comes
 * back when it is given some. */
void write_rules (State *state, const CoNode *node, bool *told_ssh, JsonWriter *w);
/* The profile of user ID, or of the owner of all tagged nodes. */
void write_profile (State *state, UserId id, JsonWriter *w);
uint64_t text_hash (const void *data, size_t size);

/* ---- whole maps (peer-blocks.c) ---- */

PeerBlocks *peer_blocks_new (void);
void peer_blocks_free (PeerBlocks *blocks);
/* NODE is not what it was: what shows it is made anew. */
void peer_blocks_touch (PeerBlocks *blocks, NodeId node);
/* Appends all whom VIEWER sees to PARTS, inside of an open array. */
void peer_blocks_add (State *state, const CoNode *viewer, const Reach *reach, MapParts *parts);
/* After a round of maps: forgets what nobody used of late. */
void peer_blocks_rest (PeerBlocks *blocks);

/* ---- commands (commands.c, command-*.c) ---- */

void state_command (State *state, const StateEvent *event);
bool state_set_policy (State *state, const char *text, PolicyIssues *issues);
/* REQUEST is answered with the status when the revision has risen; false: too many wait. */
bool state_watch (State *state, uint64_t request);
void state_forget_watcher (State *state, uint64_t request);
void state_answer_watchers (State *state);
