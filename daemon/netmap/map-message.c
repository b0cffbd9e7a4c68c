#include "netmap/map-message.h"

#include "base/memory.h"
#include "netmap/map-message-record.h"

#include <stdatomic.h>
#include <stdlib.h>

static const RecordField ping_fields[] = {
    RECORD (PingRequest, RECORD_TEXT, url, "URL"),
    RECORD (PingRequest, RECORD_BOOL, url_is_noise, "URLIsNoise"),
    RECORD (PingRequest, RECORD_BOOL, log, "Log"),
    RECORD (PingRequest, RECORD_TEXT, types, "Types"),
    RECORD (PingRequest, RECORD_ADDR, ip, "IP"),
    RECORD_N (PingRequest, RECORD_BYTES, payload, payload_size, "Payload"),
};
const RecordType ping_request_type = RECORD_TYPE (PingRequest, ping_fields);

static const RecordField candidate_fields[] = {
    RECORD (DialCandidate, RECORD_ADDR, ip, "IP"),
    RECORD (DialCandidate, RECORD_TEXT, ace_host, "ACEHost"),
    RECORD (DialCandidate, RECORD_DOUBLE, start_delay_s, "DialStartDelaySec"),
    RECORD (DialCandidate, RECORD_DOUBLE, timeout_s, "DialTimeoutSec"),
    RECORD (DialCandidate, RECORD_I32, priority, "Priority"),
};
const RecordType dial_candidate_type = RECORD_TYPE (DialCandidate, candidate_fields);

#define HAS(member) .has = offsetof (NodePatch, member)

static const RecordField patch_fields[] = {
    RECORD (NodePatch, RECORD_I64, id, "NodeID"),
    RECORD (NodePatch, RECORD_I32, home_derp, "DERPRegion"),
    RECORD (NodePatch, RECORD_I32, cap, "Cap"),
    RECORD_N (NodePatch, RECORD_CAPS, caps, n_caps, "CapMap", HAS (has_caps)),
    RECORD_N (NodePatch, RECORD_ADDR_PORTS, endpoints, n_endpoints, "Endpoints",
              HAS (has_endpoints)),
    RECORD (NodePatch, RECORD_NODE_KEY, key, "Key", HAS (has_key)),
    RECORD_N (NodePatch, RECORD_BYTES, key_signature, key_signature_size, "KeySignature",
              HAS (has_key_signature)),
    RECORD (NodePatch, RECORD_DISCO_KEY, disco_key, "DiscoKey", HAS (has_disco_key)),
    RECORD (NodePatch, RECORD_TRI, online, "Online"),
    RECORD (NodePatch, RECORD_TIME, last_seen, "LastSeen", HAS (has_last_seen)),
    RECORD (NodePatch, RECORD_TIME, key_expiry, "KeyExpiry", HAS (has_key_expiry)),
};
const RecordType node_patch_type = RECORD_TYPE (NodePatch, patch_fields);

static const RecordField profile_fields[] = {
    RECORD (UserProfile, RECORD_I64, id, "ID", .always = true),
    RECORD (UserProfile, RECORD_TEXT, login_name, "LoginName", .always = true),
    RECORD (UserProfile, RECORD_TEXT, display_name, "DisplayName", .always = true),
    RECORD (UserProfile, RECORD_TEXT, picture_url, "ProfilePicURL"),
};
const RecordType user_profile_type = RECORD_TYPE (UserProfile, profile_fields);

static const RecordField lock_fields[] = {
    RECORD (LockInfo, RECORD_TEXT, head, "Head"),
    RECORD (LockInfo, RECORD_BOOL, disabled, "Disabled"),
};
const RecordType lock_info_type = RECORD_TYPE (LockInfo, lock_fields);

static const RecordField action_fields[] = {
    RECORD (NoticeAction, RECORD_TEXT, url, "URL"),
    RECORD (NoticeAction, RECORD_TEXT, label, "Label"),
};
static const RecordType action_type = RECORD_TYPE (NoticeAction, action_fields);

static const RecordField notice_fields[] = {
    RECORD (WireNotice, RECORD_TEXT, title, "Title"),
    RECORD (WireNotice, RECORD_TEXT, text, "Text"),
    RECORD (WireNotice, RECORD_TEXT, severity, "Severity"),
    RECORD (WireNotice, RECORD_BOOL, impacts_connectivity, "ImpactsConnectivity"),
    RECORD (WireNotice, RECORD_STRUCT, action, "PrimaryAction", .sub = &action_type),
};
const RecordType wire_notice_type = RECORD_TYPE (WireNotice, notice_fields);

/* ---- user profiles ---- */

UserProfile *
user_profile_new (UserId id, const char *login_name, const char *display_name,
                  const char *picture_url)
{
  UserProfile draft = {
      .id = id, .login_name = login_name, .display_name = display_name, .picture_url = picture_url};
  UserProfile *profile = record_pack (&user_profile_type, &draft, NULL);

  atomic_init (&profile->references, 1);
  return profile;
}

UserProfile *
user_profile_ref (const UserProfile *profile)
{
  UserProfile *p = (UserProfile *)profile;

  if (p)
    atomic_fetch_add_explicit (&p->references, 1, memory_order_relaxed);
  return p;
}

void
user_profile_unref (const UserProfile *profile)
{
  UserProfile *p = (UserProfile *)profile;

  if (p && atomic_fetch_sub_explicit (&p->references, 1, memory_order_acq_rel) == 1)
    free (p);
}

/* ---- the message ---- */

MapMessage *
map_message_new (void)
{
  MapMessage *m = mem_new (sizeof *m);

  record_init (&ping_request_type, &m->ping);
  m->pop_browser_url = m->session_handle = m->domain = "";
  m->control_time = wall_time_unset ();
  m->collect_services = TRI_UNKNOWN;
  return m;
}

void
map_message_free (MapMessage *m)
{
  if (!m)
    return;
  node_unref (m->node);
  derp_map_unref (m->derp_map);
  for (size_t i = 0; i < m->n_peers; i++)
    node_unref (m->peers[i]);
  for (size_t i = 0; i < m->n_peers_changed; i++)
    node_unref (m->peers_changed[i]);
  netmap_dns_unref (m->dns);
  filter_rules_unref (m->packet_filter);
  for (size_t i = 0; i < m->n_filters; i++)
    filter_rules_unref (m->filters[i].rules);
  for (size_t i = 0; i < m->n_users; i++)
    user_profile_unref (m->users[i]);
  arena_clear (&m->arena);
  free (m);
}
