/* One profile: who this computer is on one tailnet, and what its user wants there.
 *
 * The record behind a session on the bus and behind profiles/<id>/identity on disk
 * (session/store); spec/control-protocol.md §16, spec/local-services.md §2.2, §2.5. Private keys
 * are in locked memory and leave it only for the file and for the cores that use them. Main
 * thread. */
#pragma once

#include "base/bytes.h"
#include "base/key.h"
#include "session/preferences.h"

#include <gio/gio.h>

#define PROFILE_ID_SIZE             9 /* eight lower-case hex digits and a NUL */
#define PROFILE_FORMAT              1
#define PROFILE_HANDSHAKE_TIME_SIZE 12   /* TAI64N */
#define PROFILE_TEXT_LIMIT          1024 /* bytes of one text of a server that is kept */

typedef struct
{
  NodePrivate node;    /* zero: not registered */
  NodePrivate pending; /* a key that was or may have been sent, and is not confirmed yet */
  LockPrivate lock;    /* tailnet lock; made with the first registration */
} ProfileSecrets;

typedef struct Profile Profile;
struct Profile
{
  char id[PROFILE_ID_SIZE];
  uint32_t owner_uid; /* 0: this computer's */
  int64_t created_s;
  Preferences preferences;
  ProfileSecrets *secrets; /* secret_new */

  NodePublic old_node_key;  /* sent as OldNodeKey; zero: none */
  char *pending_url;        /* the sign-in page that belongs to secrets->pending, or NULL */
  int64_t pending_since_s;  /* Unix time of pending_url */
  MachinePublic server_key; /* pinned; zero: not seen yet */
  int64_t server_key_since_s;

  int64_t user_id;
  char *user_login; /* these texts are never NULL */
  char *user_name;
  char *user_picture;
  char *node_id; /* stable id of this node */
  char *tailnet;
  uint8_t handshake_time[PROFILE_HANDSHAKE_TIME_SIZE]; /* newest of our WireGuard initiations; zero:
                                                          none */
  bool lock_seen; /* tailnet lock was on once: fail closed until it is known to be off */
};

typedef enum
{
  PROFILE_OK,
  PROFILE_UNKNOWN_FORMAT,
  PROFILE_DAMAGED,
} ProfileResult;

/* A fresh profile with a random id for LOGIN_SERVER. */
Profile *profile_new (const char *login_server, uint32_t owner_uid, int64_t now_s, Random *random);
void profile_free (Profile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Profile, profile_free)

/* Replaces the text at FIELD (one of the texts above) by TEXT, cut at PROFILE_TEXT_LIMIT. */
void profile_set_text (char **field, const char *text);

/* True when there is a node key that a server has confirmed. */
bool profile_has_key (const Profile *profile);

/* Forgets every key and the user: what signing out leaves is the preferences. */
void profile_wipe (Profile *profile);

/* True for eight lower-case hex digits. */
bool profile_id_is_valid (const char *id);

/* The identity file. encode writes into W (secret memory is the caller's business); decode gives
 * NULL and a result other than PROFILE_OK, or a profile. */
void profile_encode (const Profile *profile, ByteWriter *w);
Profile *profile_decode (const void *data, size_t size, ProfileResult *result);

/* Tailscale's own service, which an empty server URL means. */
#define LOGIN_SERVER_DEFAULT "https://controlplane.tailscale.com"

/* Brings a server URL to the form that profiles are compared by: scheme and host in lower case, no
 * default port, no slash at the end; a missing scheme is https. NULL and a message for people when
 * it is not a URL of a coordination server. */
char *login_server_normalise (const char *url, GError **error);
