#include "api/peers-calls.h"

#include "api/peer-feed.h"
#include "api/peer-info.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#define WATCHES_MAX           64
#define WATCH_INTERVAL_MIN_MS 250
#define WATCH_INTERVAL_MAX_MS 60000
#define PING_TIMEOUT_MAX_MS   60000
#define PING_TIMEOUT_MIN_MS   100

static const Node *
node_named (Session *s, const char *id)
{
  const Netmap *map = session_netmap (s);
  if (!map)
    return NULL;
  const Node *self = netmap_self (map);
  if (self && strcmp (self->stable_id, id) == 0)
    return self;
  return netmap_peer_by_stable_id (map, id);
}

/* The node that the first argument names, or NULL after the call was answered. */
static const Node *
node_argument (Call *call, const char *id)
{
  const Node *node = node_named (call->object->session, id);
  if (!node)
    call_fail (call, BUS_ERROR_NOT_FOUND, "there is no device %s", id);
  return node;
}

static void
subscribe (Call *call)
{
  uint64_t known;
  g_variant_get (call->params, "(t)", &known);
  GVariant *reply = peer_feed_subscribe (call->object->feed, call->sender, known);
  if (reply)
    call_return (call, reply);
  else
    call_fail (call, BUS_ERROR_LIMIT_EXCEEDED, "too many subscribers");
}

static void
unsubscribe (Call *call)
{
  peer_feed_unsubscribe (call->object->feed, call->sender);
  call_return (call, NULL);
}

static void
get_peer (Call *call)
{
  const char *id;
  g_variant_get (call->params, "(&s)", &id);
  const Node *node = node_argument (call, id);
  if (node)
    call_return (call, g_variant_new ("(@a{sv})", peer_dictionary (call->service->engine,
                                                                   call->object->session, node)));
}

/* --- Ping ------------------------------------------------------------------------------------ */

static void
ping_answered (const TunnelEvent *event, const GError *error, void *user_data)
{
  Call *call = user_data;
  if (error) {
    call_fail_error (call, g_error_copy (error));
    return;
  }
  if (!call->object || !event->ping.answered) {
    call_fail (call, BUS_ERROR_TIMEOUT, "%s", *event->ping.error ? event->ping.error : "no reply");
    return;
  }
  Session *s = call->object->session;
  bool direct = event->ping.udp.addr.family != 0;
  char endpoint[IP_PORT_TEXT_MAX] = "";
  if (direct)
    ip_port_format (&event->ping.udp, endpoint);
  const Netmap *map = session_netmap (s);
  const DerpMap *derp = map ? netmap_derp_map (map) : NULL;
  const DerpRegion *region
      = derp && event->ping.region ? derp_map_region (derp, event->ping.region) : NULL;
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&b, "{sv}", "LatencyUs",
                         g_variant_new_uint32 (
                             (uint32_t)MIN (event->ping.latency_us, (int64_t)UINT32_MAX)));
  g_variant_builder_add (&b, "{sv}", "Path",
                         g_variant_new_string (direct               ? "direct"
                                               : event->ping.region ? "relay"
                                                                    : ""));
  g_variant_builder_add (&b, "{sv}", "Endpoint", g_variant_new_string (endpoint));
  g_variant_builder_add (&b, "{sv}", "Relay", g_variant_new_string (region ? region->code : ""));
  g_variant_builder_add (&b, "{sv}", "RelayName",
                         g_variant_new_string (region ? region->name : ""));
  g_variant_builder_add (&b, "{sv}", "RelayId", g_variant_new_uint32 (event->ping.region));
  call_return (call, g_variant_new ("(a{sv})", &b));
}

static void
ping (Call *call)
{
  static const struct
  {
    const char *name;
    TunnelPingType type;
  } kinds[]
      = {{"disco", TUNNEL_PING_DISCO}, {"icmp", TUNNEL_PING_ICMP}, {"tsmp", TUNNEL_PING_TSMP}};
  const char *id, *kind;
  uint32_t timeout_ms;
  g_variant_get (call->params, "(&s&su)", &id, &kind, &timeout_ms);
  size_t i = 0;
  while (i < G_N_ELEMENTS (kinds) && strcmp (kinds[i].name, kind) != 0)
    i++;
  if (i == G_N_ELEMENTS (kinds)) {
    call_fail (call, BUS_ERROR_INVALID_ARGUMENT, "unknown kind of ping");
    return;
  }
  const Node *node = node_argument (call, id);
  if (!node)
    return;
  if (node == netmap_self (session_netmap (call->object->session))) {
    call_fail (call, BUS_ERROR_INVALID_ARGUMENT, "%s is this device", id);
    return;
  }
  timeout_ms = CLAMP (timeout_ms, PING_TIMEOUT_MIN_MS, PING_TIMEOUT_MAX_MS);
  engine_ping (call->service->engine, call->object->session, &node->key, kinds[i].type,
               (int)timeout_ms, ping_answered, call);
}

