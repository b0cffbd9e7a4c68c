/* Inside of control/: the parts of one Control and how they call each other. Nobody else includes
 * this.
 *
 * control.c owns the verbs and passes events on. fetch.c speaks HTTP/1.1 for the server's key and
 * for ping replies; server-key.c pins the key; dial.c races for a Noise connection; link.c is that
 * connection with HTTP/2 on it. On a link run four routines, each with a backoff of its own:
 * login.c (register), map-poll.c, lite.c, and ping.c. state.c derives what session is told. */
#pragma once

#include "control/backoff.h"
#include "control/capability.h"
#include "control/control.h"
#include "control/url.h"

#include "base/arena.h"
#include "netmap/map-message.h"
#include "wire/h2.h"
#include "wire/http1.h"
#include "wire/noise-record.h"
#include "wire/web-socket.h"
#include "wire/zstd-frames.h"

#define DIAL_CANDIDATES_MAX 8
#define DIAL_BY_NAME        DIAL_CANDIDATES_MAX
#define DIAL_WEB_SOCKET     (DIAL_CANDIDATES_MAX + 1) /* by name, when nothing else was let through */
#define DIAL_ATTEMPTS_MAX   (2 * (DIAL_CANDIDATES_MAX + 2)) /* plain and TLS each */
#define FETCHES_MAX         5                               /* the key and four ping replies */
#define PINGS_MAX           8                               /* waiting for session or for a link */

/* --- Actions ------------------------------------------------------------------------------- */

typedef struct QueuedAction QueuedAction;
struct QueuedAction
{
  QueuedAction *next;
  ControlAction action;
};

/* --- HTTP/1.1 exchanges outside of Noise --------------------------------------------------- */

typedef enum
{
  FETCH_FREE,
  FETCH_KEY,
  FETCH_PING,
} FetchPurpose;

typedef struct
{
  FetchPurpose purpose;
  uint32_t connection;
  int64_t deadline;
  HttpUrl url;
  const char *method;
  Buffer request_body;
  Buffer in;
  Buffer body;
  Http1Head head;
  Http1Body reader;
  bool have_head;
} Fetch;

/* --- The race for a connection ------------------------------------------------------------- */

typedef enum
{
  ATTEMPT_UNUSED,
  ATTEMPT_WAITING, /* until start_at, or until its sibling fails */
  ATTEMPT_DIALING,
  ATTEMPT_UPGRADING,   /* the request is sent, waiting for 101 */
  ATTEMPT_HANDSHAKING, /* waiting for the Noise response */
  ATTEMPT_FAILED,
} AttemptState;

/* From the least to the most telling: the highest one of a race is reported. */
typedef enum
{
  ATTEMPT_FAILURE_NONE,
  ATTEMPT_FAILURE_DIAL,  /* no TCP or TLS connection */
  ATTEMPT_FAILURE_HTTP,  /* something answered, but not 101 */
  ATTEMPT_FAILURE_NOISE, /* 101, then no valid Noise response: wrong key or version refused */
} AttemptFailure;

typedef struct
{
  AttemptState state;
  bool tls;
  uint32_t connection;
  IpAddr ip; /* of a dial plan; family 0: resolve */
  uint16_t port;
  int64_t start_at;
  int64_t timeout_us; /* once started */
  int64_t deadline;
  IpAddr local;
  NoiseInitiator noise;
  Buffer in;
  bool in_web_socket;
  char web_socket_key[WEB_SOCKET_KEY_SIZE];
  WebSocket web_socket;
  AttemptFailure failure;
  ControlProblem problem;
  char text[160];
} Attempt;

typedef struct
{
  bool active;
  bool dns_tried;
  bool web_socket_tried;
  int64_t deadline;
  int64_t last_at; /* when a race began last, for the two-minute rule; 0 never */
  bool at_root;    /* /ts2021 without the URL's path, after the prefixed one failed */
  Attempt attempts[DIAL_ATTEMPTS_MAX];
} Dial;

