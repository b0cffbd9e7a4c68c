#include "host/bootstrap-dns.h"

#include "base/bytes.h"
#include "base/log.h"
#include "host/tcp-race.h"
#include "wire/http1.h"
#include "wire/json-reader.h"
#include "wire/tls.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_DOMAIN    "resolver"
#define TRY_MS        3000
#define BODY_MAX      65536
#define ADDRESSES_MAX 32
#define READ_SIZE     4096
#define PIN_PREFIX    "sha256-raw:"

typedef struct
{
  const BootstrapRelay *relay;
  IpAddr ip;
} Candidate;

struct BootstrapDns
{
  GPtrArray *relays;
  char *name;
  GArray *candidates; /* of Candidate, in the order to ask */
  guint next;
  BootstrapDone done;
  void *user_data;
  TlsContext *context; /* made when it is first needed */
  guint timer;         /* of the present try, or what starts the next */

  /* of the present try */
  TcpRace *race;
  int fd;
  guint watch;
  Tls *tls;
  bool asked;
  bool have_head;
  Buffer out, in, body;
  Http1Head head;
  Http1Body reader;
};

void
bootstrap_relay_free (void *data)
{
  BootstrapRelay *relay = data;

  g_free (relay->host);
  g_free (relay->cert_name);
  g_free (relay);
}

/* ---- the answer ---- */

static void
take_addresses (JsonReader *r, GArray *out)
{
  json_reader_enter_array (r);
  while (json_reader_next_element (r)) {
    JsonString text = json_reader_string (r);
    IpAddr address;

    if (out->len < ADDRESSES_MAX && ip_parse (text.text, text.length, &address))
      g_array_append_val (out, address);
  }
}

bool
bootstrap_dns_parse (const void *data, size_t size, const char *name, GArray *out)
{
  JsonReader r;
  JsonString key;
  bool ok;

  json_reader_init (&r, data, size);
  json_reader_enter_object (&r);
  while (json_reader_next_member (&r, &key)) {
    if (key.length == strlen (name) && g_ascii_strncasecmp (key.text, name, key.length) == 0)
      take_addresses (&r, out);
    else
      json_reader_skip (&r);
  }
  ok = json_reader_end (&r);
  json_reader_clear (&r);
  return ok;
}

/* ---- one try ---- */

static gboolean ask_next (void *data);

static void
end_try (BootstrapDns *b)
{
  g_clear_handle_id (&b->timer, g_source_remove);
  g_clear_handle_id (&b->watch, g_source_remove);
  tcp_race_free (g_steal_pointer (&b->race));
  g_clear_pointer (&b->tls, tls_free);
  if (b->fd >= 0)
    close (b->fd);
  b->fd = -1;
  b->asked = b->have_head = false;
  buffer_reset (&b->out);
  buffer_reset (&b->in);
  buffer_reset (&b->body);
}

/* The next one, but not from inside of what failed. */
static void
fail_try (BootstrapDns *b, const char *why)
{
  const Candidate *c = &g_array_index (b->candidates, Candidate, b->next - 1);

  log_debug (LOG_DOMAIN, "relay %s was asked for %s: %s", c->relay->host, b->name, why);
  end_try (b);
  b->timer = g_idle_add (ask_next, b);
}

static void
finish (BootstrapDns *b, GArray *addresses)
{
  BootstrapDone done = b->done;

  end_try (b);
  b->done = NULL;
  done (addresses, b->user_data);
}

static void
take_answer (BootstrapDns *b)
{
  g_autoptr (GArray) addresses = g_array_new (FALSE, FALSE, sizeof (IpAddr));

  if (b->head.status != 200 || !bootstrap_dns_parse (b->body.data, b->body.size, b->name, addresses)
      || addresses->len == 0)
    fail_try (b, "it does not know");
  else
    finish (b, g_steal_pointer (&addresses));
}

static Http1Result
parse (BootstrapDns *b, bool eof)
{
  Http1Result result;

  if (!b->have_head) {
    result = http1_head_parse (&b->head, b->in.data, b->in.size);
    if (result != HTTP1_DONE)
      return eof ? HTTP1_BAD : result;
    if (!http1_body_init (&b->reader, &b->head, false, BODY_MAX))
      return HTTP1_BAD;
    buffer_consume (&b->in, b->head.body_offset);
    b->have_head = true;
  }
  result = http1_body_feed (&b->reader, &b->in, &b->body);
  if (eof && result == HTTP1_MORE)
    return b->reader.kind == HTTP1_BODY_UNTIL_EOF ? HTTP1_DONE : HTTP1_BAD;
  return result;
}

static void
ask (BootstrapDns *b)
{
  const Candidate *c = &g_array_index (b->candidates, Candidate, b->next - 1);
  g_autofree char *request = g_strdup_printf ("GET /bootstrap-dns?q=%s HTTP/1.1\r\nHost: %s\r\n"
                                              "User-Agent: Warren\r\nConnection: close\r\n\r\n",
                                              b->name, c->relay->host);

  tls_write (b->tls, request, strlen (request));
  b->asked = true;
}

/* The request fits into the socket's buffer, so it is never waited for. */
static bool
flush (BootstrapDns *b)
{
  tls_take (b->tls, &b->out);
  while (b->out.size > 0) {
    ssize_t n = send (b->fd, b->out.data, b->out.size, MSG_NOSIGNAL);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return false;
    buffer_consume (&b->out, (size_t)n);
  }
  return true;
}

