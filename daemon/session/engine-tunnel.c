/* The engine's hands on the data plane and the host: device, tunnel, configurations, events. */
#include "session/engine-private.h"

#include "base/log.h"
#include "host/socket-mark.h"
#include "session/local-dns.h"
#include "session/proxies.h"
#include "wireguard/timestamp.h"

#include <glib-unix.h>
#include <sodium.h>
#include <string.h>

#define LOG_DOMAIN   "session"
#define DEFAULT_PORT 41641 /* wanted; any other will do */
#define RETRY_US     (5 * USEC_PER_SEC)
#define REQUESTS_MAX 256 /* pings and reports under way at once */

typedef struct
{
  uint64_t id;
  EngineReply reply;
  void *user_data;
} EngineRequest;

static void
tell_host_result (Engine *e, Session *s, ProblemCode problem, const char *text)
{
  g_autofree char *local_dns = local_dns_find (link_monitor_get_state (e->monitor));
  SessionEvent event = {
      .type = SESSION_EVENT_HOST,
      .host = {.problem = problem,
               .text = text,
               .warnings = e->host ? host_warnings (e->host) : 0,
               .blocking_chain = e->host ? host_blocking_chain (e->host) : NULL,
               .local_dns = local_dns},
  };
  engine_feed (e, s, &event);
}

/* --- Events of the tunnel -------------------------------------------------------------------- */

typedef struct
{
  Engine *engine;
  uint64_t id;
} Resolving;

static void
resolved (GObject *source, GAsyncResult *result, void *user_data)
{
  g_autofree Resolving *resolving = user_data;
  Engine *e = resolving->engine;
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) addresses = resolver_lookup_finish (e->resolver, result, &error);
  if (error && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    return;
  if (e->tunnel)
    tunnel_resolved (e->tunnel, resolving->id,
                     addresses ? (const IpAddr *)(void *)addresses->data : NULL,
                     addresses ? addresses->len : 0);
}

static void
resolve (Engine *e, const TunnelEvent *event)
{
  Resolving *resolving = g_new0 (Resolving, 1);
  resolving->engine = e;
  resolving->id = event->resolve.id;
  resolver_lookup_async (e->resolver, event->resolve.name, NULL, resolved, resolving);
}

static void
answer_request (Engine *e, uint64_t id, const TunnelEvent *event)
{
  EngineRequest *request = g_hash_table_lookup (e->requests, &id);
  if (!request)
    return;
  g_hash_table_steal (e->requests, &id);
  request->reply (event, NULL, request->user_data);
  g_free (request);
}

static void
handle_tunnel_event (Engine *e, const TunnelEvent *event)
{
  switch (event->type) {
    case TUNNEL_EVENT_PING:
      answer_request (e, event->ping.id, event);
      return;
    case TUNNEL_EVENT_NETCHECK:
      answer_request (e, event->netcheck.id, event);
      return;
    case TUNNEL_EVENT_RESOLVE:
      resolve (e, event);
      return;
    case TUNNEL_EVENT_SOCKETS:
      if (e->host)
        host_set_udp_port (e->host, event->sockets.port4);
      return;
    case TUNNEL_EVENT_TIMESTAMP:
      memcpy (e->reserved, event->timestamp, sizeof e->reserved);
      break;
    case TUNNEL_EVENT_OFFLOAD:
      log_info (LOG_DOMAIN, "%s", event->text);
      return;
    case TUNNEL_EVENT_TUN_LOST:
      log_error (LOG_DOMAIN, "the tunnel device %s is gone", e->tun_name);
      engine_close_tunnel (e);
      e->retry_at_us = clock_now_us ();
      if (e->active)
        tell_host_result (e, e->active, PROBLEM_TUN_UNAVAILABLE, "the tunnel device was removed");
      return;
    case TUNNEL_EVENT_PATH:
      if (e->active && e->listener.path_changed)
        e->listener.path_changed (e->active, &event->path.peer, e->listener_data);
      break;
    default:
      break;
  }
  if (!e->active)
    return;
  SessionEvent to_session = {.type = SESSION_EVENT_TUNNEL, .tunnel = event};
  engine_feed (e, e->active, &to_session);
}