/* --- The connection ------------------------------------------------------------------------ */

typedef struct
{
  uint32_t connection; /* 0: none */
  IpAddr local;
  bool in_web_socket; /* everything goes in its messages */
  WebSocket web_socket;
  NoiseRecords records;
  Buffer plain;
  size_t early_skip;
  bool early_done;
  H2 *h2;
  const char *doom; /* why it is to be closed when the present event is done; NULL: it is well */
  int64_t heard_at;
  int64_t ping_deadline; /* an answer must have come; TIME_NEVER: none is out */
} Link;

#define BODY_TEXT_MAX 200 /* of a refusal, shown to a person */

/* One request on the link whose answer is collected. */
typedef struct
{
  int32_t stream;   /* 0: none */
  int64_t deadline; /* for the answer; TIME_NEVER: it may take any time */
  int status;
  char retry_after[40]; /* header of that name; "" if absent */
  Buffer body;
} Exchange;

/* --- Routines ------------------------------------------------------------------------------ */

typedef enum
{
  LOGIN_IDLE,
  LOGIN_SAVING, /* the key must be on disk first */
  LOGIN_DUE,    /* at backoff.retry_at */
  LOGIN_SENT,
} LoginPhase;

typedef enum
{
  LOGIN_REFRESH,  /* with the profile's key */
  LOGIN_NEW,      /* with the pending key */
  LOGIN_FOLLOWUP, /* with the pending key, waiting for a person */
} LoginKind;

typedef struct
{
  LoginPhase phase;
  LoginKind kind;
  bool fresh;      /* the pending key was made for this login: "expired" is an error */
  bool by_user;    /* a person asked */
  bool registered; /* the profile's key is accepted, as far as known */
  bool blocked;    /* nothing more is tried until a person acts */
  bool removed;    /* the server does not know the profile's key any more */
  bool expired;    /* the server said so */
  bool probed_404; /* a map was refused and the refresh that followed was not */
  char *auth_key;
  uint32_t save_serial; /* LOGIN_SAVING waits for it */
  int64_t refresh_at;   /* next check whether the node still exists; TIME_NEVER: none */
  Exchange exchange;
  Backoff backoff;
} Login;

typedef enum
{
  MAP_OFF,
  MAP_DUE,        /* at backoff.retry_at */
  MAP_CONNECTING, /* request sent */
  MAP_READING,    /* 200 came */
} MapPhase;

typedef struct
{
  MapPhase phase;
  int32_t stream;
  int status;
  Buffer body; /* text of an error */
  ZstdFrames *frames;
  MapDecoder *decoder;
  bool first; /* the first complete map of this stream has been applied */
  int64_t watchdog;
  Backoff backoff;
} MapPoll;

typedef struct
{
  uint64_t wanted; /* serial of the newest local state worth telling */
  uint64_t sent;   /* serial of the request under way */
  uint64_t acked;
  Exchange exchange;
  Backoff backoff;
} Lite;

typedef struct
{
  uint32_t id; /* 0: free */
  bool ready;  /* body is complete and may be posted */
  bool noise;
  HttpUrl url;
  int64_t deadline;
  const char *method;
  Buffer body;
} Ping;

typedef struct
{
  ControlProblem problem;
  char *text;
  bool retrying;
} ProblemSlot;

struct Control
{
  Random *random;
  ControlUrl url;
  ControlPorts ports;
  MachinePrivate machine_key;
  char *user_agent;
  char *tailnet;
  bool ephemeral;

  int64_t now;
  WallTime wall;       /* date at now */
  int64_t wall_offset; /* wall - now in seconds, to notice when the clock is set */

  bool started;
  bool running;
  ControlIdentity *identity; /* locked memory */
  uint32_t save_serial;      /* last CONTROL_ACTION_SAVE */
  uint32_t saved_serial;     /* last one that is on disk */
  int64_t save_retry_at;

