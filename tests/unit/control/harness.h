/* A control core on simulated time, with a network that obeys and a server made of the codecs'
 * server roles. What the core tells session is kept as lines of text. */
#pragma once

#include "control/control.h"
#include "fake-control.h"
#include "netmap/register.h"

#include <glib.h>

typedef enum
{
  NET_SERVER,    /* the fake server answers */
  NET_REFUSE,    /* connection refused */
  NET_HANG,      /* nothing ever comes */
  NET_UNTRUSTED, /* a certificate nobody knows: fatal for strict dials */
  NET_EOF,       /* connects and closes */
} NetBehaviour;

typedef struct
{
  uint32_t id;
  FakeControl *server; /* NULL: no stream yet */
} HarnessConnection;

typedef struct
{
  FakeRequest request;
  FakeControl *server;
  char *body; /* as text */
} HarnessRequest;

typedef struct
{
  char *url;
  Control *control;
  SeededRandom random;
  int64_t now;
  int64_t wall_offset; /* date - now, in seconds */
  FakeControlConfig server;
  NetBehaviour plain, tls;
  bool byte_by_byte;
  bool hold_saves; /* saving is not answered */
  bool fail_saves;
  uint32_t held_save;
  GPtrArray *connections; /* of HarnessConnection */
  GString *dials;         /* "plain:80 tls:443! …": '!' for strict ones */
  GString *log;           /* one line an action for session */
  ControlIdentity disk;   /* what is saved */
  uint32_t last_ping;
  uint16_t port; /* of the endpoint announced */
} Harness;

#define HARNESS_EPOCH INT64_C (1790000000)

#define HARNESS_URL "http://127.0.0.1:3000"

Harness *harness_new (const char *url);

/* At HARNESS_URL: a session that has never been logged in, already started; and a profile with a
 * key that the server knows. */
Harness *harness_new_fresh (void);
Harness *harness_new_known (void);
void harness_free (Harness *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Harness, harness_free)

/* A new core over the same disk, as after kill -9. */
void harness_restart (Harness *h);

/* START with what is on disk, LOCAL_STATE, RESUME. */
void harness_start (Harness *h);
void harness_event (Harness *h, ControlEventType type);
void harness_send (Harness *h, ControlEvent *event);
void harness_login (Harness *h, const char *auth_key, bool force);
void harness_announce (Harness *h, uint16_t port, double latency);

/* Lets US microseconds pass, waking the core whenever it asks. */
void harness_run (Harness *h, int64_t us);

/* Delivers everything that is under way. */
void harness_pump (Harness *h);

/* The next request, which must be for PATH; harness_expect lets it go unanswered, harness_quiet
 * asserts that there is none. */
HarnessRequest harness_take (Harness *h, const char *path);
void harness_expect (Harness *h, const char *path);
void harness_quiet (Harness *h);
bool harness_has_request (Harness *h);
void harness_request_clear (HarnessRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (HarnessRequest, harness_request_clear)

/* Answers with a status and a text; ends the stream. */
void harness_reply (Harness *h, const HarnessRequest *request, int status, const char *body);

/* Answers a registration: visit URL. */
void harness_reply_url (Harness *h, const HarnessRequest *request, const char *url);

/* The body of a registration; clear its arena. */
typedef struct
{
  RegisterRequest request;
  Arena arena;
} HarnessRegistration;

HarnessRegistration harness_decode (const HarnessRequest *request);

/* The node key of a registration as text. */
char *harness_node_key (const HarnessRequest *request);

extern const char *const harness_urls[2];

/* Answers a streaming map request with 200 and a first message, and leaves it open. */
void harness_open_map (Harness *h, const HarnessRequest *request, const char *json);
void harness_map (Harness *h, const HarnessRequest *request, const char *json);

/* Takes register, map and lite request in turn and answers them: up and running. Returns the map
 * request, for more messages. */
HarnessRequest harness_bring_up (Harness *h);
void harness_bring_up_only (Harness *h);

/* Empties both logs. */
void harness_forget (Harness *h);

/* The log since the last call. */
char *harness_log (Harness *h);
#define harness_assert_log(h, expected)                                                            \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *harness_log_ = harness_log (h);                                               \
    g_assert_cmpstr (harness_log_, ==, expected);                                                  \
  }                                                                                                \
  G_STMT_END

char *harness_dials (Harness *h);
#define harness_assert_dials(h, expected)                                                          \
  G_STMT_START                                                                                     \
  {                                                                                                \
    g_autofree char *harness_dials_ = harness_dials (h);                                           \
    g_assert_cmpstr (harness_dials_, ==, expected);                                                \
  }                                                                                                \
  G_STMT_END

extern const char harness_registered[]; /* the answer of a successful registration */
extern const char harness_first_map[];  /* own node 1 and nothing else */
char *harness_self (const char *more);  /* a map with own node 1 and MORE fields in it */
