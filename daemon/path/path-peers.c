/* The peers of the netmap: records that are added, changed and removed. */
#include "path/internal.h"

static void
remove_peer (Path *path, PeerRecord *record)
{
  if (record->path)
    peer_path_free (path, record->path);
  peer_table_remove (&path->peers, record);
}

void
path_set_disco_key (Path *path, PeerRecord *record, const DiscoPublic *key, bool restarted)
{
  bool had = !key_zero (&record->disco_key) || record->lost_disco;

  if (key_same (&record->disco_key, key))
    return;
  peer_table_set_disco (&path->peers, record, key);
  record->lost_disco = key_zero (key);
  if (key_zero (key)) {
    if (record->path && !record->wireguard_only)
      peer_path_free (path, record->path);
  } else if (had && restarted) {
    /* Also when it had none in between: if the server forgot ours as well, the peer has let our
     * session go. */
    actions_add (&path->actions, PATH_ACTION_PEER_RESTARTED)->peer_restarted = record->key;
  }
}

static bool
same_endpoints (const PeerRecord *record, const PathPeer *peer)
{
  if (record->n_endpoints != peer->n_endpoints)
    return false;
  for (size_t i = 0; i < peer->n_endpoints; i++)
    if (!ip_port_equal (&record->endpoints[i], &peer->endpoints[i]))
      return false;
  return true;
}

static void
put_peer (Path *path, const PathPeer *peer)
{
  PeerRecord *record = peer_table_find (&path->peers, &peer->key);

  if (!record)
    record = peer_table_add (&path->peers, &peer->key);
  record->mark = path->mark;
  bool changed = record->home_region != peer->home_region || record->expired != peer->expired
                 || !same_endpoints (record, peer);
  if (record->wireguard_only != peer->wireguard_only && record->path)
    peer_path_free (path, record->path);
  record->home_region = peer->home_region;
  record->wireguard_only = peer->wireguard_only;
  record->expired = peer->expired;
  path_set_disco_key (path, record, &peer->disco_key, true);
  if (!same_endpoints (record, peer))
    peer_record_set_endpoints (record, peer->endpoints, peer->n_endpoints);
  if (changed && record->path)
    peer_path_record_changed (path, record->path);
}

void
path_set_peers (Path *path, const PathEvent *event)
{
  bool first = path->peers.count == 0;

  path->mark++;
  for (size_t i = 0; i < event->peers.n_peers; i++)
    put_peer (path, &event->peers.peers[i]);
  for (size_t i = 0; i < event->peers.n_removed; i++) {
    PeerRecord *record = peer_table_find (&path->peers, &event->peers.removed[i]);
    if (record)
      remove_peer (path, record);
  }
  for (PeerRecord *r = peer_table_next (&path->peers, NULL), *next; event->peers.whole && r;
       r = next) {
    next = peer_table_next (&path->peers, r);
    if (r->mark != path->mark)
      remove_peer (path, r);
  }
  if (first && path->peers.count > 0)
    discovery_request (path, false);
}

static bool
may_be_at (const PeerRecord *record, const IpPort *at)
{
  if (record->path && candidates_find (&record->path->candidates, at))
    return true;
  for (size_t i = 0; i < record->n_endpoints; i++)
    if (ip_port_equal (&record->endpoints[i], at))
      return true;
  return false;
}

size_t
path_peers_at (const Path *path, const IpPort *at, NodePublic *out, size_t max)
{
  size_t n = 0;

  for (PeerRecord *r = peer_table_next (&path->peers, NULL); r && n < max;
       r = peer_table_next (&path->peers, r))
    if (may_be_at (r, at))
      out[n++] = r->key;
  return n;
}
