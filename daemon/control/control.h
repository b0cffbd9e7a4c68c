/* The session with a coordination server: key, dial, Noise, register, map stream, lite updates
 * (control-protocol.md §1-§16, §18).
 *
 * A core of five verbs: events and the time go in, actions come out; no socket, clock, file or
 * thread. It sees each connection as a plaintext byte stream behind an id: names, TCP, proxies and
 * TLS are control-io's. It knows no preferences: session tells it what to announce and when to run.
 * Main thread, or whoever owns the core. */
#pragma once

#include "base/clock.h"
#include "base/ip.h"
#include "base/key.h"
#include "base/random.h"
#include "base/wall-time.h"
#include "netmap/map-request.h"
#include "netmap/netmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Control Control;

/* Where the session stands. */
typedef enum
{
  CONTROL_OFF,            /* paused, or no identity and nobody wants to log in */
  CONTROL_CONNECTING,     /* on the way to the server, or waiting to try again */
  CONTROL_NEEDS_LOGIN,    /* a person must act; with a LOGIN_URL the server waits for them */
  CONTROL_NEEDS_APPROVAL, /* registered, an administrator must approve the device */
  CONTROL_SYNCHRONISING,  /* registered, the first map is not here yet */
  CONTROL_RUNNING,        /* there is a map in force; `online` tells whether the stream lives */
} ControlState;

/* Problem codes of desktop.md §8.4 that the control session can find. */
typedef enum
{
  CONTROL_PROBLEM_NONE,
  CONTROL_PROBLEM_SERVER_UNREACHABLE,
  CONTROL_PROBLEM_NOT_A_CONTROL_SERVER,
  CONTROL_PROBLEM_TLS_UNTRUSTED,
  CONTROL_PROBLEM_TLS_EXPIRED,
  CONTROL_PROBLEM_SERVER_KEY_CHANGED,
  CONTROL_PROBLEM_VERSION_REFUSED,
  CONTROL_PROBLEM_AUTH_KEY_INVALID,
  CONTROL_PROBLEM_AUTH_KEY_USED,
  CONTROL_PROBLEM_LOGIN_EXPIRED,
  CONTROL_PROBLEM_LOGIN_DENIED,
  CONTROL_PROBLEM_KEY_EXPIRED,
  CONTROL_PROBLEM_NODE_REMOVED,
  CONTROL_PROBLEM_LOCK_UNSUPPORTED,
  CONTROL_PROBLEM_STATE_UNWRITABLE, /* the identity could not be saved: "disk-full" */
} ControlProblem;

/* The code's name as on the bus, "server-unreachable"; "" for none. */
const char *control_problem_name (ControlProblem problem);

/* What must be on disk before its effect is sent (control-protocol.md §16). Private keys: wipe with
 * control_identity_clear. Zero keys and NULL mean "none". */
typedef struct
{
  NodePrivate node_key;     /* the profile's key, known to the server */
  NodePublic old_node_key;  /* the one before it */
  NodePrivate pending_key;  /* being registered: goes into node_key when the server accepts it */
  char *pending_url;        /* where a person signs in for pending_key */
  LockPrivate lock_key;     /* tailnet lock */
  MachinePublic server_key; /* pinned Noise key of the server */
  WallTime server_key_seen; /* when it was seen first */
} ControlIdentity;

void control_identity_copy (ControlIdentity *to, const ControlIdentity *from);
void control_identity_clear (ControlIdentity *identity);

typedef struct
{
  const char *server_url;     /* http or https */
  MachinePrivate machine_key; /* one per installation */
  const char *client_version; /* for the user agent */
  const char *tailnet;        /* wished tailnet, or NULL */
  bool ephemeral;             /* wish to be forgotten soon after going offline */
  bool tls_only;              /* never dial the plain port of an https server */
} ControlConfig;

/* --- Events -------------------------------------------------------------------------------- */

typedef enum
{
  /* from session */
  CONTROL_EVENT_START,        /* the profile as it is on disk; once, first */
  CONTROL_EVENT_RESUME,       /* be connected */
  CONTROL_EVENT_PAUSE,        /* let everything go and keep the last map */
  CONTROL_EVENT_LOGIN,        /* a person or an auth key wants in */
  CONTROL_EVENT_CANCEL_LOGIN, /* forget a login that has not succeeded */
  CONTROL_EVENT_LOGOUT,       /* tell the server (at most 5 s), then forget the profile's keys */
  CONTROL_EVENT_LOCAL_STATE,  /* what this node announces; before the first RESUME */
  CONTROL_EVENT_LINK,         /* the computer's links changed, or it woke up */
  CONTROL_EVENT_ACCEPT_KEY,   /* a person accepts the server's new key */
  CONTROL_EVENT_SAVED,        /* answer to CONTROL_ACTION_SAVE */
  CONTROL_EVENT_PING_RESULT,  /* answer to CONTROL_ACTION_PING */
  CONTROL_EVENT_DISCO_KEY,    /* a peer told its disco key itself: ranks above older news */
  CONTROL_EVENT_TICK,         /* the deadline has come */
  /* from control-io */
  CONTROL_EVENT_DIALED,
  CONTROL_EVENT_DIAL_FAILED,
  CONTROL_EVENT_BYTES,
  CONTROL_EVENT_CLOSED,
} ControlEventType;

/* Why a dial failed: decides what is tried next and which problem is shown. */
typedef enum
{
  CONTROL_DIAL_RESOLVE, /* no address for the name */
  CONTROL_DIAL_REFUSED, /* every address refused or unreachable */
  CONTROL_DIAL_TIMEOUT,
  CONTROL_DIAL_PROXY, /* the proxy said no */
  CONTROL_DIAL_TLS,   /* handshake failed below certificates */
  CONTROL_DIAL_TLS_UNTRUSTED,
  CONTROL_DIAL_TLS_EXPIRED,
} ControlDialFailure;