  Arena local_arena;
  bool have_local;
  Hostinfo hostinfo;
  MapEndpoint *endpoints;
  size_t n_endpoints;
  DiscoPublic disco_key;

  bool key_blocked; /* the server's key changed and a person must say yes */
  bool key_suspect; /* a handshake failed: fetch the key again before the next dial */
  MachinePublic offered_key;
  uint32_t next_connection;
  uint32_t next_ping;
  char *last_ping_url;
  char *last_pop_url;
  Fetch fetches[FETCHES_MAX];
  Dial dial;
  DialCandidate *dial_plan; /* texts are not kept */
  size_t n_dial_plan;
  Link link;
  Login login;
  MapPoll map;
  Lite lite;
  Ping pings[PINGS_MAX];
  struct
  {
    bool active;
    int64_t deadline;
    Exchange exchange;
  } logout;

  Netmap *netmap;
  int64_t expire_at; /* netmap_expire is due */

  ControlState state;
  bool online;
  bool state_told;
  ProblemSlot connection_problem, login_problem, told_problem;

  QueuedAction *first;
  QueuedAction **last;
};

/* control.c */
ControlAction *control_push (Control *c, ControlActionType type);
void control_close_connection (Control *c, uint32_t connection);
uint32_t control_dial (Control *c, const char *host, const IpAddr *ip, uint16_t port, bool tls,
                       bool strict, int64_t timeout_us);
void control_send (Control *c, uint32_t connection, Buffer *bytes); /* empties BYTES */
uint32_t control_save (Control *c);
bool control_is_saved (const Control *c, uint32_t serial);
char *control_strdup (const char *text); /* NULL for NULL */

/* fetch.c: false when all slots are taken. fetch_event returns whether the event was for a fetch.
 */
bool fetch_start (Control *c, FetchPurpose purpose, const char *method, const HttpUrl *url,
                  const Buffer *body, int64_t timeout_us);
bool fetch_running (const Control *c, FetchPurpose purpose);
bool fetch_event (Control *c, const ControlEvent *event);
void fetch_tick (Control *c);
int64_t fetch_deadline (const Control *c);
void fetch_cancel_all (Control *c);

/* server-key.c */
void server_key_fetch (Control *c);
void server_key_fetched (Control *c, int status, const Buffer *body);
void server_key_failed (Control *c, ControlProblem problem, const char *text);
void server_key_accept (Control *c);

/* dial.c */
void dial_start (Control *c);
void dial_cancel (Control *c);
bool dial_event (Control *c, const ControlEvent *event);
void dial_tick (Control *c);
int64_t dial_deadline (const Control *c);
void dial_set_plan (Control *c, const DialCandidate *plan, size_t count);

/* link.c */
/* WEB_SOCKET: the state of the one that carries everything, or NULL. REST is what it carried. */
void link_open (Control *c, uint32_t connection, const IpAddr *local, const NoiseKeys *keys,
                const WebSocket *web_socket, const uint8_t *rest, size_t rest_size);
bool link_ready (const Control *c);
void link_close (Control *c, const char *why); /* tells every routine that its request is lost */
void link_doom (Control *c, const char *why);  /* closes it once the present event is done */
void link_reap (Control *c);
bool link_event (Control *c, const ControlEvent *event);
void link_check (Control *c); /* PING with a short limit: is the other end still there? */
void link_tick (Control *c);
void link_flush (Control *c);
int64_t link_deadline (const Control *c);
/* Sends a request with the ts-lb hints given (NULL: none); 0 when the link takes none. */
int32_t link_request (Control *c, const char *method, const char *path, const NodePublic *hint,
                      const NodePublic *second_hint, const void *body, size_t size);
void link_reset (Control *c, int32_t *stream);
/* Length of the text at the start of BODY that is worth showing: cut, and without a line's end. */
int body_text_length (const Buffer *body);
void exchange_clear (Exchange *exchange);
void exchange_begin (Exchange *exchange, int32_t stream, int64_t deadline);
/* Collects an event of the exchange's stream, at most LIMIT bytes of body; true when it is over:
 * exchange->status is 0 if it was lost. */
