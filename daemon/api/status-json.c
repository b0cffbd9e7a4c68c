#include "api/status-json.h"

#include "netmap/derp-map.h"

#include <stdlib.h>
#include <string.h>

static void
write_string (JsonWriter *w, const char *name, const char *value)
{
  json_writer_name (w, name);
  json_writer_string (w, value);
}

static void
write_bool (JsonWriter *w, const char *name, bool value)
{
  json_writer_name (w, name);
  json_writer_bool (w, value);
}

static void
write_i64 (JsonWriter *w, const char *name, int64_t value)
{
  json_writer_name (w, name);
  json_writer_i64 (w, value);
}

static void
write_time (JsonWriter *w, const char *name, WallTime value)
{
  json_writer_name (w, name);
  json_writer_time (w, value);
}

static void
write_null (JsonWriter *w, const char *name)
{
  json_writer_name (w, name);
  json_writer_null (w);
}

/* The date of a moment on the boot clock; 0 is "never". */
static WallTime
date_of (const StatusInput *input, int64_t at_us)
{
  return at_us == 0 ? wall_time_unset () : wall_time_add_us (input->now, at_us - input->now_us);
}

static const char *
region_code (const StatusInput *input, int region)
{
  DerpMap *map = input->netmap ? netmap_derp_map (input->netmap) : NULL;
  const DerpRegion *found = map ? derp_map_region (map, (unsigned)region) : NULL;

  return found ? found->code : "";
}

/* "name": […] of own single addresses, null when there are none. */
static void
write_ips (JsonWriter *w, const char *name, const Node *node)
{
  bool any = false;

  json_writer_name (w, name);
  for (uint16_t i = 0; node && i < node->n_addresses; i++) {
    if (!ip_prefix_is_single (&node->addresses[i]))
      continue;
    if (!any)
      json_writer_begin_array (w);
    any = true;
    json_writer_addr (w, &node->addresses[i].addr);
  }
  if (any)
    json_writer_end_array (w);
  else
    json_writer_null (w);
}

static void
write_prefixes (JsonWriter *w, const char *name, const IpPrefix *prefixes, size_t n)
{
  if (n == 0)
    return;
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < n; i++)
    json_writer_prefix (w, &prefixes[i]);
  json_writer_end_array (w);
}

static void
write_strings (JsonWriter *w, const char *name, const char *const *strings, size_t n)
{
  if (n == 0)
    return;
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < n; i++)
    json_writer_string (w, strings[i]);
  json_writer_end_array (w);
}

static void
write_caps (JsonWriter *w, const Node *node)
{
  if (node->n_caps == 0)
    return;
  json_writer_name (w, "Capabilities");
  json_writer_begin_array (w);
  for (uint16_t i = 0; i < node->n_caps; i++)
    json_writer_string (w, node->caps[i].name);
  json_writer_end_array (w);
  json_writer_name (w, "CapMap");
  json_writer_begin_object (w);
  for (uint16_t i = 0; i < node->n_caps; i++) {
    json_writer_name (w, node->caps[i].name);
    if (node->caps[i].values)
      json_writer_raw (w, node->caps[i].values, strlen (node->caps[i].values));
    else
      json_writer_null (w);
  }
  json_writer_end_object (w);
}

static void
write_peerapi (JsonWriter *w, const Node *node)
{
  static const struct
  {
    int family;
    const char *proto;
  } kinds[] = {{4, "peerapi4"}, {6, "peerapi6"}};
  bool any = false;

  json_writer_name (w, "PeerAPIURL");
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    IpPort ap = {node_address (node, kinds[i].family), node_service_port (node, kinds[i].proto)};
    char url[IP_PORT_TEXT_MAX + 8] = "http://";
    if (ap.addr.family == 0 || ap.port == 0)
      continue;
    if (!any)
      json_writer_begin_array (w);
    any = true;
    ip_port_format (&ap, url + strlen (url));
    json_writer_string (w, url);
  }
  if (any)
    json_writer_end_array (w);
  else
    json_writer_null (w);
}

static void
write_location (JsonWriter *w, const NodeLocation *location)
{
  json_writer_name (w, "Location");
  json_writer_begin_object (w);
  json_writer_opt_string (w, "Country", location->country);
  json_writer_opt_string (w, "CountryCode", location->country_code);
  json_writer_opt_string (w, "City", location->city);
  json_writer_opt_string (w, "CityCode", location->city_code);
  json_writer_name (w, "Latitude");
  json_writer_double (w, location->latitude);
  json_writer_name (w, "Longitude");
  json_writer_double (w, location->longitude);
  json_writer_opt_i64 (w, "Priority", location->priority);
  json_writer_end_object (w);
}

