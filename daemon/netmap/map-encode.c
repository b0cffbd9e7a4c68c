#include "netmap/map-message-record.h"

#include <string.h>

static void
encode_session (const MapMessage *m, JsonWriter *w)
{
  json_writer_opt_string (w, "MapSessionHandle", m->session_handle);
  json_writer_opt_i64 (w, "Seq", m->seq);
  json_writer_opt_bool (w, "KeepAlive", m->keep_alive);
  if (m->ping.url && *m->ping.url) {
    json_writer_name (w, "PingRequest");
    record_encode (&ping_request_type, &m->ping, w);
  }
  json_writer_opt_string (w, "PopBrowserURL", m->pop_browser_url);
  if (m->has_dial_plan) {
    json_writer_name (w, "ControlDialPlan");
    json_writer_begin_object (w);
    json_writer_name (w, "Candidates");
    json_writer_begin_array (w);
    for (size_t i = 0; i < m->n_dial_plan; i++)
      record_encode (&dial_candidate_type, &m->dial_plan[i], w);
    json_writer_end_array (w);
    json_writer_end_object (w);
  }
  if (m->debug_sleep_s > 0 || m->has_debug_exit) {
    json_writer_name (w, "Debug");
    json_writer_begin_object (w);
    if (m->debug_sleep_s > 0) {
      json_writer_name (w, "SleepSeconds");
      json_writer_double (w, m->debug_sleep_s);
    }
    if (m->has_debug_exit) {
      json_writer_name (w, "Exit");
      json_writer_i64 (w, m->debug_exit);
    }
    json_writer_end_object (w);
  }
}

static void
encode_nodes (const char *name, Node *const *nodes, size_t n, JsonWriter *w)
{
  if (n == 0)
    return;
  json_writer_name (w, name);
  json_writer_begin_array (w);
  for (size_t i = 0; i < n; i++)
    node_encode (nodes[i], w);
  json_writer_end_array (w);
}

static void
encode_flags (const char *name, const NodeFlag *flags, size_t n, JsonWriter *w)
{
  if (n == 0)
    return;
  json_writer_name (w, name);
  json_writer_begin_object (w);
  for (size_t i = 0; i < n; i++) {
    json_writer_name_i64 (w, flags[i].id);
    json_writer_bool (w, flags[i].value);
  }
  json_writer_end_object (w);
}

static void
encode_peers (const MapMessage *m, JsonWriter *w)
{
  encode_nodes ("Peers", m->peers, m->n_peers, w);
  encode_nodes ("PeersChanged", m->peers_changed, m->n_peers_changed, w);
  if (m->n_peers_removed > 0) {
    json_writer_name (w, "PeersRemoved");
    json_writer_begin_array (w);
    for (size_t i = 0; i < m->n_peers_removed; i++)
      json_writer_i64 (w, m->peers_removed[i]);
    json_writer_end_array (w);
  }
  if (m->n_patches > 0) {
    json_writer_name (w, "PeersChangedPatch");
    json_writer_begin_array (w);
    for (size_t i = 0; i < m->n_patches; i++)
      record_encode (&node_patch_type, &m->patches[i], w);
    json_writer_end_array (w);
  }
  encode_flags ("PeerSeenChange", m->peer_seen, m->n_peer_seen, w);
  encode_flags ("OnlineChange", m->online, m->n_online, w);
}

static void
encode_filters (const MapMessage *m, JsonWriter *w)
{
  if (m->packet_filter) {
    json_writer_name (w, "PacketFilter");
    filter_rules_encode (m->packet_filter, w);
  }
  if (!m->clear_filters && m->n_filters == 0)
    return;
  json_writer_name (w, "PacketFilters");
  json_writer_begin_object (w);
  if (m->clear_filters) {
    json_writer_name (w, "*");
    json_writer_null (w);
  }
  for (size_t i = 0; i < m->n_filters; i++) {
    json_writer_name (w, m->filters[i].name);
    if (m->filters[i].rules)
      filter_rules_encode (m->filters[i].rules, w);
    else
      json_writer_null (w);
  }
  json_writer_end_object (w);
}

static void
encode_notices (const MapMessage *m, JsonWriter *w)
{
  static const char *const severities[] = {"low", "medium", "high"};

  if (!m->clear_notices && m->n_notices == 0 && m->n_removed_notices == 0)
    return;
  json_writer_name (w, "DisplayMessages");
  json_writer_begin_object (w);
  if (m->clear_notices) {
    json_writer_name (w, "*");
    json_writer_null (w);
  }
  for (size_t i = 0; i < m->n_removed_notices; i++) {
    json_writer_name (w, m->removed_notices[i]);
    json_writer_null (w);
  }
  for (size_t i = 0; i < m->n_notices; i++) {
    const Notice *n = &m->notices[i];
    NoticeAction action = {n->action_url, n->action_label};
    WireNotice wire = {n->title, n->text, severities[n->severity], n->impacts_connectivity,
                       n->action_url && *n->action_url ? &action : NULL};
    json_writer_name (w, n->id);
    record_encode (&wire_notice_type, &wire, w);
  }
  json_writer_end_object (w);
}

static void
encode_health (const MapMessage *m, JsonWriter *w)
{
  if (!m->has_health)
    return;
  json_writer_name (w, "Health");
  json_writer_begin_array (w);
  for (size_t i = 0; i < m->n_health; i++)
    json_writer_string (w, m->health[i]);
  json_writer_end_array (w);
}

static void
encode_settings (const MapMessage *m, JsonWriter *w)
{
  if (m->derp_map) {
    json_writer_name (w, "DERPMap");
    derp_map_encode (m->derp_map, w);
  }
  if (m->dns) {
    json_writer_name (w, "DNSConfig");
    netmap_dns_encode (m->dns, w);
  }
  json_writer_opt_string (w, "Domain", m->domain);
  if (m->collect_services != TRI_UNKNOWN) {
    json_writer_name (w, "CollectServices");
    json_writer_bool (w, m->collect_services == TRI_TRUE);
  }
  if (m->n_users > 0) {
    json_writer_name (w, "UserProfiles");
    json_writer_begin_array (w);
    for (size_t i = 0; i < m->n_users; i++)
      record_encode (&user_profile_type, m->users[i], w);
    json_writer_end_array (w);
  }
  if (m->ssh_policy) {
    json_writer_name (w, "SSHPolicy");
    json_writer_raw (w, m->ssh_policy, strlen (m->ssh_policy));
  }
  if (m->lock) {
    json_writer_name (w, "TKAInfo");
    record_encode (&lock_info_type, m->lock, w);
  }
}

void
user_profile_encode (const UserProfile *profile, JsonWriter *w)
{
  record_encode (&user_profile_type, profile, w);
}

void
node_patch_encode (const NodePatch *patch, JsonWriter *w)
{
  record_encode (&node_patch_type, patch, w);
}

void
map_message_encode (const MapMessage *m, JsonWriter *w)
{
  json_writer_begin_object (w);
  encode_session (m, w);
  if (m->node) {
    json_writer_name (w, "Node");
    node_encode (m->node, w);
  }
  encode_settings (m, w);
  encode_peers (m, w);
  encode_filters (m, w);
  encode_health (m, w);
  encode_notices (m, w);
  json_writer_opt_time (w, "ControlTime", m->control_time);
  json_writer_end_object (w);
}
