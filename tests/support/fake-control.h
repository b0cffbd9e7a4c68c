/* The server's end of one connection of a control client, made of the server roles in wire/: plain
 * HTTP/1.1, the upgrade, Noise, HTTP/2. It decides nothing: complete requests come out, answers go
 * in. No sockets, no clock. For unit tests and the simulation; the real server is coordinator/. */
#pragma once

#include "base/key.h"
#include "base/random.h"
#include "wire/h2.h"
#include "wire/http1.h"
#include "wire/noise-record.h"

typedef struct
{
  MachinePrivate key;       /* of the server */
  bool early_payload;       /* send one */
  int upgrade_status;       /* answer to /ts2021; 0: 101 as it should be */
  bool close_after_101;     /* as a server does that cannot read the initiation */
  const char *upgrade_path; /* NULL: "/ts2021" */
  const char *key_body;     /* answer to /key instead of the right one */
} FakeControlConfig;

typedef struct
{
  int32_t stream; /* 0: outside of Noise */
  char *method;
  char *path;
  char *scheme, *authority; /* NULL outside of Noise */
  char *hints[2];           /* values of ts-lb */
  Buffer body;
} FakeRequest;

typedef struct FakeControl FakeControl;

/* CONFIG is borrowed and may be changed meanwhile. */
FakeControl *fake_control_new (const FakeControlConfig *config, Random *random);
void fake_control_free (FakeControl *conn);

/* Bytes from the client. */
void fake_control_feed (FakeControl *conn, const void *data, size_t size);

/* Bytes for the client, appended to OUT. */
void fake_control_take (FakeControl *conn, Buffer *out);

/* True when the server has hung up (after what fake_control_take gives). */
bool fake_control_closed (const FakeControl *conn);

/* The machine key of the client, zero before the handshake. */
MachinePublic fake_control_client (const FakeControl *conn);
bool fake_control_has_noise (const FakeControl *conn);

/* The next complete request, or false. */
bool fake_control_has_request (const FakeControl *conn);
bool fake_control_next (FakeControl *conn, FakeRequest *request);
void fake_request_clear (FakeRequest *request);

/* The next stream that the client has cancelled, or 0. */
int32_t fake_control_next_reset (FakeControl *conn);

/* Answers STREAM: the head and BODY (may be NULL), the end when END. RETRY_AFTER may be NULL. */
void fake_control_answer (FakeControl *conn, int32_t stream, int status, const char *retry_after,
                          const void *body, size_t size, bool end);

/* One framed zstd map message on a stream that was answered. */
void fake_control_map (FakeControl *conn, int32_t stream, const char *json, bool end);

/* Raw bytes of body. */
void fake_control_send (FakeControl *conn, int32_t stream, const void *data, size_t size, bool end);

/* Stops answering HTTP/2 PINGs and everything else: the other end has vanished. */
void fake_control_vanish (FakeControl *conn);

void fake_control_goaway (FakeControl *conn);