typedef struct
{
  ControlEventType type;
  WallTime wall; /* the date when the event happens, for expiry */
  union
  {
    struct
    {
      const ControlIdentity *identity; /* copied */
      Netmap *netmap;                  /* from the disk cache, or NULL; a reference is taken */
    } start;
    struct
    {
      const char *auth_key; /* or NULL: interactive */
      bool force;           /* a new key although the present one is valid */
    } login;
    struct
    {
      const Hostinfo *hostinfo; /* complete, with NetInfo; copied */
      const IpPort *endpoints;
      const uint8_t *endpoint_types; /* parallel: 1 local, 2 STUN, 3 port-mapped, … */
      size_t n_endpoints;
      DiscoPublic disco_key;
    } local_state;
    struct
    {
      bool major;              /* another default route: what is connected is stale */
      bool woke;               /* resumed from suspend */
      const IpAddr *addresses; /* of this computer, so that a lost one closes its connection */
      size_t n_addresses;      /* 0: not told */
    } link;
    struct
    {
      uint32_t serial;
      bool ok;
      const char *text; /* why not, or NULL */
    } saved;
    struct
    {
      uint32_t ping;       /* id of the action */
      const uint8_t *json; /* a PingResponse document; NULL: could not be run, send nothing */
      size_t size;
    } ping_result;
    struct
    {
      NodePublic peer;
      DiscoPublic key;
    } disco_key;
    struct
    {
      uint32_t connection;
      IpAddr local;                    /* our address of the connection */
      bool absolute_form;              /* a plain HTTP proxy: requests name the whole URL */
      const char *proxy_authorization; /* for it, or NULL */
      const char *warning;             /* a certificate that was let pass, or NULL */
    } dialed;
    struct
    {
      uint32_t connection;
      ControlDialFailure failure;
      const char *text; /* "connection refused" */
    } dial_failed;
    struct
    {
      uint32_t connection;
      const uint8_t *data;
      size_t size;
    } bytes;
    struct
    {
      uint32_t connection;
      const char *text; /* NULL: the peer closed properly */
    } closed;
  };
} ControlEvent;

/* --- Actions ------------------------------------------------------------------------------- */

typedef enum
{
  /* for control-io */
  CONTROL_ACTION_DIAL,
  CONTROL_ACTION_SEND,
  CONTROL_ACTION_CLOSE,
  /* for session */
  CONTROL_ACTION_SAVE, /* write the identity, then CONTROL_EVENT_SAVED */
  CONTROL_ACTION_STATE,
  CONTROL_ACTION_LOGIN_URL,
  CONTROL_ACTION_REGISTERED, /* the identity's node_key is accepted, this is its user */
  CONTROL_ACTION_LOGGED_OUT,
  CONTROL_ACTION_NETMAP,
  CONTROL_ACTION_PROBLEM,
  CONTROL_ACTION_PING,    /* run a ping for the server, then CONTROL_EVENT_PING_RESULT */
  CONTROL_ACTION_POP_URL, /* the server asks to open this page; validated */
} ControlActionType;

typedef struct
{
  ControlActionType type;
  union
  {
    struct
    {
      uint32_t connection; /* id for every later event and action */
      const char *host;    /* name or IP literal of the control server: SNI and certificate name */
      IpAddr ip;           /* dial this instead of resolving host, unless family is 0 */
      uint16_t port;
      bool tls;
      bool strict;        /* a wrong certificate is fatal; otherwise only a warning */
      int64_t timeout_us; /* for TCP and TLS together */
      char *owned_host;
    } dial;
    struct
    {
      uint32_t connection;
      uint8_t *data;
      size_t size;
    } send;
    struct
    {
      uint32_t connection;
    } close;
    struct
    {
      uint32_t serial;
      ControlIdentity identity;
    } save;
    struct
    {
      ControlState state;
      bool online; /* the map stream lives */
    } state;
    struct
    {
      char *url;    /* validated; NULL: no login is pending any more */
      bool by_user; /* it answers a LOGIN event: may be opened without asking */
    } login_url;
    struct
    {
      int64_t user_id;
      char *login_name;
      char *display_name;
      char *picture_url;
      bool key_changed; /* the tunnel must switch to identity.node_key */
    } registered;
    struct
    {
      bool server_told;
    } logged_out;
    struct
    {
      Netmap *netmap; /* a reference */
      NetmapChanges changes;
    } netmap;
    struct
    {
      ControlProblem problem;   /* NONE: the last one is over */
      char *text;               /* the server's own words, or what was tried and how it failed */
      bool retrying;            /* Warren goes on by itself */
      MachinePublic server_key; /* SERVER_KEY_CHANGED: the new one */
    } problem;
    struct
    {
      uint32_t ping;
      char *types; /* comma list of disco, TSMP, ICMP, peerapi */
      IpAddr ip;
    } ping;
    struct
    {
      char *url;
    } pop_url;
  };
} ControlAction;

/* --- The five verbs ------------------------------------------------------------------------ */

/* NULL and *error (static text) when the server URL is not one. */
Control *control_new (const ControlConfig *config, Random *random, const char **error);
void control_input (Control *control, const ControlEvent *event, int64_t now_us);
bool control_next_action (Control *control, ControlAction *action);
void control_action_clear (ControlAction *action);
int64_t control_next_deadline (const Control *control);
void control_free (Control *control);

/* The map in force (borrowed), or NULL. */
const Netmap *control_netmap (const Control *control);

/* Difference server clock - own clock in microseconds; 0 unless more than a minute (§12.4). */
int64_t control_clock_offset_us (const Control *control);