/* Who and where the node is; common to us and to peers. */
static void
write_identity (const StatusInput *input, JsonWriter *w, const Node *node, bool self)
{
  const NodeHostinfo *host = node->hostinfo;
  const char *host_name = host && host->hostname[0] ? host->hostname : self ? input->host_name : "";

  write_string (w, "ID", node->stable_id);
  write_i64 (w, "NodeID", node->id);
  json_writer_name (w, "PublicKey");
  json_writer_key (w, KEY_NODE_PUBLIC, node->key.bytes);
  write_string (w, "HostName", host_name);
  write_string (w, "DNSName", node->name);
  write_string (w, "OS", host ? host->os : self ? "linux" : "");
  write_i64 (w, "UserID", node->user);
  json_writer_opt_i64 (w, "AltSharerUserID", node->sharer);
  write_ips (w, "TailscaleIPs", node);
  write_prefixes (w, "AllowedIPs", node->allowed_ips, node->n_allowed_ips);
  write_strings (w, "Tags", node->tags, node->n_tags);
  write_prefixes (w, "PrimaryRoutes", node->primary_routes, node->n_primary_routes);
}

static void
write_addrs (const StatusInput *input, JsonWriter *w, bool self)
{
  json_writer_name (w, "Addrs");
  if (!self || input->n_endpoints == 0) {
    json_writer_null (w);
    return;
  }
  json_writer_begin_array (w);
  for (size_t i = 0; i < input->n_endpoints; i++)
    json_writer_addr_port (w, &input->endpoints[i]);
  json_writer_end_array (w);
}

static void
write_traffic (const StatusInput *input, JsonWriter *w, const Node *node, bool self,
               const TunnelPeerStatus *status)
{
  bool online = self ? input->online : node->online == TRI_TRUE;
  bool active
      = status->last_send_us != 0 && input->now_us - status->last_send_us < STATUS_ACTIVE_US;
  char current[IP_PORT_TEXT_MAX] = "";

  write_addrs (input, w, self);
  if (status->udp.addr.family != 0)
    ip_port_format (&status->udp, current);
  write_string (w, "CurAddr", current);
  write_string (w, "Relay", region_code (input, self ? input->home_region : node->home_derp));
  write_string (w, "PeerRelay", "");
  write_i64 (w, "RxBytes", (int64_t)status->rx_bytes);
  write_i64 (w, "TxBytes", (int64_t)status->tx_bytes);
  write_time (w, "Created", node->created);
  write_time (w, "LastWrite", date_of (input, status->last_send_us));
  write_time (w, "LastSeen", online ? wall_time_unset () : node->last_seen);
  write_time (w, "LastHandshake", date_of (input, status->last_handshake_us));
  write_bool (w, "Online", online);
  write_bool (w, "ExitNode",
              !self && node->stable_id[0] && strcmp (node->stable_id, input->exit_node_id) == 0);
  write_bool (w, "ExitNodeOption", !self && node_offers_exit (node));
  write_bool (w, "Active", active);
}

static void
write_node (const StatusInput *input, JsonWriter *w, const Node *node, bool self)
{
  TunnelPeerStatus status = {0};
  bool known
      = !self && input->peer_status && input->peer_status (&node->key, &status, input->user_data);
  const NodeHostinfo *host = node->hostinfo;
  WallTime expiry = {.seconds = node->key_expiry.seconds};

  json_writer_begin_object (w);
  write_identity (input, w, node, self);
  write_traffic (input, w, node, self, &status);
  write_peerapi (w, node);
  write_i64 (w, "TaildropTarget", 0);
  write_string (w, "NoFileSharingReason", "");
  write_caps (w, node);
  if (host)
    write_strings (w, "sshHostKeys", host->ssh_host_keys, host->n_ssh_host_keys);
  json_writer_opt_bool (w, "ShareeNode", host && host->sharee_node);
  write_bool (w, "InNetworkMap", true);
  write_bool (w, "InMagicSock", known);
  write_bool (w, "InEngine", known);
  json_writer_opt_bool (w, "Expired", node->expired);
  json_writer_opt_time (w, "KeyExpiry", expiry);
  if (host && host->location)
    write_location (w, host->location);
  json_writer_end_object (w);
}

/* Before the first map there is only what this computer knows of itself. */
static void
write_bare_self (const StatusInput *input, JsonWriter *w)
{
  Node draft;

  node_draft_init (&draft);
  draft.key = input->node_key;
  Node *node = node_pack (&draft);
  write_node (input, w, node, true);
  node_unref (node);
}

static void
write_exit_node (const StatusInput *input, JsonWriter *w)
{
  const Node *node = input->netmap && input->exit_node_id[0]
                         ? netmap_peer_by_stable_id (input->netmap, input->exit_node_id)
                         : NULL;

  if (!node)
    return;
  json_writer_name (w, "ExitNodeStatus");
  json_writer_begin_object (w);
  write_string (w, "ID", node->stable_id);
  write_bool (w, "Online", node->online == TRI_TRUE);
  write_prefixes (w, "TailscaleIPs", node->addresses, node->n_addresses);
  json_writer_end_object (w);
}

static void
write_health (const StatusInput *input, JsonWriter *w)
{
  json_writer_name (w, "Health");
  json_writer_begin_array (w);
  for (const char *const *text = input->health; text && *text; text++)
    json_writer_string (w, *text);
  json_writer_end_array (w);
}