static gboolean
readable (int fd, GIOCondition condition, void *data)
{
  BootstrapDns *b = data;
  uint8_t bytes[READ_SIZE];
  ssize_t n = recv (fd, bytes, sizeof bytes, 0);
  bool eof = n == 0;

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return G_SOURCE_CONTINUE;
  if (n > 0)
    tls_feed (b->tls, bytes, (size_t)n);
  TlsState state = tls_read (b->tls, &b->in);
  if (state == TLS_OPEN && !b->asked)
    ask (b);
  if (n < 0 || state == TLS_FAILED || !flush (b)) {
    g_autofree char *why = g_strdup (state == TLS_FAILED ? tls_error (b->tls) : "connection lost");
    b->watch = 0;
    fail_try (b, why);
    return G_SOURCE_REMOVE;
  }
  Http1Result result = parse (b, eof || state == TLS_CLOSED);
  if (result == HTTP1_MORE)
    return G_SOURCE_CONTINUE;
  b->watch = 0;
  if (result == HTTP1_DONE)
    take_answer (b);
  else
    fail_try (b, "the answer is not HTTP");
  return G_SOURCE_REMOVE;
}

static TlsClientOptions
tls_options (const BootstrapRelay *relay)
{
  TlsClientOptions options = {.server_name = relay->host, .verify = TLS_VERIFY_FULL};
  const char *cert = relay->cert_name;

  if (cert && g_str_has_prefix (cert, PIN_PREFIX)
      && hex_decode (cert + strlen (PIN_PREFIX), strlen (cert + strlen (PIN_PREFIX)), options.pin,
                     TLS_PIN_SIZE))
    options.verify = TLS_VERIFY_PIN;
  else if (cert)
    options.check_name = cert;
  else if (relay->insecure)
    options.verify = TLS_VERIFY_NONE;
  return options;
}

static void
connected (int fd, int error, void *data)
{
  BootstrapDns *b = data;
  const Candidate *c = &g_array_index (b->candidates, Candidate, b->next - 1);
  TlsClientOptions options = tls_options (c->relay);

  tcp_race_free (g_steal_pointer (&b->race));
  if (fd < 0) {
    fail_try (b, g_strerror (error));
    return;
  }
  b->fd = fd;
  if (!b->context)
    b->context = tls_client_context_new (NULL, NULL);
  b->tls = tls_client_new (b->context, &options);
  http1_head_init (&b->head, false);
  if (!flush (b))
    fail_try (b, "connection lost");
  else
    b->watch = g_unix_fd_add (fd, G_IO_IN | G_IO_ERR | G_IO_HUP, readable, b);
}

static gboolean
too_late (void *data)
{
  BootstrapDns *b = data;

  b->timer = 0;
  fail_try (b, "no answer in time");
  return G_SOURCE_REMOVE;
}

static gboolean
ask_next (void *data)
{
  BootstrapDns *b = data;

  b->timer = 0;
  if (b->next >= b->candidates->len) {
    finish (b, NULL);
    return G_SOURCE_REMOVE;
  }
  const Candidate *c = &g_array_index (b->candidates, Candidate, b->next++);
  g_autoptr (GArray) one = g_array_new (FALSE, FALSE, sizeof (IpAddr));
  g_array_append_val (one, c->ip);
  b->timer = g_timeout_add (TRY_MS, too_late, b);
  b->race = tcp_race_new (one, c->relay->port, connected, b);
  return G_SOURCE_REMOVE;
}

/* ---- whom to ask ---- */

static GArray *
shuffled (GPtrArray *relays, bool v6, Random *random)
{
  GArray *out = g_array_new (FALSE, FALSE, sizeof (Candidate));

  for (guint i = 0; i < relays->len; i++) {
    const BootstrapRelay *relay = g_ptr_array_index (relays, i);
    Candidate c = {relay, v6 ? relay->ip6 : relay->ip4};

    if (c.ip.family == 0)
      continue;
    guint at = (guint)random_below (random, out->len + 1);
    g_array_insert_val (out, at, c);
  }
  return out;
}

static void
choose (BootstrapDns *b, Random *random)
{
  g_autoptr (GArray) v4 = shuffled (b->relays, false, random);
  g_autoptr (GArray) v6 = shuffled (b->relays, true, random);

  for (guint i = 0; i < MAX (v4->len, v6->len) && b->candidates->len < BOOTSTRAP_TRIES_MAX; i++) {
    if (i < v4->len)
      g_array_append_val (b->candidates, g_array_index (v4, Candidate, i));
    if (i < v6->len && b->candidates->len < BOOTSTRAP_TRIES_MAX)
      g_array_append_val (b->candidates, g_array_index (v6, Candidate, i));
  }
}

BootstrapDns *
bootstrap_dns_new (GPtrArray *relays, const char *name, Random *random, BootstrapDone done,
                   void *user_data)
{
  BootstrapDns *b = g_new0 (BootstrapDns, 1);

  b->relays = g_ptr_array_ref (relays);
  b->name = g_strdup (name);
  b->candidates = g_array_new (FALSE, FALSE, sizeof (Candidate));
  b->fd = -1;
  b->done = done;
  b->user_data = user_data;
  choose (b, random);
  b->timer = g_idle_add (ask_next, b);
  return b;
}

void
bootstrap_dns_free (BootstrapDns *b)
{
  if (!b)
    return;
  end_try (b);
  buffer_free (&b->out);
  buffer_free (&b->in);
  buffer_free (&b->body);
  g_clear_pointer (&b->context, tls_context_free);
  g_array_unref (b->candidates);
  g_ptr_array_unref (b->relays);
  g_free (b->name);
  g_free (b);
}
