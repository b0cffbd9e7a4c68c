#include "api/diagnostics-calls.h"

#include "api/peer-info.h"
#include "api/status-json.h"
#include "api/warnings.h"
#include "filter/filter.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LATENCY_UNKNOWN UINT32_MAX

/* --- GetStatus ------------------------------------------------------------------------------- */

static bool
peer_status (const NodePublic *key, TunnelPeerStatus *out, void *user_data)
{
  SessionObject *object = user_data;
  return engine_peer_status (object->service->engine, object->session, key, out);
}

/* A sealed file in memory with SIZE bytes of DATA; -1 with errno. */
static int
sealed_memfd (const char *data, size_t size)
{
  int fd = memfd_create ("warren-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0)
    return -1;
  while (size > 0) {
    ssize_t n = write (fd, data, size);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      close (fd);
      return -1;
    }
    data += n;
    size -= (size_t)n;
  }
  lseek (fd, 0, SEEK_SET);
  fcntl (fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  return fd;
}

/* A person who may sign this session in sees where. */
static const char *
auth_url_for (Call *call, Session *s)
{
  const char *url = session_login_url (s, NULL);
  uint32_t owner = session_profile (s)->owner_uid;
  bool may_see = call->uid == 0 || call->uid == owner;
  return url && may_see ? url : "";
}

static void
write_session_status (Call *call, SessionObject *object, StatusInput *input, JsonWriter *w)
{
  Session *s = object->session;
  const Profile *profile = session_profile (s);
  const TunnelNetReport *report = session_net_report (s);
  size_t n_endpoints = 0;
  const TunnelEndpoint *own = session_endpoints (s, &n_endpoints);
  g_autofree IpPort *endpoints = g_new0 (IpPort, n_endpoints + 1);
  for (size_t i = 0; i < n_endpoints; i++)
    endpoints[i] = own[i].address;
  g_auto (GStrv) health = warnings_to_texts (call->service->engine, s);
  input->backend_state = session_state_official (session_state (s));
  input->auth_url = auth_url_for (call, s);
  input->have_node_key = profile_has_key (profile);
  input->netmap = session_netmap (s);
  if (*profile->preferences.hostname)
    input->host_name = profile->preferences.hostname;
  input->online = session_online (s);
  input->endpoints = endpoints;
  input->n_endpoints = n_endpoints;
  input->home_region = report ? report->preferred_derp : 0;
  input->exit_node_id = profile->preferences.exit_node_id;
  input->health = (const char *const *)health;
  input->peer_status = peer_status;
  input->user_data = object;
  if (input->have_node_key)
    key_public (profile->secrets->node.bytes, input->node_key.bytes);
  status_json_write (input, w);
}

static void
write_status (Call *call, bool with_peers, JsonWriter *w)
{
  const LocalFacts *facts = engine_facts (call->service->engine);
  SessionObject *object = call_subject (call);
  StatusInput input = {.version = facts->client_version,
                       .backend_state = session_state_official (SESSION_NEEDS_LOGIN),
                       .auth_url = "",
                       .host_name = facts->hostname,
                       .exit_node_id = "",
                       .with_peers = with_peers,
                       .now_us = clock_now_us (),
                       .now = wall_time_now ()};
  if (object)
    write_session_status (call, object, &input, w);
  else
    status_json_write (&input, w);
}

static void
get_status (Call *call)
{
  g_autoptr (GVariant) options = NULL;
  gboolean with_peers = TRUE;
  g_variant_get (call->params, "(@a{sv})", &options);
  g_variant_lookup (options, "Peers", "b", &with_peers);
  JsonWriter w;
  json_writer_init (&w);
  write_status (call, with_peers, &w);
  size_t size = 0;
  char *text = json_writer_take (&w, &size);
  int fd = sealed_memfd (text, size);
  int code = errno;
  free (text);
  if (fd < 0)
    call_fail (call, BUS_ERROR_FAILED, "no memory file: %s", g_strerror (code));
  else
    call_return_fd (call, fd);
}

/* --- NetCheck -------------------------------------------------------------------------------- */

static uint32_t
latency_of (const TunnelNetReport *report, unsigned region, unsigned family)
{
  for (size_t i = 0; i < report->n_latencies; i++) {
    const TunnelLatency *l = &report->latencies[i];
    if (l->region == region && l->family == family)
      return l->latency_us < LATENCY_UNKNOWN ? (uint32_t)l->latency_us : LATENCY_UNKNOWN;
  }
  return LATENCY_UNKNOWN;
}

static GVariant *
regions_variant (Session *s, const TunnelNetReport *report)
{
  GVariantBuilder b;
  g_variant_builder_init (&b, G_VARIANT_TYPE ("a(ussuu)"));
  const Netmap *map = session_netmap (s);
  const DerpMap *derp = map ? netmap_derp_map (map) : NULL;
  for (size_t i = 0; derp && i < derp->n_regions; i++) {
    const DerpRegion *region = &derp->regions[i];
    g_variant_builder_add (&b, "(ussuu)", region->id, region->code, region->name,
                           latency_of (report, region->id, 4), latency_of (report, region->id, 6));
  }
  return g_variant_builder_end (&b);
}

static void
add_flag (GVariantBuilder *b, const char *key, bool value)
{
  g_variant_builder_add (b, "{sv}", key, g_variant_new_boolean (value));
}

static void
add_address (GVariantBuilder *b, const char *key, const IpPort *address)
{
  char text[IP_PORT_TEXT_MAX] = "";
  if (address->addr.family != 0)
    ip_port_format (address, text);
  g_variant_builder_add (b, "{sv}", key, g_variant_new_string (text));
}

static void
net_checked (const TunnelEvent *event, const GError *error, void *user_data)
{
  Call *call = user_data;
  if (error) {
    call_fail_error (call, g_error_copy (error));
    return;
  }
  SessionObject *object = call_subject (call);
  if (!object) {
    call_fail (call, BUS_ERROR_NOT_FOUND, "the session has been removed");
    return;
  }
  const TunnelNetReport *report = &event->netcheck.report;
  const struct
  {
    const char *name;
    TunnelTristate state;
  } mappings[] = {{"upnp", report->upnp}, {"pmp", report->pmp}, {"pcp", report->pcp}};
  GVariantBuilder b, mapping;
  g_variant_builder_init (&mapping, G_VARIANT_TYPE_STRING_ARRAY);
  for (size_t i = 0; i < G_N_ELEMENTS (mappings); i++)
    if (mappings[i].state == TUNNEL_YES)
      g_variant_builder_add (&mapping, "s", mappings[i].name);
  g_variant_builder_init (&b, G_VARIANT_TYPE_VARDICT);
  add_flag (&b, "UDP", report->udp == TUNNEL_YES);
  add_flag (&b, "IPv4", report->ipv4 == TUNNEL_YES);
  add_flag (&b, "IPv6", report->ipv6 == TUNNEL_YES);
  add_flag (&b, "NatVaries", report->mapping_varies_by_dest == TUNNEL_YES);
  add_flag (&b, "NatVariesKnown", report->mapping_varies_by_dest != TUNNEL_UNKNOWN);
  add_address (&b, "GlobalV4", &report->global4);
  add_address (&b, "GlobalV6", &report->global6);
  g_variant_builder_add (&b, "{sv}", "PortMapping", g_variant_builder_end (&mapping));
  g_variant_builder_add (&b, "{sv}", "Home", g_variant_new_uint32 (report->preferred_derp));
  g_variant_builder_add (&b, "{sv}", "Regions", regions_variant (object->session, report));
  call_return (call, g_variant_new ("(a{sv})", &b));
}

static void
net_check (Call *call)
{
  SessionObject *object = call_subject (call);
  if (object && session_is_active (object->session))
    engine_netcheck (call->service->engine, net_checked, call);
  else
    call_fail (call, BUS_ERROR_WRONG_STATE, "this session is not active");
}

/* --- WhoIs ----------------------------------------------------------------------------------- */

/* The node that ADDRESS ("ip", "ip:port" or "nodekey:…") belongs to. */
static const Node *
find_node (const Netmap *map, const char *address, bool *valid)
{
  NodePublic key;
  IpAddr ip;
  IpPort ip_port;
  size_t length = strlen (address);
  *valid = true;
  if (key_parse (KEY_NODE_PUBLIC, address, length, &key)) {
    const Node *self = netmap_self (map);
    return self && key_same (&self->key, &key) ? self : netmap_peer_by_key (map, &key);
  }
  if (ip_parse (address, length, &ip))
    return netmap_node_by_address (map, &ip);
  if (ip_port_parse (address, length, &ip_port))
    return netmap_node_by_address (map, &ip_port.addr);
  *valid = false;
  return NULL;
}

/* What NODE may do here beyond packets, as a JSON object. */
static char *
capabilities_json (Session *s, const Node *node)
{
  const Plan *plan = session_plan (s);
  const Node *self = netmap_self (session_netmap (s));
  const Filter *filter = plan ? tunnel_config_settings (plan->tunnel)->filter : NULL;
  JsonWriter w;
  json_writer_init (&w);
  IpAddr src = node_address (node, 4);
  if (src.family == 0)
    src = node_address (node, 6);
  IpAddr dst = self ? node_address (self, src.family) : (IpAddr){0};
  if (filter && src.family != 0 && dst.family != 0) {
    filter_peer_caps (filter, &src, &dst, node->unsigned_peer_api_only, &w);
  } else {
    json_writer_begin_object (&w);
    json_writer_end_object (&w);
  }
  return json_writer_take (&w, NULL);
}

static char *
who_json (const Node *node, const UserProfile *user, const char *caps)
{
  JsonWriter w;
  json_writer_init (&w);
  json_writer_begin_object (&w);
  json_writer_name (&w, "Node");
  node_encode (node, &w);
  json_writer_name (&w, "UserProfile");
  json_writer_begin_object (&w);
  json_writer_name (&w, "ID");
  json_writer_i64 (&w, user->id);
  json_writer_name (&w, "LoginName");
  json_writer_string (&w, user->login_name);
  json_writer_name (&w, "DisplayName");
  json_writer_string (&w, user->display_name);
  json_writer_opt_string (&w, "ProfilePicURL", user->picture_url);
  json_writer_end_object (&w);
  json_writer_name (&w, "CapMap");
  json_writer_raw (&w, caps, strlen (caps));
  json_writer_end_object (&w);
  return json_writer_take (&w, NULL);
}

static void
who_is (Call *call)
{
  const char *address, *proto;
  g_variant_get (call->params, "(&s&s)", &address, &proto);
  SessionObject *object = call_subject (call);
  if (!object) {
    call_fail (call, BUS_ERROR_NEEDS_LOGIN, "nobody is signed in");
    return;
  }
  Session *s = object->session;
  const Netmap *map = session_netmap (s);
  bool valid = true;
  const Node *node = map ? find_node (map, address, &valid) : NULL;
  const UserProfile *user = node ? netmap_user (map, node->user) : NULL;
  if (!valid || (*proto && strcmp (proto, "tcp") != 0 && strcmp (proto, "udp") != 0)) {
    call_fail (call, BUS_ERROR_INVALID_ARGUMENT, "neither an address nor a node key");
    return;
  }
  if (!user) {
    call_fail (call, BUS_ERROR_NOT_FOUND, "no device has the address %s", address);
    return;
  }
  char *caps = capabilities_json (s, node);
  char *json = who_json (node, user, caps);
  GVariantDict dict;
  g_autoptr (GVariant) base = g_variant_ref_sink (peer_dictionary (call->service->engine, s, node));
  g_variant_dict_init (&dict, base);
  g_variant_dict_insert (&dict, "UserPicture", "s", user->picture_url);
  g_variant_dict_insert (&dict, "CapabilitiesJson", "s", caps);
  g_variant_dict_insert (&dict, "Json", "s", json);
  free (caps);
  free (json);
  call_return (call, g_variant_new ("(@a{sv})", g_variant_dict_end (&dict)));
}

void
diagnostics_calls_connect (BusService *service, SessionObject *object,
                           WarrenBusDiagnostics *diagnostics)
{
  static const CallRow rows[] = {
      {"NetCheck", net_check},
      {"GetStatus", get_status},
      {"WhoIs", who_is},
  };
  call_connect (service, object, G_DBUS_INTERFACE_SKELETON (diagnostics), "Diagnostics", rows,
                G_N_ELEMENTS (rows));
}