static gboolean
tunnel_ready (int fd, GIOCondition condition, void *user_data)
{
  Engine *e = user_data;
  TunnelEvent event;
  while (e->tunnel && tunnel_next_event (e->tunnel, &event))
    handle_tunnel_event (e, &event);
  return e->tunnel ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* --- Opening and closing --------------------------------------------------------------------- */

/* The newest initiation that any earlier run may have sent, under whatever key. */
static void
newest_timestamp (Engine *e, uint8_t out[PROFILE_HANDSHAKE_TIME_SIZE])
{
  memset (out, 0, PROFILE_HANDSHAKE_TIME_SIZE);
  for (guint i = 0; i < e->sessions->len; i++) {
    const Profile *p = session_profile (g_ptr_array_index (e->sessions, i));
    if (memcmp (p->handshake_time, out, PROFILE_HANDSHAKE_TIME_SIZE) > 0)
      memcpy (out, p->handshake_time, PROFILE_HANDSHAKE_TIME_SIZE);
  }
}

/* A run that begins where the last one's reservation ends must have one of its own on disk before
 * its first initiation: killed at once, it would be followed by one that repeats its timestamps,
 * which peers drop without a word. The first run of all begins at the date. */
static void
reserve_timestamps (Engine *e, const uint8_t floor[PROFILE_HANDSHAKE_TIME_SIZE])
{
  static const uint8_t none[PROFILE_HANDSHAKE_TIME_SIZE];
  if (memcmp (floor, none, sizeof none) == 0)
    memset (e->reserved, 0, sizeof e->reserved);
  else
    wg_timestamp_reserve (floor, wall_time_now (), e->reserved);
}

/* The tunnel's timestamps go on, maybe far ahead of the date, when a profile that was signed out,
 * or a new one, gives it a key: that profile's record must know of them. */
static void
record_timestamps (Engine *e, Session *s)
{
  g_autoptr (GError) error = NULL;
  if (memcmp (session_profile (s)->handshake_time, e->reserved, sizeof e->reserved) >= 0)
    return;
  session_set_handshake_time (s, e->reserved);
  if (!store_save_profile (e->store, session_profile (s), &error))
    log_warning (LOG_DOMAIN, "%s", error->message);
}

static void
give_proxies (Engine *e, const Session *s)
{
  ProxySettings proxies = proxies_for (&session_profile (s)->preferences);

  tunnel_set_proxies (e->tunnel, proxies.https_proxy, proxies.no_proxy);
}

/* Connections that stand go another way now: as if the computer had another default route. */
void
engine_tell_proxies (Engine *e)
{
  ProxySettings proxies = proxies_for (&session_profile (e->active)->preferences);
  ControlEvent moved = {.type = CONTROL_EVENT_LINK, .link = {.major = true}};

  if (!e->control || !control_io_set_proxies (e->control, &proxies))
    return;
  log_info (LOG_DOMAIN, "another proxy is used from now on");
  control_io_input (e->control, &moved);
  if (!e->tunnel)
    return;
  give_proxies (e, e->active);
  engine_link_to_tunnel (e, true);
}

static bool
open_tunnel (Engine *e, Session *s, GError **error)
{
  if (e->tunnel)
    return true;
  if (!tun_open (e->tun_name, 1, &e->tun, error))
    return false;
  const Profile *profile = session_profile (s);
  TunnelOptions options = {.n_tun_fds = e->tun.n_fds,
                           .vnet_header = e->tun.vnet_header,
                           .tcp_merged = e->tun.tcp_merged,
                           .udp_merged = e->tun.udp_merged,
                           .port = e->port                     ? e->port
                                   : profile->preferences.port ? profile->preferences.port
                                                               : DEFAULT_PORT,
                           .mark = socket_mark,
                           .disco_key = *e->disco_key,
                           .client_name = WARREN_CLIENT_NAME};
  for (unsigned i = 0; i < e->tun.n_fds; i++)
    options.tun_fds[i] = e->tun.fds[i];
  newest_timestamp (e, options.last_timestamp);
  reserve_timestamps (e, options.last_timestamp);
  e->tunnel = tunnel_new (&options);
  sodium_memzero (&options, sizeof options);
  if (!e->tunnel) {
    g_set_error (error, TUN_ERROR, TUN_ERROR_FAILED, "could not start the tunnel: %s",
                 g_strerror (errno));
    tun_close (&e->tun);
    return false;
  }
  e->tun.n_fds = 0; /* the tunnel's now */
  e->host = host_new (e->state_dir, &e->tun);
  e->tunnel_source = g_unix_fd_add (tunnel_event_fd (e->tunnel), G_IO_IN, tunnel_ready, e);
  give_proxies (e, s);
  engine_link_to_tunnel (e, false);
  return true;
}

static gboolean
drop_request (void *key, void *value, void *user_data)
{
  EngineRequest *request = value;
  g_autoptr (GError) error
      = g_error_new_literal (ENGINE_ERROR, ENGINE_ERROR_WRONG_STATE, "the tunnel was closed");
  request->reply (NULL, error, request->user_data);
  return TRUE;
}

void
engine_close_tunnel (Engine *e)
{
  if (!e->tunnel)
    return;
  g_hash_table_foreach_remove (e->requests, drop_request, NULL);
  g_clear_pointer (&e->firewalld, firewalld_free);
  host_undo (e->host);
  g_clear_pointer (&e->host, host_free);
  g_clear_handle_id (&e->tunnel_source, g_source_remove);
  g_clear_pointer (&e->tunnel, tunnel_free);
  memset (&e->tunnel_key, 0, sizeof e->tunnel_key);
}

/* --- Bringing a plan about ------------------------------------------------------------------- */

static void
shut_tunnel (Engine *e)
{
  e->retry_at_us = TIME_NEVER;
  if (e->blocked_by_cleanup)
    host_cleanup (e->state_dir, false, NULL);
  e->blocked_by_cleanup = false;
  if (!e->tunnel)
    return;
  TunnelSettings settings = {.shut = true, .mtu = TUNNEL_MTU_DEFAULT};
  TunnelConfig *empty = tunnel_config_update (NULL, &settings, NULL, 0, NULL, 0);
  g_clear_pointer (&e->firewalld, firewalld_free);
  host_undo (e->host);
  tunnel_apply (e->tunnel, empty);
  tunnel_config_unref (empty);
  NodePrivate none = {0};
  tunnel_set_node_key (e->tunnel, &none);
  memset (&e->tunnel_key, 0, sizeof e->tunnel_key);
  tunnel_set_online (e->tunnel, false);
}

static void
give_node_key (Engine *e, Session *s)
{
  const NodePrivate *key = &session_profile (s)->secrets->node;
  NodePublic public_key;
  key_public (key->bytes, public_key.bytes);
  if (key_same (&public_key, &e->tunnel_key))
    return;
  record_timestamps (e, s);
  tunnel_set_node_key (e->tunnel, key);
  e->tunnel_key = public_key;
}

static ProblemCode
problem_of (const GError *error)
{
  if (g_error_matches (error, TUN_ERROR, TUN_ERROR_PERMISSION)
      || g_error_matches (error, HOST_ERROR, HOST_ERROR_PERMISSION))
    return PROBLEM_NOT_PERMITTED;
  return PROBLEM_TUN_UNAVAILABLE;
}

void
engine_apply (Engine *e, Session *s)
{
  Plan *plan = session_plan (s);
  if (!plan) {
    shut_tunnel (e);
    return;
  }
  g_autoptr (GError) error = NULL;
  if (!open_tunnel (e, s, &error)) {
    log_error (LOG_DOMAIN, "%s", error->message);
    e->retry_at_us = clock_now_us () + RETRY_US;
    tell_host_result (e, s, problem_of (error), error->message);
    return;
  }
  e->blocked_by_cleanup = false;
  give_node_key (e, s);
  tunnel_apply (e->tunnel, plan->tunnel);
  tunnel_set_online (e->tunnel, e->network_up);
  bool ok = host_apply (e->host, plan->host, &error);
  if (!e->firewalld && e->bus)
    e->firewalld = firewalld_new (e->bus, e->tun_name);
  if (!ok) {
    log_error (LOG_DOMAIN, "%s", error->message);
    e->retry_at_us = clock_now_us () + RETRY_US;
  }
  tell_host_result (e, s, ok ? PROBLEM_NONE : problem_of (error), ok ? NULL : error->message);
}

void
engine_link_to_tunnel (Engine *e, bool major)
{
  if (!e->tunnel)
    return;
  const LinkState *state = link_monitor_get_state (e->monitor);
  g_autofree TunnelLinkAddress *addresses = g_new0 (TunnelLinkAddress, state->n_addresses + 1);
  for (size_t i = 0; i < state->n_addresses; i++) {
    const LinkAddress *from = &state->addresses[i];
    const LinkInterface *interface = link_state_interface (state, from->interface);
    uint32_t way_out = from->prefix.addr.family == 4 ? state->default4 : state->default6;
    addresses[i].prefix = from->prefix;
    addresses[i].loopback = interface && interface->loopback;
    addresses[i].default_route = from->interface == way_out;
    if (interface)
      g_strlcpy (addresses[i].interface, interface->name, sizeof addresses[i].interface);
  }
  TunnelLink link = {.addresses = addresses,
                     .n_addresses = state->n_addresses,
                     .gateway4 = state->gateway4,
                     .up = link_state_is_up (state),
                     .have4 = state->have4,
                     .have6 = state->have6,
                     .major = major};
  tunnel_set_link (e->tunnel, &link);
  tunnel_set_online (e->tunnel, link.up && e->active && session_plan (e->active));
}

/* --- Questions ------------------------------------------------------------------------------- */

bool
engine_peer_status (Engine *e, Session *s, const NodePublic *peer, TunnelPeerStatus *out)
{
  return e->tunnel && s == e->active && tunnel_peer_status (e->tunnel, peer, out);
}

static EngineRequest *
new_request (Engine *e, EngineReply reply, void *user_data, const char **refusal)
{
  if (!e->tunnel || !e->active || !session_plan (e->active)) {
    *refusal = "Warren is not connected";
    return NULL;
  }
  if (g_hash_table_size (e->requests) >= REQUESTS_MAX) {
    *refusal = "too many requests are under way";
    return NULL;
  }
  EngineRequest *request = g_new0 (EngineRequest, 1);
  request->id = ++e->next_request;
  request->reply = reply;
  request->user_data = user_data;
  g_hash_table_insert (e->requests, &request->id, request);
  return request;
}

static void
refuse (EngineReply reply, void *user_data, const char *text)
{
  g_autoptr (GError) error = g_error_new_literal (ENGINE_ERROR, ENGINE_ERROR_WRONG_STATE, text);
  reply (NULL, error, user_data);
}

void
engine_ping (Engine *e, Session *s, const NodePublic *peer, TunnelPingType type, int timeout_ms,
             EngineReply reply, void *user_data)
{
  const char *refusal = "this session is not the active one";
  EngineRequest *request = s == e->active ? new_request (e, reply, user_data, &refusal) : NULL;
  if (request)
    tunnel_ping (e->tunnel, request->id, peer, type, 0, timeout_ms);
  else
    refuse (reply, user_data, refusal);
}

void
engine_netcheck (Engine *e, EngineReply reply, void *user_data)
{
  const char *refusal = NULL;
  EngineRequest *request = new_request (e, reply, user_data, &refusal);
  if (request)
    tunnel_netcheck (e->tunnel, request->id);
  else
    refuse (reply, user_data, refusal);
}