static void
write_dns (const StatusInput *input, JsonWriter *w)
{
  const NetmapDns *dns = input->netmap ? netmap_dns (input->netmap) : NULL;
  const char *suffix = input->netmap ? netmap_magic_dns_suffix (input->netmap) : "";

  write_string (w, "MagicDNSSuffix", suffix);
  json_writer_name (w, "CurrentTailnet");
  if (input->netmap) {
    json_writer_begin_object (w);
    write_string (w, "Name", netmap_domain (input->netmap));
    write_string (w, "MagicDNSSuffix", suffix);
    write_bool (w, "MagicDNSEnabled", dns && dns->proxied);
    json_writer_end_object (w);
  } else {
    json_writer_null (w);
  }
  if (dns && dns->n_cert_domains > 0)
    write_strings (w, "CertDomains", dns->cert_domains, dns->n_cert_domains);
  else
    write_null (w, "CertDomains");
  json_writer_name (w, "ExtraRecords");
  if (!dns || dns->n_extra_records == 0) {
    json_writer_null (w);
    return;
  }
  json_writer_begin_array (w);
  for (size_t i = 0; i < dns->n_extra_records; i++) {
    json_writer_begin_object (w);
    write_string (w, "Name", dns->extra_records[i].name);
    json_writer_opt_string (w, "Type", dns->extra_records[i].type);
    write_string (w, "Value", dns->extra_records[i].value);
    json_writer_end_object (w);
  }
  json_writer_end_array (w);
}

static void
write_peers (const StatusInput *input, JsonWriter *w)
{
  const Node *node;

  json_writer_name (w, "Peer");
  if (!input->with_peers || !input->netmap || netmap_n_peers (input->netmap) == 0) {
    json_writer_null (w);
    return;
  }
  json_writer_begin_object (w);
  for (NetmapIter i = netmap_iter (input->netmap); (node = netmap_iter_next (&i));) {
    char key[KEY_TEXT_MAX];
    if (netmap_peer_is_duplicate (input->netmap, node))
      continue;
    key_format (KEY_NODE_PUBLIC, node->key.bytes, key);
    json_writer_name (w, key);
    write_node (input, w, node, false);
  }
  json_writer_end_object (w);
}

static int
compare_ids (const void *a, const void *b)
{
  UserId x = *(const UserId *)a, y = *(const UserId *)b;

  return (x > y) - (x < y);
}

/* The users of the nodes that are shown, each once, in order of id. */
static UserId *
shown_users (const StatusInput *input, size_t *n)
{
  size_t room = 2 + (input->with_peers ? 2 * netmap_n_peers (input->netmap) : 0);
  UserId *ids = calloc (room, sizeof *ids);
  const Node *self = netmap_self (input->netmap), *node;
  size_t count = 0, unique = 0;

  if (!ids)
    abort ();
  if (self)
    ids[count++] = self->user;
  if (input->with_peers) {
    for (NetmapIter i = netmap_iter (input->netmap); (node = netmap_iter_next (&i));) {
      ids[count++] = node->user;
      if (node->sharer)
        ids[count++] = node->sharer;
    }
  }
  qsort (ids, count, sizeof *ids, compare_ids);
  for (size_t i = 0; i < count; i++)
    if (unique == 0 || ids[unique - 1] != ids[i])
      ids[unique++] = ids[i];
  *n = unique;
  return ids;
}

static void
write_users (const StatusInput *input, JsonWriter *w)
{
  size_t n;

  json_writer_name (w, "User");
  if (!input->netmap) {
    json_writer_null (w);
    return;
  }
  UserId *ids = shown_users (input, &n);
  json_writer_begin_object (w);
  for (size_t i = 0; i < n; i++) {
    const UserProfile *user = netmap_user (input->netmap, ids[i]);
    if (!user)
      continue;
    json_writer_name_i64 (w, user->id);
    json_writer_begin_object (w);
    write_i64 (w, "ID", user->id);
    write_string (w, "LoginName", user->login_name);
    write_string (w, "DisplayName", user->display_name);
    json_writer_opt_string (w, "ProfilePicURL", user->picture_url);
    json_writer_end_object (w);
  }
  json_writer_end_object (w);
  free (ids);
}

void
status_json_write (const StatusInput *input, JsonWriter *w)
{
  const Node *self = input->netmap ? netmap_self (input->netmap) : NULL;

  json_writer_begin_object (w);
  write_string (w, "Version", input->version);
  write_bool (w, "TUN", true);
  write_string (w, "BackendState", input->backend_state);
  json_writer_opt_bool (w, "HaveNodeKey", input->have_node_key);
  write_string (w, "AuthURL", input->auth_url);
  write_ips (w, "TailscaleIPs", self);
  json_writer_name (w, "Self");
  if (self)
    write_node (input, w, self, true);
  else
    write_bare_self (input, w);
  write_exit_node (input, w);
  write_health (input, w);
  write_dns (input, w);
  write_peers (input, w);
  write_users (input, w);
  write_null (w, "ClientVersion");
  json_writer_end_object (w);
}
