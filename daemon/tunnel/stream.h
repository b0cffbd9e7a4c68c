/* A TLS connection to a relay's host: dialling both families or a proxy, the handshake, bytes in
 * and out.
 *
 * Carries relay connections (tunnel/relay.h) and latency probes (tunnel/probe.h). Net thread.
 * spec/derp.md §3.1 to §3.3. */
#pragma once

#include "base/clock.h"
#include "path/path.h"
#include "wire/proxy-layer.h"
#include "wire/tls.h"

#define STREAM_SET_UP_US (10 * USEC_PER_SEC) /* from dialling until the owner is content */
#define STREAM_OUT_MAX   (64 * 1024)         /* ciphertext waiting before no more should be made */

/* What the streams of one net thread share; outlives them. */
typedef struct
{
  int epoll; /* sockets are watched here, with the Stream as data.ptr */
  TlsContext *tls;
  Random *random;
  bool (*mark) (int fd); /* NULL: none */
  const char *user_agent;
  ProxySettings proxies;
} StreamContext;

typedef enum
{
  STREAM_OF_RELAY,
  STREAM_OF_PROBE,
} StreamOwner;

typedef enum
{
  STREAM_RESOLVING,
  STREAM_DIALLING,
  STREAM_PROXY, /* a way through it is asked for */
  STREAM_TLS,
  STREAM_OPEN,
  STREAM_FAILED,
} StreamState;

typedef struct
{
  const StreamContext *context;
  StreamOwner owner;
  void *data; /* the owner */
  StreamState state;
  bool dead;               /* the owner gave it up; no more events, please */
  bool up;                 /* the owner is content: no more set-up time */
  PathRelayClosed failure; /* when failed, and the text for a person */
  char text[160];
  Buffer plain; /* from the host, for the owner to consume */

  /* The rest is stream.c's. */
  char *host;
  char *cert_name;
  uint16_t port;
  bool insecure;
  Proxy *proxy;        /* that is dialled instead of the host, NULL: none */
  IpAddr addresses[2]; /* still to be dialled: IPv6, IPv4; family 0: none */
  int dialling[2];     /* sockets on their way, -1: none */
  int64_t dial_at_us[2];
  int64_t deadline_us;
  int fd;            /* -1: none yet */
  ProxyLayer *layer; /* below TLS, while the proxy has a say */
  Buffer carried;    /* ciphertext on its way to the layer */
  Tls *tls;
  Buffer out; /* ciphertext that the socket did not take yet */
  bool want_write;
} Stream;

/* Begins to dial NODE, which is copied, or the proxy that leads to it. Returns true when a name is
 * to be resolved first: stream_name, stream_resolved. */
bool stream_init (Stream *s, const StreamContext *context, StreamOwner owner, void *data,
                  const PathRelayNode *node, int64_t now_us);
void stream_clear (Stream *s);

/* What is to be resolved: the host or the proxy. */
const char *stream_name (const Stream *s);

/* Its addresses; none: it failed. */
void stream_resolved (Stream *s, const IpAddr *addresses, size_t n, int64_t now_us);

/* A socket is ready, or time has passed. Look at state and plain afterwards. */
void stream_io (Stream *s, int64_t now_us);

/* Encrypts; stream_flush sends, or keeps what the socket does not take. Only while STREAM_OPEN. */
void stream_write (Stream *s, const void *data, size_t size);
void stream_flush (Stream *s);

/* Ends the stream for a reason of the owner's. */
void stream_fail (Stream *s, PathRelayClosed why, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* When stream_io wants to be called; at once when it failed. */
int64_t stream_deadline (const Stream *s);

/* Bytes that wait for the socket. */
size_t stream_waiting (const Stream *s);

/* Local address of the connection. */
IpAddr stream_local_address (const Stream *s);