bool exchange_event (Exchange *exchange, const H2Event *event, size_t limit);

/* login.c: which key is registered, and when */
void login_resume (Control *c);
void login_suspend (Control *c);
void login_user (Control *c, const char *auth_key, bool force);
void login_cancel (Control *c);        /* forgets a login that has not succeeded */
void login_node_removed (Control *c);  /* the server does not know the node any more */
void login_check_removed (Control *c); /* the server refused the node's map */
void login_begin (Control *c, LoginKind kind);
void login_new_key (Control *c); /* makes one, saves it and registers it */
void login_drop_pending (Control *c);
void login_set_url (Control *c, const char *url); /* NULL: no login is pending any more */
void login_block (Control *c, ControlProblem problem, const char *text);
bool login_wants_link (const Control *c);
void login_send (Control *c);
void login_stream_event (Control *c, const H2Event *event);
void login_saved (Control *c);
void login_lost (Control *c);
void login_tick (Control *c);
int64_t login_deadline (const Control *c);
bool login_has_node (const Control *c); /* the profile has a key that may be used */

/* login-answer.c: what the server's answer to a registration means */
void login_answer (Control *c, int status, const char *retry_after, const Buffer *body);

/* register.c: the request that login and logout send, and the texts of refusals */
int32_t register_send (Control *c, const NodePrivate *key, const NodePublic *old_key,
                       const char *auth_key, const char *followup, WallTime expiry);
ControlProblem register_problem (const char *text, bool *permanent);
int64_t register_retry_after_us (Control *c, const char *header);

/* logout.c */
void logout_start (Control *c);
bool logout_wants_link (const Control *c);
void logout_send (Control *c);
void logout_stream_event (Control *c, const H2Event *event);
void logout_finish (Control *c, bool told);

/* map-poll.c */
void map_start (Control *c); /* (re)start soon, a running stream is cancelled */
void map_stop (Control *c);
bool map_wants_link (const Control *c);
void map_send (Control *c);
void map_stream_event (Control *c, const H2Event *event);
void map_lost (Control *c);
void map_tick (Control *c);
int64_t map_deadline (const Control *c);
bool map_is_online (const Control *c);
/* map-request.c: the body both kinds of request share */
int32_t map_request_send (Control *c, bool stream);

/* netmap-hold.c: the map in force */
void netmap_hold_apply (Control *c, const MapMessage *message, bool first);
void netmap_hold_set (Control *c, Netmap *netmap); /* a reference; from the disk, or NULL */
void netmap_hold_tick (Control *c);
void netmap_hold_disco_key (Control *c, const NodePublic *peer, const DiscoPublic *key);
bool netmap_hold_expired (const Control *c);

/* lite.c */
void lite_want (Control *c);
bool lite_wants_link (const Control *c);
void lite_send (Control *c);
void lite_stream_event (Control *c, const H2Event *event);
void lite_lost (Control *c);
void lite_tick (Control *c);
int64_t lite_deadline (const Control *c);

/* ping.c */
void ping_request (Control *c, const PingRequest *request);
void ping_result (Control *c, uint32_t id, const uint8_t *json, size_t size);
bool ping_wants_link (const Control *c);
void ping_send (Control *c);
void ping_tick (Control *c);
int64_t ping_deadline (const Control *c);
void ping_pop_url (Control *c, const char *url);
/* c2n.c: the answer to the HTTP request in PAYLOAD */
void c2n_answer (const uint8_t *payload, size_t size, Buffer *out);

/* state.c */
void state_update (Control *c);
void problem_connection (Control *c, ControlProblem problem, const char *text, bool retrying);
void problem_login (Control *c, ControlProblem problem, const char *text, bool retrying);
ControlProblem problem_of_dial (ControlDialFailure failure);
/* A connection could not be made: every routine that waits for one backs off. */
void connect_failed (Control *c, ControlProblem problem, const char *text);
