/* The daemon without its bus: profiles on disk, their sessions, and the one active session joined
 * to control, tunnel and host.
 *
 * It decides nothing: it carries out what session/session says and tells it what came of it. One
 * listener (api) hears what changed. Main thread; may block on disk and netlink for milliseconds.
 */
#pragma once

#include "session/session.h"
#include "session/store.h"

typedef struct Engine Engine;

typedef struct
{
  const char *state_dir;
  const char *tun_name;
  GDBusConnection *bus; /* where firewalld would be; NULL: nowhere */
  uint16_t port;        /* UDP, 0: the preference's, else any */
} EngineOptions;

typedef struct
{
  void (*session_added) (Session *session, void *user_data);
  void (*session_removed) (Session *session, void *user_data); /* before it is freed */
  void (*session_changed) (Session *session, unsigned changes, void *user_data);
  void (*path_changed) (Session *session, const NodePublic *peer, void *user_data);
  void (*active_changed) (void *user_data);
  void (*network_changed) (void *user_data);
} EngineListener;

#define ENGINE_ERROR engine_error_quark ()
GQuark engine_error_quark (void);

typedef enum
{
  ENGINE_ERROR_FAILED,
  ENGINE_ERROR_WRONG_STATE, /* not the active session, or nothing pending */
  ENGINE_ERROR_TIMEOUT,
  ENGINE_ERROR_BUSY,
  ENGINE_ERROR_LIMIT,
} EngineError;

#define ENGINE_SESSIONS_MAX 64 /* profiles on one computer */

/* Reads the profiles. Nothing on the host is touched. NULL when the state directory cannot be
 * used. */
Engine *engine_new (const EngineOptions *options, GError **error);

/* LISTENER is copied. */
void engine_set_listener (Engine *engine, const EngineListener *listener, void *user_data);

/* Repairs what a killed run left, watches the links, and takes the active session up. */
bool engine_start (Engine *engine, GError **error);

/* Puts the active session away, undoes everything on the host, saves the cache. */
void engine_stop (Engine *engine);
void engine_free (Engine *engine);

/* Sessions in order of creation (Session, borrowed). */
const GPtrArray *engine_sessions (Engine *engine);
Session *engine_session (Engine *engine, const char *id);
Session *engine_active_session (Engine *engine); /* NULL: none */
bool engine_network_is_up (Engine *engine);
const LocalFacts *engine_facts (Engine *engine);

/* A new active profile for LOGIN_SERVER (normalised) with PREFS (their login_server is ignored),
 * saved. NULL and an error when it cannot be saved. */
Session *engine_create_session (Engine *engine, const char *login_server, uint32_t owner_uid,
                                const Preferences *prefs, GError **error);
bool engine_activate_session (Engine *engine, Session *session, GError **error);

/* Signs out if it is active (the server is told in the background for at most some seconds), and
 * deletes the profile. */
bool engine_remove_session (Engine *engine, Session *session, GError **error);

/* Feeds EVENT of a user to SESSION. False when what it asked for could not be stored. */
bool engine_input (Engine *engine, Session *session, SessionEvent *event, GError **error);

/* How a peer of the active session is doing; false for others. */
bool engine_peer_status (Engine *engine, Session *session, const NodePublic *peer,
                         TunnelPeerStatus *out);

/* One ping or network report by the tunnel; EVENT is TUNNEL_EVENT_PING or _NETCHECK, NULL with an
 * error when it cannot be done. */
typedef void (*EngineReply) (const TunnelEvent *event, const GError *error, void *user_data);
void engine_ping (Engine *engine, Session *session, const NodePublic *peer, TunnelPingType type,
                  int timeout_ms, EngineReply reply, void *user_data);
void engine_netcheck (Engine *engine, EngineReply reply, void *user_data);

/* Warnings of this computer: HostWarning bits, and the last change that failed (NULL: none). */
unsigned engine_host_warnings (Engine *engine);