/* --- Watch ----------------------------------------------------------------------------------- */

typedef struct
{
  SessionObject *object;
  char *sender;
  char *id;
  int fd; /* our end of the pipe: an error on it means that the client closed its end */
  guint closed_source;
  guint timer;
  guint name_watch;
} PeerWatch;

static void
watch_free (PeerWatch *watch)
{
  g_hash_table_remove (watch->object->service->watches, watch);
  g_clear_handle_id (&watch->closed_source, g_source_remove);
  g_clear_handle_id (&watch->timer, g_source_remove);
  g_clear_handle_id (&watch->name_watch, g_bus_unwatch_name);
  close (watch->fd);
  g_free (watch->sender);
  g_free (watch->id);
  g_free (watch);
}

static gboolean
watch_closed (int fd, GIOCondition condition, void *user_data)
{
  PeerWatch *watch = user_data;
  watch->closed_source = 0;
  watch_free (watch);
  return G_SOURCE_REMOVE;
}

static void
watcher_left (GDBusConnection *bus, const char *name, void *user_data)
{
  watch_free (user_data);
}

static gboolean
watch_report (void *user_data)
{
  PeerWatch *watch = user_data;
  SessionObject *object = watch->object;
  Session *s = object->session;
  const Node *node = node_named (s, watch->id);
  TunnelPeerStatus status;
  if (!node || !engine_peer_status (object->service->engine, s, &node->key, &status))
    return G_SOURCE_CONTINUE;
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  peer_add_path (&b, s, &status);
  g_dbus_connection_emit_signal (object->service->bus, watch->sender, object->path,
                                 "org.warrenvpn.Daemon1.Peers", "Detail",
                                 g_variant_new ("(sa{sv})", watch->id, &b), NULL);
  return G_SOURCE_CONTINUE;
}

static void
watch_peer (Call *call)
{
  const char *id;
  uint32_t interval_ms;
  g_variant_get (call->params, "(&su)", &id, &interval_ms);
  if (!node_argument (call, id))
    return;
  if (g_hash_table_size (call->service->watches) >= WATCHES_MAX) {
    call_fail (call, BUS_ERROR_LIMIT_EXCEEDED, "too many watches");
    return;
  }
  int fds[2];
  if (pipe2 (fds, O_CLOEXEC | O_NONBLOCK) < 0) {
    call_fail (call, BUS_ERROR_FAILED, "no pipe: %s", g_strerror (errno));
    return;
  }
  interval_ms = CLAMP (interval_ms, WATCH_INTERVAL_MIN_MS, WATCH_INTERVAL_MAX_MS);
  PeerWatch *watch = g_new0 (PeerWatch, 1);
  watch->object = call->object;
  watch->sender = g_strdup (call->sender);
  watch->id = g_strdup (id);
  watch->fd = fds[1];
  watch->closed_source = g_unix_fd_add (fds[1], G_IO_ERR | G_IO_HUP, watch_closed, watch);
  watch->timer = g_timeout_add (interval_ms, watch_report, watch);
  watch->name_watch = g_bus_watch_name_on_connection (call->service->bus, call->sender,
                                                      G_BUS_NAME_WATCHER_FLAGS_NONE, NULL,
                                                      watcher_left, watch, NULL);
  g_hash_table_add (call->service->watches, watch);
  watch_report (watch);
  call_return_fd (call, fds[0]);
}

void
peers_calls_forget (SessionObject *object)
{
  g_autoptr (GList) watches = g_hash_table_get_keys (object->service->watches);
  for (GList *l = watches; l; l = l->next) {
    PeerWatch *watch = l->data;
    if (watch->object == object)
      watch_free (watch);
  }
}

void
peers_calls_connect (SessionObject *object)
{
  static const CallRow rows[] = {
      {"Subscribe", subscribe}, {"Unsubscribe", unsubscribe},
      {"GetPeer", get_peer},    {"Watch", watch_peer},
      {"Ping", ping},
  };
  call_connect (object->service, object, G_DBUS_INTERFACE_SKELETON (object->bus_peers), "Peers",
                rows, G_N_ELEMENTS (rows));
}
