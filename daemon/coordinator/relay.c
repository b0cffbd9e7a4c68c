#include "coordinator/relay.h"

#include "base/log.h"
#include "base/memory.h"
#include "coordinator/relay-certificate.h"
#include "coordinator/relay-private.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DOMAIN       "relay"
#define BUDGET_BYTES ((size_t)256 << 20) /* of all queues */
#define EVERYBODY    64                  /* connections of a key that are closed at once */

/* ---- orders ---- */

void
relay_order (Relay *relay, const RelayOrder *order)
{
  RelayWorker *worker = &relay->workers[order->to.worker];
  RelayOrder *copy = mem_dup (order, sizeof *order);

  copy->next = NULL;
  pthread_mutex_lock (&worker->lock);
  *worker->orders_end = copy;
  worker->orders_end = &copy->next;
  pthread_mutex_unlock (&worker->lock);
  bell_ring (&worker->bell);
}

void
relay_admit (Relay *relay, const NodePublic *key, bool allowed)
{
  RelayHandle handles[EVERYBODY];
  RelayOrder order = {.type = RELAY_ORDER_CLOSE, .key = *key};

  relay_registry_allow (relay->registry, key, allowed);
  if (relay_registry_allowed (relay->registry, key))
    return;
  size_t n = relay_registry_connections (relay->registry, key, handles, EVERYBODY);
  for (size_t i = 0; i < n; i++) {
    order.to = handles[i];
    relay_order (relay, &order);
  }
}

void
relay_tell_heard (Relay *relay, const NodePublic *key, RelayHeard *heard)
{
  RelayOrder order = {.type = RELAY_ORDER_GONE, .key = *key};

  for (size_t i = 0; i < heard->n; i++)
    if (relay_registry_find (relay->registry, &heard->keys[i], &order.to) == RELAY_HERE)
      relay_order (relay, &order);
  free (heard->keys);
}

/* ---- other relays of the region ---- */

void
relay_tell_watchers (Relay *relay, const NodePublic *key, const IpPort *from, uint8_t flags)
{
  RelayOrder order = {.type = from ? RELAY_ORDER_PRESENT : RELAY_ORDER_GONE, .key = *key};

  if (from)
    order.from = *from;
  order.flags = flags;
  pthread_mutex_lock (&relay->watch_lock);
  for (size_t i = 0; i < relay->n_watchers; i++) {
    order.to = relay->watchers[i];
    relay_order (relay, &order);
  }
  pthread_mutex_unlock (&relay->watch_lock);
}

typedef struct
{
  Relay *relay;
  RelayHandle watcher;
} Telling;

static void
tell_present (const NodePublic *key, const RelayPresence *presence, void *data)
{
  const Telling *telling = data;
  RelayOrder order = {.type = RELAY_ORDER_PRESENT,
                      .to = telling->watcher,
                      .key = *key,
                      .from = presence->from,
                      .flags = presence->flags};

  relay_order (telling->relay, &order);
}

void
relay_watch (Relay *relay, RelayHandle watcher)
{
  Telling telling = {relay, watcher};

  relay_unwatch (relay, watcher);
  pthread_mutex_lock (&relay->watch_lock);
  relay->watchers = mem_grow (relay->watchers, relay->n_watchers, &relay->room_watchers,
                              sizeof *relay->watchers);
  relay->watchers[relay->n_watchers++] = watcher;
  pthread_mutex_unlock (&relay->watch_lock);
  relay_registry_each (relay->registry, tell_present, &telling);
}

void
relay_unwatch (Relay *relay, RelayHandle watcher)
{
  pthread_mutex_lock (&relay->watch_lock);
  for (size_t i = 0; i < relay->n_watchers; i++)
    if (memcmp (&relay->watchers[i], &watcher, sizeof watcher) == 0)
      relay->watchers[i--] = relay->watchers[--relay->n_watchers];
  pthread_mutex_unlock (&relay->watch_lock);
}

/* ---- certificates ---- */

static TlsContext *
make_context (const Relay *relay, const char *certificate_pem, const char *key_pem, char **error)
{
  TlsContext *context = tls_server_context_new (certificate_pem, key_pem, error);
  uint8_t *meta = NULL;
  size_t size;

  if (context && relay_certificate_meta (relay->identity.server_key.bytes, &meta, &size))
    tls_server_context_add_certificate (context, meta, size);
  free (meta);
  return context;
}

bool
relay_set_certificate (Relay *relay, const char *certificate_pem, const char *key_pem, char **error)
{
  for (unsigned i = 0; i < relay->n_workers; i++) {
    RelayOrder order = {.type = RELAY_ORDER_TLS, .to.worker = i};
    order.tls = make_context (relay, certificate_pem, key_pem, error);
    if (!order.tls)
      return false;
    relay_order (relay, &order);
  }
  return true;
}

/* ---- beginning and end ---- */

