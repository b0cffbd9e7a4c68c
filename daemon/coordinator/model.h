/* What the coordinator knows: users, nodes, keys, settings (spec/control-protocol.md §17).
 *
 * Plain containers with the rules that keep them consistent: unique names, stable addresses, node
 * keys that belong to one machine. Decides nothing about who sees whom (policy) or what is sent
 * (streams). State thread. */
#pragma once

#include "base/arena.h"
#include "base/ip.h"
#include "base/key.h"
#include "base/random.h"
#include "base/wall-time.h"
#include "coordinator/hash-index.h"
#include "coordinator/network-settings.h"
#include "coordinator/policy.h"
#include "netmap/hostinfo.h"
#include "netmap/map-request.h"
#include "wire/rope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_LABEL_MAX       63         /* characters of a node's name */
#define MODEL_TAGGED_USER     2147455555 /* pseudo user of tagged nodes */
#define MODEL_ENDPOINTS_MAX   64
#define MODEL_STABLE_ID_SIZE  17
#define MODEL_KEY_ID_SIZE     12 /* hex characters of an auth key's public part */
#define MODEL_KEY_SECRET_SIZE 32 /* bytes of its secret part */

typedef struct
{
  UserId id;
  char *login;
  char *display_name;
  PolicyRole role;
  WallTime created;
  char *password;        /* Argon2id text; NULL: none */
  char *subject;         /* "ISSUER SUBJECT" at the identity provider; NULL: not known there */
  uint8_t code_hash[32]; /* BLAKE2s of the one-time code */
  WallTime code_until;   /* unset: there is no code */
} CoUser;

/* What of a node peers have not been told yet. */
#define NODE_CHANGED_WHOLE     1u /* more than a patch can tell */
#define NODE_CHANGED_ENDPOINTS 2u
#define NODE_CHANGED_HOME      4u
#define NODE_CHANGED_DISCO     8u
#define NODE_CHANGED_ONLINE    16u
#define NODE_CHANGED_LIGHT     30u /* all of a patch */

typedef struct
{
  NodeId id; /* > 0, never used again */
  char stable_id[MODEL_STABLE_ID_SIZE];
  char name[MODEL_LABEL_MAX + 1]; /* label, unique */
  bool renamed;                   /* by a person: does not follow the host name */
  UserId user;                    /* 0: tagged */
  char **tags;
  size_t n_tags;
  MachinePublic machine;
  NodePublic key;
  DiscoPublic disco_key;
  IpAddr addr4, addr6;
  WallTime created;
  WallTime expiry; /* of the key; unset: never */
  WallTime last_seen;
  bool ephemeral;
  bool approved; /* by the owner; a node that is not gets no peers */
  IpPrefix *approved_routes;
  size_t n_approved_routes;
  Hostinfo hostinfo; /* texts in arena */
  Arena arena;
  IpPort endpoints[MODEL_ENDPOINTS_MAX];
  size_t n_endpoints;
  int32_t capability_version;

  /* Not on disk. */
  unsigned streams;   /* open map streams */
  int64_t offline_us; /* when it counts as offline; TIME_NEVER while online or long gone */
  int64_t delete_us;  /* when an ephemeral node goes; TIME_NEVER */
  bool online;        /* as told to peers */
  bool expired;       /* the same */
  size_t index;       /* place in CoModel.nodes */
  uint32_t slot;      /* its bit in every NodeSet, for life */
  unsigned changes;   /* NODE_CHANGED_… since streams were last told */
  Chunk *text;        /* JSON as peers get it; NULL: to be written */
} CoNode;

typedef struct
{
  char id[MODEL_KEY_ID_SIZE + 1];
  uint8_t hash[32]; /* BLAKE2s of the secret, which has 256 random bits */
  UserId user;      /* owner of the nodes that join by it; 0: tagged */
  char **tags;
  size_t n_tags;
  bool reusable;
  bool ephemeral;
  bool used;
  bool revoked;
  WallTime created;
  WallTime expiry; /* unset: never */
} CoAuthKey;

typedef struct
{
  CoUser **users;
  size_t n_users, users_room;
  CoNode **nodes; /* in order of id */
  size_t n_nodes, nodes_room;
  HashIndex nodes_by_key;
  CoNode **slots;   /* by CoNode.slot; NULL: free or retired */
  NodeId *slot_ids; /* of retired ones, too */
  size_t n_slots, slots_room, slot_ids_room;
  uint32_t *retired; /* slots of removed nodes, until model_recycle_slots */
  size_t n_retired, retired_room;
  uint32_t *free_slots;
  size_t n_free_slots, free_slots_room;
  CoAuthKey **keys;
  size_t n_keys, keys_room;
  CoSettings settings;
  char *policy_text; /* as its author wrote it; NULL: none */
  NodeId next_node;
  UserId next_user;
} CoModel;

void model_init (CoModel *model);
void model_clear (CoModel *model);

CoUser *model_add_user (CoModel *model, const char *login, const char *display_name,
                        PolicyRole role, WallTime now);
void model_remove_user (CoModel *model, CoUser *user);
CoUser *model_user (const CoModel *model, UserId id);
CoUser *model_user_by_login (const CoModel *model, const char *login);

/* A node with fresh ids and addresses and the name that HOSTNAME leads to; NULL when the address
 * pool is used up. */
CoNode *model_add_node (CoModel *model, const char *hostname, WallTime now, Random *random);
/* Puts a node from disk in; it becomes the model's. */
void model_insert_node (CoModel *model, CoNode *node);
void model_remove_node (CoModel *model, CoNode *node);
/* The one way to give NODE another key. */
void model_set_key (CoModel *model, CoNode *node, const NodePublic *key);
/* Nobody speaks of removed nodes any more: others may have their slots. */
void model_recycle_slots (CoModel *model);
CoNode *model_node (const CoModel *model, NodeId id);
CoNode *model_node_by_key (const CoModel *model, const NodePublic *key);
CoNode *model_node_by_machine (const CoModel *model, const MachinePublic *machine, UserId user);
/* By label, FQDN, address or decimal id; NULL when there is none. */
CoNode *model_find_node (const CoModel *model, const char *text);
CoNode *co_node_new (void);
void co_node_free (CoNode *node);

void co_node_set_hostinfo (CoNode *node, const Hostinfo *hostinfo);
void co_node_set_tags (CoNode *node, const char *const *tags, size_t n);
bool co_node_has_tag (const CoNode *node, const char *tag);
/* ROUTE joins the approved ones, once. */
void co_node_approve_route (CoNode *node, const IpPrefix *route);

/* The label of a host name (§17.6), at most 63 characters, "node" if nothing is left. */
void model_label (const char *hostname, char out[MODEL_LABEL_MAX + 1]);
/* Gives NODE the label of NAME, with a number behind it when another node has it. */
void model_name_node (CoModel *model, CoNode *node, const char *name);

/* A new auth key. SECRET gets its text, shown once: "wkey-auth-<id>-<secret hex>". */
#define MODEL_KEY_TEXT_MAX 128
CoAuthKey *model_add_key (CoModel *model, UserId user, const char *const *tags, size_t n_tags,
                          WallTime now, Random *random, char text[MODEL_KEY_TEXT_MAX]);
void model_insert_key (CoModel *model, CoAuthKey *key);
CoAuthKey *model_key (const CoModel *model, const char *id);
/* The key that TEXT is; NULL when there is no such key or the secret is wrong. */
CoAuthKey *model_match_key (const CoModel *model, const char *text);