static void
set_identity (Relay *relay, const RelayOptions *options)
{
  RelayIdentity *identity = &relay->identity;

  memcpy (identity->private_key, options->private_key, KEY_SIZE);
  key_public (identity->private_key, identity->server_key.bytes);
  if (options->mesh_key)
    memcpy (identity->mesh_key, options->mesh_key, KEY_SIZE);
  if (options->names)
    identity->names = relay_names_new (options->names);
  identity->rate = options->rate;
  identity->rate_burst = options->rate_burst;
  identity->budget = &relay->budget;
  identity->random = random_system ();
}

static unsigned
count_workers (const RelayOptions *options)
{
  long n = options->workers > 0 ? (long)options->workers : sysconf (_SC_NPROCESSORS_ONLN);

  return n < 1 ? 1 : n > RELAY_WORKERS_MAX ? RELAY_WORKERS_MAX : (unsigned)n;
}

/* A client is a descriptor. */
static void
raise_descriptors (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit (RLIMIT_NOFILE, &limit);
  }
}

/* The first worker connects to the other relays of the region. */
static bool
add_links (Relay *relay, const RelayOptions *options, char **error)
{
  RelayWorker *worker = &relay->workers[0];
  size_t n = 0;

  while (options->peers && options->mesh_key && options->peers[n])
    n++;
  if (n == 0)
    return true;
  worker->links = mem_new (n * sizeof *worker->links);
  worker->link_tls = tls_client_context_new (NULL, error);
  for (size_t i = 0; worker->link_tls && i < n; i++) {
    if (!relay_link_init (&worker->links[i], options->peers[i])) {
      if (asprintf (error, "\"%s\" is not ADDRESS:PORT of a relay", options->peers[i]) < 0)
        *error = NULL;
      return false;
    }
    timer_wheel_set (&worker->wheel, &worker->links[i].timer, worker->now_us);
    worker->n_links++;
  }
  return worker->link_tls != NULL;
}

static bool
open_relay (Relay *relay, const RelayOptions *options, char **error)
{
  bool ok = relay_front_open (relay, options, error);

  for (unsigned i = 0; ok && i < relay->n_workers; i++) {
    RelayWorker *worker = &relay->workers[i];
    ok = relay_worker_open (worker);
    if (ok && options->certificate_pem)
      ok = (worker->tls = make_context (relay, options->certificate_pem, options->key_pem, error))
           != NULL;
  }
  ok = ok && add_links (relay, options, error);
  for (unsigned i = 0; ok && i < relay->n_workers; i++)
    ok = relay_worker_start (&relay->workers[i]);
  return ok && relay_front_start (relay);
}

Relay *
relay_new (const RelayOptions *options, char **error)
{
  Relay *relay = mem_new (sizeof *relay);

  *error = NULL;
  raise_descriptors ();
  set_identity (relay, options);
  relay->budget.limit = BUDGET_BYTES;
  relay->registry = relay_registry_new (options->open);
  relay->n_workers = count_workers (options);
  relay->front.listener = relay->front.stun = -1;
  pthread_mutex_init (&relay->watch_lock, NULL);
  for (unsigned i = 0; i < relay->n_workers; i++)
    relay_worker_init (relay, i);
  if (open_relay (relay, options, error))
    return relay;
  relay_free (relay);
  return NULL;
}

void
relay_free (Relay *relay)
{
  relay_front_close (relay);
  for (unsigned i = 0; i < relay->n_workers; i++)
    if (relay->workers[i].started)
      relay_order (relay, &(RelayOrder){.type = RELAY_ORDER_STOP, .to.worker = i});
  for (unsigned i = 0; i < relay->n_workers; i++)
    if (relay->workers[i].started)
      pthread_join (relay->workers[i].thread, NULL);
  for (unsigned i = 0; i < relay->n_workers; i++)
    relay_worker_end (&relay->workers[i]);
  for (unsigned i = 0; i < relay->n_workers; i++)
    relay_worker_clear (&relay->workers[i]);
  relay_registry_free (relay->registry);
  pthread_mutex_destroy (&relay->watch_lock);
  free (relay->watchers);
  relay_names_free (relay->identity.names);
  sodium_memzero (&relay->identity, sizeof relay->identity);
  free (relay);
}

void
relay_status (Relay *relay, RelayStatus *out)
{
  *out = (RelayStatus){.queued_bytes = atomic_load (&relay->budget.bytes)};
  relay_registry_count (relay->registry, &out->clients, &out->connections);
  for (unsigned i = 0; i < relay->n_workers; i++) {
    RelayCounters *counters = &relay->workers[i].counters;
    out->accepted += atomic_load (&counters->accepted);
    out->refused += atomic_load (&counters->refused);
    out->logins += atomic_load (&counters->logins);
    out->packets_in += atomic_load (&counters->packets_in);
    out->bytes_in += atomic_load (&counters->bytes_in);
    out->packets_out += atomic_load (&counters->packets_out);
    out->bytes_out += atomic_load (&counters->bytes_out);
    out->dropped_unknown += atomic_load (&counters->dropped_unknown);
    out->dropped_full += atomic_load (&counters->dropped_full);
    out->dropped_gone += atomic_load (&counters->dropped_gone);
    out->stalled += atomic_load (&counters->stalled);
  }
}
